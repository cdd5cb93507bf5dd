/* Unit tests of wire/mp_pack: bytes as they go over the wire. */
#include "wire/mp_pack.h"

#include "tests/lib/check.h"

static void texts_have_the_shortest_head(void **state)
{
    char text[300];
    msgpack_packer pk;
    struct buf b;
    (void)state;

    memset(text, 'x', sizeof(text));
    buf_init(&b, 1000);
    mp_pack_init(&pk, &b);
    mp_pack_text(&pk, STR(""));
    mp_pack_text(&pk, STR("ab"));
    check_str(buf_str(&b), "\xa0\xa2"
                           "ab");
    buf_clear(&b);
    mp_pack_text(&pk, (struct str){text, 32});
    assert_int_equal(b.n, 2 + 32);
    assert_memory_equal(b.p, "\xd9\x20", 2);
    buf_clear(&b);
    mp_pack_text(&pk, (struct str){text, sizeof(text)});
    assert_int_equal(b.n, 3 + sizeof(text));
    assert_memory_equal(b.p, "\xda\x01\x2c", 3);
    buf_fini(&b);
}

static void an_ack_may_say_more(void **state)
{
    msgpack_packer pk;
    struct buf b;
    (void)state;

    buf_init(&b, 1000);
    mp_pack_init(&pk, &b);
    mp_pack_ack(&pk, STR("t"), false);
    check_str(buf_str(&b), "\x81\xa3"
                           "ack\xa1"
                           "t");
    buf_clear(&b);
    mp_pack_ack(&pk, STR("t"), true);
    check_str(buf_str(&b), "\x82\xa3"
                           "ack\xa1"
                           "t\xa2lq");
    buf_fini(&b);
}

static void what_does_not_fit_shows_in_the_buf(void **state)
{
    msgpack_packer pk;
    struct buf b;
    (void)state;

    buf_init(&b, 6);
    mp_pack_init(&pk, &b);
    mp_pack_ack(&pk, STR("a token"), true);
    assert_true(b.over);
    assert_true(b.n <= 6);
    buf_fini(&b);
}

CHECK_MAIN(cmocka_unit_test(texts_have_the_shortest_head), cmocka_unit_test(an_ack_may_say_more),
           cmocka_unit_test(what_does_not_fit_shows_in_the_buf))
