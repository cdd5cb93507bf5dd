/* query/cli/cmd_series.c - `logq series SELECTOR...`: the streams that match any of them. */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

enum { ANSWER_MAX = 512 << 20, PARAMS_MAX = 8 << 20 };

static int check_selectors(struct cmd *c)
{
    for (size_t i = 0; i < c->args->n_words; i++) {
        struct str text = str_of(c->args->words[i]);
        const struct matcher *matchers;
        struct query *q = NULL;
        size_t n;
        bool ok;

        if (str_eq(str_trim(text), STR("{}"))) /* all of them; no query, but the API takes it */
            continue;
        if (cmd_parse(c, text, &q) < 0)
            return ERR_INVALID;
        ok = query_selector(q, &matchers, &n);
        query_unref(&q);
        if (!ok) {
            cmd_say("a selector is needed, {name=\"value\", ...} and nothing more: %.200s",
                    c->args->words[i]);
            return ERR_INVALID;
        }
    }
    return 0;
}

static int fetch(struct cmd *c, struct rows *rows, struct remote_failure *fail, struct err *err)
{
    struct remote_request req = {.path = "/loki/api/v1/series", .idle_ms = CMD_IDLE_MS};
    struct buf params, body;
    int r;

    *fail = (struct remote_failure){0};
    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    for (size_t i = 0; i < c->args->n_words; i++)
        params_add(&params, "match[]", str_of(c->args->words[i]));
    params_add_ts(&params, "start", c->args->from);
    params_add_ts(&params, "end", cmd_end(c->args));
    req.params = buf_str(&params);
    r = buf_err(&params, "selectors", err);
    if (r == 0)
        r = remote_fetch(c->remote, &req, &body, fail, err);
    if (r == 0)
        r = loki_series(buf_str(&body), rows, err);
    buf_fini(&params);
    buf_fini(&body);
    return r;
}

int cmd_series(struct cmd *c)
{
    static const struct rows_column COLUMNS[] = {{"series", ROWS_LABELS}};
    struct remote_failure fail;
    struct rows *rows;
    struct err err;
    int r;

    if (check_selectors(c) < 0)
        return CMD_USAGE;
    rows = rows_new(COLUMNS, 1);
    r = fetch(c, rows, &fail, &err);
    if (r == 0)
        r = rows_print(rows, c->out, &err);
    if (r < 0)
        r = cmd_fail(c, STR_NULL, &fail, &err);
    else
        r = rows_count(rows) > 0 ? CMD_FOUND : CMD_NOTHING;
    rows_free(&rows);
    return r;
}
