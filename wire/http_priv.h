/*
 * wire/http_priv.h - between http_conn.c (connections, requests), http_exchange.c (what is asked of
 * a request) and http_reply.c (answers).
 */
#ifndef LOGQ_WIRE_HTTP_PRIV_H
#define LOGQ_WIRE_HTTP_PRIV_H

#include "base/buf.h"
#include "wire/http.h"
#include "wire/http_params.h"
#include "wire/http_request.h"
#include "wire/loop_priv.h"

struct http_conn;

enum http_exchange_state {
    EXCHANGE_READING,   /* the handler has not been called */
    EXCHANGE_HANDLING,  /* it has, nothing was answered */
    EXCHANGE_STREAMING, /* http_reply_start was called */
    EXCHANGE_ENDED,     /* memory stays until the loop's next round */
};

struct http_exchange {
    unsigned magic;
#define HTTP_EXCHANGE_MAGIC 0x90c4e7a6u
    enum http_exchange_state state;
    struct loop *loop;
    struct http_conn *conn;   /* NULL: the client went away */
    struct http_request *req; /* owned */
    struct arena *arena;      /* owned */
    struct http_params params;
    struct stream_peer peer; /* texts in the arena */
    struct loop_task release;

    bool close_after;   /* the connection ends with this answer */
    bool chunked;       /* a streamed answer to HTTP/1.1 */
    http_data_fn *data; /* set by http_upgrade: who reads the connection now */
    void *data_arg;
    bool no_body;     /* HEAD, 204, 304 */
    struct buf extra; /* header lines of http_reply_header */

    loop_fn *aborted, *drained;
    void *watcher;
};

/* Its body is a form, to be read as parameters. */
bool http_exchange_has_form(const struct http_exchange *x);

/* The connection's stream; NULL when there is nobody to write to. */
struct stream *http_conn_stream(const struct http_conn *c);
/* The exchange was upgraded: give it what came behind the request, and all that follows. */
void http_conn_upgraded(struct http_conn *c);
/* The streamed answer is full: the client has a while to go on reading. */
void http_conn_stalled(struct http_conn *c);
/* Charge for a whole answer of so many bytes, which may have to wait for its reader.  false: there
 * is no memory for it. */
bool http_conn_charge(struct http_conn *c, size_t bytes);
/* It is written: what does not have to wait goes back, the rest when it has been read. */
void http_conn_settle(struct http_conn *c);
/* The answer is complete, or given up when `why` is set. */
void http_exchange_end(struct http_exchange *x, const struct err *why);

#endif
