/* Unit tests of collector/decode_journal. */
#include "tests/unit/collector/decode_world.h"

#include <string.h>

static struct piece p;

static bool decode(const char *line)
{
    return decode_journal(&d, str_of(line), &p);
}

static void a_line_of_a_container_is_taken_apart(void **state)
{
    (void)state;
    assert_true(decode("{\"time\":1700000000000000001,\"stream\":\"stderr\",\"container\":\"web\","
                       "\"container_id\":\"4f5e\",\"runtime\":\"podman\",\"app\":\"web\","
                       "\"line\":\"a\\n\\\"b\\\"\"}"));
    assert_int_equal(p.ts, INT64_C(1700000000000000001));
    assert_int_equal(p.stream, DECODE_STDERR);
    check_str(p.text, "a\n\"b\"");
    assert_true(p.last);
    assert_false(p.partial);
    assert_int_equal(p.missing, 0);
    assert_int_equal(p.n_labels, 4);
    check_str(p.labels[0].name, "app");
    check_str(p.labels[1].value, "web");
    check_str(p.labels[3].name, "source");
    check_str(p.labels[3].value, "container");
    assert_int_equal(p.n_attrs, 1);
    check_str(p.attrs[0].value, "4f5e");
}

static void marks_come_with_it(void **state)
{
    (void)state;
    assert_true(decode("{\"time\":1,\"line\":\"x\",\"cut\":9,\"partial\":true,\"unit\":\"a\","
                       "\"level\":\"warn\"}"));
    assert_int_equal(p.missing, 9);
    assert_true(p.partial);
    assert_int_equal(p.stream, DECODE_NONE);
    assert_int_equal(p.n_labels, 0);
    assert_int_equal(p.n_attrs, 2);
}

static void how_far_the_journal_has_come_is_no_record(void **state)
{
    (void)state;
    assert_true(decode("{\"at\":\"s=1\",\"open\":[[\"k\",\"s=0\"]]}"));
    assert_true(p.none);
    assert_true(decode("{\"at\":\"s=1\",\"open\":[[\"k\",")); /* as much of it as is looked at */
    assert_true(p.none);
}

static void what_was_dropped_is_a_notice(void **state)
{
    static const char LINE[] = "{\"drop\":\"noise\",\"time\":\"2026-11-22T10:00:00Z\","
                               "\"container\":\"web\",\"count\":3,\"bytes\":15}";

    (void)state;
    assert_true(decode(LINE));
    assert_false(p.none);
    check_str(p.text, LINE);
    assert_int_equal(p.n_labels, 1);
    check_str(p.labels[0].name, "source");
    check_str(p.labels[0].value, "logq");
    assert_int_equal(p.n_attrs, 4);
    check_str(p.attrs[2].name, "count");
    check_str(p.attrs[2].value, "3");
    assert_false(decode("{\"drop\":[]}"));
}

static void what_is_no_such_line_is_refused(void **state)
{
    static const char *const WRONG[] = {"",
                                        "x",
                                        "{}",
                                        "[]",
                                        "{\"line\":1}",
                                        "{\"line\":\"a\"",
                                        "{\"line\":\"a\"} x",
                                        "{\"line\":\"a\",\"time\":\"b\",\"partial\":1}",
                                        "{\"line\":\"a\",\"time\":{}}"};

    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        assert_false(decode(WRONG[i]));
}

/* The same label many times is no more room than there is. */
static void labels_are_bounded(void **state)
{
    char line[4096] = "{\"line\":\"x\"";

    (void)state;
    for (int i = 0; i < 40; i++)
        (void)strcat(line, ",\"container\":\"web\",\"unit\":\"u\"");
    (void)strcat(line, "}");
    assert_true(decode(line));
    assert_int_equal(p.n_labels, 2);
    assert_int_equal(p.n_attrs, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, decode_setup, decode_teardown)

CHECK_MAIN(TEST(a_line_of_a_container_is_taken_apart), TEST(marks_come_with_it),
           TEST(how_far_the_journal_has_come_is_no_record), TEST(what_was_dropped_is_a_notice),
           TEST(what_is_no_such_line_is_refused), TEST(labels_are_bounded))
