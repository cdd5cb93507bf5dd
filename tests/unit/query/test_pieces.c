/* query/pieces.c, query_cache.c: what is kept is found again, and never when something changed. */
#include "query/query_cache.h"

#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>

#define HOURS(n) ((ts_ns)(n)*NS_PER_H)

enum { LARGE = 16 << 20, ANSWER_MAX = 4 << 20 };

static const struct str TENANT = STR_INIT("t");

struct world {
    struct fake fake;
    struct query_cache *cache;
    struct query_params p;
    struct buf with, without;
};

/* Records all 97 s of ten hours; everything before the ninth is closed. */
static void setup(struct world *w)
{
    char line[100];

    *w = (struct world){.p = {.start = HOURS(1), .end = HOURS(10), .step = 60 * NS_PER_S}};
    fake_init(&w->fake);
    for (int i = 0; (ts_ns)i * 97 * NS_PER_S < HOURS(10); i++) {
        (void)snprintf(line, sizeof(line), "n=%d took=%dms", i % 17, i % 100);
        fake_add(&w->fake, i % 3 == 0 ? "{app=\"a\"}" : "{app=\"b\"}", NULL,
                 (ts_ns)i * 97 * NS_PER_S, str_of(line));
    }
    w->fake.per_batch = 1000;
    w->fake.state = 5;
    w->fake.closed = HOURS(9);
    w->cache = query_cache_new(LARGE);
    w->p.tenants = &TENANT;
    w->p.n_tenants = 1;
    buf_init(&w->with, ANSWER_MAX);
    buf_init(&w->without, ANSWER_MAX);
}

static void teardown(struct world *w)
{
    fake_fini(&w->fake);
    query_cache_free(&w->cache);
    buf_fini(&w->with);
    buf_fini(&w->without);
}

/* The same answer with and without; returns how many scans it took with. */
static unsigned check_same(struct world *w, const char *text)
{
    unsigned scans;

    w->p.cache = NULL;
    assert_int_equal(fake_run(&w->fake, text, &w->p, &w->without), 0);
    scans = w->fake.scans;
    w->p.cache = w->cache;
    assert_int_equal(fake_run(&w->fake, text, &w->p, &w->with), 0);
    assert_true(str_eq(buf_str(&w->with), buf_str(&w->without)));
    return w->fake.scans - scans;
}

static struct query_cache_stats stats(struct world *w)
{
    struct query_cache_stats st;

    query_cache_stats(w->cache, &st);
    return st;
}

static void a_closed_range_is_read_once(void **state)
{
    struct world w;
    (void)state;

    setup(&w);
    w.p.end = HOURS(9) - 60 * NS_PER_S;
    w.p.start = HOURS(1);
    assert_int_equal(check_same(&w, "sum by (app) (count_over_time({app=~\".+\"}[5m]))"), 1);
    assert_int_equal(stats(&w).pieces, 8);
    assert_int_equal(check_same(&w, "sum by (app) (count_over_time({app=~\".+\"}[5m]))"), 0);
    assert_int_equal(stats(&w).hits, 8);
    teardown(&w);
}

static void what_is_open_at_the_ends_is_read_each_time(void **state)
{
    const char *query = "sum(rate({app=~\".+\"}[3m]))";
    struct world w;
    (void)state;

    setup(&w);
    w.p.start = HOURS(1) + 30 * 60 * NS_PER_S;
    assert_int_equal(check_same(&w, query), 1);
    assert_int_equal(stats(&w).pieces, 7); /* 2 to 8 */
    assert_int_equal(check_same(&w, query), 2);
    assert_true(w.fake.asked.from > HOURS(8)); /* the second of them */
    w.p.start += HOURS(2);                     /* as a dashboard moves on */
    assert_int_equal(check_same(&w, query), 2);
    teardown(&w);
}

static void what_changed_is_read_again(void **state)
{
    const char *query = "sum(count_over_time({app=\"a\"}[10m]))";
    struct world w;
    (void)state;

    setup(&w);
    w.p.end = HOURS(8) - 60 * NS_PER_S;
    (void)check_same(&w, query);
    fake_add(&w.fake, "{app=\"a\"}", NULL, HOURS(3) + 7, STR("late"));
    w.fake.state++;
    assert_int_equal(check_same(&w, query), 1);
    assert_int_equal(check_same(&w, query), 0);
    teardown(&w);
}

static void each_question_has_pieces_of_its_own(void **state)
{
    static const char *const QUERIES[] = {
        "count_over_time({app=~\".+\"}[5m])",
        "count_over_time({app=~\".+\"}[6m])",
        "count_over_time({app=~\".+\"}[5m] offset 1h)",
        "count_over_time({app=~\".+\"}[5m] offset -1h)",
        "sum by (app) (count_over_time({app=~\".+\"}[5m]))",
        "sum(count_over_time({app=~\".+\"} | logfmt | n > 3 [5m]))",
        "quantile_over_time(0.5, {app=~\".+\"} | logfmt | unwrap n [20m]) by (app)",
        "avg_over_time({app=~\".+\"} | logfmt | unwrap duration(took) [20m]) by (app)",
        "sum(rate({app=\"a\"}[5m])) / sum(rate({app=~\".+\"}[5m]))",
        "topk(1, sum by (app) (count_over_time({app=~\".+\"}[1h])))",
        "absent_over_time({app=\"none\"}[5m])",
        "max_over_time({app=~\".+\"} | logfmt | unwrap n [2h]) by (app)",
    };
    static const dur_ns STEPS[] = {60 * NS_PER_S, 61 * NS_PER_S, 300 * NS_PER_S, NS_PER_H};
    struct world w;
    (void)state;

    setup(&w);
    for (unsigned round = 0; round < 3; round++)
        for (size_t s = 0; s < sizeof(STEPS) / sizeof(STEPS[0]); s++)
            for (size_t i = 0; i < sizeof(QUERIES) / sizeof(QUERIES[0]); i++) {
                w.p.step = STEPS[s];
                w.p.start = HOURS(1) + (ts_ns)round * 20 * 60 * NS_PER_S;
                (void)check_same(&w, QUERIES[i]);
            }
    assert_true(stats(&w).hits > 100);
    teardown(&w);
}

static void tenants_do_not_share(void **state)
{
    static const struct str OTHER = STR_INIT("u");
    struct world w;
    (void)state;

    setup(&w);
    w.p.end = HOURS(8) - 60 * NS_PER_S;
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"), 1);
    w.p.tenants = &OTHER;
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"), 1);
    teardown(&w);
}

static void what_asks_for_the_time_is_not_kept(void **state)
{
    struct world w;
    (void)state;

    setup(&w);
    (void)check_same(&w, "sum(count_over_time({app=\"a\"} | line_format \"{{now.Year}}\" [10m]))");
    assert_int_equal(stats(&w).pieces, 0);
    teardown(&w);
}

static void it_is_bounded_and_the_least_used_goes(void **state)
{
    struct world w;
    uint64_t bytes;
    (void)state;

    setup(&w);
    w.p.start = HOURS(1);
    w.p.end = HOURS(3) - 60 * NS_PER_S;
    (void)check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))");
    bytes = stats(&w).bytes / 2; /* of a piece */
    query_cache_free(&w.cache);
    w.cache = query_cache_new(10 * bytes);
    w.p.end = HOURS(9) - 60 * NS_PER_S;
    (void)check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"); /* 8 pieces */
    (void)check_same(&w, "sum(count_over_time({app=\"b\"}[10m]))");
    assert_true(stats(&w).bytes <= 10 * bytes);
    assert_true(stats(&w).evictions >= 6);
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"b\"}[10m]))"), 0);
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"), 1);
    teardown(&w);
}

CHECK_MAIN(cmocka_unit_test(a_closed_range_is_read_once),
           cmocka_unit_test(what_is_open_at_the_ends_is_read_each_time),
           cmocka_unit_test(what_changed_is_read_again),
           cmocka_unit_test(each_question_has_pieces_of_its_own),
           cmocka_unit_test(tenants_do_not_share),
           cmocka_unit_test(what_asks_for_the_time_is_not_kept),
           cmocka_unit_test(it_is_bounded_and_the_least_used_goes))
