/* storage/block_*.c: rows through frames and back, and frames that nobody encoded. */
#include "storage/block.h"

#include "storage/block_header.h"
#include "tests/lib/bytes.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"

#include <zstd.h>

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 3000 };

static int by_layout(const void *a, const void *b)
{
    const struct block_row *x = a;
    const struct block_row *y = b;

    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static size_t make_rows(const struct batch *b, struct block_row *rows)
{
    for (uint32_t i = 0; i < b->n_records; i++) {
        const struct record *r = &b->records[i];
        rows[i] = (struct block_row){r->ts, r->seq, r->line, r->attr, r->n_attr, r->stream + 5};
    }
    qsort(rows, b->n_records, sizeof(*rows), by_layout);
    return b->n_records;
}

struct decoded {
    struct block_keys keys;
    struct block_lines lines;
    struct block_attrs attrs;
    bool has_attrs;
};

static int decode(const struct block_frame *f, size_t n_frames, const struct block_row *rows,
                  size_t n, struct arena *a, struct decoded *ret, struct err *err)
{
    const struct block_shape shape = {n, rows[0].stream, rows[n - 1].stream};
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    int r = 0;

    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; r == 0 && i < n_frames; i++) {
        struct str plain;
        r = block_frame_open(zstd, &f[i], a, &plain, err);
        if (r == 0 && f[i].kind == BLOCK_KEYS)
            r = block_keys_decode(plain, &shape, a, &ret->keys, err);
        else if (r == 0 && f[i].kind == BLOCK_LINES)
            r = block_lines_decode(plain, n, a, &ret->lines, err);
        else if (r == 0)
            r = block_attrs_decode(plain, n, a, &ret->attrs, err);
        ret->has_attrs = ret->has_attrs || f[i].kind == BLOCK_ATTRS;
    }
    (void)ZSTD_freeDCtx(zstd);
    return r;
}

static void check_row(const struct decoded *d, size_t i, const struct block_row *rows, size_t n)
{
    size_t at = d->keys.layout[i];
    const struct label *attr = NULL;
    uint32_t n_attr = 0;
    struct arena *out = arena_new(NULL, 0);
    struct err err;

    assert_true(at < n);
    assert_true(d->keys.ts[i] == rows[at].ts);
    assert_true(d->keys.seq[i] == rows[at].seq);
    assert_true(d->keys.stream[i] == rows[at].stream);
    assert_true(str_eq(block_line(&d->lines, at), rows[at].line));
    if (d->has_attrs)
        assert_int_equal(block_attrs_row(&d->attrs, at, out, &attr, &n_attr, &err), 0);
    assert_int_equal(n_attr, rows[at].n_attr);
    for (uint32_t k = 0; k < n_attr; k++) {
        assert_true(str_eq(attr[k].name, rows[at].attr[k].name));
        assert_true(str_eq(attr[k].value, rows[at].attr[k].value));
    }
    arena_free(&out);
}

static void rows_come_back(void **state)
{
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = malloc(ROWS_MAX * sizeof(*rows));

    (void)state;
    for (unsigned round = 0; round < 40; round++) {
        struct records_options opt = {.seed = round + 1,
                                      .n = round < 10 ? round + 1 : round * 70,
                                      .n_streams = 1 + round % 9 * 5,
                                      .first_seq = round * 1000,
                                      .from = round % 2 == 0 ? 0 : INT64_C(1795288478773648831),
                                      .span = NS_PER_MIN,
                                      .nasty = round % 3 == 0 && round < 25};
        struct batch *b = records_make(&opt);
        struct arena *a = arena_new(NULL, 0);
        size_t n = make_rows(b, rows);
        const struct block_frame *f = NULL;
        size_t n_frames = 0;
        struct decoded d;
        struct err err;
        assert_int_equal(block_encoder_run(e, rows, n, &f, &n_frames, &err), 0);
        assert_int_equal(decode(f, n_frames, rows, n, a, &d, &err), 0);
        for (size_t i = 0; i < n; i++) {
            check_row(&d, i, rows, n);
            assert_true(i == 0 || d.keys.seq[i - 1] < d.keys.seq[i]); /* order of arrival */
        }
        arena_free(&a);
        batch_unref(&b);
    }
    block_encoder_free(&e);
    free(rows);
}

static void extreme_times_come_back(void **state)
{
    struct block_encoder *e = block_encoder_new(0);
    const struct block_row rows[] = {{.ts = INT64_MAX, .seq = 1, .line = STR("a"), .stream = 0},
                                     {.ts = INT64_MIN, .seq = 2, .line = STR(""), .stream = 0},
                                     {.ts = 0, .seq = UINT64_MAX, .line = STR("b"), .stream = 1}};
    struct arena *a = arena_new(NULL, 0);
    const struct block_frame *f = NULL;
    size_t n_frames = 0;
    struct decoded d;
    struct err err;

    (void)state;
    assert_int_equal(block_encoder_run(e, rows, 3, &f, &n_frames, &err), 0);
    assert_int_equal(n_frames, 2); /* nothing is stored for attributes that nobody has */
    assert_int_equal(decode(f, n_frames, rows, 3, a, &d, &err), 0);
    for (size_t i = 0; i < 3; i++)
        check_row(&d, i, rows, 3);
    arena_free(&a);
    block_encoder_free(&e);
}

/* A key of its own in each record must not make a column each. */
static void many_keys_stay_small(void **state)
{
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = calloc(ROWS_MAX, sizeof(*rows));
    struct arena *a = arena_new(NULL, 0);
    const struct block_frame *f = NULL;
    size_t n_frames = 0;
    struct decoded d;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ROWS_MAX; i++) {
        struct label *l = arena_alloc(a, 2 * sizeof(*l));
        l[0] = (struct label){arena_printf(a, "k%zu", i), STR("v")};
        l[1] = (struct label){STR("z"), arena_printf(a, "%zu", i % 3)};
        rows[i] = (struct block_row){.seq = i + 1, .line = STR("x"), .attr = l, .n_attr = 2};
    }
    assert_int_equal(block_encoder_run(e, rows, ROWS_MAX, &f, &n_frames, &err), 0);
    assert_int_equal(f[2].kind, BLOCK_ATTRS);
    assert_true(f[2].raw_bytes < ROWS_MAX * 16);
    assert_int_equal(decode(f, n_frames, rows, ROWS_MAX, a, &d, &err), 0);
    assert_int_equal(d.attrs.n, 1);
    for (size_t i = 0; i < ROWS_MAX; i += 97)
        check_row(&d, i, rows, ROWS_MAX);
    arena_free(&a);
    block_encoder_free(&e);
    free(rows);
}

static void flip_bit(char *p, size_t n, uint64_t *rng)
{
    uint64_t bit = records_random(rng) % (8 * n);

    p[bit / 8] = (char)((unsigned char)p[bit / 8] ^ 1u << bit % 8);
}

/* Flip bits of plain frames (behind the seal, so to say): an error or other rows, never more. */
static void damaged_frames_end_in_an_error(void **state)
{
    struct records_options opt = {
        .seed = 3, .n = 200, .n_streams = 4, .span = NS_PER_S, .nasty = true};
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = malloc(ROWS_MAX * sizeof(*rows));
    struct batch *b = records_make(&opt);
    size_t n = make_rows(b, rows);
    const struct block_frame *f = NULL;
    size_t n_frames = 0;
    uint64_t rng = 77;
    unsigned refused = 0;
    struct err err;

    (void)state;
    assert_int_equal(block_encoder_run(e, rows, n, &f, &n_frames, &err), 0);
    for (unsigned round = 0; round < 3000; round++) {
        struct arena *a = arena_new(NULL, 64 << 20);
        struct block_frame one = f[round % n_frames];
        char *copy = bytes_exact(one.bytes);
        struct decoded d;
        int r;
        one.bytes.p = copy;
        if (one.bytes.n > 0)
            flip_bit(copy, one.bytes.n, &rng);
        if (round % 5 == 0 && one.bytes.n > 0)
            one.bytes.n = records_random(&rng) % one.bytes.n;
        r = decode(&one, 1, rows, n, a, &d, &err);
        assert_true(r == 0 || r == ERR_CORRUPT || r == ERR_LIMIT);
        refused += r != 0;
        if (r == 0 && one.kind == BLOCK_ATTRS)
            for (size_t i = 0; i < n; i++) {
                const struct label *attr;
                uint32_t n_attr;
                r = block_attrs_row(&d.attrs, i, a, &attr, &n_attr, &err);
                assert_true(r == 0 || r == ERR_CORRUPT || r == ERR_LIMIT);
            }
        free(copy);
        arena_free(&a);
    }
    assert_true(refused > 500);
    block_encoder_free(&e);
    batch_unref(&b);
    free(rows);
}

static void a_frame_that_claims_to_be_huge_costs_nothing(void **state)
{
    static const struct block_frame liars[] = {
        {BLOCK_KEYS, BLOCK_ZSTD, 200 << 20, {"short", 5}},
        {BLOCK_KEYS, BLOCK_PLAIN, UINT32_MAX, {"x", 1}},
        {BLOCK_KEYS, BLOCK_PLAIN, 2, {"x", 1}},
        {BLOCK_KEYS, 9, 1, {"x", 1}},
    };
    struct mem_budget budget = {.name = "query", .limit = 1 << 20};
    struct arena *a = arena_new(&budget, 0);
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    struct str plain;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(liars) / sizeof(liars[0]); i++)
        assert_int_equal(block_frame_open(zstd, &liars[i], a, &plain, &err), ERR_CORRUPT);
    assert_int_equal(budget.peak, 0);
    (void)ZSTD_freeDCtx(zstd);
    arena_free(&a);
}

static struct block_header sample_header(void)
{
    struct block_header h = {.index = 3,
                             .tenant_id = 0x1122334455667788,
                             .min_ts = -5,
                             .max_ts = 1795288478773648831,
                             .min_seq = 9,
                             .max_seq = 11,
                             .rows = 2,
                             .codec = BLOCK_CODEC_COLUMNS,
                             .raw_bytes = 100,
                             .stored_bytes = 77,
                             .first_stream = 1,
                             .last_stream = 2,
                             .frames = 2,
                             .first_frame = 6};

    memset(h.segment, 0xab, sizeof(h.segment));
    memset(h.digest.b, 0xcd, sizeof(h.digest.b));
    return h;
}

static void a_header_comes_back_and_no_bit_of_it_may_change(void **state)
{
    struct block_header h = sample_header();
    struct block_header got;
    uint8_t p[BLOCK_HEADER_STORED];
    struct err err;

    (void)state;
    block_header_put(&h, p);
    assert_int_equal(block_header_get(p, &got, &err), 0);
    assert_memory_equal(&h, &got, sizeof(h));
    for (size_t bit = 0; bit < 8 * sizeof(p); bit++) {
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_equal(block_header_get(p, &got, &err), ERR_CORRUPT);
        p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    h.last_stream = 5; /* more streams than rows */
    block_header_put(&h, p);
    assert_int_equal(block_header_get(p, &got, &err), ERR_CORRUPT);
}

CHECK_MAIN(cmocka_unit_test(rows_come_back), cmocka_unit_test(extreme_times_come_back),
           cmocka_unit_test(many_keys_stay_small), cmocka_unit_test(damaged_frames_end_in_an_error),
           cmocka_unit_test(a_frame_that_claims_to_be_huge_costs_nothing),
           cmocka_unit_test(a_header_comes_back_and_no_bit_of_it_may_change))
