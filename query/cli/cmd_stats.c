/* query/cli/cmd_stats.c - `logq stats [SELECTOR]`: streams, blocks, lines and bytes. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { PARAMS_MAX = 1 << 20 };

int cmd_stats(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {{"streams", ROWS_VALUE},
                                                 {"blocks", ROWS_VALUE},
                                                 {"lines", ROWS_VALUE},
                                                 {"bytes", ROWS_BYTES}};
    struct cmd_question q = {.path = "/loki/api/v1/index/stats", .read = loki_stats};
    struct rows *rows;
    struct buf params;
    int code;

    if (cmd_selector(c, &q.query) < 0)
        return CMD_USAGE;
    rows = rows_new(COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]));
    buf_init(&params, PARAMS_MAX);
    params_add(&params, "query", q.query);
    cmd_add_span(c, &params);
    q.params = &params;
    code = cmd_list(c, &q, rows);
    buf_fini(&params);
    rows_free(&rows);
    return code;
}
