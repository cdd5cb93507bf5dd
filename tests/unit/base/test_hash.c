/* base/hash.c: the published XXH3 values, so that what is stored keeps its meaning. */
#include "base/hash.h"

#include "tests/lib/check.h"

static void empty_input_has_the_published_hash(void **state)
{
    struct hash128 h = hash128_bytes(NULL, 0);

    (void)state;
    assert_true(hash_bytes(NULL, 0, 0) == UINT64_C(0x2d06800538d394c2));
    assert_true(h.lo == UINT64_C(0x6001c324468d497f));
    assert_true(h.hi == UINT64_C(0x99aa06d3014798d8));
}

static void the_seed_and_every_byte_matter(void **state)
{
    char text[300] = {0};
    uint64_t h = hash_bytes(text, sizeof(text), 0);

    (void)state;
    assert_false(hash_bytes(text, sizeof(text), 1) == h);
    assert_false(hash_bytes(text, sizeof(text) - 1, 0) == h);
    for (size_t i = 0; i < sizeof(text); i++) {
        text[i] = 1;
        assert_false(hash_bytes(text, sizeof(text), 0) == h);
        text[i] = 0;
    }
}

CHECK_MAIN(cmocka_unit_test(empty_input_has_the_published_hash),
           cmocka_unit_test(the_seed_and_every_byte_matter))
