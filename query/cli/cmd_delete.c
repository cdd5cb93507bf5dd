/* query/cli/cmd_delete.c - `logq delete QUERY | list | cancel ID`: delete requests. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

#include <string.h>

enum { ANSWER_MAX = 64 << 20, PARAMS_MAX = 1 << 20 };

static const char PATH[] = "/loki/api/v1/delete";

static int call(struct cmd *c, const char *method, struct str params, struct buf *body,
                struct str query)
{
    struct remote_request req = {
        .path = PATH, .method = method, .params = params, .idle_ms = CMD_IDLE_MS};
    struct remote_failure fail;
    struct err err;
    int r = remote_fetch(c->remote, &req, body, &fail, &err);

    return r < 0 ? cmd_fail(c, query, &fail, &err) : CMD_FOUND;
}

static int make(struct cmd *c, struct str text)
{
    struct query *q = NULL;
    struct buf params, body;
    int r;

    if (!c->args->has_span) {
        cmd_say("say from when on: --since or --from (and --to)");
        return CMD_USAGE;
    }
    if (cmd_parse(c, text, &q) < 0)
        return CMD_USAGE;
    query_unref(&q);
    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    params_add(&params, "query", text);
    params_add_ts(&params, "start", c->args->from);
    params_add_ts(&params, "end", c->args->to);
    r = call(c, "POST", buf_str(&params), &body, text);
    if (r == CMD_FOUND)
        cmd_note(c, "hidden from now on, gone from the disk within a day: see `logq delete list`");
    buf_fini(&params);
    buf_fini(&body);
    return r;
}

static int cancel(struct cmd *c, struct str id)
{
    struct buf params, body;
    int r;

    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    params_add(&params, "request_id", id);
    if (c->args->force)
        params_add(&params, "force", STR("true"));
    r = call(c, "DELETE", buf_str(&params), &body, STR_NULL);
    buf_fini(&params);
    buf_fini(&body);
    return r;
}

static int list(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {
        {"id", ROWS_TEXT},   {"status", ROWS_TEXT}, {"created", ROWS_TIME},
        {"from", ROWS_TIME}, {"to", ROWS_TIME},     {"query", ROWS_TEXT},
    };
    struct remote_failure none = {0};
    struct rows *rows;
    struct buf body;
    struct err err;
    int r;

    buf_init(&body, ANSWER_MAX);
    r = call(c, "GET", STR_NULL, &body, STR_NULL);
    if (r != CMD_FOUND) {
        buf_fini(&body);
        return r;
    }
    rows = rows_new(COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]));
    r = loki_deletes(buf_str(&body), rows, &err);
    r = cmd_print_rows(c, &rows, r, STR_NULL, &none, &err);
    buf_fini(&body);
    return r;
}

int cmd_delete(struct cmd *c)
{
    const char *word = c->args->words[0];
    bool is_list = strcmp(word, "list") == 0;
    bool is_cancel = strcmp(word, "cancel") == 0;

    if (c->args->n_words != (is_cancel ? 2 : 1)) {
        cmd_say(is_cancel ? "cancel needs the id of one request: see logq delete list"
                          : "one operand too many (is the query in quotes?)");
        return CMD_USAGE;
    }
    if (is_list)
        return list(c);
    return is_cancel ? cancel(c, str_of(c->args->words[1])) : make(c, str_of(word));
}
