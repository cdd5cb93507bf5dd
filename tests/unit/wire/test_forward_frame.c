/* Where a message ends: resumable, linear, and no claim believed. */
#include "wire/forward_parse.h"

#include "tests/lib/bytes.h"
#include "tests/lib/check.h"

#include <stdlib.h>
#include <string.h>

static struct arena *arena;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(NULL, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static int scan(struct str s, const struct forward_limits *limits, size_t *n)
{
    struct forward_frame f = {0};
    char *exact = bytes_exact(s);
    struct err err;
    int r = forward_frame_scan(&f, (struct str){exact, s.n}, limits, n, &err);

    free(exact);
    return r;
}

/* Whole; cut at every byte; and fed byte by byte, in a copy of exactly that size each time. */
static void is_one_value(const char *text)
{
    struct str s = bytes(arena, text), more = bytes_join(arena, s, STR("\xc1\xc1"));
    struct forward_frame f = {0};
    struct err err;
    size_t n, i;

    assert_int_equal(scan(s, NULL, &n), 0);
    assert_int_equal(n, s.n);
    assert_int_equal(scan(more, NULL, &n), 0); /* what stands behind is not looked at */
    assert_int_equal(n, s.n);
    for (i = 0; i < s.n; i++) {
        char *exact = bytes_exact(str_sub(s, 0, i));
        assert_int_equal(forward_frame_scan(&f, (struct str){exact, i}, NULL, &n, &err), 1);
        free(exact);
        assert_true(n > i && n <= s.n);
    }
    assert_int_equal(forward_frame_scan(&f, s, NULL, &n, &err), 0);
    assert_int_equal(n, s.n);
}

static void every_kind_of_head_is_measured(void **state)
{
    static const char *const kinds[] = {
        "00",
        "7f",
        "e0",
        "c0",
        "c2",
        "c3",
        "cc 80",
        "cd 01 00",
        "ce 00 01 00 00",
        "cf 00 00 00 01 00 00 00 00",
        "d0 80",
        "d1 80 00",
        "d2 80 00 00 00",
        "d3 80 00 00 00 00 00 00 00",
        "ca 00 00 00 00",
        "cb 00 00 00 00 00 00 00 00",
        "a0",
        "a3 'abc'",
        "d9 03 'abc'",
        "da 00 03 'abc'",
        "db 00 00 00 03 'abc'",
        "c4 03 'abc'",
        "c5 00 03 'abc'",
        "c6 00 00 00 03 'abc'",
        "d4 05 'a'",
        "d5 05 'ab'",
        "d6 05 'abcd'",
        "d7 00 'abcdefgh'",
        "d8 05 'abcdefghabcdefgh'",
        "c7 03 05 'abc'",
        "c8 00 03 05 'abc'",
        "c9 00 00 00 03 05 'abc'",
        "90",
        "92 01 02",
        "dc 00 02 01 02",
        "dd 00 00 00 02 01 02",
        "80",
        "81 01 02",
        "de 00 01 01 02",
        "df 00 00 00 01 01 02",
        "93 91 91 c0 82 a1 'a' 93 01 02 03 a1 'b' 80 dc 00 00",
    };
    size_t i;
    (void)state;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        is_one_value(kinds[i]);
}

static void bytes_measured_are_not_read_again(void **state)
{
    struct str s = bytes_repeat(arena, STR("\x93\x01\xa3xyz\x81\xa1k\x02"), 2000), all;
    struct forward_frame f = {0};
    struct err err;
    size_t i, n;
    char *p;
    int r = 1;
    (void)state;

    all = bytes_join(arena, STR("\xdc\x07\xd0"), s); /* an array of 2000 */
    p = bytes_exact(all);
    for (i = 1; i <= all.n; i++) {
        r = forward_frame_scan(&f, (struct str){p, i}, NULL, &n, &err);
        memset(p, 0xc1, f.at < i ? f.at : i); /* a second look would find no msgpack */
        assert_true(r == 1 || i == all.n);
    }
    free(p);
    assert_int_equal(r, 0);
    assert_int_equal(n, all.n);
    assert_int_equal(f.values, 1 + 2000 * 6);
}

static void a_claim_that_cannot_fit_is_refused_at_its_head(void **state)
{
    static const char *const claims[] = {
        "dd 0f ff ff ff",                   /* 268 M elements */
        "df 02 00 00 01",                   /* 33 M pairs, 67 M values */
        "db ff ff ff ff",                   /* 4 GB str */
        "c6 ff ff ff ff",                   /* bin */
        "c9 ff ff ff ff 00",                /* ext */
        "93 a1 't' db 04 00 00 00",         /* 64 MiB inside a message of 64 MiB */
        "92 dd 03 ff ff ff dd 00 00 10 00", /* each alone would fit */
    };
    size_t i, n;
    (void)state;

    for (i = 0; i < sizeof(claims) / sizeof(claims[0]); i++)
        assert_int_equal(scan(bytes(arena, claims[i]), NULL, &n), ERR_LIMIT);
    assert_int_equal(scan(bytes(arena, "93 a1 't' db 03 ff ff 00"), NULL, &n), 1);
    assert_int_equal(n, 3 + 5 + 0x3ffff00 + 1);
}

static void limits_hold_to_the_byte(void **state)
{
    struct forward_limits limits = {.message_bytes = 6};
    size_t n;
    (void)state;

    assert_int_equal(scan(bytes(arena, "92 a3 'abc' c0"), &limits, &n), 0);
    assert_int_equal(scan(bytes(arena, "92 a4 'abcd' c0"), &limits, &n), ERR_LIMIT);
    assert_int_equal(scan(bytes(arena, "92 a4"), &limits, &n), ERR_LIMIT);
    assert_int_equal(scan(bytes(arena, "91 91 91 91 91"), &limits, &n), 1);
    assert_int_equal(scan(bytes(arena, "91 91 91 91 91 91"), &limits, &n), ERR_LIMIT);
    assert_int_equal(scan(bytes(arena, "91 91 91 91 cd 01"), &limits, &n), ERR_LIMIT);
}

static void depth_is_bounded(void **state)
{
    struct forward_limits deep = {.depth = 1000};
    struct str nil = STR("\xc0");
    size_t n;
    (void)state;

    assert_int_equal(scan(bytes_join(arena, bytes_repeat(arena, STR("\x91"), 16), nil), NULL, &n),
                     0);
    assert_int_equal(scan(bytes_repeat(arena, STR("\x91"), 17), NULL, &n), ERR_LIMIT);
    assert_int_equal(scan(bytes_repeat(arena, STR("\x81\xc0"), 17), NULL, &n), ERR_LIMIT);
    assert_int_equal(scan(bytes_join(arena, bytes_repeat(arena, STR("\x91"), 32), nil), &deep, &n),
                     0);
    assert_int_equal(scan(bytes_repeat(arena, STR("\x91"), 33), &deep, &n), ERR_LIMIT);
    /* 30 nested arrays of 10 M: the sum cannot fit, long before the depth is reached */
    assert_int_equal(scan(bytes_repeat(arena, bytes(arena, "dd 00 98 96 80"), 30), &deep, &n),
                     ERR_LIMIT);
}

static void what_is_no_msgpack_is_corrupt(void **state)
{
    size_t n;
    (void)state;

    assert_int_equal(scan(STR("\xc1"), NULL, &n), ERR_CORRUPT);
    assert_int_equal(scan(STR("\x92\x01\xc1"), NULL, &n), ERR_CORRUPT);
    assert_int_equal(scan(STR(""), NULL, &n), 1);
}

static void a_long_body_is_waited_for_without_being_there(void **state)
{
    struct forward_frame f = {0};
    struct str head = bytes(arena, "93 a1 't' c6 00 0f 42 40");
    struct err err;
    size_t n;
    (void)state;

    assert_int_equal(forward_frame_scan(&f, head, NULL, &n, &err), 1);
    assert_int_equal(n, head.n + 1000000 + 1); /* the body and one value more */
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(every_kind_of_head_is_measured), T(bytes_measured_are_not_read_again),
           T(a_claim_that_cannot_fit_is_refused_at_its_head), T(limits_hold_to_the_byte),
           T(depth_is_bounded), T(what_is_no_msgpack_is_corrupt),
           T(a_long_body_is_waited_for_without_being_there))
