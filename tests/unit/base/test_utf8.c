/* base/utf8.c: what is well-formed, by RFC 3629's table and by decoding every code point. */
#include "base/utf8.h"

#include "tests/lib/check.h"

#include <string.h>

static void every_code_point_but_surrogates_is_valid(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 8);
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        buf_clear(&b);
        utf8_add(&b, cp);
        if ((utf8_valid(buf_str(&b)) == b.n) == (cp >= 0xd800 && cp < 0xe000))
            fail_msg("U+%04X", cp);
    }
    buf_fini(&b);
}

static void ill_formed_bytes_are_found_where_they_are(void **state)
{
    static const char *bad[] = {"\x80",
                                "\xc0\xaf",
                                "\xc1\xbf",
                                "\xe0\x9f\xbf",
                                "\xed\xa0\x80",
                                "\xf0\x8f\xbf\xbf",
                                "\xf4\x90\x80\x80",
                                "\xf5\x80\x80\x80",
                                "\xff",
                                "\xe2\x82",
                                "\xc3"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (size_t at = 0; at < 100; at++) { /* around the steps of the ASCII run */
            memset(text, 'a', sizeof(text));
            memcpy(text + at, bad[i], strlen(bad[i]));
            assert_int_equal(utf8_valid((struct str){text, sizeof(text)}), at);
            assert_int_equal(utf8_valid((struct str){text, at + strlen(bad[i])}), at);
        }
}

static void each_maximal_ill_formed_part_becomes_one_mark(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    /* The example of the Unicode standard, section 3.9. */
    utf8_repair(&b, STR("a\xf1\x80\x80\xe1\x80\xc2"
                        "b\x80"
                        "c\x80\xbf"
                        "d"));
#define MARK "\xef\xbf\xbd"
    check_str(buf_str(&b), "a" MARK MARK MARK "b" MARK "c" MARK MARK "d");
    buf_clear(&b);
    utf8_repair(&b, STR("gr\xc3\xbc\xc3\x9f"));
    check_str(buf_str(&b), "gr\xc3\xbc\xc3\x9f");
    buf_fini(&b);
}

static void a_cut_leaves_no_part_of_a_character(void **state)
{
    static const struct {
        const char *text;
        size_t n, want;
    } cases[] = {
        {"abc", 2, 2},
        {"abc", 3, 3},
        {"abc", 9, 3},
        {"a\xc3\xbc", 2, 1},
        {"a\xc3\xbc", 3, 3},
        {"a\xf0\x9f\x98\x80", 4, 1},
        {"\xf0\x9f\x98\x80", 1, 0},
        {"\x80\x80\x80\x80\x80", 4, 4}, /* of no character */
        {"", 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(utf8_cut(str_of(cases[i].text), cases[i].n).n, cases[i].want);
}

static void what_is_wide_takes_two_columns(void **state)
{
    static const struct {
        const char *text;
        size_t want;
    } cases[] = {
        {"", 0},
        {"abc", 3},
        {"gr\xc3\xbc\xc3\x9f", 4},
        {"e\xcc\x81", 1},                /* e and an acute that combines */
        {"\xe6\xbc\xa2\xe5\xad\x97", 4}, /* two of Chinese */
        {"\xed\x95\x9c", 2},             /* one of Korean */
        {"\xef\xbc\xa1", 2},             /* fullwidth A */
        {"\xf0\x9f\x98\x80", 2},
        {"a\xe2\x80\x8b"
         "b",
         2}, /* a blank of no width */
        {"\xe2\x94\x80\xef\xbf\xbd", 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(utf8_columns(str_of(cases[i].text)), cases[i].want);
}

CHECK_MAIN(cmocka_unit_test(what_is_wide_takes_two_columns),
           cmocka_unit_test(a_cut_leaves_no_part_of_a_character),
           cmocka_unit_test(every_code_point_but_surrogates_is_valid),
           cmocka_unit_test(ill_formed_bytes_are_found_where_they_are),
           cmocka_unit_test(each_maximal_ill_formed_part_becomes_one_mark))
