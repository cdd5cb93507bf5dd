/* query/cli/cmd_volume.c - `logq volume [SELECTOR]`: bytes by stream or label, largest first. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

static int read_total(struct str json, struct rows *rows, struct err *err)
{
    return loki_result(json, false, rows, NULL, err);
}

static int read_timed(struct str json, struct rows *rows, struct err *err)
{
    return loki_result(json, true, rows, NULL, err);
}

/* A list of labels; empty: none. */
static int check_labels(const char *list)
{
    struct str rest = str_of(list);

    while (rest.n > 0) {
        struct str name = str_trim(str_cut(&rest, ','));

        if (!label_name_ok(name)) {
            cmd_say("--by: '%.*s' is no name of a label", (int)(name.n < 60 ? name.n : 60),
                    name.p == NULL ? "" : name.p);
            return ERR_INVALID;
        }
    }
    return 0;
}

int cmd_volume(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"bytes", ROWS_BYTES}};
    bool timed = c->args->step > 0;
    struct cmd_question q = {.path = timed ? "/loki/api/v1/index/volume_range"
                                           : "/loki/api/v1/index/volume",
                             .read = timed ? read_timed : read_total,
                             .columns = timed ? COLUMNS : COLUMNS + 1,
                             .n_columns = timed ? 3 : 2};
    char step[TIME_TEXT_MAX];
    struct buf params;

    if (cmd_selector(c, 0, &q.query) < 0 || (c->args->by != NULL && check_labels(c->args->by) < 0))
        return CMD_USAGE;
    if (c->args->has_limit && c->args->limit == 0) {
        cmd_say("--limit of volume is at least 1");
        return CMD_USAGE;
    }
    buf_init(&params, CMD_PARAMS_MAX);
    if (timed)
        params_add(&params, "step", dur_format(c->args->step, step));
    if (c->args->has_limit)
        params_add_u64(&params, "limit", c->args->limit);
    if (c->args->by != NULL)
        params_add(&params, "targetLabels", str_of(c->args->by));
    return cmd_list(c, &q, &params);
}
