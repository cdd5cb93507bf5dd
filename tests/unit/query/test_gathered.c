/* query/gathered.c: quantiles and counters of ranges over values in no order, against a look at all
 * of them. */
#include "query/gathered.h"

#include "tests/lib/check.h"

#include <math.h>
#include <stdlib.h>

enum { SAMPLES = 300, STEPS_MAX = 12, ROUNDS = 200 };

static uint64_t draw(uint64_t *x, uint64_t below)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x % below;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Between the two values that the rank lies between, in proportion. */
static double quantile(double *v, size_t n, double phi)
{
    double rank = phi * (double)(n - 1);
    size_t low = (size_t)rank;
    size_t high = low + 1 < n ? low + 1 : low;

    qsort(v, n, sizeof(*v), by_value);
    return v[low] + (v[high] - v[low]) * (rank - (double)low);
}

static int by_order(const void *a, const void *b)
{
    const struct window_sample *x = a, *y = b;

    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

/* What a window makes of them that got them in order. */
static double counter(const struct gathered_query *q, struct window_sample *s, size_t n, ts_ns end)
{
    const struct window_query value = {.op = q->op, .range = q->range, .end = end};
    struct mem_budget budget = {.name = "test"};
    struct window w = {.n = 0};
    struct err err;
    double ret;

    qsort(s, n, sizeof(*s), by_order);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(window_push(&w, s[i].ts, s[i].v, &budget, &err), 0);
    ret = window_value(&w, &value, NULL);
    window_fini(&w, &budget);
    return ret;
}

static double value_of(const struct gathered_query *q, struct window_sample *s, size_t n, ts_ns end)
{
    double v[SAMPLES];

    if (gathered_orders(q->op))
        return counter(q, s, n, end);
    for (size_t i = 0; i < n; i++)
        v[i] = s[i].v;
    return quantile(v, n, q->param);
}

static void push(struct window *w, struct exec *x, const struct window_sample *s, size_t n)
{
    struct err err;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(w->orders ? window_push_sample(w, &s[i], &x->budget, &err)
                                   : window_push(w, s[i].ts, s[i].v, &x->budget, &err),
                         0);
}

static void check(const struct gathered_query *q, const struct window_sample *s, size_t n)
{
    const struct query_params p = {.step = 1};
    struct window w = {.n = 0};
    struct series out;
    struct exec x;
    struct err err;

    exec_init(&x, NULL, &p);
    assert_int_equal(series_make(x.arena, q->steps->n, &out, &err), 0);
    if (gathered_orders(q->op))
        window_order(&w);
    push(&w, &x, s, n);
    assert_int_equal(gathered_slide(q, &w, &x, &out, &err), 0);
    for (size_t k = 0; k < q->steps->n; k++) {
        ts_ns end = q->steps->start + (dur_ns)k * q->steps->step - q->offset;
        struct window_sample in[SAMPLES];
        size_t n_in = 0;
        for (size_t i = 0; i < n; i++)
            if (s[i].ts > end - q->range && s[i].ts <= end)
                in[n_in++] = s[i];
        assert_int_equal(out.has[k], n_in > 0);
        if (n_in > 0) {
            double want = value_of(q, in, n_in, end);
            assert_true(fabs(out.value[k] - want) <= 1e-9 * (1 + fabs(want)));
        }
    }
    window_fini(&w, &x.budget);
    (void)exec_fini(&x, 0, NULL, &err);
    assert_int_equal(x.budget.used, 0);
}

/* Ranges that overlap, meet and leave gaps; few samples, and many with equal times. */
static void points_are_those_of_a_look_at_all_samples(void **state)
{
    static const enum token_kind OPS[] = {TOKEN_QUANTILE_OVER_TIME, TOKEN_RATE_COUNTER};
    uint64_t rng = 99;
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct window_sample s[SAMPLES];
        const struct steps steps = {.start = (ts_ns)draw(&rng, 100),
                                    .step = 1 + (dur_ns)draw(&rng, 40),
                                    .n = 1 + draw(&rng, STEPS_MAX)};
        const struct gathered_query q = {.op = OPS[round % 2],
                                         .param = (double)draw(&rng, 101) / 100,
                                         .steps = &steps,
                                         .range = 1 + (dur_ns)draw(&rng, 60),
                                         .offset = (dur_ns)draw(&rng, 40) - 20};
        size_t n = draw(&rng, round % 3 == 0 ? 8 : SAMPLES);
        for (size_t i = 0; i < n; i++)
            s[i] = (struct window_sample){.ts = (ts_ns)draw(&rng, 400) - 100,
                                          .seq = i * 7919 % 1009,
                                          .v = (double)draw(&rng, 1000) / 8};
        check(&q, s, n);
    }
}

static const struct steps ONE = {.start = 100, .step = 1, .n = 1};
static const struct gathered_query MEDIAN = {
    .op = TOKEN_QUANTILE_OVER_TIME, .param = 0.5, .steps = &ONE, .range = 100};

static int slide_with(const struct query_params *p, struct mem_budget *limited)
{
    static const struct window_sample s[] = {{50, 1, 3}, {40, 2, 1}, {60, 3, 2}};
    struct window w = {.n = 0};
    struct series out;
    struct exec x;
    struct err err;
    int r;

    exec_init(&x, NULL, p);
    assert_int_equal(series_make(x.arena, 1, &out, &err), 0);
    push(&w, &x, s, 3);
    for (size_t i = 0; i < 5000; i++)
        assert_int_equal(window_push(&w, 70, 4, &x.budget, &err), 0);
    if (limited != NULL)
        limited->limit = limited->used;
    r = gathered_slide(&MEDIAN, &w, &x, &out, &err);
    window_fini(&w, &x.budget);
    return exec_fini(&x, r, NULL, &err);
}

static void a_run_that_is_cancelled_ends(void **state)
{
    atomic_bool cancel = true;
    const struct query_params p = {.cancel = &cancel};
    (void)state;

    assert_int_equal(slide_with(&p, NULL), ERR_CANCELLED);
}

static void scratch_memory_is_charged(void **state)
{
    struct mem_budget budget = {.name = "server"};
    const struct query_params p = {.budget = &budget};
    (void)state;

    assert_int_equal(slide_with(&p, NULL), 0);
    assert_int_equal(budget.used, 0);
    assert_int_equal(slide_with(&p, &budget), ERR_NOMEM);
    assert_int_equal(budget.used, 0);
}

static void quantiles_and_counters_are_known(void **state)
{
    (void)state;

    assert_true(gathered_know(TOKEN_QUANTILE_OVER_TIME));
    assert_false(gathered_orders(TOKEN_QUANTILE_OVER_TIME));
    assert_true(gathered_know(TOKEN_RATE_COUNTER));
    assert_true(gathered_orders(TOKEN_RATE_COUNTER));
    assert_false(gathered_know(TOKEN_LAST_OVER_TIME));
    assert_false(gathered_know(TOKEN_SUM_OVER_TIME));
    assert_false(gathered_know(TOKEN_RATE));
}

CHECK_MAIN(cmocka_unit_test(points_are_those_of_a_look_at_all_samples),
           cmocka_unit_test(a_run_that_is_cancelled_ends),
           cmocka_unit_test(scratch_memory_is_charged),
           cmocka_unit_test(quantiles_and_counters_are_known))
