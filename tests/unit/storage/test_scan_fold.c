/*
 * storage/scan_fold.c, scan_tuple.c: rows counted column by column, by what fields their lines
 * have, are those of a walk over all records; so are they row by row, in more than one bucket.
 */
#include "tests/unit/storage/scan_world.h"

#include <stdlib.h>

enum { RECORDS = 1500, KEYS_MAX = 40000, FIELDS_MAX = 3 };

/* Lines in which fields are constants, few or many texts, numbers, patterns of numbers; some that
 * are no objects, and some that are broken. */
static void put_lines(struct batch *b, uint64_t *rng)
{
    for (uint32_t i = 0; i < b->n_records; i++) {
        struct record *rec = &b->records[i];
        unsigned x = (unsigned)(records_random(rng) % 100000);
        struct str line = rec->line;
        if (i % 5 < 3)
            line = arena_printf(b->arena,
                                "{\"ip\":\"10.1.%u.%u\",\"n\":%u,\"word\":\"%c%c%x\",\"port\":%u,"
                                "\"of\":\"x\",\"few\":\"v%u\"}",
                                x % 9, x / 9 % 250, x * 7919, 'a' + (int)(x % 26),
                                'a' + (int)(x / 26 % 26), x % 5000 * 77, 1024 + x % 300, x % 7);
        else if (i % 5 == 3 && x % 2 == 0)
            line = arena_printf(b->arena, "{\"ip\":\"%u.1.2.3\",\"n\":\"%u\"}", x % 256, x % 10);
        else if (i % 5 == 3 && x % 7 == 0)
            line = arena_printf(b->arena, "{\"ip\":\"%u", x);
        b->line_bytes += line.n - rec->line.n;
        rec->line = line;
    }
}

static struct world make_objects(uint64_t seed)
{
    struct world w = open_world();
    uint64_t rng = seed;

    make_batches(&w, seed, RECORDS, false);
    for (size_t t = 0; t < TENANTS; t++)
        for (size_t i = 0; i < BATCHES; i++)
            put_lines(w.batch[t][i], &rng);
    flush_batches(&w);
    return w;
}

static bool names(enum scan_parser parser, struct str path, struct str label)
{
    return parser == SCAN_PARSE_JSON && str_eq(path, label);
}

/* ---- what is counted ---- */

struct key {
    struct str line;
    bool tested;
    struct scan_cells cells;
};
struct tally {
    struct arena *arena;
    struct key *v;
    size_t n, n_buckets;
};

static int cells(void *arg, const struct scan_key *k, struct scan_cells **ret, struct err *err)
{
    struct tally *t = arg;
    struct key *key = &t->v[t->n];

    (void)err;
    assert_true(t->n < KEYS_MAX);
    assert_int_equal(k->n_attr, 0);
    key->line = arena_str(t->arena, k->line);
    key->tested = k->tested;
    key->cells.rows = arena_alloc(t->arena, t->n_buckets * sizeof(uint64_t));
    *ret = &key->cells;
    t->n++;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct key *x = a;
    const struct key *y = b;

    return x->tested != y->tested ? (x->tested ? 1 : -1) : str_cmp(x->line, y->line);
}

/* Keys in order, each once, all rows in the first bucket; those without rows go. */
static void settle(struct tally *t)
{
    size_t to = 0;

    qsort(t->v, t->n, sizeof(*t->v), by_key);
    for (size_t i = 0; i < t->n; i++) {
        struct key k = t->v[i];
        for (size_t b = 1; b < t->n_buckets; b++)
            k.cells.rows[0] += k.cells.rows[b];
        if (k.cells.rows[0] == 0)
            continue;
        if (to > 0 && by_key(&t->v[to - 1], &k) == 0)
            t->v[to - 1].cells.rows[0] += k.cells.rows[0];
        else
            t->v[to++] = k;
    }
    t->n = to;
}

static struct tally count(const struct world *w, const struct scan_count *like, const ts_ns *edge,
                          size_t n_edges)
{
    struct tally t = {.arena = arena_new(NULL, 0),
                      .v = calloc(KEYS_MAX, sizeof(struct key)),
                      .n_buckets = n_edges - 1};
    struct store_view v = make_view(w, 0);
    struct scan_count c = *like;
    struct scan_stats st;
    struct err err;

    c.edge = edge;
    c.n_edges = n_edges;
    c.cells = cells;
    c.arg = &t;
    if (scan_count_views(&v, 1, &c, &st, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(st.damaged_blocks, 0);
    settle(&t);
    return t;
}

static void free_tally(struct tally *t)
{
    arena_free(&t->arena);
    free(t->v);
}

/* ---- questions ---- */

static enum scan_verdict judge(const void *arg, struct str value)
{
    (void)arg;
    if (value.n == 0)
        return SCAN_FAILS;
    switch (value.p[value.n - 1] % 5) {
    case 0:
        return SCAN_UNSURE;
    case 1:
        return SCAN_FAILS;
    default:
        return SCAN_PASSES;
    }
}

static void check(const struct world *w, const struct scan_count *c)
{
    ts_ns middle = time_of_day(DAY) + 11 * NS_PER_H;
    const ts_ns one[] = {INT64_MIN, INT64_MAX};
    const ts_ns many[] = {INT64_MIN, middle - NS_PER_H, middle, middle + 9 * NS_PER_MIN, INT64_MAX};
    struct scan_request req = c->req;
    struct tally got = count(w, c, one, 2);
    struct tally want = count(w, c, many, 5);
    struct answer all;
    uint64_t rows = 0;

    assert_int_equal(got.n, want.n);
    for (size_t i = 0; i < want.n; i++) {
        if (by_key(&got.v[i], &want.v[i]) != 0)
            fail_msg("'%.*s' is not '%.*s'", STR_ARG(got.v[i].line), STR_ARG(want.v[i].line));
        assert_int_equal(got.v[i].cells.rows[0], want.v[i].cells.rows[0]);
        rows += got.v[i].cells.rows[0];
    }
    req.from = INT64_MIN;
    req.to = INT64_MAX;
    all = naive(w, 1, &req);
    if (c->req.n_conditions == 0)
        assert_int_equal(rows, all.n);
    free(all.v);
    free_tally(&got);
    free_tally(&want);
}

static void rows_by_column_are_those_row_by_row(void **state)
{
    static const struct str fields[][FIELDS_MAX] = {
        {STR_INIT("ip")},
        {STR_INIT("n")},
        {STR_INIT("word")},
        {STR_INIT("port")},
        {STR_INIT("few")},
        {STR_INIT("of")},
        {STR_INIT("no")},
        {STR_INIT("ip"), STR_INIT("few")},
        {STR_INIT("word"), STR_INIT("n")},
        {STR_INIT("ip"), STR_INIT("n"), STR_INIT("word")},
        {STR_INIT("few"), STR_INIT("port"), STR_INIT("of")}};
    static const struct str seven = STR_INIT("7");
    static const struct str none[1] = {STR_INIT("")};
    const struct scan_filter filter = {SCAN_CONTAINS, &seven, NULL, 1};
    const struct scan_test test = {.label = STR("port"), .parser = SCAN_PARSE_JSON, .judge = judge};
    const struct scan_condition condition = {&test, 1};

    (void)state;
    for (uint64_t seed = 4; seed < 6; seed++) {
        struct world w = make_objects(seed);
        struct err err;
        if (seed == 5)
            assert_int_equal(scan_pool_new(2, &w.pool, &err), 0);
        for (unsigned i = 0; i < 4 * sizeof(fields) / sizeof(fields[0]); i++) {
            struct mem_budget budget = {.name = "query"};
            struct scan_count c = {.by_line = true, .names = none, .req = {.budget = &budget}};
            c.field = fields[i / 4];
            while (c.n_fields < FIELDS_MAX && c.field[c.n_fields].n > 0)
                c.n_fields++;
            c.req.parser = SCAN_PARSE_JSON;
            c.req.names = names;
            c.req.field = c.field;
            c.req.n_fields = c.n_fields;
            c.req.filters = &filter;
            c.req.n_filters = i % 2;
            c.req.conditions = &condition;
            c.req.n_conditions = i / 2 % 2;
            check(&w, &c);
            assert_int_equal(budget.used, 0);
        }
        free_world(&w);
    }
}

/* ---- damage ---- */

enum { BUCKETS_MAX = 43200 };
#ifdef __SANITIZE_THREAD__ /* ten times as slow, and looking for other things */
enum { STEP_BYTES = 1021 };
#else
enum { STEP_BYTES = 83 };
#endif

/* The one segment of the day. */
static int open_segment(const struct world *w)
{
    int dir = openat(w->dir, "tenants/0000000000000001/20261121", O_RDONLY | O_DIRECTORY);
    DIR *d = fdopendir(dup(dir));
    const struct dirent *e;
    int fd = -1;

    while ((e = readdir(d)) != NULL)
        if (strstr(e->d_name, ".lqs") != NULL) {
            assert_int_equal(fd, -1);
            fd = openat(dir, e->d_name, O_RDWR);
        }
    assert_true(fd >= 0);
    assert_int_equal(closedir(d), 0);
    assert_int_equal(close(dir), 0);
    return fd;
}

/* Numbers of rows, added up or given as records: how many there were. */
struct totals {
    uint64_t rows;
    struct scan_cells cells;
    uint64_t by_column[BUCKETS_MAX], bytes[BUCKETS_MAX];
    struct scan_sum sum[1];
};

static int all_cells(void *arg, const struct scan_key *k, struct scan_cells **ret, struct err *err)
{
    struct totals *t = arg;

    (void)k;
    (void)err;
    *ret = &t->cells;
    return 0;
}

static int take_record(void *arg, const struct labels *stream, const struct record *rec,
                       struct err *err)
{
    struct totals *t = arg;

    (void)stream;
    (void)rec;
    (void)err;
    t->rows++;
    return 0;
}

static bool no_sevens(const void *arg, struct str text, double *ret)
{
    (void)arg;
    *ret = (double)text.n;
    return str_find_char(text, '7') == SIZE_MAX; /* else: give the record */
}

/* How many rows a day, in so many parts, has; none of a block that is damaged. */
static uint64_t count_day(const struct world *w, const struct scan_count *like, size_t buckets,
                          uint64_t *damaged)
{
    static ts_ns edge[BUCKETS_MAX + 1];
    static struct totals t;
    struct store_view v = make_view(w, 0);
    struct scan_value value = {.label = STR("")};
    struct scan_count c = *like;
    struct scan_stats st;
    struct err err;

    if (c.value != NULL) {
        value = *c.value;
        value.arg_record = &t;
        c.value = &value;
    }
    memset(&t, 0, sizeof(t));
    for (size_t i = 0; i <= buckets; i++)
        edge[i] = time_of_day(DAY) + (ts_ns)i * (NS_PER_DAY / (ts_ns)buckets);
    t.cells = (struct scan_cells){.rows = t.by_column, .bytes = t.bytes, .sum = t.sum};
    c.edge = edge;
    c.n_edges = buckets + 1;
    c.cells = all_cells;
    c.arg = &t;
    if (scan_count_views(&v, 1, &c, &st, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(st.blocks, 1);
    *damaged = st.damaged_blocks;
    for (size_t i = 0; i < buckets; i++)
        t.rows += t.by_column[i];
    return t.rows + t.sum[0].n;
}

/* A byte is damaged here and there, one at a time. */
static void check_damage(const struct world *w, int fd, const struct scan_count *c, size_t buckets)
{
    off_t size = lseek(fd, 0, SEEK_END);
    uint64_t damaged = 0;
    uint64_t whole = count_day(w, c, buckets, &damaged);
    unsigned hurt = 0;

    assert_int_equal(damaged, 0);
    assert_true(whole > 0);
    for (off_t at = STEP_BYTES; at < size; at += STEP_BYTES) {
        uint64_t rows;
        uint8_t good;
        uint8_t bad;
        assert_true(pread(fd, &good, 1, at) == 1);
        bad = (uint8_t)(good ^ 0x10);
        assert_true(pwrite(fd, &bad, 1, at) == 1);
        rows = count_day(w, c, buckets, &damaged);
        assert_true(pwrite(fd, &good, 1, at) == 1);
        if (rows != (damaged == 0 ? whole : 0))
            fail_msg("byte %lld: %llu rows of %llu", (long long)at, (unsigned long long)rows,
                     (unsigned long long)whole);
        hurt += damaged > 0;
    }
    assert_true(hurt > 0);
    assert_int_equal(count_day(w, c, buckets, &damaged), whole);
}

static void a_damaged_block_counts_whole_or_not_at_all(void **state)
{
    static const struct str fields[] = {STR_INIT("ip"), STR_INIT("n"), STR_INIT("word"),
                                        STR_INIT("port")};
    static const struct str none[1] = {STR_INIT("")};
    static const struct scan_value number = {.label = STR_INIT("ip"),
                                             .parser = SCAN_PARSE_JSON,
                                             .number = no_sevens,
                                             .record = take_record};
    struct scan_count c = {.names = none, .by_line = true};
    struct world w = open_world();
    uint64_t rng = 8;
    int fd;
    (void)state;

    make_batches(&w, 8, RECORDS, false);
    put_lines(w.batch[0][0], &rng);
    flush(&w, 0, 0, 10);
    w.visible = 1000; /* nothing is in memory */
    fd = open_segment(&w);
    c.req.parser = SCAN_PARSE_JSON;
    c.req.names = names;
    for (size_t n = 1; n <= sizeof(fields) / sizeof(fields[0]); n++) {
        c.field = c.req.field = fields + (n == 1 ? 2 : 0); /* texts; patterns; and tuples */
        c.n_fields = c.req.n_fields = n == 4 ? 4 : 1 + (n == 3);
        check_damage(&w, fd, &c, 1);
    }
    c.by_line = false;
    c.bytes = true;
    check_damage(&w, fd, &c, BUCKETS_MAX); /* row by row */
    c.bytes = false;
    c.value = &number;
    check_damage(&w, fd, &c, 1);
    assert_int_equal(close(fd), 0);
    free_world(&w);
}

CHECK_MAIN(cmocka_unit_test(a_damaged_block_counts_whole_or_not_at_all),
           cmocka_unit_test(rows_by_column_are_those_row_by_row))
