/*
 * collector/pipeline.c - contract: pipeline.h.
 *
 * A server has a lane: a chunk that is being filled from its files, and those on their way to it.
 *
 * Invariants (the argument for exactly-once is in docs/collector.md)
 *   (1) a chunk is sent, also to another server, only when the journal says on the disk that it is
 * planned for that server; (2) nothing is pulled of a file before every chunk of the journal that
 * has some of it was built again (others wait for nothing, also not where a file cannot be read),
 * so the joins that these leave empty are the ones that reading begins with; (3) a refused chunk is
 * acknowledged in the journal only after its gap record is in the spool (on a full disk: in its
 * memory); (4) a chunk that a server may have is sent to another one marked maybe_twice.
 */
#include "collector/pipeline.h"

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
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
    size_t lane;
    uint64_t mark; /* of the journal, behind its plan or move */
    uint64_t next; /* next new file when it was planned; 0: it was before */
    char token[CHUNK_TOKEN_BYTES];
    struct buf message;
};

/* A chunk of the journal of which some parts cannot be built now. */
struct put_off {
    uint64_t no;
    bool on_its_way; /* the others are: of a number one message at a time */
};

struct lane {
    uint32_t server;     /* the journal's number */
    struct chunk *chunk; /* being filled; NULL: none ever was */
    dur_ns opened_at;    /* when its first part came */
    size_t sealed;
    bool had_no_room; /* a file waits for that */
};

struct pipeline {
    unsigned magic;
#define PIPELINE_MAGIC 0x919e11e5u
    struct pipeline_options opt;
    struct input input;
    struct fleet *fleet;
    struct refused *refused;
    struct lane lanes[FLEET_MAX];
    size_t n_lanes;
    struct lane *filling; /* that was chosen last */
    bool undecided;       /* a file waits for a server */
    VEC(struct sealed) sealed;
    VEC(uint64_t) again; /* chunks of the journal still to be built, oldest first */
    VEC(struct put_off) put_off;
    uint64_t first_new;   /* chunks below were in the journal: they may have been sent */
    uint64_t again_mark;  /* of the journal, when it was said where they go */
    uint64_t next;        /* next new file, as far as the journal has it on the disk */
    uint64_t loaded_next; /* as the journal had it when we started */
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

/* ---- lanes ---- */

/* The lane of a server of the configuration; NULL: it is not one of them. */
static struct lane *lane_of(struct pipeline *p, uint32_t server)
{
    for (size_t i = 0; i < p->n_lanes; i++)
        if (p->lanes[i].server == server)
            return &p->lanes[i];
    return NULL;
}

/* That of a chunk, which goes to a server of the configuration (leave_strangers). */
static struct lane *lane_of_chunk(struct pipeline *p, const struct checkpoint_chunk *c)
{
    struct lane *l = lane_of(p, c->server);

    INVARIANT(l != NULL);
    return l;
}

static size_t index_of(const struct pipeline *p, const struct lane *l)
{
    return (size_t)(l - p->lanes);
}

static bool has_room(const struct pipeline *p, const struct lane *l)
{
    size_t i = index_of(p, l);

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

static bool is_filling(const struct lane *l)
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
    struct lane *l = lane_of(p, f->server);
    int i;

    if (l == NULL && like != 0)
        l = lane_of(p, like);
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
    struct sealed s = {.no = no, .lane = index_of(p, l), .mark = p->again_mark};
    struct err err;

    if (no == 0)
        s.next = checkpoint_next_file(cp);
    c->next = s.next;
    buf_init(&s.message, 2 * (p->opt.chunk.bytes_busy + MESSAGE_SLACK));
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

/* Seal what `from` has been filled with, for `to`. */
static void seal_lane(struct pipeline *p, struct lane *from, struct lane *to)
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
    (void)spool_retry(p->opt.own);
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
    struct lane *l = lane_of_chunk(p, plan);
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
        struct lane *l = lane_of_chunk(p, plan);
        if (o->on_its_way || p->input.ops->resume(p->input.self, plan, NULL) != 0)
            continue;
        if (is_filling(l) && has_room(p, l))
            seal_lane(p, l, l);
        if (!is_filling(l) && has_room(p, l) && build(p, plan, &o->on_its_way) == 0)
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
        if (!is_filling(l) || !has_room(p, l))
            continue;
        if (left <= 0 || (!more && chunk_is_worth(l->chunk)))
            seal_lane(p, l, l);
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
        if (!is_filling(p->filling))
            p->filling->opened_at = 0;
        else if (chunk_is_full(p->filling->chunk))
            seal_lane(p, p->filling, p->filling);
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
    (void)spool_retry(p->opt.own);
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
            if (is_filling(&p->lanes[i]))
                seal_lane(p, &p->lanes[i], &p->lanes[i]);
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

/* ---- what ship says ---- */

static void on_acked(void *arg, uint64_t no)
{
    struct pipeline *p = arg;
    bool is_all = true;

    for (size_t i = 0; i < p->put_off.n; i++)
        if (p->put_off.p[i].no == no) {
            p->put_off.p[i].on_its_way = false;
            is_all = false; /* the rest is still to come */
        }
    if (is_all)
        checkpoint_ack(p->opt.checkpoint, no);
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
 * all are sent once more, and it is said which: those that `sent` says are in the message.
 */
static int send_twice(struct pipeline *p, const struct checkpoint_chunk *c, struct str message,
                      const bool *sent, struct err *err)
{
    char token[CHUNK_TOKEN_BYTES];
    struct buf marked;
    int r;

    buf_init(&marked, message.n + MESSAGE_SLACK);
    r = chunk_mark_twice(message, token, &marked, err);
    for (size_t i = 0; r == 0 && !is_own(c) && i < c->parts.n; i++)
        if (sent[i])
            r = notice_maybe_twice(p->opt.own, &c->parts.p[i], err);
    (void)spool_retry(p->opt.own); /* what it says of a full disk is no reason to lose the chunk */
    if (r == 0)
        fleet_add(p->fleet, index_of(p, lane_of_chunk(p, c)), c->no, token, &marked);
    buf_fini(&marked);
    return r;
}

/* Only what `sent` says: of the others it was told why they are not there, or they are to come. */
static void tell_refused(struct pipeline *p, const struct checkpoint_chunk *c, const bool *sent,
                         struct str text)
{
    struct err err;

    for (size_t i = 0; !is_own(c) && i < c->parts.n; i++) {
        const struct checkpoint_part *part = &c->parts.p[i];
        struct notice_gap gap = {.cause = "refused",
                                 .path = str_of(part->file->path),
                                 .file_id = str_of(part->file->id),
                                 .text = text,
                                 .start = part->start,
                                 .end = part->end};
        if (sent[i] && notice_gap_begin(p->opt.own, &gap, &err) < 0)
            log_error("gap.not_written", LOG_ERR(&err));
    }
}

static void on_refused(void *arg, uint64_t no, struct str message, struct str code, struct str text)
{
    struct pipeline *p = arg;
    const struct checkpoint_chunk *c = checkpoint_chunk_find(p->opt.checkpoint, no);
    size_t n = c == NULL ? 0 : c->parts.n;
    bool *sent = mem_new((n + 1) * sizeof(*sent)), again = false;
    struct err err;

    if (c != NULL)
        chunk_sent(message, c->parts.p, n, sent);
    if (c != NULL && str_eq(code, STR("EXISTS")))
        again = send_twice(p, c, message, sent, &err) == 0;
    if (again) {
        log_warn("ship.maybe_twice", LOG_U64("chunk", no), LOG_STR("text", text));
    } else {
        log_error("ship.refused", LOG_U64("chunk", no), LOG_STR("code", code),
                  LOG_STR("text", text));
        refused_keep(p->refused, no, message);
        if (c != NULL)
            tell_refused(p, c, sent, text);
        (void)spool_retry(p->opt.own);
        on_acked(p, no); /* keeps (3) */
    }
    free(sent);
}

static void on_room(void *arg)
{
    pump(arg);
}

/* ---- from server to server ---- */

/* What is moved, for the record that says so. */
struct moving {
    struct pipeline *p;
    struct lane *from, *to;
    struct notice_failover told;
};

/* The journal says it; `sent`: a server may have it. */
static const struct checkpoint_chunk *move_plan(struct moving *m, uint64_t no, bool sent)
{
    struct checkpoint_chunk *c = checkpoint_chunk_find(m->p->opt.checkpoint, no);

    checkpoint_move(m->p->opt.checkpoint, no, m->to->server, sent);
    m->told.chunks++;
    for (size_t i = 0; sent && i < c->parts.n; i++) {
        m->told.ranges += c->parts.p[i].end > c->parts.p[i].start;
        m->told.bytes += c->parts.p[i].end - c->parts.p[i].start;
    }
    return c;
}

/* Mark the message of a chunk that may be stored twice, once.  Keeps (4). */
static void mark_twice(const struct checkpoint_chunk *c, struct buf *message)
{
    char token[CHUNK_TOKEN_BYTES];
    struct buf marked;
    struct err err;
    int r;

    if (!c->maybe_twice)
        return;
    buf_init(&marked, message->max + MESSAGE_SLACK);
    r = chunk_mark_twice(buf_str(message), token, &marked, &err);
    if (r == 0) {
        buf_fini(message);
        *message = marked;
        return;
    }
    buf_fini(&marked);
    if (r != ERR_EXISTS) /* it was marked when it was moved before */
        log_error("chunk.not_marked", LOG_ERR(&err));
}

static void move_sent(struct moving *m)
{
    struct sealed s = {.lane = index_of(m->p, m->to), .mark = UINT64_MAX};
    bool sent;

    while (fleet_take(m->p->fleet, index_of(m->p, m->from), &s.no, &s.message, s.token, &sent)) {
        mark_twice(move_plan(m, s.no, sent || s.no < m->p->first_new), &s.message);
        VEC_PUSH(&m->p->sealed, s);
        m->to->sealed++;
    }
}

static void move_sealed(struct moving *m)
{
    for (size_t i = 0; i < m->p->sealed.n; i++) {
        struct sealed *s = &m->p->sealed.p[i];
        if (s->lane != index_of(m->p, m->from))
            continue;
        mark_twice(move_plan(m, s->no, s->no < m->p->first_new), &s->message);
        s->lane = index_of(m->p, m->to);
        s->mark = UINT64_MAX;
        m->from->sealed--;
        m->to->sealed++;
    }
}

static void move_unbuilt(struct moving *m)
{
    for (size_t i = 0; i < m->p->put_off.n; i++) {
        const struct put_off *o = &m->p->put_off.p[i];
        if (!o->on_its_way &&
            checkpoint_chunk_find(m->p->opt.checkpoint, o->no)->server == m->from->server)
            (void)move_plan(m, o->no, true);
    }
    for (size_t i = 0; i < m->p->again.n; i++) {
        const struct checkpoint_chunk *c =
            checkpoint_chunk_find(m->p->opt.checkpoint, m->p->again.p[i]);
        if (c->server == m->from->server)
            (void)move_plan(m, c->no, true);
    }
}

static void tell_moved(const struct moving *m)
{
    struct err err;

    if (m->told.files + m->told.chunks == 0)
        return;
    if (notice_failover(m->p->opt.own, &m->told, &err) < 0)
        log_error("failover.not_written", LOG_ERR(&err));
    (void)spool_retry(m->p->opt.own);
}

/* Everything of one server is the other's from now on. */
static void on_left(void *arg, size_t from, size_t to)
{
    struct pipeline *p = arg;
    struct moving m = {.p = p, .from = &p->lanes[from], .to = &p->lanes[to]};
    struct checkpoint *cp = p->opt.checkpoint;

    m.told.from = checkpoint_server_address(cp, m.from->server);
    m.told.to = checkpoint_server_address(cp, m.to->server);
    move_sent(&m);
    move_sealed(&m);
    move_unbuilt(&m);
    m.told.files = checkpoint_leave(cp, m.from->server, m.to->server);
    p->again_mark = checkpoint_mark(cp);
    for (size_t i = 0; i < p->sealed.n; i++)
        if (p->sealed.p[i].mark == UINT64_MAX)
            p->sealed.p[i].mark = p->again_mark;
    if (is_filling(m.from)) /* planned for nobody yet */
        seal_lane(p, m.from, m.to);
    m.from->had_no_room = false;
    m.to->had_no_room = true; /* files that waited for the one wait for the other */
    tell_moved(&m);
    pump(p);
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
        .ship = {on_acked, on_refused, on_room, opt->about == NULL ? NULL : on_about,
                 opt->old_journal == NULL ? NULL : on_known},
        .left = on_left,
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

/* Servers that are not in the configuration any more: files go where new ones do, chunks to the
 * first; keeps (4). */
static void leave_strangers(struct pipeline *p)
{
    struct checkpoint *cp = p->opt.checkpoint;
    struct moving m = {.p = p, .to = &p->lanes[0]};
    struct checkpoint_file *f;
    struct checkpoint_chunk *c;

    m.told.from = "";
    m.told.to = checkpoint_server_address(cp, m.to->server);
    for (size_t i = 0; (f = checkpoint_file_at(cp, i)) != NULL; i++)
        if (f->server != 0 && lane_of(p, f->server) == NULL) {
            m.told.from = checkpoint_server_address(cp, f->server);
            m.told.files += checkpoint_leave(cp, f->server, 0);
        }
    for (size_t i = 0; (c = checkpoint_chunk_at(cp, i)) != NULL; i++)
        if (lane_of(p, c->server) == NULL) {
            m.told.from = checkpoint_server_address(cp, c->server);
            (void)move_plan(&m, c->no, c->server != 0);
        }
    p->again_mark = m.told.files + m.told.chunks > 0 ? checkpoint_mark(cp) : 0;
    if (m.told.ranges > 0)
        tell_moved(&m);
}

void pipeline_start(struct pipeline *p, struct input input)
{
    struct checkpoint_chunk *c;

    OBJ_CHECK(p, PIPELINE_MAGIC);
    p->input = input;
    leave_strangers(p);
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
