/* base/err.c: codes and sentences. */
#include "base/err.h"

#include "tests/lib/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void set_returns_its_code(void **state)
{
    struct err err;

    (void)state;
    assert_int_equal(err_set(&err, ERR_LIMIT, "line of %d bytes", 7), ERR_LIMIT);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_int_equal(err.sys, 0);
    assert_string_equal(err.text, "line of 7 bytes");
}

static void sys_keeps_errno_and_names_it(void **state)
{
    struct err err;

    (void)state;
    errno = ENOSPC;
    assert_int_equal(err_sys(&err, "write '%s'", "a"), ERR_IO);
    assert_int_equal(err.sys, ENOSPC);
    assert_string_equal(err.text, "write 'a': No space left on device");
}

static void wrap_says_where_and_keeps_the_code(void **state)
{
    struct err err;

    (void)state;
    (void)err_set(&err, ERR_CORRUPT, "bad magic");
    assert_int_equal(err_wrap(&err, "segment %d", 3), ERR_CORRUPT);
    assert_string_equal(err.text, "segment 3: bad magic");
}

static void wrap_keeps_what_has_room(void **state)
{
    struct err err;
    char text[400], want[600];

    (void)state;
    memset(text, 'x', sizeof(text));
    text[200] = '\0';
    (void)err_set(&err, ERR_INVALID, "%s", text);
    (void)err_wrap(&err, "line 1");
    (void)snprintf(want, sizeof(want), "line 1: %s", text);
    assert_string_equal(err.text, want); /* a short place takes nothing from a long reason */

    (void)err_set(&err, ERR_INVALID, "why");
    (void)err_wrap(&err, "%s", text);
    (void)snprintf(want, sizeof(want), "%s: why", text);
    assert_string_equal(err.text, want); /* nor a short reason from a long place */

    text[200] = 'x';
    text[399] = '\0';
    (void)err_set(&err, ERR_INVALID, "why it was so");
    (void)err_wrap(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_string_equal(err.text + strlen(err.text) - 15, ": why it was so");
    (void)err_wrap(&err, "%s", text); /* both too long: half each */
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    assert_memory_equal(err.text + (sizeof(err.text) - 3) / 2, ": x", 3);
}

static void long_texts_are_cut_and_ended(void **state)
{
    struct err err;
    char text[600];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    (void)err_set(&err, ERR_IO, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
    for (int i = 0; i < 5; i++)
        (void)err_wrap(&err, "%s", text);
    assert_true(strlen(err.text) < sizeof(err.text));
    errno = EIO;
    (void)err_sys(&err, "%s", text);
    assert_int_equal(strlen(err.text), sizeof(err.text) - 1);
}

static void every_code_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_string_equal(err_name(ERR_NOMEM), "NOMEM");
    assert_string_equal(err_name(ERR_UNSUPPORTED), "UNSUPPORTED");
    assert_string_equal(err_name(-12345), "UNKNOWN");
}

CHECK_MAIN(cmocka_unit_test(set_returns_its_code), cmocka_unit_test(sys_keeps_errno_and_names_it),
           cmocka_unit_test(wrap_says_where_and_keeps_the_code),
           cmocka_unit_test(wrap_keeps_what_has_room),
           cmocka_unit_test(long_texts_are_cut_and_ended),
           cmocka_unit_test(every_code_has_its_name))
