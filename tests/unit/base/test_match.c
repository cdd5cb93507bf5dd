/* base/match.c: the four operators, and labels that are not there. */
#include "base/match.h"

#include "tests/lib/check.h"

static bool matches(enum match_op op, const char *pattern, const char *value)
{
    struct matcher m;
    struct err err;
    bool yes;

    assert_int_equal(matcher_init(&m, op, STR("n"), str_of(pattern), &err), 0);
    yes = matcher_matches(&m, str_of(value));
    matcher_fini(&m);
    return yes;
}

static void operators_mean_what_they_say(void **state)
{
    (void)state;
    assert_true(matches(MATCH_EQ, "a", "a"));
    assert_false(matches(MATCH_EQ, "a", "ab"));
    assert_true(matches(MATCH_NE, "a", "b"));
    assert_true(matches(MATCH_RE, "a.*|x", "abc"));
    assert_false(matches(MATCH_RE, "b", "abc")); /* anchored */
    assert_false(matches(MATCH_RE, "a|b", "ab"));
    assert_true(matches(MATCH_NRE, "b", "abc"));
    assert_false(matches(MATCH_NRE, ".*", ""));
}

static void a_dot_takes_the_newlines_of_a_value(void **state)
{
    (void)state;
    assert_true(matches(MATCH_RE, ".*", "a\nb"));
    assert_true(matches(MATCH_RE, ".+b.*", "a\nb\nc"));
    assert_false(matches(MATCH_NRE, ".*", "a\nb"));
    assert_true(matches(MATCH_RE, "a.b|x", "a\nb"));
    assert_false(matches(MATCH_RE, "(?-s)a.b|x", "a\nb"));
    assert_false(matches(MATCH_RE, "a", "a\n"));
}

static void all_must_match_and_absent_is_empty(void **state)
{
    struct label v[] = {{STR("app"), STR("web")}, {STR("env"), STR("prod")}};
    struct labels l = {v, 2};
    struct matcher m[3];
    struct err err;

    (void)state;
    assert_int_equal(matcher_init(&m[0], MATCH_EQ, STR("app"), STR("web"), &err), 0);
    assert_int_equal(matcher_init(&m[1], MATCH_EQ, STR("zone"), STR(""), &err), 0);
    assert_int_equal(matcher_init(&m[2], MATCH_RE, STR("zone"), STR(".+"), &err), 0);
    assert_true(matchers_match(m, 0, &l));
    assert_true(matchers_match(m, 2, &l));
    assert_false(matchers_match(m, 3, &l));
    for (int i = 0; i < 3; i++)
        matcher_fini(&m[i]);
}

static void a_bad_pattern_is_an_error(void **state)
{
    struct matcher m;
    struct err err;

    (void)state;
    assert_int_equal(matcher_init(&m, MATCH_RE, STR("a"), STR("("), &err), ERR_INVALID);
    assert_int_equal(matcher_init(&m, MATCH_NRE, STR("a"), STR("*"), &err), ERR_INVALID);
    assert_int_equal(matcher_init(&m, MATCH_EQ, STR("a"), STR("("), &err), 0);
    matcher_fini(&m);
}

CHECK_MAIN(cmocka_unit_test(operators_mean_what_they_say),
           cmocka_unit_test(a_dot_takes_the_newlines_of_a_value),
           cmocka_unit_test(all_must_match_and_absent_is_empty),
           cmocka_unit_test(a_bad_pattern_is_an_error))
