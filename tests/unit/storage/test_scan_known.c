/* storage/scan_known.c: a number that is given is the one that was put; what has no room goes. */
#include "storage/scan_known.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

enum { BASE = 3, LONGEST = 50, SHAPES_MAX = 64 };

static struct scan_known_value value(char text[32], unsigned i)
{
    return (struct scan_known_value){
        .text = {text, (size_t)snprintf(text, 32, "user-%u", i)}, .base = BASE, .shape = 1};
}

static bool knows(struct scan_known *kn, unsigned i, uint32_t *ret)
{
    char text[32];
    const struct scan_known_value v = value(text, i);

    return scan_known_get(kn, &v, ret);
}

/* As scan_reduce.c: what is not known is put. */
static void meet(struct scan_known *kn, unsigned i)
{
    char text[32];
    const struct scan_known_value v = value(text, i);
    uint32_t number;

    if (!scan_known_get(kn, &v, &number))
        scan_known_put(kn, &v, i);
}

static void a_value_has_the_number_that_was_put(void **state)
{
    struct scan_known *kn = scan_known_new(NULL);
    uint32_t number = 99;
    (void)state;

    assert_false(knows(kn, 0, &number));
    assert_int_equal(number, 99);
    meet(kn, 0);
    assert_true(knows(kn, 0, &number));
    assert_int_equal(number, 0); /* the smallest one is a number, too */
    meet(kn, 7);
    assert_true(knows(kn, 7, &number));
    assert_int_equal(number, 7);
    scan_known_free(&kn);
    assert_null(kn);
    scan_known_free(&kn);
}

static void it_is_another_in_another_shape_or_combination(void **state)
{
    struct scan_known *kn = scan_known_new(NULL);
    struct scan_known_value v = {.text = STR("x"), .base = 1, .shape = 1};
    uint32_t number;
    (void)state;

    assert_false(scan_known_get(kn, &v, &number));
    scan_known_put(kn, &v, 5);
    v.base = 2;
    assert_false(scan_known_get(kn, &v, &number));
    v.base = 1;
    v.shape = 2;
    assert_false(scan_known_get(kn, &v, &number));
    v.shape = 1;
    v.text = STR("xy");
    assert_false(scan_known_get(kn, &v, &number));
    v.text = STR("x");
    assert_true(scan_known_get(kn, &v, &number));
    assert_int_equal(number, 5);
    for (unsigned i = 10; i < 4000; i++) { /* some share a place */
        v.base = i % 2 == 0 ? i : 1;
        v.shape = i % 2 == 0 ? 1 : i;
        assert_false(scan_known_get(kn, &v, &number));
        scan_known_put(kn, &v, i);
    }
    scan_known_free(&kn);
}

static void empty_and_long_values_are_not_known(void **state)
{
    struct scan_known *kn = scan_known_new(NULL);
    char text[LONGEST + 1];
    struct scan_known_value v = {.base = 1, .shape = 1};
    uint32_t number;
    (void)state;

    memset(text, 'a', sizeof(text));
    for (size_t n = 0; n <= LONGEST + 1; n += n == 0 ? LONGEST : 1) {
        v.text = (struct str){text, n};
        assert_false(scan_known_get(kn, &v, &number));
        scan_known_put(kn, &v, 5);
        assert_int_equal(scan_known_get(kn, &v, &number), n == LONGEST);
    }
    scan_known_free(&kn);
}

/* Of any number of values none has a wrong number, and the last is always known. */
static void what_is_known_is_right_however_many_come(void **state)
{
    enum { MANY = 60000 };
    struct mem_budget budget = {.name = "query"};
    struct scan_known *kn = scan_known_new(&budget);
    uint32_t number;
    (void)state;

    for (unsigned i = 0; i < MANY; i++) {
        meet(kn, i);
        assert_true(knows(kn, i, &number) && number == i);
        if (knows(kn, i / 2, &number))
            assert_int_equal(number, i / 2);
    }
    assert_in_range(budget.used, 1 << 20, 5 << 19); /* 2 MiB of values, and little else */
    scan_known_free(&kn);
    assert_int_equal(budget.used, 0);
}

static void it_grows_to_what_comes_again_and_again(void **state)
{
    enum { SOME = 5000 };
    struct scan_known *kn = scan_known_new(NULL);
    unsigned known = 0;
    uint32_t number;
    (void)state;

    for (unsigned round = 0; round < 12; round++)
        for (unsigned i = 0; i < SOME; i++)
            meet(kn, i);
    for (unsigned i = 0; i < SOME; i++)
        known += knows(kn, i, &number);
    assert_in_range(known, SOME - SOME / 5, SOME);
    scan_known_free(&kn);
}

/* A value stays until two others have come to its place: with 256 places for twice as many, some
 * 512 others on average. */
static void the_older_one_gives_way(void **state)
{
    enum { ROUNDS = 100, EACH = 100000 };
    struct mem_budget budget = {.name = "query", .limit = 50000}; /* it cannot grow */
    struct scan_known *kn = scan_known_new(&budget);
    unsigned others = 0;
    uint32_t number;
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned a = round * EACH, i = a + 1;
        meet(kn, a);
        for (; knows(kn, a, &number) && i < a + EACH; i++)
            meet(kn, i);
        assert_true(i < a + EACH); /* it went */
        others += i - 1 - a;
    }
    assert_in_range(others / ROUNDS, 400, 620);
    scan_known_free(&kn);
}

static void without_memory_for_more_it_stays_as_large_as_it_is(void **state)
{
    struct mem_budget budget = {.name = "query", .limit = 50000};
    struct scan_known *kn = scan_known_new(&budget);
    uint32_t number;
    (void)state;

    for (unsigned i = 0; i < 5000; i++) {
        meet(kn, i);
        assert_true(knows(kn, i, &number) && number == i);
    }
    assert_true(budget.peak <= budget.limit);
    scan_known_free(&kn);
    assert_int_equal(budget.used, 0);
    budget.limit = 1000;
    kn = scan_known_new(&budget);
    assert_int_equal(scan_known_shape(kn, &(struct scan_shape){.before = STR("a")}), 0);
    scan_known_free(&kn);
}

static void shapes_are_numbered_and_bounded(void **state)
{
    struct scan_known *kn = scan_known_new(NULL);
    char text[16] = "before";
    struct scan_shape shape = {
        .before = str_of(text), .after = STR("after"), .tail = STR("tail"), .set = 1};
    (void)state;

    assert_int_equal(scan_known_shape(kn, &shape), 1);
    assert_int_equal(scan_known_shape(kn, &shape), 1);
    shape.set = 2;
    assert_int_equal(scan_known_shape(kn, &shape), 2);
    shape.tail = STR("");
    assert_int_equal(scan_known_shape(kn, &shape), 3);
    shape.after = STR("");
    assert_int_equal(scan_known_shape(kn, &shape), 4);
    text[0] = 'B'; /* it had copies */
    assert_int_equal(scan_known_shape(kn, &shape), 5);
    text[0] = 'b';
    assert_int_equal(scan_known_shape(kn, &shape), 4);
    for (unsigned i = 6; i <= SHAPES_MAX; i++) {
        shape.set = i;
        assert_int_equal(scan_known_shape(kn, &shape), i);
    }
    shape.set = 100;
    assert_int_equal(scan_known_shape(kn, &shape), 0);
    shape.set = SHAPES_MAX;
    assert_int_equal(scan_known_shape(kn, &shape), SHAPES_MAX);
    scan_known_free(&kn);
}

CHECK_MAIN(cmocka_unit_test(a_value_has_the_number_that_was_put),
           cmocka_unit_test(it_is_another_in_another_shape_or_combination),
           cmocka_unit_test(empty_and_long_values_are_not_known),
           cmocka_unit_test(what_is_known_is_right_however_many_come),
           cmocka_unit_test(it_grows_to_what_comes_again_and_again),
           cmocka_unit_test(the_older_one_gives_way),
           cmocka_unit_test(without_memory_for_more_it_stays_as_large_as_it_is),
           cmocka_unit_test(shapes_are_numbered_and_bounded))
