/* tests/unit/query/test_op_format.c - lines through line_format and label_format. */
#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>

struct format_case {
    const char *stages, *labels, *attrs, *line;
    const char *want; /* labels and line as fake_log_entry writes them; "": dropped */
};

static void run_cases(const struct format_case *cases, size_t n)
{
    struct query_params p = {.start = 0, .end = 10};
    struct buf out;

    buf_init(&out, 4 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct format_case *c = &cases[i];
        struct fake f;
        char query[500];
        fake_init(&f);
        fake_add(&f, c->labels, c->attrs, 5, str_of(c->line));
        (void)snprintf(query, sizeof(query), "{s=\"1\"} %s", c->stages);
        if (fake_run(&f, query, &p, &out) < 0)
            fail_msg("%s: %.*s", query, STR_ARG(buf_str(&out)));
        if (!str_eq(buf_str(&out), str_of(c->want)))
            fail_msg("%s:\n  '%.*s' is not\n  '%s'", query, STR_ARG(buf_str(&out)), c->want);
        fake_fini(&f);
    }
    buf_fini(&out);
}
#define RUN(cases) run_cases((cases), sizeof(cases) / sizeof((cases)[0]))

#define S "{s=\"1\"}"

static void the_line_is_what_the_template_makes(void **state)
{
    static const struct format_case cases[] = {
        {"| line_format `{{.s}}-{{.a}}-{{.nope}}-{{__line__}}`", S, "{a=\"x\"}", "old",
         S "{a=\"x\"} 1-x--old\n"},
        {"| json | line_format `{{.b | upper}}`", S, NULL, "{\"b\":\"x\"}", S "+{b=\"x\"} X\n"},
        {"| line_format `a{{.s}}` | line_format `{{__line__}}b` |= \"a1b\"", S, NULL, "old",
         S " a1b\n"},
        {"| line_format `a` |= \"old\"", S, NULL, "old", ""},
        {"|= \"old\" | line_format `a`", S, NULL, "old", S " a\n"},
        {"| line_format ``", S, NULL, "old", S " \n"},
        {"| line_format `{{__timestamp__ | unixEpochNanos}}`", S, NULL, "old", S " 5\n"},
        {"| line_format `{\"k\":\"{{.s}}\"}` | json", S, NULL, "old",
         S "+{k=\"1\"} {\"k\":\"1\"}\n"},
        {"| line_format `{{.}}`", S, "{a=\"x\"}", "old", S "{a=\"x\"} map[a:x s:1]\n"},
        {"| drop a | line_format `{{range $k, $v := .}}{{$k}}{{end}}`", S, "{a=\"x\"}", "old",
         S " s\n"},
    };

    (void)state;
    RUN(cases);
}

static void a_template_that_fails_marks_the_entry(void **state)
{
    static const struct format_case cases[] = {
        {"| line_format `x{{nil}}`", S, NULL, "old",
         S "+{__error__=\"TemplateFormatErr\", __error_details__=\"template: line:1:3: executing "
           "\\\"line\\\" at <nil>: nil is not a command\"} old\n"},
        {"| label_format a=`{{trunc \"x\" .s}}`, b=`{{.s}}`", S, NULL, "old",
         S "+{__error__=\"TemplateFormatErr\", __error_details__=\"template: label:1:8: executing "
           "\\\"label\\\" at <\\\"x\\\">: expected integer; found \\\"x\\\"\", b=\"1\"} old\n"},
        {"| line_format `{{div 1 0}}` | __error__=\"\"", S, NULL, "old", ""},
        {"| line_format `{{div 1 0}}` | drop __error__, __error_details__", S, NULL, "old",
         S " old\n"},
        {"| json | line_format `{{div 1 0}}` | __error__=\"TemplateFormatErr\" | drop "
         "__error_details__",
         S, NULL, "no json", S "+{__error__=\"TemplateFormatErr\"} no json\n"},
    };

    (void)state;
    RUN(cases);
}

static void labels_are_made_and_renamed_in_order(void **state)
{
    static const struct format_case cases[] = {
        {"| label_format b=`{{.s}}{{.a}}`", S, "{a=\"x\"}", "l", S "{a=\"x\"}+{b=\"1x\"} l\n"},
        /* a rename keeps the kind */
        {"| label_format b=a", S, "{a=\"x\"}", "l", S "+{b=\"x\"} l\n"},
        {"| label_format t=s", S, NULL, "l", "{}+{t=\"1\"} l\n"},
        {"| json | label_format b=a", S, NULL, "{\"a\":1}", S "+{b=\"1\"} {\"a\":1}\n"},
        {"| label_format b=nope", S, NULL, "l", S " l\n"},
        {"| label_format a=a", S, "{a=\"x\"}", "l", S " l\n"},
        /* in order, and a template sees what was before the first one */
        {"| label_format b=a, c=b", S, "{a=\"x\"}", "l", S "+{c=\"x\"} l\n"},
        {"| label_format b=a, c=`{{.b}}{{.a}}`", S, "{a=\"x\"}", "l", S "+{b=\"x\", c=\"x\"} l\n"},
        {"| label_format a=`{{.a}}y`, c=`{{.a}}`", S, "{a=\"x\"}", "l",
         S "+{a=\"xy\", c=\"x\"} l\n"},
        {"| label_format c=`{{.a}}`, b=a, d=`{{.a}}{{.b}}`", S, "{a=\"x\"}", "l",
         S "+{b=\"x\", c=\"x\", d=\"x\"} l\n"},
        {"| label_format c=`new`, d=c", S, NULL, "l", S "+{d=\"new\"} l\n"},
        /* or, where there was none, what was there when there was some */
        {"| drop s | label_format b=`1`, c=`{{.b}}`, d=`{{.b}}{{.c}}`", S, NULL, "l",
         "{}+{b=\"1\", c=\"1\", d=\"1\"} l\n"},
        {"| drop s | label_format b=`1`, c=`{{.b}}`", S, "{a=\"x\"}", "l",
         "{}{a=\"x\"}+{b=\"1\", c=\"\"} l\n"},
        {"| drop s | label_format b=`{{div 1 0}}`, c=`{{.__error__}}`", S, NULL, "l",
         "{}+{__error__=\"TemplateFormatErr\", __error_details__=\"template: label:1:2: executing "
         "\\\"label\\\" at <div 1 0>: error calling div: runtime error: integer divide by zero\", "
         "c=\"TemplateFormatErr\"} l\n"},
        /* over labels of every kind */
        {"| label_format s=`{{.s}}2`", S, NULL, "l", "{}+{s=\"12\"} l\n"},
        {"| label_format a=``", S, "{a=\"x\"}", "l", S "+{a=\"\"} l\n"},
        {"| label_format l=`{{__line__}}`", S, NULL, "the line", S "+{l=\"the line\"} the line\n"},
        {"| label_format a=`{{.s}}` | a=`1`", S, NULL, "l", S "+{a=\"1\"} l\n"},
        {"| label_format a=`2` | a>1", S, NULL, "l", S "+{a=\"2\"} l\n"},
        {"| label_format a=`1` | a>1", S, NULL, "l", ""},
    };

    (void)state;
    RUN(cases);
}

/* Far fewer records than there are between two looks at the clock. */
static void a_template_that_works_hard_does_not_outlast_the_query(void **state)
{
    struct query_params p = {.start = 0, .end = 200, .limits = {.time = 20 * NS_PER_MS}};
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&out, 8 << 20);
    fake_init(&f);
    for (ts_ns t = 1; t <= 100; t++)
        fake_add(&f, S, NULL, t, STR("l"));
    assert_int_equal(fake_run(&f, "{s=\"1\"} | line_format `{{range 40000}}x{{end}}`", &p, &out),
                     ERR_TIMEOUT);
    fake_fini(&f);
    p.start = p.end;
    fake_init(&f);
    for (ts_ns t = 1; t <= 100; t++)
        fake_add(&f, S, NULL, t, STR("l"));
    assert_int_equal(
        fake_run(&f, "count_over_time({s=\"1\"} | label_format a=`{{range 40000}}x{{end}}` [1s])",
                 &p, &out),
        ERR_TIMEOUT);
    fake_fini(&f);
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(the_line_is_what_the_template_makes),
           cmocka_unit_test(a_template_that_fails_marks_the_entry),
           cmocka_unit_test(labels_are_made_and_renamed_in_order),
           cmocka_unit_test(a_template_that_works_hard_does_not_outlast_the_query))
