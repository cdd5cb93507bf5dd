/*
 * query/cli/export.c - see export.h.
 *
 * The answer is a line per entry; it is whole only if no line says {"error": ...} and the transport
 * saw its end.
 */
#include "query/cli/export.h"

#include "base/json.h"
#include "query/cli/cmd.h"
#include "query/cli/params.h"

#include <string.h>

enum {
    LINE_MAX_BYTES = 64 << 20,
    PARAMS_MAX = 1 << 20,
    ENTRY_MAX = 64 << 20,
    TRIES = 6, /* without an entry in between */
    FIRST_WAIT_MS = 100,
};

struct reading {
    export_entry_fn *fn;
    void *arg;
    struct buf part; /* of a line whose end has not come yet */
    struct arena *arena;
    bool gave_up; /* the server did */
};

/* {"error":"..."}, the server's last words? */
static bool read_error(struct str line, struct arena *a, struct str *ret)
{
    struct json_reader r;
    struct json_token t;
    struct err err;

    json_reader_init(&r, line);
    if (json_next(&r, &t, &err) < 0 || t.type != JSON_OBJECT || json_next(&r, &t, &err) < 0 ||
        t.type != JSON_KEY || !str_eq(t.raw, STR("error")) || json_next(&r, &t, &err) < 0 ||
        t.type != JSON_STRING)
        return false;
    *ret = json_text(&t, a);
    return ret->p != NULL;
}

static int take_line(struct reading *in, struct str line, struct err *err)
{
    struct query_entry e = {0};
    struct str error;
    int r;

    if (line.n == 0)
        return 0;
    arena_reset(in->arena);
    if (read_error(line, in->arena, &error)) {
        in->gave_up = true;
        return err_set(err, ERR_IO, "the answer is incomplete: %.*s",
                       (int)(error.n < 200 ? error.n : 200), error.p);
    }
    r = format_entry_parse(line, in->arena, &e, err);
    if (r < 0)
        return err_wrap(err, "the server's answer is not understood");
    return in->fn(in->arg, &e, line, err);
}

static int take_bytes(void *arg, struct str bytes, struct err *err)
{
    struct reading *in = arg;
    int r = 0;

    while (r == 0 && bytes.n > 0) {
        size_t end = str_find_char(bytes, '\n');

        if (end == SIZE_MAX) {
            buf_add_str(&in->part, bytes);
            return buf_err(&in->part, "line of the server's answer", err);
        }
        if (in->part.n == 0) {
            r = take_line(in, str_sub(bytes, 0, end), err);
        } else {
            buf_add_str(&in->part, str_sub(bytes, 0, end));
            r = buf_err(&in->part, "line of the server's answer", err);
            if (r == 0)
                r = take_line(in, buf_str(&in->part), err);
            buf_clear(&in->part);
        }
        bytes = str_from(bytes, end + 1);
    }
    return r;
}

static void add_params(struct buf *out, const struct export_request *q)
{
    params_add(out, "query", q->query);
    params_add_ts(out, "start", q->from);
    params_add_ts(out, "end", q->to);
    params_add(out, "direction", q->backward ? STR("backward") : STR("forward"));
    params_add_u64(out, "limit", q->limit);
    if (q->after_seq > 0)
        params_add_u64(out, "after_seq", q->after_seq);
    if (q->before > 0)
        params_add_u64(out, "before", q->before);
    if (q->after > 0)
        params_add_u64(out, "after", q->after);
}

int export_run(struct remote *r, const struct export_request *q, export_entry_fn *fn, void *arg,
               struct remote_failure *fail, struct err *err)
{
    struct reading in = {.fn = fn, .arg = arg, .arena = arena_new(NULL, ENTRY_MAX)};
    struct remote_request req = {.path = "/api/v1/export",
                                 .idle_ms = q->idle_ms,
                                 .asks_again = q->asks_again,
                                 .body = take_bytes,
                                 .arg = &in};
    struct buf params;
    int e;

    *fail = (struct remote_failure){0};
    buf_init(&params, PARAMS_MAX);
    buf_init(&in.part, LINE_MAX_BYTES);
    add_params(&params, q);
    e = buf_err(&params, "query", err);
    req.params = buf_str(&params);
    if (e == 0)
        e = remote_call(r, &req, fail, err);
    if (e == 0 && in.part.n > 0)
        e = err_set(err, ERR_CORRUPT, "the server's answer ends within a line");
    fail->is_cut |= in.gave_up;
    buf_fini(&params);
    buf_fini(&in.part);
    arena_free(&in.arena);
    return e;
}

/* ---- taking it up again ---- */

struct resuming {
    export_entry_fn *fn;
    void *arg;
    bool backward;
    ts_ns ts; /* of the last entry */
    uint64_t seq;
    uint64_t count;
    uint64_t same; /* entries of that time, at the end */
};

/* Backwards there is no cursor: what comes again at the last entry's time is passed over. */
static int pass_on(void *arg, const struct query_entry *e, struct str json, struct err *err)
{
    struct resuming *s = arg;
    int r;

    if (s->backward && s->count > 0 && e->ts == s->ts && e->seq >= s->seq)
        return 0;
    r = s->fn(s->arg, e, json, err);
    if (r == 0) {
        s->same = s->count > 0 && e->ts == s->ts ? s->same + 1 : 1;
        s->ts = e->ts;
        s->seq = e->seq;
        s->count++;
    }
    return r;
}

/* The rest of `q`. */
static struct export_request rest_of(const struct export_request *q, const struct resuming *s)
{
    struct export_request rest = *q;

    if (s->count == 0)
        return rest;
    if (q->limit > 0)
        rest.limit = q->limit - s->count;
    if (q->backward) {
        rest.to = s->ts + 1;
        rest.limit += q->limit > 0 ? s->same : 0; /* they will be passed over */
    } else {
        rest.from = s->ts;
        rest.after_seq = s->seq;
    }
    return rest;
}

int export_resume(struct remote *r, const struct export_request *q, export_entry_fn *fn, void *arg,
                  struct remote_failure *fail, struct err *err)
{
    struct resuming s = {.fn = fn, .arg = arg, .backward = q->backward};
    uint64_t wait = FIRST_WAIT_MS;
    int tries = 0;

    for (;;) {
        struct export_request rest = rest_of(q, &s);
        uint64_t before = s.count;
        struct err ignored;
        int e;

        if (q->limit > 0 && s.count >= q->limit)
            return 0; /* it broke behind the last one */
        e = export_run(r, &rest, pass_on, &s, fail, err);
        if (e == 0 || !fail->is_cut || s.count == 0 || q->once || remote_is_interrupted(r))
            return e;
        if (s.count > before) {
            tries = 0;
            wait = FIRST_WAIT_MS;
        }
        if (++tries > TRIES)
            return e;
        cmd_say("%s; going on behind the last line", err->text);
        if (remote_wait(r, wait, &ignored) < 0)
            return e;
        wait *= 2;
    }
}
