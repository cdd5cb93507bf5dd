/*
 * wire/http_conn.h - between http.c (the server), http_conn.c (its connections) and http_move.c
 * (their way to the loop of a branch, and back).
 *
 * A connection and its server belong to the loop thread of the server; what the trunk's thread may
 * read of a branch is said beside it.
 */
#ifndef LOGQ_WIRE_HTTP_CONN_H
#define LOGQ_WIRE_HTTP_CONN_H

#include "wire/http_priv.h"

enum {
    HTTP_PIPELINE_BYTES = 16 * 1024,
    HTTP_PIPELINE_MAX = HTTP_PIPELINE_BYTES + LOOP_READ_BYTES, /* what a pause can be late by */
};

enum http_conn_state {
    CONN_IDLE,
    CONN_HEAD,
    CONN_BODY,
    CONN_BUSY,
    CONN_CLOSING,
    CONN_MOVED, /* to the other server; what is left goes with the task `go_on` */
};

struct http_conn {
    unsigned magic;
#define HTTP_CONN_MAGIC 0xb58d3f12u
    enum http_conn_state state;
    struct http_server *server;    /* NULL after http_server_close */
    struct http_conn *prev, *next; /* ring of the server */
    struct loop *loop;
    struct stream *stream;    /* NULL: closed */
    struct http_request *req; /* owned; being read, until its head is complete */
    struct http_exchange *x;  /* owned until it ends */
    struct loop_timer *timer;
    struct loop_task go_on;
    struct buf in;
    size_t in_at;    /* before it, `in` is used up */
    bool is_trusted; /* http_trust */
    bool gives_way;  /* to a new one: it is about to be gone */
    bool stall_armed;
    uint64_t taken;            /* by the client, when the timer was armed for that */
    struct mem_budget *budget; /* may be NULL */
    size_t charged;            /* of it: for an answer that waits for its reader */
};

struct http_server {
    unsigned magic;
#define HTTP_SERVER_MAGIC 0x2e6ab9c8u
    struct loop *loop;
    struct listener *listener; /* NULL once draining */
    char *address;
    struct http_options opt;
    http_handler_fn *fn;
    void *arg;
    struct http_conn conns;                      /* head of the ring */
    uint64_t connections_refused, accept_pauses; /* of the listener, once draining */
    bool draining;
    bool closed;                        /* gone when the last connection on its way here has come */
    struct http_server *trunk, *branch; /* the other one; a trunk's thread sets `branch` */
    char *line;                         /* branch: how a request for it begins */
    /* Read by the trunk's thread too: */
    _Atomic size_t active;
    _Atomic size_t on_the_way; /* connections */
    _Atomic size_t strangers;  /* connections of the ring that are not trusted */
    _Atomic uint64_t requests, refused, timeouts, aborted;
};

/* ---- http_conn.c ---- */

/* A connection of `s` over `stream`, which is owned from here on. */
void http_conn_open(struct http_server *s, struct stream *stream);
/* End it: its stream goes, and then all of it.  `why` NULL: what was answered goes out before. */
void http_conn_shut(struct http_conn *c, const struct err *why);
/* Its server drains: the exchange under way is the last one. */
void http_conn_drain(struct http_conn *c);
/* Its server goes: off the ring, what is under way is lost, and the rest follows by itself. */
void http_conn_orphan(struct http_conn *c, const struct err *why);

/* Off its server and its loop, idle as it is: all of it that goes on is the stream, owned by the
 * caller.  NULL: it cannot go now, and nothing changed. */
struct stream_parcel *http_conn_leave(struct http_conn *c);
/* The rest of the way: a connection of `s` over *stream, whose next request begins with `bytes`;
 * both are taken over. */
void http_conn_arrive(struct http_server *s, struct stream_parcel **stream, struct buf *bytes,
                      bool is_trusted);

/* ---- http_move.c ---- */

/* A request begins with `bytes`, none of which is parsed: true when it is the other server's, and
 * the connection is on its way there or ends. */
bool http_move_begin(struct http_conn *c, struct str bytes);

/* ---- http.c ---- */

/* A connection that was on its way to `s` is here; the last one of a closed server frees it. */
void http_server_arrived(struct http_server *s);

#endif
