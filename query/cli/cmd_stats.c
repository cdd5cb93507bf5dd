/* query/cli/cmd_stats.c - `logq stats [SELECTOR]`: streams, blocks, lines and bytes. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"

int cmd_stats(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {{"streams", ROWS_VALUE},
                                                 {"blocks", ROWS_VALUE},
                                                 {"lines", ROWS_VALUE},
                                                 {"bytes", ROWS_BYTES}};
    struct cmd_question q = {.path = "/loki/api/v1/index/stats",
                             .read = loki_stats,
                             .columns = COLUMNS,
                             .n_columns = sizeof(COLUMNS) / sizeof(COLUMNS[0])};
    struct buf params;

    if (cmd_selector(c, 0, &q.query) < 0)
        return CMD_USAGE;
    buf_init(&params, CMD_PARAMS_MAX);
    return cmd_list(c, &q, &params);
}
