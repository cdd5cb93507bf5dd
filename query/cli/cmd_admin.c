/* query/cli/cmd_admin.c - `logq admin flush | compact | backup DIR | hold ...`: an operator's work.
 */
#include "query/cli/cmd.h"
#include "query/cli/loki.h"
#include "query/cli/params.h"

#include <jansson.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ANSWER_MAX = 1 << 20, PARAMS_MAX = 1 << 16, WAIT_FIRST_MS = 50, WAIT_MOST_MS = 1000 };

/* {"name": number, ...}: a line each. */
static int put_pairs(struct buf *out, struct str body, struct err *err)
{
    json_t *root = json_loadb(body.p, body.n, 0, NULL);
    const char *key;
    json_t *value;

    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(err, ERR_CORRUPT, "the server's answer is not understood");
    }
    json_object_foreach(root, key, value)
    {
        if (json_is_integer(value))
            buf_addf(out, "%-14s %" PRId64 "\n", key, (int64_t)json_integer_value(value));
        else if (json_is_real(value))
            buf_addf(out, "%-14s %.3f\n", key, json_real_value(value));
        else if (json_is_string(value))
            buf_addf(out, "%-14s %s\n", key, json_string_value(value));
    }
    json_decref(root);
    return 0;
}

static int print(struct cmd *c, struct str body)
{
    const struct args *a = c->args;
    bool as_it_is = a->has_output && (a->output == FORMAT_JSON || a->output == FORMAT_JSONL);
    struct remote_failure none = {0};
    struct buf out;
    struct err err;
    int r = 0;

    buf_init(&out, ANSWER_MAX);
    if (as_it_is) {
        buf_add_str(&out, body);
        buf_add_char(&out, '\n');
    } else {
        r = put_pairs(&out, body, &err);
    }
    if (r == 0)
        r = output_text(c->out, buf_str(&out), &err);
    if (r == 0)
        r = output_flush(c->out, &err);
    buf_fini(&out);
    return r < 0 ? cmd_fail(c, STR_NULL, &none, &err) : CMD_FOUND;
}

/* ---- compaction ---- */

struct progress {
    bool is_running, has_failed;
    uint64_t done, total; /* bytes */
    char error[256];
};

static int read_progress(struct str body, struct progress *ret, struct err *err)
{
    json_t *root = json_loadb(body.p, body.n, 0, NULL);
    const char *state = json_string_value(json_object_get(root, "state"));
    const char *error = json_string_value(json_object_get(root, "error"));

    if (state == NULL) {
        json_decref(root);
        return err_set(err, ERR_CORRUPT, "the server's answer is not understood");
    }
    ret->is_running = strcmp(state, "running") == 0;
    ret->has_failed = strcmp(state, "failed") == 0;
    ret->done = (uint64_t)json_integer_value(json_object_get(root, "done_bytes"));
    ret->total = (uint64_t)json_integer_value(json_object_get(root, "total_bytes"));
    (void)str_to_z(str_of(error), ret->error, sizeof(ret->error));
    json_decref(root);
    return 0;
}

/* A line for each tenth. */
static void show_progress(const struct progress *p, uint64_t *tenth)
{
    uint64_t now = p->total == 0 ? 0 : p->done / (p->total / 10 + 1);

    if (p->total == 0 || now == *tenth)
        return;
    *tenth = now;
    cmd_say("compaction: %" PRIu64 " of %" PRIu64 " MB", p->done / 1000000, p->total / 1000000);
}

/* It was asked for, `body` is what the server says of it: wait until it is over. */
static int follow(struct cmd *c, struct buf *body, struct remote_failure *fail, struct err *err)
{
    const struct remote_request ask = {.path = "/api/v1/admin/compact", .method = "GET"};
    struct progress p;
    uint64_t tenth = UINT64_MAX;
    uint64_t wait_ms = WAIT_FIRST_MS;
    int r;

    for (;;) {
        r = read_progress(buf_str(body), &p, err);
        if (r < 0 || !p.is_running)
            break;
        show_progress(&p, &tenth);
        r = remote_wait(c->remote, wait_ms, err);
        wait_ms = wait_ms * 2 < WAIT_MOST_MS ? wait_ms * 2 : WAIT_MOST_MS;
        if (r < 0)
            break;
        buf_clear(body);
        r = remote_fetch(c->remote, &ask, body, fail, err);
        if (r < 0)
            break;
    }
    if (r == 0 && p.has_failed)
        r = err_set(err, ERR_IO, "%s", p.error);
    return r;
}

/* ---- holds ---- */

static int print_holds(struct cmd *c, struct str body)
{
    static const struct rows_column COLUMNS[] = {
        {"id", ROWS_TEXT}, {"created", ROWS_TIME}, {"by", ROWS_TEXT},    {"from", ROWS_TIME},
        {"to", ROWS_TIME}, {"reason", ROWS_TEXT},  {"query", ROWS_TEXT},
    };
    struct rows *rows = rows_new(COLUMNS, sizeof(COLUMNS) / sizeof(COLUMNS[0]));
    struct remote_failure none = {0};
    struct err err;
    int r = loki_holds(body, rows, &err);

    return cmd_print_rows(c, &rows, r, STR_NULL, &none, &err);
}

static int hold(struct cmd *c)
{
    const char *what = c->args->n_words > 1 ? c->args->words[1] : "";
    bool is_list = strcmp(what, "list") == 0;
    bool is_add = strcmp(what, "add") == 0;
    bool has_selector = is_add && c->args->n_words == 4;
    struct remote_request req = {.path = "/api/v1/admin/hold", .idle_ms = CMD_IDLE_MS};
    struct remote_failure fail;
    struct buf params, body;
    struct err err;
    int code;

    if ((!is_list && !is_add && strcmp(what, "release") != 0) ||
        (c->args->n_words != (is_list ? 2 : 3) && !has_selector)) {
        cmd_say("hold knows list, add REASON [SELECTOR] and release ID");
        return CMD_USAGE;
    }
    if (is_add && (!c->args->has_span || !c->args->has_to)) {
        cmd_say("say which span: --from and --to");
        return CMD_USAGE;
    }
    if (!is_list && cmd_check_form(c) < 0)
        return CMD_USAGE;
    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    if (!is_list)
        params_add(&params, is_add ? "reason" : "id", str_of(c->args->words[2]));
    if (has_selector)
        params_add(&params, "query", str_of(c->args->words[3]));
    if (is_add) {
        params_add_ts(&params, "start", c->args->from);
        params_add_ts(&params, "end", c->args->to);
    }
    req.method = is_list ? "GET" : is_add ? "POST" : "DELETE";
    req.params = buf_str(&params);
    if (remote_fetch(c->remote, &req, &body, &fail, &err) < 0)
        code = cmd_fail(c, STR_NULL, &fail, &err);
    else if (is_list)
        code = print_holds(c, buf_str(&body));
    else
        code = is_add ? print(c, buf_str(&body)) : CMD_FOUND;
    buf_fini(&params);
    buf_fini(&body);
    return code;
}

int cmd_admin(struct cmd *c)
{
    const char *verb = c->args->words[0];
    bool is_backup = strcmp(verb, "backup") == 0;
    struct remote_request req = {.method = "POST", .idle_ms = 0};
    struct remote_failure fail;
    struct buf params, body;
    char path[64];
    struct err err;
    int code;
    int r;

    if (strcmp(verb, "hold") == 0)
        return hold(c);
    if (!is_backup && strcmp(verb, "flush") != 0 && strcmp(verb, "compact") != 0) {
        cmd_say("admin knows flush, compact, backup and hold, not '%.60s'", verb);
        return CMD_USAGE;
    }
    if (c->args->n_words != (is_backup ? 2 : 1)) {
        cmd_say(is_backup ? "backup needs a directory on the server's host"
                          : "one operand too many");
        return CMD_USAGE;
    }
    if (cmd_check_form(c) < 0)
        return CMD_USAGE;
    (void)snprintf(path, sizeof(path), "/api/v1/admin/%.10s", verb);
    req.path = path;
    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    if (is_backup) {
        params_add(&params, "to", str_of(c->args->words[1]));
        if (c->args->with_keyring != NULL)
            params_add(&params, "with_keyring", str_of(c->args->with_keyring));
    }
    req.params = buf_str(&params);
    r = remote_fetch(c->remote, &req, &body, &fail, &err);
    if (r == 0 && strcmp(verb, "compact") == 0)
        r = follow(c, &body, &fail, &err);
    if (r < 0)
        code = cmd_fail(c, STR_NULL, &fail, &err);
    else
        code = print(c, buf_str(&body));
    buf_fini(&params);
    buf_fini(&body);
    return code;
}
