/* tests/unit/base/test_regexp_cost.c */
#include "base/regexp_cost.h"

#include "base/regexp.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void repetitions_multiply_what_is_before_them(void **state)
{
    static const struct {
        const char *small, *large;
        uint32_t times;
    } cases[] = {
        {"x", "x{100}", 50},
        {"(abc)", "(abc){100}", 50},
        {"[a-z]", "[a-z]{0,100}", 50},
        {"\\pL", "\\pL{100}", 50},
        {"\\p{Greek}", "\\p{Greek}{100}", 50},
        {"x{10}", "(x{10}){10}", 5},
        {"(ab|cd)", "(ab|cd){50,}", 25},
        {"a", "\\pL", 50},
        {"aaaaaaaaaa", "(?i)aaaaaaaaaa", 3},
        {"a", "[\\pL\\PN]", 100},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (regexp_cost(str_of(cases[i].large)) <
            regexp_cost(str_of(cases[i].small)) * cases[i].times)
            fail_msg("%s: %u", cases[i].large, regexp_cost(str_of(cases[i].large)));
}

static void what_only_looks_like_a_repetition_is_text(void **state)
{
    static const char *const cases[] = {"x{}",           "x{,}y",    "x\\{1000}",
                                        "[{]1000}",      "x{1000",   "{a}b",
                                        "\\Qx{1000}\\E", "x[]{9}]y", "[[:alpha:]]{2}"};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (regexp_cost(str_of(cases[i])) > 60)
            fail_msg("%s: %u", cases[i], regexp_cost(str_of(cases[i])));
}

/* `unit` again and again up to `n` bytes; the caller frees it. */
static struct str repeated(const char *unit, size_t n)
{
    size_t each = strlen(unit);
    char *p = malloc(n + each);

    assert_non_null(p);
    for (size_t at = 0; at < n; at += each)
        memcpy(p + at, unit, each);
    return (struct str){p, n / each * each};
}

static void hostile_patterns_are_refused_before_they_are_compiled(void **state)
{
    static const char *const units[] = {"x{1000}",     "\\pL", "(",       "[^\\pL]",
                                        "(x{30}){30}", ".*",   "(?i)kkkk"};

    (void)state;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        struct str s = repeated(units[i], REGEXP_MAX_BYTES - 100);
        struct regexp *re = NULL;
        struct err err = {0};
        assert_int_equal(regexp_cost(s), REGEXP_COST_MAX + 1);
        assert_int_equal(regexp_new(s, false, &re, &err), ERR_LIMIT);
        free((char *)(uintptr_t)s.p);
    }
}

static void long_alternations_of_names_are_not(void **state)
{
    struct str s = repeated("ingress-nginx-controller-7d4f|", 60000);
    struct regexp *re = NULL;
    struct err err = {0};

    (void)state;
    assert_true(regexp_cost(s) <= REGEXP_COST_MAX);
    assert_int_equal(regexp_new(s, true, &re, &err), 0);
    regexp_free(&re);
    free((char *)(uintptr_t)s.p);
}

CHECK_MAIN(cmocka_unit_test(repetitions_multiply_what_is_before_them),
           cmocka_unit_test(what_only_looks_like_a_repetition_is_text),
           cmocka_unit_test(hostile_patterns_are_refused_before_they_are_compiled),
           cmocka_unit_test(long_alternations_of_names_are_not))
