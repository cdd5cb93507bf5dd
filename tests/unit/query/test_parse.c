/* tests/unit/query/test_parse.c */
#include "query/parse.h"

#include "query/query.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The canonical text of `text`, or "! message @ line:column". */
static struct str parse_text_of(struct str text, struct buf *out)
{
    struct place at;
    struct err err;
    struct ast a;

    buf_clear(out);
    if (parse_query(text, &a, &at, &err) == 0)
        ast_print(a.root, out);
    else
        buf_addf(out, "! %s @ %u:%u", err.text, at.line, at.column);
    ast_fini(&a);
    return buf_str(out);
}

static void queries_print_in_one_form(void **state)
{
    static const char *const cases[][2] = {
        {"{ a = \"b\" ,c!=\"d\",e=~`f.*`, g!~\"h\" }", "{a=\"b\", c!=\"d\", e=~\"f.*\", g!~\"h\"}"},
        {"{}", "{}"},
        {"({a=\"b\"})", "{a=\"b\"}"},
        {"{a=\"b\"}|=\"x\"or\"y\" or ip(\"::1\")!=\"z\" or \"w\"",
         "{a=\"b\"} |= \"x\" or \"y\" or ip(\"::1\") != \"z\" != \"w\""},
        {"{a=\"b\"} |~ `x` !~ `y` |> `<_>` !> `z`",
         "{a=\"b\"} |~ \"x\" !~ \"y\" |> \"<_>\" !> \"z\""},
        {"{a=\"b\"} |json|json a, b=\"x.y[0]\"|logfmt --keep-empty --strict c",
         "{a=\"b\"} | json | json a=\"a\",b=\"x.y[0]\" | logfmt --strict --keep-empty c=\"c\""},
        {"{a=\"b\"}|regexp`(?P<x>y)`|pattern \"<x>\"|unpack|decolorize|line_format`{{.x}}`",
         "{a=\"b\"} | regexp \"(?P<x>y)\" | pattern \"<x>\" | unpack | decolorize | line_format "
         "\"{{.x}}\""},
        {"{a=\"b\"}|label_format x=y,z=`{{.w}}`|drop a,b=~`c`|keep d",
         "{a=\"b\"} | label_format x=y,z=\"{{.w}}\" | drop a,b=~\"c\" | keep d"},
        {"{a=\"b\"}|x>1|y=+2.50|z!=-1|d<=1h30m|s==1.5KiB|i=ip(\"1.2.3.0/24\")",
         "{a=\"b\"} | x>1 | y==2.5 | z!=-1 | d<=1h30m | s==1.5KiB | i=ip(\"1.2.3.0/24\")"},
        {"{a=\"b\"}|json --arrays|Dedup|dedup by(x, y)|=\"z\"",
         "{a=\"b\"} | json --arrays | dedup | dedup by (x,y) |= \"z\""},
        {"{a=\"b\"} | dedup=\"x\" | dedup != \"y\" | dedup > 1", /* a label of that name */
         "{a=\"b\"} | dedup=\"x\" | dedup!=\"y\" | dedup>1"},
        {"count_distinct_over_time(rate, {a=\"b\"}|json[5m])by(x)",
         "count_distinct_over_time(rate,{a=\"b\"} | json[5m]) by (x)"},
        {"{a=\"b\"} | count_distinct_over_time=\"x\"",
         "{a=\"b\"} | count_distinct_over_time=\"x\""},
        {"{a=\"b\"}|Any(t)=\"x\"or any( u )>=1.5 , any(v)!~`w`any(ip)=ip(\"::1\")",
         "{a=\"b\"} | ( any(t)=\"x\" or ( any(u)>=1.5 , ( any(v)!~\"w\" , any(ip)=ip(\"::1\") ) ) "
         ")"},
        {"{a=\"b\"} | any=\"x\" | any != \"y\" | any > 1 | drop any", /* a label of that name */
         "{a=\"b\"} | any=\"x\" | any!=\"y\" | any>1 | drop any"},
        {"rate({a=\"b\"} [5m])", "rate({a=\"b\"}[5m])"},
        {"rate({a=\"b\"}[90s] offset -5m|json|unwrap bytes(x)|y=\"z\")",
         "rate({a=\"b\"} | json | unwrap bytes(x) | y=\"z\"[1m30s] offset -5m)"},
        {"count_over_time(({a=\"b\"}|=\"x\")[1h] offset 1h30m)",
         "count_over_time({a=\"b\"} |= \"x\"[1h] offset 1h30m)"},
        {"rate((({a=\"b\"})[5m]))", "rate({a=\"b\"}[5m])"},
        {"quantile_over_time(0.99,{a=\"b\"}|unwrap duration_seconds(x)[1d])by(p,q)",
         "quantile_over_time(0.99,{a=\"b\"} | unwrap duration_seconds(x)[1d]) by (p,q)"},
        {"SUM(rate({a=\"b\"}[5m]))BY(x)", "sum by (x)(rate({a=\"b\"}[5m]))"},
        {"topk without() (5,vector(1))", "topk without ()(5,vector(1.000000))"},
        {"topk(01000000000,vector(1))", "topk(1000000000,vector(1.000000))"},
        {"1+bool vector(1)", "(1 + bool vector(1.000000))"},
        {"vector(1) or on(a)group_left vector(2)",
         "(vector(1.000000) or on (a) group_left vector(2.000000))"},
        {"sum by() (vector(.5))", "sum(vector(0.500000))"},
        {"max_over_time({a=\"b\"}|unwrap x[8d])by()",
         "max_over_time({a=\"b\"} | unwrap x[8d]) by ()"},
        {"rate({a=\"b\"}[2w] offset 90m)", "rate({a=\"b\"}[2w] offset 1h30m)"},
        {"sum(1+vector(1))", "sum((1 + vector(1.000000)))"},
        {"label_replace(vector(1),\"a\",\"$1\",\"b\",\"(.*)\")",
         "label_replace(vector(1.000000),\"a\",\"$1\",\"b\",\"(.*)\")"},
        {"vector(1)>bool on(a,b)group_left(c)vector(2)",
         "(vector(1.000000) > bool on (a,b) group_left (c) vector(2.000000))"},
        {"vector(1)/ignoring()vector(2)", "(vector(1.000000) / vector(2.000000))"},
        {"vector(1)/ignoring()group_right()vector(1e-9)",
         "(vector(1.000000) / ignoring () group_right vector(1e-09))"},
        {"vector(1)*on()vector(2)", "(vector(1.000000) * on () vector(2.000000))"},
        {"1+1+rate({a=\"b\"}[1m])*rate({a=\"c\"}[1m])^2^2-3",
         "((2 + (rate({a=\"b\"}[1m]) * (rate({a=\"c\"}[1m]) ^ 4))) - 3)"},
        {"vector(1) or vector(2) and vector(3) == vector(4)",
         "(vector(1.000000) or (vector(2.000000) and (vector(3.000000) == vector(4.000000))))"},
    };
    struct buf out;
    char *first;

    (void)state;
    buf_init(&out, 100000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_str(parse_text_of(str_of(cases[i][0]), &out), cases[i][1]);
        first = mem_dup(out.p, out.n);
        check_str(parse_text_of(str_of(first), &out), first); /* and again */
        free(first);
    }
    buf_fini(&out);
}

static void literals_fold(void **state)
{
    static const char *const cases[][2] = {
        {"2^3^2", "512"},       {"2-3-4", "-5"},
        {"-1^2", "1"},          {"10/5/2", "1"},
        {"1+2*3", "7"},         {"2%2^3", "2"},
        {"1 > bool 1", "0"},    {"7 != 2", "1"},
        {"1 >= 1 > 1", "0"},    {"1/0", "(0 / 0)"},
        {"1%0", "(0 / 0)"},     {"1e308*10", "(1e308 * 10)"},
        {"+1 + 1", "2"},        {"34+-123", "-89"},
        {"(0 / 0)", "(0 / 0)"}, {"1 > bool 1 > vector(1)", "(0 > vector(1.000000))"},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_str(parse_text_of(str_of(cases[i][0]), &out), cases[i][1]);
    buf_fini(&out);
}

static void commas_between_label_filters_take_all_to_their_right(void **state)
{
    static const char *const cases[][2] = {
        {"x=1 or y=2, z=3", "( x==1 or ( y==2 , z==3 ) )"},
        {"x=1, y=2 or z=3", "( x==1 , ( y==2 or z==3 ) )"},
        {"x=1 y=2 or z=3", "( x==1 , ( y==2 or z==3 ) )"},
        {"x=1 and y=2 or z=3", "( ( x==1 , y==2 ) or z==3 )"},
        {"x=1 or y=2 and z=3", "( x==1 or ( y==2 , z==3 ) )"},
        {"x=1 or y=2 z=3", "( x==1 or ( y==2 , z==3 ) )"},
        {"x=1 and y=2, z=3 or w=4", "( x==1 , ( y==2 , ( z==3 or w==4 ) ) )"},
        {"(x=1 or y=2), z=3", "( ( x==1 or y==2 ) , z==3 )"},
        {"(x=1) and ((y=2 and z=3))", "( x==1 , ( y==2 , z==3 ) )"},
        {"x=1 and y=2 and z=3", "( ( x==1 , y==2 ) , z==3 )"},
        {"x=1, y=2, z=3", "( x==1 , ( y==2 , z==3 ) )"},
    };
    struct buf out;
    char text[200];
    char want[200];

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)snprintf(text, sizeof(text), "{a=\"b\"} | %s", cases[i][0]);
        (void)snprintf(want, sizeof(want), "{a=\"b\"} | %s", cases[i][1]);
        check_str(parse_text_of(str_of(text), &out), want);
        check_str(parse_text_of(str_of(want), &out), want);
    }
    buf_fini(&out);
}

static void errors_name_what_and_where(void **state)
{
    static const char *const cases[][2] = {
        {"", "! syntax error: unexpected $end @ 1:1"},
        {"{foo=\"bar\"} foo", "! syntax error: unexpected IDENTIFIER @ 1:13"},
        {"{foo=\"bar\"} \"foo\"", "! syntax error: unexpected STRING @ 1:13"},
        {"{foo=\"bar\",}", "! syntax error: unexpected }, expecting IDENTIFIER @ 1:12"},
        {"{foo==\"bar\"}", "! syntax error: unexpected ==, expecting = or != or =~ or !~ @ 1:5"},
        {"{\"foo\"=\"bar\"}", "! syntax error: unexpected STRING, expecting IDENTIFIER @ 1:2"},
        {"{by=\"bar\"}", "! syntax error: unexpected by, expecting IDENTIFIER @ 1:2"},
        {"vector(abc)", "! syntax error: unexpected IDENTIFIER, expecting NUMBER @ 1:8"},
        {"vector(-1)", "! syntax error: unexpected -, expecting NUMBER @ 1:8"},
        {"min({ foo = \"bar\" }[5m])", "! syntax error: unexpected RANGE, expecting ) @ 1:20"},
        {"sum({a=\"b\"})", "! unexpected log query in sum: it needs a metric query, such as "
                           "count_over_time(...[5m]) @ 1:5"},
        {"rate({a=\"b\"})", "! syntax error: unexpected ), expecting RANGE @ 1:13"},
        {"rate((({a=\"b\"}))[5m])", "! syntax error: unexpected ), expecting RANGE @ 1:16"},
        {"rate({a=\"b\"}[5m]) offset 5m", "! syntax error: unexpected offset @ 1:19"},
        {"rate({a=\"b\"}[5m] offset 5)", "! syntax error: unexpected NUMBER, expecting DURATION @ "
                                         "1:25"},
        {"{a=\"b\"}\n| unwrap x", "! syntax error: unexpected unwrap @ 2:3"},
        {"({a=\"b\"}) | json", "! syntax error: unexpected | @ 1:11"},
        {"{a=\"b\"} | drop", "! syntax error: unexpected $end, expecting IDENTIFIER @ 1:15"},
        {"{a=\"b\"} | x == \"1\"", "! syntax error: unexpected ==, expecting = or != or =~ or !~ @ "
                                   "1:13"},
        {"{a=\"b\"} | x !~ ip(\"1\")", "! syntax error: unexpected ip, expecting STRING @ 1:16"},
        {"{a=\"b\"} |= x", "! syntax error: unexpected IDENTIFIER, expecting STRING or ip @ 1:12"},
        {"-vector(1)", "! syntax error: unexpected vector, expecting NUMBER @ 1:2"},
        {"1 + {a=\"b\"}", "! unexpected type for right leg of binary operation (+): a log query @ "
                          "1:5"},
        {"1 or vector(1)", "! unexpected literal for left leg of logical/set binary operation (or) "
                           "@ 1:1"},
        {"sum by (a) (vector(1)) by (b)", "! syntax error: unexpected by @ 1:24"},
        {"ip", "! syntax error: unexpected IDENTIFIER @ 1:1"},
        {"count_ovr_time({a=\"b\"}[5m])", "! syntax error: unexpected IDENTIFIER, did you mean "
                                          "count_over_time instead of count_ovr_time? @ 1:1"},
        {"sum by a (rate({a=\"b\"}[5m]))", "! syntax error: unexpected IDENTIFIER, sum is followed "
                                           "by ( or a grouping (...) @ 1:1"},
        {"{a=\"b\"} | jsn", "! syntax error: unexpected $end, did you mean json instead of jsn? @ "
                            "1:14"},
        {"{a=\"b\"} | total \"x\"", "! syntax error: unexpected STRING @ 1:17"},
        {"{a=\"b\"} | lin_format \"x\"", "! syntax error: unexpected STRING, did you mean "
                                         "line_format instead of lin_format? @ 1:22"},
        {"123KB", "! syntax error: unexpected BYTES @ 1:1"},
    };
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_str(parse_text_of(str_of(cases[i][0]), &out), cases[i][1]);
    buf_fini(&out);
}

/* `unit` again and again, as much as fits. */
static char *repeated(const char *head, const char *unit, const char *tail, size_t *n)
{
    size_t h = strlen(head);
    size_t u = strlen(unit);
    size_t t = strlen(tail);
    char *text = mem_new(QUERY_TEXT_MAX + 1);

    memcpy(text, head, h);
    for (*n = h; *n + u + t <= QUERY_TEXT_MAX; *n += u)
        memcpy(text + *n, unit, u);
    memcpy(text + *n, tail, t);
    *n += t;
    return text;
}

static void long_and_deep_texts_end_in_bounds(void **state)
{
    static const struct {
        const char *head, *unit, *tail, *error; /* NULL: it is a query */
    } cases[] = {
        {"", "(", "", "nested deeper than"},
        {"", "sum(", "", "nested deeper than"},
        {"rate", "(", "", "nested deeper than"},
        {"vector(1)", "^vector(1)", "", "nested deeper than"},
        {"vector(1)", "+vector(1)", "", "operators in a row"},
        {"1", "+1", "", "more than 20000 words and signs"},
        {"{a=\"b\"}|", "(", "", "nested deeper than"},
        {"{a=\"b\"}|x=1", ",x=1", "", "more than 20000 words and signs"},
        {"{a=\"b\"}|x=1", " or the_name_of_a_label=1, the_name_of_another_label=1", "",
         "nested deeper than"},
        {"{a=\"b\"}", "|json", "", "more than 20000 words and signs"},
        {"{a=\"b\"}|=\"\"", "or\"\"", "", "more than 20000 words and signs"},
        {"{a=\"b\"", ",a=\"b\"", "}", "more than 20000 words and signs"},
        {"sum by(a", ",a", ")(vector(1))", "more than 20000 words and signs"},
        {"{a=\"", "\\n", "\"}", NULL},
        {"{a=\"b\"}|=`one of them`", "or`another one`", "", NULL},
        {"{a=\"b\"}|name=`one`", " or name=`the next of many`", "", NULL},
        {"", "{", "", "unexpected {"},
        {"", "1.1.", "", "unexpected"},
        {"1", "m", "", "unexpected"},
        {"", "[", "", "missing closing"},
        {"", "- ", "", "unexpected -"},
        {"#", "x", "", "unexpected $end"},
    };
    struct place at;
    struct err err;
    struct ast a;
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *text = repeated(cases[i].head, cases[i].unit, cases[i].tail, &n);
        int r = parse_query((struct str){text, n}, &a, &at, &err);
        if (cases[i].error == NULL && r != 0)
            fail_msg("%s: %s", cases[i].unit, err.text);
        if (cases[i].error != NULL &&
            (r != ERR_INVALID || strstr(err.text, cases[i].error) == NULL))
            fail_msg("%s: %d %s", cases[i].unit, r, r < 0 ? err.text : "");
        ast_fini(&a);
        free(text);
    }
}

static void too_long_a_text_is_refused(void **state)
{
    char *text = mem_new(QUERY_TEXT_MAX + 1);
    struct place at;
    struct err err;
    struct ast a;

    (void)state;
    memset(text, ' ', QUERY_TEXT_MAX + 1);
    assert_int_equal(parse_query((struct str){text, QUERY_TEXT_MAX + 1}, &a, &at, &err),
                     ERR_INVALID);
    check_str(str_of(err.text), "input size too long (131072 > 131071)");
    ast_fini(&a);
    free(text);
}

CHECK_MAIN(cmocka_unit_test(queries_print_in_one_form), cmocka_unit_test(literals_fold),
           cmocka_unit_test(commas_between_label_filters_take_all_to_their_right),
           cmocka_unit_test(errors_name_what_and_where),
           cmocka_unit_test(long_and_deep_texts_end_in_bounds),
           cmocka_unit_test(too_long_a_text_is_refused))
