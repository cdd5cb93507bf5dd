/*
 * server/session_forward_message.c - one message of a Forward connection: who it is from, whether
 * it may be stored, and on its way to the store.  Contract: session_forward_priv.h.
 */
#include "server/session_forward_priv.h"

#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "server/collectors.h"
#include "server/ingest.h"
#include "server/metrics.h"
#include "server/peers.h"
#include "server/stream_limit.h"
#include "wire/forward_parse.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PARSE_ARENA_MAX = 16 << 20 };

static void on_done_loop(void *arg)
{
    struct session_chunk *c = arg;

    c->done = true;
    session_forward_answer(c->session);
}

/* WAL thread. */
static void on_done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    struct session_chunk *c = a->arg;

    c->outcome = outcome;
    if (err->code != 0)
        c->err = *err;
    /* The loop outlives its sessions' appends (listen_forward_close), so the post cannot fail. */
    INVARIANT(loop_post(c->session->group->loop, on_done_loop, c));
}

/* ---- messages ---- */

/* A copy of what `bytes` and the message say, charged.  NULL: ERR_NOMEM. */
static struct session_chunk *new_chunk(struct session_forward *s, const struct forward_message *m,
                                       struct str bytes, struct err *err)
{
    size_t n_parts = s->own ? m->n_parts : 0;
    size_t cost = sizeof(struct session_chunk) + bytes.n + n_parts;
    struct session_chunk *c;

    if (mem_budget_take(session_forward_budget(s), cost, err) < 0)
        return NULL;
    c = mem_new(sizeof(*c));
    c->magic = SESSION_CHUNK_MAGIC;
    c->session = s;
    c->charged = cost;
    c->has_token = m->has_chunk;
    c->has_parts = n_parts > 0;
    c->n_parts = n_parts;
    c->refused = mem_new(n_parts + 1);
    c->n_token = m->chunk.n < SESSION_TOKEN_MAX ? m->chunk.n : SESSION_TOKEN_MAX;
    if (c->n_token > 0)
        memcpy(c->token, m->chunk.p, c->n_token);
    c->n_bytes = bytes.n;
    c->bytes = malloc(bytes.n + 1);
    if (c->bytes == NULL) {
        session_forward_free_chunk(c);
        (void)err_set(err, ERR_NOMEM, "no memory for a message of %zu bytes", bytes.n);
        return NULL;
    }
    if (bytes.n > 0)
        memcpy(c->bytes, bytes.p, bytes.n);
    return c;
}

static void enqueue(struct session_forward *s, struct session_chunk *c)
{
    *s->queue_end = c;
    s->queue_end = &c->next;
    s->queued_bytes += c->charged;
}

/* What is answered without the store: heartbeats with a token, signals, refusals (`why`). */
static int enqueue_done(struct session_forward *s, const struct forward_message *m,
                        const struct err *why, struct session_chunk **ret, struct err *err)
{
    struct session_chunk *c = new_chunk(s, m, STR_NULL, err);

    if (c == NULL)
        return ERR_NOMEM;
    c->done = true;
    c->outcome = why == NULL ? STORE_STORED : STORE_REFUSED;
    if (why != NULL)
        c->err = *why;
    enqueue(s, c);
    *ret = c;
    return 0;
}

/* A collector says who it is. */
static void take_hello(struct session_forward *s, const struct forward_about *about,
                       struct session_chunk *c)
{
    struct collectors *all = s->group->server->collectors;
    struct collectors_peer who = {.tenant = str_of(s->tenant), .identity = str_of(s->peer)};
    struct stream_peer p;

    stream_peer(s->stream, &p);
    who.address = p.address;
    who.not_after = p.cert_not_after;
    s->said_hello = true;
    s->entry = collectors_enter(all, &who, about, &c->known);
    c->is_hello = true;
    c->incarnation = s->incarnation = about->hello.incarnation;
}

/* A message without entries. */
static int take_heartbeat(struct session_forward *s, const struct forward_message *m,
                          struct err *err)
{
    struct collectors *all = s->group->server->collectors;
    struct session_chunk *last = NULL;
    int r = 0;

    if (m->has_chunk)
        r = enqueue_done(s, m, NULL, &last, err);
    if (r < 0 || !s->own || all == NULL)
        return r;
    if (m->about.has_hello && last != NULL && !s->said_hello)
        take_hello(s, &m->about, last);
    else if (m->about.has_hello || m->about.has_status)
        collectors_note(all, s->entry, s->incarnation, &m->about);
    return 0;
}

/* A foreign chunk's identity: what a resend after a lost ack repeats. */
static void set_dedup(struct session_forward *s, struct session_chunk *c,
                      const struct forward_message *m)
{
    struct hash128 h = hash128_bytes(c->bytes, c->n_bytes);
    struct hash128 tag = hash128_bytes(m->tag.p, m->tag.n);
    int n = snprintf(c->dedup, sizeof(c->dedup),
                     "%s|%016" PRIx64 "%016" PRIx64 "|%016" PRIx64 "%016" PRIx64 "|%zu|", s->peer,
                     tag.hi, tag.lo, h.hi, h.lo, c->n_bytes);

    memcpy(c->dedup + n, c->token, c->n_token); /* fits: see the size of dedup */
    c->append.dedup = (struct str){c->dedup, (size_t)n + c->n_token};
}

static void append(struct session_forward *s, struct session_chunk *c, struct batch *b)
{
    c->append.batch = b;
    c->append.done = on_done;
    c->append.arg = c;
    enqueue(s, c);
    store_append(s->group->server->store, &c->append);
}

/* Is it only their ack that they have not heard of?  Then they count as stored. */
static void take_back_stored(const struct session_forward *s, struct session_chunk *c,
                             const struct batch *b)
{
    uint64_t records = 0;

    for (uint32_t i = 0; i < b->n_parts; i++) {
        const struct record_part *p = &b->parts[i];
        if (c->refused[i] &&
            store_has_range(s->group->server->store, str_of(s->peer), p->file_id, p->start, p->end))
            c->refused[i] = false;
        records += c->refused[i] ? p->count : 0;
    }
    metric_add(METRIC_INGEST_STREAMS_REFUSED_RECORDS, records);
}

/* May its streams be?  Parts whose may not are refused alone.  ERR_LIMIT: all of it is;
 * ERR_TIMEOUT: not now. */
static int admit_streams(const struct session_forward *s, struct session_chunk *c,
                         const struct batch *b, struct err *err)
{
    struct stream_limit *l = s->group->server->streams;
    const struct store_payload *p = &c->append.payload;
    int r;

    if (!c->has_parts) {
        r = stream_limit_admit(l, p->tenant, b, p->received, err);
    } else {
        INVARIANT(b->n_parts == c->n_parts); /* each part of the message is one of the batch */
        r = stream_limit_admit_parts(l, p->tenant, b, p->received, c->refused, err);
        c->append.refused = c->refused;
    }
    if (r != ERR_LIMIT)
        return r;
    metric_add(METRIC_INGEST_STREAMS_REFUSED, 1);
    if (!c->has_parts)
        return r;
    c->err = *err;
    take_back_stored(s, c, b);
    return 0;
}

/* 0: taken, answered or refused; 1: not now, the session is held; ERR_NOMEM: try again later; other
 * codes: the connection must end. */
static int take_events(struct session_forward *s, const struct forward_message *m, struct str bytes,
                       struct err *err)
{
    struct server *server = s->group->server;
    struct ingest_times times = {0, 0};
    struct batch *b = NULL;
    struct session_chunk *c = new_chunk(s, m, bytes, err);
    struct err why;
    int r;

    if (c == NULL)
        return ERR_NOMEM;
    c->append.payload = (struct store_payload){.kind = INGEST_FORWARD,
                                               .tenant = str_of(s->tenant),
                                               .peer = str_of(s->peer),
                                               .decided = buf_str(&s->decided),
                                               .received = store_receive_time(server->store),
                                               .bytes = {c->bytes, c->n_bytes}};
    r = ingest_decode_times(&server->memory, &c->append.payload, &b, &times, NULL, err);
    if (r == 0 && fault_hit("ingest.decoded")) {
        batch_unref(&b);
        r = err_set(err, ERR_NOMEM, "fault ingest.decoded");
    }
    if (r == 0)
        r = admit_streams(s, c, b, err);
    if (r < 0) {
        bool refuse = c->has_parts && r != ERR_NOMEM;
        batch_unref(&b);
        session_forward_free_chunk(c);
        if (r == ERR_TIMEOUT) {
            session_forward_wait(s, HOLD_STREAMS);
            return 1;
        }
        if (!refuse)
            return r;
        why = *err;
        return enqueue_done(s, m, &why, &c, err);
    }
    if (!c->has_parts && m->has_chunk)
        set_dedup(s, c, m);
    peers_note(server->peers, str_of(s->peer), &times);
    if (m->about.next != 0)
        collectors_note(server->collectors, s->entry, s->incarnation, &m->about);
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
    buf_init(&out, SESSION_ANSWER_MAX);
    r = forward_auth_check(&s->auth, m, s->group->server->conf.forward_local_shared_key,
                           str_of(host), &out, err);
    stream_write(s->stream, buf_str(&out));
    buf_fini(&out);
    if (r < 0) {
        metric_add(METRIC_FORWARD_TLS_FAILED, 1);
        return r;
    }
    s->auth_state = AUTH_DONE;
    session_forward_know(s);
    return 0;
}

int session_forward_take(struct session_forward *s, struct str bytes, struct err *err)
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
            if (session_forward_disk_is_full(s)) {
                session_forward_wait(s, HOLD_DISK);
                r = 1;
                break;
            }
            r = take_events(s, &m, bytes, err);
            if (r == 0)
                metric_add(METRIC_FORWARD_MESSAGES, 1);
            break;
        case FORWARD_HEARTBEAT:
        case FORWARD_SIGNAL:
            metric_add(
                m.kind == FORWARD_SIGNAL ? METRIC_FORWARD_SIGNALS : METRIC_FORWARD_HEARTBEATS, 1);
            r = take_heartbeat(s, &m, err);
            break;
        }
    }
    arena_free(&a);
    return r;
}
