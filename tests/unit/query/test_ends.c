/* query/ends.c: the first and the last value of each range, against a look at all samples. */
#include "query/ends.h"

#include "base/arena.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 200, STEPS_MAX = 12, ROUNDS = 400 };

static uint64_t draw(uint64_t *x, uint64_t below)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x % below;
}

static int by_time(const void *a, const void *b)
{
    ts_ns x = *(const ts_ns *)a, y = *(const ts_ns *)b;

    return (x > y) - (x < y);
}

/* Where samples begin or cease to lie in a range: those of each (end - range, end]. */
static size_t make_edges(const struct sums_query *q, ts_ns edge[2 * STEPS_MAX])
{
    size_t n = 0, kept = 0;

    for (size_t k = 0; k < q->steps->n; k++) {
        ts_ns end = q->steps->start + (dur_ns)k * q->steps->step - q->offset;
        edge[n++] = end - q->range + 1;
        edge[n++] = end + 1;
    }
    qsort(edge, n, sizeof(*edge), by_time);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || edge[i] != edge[kept - 1])
            edge[kept++] = edge[i];
    return kept;
}

static void add(const struct sums_query *q, struct end *v, const struct scan_sample *s)
{
    for (size_t i = 0; i + 1 < q->n_edges; i++)
        if (s->ts >= q->edge[i] && s->ts < q->edge[i + 1])
            ends_add(q->op, &v[i], s);
}

/* Of the range that ends at `end`; NULL: there is none. */
static const struct scan_sample *find(const struct sums_query *q, const struct scan_sample *s,
                                      size_t n, ts_ns end)
{
    const struct scan_sample *best = NULL;
    bool last = q->op == TOKEN_LAST_OVER_TIME;

    for (size_t i = 0; i < n; i++) {
        if (s[i].ts <= end - q->range || s[i].ts > end)
            continue;
        if (best == NULL ||
            (s[i].ts != best->ts ? (s[i].ts > best->ts) == last : (s[i].seq > best->seq) == last))
            best = &s[i];
    }
    return best;
}

static void check(const struct sums_query *q, const struct scan_sample *s, size_t n)
{
    struct arena *a = arena_new(NULL, 0);
    struct end *v = calloc(q->n_edges, sizeof(*v));
    struct series out;
    struct err err;

    assert_int_equal(series_make(a, q->steps->n, &out, &err), 0);
    for (size_t i = 0; i < n; i++)
        add(q, v, &s[i]);
    ends_slide(q, v, &out);
    for (size_t k = 0; k < q->steps->n; k++) {
        ts_ns end = q->steps->start + (dur_ns)k * q->steps->step - q->offset;
        const struct scan_sample *want = find(q, s, n, end);
        assert_int_equal(out.has[k], want != NULL);
        if (want != NULL)
            assert_true(out.value[k] == want->v);
    }
    free(v);
    arena_free(&a);
}

/* Few or many samples in no order, with equal times; ranges that overlap, meet and leave gaps. */
static void points_are_those_of_a_look_at_all_samples(void **state)
{
    static const enum token_kind OPS[] = {TOKEN_FIRST_OVER_TIME, TOKEN_LAST_OVER_TIME};
    uint64_t rng = 77;
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        struct scan_sample s[SAMPLES];
        ts_ns edge[2 * STEPS_MAX];
        const struct steps steps = {.start = (ts_ns)draw(&rng, 100),
                                    .step = 1 + (dur_ns)draw(&rng, 40),
                                    .n = 1 + draw(&rng, STEPS_MAX)};
        struct sums_query q = {.op = OPS[round % 2],
                               .steps = &steps,
                               .range = 1 + (dur_ns)draw(&rng, 60),
                               .offset = (dur_ns)draw(&rng, 40) - 20,
                               .edge = edge};
        size_t n = draw(&rng, round % 3 == 0 ? 8 : SAMPLES);
        for (size_t i = 0; i < n; i++)
            s[i] = (struct scan_sample){
                .ts = (ts_ns)draw(&rng, 400) - 100, .seq = i * 7919 % 1009, .v = (double)i};
        q.n_edges = make_edges(&q, edge);
        check(&q, s, n);
    }
}

static void what_has_no_samples_has_no_points(void **state)
{
    const ts_ns edge[] = {1, 11, 21};
    const struct steps steps = {.start = 10, .step = 10, .n = 2};
    const struct sums_query q = {
        .op = TOKEN_LAST_OVER_TIME, .steps = &steps, .range = 10, .edge = edge, .n_edges = 3};
    (void)state;

    check(&q, NULL, 0);
}

static void only_first_and_last_are_known(void **state)
{
    (void)state;

    assert_true(ends_know(TOKEN_FIRST_OVER_TIME));
    assert_true(ends_know(TOKEN_LAST_OVER_TIME));
    assert_false(ends_know(TOKEN_MAX_OVER_TIME));
    assert_false(ends_know(TOKEN_QUANTILE_OVER_TIME));
    assert_false(ends_know(TOKEN_COUNT_OVER_TIME));
}

CHECK_MAIN(cmocka_unit_test(points_are_those_of_a_look_at_all_samples),
           cmocka_unit_test(what_has_no_samples_has_no_points),
           cmocka_unit_test(only_first_and_last_are_known))
