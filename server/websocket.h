/*
 * server/websocket.h - the server's end of a WebSocket (RFC 6455) without sockets: the handshake's
 * answer, what a client sends, and frames for it.
 *
 * Frames are wslay's work.  Clients of ours have nothing to say, so that none of what they say is
 * kept, however long their messages: only pings and closes are answered, and broken rules.
 */
#ifndef LOGQ_SERVER_WEBSOCKET_H
#define LOGQ_SERVER_WEBSOCKET_H

#include "base/buf.h"
#include "base/str.h"

enum websocket_op {
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_PING = 9,
};

enum websocket_code { /* of the close frames that clients get */
                      WEBSOCKET_NORMAL = 1000,
                      WEBSOCKET_GOING_AWAY = 1001,
                      WEBSOCKET_PROTOCOL_ERROR = 1002,
                      WEBSOCKET_BAD_TEXT = 1007,
                      WEBSOCKET_POLICY = 1008,
                      WEBSOCKET_TOO_BIG = 1009,
                      WEBSOCKET_FAILED = 1011,
};

enum {
    WEBSOCKET_ACCEPT = 29,
    WEBSOCKET_REASON_MAX = 123,
    WEBSOCKET_ANSWER_MAX = 256, /* see websocket_read */
};

/* What a client's request says; each may be STR_NULL. */
struct websocket_offer {
    struct str upgrade, connection, version, key; /* headers Upgrade ... Sec-WebSocket-Key */
};
/* 101: *accept is the value of Sec-WebSocket-Accept; else the status to refuse with (400, 426) and
 * why.  Any thread. */
int websocket_accept(const struct websocket_offer *o, char accept[WEBSOCKET_ACCEPT],
                     const char **why);

struct websocket; /* one thread */

/* A frame over `frame_bytes` is refused. */
struct websocket *websocket_new(size_t frame_bytes);
void websocket_free(struct websocket **pw);
/*
 * Take what the client sent and append to `answers` what it gets for that, in whole frames: pongs
 * (which may as well be dropped) and a close.  At most bytes.n + WEBSOCKET_ANSWER_MAX.
 * 0: go on; 1: the connection ends behind the answers, and this is not called again.
 */
int websocket_read(struct websocket *w, struct str bytes, struct buf *answers);

/* Append one whole frame; a ping has at most 125 bytes.  Any thread. */
void websocket_put(struct buf *out, enum websocket_op op, struct str payload);
/* Append a close frame; the reason is cut to what fits. */
void websocket_put_close(struct buf *out, enum websocket_code code, struct str reason);

#endif
