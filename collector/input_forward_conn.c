/*
 * collector/input_forward_conn.c - connections of fluent clients: messages out of their bytes,
 * lines out of messages, acks back, and who gives up a seat.  Contract and invariants:
 * input_forward_internal.h.
 *
 * A connection is read while nothing holds the input and its client reads its acks; what is no
 * whole message yet is bounded for each and for all together.  One that breaks the protocol or a
 * bound ends, counted.
 */
#include "base/fault.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/forward_line.h"
#include "collector/input_forward_internal.h"
#include "collector/metrics.h"
#include "wire/forward_pack.h"

#include <stdlib.h>

enum {
    MESSAGE_BYTES = 16 << 20,
    PAYLOAD_BYTES = 32 << 20, /* unpacked */
    ENTRIES_MAX = 500000,
    DEPTH_MAX = 16,
    READ_SLACK = 1 << 20,      /* what one read may bring beyond a message */
    BUFFERED_BYTES = 64 << 20, /* unfinished messages of all connections */
    ARENA_KEEP = 256 << 10,
    ACKS_BYTES = 64 << 10, /* acks of one connection that wait for a flush */
    ACK_BYTES = 512,       /* one of them */
};

static const struct forward_limits LIMITS = {.message_bytes = MESSAGE_BYTES,
                                             .payload_bytes = PAYLOAD_BYTES,
                                             .depth = DEPTH_MAX,
                                             .entries = ENTRIES_MAX,
                                             .fields = INPUT_FORWARD_FIELDS};

static void take(struct forward_conn *c);

/* ---- reading, and the end ---- */

static void account(struct forward_conn *c, size_t before)
{
    if (c->in != NULL)
        c->in->buffered = c->in->buffered - before + c->bytes.cap;
}

static void drop_bytes(struct forward_conn *c)
{
    size_t before = c->bytes.cap;

    buf_fini(&c->bytes);
    buf_init(&c->bytes, MESSAGE_BYTES + READ_SLACK);
    account(c, before);
}

/* The first `n` bytes are used up; an idle connection has no memory. */
static void use_up(struct forward_conn *c, size_t n)
{
    if (n == c->bytes.n)
        drop_bytes(c);
    else
        buf_drop(&c->bytes, n);
}

static void update_reading(struct forward_conn *c)
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
static void end(struct forward_conn *c, const struct err *why)
{
    c->broken = true;
    seats_remove(&c->door->seats, &c->seat);
    drop_bytes(c);
    stream_close(c->stream, why);
}

/* The connection ends because of what came over it. */
static void reject(struct forward_conn *c, const struct err *err)
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

void input_forward_hold(struct input_forward *in, enum hold why)
{
    enum { FAULTS = HOLD_FULL | HOLD_DISK };

    if ((in->held & why) != 0)
        return;
    if ((in->held & FAULTS) == 0 && (why & FAULTS) != 0)
        metric_add(METRIC_FORWARD_PAUSED, 1);
    in->held |= why;
    for (struct forward_conn *c = in->first; c != NULL; c = c->next)
        update_reading(c);
}

void input_forward_release(struct input_forward *in, enum hold why)
{
    if ((in->held & why) == 0)
        return;
    in->held &= ~(unsigned)why;
    if (in->held == 0)
        input_forward_soon(in);
}

void input_forward_go_on(struct input_forward *in)
{
    for (struct forward_conn *c = in->first; c != NULL && in->held == 0; c = c->next) {
        if (c->bytes.n > 0 && !c->broken && !c->full)
            take(c);
        update_reading(c);
    }
}

/* ---- acks ---- */

static bool has_room_for_ack(const struct forward_conn *c)
{
    return c->acks.n + ACK_BYTES <= ACKS_BYTES;
}

static void add_ack(struct forward_conn *c, const struct forward_message *m)
{
    if (!m->has_chunk)
        return;
    forward_pack_ack(&c->acks, m->chunk); /* FORWARD_TOKEN_MAX keeps it below ACK_BYTES */
    VEC_PUSH(&c->ends, c->acks.n);
    c->full = c->full || !has_room_for_ack(c);
    input_forward_flush_soon(c->in);
}

/* Each in a write of its own: some clients read one per read. */
static void write_acks(struct forward_conn *c)
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

void input_forward_acknowledge(struct input_forward *in)
{
    for (struct forward_conn *c = in->first; c != NULL; c = c->next) {
        bool was_full = c->full;

        if (c->ends.n == 0 || c->broken)
            continue;
        write_acks(c);
        update_reading(c);
        if (was_full && !c->full && c->bytes.n > 0)
            input_forward_soon(in);
    }
}

/* ---- messages ---- */

/* What a message has brought. */
struct brought {
    uint64_t lines, attrs_dropped, skipped;
    size_t last; /* where the last line begins */
};

/* All entries into `pending`. */
static int add_entries(struct input_forward *in, const struct forward_message *m,
                       struct brought *ret, struct err *err)
{
    struct forward_record rec = {.attrs = in->attrs, .max_attrs = 2 * INPUT_FORWARD_FIELDS};
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

static int take_events(struct forward_conn *c, const struct forward_message *m, struct str bytes,
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
        input_forward_cut_pending(in, before); /* keeps (1) */
        return r;
    }
    if (m->has_chunk && got.lines > 0)
        taken_add(in->taken, &id);
    metric_add(METRIC_FORWARD_MESSAGES, 1);
    metric_add(METRIC_FORWARD_RECORDS, got.lines);
    metric_add(METRIC_FORWARD_ATTRS_DROPPED, got.attrs_dropped);
    metric_add(METRIC_FORWARD_SKIPPED, got.skipped);
    add_ack(c, m);
    input_forward_flush_soon(in);
    return 0;
}

static int take_message(struct forward_conn *c, struct str bytes, struct err *err)
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
static void take(struct forward_conn *c)
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
            input_forward_look_at_pending(in);
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
    struct forward_conn *c = arg;
    size_t before = c->bytes.cap;
    struct err err;

    (void)stream;
    OBJ_CHECK(c, FORWARD_CONN_MAGIC);
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
    struct forward_conn *c = arg;

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
    struct forward_conn *c = arg;
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

static void take_seat(struct forward_conn *c)
{
    struct forward_door *d = c->door;
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

void input_forward_accept(struct stream *stream, void *door)
{
    static const struct stream_handler HANDLER = {
        .data = on_data, .drained = on_drained, .closed = on_closed};
    struct forward_door *d = door;
    struct input_forward *in = d->in;
    struct forward_conn *c = mem_new(sizeof(*c));

    c->magic = FORWARD_CONN_MAGIC;
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

void input_forward_finish(struct input_forward *in)
{
    for (struct forward_conn *c = in->first; c != NULL; c = c->next) {
        if (c->broken)
            continue;
        write_acks(c);
        stream_close(c->stream, NULL);
        c->broken = true;
    }
}

void input_forward_orphan(struct input_forward *in)
{
    struct forward_conn *next;
    struct err why;

    (void)err_set(&why, ERR_CANCELLED, "the collector ends");
    for (struct forward_conn *c = in->first; c != NULL; c = next) {
        next = c->next;
        c->in = NULL; /* it goes when its stream has ended */
        metric_sub(METRIC_FORWARD_OPEN, 1);
        if (!c->broken)
            stream_close(c->stream, &why);
        c->broken = true;
    }
}
