/*
 * query/cli/cmd_query.c - `logq query`: the lines of a log query, the values of a metric query.
 */
#include "query/cli/around.h"
#include "query/cli/cmd.h"
#include "query/cli/lines.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"
#include "query/cli/progress.h"

enum {
    LIMIT_DEFAULT = 1000,
    LIMIT_AROUND = 100, /* hits with lines of context */
    ANSWER_MAX = 512 << 20,
    PARAMS_MAX = 1 << 20,
};

static int run_log(struct cmd *c, struct str text, bool once)
{
    const struct args *a = c->args;
    struct lines_request q = {.export = {.query = text,
                                         .from = a->from,
                                         .to = cmd_end(a),
                                         .limit = a->has_limit ? a->limit : LIMIT_DEFAULT,
                                         .once = once,
                                         .idle_ms = CMD_IDLE_MS}};
    struct remote_failure fail;
    struct progress progress;
    struct err err, end;
    int r, r_end;

    q.newest_last = a->direction == ARGS_DIRECTION_AUTO && q.export.limit > 0;
    q.export.backward = q.newest_last || a->direction == ARGS_DIRECTION_BACKWARD;
    progress_begin(&progress, c, text, q.export.from, q.export.to);
    progress.backward = q.export.backward;
    q.progress = &progress;
    r = lines_show(c->remote, c->out, &q, &fail, &err);
    progress_end(&progress);
    r_end = c->out->deserted || c->out->broken ? 0 : output_finish(c->out, &end);
    if (r == 0 && r_end < 0) {
        r = r_end;
        err = end;
    }
    if (r < 0)
        return cmd_fail(c, text, &fail, &err);
    if (c->out->entries == 0)
        return cmd_nothing(c);
    if (!a->has_limit && c->out->entries == LIMIT_DEFAULT)
        cmd_note(c, q.export.backward ? "these are the newest 1000 lines: --limit 0 shows all"
                                      : "these are the oldest 1000 lines: --limit 0 shows all");
    return CMD_FOUND;
}

static int run_around(struct cmd *c, struct str text)
{
    const struct args *a = c->args;
    struct export_request q = {.query = text,
                               .from = a->from,
                               .to = cmd_end(a),
                               .limit = a->has_limit ? a->limit : LIMIT_AROUND,
                               .backward = a->direction != ARGS_DIRECTION_FORWARD,
                               .before = a->before,
                               .after = a->after,
                               .idle_ms = CMD_IDLE_MS};
    struct remote_failure fail = {0};
    uint64_t hits = 0;
    struct err err;
    int r = around_show(c, &q, &hits, &fail, &err);

    if (r == 0)
        r = output_finish(c->out, &err);
    if (r < 0)
        return cmd_fail(c, text, &fail, &err);
    return hits > 0 ? CMD_FOUND : cmd_nothing(c);
}

static int fetch_values(struct cmd *c, struct str text, struct buf *body,
                        struct remote_failure *fail, struct err *err)
{
    const struct args *a = c->args;
    struct remote_request req = {.path = "/loki/api/v1/query", .idle_ms = CMD_IDLE_MS};
    char step[TIME_TEXT_MAX];
    struct buf params;
    int r;

    buf_init(&params, PARAMS_MAX);
    params_add(&params, "query", text);
    if (a->step > 0) {
        req.path = "/loki/api/v1/query_range";
        params_add_ts(&params, "start", a->from);
        params_add_ts(&params, "end", a->to);
        params_add(&params, "step", dur_format(a->step, step));
    } else if (a->has_to) { /* else the server's own clock is the better one */
        params_add_ts(&params, "time", a->to);
    }
    if (a->lenient)
        params_add(&params, "lenient", STR("true"));
    if (a->top_series)
        params_add(&params, "top_series", STR("true"));
    req.params = buf_str(&params);
    r = remote_fetch(c->remote, &req, body, fail, err);
    buf_fini(&params);
    return r;
}

static int run_metric(struct cmd *c, struct str text)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"value", ROWS_VALUE}};
    bool timed = c->args->step > 0;
    struct rows *rows = timed ? rows_new(COLUMNS, 3) : rows_new(COLUMNS + 1, 2);
    struct remote_failure fail;
    struct buf body, warnings;
    struct err err;
    int r;

    buf_init(&body, ANSWER_MAX);
    buf_init(&warnings, CMD_WARNINGS_MAX);
    r = fetch_values(c, text, &body, &fail, &err);
    if (r == 0)
        r = loki_result(buf_str(&body), timed, rows, &warnings, &err);
    cmd_say_lines(buf_str(&warnings));
    r = cmd_print_rows(c, &rows, r, text, &fail, &err);
    buf_fini(&body);
    buf_fini(&warnings);
    return r;
}

/* Flags that say something about the other kind of query. */
static const char *misplaced(const struct args *a, enum query_kind kind)
{
    if (a->histogram && kind != QUERY_LOG)
        return "--histogram is for log queries, and this is a metric query";
    if (a->histogram && (a->has_limit || a->before + a->after > 0 ||
                         a->direction != ARGS_DIRECTION_AUTO || a->columns != NULL))
        return "--limit, --direction, --columns and lines of context do not go with --histogram";
    if (kind == QUERY_LOG && (a->lenient || a->top_series))
        return "--lenient and --top-series are for metric queries, and this is a log query";
    if (kind == QUERY_LOG)
        return a->step > 0 && !a->histogram
                   ? "--step is for metric queries, and this is a log query"
                   : NULL;
    if (a->columns != NULL || a->before + a->after > 0)
        return "--columns and lines of context are for log queries, and this is a metric query";
    if (a->has_limit || a->direction != ARGS_DIRECTION_AUTO)
        return "--limit and --direction are for log queries, and this is a metric query";
    if (a->has_span && a->step == 0)
        return "--since and --from need --step: a metric query without it is evaluated once, at "
               "--to or now";
    return NULL;
}

/* What the query itself does not go with; NULL: nothing. */
static const char *refuse(const struct args *a, const struct query *q)
{
    const char *problem = misplaced(a, query_kind(q)), *change;

    if (problem != NULL || a->before + a->after == 0)
        return problem;
    if (a->direction == ARGS_DIRECTION_BACKWARD || (a->has_limit && a->limit == 0))
        return "lines of context come oldest first, and with a --limit";
    if (!around_is_possible(q, &change)) {
        cmd_say("%s changes labels of the stream, by which its other lines would be found", change);
        return "lines of context do not go with this query";
    }
    return NULL;
}

int cmd_query(struct cmd *c)
{
    struct str text = str_of(c->args->words[0]);
    enum query_kind kind;
    struct query *q = NULL;
    const char *problem;
    bool once;

    if (c->args->from_stdin)
        return cmd_stdin(c, text);
    if (c->args->follow)
        return cmd_tail(c);
    if (cmd_parse(c, text, &q) < 0)
        return CMD_USAGE;
    kind = query_kind(q);
    once = !query_may_follow(q); /* dedup knows only what came in one answer */
    problem = refuse(c->args, q);
    query_unref(&q);
    if (problem != NULL) {
        cmd_say("%s", problem);
        return CMD_USAGE;
    }
    if (c->args->histogram)
        return cmd_histogram(c, text);
    if (c->args->before + c->args->after > 0)
        return run_around(c, text);
    return kind == QUERY_LOG ? run_log(c, text, once) : run_metric(c, text);
}
