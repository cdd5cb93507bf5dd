/* query/query_cache.c: who evaluates what, who waits for whom, and what is kept of it. */
#include "query/query_cache.h"

#include "base/arena.h"
#include "tests/lib/check.h"

enum { LARGE = 1 << 20, STATE = 7, STEPS = 4 };

static const struct str KEY = STR_INIT("t|sum");

static struct query_cache_stats stats(struct query_cache *c)
{
    struct query_cache_stats st;

    query_cache_stats(c, &st);
    return st;
}

static enum query_claim claim(struct query_cache *c, uint64_t state, struct query_flight **f)
{
    const struct matrix *kept = NULL;
    enum query_claim how = query_cache_claim(c, KEY, state, &kept, f);

    query_piece_unref(&kept);
    return how;
}

/* End a flight with one series that has `value` at each step. */
static void land(struct query_cache *c, struct query_flight **pf, double value, bool keep)
{
    struct arena *a = arena_new(NULL, 0);
    struct series s = {.labels = {NULL, 0}};
    const struct matrix m = {.v = &s, .n = 1};
    const struct query_result_steps r = {.m = &m, .n = STEPS, .keep = keep};
    struct err err;

    assert_int_equal(series_make(a, STEPS, &s, &err), 0);
    for (size_t k = 0; k < STEPS; k++) {
        s.value[k] = value;
        s.has[k] = 1;
    }
    query_flight_end(c, pf, &r);
    arena_free(&a);
}

/* Put a piece of that key there. */
static void put(struct query_cache *c, const char *key)
{
    const struct matrix *kept;
    struct query_flight *f;

    assert_int_equal(query_cache_claim(c, str_of(key), STATE, &kept, &f), QUERY_CLAIM_OURS);
    land(c, &f, 1, true);
}

static bool has(struct query_cache *c, const char *key)
{
    const struct matrix *kept;
    struct query_flight *f;
    enum query_claim how = query_cache_claim(c, str_of(key), STATE, &kept, &f);

    query_piece_unref(&kept);
    if (how == QUERY_CLAIM_OURS)
        query_flight_end(c, &f, NULL);
    return how == QUERY_CLAIM_KEPT;
}

static void check_gives(struct query_cache *c, struct query_flight **pf, double value)
{
    const struct matrix *m;

    assert_true(query_flight_wait(c, *pf));
    m = query_flight_leave(c, pf);
    assert_non_null(m);
    assert_int_equal(m->n, 1);
    assert_true(m->v[0].has[STEPS - 1] && m->v[0].value[STEPS - 1] == value);
    query_piece_unref(&m);
}

static void check_gives_nothing(struct query_cache *c, struct query_flight **pf)
{
    assert_true(query_flight_wait(c, *pf));
    assert_null(query_flight_leave(c, pf));
}

/* ---- flights ---- */

static void who_asks_for_the_same_state_joins_and_later_ones_find_it(void **state)
{
    struct query_cache *c = query_cache_new(LARGE, NULL);
    struct query_flight *a, *b, *later;
    (void)state;

    assert_int_equal(claim(c, STATE, &a), QUERY_CLAIM_OURS);
    assert_int_equal(claim(c, STATE, &b), QUERY_CLAIM_THEIRS);
    assert_false(query_flight_wait(c, b));
    land(c, &a, 5, true);
    check_gives(c, &b, 5);
    assert_int_equal(claim(c, STATE, &later), QUERY_CLAIM_KEPT);
    query_cache_free(&c);
}

static void open_time_is_given_to_those_alone_who_came_before_its_reading(void **state)
{
    struct query_cache *c = query_cache_new(LARGE, NULL);
    struct query_flight *a, *next, *joined, *late;
    (void)state;

    assert_int_equal(claim(c, 0, &a), QUERY_CLAIM_OURS);
    assert_int_equal(claim(c, 0, &next), QUERY_CLAIM_NEXT);
    assert_int_equal(claim(c, 0, &joined), QUERY_CLAIM_THEIRS);
    assert_false(query_flight_may_begin(c, next));
    land(c, &a, 1, false);
    assert_true(query_flight_may_begin(c, next));
    query_flight_begin(c, next);
    assert_int_equal(claim(c, 0, &late), QUERY_CLAIM_NEXT);
    land(c, &next, 2, false);
    check_gives(c, &joined, 2);
    assert_true(query_flight_may_begin(c, late));
    query_flight_begin(c, late);
    land(c, &late, 3, false);
    assert_int_equal(stats(c).pieces, 0);
    query_cache_free(&c);
}

/* Whatever happens to those who were to begin, the one that runs is not forgotten. */
static void one_is_worked_on_however_many_give_up(void **state)
{
    struct query_cache *c = query_cache_new(LARGE, NULL);
    struct query_flight *a, *next, *joined;
    (void)state;

    assert_int_equal(claim(c, 0, &a), QUERY_CLAIM_OURS);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(claim(c, 0, &next), QUERY_CLAIM_NEXT);
        assert_int_equal(claim(c, 0, &joined), QUERY_CLAIM_THEIRS);
        query_flight_end(c, &next, NULL);
        check_gives_nothing(c, &joined);
    }
    assert_int_equal(claim(c, 0, &next), QUERY_CLAIM_NEXT);
    land(c, &a, 1, false);
    query_flight_end(c, &next, NULL);
    assert_int_equal(claim(c, 0, &a), QUERY_CLAIM_OURS); /* nothing is left of either */
    land(c, &a, 1, false);
    query_cache_free(&c);
}

static void another_state_comes_next(void **state)
{
    struct query_cache *c = query_cache_new(LARGE, NULL);
    struct query_flight *old, *new, *open, *later;
    (void)state;

    assert_int_equal(claim(c, STATE, &old), QUERY_CLAIM_OURS);
    assert_int_equal(claim(c, STATE + 1, &new), QUERY_CLAIM_NEXT);
    assert_int_equal(claim(c, 0, &open), QUERY_CLAIM_THEIRS); /* it has not begun: it is as new */
    land(c, &old, 1, true);
    assert_true(query_flight_may_begin(c, new));
    query_flight_begin(c, new);
    land(c, &new, 2, true);
    check_gives(c, &open, 2);
    assert_int_equal(claim(c, STATE + 1, &later), QUERY_CLAIM_KEPT);
    query_cache_free(&c);
}

static void after_a_failure_one_is_the_next_to_try(void **state)
{
    struct query_cache *c = query_cache_new(LARGE, NULL);
    struct query_flight *a, *b, *d;
    (void)state;

    assert_int_equal(claim(c, STATE, &a), QUERY_CLAIM_OURS);
    assert_int_equal(claim(c, STATE, &b), QUERY_CLAIM_THEIRS);
    assert_int_equal(claim(c, STATE, &d), QUERY_CLAIM_THEIRS);
    query_flight_end(c, &a, NULL);
    check_gives_nothing(c, &b);
    check_gives_nothing(c, &d);
    assert_int_equal(claim(c, STATE, &b), QUERY_CLAIM_OURS);
    assert_int_equal(claim(c, STATE, &d), QUERY_CLAIM_THEIRS);
    land(c, &b, 4, true);
    check_gives(c, &d, 4);
    query_cache_free(&c);
}

static void what_is_too_large_is_refused_and_not_handed_on(void **state)
{
    struct query_cache *c = query_cache_new(64, NULL);
    struct query_flight *a, *b;
    (void)state;

    assert_int_equal(claim(c, STATE, &a), QUERY_CLAIM_OURS);
    assert_int_equal(claim(c, STATE, &b), QUERY_CLAIM_THEIRS);
    land(c, &a, 4, true);
    check_gives_nothing(c, &b);
    assert_int_equal(stats(c).refused, 1);
    assert_int_equal(stats(c).pieces, 0);
    query_cache_free(&c);
}

/* ---- forgetting ---- */

static void a_tenants_pieces_are_forgotten_with_their_memory(void **state)
{
    struct mem_budget budget = {.name = "server"};
    struct query_cache *c = query_cache_new(LARGE, &budget);
    size_t one;
    (void)state;

    put(c, "tt|sum");
    one = budget.used;
    put(c, "t|sum");
    put(c, "u|t|sum");
    put(c, "u|count");
    query_cache_forget(c, STR("t"));
    assert_false(has(c, "t|sum"));
    assert_false(has(c, "u|t|sum"));
    assert_true(has(c, "tt|sum"));
    assert_true(has(c, "u|count"));
    assert_int_equal(stats(c).pieces, 2);
    assert_int_equal(stats(c).bytes, budget.used);
    query_cache_forget(c, STR("u"));
    assert_int_equal(budget.used, one);
    query_cache_free(&c);
}

/* It may have read what is gone: those who asked get it, and nobody after them. */
static void what_was_under_way_is_not_kept(void **state)
{
    struct query_cache *c = query_cache_new(LARGE, NULL);
    struct query_flight *a, *b;
    (void)state;

    assert_int_equal(claim(c, STATE, &a), QUERY_CLAIM_OURS);
    assert_int_equal(claim(c, STATE, &b), QUERY_CLAIM_THEIRS);
    query_cache_forget(c, STR("t"));
    land(c, &a, 5, true);
    check_gives(c, &b, 5);
    assert_false(has(c, "t|sum"));
    put(c, "t|sum");
    assert_true(has(c, "t|sum"));
    query_cache_free(&c);
}

CHECK_MAIN(cmocka_unit_test(who_asks_for_the_same_state_joins_and_later_ones_find_it),
           cmocka_unit_test(open_time_is_given_to_those_alone_who_came_before_its_reading),
           cmocka_unit_test(one_is_worked_on_however_many_give_up),
           cmocka_unit_test(another_state_comes_next),
           cmocka_unit_test(after_a_failure_one_is_the_next_to_try),
           cmocka_unit_test(what_is_too_large_is_refused_and_not_handed_on),
           cmocka_unit_test(a_tenants_pieces_are_forgotten_with_their_memory),
           cmocka_unit_test(what_was_under_way_is_not_kept))
