/* storage/slot_joined.c: times as one number come back, whatever their parts are. */
#include "storage/slot_internal.h"

#include "base/err.h"
#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { N = 500 };

struct column {
    struct buf text;
    size_t end[N];
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
    buf_init(&c->text, 1 << 20);
    buf_init(&c->bytes, 1 << 20);
    c->encoder = slot_encoder_new();
    c->arena = arena_new(NULL, 0);
    *state = c;
    return 0;
}

static int teardown(void **state)
{
    struct column *c = *state;

    buf_fini(&c->text);
    buf_fini(&c->bytes);
    slot_encoder_free(&c->encoder);
    arena_free(&c->arena);
    free(c);
    return 0;
}

static void PRINTF_LIKE(2, 3) add(struct column *c, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_addv(&c->text, fmt, ap);
    va_end(ap);
    assert_true(c->n < N);
    c->end[c->n++] = c->text.n;
}

static struct str value_of(const struct column *c, size_t i)
{
    size_t from = i == 0 ? 0 : c->end[i - 1];

    return str_sub(buf_str(&c->text), from, c->end[i] - from);
}

/* Encode, read, compare; the first byte of the column, which says the way. */
static unsigned round_trip(struct column *c, bool small)
{
    struct str v[N];
    char room[SLOT_ROOM];
    struct slot_view view;
    struct err err;
    char *exact;
    unsigned way;

    for (size_t i = 0; i < c->n; i++)
        v[i] = value_of(c, i);
    buf_clear(&c->bytes);
    slot_encode(c->encoder, v, c->n, small, &c->bytes, &c->stamp);
    exact = bytes_exact(buf_str(&c->bytes));
    assert_int_equal(
        slot_open(&c->stamp, (struct str){exact, c->bytes.n}, c->n, c->arena, &view, &err), 0);
    for (size_t i = 0; i < c->n; i++) {
        struct str s = slot_value(&view, i, room);
        assert_true(str_eq(s, v[i]));
        assert_true(s.n >= c->stamp.min_len && s.n <= c->stamp.max_len);
        assert_int_equal(slot_classes(s) & ~c->stamp.classes, 0);
    }
    way = (uint8_t)exact[0];
    free(exact);
    return way;
}

/* The time `i` steps of `step` ms after a quarter to midnight. */
static void add_time(struct column *c, unsigned i, unsigned step)
{
    unsigned ms = 85500000 + i * step;
    unsigned s = ms / 1000;

    add(c, "2015-10-%02u %02u:%02u:%02u,%03u", 18 + s / 86400, s / 3600 % 24, s / 60 % 60, s % 60,
        ms % 1000);
}

static void times_that_go_on_are_one_number(void **state)
{
    struct column *c = *state;

    for (unsigned i = 0; i < N; i++)
        add_time(c, i, 7919);
    assert_int_equal(round_trip(c, false), SLOT_WAY_JOINED);
    assert_int_equal(c->stamp.kind, SLOT_PATTERN);
    assert_true(c->bytes.n < 3 * N);
    assert_int_equal(round_trip(c, true), SLOT_WAY_JOINED);
}

static void times_in_no_order_are_not_joined(void **state)
{
    struct column *c = *state;
    unsigned x = 1;

    for (unsigned i = 0; i < N; i++) {
        x = x * 1103515245u + 12345u;
        add_time(c, x >> 16, 1009);
    }
    assert_int_not_equal(round_trip(c, false), SLOT_WAY_JOINED);
}

static void nanoseconds_fit_when_the_day_is_the_same(void **state)
{
    struct column *c = *state;

    for (unsigned i = 0; i < N; i++)
        add(c, "2018-03-24T17:59:%02u.%09uZ", i / 10, i % 10 * 100000000 + i * 7001);
    assert_int_equal(round_trip(c, false), SLOT_WAY_JOINED);
}

static void what_only_looks_like_a_time_comes_back(void **state)
{
    static const char *const odd[] = {"10:00:60",  "10:00:99", "1a:00:00", "10:00-00", "99:99:99",
                                      "10:00:00 ", "",         "00:00:0",  "10:00:0x"};

    for (size_t k = 0; k < sizeof(odd) / sizeof(odd[0]); k++) {
        struct column *c = *state;
        c->n = 0;
        buf_clear(&c->text);
        for (unsigned i = 0; i < N - 1; i++)
            add(c, "10:%02u:%02u", i / 60, i % 60);
        add(c, "%s", odd[k]);
        (void)round_trip(c, k % 2 == 0);
    }
}

static void the_first_part_has_no_limit_but_its_digits(void **state)
{
    struct column *c = *state;

    for (unsigned i = 0; i < N; i++)
        add(c, "%02u:00:%02u", 80 + i / 60, i % 60);
    assert_int_equal(round_trip(c, false), SLOT_WAY_JOINED);
}

/* "dd::d" of one number below 128, in a column as a stranger might write it. */
static int open_forged(struct column *c, uint8_t width, uint8_t radix, uint8_t number,
                       const char *value)
{
    const uint8_t bytes[] = {
        SLOT_WAY_JOINED, 2, 0, width, 10, 4, 1, radix, 5, '1', '2', ':', ':', '3', 0, number, 1};
    const struct slot_stamp s = {.kind = SLOT_PATTERN,
                                 .classes = UINT16_MAX,
                                 .min_len = 5,
                                 .max_len = 5,
                                 .bytes = sizeof(bytes)};
    struct slot_view view;
    struct err err;
    int r =
        slot_open(&s, (struct str){(const char *)bytes, sizeof(bytes)}, 1, c->arena, &view, &err);

    if (r == 0)
        check_str(slot_value(&view, 0, NULL), value);
    return r;
}

static void parts_that_cannot_be_are_refused(void **state)
{
    struct column *c = *state;

    assert_int_equal(open_forged(c, 2, 10, 123, "12::3"), 0);
    assert_int_equal(open_forged(c, 1, 10, 95, "92::5"), 0);
    assert_int_equal(open_forged(c, 1, 10, 123, ""), ERR_CORRUPT); /* a part of 12 in one digit */
    assert_int_equal(open_forged(c, 2, 11, 123, ""), ERR_CORRUPT); /* 10 in one digit */
    assert_int_equal(open_forged(c, 2, 1, 123, ""), ERR_CORRUPT);
    assert_int_equal(open_forged(c, 2, 0, 123, ""), ERR_CORRUPT);
    assert_int_equal(open_forged(c, 0, 10, 123, ""), ERR_CORRUPT);
    assert_int_equal(open_forged(c, 5, 10, 123, ""), ERR_CORRUPT); /* over the next part */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(TEST(times_that_go_on_are_one_number), TEST(times_in_no_order_are_not_joined),
           TEST(nanoseconds_fit_when_the_day_is_the_same),
           TEST(what_only_looks_like_a_time_comes_back),
           TEST(the_first_part_has_no_limit_but_its_digits), TEST(parts_that_cannot_be_are_refused))
