/* Unit tests of wire/websocket: the handshake's answer, frames in and out, and what is refused. */
#include "wire/websocket.h"

#include "tests/lib/check.h"

#include <string.h>

enum { MAX = 1000 };

static void the_handshake_is_that_of_the_rfc(void **state)
{
    struct websocket_offer o = {STR("websocket"), STR("keep-alive, Upgrade"), STR("13"),
                                STR("dGhlIHNhbXBsZSBub25jZQ==")};
    char accept[WEBSOCKET_ACCEPT];
    const char *why;

    (void)state;
    assert_int_equal(websocket_accept(&o, accept, &why), 101);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    o.upgrade = STR("h2c, WebSocket");
    assert_int_equal(websocket_accept(&o, accept, &why), 101);
    o.version = STR("8");
    assert_int_equal(websocket_accept(&o, accept, &why), 426);
    assert_non_null(strstr(why, "13"));
    o.version = STR("13");
    o.upgrade = STR_NULL;
    assert_int_equal(websocket_accept(&o, accept, &why), 426);
    o.upgrade = STR("websocket");
    o.connection = STR("upgraded");
    assert_int_equal(websocket_accept(&o, accept, &why), 426);
    o.connection = STR("upgrade");
    o.key = STR("dGhlIHNhbXBsZSBub25jZQ=");
    assert_int_equal(websocket_accept(&o, accept, &why), 400);
    o.key = STR("dGhlIHNhbXBsZSBub25jZSEh"); /* 18 bytes */
    assert_int_equal(websocket_accept(&o, accept, &why), 400);
    o.key = STR("????????????????????????");
    assert_int_equal(websocket_accept(&o, accept, &why), 400);
    o.key = STR_NULL;
    assert_int_equal(websocket_accept(&o, accept, &why), 400);
}

static void what_is_put_is_read_however_it_is_cut(void **state)
{
    static const size_t SIZES[] = {0, 1, 125, 126, 127, 999, 1000};
    static const uint8_t MASK[4] = {0xde, 0xad, 0xbe, 0xef};
    char payload[MAX];
    struct buf b;

    (void)state;
    for (size_t i = 0; i < MAX; i++)
        payload[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof(SIZES) / sizeof(SIZES[0]); i++) {
        for (size_t step = 1; step < 2000; step = step * 3 + 1) {
            struct websocket_reader *r = websocket_reader_new(i % 2 == 0, MAX);
            struct websocket_message m = {.op = WEBSOCKET_CLOSE};
            struct str want = {payload, SIZES[i]};
            struct str in;
            struct err err;
            int e = 1;

            buf_init(&b, 1 << 16);
            websocket_put(&b, WEBSOCKET_TEXT, want, i % 2 == 0 ? MASK : NULL);
            buf_add_z(&b, "next");
            for (size_t at = 0; e == 1 && at < b.n; at += step) {
                in = str_sub(buf_str(&b), at, step);
                e = websocket_reader_next(r, &in, &m, &err);
                if (e == 0)
                    assert_ptr_equal(in.p, b.p + b.n - 4); /* the rest is the next frame's */
            }
            assert_int_equal(e, 0);
            assert_int_equal(m.op, WEBSOCKET_TEXT);
            assert_true(str_eq(m.payload, want));
            websocket_reader_free(&r);
            buf_fini(&b);
        }
    }
}

/* Feed byte by byte; the first message or error, else 1. */
static int read_bytes(struct websocket_reader *r, const char *bytes, size_t n,
                      struct websocket_message *m, size_t *ret_used)
{
    struct err err;
    int e = 1;

    for (*ret_used = 0; e == 1 && *ret_used < n; (*ret_used)++) {
        struct str one = {bytes + *ret_used, 1};
        e = websocket_reader_next(r, &one, m, &err);
        if (e >= 0)
            assert_int_equal(one.n, 0);
    }
    return e;
}

static void fragments_are_joined_with_pings_between_them(void **state)
{
    static const char BYTES[] = "\x01\x02"
                                "ab"
                                "\x89\x01"
                                "!"
                                "\x00\x02"
                                "cd"
                                "\x80\x00";
    struct websocket_reader *r = websocket_reader_new(false, MAX);
    struct websocket_message m;
    size_t used, all = sizeof(BYTES) - 1;

    (void)state;
    assert_int_equal(read_bytes(r, BYTES, all, &m, &used), 0);
    assert_int_equal(m.op, WEBSOCKET_PING);
    check_str(m.payload, "!");
    assert_int_equal(read_bytes(r, BYTES + used, all - used, &m, &used), 0);
    assert_int_equal(m.op, WEBSOCKET_TEXT);
    check_str(m.payload, "abcd");
    websocket_reader_free(&r);
    assert_null(r);
}

static void what_breaks_the_rfc_is_refused(void **state)
{
#define BYTES(s) s, sizeof(s) - 1
    static const struct {
        const char *bytes;
        size_t n;
        bool masked;
        enum websocket_code code;
    } CASES[] = {
        {BYTES("\x81\x01"), true, WEBSOCKET_PROTOCOL_ERROR},          /* not masked */
        {BYTES("\x81\x81"), false, WEBSOCKET_PROTOCOL_ERROR},         /* masked */
        {BYTES("\xc1\x00"), false, WEBSOCKET_PROTOCOL_ERROR},         /* reserved bit */
        {BYTES("\x83\x00"), false, WEBSOCKET_PROTOCOL_ERROR},         /* opcode */
        {BYTES("\x8b\x00"), false, WEBSOCKET_PROTOCOL_ERROR},         /* opcode */
        {BYTES("\x09\x00"), false, WEBSOCKET_PROTOCOL_ERROR},         /* a ping in pieces */
        {BYTES("\x89\x7e"), false, WEBSOCKET_PROTOCOL_ERROR},         /* a long ping */
        {BYTES("\x80\x00"), false, WEBSOCKET_PROTOCOL_ERROR},         /* continues nothing */
        {BYTES("\x01\x00\x81\x00"), false, WEBSOCKET_PROTOCOL_ERROR}, /* begins inside */
        {BYTES("\x81\x7e\x00\x7d"), false, WEBSOCKET_PROTOCOL_ERROR}, /* not the short form */
        {BYTES("\x81\x7f\0\0\0\0\0\0\xff\xff"), false, WEBSOCKET_PROTOCOL_ERROR},
        {BYTES("\x81\x7f\x80\0\0\0\0\0\0\0"), false, WEBSOCKET_PROTOCOL_ERROR},
        {BYTES("\x81\x7e\x03\xe9"), false, WEBSOCKET_TOO_BIG},
        {BYTES("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"), false, WEBSOCKET_TOO_BIG},
        {BYTES("\x01\x01z\x80\x7e\x03\xe8"), false, WEBSOCKET_TOO_BIG}, /* together */
        {BYTES("\x81\x02\xc3("), false, WEBSOCKET_BAD_TEXT},
        {BYTES("\x88\x01\x03"), false, WEBSOCKET_PROTOCOL_ERROR},     /* half a code */
        {BYTES("\x88\x02\x03\xed"), false, WEBSOCKET_PROTOCOL_ERROR}, /* 1005 */
        {BYTES("\x88\x03\x03\xe8\xff"), false, WEBSOCKET_BAD_TEXT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct websocket_reader *r = websocket_reader_new(CASES[i].masked, MAX);
        struct websocket_message m;
        size_t used;
        int e = read_bytes(r, CASES[i].bytes, CASES[i].n, &m, &used);

        if (e >= 0 || websocket_reader_code(r) != CASES[i].code || used != CASES[i].n)
            fail_msg("case %zu: %d, code %d, after %zu bytes", i, e, (int)websocket_reader_code(r),
                     used);
        websocket_reader_free(&r);
    }
}

static void a_close_has_a_code_and_a_reason_that_fits(void **state)
{
    struct websocket_reader *r = websocket_reader_new(false, MAX);
    struct websocket_message m;
    char reason[200];
    struct str in;
    struct buf b;
    struct err err;

    (void)state;
    memset(reason, 'r', sizeof(reason));
    memcpy(reason + 122, "\xc3\xa9", 2); /* the cut would split it */
    buf_init(&b, 1 << 10);
    websocket_put_close(&b, WEBSOCKET_FAILED, (struct str){reason, sizeof(reason)}, NULL);
    in = buf_str(&b);
    assert_int_equal(websocket_reader_next(r, &in, &m, &err), 0);
    assert_int_equal(m.op, WEBSOCKET_CLOSE);
    assert_int_equal(m.code, WEBSOCKET_FAILED);
    assert_int_equal(m.payload.n, 122);
    in = STR("\x88\x00");
    assert_int_equal(websocket_reader_next(r, &in, &m, &err), 0);
    assert_int_equal(m.code, WEBSOCKET_NO_CODE);
    websocket_reader_free(&r);
    buf_fini(&b);
}

CHECK_MAIN(cmocka_unit_test(the_handshake_is_that_of_the_rfc),
           cmocka_unit_test(what_is_put_is_read_however_it_is_cut),
           cmocka_unit_test(fragments_are_joined_with_pings_between_them),
           cmocka_unit_test(what_breaks_the_rfc_is_refused),
           cmocka_unit_test(a_close_has_a_code_and_a_reason_that_fits))
