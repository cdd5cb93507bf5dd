/*
 * wire/http.h - HTTP/1.1 server over streams, on llhttp in strict mode.
 *
 * One exchange at a time per connection (pipelined requests wait).  Limits and deadlines for
 * header, body and idle time; the body is gathered up to a per-route maximum before the handler is
 * called.  A response is either whole (http_reply) or streamed with back-pressure.  Loop thread
 * only, each server's own, but an exchange may be answered later: from another thread, loop_post to
 * http_loop(x) first.  Who asks for something urgent goes first (http_set_urgent).
 */
#ifndef LOGQ_WIRE_HTTP_H
#define LOGQ_WIRE_HTTP_H

#include "base/arena.h"
#include "wire/stream.h"

struct http_server;
struct http_exchange;

struct http_options {
    size_t header_bytes; /* 0: 16 KiB */
    uint64_t header_ms;  /* 0: 10,000 */
    uint64_t body_ms;    /* 0: 60,000; also for a client that stops reading an answer */
    uint64_t idle_ms;    /* keep-alive, 0: 75,000 */
    /* Largest body for a request to `path` (0: none allowed), asked once the headers are in; NULL:
     * 1 MiB.  Also called to say early that a caller is not welcome: return SIZE_MAX to call the
     * handler without the body. */
    size_t (*body_max)(struct http_exchange *x, void *arg);
    struct mem_budget *budget;  /* request bodies are charged to it; may be NULL */
    struct mem_budget *answers; /* and to this large answers that wait for their readers */
};

typedef void http_handler_fn(struct http_exchange *x, void *arg);

int http_server_open(struct loop *l, const char *address, const struct listener_options *lo,
                     const struct http_options *opt, http_handler_fn *fn, void *arg,
                     struct http_server **ret, struct err *err);
const char *http_server_address(const struct http_server *s);
void http_server_set_tls(struct http_server *s, struct tls_ctx *tls);
/* Stop listening; exchanges under way end by themselves; idle connections close. */
void http_server_drain(struct http_server *s);
size_t http_server_active(const struct http_server *s); /* exchanges under way */
/* No exchange is under way, and nothing that was answered is still to be sent: close cuts nobody.
 */
bool http_server_is_idle(const struct http_server *s);
void http_server_close(struct http_server **ps); /* cuts what is left: their `aborted` is called */

/*
 * Requests that begin with `line` ("POST /path", and a blank or a question mark behind it) are
 * handled on loop `l` from now on, by the same handler with the same options, on that loop's
 * thread: what is urgent does not wait for what else the server's loop does, nor for the processor
 * that this has used up.  A connection goes over where such a request begins, and comes back where
 * another does.  Where it cannot go (no descriptor, an answer not yet written) the request is
 * handled here after all; on the branch the connection ends instead.  Drains with the server, which
 * counts what the branch does as its own.  The server's loop thread, before `l` runs or while it
 * does.
 */
void http_server_branch(struct http_server *s, struct loop *l, const char *line);
/* Close the branch, if there is one, and stop its loop, which the caller then joins and frees: both
 * before http_server_close.  The server's loop thread. */
void http_server_cut_branch(struct http_server *s);

/* What became of connections and requests since the server was opened. */
struct http_stats {
    uint64_t requests; /* given to the handler */
    uint64_t refused;  /* answered 4xx or 5xx before that: malformed, too large, no memory */
    uint64_t timeouts; /* cut or answered 408: header, body or reading of the answer too slow */
    uint64_t aborted;  /* the client went away before the answer was complete */
    uint64_t connections_refused, accept_pauses; /* listener_refused, listener_starved */
};
void http_server_stats(struct http_server *s, struct http_stats *ret);

/* What comes on this exchange's connection from here on, the rest of its body and the requests
 * behind it, is of a kind that others wait for (true) or not (false, as it is at first): see
 * stream_set_patient. */
void http_set_urgent(struct http_exchange *x, bool urgent);

/* Who asks is known: this connection is not ended for the sake of a new one, as those of strangers
 * are, the oldest first, when there are as many as there may be. */
void http_trust(struct http_exchange *x);

/* The request.  Views live until the exchange ends. */
struct loop *http_loop(const struct http_exchange *x);
struct arena *http_arena(struct http_exchange *x); /* freed with the exchange */
struct str http_method(const struct http_exchange *x);
struct str http_path(const struct http_exchange *x); /* percent-decoded, without the query */
struct str http_header(const struct http_exchange *x,
                       const char *name); /* STR_NULL if absent; first of several */
struct str http_body(const struct http_exchange *x);
/* The i-th value of parameter `name` in the query string, then in a form body (POST or
 * PUT, x-www-form-urlencoded); STR_NULL (p == NULL) when there is none. */
struct str http_param(struct http_exchange *x, const char *name, size_t i);
/* Walk all parameters: false at the end. */
bool http_param_next(struct http_exchange *x, size_t *pos, struct str *name, struct str *value);
void http_peer(const struct http_exchange *x, struct stream_peer *ret);

/* The answer.  _replyf: text, what is no UTF-8 in it as U+FFFD.  Without memory for a large body it
 * is 503. */
void http_reply(struct http_exchange *x, int status, const char *content_type, struct str body);
void http_replyf(struct http_exchange *x, int status, const char *fmt, ...)
    PRINTF_LIKE(3, 4); /* text/plain */
void http_reply_header(struct http_exchange *x, const char *name,
                       struct str value); /* before reply or start */
/* Streamed: start, write ..., end.  http_is_full: wait for `drained`. */
void http_reply_start(struct http_exchange *x, int status, const char *content_type);
void http_reply_write(struct http_exchange *x, struct str bytes);
bool http_is_full(const struct http_exchange *x);
void http_reply_end(struct http_exchange *x);
void http_reply_abort(
    struct http_exchange *x); /* after start: cut, so that the client sees it is not whole */

/*
 * Answer 101: from here on the connection speaks `protocol`.  `data` is called with what the client
 * sends, what came behind its request first, each time from the loop; the bytes are valid during
 * the call.  http_reply_write sends bytes as they are, http_reply_end flushes and closes.  Only
 * where http_may_upgrade; headers by http_reply_header before.
 */
/* HTTP/1.1 has upgrades, 1.0 has none. */
bool http_may_upgrade(const struct http_exchange *x);
typedef void http_data_fn(void *arg, struct str bytes);
void http_upgrade(struct http_exchange *x, const char *protocol, http_data_fn *data, void *arg);

/* `aborted(arg)`: the client went away before the answer was complete: do not touch x again after
 * it returns. `drained(arg)`: see http_is_full.  Either may be NULL; without `aborted` the exchange
 * lives on until it is answered, into the void. */
void http_watch(struct http_exchange *x, loop_fn *aborted, loop_fn *drained, void *arg);

#endif
