/* query/cli/cmd_patterns.c - `logq patterns SELECTOR`: what the lines look like. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { PARAMS_MAX = 1 << 20, STEPS = 2 };

int cmd_patterns(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"lines", ROWS_VALUE}, {"level", ROWS_TEXT}, {"pattern", ROWS_TEXT}};
    struct cmd_question q = {.path = "/loki/api/v1/patterns", .read = loki_patterns};
    dur_ns span = cmd_end(c->args) - c->args->from;
    char step[TIME_TEXT_MAX];
    struct rows *rows;
    struct buf params;
    int code;

    if (cmd_selector(c, &q.query) < 0)
        return CMD_USAGE;
    rows = rows_new(COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]));
    buf_init(&params, PARAMS_MAX);
    params_add(&params, "query", q.query);
    cmd_add_span(c, &params);
    /* Only sums are shown: few steps will do, of whole minutes, which blocks have counted. */
    span = (span / STEPS / NS_PER_MIN + 1) * NS_PER_MIN;
    params_add(&params, "step", dur_format(span, step));
    q.params = &params;
    rows_limit(rows, c->args->has_limit ? c->args->limit : 0);
    code = cmd_list(c, &q, rows);
    buf_fini(&params);
    rows_free(&rows);
    return code;
}
