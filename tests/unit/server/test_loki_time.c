/* server/loki_time.c: the shapes of time that Loki's API takes. */
#include "server/loki_time.h"

#include "tests/lib/check.h"

static void reads_every_shape_of_an_instant(void **state)
{
    static const struct {
        const char *text;
        ts_ns want;
    } CASES[] = {
        {"0", 0},
        {"4", 4 * NS_PER_S},
        {"1763752478", 1763752478 * NS_PER_S},
        {"1763752478773648831", 1763752478773648831},
        {"17637524787", 17637524787},
        {"1763752478.5", 1763752478 * NS_PER_S + NS_PER_S / 2},
        {"1795449005.002", 1795449005002 * NS_PER_MS}, /* no double is that */
        {"1795449005.001", 1795449005001 * NS_PER_MS},
        {"1795449005.0024", 1795449005002 * NS_PER_MS},
        {"1795449005.9996", 1795449006 * NS_PER_S},
        {"-1.25", -1250 * NS_PER_MS},
        {"1.", NS_PER_S},
        {".5", NS_PER_S / 2},
        {"1.5e3", 1500 * NS_PER_S},
        {"0x1.8p1", 3 * NS_PER_S},
        {"-763752478", -763752478 * NS_PER_S},
        {"-1763752478", -1763752478}, /* eleven characters, as in Loki */
        {"2025-11-21T19:14:38.773648831Z", 1763752478773648831},
        {"2025-11-21T20:14:38+01:00", 1763752478 * NS_PER_S},
    };
    ts_ns t;
    (void)state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        assert_true(loki_time_parse(str_of(CASES[i].text), &t));
        assert_int_equal(t, CASES[i].want);
    }
}

static void refuses_what_is_no_instant(void **state)
{
    static const char *const CASES[] = {"",           "yesterday",
                                        "1.2.3",      "2025-13-01T00:00:00Z",
                                        "1e400",      "1.0e400",
                                        "9.3e9",      "1e3",
                                        "0x10",       "0x1.8",
                                        "inf",        ".",
                                        "nan",        "99999999999999999999",
                                        "9999999999", "1 "};
    ts_ns t = 7;
    (void)state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        if (loki_time_parse(str_of(CASES[i]), &t))
            fail_msg("'%s' was taken for %lld", CASES[i], (long long)t);
    assert_int_equal(t, 7);
}

static void reads_spans_and_default_steps(void **state)
{
    dur_ns d;
    (void)state;

    assert_true(loki_duration_parse(STR("0.5"), &d) && d == NS_PER_S / 2);
    assert_true(loki_duration_parse(STR("90"), &d) && d == 90 * NS_PER_S);
    assert_true(loki_duration_parse(STR("1h30m"), &d) && d == 90 * NS_PER_MIN);
    assert_true(loki_duration_parse(STR("250ms"), &d) && d == 250 * NS_PER_MS);
    assert_true(loki_duration_parse(STR("1e2"), &d) && d == 100 * NS_PER_S);
    assert_true(loki_duration_parse(STR("1.001"), &d) && d == 1001 * NS_PER_MS);
    assert_false(loki_duration_parse(STR("soon"), &d));
    assert_false(loki_duration_parse(STR("0x10"), &d));
    assert_false(loki_duration_parse(STR("inf"), &d));
    assert_false(loki_duration_parse(STR("1e10"), &d));
    assert_int_equal(loki_default_step(0, NS_PER_S), NS_PER_S);
    assert_int_equal(loki_default_step(0, 1000 * NS_PER_S), 4 * NS_PER_S);
    assert_int_equal(loki_default_step(5, 0), NS_PER_S);
    assert_int_equal(loki_default_step(INT64_MIN, INT64_MAX), INT64_C(73786976) * NS_PER_S);
}

CHECK_MAIN(cmocka_unit_test(reads_every_shape_of_an_instant),
           cmocka_unit_test(refuses_what_is_no_instant),
           cmocka_unit_test(reads_spans_and_default_steps))
