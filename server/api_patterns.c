/*
 * server/api_patterns.c - what the lines of a selector look like, and how many of each there are.
 *
 * Answered from the templates that blocks are stored by (scan_patterns), those with most lines
 * first; in the form of Loki's endpoint of the same name.  Where steps are whole minutes, the range
 * is taken in whole minutes too, as Loki takes it in its units of 10 s: then blocks have counted
 * already, and no row is read.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/vec.h"
#include "query/format.h"
#include "server/server.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_H = 1, STEPS_MAX = 11000, EDGES_MAX = STEPS_MAX + 5, PATTERNS_SHOWN = 1000 };

struct pattern {
    struct str text, level;
    const uint64_t *rows;
    uint64_t sum;
};

struct answer {
    struct arena *arena;
    VEC(struct pattern) v;
    size_t n_buckets;
    struct err *err;
};

static int note(void *arg, struct str text, struct str level, const uint64_t *rows)
{
    struct answer *a = arg;
    struct pattern p = {arena_str(a->arena, text), arena_str(a->arena, level), NULL, 0};
    uint64_t *copy = arena_alloc(a->arena, a->n_buckets * sizeof(*copy));

    if (p.text.p == NULL || p.level.p == NULL || copy == NULL)
        return arena_err(a->arena, a->err);
    memcpy(copy, rows, a->n_buckets * sizeof(*copy));
    for (size_t i = 0; i < a->n_buckets; i++)
        p.sum += rows[i];
    p.rows = copy;
    VEC_PUSH(&a->v, p);
    return 0;
}

/* Most lines first; as many: by text. */
static int compare(const void *a, const void *b)
{
    const struct pattern *x = a;
    const struct pattern *y = b;
    int r = (x->sum < y->sum) - (x->sum > y->sum);

    if (r == 0)
        r = str_cmp(x->text, y->text);
    return r != 0 ? r : str_cmp(x->level, y->level);
}

static void put_samples(struct json_writer *w, const struct pattern *p, const ts_ns *edge,
                        const struct answer *a, dur_ns step)
{
    json_put_array(w);
    for (size_t i = 0; i < a->n_buckets; i++) {
        if (p->rows[i] == 0)
            continue;
        json_put_array(w);
        json_put_i64(w, api_step_floor(edge[i], step) / NS_PER_S);
        json_put_u64(w, p->rows[i]);
        json_put_array_end(w);
    }
    json_put_array_end(w);
}

static void put_answer(struct api_call *c, struct answer *a, const ts_ns *edge,
                       const struct query_stats *stats)
{
    struct json_writer w;

    if (a->v.n > 0)
        qsort(a->v.p, a->v.n, sizeof(*a->v.p), compare);
    json_writer_init(&w, &c->body);
    json_put_object(&w);
    json_put_kv_str(&w, "status", STR("success"));
    json_put_key(&w, STR("data"));
    json_put_array(&w);
    for (size_t i = 0; i < a->v.n && i < PATTERNS_SHOWN; i++) {
        json_put_object(&w);
        json_put_kv_str(&w, "pattern", a->v.p[i].text);
        json_put_kv_str(&w, "level", a->v.p[i].level);
        json_put_key(&w, STR("samples"));
        put_samples(&w, &a->v.p[i], edge, a, c->params.step);
        json_put_object_end(&w);
    }
    json_put_array_end(&w);
    format_loki_warnings(&w, stats);
    json_put_object_end(&w);
}

static void work_patterns(struct api_call *c)
{
    struct err err;
    struct answer a = {.arena = arena_new(&c->budget, 0), .err = &err};
    ts_ns *edge = arena_alloc(a.arena, EDGES_MAX * sizeof(*edge));
    struct scan_patterns p = {.edge = edge, .pattern = note, .arg = &a};
    struct query_stats stats = {.scan = {.lines = 0}};
    uint64_t left_out = 0;
    int r = 0;

    api_fill_scan(c, &p.req);
    (void)query_selector(c->query, &p.req.matchers, &p.req.n_matchers); /* checked when parsed */
    c->status = 200;
    if (edge == NULL)
        r = arena_err(a.arena, &err);
    if (r == 0 && c->params.start < c->params.end) {
        p.n_edges = api_step_edges(&c->params, edge);
        a.n_buckets = p.n_edges - 1;
        r = scan_patterns(c->api->server->store, &p, &left_out, &stats.scan, &err);
    }
    if (api_explain_scan(c, r, &err) < 0)
        api_call_fail(c, &err);
    else
        put_answer(c, &a, edge, &stats);
    VEC_FINI(&a.v);
    arena_free(&a.arena);
}

/* Blocks have counted by the minute. */
static void widen_to_minutes(struct query_params *p)
{
    ts_ns rest = p->start % NS_PER_MIN;

    if (p->step % NS_PER_MIN != 0 || p->start >= p->end)
        return;
    rest += rest < 0 ? NS_PER_MIN : 0;
    if (p->start >= INT64_MIN + rest)
        p->start -= rest;
    rest = p->end % NS_PER_MIN;
    rest += rest < 0 ? NS_PER_MIN : 0;
    if (rest > 0 && p->end <= INT64_MAX - NS_PER_MIN)
        p->end += NS_PER_MIN - rest;
}

void api_patterns(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    const struct matcher *matchers;
    struct query_params p = {0};
    struct query *q = NULL;
    struct api_call *c;
    struct err err;
    size_t n;
    int r;

    if (api_parse_read(a, x, caller, &q) < 0)
        return;
    r = api_parse_range(x, WINDOW_H * NS_PER_H, &p, &err);
    if (r == 0)
        r = api_parse_step(x, &p, STEPS_MAX, &err);
    if (r == 0 && !query_selector(q, &matchers, &n))
        r = err_set(&err, ERR_INVALID, "parameter 'query': only label matchers are supported");
    c = r < 0 ? NULL : api_call_new(a, x, caller);
    if (c == NULL) {
        query_unref(&q);
        if (r < 0)
            api_fail(x, &err);
        return;
    }
    widen_to_minutes(&p);
    c->query = q;
    c->params = p;
    api_fill_params(c);
    c->work = work_patterns;
    api_call_start(c);
}
