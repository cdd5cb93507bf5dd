/* base/regexp_syntax.c: what is told of a pattern without RE2 is what RE2 says. */
#include "base/regexp.h"

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
    int r = regexp_check(pattern, &told);

    regexp_free(&re);
    if (r != wanted && (r != 0 || must))
        fail_msg("%.*s: %d %s, not %d %s", STR_ARG(pattern), r, told.text, wanted, said.text);
    if (r < 0 && strcmp(said.text, told.text) != 0)
        fail_msg("%.*s: %s, not %s", STR_ARG(pattern), told.text, said.text);
    return r < 0;
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

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

static void random_patterns_are_never_told_wrong_things(void **state)
{
    static const char *const pieces[] = {
        "(",     "(?:",        "(?i)", "(?P<a>", "(?",  "(?-", ")",        ")", "[",   "[^",  "]",
        "]",     "\\Q",        "\\E",  "\\",     "|",   "*",   "+",        "?", "{2}", "{2,", "}",
        "{3,2}", "[:alpha:]",  "[:",   ":]",     "-",   "a",   "z",        "0", "7",   "8",   "\\d",
        "\\pL",  "\\p{Greek}", "\\x",  "{41}",   "\\b", "^",   "\xc3\xa9", "<", "P",   ".",
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
           cmocka_unit_test(random_patterns_are_never_told_wrong_things))
