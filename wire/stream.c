/*
 * wire/stream.c - one connection: TCP or unix socket, with or without TLS.  Contract: stream.h.
 *
 *   RESOLVING -> CONNECTING -> SHAKING -> OPEN -> FLUSHING -> LINGERING -> ENDED
 *   (an accepted stream begins at SHAKING; without TLS that step is skipped; a break goes to ENDED
 * from anywhere, a failed handshake to FLUSHING, so that the peer can read the alert)
 *
 * Why linger: closing a socket with unread bytes resets the connection, and the reset overtakes
 * what we wrote last: an HTTP 413, a TLS alert.  So after FIN we read and discard until the peer's
 * FIN, for a while.
 *
 * Invariants
 *   (1) `closed` is called in `finish` only, which only libuv's close callback, the resolver's
 * callback and our own task call: always from the loop, and once; (2) the struct lives until then:
 * a callback into the user may call stream_close, and whoever called that callback looks at `state`
 * afterwards, not at a freed stream; (3) the socket is read exactly when `update_reading` says so;
 * a paused or waiting stream holds at most one read's worth of ciphertext; (4) a waiting stream has
 * its task queued or will when `shake` is done, and nothing is read until that has run.
 */
#include "wire/stream.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/obj.h"
#include "wire/loop_priv.h"
#include "wire/stream_priv.h"
#include "wire/tls.h"
#include "wire/tls_shake.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

enum {
    CLOSE_MS = 10 * 1000, /* without progress while flushing */
    LINGER_MS = 2 * 1000,
    SEND_CHUNK = 16 << 20, /* of one stream_write, per uv_write */
};

struct write_request {
    uv_write_t req;
    struct stream *s;
    struct buf bytes;
};

static void pump(struct stream *s);

/* ---- the end ---- */

void stream_release(struct stream *s)
{
    tls_free(&s->tls);
    buf_fini(&s->early);
    free(s->tries);
    free(s->cert.identity);
    free(s->cert.common_name);
    s->magic = 0;
    free(s);
}

void stream_finish(struct stream *s)
{
    const struct stream_handler *h = s->h;

    loop_item_remove(&s->item);
    loop_task_cancel(&s->task);
    if (h != NULL && h->closed != NULL)
        h->closed(s, &s->why, s->arg);
    if (s->listener != NULL)
        listener_stream_ended(s->listener, s->handshake_failed);
    stream_release(s);
}

void stream_on_closed(uv_handle_t *handle)
{
    struct stream *s = handle->data;

    s->handle_live = false;
    if (s->state != STATE_ENDED)
        stream_connect_next(s); /* a failed attempt to connect was cleared away */
    else if (!s->resolving)
        stream_finish(s);
}

void stream_destroy(struct stream *s)
{
    if (s->state == STATE_ENDED)
        return;
    s->state = STATE_ENDED;
    loop_timer_free(&s->deadline);
    if (s->shake != NULL)
        tls_shake_abandon(&s->shake, &s->tls);
    tls_free(&s->tls);
    loop_task_cancel(&s->task); /* a resume's: it would take us for finished */
    if (s->handle_live) {
        if (!uv_is_closing(&s->uv.handle))
            uv_close(&s->uv.handle, stream_on_closed);
    } else if (s->resolving) {
        (void)uv_cancel((uv_req_t *)&s->req.resolve); /* its callback comes in any case */
    } else {
        loop_task_queue(&s->task); /* keeps (1) */
    }
}

static void fail(struct stream *s, const struct err *why)
{
    if (s->state == STATE_ENDED)
        return;
    s->why = *why;
    stream_destroy(s);
}

static void close_item(struct loop_item *i)
{
    struct stream *s = (struct stream *)(void *)((char *)i - offsetof(struct stream, item));
    struct err why;

    (void)err_set(&why, ERR_CANCELLED, "the program ends");
    fail(s, &why);
}

static void on_task(void *arg)
{
    struct stream *s = arg;

    if (s->state == STATE_ENDED)
        stream_finish(s);
    else if (s->state == STATE_CONNECTING)
        stream_begin(s);
    else
        pump(s);
}

/* Is what TLS has to do no hurry?  Handshakes are what takes longest, and come in storms. */
static bool is_patient(const struct stream *s)
{
    return s->patient || s->state == STATE_SHAKING;
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct stream *s = handle->data;

    (void)suggested;
    *ret = uv_buf_init(loop_read_buffer(s->loop), LOOP_READ_BYTES);
}

static void on_shutdown(uv_shutdown_t *req, int status);
static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *b);

static void update_reading(struct stream *s)
{
    bool may = s->state == STATE_SHAKING || (s->state == STATE_OPEN && !s->paused && !s->throttled);
    bool want = s->state == STATE_LINGERING || (may && !s->waiting);
    struct err err;
    int r;

    if (s->state == STATE_ENDED || want == s->reading)
        return;
    s->reading = want;
    if (!want) {
        (void)uv_read_stop(&s->uv.stream);
        return;
    }
    r = uv_read_start(&s->uv.stream, on_alloc, on_read);
    if (r < 0) {
        (void)loop_uv_err(&err, r, "read from %s", s->address);
        fail(s, &err);
    }
}

static void start_deadline(struct stream *s, uint64_t ms)
{
    s->deadline_ms = ms;
    loop_timer_start(s->deadline, ms, 0);
}

/* ---- writing ---- */

size_t stream_pending(const struct stream *s)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    if (s->state == STATE_ENDED)
        return 0;
    return s->early.n + (s->handle_live ? uv_stream_get_write_queue_size(&s->uv.stream) : 0);
}

bool stream_is_full(const struct stream *s)
{
    return stream_pending(s) > s->high;
}

static void on_written(uv_write_t *req, int status)
{
    struct write_request *w = req->data;
    struct stream *s = w->s;
    struct err err;

    buf_fini(&w->bytes);
    free(w);
    if (s->state == STATE_ENDED)
        return;
    if (status < 0) {
        if (s->eof)
            stream_destroy(s); /* the peer has ended before and does not want the rest */
        else {
            (void)loop_uv_err(&err, status, "write to %s", s->address);
            fail(s, &err);
        }
        return;
    }
    if (stream_pending(s) > s->low)
        return;
    if (s->throttled) {
        s->throttled = false;
        loop_task_queue(&s->task);
    }
    if (s->was_full && s->state == STATE_OPEN) {
        s->was_full = false;
        if (s->h->drained != NULL)
            s->h->drained(s, s->arg);
    }
}

/* Takes `bytes`. */
static void send_buf(struct stream *s, struct buf bytes)
{
    struct write_request *w = mem_new(sizeof(*w));
    struct err err;
    uv_buf_t b;
    int r;

    w->s = s;
    w->bytes = bytes;
    w->req.data = w;
    b = uv_buf_init(bytes.p, (unsigned)bytes.n); /* SEND_CHUNK keeps it in range */
    r = uv_write(&w->req, &s->uv.stream, &b, 1, on_written);
    if (r < 0) {
        buf_fini(&w->bytes);
        free(w);
        (void)loop_uv_err(&err, r, "write to %s", s->address);
        fail(s, &err);
        return;
    }
    if (stream_pending(s) > s->high)
        s->was_full = true;
}

/* What TLS wants to say. */
static void send_tls(struct stream *s)
{
    struct buf out;

    if (s->tls != NULL && tls_take(s->tls, &out))
        send_buf(s, out);
}

static void no_memory(struct stream *s)
{
    struct err err;

    (void)err_set(&err, ERR_NOMEM, "no memory to write to %s", s->address);
    fail(s, &err);
}

static void send_plain(struct stream *s, struct str bytes)
{
    while (bytes.n > 0 && s->state == STATE_OPEN) {
        struct str piece = str_sub(bytes, 0, SEND_CHUNK);
        struct err err;
        struct buf b;

        bytes = str_from(bytes, piece.n);
        if (s->tls == NULL) {
            buf_init(&b, SIZE_MAX);
            buf_add_str(&b, piece);
            if (b.over) {
                buf_fini(&b);
                no_memory(s);
            } else {
                send_buf(s, b);
            }
        } else if (tls_write(s->tls, piece, &err) < 0) {
            (void)err_wrap(&err, "write to %s", s->address);
            fail(s, &err);
        } else {
            send_tls(s);
        }
    }
}

void stream_write(struct stream *s, struct str bytes)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    if (bytes.n == 0)
        return;
    if (s->state == STATE_OPEN) {
        s->bytes_out += bytes.n;
        send_plain(s, bytes);
    } else if (s->state < STATE_OPEN) {
        s->bytes_out += bytes.n;
        buf_add_str(&s->early, bytes);
        if (s->early.over)
            no_memory(s);
        else if (s->early.n > s->high)
            s->was_full = true;
    }
}

/* ---- an orderly end ---- */

static void start_flush_deadline(struct stream *s)
{
    s->flush_left = stream_pending(s);
    start_deadline(s, CLOSE_MS);
}

static void begin_flush(struct stream *s)
{
    int r;

    if (s->tls != NULL && s->state == STATE_OPEN)
        tls_shutdown(s->tls);
    s->state = STATE_FLUSHING;
    update_reading(s);
    send_tls(s);
    if (s->state == STATE_ENDED)
        return;
    start_flush_deadline(s);
    s->req.shutdown.data = s;
    r = uv_shutdown(&s->req.shutdown, &s->uv.stream, on_shutdown);
    if (r < 0)
        stream_destroy(s); /* not connected any more: there is nobody to be orderly with */
}

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct stream *s = req->data;

    if (s->state != STATE_FLUSHING)
        return;
    if (status < 0 || s->eof) {
        stream_destroy(s);
        return;
    }
    s->state = STATE_LINGERING;
    start_deadline(s, LINGER_MS);
    update_reading(s);
}

void stream_close(struct stream *s, const struct err *why)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    if (why != NULL)
        fail(s, why);
    else if (s->state == STATE_OPEN)
        begin_flush(s);
    else if (s->state < STATE_OPEN) {
        memset(&s->why, 0, sizeof(s->why)); /* of attempts to connect */
        stream_destroy(s);
    }
}

static void on_deadline(void *arg)
{
    struct stream *s = arg;
    struct err err;

    switch (s->state) {
    case STATE_RESOLVING:
    case STATE_CONNECTING:
        (void)err_set(&err, ERR_TIMEOUT, "connect to %s: no answer within %llu ms", s->address,
                      (unsigned long long)s->deadline_ms);
        fail(s, &err);
        break;
    case STATE_SHAKING:
        (void)err_set(&err, ERR_TIMEOUT, "TLS handshake with %s: not done within %llu ms",
                      s->address, (unsigned long long)s->deadline_ms);
        s->handshake_failed = true;
        fail(s, &err);
        break;
    case STATE_FLUSHING:
        if (stream_pending(s) < s->flush_left) {
            start_flush_deadline(s); /* slow, but it moves */
            break;
        }
        (void)err_set(&err, ERR_TIMEOUT, "%s did not read our last bytes within %llu ms",
                      s->address, (unsigned long long)s->deadline_ms);
        fail(s, s->why.code == 0 ? &err : &s->why);
        break;
    case STATE_LINGERING:
    case STATE_OPEN:
    case STATE_ENDED:
        stream_destroy(s);
        break;
    }
}

/* ---- open ---- */

static void open_now(struct stream *s)
{
    struct buf early = s->early;

    if (s->tls != NULL)
        tls_peer(s->tls, &s->cert);
    loop_timer_stop(s->deadline);
    s->state = STATE_OPEN;
    buf_init(&s->early, SIZE_MAX);
    send_plain(s, buf_str(&early));
    buf_fini(&early);
    if (s->state == STATE_OPEN && s->h->opened != NULL)
        s->h->opened(s, s->arg);
}

static void handshake_failed(struct stream *s, struct err *err)
{
    (void)err_wrap(err, "TLS handshake with %s", s->address);
    s->why = *err;
    s->handshake_failed = true;
    begin_flush(s); /* the alert was queued by then */
}

/* 0: go on; 1: not yet, or failed. */
static int shake(struct stream *s)
{
    struct err err;
    int r = s->shake != NULL ? tls_shake_end(&s->shake, &err) : tls_handshake(s->tls, &err);

    send_tls(s);
    if (r == 0 && s->state == STATE_SHAKING) {
        open_now(s);
        return 0;
    }
    if (r < 0 && s->state == STATE_SHAKING)
        handshake_failed(s, &err);
    return 1;
}

static void on_eof(struct stream *s)
{
    struct err err;

    s->eof = true;
    if (s->state == STATE_SHAKING) {
        (void)err_set(&err, ERR_IO, "TLS handshake with %s: the peer hung up", s->address);
        s->handshake_failed = true;
        fail(s, &err);
    } else if (s->tls != NULL) {
        (void)err_set(&err, ERR_IO, "%s hung up without TLS close_notify", s->address);
        fail(s, &err);
    } else {
        begin_flush(s);
    }
}

static void pump_tls(struct stream *s)
{
    char *plain = loop_plain_buffer(s->loop);

    while (s->state == STATE_OPEN && !s->paused && !s->throttled) {
        struct err err;
        size_t n = 0;
        int r = tls_read(s->tls, plain, LOOP_PLAIN_BYTES, &n, &err);
        struct buf out;

        if (tls_take(s->tls, &out)) { /* an answer to a key update, or an alert */
            s->throttled = stream_is_full(s);
            send_buf(s, out);
        }
        if (r == 1 || s->state != STATE_OPEN)
            break;
        if (r < 0) {
            (void)err_wrap(&err, "TLS with %s", s->address);
            fail(s, &err);
        } else if (n == 0) {
            s->eof = true;
            begin_flush(s);
        } else {
            s->bytes_in += n;
            s->h->data(s, (struct str){plain, n}, s->arg);
        }
    }
}

static void pump(struct stream *s)
{
    s->waiting = false;
    if (s->tls != NULL) {
        if (s->state != STATE_SHAKING || shake(s) == 0)
            pump_tls(s);
        if (s->tls != NULL) /* destroy frees it */
            tls_keep(s->tls);
    }
    update_reading(s);
}

static void on_shaken(void *arg)
{
    struct stream *s = arg;

    loop_task_queue_patient(&s->task);
}

/* keeps (4) */
static void wait_turn(struct stream *s)
{
    tls_keep(s->tls);
    s->waiting = true;
    if (s->state == STATE_SHAKING && s->listener != NULL)
        s->shake = tls_shake_begin(s->loop, s->tls, on_shaken, s);
    else
        loop_task_queue_patient(&s->task);
    update_reading(s);
}

static void on_read(uv_stream_t *handle, ssize_t n, const uv_buf_t *b)
{
    struct stream *s = handle->data;
    struct err err;

    if (n == 0)
        return;
    if (s->state == STATE_LINGERING) {
        if (n < 0)
            stream_destroy(s);
        return;
    }
    if (n == UV_EOF) {
        on_eof(s);
    } else if (n < 0) {
        (void)loop_uv_err(&err, (int)n, "read from %s", s->address);
        s->handshake_failed = s->state == STATE_SHAKING;
        fail(s, &err);
    } else if (s->tls != NULL) {
        tls_feed(s->tls, (struct str){b->base, (size_t)n});
        if (is_patient(s))
            wait_turn(s);
        else
            pump(s);
    } else {
        s->bytes_in += (size_t)n;
        s->h->data(s, (struct str){b->base, (size_t)n}, s->arg);
    }
}

void stream_pause(struct stream *s)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    s->paused = true;
    if (s->state == STATE_OPEN)
        update_reading(s);
}

void stream_resume(struct stream *s)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    if (!s->paused)
        return;
    s->paused = false;
    if (s->state == STATE_OPEN)
        loop_task_queue(
            &s->task); /* not at once: the caller may be inside another stream's `data` */
}

void stream_set_patient(struct stream *s, bool patient)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    s->patient = patient;
}

/* ---- the beginning ---- */

void stream_begin(struct stream *s)
{
    if (s->tls == NULL) {
        open_now(s);
    } else {
        s->state = STATE_SHAKING;
        if (s->listener == NULL)
            (void)shake(s); /* the client speaks first */
    }
    update_reading(s);
}

void stream_set_loop(struct stream *s, struct loop *l)
{
    s->loop = l;
    loop_task_init(&s->task, l, on_task, s);
}

struct stream *stream_make(struct loop *l, const struct stream_options *opt)
{
    struct stream *s = mem_new(sizeof(*s));

    s->magic = STREAM_MAGIC;
    stream_set_loop(s, l);
    s->high = opt->high_bytes == 0 ? 1 << 20 : opt->high_bytes;
    s->low = opt->low_bytes == 0 ? 256 << 10 : opt->low_bytes;
    if (s->low > s->high)
        s->low = s->high;
    buf_init(&s->early, SIZE_MAX);
    return s;
}

void stream_go_on(struct stream *s)
{
    s->state = STATE_OPEN;
    loop_task_queue(&s->task);
}

/* Gives `fd` to a libuv handle. */
int stream_adopt(struct stream *s, int fd, bool is_unix)
{
    int r;

    if (is_unix)
        r = uv_pipe_init(loop_uv(s->loop), &s->uv.pipe, 0);
    else
        r = uv_tcp_init(loop_uv(s->loop), &s->uv.tcp);
    if (r < 0)
        return r;
    s->handle_live = true;
    s->uv.handle.data = s;
    r = is_unix ? uv_pipe_open(&s->uv.pipe, fd) : uv_tcp_open(&s->uv.tcp, fd);
    if (r == 0 && !is_unix) {
        (void)uv_tcp_nodelay(&s->uv.tcp, 1); /* both are tuning: the stream works without */
        (void)uv_tcp_keepalive(&s->uv.tcp, 1, STREAM_KEEPALIVE_S);
    }
    return r;
}

/* The stream takes its place on the loop: from here on it ends through `finish` only. */
void stream_enter(struct stream *s, uint64_t deadline_ms)
{
    loop_item_add(s->loop, &s->item, LOOP_ITEM_SPEAKS, close_item);
    s->deadline = loop_timer_new(s->loop, on_deadline, s);
    start_deadline(s, deadline_ms == 0 ? 10 * 1000 : deadline_ms);
}

int stream_accept(struct loop *l, const struct stream_accepted *a, const struct stream_options *opt,
                  struct err *err)
{
    bool is_unix = a->peer.any.sa_family == AF_UNIX;
    struct stream *s = stream_make(l, opt);
    int r = 0;

    (void)address_format(&a->peer, s->address);
    s->has_uid = a->has_uid;
    s->uid = a->uid;
    if (opt->tls != NULL)
        r = tls_new(opt->tls, NULL, &s->tls, err);
    if (r < 0) {
        (void)close(a->fd);
        stream_release(s);
        return r;
    }
    stream_enter(s, opt->handshake_ms);
    r = stream_adopt(s, a->fd, is_unix);
    s->listener = a->ls; /* from here on `finish` reports to it */
    if (r < 0) {
        (void)close(a->fd); /* the handle did not take it */
        (void)loop_uv_err(&s->why, r, "accept from %s", s->address);
        stream_destroy(s);
        return 0;
    }
    s->state = STATE_SHAKING;
    a->fn(s, a->arg);
    if (s->state == STATE_ENDED)
        return 0;
    INVARIANT(s->h != NULL);
    stream_begin(s);
    return 0;
}

void stream_set_handler(struct stream *s, const struct stream_handler *h, void *arg)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    INVARIANT(h != NULL && h->data != NULL && h->closed != NULL);
    s->h = h;
    s->arg = arg;
}

void stream_peer(const struct stream *s, struct stream_peer *ret)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    *ret = (struct stream_peer){
        .address = str_of(s->address),
        .identity = {s->cert.identity, s->cert.identity_n},
        .common_name = {s->cert.common_name, s->cert.common_name_n},
        .has_uid = s->has_uid,
        .uid = s->uid,
        .cert_not_after = s->cert.not_after,
    };
}

uint64_t stream_bytes_in(const struct stream *s)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    return s->bytes_in;
}

uint64_t stream_bytes_out(const struct stream *s)
{
    OBJ_CHECK(s, STREAM_MAGIC);
    return s->bytes_out;
}
