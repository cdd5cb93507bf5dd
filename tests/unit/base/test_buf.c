/* base/buf.c: all or nothing, up to the maximum. */
#include "base/buf.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

static void grows_to_exactly_its_maximum(void **state)
{
    struct buf b;
    struct err err;

    (void)state;
    buf_init(&b, 1000);
    for (int i = 0; i < 1000; i++)
        buf_add_char(&b, 'x');
    assert_int_equal(b.n, 1000);
    assert_int_equal(buf_err(&b, "body", &err), 0);
    buf_add_char(&b, 'y');
    assert_int_equal(b.n, 1000);
    assert_int_equal(buf_err(&b, "body", &err), ERR_LIMIT);
    assert_string_equal(err.text, "body is over 1000 bytes");
    assert_true(b.cap <= 1000);
    buf_fini(&b);
}

static void what_does_not_fit_adds_nothing_from_then_on(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 10);
    buf_add_z(&b, "12345");
    buf_add_z(&b, "123456");
    buf_add_z(&b, "1"); /* would fit, but a piece before it is missing */
    check_str(buf_str(&b), "12345");
    assert_true(b.over);
    buf_clear(&b);
    buf_add_str(&b, STR("1234567890"));
    assert_false(b.over);
    check_str(buf_str(&b), "1234567890");
    buf_fini(&b);
}

static void prints_up_to_the_last_byte(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    buf_addf(&b, "%98d|", 7);
    buf_addf(&b, "%s", "z");
    assert_int_equal(b.n, 100);
    assert_false(b.over);
    buf_addf(&b, "%s", "");
    assert_false(b.over);
    buf_addf(&b, "%s", "q");
    assert_true(b.over);
    assert_int_equal(b.n, 100);
    assert_memory_equal(b.p + 97, "7|z", 3);
    buf_fini(&b);
}

static void integers_are_printed_as_printf_does(void **state)
{
    static const int64_t some[] = {0, 9, 10, -1, -10, 1234567890, INT64_MAX, INT64_MIN};
    struct buf b;

    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < sizeof(some) / sizeof(some[0]); i++) {
        char want[32];
        (void)snprintf(want, sizeof(want), "%lld", (long long)some[i]);
        buf_clear(&b);
        buf_add_i64(&b, some[i]);
        check_str(buf_str(&b), want);
    }
    buf_fini(&b);
}

static void room_is_given_and_the_front_dropped(void **state)
{
    struct buf b;
    char *p;

    (void)state;
    buf_init(&b, 300);
    p = buf_room(&b, 200);
    assert_non_null(p);
    memcpy(p, "abcdef", 6);
    b.n = 6;
    buf_drop(&b, 4);
    check_str(buf_str(&b), "ef");
    assert_null(buf_room(&b, 299));
    assert_true(b.over);
    buf_fini(&b);
    assert_null(b.p);
}

static void empty_pieces_need_no_memory(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 0);
    buf_add(&b, NULL, 0);
    buf_add_str(&b, STR_NULL);
    assert_null(b.p);
    assert_false(b.over);
    buf_fini(&b);
}

CHECK_MAIN(cmocka_unit_test(grows_to_exactly_its_maximum),
           cmocka_unit_test(what_does_not_fit_adds_nothing_from_then_on),
           cmocka_unit_test(prints_up_to_the_last_byte),
           cmocka_unit_test(integers_are_printed_as_printf_does),
           cmocka_unit_test(room_is_given_and_the_front_dropped),
           cmocka_unit_test(empty_pieces_need_no_memory))
