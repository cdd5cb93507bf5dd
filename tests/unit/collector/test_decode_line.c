/* Unit tests of decode_json_line: what is taken from a JSON object of any program. */
#include "collector/decode.h"

#include "tests/unit/collector/decode_world.h"

#include <stdio.h>

static struct decode_keys keys;
static struct piece p;

static int setup(void **state)
{
    (void)decode_setup(state);
    keys = (struct decode_keys){.time = {NULL, 0}};
    d.keys = &keys;
    return 0;
}

static void decode(const char *line)
{
    if (!decode_json_line(&d, str_of(line), &p))
        fail_msg("is not taken: %s", line);
    assert_true(p.last && !p.raw && p.stream == DECODE_NONE);
}

static void expect_attrs(const char *expected)
{
    struct buf got;

    buf_init(&got, 1 << 16);
    for (size_t i = 0; i < p.n_attrs; i++)
        buf_addf(&got, "%.*s=%.*s ", STR_ARG(p.attrs[i].name), STR_ARG(p.attrs[i].value));
    check_str(buf_str(&got), expected);
    buf_fini(&got);
}

static void the_line_stays_and_its_time_is_taken(void **state)
{
    (void)state;
    decode("{\"ts\":\"2026-11-21T19:14:38Z\",\"level\":\"info\",\"msg\":\"on\"}");
    assert_int_equal(p.ts, INT64_C(1795288478) * NS_PER_S);
    check_str(p.text, "{\"ts\":\"2026-11-21T19:14:38Z\",\"level\":\"info\",\"msg\":\"on\"}");
    expect_attrs("");
    decode("{\"msg\":\"no time\"}");
    assert_int_equal(p.ts, 0);
    decode(" {\"time\":\"yesterday\"} ");
    assert_int_equal(p.ts, 0);
}

static void numbers_are_times_of_any_unit(void **state)
{
    (void)state;
    decode("{\"ts\":1795288478}");
    assert_int_equal(p.ts, INT64_C(1795288478000000000));
    decode("{\"timestamp\":1795288478123}");
    assert_int_equal(p.ts, INT64_C(1795288478123000000));
    decode("{\"@timestamp\":\"1795288478123456\"}");
    assert_int_equal(p.ts, INT64_C(1795288478123456000));
    decode("{\"time\":1795288478123456789}");
    assert_int_equal(p.ts, INT64_C(1795288478123456789));
    decode("{\"time\":1795288478.5}");
    assert_int_equal(p.ts, INT64_C(1795288478500000000));
    decode("{\"time\":-5}");
    assert_int_equal(p.ts, 0);
    decode("{\"time\":1e300}");
    assert_int_equal(p.ts, 0);
}

static void a_time_that_nanoseconds_do_not_hold_is_none(void **state)
{
    static const char *const LATE[] = {
        "9725188478.7", "9725188478", "9725188478123", "9725188478123456", "9223372037", "9.3e9",
    };

    (void)state;
    decode("{\"time\":9199999999}"); /* the year 2261 */
    assert_int_equal(p.ts, INT64_C(9199999999000000000));
    for (size_t i = 0; i < sizeof(LATE) / sizeof(LATE[0]); i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), "{\"time\":%s}", LATE[i]);
        decode(line);
        assert_int_equal(p.ts, 0);
    }
}

static void keys_may_be_nested(void **state)
{
    (void)state;
    keys.time = STR("meta.at");
    keys.level = STR("meta.sev.text");
    decode("{\"ts\":1,\"meta\":{\"at\":\"2026-11-21T19:14:38Z\",\"sev\":{\"n\":3,\"text\":\"warn\"}"
           "}}");
    assert_int_equal(p.ts, INT64_C(1795288478) * NS_PER_S);
    expect_attrs("level=warn ");
}

static void with_a_message_the_rest_are_attributes(void **state)
{
    (void)state;
    keys.message = STR("msg");
    keys.level = STR("lvl");
    decode("{\"ts\":\"2026-11-21T19:14:38Z\",\"msg\":\"a\\nb\",\"n\":5,\"ok\":true,\"x\":{\"y\":{"
           "\"z\":\"q\"},"
           "\"e\":{}},\"l\":[1,{\"a\":2}],\"lvl\":\"warn\"}");
    check_str(p.text, "a\nb");
    expect_attrs("l=[1,{\"a\":2}] level=warn n=5 ok=true ts=2026-11-21T19:14:38Z x_y_z=q ");
}

static void what_has_no_place_keeps_the_line_whole(void **state)
{
    static const char *const LINES[] = {
        "{\"n\":5}",
        "{\"msg\":\"a\",\"stream\":\"mine\"}",
        "{\"msg\":\"a\",\"a\":{\"b\":1},\"a_b\":2}",
        "{\"msg\":\"a\",\"\":1}",
        "{\"msg\":\"a\",\"msg\":\"b\"}",
    };
    struct buf many;

    (void)state;
    keys.message = STR("msg");
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++) {
        decode(LINES[i]);
        check_str(p.text, LINES[i]);
        expect_attrs("");
    }
    buf_init(&many, 1 << 16);
    buf_add_z(&many, "{\"msg\":\"a\"");
    for (int i = 0; i <= DECODE_ATTRS_MAX; i++)
        buf_addf(&many, ",\"a%d\":%d", i, i);
    buf_add_char(&many, '}');
    assert_true(decode_json_line(&d, buf_str(&many), &p));
    assert_true(str_eq(p.text, buf_str(&many)));
    buf_fini(&many);
}

static void deep_objects_are_json_text(void **state)
{
    (void)state;
    keys.message = STR("m");
    decode("{\"m\":\"x\",\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"b\":1}}}}}}}}}");
    expect_attrs("a_a_a_a_a_a_a_a={\"b\":1} ");
}

static void other_lines_are_not_taken(void **state)
{
    static const char *const LINES[] = {"",         "plain",       "[1]",  "\"x\"",
                                        "{\"a\":1", "{\"a\":1} x", "{a:1}"};

    (void)state;
    for (size_t i = 0; i < sizeof(LINES) / sizeof(LINES[0]); i++)
        if (decode_json_line(&d, str_of(LINES[i]), &p))
            fail_msg("is taken: %s", LINES[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, decode_teardown)

CHECK_MAIN(TEST(the_line_stays_and_its_time_is_taken), TEST(numbers_are_times_of_any_unit),
           TEST(a_time_that_nanoseconds_do_not_hold_is_none), TEST(keys_may_be_nested),
           TEST(with_a_message_the_rest_are_attributes),
           TEST(what_has_no_place_keeps_the_line_whole), TEST(deep_objects_are_json_text),
           TEST(other_lines_are_not_taken))
