/* Unit tests of collector/chars: what an escape is, where it ends, and what belongs to a word. */
#include "collector/chars.h"

#include "tests/lib/check.h"

#include <string.h>

static void check_escape(const char *text, size_t bytes, char meaning)
{
    char c = '?';

    assert_int_equal(chars_escape(str_of(text), 0, &c), bytes);
    if (bytes > 0)
        assert_int_equal(c, meaning);
}

static void escapes_of_json_of_programs_and_of_addresses(void **state)
{
    (void)state;
    check_escape("\\nx", 2, '\n');
    check_escape("\\\\nx", 3, '\n'); /* JSON in JSON */
    check_escape("\\/", 2, '/');
    check_escape("\\\\\\/", 4, '/');
    check_escape("\\u003dx", 6, '=');
    check_escape("\\u002Bx", 6, '+');
    check_escape("\\u00e9", 6, '\xff');
    check_escape("\\x22", 4, '"');
    check_escape("%3D", 3, '=');
    check_escape("%20x", 3, ' ');
    check_escape("n", 0, 0);
    check_escape("\\", 0, 0);
    check_escape("\\q", 0, 0);
    check_escape("\\u00", 0, 0);
    check_escape("\\u00zz", 0, 0);
    check_escape("%2", 0, 0);
    check_escape("\\\\\\\\\\\\\\\\\\n", 0, 0); /* nobody's */
    check_escape("", 0, 0);
}

static void the_letter_of_an_escape_is_none_of_a_word(void **state)
{
    static const char *const APART[] = {"\\n",     "\\t",           "\\u003d", "\\u000A", "%20",
                                        "%3D",     "\\x22",         "=",       "",        "\x1b[1m",
                                        "\x1b[0m", "\\u001b[1;32m", "\\\\n",   "a\\n"};
    static const char *const GLUED[] = {"n", "_n", "\\q", "\\u03d", "3D", "m", "[0m", "x[31m"};

    (void)state;
    for (size_t i = 0; i < sizeof(APART) / sizeof(APART[0]); i++)
        assert_false(chars_glued(str_of(APART[i]), strlen(APART[i]), CHARS_WORD));
    for (size_t i = 0; i < sizeof(GLUED) / sizeof(GLUED[0]); i++)
        assert_true(chars_glued(str_of(GLUED[i]), strlen(GLUED[i]), CHARS_WORD));
}

static void where_an_escape_ends(void **state)
{
    struct str text = STR("a\\u003cb\\n");

    (void)state;
    assert_int_equal(chars_behind_escape(text, 0), 0);
    assert_int_equal(chars_behind_escape(text, 1), 1);
    for (size_t at = 2; at <= 7; at++)
        assert_int_equal(chars_behind_escape(text, at), 7);
    assert_int_equal(chars_behind_escape(text, 8), 8);
    assert_int_equal(chars_behind_escape(text, 9), 10);
    assert_int_equal(chars_behind_escape(text, 10), 10);
}

static void runs_over_escapes(void **state)
{
    struct str text = STR("ab\\/c\\u002Bd%2Fe\\nf");
    size_t n;

    (void)state;
    assert_int_equal(chars_run(text, 0, CHARS_ALNUM), 2);
    assert_int_equal(chars_escaped_run(text, 0, CHARS_ALNUM | CHARS_BASE64, 99, &n), 16);
    assert_int_equal(n, 8);
    assert_int_equal(chars_escaped_run(text, 0, CHARS_ALNUM | CHARS_BASE64, 3, &n), 4);
    assert_int_equal(n, 3);
    assert_int_equal(chars_escaped_run(text, 16, CHARS_ALNUM, 99, &n), 16);
    assert_int_equal(n, 0);
}

CHECK_MAIN(cmocka_unit_test(escapes_of_json_of_programs_and_of_addresses),
           cmocka_unit_test(the_letter_of_an_escape_is_none_of_a_word),
           cmocka_unit_test(where_an_escape_ends), cmocka_unit_test(runs_over_escapes))
