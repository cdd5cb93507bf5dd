/*
 * wire/http_reply.c - answers, whole or streamed.  Contract: http.h.
 *
 * An exchange whose client went away takes every call here and does nothing, so that a handler
 * needs no second path.
 */
#include "base/obj.h"
#include "base/utf8.h"
#include "wire/http_priv.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    HEAD_MAX = 80 * 1024,
    EXTRA_MAX = 64 * 1024,
    TEXT_MAX = 64 * 1024,
    ONE_WRITE = 64 * 1024, /* a body up to here goes out together with its head */
};

struct reason {
    int status;
    const char *text;
};

static const struct reason REASONS[] = {
    {101, "Switching Protocols"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {422, "Unprocessable Content"},
    {426, "Upgrade Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {499, "Client Closed Request"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {507, "Insufficient Storage"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
        if (REASONS[i].status == status)
            return REASONS[i].text;
    return "Status";
}

/* Values may hold what a client sent: a line break in one must not become a header of its own. */
static void add_clean(struct buf *b, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool is_control = (unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f;

        if (is_control)
            buf_add_char(b, ' ');
        else
            buf_add_char(b, s.p[i]);
    }
}

void http_reply_header(struct http_exchange *x, const char *name, struct str value)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    INVARIANT(x->state <= EXCHANGE_HANDLING);
    add_clean(&x->extra, str_of(name));
    buf_add_z(&x->extra, ": ");
    add_clean(&x->extra, value);
    buf_add_z(&x->extra, "\r\n");
}

/* The head without its final empty line and what says how long the body is. */
static void add_head(struct http_exchange *x, struct buf *b, int status, const char *content_type)
{
    buf_addf(b, "HTTP/1.1 %d %s\r\n", status, reason_of(status));
    if (content_type != NULL) {
        buf_add_z(b, "Content-Type: ");
        add_clean(b, str_of(content_type));
        buf_add_z(b, "\r\n");
    }
    buf_add_z(b, "X-Content-Type-Options: nosniff\r\n");
    if (x->close_after)
        buf_add_z(b, "Connection: close\r\n");
    else if (http_request_is_1_0(x->req))
        buf_add_z(b, "Connection: keep-alive\r\n");
    if (!x->extra.over)
        buf_add_str(b, buf_str(&x->extra));
    if (status == 204 || status == 304 || str_eq(http_request_method(x->req), STR("HEAD")))
        x->no_body = true;
}

/* Write and release `b`; when memory was out, cut: the client must not take a piece for the whole.
 */
static void send_buf(struct stream *s, struct buf *b)
{
    struct err err;

    if (buf_err(b, "an HTTP answer", &err) < 0)
        stream_close(s, &err);
    else
        stream_write(s, buf_str(b));
    buf_fini(b);
}

static void refuse_answer(struct http_exchange *x)
{
    buf_clear(&x->extra); /* what it said of the body */
    http_reply_header(x, "Retry-After", STR("5"));
    http_replyf(x, 503, "no memory for the answer at the moment\n");
}

void http_reply(struct http_exchange *x, int status, const char *content_type, struct str body)
{
    struct stream *s;
    struct buf b;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    INVARIANT(x->state <= EXCHANGE_HANDLING);
    s = http_conn_stream(x->conn);
    if (s != NULL && body.n > ONE_WRITE && !http_conn_charge(x->conn, body.n)) {
        refuse_answer(x);
        return;
    }
    if (s != NULL) {
        buf_init(&b, HEAD_MAX + ONE_WRITE);
        add_head(x, &b, status, content_type);
        if (status != 204 && status != 304)
            buf_addf(&b, "Content-Length: %zu\r\n", body.n);
        buf_add_z(&b, "\r\n");
        if (x->no_body)
            body = STR_NULL;
        if (body.n <= ONE_WRITE) {
            buf_add_str(&b, body);
            body = STR_NULL;
        }
        send_buf(s, &b);
        stream_write(s, body);
        http_conn_settle(x->conn);
    }
    http_exchange_end(x, NULL);
}

void http_replyf(struct http_exchange *x, int status, const char *fmt, ...)
{
    struct buf b, text;
    va_list ap;

    buf_init(&b, TEXT_MAX);
    buf_init(&text, 3 * TEXT_MAX); /* a byte becomes three at most */
    va_start(ap, fmt);
    buf_addv(&b, fmt, ap);
    va_end(ap);
    utf8_repair(&text, buf_str(&b)); /* names and values of the request may be anything */
    http_reply(x, status, "text/plain; charset=utf-8", buf_str(&text));
    buf_fini(&text);
    buf_fini(&b);
}

void http_reply_start(struct http_exchange *x, int status, const char *content_type)
{
    struct stream *s;
    struct buf b;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    INVARIANT(x->state == EXCHANGE_HANDLING);
    x->state = EXCHANGE_STREAMING;
    s = http_conn_stream(x->conn);
    if (s == NULL)
        return;
    x->chunked = !http_request_is_1_0(x->req);
    if (!x->chunked)
        x->close_after = true; /* the end of the connection is the end of the body */
    buf_init(&b, HEAD_MAX);
    add_head(x, &b, status, content_type);
    if (x->chunked && status != 204 && status != 304)
        buf_add_z(&b, "Transfer-Encoding: chunked\r\n");
    buf_add_z(&b, "\r\n");
    send_buf(s, &b);
}

bool http_may_upgrade(const struct http_exchange *x)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    return !http_request_is_1_0(x->req);
}

void http_upgrade(struct http_exchange *x, const char *protocol, http_data_fn *data, void *arg)
{
    struct stream *s;
    struct buf b;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    INVARIANT(x->state == EXCHANGE_HANDLING && http_may_upgrade(x));
    x->state = EXCHANGE_STREAMING;
    x->data = data;
    x->data_arg = arg;
    x->close_after = true; /* the connection is of no use for requests any more */
    s = http_conn_stream(x->conn);
    if (s == NULL)
        return;
    buf_init(&b, HEAD_MAX);
    buf_addf(&b, "HTTP/1.1 101 %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", reason_of(101),
             protocol);
    if (!x->extra.over)
        buf_add_str(&b, buf_str(&x->extra));
    buf_add_z(&b, "\r\n");
    send_buf(s, &b);
    http_conn_upgraded(x->conn);
}

void http_reply_write(struct http_exchange *x, struct str bytes)
{
    struct stream *s;
    struct buf b;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    INVARIANT(x->state == EXCHANGE_STREAMING);
    s = http_conn_stream(x->conn);
    if (s == NULL || bytes.n == 0 || x->no_body)
        return;
    if (x->chunked) {
        buf_init(&b, SIZE_MAX);
        (void)buf_room(&b, bytes.n + 32);
        buf_addf(&b, "%zx\r\n", bytes.n);
        buf_add_str(&b, bytes);
        buf_add_z(&b, "\r\n");
        send_buf(s, &b);
    } else {
        stream_write(s, bytes);
    }
    if (stream_is_full(s))
        http_conn_stalled(x->conn);
}

bool http_is_full(const struct http_exchange *x)
{
    struct stream *s;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    s = http_conn_stream(x->conn);
    return s != NULL && stream_is_full(s);
}

void http_reply_end(struct http_exchange *x)
{
    struct stream *s;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    INVARIANT(x->state == EXCHANGE_STREAMING);
    s = http_conn_stream(x->conn);
    if (s != NULL && x->chunked && !x->no_body)
        stream_write(s, STR("0\r\n\r\n"));
    http_exchange_end(x, NULL);
}

void http_reply_abort(struct http_exchange *x)
{
    struct err why;

    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    INVARIANT(x->state == EXCHANGE_STREAMING);
    (void)err_set(&why, ERR_CANCELLED, "the answer was given up");
    http_exchange_end(x, &why);
}
