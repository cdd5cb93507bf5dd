/* tests/lib/check.h - cmocka with what it needs, and the main of a test program. */
#ifndef LOGQ_TESTS_LIB_CHECK_H
#define LOGQ_TESTS_LIB_CHECK_H

#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A struct str against a C string; prints both when they differ. */
#define check_str(s, z)                                                                            \
    do {                                                                                           \
        struct str check_s_ = (s);                                                                 \
        const char *check_z_ = (z);                                                                \
        if (!str_eq(check_s_, str_of(check_z_)))                                                   \
            fail_msg("'%.*s' is not '%s'", STR_ARG(check_s_), check_z_);                           \
    } while (0)

#define CHECK_MAIN(...)                                                                            \
    int main(void)                                                                                 \
    {                                                                                              \
        const struct CMUnitTest tests[] = {__VA_ARGS__};                                           \
        return cmocka_run_group_tests(tests, NULL, NULL);                                          \
    }

#endif
