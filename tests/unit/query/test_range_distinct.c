/* query/range_distinct.c: how many values a range has is what a walk over the stretches says. */
#include "query/range_distinct.h"

#include "tests/lib/check.h"
#include "tests/lib/records.h"

#include <stdlib.h>

enum { STEPS_MAX = 12, EDGES_MAX = 2 * STEPS_MAX, VALUES_MAX = 30 };

static int by_time(const void *a, const void *b)
{
    ts_ns x = *(const ts_ns *)a;
    ts_ns y = *(const ts_ns *)b;

    return (x > y) - (x < y);
}

struct ask {
    struct steps steps;
    struct sums_query q;
    ts_ns edge[EDGES_MAX];
};

/* Edges as range_count.c makes them. */
static void draw(struct ask *k, uint64_t *rng)
{
    size_t kept = 1;

    k->steps = (struct steps){.start = (ts_ns)(records_random(rng) % 1000),
                              .step = 1 + (dur_ns)(records_random(rng) % 50),
                              .n = 1 + records_random(rng) % STEPS_MAX};
    k->q = (struct sums_query){.steps = &k->steps,
                               .range = 1 + (dur_ns)(records_random(rng) % 120),
                               .offset = (dur_ns)(records_random(rng) % 40) - 20,
                               .edge = k->edge};
    for (size_t i = 0; i < k->steps.n; i++) {
        ts_ns end = k->steps.start + (ts_ns)i * k->steps.step - k->q.offset;
        k->edge[2 * i] = end - k->q.range + 1;
        k->edge[2 * i + 1] = end + 1;
    }
    qsort(k->edge, 2 * k->steps.n, sizeof(*k->edge), by_time);
    for (size_t i = 1; i < 2 * k->steps.n; i++)
        if (k->edge[i] != k->edge[kept - 1])
            k->edge[kept++] = k->edge[i];
    k->q.n_edges = kept;
}

static bool covers(const struct ask *k, size_t stretch, size_t step)
{
    ts_ns end = k->steps.start + (ts_ns)step * k->steps.step - k->q.offset;

    return k->edge[stretch] <= end && k->edge[stretch] > end - k->q.range;
}

static void check(const struct ask *k, struct range_value *list, struct exec *x, uint64_t n_ids)
{
    struct series out;
    uint64_t rows = 0;
    struct err err;

    assert_int_equal(series_make(x->arena, k->steps.n, &out, &err), 0);
    assert_int_equal(range_values_slide(&k->q, list, x, &out, &rows, &err), 0);
    for (size_t s = 0; s < k->steps.n; s++) {
        double want = 0;
        for (uint64_t id = 0; id < n_ids; id++) {
            bool is_there = false;
            for (struct range_value *v = list; v != NULL; v = v->next)
                for (size_t i = 0; i + 1 < k->q.n_edges; i++)
                    is_there |= v->id == (double)id && v->cells.rows[i] > 0 && covers(k, i, s);
            want += is_there;
        }
        assert_int_equal(out.has[s], want > 0);
        if (out.has[s])
            assert_true(out.value[s] == want);
    }
}

static void values_of_ranges_are_those_of_their_stretches(void **state)
{
    uint64_t rng = 11;

    (void)state;
    for (unsigned round = 0; round < 400; round++) {
        struct exec x = {.arena = arena_new(NULL, 0)};
        struct range_value *list = NULL;
        struct range_values *values;
        struct err err;
        struct ask k;
        draw(&k, &rng);
        values = range_values_new(NULL, k.q.n_edges - 1, 0);
        for (size_t n = records_random(&rng) % VALUES_MAX; n > 0; n--) {
            assert_int_equal(
                range_values_add(values, (double)(records_random(&rng) % 9), &list, &err), 0);
            for (size_t i = 0; i + 1 < k.q.n_edges; i++)
                list->cells.rows[i] = records_random(&rng) % 4 == 0;
        }
        check(&k, list, &x, 9);
        range_values_free(&values);
        arena_free(&x.arena);
    }
}

static void they_keep_to_their_memory(void **state)
{
    struct mem_budget budget = {.name = "query"};
    struct range_values *values = range_values_new(&budget, 1000, 100000);
    struct range_value *list = NULL;
    struct err err;
    size_t n = 0;

    (void)state;
    while (range_values_add(values, 1, &list, &err) == 0)
        n++;
    assert_int_equal(err.code, ERR_LIMIT);
    assert_in_range(n, 8, 12);
    range_values_free(&values);
    assert_int_equal(budget.used, 0);
}

CHECK_MAIN(cmocka_unit_test(values_of_ranges_are_those_of_their_stretches),
           cmocka_unit_test(they_keep_to_their_memory))
