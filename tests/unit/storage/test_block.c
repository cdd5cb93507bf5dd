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
    struct lines_plan *lines_plan, *attrs_plan;
    struct lines *lines, *attrs; /* attrs: NULL when no row has any */
    struct block_rollup rollup;  /* n == 0: none */
    struct block_census census;

    /* Plain data frames, and which is the first of the attributes. */
    struct str data[BLOCK_FRAMES_MAX];
    uint32_t n_data, first_attrs;
};

static int give_lines(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    const struct decoded *d = arg;

    if (index >= d->n_data)
        return err_set(err, ERR_CORRUPT, "no such frame");
    *ret = d->data[index];
    return 0;
}

static int give_attrs(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    return give_lines(arg, ((const struct decoded *)arg)->first_attrs + index, ret, err);
}

static int open_plans(struct str frame, size_t n, struct arena *a, struct decoded *d,
                      struct err *err)
{
    struct block_plans plans = {STR_NULL, STR_NULL};
    int r = block_plans_split(frame, &plans, err);

    if (r == 0)
        r = lines_plan_new(plans.lines, n, NULL, &d->lines_plan, err);
    if (r == 0)
        r = lines_open(d->lines_plan, give_lines, d, a, &d->lines, err);
    if (r < 0 || plans.attrs.n == 0)
        return r;
    d->first_attrs = (uint32_t)d->lines_plan->n_frames;
    r = lines_plan_new(plans.attrs, n, NULL, &d->attrs_plan, err);
    return r < 0 ? r : lines_open(d->attrs_plan, give_attrs, d, a, &d->attrs, err);
}

static int decode(const struct block_frame *f, size_t n_frames, const struct block_row *rows,
                  size_t n, struct arena *a, struct decoded *ret, struct err *err)
{
    const struct block_shape shape = {n, rows[0].stream, rows[n - 1].stream};
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    int r = 0;

    memset(ret, 0, sizeof(*ret));
    for (size_t i = 0; r == 0 && i < n_frames; i++) {
        struct str plain;
        assert_true(i == 0 || f[i].kind >= f[i - 1].kind);
        r = block_frame_open(zstd, &f[i], a, &plain, err);
        if (r == 0 && f[i].kind == BLOCK_KEYS)
            r = block_keys_decode(plain, &shape, BLOCK_WANT_KEYS, a, &ret->keys, err);
        else if (r == 0 && f[i].kind == BLOCK_PLAN)
            r = open_plans(plain, n, a, ret, err);
        else if (r == 0 && f[i].kind == BLOCK_ROLLUP)
            r = block_rollup_decode(plain, &shape, a, &ret->rollup, err);
        else if (r == 0 && f[i].kind == BLOCK_CENSUS)
            r = block_census_decode(plain, &shape, ret->lines_plan->n_templates, a, &ret->census,
                                    err);
        else if (r == 0)
            ret->data[ret->n_data++] = plain;
    }
    (void)ZSTD_freeDCtx(zstd);
    return r;
}

static void decoded_fini(struct decoded *d)
{
    lines_plan_free(&d->lines_plan);
    lines_plan_free(&d->attrs_plan);
}

static void check_row(struct decoded *d, size_t i, const struct block_row *rows, size_t n)
{
    size_t at = d->keys.layout[i];
    const struct label *attr = NULL;
    uint32_t n_attr = 0;
    struct arena *out = arena_new(NULL, 0);
    struct str line;
    struct err err;

    assert_true(at < n);
    assert_true(d->keys.ts[i] == rows[at].ts);
    assert_true(d->keys.seq[i] == rows[at].seq);
    assert_true(d->keys.stream[i] == rows[at].stream);
    assert_int_equal(lines_render(d->lines, at, out, &line, &err), 0);
    assert_true(str_eq(line, rows[at].line));
    if (d->attrs != NULL)
        assert_int_equal(lines_attrs(d->attrs, at, out, &attr, &n_attr, &err), 0);
    assert_int_equal(n_attr, rows[at].n_attr);
    for (uint32_t k = 0; k < n_attr; k++) {
        assert_true(str_eq(attr[k].name, rows[at].attr[k].name));
        assert_true(str_eq(attr[k].value, rows[at].attr[k].value));
    }
    arena_free(&out);
}

static struct str level_of(const struct block_row *row)
{
    for (uint32_t i = 0; i < row->n_attr; i++)
        if (str_eq(row->attr[i].name, STR("detected_level")))
            return row->attr[i].value;
    return STR_NULL;
}

/* Every entry against the rows it is made of: of its minute, or of any where they were summed. */
static void check_rollup(const struct block_rollup *u, const struct block_row *rows, size_t n,
                         bool summed)
{
    size_t counted = 0;

    for (size_t i = 0; i < u->n; i++) {
        const struct block_rollup_entry *e = &u->entry[i];
        struct str level = u->level[e->level];
        uint64_t bytes = 0;
        uint32_t count = 0;
        for (size_t k = 0; k < n; k++) {
            struct str got = level_of(&rows[k]);
            int64_t from = e->minute * NS_PER_MIN;
            if (rows[k].stream != e->stream || (got.p == NULL) != (level.p == NULL) ||
                !str_eq(got, level) ||
                (!summed && (rows[k].ts <= from || rows[k].ts - from > NS_PER_MIN)))
                continue;
            count++;
            bytes += rows[k].line.n;
        }
        assert_int_equal(e->rows, count);
        assert_true(e->line_bytes == bytes);
        assert_true(!summed || e->minute == 0);
        counted += count;
    }
    assert_int_equal(counted, n);
}

static bool is_counted(const struct block_census *u, const struct block_census_run *run,
                       const struct block_row *row)
{
    struct str level = u->level[run->level];
    struct str got = level_of(row);

    return row->stream == run->stream && (got.p == NULL) == (level.p == NULL) && str_eq(got, level);
}

/* The same of a census, by the templates that rows are stored with. */
static void check_census(struct decoded *d, const struct block_row *rows, size_t n)
{
    const struct block_census *u = &d->census;
    struct lines_ids ids = {.template = NULL};
    size_t counted = 0;
    struct err err;

    assert_int_equal(lines_ids(d->lines, &ids, &err), 0);
    for (size_t i = 0; i < u->n; i++) {
        const struct block_census_run *run = u->run;
        int64_t from = u->entry[i].minute * NS_PER_MIN;
        uint32_t count = 0;
        while (i >= (size_t)run->first + run->n)
            run++;
        for (size_t k = 0; k < n; k++)
            count += is_counted(u, run, &rows[k]) && rows[k].ts >= from &&
                     rows[k].ts - from < NS_PER_MIN &&
                     (ids.template == NULL ? 0 : ids.template[k]) == run->template;
        assert_int_equal(u->entry[i].rows, count);
        counted += count;
    }
    assert_int_equal(counted, n);
}

static void rows_come_back(void **state)
{
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = malloc(ROWS_MAX * sizeof(*rows));
    struct decoded *d = malloc(sizeof(*d));
    unsigned rollups = 0;
    unsigned censuses = 0;

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
        struct err err;
        assert_int_equal(block_encoder_run(e, rows, n, &f, &n_frames, &err), 0);
        assert_int_equal(decode(f, n_frames, rows, n, a, d, &err), 0);
        for (size_t i = 0; i < n; i++) {
            check_row(d, i, rows, n);
            assert_true(i == 0 || d->keys.seq[i - 1] < d->keys.seq[i]); /* order of arrival */
        }
        rollups += d->rollup.n > 0;
        if (d->rollup.n > 0) {
            check_rollup(&d->rollup, rows, n, false);
            block_rollup_sum(&d->rollup);
            check_rollup(&d->rollup, rows, n, true);
        }
        if (d->census.n > 0)
            check_census(d, rows, n);
        censuses += d->census.n > 0;
        decoded_fini(d);
        arena_free(&a);
        batch_unref(&b);
    }
    assert_true(rollups > 5 && rollups < 40); /* few rows of many streams have none */
    assert_true(censuses > 5 && censuses <= rollups);
    block_encoder_free(&e);
    free(d);
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
    struct decoded *d = malloc(sizeof(*d));
    struct err err;

    (void)state;
    assert_int_equal(block_encoder_run(e, rows, 3, &f, &n_frames, &err), 0);
    assert_int_equal(decode(f, n_frames, rows, 3, a, d, &err), 0);
    assert_null(d->attrs); /* nothing is stored for attributes that nobody has */
    for (size_t i = 0; i < 3; i++)
        check_row(d, i, rows, 3);
    decoded_fini(d);
    free(d);
    arena_free(&a);
    block_encoder_free(&e);
}

/* Minutes at both ends of what times can be; a gap between them is no gap that could not be. */
static void a_census_holds_any_time(void **state)
{
    static const ts_ns times[] = {INT64_MIN, -1, 0, INT64_MAX};
    struct block_encoder *e = block_encoder_new(0);
    struct block_row rows[32];
    struct arena *a = arena_new(NULL, 0);
    struct decoded *d = malloc(sizeof(*d));
    const struct block_frame *f = NULL;
    size_t n_frames = 0;
    struct err err;

    (void)state;
    for (uint32_t i = 0; i < 32; i++)
        rows[i] = (struct block_row){.ts = times[i % 4], .seq = i, .line = STR("a line")};
    assert_int_equal(block_encoder_run(e, rows, 32, &f, &n_frames, &err), 0);
    assert_int_equal(decode(f, n_frames, rows, 32, a, d, &err), 0);
    assert_int_equal(d->census.n_runs, 1);
    assert_int_equal(d->census.n, 4);
    for (size_t i = 0; i < 4; i++) {
        ts_ns floor = times[i] / NS_PER_MIN - (times[i] < 0 ? 1 : 0);
        assert_int_equal(d->census.entry[i].minute, floor);
        assert_int_equal(d->census.entry[i].rows, 8);
    }
    decoded_fini(d);
    free(d);
    arena_free(&a);
    block_encoder_free(&e);
}

/* A key of its own in each record must not make a template and a column each. */
static void many_keys_stay_small(void **state)
{
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = calloc(ROWS_MAX, sizeof(*rows));
    struct decoded *d = malloc(sizeof(*d));
    struct arena *a = arena_new(NULL, 0);
    const struct block_frame *f = NULL;
    size_t n_frames = 0;
    size_t bytes = 0;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ROWS_MAX; i++) {
        struct label *l = arena_alloc(a, 2 * sizeof(*l));
        l[0] = (struct label){arena_printf(a, "k%zu", i), STR("v")};
        l[1] = (struct label){STR("z"), arena_printf(a, "%zu", i % 3)};
        rows[i] = (struct block_row){.seq = i + 1, .line = STR("x"), .attr = l, .n_attr = 2};
    }
    assert_int_equal(block_encoder_run(e, rows, ROWS_MAX, &f, &n_frames, &err), 0);
    for (size_t i = 0; i < n_frames; i++)
        bytes += f[i].raw_bytes;
    assert_true(bytes < ROWS_MAX * 16);
    assert_int_equal(decode(f, n_frames, rows, ROWS_MAX, a, d, &err), 0);
    assert_int_equal(d->attrs_plan->n_templates, 1);
    for (size_t i = 0; i < ROWS_MAX; i += 97)
        check_row(d, i, rows, ROWS_MAX);
    decoded_fini(d);
    free(d);
    arena_free(&a);
    block_encoder_free(&e);
    free(rows);
}

/* What counting asks for, without what it does not. */
static void keys_are_read_one_by_one(void **state)
{
    static const unsigned wanted[] = {BLOCK_WANT_TS, BLOCK_WANT_STREAM, BLOCK_WANT_SEQ,
                                      BLOCK_WANT_LAYOUT, BLOCK_WANT_TS | BLOCK_WANT_STREAM};
    struct records_options opt = {.seed = 5, .n = 900, .n_streams = 9, .span = NS_PER_MIN};
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = malloc(ROWS_MAX * sizeof(*rows));
    struct batch *b = records_make(&opt);
    struct arena *a = arena_new(NULL, 0);
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    size_t n = make_rows(b, rows);
    const struct block_shape shape = {n, rows[0].stream, rows[n - 1].stream};
    const struct block_shape moved = {n, rows[0].stream + 70, rows[n - 1].stream + 70};
    const struct block_frame *f = NULL;
    size_t n_frames = 0;
    struct block_keys all;
    struct block_keys k;
    struct str plain;
    struct err err;

    (void)state;
    assert_int_equal(block_encoder_run(e, rows, n, &f, &n_frames, &err), 0);
    assert_int_equal(block_frame_open(zstd, &f[0], a, &plain, &err), 0);
    assert_int_equal(block_keys_decode(plain, &shape, BLOCK_WANT_KEYS, a, &all, &err), 0);
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        assert_int_equal(block_keys_decode(plain, &shape, wanted[i], a, &k, &err), 0);
        assert_int_equal(k.ts != NULL, (wanted[i] & BLOCK_WANT_TS) != 0);
        assert_int_equal(k.seq != NULL, (wanted[i] & BLOCK_WANT_SEQ) != 0);
        assert_int_equal(k.layout != NULL, (wanted[i] & BLOCK_WANT_LAYOUT) != 0);
        for (size_t row = 0; row < n; row++) {
            assert_true(k.ts == NULL || k.ts[row] == all.ts[row]);
            assert_true(k.seq == NULL || k.seq[row] == all.seq[row]);
            assert_true(k.stream == NULL || k.stream[row] == all.stream[row]);
            assert_true(k.layout == NULL || k.layout[row] == all.layout[row]);
        }
    }
    /* In a segment that numbers streams otherwise. */
    assert_int_equal(block_keys_decode(plain, &moved, BLOCK_WANT_STREAM, a, &k, &err), 0);
    for (size_t row = 0; row < n; row++)
        assert_int_equal(k.stream[row], all.stream[row] + 70);
    (void)ZSTD_freeDCtx(zstd);
    arena_free(&a);
    block_encoder_free(&e);
    batch_unref(&b);
    free(rows);
}

/* Lines that have nothing in common are stored as text, whatever was tried before. */
static void text_without_templates_is_stored_as_it_is(void **state)
{
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = calloc(ROWS_MAX, sizeof(*rows));
    struct decoded *d = malloc(sizeof(*d));
    struct arena *a = arena_new(NULL, 0);
    const struct block_frame *f = NULL;
    size_t n_frames = 0;
    uint64_t rng = 5;
    struct err err;

    (void)state;
    for (size_t i = 0; i < ROWS_MAX; i++) {
        char *p = arena_bytes(a, 64);
        for (size_t k = 0; k < 64; k++)
            p[k] = (char)('a' + records_random(&rng) % 26);
        rows[i] = (struct block_row){.seq = i + 1, .line = {p, 20 + i % 40}};
    }
    assert_int_equal(block_encoder_run(e, rows, ROWS_MAX, &f, &n_frames, &err), 0);
    assert_int_equal(decode(f, n_frames, rows, ROWS_MAX, a, d, &err), 0);
    assert_int_equal(d->lines_plan->n_templates, 1);
    assert_int_equal(d->lines_plan->template[0].kind, TEMPLATE_RAW);
    for (size_t i = 0; i < ROWS_MAX; i += 31)
        check_row(d, i, rows, ROWS_MAX);
    decoded_fini(d);
    free(d);
    arena_free(&a);
    block_encoder_free(&e);
    free(rows);
}

static void flip_bit(char *p, size_t n, uint64_t *rng)
{
    uint64_t bit = records_random(rng) % (8 * n);

    p[bit / 8] = (char)((unsigned char)p[bit / 8] ^ 1u << bit % 8);
}

/* Whatever can be read of it. */
static void read_rows(struct decoded *d, size_t n)
{
    struct arena *out = arena_new(NULL, 64 << 20);

    for (size_t i = 0; i < n; i++) {
        const struct label *attr;
        uint32_t n_attr;
        struct str line;
        struct err err;
        int r = lines_render(d->lines, i, out, &line, &err);
        assert_true(r == 0 || r == ERR_CORRUPT || r == ERR_LIMIT);
        r = d->attrs == NULL ? 0 : lines_attrs(d->attrs, i, out, &attr, &n_attr, &err);
        assert_true(r == 0 || r == ERR_CORRUPT || r == ERR_LIMIT);
    }
    arena_free(&out);
}

static int decode_damaged(const struct block_frame *frames, size_t n_frames, size_t victim,
                          const struct block_row *rows, size_t n, struct decoded *d)
{
    struct arena *a = arena_new(NULL, 64 << 20);
    struct err err;
    int r;

    r = decode(frames, n_frames, rows, n, a, d, &err);
    assert_true(r == 0 || r == ERR_CORRUPT || r == ERR_LIMIT);
    if (r == 0 && frames[victim].kind >= BLOCK_PLAN)
        read_rows(d, n);
    decoded_fini(d);
    arena_free(&a);
    return r;
}

/* Flip bits of plain frames (behind the seal, so to say): an error or other rows, never more. */
static void damaged_frames_end_in_an_error(void **state)
{
    struct records_options opt = {.seed = 3, .n = 200, .n_streams = 4, .span = NS_PER_S};
    struct block_encoder *e = block_encoder_new(0);
    struct block_row *rows = malloc(ROWS_MAX * sizeof(*rows));
    struct decoded *d = malloc(sizeof(*d));
    struct batch *b = records_make(&opt);
    struct arena *plain = arena_new(NULL, 0);
    ZSTD_DCtx *zstd = ZSTD_createDCtx();
    size_t n = make_rows(b, rows);
    const struct block_frame *f = NULL;
    struct block_frame *copy;
    size_t n_frames = 0;
    uint64_t rng = 77;
    unsigned refused = 0;
    struct err err;

    (void)state;
    assert_int_equal(block_encoder_run(e, rows, n, &f, &n_frames, &err), 0);
    copy = malloc(n_frames * sizeof(*copy));
    for (size_t i = 0; i < n_frames; i++) {
        copy[i] = (struct block_frame){.kind = f[i].kind, .codec = BLOCK_PLAIN};
        assert_int_equal(block_frame_open(zstd, &f[i], plain, &copy[i].bytes, &err), 0);
        copy[i].raw_bytes = (uint32_t)copy[i].bytes.n;
    }
    for (unsigned round = 0; round < 3000; round++) {
        size_t victim = round % n_frames;
        struct block_frame whole = copy[victim];
        struct block_frame *v = &copy[victim];
        char *bytes = bytes_exact(v->bytes);
        v->bytes.p = bytes;
        if (v->bytes.n > 0)
            flip_bit(bytes, v->bytes.n, &rng);
        if (round % 5 == 0 && v->bytes.n > 0)
            v->bytes.n = records_random(&rng) % v->bytes.n;
        v->raw_bytes = (uint32_t)v->bytes.n;
        refused += decode_damaged(copy, n_frames, victim, rows, n, d) != 0;
        *v = whole;
        free(bytes);
    }
    assert_true(refused > 500);
    (void)ZSTD_freeDCtx(zstd);
    arena_free(&plain);
    block_encoder_free(&e);
    batch_unref(&b);
    free(copy);
    free(d);
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
                             .codec = BLOCK_CODEC_TEMPLATES,
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
           cmocka_unit_test(a_census_holds_any_time), cmocka_unit_test(many_keys_stay_small),
           cmocka_unit_test(keys_are_read_one_by_one),
           cmocka_unit_test(text_without_templates_is_stored_as_it_is),
           cmocka_unit_test(damaged_frames_end_in_an_error),
           cmocka_unit_test(a_frame_that_claims_to_be_huge_costs_nothing),
           cmocka_unit_test(a_header_comes_back_and_no_bit_of_it_may_change))
