/* storage/scan_edge.c: the ends of blocks are kept from query to query; the answer is the same with
 * them and without. */
#include "storage/scan.h"

#include "tests/lib/feed.h"

enum { ROWS = 6000, STREAMS = 3 };

/* Row i of a store with one block: its time and stream. */
struct row {
    ts_ns ts;
    char app;
};

struct fixture {
    struct feed f;
    struct row row[ROWS];
    size_t n;
    char hidden;             /* stream; 0: none */
    struct scan_stats stats; /* of the last question */
    uint64_t misses;         /* of the cache, by it */
};

struct question {
    enum scan_order order;
    size_t expect;
    ts_ns from, to; /* 0: all */
    char app;       /* 0: all */
    size_t take;    /* 0: what is expected */
};

static void add(struct fixture *x, ts_ns ts)
{
    x->row[x->n] = (struct row){FEED_DAY + ts, (char)('a' + x->n % STREAMS)};
    x->n++;
}

/* All of them in one chunk, and on the disk. */
static void store(struct fixture *x)
{
    struct buf text;
    struct err err;

    buf_init(&text, 16 << 20);
    for (size_t i = 0; i < x->n; i++)
        buf_addf(&text, "R %lld %c line %zu\n", (long long)x->row[i].ts, x->row[i].app, i);
    buf_add_char(&text, '\0');
    assert_int_equal(feed_put(&x->f, "t", text.p), STORE_STORED);
    buf_fini(&text);
    assert_int_equal(store_flush(x->f.s, &err), 0);
}

static struct fixture *setup(void)
{
    struct fixture *x = mem_new(sizeof(*x));

    feed_init(&x->f);
    x->f.opt.no_compaction = true;
    feed_open(&x->f);
    return x;
}

static void teardown(struct fixture *x)
{
    feed_fini(&x->f);
    free(x);
}

/* A millisecond apart, neighbours in turn. */
static struct fixture *setup_spread(void)
{
    struct fixture *x = setup();

    for (size_t i = 0; i < ROWS; i++)
        add(x, (ts_ns)(i ^ 1) * NS_PER_MS);
    store(x);
    return x;
}

static uint64_t misses(struct fixture *x)
{
    struct store_stats st;

    store_stats(x->f.s, &st);
    return st.cache_misses;
}

static bool is_wanted(const struct fixture *x, const struct question *q, size_t i)
{
    const struct row *row = &x->row[i];

    return row->app != x->hidden && (q->app == 0 || row->app == q->app) &&
           (q->from == 0 || row->ts >= q->from) && (q->to == 0 || row->ts < q->to);
}

/* Does row i come before row k? */
static bool is_before(const struct fixture *x, const struct question *q, size_t i, size_t k)
{
    bool back = q->order == SCAN_BACKWARD;

    if (x->row[i].ts != x->row[k].ts)
        return back ? x->row[i].ts > x->row[k].ts : x->row[i].ts < x->row[k].ts;
    return back ? i > k : i < k;
}

/* The row that must come next behind `last` (SIZE_MAX: the first); SIZE_MAX: none. */
static size_t next_row(const struct fixture *x, const struct question *q, size_t last)
{
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < x->n; i++)
        if (is_wanted(x, q, i) && (last == SIZE_MAX || is_before(x, q, last, i)) &&
            (best == SIZE_MAX || is_before(x, q, i, best)))
            best = i;
    return best;
}

/* Takes what is expected; each record must be the right one. */
static void ask(struct fixture *x, const struct question *q)
{
    const struct str t = STR("t");
    const struct str app = {&q->app, 1};
    struct matcher m;
    struct scan_request req = {.tenants = &t,
                               .n_tenants = 1,
                               .matchers = &m,
                               .n_matchers = q->app != 0,
                               .from = q->from,
                               .to = q->to == 0 ? INT64_MAX : q->to,
                               .order = q->order,
                               .need_line = true,
                               .need_attrs = true,
                               .expect = q->expect};
    size_t take = q->take == 0 ? q->expect : q->take;
    uint64_t before = misses(x);
    struct batch *b = NULL;
    size_t taken = 0;
    size_t last = SIZE_MAX;
    struct scan *sc;
    struct err err;
    int r = 0;

    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), app, &err), 0);
    assert_int_equal(scan_open(x->f.s, &req, &sc, &err), 0);
    while (taken < take && (r = scan_next(sc, &b, &err)) == 0) {
        for (uint32_t i = 0; i < b->n_records && taken < take; i++, taken++) {
            char text[32];
            last = next_row(x, q, last);
            assert_true(last != SIZE_MAX);
            (void)snprintf(text, sizeof(text), "line %zu", last);
            check_str(b->records[i].line, text);
            assert_int_equal(b->records[i].ts, x->row[last].ts);
            assert_true(str_eq(labels_get(&b->streams[b->records[i].stream], STR("app")),
                               (struct str){&x->row[last].app, 1}));
        }
        batch_unref(&b);
    }
    assert_true(r >= 0);
    if (r == 1)
        assert_true(next_row(x, q, last) == SIZE_MAX);
    scan_stats(sc, &x->stats);
    scan_close(&sc);
    matcher_fini(&m);
    x->misses = misses(x) - before;
}

/* Asked again nothing is read, nor looked for in vain. */
static void check_is_known(struct fixture *x, const struct question *q)
{
    ask(x, q);
    assert_int_equal(x->stats.stored_bytes_read, 0);
    assert_int_equal(x->misses, 0);
}

static void the_end_is_known_from_the_question_before(void **state)
{
    static const enum scan_order ORDERS[] = {SCAN_BACKWARD, SCAN_FORWARD};
    struct fixture *x = setup_spread();
    (void)state;

    for (size_t i = 0; i < 2; i++) {
        const struct question q = {.order = ORDERS[i], .expect = 100};
        ask(x, &q);
        assert_true(x->stats.stored_bytes_read > 0);
        check_is_known(x, &q);
        assert_in_range(x->stats.lines, 100, 4 * 128); /* of 6000 */
    }
    teardown(x);
}

static void it_has_the_rows_of_all_streams_and_gives_those_that_are_asked_for(void **state)
{
    const struct question all = {.order = SCAN_BACKWARD, .expect = 100};
    const struct question few = {.order = SCAN_BACKWARD, .expect = 20, .app = 'b'};
    const struct question more = {.order = SCAN_BACKWARD, .expect = 300, .app = 'b'};
    struct fixture *x = setup_spread();
    (void)state;

    ask(x, &all);
    ask(x, &few); /* there are some forty of it in the end of all */
    assert_in_range(x->stats.lines, 20, 128);
    ask(x, &more);
    assert_true(x->stats.lines > 128); /* the rest had to be looked at */
    teardown(x);
}

static void only_what_lies_in_the_time_that_is_asked_for_comes(void **state)
{
    const struct question all = {.order = SCAN_BACKWARD, .expect = 100};
    struct question q = all;
    struct fixture *x = setup_spread();
    (void)state;

    ask(x, &all);
    for (size_t i = 0; i < 8; i++) { /* each begins further inside of the end, then behind it */
        q.to = FEED_DAY + (ts_ns)(ROWS - 40 * i) * NS_PER_MS;
        ask(x, &q);
    }
    q.to = FEED_DAY + (ROWS - 20) * NS_PER_MS;
    q.from = FEED_DAY + (ROWS - 60) * NS_PER_MS; /* all of it within */
    ask(x, &q);
    assert_int_equal(x->stats.lines, 40);
    q.to = 0;
    q.from = FEED_DAY + (ROWS - 300) * NS_PER_MS;
    ask(x, &q);
    teardown(x);
}

static void a_block_that_is_all_end_is_known_whole(void **state)
{
    const struct question q = {.order = SCAN_BACKWARD, .expect = 100};
    struct fixture *x = setup();
    (void)state;

    for (size_t i = 0; i < 60; i++)
        add(x, (ts_ns)i * NS_PER_MS);
    store(x);
    ask(x, &q);
    check_is_known(x, &q);
    assert_int_equal(x->stats.lines, 60);
    teardown(x);
}

static void who_expects_more_gets_a_longer_end_that_serves_both(void **state)
{
    const struct question few = {.order = SCAN_BACKWARD, .expect = 100};
    const struct question many = {.order = SCAN_BACKWARD, .expect = 1000};
    struct fixture *x = setup_spread();
    (void)state;

    ask(x, &few);
    ask(x, &many);
    check_is_known(x, &many);
    check_is_known(x, &few);
    teardown(x);
}

/* As a job that writes all its lines with the time of its end. */
static struct fixture *setup_ties(size_t before, size_t equal, size_t after)
{
    struct fixture *x = setup();

    for (size_t i = 0; i < before; i++)
        add(x, (ts_ns)i * NS_PER_MS);
    for (size_t i = 0; i < equal; i++)
        add(x, (ts_ns)before * NS_PER_MS);
    for (size_t i = 0; i < after; i++)
        add(x, (ts_ns)(before + 1 + i) * NS_PER_MS);
    store(x);
    return x;
}

static void that_too_many_have_one_time_is_known_too(void **state)
{
    const struct question q = {.order = SCAN_BACKWARD, .expect = 100};
    struct fixture *x = setup_ties(1000, 5000, 0);
    (void)state;

    ask(x, &q);
    ask(x, &q);
    assert_int_equal(x->misses, 0);
    teardown(x);
}

static void a_longer_end_that_cannot_be_leaves_the_shorter_one(void **state)
{
    const struct question few = {.order = SCAN_BACKWARD, .expect = 100};
    const struct question many = {.order = SCAN_BACKWARD, .expect = 1000};
    struct fixture *x = setup_ties(500, 5000, 200);
    (void)state;

    ask(x, &few);
    ask(x, &many);
    ask(x, &many);
    assert_int_equal(x->misses, 0);
    check_is_known(x, &few);
    assert_in_range(x->stats.lines, 100, 200);
    teardown(x);
}

static void who_takes_more_than_he_expected_gets_all_the_rest(void **state)
{
    const struct question q = {.order = SCAN_BACKWARD, .expect = 100};
    const struct question more = {.order = SCAN_BACKWARD, .expect = 100, .take = 700};
    struct fixture *x = setup_spread();
    (void)state;

    ask(x, &q);
    ask(x, &more);
    teardown(x);
}

static void what_is_hidden_does_not_come_from_it(void **state)
{
    const struct question q = {.order = SCAN_BACKWARD, .expect = 100};
    struct fixture *x = setup_spread();
    struct matcher m;
    struct store_delete d = {
        .query = STR("q"), .user = STR("u"), .matchers = &m, .n_matchers = 1, .to = INT64_MAX};
    struct err err;
    (void)state;

    ask(x, &q);
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("app"), STR("b"), &err), 0);
    assert_int_equal(store_delete_add(x->f.s, STR("t"), &d, &err), 0);
    matcher_fini(&m);
    x->hidden = 'b';
    ask(x, &q);
    teardown(x);
}

CHECK_MAIN(cmocka_unit_test(the_end_is_known_from_the_question_before),
           cmocka_unit_test(it_has_the_rows_of_all_streams_and_gives_those_that_are_asked_for),
           cmocka_unit_test(only_what_lies_in_the_time_that_is_asked_for_comes),
           cmocka_unit_test(a_block_that_is_all_end_is_known_whole),
           cmocka_unit_test(who_expects_more_gets_a_longer_end_that_serves_both),
           cmocka_unit_test(who_takes_more_than_he_expected_gets_all_the_rest),
           cmocka_unit_test(what_is_hidden_does_not_come_from_it),
           cmocka_unit_test(that_too_many_have_one_time_is_known_too),
           cmocka_unit_test(a_longer_end_that_cannot_be_leaves_the_shorter_one))
