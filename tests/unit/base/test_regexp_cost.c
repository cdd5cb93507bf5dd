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
    static const char *const units[] = {"x{1000}",     "\\pL", "(",        "[^\\pL]",
                                        "(x{30}){30}", ".*",   "(?i)kkkk", "[[:"};

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

static void what_is_sought_once_is_not_repeated(void **state)
{
    static const char *const cases[] = {"[^[:]{50}", "(?:[^[:]+:){50}", "[[:]{1,64}", "[+-[:]{64}"};
    struct regexp *re = NULL;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (regexp_cost(str_of(cases[i])) > 2000)
            fail_msg("%s: %u", cases[i], regexp_cost(str_of(cases[i])));
        assert_int_equal(regexp_new(str_of(cases[i]), false, &re, &err), 0);
        regexp_free(&re);
    }
}

static void classes_end_where_those_of_re2_end(void **state)
{
    static const struct {
        const char *pattern;
        size_t end;
    } cases[] = {
        {"[a]b", 3},        {"[]a]b", 4},   {"[^]a]b", 5}, {"[[:alpha:]]b", 11},
        {"[+-[:]b:]", 6},   {"[\\]b", 4},   {"[\\]]b", 4}, {"[\\pL-[:]b", 8},
        {"[\\d-[:x]b]", 8}, {"[a-[:]b", 6}, {"[abc", 4},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool unended = false;
        size_t end = regexp_class_end(str_of(cases[i].pattern), 0, &unended);
        if (end != cases[i].end)
            fail_msg("%s: %zu", cases[i].pattern, end);
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

/* What RE2 counts; SIZE_MAX: it does not compile. */
static size_t counted_by_re2(struct str pattern)
{
    struct regexp *re = NULL;
    struct err err = {0};
    size_t n = SIZE_MAX;

    if (regexp_new(pattern, false, &re, &err) == 0)
        n = regexp_captures(re);
    regexp_free(&re);
    return n;
}

static void groups_are_those_that_re2_counts(void **state)
{
    static const struct {
        const char *pattern;
        size_t n;
    } cases[] = {
        {"", 0},
        {"a(b)(c(d))", 3},
        {"(?P<x>a)(?P<y_1>b)", 2},
        {"(?:a)(?i:b)(?i)(c)(?-s:d)(?sU)(e)", 2},
        {"()|(a)|()", 3},
        {"(a){0}(b){3}((c)*)*", 4},
        {"\\(\\(\\\\(a)", 1},
        {"\\Q((\\(\\E(a)\\Q((", 1},
        {"[(]([)(]|[^(])[](][^](]", 1},
        {"[[:alpha:](](a)", 1},
        {"[[:^alpha:]](a)[[:(]", 1},
        {"[+-[:](a)[b:]", 1},
        {"[\\d-(](a)[(-\\](]", 1},
        {"[\\]([](a)[\\[:]", 1},
        {"\\pL(a)\\p{Greek}(b)[\\p{Latin}(](c)", 3},
        {"\\x28\\x{28}\\050(a)", 1},
        {"a{2(b)}", 1},
        {"\xc3\xa9(\xc3\xa9)[\xc3\xa9(]", 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct str s = str_of(cases[i].pattern);
        if (regexp_groups(s, SIZE_MAX) != cases[i].n || counted_by_re2(s) != cases[i].n)
            fail_msg("%s: %zu, RE2 says %zu", s.p, regexp_groups(s, SIZE_MAX), counted_by_re2(s));
    }
}

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Pieces of which most meet a part of the syntax in the wrong place. */
static size_t add_piece(char *text, size_t at, uint64_t random, size_t number)
{
    static const char *const pieces[] = {
        "(", "(",   "(?:", "(?i:", "(?s)", ")",   ")",       ")",   "[",         "[^", "]",
        "]", "\\Q", "\\E", "\\",   "\\(",  "|",   "*",       "{2}", "[:alpha:]", "[:", ":]",
        "-", "a",   "\\d", "\\pL", "?",    "\\]", "\\x{28}", "^",   "\xc3\xa9",  "<",  "P",
    };
    size_t n = sizeof(pieces) / sizeof(pieces[0]);
    size_t kind = random % (n + 2);

    if (kind >= n)
        return at + (size_t)sprintf(text + at, "(?P<n%zu>", number);
    memcpy(text + at, pieces[kind], strlen(pieces[kind]));
    return at + strlen(pieces[kind]);
}

static void groups_of_random_patterns_are_those_that_re2_counts(void **state)
{
    uint64_t seed = 42;
    size_t compiled = 0;
    size_t grouped = 0;

    (void)state;
    for (int i = 0; i < 40000; i++) {
        char text[256];
        size_t at = 0;
        size_t n;
        struct str s;

        for (size_t k = 1 + next_random(&seed) % 12; k > 0; k--)
            at = add_piece(text, at, next_random(&seed), k);
        s = (struct str){text, at};
        n = counted_by_re2(s);
        if (n != SIZE_MAX && n != regexp_groups(s, SIZE_MAX))
            fail_msg("%.*s: %zu, RE2 says %zu", STR_ARG(s), regexp_groups(s, SIZE_MAX), n);
        compiled += n != SIZE_MAX;
        grouped += n != SIZE_MAX && n > 0;
    }
    assert_true(compiled > 2000 && grouped > 500);
}

CHECK_MAIN(cmocka_unit_test(repetitions_multiply_what_is_before_them),
           cmocka_unit_test(what_only_looks_like_a_repetition_is_text),
           cmocka_unit_test(hostile_patterns_are_refused_before_they_are_compiled),
           cmocka_unit_test(what_is_sought_once_is_not_repeated),
           cmocka_unit_test(classes_end_where_those_of_re2_end),
           cmocka_unit_test(long_alternations_of_names_are_not),
           cmocka_unit_test(groups_are_those_that_re2_counts),
           cmocka_unit_test(groups_of_random_patterns_are_those_that_re2_counts))
