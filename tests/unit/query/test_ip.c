/* tests/unit/query/test_ip.c */
#include "query/ip.h"

#include "tests/lib/check.h"

static void only_addresses_ranges_and_prefixes_are_patterns(void **state)
{
    static const char *const good[] = {"1.2.3.4",         "::1",
                                       "10.0.0.0/8",      "::/0",
                                       "1.2.3.4-1.2.3.4", "2001:db8::1-2001:db8::8",
                                       "0.0.0.0/0",       "::ffff:1.2.3.4"};
    static const char *const bad[] = {
        "",           "x",        "1.2.3",   "1.2.3.4.5",   "01.2.3.4",        "1.2.3.256",
        "1.2.3.4/33", "1.2.3.4/", "::/129",  "1.2.3.4/-1",  "1.2.3.9-1.2.3.1", "1.2.3.4-::1",
        "1.2.3.4 ",   "1.2.3.4-", "1::2::3", "1.2.3.4/0x8", "fe80::1%eth0",    "1.2.3.4/008x",
        "-",          "/",        "12345::", "1.2.3.4-5-6",
    };
    struct ip_range r;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        if (!ip_range_parse(str_of(good[i]), &r))
            fail_msg("%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (ip_range_parse(str_of(bad[i]), &r))
            fail_msg("%s", bad[i]);
}

static void addresses_in_text_are_found_whole(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool want;
    } cases[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "from 10.0.0.1:80 to", true},
        {"10.0.0.1", "110.0.0.1", false},
        {"10.0.0.1", "10.0.0.100", false},
        {"10.0.0.1", "10.0.0.1.2", false},
        {"10.0.0.1", "it was 10.0.0.1.", true},
        {"10.0.0.1", "a10.0.0.1", true},
        {"10.0.0.1", "", false},
        {"10.0.0.0/24", "10.0.0.0 ", true},
        {"10.0.0.0/24", "10.0.0.255", true},
        {"10.0.0.0/24", "10.0.1.0", false},
        {"10.0.0.7/24", "10.0.0.255", true}, /* bits behind the prefix say nothing */
        {"10.0.0.7/31", "10.0.0.6", true},
        {"10.0.0.7/31", "10.0.0.5", false},
        {"0.0.0.0/0", "x 1.2.3.4", true},
        {"0.0.0.0/0", "::1", false},
        {"10.0.0.1-10.0.0.9", "10.0.0.9", true},
        {"10.0.0.1-10.0.0.9", "10.0.0.10", false},
        {"::1", "vpn ::1 up", true},
        {"::1", "1.2.3.4, [::1]:80", true},
        {"fe80::/10", "to FE80::1: gone", true},
        {"fe80::/10", "12:34:56.789", false},
        {"2001:db8::/32", "2001:db8::1 2001:db9::1", true},
        {"2001:db8::/32", "2001:db9::1", false},
        {"1.2.3.4", "::ffff:1.2.3.4", false},
        {"::ffff:0:0/96", "::ffff:1.2.3.4", true},
        {"1.2.3.4", "12:30:1.2.3.4", true}, /* no IPv6 address, so its parts count */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct ip_range r;
        assert_true(ip_range_parse(str_of(cases[i].pattern), &r));
        if (ip_range_in(&r, str_of(cases[i].text)) != cases[i].want)
            fail_msg("%s in '%s'", cases[i].pattern, cases[i].text);
    }
}

CHECK_MAIN(cmocka_unit_test(only_addresses_ranges_and_prefixes_are_patterns),
           cmocka_unit_test(addresses_in_text_are_found_whole))
