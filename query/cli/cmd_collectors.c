/* query/cli/cmd_collectors.c - `logq collectors`: who sends here, and how far behind. */
#include "query/cli/cmd.h"

#include <jansson.h>

enum { ANSWER_MAX = 64 << 20 };

static int not_understood(struct err *err)
{
    return err_set(err, ERR_CORRUPT, "the server's answer is not understood");
}

/* A member that may be missing. */
static int take_text(json_t *item, const char *name, struct arena *a, struct str *ret,
                     struct err *err)
{
    json_t *v = json_object_get(item, name);

    *ret = STR("");
    if (!json_is_string(v))
        return 0;
    *ret = arena_str(a, (struct str){json_string_value(v), json_string_length(v)});
    return ret->p == NULL ? arena_err(a, err) : 0;
}

static double take_number(json_t *item, const char *name)
{
    return json_number_value(json_object_get(item, name)); /* 0 for what is none */
}

static int add_collector(json_t *item, struct rows *rows, struct err *err)
{
    struct rows_cell cells[7] = {{.ts = 0}};
    struct arena *a = rows_arena(rows);
    int r = take_text(item, "host", a, &cells[0].text, err);

    if (r == 0)
        r = take_text(item, "version", a, &cells[1].text, err);
    if (r == 0 &&
        !time_parse_rfc3339(str_of(json_string_value(json_object_get(item, "seen"))), &cells[2].ts))
        r = not_understood(err);
    cells[3].value = take_number(item, "lag_bytes");
    cells[4].value = take_number(item, "lag_s");
    cells[5].value = take_number(item, "gaps");
    if (r == 0)
        r = take_text(item, "expires", a, &cells[6].text, err);
    return r < 0 ? r : rows_add(rows, cells, err);
}

static int read_collectors(struct str body, struct rows *rows, struct err *err)
{
    json_t *root = json_loadb(body.p, body.n, 0, NULL), *item;
    int r = json_is_array(root) ? 0 : not_understood(err);
    size_t i;

    json_array_foreach(root, i, item)
    {
        if (r == 0)
            r = add_collector(item, rows, err);
    }
    json_decref(root);
    return r;
}

int cmd_collectors(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"host", ROWS_TEXT},       {"version", ROWS_TEXT}, {"seen", ROWS_TIME},
        {"lag_bytes", ROWS_BYTES}, {"lag_s", ROWS_VALUE},  {"gaps", ROWS_VALUE},
        {"expires", ROWS_TEXT},
    };
    const struct remote_request req = {.path = "/api/v1/collectors", .idle_ms = CMD_IDLE_MS};
    struct rows *rows = rows_new(COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]));
    struct remote_failure fail = {0};
    struct buf body;
    struct err err;
    int r;

    buf_init(&body, ANSWER_MAX);
    r = remote_fetch(c->remote, &req, &body, &fail, &err);
    if (r == 0)
        r = read_collectors(buf_str(&body), rows, &err);
    if (r == 0)
        r = rows_print(rows, c->out, &err);
    if (r < 0)
        r = cmd_fail(c, STR_NULL, &fail, &err);
    else
        r = rows_count(rows) > 0 ? CMD_FOUND : CMD_NOTHING;
    rows_free(&rows);
    buf_fini(&body);
    return r;
}
