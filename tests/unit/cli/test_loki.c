/* query/cli/loki.c, rows.c: the server's JSON in, each form of -o out. */
#include "query/cli/loki.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct rows_column TIMED[] = {
    {"time", ROWS_TIME}, {"labels", ROWS_LABELS}, {"value", ROWS_VALUE}};
static const struct rows_column NAMES[] = {{"label", ROWS_TEXT}};
static const struct rows_column SERIES[] = {{"series", ROWS_LABELS}};

#define VECTOR(items) "{\"data\":{\"resultType\":\"vector\",\"result\":[" items "]}}"

/* Print through a pipe: answers here are shorter than what one holds. */
static void check_print(const struct rows *rows, enum format_kind kind, const char *want)
{
    struct args args = {.has_output = true, .output = kind};
    struct output o;
    struct err err;
    char got[4096];
    ssize_t n;
    int fd[2];

    assert_int_equal(pipe(fd), 0);
    output_init(&o, fd[1], &args, &(struct output_env){.terminal = false});
    assert_int_equal(rows_print(rows, &o, &err), 0);
    assert_true(output_fini(&o));
    close(fd[1]);
    n = read(fd[0], got, sizeof(got));
    close(fd[0]);
    assert_true(n >= 0);
    check_str(((struct str){got, (size_t)n}), want);
}

static void what_there_is_is_read(void **state)
{
    static const struct rows_column four[] = {{"streams", ROWS_VALUE},
                                              {"blocks", ROWS_VALUE},
                                              {"lines", ROWS_VALUE},
                                              {"bytes", ROWS_BYTES}};
    static const struct rows_column found[] = {
        {"field", ROWS_TEXT}, {"type", ROWS_TEXT}, {"values", ROWS_VALUE}, {"found", ROWS_TEXT}};
    static const struct rows_column patterns[] = {
        {"lines", ROWS_VALUE}, {"level", ROWS_TEXT}, {"pattern", ROWS_TEXT}};
    struct rows *rows = rows_new(four, 4);
    struct err err;

    (void)state;
    assert_int_equal(
        loki_stats(STR("{\"streams\":2,\"chunks\":3,\"entries\":4,\"bytes\":5500}"), rows, &err),
        0);
    check_print(rows, FORMAT_RAW, "2\t3\t4\t5500\n");
    check_print(rows, FORMAT_TABLE,
                "streams  blocks  lines  bytes\n2        3       4      5.5 kB\n");
    assert_int_equal(loki_stats(STR("{\"streams\":2}"), rows, &err), ERR_CORRUPT);
    assert_int_equal(loki_stats(STR("[]"), rows, &err), ERR_CORRUPT);
    rows_free(&rows);
    rows = rows_new(found, 4);
    assert_int_equal(loki_fields(STR("{\"fields\":[{\"label\":\"a_b\",\"type\":\"int\","
                                     "\"cardinality\":7,\"parsers\":[\"json\"],\"jsonPath\":[\"a\","
                                     "\"b\"]},{\"label\":\"t\",\"type\":\"string\","
                                     "\"cardinality\":1,\"parsers\":null}]}"),
                                 rows, &err),
                     0);
    check_print(rows, FORMAT_RAW, "a_b\tint\t7\tjson (a.b)\nt\tstring\t1\tattribute\n");
    assert_int_equal(loki_fields(STR("{\"fields\":[{}]}"), rows, &err), ERR_CORRUPT);
    rows_free(&rows);
    rows = rows_new(patterns, 3);
    rows_limit(rows, 1);
    assert_int_equal(loki_patterns(STR("{\"data\":[{\"pattern\":\"a <_>\",\"level\":\"info\","
                                       "\"samples\":[[1,2],[3,4]]},{\"pattern\":\"b\","
                                       "\"level\":\"\",\"samples\":[]}]}"),
                                   rows, &err),
                     0);
    check_print(rows, FORMAT_RAW, "6\tinfo\ta <_>\n");
    rows_free(&rows);
}

static void names_are_printed_in_each_form(void **state)
{
    struct rows *r = rows_new(NAMES, 1);
    struct err err;

    (void)state;
    assert_int_equal(
        loki_strings(STR("{\"status\":\"success\",\"data\":[\"app\",\"a\\u001b, \\\"b\"]}"), r,
                     &err),
        0);
    assert_int_equal(rows_count(r), 2);
    check_print(r, FORMAT_TABLE, "app\na\\x1b, \"b\n");
    check_print(r, FORMAT_RAW, "app\na\x1b, \"b\n");
    check_print(r, FORMAT_JSON, "[\n\"app\",\n\"a\\u001b, \\\"b\"\n]\n");
    check_print(r, FORMAT_JSONL, "\"app\"\n\"a\\u001b, \\\"b\"\n");
    check_print(r, FORMAT_CSV, "label\napp\n\"a\x1b, \"\"b\"\n");
    check_print(r, FORMAT_LOGFMT, "label=app\nlabel=\"a\\x1b, \\\"b\"\n");
    rows_free(&r);
}

static void series_are_label_sets(void **state)
{
    struct rows *r = rows_new(SERIES, 1);
    struct err err;

    (void)state;
    assert_int_equal(loki_series(STR("{\"data\":[{\"b\":\"2\",\"a\":\"1 x\"}]}"), r, &err), 0);
    check_print(r, FORMAT_TABLE, "{a=\"1 x\", b=\"2\"}\n");
    check_print(r, FORMAT_RAW, "{a=\"1 x\", b=\"2\"}\n");
    check_print(r, FORMAT_JSONL, "{\"a\":\"1 x\",\"b\":\"2\"}\n");
    check_print(r, FORMAT_CSV, "series\n\"{a=\"\"1 x\"\", b=\"\"2\"\"}\"\n");
    check_print(r, FORMAT_LOGFMT, "a=\"1 x\" b=2\n");
    rows_free(&r);
}

static void a_vector_is_labels_and_value(void **state)
{
    struct rows *r = rows_new(TIMED + 1, 2);
    struct buf warnings;
    struct err err;

    (void)state;
    buf_init(&warnings, 1024);
    assert_int_equal(
        loki_result(STR("{\"data\":{\"resultType\":\"vector\",\"result\":["
                        "{\"metric\":{\"app\":\"web\"},\"value\":[1.5,\"42\"]},"
                        "{\"metric\":{},\"value\":[1.5,\"+Inf\"]}]},\"warnings\":[\"holes\"]}"),
                    false, r, &warnings, &err),
        0);
    check_str(buf_str(&warnings), "holes\n");
    check_print(r, FORMAT_TABLE, "labels       value\n{app=\"web\"}  42\n{}           +Inf\n");
    check_print(r, FORMAT_RAW, "{app=\"web\"}\t42\n+Inf\n");
    check_print(
        r, FORMAT_JSONL,
        "{\"labels\":{\"app\":\"web\"},\"value\":42}\n{\"labels\":{},\"value\":\"+Inf\"}\n");
    check_print(r, FORMAT_LOGFMT, "app=web value=42\nvalue=+Inf\n");
    buf_fini(&warnings);
    rows_free(&r);
}

static void a_cell_wider_than_its_column_still_ends_before_the_next(void **state)
{
    struct rows *r = rows_new(TIMED + 1, 2);
    struct rows_cell cells[2] = {[1] = {.value = 7}};
    struct label label = {STR("app"), {0}};
    char value[301], want[1024];
    struct err err;

    (void)state;
    memset(value, 'x', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    label.value = str_of(value);
    cells[0].labels = (struct labels){&label, 1};
    assert_int_equal(rows_add(r, cells, &err), 0);
    (void)snprintf(want, sizeof(want), "%-200s  value\n{app=\"%s\"}  7\n", "labels", value);
    check_print(r, FORMAT_TABLE, want);
    rows_free(&r);
}

static void a_matrix_is_a_row_per_point(void **state)
{
    struct rows *r = rows_new(TIMED, 3);
    struct buf warnings;
    struct err err;

    (void)state;
    buf_init(&warnings, 1024);
    assert_int_equal(loki_result(STR("{\"data\":{\"resultType\":\"matrix\",\"result\":["
                                     "{\"metric\":{\"a\":\"b\"},\"values\":[[1800000000,\"1\"],"
                                     "[1800000000.25,\"0.5\"]]}]}}"),
                                 true, r, &warnings, &err),
                     0);
    check_print(r, FORMAT_CSV,
                "time,labels,value\n2027-01-15T08:00:00Z,\"{a=\"\"b\"\"}\",1\n"
                "2027-01-15T08:00:00.25Z,\"{a=\"\"b\"\"}\",0.5\n");
    check_print(r, FORMAT_TABLE,
                "time                     labels   value\n"
                "2027-01-15T08:00:00Z     {a=\"b\"}  1\n"
                "2027-01-15T08:00:00.25Z  {a=\"b\"}  0.5\n");
    buf_fini(&warnings);
    rows_free(&r);
}

static void a_scalar_is_one_value_without_labels(void **state)
{
    struct rows *r = rows_new(TIMED + 1, 2);
    struct buf warnings;
    struct err err;

    (void)state;
    buf_init(&warnings, 1024);
    assert_int_equal(
        loki_result(STR("{\"data\":{\"resultType\":\"scalar\",\"result\":[1.5,\"3\"]}}"), false, r,
                    &warnings, &err),
        0);
    check_print(r, FORMAT_RAW, "3\n");
    buf_fini(&warnings);
    rows_free(&r);
}

static void nothing_found_is_still_well_formed(void **state)
{
    struct rows *r = rows_new(TIMED, 3);

    (void)state;
    check_print(r, FORMAT_JSON, "[]\n");
    check_print(r, FORMAT_TABLE, "");
    check_print(r, FORMAT_JSONL, "");
    rows_free(&r);
}

static void what_is_no_answer_is_an_error(void **state)
{
    static const char *const results[] = {
        "",
        "[]",
        "{}",
        "{\"data\":[]}",
        "{\"data\":{\"resultType\":\"streams\",\"result\":[]}}",
        "{\"data\":{\"resultType\":\"vector\",\"result\":{}}}",
        "{\"data\":{\"resultType\":\"scalar\",\"result\":[1]}}",
        VECTOR("1"),
        VECTOR("{\"metric\":{}}"),
        VECTOR("{\"metric\":{\"a\":1},\"value\":[1,\"1\"]}"),
        VECTOR("{\"metric\":{},\"value\":[1e300,\"1\"]}"),
        VECTOR("{\"metric\":{},\"value\":[1,1]}"),
    };
    static const char *const lists[] = {"", "{\"data\":{}}", "{\"data\":[1]}", "{\"data\":[[]]}"};
    struct rows *r = rows_new(TIMED + 1, 2), *names = rows_new(NAMES, 1),
                *series = rows_new(SERIES, 1);
    struct buf warnings;
    struct err err;

    (void)state;
    buf_init(&warnings, 1024);
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        if (loki_result(str_of(results[i]), false, r, &warnings, &err) != ERR_CORRUPT)
            fail_msg("'%s' was taken", results[i]);
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        if (loki_strings(str_of(lists[i]), names, &err) != ERR_CORRUPT ||
            loki_series(str_of(lists[i]), series, &err) != ERR_CORRUPT)
            fail_msg("'%s' was taken", lists[i]);
    }
    assert_int_equal(rows_count(r) + rows_count(names) + rows_count(series), 0);
    buf_fini(&warnings);
    rows_free(&r);
    rows_free(&names);
    rows_free(&series);
}

static void delete_requests_are_read_or_refused(void **state)
{
    static const struct rows_column COLUMNS[] = {{"id", ROWS_TEXT},      {"status", ROWS_TEXT},
                                                 {"created", ROWS_TIME}, {"from", ROWS_TIME},
                                                 {"to", ROWS_TIME},      {"query", ROWS_TEXT}};
    static const char *const BAD[] = {"",
                                      "{}",
                                      "[1]",
                                      "[{}]",
                                      "[{\"request_id\":1}]",
                                      "[{\"request_id\":\"1\",\"status\":\"received\","
                                      "\"created_at\":1e99}]"};
    struct rows *r = rows_new(COLUMNS, 6);
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (loki_deletes(str_of(BAD[i]), r, &err) != ERR_CORRUPT)
            fail_msg("'%s' was taken", BAD[i]);
    assert_int_equal(rows_count(r), 0);
    assert_int_equal(loki_deletes(STR("[]"), r, &err), 0);
    assert_int_equal(
        loki_deletes(STR("[{\"request_id\":\"01\",\"status\":\"received\",\"created_at\":1.500,"
                         "\"start_time\":0.000,\"end_time\":1,\"query\":\"{a=\\\"b\\\"}\"}]"),
                     r, &err),
        0);
    assert_int_equal(rows_count(r), 1);
    rows_free(&r);
}

static void holds_are_read_or_refused(void **state)
{
    static const struct rows_column COLUMNS[] = {
        {"id", ROWS_TEXT}, {"created", ROWS_TIME}, {"by", ROWS_TEXT},    {"from", ROWS_TIME},
        {"to", ROWS_TIME}, {"reason", ROWS_TEXT},  {"query", ROWS_TEXT},
    };
    static const char *const BAD[] = {
        "{}", "[1]", "[{\"id\":\"1\"}]",
        "[{\"id\":\"1\",\"created_at\":\"yesterday\",\"created_by\":\"a\"}]"};
    static const char GOOD[] =
        "[{\"id\":\"1\",\"start\":\"1970-01-01T00:00:01Z\",\"end\":\"1970-01-01T00:00:02Z\","
        "\"created_at\":\"1970-01-01T00:00:03Z\",\"created_by\":\"dev\",\"reason\":\"case 12\"}]";
    struct rows *r = rows_new(COLUMNS, 7);
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (loki_holds(str_of(BAD[i]), r, &err) != ERR_CORRUPT)
            fail_msg("'%s' was taken", BAD[i]);
    assert_int_equal(rows_count(r), 0);
    assert_int_equal(loki_holds(STR(GOOD), r, &err), 0);
    assert_int_equal(rows_count(r), 1);
    assert_int_equal(rows_cells(r, 0)[1].ts, 3 * NS_PER_S);
    assert_int_equal(rows_cells(r, 0)[4].ts, 2 * NS_PER_S);
    assert_int_equal(rows_cells(r, 0)[6].text.n, 0);
    rows_free(&r);
}

CHECK_MAIN(cmocka_unit_test(what_there_is_is_read), cmocka_unit_test(holds_are_read_or_refused),
           cmocka_unit_test(delete_requests_are_read_or_refused),
           cmocka_unit_test(names_are_printed_in_each_form),
           cmocka_unit_test(series_are_label_sets), cmocka_unit_test(a_vector_is_labels_and_value),
           cmocka_unit_test(a_cell_wider_than_its_column_still_ends_before_the_next),
           cmocka_unit_test(a_matrix_is_a_row_per_point),
           cmocka_unit_test(a_scalar_is_one_value_without_labels),
           cmocka_unit_test(nothing_found_is_still_well_formed),
           cmocka_unit_test(what_is_no_answer_is_an_error))
