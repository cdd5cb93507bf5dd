/* tests/unit/query/test_check.c */
#include "query/query.h"

#include "base/buf.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static void check_refusal(const char *text, int code, const char *want)
{
    struct query *q = NULL;
    struct err err = {0};
    unsigned line = 0;
    unsigned column = 0;
    int r = query_parse(str_of(text), &q, &line, &column, &err);

    if (r != code || strstr(err.text, want) == NULL || line == 0 || column == 0)
        fail_msg("%s: %d %s at %u:%u", text, r, r < 0 ? err.text : "", line, column);
    query_unref(&q);
}

static void rules_of_the_language_are_kept(void **state)
{
    static const char *const cases[][2] = {
        {"{}", "parse error at line 1, col 1: queries require at least one regexp or equality "
               "matcher that does not have an empty-compatible value."},
        {"{a=\"\"}", "queries require at least one"},
        {"{a=~\".*\"}", "queries require at least one"},
        {"{a=~\"(b|c*)d?|e\"}", "queries require at least one"},
        {"{a=~\"\\\\p{Greek}*\"}", "queries require at least one"}, /* RE2 alone knows */
        {"{a!=\"b\", c!~\"d\"}", "queries require at least one"},
        {"1 + count_over_time({a=~\".?\"}[5m])", "parse error at line 1, col 21: queries require"},
        {"topk(vector(1))", "parse error at line 1, col 1: parameter required for operation topk"},
        {"bottomk(1.2,vector(1))", "invalid parameter bottomk(1.2,"},
        {"topk(0,vector(1))", "invalid parameter topk(0,"},
        {"sum(1,vector(1))", "unsupported parameter for operation sum(1,"},
        {"approx_topk(1,vector(1)) by (a)", "col 26: grouping not allowed for approx_topk"},
        {"sort(vector(1)) by (a)", "col 17: grouping not allowed for sort"},
        {"sum(1)", "unexpected literal in sum"},
        {"quantile_over_time({a=\"b\"}|unwrap x[5m])", "parameter required for operation quantile"},
        {"rate(1,{a=\"b\"}[5m])", "parameter 1 not supported for operation rate"},
        {"count_over_time({a=\"b\"}|unwrap x[5m])",
         "invalid aggregation count_over_time with unwrap"},
        {"bytes_rate({a=\"b\"}|unwrap x[5m])", "invalid aggregation bytes_rate with unwrap"},
        {"sum_over_time({a=\"b\"}[5m])", "invalid aggregation sum_over_time without unwrap"},
        {"rate_counter({a=\"b\"}[5m])", "invalid aggregation rate_counter without unwrap"},
        {"rate({a=\"b\"}[5m]) by (a)", "col 19: grouping not allowed for rate aggregation"},
        {"sum_over_time({a=\"b\"}|unwrap x[5m]) by (a)", "grouping not allowed for sum_over_time"},
        {"topk(1e1, vector(1))", "col 1: invalid parameter topk(1e1,"},
        {"bottomk(1_0, vector(1))", "invalid parameter bottomk(1_0,"},
        {"topk(5., vector(1))", "invalid parameter topk(5.,"},
        {"count_over_time({a=\"b\"} | dedup [5m])", "col 25: dedup is for log queries"},
        {"{a=\"b\"} | dedup by ()", "unexpected )"},
        {"{a=\"b\"} | logfmt --arrays", "unexpected PARSER_FLAG"},
        {"{a=\"b\"} | json --strict", "unexpected PARSER_FLAG"},
        {"count_distinct_over_time(1, {a=\"b\"}[5m])", "unexpected NUMBER"},
        {"count_distinct_over_time({a=\"b\"}[5m])", "unexpected {"},
        {"count_distinct_over_time(x, {a=\"b\"} | unwrap y [5m])", "the label stands in front"},
        {"{a=\"b\"} | any(x=\"y\")", "col 16: syntax error: unexpected ="},
        {"{a=\"b\"} | any(x)", "col 17: syntax error: unexpected $end"},
        {"{a=\"b\"} | any()=\"x\"", "unexpected )"},
        {"{a=\"b\"} | other(x)=\"y\"", "unexpected ("},
        {"{a=\"b\"} | drop any(x)", "unexpected ("},
        {"{a=\"b\"} | any(x)=~\"(\"", "missing )"},
        {"{a=\"b\"} | json x=\"\"", "col 18: cannot parse expression [] as a JSON path"},
        {"{a=\"b\"} | json x=\".\"", "cannot parse expression [.]"},
        {"{a=\"b\"} | json x=\"a.\"", "cannot parse expression [a.]"},
        {"{a=\"b\"} | json x=`[\"pod\"`", "cannot parse expression"},
        {"{a=\"b\"} | json x=`a[1`", "cannot parse expression"},
        {"{a=\"b\"} | json x=`a[99999999999999999999]`", "cannot parse expression"},
        {"{a=\"b\"} | logfmt x=\"a.b\"", "cannot parse expression [a.b] as a logfmt key"},
        {"{a=\"b\"} | regexp \"(\"", "missing ): ("},
        {"{a=\"b\"} | regexp \"a\"", "at least one named capture must be supplied"},
        {"{a=\"b\"} | regexp `(a)\\p{Greek}`", "at least one named capture must be supplied"},
        {"{a=\"b\"} | regexp \"(?P<1>a)\"", "col 9: invalid extracted label name '1'"},
        {"{a=\"b\"} | regexp \"(?P<x>a)(b)(?P<x>c)\"", "duplicate extracted label name 'x'"},
        {"{a=\"b\"} | regexp \"(?P<x>a)(?P<x>b)\"", "duplicate"},
        {"{a=\"b\"} |~ ip(\"1.2.3.4\")", "ip: invalid operation"},
        {"{a=\"b\"} |= ip(\"1.2.3\")", "col 12: ip: invalid pattern \"1.2.3\""},
        {"{a=\"b\"} | x=ip(\"\")", "ip: invalid pattern \"\""},
        {"{a=\"b\"} |~ \"(\"", "col 12: missing ): ("},
        {"{a=~\"[\"}", "col 5: missing ]: ["},
        {"{a=\"b\"} | x=~\"[\"", "col 14: missing ]: ["},
        {"{a=\"b\"} | drop x, y!~\"[\"", "col 22: missing ]: ["},
        {"{a=\"b\"} |> \"<x>\"", "col 12: pattern: named captures are not allowed"},
        {"{a=\"b\"} | pattern \"x\"", "col 9: pattern: at least one named capture"},
        {"label_replace(vector(1), \"a\", \"\", \"b\", \"(\")",
         "col 1: invalid regex in label_replace: missing )"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_refusal(cases[i][0], ERR_INVALID, cases[i][1]);
}

/* `head`, n times `unit`, `tail`: what it is refused with, "" for nothing. */
static void check_repeated(const char *head, const char *unit, size_t n, const char *tail,
                           const char *want)
{
    struct buf text;

    buf_init(&text, QUERY_TEXT_MAX);
    buf_add_z(&text, head);
    while (n-- > 0)
        buf_add_z(&text, unit);
    buf_add_z(&text, tail);
    buf_add_char(&text, '\0');
    if (*want == '\0') {
        struct query *q = NULL;
        struct err err = {0};
        if (query_parse(str_of(text.p), &q, NULL, NULL, &err) < 0)
            fail_msg("%s: %s", text.p, err.text);
        query_unref(&q);
    } else {
        check_refusal(text.p, ERR_INVALID, want);
    }
    buf_fini(&text);
}

static void patterns_are_compiled_when_all_else_is_right(void **state)
{
    (void)state;
    check_refusal("{a=\"b\"} |~ `\\p{X}` | line_format \"{{\"", ERR_INVALID,
                  "invalid line template");
    check_refusal("{a=\"b\"} | a=~`\\p{X}` | label_format x=y,x=z", ERR_INVALID,
                  "multiple label name");
    check_refusal("{a=~`\\p{X}`} |= ip(\"x\")", ERR_INVALID, "ip: invalid pattern");
    check_refusal("{a=\"b\"} |~ `(` | line_format \"{{\"", ERR_INVALID, "col 12: missing ): (");
    check_refusal("rate({a=~`\\p{X}`}[1m]) + rate({a=\"\"}[1m])", ERR_INVALID, "queries require");
    check_refusal("{a=~\".*\"} | drop x, y=~`\\p{X}`", ERR_INVALID, "queries require");
}

static void more_groups_than_are_filled_are_refused(void **state)
{
    static const char regexp[] = "{a=\"b\"} | regexp `(?P<x>a)";
    static const char replace[] = "label_replace(vector(1), \"a\", \"$1\", \"b\", \"";

    (void)state;
    check_repeated(regexp, "(?:b)\\([(]", 100, "`", "");
    check_repeated(regexp, "(b)", 62, "`", "");
    check_repeated(regexp, "(b)", 63, "`", "col 9: regexp: more than 63 captures");
    check_repeated(regexp, "(?P<x>b)", 5000, "`", "col 9: regexp: more than 63 captures");
    check_repeated(replace, "(b)", 63, "\")", "");
    check_repeated(replace, "(b)", 64, "\")", "col 1: label_replace: more than 63 groups");
    check_repeated(replace, "()", 12000, "\")", "col 1: label_replace: more than 63 groups");
}

static void templates_are_refused_with_their_message(void **state)
{
    static const char *const cases[][2] = {
        {"{a=\"b\"} | line_format \"{{.x\"",
         "col 9: invalid line template: template: line:1: unclosed action"},
        {"{a=\"b\"} | json | line_format \"{{ lowr .x }}\"",
         "col 16: invalid line template: template: line:1: function \"lowr\" not defined; did you "
         "mean \"lower\"?"},
        {"{a=\"b\"} | label_format x=\"{{ end }}\"",
         "col 24: invalid template for label 'x': template: label:1: unexpected {{end}}"},
        {"{a=\"b\"} | label_format x=y, z=w, x=\"1\"",
         "multiple label name 'x' not allowed in a single format operation"},
        {"{a=\"b\"} | label_format __error__=y", "__error__ cannot be formatted"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_refusal(cases[i][0], ERR_INVALID, cases[i][1]);
}

static void good_queries_pass(void **state)
{
    static const char *const cases[] = {
        "{a=~\".+\"}",
        "{a=\"b\"} | json x=`a[\"k k\"][0].c`",
        "rate({a=\"b\"}|unwrap x[5m])",
        "absent_over_time({a=\"b\"}[5m])",
        "max_over_time({a=\"b\"}|unwrap x[5m]) without (y)",
        "quantile_over_time(2,{a=\"b\"}|unwrap x[5m])",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query *q = NULL;
        struct err err;
        if (query_parse(str_of(cases[i]), &q, NULL, NULL, &err) != 0)
            fail_msg("%s: %s", cases[i], err.text);
        query_unref(&q);
    }
}

/* Whoever asks holds the whole text: it says how long it is. */
static void a_text_over_the_limit_is_told_its_length(void **state)
{
    enum { LENGTH = QUERY_TEXT_MAX + 4711 };
    char *text = mem_new(LENGTH);
    struct query *q = NULL;
    unsigned line = 0, column = 0;
    struct err err;

    (void)state;
    memset(text, 'x', LENGTH);
    assert_int_equal(query_parse((struct str){text, LENGTH}, &q, &line, &column, &err),
                     ERR_INVALID);
    check_str(str_of(err.text),
              "parse error at line 1, col 1: input size too long (135782 > 131071)");
    assert_true(line == 1 && column == 1);
    free(text);
}

static void what_a_text_needs_not_to_be_formatted_is_left_for_the_run(void **state)
{
    static const char *const cases[] = {
        "{a=\"b\"} |~ \"(\"",
        "{a=\"b\"} |~ ip(\"x\") | y=ip(\"\")",
        "{a=\"b\"} | logfmt x=\"a.b\"",
        "{a=\"b\"} |> \"<x>\"",
    };
    struct query *q = NULL;
    struct err err = {0};
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_clear(&out);
        if (query_format(str_of(cases[i]), &out, NULL, NULL, &err) != 0)
            fail_msg("%s: %s", cases[i], err.text);
        check_str(buf_str(&out), cases[i]);
        assert_int_equal(query_parse(str_of(cases[i]), &q, NULL, NULL, &err), ERR_INVALID);
    }
    assert_int_equal(query_format(STR("{ }"), &out, NULL, NULL, &err), ERR_INVALID);
    buf_clear(&out);
    assert_int_equal(query_format_all(STR("{ }"), &out, NULL, NULL, &err), 0);
    check_str(buf_str(&out), "{}");
    assert_int_equal(query_format(STR("{a=\"b\"} | pattern \"\""), &out, NULL, NULL, &err),
                     ERR_INVALID);
    check_str(str_of(err.text), "parse error at line 1, col 9: pattern: at least one named capture "
                                "must be supplied");
    buf_fini(&out);
}

static void lookback_is_the_longest_range_with_its_offset(void **state)
{
    static const struct {
        const char *text;
        dur_ns want;
    } cases[] = {
        {"{a=\"b\"}", 0},
        {"vector(1)", 0},
        {"rate({a=\"b\"}[5m])", 5 * NS_PER_MIN},
        {"sum(rate({a=\"b\"}[5m] offset 1h)) / sum(rate({a=\"b\"}[30m]))", 65 * NS_PER_MIN},
        {"rate({a=\"b\"}[5m] offset -1h)", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query *q = NULL;
        struct err err;
        assert_int_equal(query_parse(str_of(cases[i].text), &q, NULL, NULL, &err), 0);
        if (query_lookback(q) != cases[i].want)
            fail_msg("%s", cases[i].text);
        query_unref(&q);
    }
}

static void a_batch_touches_queries_that_select_a_record_of_it(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } cases[] = {
        {"count_over_time({app=\"x\"}[1m])", true},
        {"count_over_time({app=\"z\"}[1m])", false},
        {"count_over_time({app=\"x\"} |= \"two\" [1m])", false},
        {"count_over_time({app=\"y\"} |= \"two\" [1m])", true},
        {"count_over_time({app=\"y\"} | json |= \"none\" [1m])", false},
        {"count_over_time({app=\"z\"}[1m]) or count_over_time({app=\"x\"} |~ \"o.e\" [1m])", true},
        {"vector(1)", false},
    };
    struct label x = {STR("app"), STR("x")};
    struct label y = {STR("app"), STR("y")};
    struct labels streams[] = {{&x, 1}, {&y, 1}};
    static const char *const lines[] = {"one", "two"};
    struct batch *b = batch_new(NULL, 0);
    struct err err;

    (void)state;
    for (uint32_t i = 0; i < 2; i++) {
        struct record rec = {.ts = 1, .line = str_of(lines[i])};
        assert_int_equal(batch_stream(b, &streams[i], &rec.stream, &err), 0);
        assert_int_equal(batch_add(b, &rec, &err), 0);
    }
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct query *q = NULL;
        assert_int_equal(query_parse(str_of(cases[i].text), &q, NULL, NULL, &err), 0);
        if (query_touches(q, b) != cases[i].want)
            fail_msg("%s", cases[i].text);
        query_unref(&q);
    }
    batch_unref(&b);
}

static void all_streams_are_taken_where_that_is_allowed(void **state)
{
    static const char *const texts[] = {"{}", "{a=~\".*\"} |= \"x\"", "{a!=\"b\"}",
                                        "sum(count_over_time({}[5m]))"};
    struct query *q = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        check_refusal(texts[i], ERR_INVALID, "queries require at least one");
        assert_int_equal(query_parse_all(str_of(texts[i]), &q, NULL, NULL, &err), 0);
        query_unref(&q);
    }
    assert_int_equal(query_parse_all(STR("{} | dedup by ("), &q, NULL, NULL, &err), ERR_INVALID);
}

static void a_query_with_dedup_cannot_follow(void **state)
{
    static const struct {
        const char *text;
        bool may;
    } cases[] = {{"{a=\"b\"} | json --arrays", true},
                 {"{a=\"b\"} | json | dedup by (c) | c!=\"\"", false},
                 {"rate({a=\"b\"}[5m])", false}};
    struct query *q = NULL;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(query_parse(str_of(cases[i].text), &q, NULL, NULL, &err), 0);
        assert_int_equal(query_may_follow(q), cases[i].may);
        query_unref(&q);
    }
}

CHECK_MAIN(cmocka_unit_test(all_streams_are_taken_where_that_is_allowed),
           cmocka_unit_test(a_query_with_dedup_cannot_follow),
           cmocka_unit_test(rules_of_the_language_are_kept),
           cmocka_unit_test(patterns_are_compiled_when_all_else_is_right),
           cmocka_unit_test(more_groups_than_are_filled_are_refused),
           cmocka_unit_test(templates_are_refused_with_their_message),
           cmocka_unit_test(good_queries_pass),
           cmocka_unit_test(a_text_over_the_limit_is_told_its_length),
           cmocka_unit_test(what_a_text_needs_not_to_be_formatted_is_left_for_the_run),
           cmocka_unit_test(lookback_is_the_longest_range_with_its_offset),
           cmocka_unit_test(a_batch_touches_queries_that_select_a_record_of_it))
