/* storage/crypt.c: the numbers of NIST's vectors, and that nothing tampered with opens. */
#include "storage/crypt.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <string.h>

/* Test cases 13, 14 and 16 of "The Galois/Counter Mode of Operation" (McGrew, Viega). */
static const struct {
    const char *key, *nonce, *aad, *plain, *sealed;
} VECTORS[] = {
    {
        "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000",
        "00000000 00000000 00000000",
        "",
        "",
        "530f8afbc74536b9a963b4f1c4cb738b",
    },
    {
        "00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000",
        "00000000 00000000 00000000",
        "",
        "00000000 00000000 00000000 00000000",
        "cea7403d4d606b6e074ec5d3baf39d18 d0d1c8a799996bf0265b98b5d48ab919",
    },
    {
        "feffe9928665731c6d6a8f9467308308 feffe9928665731c6d6a8f9467308308",
        "cafebabefacedbaddecaf888",
        "feedfacedeadbeeffeedfacedeadbeefabaddad2",
        "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
        "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
        "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
        "76fc6ece0f4e1768cddf8853bb2d551b",
    },
};

static void seals_and_opens_the_published_vectors(void **state)
{
    struct arena *a = arena_new(NULL, 0);
    struct err err;
    (void)state;

    for (size_t i = 0; i < sizeof(VECTORS) / sizeof(*VECTORS); i++) {
        struct crypt *c = crypt_new((const uint8_t *)bytes(a, VECTORS[i].key).p);
        const uint8_t *nonce = (const uint8_t *)bytes(a, VECTORS[i].nonce).p;
        struct str aad = bytes(a, VECTORS[i].aad);
        struct str plain = bytes(a, VECTORS[i].plain);
        struct str sealed = bytes(a, VECTORS[i].sealed);
        char out[128];

        assert_int_equal(crypt_seal(c, nonce, aad, plain, out, &err), 0);
        assert_int_equal(sealed.n, plain.n + CRYPT_TAG);
        assert_memory_equal(out, sealed.p, sealed.n);
        assert_int_equal(crypt_open(c, nonce, aad, sealed, out, &err), 0);
        if (plain.n != 0)
            assert_memory_equal(out, plain.p, plain.n);
        crypt_free(&c);
        assert_null(c);
    }
    arena_free(&a);
}

static void one_context_seals_many_frames(void **state)
{
    uint8_t key[CRYPT_KEY];
    struct crypt *c;
    struct err err;
    (void)state;

    assert_int_equal(crypt_random(key, sizeof(key), &err), 0);
    c = crypt_new(key);
    for (uint64_t i = 0; i < 50; i++) {
        uint8_t nonce[CRYPT_NONCE];
        char text[8];
        char sealed[8 + CRYPT_TAG];
        char back[8];
        memset(text, (int)i, sizeof(text));
        crypt_nonce(i, nonce);
        assert_int_equal(crypt_seal(c, nonce, STR("place"), (struct str){text, 8}, sealed, &err),
                         0);
        assert_int_equal(
            crypt_open(c, nonce, STR("place"), (struct str){sealed, sizeof(sealed)}, back, &err),
            0);
        assert_memory_equal(text, back, 8);
    }
    crypt_free(&c);
}

static void any_flipped_bit_is_refused_and_leaves_nothing(void **state)
{
    static const char TEXT[] = "the quick brown fox";
    uint8_t key[CRYPT_KEY] = {1};
    uint8_t nonce[CRYPT_NONCE] = {2};
    char sealed[sizeof(TEXT) + CRYPT_TAG];
    char back[sizeof(TEXT)];
    const char zero[sizeof(TEXT)] = {0};
    char aad[4] = "aad";
    struct crypt *c = crypt_new(key);
    struct err err;
    (void)state;

    assert_int_equal(
        crypt_seal(c, nonce, (struct str){aad, 4}, (struct str){TEXT, sizeof(TEXT)}, sealed, &err),
        0);
    for (size_t i = 0; i < sizeof(sealed) * 8; i++) {
        sealed[i / 8] = (char)(sealed[i / 8] ^ (1 << (i % 8)));
        memset(back, 'x', sizeof(back));
        assert_int_equal(crypt_open(c, nonce, (struct str){aad, 4},
                                    (struct str){sealed, sizeof(sealed)}, back, &err),
                         ERR_CORRUPT);
        assert_memory_equal(back, zero, sizeof(back));
        sealed[i / 8] = (char)(sealed[i / 8] ^ (1 << (i % 8)));
    }
    aad[0] ^= 1;
    assert_int_equal(crypt_open(c, nonce, (struct str){aad, 4},
                                (struct str){sealed, sizeof(sealed)}, back, &err),
                     ERR_CORRUPT);
    aad[0] ^= 1;
    nonce[0] ^= 1;
    assert_int_equal(crypt_open(c, nonce, (struct str){aad, 4},
                                (struct str){sealed, sizeof(sealed)}, back, &err),
                     ERR_CORRUPT);
    assert_int_equal(
        crypt_open(c, nonce, (struct str){aad, 4}, (struct str){sealed, 15}, back, &err),
        ERR_CORRUPT);
    crypt_free(&c);
}

static void nonces_differ_by_number(void **state)
{
    uint8_t a[CRYPT_NONCE];
    uint8_t b[CRYPT_NONCE];
    static const uint8_t WANT[CRYPT_NONCE] = {0, 0, 0, 0, 0x08, 0x07, 6, 5, 4, 3, 2, 1};
    (void)state;

    crypt_nonce(UINT64_C(0x0102030405060708), a);
    assert_memory_equal(a, WANT, CRYPT_NONCE);
    crypt_nonce(UINT64_C(0x0102030405060709), b);
    assert_memory_not_equal(a, b, CRYPT_NONCE);
}

static void a_wrapped_key_opens_only_in_its_place(void **state)
{
    uint8_t kek[CRYPT_KEY] = {3};
    uint8_t other[CRYPT_KEY] = {4};
    uint8_t key[CRYPT_KEY] = {5};
    uint8_t one[CRYPT_WRAPPED];
    uint8_t two[CRYPT_WRAPPED];
    uint8_t back[CRYPT_KEY];
    struct err err;
    (void)state;

    assert_int_equal(crypt_wrap(kek, STR("here"), key, one, &err), 0);
    assert_int_equal(crypt_wrap(kek, STR("here"), key, two, &err), 0);
    assert_memory_not_equal(one, two, sizeof(one)); /* a random nonce each time */
    assert_int_equal(crypt_unwrap(kek, STR("here"), one, back, &err), 0);
    assert_memory_equal(back, key, sizeof(key));
    assert_int_equal(crypt_unwrap(kek, STR("there"), one, back, &err), ERR_CORRUPT);
    assert_int_equal(crypt_unwrap(other, STR("here"), one, back, &err), ERR_CORRUPT);
    one[20] ^= 1;
    assert_int_equal(crypt_unwrap(kek, STR("here"), one, back, &err), ERR_CORRUPT);
}

static void sha256_is_over_the_pieces_in_order(void **state)
{
    /* FIPS 180-4: "abc" */
    static const char WANT[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    struct arena *a = arena_new(NULL, 0);
    const struct str pieces[] = {STR("a"), STR(""), STR("bc")};
    uint8_t sum[CRYPT_SHA256];
    (void)state;

    crypt_sha256(pieces, 3, sum);
    assert_memory_equal(sum, bytes(a, WANT).p, sizeof(sum));
    arena_free(&a);
}

CHECK_MAIN(cmocka_unit_test(seals_and_opens_the_published_vectors),
           cmocka_unit_test(one_context_seals_many_frames),
           cmocka_unit_test(any_flipped_bit_is_refused_and_leaves_nothing),
           cmocka_unit_test(nonces_differ_by_number),
           cmocka_unit_test(a_wrapped_key_opens_only_in_its_place),
           cmocka_unit_test(sha256_is_over_the_pieces_in_order))
