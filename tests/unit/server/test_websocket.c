/* Unit tests of server/websocket: the handshake's answer, frames out, and what clients get for what
 * they say. */
#include "server/websocket.h"

#include "tests/lib/check.h"

#include <string.h>

enum { FRAME_MAX = 1000 };

#define BYTES(s) s, sizeof(s) - 1
#define PLAIN    "\0\0\0\0" /* a mask that changes nothing */

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

/* ---- frames out ---- */

static void a_frame_has_the_shortest_length_that_fits(void **state)
{
    static const struct {
        size_t n;
        struct str head;
    } CASES[] = {
        {0, {BYTES("\x81\x00")}},
        {125, {BYTES("\x81\x7d")}},
        {126, {BYTES("\x81\x7e\x00\x7e")}},
        {65535, {BYTES("\x81\x7e\xff\xff")}},
        {65536, {BYTES("\x81\x7f\0\0\0\0\0\x01\0\0")}},
    };
    static char payload[65536];
    struct buf b;

    (void)state;
    for (size_t i = 0; i < sizeof(payload); i++)
        payload[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct str want = {payload, CASES[i].n};
        buf_init(&b, 1 << 20);
        websocket_put(&b, WEBSOCKET_TEXT, want);
        assert_true(str_eq(str_sub(buf_str(&b), 0, CASES[i].head.n), CASES[i].head));
        assert_true(str_eq(str_from(buf_str(&b), CASES[i].head.n), want));
        buf_fini(&b);
    }
    buf_init(&b, 100);
    websocket_put(&b, WEBSOCKET_PING, STR(""));
    assert_true(str_eq(buf_str(&b), (struct str){BYTES("\x89\x00")}));
    websocket_put(&b, WEBSOCKET_TEXT, (struct str){payload, 100});
    assert_true(b.over);
    buf_fini(&b);
}

static void a_close_has_a_code_and_a_reason_that_fits(void **state)
{
    static const struct str HEAD = {BYTES("\x88\x7c\x03\xf3")};
    char reason[200];
    struct buf b;

    (void)state;
    memset(reason, 'r', sizeof(reason));
    reason[122] = '\xc3'; /* the cut would split it */
    reason[123] = '\xa9';
    buf_init(&b, 1 << 10);
    websocket_put_close(&b, WEBSOCKET_FAILED, (struct str){reason, sizeof(reason)});
    assert_true(str_eq(str_sub(buf_str(&b), 0, HEAD.n), HEAD));
    assert_true(str_eq(str_from(buf_str(&b), HEAD.n), (struct str){reason, 122}));
    buf_fini(&b);
}

/* ---- frames in ---- */

/* Let it read `step` bytes at a time until it ends; what it said last. */
static int say(struct str bytes, size_t step, struct buf *answers)
{
    struct websocket *w = websocket_new(FRAME_MAX);
    int r = 0;

    buf_init(answers, 1 << 20);
    for (size_t at = 0; r == 0 && at < bytes.n; at += step) {
        struct str piece = str_sub(bytes, at, step);
        size_t had = answers->n;

        r = websocket_read(w, piece, answers);
        assert_true(answers->n - had <= piece.n + WEBSOCKET_ANSWER_MAX);
    }
    websocket_free(&w);
    assert_null(w);
    return r;
}

static void expect(struct str bytes, size_t step, int r, struct str want)
{
    struct buf answers;
    int got = say(bytes, step, &answers);

    if (got != r || !str_eq(buf_str(&answers), want))
        fail_msg("'%.*s' in steps of %zu: %d, %zu bytes", (int)bytes.n, bytes.p, step, got,
                 answers.n);
    buf_fini(&answers);
}

/* Behind a mask of its own. */
static void put_masked(struct buf *b, char first, struct str payload)
{
    static const char MASK[4] = {0x12, 0x34, 0x56, 0x78};

    assert_true(payload.n < 126);
    buf_add_char(b, first);
    buf_add_char(b, (char)(0x80 | (int)payload.n));
    buf_add(b, MASK, sizeof(MASK));
    for (size_t i = 0; i < payload.n; i++)
        buf_add_char(b, (char)(payload.p[i] ^ MASK[i % 4]));
}

static void pings_are_answered_between_fragments_however_they_are_cut(void **state)
{
    static const struct str PONGS = {BYTES("\x8a\x01!\x8a\x00")};
    struct buf b;

    (void)state;
    buf_init(&b, 1 << 10);
    put_masked(&b, '\x01', STR("caf\xc3"));
    put_masked(&b, '\x89', STR("!"));
    put_masked(&b, '\x00', STR("\xa9 au lait"));
    put_masked(&b, '\x80', STR(""));
    put_masked(&b, '\x82', STR("\xff is no text"));
    put_masked(&b, '\x8a', STR("nobody asked"));
    put_masked(&b, '\x89', STR(""));
    for (size_t step = 1; step <= b.n; step++)
        expect(buf_str(&b), step, 0, PONGS);
    buf_fini(&b);
}

static void closes_are_returned(void **state)
{
    static const struct {
        struct str say, get;
    } CASES[] = {
        {{BYTES("\x88\x82" PLAIN "\x03\xe8")}, {BYTES("\x88\x02\x03\xe8")}},
        {{BYTES("\x88\x85" PLAIN "\x0f\xa0"
                "bye")},
         {BYTES("\x88\x05\x0f\xa0"
                "bye")}},
        {{BYTES("\x88\x80" PLAIN)}, {BYTES("\x88\x00")}},
        {{BYTES("\x88\x81" PLAIN "\x03")}, {BYTES("\x88\x00")}}, /* half a code */
        {{BYTES("\x88\x80" PLAIN "and what comes then")}, {BYTES("\x88\x00")}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        expect(CASES[i].say, 1, 1, CASES[i].get);
        expect(CASES[i].say, SIZE_MAX / 2, 1, CASES[i].get);
    }
}

/* All that is answered is a close with that code. */
static void expect_refusal(struct str bytes, size_t step, enum websocket_code code)
{
    struct buf answers;
    int r = say(bytes, step, &answers);
    const uint8_t *p = (const uint8_t *)answers.p;

    if (r != 1 || answers.n < 4 || p[0] != 0x88 || p[1] != answers.n - 2 ||
        (p[2] << 8 | p[3]) != (int)code)
        fail_msg("'%.*s' in steps of %zu: %d, %zu bytes", (int)bytes.n, bytes.p, step, r,
                 answers.n);
    buf_fini(&answers);
}

static void what_breaks_the_rfc_is_refused(void **state)
{
    static const struct {
        struct str bytes;
        enum websocket_code code;
    } CASES[] = {
        {{BYTES("\x81\x01z")}, WEBSOCKET_PROTOCOL_ERROR},      /* not masked */
        {{BYTES("\xc1\x80" PLAIN)}, WEBSOCKET_PROTOCOL_ERROR}, /* reserved bit */
        {{BYTES("\x83\x80" PLAIN)}, WEBSOCKET_PROTOCOL_ERROR}, /* opcode */
        {{BYTES("\x8b\x80" PLAIN)}, WEBSOCKET_PROTOCOL_ERROR}, /* opcode */
        {{BYTES("\x09\x80")}, WEBSOCKET_PROTOCOL_ERROR},       /* a ping in pieces */
        {{BYTES("\x89\xfe")}, WEBSOCKET_PROTOCOL_ERROR},       /* a long ping */
        {{BYTES("\x80\x80" PLAIN)}, WEBSOCKET_PROTOCOL_ERROR}, /* continues nothing */
        {{BYTES("\x01\x80" PLAIN "\x81\x80" PLAIN)}, WEBSOCKET_PROTOCOL_ERROR}, /* begins inside */
        {{BYTES("\x81\xfe\x00\x7d")}, WEBSOCKET_PROTOCOL_ERROR}, /* not the short form */
        {{BYTES("\x81\xff\0\0\0\0\0\0\xff\xff")}, WEBSOCKET_PROTOCOL_ERROR},
        {{BYTES("\x81\xff\x80\0\0\0\0\0\0\0")}, WEBSOCKET_PROTOCOL_ERROR},
        {{BYTES("\x81\xfe\x03\xe9" PLAIN "z")}, WEBSOCKET_TOO_BIG},
        {{BYTES("\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff" PLAIN "z")}, WEBSOCKET_TOO_BIG},
        {{BYTES("\x81\x82" PLAIN "\xc3(")}, WEBSOCKET_BAD_TEXT},
        {{BYTES("\x81\x81" PLAIN "\xc3")}, WEBSOCKET_BAD_TEXT}, /* ends within a character */
        {{BYTES("\x01\x81" PLAIN "\xc3\x80\x81" PLAIN "(")}, WEBSOCKET_BAD_TEXT}, /* fragments */
        {{BYTES("\x88\x82" PLAIN "\x03\xed")}, WEBSOCKET_PROTOCOL_ERROR},         /* 1005 */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        expect_refusal(CASES[i].bytes, 1, CASES[i].code);
        expect_refusal(CASES[i].bytes, SIZE_MAX / 2, CASES[i].code);
    }
    expect_refusal((struct str){BYTES("\x88\x83" PLAIN "\x03\xe8\xff")}, SIZE_MAX / 2,
                   WEBSOCKET_BAD_TEXT);
}

static void much_is_neither_kept_nor_refused(void **state)
{
    struct buf b, answers;

    (void)state;
    buf_init(&b, 1 << 20);
    put_masked(&b, '\x01', STR("a message without an end"));
    for (int i = 0; i < 5000; i++)
        put_masked(&b, '\x00', STR(" goes on and on"));
    expect(buf_str(&b), SIZE_MAX / 2, 0, STR(""));
    buf_clear(&b);
    for (int i = 0; i < 5000; i++)
        put_masked(&b, '\x89', STR("?"));
    assert_int_equal(say(buf_str(&b), SIZE_MAX / 2, &answers), 0);
    assert_int_equal(answers.n, 5000 * 3);
    buf_fini(&answers);
    buf_fini(&b);
}

CHECK_MAIN(cmocka_unit_test(the_handshake_is_that_of_the_rfc),
           cmocka_unit_test(a_frame_has_the_shortest_length_that_fits),
           cmocka_unit_test(a_close_has_a_code_and_a_reason_that_fits),
           cmocka_unit_test(pings_are_answered_between_fragments_however_they_are_cut),
           cmocka_unit_test(closes_are_returned), cmocka_unit_test(what_breaks_the_rfc_is_refused),
           cmocka_unit_test(much_is_neither_kept_nor_refused))
