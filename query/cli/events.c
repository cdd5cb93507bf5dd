/* query/cli/events.c - see events.h. */
#include "query/cli/events.h"

enum { NAME_MAX_BYTES = 256, DATA_MAX = 64 << 20, KEPT_MAX = 65 << 20 };

void events_init(struct events *e)
{
    *e = (struct events){.at = 0};
    buf_init(&e->kept, KEPT_MAX);
    buf_init(&e->name, NAME_MAX_BYTES);
    buf_init(&e->data, DATA_MAX);
}

void events_fini(struct events *e)
{
    buf_fini(&e->kept);
    buf_fini(&e->name);
    buf_fini(&e->data);
}

/* An empty line: the event is over. */
static int dispatch(struct events *e, events_fn *fn, void *arg, struct err *err)
{
    int r = 0;

    if (e->has_data)
        r = fn(arg, buf_str(&e->name), buf_str(&e->data), err);
    buf_clear(&e->name);
    buf_clear(&e->data);
    e->has_data = false;
    return r;
}

static int take_line(struct events *e, struct str line, events_fn *fn, void *arg, struct err *err)
{
    struct str field;

    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return dispatch(e, fn, arg, err);
    field = str_cut(&line, ':'); /* empty: a comment */
    if (line.n > 0 && line.p[0] == ' ')
        line = str_from(line, 1);
    if (str_eq(field, STR("event"))) {
        buf_clear(&e->name);
        buf_add_str(&e->name, line);
    } else if (str_eq(field, STR("data"))) {
        if (e->has_data)
            buf_add_char(&e->data, '\n');
        buf_add_str(&e->data, line);
        e->has_data = true;
    }
    return buf_err(&e->data, "an event of the server's", err);
}

int events_take(struct events *e, struct str bytes, events_fn *fn, void *arg, struct err *err)
{
    int r;

    buf_add_str(&e->kept, bytes);
    r = buf_err(&e->kept, "an event of the server's", err);
    while (r == 0) {
        struct str rest = str_from(buf_str(&e->kept), e->at);
        size_t end = str_find_char(rest, '\n');

        if (end == SIZE_MAX)
            break;
        e->at += end + 1;
        r = take_line(e, str_sub(rest, 0, end), fn, arg, err);
    }
    buf_drop(&e->kept, e->at);
    e->at = 0;
    return r;
}
