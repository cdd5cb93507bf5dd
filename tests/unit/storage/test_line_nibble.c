/* storage/line_nibble.c against a search in the digits as text, with and without AVX2. */
#include "storage/line_nibble.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 4000, VALUES_MAX = 200, LENGTH_MAX = 45 };

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

struct values {
    char text[VALUES_MAX][LENGTH_MAX + 1];
    size_t n;
    struct slot_digits d;
    char *bytes; /* in a block of exactly their size */
};

static char digit(bool upper)
{
    unsigned v = (unsigned)(rnd() % (rnd() % 2 == 0 ? 3 : 16)); /* few digits: many near hits */

    return (char)(v < 10 ? '0' + (int)v : (upper ? 'A' : 'a') + (int)v - 10);
}

static unsigned value_of(char c)
{
    return (unsigned)(isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10);
}

static void make_shape(struct values *v)
{
    v->d = (struct slot_digits){.length = 4 + (uint32_t)(rnd() % (LENGTH_MAX - 3)),
                                .upper = rnd() % 2 == 0};
    if (rnd() % 3 == 0)
        for (uint32_t i = 1; i + 1 < v->d.length && v->d.n_dashes < 3; i++)
            if (rnd() % 8 == 0)
                v->d.dash[v->d.n_dashes++] = (uint8_t)i;
    v->d.width = (v->d.length - v->d.n_dashes + 1) / 2;
}

static void make_values(struct values *v)
{
    char raw[VALUES_MAX * LENGTH_MAX] = {0};
    bool planes = rnd() % 2 == 0;

    make_shape(v);
    v->n = 1 + rnd() % VALUES_MAX;
    v->d.row = planes ? 1 : v->d.width;
    v->d.column = planes ? v->n : 1;
    for (size_t i = 0; i < v->n; i++) {
        size_t dash = 0;
        size_t at = 0;
        for (size_t k = 0; k < v->d.length; k++) {
            char *byte = &raw[i * v->d.row + at / 2 * v->d.column];
            v->text[i][k] = '-';
            if (dash < v->d.n_dashes && v->d.dash[dash] == k) {
                dash++;
                continue;
            }
            v->text[i][k] = digit(v->d.upper);
            *byte = (char)(*byte | (int)(value_of(v->text[i][k]) << (at % 2 == 0 ? 4 : 0)));
            at++;
        }
        v->text[i][v->d.length] = '\0';
    }
    v->bytes = bytes_exact((struct str){raw, v->n * v->d.width});
    v->d.bytes = (const uint8_t *)v->bytes;
}

static void make_literal(const struct values *v, char to[LENGTH_MAX + 1])
{
    size_t n = LINE_NIBBLE_MIN + rnd() % 8;
    size_t from;

    if (n > v->d.length)
        n = v->d.length;
    from = rnd() % (v->d.length - n + 1);
    memcpy(to, v->text[rnd() % v->n] + from, n);
    to[n] = '\0';
    if (rnd() % 3 == 0)
        to[rnd() % n] = digit(v->d.upper);
    if (rnd() % 16 == 0)
        to[rnd() % n] = 'x';
}

static void check(const struct values *v, const struct find *f, const char *literal, bool portable)
{
    uint64_t bits[VALUES_MAX / 64 + 1] = {0};
    bool done = portable ? line_nibble_mark_portable(f, &v->d, v->n, bits)
                         : line_nibble_mark(f, &v->d, v->n, bits);

    assert_int_equal(done, strlen(literal) >= LINE_NIBBLE_MIN && strchr(literal, '-') == NULL);
    for (size_t i = 0; done && i < v->n; i++)
        assert_int_equal((bits[i / 64] >> (i % 64) & 1) != 0, strstr(v->text[i], literal) != NULL);
}

static void finds_what_a_search_in_text_finds(void **state)
{
    static struct values v;

    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        char literal[LENGTH_MAX + 1];
        struct find f;
        make_values(&v);
        make_literal(&v, literal);
        find_init(&f, (struct str){literal, strlen(literal)});
        check(&v, &f, literal, false);
        check(&v, &f, literal, true);
        free(v.bytes);
    }
}

static void letters_may_be_in_either_case(void **state)
{
    static const uint8_t bytes[] = {0xab, 0x12, 0x0a, 0xb1};
    const uint8_t fold[] = {0x20, 0x20, 0};
    struct slot_digits d = {.length = 4, .width = 2, .bytes = bytes, .row = 2, .column = 1};
    struct find f;
    uint64_t bits = 0;

    (void)state;
    find_init_fold(&f, STR("AB1"), fold);
    assert_true(line_nibble_mark(&f, &d, 2, &bits));
    assert_int_equal(bits, 3);
    find_init(&f, STR("AB1"));
    bits = 0;
    assert_true(line_nibble_mark(&f, &d, 2, &bits));
    assert_int_equal(bits, 0);
}

CHECK_MAIN(cmocka_unit_test(finds_what_a_search_in_text_finds),
           cmocka_unit_test(letters_may_be_in_either_case))
