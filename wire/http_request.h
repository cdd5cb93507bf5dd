/*
 * wire/http_request.h - one HTTP/1.x request read from bytes: no sockets, no loop, no clock.
 *
 * For wire/http.  Feed bytes until HTTP_REQUEST_HEAD, look at the head, say how much body is
 * welcome, feed on until HTTP_REQUEST_DONE.  One object per request; what is left of the bytes
 * belongs to the next.
 */
#ifndef LOGQ_WIRE_HTTP_REQUEST_H
#define LOGQ_WIRE_HTTP_REQUEST_H

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum http_request_step {
    HTTP_REQUEST_MORE, /* all bytes used up */
    HTTP_REQUEST_HEAD, /* once; a request without a body is complete with it */
    HTTP_REQUEST_DONE, /* the body is complete */
    HTTP_REQUEST_BAD,  /* answer http_request_problem and close */
};

struct http_request;

/* `header_bytes` bounds the request line with all headers, and again the trailers of a chunked
 * body. */
struct http_request *http_request_new(size_t header_bytes);
void http_request_free(struct http_request **pr);

/* Use up bytes from the front of *bytes.  Not to be called after DONE or BAD, nor after a HEAD
 * without body. */
enum http_request_step http_request_feed(struct http_request *r, struct str *bytes);

/* Between HEAD and the body: at most `max` bytes (over: 413), charged to `budget` as they come
 * (over: 503). */
void http_request_allow_body(struct http_request *r, size_t max, struct mem_budget *budget);

/* The status to answer a bad request with, and why. */
int http_request_problem(const struct http_request *r, const char **ret_text);

/* From HEAD on.  Views live as long as the request. */
struct str http_request_method(const struct http_request *r);
struct str http_request_path(const struct http_request *r);  /* decoded */
struct str http_request_query(const struct http_request *r); /* as sent, without '?' */
struct str http_request_header(const struct http_request *r,
                               struct str name); /* the first; STR_NULL */
bool http_request_has_body(const struct http_request *r);
size_t
http_request_announced(const struct http_request *r); /* Content-Length; 0 when chunked or none */
bool http_request_keeps_alive(const struct http_request *r);
bool http_request_is_1_0(const struct http_request *r);
bool http_request_expects_continue(const struct http_request *r);
struct str http_request_body(const struct http_request *r); /* from DONE on */

#endif
