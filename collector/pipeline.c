/*
 * collector/pipeline.c - contract: pipeline.h.
 *
 * Invariants (the argument for exactly-once is in docs/collector.md)
 *   (1) a chunk goes to ship only when the journal says that its plan is on the disk;
 *   (2) nothing is pulled before every chunk of the journal was built again, so the joins that
 * these leave empty are the ones that reading begins with; (3) a refused chunk is acknowledged in
 * the journal only after its gap record is in the spool (on a full disk: in its memory).
 */
#include "collector/pipeline.h"

#include "base/file.h"
#include "base/log.h"
#include "base/obj.h"
#include "collector/metrics.h"
#include "collector/notice.h"
#include "collector/refused.h"

#include <stdlib.h>
#include <string.h>

enum {
    PUMP_MS = 5,     /* one pump at most: acks and timers get their turn */
    RETRY_MS = 1000, /* a journal that cannot be written */
    RESUME_MS = 50,  /* labels that are not known yet */
    MESSAGE_SLACK = 8 << 20,
    TRIM_MS = 1000,
    TRIM_BYTES = 1 << 20, /* sent in TRIM_MS: below, memory of busier times is given back */
};

/* A chunk whose plan is in the journal's buffer and not yet on the disk. */
struct sealed {
    uint64_t no;
    uint64_t mark; /* of the journal, behind its plan */
    uint64_t next; /* next new file when it was planned; 0: it was before */
    char token[CHUNK_TOKEN_BYTES];
    struct buf message;
};

struct pipeline {
    unsigned magic;
#define PIPELINE_MAGIC 0x919e11e5u
    struct pipeline_options opt;
    struct input input;
    struct ship *ship;
    struct refused *refused;
    struct chunk *chunk; /* being filled */
    dur_ns opened_at;    /* when its first part came */
    VEC(struct sealed) sealed;
    uint64_t next;       /* next new file, as far as the journal has it on the disk */
    VEC(uint64_t) again; /* chunks of the journal still to be built, oldest first */
    struct loop_timer *timer;
    dur_ns retry_at; /* the journal could not be written: not before then; 0: it can */
    bool started, draining, drained;
    loop_fn *drain_done;
    void *drain_arg;
    struct loop_timer *drain_timer;
    struct loop_timer *trim_timer; /* runs while there may be memory to give back */
    uint64_t sent, sent_before; /* bytes since the last mem_trim; and when the timer was started */
};

static void pump(struct pipeline *p);

static void on_timer(void *arg)
{
    pump(arg);
}

/* ---- sealing ---- */

static bool has_room(const struct pipeline *p)
{
    return ship_has_room(p->ship) &&
           ship_in_flight(p->ship) + p->sealed.n < p->opt.ship.window_chunks;
}

/* What rules dropped counts from when the bytes are planned: what is read again after a crash is
 * counted again, what is built again is not. */
static void plan_drops(struct pipeline *p)
{
    struct chunk_drop *d;

    VEC_EACH(&p->chunk->drops, d)
        checkpoint_dropped(p->opt.checkpoint, d->file, d->rule, d->count, d->bytes);
}

/* Pack the chunk as number `no`; 0: a new one, which is planned. */
static void seal(struct pipeline *p, uint64_t no)
{
    struct sealed s = {.no = no, .next = no == 0 ? checkpoint_next_file(p->opt.checkpoint) : 0};
    struct err err;

    p->chunk->next = s.next;
    buf_init(&s.message, 2 * (p->opt.chunk.bytes_busy + MESSAGE_SLACK));
    if (chunk_pack(p->chunk, &s.message, s.token, &err) < 0)
        log_error("chunk.not_packed", LOG_ERR(&err));
    INVARIANT(!s.message.over); /* sized so that any chunk fits */
    if (no == 0) {
        s.no = checkpoint_plan(p->opt.checkpoint, p->chunk->parts.p, p->chunk->parts.n);
        plan_drops(p);
        s.mark = checkpoint_mark(p->opt.checkpoint);
    }
    VEC_PUSH(&p->sealed, s);
    chunk_clear(p->chunk);
}

static void on_trim(void *arg)
{
    struct pipeline *p = arg;

    if (p->sent - p->sent_before < TRIM_BYTES) {
        mem_trim();
        p->sent = p->sent_before = 0;
        return;
    }
    p->sent_before = p->sent;
    loop_timer_start(p->trim_timer, TRIM_MS, 0);
}

/* A message of `bytes` will be freed: then the heap is larger than it has to be. */
static void trim_later(struct pipeline *p, size_t bytes)
{
    if (p->sent < TRIM_BYTES && p->sent + bytes >= TRIM_BYTES)
        loop_timer_start(p->trim_timer, TRIM_MS, 0);
    p->sent += bytes;
}

/* Send what may be sent, and have the plans of the rest made durable. */
static void send_sealed(struct pipeline *p)
{
    size_t n = 0;

    for (; n < p->sealed.n; n++) {
        struct sealed *s = &p->sealed.p[n];
        if (!checkpoint_is_durable(p->opt.checkpoint, s->mark))
            break;
        if (s->next != 0)
            p->next = s->next;
        trim_later(p, s->message.n);
        ship_add(p->ship, s->no, s->token, &s->message); /* keeps (1) */
    }
    if (n > 0 && n < p->sealed.n)
        memmove(p->sealed.p, p->sealed.p + n, (p->sealed.n - n) * sizeof(p->sealed.p[0]));
    p->sealed.n -= n;
    if (p->sealed.n > 0 && time_mono() >= p->retry_at)
        checkpoint_sync_begin(p->opt.checkpoint);
}

static void on_synced(void *arg, const struct err *err)
{
    struct pipeline *p = arg;

    if (err == NULL) {
        p->retry_at = 0;
        pump(p);
        return;
    }
    if (p->retry_at == 0)
        log_error("checkpoint.failed", LOG_ERR(err)); /* once; it is tried again and counted */
    p->retry_at = time_mono() + RETRY_MS * NS_PER_MS;
    loop_timer_start(p->timer, RETRY_MS + 1, 0);
}

/* ---- after a restart ---- */

/* Build what the journal says is not acknowledged.  false: not all could be done now. */
static bool rebuild(struct pipeline *p)
{
    while (p->again.n > 0) {
        struct checkpoint_chunk *plan = checkpoint_chunk_find(p->opt.checkpoint, p->again.p[0]);
        INVARIANT(chunk_is_empty(p->chunk));
        if (p->input.ops->resume(p->input.self, plan, p->chunk) == 1) {
            loop_timer_start(p->timer, RESUME_MS, 0);
            return false;
        }
        VEC_REMOVE(&p->again, 0);
        if (chunk_is_empty(p->chunk)) /* all of it is gone and reported */
            checkpoint_ack(p->opt.checkpoint, plan->no);
        else
            seal(p, plan->no);
    }
    return true;
}

/* ---- the pump ---- */

/* Fill and seal; returns the milliseconds after which to look again, 0: at once, -1: when something
 * happens. */
static int64_t fill(struct pipeline *p)
{
    dur_ns begin = time_mono(), now = begin;
    bool more = true;

    while (has_room(p) && more && now - begin < PUMP_MS * NS_PER_MS) {
        bool was_empty = chunk_is_empty(p->chunk);
        more = p->input.ops->deliver(p->input.self, p->chunk) == 0;
        now = time_mono();
        if (was_empty)
            p->opened_at = now;
        if (chunk_is_full(p->chunk) || (!more && chunk_is_worth(p->chunk)))
            seal(p, 0);
    }
    if (!chunk_is_empty(p->chunk) && has_room(p) && now - p->opened_at >= p->opt.chunk_delay)
        seal(p, 0);
    if (!has_room(p))
        return -1;
    if (more)
        return 0;
    if (chunk_is_empty(p->chunk))
        return -1;
    return (p->opened_at + p->opt.chunk_delay - now) / NS_PER_MS + 1;
}

static void finish_drain(struct pipeline *p)
{
    struct err err;

    if (!p->draining || p->drained)
        return;
    p->drained = true;
    (void)checkpoint_sync(p->opt.checkpoint,
                          &err); /* acks: one that is lost is a chunk sent again */
    p->drain_done(p->drain_arg);
}

static void pump(struct pipeline *p)
{
    int64_t wait = -1;

    OBJ_CHECK(p, PIPELINE_MAGIC);
    if (!p->started || p->drained || !rebuild(p))
        return;
    if (p->draining) {
        if (!chunk_is_empty(p->chunk))
            seal(p, 0);
    } else {
        wait = fill(p);
    }
    send_sealed(p);
    if (wait < 0 && p->retry_at != 0)
        wait = RETRY_MS;
    if (p->draining && p->sealed.n == 0 && ship_in_flight(p->ship) == 0)
        finish_drain(p);
    if (wait >= 0)
        loop_timer_start(p->timer, (uint64_t)wait, 0);
}

/* ---- what ship says ---- */

static void on_acked(void *arg, uint64_t no)
{
    struct pipeline *p = arg;

    checkpoint_ack(p->opt.checkpoint, no);
    spool_retry(p->opt.own);
    if (p->opt.acked != NULL)
        p->opt.acked(p->opt.arg);
}

/* Is every part our own gap records?  Those are not reported by more of them. */
static bool is_own(const struct checkpoint_chunk *c)
{
    for (size_t i = 0; i < c->parts.n; i++)
        if (strstr(c->parts.p[i].file->path, "/" SPOOL_DIR "/" SPOOL_OWN "/") == NULL)
            return false;
    return true;
}

/*
 * The server has some of a part and not the rest: then we do not remember what we sent, because the
 * journal is an older one that was put back.  Nobody can tell the new records from the others; so
 * all are sent once more, and it is said which.
 */
static int send_twice(struct pipeline *p, const struct checkpoint_chunk *c, struct str message,
                      struct err *err)
{
    char token[CHUNK_TOKEN_BYTES];
    struct buf marked;
    int r;

    buf_init(&marked, message.n + MESSAGE_SLACK);
    r = chunk_mark_twice(message, token, &marked, err);
    for (size_t i = 0; r == 0 && !is_own(c) && i < c->parts.n; i++)
        r = notice_maybe_twice(p->opt.own, &c->parts.p[i], err);
    if (r == 0)
        r = spool_sync(p->opt.own, err);
    if (r == 0)
        ship_add(p->ship, c->no, token, &marked);
    buf_fini(&marked);
    return r;
}

static void on_refused(void *arg, uint64_t no, struct str message, struct str code, struct str text)
{
    struct pipeline *p = arg;
    const struct checkpoint_chunk *c = checkpoint_chunk_find(p->opt.checkpoint, no);
    struct err err;

    if (c != NULL && str_eq(code, STR("EXISTS")) && send_twice(p, c, message, &err) == 0) {
        log_warn("ship.maybe_twice", LOG_U64("chunk", no), LOG_STR("text", text));
        return;
    }
    log_error("ship.refused", LOG_U64("chunk", no), LOG_STR("code", code), LOG_STR("text", text));
    refused_keep(p->refused, no, message);
    for (size_t i = 0; c != NULL && !is_own(c) && i < c->parts.n; i++) {
        const struct checkpoint_part *part = &c->parts.p[i];
        struct notice_gap gap = {.cause = "refused",
                                 .path = str_of(part->file->path),
                                 .file_id = str_of(part->file->id),
                                 .text = text,
                                 .start = part->start,
                                 .end = part->end};
        if (notice_gap_begin(p->opt.own, &gap, &err) < 0)
            log_error("gap.not_written", LOG_ERR(&err));
    }
    if (spool_sync(p->opt.own, &err) < 0)
        log_error("gap.not_synced", LOG_ERR(&err));
    on_acked(p, no); /* keeps (3) */
}

static void on_room(void *arg)
{
    pump(arg);
}

static void on_about(void *arg, bool is_hello, struct forward_about *ret)
{
    struct pipeline *p = arg;

    p->opt.about(p->opt.arg, is_hello, ret);
    ret->hello.incarnation = checkpoint_incarnation(p->opt.checkpoint);
    ret->hello.previous = checkpoint_previous(p->opt.checkpoint);
    ret->next = p->next;
}

/* ---- life ---- */

int pipeline_open(const struct pipeline_options *opt, struct pipeline **ret, struct err *err)
{
    struct ship_handler handler = {on_acked, on_refused, on_room,
                                   opt->about == NULL ? NULL : on_about, NULL};
    struct pipeline *p = mem_new(sizeof(*p));
    int r;

    p->magic = PIPELINE_MAGIC;
    p->opt = *opt;
    p->next = checkpoint_next_file(opt->checkpoint);
    if (p->opt.chunk.bytes_busy < opt->chunk.bytes)
        p->opt.chunk.bytes_busy = opt->chunk.bytes;
    r = refused_open(opt->state_fd, opt->refused_bytes, &p->refused, err);
    if (r == 0)
        r = checkpoint_attach(opt->checkpoint, opt->loop, on_synced, p, err);
    if (r < 0) {
        pipeline_free(&p);
        return r;
    }
    p->chunk = chunk_new(&opt->chunk);
    p->timer = loop_timer_new(opt->loop, on_timer, p);
    p->trim_timer = loop_timer_new(opt->loop, on_trim, p);
    p->ship = ship_new(opt->loop, &opt->ship, &handler, p);
    *ret = p;
    return 0;
}

void pipeline_start(struct pipeline *p, struct input input)
{
    struct checkpoint_chunk *c;

    OBJ_CHECK(p, PIPELINE_MAGIC);
    p->input = input;
    for (size_t i = 0; (c = checkpoint_chunk_at(p->opt.checkpoint, i)) != NULL; i++)
        VEC_PUSH(&p->again, c->no);
    p->started = true;
    loop_timer_start(p->timer, 0, 0);
}

void pipeline_wake(struct pipeline *p)
{
    OBJ_CHECK(p, PIPELINE_MAGIC);
    if (p->started)
        pump(p);
}

static void on_drain_timeout(void *arg)
{
    struct pipeline *p = arg;

    log_warn("drain.timeout", LOG_U64("unacked_chunks", ship_in_flight(p->ship)));
    finish_drain(p);
}

void pipeline_drain(struct pipeline *p, dur_ns timeout, loop_fn *done, void *arg)
{
    OBJ_CHECK(p, PIPELINE_MAGIC);
    p->draining = true;
    p->drain_done = done;
    p->drain_arg = arg;
    p->drain_timer = loop_timer_new(p->opt.loop, on_drain_timeout, p);
    loop_timer_start(p->drain_timer, (uint64_t)(timeout / NS_PER_MS), 0);
    pump(p);
}

void pipeline_set_tls(struct pipeline *p, struct tls_ctx *tls)
{
    ship_set_tls(p->ship, tls);
}

void pipeline_free(struct pipeline **pp)
{
    struct pipeline *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, PIPELINE_MAGIC);
    loop_timer_free(&p->drain_timer);
    loop_timer_free(&p->timer);
    loop_timer_free(&p->trim_timer);
    ship_free(&p->ship);
    chunk_free(&p->chunk);
    refused_free(&p->refused);
    for (size_t i = 0; i < p->sealed.n; i++)
        buf_fini(&p->sealed.p[i].message);
    VEC_FINI(&p->sealed);
    VEC_FINI(&p->again);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

bool pipeline_is_connected(const struct pipeline *p)
{
    return ship_is_connected(p->ship);
}

size_t pipeline_in_flight(const struct pipeline *p)
{
    return ship_in_flight(p->ship) + p->sealed.n;
}
