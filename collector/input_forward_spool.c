/*
 * collector/input_forward_spool.c - what was taken of clients waits in memory until the next flush,
 * which writes and syncs it.  Contract and invariants: input_forward_internal.h.
 *
 * Why lines wait: so bytes of the spool are written and synced in one step, and whoever follows it
 * never reads bytes that a kill could take back.  And one sync is for all connections.  A sync may
 * take long, and the loop waits for it: so the next one follows PACE times later than it took.
 */
#include "base/fault.h"
#include "base/log.h"
#include "collector/forward_line.h"
#include "collector/input_forward_internal.h"
#include "collector/metrics.h"

enum {
    PENDING_BYTES = 96 << 20,
    PENDING_KEEP = 1 << 20, /* memory that is kept between flushes */
    FLUSH_BYTES = 1 << 20,  /* so much is flushed at once, if it is time, */
    WAIT_BYTES = 4 << 20,   /* and with so much nothing is read until it is */
    FILE_BYTES = 16 << 20,  /* a file of the spool; smaller ones where little may be there */
    FILES_LEAST = 4,
    PACE = 3,
    SLOW_MS = 100, /* a slow disk, for tests */
    RETRY_MS = 200,
};

/* ---- the flush ---- */

void input_forward_flush_soon(struct input_forward *in)
{
    dur_ns wait = in->next_flush - time_mono();

    if (in->due)
        return;
    in->due = true;
    loop_timer_start(in->flush_timer, wait <= 0 ? 0 : (uint64_t)(wait / NS_PER_MS) + 1, 0);
}

/* `pending` is what it was up to `n`. */
void input_forward_cut_pending(struct input_forward *in, size_t n)
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
int input_forward_sync(struct input_forward *in, struct err *err)
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
    input_forward_cut_pending(in, 0);
    in->used += n;
    metric_add(METRIC_FORWARD_SYNCS, 1);
    (void)fault_hit("forward_input.synced");
    begin_file(in);
    return 0;
}

/* Behind the bound nothing is read until the server has acknowledged a file of it. */
void input_forward_look_at_spool(struct input_forward *in)
{
    struct err err;

    if (spool_total(in->spool, &in->used, &err) < 0)
        log_warn("forward.spool_unknown", LOG_ERR(&err));
    metric_set(METRIC_FORWARD_SPOOL_BYTES, in->used);
    if (in->used < in->spool_bytes) {
        input_forward_release(in, HOLD_FULL);
        return;
    }
    if ((in->held & HOLD_FULL) == 0)
        log_warn("forward.spool_full", LOG_U64("bytes", in->used));
    input_forward_hold(in, HOLD_FULL);
    begin_file(in); /* one that is written to is never removed */
    loop_timer_start(in->tick, RETRY_MS, RETRY_MS);
}

static void disk_failed(struct input_forward *in, const struct err *err)
{
    metric_add(METRIC_FORWARD_SPOOL_FAILED, 1);
    if (!in->failed)
        log_error("forward.spool_failed", LOG_ERR(err)); /* once; it is tried again and counted */
    in->failed = true;
    input_forward_hold(in, HOLD_DISK);
    in->next_flush = time_mono() + RETRY_MS * NS_PER_MS;
    input_forward_flush_soon(in);
}

static void flush(struct input_forward *in)
{
    dur_ns begin = time_mono();
    struct err err;

    if (input_forward_sync(in, &err) < 0) {
        disk_failed(in, &err); /* keeps (5): nothing more is taken meanwhile */
        return;
    }
    in->failed = false;
    if (fault_hit("forward_input.slow"))
        begin -= SLOW_MS * NS_PER_MS;
    in->next_flush = time_mono() + PACE * (time_mono() - begin);
    input_forward_acknowledge(in);
    input_forward_release(in, HOLD_DISK);
    input_forward_release(in, HOLD_PACE);
    if (in->used >= in->spool_bytes)
        input_forward_look_at_spool(in);
}

/* With much pending it is time to flush, or to read no more until then. */
void input_forward_look_at_pending(struct input_forward *in)
{
    bool is_full = in->used + in->pending.n >= in->spool_bytes;

    if (in->pending.n == 0 || (in->pending.n < FLUSH_BYTES && !is_full))
        return;
    input_forward_flush_soon(in);
    if (time_mono() >= in->next_flush)
        flush(in);
    else if (is_full || in->pending.n >= WAIT_BYTES)
        input_forward_hold(in, HOLD_PACE);
}

static void on_flush(void *arg)
{
    struct input_forward *in = arg;

    in->due = false;
    if (time_mono() < in->next_flush)
        input_forward_flush_soon(in); /* much was pending: that was flushed a moment ago */
    else
        flush(in);
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
int input_forward_open_spool(struct input_forward *in, int state_fd, struct err *err)
{
    struct replay v = {.in = in};
    struct err why;
    int r;

    in->file_bytes = in->spool_bytes / FILES_LEAST;
    if (in->file_bytes > FILE_BYTES)
        in->file_bytes = FILE_BYTES;
    buf_init(&in->pending, PENDING_BYTES);
    in->taken = taken_new(INPUT_FORWARD_TAKEN);
    in->flush_timer = loop_timer_new(in->loop, on_flush, in);
    r = spool_open(state_fd, SPOOL_FORWARD, &in->spool, err);
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

void input_forward_close_spool(struct input_forward *in)
{
    loop_timer_free(&in->flush_timer);
    spool_close(&in->spool);
    taken_free(&in->taken);
    buf_fini(&in->pending);
}
