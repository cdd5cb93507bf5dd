/* base/crc.c: the vectors of RFC 3720 B.4, by the instruction and by the tables.  The source is
 * included to reach the tables, which this machine may never choose. */
#include "base/crc.c" // NOLINT

#include "tests/lib/check.h"

#include <stdlib.h>

static uint32_t by_tables(const void *p, size_t n)
{
    return ~crc_tables(~0u, p, n);
}

static void both_ways_give_the_published_values(void **state)
{
    unsigned char v[32];

    (void)state;
    memset(v, 0, sizeof(v));
    assert_int_equal(crc32c(0, v, 32), 0x8a9136aau);
    assert_int_equal(by_tables(v, 32), 0x8a9136aau);
    memset(v, 0xff, sizeof(v));
    assert_int_equal(crc32c(0, v, 32), 0x62a8ab43u);
    assert_int_equal(by_tables(v, 32), 0x62a8ab43u);
    for (unsigned i = 0; i < 32; i++)
        v[i] = (unsigned char)i;
    assert_int_equal(crc32c(0, v, 32), 0x46dd794eu);
    assert_int_equal(by_tables(v, 32), 0x46dd794eu);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(by_tables("123456789", 9), 0xe3069283u);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void pieces_continue_each_other_at_any_split(void **state)
{
    unsigned char v[77];

    (void)state;
    for (unsigned i = 0; i < sizeof(v); i++)
        v[i] = (unsigned char)(i * 37);
    for (size_t cut = 0; cut <= sizeof(v); cut++) {
        assert_int_equal(crc32c(crc32c(0, v, cut), v + cut, sizeof(v) - cut),
                         crc32c(0, v, sizeof(v)));
        assert_int_equal(by_tables(v, cut), crc32c(0, v, cut));
    }
}

CHECK_MAIN(cmocka_unit_test(both_ways_give_the_published_values),
           cmocka_unit_test(pieces_continue_each_other_at_any_split))
