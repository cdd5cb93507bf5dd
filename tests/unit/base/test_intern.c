/* base/intern.c: numbers stand for strings, within their limits. */
#include "base/intern.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

/* A string that is long or empty now and then, and holds zeros. */
static struct str text_of(uint32_t i, char *dst)
{
    size_t n = (size_t)sprintf(dst, "%u", i);

    dst[n] = '\0';
    memset(dst + n + 1, 'x', i % 97 == 0 ? 900 : 0);
    return (struct str){dst, i == 5 ? 0 : n + 1 + (i % 97 == 0 ? 900 : 0)};
}

static void each_string_has_its_number(void **state)
{
    enum { N = 5000 };
    struct mem_budget budget = {.name = "test"};
    struct intern *in = intern_new(&budget, N, 0);
    char text[1000];
    struct err err;

    (void)state;
    for (uint32_t round = 0; round < 2; round++)
        for (uint32_t i = 0; i < N; i++) {
            uint32_t number = UINT32_MAX;
            assert_int_equal(intern_find(in, text_of(i, text), &number, &err), 0);
            assert_int_equal(number, i);
        }
    assert_int_equal(intern_count(in), N);
    for (uint32_t i = 0; i < N; i++)
        assert_true(str_eq(intern_key(in, i), text_of(i, text)));
    intern_free(&in);
    assert_null(in);
    assert_int_equal(budget.used, 0);
}

static void a_full_one_still_finds(void **state)
{
    struct intern *few = intern_new(NULL, 2, 0);
    struct intern *small = intern_new(NULL, 100, 10);
    uint32_t number;
    struct err err;

    (void)state;
    assert_int_equal(intern_find(few, STR("a"), &number, &err), 0);
    assert_int_equal(intern_find(few, STR("b"), &number, &err), 0);
    assert_int_equal(intern_find(few, STR("c"), &number, &err), 1);
    assert_int_equal(intern_find(few, STR("b"), &number, &err), 0);
    assert_int_equal(number, 1);
    assert_int_equal(intern_find(small, STR("12345678"), &number, &err), 0);
    assert_int_equal(intern_find(small, STR("abc"), &number, &err), 1);
    assert_int_equal(intern_find(small, STR("ab"), &number, &err), 0);
    assert_int_equal(intern_count(small), 2);
    intern_free(&few);
    intern_free(&small);
}

static void its_memory_is_the_budgets(void **state)
{
    struct mem_budget budget = {.name = "test", .limit = 200000};
    struct intern *in = intern_new(&budget, 1 << 20, 0);
    uint32_t number = 0;
    char text[1000];
    struct err err;
    int r = 0;

    (void)state;
    for (uint32_t i = 0; r == 0; i++)
        r = intern_find(in, text_of(i, text), &number, &err);
    assert_int_equal(r, ERR_NOMEM);
    assert_true(budget.peak <= budget.limit);
    assert_int_equal(intern_find(in, text_of(7, text), &number, &err), 0);
    assert_int_equal(number, 7);
    intern_free(&in);
    assert_int_equal(budget.used, 0);
}

static void many_at_once_are_found_as_one_by_one(void **state)
{
    struct intern *one = intern_new(NULL, 5000, 0);
    struct intern *all = intern_new(NULL, 5000, 0);
    static char text[77][16];
    struct str key[77];
    uint32_t got[77];
    struct err err;
    uint32_t x = 1;
    int r = 0;

    (void)state;
    for (unsigned round = 0; r == 0 && round < 200; round++) {
        size_t n = round % 78;
        for (size_t i = 0; i < n; i++) {
            x = x * 1664525 + 1013904223;
            key[i] = (struct str){text[i], (size_t)sprintf(text[i], "k%u", (x >> 16) % 6000)};
        }
        r = intern_find_all(all, key, n, got, &err);
        for (size_t i = 0; r == 0 && i < n; i++) {
            uint32_t want = 0;
            assert_int_equal(intern_find(one, key[i], &want, &err), 0);
            assert_int_equal(got[i], want);
        }
    }
    assert_true(r == 0 || (r == 1 && intern_count(all) == 5000)); /* it is full */
    intern_free(&one);
    intern_free(&all);
}

CHECK_MAIN(cmocka_unit_test(each_string_has_its_number),
           cmocka_unit_test(many_at_once_are_found_as_one_by_one),
           cmocka_unit_test(a_full_one_still_finds), cmocka_unit_test(its_memory_is_the_budgets))
