/* storage/slot*.c: every byte string comes back, stamps are true, hostile bytes end in an error. */
#include "storage/slot.h"
#include "storage/slot_number.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_MAX = 3000, PICKS = 6, PICKS_RANDOM = 20 };

static uint64_t seed = 88172645463325252u;

static uint64_t rnd(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* A column under test: values in an arena, encoder, what came out. */
struct column {
    struct arena *a;
    struct str v[N_MAX];
    size_t n;
    struct slot_encoder *e;
    struct buf out;
    struct slot_stamp stamp;
};

static int column_setup(void **state)
{
    struct column *c = calloc(1, sizeof(*c));

    c->a = arena_new(NULL, 0);
    c->e = slot_encoder_new();
    buf_init(&c->out, 64 << 20);
    *state = c;
    return 0;
}

static int column_teardown(void **state)
{
    struct column *c = *state;

    arena_free(&c->a);
    slot_encoder_free(&c->e);
    buf_fini(&c->out);
    free(c);
    return 0;
}

static void clear(struct column *c)
{
    arena_reset(c->a);
    c->n = 0;
}

static void add(struct column *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void add(struct column *c, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    c->v[c->n++] = arena_str(c->a, (struct str){text, (size_t)n});
}

static bool same_stamp(const struct slot_stamp *a, const struct slot_stamp *b)
{
    return a->kind == b->kind && a->classes == b->classes && a->min_len == b->min_len &&
           a->max_len == b->max_len && a->min == b->min && a->max == b->max &&
           a->width == b->width && a->bytes == b->bytes && str_eq(a->constant, b->constant) &&
           (a->pairs == NULL) == (b->pairs == NULL) &&
           (a->pairs == NULL || memcmp(a->pairs, b->pairs, SLOT_PAIRS) == 0);
}

static void stamp_is_true(const struct column *c)
{
    for (size_t i = 0; i < c->n; i++) {
        assert_in_range(c->v[i].n, c->stamp.min_len, c->stamp.max_len);
        for (size_t k = 0; k < c->v[i].n; k++)
            assert_true((slot_class_of[(uint8_t)c->v[i].p[k]] & c->stamp.classes) != 0);
        for (size_t k = 1; c->stamp.pairs != NULL && k < c->v[i].n; k++)
            assert_true(
                slot_has_pair(c->stamp.pairs, (uint8_t)c->v[i].p[k - 1], (uint8_t)c->v[i].p[k]));
        if (c->stamp.kind == SLOT_INT) {
            uint64_t number;
            assert_true(str_to_u64(c->v[i], &number));
            assert_true(number >= c->stamp.min && number <= c->stamp.max);
        }
    }
}

/* Lengths without values, and codes for them. */
static void check_codes(const struct column *c, const struct slot_stamp *s, struct str bytes,
                        struct arena *a)
{
    uint32_t *length = arena_alloc(a, c->n * sizeof(*length));
    struct slot_codes codes = {.n = 0};
    struct err err;
    int r;

    if (slot_lengths_add(s, bytes, c->n, a, length, &err) < 0)
        fail_msg("lengths of kind %d: %s", s->kind, err.text);
    for (size_t i = 0; i < c->n; i++)
        assert_int_equal(length[i], c->v[i].n);
    r = slot_codes_open(s, bytes, c->n, a, &codes, &err);
    if (r < 0)
        fail_msg("codes of kind %d: %s", s->kind, err.text);
    assert_true(r == 0 || s->kind != SLOT_INT);
    for (size_t i = 0; r == 0 && i < c->n; i++) {
        char room[SLOT_CODE_ROOM];
        struct str got = slot_codes_text(&codes, i, room);
        if (!str_eq(got, c->v[i]))
            fail_msg("kind %d, code of value %zu: '%.*s' is not '%.*s'", s->kind, i, STR_ARG(got),
                     STR_ARG(c->v[i]));
        if (i > 0) /* and the other way round */
            assert_int_equal(codes.v[i] == codes.v[i - 1], str_eq(c->v[i], c->v[i - 1]));
    }
}

/* Encode; stamp and values come back through bytes of exactly their size. */
static void round_trip(struct column *c, bool small)
{
    struct arena *a = arena_new(NULL, 0);
    uint8_t pairs[SLOT_PAIRS];
    struct slot_stamp stamp;
    struct slot_view v;
    struct buf plan;
    struct str in;
    struct err err;
    char *exact;

    buf_clear(&c->out);
    buf_add_z(&c->out, "before");
    slot_encode(c->e, c->v, c->n, small, &c->out, &c->stamp);
    assert_int_equal(c->out.n, 6 + c->stamp.bytes);
    if (slot_pairs(&c->stamp, str_from(buf_str(&c->out), 6), c->n, pairs))
        c->stamp.pairs = pairs;
    stamp_is_true(c);
    buf_init(&plan, 4 << 20);
    slot_stamp_put(&plan, &c->stamp);
    buf_add_char(&plan, '!');
    in = buf_str(&plan);
    assert_int_equal(slot_stamp_take(&in, &stamp, &err), 0);
    check_str(in, "!");
    assert_true(same_stamp(&stamp, &c->stamp));
    exact = bytes_exact(str_from(buf_str(&c->out), 6));
    if (slot_open(&stamp, (struct str){exact, stamp.bytes}, c->n, a, &v, &err) < 0)
        fail_msg("kind %d: %s", stamp.kind, err.text);
    assert_int_equal(v.n, c->n);
    for (size_t i = 0; i < c->n; i++) {
        char room[SLOT_ROOM];
        struct str got = slot_value(&v, i, room);
        if (!str_eq(got, c->v[i]))
            fail_msg("kind %d, value %zu: '%.*s' is not '%.*s'", stamp.kind, i, STR_ARG(got),
                     STR_ARG(c->v[i]));
        assert_int_equal(slot_value_bytes(&v, i), c->v[i].n);
    }
    check_codes(c, &stamp, (struct str){exact, stamp.bytes}, a);
    for (size_t k = 0; k < PICKS + PICKS_RANDOM; k++) {
        size_t i = k < PICKS ? (c->n - 1) * k / (PICKS - 1) : rnd() % c->n;
        struct slot_place at = {{exact, stamp.bytes}, c->n, i, NULL};
        struct str got = STR_NULL;
        if (slot_pick(&stamp, &at, a, &got, &err) < 0)
            fail_msg("kind %d, value %zu alone: %s", stamp.kind, at.i, err.text);
        if (!str_eq(got, c->v[at.i]))
            fail_msg("kind %d, value %zu alone: '%.*s' is not '%.*s'", stamp.kind, at.i,
                     STR_ARG(got), STR_ARG(c->v[at.i]));
    }
    free(exact);
    buf_fini(&plan);
    arena_free(&a);
}

/* ---- shapes ---- */

static void add_bytes(struct column *c, size_t n, unsigned from, unsigned count)
{
    char *p = arena_bytes(c->a, n + 1);

    for (size_t i = 0; i < n; i++)
        p[i] = (char)(from + rnd() % count);
    c->v[c->n++] = (struct str){p, n};
}

/* What looks like a number and is none, or is one only just. */
static const char *const NEAR_NUMBERS[] = {
    "",
    "0",
    "00",
    "-0",
    "+5",
    "05",
    "5",
    "1e5",
    "0x1f",
    "9",
    "10",
    "18446744073709551614",
    "18446744073709551615",
    "18446744073709551616",
    "9223372036854775807",
    "9223372036854775808",
    "99999999999999999999",
    "100000000000000000000",
    "00000000000000000001",
    "1234567a",
    "a1234567",
    "12345678",
    "123456789",
    " 1",
    "1 ",
    "1.0",
};
enum { NEAR = sizeof(NEAR_NUMBERS) / sizeof(*NEAR_NUMBERS) };

enum { SHAPES = 28 };
static void add_shape(struct column *c, unsigned shape, uint64_t *at)
{
    static const char *const WORDS[] = {"alpha", "beta", "gamma", "delta", ""};

    switch (shape) {
    case 0:
        add(c, "%" PRIu64, rnd() >> rnd() % 64);
        break;
    case 1:
        add(c, "%03" PRIu64, rnd() % 1000);
        break;
    case 2:
        add(c, "%" PRIu64, *at += rnd() % 100);
        break;
    case 3:
        add(c, "%" PRIu64, *at += 1000);
        break;
    case 4:
        add(c, "%" PRIu64, UINT64_MAX - rnd() % 3);
        break;
    case 5:
        add(c, "%s", NEAR_NUMBERS[rnd() % NEAR]);
        break;
    case 6:
        add(c, "%s", WORDS[rnd() % 5]);
        break;
    case 7:
        add_bytes(c, rnd() % 40, 0, 256);
        break;
    case 8:
        add_bytes(c, 16, 'a', 6);
        break;
    case 9:
        add(c, "%016" PRIx64, rnd());
        break;
    case 10:
        add(c, "%08" PRIX64 "-%04" PRIX64 "-%04" PRIX64 "-%012" PRIX64, rnd() >> 32, rnd() >> 48,
            rnd() >> 48, rnd() >> 16);
        break;
    case 11:
        add(c, "%07" PRIx64, rnd() >> 36);
        break;
    case 12:
        add(c, rnd() % 2 == 0 ? "%016" PRIx64 : "%016" PRIX64, rnd());
        break;
    case 13:
        add(c, "10.%" PRIu64 ".%" PRIu64 ".%" PRIu64, rnd() % 2, rnd() % 256, rnd() % 256);
        break;
    case 14:
        add(c, "2016-09-08T04:%02" PRIu64 ":%02" PRIu64 ".%03" PRIu64 "Z", rnd() % 60, rnd() % 60,
            rnd() % 1000);
        break;
    case 15:
        add(c, "%" PRIu64 ".%02" PRIu64, rnd() % 30, rnd() % 100);
        break;
    case 16:
        add(c, rnd() % 2 == 0 ? "a-%" PRIu64 "-b" : "a-%02" PRIu64 "-b", rnd() % 12);
        break;
    case 17:
        add(c, "%s", rnd() % 500 == 0 ? "-" : "17");
        break;
    case 18:
        add(c, rnd() % 1000 == 0 ? "-" : "%" PRIu64, rnd() % 5000);
        break;
    case 19:
        add_bytes(c, rnd() % 3, '0', 2);
        break;
    case 20:
        add(c, "%" PRIu64, 200 + rnd() % 4 * 100);
        break;
    case 21:
        add(c, "%" PRIu64, UINT64_C(1074150032) + rnd() % 40 * 1000003);
        break;
    case 22:
        add(c, "/srv/data/%" PRIu64 "/file-%" PRIu64 ".log", rnd() % 10, rnd() % 100);
        break;
    case 23:
        add(c, "%020" PRIu64, rnd() >> rnd() % 64);
        break;
    case 24:
        add(c, "%" PRIu64 "ms", rnd() % 100000);
        break;
    case 25:
        add(c, "%04" PRIx64 "-%04" PRIx64, rnd() >> 48, c->n == 77 ? 0x12345 : rnd() >> 48);
        break;
    case 26:
        add(c,
            rnd() % 4 == 0   ? "/login"
            : rnd() % 2 == 0 ? "/v1/a/%" PRIu64
                             : "/v1/%" PRIu64 "/b",
            rnd() >> rnd() % 64);
        break;
    default:
        add_shape(c, (unsigned)(rnd() % (SHAPES - 1)), at);
    }
}

static void every_value_comes_back(void **state)
{
    struct column *c = *state;

    for (unsigned round = 0; round < 20 * SHAPES; round++) {
        size_t n = round < 8 * SHAPES ? 1 + rnd() % 70 : 1 + rnd() % N_MAX;
        uint64_t at = rnd() >> rnd() % 64;
        clear(c);
        while (c->n < n)
            add_shape(c, round % SHAPES, &at);
        round_trip(c, round / SHAPES % 2 == 0);
    }
}

static void one_exception_in_many_comes_back(void **state)
{
    static const char *const ODD[] = {"", "-", "00", "x", "18446744073709551616", "G", "::"};
    struct column *c = *state;

    for (unsigned round = 0; round < 6 * SHAPES; round++) {
        size_t where = rnd() % 1000;
        uint64_t at = 17;
        clear(c);
        while (c->n < 1000) {
            if (c->n == where)
                add(c, "%s", ODD[rnd() % 7]);
            else
                add_shape(c, round % SHAPES, &at);
        }
        round_trip(c, round % 2 == 0);
    }
}

static void values_of_a_mebibyte_come_back(void **state)
{
    struct column *c = *state;

    for (unsigned few = 0; few < 2; few++) {
        clear(c);
        for (unsigned i = 0; i < 9; i++) {
            if (few == 1 && i > 2)
                c->v[c->n++] = c->v[i % 2];
            else
                add_bytes(c, 1 << 20, '0', few == 0 ? 256 : 10);
        }
        round_trip(c, false);
    }
}

/* ---- which kind ---- */

static enum slot_kind kind_of(struct column *c)
{
    round_trip(c, false);
    return c->stamp.kind;
}

static void equal_values_take_no_bytes(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 50; i++)
        add(c, "same");
    assert_int_equal(kind_of(c), SLOT_CONST);
    assert_int_equal(c->stamp.bytes, 0);
    check_str(c->stamp.constant, "same");
    add(c, "samf");
    assert_int_equal(kind_of(c), SLOT_DICT);
}

/* Few words have few pairs, and what is not among them is not stamped; noise has no stamp. */
static void pairs_of_words_are_few(void **state)
{
    struct column *c = *state;
    uint8_t pairs[SLOT_PAIRS];
    bool has_all = true;

    clear(c);
    for (unsigned i = 0; i < 500; i++)
        add(c, "/api/v1/%s/%c-%c-%u", i % 3 == 0 ? "orders" : "items", (char)('g' + i % 19),
            (char)('g' + i / 25), i % 10);
    buf_clear(&c->out);
    slot_encode(c->e, c->v, c->n, false, &c->out, &c->stamp);
    assert_int_equal(c->stamp.kind, SLOT_TEXT);
    assert_true(slot_pairs(&c->stamp, buf_str(&c->out), c->n, pairs));
    assert_true(slot_has_pair(pairs, 'o', 'r'));
    for (const char *z = "nosuchtextanywhere"; z[1] != '\0'; z++)
        has_all = has_all && slot_has_pair(pairs, (uint8_t)z[0], (uint8_t)z[1]);
    assert_false(has_all);
    clear(c);
    for (unsigned i = 0; i < 100; i++)
        add_bytes(c, 60 + i % 3, ' ', 90);
    buf_clear(&c->out);
    slot_encode(c->e, c->v, c->n, false, &c->out, &c->stamp);
    assert_int_equal(c->stamp.kind, SLOT_TEXT);
    assert_false(slot_pairs(&c->stamp, buf_str(&c->out), c->n, pairs));
}

static void leading_zeros_are_numbers_of_one_width_only(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 60; i++)
        add(c, "%02u", i);
    assert_int_equal(kind_of(c), SLOT_INT);
    assert_int_equal(c->stamp.width, 2);
    assert_int_equal(c->stamp.max, 59);
    add(c, "100");
    assert_int_not_equal(kind_of(c), SLOT_INT);
    clear(c);
    for (unsigned i = 0; i < 101; i++)
        add(c, "%u", i);
    assert_int_equal(kind_of(c), SLOT_INT);
    assert_int_equal(c->stamp.width, 0);
    assert_int_equal(c->stamp.max_len, 3);
}

static void numbers_end_at_64_bits(void **state)
{
    struct column *c = *state;

    clear(c);
    add(c, "18446744073709551615");
    add(c, "0");
    assert_int_equal(kind_of(c), SLOT_INT);
    assert_true(c->stamp.max == UINT64_MAX);
    add(c, "18446744073709551616");
    assert_int_not_equal(kind_of(c), SLOT_INT);
}

static void steady_numbers_take_a_few_bytes(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 2000; i++)
        add(c, "%u", 1700000000 + i * 250);
    assert_int_equal(kind_of(c), SLOT_INT);
    assert_true(c->stamp.bytes < 16);
}

static void random_numbers_take_their_bits(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 2000; i++)
        add(c, "%" PRIu64, 4096 + rnd() % 1024);
    assert_int_equal(kind_of(c), SLOT_INT);
    assert_in_range(c->stamp.bytes, 2500, 2510);
}

static void a_dictionary_is_sorted(void **state)
{
    static const char *const WORDS[] = {"prefix-zz", "prefix-abcdefghi", "prefix-abcdefgh",
                                        "prefix-", "prefix-abcdefghj"};
    struct column *c = *state;
    struct slot_view v;
    struct err err;

    clear(c);
    for (unsigned i = 0; i < 40; i++)
        add(c, "%s", WORDS[i % 5]);
    assert_int_equal(kind_of(c), SLOT_DICT);
    assert_int_equal(slot_open(&c->stamp, str_from(buf_str(&c->out), 6), c->n, c->a, &v, &err), 0);
    assert_int_equal(v.kind, SLOT_VIEW_DICT);
    assert_int_equal(v.n_entries, 5);
    for (size_t i = 1; i < v.n_entries; i++)
        assert_true(str_cmp(v.entry[i - 1], v.entry[i]) < 0);
}

/* Words of which each comes three times are a dictionary, but not those of which most come once. */
static void texts_that_come_again_are_a_dictionary(void **state)
{
    struct column *c = *state;

    for (unsigned different = 1000; different <= 2500; different += 1500) {
        clear(c);
        for (unsigned i = 0; i < 3000; i++) {
            unsigned k = (unsigned)(rnd() % different);
            add(c, "/%s/%c%c%c", k % 3 == 0 ? "orders" : "items", (char)('g' + k % 20),
                (char)('g' + k / 20 % 20), (char)('g' + k / 400));
        }
        assert_int_equal(kind_of(c), different == 1000 ? SLOT_DICT : SLOT_TEXT);
    }
}

static void hex_digits_take_half(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 200; i++)
        add(c, "%08" PRIx64 "-%04" PRIx64 "-%04" PRIx64, rnd() >> 32, rnd() >> 48, rnd() >> 48);
    assert_int_equal(kind_of(c), SLOT_HEX);
    assert_in_range(c->stamp.bytes, 200 * 8, 200 * 8 + 8);
    add(c, "%s", "0123456-8-9abc-def0"); /* another dash */
    assert_int_not_equal(kind_of(c), SLOT_HEX);
    c->n--;
    add(c, "%s", "01234567-89aB-cdef"); /* another case */
    assert_int_not_equal(kind_of(c), SLOT_HEX);
    clear(c);
    for (unsigned i = 0; i < 200; i++)
        add(c, "%07" PRIX64, rnd() >> 36);
    assert_int_equal(kind_of(c), SLOT_HEX);
}

static void numbers_between_the_same_text_are_columns(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 200; i++)
        add(c, "%u.%u.%u.%u:80", 10u, 20u, i, 200 - i);
    assert_int_equal(kind_of(c), SLOT_PATTERN);
    assert_true(c->stamp.bytes < 80);
    add(c, "10.20.30.40:");
    assert_int_not_equal(kind_of(c), SLOT_PATTERN);
    clear(c);
    for (unsigned i = 0; i < 200; i++)
        add(c, i % 3 == 0 ? "%u.%u" : "%u.0%u", i, i);
    assert_int_equal(kind_of(c), SLOT_PATTERN);
    clear(c);
    for (unsigned i = 0; i < 200; i++)
        add(c, "sha256:%016" PRIx64 ";", rnd());
    assert_int_equal(kind_of(c), SLOT_PATTERN);
    assert_in_range(c->stamp.bytes, 200 * 8, 200 * 8 + 32);
}

/* What all begin with and what all end with may be the same bytes of the shortest. */
static void a_common_beginning_and_end_may_meet(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 64; i++)
        add(c, i == 40 ? "ababab" : "ababab%uZb%uababab", i, i * 7);
    round_trip(c, false);
    clear(c);
    for (unsigned i = 0; i < 64; i++)
        add(c, i == 40 ? "x::x" : "x::%08" PRIx64 "::x", rnd() >> 32);
    round_trip(c, false);
}

/* Columns of the same shape have the same code for the same value, however large they are. */
static void codes_are_those_of_other_columns(void **state)
{
    struct column *c = *state;
    struct arena *a = arena_new(NULL, 0);
    struct slot_codes of[2] = {{.n = 0}, {.n = 0}};
    struct buf bytes[2];
    struct err err;

    for (unsigned k = 0; k < 2; k++) {
        clear(c);
        for (unsigned i = 0; i < 2000; i++)
            add(c, "10.1.%u.%u:443", (i * 7919 + 31 * k) % 199, (i * 31 + k) % 251);
        buf_init(&bytes[k], 1 << 20);
        slot_encode(c->e, c->v, c->n, false, &bytes[k], &c->stamp);
        assert_int_equal(c->stamp.kind, SLOT_PATTERN);
        assert_int_equal(slot_codes_open(&c->stamp, buf_str(&bytes[k]), c->n, a, &of[k], &err), 0);
    }
    assert_true(str_eq(of[0].shape, of[1].shape));
    for (size_t i = 0; i < 2000; i++)
        for (size_t j = 0; j < 2000; j += 97) {
            char room[2][SLOT_CODE_ROOM];
            assert_int_equal(of[0].v[i] == of[1].v[j], str_eq(slot_codes_text(&of[0], i, room[0]),
                                                              slot_codes_text(&of[1], j, room[1])));
        }
    buf_fini(&bytes[0]);
    buf_fini(&bytes[1]);
    arena_free(&a);
}

/* No writer cuts values as long as this one into columns; who does gets texts, not parts of them.
 */
static void codes_do_not_lose_a_long_beginning(void **state)
{
    struct column *c = *state;
    struct slot_codes codes = {.n = 0};
    struct slot_stamp s;
    struct slot_view v;
    char room[SLOT_ROOM];
    struct buf b;
    struct err err;

    clear(c);
    for (unsigned i = 0; i < 300; i++)
        add(c, "P%u", 1000000 + i * 7919);
    buf_clear(&c->out);
    slot_encode(c->e, c->v, c->n, false, &c->out, &c->stamp);
    assert_int_equal(c->stamp.kind, SLOT_PATTERN);
    assert_memory_equal(c->out.p, "\5\1\1P", 4); /* one column, behind one byte */
    buf_init(&b, 1 << 20);
    buf_add_str(&b, bytes(c->a, "05 01 ac02"));
    buf_add_str(&b, bytes_repeat(c->a, STR("x"), 300));
    buf_add_str(&b, str_from(buf_str(&c->out), 4));
    s = c->stamp;
    s.bytes = (uint32_t)b.n;
    s.min_len += 299;
    s.max_len += 299;
    assert_int_equal(slot_open(&s, buf_str(&b), c->n, c->a, &v, &err), 0);
    assert_int_equal(slot_value(&v, 0, room).n, 307);
    assert_int_equal(slot_codes_open(&s, buf_str(&b), c->n, c->a, &codes, &err), 1);
    buf_fini(&b);
}

static void newlines_in_values_come_back(void **state)
{
    struct column *c = *state;

    clear(c);
    for (unsigned i = 0; i < 64; i++)
        add(c, "line %c%u\n%s", (char)('a' + i), i, i % 2 == 0 ? "\n" : "");
    round_trip(c, false);
}

/* ---- hostile bytes ---- */

/* Whatever opens can be read to its end and keeps to its stamp. */
static void open_and_read(const struct slot_stamp *s, struct str bytes, size_t n)
{
    struct mem_budget budget = {.name = "test", .limit = 4 << 20};
    struct arena *a = arena_new(&budget, 0);
    char *exact = bytes_exact(bytes);
    struct slot_view v;
    struct err err;
    int r = slot_open(s, (struct str){exact, bytes.n}, n, a, &v, &err);

    if (r < 0)
        assert_true(r == ERR_CORRUPT || r == ERR_NOMEM || r == ERR_LIMIT);
    for (size_t i = 0; r == 0 && i < n; i++) {
        char room[SLOT_ROOM];
        struct str got = slot_value(&v, i, room);
        assert_in_range(got.n, s->min_len, s->max_len);
        assert_int_equal(got.n, slot_value_bytes(&v, i));
    }
    for (size_t k = 0; k < PICKS; k++) {
        struct slot_place at = {{exact, bytes.n}, n, (n - 1) * k / (PICKS - 1), NULL};
        struct str got = STR_NULL;
        int picked = slot_pick(s, &at, a, &got, &err);
        assert_true(picked == 0 || picked == ERR_CORRUPT || picked == ERR_NOMEM ||
                    picked == ERR_LIMIT);
        if (picked == 0)
            assert_in_range(got.n, s->min_len, s->max_len);
    }
    free(exact);
    arena_free(&a);
}

static void broken_bytes_end_in_an_error_or_in_values(void **state)
{
    struct column *c = *state;

    for (unsigned round = 0; round < 12 * SHAPES; round++) {
        size_t n = 1 + rnd() % 300;
        uint64_t at = rnd() >> rnd() % 64;
        clear(c);
        while (c->n < n)
            add_shape(c, round % SHAPES, &at);
        buf_clear(&c->out);
        slot_encode(c->e, c->v, c->n, false, &c->out, &c->stamp);
        for (unsigned flip = 0; flip < 40 && c->out.n > 0; flip++) {
            struct slot_stamp s = c->stamp;
            size_t where = flip < 20 ? flip % c->out.n : rnd() % c->out.n;
            char old = c->out.p[where];
            c->out.p[where] = (char)(old ^ (1 << rnd() % 8));
            if (flip % 4 == 0)
                s.bytes = (uint32_t)(rnd() % c->out.n);
            if (flip % 8 == 1)
                s.kind = (enum slot_kind)(rnd() % SLOT_KINDS);
            open_and_read(&s, (struct str){c->out.p, s.bytes}, flip % 4 == 2 ? 1 + rnd() % 300 : n);
            c->out.p[where] = old;
        }
    }
}

static void broken_stamps_end_in_an_error(void **state)
{
    struct column *c = *state;
    static const char *const BAD[] = {
        "",
        "ff",
        "06",                                  /* no such kind */
        "00 05 61",                            /* constant is cut */
        "01 00",                               /* no bytes */
        "01 04 05 07",                         /* no width */
        "01 04 05 07 15",                      /* 21 digits */
        "01 04 0a 05 01",                      /* 15 does not fit one digit */
        "01 04 02 ffffffffffffffffff01 00",    /* greatest wraps */
        "03 04 01",                            /* half of the classes */
        "03 04 01 00 05",                      /* one length */
        "03 04 01 00 ffffffff7f 00",           /* length of 32 GiB */
        "03 ffffffff7f 01 00 01 01",           /* column of 32 GiB */
        "03 04 01 00 01 01",                   /* nothing about pairs */
        "02 04 01 00 01 01 07 00000000000000", /* too few of them */
        "02 04 01 00 01 01 40 00",             /* they are cut */
    };

    clear(c);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        struct slot_stamp s;
        struct err err;
        struct str b = bytes(c->a, BAD[i]);
        char *exact = bytes_exact(b);
        struct str in = {exact, b.n};
        if (slot_stamp_take(&in, &s, &err) != ERR_CORRUPT)
            fail_msg("taken: %s", BAD[i]);
        free(exact);
    }
}

/* Columns that no writer makes.  A stamp's bytes are set to what is there. */
static void crafted_columns_are_refused(void **state)
{
    static const struct {
        const char *stamp, *bytes;
        size_t n;
        const char *why;
    } BAD[] = {
        {"02 01 0100 01 00 00", "01 01 00 00 '0'", 1, "id outside of the dictionary"},
        {"02 01 0100 01 00 00", "02 00 00 00 00 00 '00'", 1, "size of the dictionary"},
        {"02 01 0100 01 00 00", "01 00 00", 3, "ids are cut"},
        {"03 01 0100 01 00 00", "00 02 01 '0' 'x'", 1, "a length outside of its stamp"},
        {"03 01 0100 00 09 00", "00 02 01 '0'", 1, "a length outside of its stamp"},
        {"03 01 0100 00 09 00", "00 02 01 '000'", 1, "bytes behind the text"},
        {"03 01 0100 01 00 00", "03 '1' 0a '2'", 2, "a line is cut"},
        {"03 01 0100 00 01 00", "03 '1' 0a 0a 0a", 2, "bytes behind the lines"},
        {"03 01 0100 00 02 00", "03 '12' 0a", 2, "a length outside of its stamp"},
        {"03 01 0100 00 02 00", "03 '1'", 2, "too little or too much text"},
        {"04 01 0100 02 00", "04 00 00", 1, "digits are cut"},
        {"04 01 0100 02 00", "04 00 01 02 12", 1, "places of dashes"},
        {"04 01 0100 03 00", "04 00 02 01 01 10", 1, "places of dashes"},
        {"04 01 0100 03 00", "04 00 09 01 01 10", 1, "flags or dashes"},
        {"04 01 0100 02 00", "04 04 00 12", 1, "flags or dashes"},
        {"04 01 0100 01 01", "04 00 00 12", 1, "hex digits of more than one length"},
        {"05 01 0100 01 00 00", "05 00 00 00 01 '1'", 1, "number of slots"},
        {"05 01 0100 01 00 00", "05 11 00 00 01 '1'", 1, "number of slots"},
        {"05 01 0100 01 00 00", "05 01 05 'ab' 00", 1, "a piece is cut"},
        {"05 01 0100 03 00 00", "05 01 00 00 00 01 '1'", 1, "a length outside of its stamp"},
        {"05 01 0100 01 00 00", "05 01 00 00 00 01 '1' '2'", 1, "bytes behind the columns"},
        {"05 01 0100 01 00 00", "05 01 00 00 01 09 00 00 00 10", 1, "a column is cut"},
        {"05 01 0100 01 00 00", "05 01 00 00 05 07 0100 01 00 00 05 01 00 00 00 01 '1'", 1,
         "a pattern in a pattern"},
        {"01 01 00 01 00", "02 01 00 00 00", 1, "width of the ids"},
        {"01 01 00 01 00", "12 01 00 12 01 00 00", 1, "a dictionary in a dictionary"},
        {"01 01 00 01 00", "90 00 01 000000000000000000", 1, "more than eight planes"},
        {"01 01 00 01 00", "10 00 01 00", 2, "planes are cut"},
        {"01 01 00 01 00", "07 00 01 00", 2, "unknown way"},
        {"01 01 00 01 00", "08 08 00 01 00 00", 2, "bits of the top"},
        {"01 01 00 01 00", "08 00 00 01 00 00", 2, "bits of the top"},
        {"01 01 00 01 00", "1a 01 01 00 00 01 00", 1, "bits of the top"},
        {"01 01 00 01 00", "08 01 00 01 00", 2, "top bits are cut"},
        {"01 01 00 01 00", "88 01 00 01 0000000000000000 00 00", 1, "more than eight planes"},
        {"01 01 00 01 00", "10 00 01 00 00", 1, "bytes behind the numbers"},
    };
    struct column *c = *state;

    clear(c);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(*BAD); i++) {
        struct str plan = bytes(c->a, BAD[i].stamp);
        struct str b = bytes(c->a, BAD[i].bytes);
        char *exact = bytes_exact(b);
        struct slot_stamp s;
        struct slot_view v;
        struct err err;
        assert_int_equal(slot_stamp_take(&plan, &s, &err), 0);
        s.bytes = (uint32_t)b.n;
        if (slot_open(&s, (struct str){exact, b.n}, BAD[i].n, c->a, &v, &err) != ERR_CORRUPT)
            fail_msg("opened: %s", BAD[i].bytes);
        if (!str_ends(str_of(err.text), str_of(BAD[i].why)))
            fail_msg("%s: %s instead of %s", BAD[i].bytes, err.text, BAD[i].why);
        s.bytes++;
        assert_int_equal(slot_open(&s, (struct str){exact, b.n}, BAD[i].n, c->a, &v, &err),
                         ERR_CORRUPT);
        free(exact);
    }
}

/* A constant of 1 MiB for each of 300 values is more than a column may be. */
static void a_pattern_does_not_explode(void **state)
{
    struct column *c = *state;
    struct slot_stamp s = {.kind = SLOT_PATTERN, .max_len = 1 << 30};
    struct slot_view v;
    struct err err;
    struct buf b;

    clear(c);
    buf_init(&b, 4 << 20);
    buf_add_str(&b, bytes(c->a, "05 01 00 00 00 808040"));
    buf_add_str(&b, bytes_repeat(c->a, STR("x"), 1 << 20));
    s.bytes = (uint32_t)b.n;
    assert_int_equal(slot_open(&s, buf_str(&b), 2, c->a, &v, &err), 0);
    assert_int_equal(slot_open(&s, buf_str(&b), 300, c->a, &v, &err), ERR_CORRUPT);
    check_str(str_of(err.text), "pattern slot: too much text");
    buf_fini(&b);
}

static void numbers_outside_of_their_stamp_are_refused(void **state)
{
    struct column *c = *state;
    struct slot_stamp s;
    struct slot_view v;
    struct err err;

    clear(c);
    add(c, "17");
    add(c, "905");
    buf_clear(&c->out);
    slot_encode(c->e, c->v, c->n, false, &c->out, &c->stamp);
    s = c->stamp;
    assert_int_equal(slot_open(&s, buf_str(&c->out), 2, c->a, &v, &err), 0);
    s.max = 904;
    assert_int_equal(slot_open(&s, buf_str(&c->out), 2, c->a, &v, &err), ERR_CORRUPT);
    s = c->stamp;
    s.min = 18;
    assert_int_equal(slot_open(&s, buf_str(&c->out), 2, c->a, &v, &err), ERR_CORRUPT);
    assert_int_equal(slot_open(&c->stamp, buf_str(&c->out), 0, c->a, &v, &err), ERR_CORRUPT);
}

#define COLUMN_TEST(f) cmocka_unit_test_setup_teardown(f, column_setup, column_teardown)

CHECK_MAIN(COLUMN_TEST(every_value_comes_back), COLUMN_TEST(one_exception_in_many_comes_back),
           COLUMN_TEST(values_of_a_mebibyte_come_back), COLUMN_TEST(equal_values_take_no_bytes),
           COLUMN_TEST(pairs_of_words_are_few),
           COLUMN_TEST(leading_zeros_are_numbers_of_one_width_only),
           COLUMN_TEST(numbers_end_at_64_bits), COLUMN_TEST(steady_numbers_take_a_few_bytes),
           COLUMN_TEST(random_numbers_take_their_bits), COLUMN_TEST(a_dictionary_is_sorted),
           COLUMN_TEST(texts_that_come_again_are_a_dictionary), COLUMN_TEST(hex_digits_take_half),
           COLUMN_TEST(numbers_between_the_same_text_are_columns),
           COLUMN_TEST(a_common_beginning_and_end_may_meet),
           COLUMN_TEST(codes_are_those_of_other_columns),
           COLUMN_TEST(codes_do_not_lose_a_long_beginning),
           COLUMN_TEST(newlines_in_values_come_back), COLUMN_TEST(crafted_columns_are_refused),
           COLUMN_TEST(a_pattern_does_not_explode),
           COLUMN_TEST(broken_bytes_end_in_an_error_or_in_values),
           COLUMN_TEST(broken_stamps_end_in_an_error),
           COLUMN_TEST(numbers_outside_of_their_stamp_are_refused))
