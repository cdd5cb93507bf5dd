/* collector/journal_line.c - contract: journal_line.h. */
#include "collector/journal_line.h"

#include "base/json.h"
#include "base/record.h"

#include <string.h>

enum { ATTR_MAX = 256 };

bool journal_line_is_container(const struct journal_frame *f)
{
    return f->v[JOURNAL_ID].n > 0 || f->v[JOURNAL_NAME].n > 0;
}

struct str journal_line_runtime(const struct journal_frame *f)
{
    if (!journal_line_is_container(f))
        return STR_NULL;
    if (str_eq(f->v[JOURNAL_COMM], STR("dockerd")))
        return STR("docker");
    return str_eq(f->v[JOURNAL_COMM], STR("conmon")) ? STR("podman") : STR_NULL;
}

struct str journal_line_app(const struct journal_frame *f)
{
    if (journal_line_is_container(f))
        return f->v[JOURNAL_NAME];
    return f->v[JOURNAL_IDENTIFIER].n > 0 ? f->v[JOURNAL_IDENTIFIER] : f->v[JOURNAL_UNIT];
}

enum decode_stream journal_line_stream(const struct journal_frame *f)
{
    if (!journal_line_is_container(f))
        return DECODE_NONE;
    /* Both runtimes log stderr with 3, stdout with 6. */
    return str_eq(f->v[JOURNAL_PRIORITY], STR("3")) ? DECODE_STDERR : DECODE_STDOUT;
}

struct str journal_line_level(const struct journal_frame *f)
{
    static const char *const LEVELS[] = {"fatal", "fatal", "critical", "error",
                                         "warn",  "info",  "info",     "debug"};
    struct str priority = f->v[JOURNAL_PRIORITY];

    if (journal_line_is_container(f) || priority.n != 1 || priority.p[0] < '0' ||
        priority.p[0] > '7')
        return STR_NULL;
    return str_of(LEVELS[priority.p[0] - '0']);
}

struct str journal_line_key(const struct journal_frame *f, char key[JOURNAL_KEY_MAX])
{
    struct journal_frame whole = *f;

    whole.v[JOURNAL_PARTIAL_ID] = STR_NULL;
    if (!journal_line_is_container(f))
        whole.v[JOURNAL_NAME] = journal_line_app(f);
    return journal_joins_key(&whole, key);
}

static struct str or_else(const char *first, struct str second)
{
    return first != NULL ? str_of(first) : second;
}

static struct str app_of(const struct journal_frame *f, const struct journal_stream *s)
{
    return or_else(s->app, journal_line_app(f));
}

static struct str image_of(const struct journal_frame *f, const struct journal_stream *s)
{
    return f->v[JOURNAL_IMAGE].n > 0 ? f->v[JOURNAL_IMAGE] : or_else(s->image, STR_NULL);
}

static void add(struct label *v, size_t *n, const char *name, struct str value)
{
    if (value.n > 0)
        v[(*n)++] = (struct label){str_of(name), str_sub(value, 0, ATTR_MAX)};
}

size_t journal_line_labels(const struct journal_frame *f, const struct journal_stream *s,
                           struct label v[JOURNAL_LABELS_MAX])
{
    size_t n = 0;

    add(v, &n, "app", app_of(f, s));
    add(v, &n, "container", f->v[JOURNAL_NAME]);
    add(v, &n, "image", image_of(f, s));
    add(v, &n, "runtime", journal_line_runtime(f));
    add(v, &n, "source", journal_line_is_container(f) ? STR("container") : STR("journald"));
    return n;
}

static void put_text(struct json_writer *w, const char *key, struct str value)
{
    if (value.n > 0)
        json_put_kv_str(w, key, str_sub(value, 0, ATTR_MAX));
}

/* `text` as a JSON string in `quoted`, cut where that would be longer than a reader of lines takes.
 * Returns the bytes of it that are in there. */
static size_t quote(struct buf *quoted, struct str text, size_t limit)
{
    for (;;) {
        buf_clear(quoted);
        json_quote(quoted, text);
        if (!quoted->over && quoted->n <= limit)
            return text.n;
        if (quoted->over)
            text.n /= 2;
        else /* what it may be, if the rest grows like all of it */
            text.n = (size_t)((double)text.n * (double)limit / (double)quoted->n);
        text.n -= text.n / 64 + (text.n > 0);
    }
}

void journal_line_put(struct buf *out, const struct journal_line *line, size_t max_line,
                      struct buf *quoted)
{
    static const char *const STREAMS[] = {
        [DECODE_NONE] = "", [DECODE_STDOUT] = "stdout", [DECODE_STDERR] = "stderr"};
    const struct journal_frame *f = line->head;
    size_t kept = quote(quoted, line->text, max_line + JOURNAL_LINE_ROOM);
    uint64_t cut = line->cut + (line->text.n - kept);
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_key(&w, STR("time"));
    json_put_i64(&w, f->time);
    put_text(&w, "stream", str_of(STREAMS[journal_line_stream(f)]));
    put_text(&w, "level", journal_line_level(f));
    put_text(&w, "container", f->v[JOURNAL_NAME]);
    put_text(&w, "container_id", f->v[JOURNAL_ID]);
    put_text(&w, "image", image_of(f, line->stream));
    put_text(&w, "image_digest", or_else(line->stream->image_digest, STR_NULL));
    put_text(&w, "runtime", journal_line_runtime(f));
    put_text(&w, "app", app_of(f, line->stream));
    if (!journal_line_is_container(f))
        put_text(&w, "unit", f->v[JOURNAL_UNIT]);
    json_put_key(&w, STR("line"));
    json_put_raw(&w, buf_str(quoted));
    if (cut > 0)
        json_put_kv_u64(&w, "cut", cut);
    if (line->partial) {
        json_put_key(&w, STR("partial"));
        json_put_bool(&w, true);
    }
    json_put_object_end(&w);
    buf_add_char(out, '\n');
}
