/* storage/slot_forms.c: strings of a few forms come back, alone and together, whatever numbers they
 * hold; what no writer makes is refused. */
#include "storage/slot_internal.h"
#include "storage/varint.h"

#include "base/err.h"
#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2000 };

static uint64_t seed = 0x2545f4914f6cdd1du;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

struct column {
    struct str v[N];
    size_t n;
    struct slot_encoder *encoder;
    struct arena *arena;
    struct buf bytes;
    struct slot_stamp stamp;
};

static int setup(void **state)
{
    struct column *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return -1;
    buf_init(&c->bytes, 1 << 20);
    c->encoder = slot_encoder_new();
    c->arena = arena_new(NULL, 0);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct column *c = *state;

    buf_fini(&c->bytes);
    slot_encoder_free(&c->encoder);
    arena_free(&c->arena);
    free(c);
    return 0;
}

static void PRINTF_LIKE(2, 3) add(struct column *c, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    assert_true(c->n < N);
    c->v[c->n++] = arena_str(c->arena, (struct str){text, (size_t)n});
}

static void clear(struct column *c)
{
    arena_reset(c->arena);
    c->n = 0;
}

/* A path as an API has them. */
static void add_path(struct column *c)
{
    switch (rnd() % 5) {
    case 0:
        add(c, "/login");
        break;
    case 1:
        add(c, "/api/v1/users/%" PRIu64 "/cart", rnd() % 90000);
        break;
    case 2:
        add(c, "/api/v1/search?q=%" PRIu64, rnd() % 3000000000u);
        break;
    default:
        add(c, "/api/v1/orders/%" PRIu64, rnd() % 90000);
        break;
    }
}

static void check_values(struct column *c, struct str bytes)
{
    uint32_t length[N] = {0};
    struct slot_view view;
    struct err err;

    assert_int_equal(slot_open(&c->stamp, bytes, c->n, c->arena, &view, &err), 0);
    assert_int_equal(slot_lengths_add(&c->stamp, bytes, c->n, c->arena, length, &err), 0);
    for (size_t i = 0; i < c->n; i++) {
        char room[SLOT_ROOM];
        struct slot_place at = {bytes, c->n, i, NULL};
        struct str got = slot_value(&view, i, room);
        if (!str_eq(got, c->v[i]))
            fail_msg("value %zu: '%.*s' is not '%.*s'", i, STR_ARG(got), STR_ARG(c->v[i]));
        assert_int_equal(length[i], got.n);
        assert_true(got.n >= c->stamp.min_len && got.n <= c->stamp.max_len);
        assert_int_equal(slot_classes(got) & ~c->stamp.classes, 0);
        assert_int_equal(slot_pick(&c->stamp, &at, c->arena, &got, &err), 0);
        assert_true(str_eq(got, c->v[i]));
    }
}

static void check_pairs(struct column *c, struct str bytes)
{
    uint8_t pairs[SLOT_PAIRS];

    if (!slot_pairs(&c->stamp, bytes, c->n, pairs))
        return;
    for (size_t i = 0; i < c->n; i++)
        for (size_t k = 1; k < c->v[i].n; k++)
            assert_true(slot_has_pair(pairs, (uint8_t)c->v[i].p[k - 1], (uint8_t)c->v[i].p[k]));
}

/* Encode, read, compare; the first byte of the column, which says the way. */
static unsigned round_trip(struct column *c, bool small)
{
    struct str bytes;
    char *exact;
    unsigned way;

    buf_clear(&c->bytes);
    slot_encode(c->encoder, c->v, c->n, small, &c->bytes, &c->stamp);
    exact = bytes_exact(buf_str(&c->bytes));
    bytes = (struct str){exact, c->bytes.n};
    check_values(c, bytes);
    check_pairs(c, bytes);
    way = (uint8_t)exact[0];
    free(exact);
    return way;
}

static void paths_with_ids_are_forms(void **state)
{
    struct column *c = *state;
    uint8_t pairs[SLOT_PAIRS];
    struct slot_forms f;
    bool has_all = true;
    struct err err;

    while (c->n < N)
        add_path(c);
    assert_int_equal(round_trip(c, true), SLOT_WAY_FORMS);
    assert_int_equal(round_trip(c, false), SLOT_WAY_FORMS);
    assert_int_equal(c->stamp.kind, SLOT_PATTERN);
    assert_int_equal(slot_forms_open(&c->stamp, buf_str(&c->bytes), c->n, &f, &err), 0);
    assert_in_range(f.n, 4, 40); /* ids of one digit make forms of their own */
    assert_in_range(f.n_numbers, N / 2, N);
    assert_int_equal(f.stamp.kind, SLOT_INT);
    assert_true(slot_pairs(&c->stamp, buf_str(&c->bytes), c->n, pairs));
    assert_true(slot_has_pair(pairs, '/', '7') && slot_has_pair(pairs, '7', '/'));
    for (const char *z = "nosuchtextanywhere"; z[1] != '\0'; z++)
        has_all = has_all && slot_has_pair(pairs, (uint8_t)z[0], (uint8_t)z[1]);
    assert_false(has_all);
}

/* As many different texts as would do for a dictionary. */
static void a_large_dictionary_gives_way(void **state)
{
    struct column *c = *state;

    while (c->n < N)
        add(c, "/%s/%u", rnd() % 3 == 0 ? "orders" : "items", (unsigned)(rnd() % 300) * 977 + 10);
    assert_int_equal(round_trip(c, false), SLOT_WAY_FORMS);
    clear(c);
    while (c->n < N)
        add(c, "/%s/%u", rnd() % 3 == 0 ? "orders" : "items", (unsigned)(rnd() % 90) * 977 + 10);
    (void)round_trip(c, false);
    assert_int_equal(c->stamp.kind, SLOT_DICT);
}

/* Texts that are too long for columns in the column. */
static void a_large_dictionary_of_long_texts_stays(void **state)
{
    struct column *c = *state;

    while (c->n < N)
        add(c, "/%s/%250s/%u", rnd() % 3 == 0 ? "orders" : "items", "",
            (unsigned)(rnd() % 300) * 977 + 100000000);
    (void)round_trip(c, false);
    assert_int_equal(c->stamp.kind, SLOT_DICT);
    (void)round_trip(c, true);
    assert_int_equal(c->stamp.kind, SLOT_DICT);
}

static void texts_of_many_forms_are_none(void **state)
{
    struct column *c = *state;

    while (c->n < N)
        add(c, "%c%c%c-%u", (char)('g' + rnd() % 20), (char)('g' + rnd() % 20),
            (char)('g' + rnd() % 20), (unsigned)(rnd() % 100000));
    assert_int_not_equal(round_trip(c, false), SLOT_WAY_FORMS);
    assert_int_not_equal(round_trip(c, true), SLOT_WAY_FORMS);
}

/* One odd value among many paths, of every kind that could be taken for a number. */
static void whatever_looks_like_a_number_comes_back(void **state)
{
    static const char *const odd[] = {"",
                                      "7",
                                      "007",
                                      "00",
                                      "/orders/",
                                      "/orders/007",
                                      "/orders/12/34",
                                      "/orders/12/345",
                                      "/orders/9999999999999999999",
                                      "/orders/18446744073709551615",
                                      "/orders/18446744073709551616",
                                      "/orders/99999999999999999999999",
                                      "/orders/1\n2",
                                      "12",
                                      "-12",
                                      "x12"};

    for (size_t k = 0; k < sizeof(odd) / sizeof(*odd); k++)
        for (unsigned at = 0; at < 3; at++) {
            struct column *c = *state;
            clear(c);
            while (c->n < 400)
                if (c->n == (size_t)at * 199)
                    add(c, "%s", odd[k]);
                else
                    add(c, "/%s/%u", rnd() % 2 == 0 ? "orders" : "items",
                        10 + (unsigned)(rnd() % 100000));
            (void)round_trip(c, (k + at) % 2 == 0);
        }
}

static int open_forged(struct column *c, const char *hex, size_t n, struct err *err)
{
    struct str b = bytes(c->arena, hex);
    char *exact = bytes_exact(b);
    struct slot_stamp s = {.kind = SLOT_PATTERN,
                           .classes = UINT16_MAX,
                           .min_len = 1,
                           .max_len = 9,
                           .bytes = (uint32_t)b.n};
    struct slot_view view;
    int r = slot_open(&s, (struct str){exact, b.n}, n, c->arena, &view, err);

    free(exact);
    return r;
}

static void what_no_writer_makes_is_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *why;
    } BAD[] = {
        {"07 00", 1, "how many there are"},
        {"07 8102", 1, "how many there are"},
        {"07 01 05 'a'", 1, "one is cut or too long"},
        {"07 01 01 'a'", 1, "one is cut or too long"},
        {"07 01 01 'a' 02 00", 1, "one is cut or too long"},
        {"07 01 01 'a' 01 05 'b'", 1, "one is cut or too long"},
        {"07 01 01 'a' 01 00 00 02 '17'", 1, "ids are cut"},
        {"07 01 01 'a' 01 00 00 02 '17' 01", 1, "no such form"},
        {"07 01 01 'a' 00 00 02 '17' 00", 1, "no numbers"},
        {"07 01 01 'a' 01 00 00 02 '17' 00 00", 1, "not as many bytes as in its stamp"},
        {"07 01 01 'a' 01 00 03 04 0100 01 00 00 00 00 01 01 '1'", 1, "numbers that are none"},
        {"07 01 01 'a' 01 00 00 02 '1x' 00", 1, "numbers that are none"},
        {"07 01 01 'a' 01 00 00 00 00", 1, "numbers that are none"},
        {"07 01 01 'a' 01 00 00 14 '12345678901234567890' 00", 1, "numbers that are none"},
        {"07 01 09 'abcdefghi' 01 01 'b' 00 02 '17' 00", 1, "a length outside of its stamp"},
    };
    struct column *c = *state;
    struct err err;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        if (open_forged(c, BAD[i].bytes, BAD[i].n, &err) != ERR_CORRUPT)
            fail_msg("opened: %s", BAD[i].bytes);
        if (!str_ends(str_of(err.text), str_of(BAD[i].why)))
            fail_msg("%s: %s instead of %s", BAD[i].bytes, err.text, BAD[i].why);
    }
}

/* However little of a frame they take: filters read each form again and again. */
static void long_forms_are_refused(void **state)
{
    static const char bytes[SLOT_FORM_BYTES_MAX + 1] = {0};

    for (unsigned k = 0; k < 4; k++) {
        struct column *c = *state;
        struct slot_forms f;
        struct err err;
        buf_clear(&c->bytes);
        c->stamp = (struct slot_stamp){.kind = SLOT_PATTERN};
        buf_add_char(&c->bytes, SLOT_WAY_FORMS);
        buf_add_char(&c->bytes, 1);
        for (unsigned side = 0; side < 2; side++) {
            size_t n = SLOT_FORM_BYTES_MAX + (k >> side & 1);
            varint_put(&c->bytes, n);
            buf_add(&c->bytes, bytes, n);
            if (side == 0)
                buf_add_char(&c->bytes, 1);
        }
        buf_add(&c->bytes, "\0\2\61\67\0", 5);
        assert_int_equal(slot_forms_open(&c->stamp, buf_str(&c->bytes), 1, &f, &err),
                         k == 0 ? 0 : ERR_CORRUPT);
    }
}

/* Every cut and every flipped bit ends in an error or in values. */
static void broken_columns_end_in_an_error_or_in_values(void **state)
{
    struct column *c = *state;

    while (c->n < 300)
        add_path(c);
    assert_int_equal(round_trip(c, false), SLOT_WAY_FORMS);
    for (size_t bit = 0; bit < 8 * c->bytes.n; bit += 1 + rnd() % 3) {
        size_t n = rnd() % 8 == 0 ? rnd() % c->bytes.n : c->bytes.n;
        char *exact = bytes_exact(str_sub(buf_str(&c->bytes), 0, n));
        struct slot_place at = {{exact, n}, c->n, rnd() % c->n, NULL};
        struct slot_stamp s = c->stamp;
        struct slot_view view;
        struct str got;
        struct err err;
        if (bit / 8 < n)
            exact[bit / 8] = (char)(exact[bit / 8] ^ 1 << bit % 8);
        s.bytes = (uint32_t)n;
        if (slot_open(&s, at.bytes, c->n, c->arena, &view, &err) == 0)
            for (size_t i = 0; i < c->n; i++)
                assert_true(slot_value(&view, i, NULL).n <= s.max_len);
        if (slot_pick(&s, &at, c->arena, &got, &err) == 0)
            assert_true(got.n <= s.max_len);
        free(exact);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(TEST(paths_with_ids_are_forms), TEST(a_large_dictionary_gives_way),
           TEST(a_large_dictionary_of_long_texts_stays), TEST(texts_of_many_forms_are_none),
           TEST(whatever_looks_like_a_number_comes_back), TEST(what_no_writer_makes_is_refused),
           TEST(long_forms_are_refused), TEST(broken_columns_end_in_an_error_or_in_values))
