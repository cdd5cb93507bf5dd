/* storage/column_int.c: everything comes back, hostile bytes end in an error. */
#include "storage/column_int.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 3000 };

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Shapes that real columns have, and the ones that break packers. */
static void make_numbers(unsigned shape, uint64_t *v, size_t n)
{
    uint64_t at = shape % 2 == 0 ? 0 : UINT64_C(1795288478773648831);

    for (size_t i = 0; i < n; i++) {
        switch (shape / 2) {
        case 0: /* jittered clock */
            at += rnd() % 2000000;
            v[i] = at;
            break;
        case 1: /* clock in ms */
            at += rnd() % 50 * 1000000;
            v[i] = at / 1000000 * 1000000;
            break;
        case 2: /* any bits */
            v[i] = rnd() >> rnd() % 64;
            break;
        case 3: /* runs */
            v[i] = i % 97 < 90 ? at : rnd();
            break;
        case 4: /* extremes side by side */
            v[i] = rnd() % 2 == 0 ? (uint64_t)INT64_MIN : (uint64_t)INT64_MAX;
            break;
        case 5: /* few values */
            v[i] = rnd() % 5;
            break;
        default: /* negative, falling */
            v[i] = (uint64_t)-1 - i * 3;
        }
    }
}

static void numbers_come_back(void **state)
{
    uint64_t *v = malloc(N_MAX * sizeof(*v));
    uint64_t *got = malloc(N_MAX * sizeof(*got));

    (void)state;
    for (unsigned round = 0; round < 600; round++) {
        size_t n = round < 300 ? round : rnd() % N_MAX;
        struct err err;
        struct str in;
        struct buf b;
        buf_init(&b, 1 << 20);
        make_numbers(round % 14, v, n);
        column_int_encode(&b, v, n);
        buf_add_char(&b, '!');
        in = buf_str(&b);
        assert_int_equal(column_int_decode(&in, n, got, &err), 0);
        check_str(in, "!"); /* took its own bytes and no more */
        if (n > 0)
            assert_memory_equal(v, got, n * sizeof(*v));
        buf_fini(&b);
    }
    free(v);
    free(got);
}

static size_t encoded_size(const uint64_t *v, size_t n)
{
    struct buf b;
    size_t size;

    buf_init(&b, 1 << 20);
    column_int_encode(&b, v, n);
    size = b.n;
    buf_fini(&b);
    return size;
}

static void numbers_are_small(void **state)
{
    uint64_t v[1024];

    (void)state;
    for (size_t i = 0; i < 1024; i++)
        v[i] = 42;
    assert_true(encoded_size(v, 1024) < 8); /* a constant */
    for (size_t i = 0; i < 1024; i++)
        v[i] = UINT64_C(1795288478773648831) + i;
    assert_true(encoded_size(v, 1024) < 64); /* a counter */
    for (size_t i = 0; i < 1024; i++)
        v[i] = UINT64_C(1795288478773648831) + i * 1000000 + rnd() % 1000000;
    assert_true(encoded_size(v, 1024) < 1024 * 22 / 8); /* jitter of 20 bits, spread over 21 */
    for (size_t i = 0; i < 1024; i++)
        v[i] = (UINT64_C(1795288478773) + i * 3 + rnd() % 8) * 1000000;
    assert_true(encoded_size(v, 1024) < 1024 * 5 / 8); /* whole milliseconds cost no nanoseconds */
    for (size_t i = 0; i < 1024; i++)
        v[i] = i / 100;
    assert_true(encoded_size(v, 1024) < 40); /* runs */
}

/* Decode from a copy of exactly n bytes, so that a sanitizer sees a read past the end. */
static void decode_exact(const char *p, size_t n, size_t rows)
{
    char *exact = bytes_exact((struct str){p, n});
    uint64_t *got = malloc(rows * sizeof(*got) + 1);
    struct err err;
    struct str in = {exact, n};
    int r = column_int_decode(&in, rows, got, &err);

    assert_true(r == 0 || r == ERR_CORRUPT);
    assert_true(in.n <= n);
    free(got);
    free(exact);
}

static void flip_bit(char *p, size_t n)
{
    uint64_t bit = rnd() % (8 * n);

    p[bit / 8] = (char)((unsigned char)p[bit / 8] ^ 1u << bit % 8);
}

static void hostile_columns_end_in_an_error(void **state)
{
    uint64_t v[300];
    struct buf b;

    (void)state;
    for (unsigned round = 0; round < 3000; round++) {
        size_t n = 1 + rnd() % 300;
        buf_init(&b, 1 << 16);
        make_numbers(round % 14, v, n);
        column_int_encode(&b, v, n);
        for (unsigned flips = rnd() % 4; flips > 0; flips--)
            flip_bit(b.p, b.n < 24 ? b.n : 24);
        decode_exact(b.p, rnd() % 3 == 0 ? rnd() % b.n : b.n, n);
        buf_fini(&b);
    }
    for (unsigned round = 0; round < 3000; round++) {
        char noise[64];
        for (size_t i = 0; i < sizeof(noise); i++)
            noise[i] = (char)(rnd() % 3 == 0 ? rnd() % 5 : rnd());
        decode_exact(noise, rnd() % sizeof(noise), rnd() % 300);
    }
}

CHECK_MAIN(cmocka_unit_test(numbers_come_back), cmocka_unit_test(numbers_are_small),
           cmocka_unit_test(hostile_columns_end_in_an_error))
