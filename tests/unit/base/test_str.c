/* base/str.c: views and numbers. */
#include "base/str.h"

#include "tests/lib/check.h"

#include <math.h>
#include <string.h>

static void compares_bytes(void **state)
{
    (void)state;
    assert_true(str_eq(STR_NULL, STR("")));
    assert_false(str_eq(STR("a"), STR("b")));
    assert_true(str_eq_nocase(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_eq_nocase(STR("@"), STR("`"))); /* differ by 0x20 and are no letters */
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
}

static void finds_and_cuts(void **state)
{
    struct str rest = STR("a=b==");

    (void)state;
    assert_true(str_starts(rest, STR("a=")));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(rest, STR("==")));
    assert_true(str_ends(rest, STR_NULL));
    assert_int_equal(str_find(rest, STR("b=")), 2);
    assert_int_equal(str_find(rest, STR_NULL), 0);
    assert_int_equal(str_find(STR_NULL, STR("x")), SIZE_MAX);
    assert_int_equal(str_find_char(rest, '='), 1);
    check_str(str_cut(&rest, '='), "a");
    check_str(str_cut(&rest, '='), "b");
    check_str(str_cut(&rest, '='), "");
    assert_non_null(rest.p); /* there was a separator: one more, empty piece */
    check_str(str_cut(&rest, '='), "");
    assert_null(rest.p);
}

static void parts_are_clamped(void **state)
{
    (void)state;
    check_str(str_sub(STR("hello"), 1, 3), "ell");
    check_str(str_sub(STR("hello"), 4, SIZE_MAX), "o");
    check_str(str_from(STR("hello"), 9), "");
    check_str(str_trim(STR(" \t a b\r\n")), "a b");
    check_str(str_trim(STR("  ")), "");
}

static void whole_numbers_only_if_they_fit(void **state)
{
    uint64_t u = 5;
    int64_t i = 5;

    (void)state;
    assert_true(str_to_u64(STR("18446744073709551615"), &u));
    assert_true(u == UINT64_MAX);
    assert_false(str_to_u64(STR("18446744073709551616"), &u));
    assert_false(str_to_u64(STR("99999999999999999999"), &u));
    assert_false(str_to_u64(STR(""), &u));
    assert_false(str_to_u64(STR("1 "), &u));
    assert_false(str_to_u64(STR("+1"), &u));
    assert_true(u == UINT64_MAX);
    assert_true(str_to_i64(STR("-9223372036854775808"), &i));
    assert_true(i == INT64_MIN);
    assert_false(str_to_i64(STR("9223372036854775808"), &i));
    assert_false(str_to_i64(STR("-9223372036854775809"), &i));
    assert_false(str_to_i64(STR("-"), &i));
    assert_false(str_to_i64(STR("--1"), &i));
    assert_true(str_to_i64(STR("-0"), &i));
    assert_true(i == 0);
}

static void floats_only_if_all_of_it_is_one(void **state)
{
    double d = 7;

    (void)state;
    assert_true(str_to_f64((struct str){"1.5e3xyz", 5}, &d));
    assert_true(d == 1500);
    assert_true(str_to_f64(STR("-inf"), &d));
    assert_true(isinf(d) && d < 0);
    assert_true(str_to_f64(STR("1e-400"), &d)); /* too small is nothing */
    assert_true(fabs(d) < 1e-300);
    d = 7;
    assert_false(str_to_f64(STR("1e400"), &d));
    assert_false(str_to_f64(STR(" 1"), &d));
    assert_false(str_to_f64(STR("1 "), &d));
    assert_false(str_to_f64(STR("\v1"), &d));
    assert_false(str_to_f64(STR("1\0"), &d));
    assert_false(str_to_f64(STR(""), &d));
    assert_true(d == 7);
}

static void copies_are_cut_and_terminated(void **state)
{
    char z[4];

    (void)state;
    assert_string_equal(str_to_z(STR("ab"), z, sizeof(z)), "ab");
    assert_string_equal(str_to_z(STR("abcdef"), z, sizeof(z)), "abc");
    assert_string_equal(str_to_z(STR_NULL, z, 1), "");
    assert_null(str_of(NULL).p);
}

CHECK_MAIN(cmocka_unit_test(compares_bytes), cmocka_unit_test(finds_and_cuts),
           cmocka_unit_test(parts_are_clamped), cmocka_unit_test(whole_numbers_only_if_they_fit),
           cmocka_unit_test(floats_only_if_all_of_it_is_one),
           cmocka_unit_test(copies_are_cut_and_terminated))
