/*
 * wire/stream_priv.h - between listener.c, stream.c, stream_connect.c and stream_move.c.  Loop
 * thread only.
 */
#ifndef LOGQ_WIRE_STREAM_PRIV_H
#define LOGQ_WIRE_STREAM_PRIV_H

#include "base/buf.h"
#include "wire/address.h"
#include "wire/loop_priv.h"
#include "wire/stream.h"
#include "wire/tls.h"
#include "wire/tls_shake.h"

#include <uv.h>

enum { STREAM_KEEPALIVE_S = 60 };

enum stream_state {
    STATE_RESOLVING,
    STATE_CONNECTING,
    STATE_SHAKING,
    STATE_OPEN,
    STATE_FLUSHING,
    STATE_LINGERING,
    STATE_ENDED,
};

struct stream {
    unsigned magic;
#define STREAM_MAGIC 0x57e2a9d3u
    enum stream_state state;
    struct loop *loop;
    struct loop_item item;
    struct loop_task task; /* deliver what TLS holds; or finish */
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;
    bool handle_live; /* initialised, its close callback has not run */
    bool resolving;   /* uv_getaddrinfo owes its callback */
    bool reading;
    bool paused;
    bool throttled; /* TLS answers its peer faster than the peer reads: stop reading */
    bool patient;   /* see stream_set_patient */
    bool waiting;   /* TLS has ciphertext, whose turn has not come */
    bool was_full;
    bool eof; /* the peer has ended */
    bool handshake_failed;

    const struct stream_handler *h;
    void *arg;
    struct err why;
    struct tls *tls;
    struct tls_shake *shake;     /* owned; a step that began: `tls` is its own */
    struct loop_timer *deadline; /* connect and handshake; flush; linger */
    uint64_t deadline_ms;
    size_t flush_left; /* queued when the deadline of a flush was set */
    size_t high, low;
    struct buf early; /* written before the stream was open */
    uint64_t bytes_in, bytes_out;
    struct listener *listener;

    char address[ADDRESS_TEXT_MAX]; /* the peer's; a client: as it was given */
    struct tls_peer cert;
    bool has_uid;
    uid_t uid;

    union { /* one after the other */
        uv_getaddrinfo_t resolve;
        uv_connect_t connect;
        uv_shutdown_t shutdown;
    } req;
    union address_socket *tries; /* client: ADDRESSES_MAX of them */
    size_t tries_n, next_try;
};

struct stream_accepted {
    int fd; /* the callee's in any case */
    union address_socket peer;
    bool has_uid; /* unix: SO_PEERCRED */
    uid_t uid;
    struct listener *ls;
    listener_fn *fn; /* fn(s, arg) sets the handler */
    void *arg;
};

/*
 * Make a stream of a connection, let `fn` set its handler, begin.  On success `ls` hears
 * listener_stream_ended when the stream is gone.  ERR_IO, ERR_NOMEM: nothing was made.
 */
int stream_accept(struct loop *l, const struct stream_accepted *a, const struct stream_options *opt,
                  struct err *err);

/* Accepted or connecting: with a loop and options, no handle yet. */
struct stream *stream_make(struct loop *l, const struct stream_options *opt);
void stream_set_loop(struct stream *s, struct loop *l); /* of one that has not entered */
/* Give `fd` to a libuv handle; < 0, libuv's: it was not taken. */
int stream_adopt(struct stream *s, int fd, bool is_unix);
/* The stream takes its place on the loop: from here on it ends through stream_finish only. */
void stream_enter(struct stream *s, uint64_t deadline_ms);
/* There is a connection: go on with TLS, or open. */
void stream_begin(struct stream *s);
/* It ends now, with s->why; stream_finish follows from the loop. */
void stream_destroy(struct stream *s);
void stream_on_closed(uv_handle_t *handle); /* of its handle */
void stream_finish(struct stream *s);       /* `closed`, and release */
void stream_release(struct stream *s);      /* free what never entered, or has ended */

/* It is open already, on this loop: read on, with what TLS has first. */
void stream_go_on(struct stream *s);

/* Try the next address of s->tries. */
void stream_connect_next(struct stream *s);

/* Any thread. */
void listener_stream_ended(struct listener *ls, bool handshake_failed);

#endif
