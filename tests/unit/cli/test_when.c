/* query/cli/when.c: each form of a moment, and what is none. */
#include "query/cli/when.h"

#include "tests/lib/check.h"

#include <stdlib.h>
#include <time.h>

static const ts_ns NOW = INT64_C(1800000000) * NS_PER_S;

static void in_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0); /* NOLINT(concurrency-mt-unsafe): one thread */
    tzset();
}

static void check_when(const char *text, bool utc, const char *want)
{
    char buf[TIME_TEXT_MAX];
    ts_ns got;

    if (!when_parse(str_of(text), NOW, utc, &got))
        fail_msg("'%s' was not understood", text);
    check_str(time_format_rfc3339nano(got, buf), want);
}

static void a_date_without_a_zone_is_read_off_the_clock_here(void **state)
{
    (void)state;
    in_zone("EAT-3EAST,M3.5.0,M10.5.0"); /* UTC+3, in summer +4; no file of zones is needed */
    check_when("2026-11-22", false, "2026-11-21T21:00:00Z");
    check_when("2026-11-22 19:14", false, "2026-11-22T16:14:00Z");
    check_when("2026-11-22T19:14:38", false, "2026-11-22T16:14:38Z");
    check_when("2026-11-22 19:14:38.25", false, "2026-11-22T16:14:38.25Z");
    check_when("2026-07-22 19:14", false, "2026-07-22T15:14:00Z");
    check_when("1969-12-31 23:59:59.5", false, "1969-12-31T20:59:59.5Z");
    check_when("2026-11-22 19:14", true, "2026-11-22T19:14:00Z");
    check_when("2026-11-22", true, "2026-11-22T00:00:00Z");
    check_when("2026-11-22T19:14:38Z", false, "2026-11-22T19:14:38Z");
    check_when("2026-11-22T19:14:38+01:00", true, "2026-11-22T18:14:38Z");
    in_zone("UTC");
}

static void numbers_have_their_unit_by_their_length(void **state)
{
    (void)state;
    check_when("1795375466", false, "2026-11-22T19:24:26Z");
    check_when("1795375466123", false, "2026-11-22T19:24:26.123Z");
    check_when("1795375466123456", false, "2026-11-22T19:24:26.123456Z");
    check_when("1795375466123456789", false, "2026-11-22T19:24:26.123456789Z");
}

static void what_is_no_moment_is_refused(void **state)
{
    static const char *const CASES[] = {
        "",
        "yesterday",
        "2026-11",
        "2026-13-01",
        "2026-02-30",
        "2026-11-22 25:00",
        "2026-11-22 19",
        "2026-11-22 19:14:",
        "179537546",
        "17953754661",
        "9999999999999999999",
        "-179537546",
        "2026-11-22 19:14:38 and then some more of it",
        "-15m",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        ts_ns got;
        if (when_parse(str_of(CASES[i]), NOW, true, &got))
            fail_msg("'%s' was taken", CASES[i]);
    }
}

static void spans_count_from_now(void **state)
{
    ts_ns got;

    (void)state;
    assert_true(when_parse(STR("now"), NOW, false, &got) && got == NOW);
    assert_true(when_parse(STR("1d"), NOW, false, &got) && got == NOW - NS_PER_DAY);
}

CHECK_MAIN(cmocka_unit_test(a_date_without_a_zone_is_read_off_the_clock_here),
           cmocka_unit_test(numbers_have_their_unit_by_their_length),
           cmocka_unit_test(what_is_no_moment_is_refused), cmocka_unit_test(spans_count_from_now))
