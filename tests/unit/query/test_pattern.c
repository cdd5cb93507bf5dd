/* tests/unit/query/test_pattern.c */
#include "query/pattern.h"

#include "base/buf.h"
#include "tests/lib/check.h"

#include <string.h>

static void check_refused(const char *text, bool is_stage, const char *want)
{
    struct arena *a = arena_new(NULL, 0);
    struct pattern p;
    struct err err = {0};
    int r = pattern_parse(str_of(text), is_stage, a, &p, &err);

    if (r != ERR_INVALID || strstr(err.text, want) == NULL)
        fail_msg("%s: %d %s", text, r, err.text);
    arena_free(&a);
}

static void patterns_that_say_nothing_are_refused(void **state)
{
    (void)state;
    check_refused("", true, "at least one named capture");
    check_refused("abc", true, "at least one named capture");
    check_refused("<_> x <_>", true, "at least one named capture");
    check_refused("<a><b>", true, "found consecutive capture '<a><b>'");
    check_refused("<a> <b> <a>", true, "duplicate capture name 'a'");
    check_refused("<_><_>", false, "found consecutive capture");
    check_refused("x <name>", false, "named captures are not allowed here: write <_> for <name>");
}

/* name=value of each capture, with `;` behind each */
static void check_captures(const char *text, const char *line, const char *want)
{
    struct arena *a = arena_new(NULL, 0);
    struct pattern_walk w;
    struct pattern p;
    struct str name;
    struct str value;
    struct err err;
    struct buf out;

    buf_init(&out, 10000);
    assert_int_equal(pattern_parse(str_of(text), true, a, &p, &err), 0);
    pattern_walk_init(&w, &p, str_of(line));
    while (pattern_next(&w, &name, &value))
        buf_addf(&out, "%.*s=%.*s;", STR_ARG(name), STR_ARG(value));
    if (!str_eq(buf_str(&out), str_of(want)))
        fail_msg("%s on %s: %.*s", text, line, STR_ARG(buf_str(&out)));
    buf_fini(&out);
    arena_free(&a);
}

static void captures_are_what_stands_between_literals(void **state)
{
    static const char *const cases[][3] = {
        {"<a> <b>", "x y z", "a=x;b=y z;"},
        {"<a> <b>", "xy", "a=xy;"}, /* the literal is missing: the rest, and no more */
        {"<a> <_> <c>", "x y z", "a=x;c=z;"},
        {"<a>", "", ""},
        {"[<a>] <b>", "[t] rest", "a=t;b=rest;"},
        {"[<a>] <b>", "t] rest", ""}, /* does not begin so */
        {"<a>x", "foo", "a=foo;"},
        {"<a>x", "x", "a=;"},
        {"<a><", "b<", "a=b;"}, /* a lone bracket is text */
        {"<1a> <c>", "<1a> y", "c=y;"},
        {"<a-b> <c>", "<a-b> y", "c=y;"},
        {"<<a>>", "<v>", "a=v;"},
        {"<_a> <B9>", "1 2", "_a=1;B9=2;"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_captures(cases[i][0], cases[i][1], cases[i][2]);
}

static void a_line_matches_to_its_end(void **state)
{
    static const struct {
        const char *text, *line;
        bool want;
    } cases[] = {
        {"", "", true},
        {"", "x", false},
        {"<_>", "x", true},
        {"<_>", "", false},
        {"foo", "foo", true},
        {"foo", "foox", false},
        {"foo", "xfoo", true},
        {"<_> bar", "foo bar", true},
        {"<_> bar", " bar", false}, /* nothing to capture */
        {"<_> bar", "foo bar x", false},
        {"foo <_> bar", "foo buzz bar", true},
        {"foo <_> bar", "foo  bar", false},
        {"<_>foo<_>", "xfoox", true},
        {"<_>foo<_>", "xfoo", false},
        {"<_>a", "xaya", false}, /* the first place counts */
        {"unicode <_> x", "unicode \xf0\x9f\xa4\xb7 x", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *a = arena_new(NULL, 0);
        struct pattern p;
        struct err err;
        assert_int_equal(pattern_parse(str_of(cases[i].text), false, a, &p, &err), 0);
        if (pattern_matches(&p, str_of(cases[i].line)) != cases[i].want)
            fail_msg("'%s' on '%s'", cases[i].text, cases[i].line);
        arena_free(&a);
    }
}

CHECK_MAIN(cmocka_unit_test(patterns_that_say_nothing_are_refused),
           cmocka_unit_test(captures_are_what_stands_between_literals),
           cmocka_unit_test(a_line_matches_to_its_end))
