/* Unit tests of base/hex. */
#include "base/hex.h"

#include "tests/lib/check.h"

static void only_hex_digits_are_worth_something(void **state)
{
    static const char DIGITS[] = "0123456789abcdef0123456789ABCDEF";
    unsigned found = 0;
    (void)state;

    for (int i = 0; i < 32; i++)
        assert_int_equal(hex_digit(DIGITS[i]), i % 16);
    for (int c = 0; c < 256; c++)
        found += hex_digit((char)c) >= 0;
    assert_int_equal(found, 22);
}

CHECK_MAIN(cmocka_unit_test(only_hex_digits_are_worth_something))
