/* storage/line_number.c against numbers that are printed and searched, with and without AVX2. */
#include "storage/line_number.h"

#include "tests/lib/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ROUNDS = 6000, VALUES_MAX = 150, NEEDLES_MAX = 3 };

static uint64_t seed = 0x9e3779b97f4a7c15u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

struct column {
    uint64_t v[VALUES_MAX];
    size_t n;
    struct slot_stamp stamp;
};

static uint64_t power(unsigned n)
{
    uint64_t p = 1;

    while (n-- > 0)
        p *= 10;
    return p;
}

static uint32_t digits_of(uint64_t v)
{
    uint32_t n = 1;

    for (; v >= 10; v /= 10)
        n++;
    return n;
}

/* Numbers of a range, its ends and what lies around powers of ten among them. */
static void make_column(struct column *c)
{
    uint64_t range = power((unsigned)(rnd() % 16));
    uint64_t least = rnd() % 3 == 0 ? 0 : rnd() % power((unsigned)(rnd() % 15) + 1);
    uint32_t digits;

    c->n = 1 + rnd() % VALUES_MAX;
    c->stamp = (struct slot_stamp){.kind = SLOT_INT, .min = UINT64_MAX};
    for (size_t i = 0; i < c->n; i++) {
        uint64_t v = least + rnd() % range;
        if (rnd() % 8 == 0)
            v = power((unsigned)(rnd() % 15)) + rnd() % 3 - 1;
        if (v >> 49 != 0)
            v &= (UINT64_C(1) << 49) - 1;
        c->v[i] = v;
        c->stamp.min = v < c->stamp.min ? v : c->stamp.min;
        c->stamp.max = v > c->stamp.max ? v : c->stamp.max;
    }
    digits = digits_of(c->stamp.max);
    c->stamp.width = rnd() % 2 == 0 ? 0 : digits + (uint32_t)(rnd() % (16 - digits));
    c->stamp.min_len = c->stamp.width > 0 ? c->stamp.width : digits_of(c->stamp.min);
    c->stamp.max_len = c->stamp.width > 0 ? c->stamp.width : digits;
}

static void print(const struct column *c, size_t i, char to[32])
{
    (void)snprintf(to, 32, "%0*" PRIu64, (int)c->stamp.width, c->v[i]);
}

/* A literal out of a number, or any digits. */
static void make_literal(const struct column *c, char to[32])
{
    char text[32];
    size_t n = 1 + rnd() % 6;
    size_t from;

    print(c, rnd() % c->n, text);
    if (rnd() % 4 == 0)
        (void)snprintf(text, sizeof(text), "%0*" PRIu64, (int)n, rnd() % power((unsigned)n));
    from = rnd() % strlen(text);
    (void)snprintf(to, 32, "%.*s", (int)n, text + from);
    if (rnd() % 16 == 0)
        to[rnd() % strlen(to)] = 'x';
}

static void check_column(const struct column *c, const struct line_needle *w,
                         char literal[NEEDLES_MAX][32], bool portable)
{
    uint64_t bits[VALUES_MAX / 64 + 2] = {0};
    struct line_number m;

    if (!line_number_init(&m, w, &c->stamp)) {
        bool zero = false;
        for (size_t k = 0; k < w->n; k++)
            zero = zero || strcmp(literal[k], "0") == 0;
        assert_true(zero);
        return;
    }
    m.portable = m.portable || portable;
    line_number_mark(&m, c->v, c->n, 64, bits);
    for (size_t i = 0; i < 64 * (VALUES_MAX / 64 + 2); i++) {
        bool want = false;
        char text[32];
        if (i >= 64 && i - 64 < c->n) {
            print(c, i - 64, text);
            for (size_t k = 0; k < w->n; k++)
                want = want || strstr(text, literal[k]) != NULL;
        }
        assert_int_equal((bits[i / 64] >> (i % 64) & 1) != 0, want);
    }
}

static void finds_what_a_search_in_print_finds(void **state)
{
    (void)state;
    for (unsigned round = 0; round < ROUNDS; round++) {
        char literal[NEEDLES_MAX][32];
        struct line_needle w = {.n = 1 + rnd() % NEEDLES_MAX};
        struct column c;
        make_column(&c);
        for (size_t k = 0; k < w.n; k++) {
            make_literal(&c, literal[k]);
            find_init(&w.find[k], (struct str){literal[k], strlen(literal[k])});
        }
        check_column(&c, &w, literal, false);
        check_column(&c, &w, literal, true);
    }
}

static void large_numbers_are_left_to_others(void **state)
{
    struct line_needle w = {.n = 1};
    struct slot_stamp s = {.kind = SLOT_INT, .max = UINT64_C(1) << 49, .max_len = 15};
    struct line_number m;

    (void)state;
    find_init(&w.find[0], STR("12345"));
    assert_false(line_number_init(&m, &w, &s));
    s.max--;
    assert_true(line_number_init(&m, &w, &s));
}

static void places_that_no_number_has_are_not_asked(void **state)
{
    struct line_needle w = {.n = 1};
    struct slot_stamp s = {.kind = SLOT_INT, .min = 5300, .max = 5399, .max_len = 4};
    struct line_number m;

    (void)state;
    find_init(&w.find[0], STR("41"));
    assert_true(line_number_init(&m, &w, &s));
    assert_int_equal(m.n, 1); /* 5341; not 4141 or x41x */
    find_init(&w.find[0], STR("77777"));
    assert_true(line_number_init(&m, &w, &s));
    assert_int_equal(m.n, 0);
}

CHECK_MAIN(cmocka_unit_test(finds_what_a_search_in_print_finds),
           cmocka_unit_test(large_numbers_are_left_to_others),
           cmocka_unit_test(places_that_no_number_has_are_not_asked))
