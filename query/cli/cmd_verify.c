/* query/cli/cmd_verify.c - `logq verify --structure`: is what the server stores as it was written?
 */
#include "query/cli/cmd.h"

#include <jansson.h>

#include <inttypes.h>
#include <string.h>

enum { ANSWER_MAX = 256 << 20, TEXT_MAX = 128 << 20 };

static const char *text_of(const json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));

    return s == NULL ? "" : s;
}

static int64_t number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void put_finding(struct buf *out, const json_t *f)
{
    buf_addf(out, "%-9s  %s", text_of(f, "kind"), text_of(f, "file"));
    if (json_object_get(f, "block") != NULL)
        buf_addf(out, " block %" PRId64, number_of(f, "block"));
    if (json_object_get(f, "offset") != NULL)
        buf_addf(out, " offset %" PRId64, number_of(f, "offset"));
    buf_addf(out, ": %s\n", text_of(f, "text"));
}

static void put_table(struct buf *out, const json_t *root)
{
    const json_t *f;
    size_t i;

    json_array_foreach(json_object_get(root, "findings"), i, f)
    {
        put_finding(out, f);
    }
    buf_addf(out,
             "%s: %" PRId64 " days, %" PRId64 " segments, %" PRId64 " blocks, %" PRId64
             " frames, %" PRId64 " rows, %" PRId64 " bytes; %" PRId64 " WAL frames\n",
             text_of(root, "verdict"), number_of(root, "partitions"), number_of(root, "segments"),
             number_of(root, "blocks"), number_of(root, "frames"), number_of(root, "rows"),
             number_of(json_object_get(root, "bytes"), "total"), number_of(root, "wal_frames"));
}

static int code_of(const json_t *root)
{
    const char *verdict = text_of(root, "verdict");

    if (strcmp(verdict, "intact") == 0)
        return CMD_FOUND;
    return strcmp(verdict, "damaged") == 0 ? CMD_DAMAGED : CMD_INCOMPLETE;
}

static int print(struct cmd *c, struct str body)
{
    const struct args *a = c->args;
    bool as_it_is = a->has_output && (a->output == FORMAT_JSON || a->output == FORMAT_JSONL);
    struct remote_failure none = {0};
    json_t *root = json_loadb(body.p, body.n, 0, NULL);
    struct buf out;
    struct err err;
    int code;
    int r;

    buf_init(&out, TEXT_MAX);
    if (!json_is_object(root)) {
        r = err_set(&err, ERR_CORRUPT, "the server's answer is not understood");
    } else if (as_it_is) {
        r = output_text(c->out, body, &err);
    } else {
        put_table(&out, root);
        r = output_text(c->out, buf_str(&out), &err);
    }
    if (r == 0)
        r = output_flush(c->out, &err);
    code = r == 0 ? code_of(root) : cmd_fail(c, STR_NULL, &none, &err);
    json_decref(root);
    buf_fini(&out);
    return code;
}

int cmd_verify(struct cmd *c)
{
    struct remote_request req = {
        .path = "/api/v1/admin/verify", .method = "POST", .idle_ms = CMD_IDLE_MS};
    struct remote_failure fail;
    struct buf body;
    struct err err;
    int code;

    if (!c->args->structure) {
        cmd_say("say what to verify: --structure");
        return CMD_USAGE;
    }
    if (cmd_check_form(c) < 0)
        return CMD_USAGE;
    buf_init(&body, ANSWER_MAX);
    if (remote_fetch(c->remote, &req, &body, &fail, &err) < 0) {
        code = cmd_fail(c, STR_NULL, &fail, &err);
        code = code == CMD_SERVER ? CMD_INCOMPLETE : code;
    } else {
        code = print(c, buf_str(&body));
    }
    buf_fini(&body);
    return code;
}
