/*
 * server/api_detected.c - detected_fields and detected_field/NAME/values: what is in the lines.
 *
 * Found in a sample: the newest line_limit entries of the query.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "query/detect.h"
#include "server/metrics.h"
#include "server/tenant_limits.h"

enum { WINDOW_H = 1, LINES_DEFAULT = 100, FIELDS_DEFAULT = 1000, FIELDS_MAX = 10000 };

struct sample {
    struct detect *detect;
    struct err *err;
};

static int take(void *arg, const struct query_entry *e)
{
    struct sample *s = arg;

    return detect_add(s->detect, e, s->err);
}

static void put_field(struct json_writer *w, const struct detect_field *f)
{
    json_put_object(w);
    json_put_kv_str(w, "label", f->name);
    json_put_kv_str(w, "type", str_of(detect_type_name(f->type)));
    json_put_kv_u64(w, "cardinality", f->values);
    json_put_key(w, STR("parsers"));
    if (f->parsers == 0) {
        json_put_null(w);
    } else {
        json_put_array(w);
        if ((f->parsers & DETECT_JSON) != 0)
            json_put_string(w, STR("json"));
        if ((f->parsers & DETECT_LOGFMT) != 0)
            json_put_string(w, STR("logfmt"));
        json_put_array_end(w);
    }
    if (f->n_path > 0) {
        json_put_key(w, STR("jsonPath"));
        json_put_array(w);
        for (size_t i = 0; i < f->n_path; i++)
            json_put_string(w, f->path[i]);
        json_put_array_end(w);
    }
    json_put_object_end(w);
}

static void put_answer(struct api_call *c, struct detect *d)
{
    struct json_writer w;
    size_t n;

    json_writer_init(&w, &c->body);
    json_put_object(&w);
    if (c->name.n == 0) {
        const struct detect_field *f = detect_fields(d, &n);
        json_put_key(&w, STR("fields"));
        json_put_array(&w);
        for (size_t i = 0; i < n; i++)
            put_field(&w, &f[i]);
    } else {
        const struct str *v = detect_values(d, &n);
        json_put_key(&w, STR("values"));
        json_put_array(&w);
        for (size_t i = 0; i < n; i++)
            json_put_string(&w, v[i]);
    }
    json_put_array_end(&w);
    json_put_kv_u64(&w, "limit", c->max);
    json_put_object_end(&w);
}

static void work(struct api_call *c)
{
    struct mem_budget budget = {.name = "query.memory",
                                .limit = c->params.limits.memory_bytes,
                                .parent = &c->api->server->memory};
    bool values = c->name.n > 0;
    struct err err;
    struct sample s = {.detect = detect_new(values ? FIELDS_MAX : (size_t)c->max, c->name,
                                            values ? (size_t)c->max : 0, &budget),
                       .err = &err};
    struct query_stats stats = {0};
    int r = query_run_log(c->query, c->api->server->store, &c->params, take, &s, &stats, &err);

    metric_observe(METRIC_QUERY_SECONDS, (double)(time_mono() - c->began) / 1e9);
    if (r < 0)
        metric_add(err.code == ERR_CANCELLED ? METRIC_QUERY_CANCELLED : METRIC_QUERY_FAILED, 1);
    c->status = 200;
    if (r < 0)
        api_call_fail(c, &err);
    else
        put_answer(c, s.detect);
    detect_free(&s.detect);
}

static int parse_params(const struct server *s, struct http_exchange *x,
                        const struct auth_caller *caller, struct query_params *p, uint64_t *max,
                        struct err *err)
{
    struct tenant_limits limits;
    int r = api_parse_range(x, WINDOW_H * NS_PER_H, p, err);

    tenant_limits_of(&s->conf, caller->tenants, caller->n_tenants, &limits);
    p->limit = LINES_DEFAULT < limits.entries ? LINES_DEFAULT : limits.entries;
    *max = FIELDS_DEFAULT;
    if (r == 0)
        r = api_parse_count(x, "line_limit", UINT64_MAX, &p->limit, err);
    if (r == 0)
        r = tenant_limits_entries(&limits, p->limit, err);
    if (r == 0)
        r = api_parse_count(x, "field_limit", FIELDS_MAX, max, err); /* the older name */
    if (r == 0)
        r = api_parse_count(x, "limit", FIELDS_MAX, max, err);
    return r;
}

static void start(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                  struct str name)
{
    struct query_params p = {.direction = QUERY_BACKWARD};
    struct query *q = NULL;
    struct api_call *c;
    struct err err;
    uint64_t max = 0;
    int r;

    if (api_parse_read(a, x, caller, &q) < 0)
        return;
    r = parse_params(a->server, x, caller, &p, &max, &err);
    if (r == 0 && query_kind(q) != QUERY_LOG)
        r = err_set(&err, ERR_INVALID, "parameter 'query': a log query is wanted, not a metric");
    c = r < 0 ? NULL : api_call_new(a, x, caller);
    if (c == NULL) {
        query_unref(&q);
        if (r < 0)
            api_fail(x, &err);
        return;
    }
    metric_add(METRIC_QUERIES, 1);
    c->query = q;
    c->params = p;
    c->max = max;
    c->work = work;
    api_fill_params(c);
    c->name = arena_str(c->arena, name);
    if (c->name.p != NULL) {
        api_call_start(c);
    } else {
        (void)arena_err(c->arena, &err);
        api_call_refuse(c, &err);
    }
}

void api_detected_fields(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    start(a, x, caller, STR(""));
}

void api_detected_values(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct str rest = str_from(http_path(x), sizeof("/loki/api/v1/detected_field/") - 1);

    start(a, x, caller, str_cut(&rest, '/'));
}
