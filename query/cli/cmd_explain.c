/*
 * query/cli/cmd_explain.c - `logq explain QUERY`: where each part is done, and what was read for
 * it.
 */
#include "query/cli/cmd.h"
#include "query/cli/params.h"

#include <inttypes.h>
#include <jansson.h>

enum { ANSWER_MAX = 16 << 20, PARAMS_MAX = 1 << 20, LIMIT_DEFAULT = 1000 };

static uint64_t number_of(const json_t *stats, const char *name)
{
    json_int_t n = json_integer_value(json_object_get(stats, name));

    return n > 0 ? (uint64_t)n : 0;
}

/* How a part's place reads. */
static const char *meaning_of(struct str place)
{
    if (str_eq(place, STR("index")))
        return "in the index: other streams are not looked at";
    if (str_eq(place, STR("blocks")))
        return "in the scan: blocks that cannot hold a hit are not read";
    if (str_eq(place, STR("columns")))
        return "in the scan, from columns, as far as they tell";
    return "on each record that is left";
}

static void put_plan(struct buf *out, const json_t *plan)
{
    enum { PART_WIDTH = 36 };
    const json_t *item;
    size_t i;

    buf_add_z(out, "plan\n");
    json_array_foreach(plan, i, item)
    {
        const char *part = json_string_value(json_object_get(item, "part"));
        const char *place = json_string_value(json_object_get(item, "done"));
        bool is_selector = place != NULL && str_eq(str_of(place), STR("index"));

        buf_addf(out, "  %s%-*s  %s\n", is_selector ? "" : "  ", PART_WIDTH - (is_selector ? 0 : 2),
                 part == NULL ? "" : part, meaning_of(str_of(place)));
    }
}

static void put_bytes(struct buf *out, const json_t *stats, const char *name)
{
    rows_add_bytes(out, (double)number_of(stats, name));
}

static void put_stats(struct buf *out, const json_t *s)
{
    uint64_t blocks = number_of(s, "blocks"), pruned = number_of(s, "blocks_pruned");

    buf_addf(out, "read\n  blocks      %" PRIu64 " of %" PRIu64 ", %" PRIu64 " pruned (%.0f %%)",
             number_of(s, "blocks_read"), blocks, pruned,
             blocks == 0 ? 0.0 : 100.0 * (double)pruned / (double)blocks);
    buf_addf(out,
             ", segments %" PRIu64 ", days %" PRIu64 "\n  memory      %" PRIu64
             " batches of recent records\n",
             number_of(s, "segments"), number_of(s, "partitions"), number_of(s, "head_batches"));
    buf_add_z(out, "  from disk   ");
    put_bytes(out, s, "stored_bytes_read");
    buf_addf(out, "\n  lines       %" PRIu64 " looked at (", number_of(s, "lines"));
    put_bytes(out, s, "line_bytes");
    buf_addf(out, "), %" PRIu64 " left by the scan, %" PRIu64 " in the answer\n",
             number_of(s, "lines_out"), number_of(s, "entries"));
    if (number_of(s, "blocks_damaged") > 0)
        buf_addf(out, "  damaged     %" PRIu64 " blocks, passed over\n",
                 number_of(s, "blocks_damaged"));
    buf_addf(out, "took\n  time        %.3f s\n  memory      ",
             json_number_value(json_object_get(s, "seconds")));
    put_bytes(out, s, "peak_bytes");
    buf_add_char(out, '\n');
}

/* Words for people, or the answer itself. */
static int put_answer(const struct cmd *c, struct str body, struct buf *out, struct err *err)
{
    json_t *root = json_loadb(body.p, body.n, JSON_ALLOW_NUL, NULL);
    const json_t *stats = json_object_get(root, "stats");
    const char *query = json_string_value(json_object_get(root, "query"));
    bool for_people = c->out->form.kind == FORMAT_TABLE || c->out->form.kind == FORMAT_RAW;

    if (!json_is_object(stats) || query == NULL) {
        json_decref(root);
        return err_set(err, ERR_CORRUPT, "the server's answer is not understood");
    }
    if (for_people) {
        buf_addf(out, "query\n  %s\n", query);
        put_plan(out, json_object_get(root, "plan"));
        put_stats(out, stats);
    } else {
        buf_add_str(out, body);
        buf_add_char(out, '\n');
    }
    json_decref(root);
    return 0;
}

static void add_params(const struct cmd *c, struct str text, bool is_log, struct buf *params)
{
    const struct args *a = c->args;
    char step[TIME_TEXT_MAX];

    params_add(params, "query", text);
    params_add_ts(params, "start", a->from);
    params_add_ts(params, "end", is_log ? cmd_end(a) : a->to);
    if (is_log) { /* as `logq query` asks */
        uint64_t limit = a->has_limit ? a->limit : LIMIT_DEFAULT;
        bool is_backward = a->direction == ARGS_DIRECTION_AUTO
                               ? limit > 0
                               : a->direction == ARGS_DIRECTION_BACKWARD;

        params_add_u64(params, "limit", limit);
        params_add(params, "direction", is_backward ? STR("backward") : STR("forward"));
    }
    if (a->step > 0)
        params_add(params, "step", dur_format(a->step, step));
}

int cmd_explain(struct cmd *c)
{
    struct str text = str_of(c->args->words[0]);
    struct remote_request req = {.path = "/api/v1/explain", .idle_ms = CMD_IDLE_MS};
    struct remote_failure fail = {0};
    struct buf params, body, out;
    struct query *q = NULL;
    struct err err;
    int r, code;

    if (cmd_check_form(c) < 0 || cmd_parse(c, text, &q) < 0)
        return CMD_USAGE;
    if (query_kind(q) != QUERY_LOG &&
        (c->args->has_limit || c->args->direction != ARGS_DIRECTION_AUTO)) {
        cmd_say("--limit and --direction are for log queries, and this is a metric query");
        query_unref(&q);
        return CMD_USAGE;
    }
    buf_init(&params, PARAMS_MAX);
    buf_init(&body, ANSWER_MAX);
    buf_init(&out, ANSWER_MAX);
    add_params(c, text, query_kind(q) == QUERY_LOG, &params);
    query_unref(&q);
    req.params = buf_str(&params);
    r = remote_fetch(c->remote, &req, &body, &fail, &err);
    if (r == 0)
        r = put_answer(c, buf_str(&body), &out, &err);
    if (r == 0)
        r = output_text(c->out, buf_str(&out), &err);
    if (r == 0)
        r = output_flush(c->out, &err);
    code = r < 0 ? cmd_fail(c, text, &fail, &err) : CMD_FOUND;
    buf_fini(&params);
    buf_fini(&body);
    buf_fini(&out);
    return code;
}
