/* base/regexp_syntax.c: what is told of a pattern without RE2 is what RE2 says. */
#include "base/buf.h"
#include "base/regexp.h"
#include "base/regexp_syntax.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

/* Both must say the same; true: regexp_check found the fault itself. */
static bool compare(struct str pattern, bool must)
{
    struct regexp *re = NULL;
    struct err said = {0};
    struct err told = {0};
    int wanted = regexp_new(pattern, false, &re, &said);
    int r = regexp_check_size(pattern, &told);

    if (r == 0)
        r = regexp_check(pattern, &told);

    regexp_free(&re);
    if (r != wanted && (r != 0 || must))
        fail_msg("%.*s: %d %s, not %d %s", STR_ARG(pattern), r, told.text, wanted, said.text);
    if (r < 0 && strcmp(said.text, told.text) != 0)
        fail_msg("%.*s: %s, not %s", STR_ARG(pattern), told.text, said.text);
    return r < 0;
}

static const char *empty_word(enum regexp_empty e)
{
    return e == REGEXP_EMPTY_UNKNOWN ? "unknown" : e == REGEXP_EMPTY_YES ? "yes" : "no";
}

/* What is in a pattern that compiles; `must`: it may not be unknown. */
static void compare_content(struct str pattern, bool must)
{
    enum regexp_empty empty = regexp_takes_empty(pattern);
    struct regexp *re = NULL;
    struct err err = {0};
    struct str names[REGEXP_MAX_CAPTURES];
    size_t n = regexp_names(pattern, names, REGEXP_MAX_CAPTURES);

    if (regexp_new(pattern, true, &re, &err) < 0)
        return;
    if (empty != (regexp_matches(re, STR("")) ? REGEXP_EMPTY_YES : REGEXP_EMPTY_NO) &&
        (empty != REGEXP_EMPTY_UNKNOWN || must))
        fail_msg("%.*s: takes the empty text: %s", STR_ARG(pattern), empty_word(empty));
    if (n != regexp_captures(re) && (n != SIZE_MAX || must))
        fail_msg("%.*s: %zu groups, not %zu", STR_ARG(pattern), n, regexp_captures(re));
    for (size_t i = 0; i < n && n != SIZE_MAX; i++) {
        struct str want = regexp_capture_name(re, i + 1);
        if ((want.p == NULL) != (names[i].p == NULL) || !str_eq(want, names[i]))
            fail_msg("%.*s: group %zu is %.*s", STR_ARG(pattern), i, STR_ARG(names[i]));
    }
    regexp_free(&re);
}

static const char *const patterns[] = {
    "a)b",
    "(a",
    "[a",
    "\\",
    "\\8",
    "\\_",
    "\\\xc3\xa9",
    "\\x",
    "\\x1",
    "\\x{",
    "\\x{}",
    "\\x{110000}",
    "\\x{41}",
    "\\x\xc3\xa9",
    "\\7",
    "\\12",
    "\\08",
    "[z-a]",
    "[a-\\d]",
    "[\\8]",
    "[\\",
    "[[:foo:]]",
    "[[:foo]",
    "[[:alpha:]-z]",
    "[a-[:alpha:]]",
    "[[:^word:]]",
    "[[:^:]]",
    "[[::]]",
    "a**",
    "a*+",
    "*",
    "(*)",
    "a|*",
    "a{2}{3}",
    "a{2}*",
    "a{2,1}",
    "a{1001}",
    "{2}",
    "{1001}",
    "a{01}{",
    "a{2,}?",
    "(?k)",
    "(?i",
    "(?i:",
    "(?",
    "(?P<a",
    "(?P<a>",
    "(?P<1>a)",
    "(?P<>a)",
    "(?P=a)",
    "(?<a>b)",
    "(?<a>b",
    "(?<a>b))",
    "(?<a>b)(?k)",
    "(?<a>b)**",
    "(?<a>b)[z-a]",
    "(?<a>b)(?P<\xc3\xa9 >c)",
    "(?<a>b)[c",
    "(?<a>",
    "(?<a",
    "(?<>a)",
    "(?<a b>c)",
    "(?<=a)b",
    "(?<!a)b",
    "(?<a>\\8)",
    "(?P",
    "(?-)",
    "(?i-)",
    "(?--i)",
    "(?i-s:a)",
    "(?)",
    "(?\xc3\xa9",
    "^*",
    "\\b*",
    "(?i)*",
    "a(?i)*",
    "a*(?i)*",
    "\\Qab\\E*",
    "\\Q\\E*",
    "a*\\Q\\E*",
    "a*??",
    "a*?*",
    "\\Z",
    "a\\E",
    "[a-]",
    "[]-a]",
    "[--a]",
    "[a-b-c]",
    "[\\w-z]",
    "[^",
    "[]",
    "[^]",
    "(?P<a>x)(?P<a>y)",
    "a{,2}",
    "a{99999999999}",
    "[a\\Q]",
    "(?i)(?k)",
    ")",
    "())",
    "a{2}?*",
    "\\pL[\\p{Lu}\\PN]",
    "(\\Q(",
    "[\\x{100}-\\x41]",
    "\\C",
    "[\\x4]",
    "[a-\\x{110000}]",
    "[\xc3\xa9-a]",
    "[\\b]",
    "(?P<\xc3\xa9>a)",
    "(?P<a b>c)",
    "[\\x]",
};

static void faults_are_told_in_the_words_of_re2(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        (void)compare(str_of(patterns[i]), true);
}

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Of pieces that nearly always make a pattern. */
static void random_content_is_what_re2_finds(void **state)
{
    static const char *const pieces[] = {
        "(",    "(",   "(?:", "(?P<a>", "(?<b_2>", ")",        ")",    ")",   "|",    "|",   "*",
        "*",    "?",   "+",   "a",      "bc",      "^",        "$",    ".",   "[ab]", "\\b", "\\B",
        "\\Qa", "\\E", "{0}", "{1,2}",  "{0,3}",   "\xc3\xa9", "(?i)", "\\d", "\\A",  "}",   "{",
    };
    uint64_t seed = 7;
    size_t known[3] = {0, 0, 0};

    (void)state;
    for (int i = 0; i < 30000; i++) {
        char text[256];
        size_t n = 0;
        for (uint64_t k = 1 + next_random(&seed) % 9; k > 0; k--) {
            const char *piece = pieces[next_random(&seed) % (sizeof(pieces) / sizeof(pieces[0]))];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        compare_content((struct str){text, n}, false);
        known[regexp_takes_empty((struct str){text, n})]++;
    }
    assert_true(known[REGEXP_EMPTY_YES] > 1000);
    assert_true(known[REGEXP_EMPTY_NO] > 1000);
}

static void long_messages_end_where_those_of_re2_end(void **state)
{
    static const char *const ends[][2] = {
        {"(", ""}, {"", ")"}, {"[", ""}, {"(?P<", "%>"}, {"(?P<", ""}};

    (void)state;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char text[400];
        (void)snprintf(text, sizeof(text), "%s%0300d%s", ends[i][0], 1, ends[i][1]);
        (void)compare(str_of(text), true);
    }
}

static void what_takes_the_empty_text_is_known(void **state)
{
    static const char *const valid[] = {
        "",
        "a",
        "a*",
        "a?b?",
        "a+",
        "a|",
        "|a",
        "a|b|c*",
        "()",
        "(a)?",
        "(a|)b*",
        "(a*b)*",
        "((a?)b?)",
        "(a|b*)c?",
        "^",
        "$",
        "^$",
        "\\A\\z",
        "\\b",
        "\\B",
        "\\b?",
        "a{0}",
        "a{0,2}",
        "a{1}",
        "a{0,}",
        "(a*){3}",
        "ab{0}",
        "a{,2}",
        "\\Qab\\E*",
        "\\Qa\\E*",
        "\\Q\\E",
        "\\Q\xc3\xa9\\E?",
        "\xc3\xa9*",
        "a\\Q\\E*",
        "a\\Q",
        "(?i)",
        "(?i:a*)",
        "a(?i)*",
        "a(?s)*",
        "a(?)?b{0}",
        "a??",
        "a+?",
        "[a]*",
        "[^a]?",
        "\\pL*",
        "\\d",
        ".*",
        ".?.?",
        "(?s).",
        "\\x41*",
        "{",
        "a{01}*",
        "(?m)^$",
        "(?U)a*",
        "(|a)(b|)",
        "(?:)",
        "a]*",
        "(?P<x>a)(?P<y>)",
        "(?P<x>(?P<y_1>b)|(c))",
        "(?<x>a)(?<y>)",
        "(?<x>(?P<y_1>b)|(?<0>c))",
        "(?P<1>a)",
        "((?:(a)))",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
        compare_content(str_of(valid[i]), true);
}

static void groups_too_deep_or_too_many_are_unknown(void **state)
{
    struct str names[2];
    struct buf text;

    (void)state;
    assert_int_equal(regexp_names(STR("(a)(b)"), names, 2), 2);
    assert_true(regexp_names(STR("(a)(b)(c)"), names, 2) == SIZE_MAX);
    assert_true(regexp_names(STR("(a)("), names, 2) == SIZE_MAX);
    assert_int_equal(regexp_takes_empty(STR("a*(")), REGEXP_EMPTY_UNKNOWN);
    assert_int_equal(regexp_takes_empty(STR("\xff*")), REGEXP_EMPTY_UNKNOWN);
    buf_init(&text, 1 << 12);
    for (int i = 0; i < 250; i++)
        buf_add_char(&text, '(');
    buf_add_z(&text, "a*");
    for (int i = 0; i < 250; i++)
        buf_add_char(&text, ')');
    assert_int_equal(regexp_takes_empty(buf_str(&text)), REGEXP_EMPTY_YES);
    buf_add_z(&text, "b");
    assert_int_equal(regexp_takes_empty(buf_str(&text)), REGEXP_EMPTY_NO);
    assert_int_equal(regexp_takes_empty(str_sub(buf_str(&text), 0, 502)), REGEXP_EMPTY_YES);
    buf_clear(&text);
    for (int i = 0; i < 251; i++)
        buf_add_char(&text, '(');
    for (int i = 0; i < 251; i++)
        buf_add_char(&text, ')');
    assert_int_equal(regexp_takes_empty(buf_str(&text)), REGEXP_EMPTY_UNKNOWN);
    buf_fini(&text);
}

static void random_patterns_are_never_told_wrong_things(void **state)
{
    static const char *const pieces[] = {
        "(",     "(?:",        "(?i)", "(?<a>", "(?",  "(?-", ")",        ")", "[",   "[^",  "]",
        "]",     "\\Q",        "\\E",  "\\",    "|",   "*",   "+",        "?", "{2}", "{2,", "}",
        "{3,2}", "[:alpha:]",  "[:",   ":]",    "-",   "a",   "z",        "0", "7",   "8",   "\\d",
        "\\pL",  "\\p{Greek}", "\\x",  "{41}",  "\\b", "^",   "\xc3\xa9", "<", "P",   ".",
    };
    uint64_t seed = 42;
    size_t told = 0;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        char text[256];
        size_t n = 0;
        for (uint64_t k = 1 + next_random(&seed) % 9; k > 0; k--) {
            const char *piece = pieces[next_random(&seed) % (sizeof(pieces) / sizeof(pieces[0]))];
            memcpy(text + n, piece, strlen(piece));
            n += strlen(piece);
        }
        told += compare((struct str){text, n}, false);
    }
    assert_true(told > 30000);
}

CHECK_MAIN(cmocka_unit_test(faults_are_told_in_the_words_of_re2),
           cmocka_unit_test(long_messages_end_where_those_of_re2_end),
           cmocka_unit_test(random_patterns_are_never_told_wrong_things),
           cmocka_unit_test(what_takes_the_empty_text_is_known),
           cmocka_unit_test(random_content_is_what_re2_finds),
           cmocka_unit_test(groups_too_deep_or_too_many_are_unknown))
