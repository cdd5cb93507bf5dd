/* query/cli/output.c - see output.h. */
#include "query/cli/output.h"

#include "base/file.h"
#include "query/cli/columns.h"
#include "query/cli/pager.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>

enum {
    FLUSH_BYTES = 64 << 10,
    ROOM_BYTES = 64 << 20, /* the longest entry, every byte of it escaped, fits several times */
};

static bool wants_color(const struct args *args, const struct output_env *env, bool terminal)
{
    if (args->color != ARGS_COLOR_AUTO)
        return args->color == ARGS_COLOR_ALWAYS;
    return terminal && (env->no_color == NULL || env->no_color[0] == '\0') &&
           (env->term == NULL || strcmp(env->term, "dumb") != 0);
}

/* Lines of the screen; 0: not known. */
static size_t lines_of(int fd)
{
    struct winsize w;

    return ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_row : 0;
}

void output_init(struct output *o, int fd, const struct args *args, const struct output_env *env)
{
    *o = (struct output){
        .fd = fd, .terminal = env->terminal, .errors_terminal = env->errors_terminal};
    o->form.kind = args->has_output ? args->output : env->terminal ? FORMAT_TABLE : FORMAT_RAW;
    o->form.color = wants_color(args, env, env->terminal);
    o->color_errors = wants_color(args, env, env->errors_terminal);
    o->form.utc = args->zone == ARGS_ZONE_AUTO ? !env->terminal : args->zone == ARGS_ZONE_UTC;
    if (env->terminal && !args->follow && !args->from_stdin && !args->no_pager &&
        (env->term == NULL || strcmp(env->term, "dumb") != 0))
        o->screen = lines_of(fd);
    if (o->screen > 1)
        o->pager = env->pager;
    buf_init(&o->buf, ROOM_BYTES);
}

bool output_fini(struct output *o)
{
    buf_fini(&o->buf);
    columns_free(&o->columns);
    return o->pager_pid <= 0 || pager_end(o->pager_pid, o->fd);
}

int output_columns(struct output *o, const char *list, struct err *err)
{
    return columns_new(list, &o->columns, err);
}

int output_flush(struct output *o, struct err *err)
{
    int r = buf_err(&o->buf, "output", err);

    if (r == 0 && o->buf.n > 0)
        r = file_write_all(o->fd, o->buf.p, o->buf.n, err);
    buf_clear(&o->buf);
    o->lines = o->seen = 0;
    if (r == ERR_IO) {
        o->deserted = err->sys == EPIPE;
        o->broken = !o->deserted;
        (void)err_wrap(err, "standard output");
    }
    return r;
}

/* Is the screen full?  Then what has come goes to a pager, and all that follows; if it cannot be
 * started, to the terminal. */
static bool fill_screen(struct output *o)
{
    struct err ignored;
    int fd;

    for (; o->seen < o->buf.n; o->seen++)
        o->lines += o->buf.p[o->seen] == '\n';
    if (o->lines < o->screen && !o->buf.over)
        return false;
    if (pager_start(o->pager, &o->pager_pid, &fd, &ignored) == 0) {
        o->fd = fd;
        o->terminal = false;
    } else {
        o->pager_pid = 0;
    }
    o->pager = NULL;
    return true;
}

static int flush_full(struct output *o, struct err *err)
{
    if (o->pager != NULL && !fill_screen(o))
        return 0;
    if (!o->terminal && o->buf.n < FLUSH_BYTES && !o->buf.over)
        return 0;
    return output_flush(o, err);
}

int output_entry(struct output *o, const struct query_entry *e, struct err *err)
{
    if (o->columns == NULL)
        format_entry(&o->buf, e, &o->form, o->entries == 0);
    else if (columns_add(o->columns, &o->buf, e, &o->form, o->entries == 0, err) < 0)
        return err->code;
    o->entries++;
    return flush_full(o, err);
}

int output_text(struct output *o, struct str text, struct err *err)
{
    buf_add_str(&o->buf, text);
    return flush_full(o, err);
}

int output_finish(struct output *o, struct err *err)
{
    format_finish(&o->buf, &o->form, o->entries > 0);
    return output_flush(o, err);
}

bool output_is_deserted(struct output *o)
{
    struct pollfd p = {.fd = o->fd};

    if (poll(&p, 1, 0) > 0 && (p.revents & (POLLERR | POLLNVAL)) != 0)
        o->deserted = true;
    return o->deserted;
}
