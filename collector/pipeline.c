/*
 * collector/pipeline.c - lanes, sealing, the pump: chunks are filled, planned and sent.
 * Contract: pipeline.h; parts and invariants: pipeline_internal.h.
 */
#include "collector/pipeline.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/config.h"
#include "collector/metrics.h"
#include "collector/notice.h"
#include "collector/pipeline_internal.h"

#include <stdlib.h>
#include <string.h>

_Static_assert(2 * (CONFIG_CHUNK_MAX + PIPELINE_MESSAGE_SLACK) <= FORWARD_CHUNK_MAX,
               "a server might never take a chunk");

enum {
    PUMP_MS = 5,     /* one pump at most: acks and timers get their turn */
    RETRY_MS = 1000, /* a journal that cannot be written */
    RESUME_MS = 50,  /* labels that are not known yet */
    TRIM_MS = 1000,
    TRIM_BYTES = 1 << 20, /* sent in TRIM_MS: below, memory of busier times is given back */
};

static void pump(struct pipeline *p);

static void on_timer(void *arg)
{
    pump(arg);
}

/* ---- lanes ---- */

struct lane *pipeline_lane_of(struct pipeline *p, uint32_t server)
{
    for (size_t i = 0; i < p->n_lanes; i++)
        if (p->lanes[i].server == server)
            return &p->lanes[i];
    return NULL;
}

struct lane *pipeline_lane_of_chunk(struct pipeline *p, const struct checkpoint_chunk *c)
{
    struct lane *l = pipeline_lane_of(p, c->server);

    INVARIANT(l != NULL);
    return l;
}

size_t pipeline_index_of(const struct pipeline *p, const struct lane *l)
{
    return (size_t)(l - p->lanes);
}

static bool has_room(const struct pipeline *p, const struct lane *l)
{
    size_t i = pipeline_index_of(p, l);

    return fleet_has_room(p->fleet, i) &&
           fleet_in_flight(p->fleet, i) + l->sealed < p->opt.fleet.ship.window_chunks;
}

static bool has_any_room(const struct pipeline *p)
{
    for (size_t i = 0; i < p->n_lanes; i++)
        if (has_room(p, &p->lanes[i]))
            return true;
    return false;
}

bool pipeline_is_filling(const struct lane *l)
{
    return l->chunk != NULL && !chunk_is_empty(l->chunk);
}

static struct chunk *chunk_of(struct pipeline *p, struct lane *l)
{
    if (l->chunk == NULL)
        l->chunk = chunk_new(&p->opt.chunk);
    return l->chunk;
}

/* Where the bytes of `f` go; NULL: nobody knows yet. */
static struct lane *choose_lane(struct pipeline *p, struct checkpoint_file *f, uint32_t like)
{
    struct lane *l = pipeline_lane_of(p, f->server);
    int i;

    if (l == NULL && like != 0)
        l = pipeline_lane_of(p, like);
    if (l == NULL) {
        i = fleet_choose(p->fleet);
        if (i < 0) {
            p->undecided = true;
            return NULL;
        }
        l = &p->lanes[i];
    }
    checkpoint_file_set_server(p->opt.checkpoint, f, l->server);
    return l;
}

/* For the input: struct input_sink. */
static struct chunk *give_chunk(void *arg, struct checkpoint_file *f, uint32_t like)
{
    struct pipeline *p = arg;
    struct lane *l = choose_lane(p, f, like);

    if (l == NULL)
        return NULL;
    if (!has_room(p, l)) {
        l->had_no_room = true;
        return NULL;
    }
    p->filling = l;
    return chunk_of(p, l);
}

/* Is there room for files that had none? */
static void wake_files(struct pipeline *p)
{
    bool due = p->undecided && fleet_choose(p->fleet) >= 0;

    for (size_t i = 0; i < p->n_lanes; i++) {
        struct lane *l = &p->lanes[i];
        if (!l->had_no_room || !has_room(p, l))
            continue;
        l->had_no_room = false;
        due = true;
    }
    if (!due)
        return;
    p->undecided = false;
    p->input.ops->again(p->input.self);
}

/* ---- sealing ---- */

/* What rules dropped counts from when the bytes are planned: what is read again after a crash is
 * counted again, what is built again is not. */
static void plan_drops(struct pipeline *p, const struct chunk *c)
{
    const struct chunk_drop *d;

    VEC_EACH(&c->drops, d)
        checkpoint_dropped(p->opt.checkpoint, d->file, d->rule, d->count, d->bytes);
}

/* Pack `c` as number `no` for lane `l`; 0: a new one, which is planned. */
static void seal(struct pipeline *p, struct chunk *c, struct lane *l, uint64_t no)
{
    struct checkpoint *cp = p->opt.checkpoint;
    struct sealed s = {.no = no, .lane = pipeline_index_of(p, l), .mark = p->again_mark};
    struct err err;

    if (no == 0)
        s.next = checkpoint_next_file(cp);
    c->next = s.next;
    buf_init(&s.message, 2 * (p->opt.chunk.bytes_busy + PIPELINE_MESSAGE_SLACK));
    if (chunk_pack(c, &s.message, s.token, &err) < 0)
        log_error("chunk.not_packed", LOG_ERR(&err));
    INVARIANT(!s.message.over); /* sized so that any chunk fits */
    if (no == 0) {
        s.no = checkpoint_plan(cp, l->server, c->parts.p, c->parts.n);
        plan_drops(p, c);
        s.mark = checkpoint_mark(cp);
    } else if (checkpoint_replan(cp, no, c->parts.p, c->parts.n)) { /* by other rules */
        plan_drops(p, c);
        s.mark = checkpoint_mark(cp);
    }
    VEC_PUSH(&p->sealed, s);
    l->sealed++;
    chunk_clear(c);
}

void pipeline_seal_lane(struct pipeline *p, struct lane *from, struct lane *to)
{
    seal(p, from->chunk, to, 0);
    from->opened_at = 0;
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

/* Gaps first: what is planned or acknowledged passes over them.  The spool says why not. */
static void save(struct pipeline *p)
{
    (void)notice_retry(p->opt.own);
    checkpoint_sync_begin(p->opt.checkpoint);
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
        p->lanes[s->lane].sealed--;
        fleet_add(p->fleet, s->lane, s->no, s->token, &s->message); /* keeps (1) */
    }
    if (n > 0 && n < p->sealed.n)
        memmove(p->sealed.p, p->sealed.p + n, (p->sealed.n - n) * sizeof(p->sealed.p[0]));
    p->sealed.n -= n;
    if (p->sealed.n > 0 && time_mono() >= p->retry_at)
        save(p);
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

/* Build chunk `plan`, as far as it can be, and seal that.  As resume. */
static int build(struct pipeline *p, const struct checkpoint_chunk *plan, bool *on_its_way)
{
    struct lane *l = pipeline_lane_of_chunk(p, plan);
    struct chunk *c = chunk_of(p, l);
    int r;

    INVARIANT(chunk_is_empty(c));
    r = p->input.ops->resume(p->input.self, plan, c);
    *on_its_way = !chunk_is_empty(c);
    if (*on_its_way) {
        c->maybe_twice = plan->maybe_twice;
        seal(p, c, l, plan->no);
    } else if (r == 0) { /* all of it is gone and reported */
        checkpoint_ack(p->opt.checkpoint, plan->no);
    }
    return r;
}

/* Build what the journal says is not acknowledged.  false: not all could be done now. */
static bool rebuild(struct pipeline *p)
{
    while (p->again.n > 0) {
        const struct checkpoint_chunk *plan =
            checkpoint_chunk_find(p->opt.checkpoint, p->again.p[0]);
        struct put_off later = {.no = p->again.p[0]};
        int r = build(p, plan, &later.on_its_way);
        if (r == 1) {
            loop_timer_start(p->timer, RESUME_MS, 0);
            return false;
        }
        VEC_REMOVE(&p->again, 0);
        if (r == 2)
            VEC_PUSH(&p->put_off, later);
    }
    return true;
}

/* What can be built now of chunks that were put off.  The files that it is of are not read before.
 */
static void build_rest(struct pipeline *p)
{
    for (size_t i = 0; i < p->put_off.n; i++) {
        struct put_off *o = &p->put_off.p[i];
        const struct checkpoint_chunk *plan = checkpoint_chunk_find(p->opt.checkpoint, o->no);
        struct lane *l = pipeline_lane_of_chunk(p, plan);
        if (o->on_its_way || p->input.ops->resume(p->input.self, plan, NULL) != 0)
            continue;
        if (pipeline_is_filling(l) && has_room(p, l))
            pipeline_seal_lane(p, l, l);
        if (!pipeline_is_filling(l) && has_room(p, l) && build(p, plan, &o->on_its_way) == 0)
            VEC_REMOVE(&p->put_off, i--);
    }
}

/* ---- the pump ---- */

/* Seal what is old enough, or worth it when there is no more to read; the milliseconds after which
 * the next will be, -1: none. */
static int64_t seal_old(struct pipeline *p, bool more, dur_ns now)
{
    int64_t wait = -1;

    for (size_t i = 0; i < p->n_lanes; i++) {
        struct lane *l = &p->lanes[i];
        dur_ns left = l->opened_at + p->opt.chunk_delay - now;
        if (!pipeline_is_filling(l) || !has_room(p, l))
            continue;
        if (left <= 0 || (!more && chunk_is_worth(l->chunk)))
            pipeline_seal_lane(p, l, l);
        else if (wait < 0 || left / NS_PER_MS + 1 < wait)
            wait = left / NS_PER_MS + 1;
    }
    return wait;
}

/* Fill and seal; returns the milliseconds after which to look again, 0: at once, -1: when something
 * happens. */
static int64_t fill(struct pipeline *p)
{
    const struct input_sink sink = {give_chunk, p};
    dur_ns begin = time_mono(), now = begin;
    bool more = true;
    int64_t wait;

    while (has_any_room(p) && more && now - begin < PUMP_MS * NS_PER_MS) {
        p->filling = NULL;
        more = p->input.ops->deliver(p->input.self, &sink) == 0;
        now = time_mono();
        if (p->filling == NULL)
            continue;
        if (p->filling->opened_at == 0)
            p->filling->opened_at = now;
        if (!pipeline_is_filling(p->filling))
            p->filling->opened_at = 0;
        else if (chunk_is_full(p->filling->chunk))
            pipeline_seal_lane(p, p->filling, p->filling);
    }
    wait = seal_old(p, more, now);
    if (!has_any_room(p))
        return -1;
    return more ? 0 : wait;
}

static void finish_drain(struct pipeline *p)
{
    struct err err;

    if (!p->draining || p->drained)
        return;
    p->drained = true;
    (void)notice_retry(p->opt.own);
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
        for (size_t i = 0; i < p->n_lanes; i++)
            if (pipeline_is_filling(&p->lanes[i]))
                pipeline_seal_lane(p, &p->lanes[i], &p->lanes[i]);
    } else {
        wake_files(p);
        build_rest(p);
        wait = fill(p);
    }
    send_sealed(p);
    if (p->put_off.n > 0 && !p->draining && (wait < 0 || wait > RETRY_MS))
        wait = RETRY_MS;
    if (wait < 0 && p->retry_at != 0)
        wait = RETRY_MS;
    if (p->draining && p->sealed.n == 0 && fleet_in_flight_all(p->fleet) == 0)
        finish_drain(p);
    if (wait >= 0)
        loop_timer_start(p->timer, (uint64_t)wait, 0);
}

/* ---- for ship ---- */

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

/* Numbers are told only when the journal has them on the disk: one that a server knows and we do
 * not was drawn by a journal that came after this one. */
static void on_known(void *arg, uint64_t incarnation, uint64_t next)
{
    struct pipeline *p = arg;

    if (incarnation != checkpoint_incarnation(p->opt.checkpoint) || next <= p->loaded_next)
        return;
    p->opt.old_journal(p->opt.arg, next);
    p->loaded_next = next;
    save(p);
}

/* ---- life ---- */

int pipeline_open(const struct pipeline_options *opt, struct pipeline **ret, struct err *err)
{
    struct fleet_handler handler = {
        .ship = {pipeline_on_acked, pipeline_on_refused, on_room,
                 opt->about == NULL ? NULL : on_about, opt->old_journal == NULL ? NULL : on_known},
        .left = pipeline_on_left,
    };
    struct pipeline *p = mem_new(sizeof(*p));
    int r;

    p->magic = PIPELINE_MAGIC;
    p->opt = *opt;
    p->next = p->loaded_next = checkpoint_next_file(opt->checkpoint);
    if (p->opt.chunk.bytes_busy < opt->chunk.bytes)
        p->opt.chunk.bytes_busy = opt->chunk.bytes;
    r = refused_open(opt->state_fd, opt->refused_bytes, &p->refused, err);
    if (r == 0)
        r = checkpoint_attach(opt->checkpoint, opt->loop, on_synced, p, err);
    if (r < 0) {
        pipeline_free(&p);
        return r;
    }
    p->n_lanes = opt->fleet.n;
    for (size_t i = 0; i < p->n_lanes; i++)
        p->lanes[i].server = checkpoint_server(opt->checkpoint, opt->fleet.addresses[i].p);
    p->timer = loop_timer_new(opt->loop, on_timer, p);
    p->trim_timer = loop_timer_new(opt->loop, on_trim, p);
    p->fleet = fleet_new(opt->loop, &opt->fleet, &handler, p);
    *ret = p;
    return 0;
}

void pipeline_start(struct pipeline *p, struct input input)
{
    struct checkpoint_chunk *c;

    OBJ_CHECK(p, PIPELINE_MAGIC);
    p->input = input;
    pipeline_leave_strangers(p);
    for (size_t i = 0; (c = checkpoint_chunk_at(p->opt.checkpoint, i)) != NULL; i++) {
        VEC_PUSH(&p->again, c->no);
        p->first_new = c->no + 1;
    }
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

    log_warn("drain.timeout", LOG_U64("unacked_chunks", fleet_in_flight_all(p->fleet)));
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
    fleet_set_tls(p->fleet, tls);
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
    fleet_free(&p->fleet);
    for (size_t i = 0; i < p->n_lanes; i++)
        chunk_free(&p->lanes[i].chunk);
    refused_free(&p->refused);
    for (size_t i = 0; i < p->sealed.n; i++)
        buf_fini(&p->sealed.p[i].message);
    VEC_FINI(&p->sealed);
    VEC_FINI(&p->again);
    VEC_FINI(&p->put_off);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

bool pipeline_is_connected(const struct pipeline *p)
{
    return fleet_connected(p->fleet) > 0;
}

size_t pipeline_in_flight(const struct pipeline *p)
{
    return fleet_in_flight_all(p->fleet) + p->sealed.n;
}
