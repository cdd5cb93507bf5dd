/* tests/unit/query/test_window.c - a window that slides says what one that looks at all says. */
#include "query/window.h"

#include "tests/lib/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static double random_value(uint64_t *x, bool special)
{
    uint64_t r = next_random(x);

    if (special && r % 50 == 0)
        return (double)NAN;
    if (special && r % 51 == 0)
        return r % 2 == 0 ? HUGE_VAL : -HUGE_VAL;
    return (double)(int64_t)(r % 2000001) / 1000.0 - 1000.0;
}

static bool is_near(double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) && isnan(b);
    if (isinf(a) || isinf(b))
        return isinf(a) && isinf(b) && (a > 0) == (b > 0);
    return fabs(a - b) <= 1e-9 * (1 + fabs(a));
}

static void check_op(enum token_kind op, bool special, uint64_t seed)
{
    enum { STEPS = 400, RANGE = 100 };
    struct mem_budget budget = {.name = "test", .limit = 1 << 20};
    struct window slid = {.n = 0};
    struct window plain = {.n = 0};
    double scratch[4096];
    struct err err;
    ts_ns now = 0;

    window_slide(&slid, op);
    assert_true(slid.slides);
    for (int i = 0; i < STEPS; i++) {
        struct window_query q = {.op = op, .range = RANGE};
        size_t n = next_random(&seed) % 40;
        if (i % 100 == 99)
            now += 2 * RANGE; /* nothing is left */
        for (size_t k = 0; k < n; k++) {
            double v = random_value(&seed, special);
            now += (ts_ns)(next_random(&seed) % 3);
            assert_int_equal(window_push(&slid, now, v, &budget, &err), 0);
            assert_int_equal(window_push(&plain, now, v, &budget, &err), 0);
        }
        q.end = now;
        window_drop(&slid, now - RANGE);
        window_drop(&plain, now - RANGE);
        assert_int_equal(slid.n, plain.n);
        if (slid.n > 0 &&
            !is_near(window_value(&slid, &q, scratch), window_value(&plain, &q, scratch)))
            fail_msg("op %d step %d: %g, not %g", op, i, window_value(&slid, &q, scratch),
                     window_value(&plain, &q, scratch));
    }
    window_fini(&slid, &budget);
    window_fini(&plain, &budget);
    assert_int_equal(budget.used, 0);
}

static void sliding_changes_no_answer(void **state)
{
    static const enum token_kind ops[] = {TOKEN_SUM_OVER_TIME,   TOKEN_RATE,
                                          TOKEN_AVG_OVER_TIME,   TOKEN_MIN_OVER_TIME,
                                          TOKEN_MAX_OVER_TIME,   TOKEN_STDVAR_OVER_TIME,
                                          TOKEN_STDDEV_OVER_TIME};

    (void)state;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        check_op(ops[i], false, 88172645463325252u + i);
        check_op(ops[i], true, 1234567u + i);
    }
}

static void one_infinite_sample_has_no_variance(void **state)
{
    static const double values[] = {HUGE_VAL, -HUGE_VAL, 1};
    struct mem_budget budget = {.name = "test", .limit = 1 << 20};
    struct window_query q = {.op = TOKEN_STDVAR_OVER_TIME, .end = 1, .range = 1};

    (void)state;
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct window w = {.n = 0};
        struct err err;
        double got;
        window_slide(&w, q.op);
        assert_int_equal(window_push(&w, 1, values[i], &budget, &err), 0);
        got = window_value(&w, &q, NULL);
        assert_true(isinf(values[i]) ? isnan(got) : got == 0);
        assert_int_equal(window_push(&w, 1, 1, &budget, &err), 0);
        got = window_value(&w, &q, NULL);
        assert_true(isinf(values[i]) ? isnan(got) : got == 0);
        window_fini(&w, &budget);
    }
}

static void what_needs_all_samples_does_not_slide(void **state)
{
    static const enum token_kind ops[] = {TOKEN_QUANTILE_OVER_TIME, TOKEN_FIRST_OVER_TIME,
                                          TOKEN_LAST_OVER_TIME, TOKEN_RATE_COUNTER};

    (void)state;
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        struct window w = {.n = 0};
        window_slide(&w, ops[i]);
        assert_false(w.slides);
    }
}

static void no_memory_is_said_and_given_back(void **state)
{
    struct mem_budget budget = {.name = "test", .limit = 1000};
    struct window w = {.n = 0};
    struct err err;
    int r = 0;

    (void)state;
    window_slide(&w, TOKEN_SUM_OVER_TIME);
    for (int i = 0; i < 100 && r == 0; i++)
        r = window_push(&w, i, 1, &budget, &err);
    assert_int_equal(r, ERR_NOMEM);
    assert_int_equal(w.n, 16); /* 32 of 40 bytes are over the limit */
    window_fini(&w, &budget);
    assert_int_equal(budget.used, 0);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* By sorting all of it. */
static double naive_quantile(const double *v, size_t n, double phi)
{
    double sorted[2000];
    double rank = phi * (double)(n - 1);
    size_t low = (size_t)rank;
    size_t high = low + 1 < n ? low + 1 : n - 1;

    memcpy(sorted, v, n * sizeof(*v));
    qsort(sorted, n, sizeof(*v), ascending);
    return sorted[low] + (rank - (double)low) * (sorted[high] - sorted[low]);
}

static void check_quantiles(const double *v, size_t n)
{
    static const double phis[] = {0, 0.01, 0.25, 0.5, 0.9, 0.99, 1};
    struct mem_budget budget = {.name = "test", .limit = 1 << 20};
    struct window w = {.n = 0};
    double scratch[2000];
    struct err err;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(window_push(&w, (ts_ns)i, v[i], &budget, &err), 0);
    for (size_t i = 0; i < sizeof(phis) / sizeof(phis[0]); i++) {
        struct window_query q = {.op = TOKEN_QUANTILE_OVER_TIME, .param = phis[i]};
        if (!is_near(window_value(&w, &q, scratch), naive_quantile(v, n, phis[i])))
            fail_msg("%g of %zu: %g, not %g", phis[i], n, window_value(&w, &q, scratch),
                     naive_quantile(v, n, phis[i]));
    }
    window_fini(&w, &budget);
}

static void quantiles_are_those_of_the_sorted_samples(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 16, 17, 18, 100, 1000, 2000};
    uint64_t seed = 42;
    double v[2000];

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int shape = 0; shape < 5; shape++) {
            for (size_t k = 0; k < sizes[i]; k++)
                v[k] = shape == 0   ? random_value(&seed, false)
                       : shape == 1 ? (double)k
                       : shape == 2 ? -(double)k
                       : shape == 3 ? 7
                                    : (double)(k % 3);
            check_quantiles(v, sizes[i]);
        }
    }
}

static void samples_in_no_order_are_sorted_with_their_values(void **state)
{
    enum { N = 1000 };
    struct window w = {.n = 0};
    struct err err;
    uint64_t x = 9;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        ts_ns ts = (ts_ns)(next_random(&x) % 500);
        assert_int_equal(window_push(&w, ts, (double)ts / 2, NULL, &err), 0);
    }
    assert_int_equal(window_sort(&w, NULL, &err), 0);
    assert_int_equal(w.n, N);
    for (size_t i = 0; i < N; i++) {
        assert_true(i == 0 || w.ts[i - 1] <= w.ts[i]);
        assert_true(w.v[i] == (double)w.ts[i] / 2);
    }
    window_fini(&w, NULL);
}

static double count_naively(const double *v, const ts_ns *ts, size_t n, ts_ns after)
{
    size_t found = 0;

    for (size_t i = 0; i < n; i++) {
        bool first = ts[i] > after;
        for (size_t k = 0; k < i && first; k++)
            first = ts[k] <= after || v[k] != v[i];
        found += first;
    }
    return (double)found;
}

static void different_values_are_kept_once(void **state)
{
    enum { N = 2000, RANGE = 300, EACH = 37 };
    static double v[N], scratch[N];
    static ts_ns ts[N];
    struct mem_budget budget = {.name = "test", .limit = 1 << 20};
    struct window w = {.n = 0};
    struct window_query q = {.op = TOKEN_COUNT_DISTINCT_OVER_TIME, .range = RANGE};
    uint64_t seed = 42;
    struct err err;

    (void)state;
    window_distinct(&w);
    for (size_t i = 0; i < N; i++) {
        ts[i] = (i == 0 ? 0 : ts[i - 1]) + (ts_ns)(next_random(&seed) % 3);
        v[i] = (double)(next_random(&seed) % (i % 500 < 250 ? 7 : 1000));
        assert_int_equal(window_push(&w, ts[i], v[i], &budget, &err), 0);
        if (i % EACH != 0)
            continue;
        q.end = ts[i];
        window_drop(&w, q.end - RANGE);
        if (window_value(&w, &q, scratch) != count_naively(v, ts, i + 1, q.end - RANGE))
            fail_msg("at %zu: %g", i, window_value(&w, &q, scratch));
    }
    window_fini(&w, &budget);
    assert_int_equal(budget.used, 0);
}

static void a_value_that_repeats_needs_memory_once(void **state)
{
    enum { VALUES = 100, TIMES = 10000 };
    struct mem_budget budget = {.name = "test", .limit = 64 << 10};
    struct window w = {.n = 0};
    struct err err;

    (void)state;
    window_distinct(&w);
    for (int i = 0; i < VALUES * TIMES; i++)
        assert_int_equal(window_push(&w, i, i % VALUES, &budget, &err), 0);
    for (int i = 0, r = 0; r == 0; i++) { /* as many different ones as there is room for */
        r = window_push(&w, VALUES * TIMES, VALUES + i, &budget, &err);
        if (r < 0)
            assert_int_equal(r, ERR_NOMEM);
        assert_true(i < TIMES);
    }
    window_fini(&w, &budget);
    assert_int_equal(budget.used, 0);
}

CHECK_MAIN(cmocka_unit_test(sliding_changes_no_answer),
           cmocka_unit_test(one_infinite_sample_has_no_variance),
           cmocka_unit_test(what_needs_all_samples_does_not_slide),
           cmocka_unit_test(no_memory_is_said_and_given_back),
           cmocka_unit_test(quantiles_are_those_of_the_sorted_samples),
           cmocka_unit_test(samples_in_no_order_are_sorted_with_their_values),
           cmocka_unit_test(different_values_are_kept_once),
           cmocka_unit_test(a_value_that_repeats_needs_memory_once))
