/*
 * collector/input_forward.c - contract: input_forward.h.
 *
 * Why lines wait in memory until the next flush: so bytes of the spool are written and synced in
 * one step, and whoever follows it never reads bytes that a kill could take back.  And one sync is
 * for all connections.  A sync may take long, and the loop waits for it: so the next one follows
 * PACE times later than it took.
 *
 * Invariants
 *   (1) `pending` holds whole messages; (2) a message is in the spool with its last line, which
 * names its chunk, or it was never acknowledged: what is behind the last such line is cut off at
 * the start; (3) acks are written by `flush` only, when everything taken is on the disk; (4) a
 * chunk is in `taken` while its lines are in `pending` or in a file of the spool, and a file is
 * begun only after the chunks of those before were written down; (5) a write or a sync that failed
 * is tried again with the same bytes at the same place; (6) `taken` is written down only when
 * `pending` is empty: a chunk that stands there is on the disk.
 */
#include "collector/input_forward.h"

#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/backoff.h"
#include "collector/forward_line.h"
#include "collector/metrics.h"
#include "collector/spool.h"
#include "collector/taken.h"
#include "wire/forward_pack.h"
#include "wire/forward_parse.h"
#include "wire/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MESSAGE_BYTES = 16 << 20,
    PAYLOAD_BYTES = 32 << 20, /* unpacked */
    ENTRIES_MAX = 500000,
    FIELDS_MAX = 1000,
    DEPTH_MAX = 16,
    READ_SLACK = 1 << 20,      /* what one read may bring beyond a message */
    BUFFERED_BYTES = 64 << 20, /* unfinished messages of all connections */
    PENDING_BYTES = 96 << 20,
    PENDING_KEEP = 1 << 20, /* memory that is kept between flushes */
    FLUSH_BYTES = 1 << 20,  /* so much is flushed at once, if it is time, */
    WAIT_BYTES = 4 << 20,   /* and with so much nothing is read until it is */
    ARENA_BYTES = 128 << 20,
    ARENA_KEEP = 256 << 10,
    ACKS_BYTES = 64 << 10, /* acks of one connection that wait for a flush */
    ACK_BYTES = 512,       /* one of them */
    FILE_BYTES = 16 << 20, /* a file of the spool; smaller ones where little may be there */
    FILES_LEAST = 4,
    PACE = 3,
    SLOW_MS = 100, /* a slow disk, for tests */
    IDLE_MS = 10000,
    LISTEN_AGAIN_MIN_MS = 500,
    LISTEN_AGAIN_MAX_MS = 30000,
    CLOSING = 64, /* connections that have no seat any more and are not closed yet */
    TICK_MS = 1000,
    RETRY_MS = 200,
};

/* Why nothing is read, from nobody. */
enum hold { HOLD_FULL = 1, HOLD_DISK = 2, HOLD_STOPPED = 4, HOLD_PACE = 8 };

/* Where connections come in. */
struct door {
    struct input_forward *in;
    char *address;             /* owned: as it was asked for */
    struct listener *listener; /* NULL: that could not be yet, or it is closed */
    uint64_t turned_away;      /* connections that came and got no seat, */
    uint64_t evicted;          /* and that lost theirs to a new one */
    uint64_t refused, told;    /* what of these, and of the listener's, was said already */
    struct seats seats;
};

struct conn {
    unsigned magic;
#define CONN_MAGIC 0xf04dc0b1u
    struct input_forward *in; /* NULL: it was freed */
    struct door *door;
    struct seat seat;
    struct conn *next, **link;
    struct stream *stream;
    struct buf bytes; /* what is not a whole message yet */
    struct forward_frame frame;
    struct buf acks;  /* in the order of their messages, */
    VEC(size_t) ends; /* and where each ends */
    bool full;        /* its peer does not read acks, or wants too many */
    bool paused;
    bool broken; /* it ends because of what it sent */
};

struct input_forward {
    unsigned magic;
#define INPUT_FORWARD_MAGIC 0x1f04a4d1u
    struct loop *loop;
    size_t max_line;
    uint64_t spool_bytes, file_bytes;
    struct door doors[INPUT_FORWARD_LISTENERS];
    size_t n_doors;
    mode_t mode;
    struct backoff backoff;
    dur_ns listen_at;   /* where we do not listen yet it is tried again then; 0: we do everywhere */
    loop_fn *listening; /* of whoever made us; may be NULL */
    void *arg;
    dur_ns idle;
    struct conn *first;
    size_t buffered; /* bytes held for unfinished messages */
    struct spool *spool;
    struct taken *taken;
    struct buf pending; /* until it is synced */
    bool due;           /* the flush timer runs */
    uint64_t used;      /* bytes in the spool */
    unsigned held;      /* enum hold, or-ed */
    bool failed, stuck; /* told: of a write, of a next file */
    dur_ns next_flush;
    struct loop_timer *flush_timer, *tick;
    struct forward_reader *reader;
    struct arena *arena;
    struct label attrs[2 * FIELDS_MAX + 1];
};

static const struct forward_limits LIMITS = {.message_bytes = MESSAGE_BYTES,
                                             .payload_bytes = PAYLOAD_BYTES,
                                             .depth = DEPTH_MAX,
                                             .entries = ENTRIES_MAX,
                                             .fields = FIELDS_MAX};

static void take(struct conn *c);

/* ---- connections ---- */

static void account(struct conn *c, size_t before)
{
    if (c->in != NULL)
        c->in->buffered = c->in->buffered - before + c->bytes.cap;
}

static void drop_bytes(struct conn *c)
{
    size_t before = c->bytes.cap;

    buf_fini(&c->bytes);
    buf_init(&c->bytes, MESSAGE_BYTES + READ_SLACK);
    account(c, before);
}

/* The first `n` bytes are used up; an idle connection has no memory. */
static void use_up(struct conn *c, size_t n)
{
    if (n == c->bytes.n)
        drop_bytes(c);
    else
        buf_drop(&c->bytes, n);
}

static void update_reading(struct conn *c)
{
    bool want = c->in->held == 0 && !c->full;

    if (c->broken || want == !c->paused)
        return;
    c->paused = !want;
    if (want)
        stream_resume(c->stream);
    else
        stream_pause(c->stream);
}

/* It ends, and at once. */
static void end(struct conn *c, const struct err *why)
{
    c->broken = true;
    seats_remove(&c->door->seats, &c->seat);
    drop_bytes(c);
    stream_close(c->stream, why);
}

/* The connection ends because of what came over it. */
static void reject(struct conn *c, const struct err *err)
{
    struct stream_peer p;

    stream_peer(c->stream, &p);
    metric_add(err->code == ERR_NOMEM   ? METRIC_FORWARD_REJECTED_MEMORY
               : err->code == ERR_LIMIT ? METRIC_FORWARD_REJECTED_LIMIT
                                        : METRIC_FORWARD_REJECTED_MALFORMED,
               1);
    log_warn("forward.rejected", LOG_STR("peer", p.address),
             LOG_I64("uid", p.has_uid ? (int64_t)p.uid : -1), LOG_ERR(err));
    end(c, err);
}

static void hold(struct input_forward *in, enum hold why)
{
    enum { FAULTS = HOLD_FULL | HOLD_DISK };

    if ((in->held & why) != 0)
        return;
    if ((in->held & FAULTS) == 0 && (why & FAULTS) != 0)
        metric_add(METRIC_FORWARD_PAUSED, 1);
    in->held |= why;
    for (struct conn *c = in->first; c != NULL; c = c->next)
        update_reading(c);
}

/* What was held back goes on in `go_on`, not here: we may be inside of a flush. */
static void release(struct input_forward *in, enum hold why)
{
    if ((in->held & why) == 0)
        return;
    in->held &= ~(unsigned)why;
    if (in->held == 0)
        loop_timer_start(in->tick, 0, TICK_MS);
}

/* Nothing is held any more: take what is here already, read on. */
static void go_on(struct input_forward *in)
{
    for (struct conn *c = in->first; c != NULL && in->held == 0; c = c->next) {
        if (c->bytes.n > 0 && !c->broken && !c->full)
            take(c);
        update_reading(c);
    }
}

/* ---- the spool ---- */

static void schedule(struct input_forward *in)
{
    dur_ns wait = in->next_flush - time_mono();

    if (in->due)
        return;
    in->due = true;
    loop_timer_start(in->flush_timer, wait <= 0 ? 0 : (uint64_t)(wait / NS_PER_MS) + 1, 0);
}

/* `pending` is what it was up to `n`. */
static void cut_pending(struct input_forward *in, size_t n)
{
    in->pending.n = n;
    in->pending.over = false;
    if (n == 0 && in->pending.cap > PENDING_KEEP) {
        buf_fini(&in->pending);
        buf_init(&in->pending, PENDING_BYTES);
    }
}

/* If it is time and nothing is pending.  It need not succeed: then this one grows until the next
 * flush. */
static void begin_file(struct input_forward *in)
{
    struct err err;
    int r;

    if (in->pending.n > 0 || spool_size(in->spool) < in->file_bytes)
        return;
    r = taken_save(in->taken, spool_dir(in->spool), &err); /* keeps (4) and (6) */
    if (r == 0)
        r = spool_next(in->spool, &err);
    if (r < 0 && !in->stuck)
        log_warn("forward.no_next_file", LOG_ERR(&err));
    in->stuck = r < 0;
}

/* All that was taken is in the spool and on the disk, or ERR_IO. */
static int write_pending(struct input_forward *in, struct err *err)
{
    size_t n = in->pending.n;
    int r = 0;

    if (n == 0)
        return 0;
    if (fault_hit("forward_input.append"))
        return err_set(err, ERR_IO, "fault forward_input.append");
    r = spool_append(in->spool, buf_str(&in->pending), err);
    if (r < 0)
        return r;
    (void)fault_hit("forward_input.written");
    r = spool_sync(in->spool, err);
    if (r < 0) {
        spool_again(in->spool, n); /* keeps (5) */
        return r;
    }
    cut_pending(in, 0);
    in->used += n;
    metric_add(METRIC_FORWARD_SYNCS, 1);
    (void)fault_hit("forward_input.synced");
    begin_file(in);
    return 0;
}

/* Each in a write of its own: some clients read one per read. */
static void write_acks(struct conn *c)
{
    size_t from = 0;

    for (size_t i = 0; i < c->ends.n; i++) {
        if (!fault_hit("forward_input.ack"))
            stream_write(c->stream, str_sub(buf_str(&c->acks), from, c->ends.p[i] - from));
        from = c->ends.p[i];
        metric_add(METRIC_FORWARD_ACKS, 1);
    }
    VEC_FINI(&c->ends);
    buf_fini(&c->acks);
    buf_init(&c->acks, ACKS_BYTES);
    c->full = stream_is_full(c->stream);
}

/* Behind the bound nothing is read until the server has acknowledged a file of it. */
static void look_at_spool(struct input_forward *in)
{
    struct err err;

    if (spool_total(in->spool, &in->used, &err) < 0)
        log_warn("forward.spool_unknown", LOG_ERR(&err));
    metric_set(METRIC_FORWARD_SPOOL_BYTES, in->used);
    if (in->used < in->spool_bytes) {
        release(in, HOLD_FULL);
        return;
    }
    if ((in->held & HOLD_FULL) == 0)
        log_warn("forward.spool_full", LOG_U64("bytes", in->used));
    hold(in, HOLD_FULL);
    begin_file(in); /* one that is written to is never removed */
    loop_timer_start(in->tick, RETRY_MS, RETRY_MS);
}

static void disk_failed(struct input_forward *in, const struct err *err)
{
    metric_add(METRIC_FORWARD_SPOOL_FAILED, 1);
    if (!in->failed)
        log_error("forward.spool_failed", LOG_ERR(err)); /* once; it is tried again and counted */
    in->failed = true;
    hold(in, HOLD_DISK);
    in->next_flush = time_mono() + RETRY_MS * NS_PER_MS;
    schedule(in);
}

static void flush(struct input_forward *in)
{
    dur_ns begin = time_mono();
    struct err err;

    if (write_pending(in, &err) < 0) {
        disk_failed(in, &err); /* keeps (5): nothing more is taken meanwhile */
        return;
    }
    in->failed = false;
    if (fault_hit("forward_input.slow"))
        begin -= SLOW_MS * NS_PER_MS;
    in->next_flush = time_mono() + PACE * (time_mono() - begin);
    for (struct conn *c = in->first; c != NULL; c = c->next) {
        bool was_full = c->full;
        if (c->ends.n == 0 || c->broken)
            continue;
        write_acks(c); /* keeps (3) */
        update_reading(c);
        if (was_full && !c->full && c->bytes.n > 0)
            loop_timer_start(in->tick, 0, TICK_MS);
    }
    release(in, HOLD_DISK);
    release(in, HOLD_PACE);
    if (in->used >= in->spool_bytes)
        look_at_spool(in);
}

/* With much pending it is time to flush, or to read no more until then. */
static void look_at_pending(struct input_forward *in)
{
    bool is_full = in->used + in->pending.n >= in->spool_bytes;

    if (in->pending.n == 0 || (in->pending.n < FLUSH_BYTES && !is_full))
        return;
    schedule(in);
    if (time_mono() >= in->next_flush)
        flush(in);
    else if (is_full || in->pending.n >= WAIT_BYTES)
        hold(in, HOLD_PACE);
}

static void on_flush(void *arg)
{
    struct input_forward *in = arg;

    in->due = false;
    if (time_mono() < in->next_flush)
        schedule(in); /* much was pending: that was flushed a moment ago */
    else
        flush(in);
}

/* ---- messages ---- */

static bool has_room_for_ack(const struct conn *c)
{
    return c->acks.n + ACK_BYTES <= ACKS_BYTES;
}

static void add_ack(struct conn *c, const struct forward_message *m)
{
    if (!m->has_chunk)
        return;
    forward_pack_ack(&c->acks, m->chunk); /* FORWARD_TOKEN_MAX keeps it below ACK_BYTES */
    VEC_PUSH(&c->ends, c->acks.n);
    c->full = c->full || !has_room_for_ack(c);
    schedule(c->in);
}

/* What a message has brought. */
struct brought {
    uint64_t lines, attrs_dropped, skipped;
    size_t last; /* where the last line begins */
};

/* All entries into `pending`. */
static int add_entries(struct input_forward *in, const struct forward_message *m,
                       struct brought *ret, struct err *err)
{
    struct forward_record rec = {.attrs = in->attrs, .max_attrs = 2 * FIELDS_MAX};
    struct forward_entry e;
    int r = forward_reader_start(in->reader, m, &LIMITS, time_now(), in->arena, err);

    while (r == 0 && (r = forward_reader_next(in->reader, &e, err)) == 0) {
        r = forward_record_read(&e, m->tag, in->arena, &rec, err);
        if (r < 0)
            break;
        ret->last = in->pending.n;
        ret->attrs_dropped += forward_line_add(&in->pending, e.ts, &rec, in->max_line);
        ret->lines++;
        r = buf_err(&in->pending, "a message in the spool", err);
    }
    ret->skipped = forward_reader_skipped(in->reader);
    return r < 0 ? r : 0;
}

static int take_events(struct conn *c, const struct forward_message *m, struct str bytes,
                       struct err *err)
{
    struct input_forward *in = c->in;
    struct hash128 id = hash128_bytes(bytes.p, bytes.n);
    size_t before = in->pending.n;
    struct brought got = {.last = before};
    int r;

    if (m->has_chunk && taken_has(in->taken, &id)) {
        metric_add(METRIC_FORWARD_REPEATED, 1);
        add_ack(c, m);
        return 0;
    }
    r = add_entries(in, m, &got, err);
    if (r == 0 && got.lines > 0) {
        forward_line_end(&in->pending, got.last, got.lines, m->has_chunk ? &id : NULL);
        r = buf_err(&in->pending, "a message in the spool", err);
    }
    if (r < 0) {
        cut_pending(in, before); /* keeps (1) */
        return r;
    }
    if (m->has_chunk && got.lines > 0)
        taken_add(in->taken, &id);
    metric_add(METRIC_FORWARD_MESSAGES, 1);
    metric_add(METRIC_FORWARD_RECORDS, got.lines);
    metric_add(METRIC_FORWARD_ATTRS_DROPPED, got.attrs_dropped);
    metric_add(METRIC_FORWARD_SKIPPED, got.skipped);
    add_ack(c, m);
    schedule(in);
    return 0;
}

static int take_message(struct conn *c, struct str bytes, struct err *err)
{
    struct input_forward *in = c->in;
    struct forward_message m;
    int r;

    r = forward_parse(bytes, &LIMITS, in->arena, &m, err);
    if (r < 0)
        return r;
    switch (m.kind) {
    case FORWARD_PING:
        return err_set(err, ERR_CORRUPT, "a PING, and there is no shared key here");
    case FORWARD_EVENTS:
        return take_events(c, &m, bytes, err);
    case FORWARD_SIGNAL:
        metric_add(METRIC_FORWARD_SIGNALS, 1);
        add_ack(c, &m);
        return 0;
    case FORWARD_HEARTBEAT:
        add_ack(c, &m);
        return 0;
    }
    return 0;
}

/* What is here, message by message, until it is used up or nothing may be taken. */
static void take(struct conn *c)
{
    struct input_forward *in = c->in;
    size_t at = 0;
    struct err err;
    int r = 0;

    while (r == 0 && in->held == 0 && !c->full && at < c->bytes.n) {
        struct str rest = str_from(buf_str(&c->bytes), at);
        size_t n;
        r = forward_frame_scan(&c->frame, rest, &LIMITS, &n, &err);
        if (r != 0)
            break;
        c->frame = (struct forward_frame){0};
        r = take_message(c, str_sub(rest, 0, n), &err);
        arena_recycle(in->arena, ARENA_KEEP);
        at += n;
        if (r == 0)
            look_at_pending(in);
    }
    if (r < 0) {
        reject(c, &err);
        return;
    }
    use_up(c, at);
    update_reading(c);
}

/* ---- streams ---- */

static void on_data(struct stream *stream, struct str bytes, void *arg)
{
    struct conn *c = arg;
    size_t before = c->bytes.cap;
    struct err err;

    (void)stream;
    OBJ_CHECK(c, CONN_MAGIC);
    if (c->in == NULL || c->broken)
        return;
    c->seat.used_at = time_mono();
    metric_add(METRIC_FORWARD_BYTES, bytes.n);
    buf_add_str(&c->bytes, bytes);
    account(c, before);
    if (c->bytes.over) {
        (void)err_set(&err, ERR_LIMIT, "a message over %d bytes", MESSAGE_BYTES);
        reject(c, &err);
        return;
    }
    take(c);
    if (!c->broken && c->in->buffered > BUFFERED_BYTES) {
        (void)err_set(&err, ERR_NOMEM, "unfinished messages of all connections take over %d bytes",
                      BUFFERED_BYTES);
        reject(c, &err);
    }
}

static void on_drained(struct stream *stream, void *arg)
{
    struct conn *c = arg;

    (void)stream;
    if (c->in == NULL || !has_room_for_ack(c))
        return; /* a flush is due, and looks again */
    c->full = false;
    if (c->bytes.n > 0 && c->in->held == 0 && !c->broken)
        take(c);
    if (!c->broken)
        update_reading(c);
}

static void on_closed(struct stream *stream, const struct err *why, void *arg)
{
    struct conn *c = arg;
    size_t before = c->bytes.cap;

    (void)stream;
    if (why->code != 0 && !c->broken && c->in != NULL)
        log_debug("forward.closed", LOG_ERR(why));
    buf_fini(&c->bytes);
    account(c, before);
    buf_fini(&c->acks);
    VEC_FINI(&c->ends);
    if (c->in != NULL) {
        seats_remove(&c->door->seats, &c->seat);
        *c->link = c->next;
        if (c->next != NULL)
            c->next->link = c->link;
        metric_sub(METRIC_FORWARD_OPEN, 1);
    }
    c->magic = 0;
    free(c);
}

/* Whose it is: the user at the other end of a unix socket.  Of clients on loopback no more is known
 * than that they are on this host: they are one. */
static uint64_t peer_of(const struct stream *stream)
{
    struct stream_peer p;

    stream_peer(stream, &p);
    return p.has_uid ? (uint64_t)p.uid : UINT64_MAX;
}

static void take_seat(struct conn *c)
{
    struct door *d = c->door;
    dur_ns now = time_mono();
    struct seat *old;
    struct err why;

    c->seat.conn = c;
    c->seat.peer = peer_of(c->stream);
    c->seat.used_at = now;
    if (d->seats.n == SEATS_MAX) {
        (void)err_set(&why, ERR_LIMIT, "there are too many connections");
        /* while nothing is read nobody is idle: something may wait to be */
        old = seats_choose(&d->seats, c->seat.peer, c->in->held != 0 ? 0 : now - c->in->idle);
        if (old == NULL) {
            d->turned_away++;
            end(c, &why);
            return;
        }
        d->evicted++;
        metric_add(METRIC_FORWARD_EVICTED, 1);
        end(old->conn, &why);
    }
    seats_add(&d->seats, &c->seat);
}

static void on_connection(struct stream *stream, void *arg)
{
    static const struct stream_handler HANDLER = {
        .data = on_data, .drained = on_drained, .closed = on_closed};
    struct door *d = arg;
    struct input_forward *in = d->in;
    struct conn *c = mem_new(sizeof(*c));

    c->magic = CONN_MAGIC;
    c->in = in;
    c->door = d;
    c->stream = stream;
    buf_init(&c->bytes, MESSAGE_BYTES + READ_SLACK);
    buf_init(&c->acks, ACKS_BYTES);
    c->next = in->first;
    c->link = &in->first;
    if (c->next != NULL)
        c->next->link = &c->next;
    in->first = c;
    metric_add(METRIC_FORWARD_CONNECTIONS, 1);
    metric_add(METRIC_FORWARD_OPEN, 1);
    stream_set_handler(stream, &HANDLER, c);
    take_seat(c);
    update_reading(c);
}

/* ---- life ---- */

struct replay {
    struct input_forward *in;
    uint64_t end; /* of the last message that is whole */
};

static void replay_line(void *arg, struct str head, uint64_t end)
{
    struct replay *v = arg;
    struct hash128 id;
    bool has_id;

    if (!forward_line_is_end(head, &has_id, &id))
        return;
    v->end = end;
    if (has_id)
        taken_add(v->in->taken, &id);
}

/* Keeps (2) and (4). */
static int open_spool(struct input_forward *in, int state_fd, struct err *err)
{
    struct replay v = {.in = in};
    struct err why;
    int r = spool_open(state_fd, SPOOL_FORWARD, &in->spool, err);

    if (r < 0)
        return r;
    spool_by_hand(in->spool);
    r = taken_load(in->taken, spool_dir(in->spool), &why);
    if (r < 0 && r != ERR_GONE)
        log_error("forward.taken_lost", LOG_ERR(&why));
    r = spool_heads(in->spool, replay_line, &v, err);
    if (r == 0 && v.end < spool_size(in->spool)) {
        log_info("forward.cut", LOG_U64("bytes", spool_size(in->spool) - v.end));
        r = spool_cut(in->spool, v.end, err);
    }
    if (r == 0) /* a kill may have come before its sync, and who sends it again gets an ack */
        r = spool_sync(in->spool, err);
    return r;
}

static int open_door(struct door *d, int bound_fd, struct err *err)
{
    struct listener_options listen = {
        .max_streams = SEATS_MAX + CLOSING, .unix_mode = d->in->mode, .bound_fd = bound_fd};
    int r = listener_open(d->in->loop, d->address, &listen, on_connection, d, &d->listener, err);

    if (r == 0)
        log_info("forward.listening", LOG_Z("address", listener_address(d->listener)));
    else
        metric_add(METRIC_FORWARD_LISTEN_FAILED, 1);
    return r;
}

static void wait_to_listen(struct input_forward *in)
{
    in->listen_at = time_mono() + (dur_ns)backoff_next_ms(&in->backoff) * NS_PER_MS;
}

static void listen_again(struct input_forward *in)
{
    bool missing = false, changed = false;
    struct err err;

    if (in->listen_at == 0 || time_mono() < in->listen_at)
        return;
    in->listen_at = 0;
    for (size_t i = 0; i < in->n_doors; i++) {
        if (in->doors[i].listener != NULL)
            continue;
        if (open_door(&in->doors[i], 0, &err) == 0)
            changed = true;
        else
            missing = true;
    }
    if (missing)
        wait_to_listen(in);
    if (changed && in->listening != NULL)
        in->listening(in->arg);
}

/* Connections that were closed since the last look, because there were too many. */
static void look_at_door(struct door *d)
{
    uint64_t refused = listener_refused(d->listener) + d->turned_away;

    metric_add(METRIC_FORWARD_REFUSED, refused - d->refused);
    if (refused > d->refused || d->evicted > d->told)
        log_warn("forward.too_many", LOG_Z("address", listener_address(d->listener)),
                 LOG_U64("refused", refused - d->refused),
                 LOG_U64("evicted", d->evicted - d->told));
    d->refused = refused;
    d->told = d->evicted;
}

static void on_tick(void *arg)
{
    struct input_forward *in = arg;

    loop_timer_start(in->tick, TICK_MS, TICK_MS);
    listen_again(in);
    for (size_t i = 0; i < in->n_doors; i++)
        if (in->doors[i].listener != NULL)
            look_at_door(&in->doors[i]);
    look_at_spool(in);
    go_on(in);
}

static int open_listeners(struct input_forward *in, const struct input_forward_options *opt,
                          struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < opt->listen.n && i < INPUT_FORWARD_LISTENERS; i++) {
        int fd = opt->bound_fds == NULL ? 0 : opt->bound_fds[i];
        struct door *d = &in->doors[in->n_doors];
        if (r < 0 || fd < 0) { /* taken all the same */
            if (fd > 0)
                (void)close(fd);
            continue;
        }
        d->in = in;
        d->address = mem_dup(opt->listen.v[i].p, opt->listen.v[i].n);
        in->n_doors++;
        r = open_door(d, fd, err);
        if (r < 0 && opt->go_on) {
            log_error("listen.failed", LOG_Z("option", "inputs.listen"),
                      LOG_Z("address", d->address), LOG_ERR(err));
            wait_to_listen(in);
            r = 0;
        }
        if (r < 0)
            r = err_wrap(err, "inputs.listen");
    }
    return r;
}

int input_forward_open(const struct input_forward_options *opt, struct input_forward **ret,
                       struct err *err)
{
    struct input_forward *in = mem_new(sizeof(*in));
    int r;

    in->magic = INPUT_FORWARD_MAGIC;
    in->loop = opt->loop;
    in->max_line = opt->max_line;
    in->mode = opt->mode;
    in->listening = opt->listening;
    in->arg = opt->arg;
    in->backoff = (struct backoff){.min_ms = LISTEN_AGAIN_MIN_MS, .max_ms = LISTEN_AGAIN_MAX_MS};
    in->idle = (dur_ns)(opt->idle_ms == 0 ? IDLE_MS : opt->idle_ms) * NS_PER_MS;
    in->spool_bytes = opt->spool_bytes;
    in->file_bytes = opt->spool_bytes / FILES_LEAST;
    if (in->file_bytes > FILE_BYTES)
        in->file_bytes = FILE_BYTES;
    buf_init(&in->pending, PENDING_BYTES);
    in->taken = taken_new(INPUT_FORWARD_TAKEN);
    in->reader = forward_reader_new();
    in->arena = arena_new(NULL, ARENA_BYTES);
    in->flush_timer = loop_timer_new(opt->loop, on_flush, in);
    in->tick = loop_timer_new(opt->loop, on_tick, in);
    r = open_spool(in, opt->state_fd, err);
    if (r == 0)
        r = open_listeners(in, opt, err);
    if (r < 0) {
        input_forward_free(&in);
        return r;
    }
    loop_timer_start(in->tick, 0, TICK_MS);
    *ret = in;
    return 0;
}

const char *input_forward_address(const struct input_forward *in, size_t i)
{
    OBJ_CHECK(in, INPUT_FORWARD_MAGIC);
    for (size_t k = 0; k < in->n_doors; k++)
        if (in->doors[k].listener != NULL && i-- == 0)
            return listener_address(in->doors[k].listener);
    return NULL;
}

void input_forward_stop(struct input_forward *in)
{
    struct err err;

    OBJ_CHECK(in, INPUT_FORWARD_MAGIC);
    if ((in->held & HOLD_STOPPED) != 0)
        return;
    for (size_t i = 0; i < in->n_doors; i++)
        listener_close(&in->doors[i].listener);
    loop_timer_stop(in->tick);
    hold(in, HOLD_STOPPED);
    if (write_pending(in, &err) < 0) {
        log_error("forward.spool_failed", LOG_ERR(&err)); /* not acknowledged: it comes again */
        return;
    }
    for (struct conn *c = in->first; c != NULL; c = c->next) {
        if (c->broken)
            continue;
        write_acks(c);
        stream_close(c->stream, NULL);
        c->broken = true;
    }
}

void input_forward_free(struct input_forward **pin)
{
    struct input_forward *in = *pin;
    struct conn *next;
    struct err why;

    if (in == NULL)
        return;
    OBJ_CHECK(in, INPUT_FORWARD_MAGIC);
    for (size_t i = 0; i < INPUT_FORWARD_LISTENERS; i++) {
        listener_close(&in->doors[i].listener);
        free(in->doors[i].address);
    }
    (void)err_set(&why, ERR_CANCELLED, "the collector ends");
    for (struct conn *c = in->first; c != NULL; c = next) {
        next = c->next;
        c->in = NULL; /* it goes when its stream has ended */
        metric_sub(METRIC_FORWARD_OPEN, 1);
        if (!c->broken)
            stream_close(c->stream, &why);
        c->broken = true;
    }
    loop_timer_free(&in->flush_timer);
    loop_timer_free(&in->tick);
    spool_close(&in->spool);
    taken_free(&in->taken);
    forward_reader_free(&in->reader);
    arena_free(&in->arena);
    buf_fini(&in->pending);
    in->magic = 0;
    free(in);
    *pin = NULL;
}
