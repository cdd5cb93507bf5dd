/*
 * wire/http_client.c - one request, one answer, on llhttp in strict mode.  Contract: http_client.h.
 *
 * Invariants
 *   (1) `done` is called in `finish` only: from the stream's callbacks or our own task, never from
 * inside a call of the user, and once; after it the stream, if it still lives, has the handler
 * ORPHAN; (2) while the user has paused, body bytes that the parser finds in what was already read
 * wait in `kept` (at most one read's worth), and so does the end of the answer.
 */
#include "wire/http_client.h"

#include "base/buf.h"
#include "base/obj.h"
#include "base/vec.h"
#include "wire/loop_priv.h"

#include <llhttp.h>
#include <stdio.h>
#include <string.h>

enum { HEAD_MAX = 64 * 1024, HEADERS_MAX = 256 };

struct header {
    size_t name_from, name_n, value_from, value_n; /* in `head` */
};

struct http_client {
    unsigned magic;
#define HTTP_CLIENT_MAGIC 0x6d50f3e9u
    struct stream *stream;
    const struct http_client_handler *h;
    void *arg;
    struct buf request; /* until it is written */
    bool is_head;       /* method HEAD: the answer has no body */
    llhttp_t parser;
    struct buf head;
    VEC(struct header) headers;
    bool in_value;
    bool head_done;
    bool complete;
    bool paused;
    bool finished;
    struct buf kept;
    struct loop_timer *idle;
    uint64_t idle_ms;
    struct loop_task go_on;
    const char *problem;
};

static struct http_client *of(llhttp_t *p)
{
    return p->data;
}

static int refuse(struct http_client *c, const char *problem)
{
    c->problem = problem;
    return -1;
}

static int add_head(struct http_client *c, size_t *from, size_t *n, struct str piece)
{
    if (*n == 0)
        *from = c->head.n;
    buf_add_str(&c->head, piece);
    *n += piece.n;
    return c->head.over ? refuse(c, "its headers are too large") : 0;
}

static int begin_header(struct http_client *c)
{
    struct header none = {0};

    if (c->headers.n >= HEADERS_MAX)
        return refuse(c, "it has too many headers");
    VEC_PUSH(&c->headers, none);
    c->in_value = false;
    return 0;
}

static int on_field(llhttp_t *p, const char *at, size_t n)
{
    struct http_client *c = of(p);
    struct header *h;

    if (c->head_done)
        return 0; /* a trailer */
    if ((c->headers.n == 0 || c->in_value) && begin_header(c) < 0)
        return -1;
    h = &c->headers.p[c->headers.n - 1];
    return add_head(c, &h->name_from, &h->name_n, (struct str){at, n});
}

static int on_value(llhttp_t *p, const char *at, size_t n)
{
    struct http_client *c = of(p);
    struct header *h;

    if (c->head_done)
        return 0;
    h = &c->headers.p[c->headers.n - 1];
    return add_head(c, &h->value_from, &h->value_n, (struct str){at, n});
}

static int on_value_complete(llhttp_t *p)
{
    of(p)->in_value = true;
    return 0;
}

static int on_headers(llhttp_t *p)
{
    struct http_client *c = of(p);

    if (p->status_code == 101)
        return refuse(c, "it switches protocols, which was not asked for");
    if (p->status_code / 100 == 1) { /* 100 Continue: the answer proper is still to come */
        buf_clear(&c->head);
        c->headers.n = 0;
        c->in_value = false;
        return 0;
    }
    c->head_done = true;
    if (c->h->head != NULL && !c->finished)
        c->h->head(c, p->status_code, c->arg);
    return c->is_head ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct http_client *c = of(p);

    if (c->finished)
        return 0; /* cancelled meanwhile */
    if (!c->paused) {
        c->h->body(c, (struct str){at, n}, c->arg);
        return 0;
    }
    buf_add(&c->kept, at, n); /* keeps (2) */
    return c->kept.over ? refuse(c, "memory is out") : 0;
}

static int on_message(llhttp_t *p)
{
    struct http_client *c = of(p);

    if (!c->head_done)
        return 0; /* of a 1xx */
    c->complete = true;
    return HPE_PAUSED; /* what follows is nobody's business: one request per connection */
}

static const llhttp_settings_t SETTINGS = {
    .on_header_field = on_field,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers,
    .on_body = on_body,
    .on_message_complete = on_message,
};

/* ---- the end ---- */

static void no_data(struct stream *s, struct str bytes, void *arg)
{
    (void)s;
    (void)bytes;
    (void)arg;
}

static void no_closed(struct stream *s, const struct err *why, void *arg)
{
    (void)s;
    (void)why;
    (void)arg;
}

static const struct stream_handler ORPHAN = {.data = no_data, .closed = no_closed};

static void client_free(struct http_client *c)
{
    loop_timer_free(&c->idle);
    loop_task_cancel(&c->go_on);
    buf_fini(&c->request);
    buf_fini(&c->head);
    buf_fini(&c->kept);
    VEC_FINI(&c->headers);
    c->magic = 0;
    free(c);
}

static void finish(struct http_client *c, const struct err *why)
{
    if (c->stream != NULL) { /* an orderly end: close_notify and FIN go out behind our back */
        stream_set_handler(c->stream, &ORPHAN, NULL);
        stream_close(c->stream, NULL);
        c->stream = NULL;
    }
    c->h->done(c, why, c->arg);
    client_free(c);
}

/* Break it off; `done` comes from the stream's closed. */
static void give_up(struct http_client *c, int code, const char *text)
{
    struct err why;

    (void)err_set(&why, code, "%s", text);
    stream_close(c->stream, &why);
}

static void finish_if_complete(struct http_client *c)
{
    static const struct err FINE = {.code = 0};

    if (c->complete && !c->paused && c->kept.n == 0)
        finish(c, &FINE);
}

/* ---- the stream ---- */

static void restart_idle(struct http_client *c)
{
    if (c->idle_ms > 0)
        loop_timer_start(c->idle, c->idle_ms, 0);
}

static void on_opened(struct stream *s, void *arg)
{
    struct http_client *c = arg;

    stream_write(s, buf_str(&c->request));
    buf_fini(&c->request);
    restart_idle(c);
}

static void on_data(struct stream *s, struct str bytes, void *arg)
{
    struct http_client *c = arg;
    llhttp_errno_t e;
    char text[160];

    (void)s;
    if (c->complete || c->finished)
        return;
    if (!c->paused)
        restart_idle(c);
    e = llhttp_execute(&c->parser, bytes.p, bytes.n);
    if (c->finished)
        return; /* the user cancelled in a callback */
    if (e == HPE_OK || (e == HPE_PAUSED && c->complete)) {
        finish_if_complete(c);
        return;
    }
    (void)snprintf(text, sizeof(text), "the answer is not understood: %s",
                   c->problem != NULL ? c->problem : llhttp_get_error_reason(&c->parser));
    c->finished = true;
    give_up(c, ERR_CORRUPT, text);
}

static void on_closed(struct stream *s, const struct err *why, void *arg)
{
    struct http_client *c = arg;
    struct err err = *why;

    (void)s;
    c->stream = NULL;
    if (err.code == 0 && !c->finished && !c->complete) {
        /* A body without a length ends with the connection; llhttp calls on_message if that is so
         * here. */
        if (c->head_done)
            (void)llhttp_finish(&c->parser);
        if (!c->complete)
            (void)err_set(&err, ERR_CORRUPT, "the peer hung up before the answer was complete");
    }
    if (err.code == 0 && c->complete && (c->paused || c->kept.n > 0))
        return; /* the user has not seen it all: resume goes on */
    finish(c, &err);
}

static const struct stream_handler HANDLER = {
    .opened = on_opened,
    .data = on_data,
    .closed = on_closed,
};

static void on_idle(void *arg)
{
    struct http_client *c = arg;

    if (c->finished || c->stream == NULL)
        return;
    c->finished = true;
    give_up(c, ERR_TIMEOUT, "the peer fell silent before the answer was complete");
}

/* After resume: what was kept back, then the stream. */
static void go_on(void *arg)
{
    struct http_client *c = arg;
    static const struct err CANCELLED = {.code = ERR_CANCELLED,
                                         .text = "the request was cancelled"};

    if (c->finished) {
        if (c->stream == NULL)
            finish(c, &CANCELLED);
        return;
    }
    if (c->paused)
        return;
    if (c->kept.n > 0) {
        struct buf b = c->kept;

        buf_init(&c->kept, b.max);
        c->h->body(c, buf_str(&b), c->arg);
        buf_fini(&b);
    }
    if (c->finished || c->paused)
        return;
    if (c->stream != NULL && !c->complete) {
        restart_idle(c);
        stream_resume(c->stream);
    }
    finish_if_complete(c);
}

/* ---- the request ---- */

static bool is_clean(struct str s, bool blanks)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f || (c == ' ' && !blanks))
            return false;
    }
    return true;
}

static int write_request(struct buf *b, const struct http_client_request *q, struct err *err)
{
    struct str method = str_of(q->method == NULL ? "GET" : q->method);
    struct str target = str_of(q->target == NULL ? "/" : q->target);
    struct str host = str_of(q->host == NULL ? q->address : q->host);

    if (str_starts(host, STR("unix:")))
        host = STR("localhost");
    if (!is_clean(method, false) || !is_clean(target, false) || !is_clean(host, false))
        return err_set(err, ERR_INVALID,
                       "a request line may hold no blanks and no control characters");
    buf_addf(b, "%.*s %.*s HTTP/1.1\r\nHost: %.*s\r\nConnection: close\r\n", STR_ARG(method),
             STR_ARG(target), STR_ARG(host));
    for (size_t i = 0; i < q->n_headers; i++) {
        const struct label *h = &q->headers[i];

        if (h->name.n == 0 || !is_clean(h->name, false) || !is_clean(h->value, true))
            return err_set(err, ERR_INVALID, "header '%.*s' holds control characters",
                           (int)(h->name.n < 64 ? h->name.n : 64), h->name.p);
        buf_add_str(b, h->name);
        buf_add_z(b, ": ");
        buf_add_str(b, h->value);
        buf_add_z(b, "\r\n");
    }
    if (q->body.n > 0 || str_eq(method, STR("POST")) || str_eq(method, STR("PUT")))
        buf_addf(b, "Content-Length: %zu\r\n", q->body.n);
    buf_add_z(b, "\r\n");
    buf_add_str(b, q->body);
    return buf_err(b, "an HTTP request", err);
}

int http_client_start(struct loop *l, const struct http_client_request *req,
                      const struct http_client_handler *h, void *arg, struct http_client **ret,
                      struct err *err)
{
    struct http_client *c = mem_new(sizeof(*c));
    struct stream_options opt = {
        .tls = req->tls,
        .server_name = req->server_name,
        .connect_ms = req->connect_ms,
        .connected_fd = req->connected_fd,
    };
    int r;

    c->magic = HTTP_CLIENT_MAGIC;
    c->h = h;
    c->arg = arg;
    c->idle_ms = req->idle_ms;
    c->is_head = req->method != NULL && strcmp(req->method, "HEAD") == 0;
    buf_init(&c->request, SIZE_MAX);
    buf_init(&c->head, HEAD_MAX);
    buf_init(&c->kept, LOOP_READ_BYTES);
    llhttp_init(&c->parser, HTTP_RESPONSE, &SETTINGS);
    c->parser.data = c;
    loop_task_init(&c->go_on, l, go_on, c);
    r = write_request(&c->request, req, err);
    if (r == 0)
        r = stream_connect(l, req->address, &opt, &HANDLER, c, &c->stream, err);
    if (r < 0) {
        client_free(c);
        return r;
    }
    c->idle = loop_timer_new(l, on_idle, c);
    *ret = c;
    return 0;
}

struct str http_client_header(const struct http_client *c, const char *name)
{
    OBJ_CHECK(c, HTTP_CLIENT_MAGIC);
    for (size_t i = 0; i < c->headers.n; i++) {
        const struct header *h = &c->headers.p[i];

        if (str_eq_nocase((struct str){c->head.p + h->name_from, h->name_n}, str_of(name)))
            return str_trim((struct str){c->head.p + h->value_from, h->value_n});
    }
    return STR_NULL;
}

void http_client_pause(struct http_client *c)
{
    OBJ_CHECK(c, HTTP_CLIENT_MAGIC);
    c->paused = true;
    loop_timer_stop(c->idle); /* it is we who are silent */
    if (c->stream != NULL)
        stream_pause(c->stream);
}

void http_client_resume(struct http_client *c)
{
    OBJ_CHECK(c, HTTP_CLIENT_MAGIC);
    if (!c->paused)
        return;
    c->paused = false;
    loop_task_queue(&c->go_on);
}

void http_client_cancel(struct http_client *c)
{
    OBJ_CHECK(c, HTTP_CLIENT_MAGIC);
    if (c->finished)
        return;
    c->finished = true;
    if (c->stream != NULL)
        give_up(c, ERR_CANCELLED, "the request was cancelled");
    else
        loop_task_queue(&c->go_on); /* the stream has ended before */
}
