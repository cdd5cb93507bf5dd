/*
 * wire/websocket.h - RFC 6455 without sockets: the handshake's answer, frames out of bytes and into
 * bytes, for either side.
 *
 * No extensions.  The reader joins the frames of a message and checks everything that the RFC makes
 * the receiver's duty: masks, reserved bits, lengths, order of fragments, close codes, UTF-8.
 */
#ifndef LOGQ_WIRE_WEBSOCKET_H
#define LOGQ_WIRE_WEBSOCKET_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum websocket_op {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum websocket_code { /* of a close frame */
                      WEBSOCKET_NORMAL = 1000,
                      WEBSOCKET_GOING_AWAY = 1001,
                      WEBSOCKET_PROTOCOL_ERROR = 1002,
                      WEBSOCKET_NO_CODE = 1005, /* never sent: the close frame was empty */
                      WEBSOCKET_BAD_TEXT = 1007,
                      WEBSOCKET_POLICY = 1008,
                      WEBSOCKET_TOO_BIG = 1009,
                      WEBSOCKET_FAILED = 1011,
};

enum { WEBSOCKET_ACCEPT = 29, WEBSOCKET_CONTROL_MAX = 125, WEBSOCKET_REASON_MAX = 123 };

/* What a client's request says; each may be STR_NULL. */
struct websocket_offer {
    struct str upgrade, connection, version, key; /* headers Upgrade ... Sec-WebSocket-Key */
};
/* 101: *accept is the value of Sec-WebSocket-Accept; else the status to refuse with (400, 426) and
 * why.  Any thread. */
int websocket_accept(const struct websocket_offer *o, char accept[WEBSOCKET_ACCEPT],
                     const char **why);

struct websocket_message {
    enum websocket_op op;     /* TEXT, BINARY, CLOSE, PING or PONG */
    struct str payload;       /* valid until the next call; of CLOSE: the reason */
    enum websocket_code code; /* of CLOSE */
};

struct websocket_reader; /* one thread */

/* `masked`: we are the server.  Messages over `max_bytes` are refused. */
struct websocket_reader *websocket_reader_new(bool masked, size_t max_bytes);
void websocket_reader_free(struct websocket_reader **pr);
/* Use up bytes from the front of *bytes.  0 and a message; 1: more bytes are needed; ERR_CORRUPT or
 * ERR_LIMIT: close with websocket_reader_code, nothing may be read any more. */
int websocket_reader_next(struct websocket_reader *r, struct str *bytes,
                          struct websocket_message *ret, struct err *err);
enum websocket_code websocket_reader_code(const struct websocket_reader *r);

/* Append one whole, final frame.  `mask` (4 bytes): we are the client; NULL: the server. */
void websocket_put(struct buf *out, enum websocket_op op, struct str payload, const uint8_t *mask);
/* Append a close frame; the reason is cut to what fits. */
void websocket_put_close(struct buf *out, enum websocket_code code, struct str reason,
                         const uint8_t *mask);

#endif
