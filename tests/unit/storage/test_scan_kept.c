/* storage/scan_kept.c: rows that were written out, for who asks for the same again. */
#include "storage/scan.h"

#include "tests/lib/feed.h"

enum { ROWS = 3000, FEW = 10, LONG = 10000 };

struct fixture {
    struct feed f;
    size_t line_bytes;
};

/* Lines of so many bytes as the payload says, each with its number in front; two attributes, one of
 * them empty. */
static int decode(void *arg, const struct store_payload *p, struct batch **ret, struct err *err)
{
    struct batch *b = batch_new(NULL, 0);
    struct label app = {STR("app"), STR("a")};
    struct labels l = {&app, 1};
    uint64_t line_bytes;
    int r = 0;

    (void)arg;
    assert_true(str_to_u64(p->bytes, &line_bytes));
    for (uint32_t i = 0; r == 0 && i < ROWS; i++) {
        struct label *attr = arena_alloc(b->arena, 2 * sizeof(*attr));
        char *line = arena_alloc(b->arena, line_bytes + 1);
        struct record rec = {.ts = FEED_DAY + i, .attr = attr, .n_attr = 2};
        memset(line, 'x', line_bytes);
        line[snprintf(line, line_bytes, "%u", i)] = ' ';
        rec.line = (struct str){line, line_bytes};
        attr[0] = (struct label){STR("empty"), STR("")};
        attr[1] = (struct label){STR("n"), arena_printf(b->arena, "%u", i * 7)};
        r = batch_stream(b, &l, &rec.stream, err);
        if (r == 0)
            r = batch_add(b, &rec, err);
    }
    *ret = b;
    return r;
}

/* All in segments. */
static struct fixture *setup(size_t bytes)
{
    struct fixture *x = mem_new(sizeof(*x));
    char text[16];
    struct err err;

    x->line_bytes = bytes;
    feed_init(&x->f);
    x->f.opt.decode = decode;
    x->f.opt.no_compaction = true;
    x->f.opt.cache_bytes = 64 << 20;
    x->f.make = decode;
    feed_open(&x->f);
    (void)snprintf(text, sizeof(text), "%zu", bytes);
    assert_int_equal(feed_put(&x->f, "t", text), STORE_STORED);
    assert_int_equal(store_flush(x->f.s, &err), 0);
    return x;
}

static void teardown(struct fixture *x)
{
    feed_fini(&x->f);
    free(x);
}

static uint64_t entries(struct fixture *x)
{
    struct store_stats st;

    store_stats(x->f.s, &st);
    return st.cache_entries;
}

struct question {
    size_t expect;
    bool need_line, need_attrs;
    enum scan_parser parser;
};
static const struct question USUAL = {FEW, true, true, SCAN_PARSE_NONE};

static void check_record(const struct fixture *x, const struct record *rec, uint32_t i)
{
    char text[16];

    (void)snprintf(text, sizeof(text), "%u x", i);
    assert_int_equal(rec->ts, FEED_DAY + i);
    assert_int_equal(rec->line.n, x->line_bytes);
    assert_true(str_starts(rec->line, str_of(text)));
    assert_int_equal(rec->line.p[rec->line.n - 1], 'x');
    assert_int_equal(rec->n_attr, 2);
    assert_true(str_eq(rec->attr[0].name, STR("empty")) && rec->attr[0].value.n == 0);
    (void)snprintf(text, sizeof(text), "%u", i * 7);
    assert_true(str_eq(rec->attr[1].name, STR("n")) && str_eq(rec->attr[1].value, str_of(text)));
}

/* The newest; returns the bytes that were read. */
static uint64_t ask(struct fixture *x, const struct question *q)
{
    const struct str t = STR("t");
    struct scan_request req = {.tenants = &t,
                               .n_tenants = 1,
                               .to = INT64_MAX,
                               .order = SCAN_BACKWARD,
                               .need_line = q->need_line,
                               .need_attrs = q->need_attrs,
                               .parser = q->parser,
                               .expect = q->expect,
                               .batch_records = FEW / 2};
    struct batch *b[2];
    struct scan_stats st;
    struct scan *sc;
    struct err err;

    assert_int_equal(scan_open(x->f.s, &req, &sc, &err), 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(scan_next(sc, &b[i], &err), 0);
    for (uint32_t i = 0; i < FEW; i++) { /* all of them when the second one is there */
        const struct batch *at = b[2 * i / FEW];
        const struct record *rec = &at->records[i % (FEW / 2)];
        assert_int_equal(rec->ts, FEED_DAY + ROWS - 1 - i);
        if (q->need_line && q->need_attrs && q->parser == SCAN_PARSE_NONE)
            check_record(x, rec, ROWS - 1 - i);
    }
    scan_stats(sc, &st);
    for (size_t i = 0; i < 2; i++)
        batch_unref(&b[i]);
    scan_close(&sc);
    return st.stored_bytes_read;
}

static void a_row_is_kept_as_it_was_written_out(void **state)
{
    struct fixture *x = setup(200);
    uint64_t before;
    (void)state;

    assert_true(ask(x, &USUAL) > 0);
    before = entries(x);
    assert_true(before >= FEW);
    assert_int_equal(ask(x, &USUAL), 0);
    assert_int_equal(entries(x), before);
    teardown(x);
}

static void only_few_whole_rows_are_worth_it(void **state)
{
    static const struct question OTHERS[] = {
        {0, true, true, SCAN_PARSE_NONE},    {5000, true, true, SCAN_PARSE_NONE},
        {FEW, true, false, SCAN_PARSE_NONE}, {FEW, false, true, SCAN_PARSE_NONE},
        {FEW, true, true, SCAN_PARSE_JSON},
    };
    uint64_t before;
    (void)state;

    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        struct fixture *x = setup(200);
        (void)ask(x, &OTHERS[i]);
        before = entries(x);
        assert_true(before < FEW);
        (void)ask(x, &USUAL);
        assert_true(entries(x) >= before + FEW);
        teardown(x);
    }
}

static void long_rows_are_not(void **state)
{
    struct fixture *x = setup(LONG);
    (void)state;

    (void)ask(x, &USUAL);
    assert_true(entries(x) < FEW);
    (void)ask(x, &USUAL);
    teardown(x);
}

CHECK_MAIN(cmocka_unit_test(a_row_is_kept_as_it_was_written_out),
           cmocka_unit_test(only_few_whole_rows_are_worth_it), cmocka_unit_test(long_rows_are_not))
