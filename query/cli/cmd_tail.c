/*
 * query/cli/cmd_tail.c - `logq tail`: the newest lines, then those that arrive, as the server tells
 * them.
 *
 * The server's stream is opened first, then what is there already is asked for: what comes
 * meanwhile waits in the connection.  The same way a gap is filled (follow.h), be it that the
 * connection broke, or that the server dropped lines since nobody read them.  A server that goes
 * away is asked again with growing pauses, and that is said once; one that was never there, refuses
 * us, or shows a wrong certificate ends the command.
 */
#include "query/cli/cmd.h"
#include "query/cli/events.h"
#include "query/cli/lines.h"
#include "query/cli/params.h"
#include "query/query.h"

#include "base/fault.h"
#include "base/hash.h"
#include "base/json.h"

enum {
    LIMIT_DEFAULT = 10,
    LOOK_MS = 200, /* has our reader gone? */
    PAUSE_MIN_MS = 250,
    PAUSE_MAX_MS = 10000,
    IDLE_MS = 60000, /* of being read: the server says something every 15 s */
    LIVES_MS = 10000,
    ENTRY_MAX = 64 << 20,
};

struct tail {
    struct cmd *c;
    struct str text;
    struct follow follow;
    struct remote_stream *stream; /* NULL: there is none */
    struct events events;         /* of it */
    struct arena *arena;
    uint64_t pause_ms;  /* before the next try; it grows from one to the next */
    bool waits;         /* that pause is still to be made */
    dur_ns opened;      /* when the stream was */
    uint64_t silent_ms; /* nothing came of it while it was read */
    ts_ns drained;      /* all it held had been read then; 0: not known */
    bool away;          /* the server, as of the last try */
    bool told_slow;
};

/* Does it make sense to ask again? */
static bool may_pass(const struct tail *t, const struct remote_failure *fail, const struct err *err)
{
    const struct output *out = t->c->out;

    if (out->deserted || out->broken || remote_is_interrupted(t->c->remote))
        return false;
    if (fail->status == 0 || fail->status == 200)
        return err->code != ERR_DENIED && err->code != ERR_INVALID && err->code != ERR_LIMIT;
    return fail->status == 429 || fail->status >= 500;
}

/* With some chance in it: many may wait for the same server. */
static void set_pause(struct tail *t)
{
    dur_ns now = time_mono();

    t->pause_ms = 2 * t->pause_ms < PAUSE_MIN_MS ? PAUSE_MIN_MS : 2 * t->pause_ms;
    if (t->pause_ms > PAUSE_MAX_MS)
        t->pause_ms = PAUSE_MAX_MS;
    t->pause_ms -= hash_bytes(&now, sizeof(now), (uint64_t)time_now()) % (t->pause_ms / 2);
    t->waits = true;
}

/* It failed: < 0 if for good. */
static int fail_once(struct tail *t, const struct remote_failure *fail, const struct err *err)
{
    if (!may_pass(t, fail, err))
        return err->code;
    if (!t->away)
        cmd_say("%s; trying again", err->text);
    t->away = true;
    set_pause(t);
    return 0;
}

static void close_stream(struct tail *t)
{
    remote_stream_close(&t->stream);
    events_fini(&t->events);
    events_init(&t->events);
    t->silent_ms = 0;
    t->drained = 0;
}

/* The same, of a stream that was there: lines are missing from now on. */
static int lose_stream(struct tail *t, const struct remote_failure *fail, const struct err *err)
{
    close_stream(t);
    follow_miss(&t->follow, time_now(), FOLLOW_BACK_AWAY);
    return fail_once(t, fail, err);
}

/* ---- what is asked for ---- */

/* Show what an answer says, even if it breaks off. */
static int show(struct tail *t, const struct lines_request *q, struct remote_failure *fail,
                struct err *err)
{
    int r = lines_show(t->c->remote, t->c->out, q, fail, err);
    struct err later;
    int flushed = t->c->out->deserted || t->c->out->broken ? 0 : output_flush(t->c->out, &later);

    if (r == 0 && flushed < 0) {
        *err = later;
        r = flushed;
    }
    return r;
}

/* What is there already; sets where to go on.  Where the server lacked lines and there were fewer
 * than the limit, all of the span is asked for then: more rather than less. */
static int show_first(struct tail *t, struct remote_failure *fail, struct err *err)
{
    const struct args *a = t->c->args;
    struct lines_request q = {.export = {.query = t->text,
                                         .from = a->from,
                                         .to = a->to + QUERY_AHEAD,
                                         .limit = a->has_limit ? a->limit : LIMIT_DEFAULT,
                                         .idle_ms = CMD_IDLE_MS,
                                         .asks_again = true},
                              .follow = &t->follow};
    int r;

    q.newest_last = q.export.backward = q.export.limit > 0;
    (void)follow_ask(&t->follow);
    r = show(t, &q, fail, err);
    if (r < 0)
        return r;
    if (q.export.limit > 0 && t->follow.offered.n == q.export.limit)
        follow_start_at(&t->follow, t->follow.offered.first); /* older ones were not asked for */
    if (t->follow.gap.is_open)
        set_pause(t); /* the server still reads what it has */
    return 0;
}

static int show_missing(struct tail *t, struct remote_failure *fail, struct err *err)
{
    struct follow_mark behind = follow_ask(&t->follow);
    struct lines_request q = {.export = {.query = t->text,
                                         .from = behind.ts,
                                         .to = time_now() + QUERY_AHEAD,
                                         .after_seq = behind.seq,
                                         .idle_ms = CMD_IDLE_MS,
                                         .asks_again = true},
                              .follow = &t->follow};
    int r;

    if (q.export.to < q.export.from)
        q.export.to = q.export.from; /* our clock was set back */
    r = show(t, &q, fail, err);
    if (r < 0)
        return lose_stream(t, fail, err);
    if (t->follow.gap.is_open) { /* the server still reads what it has */
        set_pause(t);
        return 0;
    }
    if (t->away)
        cmd_say("the server answers again");
    t->away = false;
    return 0;
}

/* ---- what is told ---- */

/* {"entries":N} */
static void say_slow(struct tail *t, struct str data)
{
    (void)str_cut(&data, ':');
    if (!t->told_slow)
        cmd_say("the lines come faster than they are read here: %.*s were left out by the server, "
                "and are asked for",
                STR_ARG(str_cut(&data, '}')));
    t->told_slow = true;
}

/* {"message":"..."} */
static int give_up(struct tail *t, struct str data, struct err *err)
{
    struct json_reader r;
    struct json_token k, v = {0};
    struct str text = data;

    arena_reset(t->arena);
    json_reader_init(&r, data);
    if (json_next(&r, &k, err) == 0 && k.type == JSON_OBJECT && json_next(&r, &k, err) == 0 &&
        k.type == JSON_KEY && json_next(&r, &v, err) == 0 && v.type == JSON_STRING)
        text = json_text(&v, t->arena);
    return err_set(err, ERR_IO, "the server ended it: %.*s", (int)(text.n < 400 ? text.n : 400),
                   text.p == NULL ? "" : text.p);
}

static int take_event(void *arg, struct str name, struct str data, struct err *err)
{
    struct tail *t = arg;
    struct query_entry e = {0};
    int r;

    if (str_eq(name, STR("dropped"))) {
        say_slow(t, data);
        follow_miss(&t->follow, time_now(), FOLLOW_BACK);
        return 1;
    }
    if (str_eq(name, STR("error")))
        return give_up(t, data, err);
    if (name.n > 0)
        return 0; /* of a later version */
    arena_reset(t->arena);
    r = format_entry_parse(data, t->arena, &e, err);
    if (r < 0)
        return err_wrap(err, "the server's answer is not understood");
    if (!follow_tell(&t->follow, (struct follow_mark){e.ts, e.seq}))
        return 0;
    return output_entry(t->c->out, &e, err);
}

static int take_bytes(void *arg, struct str bytes, struct err *err)
{
    struct tail *t = arg;
    int r;

    if (bytes.n > 0) {
        t->silent_ms = 0;
        follow_hear(&t->follow, t->drained); /* the server lived then: this was said later */
    }
    r = events_take(&t->events, bytes, take_event, t, err);

    if (r >= 0 && output_flush(t->c->out, err) < 0)
        r = err->code;
    return r;
}

static int open_stream(struct tail *t, struct remote_failure *fail, struct err *err)
{
    struct remote_request req = {
        .path = "/api/v1/tail", .idle_ms = IDLE_MS, .body = take_bytes, .arg = t};
    struct buf params;
    int r;

    *fail = (struct remote_failure){0};
    buf_init(&params, CMD_PARAMS_MAX);
    params_add(&params, "query", t->text);
    params_add_u64(&params, "limit", 0);
    r = buf_err(&params, "query", err);
    req.params = buf_str(&params);
    if (r == 0)
        r = remote_stream_open(t->c->remote, &req, &t->stream, fail, err);
    buf_fini(&params);
    t->opened = time_mono();
    return r;
}

static int listen(struct tail *t, struct remote_failure *fail, struct err *err)
{
    int r = take_bytes(t, STR(""), err); /* what was kept back when lines were missing */
    ts_ns began = time_now();

    if (r == 1)
        return 0;
    t->silent_ms += LOOK_MS;
    if (r == 0)
        r = remote_stream_read(t->stream, LOOK_MS, fail, err);
    if (r == 0 && t->silent_ms > 0) {
        t->drained = began;
        if (t->silent_ms > IDLE_MS || fault_hit("tail.silent"))
            r = err_set(err, ERR_TIMEOUT, "%s: the server fell silent", t->c->context->url);
    }
    if (time_mono() - t->opened > LIVES_MS * NS_PER_MS)
        t->pause_ms = 0;
    if (r == 0)
        return 0;
    return lose_stream(t, fail, err);
}

/* ---- all of it ---- */

static int go_on(struct tail *t, struct remote_failure *fail, struct err *err)
{
    int r = 0;

    if (output_is_deserted(t->c->out))
        return err_set(err, ERR_IO, "nobody reads standard output");
    if (t->waits)
        r = remote_wait(t->c->remote, t->pause_ms, err);
    t->waits = false;
    if (r < 0)
        return r;
    if (t->stream == NULL) {
        r = open_stream(t, fail, err);
        return r < 0 ? fail_once(t, fail, err) : 0;
    }
    return t->follow.gap.is_open ? show_missing(t, fail, err) : listen(t, fail, err);
}

static int run(struct tail *t)
{
    struct remote_failure fail = {0};
    struct err err;
    int r = remote_catch_signals(t->c->remote, &err);

    if (r == 0)
        r = open_stream(t, &fail, &err);
    if (r == 0)
        r = show_first(t, &fail, &err);
    while (r == 0)
        r = go_on(t, &fail, &err);
    close_stream(t);
    if (remote_is_interrupted(t->c->remote)) {
        (void)output_finish(t->c->out, &err); /* on the way out: it worked as long as it mattered */
        return CMD_FOUND;
    }
    return cmd_fail(t->c, t->text, &fail, &err);
}

int cmd_tail(struct cmd *c)
{
    struct tail t = {.c = c, .text = str_of(c->args->words[0])};
    struct query *q = NULL;
    bool is_log, may_follow;
    int code;

    if (cmd_parse(c, t.text, &q) < 0)
        return CMD_USAGE;
    is_log = query_kind(q) == QUERY_LOG;
    may_follow = query_may_follow(q);
    query_unref(&q);
    if (is_log && !may_follow) {
        cmd_say("a query with dedup cannot be followed: it has an end");
        return CMD_USAGE;
    }
    if (!is_log || c->args->step > 0 || c->args->direction != ARGS_DIRECTION_AUTO ||
        c->args->has_to || c->args->histogram || c->args->before + c->args->after > 0 ||
        c->args->lenient || c->args->top_series) {
        cmd_say(is_log ? "--step, --direction, --to, --histogram, --lenient, --top-series and "
                         "lines of context do not go with following"
                       : "only log queries can be followed");
        return CMD_USAGE;
    }
    follow_init(&t.follow, c->args->from);
    events_init(&t.events);
    t.arena = arena_new(NULL, ENTRY_MAX);
    code = run(&t);
    arena_free(&t.arena);
    events_fini(&t.events);
    follow_fini(&t.follow);
    return code;
}
