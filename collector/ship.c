/*
 * collector/ship.c - contract: ship.h.
 *
 * Invariants
 *   (1) a chunk leaves the list only by an ack or a refusal with its token, or by ship_free;
 *   (2) on one connection each chunk is sent at most once, in the order of the list;
 *   (3) at most one stream lives at a time; a stream that is closing has no arg that reaches us any
 * more... so the next one is opened only after `closed` came.
 */
#include "collector/ship.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/backoff.h"
#include "collector/metrics.h"
#include "wire/forward_about.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ACK_MAX = 64 << 10, ABOUT_MAX = 16 << 10, STATUS_MS = 15000 };

/* Of messages about ourselves: no chunk has such a one. */
static const char ABOUT_TOKEN[] = "about";

struct parcel {
    struct parcel *next;
    uint64_t no;
    char token[CHUNK_TOKEN_BYTES];
    struct buf message; /* owned */
    bool sent;          /* on this connection */
    bool tried;         /* on any */
    dur_ns sent_at;
};

struct ship {
    unsigned magic;
#define SHIP_MAGIC 0x5a1b9e02u
    struct loop *loop;
    struct ship_options opt; /* owned copies */
    char *address, *server_name;
    struct ship_handler handler;
    void *arg;
    struct stream *stream;    /* NULL: none */
    bool connected, closing;  /* connected: and may be used */
    bool opened;              /* the stream there is was connected */
    struct loop_timer *timer; /* reconnect, or ack deadline */
    struct loop_timer *status_timer;
    dur_ns asked_at; /* a message about ourselves is not answered since then; 0: none is */
    bool answers;    /* on this connection such a one was answered */
    struct backoff backoff;
    struct parcel *first, **last;
    size_t n, bytes;
    dur_ns last_ack;
    dur_ns quiet_at; /* the last sign that all is well */
    bool decided;
    struct buf in;
    struct forward_frame frame;
    bool told; /* a connection that fails is logged once until one succeeds */
};

static void connect_now(void *arg);

/* ---- sending ---- */

/* Since when an answer is due; 0: none is.  An ack for any chunk shows that the server works on
 * them. */
static dur_ns waiting_since(const struct ship *s)
{
    const struct parcel *p = s->first;

    while (p != NULL && !p->sent)
        p = p->next;
    if (p != NULL)
        return p->sent_at > s->last_ack ? p->sent_at : s->last_ack;
    return s->answers ? s->asked_at : 0; /* not every server answers what has no entries */
}

static void watch_acks(struct ship *s)
{
    dur_ns since = waiting_since(s), left;

    if (!s->connected)
        return;
    if (since == 0) {
        loop_timer_stop(s->timer);
        return;
    }
    left = since + s->opt.ack_timeout - time_mono();
    loop_timer_start(s->timer, left < 0 ? 0 : (uint64_t)(left / NS_PER_MS) + 1, 0);
}

/* Who and how we are. */
static void send_about(struct ship *s, bool is_hello)
{
    struct forward_about about = {.has_hello = is_hello, .has_status = true};
    struct buf b;

    if (s->handler.about == NULL || !s->connected || s->asked_at != 0)
        return;
    s->handler.about(s->arg, is_hello, &about);
    buf_init(&b, ABOUT_MAX);
    forward_about_pack(&b, str_of(ABOUT_TOKEN), &about);
    INVARIANT(!b.over); /* its texts are bounded */
    stream_write(s->stream, buf_str(&b));
    buf_fini(&b);
    s->asked_at = time_mono();
    watch_acks(s);
}

static void on_status_timer(void *arg)
{
    send_about(arg, false);
}

static void send_waiting(struct ship *s)
{
    if (!s->connected || s->closing)
        return;
    for (struct parcel *p = s->first; p != NULL; p = p->next) {
        if (p->sent)
            continue;
        stream_write(s->stream, buf_str(&p->message));
        p->sent = p->tried = true; /* keeps (2) */
        p->sent_at = time_mono();
        metric_add(METRIC_CHUNKS_SENT, 1);
        metric_add(METRIC_SENT_BYTES, p->message.n);
        (void)fault_hit("ship.sent");
    }
    watch_acks(s);
}

static void close_stream(struct ship *s, const struct err *why)
{
    if (s->stream == NULL || s->closing)
        return;
    s->closing = true;
    s->connected = false;
    stream_close(s->stream, why);
}

/* The timer of a connection that is up: no ack for too long. */
static void on_timer(void *arg)
{
    struct ship *s = arg;
    struct err err;
    dur_ns since;

    if (s->stream == NULL) {
        connect_now(s);
        return;
    }
    since = waiting_since(s);
    if (!s->connected || since == 0)
        return;
    if (time_mono() - since < s->opt.ack_timeout) {
        watch_acks(s);
        return;
    }
    (void)err_set(&err, ERR_TIMEOUT, "no ack within %lld ms",
                  (long long)(s->opt.ack_timeout / NS_PER_MS));
    metric_add(METRIC_ACK_TIMEOUTS, 1);
    close_stream(s, &err);
}

/* ---- acks ---- */

static void parcel_free(struct parcel *p)
{
    buf_fini(&p->message);
    free(p);
}

static struct parcel *cut_parcel(struct ship *s, struct parcel **at)
{
    struct parcel *p = *at;

    *at = p->next;
    if (s->last == &p->next)
        s->last = at;
    s->n--;
    s->bytes -= p->message.n;
    metric_sub(METRIC_WINDOW_CHUNKS, 1);
    return p;
}

/* Take the chunk with this token out of the list; NULL: there is none. */
static struct parcel *take_parcel(struct ship *s, struct str token)
{
    struct parcel **at = &s->first;

    while (*at != NULL && !((*at)->sent && str_eq(token, str_of((*at)->token))))
        at = &(*at)->next;
    return *at == NULL ? NULL : cut_parcel(s, at);
}

static int take_ack(struct ship *s, struct str bytes, struct err *err)
{
    struct forward_ack ack = {.refused = false};
    struct parcel *p;
    int r = forward_ack_parse(bytes, &ack, err);

    if (r < 0)
        return r;
    if (str_eq(ack.token, str_of(ABOUT_TOKEN))) {
        s->asked_at = 0;
        s->answers = true;
        backoff_reset(&s->backoff);
        if (ack.has_known && s->handler.known != NULL)
            s->handler.known(s->arg, ack.known_incarnation, ack.known_next);
        return 0;
    }
    p = take_parcel(s, ack.token);
    if (p == NULL) {
        metric_add(METRIC_ACK_UNKNOWN, 1);
        return 0;
    }
    s->last_ack = s->quiet_at = time_mono();
    (void)fault_hit("ship.acked");
    metric_observe(METRIC_ACK_SECONDS, (double)(s->last_ack - p->sent_at) / 1e9);
    metric_add(ack.refused && !ack.has_parts ? METRIC_CHUNKS_REFUSED : METRIC_CHUNKS_ACKED, 1);
    if (ack.refused)
        s->handler.refused(s->arg, p->no, buf_str(&p->message), &ack);
    else
        s->handler.acked(s->arg, p->no);
    parcel_free(p);
    return 0;
}

/* Every whole ack in s->in. */
static int take_acks(struct ship *s, struct err *err)
{
    static const struct forward_limits LIMITS = {.message_bytes = ACK_MAX};

    while (s->in.n > 0) {
        size_t n = 0;
        int r = forward_frame_scan(&s->frame, buf_str(&s->in), &LIMITS, &n, err);
        if (r == 1)
            return 0;
        if (r == 0)
            r = take_ack(s, (struct str){s->in.p, n}, err);
        if (r < 0)
            return r;
        buf_drop(&s->in, n);
        memset(&s->frame, 0, sizeof(s->frame));
    }
    return 0;
}

/* ---- the connection ---- */

static void on_opened(struct stream *stream, void *arg)
{
    struct ship *s = arg;

    (void)stream;
    s->connected = s->opened = s->decided = true;
    s->told = false;
    metric_add(METRIC_CONNECTS, 1);
    metric_add(METRIC_SERVERS_THERE, 1);
    log_info("ship.connected", LOG_Z("server", s->address), LOG_U64("waiting", s->n));
    send_about(s, true);
    send_waiting(s);
    s->handler.room(s->arg);
}

static void on_data(struct stream *stream, struct str bytes, void *arg)
{
    struct ship *s = arg;
    struct err err;
    size_t before = s->n;
    int r;

    if (s->closing)
        return;
    buf_add_str(&s->in, bytes);
    r = s->in.over ? err_set(&err, ERR_LIMIT, "answer over %d bytes", ACK_MAX) : take_acks(s, &err);
    if (r < 0) {
        close_stream(s, &err);
        return;
    }
    if (s->n < before) {
        backoff_reset(&s->backoff);
        s->handler.room(s->arg);
    }
    (void)stream;
    watch_acks(s);
}

static void on_closed(struct stream *stream, const struct err *why, void *arg)
{
    struct ship *s = arg;
    uint64_t wait;

    (void)stream;
    s->stream = NULL;
    if (s->n == 0 && s->opened)
        s->quiet_at = time_mono();
    metric_sub(METRIC_SERVERS_THERE, s->opened);
    s->decided = true;
    s->connected = s->opened = s->closing = s->answers = false;
    s->asked_at = 0;
    buf_clear(&s->in);
    memset(&s->frame, 0, sizeof(s->frame));
    for (struct parcel *p = s->first; p != NULL; p = p->next)
        p->sent = false;
    wait = backoff_next_ms(&s->backoff);
    metric_add(METRIC_CONNECT_FAILED, 1);
    if (!s->told)
        log_warn("ship.disconnected", LOG_Z("server", s->address),
                 LOG_Z("error", why->code == 0 ? "closed by the server" : why->text),
                 LOG_U64("unacked", s->n), LOG_U64("retry_ms", wait));
    s->told = true;
    loop_timer_start(s->timer, wait, 0);
}

/* A stream whose ship is gone: nothing to do when it ends. */
static void ignore_data(struct stream *stream, struct str bytes, void *arg)
{
    (void)stream;
    (void)bytes;
    (void)arg;
}

static void ignore_closed(struct stream *stream, const struct err *why, void *arg)
{
    (void)stream;
    (void)why;
    (void)arg;
}

static void use_tls(struct ship *s, struct tls_ctx *tls)
{
    struct tls_ctx *old = s->opt.tls;

    s->opt.tls = tls == NULL ? NULL : tls_ctx_ref(tls);
    tls_ctx_unref(&old);
}

static void connect_now(void *arg)
{
    static const struct stream_handler HANDLER = {
        .opened = on_opened, .data = on_data, .closed = on_closed};
    struct ship *s = arg;
    struct stream_options opt = {.server_name = s->server_name};
    struct err err;
    int r = 0;

    if (s->stream != NULL)
        return; /* keeps (3) */
    if (s->opt.renew != NULL)
        use_tls(s, s->opt.renew(s->opt.renew_arg));
    opt.tls = s->opt.tls;
    if (str_starts(str_of(s->address), STR("unix:")))
        r = opener_connect(s->opt.opener, s->address + sizeof("unix:") - 1, &opt.connected_fd,
                           &err);
    if (r == 0) {
        r = stream_connect(s->loop, s->address, &opt, &HANDLER, s, &s->stream, &err);
        if (r < 0 && opt.connected_fd > 0)
            (void)close(opt.connected_fd);
    }
    if (r < 0) {
        uint64_t wait = backoff_next_ms(&s->backoff);
        s->stream = NULL;
        s->decided = true;
        metric_add(METRIC_CONNECT_FAILED, 1);
        if (!s->told)
            log_warn("ship.connect_failed", LOG_Z("server", s->address), LOG_ERR(&err),
                     LOG_U64("retry_ms", wait));
        s->told = true;
        loop_timer_start(s->timer, wait, 0);
    }
}

struct ship *ship_new(struct loop *l, const struct ship_options *opt, const struct ship_handler *h,
                      void *arg)
{
    struct ship *s = mem_new(sizeof(*s));

    s->magic = SHIP_MAGIC;
    s->loop = l;
    s->opt = *opt;
    s->address = mem_dup(opt->address, strlen(opt->address));
    s->server_name =
        opt->server_name == NULL ? NULL : mem_dup(opt->server_name, strlen(opt->server_name));
    s->opt.tls = opt->tls == NULL ? NULL : tls_ctx_ref(opt->tls);
    s->handler = *h;
    s->arg = arg;
    s->last = &s->first;
    s->quiet_at = time_mono();
    s->backoff.min_ms = opt->backoff_min_ms == 0 ? 200 : opt->backoff_min_ms;
    s->backoff.max_ms = opt->backoff_max_ms == 0 ? 5000 : opt->backoff_max_ms;
    buf_init(&s->in, ACK_MAX);
    s->timer = loop_timer_new(l, on_timer, s);
    s->status_timer = loop_timer_new(l, on_status_timer, s);
    if (h->about != NULL) {
        uint64_t ms = opt->status_ms == 0 ? STATUS_MS : opt->status_ms;
        loop_timer_start(s->status_timer, ms, ms);
    }
    loop_timer_start(s->timer, 0, 0);
    return s;
}

bool ship_has_room(const struct ship *s)
{
    OBJ_CHECK(s, SHIP_MAGIC);
    return s->n < s->opt.window_chunks && s->bytes < s->opt.window_bytes;
}

size_t ship_in_flight(const struct ship *s)
{
    return s->n;
}

bool ship_is_connected(const struct ship *s)
{
    return s->connected;
}

void ship_add(struct ship *s, uint64_t no, const char token[CHUNK_TOKEN_BYTES], struct buf *message)
{
    struct parcel *p = mem_new(sizeof(*p));

    OBJ_CHECK(s, SHIP_MAGIC);
    if (s->n == 0 && s->connected)
        s->quiet_at = time_mono();
    p->no = no;
    memcpy(p->token, token, CHUNK_TOKEN_BYTES);
    p->message = *message;
    buf_init(message, message->max);
    *s->last = p;
    s->last = &p->next;
    s->n++;
    s->bytes += p->message.n;
    metric_add(METRIC_WINDOW_CHUNKS, 1);
    send_waiting(s);
}

dur_ns ship_silent_since(const struct ship *s)
{
    OBJ_CHECK(s, SHIP_MAGIC);
    return s->connected && s->n == 0 ? 0 : s->quiet_at;
}

bool ship_is_decided(const struct ship *s)
{
    return s->decided;
}

bool ship_take(struct ship *s, uint64_t *no, struct buf *message, char token[CHUNK_TOKEN_BYTES],
               bool *sent)
{
    struct parcel *p;

    OBJ_CHECK(s, SHIP_MAGIC);
    if (s->first == NULL)
        return false;
    p = cut_parcel(s, &s->first);
    *no = p->no;
    *sent = p->tried;
    memcpy(token, p->token, CHUNK_TOKEN_BYTES);
    *message = p->message;
    free(p);
    return true;
}

void ship_reconnect(struct ship *s, const char *why)
{
    struct err err;

    OBJ_CHECK(s, SHIP_MAGIC);
    (void)err_set(&err, ERR_CANCELLED, "%s", why);
    close_stream(s, &err);
}

bool ship_has_tls(const struct ship *s, const struct tls_ctx *tls)
{
    return s->opt.tls == tls;
}

void ship_set_tls(struct ship *s, struct tls_ctx *tls)
{
    OBJ_CHECK(s, SHIP_MAGIC);
    use_tls(s, tls);
    s->backoff.now_ms = 0;
    ship_reconnect(s, "certificates were reloaded");
}

void ship_free(struct ship **ps)
{
    static const struct stream_handler NOBODY = {.data = ignore_data, .closed = ignore_closed};
    struct ship *s = *ps;

    if (s == NULL)
        return;
    OBJ_CHECK(s, SHIP_MAGIC);
    metric_sub(METRIC_SERVERS_THERE, s->opened);
    if (s->stream != NULL) {
        stream_set_handler(s->stream, &NOBODY, NULL);
        close_stream(s, NULL);
    }
    loop_timer_free(&s->timer);
    loop_timer_free(&s->status_timer);
    while (s->first != NULL)
        parcel_free(cut_parcel(s, &s->first));
    tls_ctx_unref(&s->opt.tls);
    buf_fini(&s->in);
    free(s->address);
    free(s->server_name);
    s->magic = 0;
    free(s);
    *ps = NULL;
}
