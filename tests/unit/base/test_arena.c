/* base/arena.c: pieces, limits, and what the budget is charged. */
#include "base/arena.h"

#include "tests/lib/check.h"

#include <string.h>

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    unsigned char *seen[500];

    (void)state;
    for (size_t i = 0; i < 500; i++) {
        size_t n = i % 97 + 1;
        unsigned char *p = arena_alloc(a, n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        for (size_t j = 0; j < n; j++)
            assert_int_equal(p[j], 0);
        memset(p, (int)(i & 0xff), n);
        seen[i] = p;
    }
    for (size_t i = 0; i < 500; i++)
        for (size_t j = 0; j < i % 97 + 1; j++)
            assert_int_equal(seen[i][j], i & 0xff);
    arena_free(&a);
    assert_null(a);
}

static void large_pieces_do_not_waste_the_current_chunk(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    size_t held;

    (void)state;
    assert_non_null(arena_alloc(a, 100));
    assert_non_null(arena_bytes(a, 5 << 20));
    held = arena_held(a);
    for (int i = 0; i < 20; i++)
        assert_non_null(arena_bytes(a, 50)); /* from the first chunk still */
    assert_int_equal(arena_held(a), held);
    assert_int_equal(arena_used(a), 100 + (5 << 20) + 20 * 50);
    arena_free(&a);
}

static void the_maximum_is_a_limit_error(void **state)
{
    struct arena *a = arena_new(NULL, 1000);
    struct err err;

    (void)state;
    assert_non_null(arena_bytes(a, 1000));
    assert_null(arena_bytes(a, 1));
    assert_int_equal(arena_err(a, &err), ERR_LIMIT);
    assert_null(arena_alloc(a, SIZE_MAX));
    assert_int_equal(arena_used(a), 1000);
    arena_reset(a);
    assert_non_null(arena_bytes(a, 1000));
    arena_free(&a);
}

static void the_budget_is_charged_and_given_back(void **state)
{
    struct mem_budget b = {.name = "t", .limit = 20000};
    struct arena *a = arena_new(&b, 0);
    struct err err;
    int n = 0;

    (void)state;
    while (arena_bytes(a, 1000) != NULL)
        n++;
    assert_in_range(n, 14, 20); /* nearly all of it can be used */
    assert_int_equal(arena_err(a, &err), ERR_NOMEM);
    assert_int_equal(b.used, arena_held(a));
    arena_reset(a);
    assert_int_equal(b.used, arena_held(a));
    assert_in_range(b.used, 1, 5000);
    arena_free(&a);
    assert_int_equal(b.used, 0);
}

static void a_huge_first_chunk_is_not_kept(void **state)
{
    struct arena *a = arena_new(NULL, 0);

    (void)state;
    assert_non_null(arena_bytes(a, 4 << 20));
    assert_non_null(arena_bytes(a, 10));
    arena_reset(a);
    assert_int_equal(arena_held(a), 0);
    assert_non_null(arena_alloc(a, 10));
    arena_free(&a);
}

static void recycled_memory_is_used_again_and_charged(void **state)
{
    struct mem_budget budget = {.name = "test", .limit = 9 << 20};
    struct arena *a = arena_new(&budget, 0);
    unsigned char *p;
    size_t held;

    (void)state;
    for (int i = 0; i < 6; i++) {
        p = (unsigned char *)arena_bytes(a, 1 << 20);
        assert_non_null(p);
        memset(p, 0xff, 1 << 20);
    }
    arena_recycle(a, 5 << 20);
    held = arena_held(a);
    assert_int_equal(arena_used(a), 0);
    assert_true(held > 0 && held <= (5 << 20) + 4096);
    assert_int_equal(budget.used, held);
    for (int i = 0; i < 4; i++) {
        p = arena_alloc(a, 1 << 20);
        assert_non_null(p);
        for (size_t k = 0; k < 1 << 20; k++)
            assert_int_equal(p[k], 0);
    }
    assert_int_equal(arena_held(a), held); /* nothing new */
    arena_recycle(a, 5 << 20);
    assert_non_null(arena_bytes(a, 8 << 20)); /* what is kept stands in nobody's way */
    arena_reset(a);
    assert_int_equal(arena_held(a), 0);
    arena_free(&a);
    assert_int_equal(budget.used, 0);
}

static void large_chunks_go_to_the_next_arena(void **state)
{
    enum { MANY = 64, PIECE = 1 << 20 };
    struct mem_budget budget = {.name = "test", .limit = (size_t)2 * MANY * PIECE};
    struct mem_budget little = {.name = "little", .limit = 100 << 10};
    struct arena *a[2];
    char *first;
    unsigned char *p;

    (void)state;
    a[0] = arena_new(&budget, 0);
    first = arena_bytes(a[0], 600 << 10);
    assert_non_null(first);
    memset(first, 0xff, 600 << 10);
    arena_free(&a[0]);
    assert_int_equal(budget.used, 0);
    assert_true(arena_stash_bytes() >= 600 << 10);

    a[0] = arena_new(&little, 0);
    assert_null(arena_bytes(a[0], 500 << 10)); /* it costs what it holds, wherever it is from */
    assert_int_equal(little.used, 0);
    arena_free(&a[0]);

    a[0] = arena_new(&budget, 0);
    p = arena_alloc(a[0], 500 << 10);
    assert_ptr_equal(p, first);
    for (size_t i = 0; i < 500 << 10; i++)
        assert_int_equal(p[i], 0);
    assert_int_equal(budget.used, arena_held(a[0]));
    a[1] = arena_new(&budget, 0);
    assert_ptr_not_equal(arena_bytes(a[1], 500 << 10), p);
    for (int i = 0; i < MANY; i++)
        assert_non_null(arena_bytes(a[i % 2], PIECE));
    arena_free(&a[0]);
    arena_free(&a[1]);
    assert_int_equal(budget.used, 0);
    assert_in_range(arena_stash_bytes(), ARENA_STASH_MAX - 2 * PIECE, ARENA_STASH_MAX);
}

static void texts_are_terminated_copies(void **state)
{
    struct arena *a = arena_new(NULL, 64);
    struct str s = arena_str(a, STR("hello"));
    struct str empty = arena_str(a, STR_NULL);
    struct str printed = arena_printf(a, "%d-%s", 42, "x");

    (void)state;
    check_str(s, "hello");
    assert_int_equal(s.p[5], '\0');
    assert_non_null(empty.p);
    assert_int_equal(empty.n, 0);
    check_str(printed, "42-x");
    assert_null(arena_printf(a, "%100s", "").p);
    assert_null(arena_str(a, (struct str){"", SIZE_MAX}).p);
    arena_free(&a);
}

CHECK_MAIN(cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
           cmocka_unit_test(large_pieces_do_not_waste_the_current_chunk),
           cmocka_unit_test(the_maximum_is_a_limit_error),
           cmocka_unit_test(the_budget_is_charged_and_given_back),
           cmocka_unit_test(a_huge_first_chunk_is_not_kept),
           cmocka_unit_test(recycled_memory_is_used_again_and_charged),
           cmocka_unit_test(large_chunks_go_to_the_next_arena),
           cmocka_unit_test(texts_are_terminated_copies))
