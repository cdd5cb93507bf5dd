/* query/cli/cmd_fields.c - `logq fields QUERY [FIELD]`: fields in the lines, or one's values. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { PATH_BYTES = RECORD_LABEL_NAME_MAX + 64, SAMPLE_DEFAULT = 1000 };

static int check(struct cmd *c, struct str text)
{
    struct query *q = NULL;
    enum query_kind kind;

    if (cmd_parse(c, text, &q) < 0)
        return ERR_INVALID;
    kind = query_kind(q);
    query_unref(&q);
    if (kind == QUERY_LOG)
        return 0;
    cmd_say("fields are found in the lines of a log query, and this is a metric query");
    return ERR_INVALID;
}

int cmd_fields(struct cmd *c)
{
    static const struct rows_column FIELDS[] = {{"field", ROWS_TEXT},
                                                {"type", ROWS_TEXT},
                                                {"values", ROWS_VALUE},
                                                {"found", ROWS_TEXT}},
                                    VALUES[] = {{"value", ROWS_TEXT}};
    struct str name = c->args->n_words > 1 ? str_of(c->args->words[1]) : STR_NULL;
    struct cmd_question q = {.query = str_of(c->args->words[0]),
                             .read = name.p != NULL ? loki_field_values : loki_fields,
                             .columns = name.p != NULL ? VALUES : FIELDS,
                             .n_columns = name.p != NULL ? 1 : 4};
    struct buf params, path;
    int code;

    if (check(c, q.query) < 0)
        return CMD_USAGE;
    if (name.p != NULL && (!label_name_ok(name) || name.n > RECORD_LABEL_NAME_MAX)) {
        cmd_say("'%.*s' is no name of a field", (int)(name.n < 64 ? name.n : 64), name.p);
        return CMD_USAGE;
    }
    if (c->args->has_limit && c->args->limit == 0) {
        cmd_say("--limit of fields is at least 1");
        return CMD_USAGE;
    }
    buf_init(&path, PATH_BYTES);
    if (name.p != NULL)
        buf_addf(&path, "/loki/api/v1/detected_field/%.*s/values", STR_ARG(name));
    else
        buf_add_z(&path, "/loki/api/v1/detected_fields");
    buf_add_char(&path, '\0');
    q.path = path.p;
    buf_init(&params, CMD_PARAMS_MAX);
    params_add_u64(&params, "line_limit", c->args->sample > 0 ? c->args->sample : SAMPLE_DEFAULT);
    if (c->args->has_limit)
        params_add_u64(&params, "limit", c->args->limit);
    code = cmd_list(c, &q, &params);
    buf_fini(&path);
    return code;
}
