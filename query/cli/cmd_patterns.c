/* query/cli/cmd_patterns.c - `logq patterns SELECTOR`: what the lines look like. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { STEPS = 2 };

int cmd_patterns(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"lines", ROWS_VALUE}, {"level", ROWS_TEXT}, {"pattern", ROWS_TEXT}};
    struct cmd_question q = {.path = "/loki/api/v1/patterns",
                             .read = loki_patterns,
                             .columns = COLUMNS,
                             .n_columns = sizeof(COLUMNS) / sizeof(COLUMNS[0]),
                             .limit = c->args->has_limit ? c->args->limit : 0};
    dur_ns span = cmd_end(c->args) - c->args->from;
    char step[TIME_TEXT_MAX];
    struct buf params;

    if (cmd_selector(c, 0, &q.query) < 0)
        return CMD_USAGE;
    buf_init(&params, CMD_PARAMS_MAX);
    /* Only sums are shown: few steps will do, of whole minutes, which blocks have counted. */
    span = (span / STEPS / NS_PER_MIN + 1) * NS_PER_MIN;
    params_add(&params, "step", dur_format(span, step));
    return cmd_list(c, &q, &params);
}
