/* query/distinct.c: a value comes for the first time once, whatever else there is. */
#include "query/distinct.h"

#include "tests/lib/check.h"

#include <stdio.h>

static int first(struct distinct *d, struct str key)
{
    struct err err;

    return distinct_first(d, key, &err);
}

static void a_value_comes_for_the_first_time_once(void **state)
{
    struct distinct *d = distinct_new(NULL);
    char text[16] = "value";
    (void)state;

    assert_int_equal(first(d, str_of(text)), 1);
    assert_int_equal(first(d, str_of(text)), 0);
    text[0] = 'V'; /* it had a copy */
    assert_int_equal(first(d, str_of(text)), 1);
    assert_int_equal(first(d, STR("value")), 0);
    assert_int_equal(first(d, STR("")), 1);
    assert_int_equal(first(d, STR("")), 0);
    assert_int_equal(first(d, STR("a\0b")), 1);
    assert_int_equal(first(d, STR("a\0c")), 1);
    assert_int_equal(first(d, STR("a")), 1);
    distinct_free(&d);
    assert_null(d);
    distinct_free(&d);
}

static void many_are_told_apart(void **state)
{
    enum { MANY = 20000 };
    struct distinct *d = distinct_new(NULL);
    char text[16];
    (void)state;

    for (int want = 1; want >= 0; want--)
        for (int i = 0; i < MANY; i++) {
            (void)snprintf(text, sizeof(text), "%d", i);
            assert_int_equal(first(d, str_of(text)), want);
        }
    distinct_free(&d);
}

static void values_are_charged_and_given_back(void **state)
{
    struct mem_budget budget = {.name = "query", .limit = 10000};
    struct distinct *d = distinct_new(&budget);
    char text[16];
    size_t used;
    int i = 0;
    (void)state;

    for (int r = 1; r == 1; i++) {
        (void)snprintf(text, sizeof(text), "%08d", i);
        r = first(d, str_of(text));
        assert_true(r == 1 || r == ERR_NOMEM);
    }
    assert_in_range(i, 10, 1000);
    used = budget.used;
    assert_true(used >= (size_t)(i - 1) * 8 && budget.peak <= budget.limit);
    assert_int_equal(first(d, str_of(text)), ERR_NOMEM); /* as it was not taken in */
    assert_int_equal(first(d, STR("00000000")), 0);      /* what is there needs nothing */
    assert_int_equal(budget.used, used);
    distinct_free(&d);
    assert_int_equal(budget.used, 0);
}

static void one_of_its_own_bytes_is_bounded_by_them(void **state)
{
    struct distinct *d = distinct_new_own(1000);
    char text[16];
    int r = 1;
    int i = 0;
    (void)state;

    for (; r == 1 && i < 1000; i++) {
        (void)snprintf(text, sizeof(text), "%d", i);
        r = first(d, str_of(text));
    }
    assert_int_equal(r, ERR_NOMEM);
    assert_in_range(i, 2, 100);
    assert_int_equal(first(d, STR("0")), 0);
    distinct_free(&d);
}

CHECK_MAIN(cmocka_unit_test(a_value_comes_for_the_first_time_once),
           cmocka_unit_test(many_are_told_apart),
           cmocka_unit_test(values_are_charged_and_given_back),
           cmocka_unit_test(one_of_its_own_bytes_is_bounded_by_them))
