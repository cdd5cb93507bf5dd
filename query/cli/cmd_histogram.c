/*
 * query/cli/cmd_histogram.c - `logq query --histogram`: a log query's lines by time and level, as
 * bars.
 *
 * Asked as a metric query, sum by (detected_level) (count_over_time(QUERY [step])), so that no line
 * is carried; bars stand at the beginnings of steps.
 */
#include "query/cli/bars.h"
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { PARAMS_MAX = 1 << 20, ANSWER_MAX = 64 << 20 };

static int ask(struct cmd *c, struct str text, const struct bars *b, struct rows *rows,
               struct remote_failure *fail, struct err *err)
{
    struct remote_request req = {.path = "/loki/api/v1/query_range", .idle_ms = CMD_IDLE_MS};
    char step[TIME_TEXT_MAX];
    struct str step_text = dur_format(bars_step(b), step);
    struct buf params, body, query, warnings;
    int r;

    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    buf_init(&query, 2 * QUERY_TEXT_MAX);
    buf_init(&warnings, CMD_WARNINGS_MAX);
    buf_addf(&query, "sum by (detected_level) (count_over_time(%.*s [%.*s]))", STR_ARG(text),
             STR_ARG(step_text));
    params_add(&params, "query", buf_str(&query));
    params_add_ts(&params, "start", bars_from(b) + bars_step(b));
    params_add_ts(&params, "end", bars_to(b));
    params_add(&params, "step", step_text);
    req.params = buf_str(&params);
    r = remote_fetch(c->remote, &req, &body, fail, err);
    if (r == 0)
        r = loki_result(buf_str(&body), true, rows, &warnings, err);
    cmd_say_lines(buf_str(&warnings));
    buf_fini(&params);
    buf_fini(&body);
    buf_fini(&query);
    buf_fini(&warnings);
    return r;
}

/* A value stands at the end of its step. */
static void gather(struct bars *b, const struct rows *rows)
{
    for (size_t i = 0; i < rows_count(rows); i++) {
        const struct rows_cell *cell = rows_cells(rows, i);
        struct str level = labels_get(&cell[1].labels, STR("detected_level"));

        if (cell[2].value > 0 && cell[2].value < 1e18)
            bars_add(b, cell[0].ts - bars_step(b), level, (uint64_t)cell[2].value);
    }
}

int cmd_histogram(struct cmd *c, struct str text)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"value", ROWS_VALUE}};
    const struct args *a = c->args;
    struct remote_failure fail = {0};
    struct bars *b = NULL;
    struct rows *rows;
    dur_ns step = a->step > 0 ? a->step : bars_choose_step(a->from, a->to);
    struct err err;
    ts_ns end;
    int r, code;

    if (__builtin_add_overflow(a->to, step, &end)) {
        cmd_say("--to is too late: the last bar would end behind the end of time");
        return CMD_USAGE;
    }
    if (bars_new(a->from, a->to, step, &b, &err) < 0) {
        cmd_say("%s", err.text);
        return CMD_USAGE;
    }
    rows = rows_new(COLUMNS, 3);
    r = ask(c, text, b, rows, &fail, &err);
    gather(b, rows);
    if (r == 0)
        r = bars_print(b, c->out, &err);
    if (r < 0)
        code = cmd_fail(c, text, &fail, &err);
    else
        code = bars_have_any(b) ? CMD_FOUND : cmd_nothing(c);
    rows_free(&rows);
    bars_free(&b);
    return code;
}
