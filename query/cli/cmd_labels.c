/* query/cli/cmd_labels.c - `logq labels [NAME]`: label names, or the values of one. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { ANSWER_MAX = 512 << 20, PARAMS_MAX = 1 << 10, PATH_BYTES = RECORD_LABEL_NAME_MAX + 64 };

static int fetch(struct cmd *c, const char *path, struct rows *rows, struct remote_failure *fail,
                 struct err *err)
{
    struct remote_request req = {.path = path, .idle_ms = CMD_IDLE_MS};
    struct buf params, body;
    int r;

    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    params_add_ts(&params, "start", c->args->from);
    params_add_ts(&params, "end", cmd_end(c->args));
    req.params = buf_str(&params);
    r = remote_fetch(c->remote, &req, &body, fail, err);
    if (r == 0)
        r = loki_strings(buf_str(&body), rows, err);
    buf_fini(&params);
    buf_fini(&body);
    return r;
}

int cmd_labels(struct cmd *c)
{
    static const struct rows_column NAMES[] = {{"label", ROWS_TEXT}},
                                    VALUES[] = {{"value", ROWS_TEXT}};
    struct str name = c->args->n_words > 0 ? str_of(c->args->words[0]) : STR_NULL;
    struct remote_failure fail;
    struct rows *rows;
    struct buf path;
    struct err err;
    int r;

    if (name.p != NULL && (!label_name_ok(name) || name.n > RECORD_LABEL_NAME_MAX)) {
        cmd_say("'%.*s' is no label name", (int)(name.n < 64 ? name.n : 64), name.p);
        return CMD_USAGE;
    }
    buf_init(&path, PATH_BYTES);
    if (name.p != NULL)
        buf_addf(&path, "/loki/api/v1/label/%.*s/values", STR_ARG(name));
    else
        buf_add_z(&path, "/loki/api/v1/labels");
    buf_add_char(&path, '\0');
    rows = rows_new(name.p != NULL ? VALUES : NAMES, 1);
    r = fetch(c, path.p, rows, &fail, &err);
    if (r == 0)
        r = rows_print(rows, c->out, &err);
    if (r < 0)
        r = cmd_fail(c, STR_NULL, &fail, &err);
    else
        r = rows_count(rows) > 0 ? CMD_FOUND : CMD_NOTHING;
    rows_free(&rows);
    buf_fini(&path);
    return r;
}
