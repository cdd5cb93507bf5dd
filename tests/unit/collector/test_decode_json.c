/* Unit tests of collector/decode_json: Docker's json-file, by the fast scan and by the general one.
 */
#include "tests/unit/collector/decode_world.h"

#include <string.h>

#define TIME ",\"time\":\"2026-11-21T19:14:38.5Z\"}"

static void the_usual_line_is_not_copied(void **state)
{
    static const char LINE[] = "{\"log\":\"hello\\n\",\"stream\":\"stderr\"" TIME;
    struct piece p;

    (void)state;
    assert_true(decode_json(&d, str_of(LINE), &p));
    check_str(p.text, "hello");
    assert_true(p.last);
    assert_int_equal(p.stream, DECODE_STDERR);
    assert_int_equal(p.ts, INT64_C(1795288478500000000));
    assert_ptr_equal(p.text.p, LINE + 8);
}

static void without_a_newline_the_record_goes_on(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode_json(&d, STR("{\"log\":\"part\",\"stream\":\"stdout\"" TIME), &p));
    check_str(p.text, "part");
    assert_false(p.last);
    assert_true(decode_json(&d, STR("{\"log\":\"\",\"stream\":\"stdout\"" TIME), &p));
    assert_int_equal(p.text.n, 0);
    assert_true(decode_json(&d, STR("{\"log\":\"\\n\",\"stream\":\"stdout\"" TIME), &p));
    assert_int_equal(p.text.n, 0);
    assert_true(p.last);
}

static void escapes_are_resolved(void **state)
{
    struct piece p;

    (void)state;
    assert_true(
        decode_json(&d,
                    STR("{\"log\":\"\\\"a\\\\\\t\\u003c\\u00e4\\ud83d\\ude00\\u0001\\r\\n\","
                        "\"stream\":\"stdout\"" TIME),
                    &p));
    check_str(p.text, "\"a\\\t<\xc3\xa4\xf0\x9f\x98\x80\x01\r");
    assert_true(p.last);
}

static void half_a_pair_is_the_replacement_character(void **state)
{
    struct piece p;

    (void)state;
    assert_true(
        decode_json(&d, STR("{\"log\":\"\\ud83dx\\ude00\\n\",\"stream\":\"stdout\"" TIME), &p));
    check_str(p.text, "\xef\xbf\xbdx\xef\xbf\xbd");
}

static void keys_may_come_in_any_order_with_blanks(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode_json(&d,
                            STR(" { \"time\" : \"2026-11-21T19:14:38.5Z\", \"x\": [1,{}], "
                                "\"stream\":\"stderr\", \"log\":\"a\\u0062\\n\" } "),
                            &p));
    check_str(p.text, "ab");
    assert_true(p.last);
    assert_int_equal(p.stream, DECODE_STDERR);
    assert_int_equal(p.ts, INT64_C(1795288478500000000));
}

static void attrs_become_attributes(void **state)
{
    struct piece p;

    (void)state;
    assert_true(decode_json(&d,
                            STR("{\"log\":\"x\\n\",\"stream\":\"stdout\",\"attrs\":{\"tag\":"
                                "\"t\\\"1\",\"env\":\"prod\"}" TIME),
                            &p));
    check_str(p.text, "x");
    assert_int_equal(p.n_attrs, 2);
    check_str(p.attrs[0].name, "env");
    check_str(p.attrs[1].value, "t\"1");
}

static void broken_lines_are_said_to_be_none(void **state)
{
    static const char *const BAD[] = {
        "",
        "{",
        "{}",
        "hello",
        "{\"log\":\"a",
        "{\"log\":\"a\\",
        "{\"log\":\"a\\u12\"" TIME,
        "{\"log\":\"a\\n\",\"stream\":\"stdout\"",
        "{\"log\":\"a\\n\",\"stream\":\"stdin\"" TIME,
        "{\"log\":\"a\\n\",\"stream\":\"stdout\",\"time\":\"yesterday\"}",
        "{\"log\":\"a\\n\",\"stream\":\"stdout\"" TIME "x",
        "{\"log\":1,\"stream\":\"stdout\"" TIME,
        "{\"stream\":\"stdout\"" TIME,
        "{\"log\":\"a\\n\"" TIME,
        "[]",
    };
    struct piece p;

    (void)state;
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++)
        if (decode_json(&d, str_of(BAD[i]), &p))
            fail_msg("taken: '%s'", BAD[i]);
}

static void every_cut_of_a_line_is_none(void **state)
{
    static const char LINE[] =
        "{\"log\":\"a\\\"b\\u00e4\\n\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"b\"}" TIME;
    struct piece p;

    (void)state;
    for (size_t n = 0; n + 1 < sizeof(LINE); n++)
        assert_int_equal(decode_json(&d, (struct str){LINE, n}, &p), n + 1 == sizeof(LINE));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, decode_setup, decode_teardown)

CHECK_MAIN(TEST(the_usual_line_is_not_copied), TEST(without_a_newline_the_record_goes_on),
           TEST(escapes_are_resolved), TEST(half_a_pair_is_the_replacement_character),
           TEST(keys_may_come_in_any_order_with_blanks), TEST(attrs_become_attributes),
           TEST(broken_lines_are_said_to_be_none), TEST(every_cut_of_a_line_is_none))
