/*
 * server/api_explain.c - /api/v1/explain: what a query does, and what it had to read.
 *
 * The query is run as query_range or export would, and its answer thrown away: what was pruned is
 * known only then, for blocks are told apart by what is in them.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "server/metrics.h"
#include "server/server.h"

static int drop_entry(void *arg, const struct query_entry *e)
{
    (void)arg;
    (void)e;
    return 0;
}

/* ---- the answer ---- */

static void put_part(void *arg, struct str text, enum query_place place)
{
    static const char *const places[] = {[QUERY_AT_INDEX] = "index",
                                         [QUERY_AT_BLOCKS] = "blocks",
                                         [QUERY_AT_COLUMNS] = "columns",
                                         [QUERY_AT_RECORDS] = "records"};
    struct json_writer *w = arg;

    json_put_object(w);
    json_put_kv_str(w, "part", text);
    json_put_kv_str(w, "done", str_of(places[place]));
    json_put_object_end(w);
}

static void put_stats(struct json_writer *w, const struct query_stats *s)
{
    uint64_t blocks = s->scan.blocks, read = s->scan.blocks_read;

    json_put_object(w);
    json_put_kv_u64(w, "partitions", s->scan.partitions);
    json_put_kv_u64(w, "segments", s->scan.segments);
    json_put_kv_u64(w, "blocks", blocks);
    json_put_kv_u64(w, "blocks_pruned", read < blocks ? blocks - read : 0);
    json_put_kv_u64(w, "blocks_read", read);
    json_put_kv_u64(w, "blocks_damaged", s->scan.damaged_blocks);
    json_put_kv_u64(w, "head_batches", s->scan.head_batches);
    json_put_kv_u64(w, "stored_bytes_read", s->scan.stored_bytes_read);
    json_put_kv_u64(w, "lines", s->scan.lines);
    json_put_kv_u64(w, "line_bytes", s->scan.line_bytes);
    json_put_kv_u64(w, "lines_out", s->scan.lines_out);
    json_put_kv_u64(w, "entries", s->entries);
    json_put_kv_u64(w, "peak_bytes", s->peak_bytes);
    json_put_key(w, STR("seconds"));
    json_put_f64(w, s->seconds);
    json_put_object_end(w);
}

static void put_answer(struct api_call *c, const struct query_stats *stats)
{
    bool is_log = query_kind(c->query) == QUERY_LOG;
    struct buf canonical;
    struct json_writer w;

    buf_init(&canonical, 4 * QUERY_TEXT_MAX);
    query_print(c->query, &canonical);
    json_writer_init(&w, &c->body);
    json_put_object(&w);
    json_put_kv_str(&w, "query", buf_str(&canonical));
    json_put_kv_str(&w, "kind", is_log ? STR("log") : STR("metric"));
    json_put_key(&w, STR("plan"));
    json_put_array(&w);
    query_explain(c->query, put_part, &w);
    json_put_array_end(&w);
    json_put_key(&w, STR("stats"));
    put_stats(&w, stats);
    json_put_object_end(&w);
    buf_fini(&canonical);
}

static void work(struct api_call *c)
{
    struct query_stats stats = {0};
    struct query_result *result = NULL;
    struct err err;
    int r;

    if (query_kind(c->query) == QUERY_LOG)
        r = query_run_log(c->query, c->api->server->store, &c->params, drop_entry, NULL, &stats,
                          &err);
    else
        r = query_run_metric(c->query, c->api->server->store, &c->params, &result, &stats, &err);
    query_result_free(&result);
    metric_observe(METRIC_QUERY_SECONDS, (double)(time_mono() - c->began) / 1e9);
    c->status = 200;
    if (r < 0) {
        metric_add(err.code == ERR_CANCELLED ? METRIC_QUERY_CANCELLED : METRIC_QUERY_FAILED, 1);
        api_call_fail(c, &err);
    } else {
        put_answer(c, &stats);
    }
}

/* ---- the request ---- */

static int parse(struct http_exchange *x, bool is_log, struct query_params *p, struct err *err)
{
    struct str limit = http_param(x, "limit", 0), step = http_param(x, "step", 0);
    struct str direction = http_param(x, "direction", 0);
    int r = api_parse_range(x, NS_PER_H, p, err);

    if (r < 0)
        return r;
    if (limit.n > 0 && !str_to_u64(limit, &p->limit))
        return api_bad_param(err, "limit", limit, "number");
    if (step.n > 0 && (!loki_duration_parse(step, &p->step) || p->step <= 0))
        return api_bad_param(err, "step", step, "duration");
    p->direction = str_eq_nocase(direction, STR("forward")) ? QUERY_FORWARD : QUERY_BACKWARD;
    if (direction.n > 0 && p->direction == QUERY_BACKWARD &&
        !str_eq_nocase(direction, STR("backward")))
        return api_bad_param(err, "direction", direction, "direction: forward or backward");
    if (!is_log && p->step == 0)
        p->start = p->end; /* an instant */
    return 0;
}

void api_explain(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct query_params p = {0};
    struct query *q = NULL;
    struct api_call *c;
    struct err err;

    if (api_parse_read(a, x, caller, &q) < 0)
        return;
    if (parse(x, query_kind(q) == QUERY_LOG, &p, &err) < 0) {
        query_unref(&q);
        api_fail(x, &err);
        return;
    }
    c = api_call_query(a, x, caller, q, &p);
    if (c == NULL)
        return;
    c->work = work;
    api_call_start(c);
}
