/*
 * query/cli/remote.h - the server, seen as a function call: one request, wait, its answer.
 *
 * Blocks by turning a loop of its own, so that a signal can interrupt what is under way.  One
 * thread.
 */
#ifndef LOGQ_QUERY_CLI_REMOTE_H
#define LOGQ_QUERY_CLI_REMOTE_H

#include "query/cli/context.h"

#include <stdatomic.h>

struct remote;

/* `ctx` is borrowed until remote_free.  Connects to nothing yet.  ERR_INVALID: certificates. */
int remote_open(const struct context *ctx, struct remote **ret, struct err *err);
void remote_free(struct remote **pr);

/* From now on SIGINT and SIGTERM do not end the program: they end the call under way, and every
 * later one, with ERR_CANCELLED. */
int remote_catch_signals(struct remote *r, struct err *err);
bool remote_is_interrupted(const struct remote *r);
/* The same, a moment after another thread has set *stop, which outlives `r`.  Once. */
void remote_watch(struct remote *r, const atomic_bool *stop);

/* What is known of a call that failed. */
struct remote_failure {
    int status;            /* HTTP; 0: no answer */
    unsigned line, column; /* of the query, from 1; 0: not about a place in it */
    bool is_cut;           /* the connection failed, or ended before the answer did */
    bool is_partial; /* also of a call that did not fail: the server says that lines are missing */
};

/* Takes a piece of the body.  < 0 (with *err set) ends the call; 1, of a stream only: enough for
 * now. */
typedef int remote_body_fn(void *arg, struct str bytes, struct err *err);

struct remote_request {
    const char *path;   /* "/api/v1/export" */
    const char *method; /* NULL: GET, or POST when the parameters are long */
    struct str params;  /* params.h */
    struct str upload;  /* JSON lines: the body of a POST, its parameters stand in the address */
    uint64_t idle_ms;   /* longest silence; 0: for ever */
    bool asks_again;    /* where lines are missing: then nobody needs to be told */
    remote_body_fn *body;
    void *arg;
};

/*
 * Send, wait, hand out the body of an answer 200; 204 has none.  Any other status is a failure:
 * ERR_DENIED for 401 and 403, ERR_INVALID for 400, ERR_GONE for 404, ERR_EXISTS for 409, ERR_LIMIT
 * for 429, else ERR_IO, with the server's own sentence. What the transport reports has the address
 * in front.  *fail is always set.
 */
int remote_call(struct remote *r, const struct remote_request *req, struct remote_failure *fail,
                struct err *err);

/* What the user could do about a failure of remote_call (its code is `code`), or NULL.  Static. */
const char *remote_advice(const struct remote *r, const struct remote_failure *fail, int code);

/* The whole body into `out`. */
int remote_fetch(struct remote *r, const struct remote_request *req, struct buf *out,
                 struct remote_failure *fail, struct err *err);

/* An answer without an end: it is read piece by piece, and other calls go in between. */
struct remote_stream;
/* Send, and wait for the head of the answer.  Errors as remote_call; on success the caller owns
 * *ret, of which nothing has been read. */
int remote_stream_open(struct remote *r, const struct remote_request *req,
                       struct remote_stream **ret, struct remote_failure *fail, struct err *err);
/* Hand out what comes, for `ms` at most: 0 when they are over, or the body function has enough.
 * < 0: what it said, or the end of the answer; then only _close may follow. */
int remote_stream_read(struct remote_stream *s, uint64_t ms, struct remote_failure *fail,
                       struct err *err);
/* Release *ps and set it to NULL; it may be NULL. */
void remote_stream_close(struct remote_stream **ps);

/* Do nothing for so long; ERR_CANCELLED when interrupted. */
int remote_wait(struct remote *r, uint64_t ms, struct err *err);

#endif
