/* tests/unit/query/test_pipeline.c - one line through a pipeline, in many ways. */
#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <stdio.h>

struct pipeline_case {
    const char *stages, *labels, *attrs, *line;
    const char *want; /* labels as fake_log_entry writes them; NULL: dropped */
};

/* Run each case; the line itself must come out unchanged. */
static void run_cases(const struct pipeline_case *cases, size_t n)
{
    struct query_params p = {.start = 0, .end = 10};
    struct buf out;

    buf_init(&out, 1 << 20);
    for (size_t i = 0; i < n; i++) {
        const struct pipeline_case *c = &cases[i];
        struct fake f;
        char query[500];
        char want[2000] = "";
        int r;
        fake_init(&f);
        fake_add(&f, c->labels, c->attrs, 5, str_of(c->line));
        (void)snprintf(query, sizeof(query), "{s=\"1\"} %s", c->stages);
        if (c->want != NULL)
            (void)snprintf(want, sizeof(want), "%s %s\n", c->want, c->line);
        r = fake_run(&f, query, &p, &out);
        if (r < 0)
            fail_msg("%s: %.*s", query, STR_ARG(buf_str(&out)));
        check_str(buf_str(&out), want);
        fake_fini(&f);
    }
    buf_fini(&out);
}
#define RUN(cases) run_cases((cases), sizeof(cases) / sizeof((cases)[0]))

#define S "{s=\"1\"}"

static void json_is_flattened(void **state)
{
    static const struct pipeline_case cases[] = {
        {"| json", S, NULL, "{\"a\":\"x\",\"b\":{\"c\":1.50,\"d\":{\"e\":true}},\"f\":false}",
         S "+{a=\"x\", b_c=\"1.50\", b_d_e=\"true\", f=\"false\"}"},
        {"| json", S, NULL, "{\"n\":null,\"arr\":[1,{\"x\":[2]}],\"o\":{},\"z\":1e3}",
         S "+{z=\"1e3\"}"},
        {"| json", S, NULL, "{\" \":{\"foo\":\"bar\"},\"\":1,\"x\":{\"\":2}}",
         S "+{foo=\"bar\", x=\"2\"}"},
        {"| json", S, NULL, "{\"a b\":1,\"a.b\":2,\"1d\":3,\"\xc3\xa9t\":4}",
         S "+{_1d=\"3\", _t=\"4\", a_b=\"1\"}"},
        {"| json", S, NULL, "{\"a\":\"q\\\"\\u00e9\\n\"}", S "+{a=\"q\\\"\xc3\xa9\\n\"}"},
        {"| json", S, NULL, "{\"a\":\"x\xef\xbf\xbdy\xffz\"}", S "+{a=\"x y z\"}"},
        /* half of a pair makes the value empty */
        {"| json", S, NULL, "{\"a\":\"x\\ud83d\\ude00y\\\\ud800\"}",
         S "+{a=\"x\xf0\x9f\x98\x80y\\\\ud800\"}"},
        {"| json", S, NULL, "{\"a\":\"x\\ud83d\"}", S "+{a=\"\"}"},
        {"| json", S, NULL, "{\"a\":\"\\ude00\\ud83d\\u0041\"}", S "+{a=\"\"}"},
        {"| json a", S, NULL, "{\"a\":\"\\ud83d\\n\"}", S "+{a=\"\"}"},
        {"| json", S, NULL, "  {\"a\":1,} trailing {", S "+{a=\"1\"}"},
        {"| json", S, NULL, "{\"a\":1}}", S "+{a=\"1\"}"},
    };

    (void)state;
    RUN(cases);
}

static void what_is_no_json_is_marked_and_keeps_what_came_before(void **state)
{
#define BAD "__error__=\"JSONParserErr\", __error_details__=\"the line is no complete JSON object\""
    static const struct pipeline_case cases[] = {
        {"| json", S, NULL, "", S "+{" BAD "}"},
        {"| json", S, NULL, "[]", S "+{" BAD "}"},
        {"| json", S, NULL, "12", S "+{" BAD "}"},
        {"| json", S, NULL, "\"s\"", S "+{" BAD "}"},
        {"| json", S, NULL, "{n}", S "+{" BAD "}"},
        {"| json", S, NULL, "{\"a\":1", S "+{" BAD ", a=\"1\"}"},
        {"| json", S, NULL, "{\"a\":{\"b\":1,\"c\":", S "+{" BAD ", a_b=\"1\"}"},
        {"| json", S, NULL, "{\"a\":1,\"b\":[1,", S "+{" BAD ", a=\"1\"}"},
        /* what begins like a number is one up to a blank, comma or closing bracket */
        {"| json", S, NULL, "{\"n\":12.}", S "+{n=\"12.\"}"},
        {"| json", S, NULL, "{\"n\":12.,\"m\":1x}", S "+{m=\"1x\", n=\"12.\"}"},
        {"| json", S, NULL, "{\"n\":12.", S "+{" BAD ", n=\"12.\"}"},
        {"| json", S, NULL, "{\"n\":.5}", S "+{" BAD "}"},
        {"| json | __error__=\"\"", S, NULL, "nope", NULL},
        {"| json | __error__!=\"\"", S, NULL, "{}", NULL},
        {"| json | drop __error__, __error_details__", S, NULL, "nope", S},
        {"| json | a>1", S, NULL, "nope", NULL},
        /* what the data itself says is no error */
        {"| json", S, NULL, "{\"__error__\":\"x\"}", S "+{__error__=\"x\"}"},
        {"| json | __error__=\"\"", S, NULL, "{\"__error__\":\"x\"}", S "+{__error__=\"x\"}"},
        {"| json | __error__!=\"\"", S, NULL, "{\"__error__\":\"x\"}", NULL},
    };

    (void)state;
    RUN(cases);
}

static void json_paths_pick_values(void **state)
{
#define DOC                                                                                        \
    "{\"app\":\"foo\",\"n\":5,\"o\":{\"k\":\"v\",\"arr\":[1,\"two\",{\"x\":true}]},\"sp "          \
    "ace\":\"s\","                                                                                 \
    "\"nul\":null,\"esc\":\"a\\\"b\",\"app\":\"again\"}"
    static const struct pipeline_case cases[] = {
        {"| json n", S, NULL, DOC, S "+{n=\"5\"}"},
        {"| json x=\"app\", y=\"o.k\", z=\"esc\"", S, NULL, DOC,
         S "+{x=\"foo\", y=\"v\", z=\"a\\\"b\"}"},
        {"| json x=\"o.arr\", y=\"o.arr[1]\", z=\"o.arr[2].x\"", S, NULL, DOC,
         S "+{x=\"[1,\\\"two\\\",{\\\"x\\\":true}]\", y=\"two\", z=\"true\"}"},
        {"| json x=`[\"sp ace\"]`, y=`[\"o\"][\"k\"]`, z=\"o\"", S, NULL, DOC,
         S "+{x=\"s\", y=\"v\", "
           "z=\"{\\\"k\\\":\\\"v\\\",\\\"arr\\\":[1,\\\"two\\\",{\\\"x\\\":true}]}"
           "\"}"},
        {"| json x=\"nul\", y=\"none\", z=\"app[0]\", w=\"o.arr[9]\"", S, NULL, DOC,
         S "+{w=\"\", x=\"\", y=\"\", z=\"\"}"},
        {"| json x=\"a\"", S, NULL, "{\"a\":1", S "+{x=\"1\"}"},
        {"| json x=\"a\"", S, NULL, "", S},
        {"| json x=\"a\"", S, NULL, "nope",
         S "+{__error__=\"JSONParserErr\", __error_details__=\"the line is no JSON\"}"},
        {"| json x=\"[1]\"", S, NULL, "[1, 2]", S "+{x=\"2\"}"},
    };

    (void)state;
    RUN(cases);
}

static void a_path_to_what_is_no_value_marks_the_line(void **state)
{
#define NO_VALUE S "+{__error__=\"JSONParserErr\", __error_details__=\"a value is no JSON\", a=\"\""
    static const struct pipeline_case cases[] = {
        {"| json a", S, NULL, "{\"a\":}", NO_VALUE "}"},
        {"| json a", S, NULL, "{\"a\":tru}", NO_VALUE "}"},
        {"| json a", S, NULL, "{\"a\": \"tex\\\"", NO_VALUE "}"},
        {"| json a, b", S, NULL, "{\"a\":1,\"b\"", S "+{a=\"1\", b=\"\"}"},
        {"| json a", S, NULL, "{\"b\":1,\"a\":", NO_VALUE "}"},
        {"| json x=\"o.a\"", S, NULL, "{\"b\":\"y\",\"o\":{\"c\":{},\"a\":}}",
         S "+{__error__=\"JSONParserErr\", __error_details__=\"a value is no JSON\", x=\"\"}"},
        {"| json a", S, NULL, "{\"b\":1,\"a\":{\"c\":1", NO_VALUE "}"},
        {"| json a", S, NULL, "{\"a\":[1,", NO_VALUE "}"},
        {"| json a", S, NULL, "{\"b\":1,\"a\"", S "+{a=\"\"}"},
        {"| json a", S, NULL, "{\"b\":1,\"a\":12.", S "+{a=\"12.\"}"},
        {"| json a", S, NULL, "{\"a\":{\"}\":}, x", S "+{a=\"{\\\"}\\\":}\"}"},
        /* on the way there nothing has to be whole */
        {"| json a=\"a.c\"", S, NULL, "{\"a\":{\"b\":{},\"c\":1", S "+{a=\"1\"}"},
        {"| json a=\"a[1]\"", S, NULL, "{\"a\": [1,2,", S "+{a=\"2\"}"},
        {"| json a=\"a.c\"", S, NULL, "{\"a\":}", S "+{a=\"\"}"},
        {"| json a", S, NULL, " {\"a\":1}",
         S "+{__error__=\"JSONParserErr\", __error_details__=\"the line is no JSON\"}"},
        {"| json a", S, NULL, "{\"b\":tru,\"a\":1}", S "+{a=\"\"}"},
    };

    (void)state;
    RUN(cases);
}

static void logfmt_pairs_become_labels(void **state)
{
    static const struct pipeline_case cases[] = {
        {"| logfmt", S, NULL, "level=info msg=\"hello world\" dur=1.5s",
         S "+{dur=\"1.5s\", level=\"info\", msg=\"hello world\"}"},
        {"| logfmt", S, NULL, " a=1\tb=2\n  c=\"x\\n\\\"y\\\" \\u00e9\" ",
         S "+{a=\"1\", b=\"2\", c=\"x\\n\\\"y\\\" \xc3\xa9\"}"},
        {"| logfmt", S, NULL, "a= b c=\"\" d=1", S "+{d=\"1\"}"},
        {"| logfmt --keep-empty", S, NULL, "a= b c=\"\" d=1",
         S "+{a=\"\", b=\"\", c=\"\", d=\"1\"}"},
        {"| logfmt", S, NULL, "a=1 a=2 1a=3 a.b=4", S "+{_1a=\"3\", a=\"1\", a_b=\"4\"}"},
        {"| logfmt", S, NULL, "a=\"b\"c=1 x=\\ y='q'",
         S "+{a=\"b\", c=\"1\", x=\"\\\\\", y=\"'q'\"}"},
        /* broken pairs are passed over */
        {"| logfmt", S, NULL, "a==1 b=1=2 c=b\"c d=1", S "+{d=\"1\"}"},
        {"| logfmt", S, NULL, "\"a\"=1 =2 = b=2 c=\"\\q\" d=\"open", S "+{b=\"2\"}"},
        {"| logfmt", S, NULL, "", S},
        {"| logfmt --strict", S, NULL, "a=1 b==2 c=3",
         S "+{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 7 : "
           "unexpected '='\", a=\"1\"}"},
        {"| logfmt --strict", S, NULL, "a=1 bad=\"",
         S "+{__error__=\"LogfmtParserErr\", __error_details__=\"logfmt syntax error at pos 10 : "
           "unterminated quoted value\", a=\"1\"}"},
        {"| logfmt b, x=\"a\", none", S, NULL, "a=1 b=2 c=3", S "+{b=\"2\", none=\"\", x=\"1\"}"},
    };

    (void)state;
    RUN(cases);
}

static void names_that_are_taken_get_a_suffix(void **state)
{
    static const struct pipeline_case cases[] = {
        {"| logfmt", "{app=\"st\", s=\"1\"}", "{level=\"md\"}", "app=x level=y",
         "{app=\"st\", s=\"1\"}{level=\"md\"}+{app_extracted=\"x\", level_extracted=\"y\"}"},
        {"", "{app=\"st\", s=\"1\"}", "{app=\"md\"}", "x",
         "{app=\"st\", s=\"1\"}{app_extracted=\"md\"}"},
        /* of an attribute and a parsed label that both give way, the parsed one stays */
        {"| json", "{app=\"st\", s=\"1\"}", "{app=\"md\"}", "{\"app\":\"x\"}",
         "{app=\"st\", s=\"1\"}+{app_extracted=\"x\"}"},
        {"| json app, x=\"y\"", "{app=\"st\", s=\"1\"}", NULL, "{\"app\":\"x\"}",
         "{app=\"st\", s=\"1\"}+{app_extracted=\"x\", x=\"\"}"},
        {"| json s=\"none\"", S, NULL, "{}", S},
        {"| logfmt | json", S, NULL, "{\"a\":1}", S "+{a=\"1\"}"},
    };

    (void)state;
    RUN(cases);
}

static void parsers_leave_alone_what_a_stage_set(void **state)
{
    static const struct pipeline_case cases[] = {
        {"| json | logfmt", S, NULL, "{\"a\":1} a=2 b=3", S "+{a=\"1\", b=\"3\"}"},
        {"| logfmt | regexp `a=.*a=(?P<a>.)`", S, NULL, "a=1 a=2", S "+{a=\"1\"}"},
        {"| label_format a=`z` | logfmt", S, NULL, "a=1", S "+{a=\"z\"}"},
        {"| label_format s=`z` | logfmt", S, NULL, "s=2", "{}+{s=\"z\", s_extracted=\"2\"}"},
        /* also what was dropped, and the names of the stream, not those of the record */
        {"| logfmt | drop a | logfmt", S, NULL, "a=1", S},
        {"| drop s | logfmt", S, NULL, "s=2", "{}+{s_extracted=\"2\"}"},
        {"| keep x | logfmt", S, NULL, "s=2", "{}+{s_extracted=\"2\"}"},
        {"| label_format x=s | logfmt", S, NULL, "s=2", "{}+{s_extracted=\"2\", x=\"1\"}"},
        {"| drop m | logfmt", S, "{m=\"1\"}", "m=2", S "+{m=\"2\"}"},
        /* what the query names is set again, and the last pair counts */
        {"| logfmt a, b", S, NULL, "a=1 b=2 a=3", S "+{a=\"3\", b=\"2\"}"},
        {"| logfmt s", S, NULL, "s=2", S "+{s_extracted=\"2\"}"},
        {"| logfmt | logfmt b=`a`, a=`c`", S, NULL, "a=1", S "+{a=\"\", b=\"1\"}"},
        {"| json | json a=`b`", S, NULL, "{\"a\":1,\"b\":2}", S "+{a=\"2\", b=\"2\"}"},
        {"| json | json a=`c`", S, NULL, "{\"a\":1,\"b\":2}", S "+{a=\"1\", b=\"2\"}"},
    };

    (void)state;
    RUN(cases);
}

static void regexp_captures_become_labels(void **state)
{
    static const struct pipeline_case cases[] = {
        {"| regexp `(?P<m>\\w+) (?P<p>/\\S*)( (?P<q>x))?`", S, NULL, "GET /a y",
         S "+{m=\"GET\", p=\"/a\", q=\"\"}"},
        {"| regexp `(?P<m>\\d+)`", S, NULL, "none", S},
    };

    (void)state;
    RUN(cases);
}

static void label_filters_compare_by_their_kind(void **state)
{
#define V(v)         "{s=\"1\", v=\"" v "\"}"
#define VBAD(v, why) V(v) "+{__error__=\"LabelFilterErr\", __error_details__=\"" why "\"}"
    static const struct pipeline_case cases[] = {
        {"| v=\"5\"", V("5"), NULL, "x", V("5")},
        {"| v!=\"5\"", S, NULL, "x", S},
        {"| v=\"\"", S, NULL, "x", S},
        {"| v=~\"5|6\"", V("56"), NULL, "x", NULL},
        {"| v!~\"5.*\"", V("1500"), NULL, "x", V("1500")},
        {"| v>5", V("5.5"), NULL, "x", V("5.5")},
        {"| v>5", V("5"), NULL, "x", NULL},
        {"| v>=5", V("5.0"), NULL, "x", V("5.0")},
        {"| v==5", V("0x5"), NULL, "x",
         VBAD("0x5", "strconv.ParseFloat: parsing \\\"0x5\\\": invalid syntax")},
        {"| v!=5", V("NaN"), NULL, "x", V("NaN")},
        {"| v<-1", V("-1.5"), NULL, "x", V("-1.5")},
        {"| v>5", S, NULL, "x", NULL},
        {"| v>5 | __error__=\"\"", V("abc"), NULL, "x", NULL},
        {"| v>1m", V("1.5h"), NULL, "x", V("1.5h")},
        {"| v=90s", V("1m30s"), NULL, "x", V("1m30s")},
        {"| v=90s", V("5"), NULL, "x", VBAD("5", "time: missing unit in duration \\\"5\\\"")},
        {"| v=90s", V("2d"), NULL, "x",
         VBAD("2d", "time: unknown unit \\\"d\\\" in duration \\\"2d\\\"")},
        {"| v<2MB", V("1.5 kB"), NULL, "x", V("1.5 kB")},
        {"| v=1500B", V("1.5KB"), NULL, "x", V("1.5KB")},
        {"| v>100B", V("2qb"), NULL, "x", VBAD("2qb", "unhandled size name: qb")},
        {"| v>1 or v<0", V("2"), NULL, "x", V("2")},
        {"| v>1, s=\"2\"", V("2"), NULL, "x", NULL},
        /* the right side of `and` is evaluated even when the left one is false */
        {"| (v>9 and s>1s) or s=\"1\"", V("2"), NULL, "x",
         V("2") "+{__error__=\"LabelFilterErr\", __error_details__=\"time: missing unit in "
                "duration "
                "\\\"1\\\"\"}"},
    };

    (void)state;
    RUN(cases);
}

static void one_element_of_an_array_is_enough(void **state)
{
#define TAGS "{s=\"1\", tags_0=\"a\", tags_1=\"5\", tags_2=\"1.5s\", tags_len=\"3\"}"
#define DEEP "{_0=\"z\", a_0_b=\"x\", a_10_b_2=\"y\", n_0_1=\"7\", s=\"1\"}"
    static const struct pipeline_case cases[] = {
        {"| any(tags)=\"a\"", TAGS, NULL, "x", TAGS},
        {"| any(tags)=\"b\"", TAGS, NULL, "x", NULL},
        {"| any(tags)!=\"a\"", TAGS, NULL, "x", TAGS},
        {"| any(tags)=~\"[0-9]\"", TAGS, NULL, "x", TAGS},
        {"| any(tags)=~\"3\"", TAGS, NULL, "x", NULL}, /* the length is no element */
        {"| any(tags)>4", TAGS, NULL, "x", TAGS},      /* others are no numbers, and no errors */
        {"| any(tags)>5", TAGS, NULL, "x", NULL},
        {"| any(tags)<2s", TAGS, NULL, "x", TAGS},
        {"| any(tags)>2KB", TAGS, NULL, "x", NULL},
        {"| any(tags)=ip(\"10.0.0.0/8\")", TAGS, NULL, "x", NULL},
        {"| any(s)=\"1\"", TAGS, NULL, "x", NULL}, /* no array */
        {"| any(none)=\"\"", TAGS, NULL, "x", NULL},
        {"| drop tags_0 | any(tags)=\"a\"", TAGS, NULL, "x", NULL},
        {"| any(tags)=\"9\" or s=\"1\"", TAGS, NULL, "x", TAGS},
        {"| any(tags)=\"a\", any(tags)=\"5\"", TAGS, NULL, "x", TAGS},
        {"| any(a_b)=\"x\"", DEEP, NULL, "x", DEEP},
        {"| any(a_b)=\"y\"", DEEP, NULL, "x", DEEP},
        {"| any(a_0_b)=\"x\"", DEEP, NULL, "x", NULL}, /* nothing of that name has elements */
        {"| any(a_10_b)=\"y\"", DEEP, NULL, "x", DEEP},
        {"| any(n)=7", DEEP, NULL, "x", DEEP},
        {"| any(n_0)=7", DEEP, NULL, "x", DEEP},
        {"| any(a)=\"x\"", DEEP, NULL, "x", NULL},
        {"| json --arrays | any(t_id) = 3 | keep s", S, NULL, "{\"t\":[{\"id\":2},{\"id\":3}]}", S},
        {"| json --arrays | any(t_id) = 4", S, NULL, "{\"t\":[{\"id\":2},{\"id\":3}]}", NULL},
    };

    (void)state;
    RUN(cases);
}

static void drop_and_keep_choose_labels(void **state)
{
#define ABC "{a=\"1\", b=\"2\", s=\"1\"}"
    static const struct pipeline_case cases[] = {
        {"| drop a", ABC, "{m=\"x\"}", "x", "{b=\"2\", s=\"1\"}{m=\"x\"}"},
        {"| drop m, a=\"2\", b=~\"2|3\"", ABC, "{m=\"x\"}", "x", "{a=\"1\", s=\"1\"}"},
        {"| logfmt | keep k, a=\"1\", b=\"9\"", ABC, "{m=\"x\"}", "k=1 j=2", "{a=\"1\"}+{k=\"1\"}"},
        {"| json | keep a", ABC, NULL, "bad",
         "{a=\"1\"}+{__error__=\"JSONParserErr\", __error_details__=\"the line is no complete JSON "
         "object\"}"},
    };

    (void)state;
    RUN(cases);
}

static void line_filters_choose_lines(void **state)
{
    static const struct pipeline_case cases[] = {
        {"|= \"foo\"", S, NULL, "a foo b", S},
        {"|= \"Foo\"", S, NULL, "a foo b", NULL},
        {"|= \"\"", S, NULL, "", S},
        {"!= \"\"", S, NULL, "x", NULL},
        {"|= \"x\" or \"foo\"", S, NULL, "foo", S},
        {"!= \"x\" or \"foo\"", S, NULL, "foo", NULL},
        {"|~ \"(?i)FO+\" !~ \"^b\"", S, NULL, "a foo", S},
        {"| json |= \"x\"", S, NULL, "{}", NULL},
        {"|> \"a <_> b\"", S, NULL, "a foo b", S},
        {"!> \"a <_> b\"", S, NULL, "a foo b", NULL},
        {"|> \"x <_>\" or \"a <_>\"", S, NULL, "a foo b", S},
        {"!> \"x <_>\" or \"a <_>\"", S, NULL, "a foo b", NULL},
        {"|= ip(\"10.0.0.0/8\")", S, NULL, "from 10.1.2.3", S},
        {"!= ip(\"10.0.0.0/8\")", S, NULL, "from 10.1.2.3", NULL},
        {"|= \"x\" or ip(\"10.0.0.0/8\")", S, NULL, "from 10.1.2.3", S},
        {"!= \"x\" or ip(\"10.0.0.0/8\")", S, NULL, "from 10.1.2.3", NULL},
    };

    (void)state;
    RUN(cases);
}

static void a_line_of_very_many_labels_is_read(void **state)
{
    struct query_params p = {.start = 0, .end = 10};
    struct buf line;
    struct buf out;
    struct fake f;

    (void)state;
    buf_init(&line, 1 << 20);
    buf_init(&out, 4 << 20);
    for (int i = 0; i < 20000; i++)
        buf_addf(&line, "k%d=%d k%d=again ", i, i, i / 2);
    fake_init(&f);
    fake_add(&f, S, NULL, 5, buf_str(&line));
    assert_int_equal(fake_run(&f, "{s=\"1\"} | logfmt | k19999=\"19999\" | k0=\"0\"", &p, &out), 0);
    assert_true(out.n > 20000 * 8);
    assert_int_equal(fake_run(&f, "{s=\"1\"} | logfmt | k20000!=\"\"", &p, &out), 0);
    assert_int_equal(out.n, 0);
    fake_fini(&f);
    buf_fini(&line);
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(json_is_flattened),
           cmocka_unit_test(what_is_no_json_is_marked_and_keeps_what_came_before),
           cmocka_unit_test(json_paths_pick_values),
           cmocka_unit_test(a_path_to_what_is_no_value_marks_the_line),
           cmocka_unit_test(logfmt_pairs_become_labels),
           cmocka_unit_test(names_that_are_taken_get_a_suffix),
           cmocka_unit_test(parsers_leave_alone_what_a_stage_set),
           cmocka_unit_test(regexp_captures_become_labels),
           cmocka_unit_test(label_filters_compare_by_their_kind),
           cmocka_unit_test(one_element_of_an_array_is_enough),
           cmocka_unit_test(drop_and_keep_choose_labels),
           cmocka_unit_test(line_filters_choose_lines),
           cmocka_unit_test(a_line_of_very_many_labels_is_read))
