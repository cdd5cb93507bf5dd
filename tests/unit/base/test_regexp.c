/* base/regexp_re2.cc: RE2's meaning, by whatever way the answer is found. */
#include "base/regexp.h"

#include "tests/lib/check.h"

#include <string.h>

static struct regexp *compile(struct str pattern, bool anchored)
{
    struct regexp *r = NULL;
    struct err err;

    if (regexp_new(pattern, anchored, &r, &err) != 0)
        fail_msg("'%.*s': %s", STR_ARG(pattern), err.text);
    return r;
}

static bool matches(const char *pattern, bool anchored, struct str text)
{
    struct regexp *r = compile(str_of(pattern), anchored);
    bool yes = regexp_matches(r, text);

    regexp_free(&r);
    assert_null(r);
    return yes;
}

static void bad_patterns_are_refused_with_a_reason(void **state)
{
    static const char *bad[] = {"(",    "a**",        "[b-a]", "(?=a)",   "\\1",
                                "a\\C", "\\Qx\\E\\C", "\xff",  "x{1001}", "*"};
    struct regexp *r = NULL;
    struct err err;
    char huge[REGEXP_MAX_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (regexp_new(str_of(bad[i]), false, &r, &err) != ERR_INVALID)
            fail_msg("took '%s'", bad[i]);
        assert_true(strlen(err.text) > 5);
    }
    assert_int_equal(regexp_new(STR("((((((x{100}){100}){100})))))"), false, &r, &err), ERR_LIMIT);
    assert_int_equal(regexp_new(STR("(\\pL{500}\\pL{500}){2}(\\pL{500}){2}"), false, &r, &err),
                     ERR_LIMIT);
    memset(huge, 'a', sizeof(huge));
    assert_int_equal(regexp_new((struct str){huge, sizeof(huge)}, false, &r, &err), ERR_LIMIT);
    assert_null(r);
}

static void anchored_takes_the_whole_text(void **state)
{
    (void)state;
    assert_true(matches("b", false, STR("abc")));
    assert_false(matches("b", true, STR("abc")));
    assert_true(matches("a|abc", true, STR("abc")));
    assert_false(matches("a|b", true, STR("ab")));
    assert_true(matches("", false, STR("abc")));
    assert_false(matches("", true, STR("abc")));
    assert_true(matches("", true, STR_NULL));
    assert_true(matches(".*", true, STR_NULL));
    assert_false(matches("a.c", true, STR("a\nc")));
    assert_true(matches("(?s)a.c", true, STR("a\nc")));
    assert_true(matches("\\QC\\C\\E", true, STR("C\\C"))); /* \C in \Q..\E is no \C */
}

/* What the reader of plain text must not get wrong: each pattern with texts it takes and does not.
 */
static void plain_text_is_told_from_operators(void **state)
{
    static const struct {
        const char *pattern, *yes, *no;
    } cases[] = {
        {"error", "an error", "Error"},
        {"a\\.b", "xa.bx", "axb"},
        {"a\\tb", "a\tb", "atb"},
        {"ab?c", "ac", "a"},
        {"ab*c", "ac", "ab"},
        {"ab+c", "abbc", "ac"},
        {"ab{0}c", "ac", "abc"},
        {"ab{2,}c", "abbc", "abc"},
        {"a{,2}b", "a{,2}b", "aab"},
        {"{\"a\"", "{\"a\"", "\"a\""},
        {"x{a}y", "x{a}y", "xay"},
        {"x{0|b", "b", "x"},
        {"x{1,2b|c", "x{1,2b", "xxb"},
        {"err|warn", "warning", "info"},
        {"err|", "info", NULL},
        {"a|b.c", "a", "bc"},
        {"a.c|b", "b", "ac"},
        {"(a|b)c", "bc", "c"},
        {"(?i)error", "ERROR", "err"},
        {"(?i:err)or", "ERRor", "errOR"},
        {"x(?i)y", "xY", "XY"},
        {"x(y(?i)z)w", "xyZw", "xyZW"},
        {"(?s)a.b", "a\nb", "ab"},
        {"(?P<n>a)b", "ab", "b"},
        {"[]a]b", "]b", "b"},
        {"[^]a]b", "xb", "ab"},
        {"[[:alpha:]]]", "a]", "a"},
        {"[a\\]]b", "]b", "b"},
        {"[[:]|b", "b", "a"},
        {"^ab$", "ab", "abc"},
        {"a(b|c)?d", "ad", "abc"},
        {"gr\xc3\xbc?n", "grn", "gr"},
        {"\xc3\xbc+", "x\xc3\xbcy", "\xc3"},
        {"\\d+ms", "12ms", "ms"},
        {"\\bok\\b", "is ok.", "token"},
        {"\\x41b", "Ab", "x41b"},
        {"\\x{41}b", "Ab", "b"},
        {"\\pNb", "1b", "xb"},
        {"\\Qa.b\\E", "a.b", "axb"},
        {"(\\Q)\\E)a", ")a", "a"},
        {"a\\|b", "a|b", "a"},
        {"timeout.*ms", "timeout 5 ms", "ms timeout"},
        {"(a)(b)", "ab", "a"},
        {"a()b", "ab", "a"},
        {"x*", "", NULL},
        {"xa(?s)?b", "xb", "a"}, /* the repetition is one of what stands before the flags */
        {"a(?m)*b", "b", "a"},
        {"a(?)b", "ab", "b"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (!matches(cases[i].pattern, false, str_of(cases[i].yes)))
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].yes);
        if (cases[i].no != NULL && matches(cases[i].pattern, false, str_of(cases[i].no)))
            fail_msg("'%s' on '%s'", cases[i].pattern, cases[i].no);
    }
}

static void required_text_is_named(void **state)
{
    static const struct {
        const char *pattern, *want;
    } cases[] = {
        {"error", "error"},
        {"a.*timeout", "timeout"},
        {"status=5\\d\\d", "status=5"},
        {"colou?r", "colo"},
        {"(a|b)cd", "cd"},
        {"a|b", ""},
        {"a|b.*", ""},
        {"(?i)error", ""},
        {"x+yz", "yz"},
        {"conn(ection)?", "conn"},
        {".*", ""},
        {"a\xef\xbf\xbd", ""},
        {"(?s)ab", "ab"},
        {"ab(?s).", "ab"},
        {"ab(?s)?c", ""},
        {"[+-[:]abc:]d", "abc:]d"}, /* a range to a bracket */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct regexp *r = compile(str_of(cases[i].pattern), false);
        check_str(regexp_required(r), cases[i].want);
        regexp_free(&r);
    }
}

static void a_bad_byte_counts_as_one_character(void **state)
{
    (void)state;
    assert_true(matches("^a.b$", false,
                        STR("a\xff"
                            "b")));
    assert_true(matches("a..b", true,
                        STR("a\xe2\x82"
                            "b"))); /* two bytes of three: each is one */
    assert_false(matches("a.b", true,
                         STR("a\xe2\x82"
                             "b")));
    assert_true(matches("[^x]+", true, STR("\xff\xfe")));
    assert_true(matches("\\x{FFFD}", false, STR("a\xff")));
    assert_true(matches("\xef\xbf\xbd", false, STR("a\xff")));
    assert_true(matches("\xef\xbf\xbd|b", false, STR("a\xff")));
    assert_false(matches("\\x{FFFD}", false, STR("a\xc3\xbc")));
    assert_true(matches("needle", false, STR("\xff needle \xff")));
}

static void captures_point_into_the_text(void **state)
{
    struct regexp *r = compile(STR("(?P<k>\\w+)=(?P<v>[^ ]*)( !)?"), false);
    struct str text = STR("a=1 b=2");
    struct str got[5];

    (void)state;
    assert_int_equal(regexp_captures(r), 3);
    check_str(regexp_capture_name(r, 1), "k");
    check_str(regexp_capture_name(r, 2), "v");
    assert_null(regexp_capture_name(r, 3).p);
    assert_true(regexp_capture(r, text, 0, got, 5));
    check_str(got[0], "a=1");
    check_str(got[2], "1");
    assert_null(got[3].p);
    assert_null(got[4].p);
    assert_true(regexp_capture(r, text, 3, got, 3));
    check_str(got[1], "b");
    assert_ptr_equal(got[1].p, text.p + 4);
    assert_false(regexp_capture(r, text, 7, got, 3));
    assert_false(regexp_capture(r, text, 99, got, 3));
    assert_true(regexp_capture(r, text, 0, NULL, 0));
    regexp_free(&r);
}

/* RE2 knows (?P<name> alone; what only looks like a name stays text. */
static void names_are_written_in_both_ways(void **state)
{
    static const struct {
        const char *pattern, *text, *name;
        size_t groups;
    } CASES[] = {
        {"(?<a>x)(?P<b>y)", "xy", "a", 2},
        {"((?<a_1>x))", "x", NULL, 2},
        {"\\Q(?<a>\\E(?<b>x)", "(?<a>x", "b", 1},
        {"[(?<a>]+(?<b>x)", "(?<a>x", "b", 1},
        {"[](?<a>]+(?<b>x)", "](?<a>x", "b", 1},
        {"[[:alpha:](?<>]+(?<b>x)", "(?<a>x", "b", 1},
        {"[\\](?<a>]+(?<b>x)", "](?<a>x", "b", 1},
        {"\\(?<a>(?<b>x)", "<a>x", "b", 1},
        {"\\((?<b>x)", "(x", "b", 1},
        {"\\\\(?<b>x)", "\\x", "b", 1},
        {"\\Q(?<a>", "(?<a>", NULL, 0},
        {"[^[](?<b>x)", "ax", "b", 1},
        {"[+-[:](?<b>x):]", ":x:]", "b", 1},
    };
    struct regexp *r = NULL;
    struct err err;
    (void)state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        if (regexp_new(str_of(CASES[i].pattern), true, &r, &err) < 0)
            fail_msg("%s: %s", CASES[i].pattern, err.text);
        if (!regexp_matches(r, str_of(CASES[i].text)))
            fail_msg("%s does not take %s", CASES[i].pattern, CASES[i].text);
        assert_true(str_eq(regexp_pattern(r), str_of(CASES[i].pattern)));
        assert_int_equal(regexp_captures(r), CASES[i].groups);
        if (CASES[i].name != NULL)
            check_str(regexp_capture_name(r, 1), CASES[i].name);
        regexp_free(&r);
    }
    assert_int_equal(regexp_new(STR("(?<a>x)("), false, &r, &err), ERR_INVALID);
    assert_string_equal(err.text, "missing ): (?<a>x)(");
    assert_int_equal(regexp_new(STR("(?<=a)(?<b>x)"), false, &r, &err), ERR_INVALID);
    assert_string_equal(err.text, "invalid perl operator: (?<");
}

static void captures_map_back_over_bad_bytes(void **state)
{
    struct regexp *r = compile(STR("k=([^;]*);(.*)"), false);
    struct str text = STR("\xff\xfe k=a\xffz\xe2\x82;\x80tail\xc0");
    struct str got[3];

    (void)state;
    assert_true(regexp_capture(r, text, 0, got, 3));
    assert_ptr_equal(got[0].p, text.p + 3);
    assert_ptr_equal(got[0].p + got[0].n, text.p + text.n);
    assert_int_equal(got[1].n, 5);
    assert_ptr_equal(got[1].p, text.p + 5);
    assert_int_equal(got[2].n, 6);
    assert_true(regexp_capture(r, text, 2, got, 3));
    assert_ptr_equal(got[1].p, text.p + 5);
    assert_false(regexp_capture(r, text, 4, got, 3));
    regexp_free(&r);
}

static void empty_matches_are_not_absent(void **state)
{
    struct regexp *r = compile(STR("()x*"), true);
    struct str got[2];

    (void)state;
    assert_true(regexp_capture(r, STR_NULL, 0, got, 2));
    assert_non_null(got[1].p);
    assert_int_equal(got[1].n, 0);
    regexp_free(&r);
}

CHECK_MAIN(cmocka_unit_test(bad_patterns_are_refused_with_a_reason),
           cmocka_unit_test(anchored_takes_the_whole_text),
           cmocka_unit_test(plain_text_is_told_from_operators),
           cmocka_unit_test(required_text_is_named),
           cmocka_unit_test(a_bad_byte_counts_as_one_character),
           cmocka_unit_test(captures_point_into_the_text),
           cmocka_unit_test(names_are_written_in_both_ways),
           cmocka_unit_test(captures_map_back_over_bad_bytes),
           cmocka_unit_test(empty_matches_are_not_absent))
