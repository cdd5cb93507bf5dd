/*
 * wire/http_client.h - HTTP/1.1 requests: container engines' sockets and the command line.
 *
 * One request per connection.  The body of the answer is streamed to the caller.  Loop thread only.
 */
#ifndef LOGQ_WIRE_HTTP_CLIENT_H
#define LOGQ_WIRE_HTTP_CLIENT_H

#include "base/labels.h"
#include "wire/stream.h"

struct http_client;

struct http_client_request {
    const char *address;         /* as stream_connect */
    struct tls_ctx *tls;         /* NULL: plain */
    const char *server_name;     /* may be NULL */
    const char *method;          /* "GET" */
    const char *target;          /* path and query, already encoded */
    const char *host;            /* Host header; NULL: address */
    const struct label *headers; /* name, value */
    size_t n_headers;
    struct str body;     /* copied */
    uint64_t connect_ms; /* 0: 10,000 */
    int connected_fd;    /* as in stream_options; 0: none */
    uint64_t idle_ms;    /* without a byte of answer; 0: for ever (event streams) */
};

struct http_client_handler {
    void (*head)(struct http_client *c, int status, void *arg); /* headers are in; may be NULL */
    void (*body)(struct http_client *c, struct str bytes, void *arg);
    /* The last call, exactly once.  err->code 0: the answer is complete. */
    void (*done)(struct http_client *c, const struct err *err, void *arg);
};

int http_client_start(struct loop *l, const struct http_client_request *req,
                      const struct http_client_handler *h, void *arg, struct http_client **ret,
                      struct err *err);
struct str http_client_header(const struct http_client *c, const char *name); /* from `head` on */
void http_client_pause(struct http_client *c);
void http_client_resume(struct http_client *c);
void http_client_cancel(struct http_client *c); /* `done` still comes, with ERR_CANCELLED */

#endif
