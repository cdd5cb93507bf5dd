/*
 * server/session_forward.c - see session_forward.h.
 *
 * A message is parsed whole, decided, appended, and acknowledged when the store says durable.  Acks
 * leave in order of arrival, each in a write of its own (receivers in the field read one message
 * per read).
 *
 * Back-pressure has two reasons, and both only stop reading: more than conf.forward.window_bytes of
 * this connection are not durable yet, or the server's memory budget is spent.  In the second case
 * the message stays in `in` and is tried again.
 *
 * Invariants
 *   (1) `queue` holds every message taken and not answered, oldest first; only its head is
 * answered; (2) a chunk is the store's from store_append to done, the loop's otherwise; (3) nothing
 * is read while `held` (window or memory), and after drain.
 */
#include "server/session_forward.h"

#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "server/auth.h"
#include "server/ingest.h"
#include "server/metrics.h"
#include "wire/forward_auth.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    RETRY_MS = 100,
    ANSWER_MAX = 1024,
    DECIDED_MAX = 64 << 10,
    PARSE_ARENA_MAX = 16 << 20,
    TOKEN_MAX = 256,
    PEER_MAX = 256
};

struct chunk {
    struct store_append append;
    struct session_forward *session;
    struct chunk *next;
    char *bytes; /* payload; owned, charged */
    size_t n_bytes;
    char dedup[PEER_MAX + TOKEN_MAX + 128];
    char token[TOKEN_MAX];
    size_t n_token;
    bool has_token;
    bool done;
    enum store_outcome outcome;
    struct err err; /* when REFUSED or FAILED */
};

enum auth_state { AUTH_NONE, AUTH_WAIT_PING, AUTH_DONE };

struct session_forward {
    unsigned magic;
#define SESSION_FORWARD_MAGIC 0x5e5510f0u
    struct session_group *group;
    struct session_forward *next, **link; /* in group->first */
    struct stream *stream;                /* NULL once closed */
    struct buf in;
    size_t charged; /* of `in`, to the server's budget */
    struct forward_frame frame;
    struct forward_limits limits;
    struct loop_timer *retry;
    char peer[PEER_MAX];
    char tenant[160];
    struct buf decided;
    bool own; /* may send parts */
    bool opened, held, draining;
    enum auth_state auth_state;
    struct forward_auth auth;
    struct chunk *queue, **queue_end;
    size_t queued_bytes;
};

static void take_messages(struct session_forward *s);

/* ---- life ---- */

static void free_chunk(struct chunk *c)
{
    mem_budget_give(&c->session->group->server->memory, c->n_bytes);
    free(c->bytes);
    free(c);
}

static void free_if_over(struct session_forward *s)
{
    if (s->stream != NULL || s->queue != NULL)
        return;
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    mem_budget_give(&s->group->server->memory, s->charged);
    loop_timer_free(&s->retry);
    buf_fini(&s->in);
    buf_fini(&s->decided);
    (void)atomic_fetch_sub(s->group->open, 1);
    metric_sub(METRIC_FORWARD_OPEN, 1);
    s->magic = 0;
    free(s);
}

/* End the connection because of what came over it: one line that names the peer, counted by reason.
 */
static void reject(struct session_forward *s, unsigned metric, const struct err *err)
{
    metric_add(metric, 1);
    log_warn("forward.rejected", LOG_Z("peer", s->peer), LOG_ERR(err));
    buf_clear(&s->in);
    stream_close(s->stream, err);
}

static void reject_code(struct session_forward *s, const struct err *err)
{
    reject(s,
           err->code == ERR_LIMIT ? METRIC_FORWARD_REJECT_LIMIT : METRIC_FORWARD_REJECT_MALFORMED,
           err);
}

/* ---- answers ---- */

static void answer(struct session_forward *s, const struct chunk *c)
{
    struct buf out;

    if (s->stream == NULL)
        return;
    if (c->outcome == STORE_FAILED) {
        stream_close(s->stream, &c->err);
        return;
    }
    if (!c->has_token || fault_hit("ack.send"))
        return;
    buf_init(&out, ANSWER_MAX);
    if (c->outcome == STORE_REFUSED)
        forward_pack_refusal(&out, (struct str){c->token, c->n_token},
                             str_of(err_name(c->err.code)), str_of(c->err.text));
    else
        forward_pack_ack(&out, (struct str){c->token, c->n_token});
    metric_add(c->outcome == STORE_REFUSED ? METRIC_FORWARD_REFUSED : METRIC_FORWARD_ACKS, 1);
    stream_write(s->stream, buf_str(&out));
    buf_fini(&out);
}

/* A refusal only tells our collector; a foreign sender would resend for ever, so he loses his
 * connection. */
static void report_refusal(struct session_forward *s, const struct chunk *c)
{
    if (c->outcome == STORE_REFUSED)
        log_warn("forward.refused", LOG_Z("peer", s->peer), LOG_ERR(&c->err));
}

static void hold(struct session_forward *s)
{
    if (s->held || s->stream == NULL)
        return;
    s->held = true;
    metric_add(METRIC_FORWARD_PAUSED, 1);
    stream_pause(s->stream);
}

static void release(struct session_forward *s)
{
    if (!s->held || s->draining || s->stream == NULL)
        return;
    s->held = false;
    stream_resume(s->stream);
    take_messages(s);
}

/* Answer the head of the queue as far as it is done.  May free the session. */
static void answer_queue(struct session_forward *s)
{
    size_t window = (size_t)s->group->server->conf.forward.window_bytes;

    while (s->queue != NULL && s->queue->done) {
        struct chunk *c = s->queue;
        s->queue = c->next;
        if (s->queue == NULL)
            s->queue_end = &s->queue;
        s->queued_bytes -= c->n_bytes;
        report_refusal(s, c);
        answer(s, c);
        free_chunk(c);
    }
    if (s->held && s->queued_bytes <= window / 2)
        release(s);
    if (s->draining && s->queue == NULL && s->stream != NULL)
        stream_close(s->stream, NULL);
    free_if_over(s);
}

static void on_done_loop(void *arg)
{
    struct chunk *c = arg;

    c->done = true;
    answer_queue(c->session);
}

/* WAL thread. */
static void on_done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    struct chunk *c = a->arg;

    c->outcome = outcome;
    if (outcome == STORE_REFUSED || outcome == STORE_FAILED)
        c->err = *err;
    /* The loop outlives its sessions' appends (listen_forward_close), so the post cannot fail. */
    INVARIANT(loop_post(c->session->group->loop, on_done_loop, c));
}

/* ---- messages ---- */

static struct chunk *new_chunk(struct session_forward *s, const struct forward_message *m,
                               struct str bytes)
{
    struct chunk *c = mem_new(sizeof(*c));

    c->session = s;
    c->has_token = m->has_chunk;
    c->n_token = m->chunk.n < TOKEN_MAX ? m->chunk.n : TOKEN_MAX;
    if (c->n_token > 0)
        memcpy(c->token, m->chunk.p, c->n_token);
    if (bytes.n > 0) {
        c->bytes = malloc(bytes.n);
        if (c->bytes == NULL) {
            free(c);
            return NULL;
        }
        memcpy(c->bytes, bytes.p, bytes.n);
    }
    c->n_bytes = bytes.n;
    return c;
}

static void enqueue(struct session_forward *s, struct chunk *c)
{
    *s->queue_end = c;
    s->queue_end = &c->next;
    s->queued_bytes += c->n_bytes;
}

/* What is answered without the store: heartbeats with a token, signals, refusals. */
static void enqueue_done(struct session_forward *s, const struct forward_message *m,
                         enum store_outcome outcome, const struct err *err)
{
    struct chunk *c = new_chunk(s, m, STR_NULL);

    c->done = true;
    c->outcome = outcome;
    if (err != NULL)
        c->err = *err;
    enqueue(s, c);
}

/* A foreign chunk's identity: what a resend after a lost ack repeats. */
static void set_dedup(struct session_forward *s, struct chunk *c, const struct forward_message *m)
{
    struct hash128 h = hash128_bytes(c->bytes, c->n_bytes);
    struct hash128 tag = hash128_bytes(m->tag.p, m->tag.n);
    int n = snprintf(c->dedup, sizeof(c->dedup),
                     "%s|%016" PRIx64 "%016" PRIx64 "|%016" PRIx64 "%016" PRIx64 "|%zu|", s->peer,
                     tag.hi, tag.lo, h.hi, h.lo, c->n_bytes);

    memcpy(c->dedup + n, c->token, c->n_token); /* fits: see the size of dedup */
    c->append.dedup = (struct str){c->dedup, (size_t)n + c->n_token};
}

static void append(struct session_forward *s, struct chunk *c, struct batch *b)
{
    c->append.batch = b;
    c->append.done = on_done;
    c->append.arg = c;
    enqueue(s, c);
    store_append(s->group->server->store, &c->append);
}

/* 0: taken, answered or refused; ERR_NOMEM: try again later; other codes: the connection must end.
 */
static int take_events(struct session_forward *s, const struct forward_message *m, struct str bytes,
                       struct err *err)
{
    struct server *server = s->group->server;
    bool parts = s->own && m->n_parts > 0;
    struct batch *b = NULL;
    struct chunk *c;
    int r = mem_budget_take(&server->memory, bytes.n, err);

    if (r < 0)
        return r;
    c = new_chunk(s, m, bytes);
    if (c == NULL) {
        mem_budget_give(&server->memory, bytes.n);
        return err_set(err, ERR_NOMEM, "no memory for a message of %zu bytes", bytes.n);
    }
    c->append.payload = (struct store_payload){.kind = INGEST_FORWARD,
                                               .tenant = str_of(s->tenant),
                                               .peer = str_of(s->peer),
                                               .decided = buf_str(&s->decided),
                                               .received = store_receive_time(server->store),
                                               .bytes = {c->bytes, c->n_bytes}};
    r = ingest_decode(&server->memory, &c->append.payload, &b, err);
    if (r < 0) {
        free_chunk(c);
        if (r == ERR_NOMEM || !parts)
            return r;
        enqueue_done(s, m, STORE_REFUSED, err);
        return 0;
    }
    if (!parts && m->has_chunk)
        set_dedup(s, c, m);
    if (fault_hit("ingest.decoded")) {
        batch_unref(&b);
        free_chunk(c);
        return err_set(err, ERR_NOMEM, "fault ingest.decoded");
    }
    append(s, c, b);
    return 0;
}

static int take_ping(struct session_forward *s, const struct forward_message *m, struct err *err)
{
    char host[256] = "logq";
    struct buf out;
    int r;

    if (s->auth_state != AUTH_WAIT_PING)
        return err_set(err, ERR_CORRUPT, "PING where none is due");
    (void)gethostname(host, sizeof(host) - 1);
    buf_init(&out, ANSWER_MAX);
    r = forward_auth_check(&s->auth, m, s->group->server->conf.forward_local_shared_key,
                           str_of(host), &out, err);
    stream_write(s->stream, buf_str(&out));
    buf_fini(&out);
    if (r == 0)
        s->auth_state = AUTH_DONE;
    else
        metric_add(METRIC_FORWARD_TLS_FAILED, 1);
    return r;
}

static int take_message(struct session_forward *s, struct str bytes, struct err *err)
{
    struct arena *a = arena_new(NULL, PARSE_ARENA_MAX);
    struct forward_message m;
    int r = forward_parse(bytes, &s->limits, a, &m, err);

    if (r == 0 && s->auth_state == AUTH_WAIT_PING && m.kind != FORWARD_PING)
        r = err_set(err, ERR_DENIED, "data where PING is due");
    if (r == 0) {
        switch (m.kind) {
        case FORWARD_PING:
            r = take_ping(s, &m, err);
            break;
        case FORWARD_EVENTS:
            r = take_events(s, &m, bytes, err);
            if (r == 0)
                metric_add(METRIC_FORWARD_MESSAGES, 1);
            break;
        case FORWARD_HEARTBEAT:
        case FORWARD_SIGNAL:
            metric_add(
                m.kind == FORWARD_SIGNAL ? METRIC_FORWARD_SIGNALS : METRIC_FORWARD_HEARTBEATS, 1);
            if (m.has_chunk)
                enqueue_done(s, &m, STORE_STORED, NULL);
            break;
        }
    }
    arena_free(&a);
    return r;
}

/* Take what `in` holds, message by message, until it is used up or the session is held. */
static void take_messages(struct session_forward *s)
{
    size_t window = (size_t)s->group->server->conf.forward.window_bytes;
    size_t at = 0;
    struct err err;
    int r = 0;

    while (s->stream != NULL && !s->held && !s->draining && at < s->in.n) {
        struct str rest = str_from(buf_str(&s->in), at);
        size_t n;
        r = forward_frame_scan(&s->frame, rest, &s->limits, &n, &err);
        if (r != 0)
            break;
        r = take_message(s, str_sub(rest, 0, n), &err);
        if (r < 0)
            break;
        s->frame = (struct forward_frame){0};
        at += n;
        if (s->queued_bytes > window)
            hold(s);
    }
    if (r == ERR_NOMEM) {
        s->frame = (struct forward_frame){0};
        metric_add(METRIC_FORWARD_REJECT_MEMORY, 1);
        hold(s);
        loop_timer_start(s->retry, RETRY_MS, 0);
    } else if (r < 0) {
        reject_code(s, &err);
        return;
    }
    buf_drop(&s->in, at);
    if (s->queue != NULL && s->queue->done)
        answer_queue(s); /* last: it may free s */
}

static void on_retry(void *arg)
{
    struct session_forward *s = arg;

    if (s->queued_bytes <= (size_t)s->group->server->conf.forward.window_bytes)
        release(s);
    else
        loop_timer_start(s->retry, RETRY_MS, 0);
}

/* ---- stream ---- */

static void on_data(struct stream *stream, struct str bytes, void *arg)
{
    struct session_forward *s = arg;
    struct err err;

    (void)stream;
    metric_add(METRIC_FORWARD_BYTES, bytes.n);
    if (s->in.n + bytes.n > s->charged) {
        size_t more = s->in.n + bytes.n - s->charged;
        if (mem_budget_take(&s->group->server->memory, more, &err) == 0) {
            s->charged += more;
        } else { /* these bytes are here already; no more come until there is room */
            hold(s);
            loop_timer_start(s->retry, RETRY_MS, 0);
        }
    }
    buf_add_str(&s->in, bytes);
    if (s->in.over) {
        (void)err_set(&err, ERR_LIMIT, "a message over %zu bytes", s->limits.message_bytes);
        reject_code(s, &err);
        return;
    }
    take_messages(s);
}

static struct str host_of(const struct stream_peer *p)
{
    struct str address = p->address;

    if (p->common_name.n > 0)
        return p->common_name;
    for (size_t i = address.n; i-- > 0;)
        if (address.p[i] == ':')
            return str_sub(address, 0, i);
    return address;
}

/* "logq://<tenant>/collector/<name>" -> tenant; else the configured one. */
static struct str tenant_of(const struct server_conf *c, struct str identity)
{
    struct str rest = identity;

    if (str_starts(identity, STR("logq://"))) {
        struct str tenant;
        rest = str_from(identity, 7);
        tenant = str_cut(&rest, '/');
        if (auth_tenant_ok(tenant))
            return tenant;
    }
    return c->forward.tenant;
}

static void identify(struct session_forward *s)
{
    const struct server *server = s->group->server;
    struct ingest_decided d = {.payload_bytes = s->limits.payload_bytes};
    struct stream_peer p;
    struct str tenant = STR("default");

    stream_peer(s->stream, &p);
    d.host = host_of(&p);
    if (s->group->local) {
        tenant = server->conf.forward_local_tenant;
        d.forced = server->conf.forward_local_labels;
        if (p.has_uid)
            (void)snprintf(s->peer, sizeof(s->peer), "local:uid=%u", p.uid);
        else
            (void)snprintf(s->peer, sizeof(s->peer), "local:%.*s", STR_ARG(d.host));
    } else if (server->dev) {
        s->own = true;
        (void)snprintf(s->peer, sizeof(s->peer), "dev");
    } else {
        s->own = true;
        tenant = tenant_of(&server->conf, p.identity);
        (void)str_to_z(p.identity, s->peer, sizeof(s->peer));
    }
    d.may_have_parts = s->own;
    (void)str_to_z(tenant, s->tenant, sizeof(s->tenant));
    ingest_decided_pack(&d, &s->decided);
}

static void on_opened(struct stream *stream, void *arg)
{
    struct session_forward *s = arg;
    struct buf out;
    struct err err;

    s->opened = true;
    identify(s);
    if (!s->group->local || s->group->server->conf.forward_local_shared_key.n == 0)
        return;
    buf_init(&out, ANSWER_MAX);
    s->auth_state = AUTH_WAIT_PING;
    if (forward_auth_helo(&s->auth, &out, &err) < 0)
        stream_close(stream, &err);
    else
        stream_write(stream, buf_str(&out));
    buf_fini(&out);
}

static void on_closed(struct stream *stream, const struct err *why, void *arg)
{
    struct session_forward *s = arg;
    struct stream_peer p;

    stream_peer(stream, &p);
    if (why->code != 0 && !s->opened) {
        metric_add(METRIC_FORWARD_TLS_FAILED, 1);
        log_warn("forward.handshake_failed", LOG_STR("peer", p.address), LOG_ERR(why));
    } else if (why->code != 0) {
        log_info("forward.closed", LOG_Z("peer", s->peer), LOG_ERR(why));
    }
    s->stream = NULL;
    loop_timer_stop(s->retry);
    free_if_over(s);
}

void session_forward_new(struct session_group *g, struct stream *stream)
{
    static const struct stream_handler HANDLER = {
        .opened = on_opened, .data = on_data, .closed = on_closed};
    const struct server_conf *c = &g->server->conf;
    struct session_forward *s = mem_new(sizeof(*s));

    s->magic = SESSION_FORWARD_MAGIC;
    s->group = g;
    s->stream = stream;
    s->limits = (struct forward_limits){.message_bytes = (size_t)c->forward.max_message_bytes,
                                        .payload_bytes = (size_t)c->forward.max_payload_bytes};
    s->queue_end = &s->queue;
    s->retry = loop_timer_new(g->loop, on_retry, s);
    buf_init(&s->in, s->limits.message_bytes + (1 << 20));
    buf_init(&s->decided, DECIDED_MAX);
    s->next = g->first;
    s->link = &g->first;
    if (s->next != NULL)
        s->next->link = &s->next;
    g->first = s;
    (void)atomic_fetch_add(g->open, 1);
    metric_add(METRIC_FORWARD_CONNECTIONS, 1);
    metric_add(METRIC_FORWARD_OPEN, 1);
    stream_set_handler(stream, &HANDLER, s);
}

void session_forward_drain(struct session_group *g)
{
    struct session_forward *next;

    g->draining = true;
    for (struct session_forward *s = g->first; s != NULL; s = next) {
        next = s->next;
        s->draining = true;
        if (s->stream == NULL)
            continue;
        stream_pause(s->stream);
        if (s->queue == NULL)
            stream_close(s->stream, NULL);
    }
}

void session_forward_cut(struct session_group *g)
{
    for (struct session_forward *s = g->first; s != NULL; s = s->next) {
        struct err why;
        (void)err_set(&why, ERR_CANCELLED, "the server stops");
        if (s->stream != NULL)
            stream_close(s->stream, &why);
    }
}
