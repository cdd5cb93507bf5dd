/* base/time.c: against libc's calendar, and what is no time. */
#include "base/time.h"

#include "base/hash.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static void parses_the_forms_of_rfc_3339(void **state)
{
    static const struct {
        const char *text;
        ts_ns want;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2016-10-20T18:39:20.773648831Z", INT64_C(1476988760773648831)},
        {"2016-10-20t18:39:20.7z", INT64_C(1476988760700000000)},
        {"2016-10-20 18:39:20.77364883Z", INT64_C(1476988760773648830)},
        {"2016-10-20T18:39:20.7736488Z", INT64_C(1476988760773648800)},
        {"2016-10-20T18:39:20.773+02:00", INT64_C(1476981560773000000)},
        {"2016-10-20T18:39:20.773648831-09:30", INT64_C(1477022960773648831)},
        {"2016-02-29T23:59:60Z", INT64_C(1456790400000000000)}, /* a leap second */
        {"1969-12-31T23:59:59.999999999Z", -1},
        {"1678-01-01T00:00:00Z", INT64_C(-9214560000000000000)},
        {"2261-12-31T23:59:59.999999999-23:59", INT64_C(9214732739999999999)},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        ts_ns got = 5;
        assert_true(time_parse_rfc3339(str_of(cases[i].text), &got));
        if (got != cases[i].want)
            fail_msg("%s: %lld", cases[i].text, (long long)got);
    }
}

static void refuses_what_is_no_time(void **state)
{
    static const char *bad[] = {
        "",
        "2016-10-20",
        "2016-10-20T18:39:20",
        "2016-10-20T18:39:20.Z",
        "2016-10-20T18:39:20.1234567890Z",
        "2016-10-20T18:39:20.12345678901Z",
        "2016-10-20T18:39:20.773648831",
        "2016-10-20T18:39:20.773648831ZZ",
        "2016-10-20T18:39:20.773648831+0200",
        "2016-10-20T18:39:20.773648831+24:00",
        "2016-10-20T18:39:20.773648831+02:60",
        "2016-10-20T18:39:20.773648831+02;00",
        "2016-10-20T24:39:20Z",
        "2016-10-20T18:60:20Z",
        "2016-10-20T18:39:61Z",
        "2016-10-20T18:3a:20Z",
        "2016-10-20T18;39:20Z",
        "2016-13-20T18:39:20Z",
        "2016-00-20T18:39:20Z",
        "2016-10-00T18:39:20Z",
        "2016-09-31T18:39:20Z",
        "2015-02-29T18:39:20Z",
        "1900-02-29T18:39:20Z",
        "2016/10/20T18:39:20Z",
        "2016-10-20X18:39:20Z",
        "1677-12-31T23:59:59Z",
        "2262-01-01T00:00:00Z",
        "2016-10-20T18:39:20.7\xb1Z",
        "2016-10-20T18:39:20.7736\xb1Z      ",
        "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00T18:39:20Z",
    };
    ts_ns got = 5;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (time_parse_rfc3339(str_of(bad[i]), &got))
            fail_msg("took '%s'", bad[i]);
    assert_false(time_parse_rfc3339((struct str){"\0\0\0\0\0\0\0\0\0\0T18:39:20Z", 20}, &got));
    assert_true(got == 5);
}

/* No byte value at any place makes a wrong time right, and nothing past the text is read. */
static void every_single_wrong_byte_is_refused(void **state)
{
    static const char good[] = "2016-10-20T18:39:20.773648831Z";
    char text[sizeof(good) - 1];
    unsigned taken = 0;

    (void)state;
    for (size_t at = 0; at < sizeof(text); at++)
        for (unsigned c = 0; c < 256; c++) {
            ts_ns got;
            bool digit = c >= '0' && c <= '9';
            memcpy(text, good, sizeof(text));
            text[at] = (char)c;
            if (!time_parse_rfc3339((struct str){text, sizeof(text)}, &got))
                continue;
            taken += text[at] != good[at];
            if (!digit && text[at] != good[at] && strchr("t z", (int)c) == NULL)
                fail_msg("byte %u at %zu", c, at);
        }
    assert_in_range(taken, 100, 160);
}

static void agrees_with_libc_on_any_instant(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        ts_ns t = (ts_ns)hash_bytes(&i, sizeof(i), 7);
        time_t s = (time_t)(t / NS_PER_S - (t % NS_PER_S < 0));
        struct tm tm;
        char want[80];
        char got[TIME_TEXT_MAX];
        ts_ns back;

        assert_non_null(gmtime_r(&s, &tm));
        (void)snprintf(want, sizeof(want), "%04d-%02d-%02dT%02d:%02d:%02d.%09dZ", tm.tm_year + 1900,
                       tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec,
                       (int)(t - (ts_ns)s * NS_PER_S));
        check_str(time_format_rfc3339(t, got), want);
        assert_int_equal(time_day(t),
                         (tm.tm_year + 1900) * 10000 + (tm.tm_mon + 1) * 100 + tm.tm_mday);
        assert_true(time_of_day(time_day(t)) == time_day_start(t));
        if (tm.tm_year + 1900 < 1678 || tm.tm_year + 1900 > 2261)
            continue;
        assert_true(time_parse_rfc3339(str_of(want), &back));
        assert_true(back == t);
    }
}

static void prints_the_ends_of_time(void **state)
{
    char text[TIME_TEXT_MAX];

    (void)state;
    check_str(time_format_rfc3339(INT64_MIN, text), "1677-09-21T00:12:43.145224192Z");
    check_str(time_format_rfc3339(INT64_MAX, text), "2262-04-11T23:47:16.854775807Z");
    check_str(time_format_rfc3339nano(0, text), "1970-01-01T00:00:00Z");
    check_str(time_format_rfc3339nano(120 * NS_PER_MS, text), "1970-01-01T00:00:00.12Z");
    assert_true(time_day_start(INT64_MIN) == INT64_MIN);
    assert_true(time_day_start(-1) == -NS_PER_DAY);
}

static void the_clock_can_be_set(void **state)
{
    (void)state;
    time_set(42);
    assert_true(time_now() == 42);
    time_unset();
    assert_true(time_now() > INT64_C(1600000000) * NS_PER_S);
    assert_true(time_mono() <= time_mono());
}

static void durations_are_read_and_printed(void **state)
{
    static const struct {
        const char *text, *printed;
        dur_ns want;
    } cases[] = {
        {"0", "0s", 0},
        {"0s", "0s", 0},
        {"5m", "5m", 5 * NS_PER_MIN},
        {"1h30m", "1h30m", 90 * NS_PER_MIN},
        {"90m", "1h30m", 90 * NS_PER_MIN},
        {"100ms", "100ms", 100 * NS_PER_MS},
        {"14d", "2w", 14 * NS_PER_DAY},
        {"90d", "90d", 90 * NS_PER_DAY},
        {"1y", "1y", 365 * NS_PER_DAY},
        {"1y1s", "365d1s", 365 * NS_PER_DAY + NS_PER_S},
        {"1s1us1ns", "1s1us1ns", NS_PER_S + 1001},
        {"-5m", "-5m", -5 * NS_PER_MIN},
        {"106751d23h47m16s854ms775us807ns", "106751d23h47m16s854ms775us807ns", INT64_MAX},
        {"-106751d23h47m16s854ms775us808ns", "-106751d23h47m16s854ms775us808ns", INT64_MIN},
    };
    char text[TIME_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        dur_ns got;
        assert_true(dur_parse(str_of(cases[i].text), true, &got));
        assert_true(got == cases[i].want);
        check_str(dur_format(got, text), cases[i].printed);
    }
}

static void no_other_durations(void **state)
{
    static const char *bad[] = {"",
                                "5",
                                "m",
                                "5x",
                                "1m1h",
                                "1m1m",
                                "1.5h",
                                "5 m",
                                " 5m",
                                "5mm",
                                "--5",
                                "-",
                                "00",
                                "5msx",
                                "1h ",
                                "300y",
                                "1e3s",
                                "+5m",
                                "18446744073709551616ns"};
    dur_ns got = 5;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (dur_parse(str_of(bad[i]), true, &got))
            fail_msg("took '%s'", bad[i]);
    assert_false(dur_parse(STR("-5m"), false, &got));
    assert_false(dur_parse(STR("106751d23h47m16s854ms775us808ns"), true, &got));
    assert_true(got == 5);
}

CHECK_MAIN(cmocka_unit_test(parses_the_forms_of_rfc_3339),
           cmocka_unit_test(refuses_what_is_no_time),
           cmocka_unit_test(every_single_wrong_byte_is_refused),
           cmocka_unit_test(agrees_with_libc_on_any_instant),
           cmocka_unit_test(prints_the_ends_of_time), cmocka_unit_test(the_clock_can_be_set),
           cmocka_unit_test(durations_are_read_and_printed), cmocka_unit_test(no_other_durations))
