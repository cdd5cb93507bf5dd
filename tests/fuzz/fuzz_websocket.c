/*
 * tests/fuzz/fuzz_websocket.c - frames of a hostile client.
 *
 * The first byte: how many bytes come at a time.  Answers are whole frames and never more than is
 * promised; read whole and in pieces a connection ends with the same code, if it ends.
 */
#include "base/obj.h"
#include "server/websocket.h"

enum {
    FRAME_MAX = 1 << 12,
    OUT_MAX = 1 << 20,
    PONG = 0x8a,
    CLOSE = 0x88,
    TEXT = 0x81,
    NO_CODE = 1005
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned byte_at(struct str bytes, size_t at)
{
    INVARIANT(at < bytes.n);
    return (uint8_t)bytes.p[at];
}

/* Cut a frame from the front: its first byte and payload.  It is whole, not masked, and short. */
static unsigned take_frame(struct str *bytes, struct str *payload)
{
    unsigned first = byte_at(*bytes, 0);
    size_t n = byte_at(*bytes, 1);
    size_t head = 2;

    if (n == 126) {
        n = byte_at(*bytes, 2) << 8 | byte_at(*bytes, 3);
        head = 4;
        INVARIANT(n >= 126);
    }
    INVARIANT(n < 1 << 16 && bytes->n >= head + n);
    *payload = str_sub(*bytes, head, n);
    *bytes = str_from(*bytes, head + n);
    return first;
}

/* 0: it has not ended; else the code of its close, NO_CODE if that has none. */
static unsigned check_answers(struct str answers, int r)
{
    struct str payload;
    unsigned code = 0;

    while (answers.n > 0) {
        unsigned first = take_frame(&answers, &payload);

        INVARIANT(code == 0 && (first == PONG || first == CLOSE)); /* nothing behind a close */
        if (first == CLOSE)
            code = payload.n == 0 ? NO_CODE : byte_at(payload, 0) << 8 | byte_at(payload, 1);
    }
    INVARIANT((r == 1) == (code != 0));
    return code;
}

static unsigned read_all(struct str bytes, size_t step)
{
    struct websocket *w = websocket_new(FRAME_MAX);
    unsigned code = 0;
    struct buf answers;

    while (code == 0 && bytes.n > 0) {
        struct str piece = str_sub(bytes, 0, step);
        int r;

        buf_init(&answers, piece.n + WEBSOCKET_ANSWER_MAX);
        r = websocket_read(w, piece, &answers);
        INVARIANT(!answers.over);
        code = check_answers(buf_str(&answers), r);
        buf_fini(&answers);
        bytes = str_from(bytes, piece.n);
    }
    websocket_free(&w);
    return code;
}

static void put_and_take(struct str bytes)
{
    struct str rest, payload;
    struct buf b;

    bytes = str_sub(bytes, 0, (1 << 16) - 1);
    buf_init(&b, OUT_MAX);
    websocket_put(&b, WEBSOCKET_TEXT, bytes);
    websocket_put_close(&b, WEBSOCKET_FAILED, bytes);
    rest = buf_str(&b);
    INVARIANT(take_frame(&rest, &payload) == TEXT && str_eq(payload, bytes));
    INVARIANT(take_frame(&rest, &payload) == CLOSE && payload.n <= 125 && rest.n == 0);
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data + 1, size - 1};
    unsigned whole, pieces;

    if (size == 0)
        return 0;
    whole = read_all(bytes, SIZE_MAX);
    pieces = read_all(bytes, 1u + data[0]);
    /* wslay looks at a close's reason less closely when it comes in pieces. */
    INVARIANT(whole == pieces || whole == WEBSOCKET_BAD_TEXT || pieces == WEBSOCKET_BAD_TEXT);
    put_and_take(bytes);
    return 0;
}
