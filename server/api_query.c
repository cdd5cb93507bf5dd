/*
 * server/api_query.c - query_range, query, format_query: LogQL to Loki's JSON.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/log.h"
#include "query/format.h"
#include "server/metrics.h"
#include "server/tenant_limits.h"

#include <stdlib.h>
#include <string.h>

enum { LIMIT_DEFAULT = 100, SLOW_S = 10 };

static void count_end(struct api_call *c, int r, const struct err *err)
{
    double seconds = (double)(time_mono() - c->began) / 1e9;

    metric_observe(METRIC_QUERY_SECONDS, seconds);
    if (r < 0)
        metric_add(err->code == ERR_CANCELLED ? METRIC_QUERY_CANCELLED : METRIC_QUERY_FAILED, 1);
    if (seconds > SLOW_S)
        log_info("query.slow", LOG_STR("token", c->caller.name), LOG_F64("seconds", seconds));
}

struct gather {
    struct format_streams *streams;
    struct err *err;
};

static int gather_entry(void *arg, const struct query_entry *e)
{
    struct gather *g = arg;

    return format_streams_add(g->streams, e, g->err);
}

static int run_log(struct api_call *c, struct query_stats *stats, struct err *err)
{
    struct gather g = {.err = err};
    int r;

    g.streams =
        format_streams_new(c->categorize, &c->api->server->memory, c->params.limits.memory_bytes);
    r = query_run_log(c->query, c->api->server->store, &c->params, gather_entry, &g, stats, err);
    if (!c->wants_cursor)
        stats->next.set = false;
    if (r == 0)
        format_loki_streams(&c->body, g.streams, stats);
    format_streams_free(&g.streams);
    return r;
}

static int run_metric(struct api_call *c, struct query_stats *stats, struct err *err)
{
    struct query_result *result = NULL;
    int r = query_run_metric(c->query, c->api->server->store, &c->params, &result, stats, err);

    if (r == 0)
        format_loki_result(&c->body, result, stats);
    query_result_free(&result);
    return r;
}

static void work(struct api_call *c)
{
    struct query_stats stats = {0};
    struct err err;
    int r =
        query_kind(c->query) == QUERY_LOG ? run_log(c, &stats, &err) : run_metric(c, &stats, &err);

    c->status = 200;
    if (r < 0)
        api_call_fail(c, &err);
    count_end(c, r, &err);
}

/* Of entries: a metric query has none, so the most that may be asked for says nothing of it. */
static int parse_limit(const struct api *a, struct http_exchange *x,
                       const struct auth_caller *caller, enum query_kind kind, uint64_t *ret,
                       struct err *err)
{
    struct str limit = http_param(x, "limit", 0);
    struct tenant_limits limits;

    *ret = LIMIT_DEFAULT;
    if (limit.n > 0 && (!str_to_u64(limit, ret) || *ret == 0))
        return api_bad_param(err, "limit", limit, "positive number");
    if (kind == QUERY_METRIC)
        return 0;
    tenant_limits_of(&a->server->conf, caller->tenants, caller->n_tenants, &limits);
    return tenant_limits_entries(&limits, *ret, err);
}

static int parse_direction(struct http_exchange *x, enum query_direction *ret, struct err *err)
{
    struct str d = http_param(x, "direction", 0);

    if (d.n == 0 || str_eq_nocase(d, STR("backward")))
        *ret = QUERY_BACKWARD;
    else if (str_eq_nocase(d, STR("forward")))
        *ret = QUERY_FORWARD;
    else
        return api_bad_param(err, "direction", d, "direction: forward or backward");
    return 0;
}

static int parse_span(struct http_exchange *x, const char *name, dur_ns *ret, struct err *err)
{
    struct str s = http_param(x, name, 0);

    if (s.n > 0 && (!loki_duration_parse(s, ret) || *ret < 0))
        return api_bad_param(err, name, s, "duration");
    return 0;
}

/* What takes the place of errors that Loki has. */
static int parse_lenience(struct http_exchange *x, const struct query *q, struct query_params *p,
                          struct err *err)
{
    int r = api_parse_flag(x, "lenient", &p->lenient, err);

    if (r == 0)
        r = api_parse_flag(x, "top_series", &p->top_series, err);
    if (r == 0 && query_kind(q) == QUERY_LOG && (p->lenient || p->top_series))
        r = err_set(err, ERR_INVALID, "parameter '%s' goes with metric queries",
                    p->lenient ? "lenient" : "top_series");
    return r;
}

void api_query_range(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct query *q = NULL;
    struct query_params p = {0};
    struct api_call *c;
    bool wants_cursor = false;
    struct err err;
    int r = api_parse_read(a, x, caller, &q);

    if (r < 0)
        return;
    r = api_parse_range(x, NS_PER_H, &p, &err);
    p.step = loki_default_step(p.start, p.end);
    if (r == 0)
        r = parse_limit(a, x, caller, query_kind(q), &p.limit, &err);
    if (r == 0)
        r = parse_direction(x, &p.direction, &err);
    if (r == 0)
        r = parse_span(x, "step", &p.step, &err);
    if (r == 0 && p.step <= 0)
        r = err_set(&err, ERR_INVALID,
                    "zero or negative query resolution step widths are not accepted. Try a "
                    "positive integer");
    if (r == 0)
        r = parse_span(x, "interval", &p.interval, &err);
    if (r == 0)
        r = api_parse_context(x, q, &p, &err);
    if (r == 0)
        r = api_parse_cursor(x, q, &p, &wants_cursor, &err);
    if (r == 0)
        r = parse_lenience(x, q, &p, &err);
    if (r < 0) {
        query_unref(&q);
        api_fail(x, &err);
        return;
    }
    c = api_call_query(a, x, caller, q, &p);
    if (c == NULL)
        return;
    c->categorize = api_wants_categories(x);
    c->wants_cursor = wants_cursor;
    c->work = work;
    api_call_start(c);
}

void api_query_instant(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct query *q = NULL;
    struct str at = http_param(x, "time", 0);
    struct query_params p = {0};
    struct api_call *c;
    struct err err;
    int r = 0;

    if (api_parse_read(a, x, caller, &q) < 0)
        return;
    p.start = time_now();
    if (at.n > 0 && !loki_time_parse(at, &p.start))
        r = api_bad_param(&err, "time", at, "time: seconds, nanoseconds or RFC 3339");
    if (r == 0 && query_kind(q) == QUERY_LOG)
        r = err_set(&err, ERR_INVALID,
                    "log queries are not supported as an instant query type, please change your "
                    "query to a range query type");
    if (r == 0)
        r = parse_lenience(x, q, &p, &err);
    if (r < 0) {
        query_unref(&q);
        api_fail(x, &err);
        return;
    }
    p.end = p.start;
    c = api_call_query(a, x, caller, q, &p);
    if (c == NULL)
        return;
    c->work = work;
    api_call_start(c);
}

void api_format_query(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct str text = http_param(x, "query", 0);
    struct json_writer w;
    struct buf canonical, out;
    unsigned line = 0, column = 0;
    struct err err;
    struct tenant_limits limits;
    int r;

    tenant_limits_of(&a->server->conf, caller->tenants, caller->n_tenants, &limits);
    buf_init(&canonical, 4 * QUERY_TEXT_MAX);
    buf_init(&out, 16 * QUERY_TEXT_MAX);
    r = limits.empty_selector ? query_format_all(text, &canonical, &line, &column, &err)
                              : query_format(text, &canonical, &line, &column, &err);
    if (r < 0) {
        buf_clear(&canonical);
        api_print_place(&canonical, &err, text, line, column);
    }
    json_writer_init(&w, &out);
    json_put_object(&w);
    json_put_kv_str(&w, "status", r == 0 ? STR("success") : STR("invalid-query"));
    json_put_kv_str(&w, r == 0 ? "data" : "error", buf_str(&canonical));
    json_put_object_end(&w);
    http_reply(x, r == 0 ? 200 : 400, "application/json", buf_str(&out));
    buf_fini(&canonical);
    buf_fini(&out);
}
