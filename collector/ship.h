/*
 * collector/ship.h - chunks out, acks in: one connection, a window of chunks in flight, matched by
 * token.
 *
 * A chunk stays here until the server has acknowledged or refused it.  When the connection breaks,
 * or no ack comes in time, everything that is left is sent again, the same bytes in the same order,
 * on a new one; the server knows what it has.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_SHIP_H
#define LOGQ_COLLECTOR_SHIP_H

#include "base/buf.h"
#include "collector/chunk.h"
#include "collector/opener.h"
#include "wire/forward_about.h"
#include "wire/forward_parse.h"
#include "wire/loop.h"
#include "wire/stream.h"

struct ship;

struct ship_options {
    struct opener *opener;             /* borrowed: who connects to unix:/path */
    const char *address, *server_name; /* server_name may be NULL; both are copied */
    struct tls_ctx *tls;               /* NULL: in the clear; a reference is taken */
    /* Asked before each connection for what to connect with (borrowed); may be NULL. */
    struct tls_ctx *(*renew)(void *arg);
    void *renew_arg;
    size_t window_chunks, window_bytes;
    dur_ns ack_timeout;
    uint64_t backoff_min_ms, backoff_max_ms; /* 0: 200 and 5,000 */
    uint64_t status_ms;                      /* between words about ourselves; 0: 15,000 */
};

struct ship_handler {
    /* Chunk `no` is durable.  It is forgotten when this returns. */
    void (*acked)(void *arg, uint64_t no);
    /* Chunk `no` will never be taken, or some of its parts, while the others are durable: `why`
     * says which.  `message` is what was sent; both are valid during the call. */
    void (*refused)(void *arg, uint64_t no, struct str message, const struct forward_ack *why);
    /* There is room in the window again, or a connection. */
    void (*room)(void *arg);
    /* Say who we are (`is_hello`, first on each connection) and how; may be NULL: nothing is said.
     * Texts must live until the call returns to the loop. */
    void (*about)(void *arg, bool is_hello, struct forward_about *ret);
    /* The server's answer to a hello: the highest `next` that it had heard of this incarnation. */
    void (*known)(void *arg, uint64_t incarnation, uint64_t next);
};

/* Begins to connect at once. */
struct ship *ship_new(struct loop *l, const struct ship_options *opt, const struct ship_handler *h,
                      void *arg);

/* May another chunk of any size be added? */
bool ship_has_room(const struct ship *s);
size_t ship_in_flight(const struct ship *s); /* chunks not acknowledged */
bool ship_is_connected(const struct ship *s);

/* Send the message in `message`, whose memory it takes (message is empty after).  Even over the
 * window: who adds asks for room first. */
void ship_add(struct ship *s, uint64_t no, const char token[CHUNK_TOKEN_BYTES],
              struct buf *message);

/* Since when it owes us an answer, or cannot be reached (time_mono); 0: all is well.  A chunk's ack
 * counts, while any waits for one; else that there is a connection. */
dur_ns ship_silent_since(const struct ship *s);
/* Has it connected yet, or failed to? */
bool ship_is_decided(const struct ship *s);
/* Take the oldest chunk back, with its message; `sent`: the server may have it.  false: none is
 * left. */
bool ship_take(struct ship *s, uint64_t *no, struct buf *message, char token[CHUNK_TOKEN_BYTES],
               bool *sent);
/* Give the connection up, and make a new one after a while. */
void ship_reconnect(struct ship *s, const char *why);

/* From now on connect with `tls`; the connection there is is closed and made anew. */
bool ship_has_tls(const struct ship *s, const struct tls_ctx *tls); /* does it already? */
void ship_set_tls(struct ship *s, struct tls_ctx *tls);

/* Close; what is in flight is dropped (its plan is in the journal). */
void ship_free(struct ship **ps);

#endif
