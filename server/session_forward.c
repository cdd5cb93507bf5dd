/*
 * server/session_forward.c - see session_forward.h.
 *
 * A message is parsed whole, decided, appended, and acknowledged when the store says durable.  Acks
 * leave in order of arrival, each in a write of its own (receivers in the field read one message
 * per read).
 *
 * Back-pressure only stops reading (enum hold): more than conf.forward.window_bytes of this
 * connection are not durable yet; the sender does not read its acks; the disk is full; it is
 * not known yet which streams there are; or the server's memory budget is spent.  In the last three
 * cases the message stays in `in` and is tried again.  Waiting for memory has an end, because what
 * waiting connections hold may be what they all wait for: then the connection is cut and the sender
 * comes again.  So is one that begins a message and does not go on with it
 * (conf.forward.message_time), for what is here of it is memory too.
 *
 * Invariants
 *   (1) `queue` holds every message taken and not answered, oldest first; only its head is
 * answered; (2) a chunk is the store's from store_append to done, the loop's otherwise; (3) nothing
 * is read while `held`, and after drain; (4) `charged` of the server's budget is ours for `in`, and
 * each chunk's `charged` for the chunk; `in` holds nothing between messages, so that an idle
 * connection costs nothing.
 */
#include "server/session_forward.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/obj.h"
#include "server/collectors.h"
#include "server/ingest.h"
#include "server/metrics.h"
#include "server/session_forward_priv.h"
#include "server/stream_limit.h"
#include "wire/forward_pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MS = 100, /* doubled with each retry up to */
    RETRY_MAX_MS = 1600,
    STARVE_S = 5, /* longest wait for memory */
    IN_KEEP = 64 << 10,
    GOES_ON_MIN = 64 << 10, /* of a message in conf.forward.message_time */
    GOES_ON_MAX = 1 << 20,
    DECIDED_MAX = 64 << 10,
};

static void take_messages(struct session_forward *s);

/* ---- life ---- */

void session_forward_free_chunk(struct session_chunk *c)
{
    OBJ_CHECK(c, SESSION_CHUNK_MAGIC);
    mem_budget_give(session_forward_budget(c->session), c->charged);
    free(c->bytes);
    free(c->refused);
    c->magic = 0;
    free(c);
}

/* Keeps (4).  ERR_NOMEM: `in` holds more than is charged. */
static int charge_in(struct session_forward *s, struct err *err)
{
    int r = 0;

    if (s->in.cap > s->charged)
        r = mem_budget_take(session_forward_budget(s), s->in.cap - s->charged, err);
    else
        mem_budget_give(session_forward_budget(s), s->charged - s->in.cap);
    if (r == 0)
        s->charged = s->in.cap;
    return r;
}

static void drop_in(struct session_forward *s)
{
    buf_fini(&s->in);
    mem_budget_give(session_forward_budget(s), s->charged);
    s->charged = 0;
}

/* The first `n` bytes are used up; what a large message needed goes back. */
static void use_up(struct session_forward *s, size_t n)
{
    struct buf less;

    buf_drop(&s->in, n);
    if (s->in.n == 0) {
        drop_in(s);
    } else if (s->in.cap > IN_KEEP && s->in.n < s->in.cap / 4) {
        buf_init(&less, s->in.max);
        buf_add_str(&less, buf_str(&s->in));
        if (less.over)
            return; /* later, then */
        drop_in(s);
        s->in = less;
    }
}

static void free_if_over(struct session_forward *s)
{
    if (s->stream != NULL || s->queue != NULL)
        return;
    *s->link = s->next;
    if (s->next != NULL)
        s->next->link = s->link;
    drop_in(s);
    loop_timer_free(&s->retry);
    loop_timer_free(&s->rest);
    buf_fini(&s->decided);
    (void)atomic_fetch_sub(s->group->open, 1);
    metric_sub(METRIC_FORWARD_OPEN, 1);
    s->magic = 0;
    free(s);
}

/* ---- strangers ---- */

/* They are in order of coming. */
static void add_stranger(struct session_group *g, struct session_forward *s)
{
    s->stranger_link = g->strangers_end;
    *g->strangers_end = s;
    g->strangers_end = &s->next_stranger;
}

void session_forward_know(struct session_forward *s)
{
    if (s->stranger_link == NULL)
        return;
    *s->stranger_link = s->next_stranger;
    if (s->next_stranger != NULL)
        s->next_stranger->stranger_link = s->stranger_link;
    else
        s->group->strangers_end = s->stranger_link;
    s->next_stranger = NULL;
    s->stranger_link = NULL;
}

void session_forward_begin(struct session_group *g)
{
    g->strangers_end = &g->strangers;
}

bool session_forward_make_room(struct session_group *g)
{
    struct session_forward *s = g->strangers;
    struct err why;

    if (s == NULL)
        return false;
    (void)err_set(&why, ERR_LIMIT, "too many connections");
    session_forward_know(s);
    s->gives_way = true;
    stream_close(s->stream, &why); /* it is there: on_closed makes it a stranger no more */
    return true;
}

/* End the connection because of what came over it: one line that names the peer, counted by reason.
 */
static void reject(struct session_forward *s, unsigned metric, const struct err *err)
{
    metric_add(metric, 1);
    log_warn("forward.rejected", LOG_Z("peer", s->peer), LOG_ERR(err));
    loop_timer_stop(s->rest);
    drop_in(s);
    stream_close(s->stream, err);
}

static void reject_code(struct session_forward *s, const struct err *err)
{
    reject(s,
           err->code == ERR_LIMIT ? METRIC_FORWARD_REJECT_LIMIT : METRIC_FORWARD_REJECT_MALFORMED,
           err);
}

/* ---- back-pressure ---- */

static void hold(struct session_forward *s, enum hold why)
{
    if (s->held == 0) {
        metric_add(METRIC_FORWARD_PAUSED, 1);
        stream_pause(s->stream);
    }
    s->held |= why;
}

/* These reasons are over. */
static void release(struct session_forward *s, unsigned why)
{
    if ((s->held & why) == 0)
        return;
    s->held &= ~why;
    if (s->held != 0 || s->draining || s->stream == NULL)
        return;
    stream_resume(s->stream);
    take_messages(s);
}

void session_forward_wait(struct session_forward *s, enum hold why)
{
    hold(s, why);
    loop_timer_start(s->retry, s->retry_ms, 0);
    s->retry_ms = s->retry_ms < RETRY_MAX_MS ? s->retry_ms * 2 : RETRY_MAX_MS;
}

/* There is progress: the next wait is a new one. */
static void forget_waiting(struct session_forward *s)
{
    s->retry_ms = RETRY_MS;
    s->starved_since = 0;
}

/* No memory for what is here. */
static void starve(struct session_forward *s, const struct err *err)
{
    dur_ns now = time_mono();

    if (s->starved_since == 0)
        s->starved_since = now;
    if (now - s->starved_since > STARVE_S * NS_PER_S)
        reject(s, METRIC_FORWARD_REJECT_MEMORY, err);
    else
        session_forward_wait(s, HOLD_MEMORY);
}

bool session_forward_disk_is_full(const struct session_forward *s)
{
    return store_state(s->group->server->store, NULL, 0) == STORE_FULL;
}

static void on_retry(void *arg)
{
    struct session_forward *s = arg;
    struct err err;

    if (session_forward_disk_is_full(s))
        session_forward_wait(s, HOLD_DISK);
    else if ((s->held & HOLD_STREAMS) != 0 && stream_limit_is_learning(s->group->server->streams))
        session_forward_wait(s, HOLD_STREAMS);
    else if (charge_in(s, &err) < 0)
        starve(s, &err);
    else
        release(s, HOLD_DISK | HOLD_MEMORY | HOLD_STREAMS);
}

/* ---- answers ---- */

static size_t refused_parts(const struct session_chunk *c)
{
    size_t n = 0;

    for (size_t i = 0; i < c->n_parts; i++)
        n += c->refused[i];
    return n;
}

/* The chunk is stored, or was before, but for some parts. */
static void answer_parts(struct session_forward *s, const struct session_chunk *c, size_t n)
{
    struct buf out;

    log_warn("forward.parts_refused", LOG_Z("peer", s->peer), LOG_U64("refused", n),
             LOG_U64("of", c->n_parts), LOG_ERR(&c->err));
    collectors_count(s->group->server->collectors, s->entry, STORE_REFUSED);
    if (!c->has_token || fault_hit("ack.send"))
        return;
    buf_init(&out, SESSION_ANSWER_MAX + 3 * n);
    forward_pack_refused_parts(&out, (struct str){c->token, c->n_token},
                               str_of(err_name(c->err.code)), str_of(c->err.text), c->refused,
                               c->n_parts);
    INVARIANT(!out.over); /* its texts are bounded */
    metric_add(METRIC_FORWARD_PARTS_REFUSED, n);
    metric_add(METRIC_FORWARD_ACKS, 1);
    stream_write(s->stream, buf_str(&out));
    buf_fini(&out);
    if (stream_is_full(s->stream))
        hold(s, HOLD_ACKS);
}

/* A refusal tells our collector to put the chunk aside.  Everybody else would take it for an ack,
 * so he loses his connection instead. */
static void answer(struct session_forward *s, const struct session_chunk *c)
{
    bool refused = c->outcome == STORE_REFUSED;
    size_t parts = refused_parts(c);
    struct buf out;

    if (c->outcome == STORE_FAILED) {
        stream_close(s->stream, &c->err);
        return;
    }
    if (!refused && parts > 0) {
        answer_parts(s, c, parts);
        return;
    }
    if (refused && !c->has_parts) {
        reject_code(s, &c->err);
        return;
    }
    if (refused)
        log_warn("forward.refused", LOG_Z("peer", s->peer), LOG_ERR(&c->err));
    if (c->has_parts)
        collectors_count(s->group->server->collectors, s->entry, c->outcome);
    if (!c->has_token || fault_hit("ack.send"))
        return;
    buf_init(&out, SESSION_ANSWER_MAX);
    if (c->is_hello && c->known != 0)
        forward_about_answer(&out, (struct str){c->token, c->n_token}, c->incarnation, c->known);
    else if (refused)
        forward_pack_refusal(&out, (struct str){c->token, c->n_token},
                             str_of(err_name(c->err.code)), str_of(c->err.text));
    else
        forward_pack_ack(&out, (struct str){c->token, c->n_token});
    metric_add(refused ? METRIC_FORWARD_REFUSED : METRIC_FORWARD_ACKS, 1);
    stream_write(s->stream, buf_str(&out));
    buf_fini(&out);
    if (stream_is_full(s->stream))
        hold(s, HOLD_ACKS);
}

/* Answer the head of the queue as far as it is done.  May free the session. */
void session_forward_answer(struct session_forward *s)
{
    size_t window = (size_t)s->group->server->conf.forward.window_bytes;

    while (s->queue != NULL && s->queue->done) {
        struct session_chunk *c = s->queue;
        s->queue = c->next;
        if (s->queue == NULL)
            s->queue_end = &s->queue;
        s->queued_bytes -= c->charged;
        if (s->stream != NULL)
            answer(s, c);
        session_forward_free_chunk(c);
    }
    if (s->queued_bytes <= window / 2)
        release(s, HOLD_WINDOW);
    if (s->draining && s->queue == NULL && s->stream != NULL)
        stream_close(s->stream, NULL);
    free_if_over(s);
}

/* ---- messages that do not end ---- */

static void wait_for_rest(struct session_forward *s)
{
    s->waits_for_rest = true;
    s->had = s->in.n;
    loop_timer_start(s->rest, (uint64_t)(s->group->server->conf.forward.message_time / NS_PER_MS),
                     0);
}

static void stop_waiting_for_rest(struct session_forward *s)
{
    s->waits_for_rest = false;
    loop_timer_stop(s->rest);
}

/* `taken`: something was; the wait for what is behind it is a new one.  While nothing is read there
 * is none. */
static void note_rest(struct session_forward *s, bool taken)
{
    bool waits = s->in.n > 0 && s->held == 0 && !s->draining;

    if (s->waits_for_rest && (taken || !waits))
        stop_waiting_for_rest(s);
    if (waits && !s->waits_for_rest)
        wait_for_rest(s);
}

/* So much more of a message is due: the less is here of it, the longer it may take. */
static size_t more_due(const struct session_forward *s)
{
    size_t part = s->had / 16;

    part = part < GOES_ON_MIN ? GOES_ON_MIN : part;
    return part < GOES_ON_MAX ? part : GOES_ON_MAX;
}

static void on_rest(void *arg)
{
    struct session_forward *s = arg;
    struct err err;

    s->waits_for_rest = false;
    if (s->held != 0 || s->draining)
        return; /* it is not read: `release` begins anew */
    if (s->in.n >= s->had + more_due(s)) {
        wait_for_rest(s); /* slow, but it moves */
        return;
    }
    if (s->auth_state == AUTH_WAIT_PING && s->in.n == 0)
        (void)err_set(&err, ERR_TIMEOUT, "no PING came");
    else
        (void)err_set(&err, ERR_TIMEOUT, "%zu bytes of a message and not the rest", s->in.n);
    reject(s, METRIC_FORWARD_REJECT_SLOW, &err);
}

/* Take what `in` holds, message by message, until it is used up or the session is held.  The stream
 * is still ours, so the session stays. */
static void take_messages(struct session_forward *s)
{
    size_t window = (size_t)s->group->server->conf.forward.window_bytes;
    size_t at = 0;
    struct err err;
    int r = 0;

    while (s->held == 0 && !s->draining && at < s->in.n) {
        struct str rest = str_from(buf_str(&s->in), at);
        size_t n;
        r = forward_frame_scan(&s->frame, rest, &s->limits, &n, &err);
        if (r != 0)
            break;
        s->frame = (struct forward_frame){0};
        r = session_forward_take(s, str_sub(rest, 0, n), &err);
        if (r != 0)
            break;
        forget_waiting(s);
        at += n;
        if (s->queued_bytes > window)
            hold(s, HOLD_WINDOW);
    }
    if (r < 0 && r != ERR_NOMEM) {
        reject_code(s, &err);
        return;
    }
    use_up(s, at);
    if (r != ERR_NOMEM)
        r = charge_in(s, &err); /* these bytes are here already; no more come until there is room */
    if (r == ERR_NOMEM)
        starve(s, &err);
    else if (s->held == 0)
        forget_waiting(s);
    note_rest(s, at > 0);
    if (s->queue != NULL && s->queue->done)
        session_forward_answer(s);
}

/* ---- stream ---- */

static void on_data(struct stream *stream, struct str bytes, void *arg)
{
    struct session_forward *s = arg;
    struct err err;

    (void)stream;
    metric_add(METRIC_FORWARD_BYTES, bytes.n);
    buf_add_str(&s->in, bytes);
    if (s->in.over) {
        (void)err_set(&err, ERR_LIMIT, "a message over %zu bytes", s->limits.message_bytes);
        reject_code(s, &err);
        return;
    }
    take_messages(s);
}

static void on_drained(struct stream *stream, void *arg)
{
    (void)stream;
    release(arg, HOLD_ACKS);
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

/* Everything that is stored under a name: it must be one, whole. */
static int name_peer(struct session_forward *s, struct str identity, struct err *err)
{
    if (identity.n == 0)
        return err_set(err, ERR_DENIED, "the certificate names nobody: no URI, no common name");
    if (identity.n >= sizeof(s->peer) || memchr(identity.p, '\0', identity.n) != NULL)
        return err_set(err, ERR_DENIED,
                       "the name in the certificate is over %d bytes, or holds a NUL",
                       SESSION_PEER_MAX - 1);
    (void)str_to_z(identity, s->peer, sizeof(s->peer));
    return 0;
}

/* ERR_DENIED: who connects has no name that could be kept. */
static int identify(struct session_forward *s, struct err *err)
{
    const struct server *server = s->group->server;
    struct ingest_decided d = {.payload_bytes = s->limits.payload_bytes};
    struct stream_peer p;
    struct str tenant = STR("default");
    int r = 0;

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
        tenant = collectors_tenant(p.identity, server->conf.forward.tenant);
        r = name_peer(s, p.identity, err);
    }
    d.may_have_parts = s->own;
    (void)str_to_z(tenant, s->tenant, sizeof(s->tenant));
    ingest_decided_pack(&d, &s->decided);
    return r < 0 ? r : buf_err(&s->decided, "what is decided for this sender", err);
}

static void on_opened(struct stream *stream, void *arg)
{
    struct session_forward *s = arg;
    struct buf out;
    struct err err;

    if (identify(s, &err) < 0) {
        stream_close(stream, &err); /* on_closed counts it: it never was open */
        return;
    }
    s->opened = true;
    if (!s->group->local || s->group->server->conf.forward_local_shared_key.n == 0) {
        session_forward_know(s);
        return;
    }
    buf_init(&out, SESSION_ANSWER_MAX);
    s->auth_state = AUTH_WAIT_PING;
    if (forward_auth_helo(&s->auth, &out, &err) < 0)
        stream_close(stream, &err);
    else
        stream_write(stream, buf_str(&out));
    buf_fini(&out);
    wait_for_rest(s);
}

static void on_closed(struct stream *stream, const struct err *why, void *arg)
{
    struct session_forward *s = arg;
    struct stream_peer p;

    stream_peer(stream, &p);
    if (s->gives_way) {
        /* counted, as who is turned away; there may be very many */
    } else if (why->code != 0 && !s->opened) {
        metric_add(METRIC_FORWARD_TLS_FAILED, 1);
        log_warn("forward.handshake_failed", LOG_STR("peer", p.address), LOG_ERR(why));
    } else if (why->code != 0) {
        log_info("forward.closed", LOG_Z("peer", s->peer), LOG_ERR(why));
    }
    s->stream = NULL;
    session_forward_know(s);
    collectors_leave(s->group->server->collectors, &s->entry);
    loop_timer_stop(s->retry);
    loop_timer_stop(s->rest);
    drop_in(s);
    free_if_over(s);
}

void session_forward_new(struct session_group *g, struct stream *stream)
{
    static const struct stream_handler HANDLER = {
        .opened = on_opened, .data = on_data, .drained = on_drained, .closed = on_closed};
    const struct server_conf *c = &g->server->conf;
    struct session_forward *s = mem_new(sizeof(*s));

    s->magic = SESSION_FORWARD_MAGIC;
    s->group = g;
    s->stream = stream;
    s->limits = (struct forward_limits){.message_bytes = (size_t)c->forward.max_message_bytes,
                                        .payload_bytes = (size_t)c->forward.max_payload_bytes};
    s->queue_end = &s->queue;
    s->retry_ms = RETRY_MS;
    s->retry = loop_timer_new(g->loop, on_retry, s);
    s->rest = loop_timer_new(g->loop, on_rest, s);
    buf_init(&s->in, s->limits.message_bytes + (1 << 20));
    buf_init(&s->decided, DECIDED_MAX);
    s->next = g->first;
    s->link = &g->first;
    if (s->next != NULL)
        s->next->link = &s->next;
    g->first = s;
    add_stranger(g, s);
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
