/*
 * wire/http_conn.c - one connection of the HTTP server: its states, its deadlines, the requests in
 * it, one exchange at a time.  Contract: http.h, http_conn.h.  Parsing is http_request.c, answering
 * http_reply.c.
 *
 *   IDLE -> HEAD -> BODY -> BUSY -> IDLE ... -> CLOSING
 *
 * One timer per connection, and each state says what it means: IDLE keep-alive (or, with unread
 * answers, how long until a piece of them is taken, as CLOSING), HEAD and BODY how long the client
 * may take, BUSY (only while a streamed answer is full) how long it may stop reading.
 *
 * Invariants
 *   (1) c->x is set in BODY and BUSY only; its handler was called exactly if the state is BUSY, and
 * then it is counted in server->active; (2) an exchange leaves its connection by http_exchange_end
 * (answered) or lose (client gone, server closed); `aborted` is called by `lose` alone, so at most
 * once; (3) bytes that come while BUSY wait in c->in; over HTTP_PIPELINE_BYTES the stream is
 * paused; (4) no request is begun while the stream is full: who pipelines and does not read costs
 * one answer over the high mark, which is charged, and is cut when he has not read on for body_ms;
 * (5) `charged` of the budget is the connection's for that answer, until the stream has drained or
 * is closed; (6) `strangers` connections of the server's ring are not trusted.
 */
#include "wire/http_conn.h"

#include "base/obj.h"

#include <stdlib.h>

enum {
    BODY_DEFAULT = 1 << 20,
    READS_ON = 1 << 20, /* in body_ms: who takes less of an answer has stopped reading */
};

/* ---- exchanges ---- */

static void release_exchange(void *arg)
{
    struct http_exchange *x = arg;

    http_request_free(&x->req);
    arena_free(&x->arena);
    buf_fini(&x->extra);
    x->magic = 0;
    free(x);
}

static struct str keep(struct arena *a, struct str s)
{
    return s.n == 0 ? STR_NULL : arena_str(a, s);
}

static struct http_exchange *new_exchange(struct http_conn *c)
{
    struct http_exchange *x = mem_new(sizeof(*x));

    x->magic = HTTP_EXCHANGE_MAGIC;
    x->loop = c->loop;
    x->conn = c;
    x->req = c->req;
    c->req = NULL;
    c->x = x;
    x->arena = arena_new(c->server->opt.budget, 0);
    x->close_after = c->server->draining || !http_request_keeps_alive(x->req);
    buf_init(&x->extra, 64 * 1024);
    loop_task_init(&x->release, c->loop, release_exchange, x);
    stream_peer(c->stream, &x->peer);
    x->peer.address = keep(x->arena, x->peer.address); /* the exchange may outlive the stream */
    x->peer.identity = keep(x->arena, x->peer.identity);
    x->peer.common_name = keep(x->arena, x->peer.common_name);
    return x;
}

/* Off the connection, memory until the loop's next round: a handler may still be on the stack. */
static void detach(struct http_exchange *x)
{
    if (x->conn != NULL) {
        if (x->conn->state == CONN_BUSY)
            x->conn->server->active--;
        x->conn->x = NULL;
        x->conn = NULL;
    }
}

static void end(struct http_exchange *x)
{
    x->state = EXCHANGE_ENDED;
    loop_task_queue(&x->release);
}

/* The client is gone or the server closes. */
static void lose(struct http_exchange *x)
{
    bool handled = x->state == EXCHANGE_HANDLING || x->state == EXCHANGE_STREAMING;

    if (handled)
        x->conn->server->aborted++;
    detach(x);
    if (handled && x->aborted == NULL)
        return; /* it is answered some day; that ends it */
    if (handled)
        x->aborted(x->watcher);
    end(x);
}

static void set_state(struct http_conn *c, enum http_conn_state state, uint64_t deadline_ms)
{
    c->state = state;
    c->stall_armed = false;
    if (deadline_ms == 0)
        loop_timer_stop(c->timer);
    else
        loop_timer_start(c->timer, deadline_ms, 0);
}

void http_conn_shut(struct http_conn *c, const struct err *why)
{
    set_state(c, CONN_CLOSING, 0);
    if (c->stream != NULL)
        stream_close(c->stream, why);
}

/* The client has not taken its answers: it gets no more. */
static bool has_unread(const struct http_conn *c)
{
    return c->stream != NULL && stream_is_full(c->stream);
}

void http_exchange_end(struct http_exchange *x, const struct err *why)
{
    struct http_conn *c = x->conn;
    bool close = x->close_after;

    INVARIANT(x->state != EXCHANGE_ENDED);
    detach(x);
    end(x);
    if (c == NULL)
        return;
    if (why != NULL || close || c->server->draining)
        http_conn_shut(c, why);
    else
        set_state(c, CONN_IDLE, c->server->opt.idle_ms);
    if (has_unread(c))
        http_conn_stalled(c); /* on_drained goes on; who takes the last one has as long for it */
    else if (c->state == CONN_IDLE)
        loop_task_queue(&c->go_on);
}

struct stream *http_conn_stream(const struct http_conn *c)
{
    return c == NULL ? NULL : c->stream;
}

void http_conn_upgraded(struct http_conn *c)
{
    loop_task_queue(&c->go_on);
}

/* Bytes of answers that are with the client, or with the kernel. */
static uint64_t taken(const struct http_conn *c)
{
    return c->stream == NULL ? 0 : stream_bytes_out(c->stream) - stream_pending(c->stream);
}

void http_conn_stalled(struct http_conn *c)
{
    if (c->stall_armed)
        return;
    c->stall_armed = true;
    c->taken = taken(c);
    loop_timer_start(c->timer, c->server->opt.body_ms, 0);
}

bool http_conn_charge(struct http_conn *c, size_t bytes)
{
    struct err ignored;

    if (c->budget == NULL)
        return true;
    if (mem_budget_take(c->budget, bytes, &ignored) < 0)
        return false;
    c->charged += bytes;
    return true;
}

static void give_back(struct http_conn *c)
{
    if (c->charged > 0)
        mem_budget_give(c->budget, c->charged);
    c->charged = 0;
}

void http_conn_settle(struct http_conn *c)
{
    if (!has_unread(c))
        give_back(c);
}

/* ---- requests ---- */

/* Answer what never reaches the handler. */
static void refuse(struct http_conn *c, int status, const char *text)
{
    struct http_exchange *x = c->x == NULL ? new_exchange(c) : c->x;

    c->server->refused++;
    x->close_after = true;
    http_replyf(x, status, "%s\n", text);
}

/* false: was refused. */
static bool read_params(struct http_conn *c, struct str form)
{
    struct http_exchange *x = c->x;
    struct err err;
    int r = http_params_parse(x->arena, http_request_query(x->req), form, &x->params, &err);

    if (r < 0)
        refuse(c, r == ERR_NOMEM ? 503 : 400, err.text);
    return r == 0;
}

static void handle(struct http_conn *c)
{
    struct http_exchange *x = c->x;
    struct http_server *s = c->server;

    if (http_exchange_has_form(x) && !read_params(c, http_request_body(x->req)))
        return;
    set_state(c, CONN_BUSY, 0);
    x->state = EXCHANGE_HANDLING;
    s->active++;
    s->requests++;
    s->fn(x, s->arg);
}

static void on_head(struct http_conn *c)
{
    struct http_exchange *x = new_exchange(c);
    const struct http_options *opt = &c->server->opt;
    size_t max = BODY_DEFAULT;

    if (!read_params(c, STR_NULL)) /* before the form: body_max may look at them */
        return;
    if (opt->body_max != NULL)
        max = opt->body_max(x, c->server->arg);
    if (!http_request_has_body(x->req)) {
        handle(c);
        return;
    }
    if (max == SIZE_MAX) {
        x->close_after = true; /* the body is in the way of the next request */
        handle(c);
        return;
    }
    if (max == 0 || http_request_announced(x->req) > max) {
        refuse(c, 413, "the body is too large");
        return;
    }
    http_request_allow_body(x->req, max, opt->budget);
    set_state(c, CONN_BODY, opt->body_ms);
    if (http_request_expects_continue(x->req))
        stream_write(c->stream, STR("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* ---- bytes ---- */

/* Use up bytes as far as the state allows; returns the rest. */
static struct str consume(struct http_conn *c, struct str bytes)
{
    while (bytes.n > 0 && c->state <= CONN_BODY) {
        struct http_request *req;
        const char *text;
        int status;

        if (c->state == CONN_IDLE) {
            if (has_unread(c))
                break; /* keeps (4) */
            if (http_move_begin(c, bytes))
                return STR_NULL;
            c->req = http_request_new(c->server->opt.header_bytes);
            set_state(c, CONN_HEAD, c->server->opt.header_ms);
        }
        req = c->state == CONN_HEAD ? c->req : c->x->req;
        switch (http_request_feed(req, &bytes)) {
        case HTTP_REQUEST_MORE:
            break;
        case HTTP_REQUEST_HEAD:
            on_head(c);
            break;
        case HTTP_REQUEST_DONE:
            handle(c);
            break;
        case HTTP_REQUEST_BAD:
            status = http_request_problem(req, &text);
            refuse(c, status, text);
            break;
        }
    }
    return bytes;
}

/* keeps (3) */
static void put_by(struct http_conn *c, struct str bytes)
{
    struct err err;

    if (c->state == CONN_CLOSING || bytes.n == 0)
        return;
    buf_drop(&c->in, c->in_at);
    c->in_at = 0;
    buf_add_str(&c->in, bytes);
    if (buf_err(&c->in, "pipelined requests", &err) < 0)
        http_conn_shut(c, &err);
    else if (c->in.n > HTTP_PIPELINE_BYTES)
        stream_pause(c->stream);
}

static void on_data(struct stream *s, struct str bytes, void *arg)
{
    struct http_conn *c = arg;

    (void)s;
    if (c->state == CONN_BUSY && c->x->data != NULL && c->in.n == 0) {
        c->x->data(c->x->data_arg, bytes);
        return;
    }
    if (c->state <= CONN_BODY && c->in.n == 0)
        bytes = consume(c, bytes);
    put_by(c, bytes);
}

/* What waited is for who reads the connection now. */
static void hand_on(struct http_conn *c)
{
    struct buf in = c->in;
    struct str bytes = str_from(buf_str(&in), c->in_at);

    buf_init(&c->in, HTTP_PIPELINE_MAX);
    c->in_at = 0;
    if (bytes.n > 0)
        c->x->data(c->x->data_arg, bytes);
    buf_fini(&in);
    if (c->state != CONN_CLOSING)
        stream_resume(c->stream);
}

static void release_conn(struct http_conn *c)
{
    loop_timer_free(&c->timer);
    loop_task_cancel(&c->go_on);
    give_back(c);
    http_request_free(&c->req);
    buf_fini(&c->in);
    c->magic = 0;
    free(c);
}

/* The last answer is out: on with what waits. */
static void go_on(void *arg)
{
    struct http_conn *c = arg;
    struct str left;

    if (c->stream != NULL && c->state == CONN_BUSY && c->x->data != NULL) {
        hand_on(c);
        return;
    }
    if (c->state == CONN_MOVED) {
        release_conn(c);
        return;
    }
    if (c->state != CONN_IDLE || c->stream == NULL)
        return;
    left = consume(c, str_from(buf_str(&c->in), c->in_at));
    c->in_at = c->in.n - left.n;
    if (left.n == 0) {
        buf_fini(&c->in); /* idle connections hold nothing */
        c->in_at = 0;
    }
    if (left.n <= HTTP_PIPELINE_BYTES && c->state < CONN_CLOSING)
        stream_resume(c->stream);
}

/* ---- the stream ---- */

static void on_drained(struct stream *s, void *arg)
{
    struct http_conn *c = arg;

    (void)s;
    give_back(c);
    if (c->state == CONN_IDLE) {
        set_state(c, CONN_IDLE, c->server->opt.idle_ms);
        loop_task_queue(&c->go_on);
    }
    if (c->state != CONN_BUSY)
        return;
    set_state(c, CONN_BUSY, 0); /* the client reads */
    if (c->x->drained != NULL)
        c->x->drained(c->x->watcher);
}

static void leave_ring(struct http_conn *c)
{
    if (c->server != NULL && !c->is_trusted)
        c->server->strangers--;
    c->prev->next = c->next;
    c->next->prev = c->prev;
    c->prev = c->next = c;
}

static void on_closed(struct stream *s, const struct err *why, void *arg)
{
    struct http_conn *c = arg;

    (void)s;
    (void)why;
    c->stream = NULL;
    if (c->x != NULL)
        lose(c->x);
    leave_ring(c);
    release_conn(c);
}

static void cut_unread(struct http_conn *c)
{
    struct err why;

    c->server->timeouts++;
    (void)err_set(&why, ERR_TIMEOUT, "the client stopped reading the answer");
    stream_close(c->stream, &why); /* on_closed tells the exchange */
}

/* Of a whole answer: who reads slowly is waited for.  (A streamed one keeps somebody busy.) */
static bool reads_on(struct http_conn *c)
{
    uint64_t now = taken(c);

    if ((int64_t)(now - c->taken) < READS_ON) /* what TLS adds is in one and not in the other */
        return false;
    c->taken = now;
    loop_timer_start(c->timer, c->server->opt.body_ms, 0);
    return true;
}

static void on_timeout(void *arg)
{
    struct http_conn *c = arg;

    switch (c->state) {
    case CONN_HEAD:
    case CONN_BODY:
        c->server->timeouts++;
        refuse(c, 408, "the request took too long");
        break;
    case CONN_BUSY:
        cut_unread(c);
        break;
    case CONN_IDLE:
    case CONN_CLOSING:
        if (!has_unread(c)) {
            give_back(c); /* a stream that ends tells nobody that it has drained */
            http_conn_shut(c, NULL);
        } else if (!reads_on(c)) {
            cut_unread(c);
        }
        break;
    case CONN_MOVED:
        break;
    }
}

static const struct stream_handler HANDLER = {
    .data = on_data,
    .drained = on_drained,
    .closed = on_closed,
};

/* ---- life ---- */

static struct http_conn *new_conn(struct http_server *server, bool is_trusted)
{
    struct http_conn *c = mem_new(sizeof(*c));

    c->magic = HTTP_CONN_MAGIC;
    c->server = server;
    c->loop = server->loop;
    c->prev = server->conns.prev;
    c->next = &server->conns;
    c->prev->next = c;
    server->conns.prev = c;
    c->budget = server->opt.answers;
    c->timer = loop_timer_new(c->loop, on_timeout, c);
    loop_task_init(&c->go_on, c->loop, go_on, c);
    buf_init(&c->in, HTTP_PIPELINE_MAX);
    c->is_trusted = is_trusted;
    if (!is_trusted)
        server->strangers++;
    set_state(c, CONN_IDLE, server->opt.header_ms); /* the first request is due */
    return c;
}

void http_conn_open(struct http_server *s, struct stream *stream)
{
    struct http_conn *c = new_conn(s, false);

    c->stream = stream;
    stream_set_handler(stream, &HANDLER, c);
    stream_set_patient(stream, true);
}

void http_conn_drain(struct http_conn *c)
{
    if (c->state == CONN_IDLE)
        http_conn_shut(c, NULL);
    else if (c->x != NULL && c->x->state != EXCHANGE_STREAMING)
        c->x->close_after = true;
}

void http_conn_orphan(struct http_conn *c, const struct err *why)
{
    c->prev->next = c->next;
    c->next->prev = c->prev;
    c->prev = c->next = c; /* a ring of its own, until its stream has ended */
    if (c->x != NULL)
        lose(c->x);
    c->server = NULL;
    http_conn_shut(c, why);
}

struct stream_parcel *http_conn_leave(struct http_conn *c)
{
    struct stream_parcel *stream = stream_pack(c->stream);

    if (stream == NULL)
        return NULL;
    c->stream = NULL;
    leave_ring(c);
    set_state(c, CONN_MOVED, 0);
    loop_task_queue(&c->go_on);
    return stream;
}

void http_conn_arrive(struct http_server *s, struct stream_parcel **stream, struct buf *bytes,
                      bool is_trusted)
{
    struct http_conn *c = new_conn(s, is_trusted);

    c->stream = stream_unpack(s->loop, stream, &HANDLER, c);
    stream_set_patient(c->stream, s->trunk == NULL);
    buf_fini(&c->in);
    c->in = *bytes;
    *bytes = (struct buf){0};
    go_on(c);
}

void http_trust(struct http_exchange *x)
{
    OBJ_CHECK(x, HTTP_EXCHANGE_MAGIC);
    if (x->conn == NULL || x->conn->is_trusted)
        return;
    x->conn->is_trusted = true;
    x->conn->server->strangers--;
}
