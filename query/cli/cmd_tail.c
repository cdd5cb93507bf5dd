/*
 * query/cli/cmd_tail.c - `logq tail`: the newest lines, then those that arrive.
 *
 * Asks every POLL_MS.  A server that goes away is asked again with growing pauses, and that is said
 * once; one that was never there, refuses us, or shows a wrong certificate ends the command.
 */
#include "query/cli/cmd.h"
#include "query/cli/lines.h"
#include "query/query.h"

enum { LIMIT_DEFAULT = 10, POLL_MS = 500, PAUSE_MAX_MS = 10000, POLL_IDLE_MS = 60000 };

struct tail {
    struct cmd *c;
    struct str text;
    struct follow follow;
    uint64_t pause_ms;
    bool away; /* the server, as of the last question */
};

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

/* What is there already; sets where to go on. */
static int show_first(struct tail *t, struct remote_failure *fail, struct err *err)
{
    const struct args *a = t->c->args;
    struct lines_request q = {.export = {.query = t->text,
                                         .from = a->from,
                                         .to = a->to + QUERY_AHEAD,
                                         .limit = a->has_limit ? a->limit : LIMIT_DEFAULT,
                                         .idle_ms = CMD_IDLE_MS},
                              .follow = &t->follow};
    int r;

    q.newest_last = q.export.backward = q.export.limit > 0;
    r = show(t, &q, fail, err);
    if (r == 0 && q.export.limit > 0 && t->c->out->entries == q.export.limit)
        follow_start_at(&t->follow, t->follow.oldest); /* older ones were not asked for */
    return r;
}

static int show_new(struct tail *t, struct remote_failure *fail, struct err *err)
{
    struct lines_request q = {.export = {.query = t->text,
                                         .from = t->follow.bound.ts,
                                         .to = time_now() + QUERY_AHEAD,
                                         .after_seq = t->follow.bound.seq,
                                         .idle_ms = POLL_IDLE_MS},
                              .follow = &t->follow};

    if (q.export.to < q.export.from)
        q.export.to = q.export.from; /* our clock was set back */
    return show(t, &q, fail, err);
}

/* Does it make sense to ask again? */
static bool may_pass(const struct remote_failure *fail, const struct err *err)
{
    if (fail->status == 0 || fail->status == 200)
        return err->code != ERR_DENIED && err->code != ERR_INVALID && err->code != ERR_LIMIT;
    return fail->status == 429 || fail->status >= 500;
}

static int go_on(struct tail *t, struct remote_failure *fail, struct err *err)
{
    const struct output *out = t->c->out;
    int r = remote_wait(t->c->remote, t->pause_ms, err);

    if (r == 0 && output_is_deserted(t->c->out))
        r = err_set(err, ERR_IO, "nobody reads standard output");
    if (r == 0)
        r = show_new(t, fail, err);
    if (r == 0) {
        if (t->away)
            cmd_say("the server answers again");
        t->away = false;
        t->pause_ms = POLL_MS;
        return 0;
    }
    if (out->deserted || out->broken || remote_is_interrupted(t->c->remote) || !may_pass(fail, err))
        return r;
    if (!t->away)
        cmd_say("%s; trying again", err->text);
    t->away = true;
    t->pause_ms = 2 * t->pause_ms < PAUSE_MAX_MS ? 2 * t->pause_ms : PAUSE_MAX_MS;
    return 0;
}

static int run(struct tail *t)
{
    struct remote_failure fail = {0};
    struct err err;
    int r = remote_catch_signals(t->c->remote, &err);

    if (r == 0)
        r = show_first(t, &fail, &err);
    while (r == 0)
        r = go_on(t, &fail, &err);
    if (remote_is_interrupted(t->c->remote)) {
        (void)output_finish(t->c->out, &err); /* on the way out: it worked as long as it mattered */
        return CMD_FOUND;
    }
    return cmd_fail(t->c, t->text, &fail, &err);
}

int cmd_tail(struct cmd *c)
{
    struct tail t = {.c = c, .text = str_of(c->args->words[0]), .pause_ms = POLL_MS};
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
    code = run(&t);
    follow_fini(&t.follow);
    return code;
}
