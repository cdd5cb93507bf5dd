/* tests/unit/base/test_visible.c */
#include "base/visible.h"

#include "tests/lib/check.h"

enum { OUT_MAX = 1 << 16 };

static void check_shown(struct str text, bool tabs, const char *expected)
{
    struct buf out;

    buf_init(&out, OUT_MAX);
    visible_add(&out, text, tabs);
    check_str(buf_str(&out), expected);
    buf_fini(&out);
}

static void a_terminal_obeys_nothing(void **state)
{
    (void)state;
    check_shown(STR("a\x1b[2J\xc2\x9b\x7f\xff"), false, "a\\x1b[2J\\x9b\\x7f\xef\xbf\xbd");
    check_shown(STR("a\tb\n"), false, "a\\x09b\\x0a");
    check_shown(STR("a\tb\n"), true, "a\tb\\x0a");
    check_shown(STR(""), false, "");
}

/* U+202E and its like turn what follows; U+200B and its like tell two names apart unseen. */
static void what_turns_or_hides_text_is_seen(void **state)
{
    (void)state;
    check_shown(STR("pay\xe2\x80\xae"
                    "fdp.exe"),
                true, "pay\\u202efdp.exe");
    check_shown(STR("\xe2\x80\xaa\xe2\x81\xa6\xe2\x81\xa9"), true, "\\u202a\\u2066\\u2069");
    check_shown(STR("ro\xe2\x80\x8bot ro\xe2\x80\x8dot \xef\xbb\xbf\xd8\x9c"), true,
                "ro\\u200bot ro\\u200dot \\ufeff\\u061c");
    check_shown(STR("a\xe2\x80\xa8"), true, "a\\u2028");
}

static void what_is_text_stays(void **state)
{
    static const char *const cases[] = {
        "gr\xc3\xbc\xc3\x9f",
        "\xe2\x80\x90\xe2\x80\x94\xe2\x82\xac\xef\xbc\xa1",           /* dashes, euro, wide A */
        "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae\xd9\x88\xd8\xa7",       /* Persian, not joined */
        "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb and e\xcc\x81", /* a picture of two */
        "\xd9\x84\xd8\x9b",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        check_shown(str_of(cases[i]), false, cases[i]);
}

static void what_is_no_utf8_hides_nothing(void **state)
{
    (void)state;
    check_shown(STR("\xc2"
                    "A\xe2\x80"),
                false,
                "\xef\xbf\xbd"
                "A\xef\xbf\xbd");
    check_shown(STR("\xe2\x80\x1b\xe2\x1b"), false, "\xef\xbf\xbd\\x1b\xef\xbf\xbd\\x1b");
}

CHECK_MAIN(cmocka_unit_test(a_terminal_obeys_nothing),
           cmocka_unit_test(what_turns_or_hides_text_is_seen), cmocka_unit_test(what_is_text_stays),
           cmocka_unit_test(what_is_no_utf8_hides_nothing))
