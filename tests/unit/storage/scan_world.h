/*
 * tests/unit/storage/scan_world.h - two tenants' records in head and segments, questions about them
 * drawn at random, and the naive answer: a walk over all records.
 */
#ifndef LOGQ_TESTS_UNIT_STORAGE_SCAN_WORLD_H
#define LOGQ_TESTS_UNIT_STORAGE_SCAN_WORLD_H

#include "storage/scan.h"

#include "storage/keyring.h"
#include "storage/scan_internal.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"
#include "tests/lib/tmpdir.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DAY = 20261121, DAYS = 3, BATCHES = 9, TENANTS = 2, RECORDS_MAX = 20000 };

struct world {
    int dir;
    char path[TMPDIR_PATH_MAX];
    struct keyring *keyring;
    struct partition_cache *cache;
    struct frame_cache *frames; /* NULL: scans have none, as with the next */
    struct scan_pool *pool;
    struct batch *batch[TENANTS][BATCHES];
    uint64_t pos[TENANTS][BATCHES]; /* in the WAL */
    uint64_t visible;
};

/* ---- a small store ---- */

static inline void flush(struct world *w, size_t tenant, uint64_t from, uint64_t to)
{
    struct segment_row *rows = calloc(RECORDS_MAX, sizeof(*rows));

    for (int32_t d = 0; d < DAYS; d++) {
        struct partition *p = NULL;
        struct partition_written sum;
        size_t n = 0;
        struct err err;
        for (size_t i = 0; i < BATCHES; i++) {
            struct batch *b = w->batch[tenant][i];
            if (w->pos[tenant][i] <= from || w->pos[tenant][i] > to)
                continue;
            for (uint32_t k = 0; k < b->n_records; k++)
                if (time_day(b->records[k].ts) == DAY + d)
                    rows[n++] = (struct segment_row){b, k, b->records[k].ts};
        }
        if (partition_cache_get(w->cache, tenant + 1, DAY + d, true, &p, &err) < 0 ||
            partition_write(p, rows, n, to, &sum, &err) < 0)
            fail_msg("%s", err.text);
        partition_unref(&p);
    }
    free(rows);
}

/* From this seed on a world is dense: few streams, minutes instead of hours, so that blocks have
 * rollups. */
enum { DENSE = 1000 };

static inline struct world open_world(void)
{
    struct world w = {.visible = 60};
    char path[3][TMPDIR_PATH_MAX + 16];
    struct err err;

    w.dir = tmpdir_open(w.path);
    (void)snprintf(path[0], sizeof(path[0]), "%s/keyring.db", w.path);
    (void)snprintf(path[1], sizeof(path[1]), "%s/master", w.path);
    (void)snprintf(path[2], sizeof(path[2]), "%s/tenants", w.path);
    if (keyring_make_master(path[1], &err) < 0 ||
        keyring_open(path[0], path[1], &w.keyring, &err) < 0 ||
        partition_cache_new(path[2], w.keyring, 2, &w.cache, &err) < 0)
        fail_msg("%s", err.text);
    return w;
}

static inline void make_batches(struct world *w, uint64_t seed, uint32_t records, bool nasty)
{
    dur_ns hour = seed < DENSE ? NS_PER_H : 20 * NS_PER_S;

    for (size_t t = 0; t < TENANTS; t++)
        for (size_t i = 0; i < BATCHES; i++) {
            struct records_options opt = {.seed = seed + 100 * t + i,
                                          .n = records,
                                          .n_streams =
                                              1 + (uint32_t)(i * 7 % (seed < DENSE ? 23 : 2)),
                                          .first_seq = 1 + (i * TENANTS + t) * records,
                                          .from = time_of_day(DAY) + (ts_ns)i * 4 * hour,
                                          .span = i % 4 == 3 ? 30 * hour : 9 * hour,
                                          .nasty = nasty};
            w->batch[t][i] = records_make(&opt);
            w->pos[t][i] = 10 * (i + 1);
        }
}

/* Three flushes are visible, a fourth is catalogued but not yet so, the rest is in the head only.
 */
static inline void flush_batches(struct world *w)
{
    for (size_t t = 0; t < TENANTS; t++) {
        flush(w, t, 0, 20);
        flush(w, t, 20, 40);
        flush(w, t, 40, 60);
        flush(w, t, 60, 70);
    }
}

static inline struct world make_world(uint64_t seed, uint32_t records, bool nasty)
{
    struct world w = open_world();

    make_batches(&w, seed, records, nasty);
    flush_batches(&w);
    return w;
}

static inline void free_world(struct world *w)
{
    for (size_t t = 0; t < TENANTS; t++)
        for (size_t i = 0; i < BATCHES; i++)
            batch_unref(&w->batch[t][i]);
    partition_cache_free(&w->cache);
    frame_cache_free(&w->frames);
    scan_pool_free(&w->pool);
    keyring_close(&w->keyring);
    tmpdir_close(w->dir);
}

static inline struct store_view make_view(const struct world *w, size_t tenant)
{
    struct store_view v = {.tenant_id = tenant + 1,
                           .visible = w->visible,
                           .partitions = w->cache,
                           .frames = w->frames,
                           .pool = w->pool};

    v.batch = calloc(BATCHES, sizeof(*v.batch));
    v.day = calloc(DAYS, sizeof(*v.day));
    for (size_t i = 0; i < BATCHES; i++)
        if (w->pos[tenant][i] > w->visible)
            v.batch[v.n_batch++] = batch_ref(w->batch[tenant][i]);
    for (int32_t d = 0; d < DAYS; d++)
        v.day[v.n_day++] = DAY + d;
    return v;
}

static inline int start(const struct world *w, size_t tenants, const struct scan_request *req,
                        struct scan **ret, struct err *err)
{
    struct store_view v[TENANTS];

    for (size_t t = 0; t < tenants; t++)
        v[t] = make_view(w, t);
    return scan_open_views(v, tenants, req, ret, err);
}

/* ---- the naive answer ---- */

struct hit {
    const struct batch *b;
    const struct record *rec;
};

struct answer {
    struct hit *v;
    size_t n;
};

static inline bool naive_filter(const struct scan_filter *f, struct str line)
{
    bool any = false;

    for (size_t i = 0; i < f->n; i++)
        any = any || (f->op == SCAN_CONTAINS || f->op == SCAN_CONTAINS_NOT
                          ? str_find(line, f->text[i]) != SIZE_MAX
                          : regexp_matches(f->re[i], line));
    return any == (f->op == SCAN_CONTAINS || f->op == SCAN_MATCHES);
}

static inline bool naive_match(const struct scan_request *req, const struct batch *b,
                               const struct record *rec)
{
    if (rec->ts < req->from || rec->ts >= req->to ||
        !matchers_match(req->matchers, req->n_matchers, &b->streams[rec->stream]))
        return false;
    for (size_t i = 0; i < req->n_filters; i++)
        if (!naive_filter(&req->filters[i], rec->line))
            return false;
    return true;
}

static inline int by_time(const void *a, const void *b)
{
    const struct record *x = ((const struct hit *)a)->rec;
    const struct record *y = ((const struct hit *)b)->rec;

    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static inline int by_time_falling(const void *a, const void *b)
{
    return by_time(b, a);
}

static inline int by_seq(const void *a, const void *b)
{
    const struct record *x = ((const struct hit *)a)->rec;
    const struct record *y = ((const struct hit *)b)->rec;

    return (x->seq > y->seq) - (x->seq < y->seq);
}

static inline struct answer naive(const struct world *w, size_t tenants,
                                  const struct scan_request *req)
{
    struct answer a = {.v = calloc((size_t)TENANTS * RECORDS_MAX, sizeof(*a.v))};

    for (size_t t = 0; t < tenants; t++)
        for (size_t i = 0; i < BATCHES; i++)
            for (uint32_t k = 0; k < w->batch[t][i]->n_records; k++)
                if (naive_match(req, w->batch[t][i], &w->batch[t][i]->records[k]))
                    a.v[a.n++] = (struct hit){w->batch[t][i], &w->batch[t][i]->records[k]};
    qsort(a.v, a.n, sizeof(*a.v),
          req->order == SCAN_ANY       ? by_seq
          : req->order == SCAN_FORWARD ? by_time
                                       : by_time_falling);
    return a;
}

/* ---- random requests ---- */

struct question {
    struct matcher m[2];
    struct scan_filter f[3];
    struct str text[3][2];
    struct regexp *re[3][2];
    struct scan_request req;
};

static inline void ask_matcher(struct matcher *m, uint64_t *rng)
{
    static const struct {
        enum match_op op;
        const char *name, *value;
    } some[] = {{MATCH_EQ, "app", "app-1"},     {MATCH_NE, "app", "app-2"},
                {MATCH_RE, "app", "solo-.*"},   {MATCH_NRE, "pod", ""},
                {MATCH_EQ, "pod", ""},          {MATCH_EQ, "host", "h1"},
                {MATCH_RE, "app", "app-[0-3]"}, {MATCH_EQ, "app", "absent"}};
    size_t i = records_random(rng) % (sizeof(some) / sizeof(some[0]));
    struct err err;

    assert_int_equal(matcher_init(m, some[i].op, str_of(some[i].name), str_of(some[i].value), &err),
                     0);
}

static inline void ask_filter(struct question *q, size_t i, uint64_t *rng)
{
    static const char *const texts[] = {"error", "id=1",   "GET ", "absent text", "",
                                        "e",     "\r\xff", "7",    "\xc3\xa9t"};
    static const char *const patterns[] = {"id=[0-9]{2}$", "(?i)ERROR", "^request", "user=.*200"};
    struct scan_filter *f = &q->f[i];
    struct err err;

    f->op = (enum scan_filter_op)(records_random(rng) % 4);
    f->n = 1 + records_random(rng) % 2;
    for (size_t k = 0; k < f->n; k++) {
        q->text[i][k] = str_of(texts[records_random(rng) % 9]);
        if (f->op == SCAN_MATCHES || f->op == SCAN_MATCHES_NOT)
            assert_int_equal(
                regexp_new(str_of(patterns[records_random(rng) % 4]), false, &q->re[i][k], &err),
                0);
    }
    f->text = q->text[i];
    f->re = (const struct regexp *const *)q->re[i];
}

static inline void ask(struct question *q, uint64_t *rng)
{
    memset(q, 0, sizeof(*q));
    q->req = (struct scan_request){
        .matchers = q->m,
        .n_matchers = records_random(rng) % 3,
        .filters = q->f,
        .n_filters = records_random(rng) % 3,
        .from = INT64_MIN,
        .to = INT64_MAX,
        .order = (enum scan_order)(records_random(rng) % 3),
        .need_line = records_random(rng) % 3 != 0,
        .need_attrs = records_random(rng) % 2 == 0,
        .batch_records = records_random(rng) % 3 == 0 ? 0 : 1 + records_random(rng) % 50,
        .expect = records_random(rng) % 2 == 0 ? 0 : 1 + records_random(rng) % 600,
    };
    if (records_random(rng) % 3 != 0) {
        q->req.from = time_of_day(DAY) + (ts_ns)(records_random(rng) % (60 * NS_PER_H));
        q->req.to = q->req.from + (ts_ns)(records_random(rng) % (20 * NS_PER_H));
    }
    for (size_t i = 0; i < q->req.n_matchers; i++)
        ask_matcher(&q->m[i], rng);
    for (size_t i = 0; i < q->req.n_filters; i++)
        ask_filter(q, i, rng);
}

static inline void forget(struct question *q)
{
    for (size_t i = 0; i < q->req.n_matchers; i++)
        matcher_fini(&q->m[i]);
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 2; k++)
            regexp_free(&q->re[i][k]);
}

#endif
