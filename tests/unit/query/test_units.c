/* tests/unit/query/test_units.c */
#include "query/units.h"

#include "tests/lib/check.h"

#include <math.h>

static void floats_follow_go(void **state)
{
    static const struct {
        const char *text;
        double value;
    } good[] = {{"1", 1},          {"-2.5", -2.5},      {".5", 0.5},    {"5.", 5},
                {"1e-3", 1e-3},    {"1_000", 1e3},      {"0x1p3", 8},   {"+7", 7},
                {"inf", HUGE_VAL}, {"-Inf", -HUGE_VAL}, {"0x1_0p0", 16}};
    static const char *const bad[] = {"",   "x",     "1x", "0x10", "1__0", "_1",  "1_",
                                      "1e", "1e999", " 1", "1 ",   ".",    "0b1", "1.2.3"};
    double v = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        if (!units_parse_float(str_of(good[i].text), &v) || v != good[i].value)
            fail_msg("%s: %g", good[i].text, v);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (units_parse_float(str_of(bad[i]), &v))
            fail_msg("'%s' was taken", bad[i]);
    assert_true(units_parse_float(STR("NaN"), &v) && isnan(v));
}

static void durations_follow_go(void **state)
{
    static const struct {
        const char *text;
        enum units_fault fault;
        dur_ns value;
    } cases[] = {
        {"1s", UNITS_OK, NS_PER_S},
        {"1h15m30.918273645s", UNITS_OK, INT64_C(4530918273645)},
        {"1.5h", UNITS_OK, 90 * NS_PER_MIN},
        {"0.001s", UNITS_OK, NS_PER_MS},
        {"-5m", UNITS_OK, -5 * NS_PER_MIN},
        {"100\xc2\xb5s", UNITS_OK, 100 * NS_PER_US},
        {"0", UNITS_OK, 0},
        {".5s", UNITS_OK, NS_PER_S / 2},
        {"5", UNITS_NO_UNIT, 0},
        {"10.0.0.5", UNITS_NO_UNIT, 0},
        {"2d", UNITS_UNKNOWN_UNIT, 0},
        {"", UNITS_INVALID, 0},
        {"-", UNITS_INVALID, 0},
        {".s", UNITS_INVALID, 0},
        {" 5s", UNITS_INVALID, 0},
        {"9999999999999h", UNITS_INVALID, 0},
        {"99999999999999999999s", UNITS_INVALID, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dur_ns d = 0;
        enum units_fault f = units_parse_go_duration(str_of(cases[i].text), &d, NULL);
        if (f != cases[i].fault || d != cases[i].value)
            fail_msg("'%s': fault %d, %lld ns", cases[i].text, (int)f, (long long)d);
    }
}

static void ranges_are_integers_in_order(void **state)
{
    static const char *const bad[] = {"",    "5",  "1.5m",  "-1s",  "1us",
                                      "1ns", "m5", "5m10h", "1s1s", "99999999999y"};
    dur_ns d = 0;

    (void)state;
    assert_true(units_parse_range(STR("1h30m"), &d) && d == 90 * NS_PER_MIN);
    assert_true(units_parse_range(STR("1y2w3d4h5m6s7ms"), &d));
    assert_true(units_parse_range(STR("0"), &d) && d == 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (units_parse_range(str_of(bad[i]), &d))
            fail_msg("'%s' was taken", bad[i]);
}

static void sizes_are_decimal_or_binary(void **state)
{
    static const struct {
        const char *text;
        enum units_fault fault;
        uint64_t value;
    } cases[] = {
        {"42B", UNITS_OK, 42},           {"1.5 kB", UNITS_OK, 1500},
        {"1.5KB", UNITS_OK, 1500},       {"2MiB", UNITS_OK, 2 << 20},
        {"3mb", UNITS_OK, 3000000},      {"5", UNITS_OK, 5},
        {"1,000B", UNITS_OK, 1000},      {"1Ki", UNITS_OK, 1024},
        {"2k", UNITS_OK, 2000},          {"2qb", UNITS_UNKNOWN_UNIT, 0},
        {"0x10", UNITS_UNKNOWN_UNIT, 0}, {"abc", UNITS_INVALID, 0},
        {"-3", UNITS_INVALID, 0},        {"1.2.3", UNITS_INVALID, 0},
        {"99E", UNITS_TOO_LARGE, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t v = 0;
        enum units_fault f = units_parse_bytes(str_of(cases[i].text), &v, NULL);
        if (f != cases[i].fault || v != cases[i].value)
            fail_msg("'%s': fault %d, %llu", cases[i].text, (int)f, (unsigned long long)v);
    }
}

static void what_is_printed_reads_back(void **state)
{
    static const dur_ns durations[] = {
        0, 1, -1, 1500 * NS_PER_US, NS_PER_DAY * 400, -90 * NS_PER_S, INT64_MAX};
    static const double numbers[] = {0, 1, -1.5, 0.1, 1e300, 5e-324, 1.0 / 3, 123456789012.0};
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (size_t i = 0; i < sizeof(durations) / sizeof(durations[0]); i++) {
        dur_ns d = 7;
        buf_clear(&b);
        units_print_duration(&b, durations[i]);
        assert_int_equal(units_parse_go_duration(buf_str(&b), &d, NULL), UNITS_OK);
        assert_true(d == durations[i]);
        if (durations[i] < 0 || durations[i] % NS_PER_MS != 0)
            continue;
        buf_clear(&b);
        units_print_range(&b, durations[i]);
        assert_true(units_parse_range(buf_str(&b), &d) && d == durations[i]);
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        double v = 7;
        buf_clear(&b);
        units_print_float(&b, numbers[i]);
        assert_true(units_parse_float(buf_str(&b), &v) && v == numbers[i]);
    }
    buf_fini(&b);
}

CHECK_MAIN(cmocka_unit_test(floats_follow_go), cmocka_unit_test(durations_follow_go),
           cmocka_unit_test(ranges_are_integers_in_order),
           cmocka_unit_test(sizes_are_decimal_or_binary),
           cmocka_unit_test(what_is_printed_reads_back))
