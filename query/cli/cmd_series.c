/* query/cli/cmd_series.c - `logq series SELECTOR...`: the streams that match any of them. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

int cmd_series(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {{"series", ROWS_LABELS}};
    const struct cmd_question q = {
        .path = "/loki/api/v1/series", .read = loki_series, .columns = COLUMNS, .n_columns = 1};
    struct buf params;

    buf_init(&params, CMD_PARAMS_MAX);
    for (size_t i = 0; i < c->args->n_words; i++) {
        struct str selector;
        if (cmd_selector(c, i, &selector) < 0) {
            buf_fini(&params);
            return CMD_USAGE;
        }
        params_add(&params, "match[]", selector);
    }
    return cmd_list(c, &q, &params);
}
