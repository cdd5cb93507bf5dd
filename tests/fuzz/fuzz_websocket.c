/*
 * tests/fuzz/fuzz_websocket.c - frames of a hostile peer.
 *
 * The first byte: bit 0 we are the server, bits 1.. how many bytes come at a time.  Read whole and
 * read in pieces give the same messages; what was read can be put and read again.
 */
#include "base/obj.h"
#include "wire/websocket.h"

#include <string.h>

enum { MESSAGE_MAX = 1 << 12, OUT_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void note(struct buf *out, const struct websocket_message *m)
{
    buf_addf(out, "%d %d %zu ", (int)m->op, (int)m->code, m->payload.n);
    buf_add_str(out, m->payload);
}

/* Messages, then how it ended. */
static void read_all(bool masked, struct str bytes, size_t step, struct buf *out)
{
    struct websocket_reader *r = websocket_reader_new(masked, MESSAGE_MAX);
    struct websocket_message m;
    struct err err;
    int e = 1;

    while (e >= 0 && bytes.n > 0) {
        struct str piece = str_sub(bytes, 0, step);
        size_t had = piece.n;

        e = websocket_reader_next(r, &piece, &m, &err);
        bytes = str_from(bytes, had - piece.n);
        INVARIANT(e != 1 || piece.n == 0);
        if (e == 0) {
            INVARIANT(m.payload.n <= MESSAGE_MAX);
            note(out, &m);
        }
    }
    if (e < 0)
        buf_addf(out, "error %d %s", (int)websocket_reader_code(r), err.text);
    websocket_reader_free(&r);
}

static void put_and_read(struct str bytes)
{
    static const uint8_t MASK[4] = {1, 2, 3, 4};
    struct websocket_reader *r = websocket_reader_new(true, MESSAGE_MAX);
    struct websocket_message m;
    struct buf b;
    struct str in;
    struct err err;

    bytes = str_sub(bytes, 0, MESSAGE_MAX);
    buf_init(&b, OUT_MAX);
    websocket_put(&b, WEBSOCKET_BINARY, bytes, MASK);
    in = buf_str(&b);
    INVARIANT(websocket_reader_next(r, &in, &m, &err) == 0);
    INVARIANT(m.op == WEBSOCKET_BINARY && str_eq(m.payload, bytes));
    buf_fini(&b);
    websocket_reader_free(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data + 1, size - 1};
    struct buf whole, pieces;

    if (size == 0)
        return 0;
    buf_init(&whole, OUT_MAX);
    buf_init(&pieces, OUT_MAX);
    read_all((data[0] & 1) != 0, bytes, SIZE_MAX, &whole);
    read_all((data[0] & 1) != 0, bytes, 1 + (data[0] >> 1), &pieces);
    INVARIANT(whole.over || pieces.over || str_eq(buf_str(&whole), buf_str(&pieces)));
    put_and_read(bytes);
    buf_fini(&whole);
    buf_fini(&pieces);
    return 0;
}
