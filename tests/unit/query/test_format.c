/* tests/unit/query/test_format.c */
#include "query/format.h"

#include "base/json.h"
#include "tests/lib/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABELS(...)                                                                                \
    {                                                                                              \
        (struct label[]){__VA_ARGS__},                                                             \
            sizeof((struct label[]){__VA_ARGS__}) / sizeof(struct label)                           \
    }

static void values_are_short_and_without_exponent(void **state)
{
    static const struct {
        double v;
        const char *want;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-42, "-42"},
        {0.013333333333333334, "0.013333333333333334"},
        {3.45, "3.45"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e6, "1000000"},
        {123456789012345678.0, "123456789012345680"},
        {1e21, "1000000000000000000000"},
        {1.5e-7, "0.00000015"},
        {-1.0 / 3, "-0.3333333333333333"},
        {(double)NAN, "NaN"},
        {HUGE_VAL, "+Inf"},
        {-HUGE_VAL, "-Inf"},
    };
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_clear(&b);
        format_value(&b, cases[i].v);
        check_str(buf_str(&b), cases[i].want);
    }
    buf_clear(&b);
    format_value(&b, 5e-324);
    assert_int_equal(b.n, 326); /* 0. 323 zeros and a 5 */
    buf_fini(&b);
}

/* By trying all lengths: the digits of `v` without a point, zeros at both ends left out. */
static void find_digits(double v, char *ret)
{
    char text[40];
    int digits = 0;
    size_t n = 0;

    do
        (void)snprintf(text, sizeof(text), "%.*e", digits, v);
    while (digits++ < 17 && strtod(text, NULL) != v);
    for (const char *p = text; *p != 'e'; p++)
        if (*p != '.' && (n > 0 || *p != '0'))
            ret[n++] = *p;
    while (n > 0 && ret[n - 1] == '0')
        n--;
    ret[n] = '\0';
}

static void check_digits(struct buf *b, double v)
{
    char want[40];
    char got[400];
    size_t n = 0;
    size_t zeros = 0;

    buf_clear(b);
    format_value(b, v);
    buf_add_char(b, '\0');
    find_digits(v, want);
    for (size_t i = 0; i + 1 < b->n; i++)
        if (b->p[i] != '.' && (n > 0 || b->p[i] != '0'))
            got[n++] = b->p[i];
    while (n > 0 && got[n - 1] == '0')
        n--;
    got[n] = '\0';
    while (b->p[zeros] == '0')
        zeros++;
    if (strtod(b->p, NULL) != v || strcmp(got, want) != 0 || zeros > 1)
        fail_msg("%a is '%s', not %s", v, b->p, want);
}

static void values_have_the_fewest_digits(void **state)
{
    uint64_t seed = 88172645463325252u;
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (int e = -30; e < 60; e++) { /* the neighbours of powers of two and ten */
        double two = ldexp(1, e);
        double ten = strtod((char[]){'1', 'e', e < 0 ? '-' : '+', (char)('0' + abs(e) / 10),
                                     (char)('0' + abs(e) % 10), '\0'},
                            NULL);
        for (int i = 0; i < 3; i++) {
            check_digits(&b, two);
            check_digits(&b, nextafter(two, 0));
            check_digits(&b, ten);
            check_digits(&b, nextafter(ten, 0));
            two = nextafter(two, HUGE_VAL);
            ten = nextafter(ten, HUGE_VAL);
        }
    }
    for (int i = 0; i < 30000; i++) {
        double part = (double)(seed >> 11) * 0x1p-53;
        check_digits(&b, part * pow(10, (double)(seed % 24) - 7) + 1e-9);
        check_digits(&b, (double)(seed % 100000) / 3600);
        check_digits(&b, (double)(seed % 100000000) / 1000);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
    }
    buf_fini(&b);
}

/* All of `text` is one JSON value. */
static void check_json(struct str text)
{
    struct json_reader r;
    struct json_token t;
    struct err err;

    json_reader_init(&r, text);
    if (json_skip(&r, NULL, &err) != 0 || json_next(&r, &t, &err) != 0 || t.type != JSON_END ||
        json_rest(&r).n != 0)
        fail_msg("no JSON: %.*s", STR_ARG(text));
}

static void check_contains(struct str text, const char *part)
{
    if (str_find(text, str_of(part)) == SIZE_MAX)
        fail_msg("%s is not in\n%.*s", part, STR_ARG(text));
}

static struct str streams_of(struct buf *out, bool categorize, const struct query_stats *stats)
{
    const struct query_entry entries[] = {
        {.ts = 123456789012345,
         .stream = LABELS({STR("test"), STR("test")}),
         .line = STR("super line")},
        {.ts = 123456789012346,
         .stream = LABELS({STR("test"), STR("test")}),
         .meta = LABELS({STR("bar"), STR("b")}, {STR("foo"), STR("a")}),
         .line = STR("with \"labels\"\n\xff")},
        {.ts = 123456789012347,
         .stream = LABELS({STR("test"), STR("test")}),
         .meta = LABELS({STR("bar"), STR("b")}),
         .parsed = LABELS({STR("a"), STR("")}, {STR("msg"), STR("text")}),
         .line = STR("msg=text")},
        {.ts = -1, .stream = LABELS({STR("test"), STR("test")}), .line = STR("old")},
    };
    struct format_streams *f = format_streams_new(categorize, NULL, 0);
    struct err err;

    buf_clear(out);
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++)
        assert_int_equal(format_streams_add(f, &entries[i], &err), 0);
    format_loki_streams(out, f, stats);
    format_streams_free(&f);
    check_json(buf_str(out));
    return buf_str(out);
}

static void streams_are_distinct_label_sets(void **state)
{
    struct query_stats stats = {.entries = 4};
    struct buf out;
    struct str text;

    (void)state;
    buf_init(&out, 100000);
    text = streams_of(&out, false, &stats);
    check_contains(text, "{\"status\":\"success\",\"data\":{\"resultType\":\"streams\",\"result\":["
                         "{\"stream\":{\"test\":\"test\"},\"values\":[[\"123456789012345\",\"super "
                         "line\"],[\"-1\",\"old\"]]},"
                         "{\"stream\":{\"bar\":\"b\",\"foo\":\"a\",\"test\":\"test\"},\"values\":[["
                         "\"123456789012346\",\"with \\\"labels\\\"\\n\xef\xbf\xbd\"]]},"
                         "{\"stream\":{\"a\":\"\",\"bar\":\"b\",\"msg\":\"text\",\"test\":\"test\"}"
                         ",\"values\":[[\"123456789012347\",\"msg=text\"]]}],\"stats\":{");
    check_contains(text, "\"totalEntriesReturned\":4");
    buf_fini(&out);
}

static void kinds_of_labels_are_kept_apart_on_demand(void **state)
{
    struct query_stats stats = {.entries = 4};
    struct buf out;
    struct str text;

    (void)state;
    buf_init(&out, 100000);
    text = streams_of(&out, true, &stats);
    check_contains(text, "\"encodingFlags\":[\"categorize-labels\"],\"result\":[{\"stream\":{"
                         "\"test\":\"test\"},\"values\":[[\"123456789012345\",\"super line\",{}],["
                         "\"123456789012346\",\"with \\\"labels\\\"\\n\xef\xbf\xbd\",{"
                         "\"structuredMetadata\":{\"bar\":\"b\",\"foo\":\"a\"}}],["
                         "\"123456789012347\",\"msg=text\",{\"structuredMetadata\":{\"bar\":\"b\"},"
                         "\"parsed\":{\"a\":\"\",\"msg\":\"text\"}}],[\"-1\",\"old\",{}]]}]");
    buf_fini(&out);
}

static void damage_is_a_warning(void **state)
{
    struct query_stats stats = {.scan = {.damaged_blocks = 2, .damage = "a.seg: bad sum"}};
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    check_contains(streams_of(&out, false, &stats),
                   ",\"warnings\":[\"the answer is incomplete: 2 damaged blocks were passed over: "
                   "a.seg: bad sum\"]}");
    buf_fini(&out);
}

static void an_answer_before_the_replay_is_over_says_so(void **state)
{
    struct query_stats stats = {.scan = {.partial = "replaying: 3 of 12 MB"}};
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    check_contains(streams_of(&out, false, &stats),
                   ",\"warnings\":[\"the answer is incomplete: replaying: 3 of 12 MB\"]}");
    buf_fini(&out);
}

static void streams_have_a_maximum(void **state)
{
    struct mem_budget budget = {.name = "test"};
    struct format_streams *f = format_streams_new(false, &budget, 10000);
    struct query_entry e = {.stream = LABELS({STR("a"), STR("b")}), .line = STR("0123456789")};
    struct err err;
    int r = 0;

    (void)state;
    for (int i = 0; i < 1000 && r == 0; i++)
        r = format_streams_add(f, &e, &err);
    assert_int_equal(r, ERR_LIMIT);
    format_streams_free(&f);
    assert_int_equal(budget.used, 0);
}

static void results_have_lokis_shapes(void **state)
{
    static const ts_ns ts[] = {INT64_C(1568404331324000000), INT64_C(1568404332000000000)};
    static const double v[] = {0.013333333333333334, HUGE_VAL};
    struct query_series series[] = {
        {.labels = LABELS({STR("job"), STR("varlogs")}), .n = 2, .ts = ts, .value = v},
        {.n = 1, .ts = ts, .value = v},
    };
    struct query_result res = {.type = QUERY_MATRIX, .series = series, .n = 2};
    struct query_stats stats = {.seconds = 0.5, .scan = {.lines = 10, .line_bytes = 1000}};
    struct buf out;

    (void)state;
    buf_init(&out, 100000);
    format_loki_result(&out, &res, &stats);
    check_json(buf_str(&out));
    check_contains(buf_str(&out),
                   "\"resultType\":\"matrix\",\"result\":[{\"metric\":{\"job\":\"varlogs\"},"
                   "\"values\":[[1568404331.324,\"0.013333333333333334\"],[1568404332,\"+Inf\"]]},"
                   "{\"metric\":{},\"values\":[[1568404331.324,\"0.013333333333333334\"]]}]");
    check_contains(buf_str(&out),
                   "\"bytesProcessedPerSecond\":2000,\"linesProcessedPerSecond\":20,");
    check_contains(buf_str(&out), "\"execTime\":0.5,");
    buf_clear(&out);
    res.type = QUERY_VECTOR;
    series[0].n = 1;
    format_loki_result(&out, &res, &stats);
    check_json(buf_str(&out));
    check_contains(buf_str(&out),
                   "\"resultType\":\"vector\",\"result\":[{\"metric\":{\"job\":\"varlogs\"},"
                   "\"value\":[1568404331.324,\"0.013333333333333334\"]},");
    buf_clear(&out);
    res.type = QUERY_SCALAR;
    res.n = 1;
    format_loki_result(&out, &res, &stats);
    check_json(buf_str(&out));
    check_contains(
        buf_str(&out),
        "\"resultType\":\"scalar\",\"result\":[1568404331.324,\"0.013333333333333334\"]");
    buf_clear(&out);
    res = (struct query_result){.type = QUERY_MATRIX};
    format_loki_result(&out, &res, &stats);
    check_json(buf_str(&out));
    check_contains(buf_str(&out), "\"result\":[]");
    buf_fini(&out);
}

enum { SAMPLE_LABELS = 5 };

/* An entry with something of everything; its labels lie in `v`. */
static struct query_entry sample_of(struct label v[SAMPLE_LABELS])
{
    v[0] = (struct label){STR("app"), STR("a,b")};
    v[1] = (struct label){STR("container"), STR("web")};
    v[2] = (struct label){STR("detected_level"), STR("error")};
    v[3] = (struct label){STR("x"), STR("")};
    v[4] = (struct label){STR("y"), STR("1 2")};
    return (struct query_entry){
        .ts = INT64_C(1795288478773648831),
        .seq = UINT64_MAX,
        .stream = {v, 2},
        .meta = {v + 2, 1},
        .parsed = {v + 3, 2},
        .line = STR("say \"hi\"\x1b[31m\xff"),
    };
}

static void entries_are_read_back_from_json_lines(void **state)
{
    struct label v[SAMPLE_LABELS];
    struct query_entry sample = sample_of(v);
    struct arena *a = arena_new(NULL, 0);
    struct query_entry e;
    struct buf out;
    struct err err;

    (void)state;
    buf_init(&out, 10000);
    format_entry_json(&out, &sample);
    check_str(buf_str(&out),
              "{\"ts\":\"2026-11-21T19:14:38.773648831Z\",\"ts_ns\":\"1795288478773648831\","
              "\"seq\":18446744073709551615,\"labels\":{\"app\":\"a,b\",\"container\":\"web\"},"
              "\"attributes\":{\"detected_level\":\"error\"},\"parsed\":{\"x\":\"\",\"y\":\"1 2\"},"
              "\"line\":\"say \\\"hi\\\"\\u001b[31m\xef\xbf\xbd\"}");
    assert_int_equal(format_entry_parse(buf_str(&out), a, &e, &err), 0);
    assert_true(e.ts == sample.ts && e.seq == sample.seq);
    assert_true(labels_equal(&e.stream, &sample.stream));
    assert_true(labels_equal(&e.meta, &sample.meta));
    assert_true(labels_equal(&e.parsed, &sample.parsed));
    check_str(e.line, "say \"hi\"\x1b[31m\xef\xbf\xbd");
    buf_fini(&out);
    arena_free(&a);
}

static void what_is_no_entry_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "[]",
        "{}",
        "{\"ts_ns\":1}",
        "{\"ts_ns\":\"x\"}",
        "{\"ts_ns\":\"99999999999999999999\"}",
        "{\"ts_ns\":\"1\",\"labels\":[]}",
        "{\"ts_ns\":\"1\",\"labels\":{\"a\":1}}",
        "{\"ts_ns\":\"1\",\"seq\":-1}",
        "{\"ts_ns\":\"1\",\"seq\":1.5}",
        "{\"ts_ns\":\"1\",\"line\":null}",
        "{\"ts_ns\":\"1\"",
    };
    struct arena *a = arena_new(NULL, 0);
    struct query_entry e;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (format_entry_parse(str_of(bad[i]), a, &e, &err) != ERR_CORRUPT)
            fail_msg("%s", bad[i]);
    /* any order, keys that we do not know */
    assert_int_equal(format_entry_parse(STR("{\"new\":[1],\"line\":\"x\",\"labels\":{\"b\":\"2\","
                                            "\"a\":\"1\"},\"ts_ns\":\"-5\"}"),
                                        a, &e, &err),
                     0);
    assert_true(e.ts == -5);
    check_str(e.stream.v[0].name, "a");
    arena_free(&a);
}

static void check_form(enum format_kind kind, bool color, const char *want)
{
    struct format_options opt = {.kind = kind, .color = color, .utc = true};
    struct label v[SAMPLE_LABELS];
    struct query_entry sample = sample_of(v);
    struct buf out;

    buf_init(&out, 10000);
    format_entry(&out, &sample, &opt, true);
    format_finish(&out, &opt, true);
    check_str(buf_str(&out), want);
    buf_fini(&out);
}

static void a_table_leaves_out_a_level_that_is_not_known(void **state)
{
    const struct format_options opt = {.kind = FORMAT_TABLE, .utc = true};
    const struct query_entry e = {
        .ts = 0,
        .stream = LABELS({STR_INIT("app"), STR_INIT("web")}),
        .meta = LABELS({STR_INIT("detected_level"), STR_INIT("unknown")}),
        .line = STR_INIT("x"),
    };
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    format_entry(&out, &e, &opt, true);
    check_str(buf_str(&out), "1970-01-01 00:00:00.000Z       web              x\n");
    buf_fini(&out);
}

static void a_table_is_aligned_whatever_is_wide(void **state)
{
    const struct format_options opt = {.kind = FORMAT_TABLE, .utc = true};
    const struct query_entry e = {
        .ts = 0,
        .stream = LABELS({STR_INIT("app"), STR_INIT("\xe6\xbc\xa2\xe5\xad\x97\xc3\xa9")}),
        .line = STR_INIT("x"),
    };
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    format_entry(&out, &e, &opt, true);
    check_str(buf_str(&out), "1970-01-01 00:00:00.000Z       \xe6\xbc\xa2\xe5\xad\x97\xc3\xa9"
                             "            x\n");
    buf_fini(&out);
}

static void the_command_line_has_its_forms(void **state)
{
    (void)state;
    check_form(FORMAT_TABLE, false,
               "2026-11-21 19:14:38.773Z error web              say \"hi\"\\x1b[31m\xef\xbf\xbd\n");
    check_form(
        FORMAT_TABLE, true,
        "\x1b[2m2026-11-21 19:14:38.773Z\x1b[0m \x1b[31merror\x1b[0m \x1b[34mweb             "
        "\x1b[0m say \"hi\"\\x1b[31m\xef\xbf\xbd\n");
    check_form(FORMAT_RAW, false, "say \"hi\"\x1b[31m\xff\n");
    check_form(FORMAT_CSV, false,
               "time,level,origin,labels,line\n2026-11-21T19:14:38.773648831Z,error,web,\"{app="
               "\"\"a,b\"\", container=\"\"web\"\"}\",\"say \"\"hi\"\"\x1b[31m\xef\xbf\xbd\"\n");
    check_form(
        FORMAT_LOGFMT, false,
        "ts=2026-11-21T19:14:38.773648831Z app=a,b container=web detected_level=error x=\"\" "
        "y=\"1 2\" line=\"say \\\"hi\\\"\\x1b[31m\\xff\"\n");
}

static void json_is_one_array(void **state)
{
    struct format_options opt = {.kind = FORMAT_JSON};
    struct label v[SAMPLE_LABELS];
    struct query_entry sample = sample_of(v);
    struct buf out;

    (void)state;
    buf_init(&out, 10000);
    format_finish(&out, &opt, false);
    check_str(buf_str(&out), "[]\n");
    buf_clear(&out);
    format_entry(&out, &sample, &opt, true);
    format_entry(&out, &sample, &opt, false);
    format_finish(&out, &opt, true);
    check_json(str_trim(buf_str(&out)));
    buf_fini(&out);
}

static void cursors_are_read_as_they_are_written(void **state)
{
    static const struct query_cursor cursors[] = {
        {true, 1768003200000000001, 7, 1}, {true, -5, UINT64_MAX, 3}, {true, INT64_MIN, 0, 1}};
    static const char *const bad[] = {"", "1", "1_2", "1_2_", "x_2_3", "1_2_3_4", "1_-2_3"};
    struct query_cursor c;
    struct buf out;

    (void)state;
    buf_init(&out, 1000);
    for (size_t i = 0; i < sizeof(cursors) / sizeof(cursors[0]); i++) {
        buf_clear(&out);
        format_cursor(&out, &cursors[i]);
        assert_true(format_cursor_parse(buf_str(&out), &c));
        assert_true(c.set);
        assert_int_equal(c.ts, cursors[i].ts);
        assert_int_equal(c.seq, cursors[i].seq);
        assert_int_equal(c.nth, cursors[i].nth);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(format_cursor_parse(str_of(bad[i]), &c));
    buf_fini(&out);
}

static void check_place(const char *text, unsigned line, unsigned column, const char *want)
{
    struct buf out;

    buf_init(&out, 4096);
    format_place(&out, str_of(text), line, column, false);
    check_str(buf_str(&out), want);
    buf_fini(&out);
}

static void a_caret_stands_below_the_place(void **state)
{
    char text[QUERY_TEXT_MAX];
    struct buf out;

    (void)state;
    check_place("{a=\"b\"} | foo bar", 1, 15, "  {a=\"b\"} | foo bar\n                ^\n");
    check_place("{a=\"b\"}\n| x y\n| z", 2, 5, "  | x y\n      ^\n");
    check_place("\xc3\xa9\xe6\x97\xa5\xff x", 1, 5,
                "  \xc3\xa9\xe6\x97\xa5\xef\xbf\xbd x\n       ^\n");
    check_place("\xe6\xbc\xa2\xe5\xad\x97 e\xcc\x81 x", 1, 7,
                "  \xe6\xbc\xa2\xe5\xad\x97 e\xcc\x81 x\n         ^\n"); /* wide, combining */
    check_place("a\tb\x1b[31mc\xc2\x9b\x7f", 1, 3, "  a b [31mc  \n    ^\n");
    check_place("", 1, 1, "  \n  ^\n");
    check_place("ab", 1, 99, "  ab\n    ^\n"); /* at its end */
    check_place("ab", 7, 0, "  ab\n  ^\n");    /* no such place */
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    text[50000] = '!';
    buf_init(&out, 1024);
    format_place(&out, str_of(text), 1, 50001, true);
    assert_false(out.over);
    assert_true(str_starts(buf_str(&out), STR("  ...xxx")));
    assert_true(str_ends(buf_str(&out), STR(" \x1b[1;31m^\x1b[0m\n")));
    assert_int_equal(str_find(buf_str(&out), STR("!")), 2 + 3 + 70);
    assert_int_equal(str_find(buf_str(&out), STR("^")),
                     str_find(buf_str(&out), STR("\n")) + 1 + 2 + 3 + 70 + 7);
    buf_clear(&out);
    format_place(&out, str_of(text), 1, 3, false);
    assert_true(str_ends(buf_str(&out), STR("xxx...\n    ^\n")));
    buf_fini(&out);
}

static void an_unknown_service_is_no_origin(void **state)
{
    struct label v[] = {{STR("service_name"), STR("unknown_service")}, {STR("source"), STR("x")}};
    const struct query_entry e = {.stream = {v, 2}}, nowhere = {.stream = {v, 1}};

    (void)state;
    check_str(format_origin(&e), "x");
    check_str(format_origin(&nowhere), "");
    v[0].value = STR("web");
    check_str(format_origin(&e), "web");
}

CHECK_MAIN(cmocka_unit_test(an_unknown_service_is_no_origin),
           cmocka_unit_test(a_caret_stands_below_the_place),
           cmocka_unit_test(cursors_are_read_as_they_are_written),
           cmocka_unit_test(values_are_short_and_without_exponent),
           cmocka_unit_test(values_have_the_fewest_digits),
           cmocka_unit_test(streams_are_distinct_label_sets),
           cmocka_unit_test(kinds_of_labels_are_kept_apart_on_demand),
           cmocka_unit_test(damage_is_a_warning),
           cmocka_unit_test(an_answer_before_the_replay_is_over_says_so),
           cmocka_unit_test(streams_have_a_maximum), cmocka_unit_test(results_have_lokis_shapes),
           cmocka_unit_test(entries_are_read_back_from_json_lines),
           cmocka_unit_test(what_is_no_entry_is_refused),
           cmocka_unit_test(the_command_line_has_its_forms),
           cmocka_unit_test(a_table_leaves_out_a_level_that_is_not_known),
           cmocka_unit_test(a_table_is_aligned_whatever_is_wide),
           cmocka_unit_test(json_is_one_array))
