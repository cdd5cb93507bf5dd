/* query/cli/cmd_labels.c - `logq labels [NAME]`: label names, or the values of one. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"

enum { PATH_BYTES = RECORD_LABEL_NAME_MAX + 64 };

int cmd_labels(struct cmd *c)
{
    static const struct rows_column NAMES[] = {{"label", ROWS_TEXT}},
                                    VALUES[] = {{"value", ROWS_TEXT}};
    struct str name = c->args->n_words > 0 ? str_of(c->args->words[0]) : STR_NULL;
    struct cmd_question q = {
        .read = loki_strings, .columns = name.p != NULL ? VALUES : NAMES, .n_columns = 1};
    struct buf path, params;
    int code;

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
    q.path = path.p;
    buf_init(&params, CMD_PARAMS_MAX);
    code = cmd_list(c, &q, &params);
    buf_fini(&path);
    return code;
}
