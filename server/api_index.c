/*
 * server/api_index.c - index/stats, index/volume, index/volume_range: how much there is, by stream,
 * label and time.
 *
 * Answered by scan_count without a filter: from catalogs and the rollups of blocks, without lines.
 * Streams are gathered under the labels that the answer shows, so what is held is bounded by the
 * answer's series and steps, and by the memory of a query.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "base/map.h"
#include "base/vec.h"
#include "query/format.h"
#include "server/metrics.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW_H = 1, STEPS_MAX = 11000, VOLUMES_DEFAULT = 100, LABELS_SHOWN_MAX = 64 };

/* What streams are put together under. */
struct volume {
    struct labels labels; /* in the arena */
    struct scan_cells cells;
    uint64_t bytes;
};

struct index_work {
    struct api_call *c;
    struct arena *arena;
    const ts_ns *edge;
    size_t n_edges;
    bool all;               /* every label of a stream counts; else */
    const struct str *name; /* these, sorted: a stream without one of them does not count */
    size_t n_names;
    bool by_label; /* one volume a label */
    struct map *seen;
    VEC(struct volume *) v;
    uint64_t n_streams;
};

static void work_init(struct index_work *w, struct api_call *c)
{
    *w = (struct index_work){.c = c, .arena = arena_new(&c->budget, 0), .seen = map_new(0, NULL)};
}

/* `r` < 0: it has failed. */
static void work_fini(struct index_work *w, int r, struct err *err)
{
    metric_observe(METRIC_QUERY_SECONDS, (double)(time_mono() - w->c->began) / 1e9);
    if (r < 0) {
        metric_add(err->code == ERR_CANCELLED ? METRIC_QUERY_CANCELLED : METRIC_QUERY_FAILED, 1);
        (void)api_explain_scan(w->c, r, err); /* is r */
        api_call_fail(w->c, err);
    }
    VEC_FINI(&w->v);
    map_free(&w->seen);
    arena_free(&w->arena);
}

static int count(struct index_work *w, struct scan_count *k, struct query_stats *stats,
                 struct err *err)
{
    struct api_call *c = w->c;
    dur_ns began = time_mono();
    int r = 0;

    api_fill_scan(c, &k->req);
    if (c->query != NULL)
        (void)query_selector(c->query, &k->req.matchers, &k->req.n_matchers); /* checked */
    k->edge = w->edge;
    k->n_edges = w->n_edges;
    k->bytes = true;
    k->arg = w;
    if (c->params.start < c->params.end)
        r = scan_count(c->api->server->store, k, &stats->scan, err);
    stats->seconds = (double)(time_mono() - began) / 1e9;
    return r < 0 ? r : 0; /* no attributes: there are no combinations to be too many */
}

/* ---- index/stats ---- */

/* All rows in one cell; each stream counted once. */
static int stats_cells(void *arg, const struct scan_key *key, struct scan_cells **ret,
                       struct err *err)
{
    static char present; /* the map wants a value */
    struct index_work *w = arg;
    struct hash128 h = labels_hash(key->stream);
    struct str id = {(const char *)&h, sizeof(h)};

    if (map_get(w->seen, id) == NULL) {
        int r = mem_budget_take(&w->c->budget, 4 * sizeof(h), err); /* about what the map needs */
        if (r < 0)
            return r;
        (void)map_put(w->seen, id, &present);
        w->n_streams++;
    }
    *ret = &w->v.p[0]->cells;
    return 0;
}

static void put_stats(struct index_work *w, const struct query_stats *stats, uint64_t rows,
                      uint64_t bytes)
{
    uint64_t chunks = w->n_streams == 0 ? 0 : stats->scan.blocks + stats->scan.head_batches;
    struct json_writer j;

    json_writer_init(&j, &w->c->body);
    json_put_object(&j);
    json_put_kv_u64(&j, "streams", w->n_streams);
    json_put_kv_u64(&j, "chunks", chunks);
    json_put_kv_u64(&j, "bytes", bytes);
    json_put_kv_u64(&j, "entries", rows);
    json_put_object_end(&j);
}

static void work_stats(struct api_call *c)
{
    struct scan_count k = {.cells = stats_cells};
    struct query_stats stats = {0};
    struct index_work w;
    uint64_t rows = 0, bytes = 0;
    struct volume all = {.cells = {.rows = &rows, .bytes = &bytes}};
    ts_ns edge[2] = {c->params.start, c->params.end};
    struct err err;
    int r;

    work_init(&w, c);
    w.edge = edge;
    w.n_edges = 2;
    VEC_PUSH(&w.v, &all);
    r = count(&w, &k, &stats, &err);
    c->status = 200;
    if (r == 0)
        put_stats(&w, &stats, rows, bytes);
    mem_budget_give(&c->budget, 4 * sizeof(struct hash128) * w.n_streams);
    work_fini(&w, r, &err);
}

/* ---- volumes ---- */

static bool wants(const struct index_work *w, struct str name)
{
    for (size_t i = 0; i < w->n_names; i++)
        if (str_eq(w->name[i], name))
            return true;
    return w->all;
}

/* The labels that a stream is shown under: views; none: it does not count. */
static size_t shown_labels(const struct index_work *w, const struct labels *l, struct label *v)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n && n < LABELS_SHOWN_MAX; i++)
        if (wants(w, l->v[i].name))
            v[n++] = (struct label){l->v[i].name, w->by_label ? STR("") : l->v[i].value};
    return w->all || n == w->n_names ? n : 0;
}

static struct volume *new_volume(struct index_work *w, const struct labels *l, struct err *err)
{
    struct volume *v = arena_alloc(w->arena, sizeof(*v));
    size_t bytes = (w->n_edges - 1) * sizeof(uint64_t);

    if (v == NULL) {
        (void)arena_err(w->arena, err);
        return NULL;
    }
    v->cells.rows = arena_alloc(w->arena, bytes);
    v->cells.bytes = arena_alloc(w->arena, bytes);
    if (v->cells.rows == NULL || v->cells.bytes == NULL) {
        (void)arena_err(w->arena, err);
        return NULL;
    }
    return labels_copy(w->arena, l, &v->labels, err) < 0 ? NULL : v;
}

/* The volume under these labels, made if it is not there.  NULL: *err. */
static struct volume *find_volume(struct index_work *w, const struct labels *l, struct err *err)
{
    struct hash128 h = labels_hash(l);
    struct str id = {(const char *)&h, sizeof(h)};
    struct volume *v = map_get(w->seen, id);

    if (v != NULL)
        return v;
    v = new_volume(w, l, err);
    if (v == NULL)
        return NULL;
    (void)map_put(w->seen, id, v);
    VEC_PUSH(&w->v, v);
    return v;
}

static int volume_cells(void *arg, const struct scan_key *key, struct scan_cells **ret,
                        struct err *err)
{
    struct index_work *w = arg;
    struct label shown[LABELS_SHOWN_MAX];
    struct labels l = {shown, shown_labels(w, key->stream, shown)};
    struct volume *v;

    *ret = NULL;
    if (l.n == 0)
        return 0;
    v = find_volume(w, &l, err);
    if (v == NULL)
        return err->code;
    *ret = &v->cells;
    return 0;
}

/* By label: a set of names becomes its names, each with all of it. */
static int split_names(struct index_work *w, struct err *err)
{
    size_t sets = w->v.n;

    for (size_t i = 0; i < sets; i++) {
        const struct volume *from = w->v.p[i];
        for (size_t k = 0; k < from->labels.n; k++) {
            struct labels one = {&from->labels.v[k], 1};
            struct volume *to;
            if (from->labels.n == 1)
                continue; /* is its own */
            to = find_volume(w, &one, err);
            if (to == NULL)
                return err->code;
            for (size_t b = 0; b + 1 < w->n_edges; b++)
                to->cells.bytes[b] += from->cells.bytes[b];
        }
    }
    for (size_t i = sets; i-- > 0;)
        if (w->v.p[i]->labels.n != 1)
            VEC_REMOVE(&w->v, i);
    return 0;
}

/* Largest first; as large: by labels. */
static int compare(const void *a, const void *b)
{
    const struct volume *x = *(struct volume *const *)a;
    const struct volume *y = *(struct volume *const *)b;
    int r = (x->bytes < y->bytes) - (x->bytes > y->bytes);

    return r != 0 ? r : labels_cmp(&x->labels, &y->labels);
}

static void sort_volumes(struct index_work *w)
{
    for (size_t i = 0; i < w->v.n; i++) {
        struct volume *v = w->v.p[i];
        v->bytes = 0;
        for (size_t b = 0; b + 1 < w->n_edges; b++)
            v->bytes += v->cells.bytes[b];
    }
    if (w->v.n > 0)
        qsort(w->v.p, w->v.n, sizeof(*w->v.p), compare);
    if (w->v.n > w->c->params.limit)
        w->v.n = (size_t)w->c->params.limit;
    while (w->v.n > 0 && w->v.p[w->v.n - 1]->bytes == 0)
        w->v.n--; /* of empty lines */
}

/* A point stands at the end of its step, as in Loki; steps without bytes have none. */
static int fill_series(struct index_work *w, const struct volume *v, struct query_series *ret,
                       struct err *err)
{
    ts_ns *ts = arena_alloc(w->arena, w->n_edges * sizeof(*ts));
    double *value = arena_alloc(w->arena, w->n_edges * sizeof(*value));

    if (ts == NULL || value == NULL)
        return arena_err(w->arena, err);
    *ret = (struct query_series){.labels = v->labels, .ts = ts, .value = value};
    for (size_t b = 0; b + 1 < w->n_edges; b++) {
        if (v->cells.bytes[b] == 0)
            continue;
        ts[ret->n] = w->edge[b + 1];
        value[ret->n++] = (double)v->cells.bytes[b];
    }
    return 0;
}

static int put_volumes(struct index_work *w, struct query_stats *stats, struct err *err)
{
    struct query_result result = {.type = w->c->params.step > 0 ? QUERY_MATRIX : QUERY_VECTOR,
                                  .n = w->v.n};
    int r = 0;

    result.series = arena_alloc(w->arena, w->v.n * sizeof(*result.series) + 1);
    if (result.series == NULL)
        return arena_err(w->arena, err);
    for (size_t i = 0; r == 0 && i < w->v.n; i++)
        r = fill_series(w, w->v.p[i], &result.series[i], err);
    if (r == 0)
        format_loki_result(&w->c->body, &result, stats);
    return r;
}

/* Names of parameter targetLabels, else of the query's matchers; all without either. */
static void choose_names(struct index_work *w, struct str *name)
{
    const struct matcher *m = NULL;
    struct str rest = w->c->name;
    size_t n = 0;

    while (rest.n > 0 && w->n_names < LABELS_SHOWN_MAX) {
        struct str one = str_trim(str_cut(&rest, ','));
        if (one.n > 0 && !wants(w, one))
            name[w->n_names++] = one;
        w->name = name;
    }
    if (w->n_names == 0 && w->c->query != NULL) {
        (void)query_selector(w->c->query, &m, &n); /* checked when parsed */
        for (size_t i = 0; i < n && w->n_names < LABELS_SHOWN_MAX; i++) {
            if (!wants(w, m[i].name))
                name[w->n_names++] = m[i].name;
            w->name = name;
        }
    }
    w->all = w->n_names == 0;
}

static int fill_edges(struct index_work *w, struct err *err)
{
    ts_ns *edge = arena_alloc(w->arena, (STEPS_MAX + 3) * sizeof(*edge));

    if (edge == NULL)
        return arena_err(w->arena, err);
    w->edge = edge;
    if (w->c->params.step > 0) {
        w->n_edges = api_step_edges(&w->c->params, edge);
    } else {
        edge[0] = w->c->params.start;
        edge[1] = w->c->params.end;
        w->n_edges = 2;
    }
    return 0;
}

static void work_volume(struct api_call *c)
{
    struct scan_count k = {.cells = volume_cells};
    struct str name[LABELS_SHOWN_MAX] = {{NULL, 0}};
    struct query_stats stats = {0};
    struct index_work w;
    struct err err;
    int r;

    work_init(&w, c);
    w.by_label = c->by_label;
    choose_names(&w, name);
    r = fill_edges(&w, &err);
    if (r == 0)
        r = count(&w, &k, &stats, &err);
    if (r == 0 && w.by_label)
        r = split_names(&w, &err);
    c->status = 200;
    if (r == 0) {
        sort_volumes(&w);
        r = put_volumes(&w, &stats, &err);
    }
    work_fini(&w, r, &err);
}

/* ---- requests ---- */

static void start(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                  struct query *q, const struct query_params *p, void (*work)(struct api_call *c))
{
    struct api_call *c = api_call_new(a, x, caller);
    struct err err;

    if (c == NULL) {
        query_unref(&q);
        return;
    }
    metric_add(METRIC_QUERIES, 1);
    c->query = q;
    c->params = *p;
    api_fill_params(c);
    c->work = work;
    c->by_label = str_eq(http_param(x, "aggregateBy", 0), STR("labels"));
    c->name = arena_str(c->arena, http_param(x, "targetLabels", 0));
    if (c->name.p != NULL) {
        api_call_start(c);
    } else {
        (void)arena_err(c->arena, &err);
        api_call_refuse(c, &err);
    }
}

void api_index_stats(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct query_params p = {0};
    struct query *q = NULL;
    struct err err;
    int r = api_parse_range(x, WINDOW_H * NS_PER_H, &p, &err);

    if (r < 0)
        api_fail(x, &err);
    else if (api_parse_selector(x, "query", 0, false, &q) == 0)
        start(a, x, caller, q, &p, work_stats);
}

static void volume(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                   bool range)
{
    struct query_params p = {.limit = VOLUMES_DEFAULT};
    struct str by = http_param(x, "aggregateBy", 0);
    struct query *q = NULL;
    struct err err;
    int r = api_parse_range(x, WINDOW_H * NS_PER_H, &p, &err);

    if (r == 0 && range)
        r = api_parse_step(x, &p, STEPS_MAX, &err);
    if (r == 0)
        r = api_parse_count(x, "limit", UINT32_MAX, &p.limit, &err);
    if (r == 0 && by.n > 0 && !str_eq(by, STR("series")) && !str_eq(by, STR("labels")))
        r = api_bad_param(&err, "aggregateBy", by, "way to aggregate: series or labels");
    if (r < 0)
        api_fail(x, &err);
    else if (api_parse_selector(x, "query", 0, false, &q) == 0)
        start(a, x, caller, q, &p, work_volume);
}

void api_index_volume(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    volume(a, x, caller, false);
}

void api_index_volume_range(struct api *a, struct http_exchange *x,
                            const struct auth_caller *caller)
{
    volume(a, x, caller, true);
}
