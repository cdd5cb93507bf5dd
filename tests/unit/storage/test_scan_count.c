/*
 * storage/scan_count.c: whatever is counted, by streams, attributes and time, the numbers are those
 * of a naive walk over all records.  LOGQ_SWEEP=1 asks three times as much (scripts/sweep).
 */
#include "tests/unit/storage/scan_world.h"

#include "base/hash.h"
#include "storage/scan_combo.h"

#include <stdlib.h>

enum { CELLS_MAX = 4000, EDGES_MAX = 60 };

/* What a key comes to: labels, attributes; the cells behind it. */
struct group {
    char key[600];
    struct scan_cells cells;
};
struct tally {
    struct group *v;
    size_t n, n_buckets;
    bool bytes;
    uint16_t slot[2 * CELLS_MAX]; /* place + 1 in v, by hash of the key */
};

static void put_key(char key[600], const struct labels *stream, const struct label *attr,
                    uint32_t n_attr)
{
    size_t n = 0;

    for (size_t i = 0; i < stream->n; i++)
        n += (size_t)snprintf(key + n, 600 - n, "%.*s=%.*s,", STR_ARG(stream->v[i].name),
                              STR_ARG(stream->v[i].value));
    for (uint32_t i = 0; i < n_attr && n < 500; i++)
        n += (size_t)snprintf(key + n, 600 - n, "|%.*s=%.*s", STR_ARG(attr[i].name),
                              (int)(attr[i].value.n > 40 ? 40 : attr[i].value.n), attr[i].value.p);
}

static struct group *group_of(struct tally *t, const char *key)
{
    size_t at = hash_bytes(key, strlen(key), 0) % (2 * CELLS_MAX);

    for (; t->slot[at] != 0; at = (at + 1) % (2 * CELLS_MAX))
        if (strcmp(t->v[t->slot[at] - 1].key, key) == 0)
            return &t->v[t->slot[at] - 1];
    assert_true(t->n < CELLS_MAX);
    t->slot[at] = (uint16_t)(t->n + 1);
    memcpy(t->v[t->n].key, key, strlen(key) + 1);
    t->v[t->n].cells.rows = calloc(t->n_buckets, sizeof(uint64_t));
    t->v[t->n].cells.bytes = t->bytes ? calloc(t->n_buckets, sizeof(uint64_t)) : NULL;
    return &t->v[t->n++];
}

static int cells(void *arg, const struct scan_key *k, struct scan_cells **ret, struct err *err)
{
    char key[600] = "";

    (void)err;
    put_key(key, k->stream, k->attr, k->n_attr);
    *ret = strstr(key, "app=app-2") != NULL ? NULL : &group_of(arg, key)->cells;
    return 0;
}

static struct tally new_tally(size_t n_buckets, bool bytes)
{
    return (struct tally){
        .v = calloc(CELLS_MAX, sizeof(struct group)), .n_buckets = n_buckets, .bytes = bytes};
}

static void free_tally(struct tally *t)
{
    for (size_t i = 0; i < t->n; i++) {
        free(t->v[i].cells.rows);
        free(t->v[i].cells.bytes);
    }
    free(t->v);
}

static bool asks_for(const struct scan_count *c, struct str name)
{
    bool found = c->all_attrs;

    for (size_t i = 0; i < c->n_attrs; i++)
        found = found || str_eq(c->attrs[i], name);
    return found;
}

static void count_naively(const struct world *w, size_t tenants, const struct scan_count *c,
                          struct tally *t)
{
    struct scan_request req = c->req;
    struct answer a;

    req.from = c->edge[0];
    req.to = c->edge[c->n_edges - 1];
    a = naive(w, tenants, &req);
    for (size_t i = 0; i < a.n; i++) {
        const struct record *rec = a.v[i].rec;
        struct label attr[RECORD_ATTRS_MAX];
        struct scan_cells *to = NULL;
        char key[600] = "";
        uint32_t n = 0;
        size_t b = 0;
        for (uint32_t k = 0; k < rec->n_attr; k++)
            if (asks_for(c, rec->attr[k].name))
                attr[n++] = rec->attr[k];
        while (rec->ts >= c->edge[b + 1])
            b++;
        put_key(key, &a.v[i].b->streams[rec->stream], attr, n);
        assert_int_equal(
            cells(t, &(struct scan_key){&a.v[i].b->streams[rec->stream], attr, n, STR(""), false},
                  &to, NULL),
            0);
        if (to == NULL)
            continue;
        to->rows[b]++;
        if (t->bytes)
            to->bytes[b] += rec->line.n;
    }
    free(a.v);
}

static uint64_t sum(const struct tally *t)
{
    uint64_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        for (size_t b = 0; b < t->n_buckets; b++)
            n += t->v[i].cells.rows[b];
    return n;
}

static void check_count(const struct world *w, size_t tenants, struct scan_count *c)
{
    struct store_view v[TENANTS];
    struct tally got = new_tally(c->n_edges - 1, c->bytes);
    struct tally want = new_tally(c->n_edges - 1, c->bytes);
    struct scan_stats st;
    struct err err;

    count_naively(w, tenants, c, &want);
    for (size_t t = 0; t < tenants; t++)
        v[t] = make_view(w, t);
    c->cells = cells;
    c->arg = &got;
    if (scan_count_views(v, tenants, c, &st, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(got.n, want.n); /* nobody is asked for cells of rows that are not there */
    for (size_t i = 0; i < want.n; i++) {
        const struct group *g = group_of(&got, want.v[i].key);
        size_t n = want.n_buckets * sizeof(uint64_t);
        assert_memory_equal(g->cells.rows, want.v[i].cells.rows, n);
        if (c->bytes)
            assert_memory_equal(g->cells.bytes, want.v[i].cells.bytes, n);
    }
    assert_int_equal(sum(&got), sum(&want));
    assert_int_equal(st.damaged_blocks, 0);
    free_tally(&got);
    free_tally(&want);
}

/* ---- random buckets ---- */

static size_t draw_edges(uint64_t *rng, dur_ns hour, ts_ns edge[EDGES_MAX])
{
    size_t n = 2 + records_random(rng) % (EDGES_MAX - 2);
    ts_ns minute = 60 * NS_PER_S;
    ts_ns at = time_of_day(DAY) + (ts_ns)(records_random(rng) % (uint64_t)(20 * hour));
    bool alike = records_random(rng) % 2 == 0;

    if (records_random(rng) % 3 == 0)
        at = at / minute * minute + 1; /* as steps on whole minutes have them */
    for (size_t i = 0; i < n; i++) {
        edge[i] = at;
        at += alike ? (hour < NS_PER_H ? 1 : 37) * minute
                    : 1 + (ts_ns)(records_random(rng) % (uint64_t)(2 * hour));
    }
    return n;
}

static void any_count_is_the_naive_one(void **state)
{
    static const struct str names[][2] = {{STR_INIT("trace_id"), STR_INIT("zz")},
                                          {STR_INIT("detected_level"), STR_INIT("trace_id")}};
    static const uint64_t seeds[] = {1, 2, 3, DENSE, DENSE + 1};
    unsigned rounds = getenv("LOGQ_SWEEP") != NULL ? 60 : 20;
    uint64_t rng = 99;

    (void)state;
    for (size_t i = 0; i < sizeof(seeds) / sizeof(seeds[0]); i++) {
        uint64_t seed = seeds[i];
        struct world w = make_world(seed, seed < DENSE ? 40 + 60 * (uint32_t)seed : 300, seed == 1);
        struct err err;
        if (seed > 1)
            w.frames = frame_cache_new((size_t)128 << 10, NULL);
        if (seed > 2)
            assert_int_equal(scan_pool_new(2, &w.pool, &err), 0);
        for (unsigned round = 0; round < rounds; round++) {
            struct mem_budget budget = {.name = "query"};
            ts_ns edge[EDGES_MAX];
            struct question q;
            struct scan_count c = {.edge = edge};
            ask(&q, &rng);
            c.req = q.req;
            c.req.budget = &budget;
            if (records_random(&rng) % 2 == 0)
                c.req.n_filters = 0;
            c.n_edges = draw_edges(&rng, seed < DENSE ? NS_PER_H : NS_PER_MIN / 2, edge);
            c.bytes = records_random(&rng) % 3 == 0;
            c.all_attrs = records_random(&rng) % 4 == 0;
            c.attrs = names[records_random(&rng) % 2];
            c.n_attrs = records_random(&rng) % 3;
            check_count(&w, 1 + records_random(&rng) % TENANTS, &c);
            assert_int_equal(budget.used, 0);
            forget(&q);
        }
        free_world(&w);
    }
}

/* Places in the layout tell the streams of rows that a filter found. */
static void rows_of_one_bucket_are_told_by_their_places(void **state)
{
    const ts_ns edge[] = {INT64_MIN, INT64_MAX};
    uint64_t rng = 7;

    (void)state;
    for (uint64_t seed = DENSE; seed < DENSE + 3; seed++) {
        struct world w = make_world(seed, 300, false);
        for (unsigned round = 0; round < 20; round++) {
            struct question q;
            struct scan_count c = {.edge = edge, .n_edges = 2};
            ask(&q, &rng);
            c.req = q.req;
            check_count(&w, 1 + records_random(&rng) % TENANTS, &c);
            forget(&q);
        }
        free_world(&w);
    }
}

static size_t memory_of(const struct world *w, const ts_ns *edge, size_t n_edges)
{
    struct store_view v = make_view(w, 0);
    struct tally t = new_tally(n_edges - 1, true);
    struct scan_count c = {
        .edge = edge, .n_edges = n_edges, .bytes = true, .cells = cells, .arg = &t};
    struct mem_budget budget = {.name = "query"};
    struct scan_stats st;
    struct err err;

    c.req.budget = &budget;
    assert_int_equal(scan_count_views(&v, 1, &c, &st, &err), 0);
    assert_true(sum(&t) > 0);
    free_tally(&t);
    return budget.peak;
}

static size_t memory_for(const struct world *w, ts_ns first)
{
    ts_ns edge[EDGES_MAX];

    for (size_t i = 0; i < EDGES_MAX; i++)
        edge[i] = first + (ts_ns)i * NS_PER_MIN;
    return memory_of(w, edge, EDGES_MAX);
}

/* The range (T - 1m, T] of a whole minute T, and one that begins a nanosecond later. */
static void whole_minutes_are_counted_from_rollups(void **state)
{
    struct world w = make_world(DENSE, 400, false);

    (void)state;
    assert_true(memory_for(&w, time_of_day(DAY) - NS_PER_MIN + 1) <
                memory_for(&w, time_of_day(DAY) - NS_PER_MIN + 2));
    free_world(&w);
}

static uint64_t entries(const struct world *w)
{
    struct frame_cache_stats st;

    frame_cache_stats(w->frames, &st);
    return st.entries;
}

static void sums_of_whole_blocks_are_kept(void **state)
{
    const ts_ns edge[] = {INT64_MIN, INT64_MAX};
    struct world w = make_world(DENSE, 400, false);
    uint64_t without, with;

    (void)state;
    w.frames = frame_cache_new(0, NULL);
    (void)memory_for(&w, time_of_day(DAY) - NS_PER_MIN + 1); /* rollups are in the cache */
    without = entries(&w);
    (void)memory_of(&w, edge, 2);
    with = entries(&w);
    assert_true(with > without);
    (void)memory_of(&w, edge, 2);
    assert_int_equal(entries(&w), with);
    free_world(&w);
}

static int by_ts(const void *a, const void *b)
{
    ts_ns x = *(const ts_ns *)a;
    ts_ns y = *(const ts_ns *)b;

    return (x > y) - (x < y);
}

/* All time, cut where a record is, or just behind it. */
static size_t cut_at_records(const struct world *w, uint64_t *rng, ts_ns edge[5])
{
    size_t n = 0;
    size_t kept = 1;

    edge[n++] = INT64_MIN;
    edge[n++] = INT64_MAX;
    for (size_t i = records_random(rng) % 4; i > 0; i--) {
        const struct batch *b = w->batch[0][records_random(rng) % BATCHES];
        ts_ns at = records_random(rng) % 2 == 0 ? b->min_ts : b->max_ts;
        if (records_random(rng) % 2 == 0)
            at = b->records[records_random(rng) % b->n_records].ts;
        edge[n++] = at + (ts_ns)(records_random(rng) % 2);
    }
    qsort(edge, n, sizeof(*edge), by_ts);
    for (size_t i = 1; i < n; i++)
        if (edge[i] != edge[kept - 1])
            edge[kept++] = edge[i];
    return kept;
}

static void whole_blocks_and_cut_ones_are_counted(void **state)
{
    static const struct str level[] = {STR_INIT("detected_level")};
    uint64_t rng = 11;

    (void)state;
    for (uint64_t seed = DENSE; seed < DENSE + 3; seed++) {
        struct world w = make_world(seed, 300, false);
        w.frames = frame_cache_new(0, NULL);
        for (unsigned round = 0; round < 40; round++) {
            ts_ns edge[5];
            struct question q;
            struct scan_count c = {.edge = edge, .attrs = level};
            ask(&q, &rng);
            c.req = q.req;
            c.req.n_filters = 0;
            c.n_edges = cut_at_records(&w, &rng, edge);
            c.n_attrs = records_random(&rng) % 2;
            c.bytes = records_random(&rng) % 2 == 0;
            check_count(&w, 1 + records_random(&rng) % TENANTS, &c);
            forget(&q);
        }
        free_world(&w);
    }
}

static int refuse(void *arg, const struct scan_key *key, struct scan_cells **ret, struct err *err)
{
    (void)arg;
    (void)key;
    (void)ret;
    return err_set(err, ERR_LIMIT, "too many series");
}

static void what_cells_says_ends_the_count(void **state)
{
    struct world w = make_world(5, 60, false);
    struct store_view v = make_view(&w, 0);
    const ts_ns edge[] = {0, INT64_MAX};
    struct scan_count c = {.edge = edge, .n_edges = 2, .cells = refuse};
    struct scan_stats st;
    struct err err;

    (void)state;
    assert_int_equal(scan_pool_new(2, &w.pool, &err), 0);
    assert_int_equal(scan_count_views(&v, 1, &c, &st, &err), ERR_LIMIT);
    assert_string_equal(err.text, "too many series");
    free_world(&w);
}

CHECK_MAIN(cmocka_unit_test(any_count_is_the_naive_one),
           cmocka_unit_test(rows_of_one_bucket_are_told_by_their_places),
           cmocka_unit_test(whole_minutes_are_counted_from_rollups),
           cmocka_unit_test(sums_of_whole_blocks_are_kept),
           cmocka_unit_test(whole_blocks_and_cut_ones_are_counted),
           cmocka_unit_test(what_cells_says_ends_the_count))
