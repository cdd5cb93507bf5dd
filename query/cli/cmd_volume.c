/* query/cli/cmd_volume.c - `logq volume [SELECTOR]`: bytes by stream or label, largest first. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { PARAMS_MAX = 1 << 20 };

static int read_total(struct str json, struct rows *rows, struct err *err)
{
    return loki_result(json, false, rows, NULL, err);
}

static int read_timed(struct str json, struct rows *rows, struct err *err)
{
    return loki_result(json, true, rows, NULL, err);
}

int cmd_volume(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"bytes", ROWS_BYTES}};
    bool timed = c->args->step > 0;
    struct cmd_question q = {.path = timed ? "/loki/api/v1/index/volume_range"
                                           : "/loki/api/v1/index/volume",
                             .read = timed ? read_timed : read_total};
    char step[TIME_TEXT_MAX];
    struct rows *rows;
    struct buf params;
    int code;

    if (cmd_selector(c, &q.query) < 0)
        return CMD_USAGE;
    if (c->args->has_limit && c->args->limit == 0) {
        cmd_say("--limit of volume is at least 1");
        return CMD_USAGE;
    }
    rows = timed ? rows_new(COLUMNS, 3) : rows_new(COLUMNS + 1, 2);
    buf_init(&params, PARAMS_MAX);
    params_add(&params, "query", q.query);
    cmd_add_span(c, &params);
    if (timed)
        params_add(&params, "step", dur_format(c->args->step, step));
    if (c->args->has_limit)
        params_add_u64(&params, "limit", c->args->limit);
    if (c->args->by != NULL)
        params_add(&params, "targetLabels", str_of(c->args->by));
    q.params = &params;
    code = cmd_list(c, &q, rows);
    buf_fini(&params);
    rows_free(&rows);
    return code;
}
