/*
 * storage/store_refill.c - the records of the WAL back in memory, while the store is open already.
 * Contract: store_internal.h.
 *
 * Decoding costs what it cost when the records came, so it is done for a window of bodies at once,
 * by the threads that help queries; what comes of it goes into the head in the order of the WAL.
 *
 * Invariants
 *   (1) bodies come in ascending position, and `old` holds all records up to replay_pos: an attempt
 *       that begins again passes over what is there;
 *   (2) what a partition holds past meta.db's position (a crash between its commit and meta.db's)
 *       is in `old` too, and not visible as a segment: the next flush passes over it by the
 *       partition's own position;
 *   (3) numbers only grow: a body whose records have numbers seen before is void;
 *   (4) a flush takes no more than `old` up to replay_pos until all of the WAL is back: positions
 *       are handed to partitions in order.
 */
#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/scan_pool.h"
#include "storage/store_internal.h"
#include "storage/wal.h"
#include "storage/wal_entry.h"
#include "storage/wal_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPLAY_TRIES = 3,
    WINDOW_MAX = 16,           /* bodies, */
    WINDOW_BYTES = 4 << 20,    /* of so many bytes, but at least one: */
    WINDOW_RECORDS = 64 << 10, /* of so many records */
    WINDOW_MOST = WINDOW_BYTES + WAL_BODY_MAX,
};

#define REPLAY_RETRY (100 * NS_PER_MS)

/* A body on its way. */
struct pending {
    uint64_t position;
    size_t from, n; /* its bytes, in window.bytes */
    char file[WAL_NAME + 1];
    struct wal_entry entry; /* borrows from window.bytes */
    struct batch *batch;    /* one reference; NULL: none was made, or nothing of it is wanted */
    int result;             /* of making it */
    struct err err;
};

struct window {
    struct store *s;
    struct pending of[WINDOW_MAX];
    size_t n;
    size_t records;
    struct buf bytes;
};

/* The records of an entry, as they were stored. */
static int make_batch(struct store *s, const struct wal_entry *e, struct batch **ret,
                      struct err *err)
{
    struct str rest = e->parts;
    struct record_part part;
    struct batch *b = NULL;
    int r;

    if (e->payload.kind == STORE_KIND_GAP)
        r = store_gap_batch(&e->payload, &b, err);
    else
        r = s->opt.decode(s->opt.decode_arg, &e->payload, &b, err);
    if (r < 0)
        return r;
    if (b->n_parts != e->n_parts)
        r = err_set(err, ERR_CORRUPT, "a payload had %u parts and has %u now", (unsigned)e->n_parts,
                    (unsigned)b->n_parts);
    for (uint32_t i = 0; r == 0 && i < b->n_parts && wal_entry_part(&rest, &part) == 0; i++)
        b->parts[i].dropped = part.dropped;
    if (r == 0)
        store_decide_compact(b);
    if (r == 0 && b->n_records != e->n_records)
        r = err_set(err, ERR_CORRUPT, "a payload had %u records and has %u now",
                    (unsigned)e->n_records, (unsigned)b->n_records);
    if (r < 0) {
        batch_unref(&b);
        return r;
    }
    store_decide_number(b, e->first_seq);
    *ret = b;
    return 0;
}

static int stopped(struct err *err)
{
    return err_set(err, ERR_CANCELLED, "the store is closing");
}

/* Wait until the head takes more; under mutex. */
static int wait_for_room(struct store *s, struct err *err)
{
    while (!s->replay_stop && !store_head_has_room_for_old(s)) {
        (void)pthread_cond_signal(&s->flush_wake);
        (void)pthread_cond_wait(&s->replay_wake, &s->mutex);
    }
    return s->replay_stop ? stopped(err) : 0;
}

/* Is the record of a day that waits, past where that day's segments end? */
static bool is_late(const struct store *s, uint64_t tenant_id, ts_ns ts, uint64_t pos)
{
    return late_visible(&s->late, tenant_id, time_day(ts), s->replay_from) < pos;
}

/* Is anything of the body wanted?  Of one at or before meta.db's position only what waits is; which
 * days wait does not change while those are on their way: there is no flush. */
static bool is_wanted(const struct store *s, const struct pending *p)
{
    return p->position > s->replay_from ||
           late_least(&s->late, p->entry.tenant_id, s->replay_from) < p->position;
}

static void decode(struct window *w, struct pending *p)
{
    struct str bytes = {w->bytes.p + p->from, p->n};

    if (atomic_load(&w->s->replay_stop))
        p->result = stopped(&p->err);
    else
        p->result = wal_entry_read(bytes, &p->entry, &p->err);
    if (p->result == 0 && is_wanted(w->s, p))
        p->result = make_batch(w->s, &p->entry, &p->batch, &p->err);
}

static int decode_job(void *arg, size_t job, unsigned slot, struct err *err)
{
    struct window *w = arg;

    (void)slot;
    (void)err;
    decode(w, &w->of[job]);
    return 0; /* failures are looked at in the order of the WAL */
}

/* What waits of a body at or before meta.db's position. */
static int put_late(struct store *s, const struct pending *p, struct err *err)
{
    struct head_item it = {
        .tenant_id = p->entry.tenant_id,
        .wal_pos = p->position,
        .received = p->entry.payload.received,
        .since = time_mono(),
    };
    struct batch *b = p->batch;
    uint32_t *index;
    size_t n = 0;
    int r = 0;

    if (b != NULL) {
        index = mem_new(b->n_records * sizeof(*index));
        for (uint32_t i = 0; i < b->n_records; i++)
            if (is_late(s, it.tenant_id, b->records[i].ts, p->position))
                index[n++] = i;
        if (n != 0)
            r = late_extract(b, index, n, s->opt.budget, &it.batch, err);
        free(index);
    }
    if (r < 0)
        return r;
    if (n != 0)
        it.held = batch_held(it.batch);
    (void)pthread_mutex_lock(&s->mutex);
    if (n != 0)
        late_add(&s->late, &it, false);
    s->replay_pos = p->position;
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

static int put(struct store *s, struct pending *p, struct err *err)
{
    struct batch *b = p->batch;
    int r;

    if (p->position <= s->replay_from)
        return put_late(s, p, err);
    if (p->entry.n_records != 0 && p->entry.first_seq <= s->replay_seq)
        return 0; /* keeps (3) */
    (void)pthread_mutex_lock(&s->mutex);
    r = wait_for_room(s, err);
    if (r == 0) {
        s->replay_pos = p->position;
        if (b->n_records != 0) {
            s->replay_seq = p->entry.first_seq + b->n_records - 1;
            s->stats.replay_records += b->n_records;
            s->stats.replay_line_bytes += b->line_bytes;
            head_add(&s->old, b, p->entry.tenant_id, p->position, p->entry.payload.received);
            p->batch = NULL; /* the head's now */
        }
        if (store_old_is_due(s))
            (void)pthread_cond_signal(&s->flush_wake);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return r;
}

/* A body that there was no memory for once more, with that of the ones behind it. */
static void decode_alone(struct window *w, struct pending *p)
{
    for (struct pending *q = p + 1; q < w->of + w->n; q++) {
        batch_unref(&q->batch);
        q->result = ERR_NOMEM;
    }
    decode(w, p);
}

static void clear(struct window *w)
{
    for (size_t i = 0; i < w->n; i++)
        batch_unref(&w->of[i].batch);
    w->n = w->records = 0;
    if (w->bytes.n > WINDOW_BYTES) { /* a large one was in it */
        buf_fini(&w->bytes);
        buf_init(&w->bytes, WINDOW_MOST);
    }
    buf_clear(&w->bytes);
}

/* Decode all of it, put what comes of it into the head. */
static int empty(struct window *w, struct err *err)
{
    struct store *s = w->s;
    int r = scan_pool_run(s->pool, w->n, decode_job, w, err);

    for (size_t i = 0; r == 0 && i < w->n; i++) {
        struct pending *p = &w->of[i];
        struct wal_body body = {
            .position = p->position, .bytes = {w->bytes.p + p->from, p->n}, .file = p->file};
        if (p->result == ERR_NOMEM)
            decode_alone(w, p);
        if (p->result < 0)
            *err = p->err;
        r = store_gap_give_up(s, &body, p->result < 0 ? p->result : put(s, p, err), err);
        r = r < 0 ? r : 0;
    }
    clear(w);
    return r;
}

static int by_position(const void *key, const void *at)
{
    const uint64_t *x = key;
    const uint64_t *y = at;

    return (*x > *y) - (*x < *y);
}

static bool is_void(const struct store *s, uint64_t position)
{
    return s->void_bodies.n != 0 && bsearch(&position, s->void_bodies.p, s->void_bodies.n,
                                            sizeof(position), by_position) != NULL;
}

static int take_body(void *arg, const struct wal_body *body, struct err *err)
{
    struct window *w = arg;
    struct store *s = w->s;
    struct pending *p;
    struct wal_entry e;
    int r = 0;

    if (atomic_load(&s->replay_stop))
        return stopped(err);
    (void)fault_hit("replay.body"); /* a place to be killed at */
    if (body->gap || body->position <= s->replay_pos || is_void(s, body->position))
        return 0; /* an attempt before this one had it, or the first reading gave it up */
    r = wal_entry_read(body->bytes, &e, err);
    if (r < 0)
        return err_wrap(err, "replay of WAL file '%s'", body->file);
    if (w->n == WINDOW_MAX || w->bytes.n + body->bytes.n > WINDOW_BYTES ||
        w->records + e.n_records > WINDOW_RECORDS)
        r = empty(w, err);
    if (r < 0)
        return r;
    p = &w->of[w->n];
    *p = (struct pending){.position = body->position, .from = w->bytes.n, .n = body->bytes.n};
    (void)str_to_z(str_of(body->file), p->file, sizeof(p->file));
    buf_add_str(&w->bytes, body->bytes);
    r = buf_err(&w->bytes, "a body of the WAL", err);
    if (r < 0)
        return r;
    w->records += e.n_records;
    w->n++;
    return 0;
}

/* One attempt. */
static int refill(struct store *s, struct err *err)
{
    struct window *w = mem_new(sizeof(*w));
    int r;

    w->s = s;
    buf_init(&w->bytes, WINDOW_MOST);
    r = wal_replay_again(s->wal, take_body, w, err);
    if (r == 0)
        r = empty(w, err);
    clear(w);
    buf_fini(&w->bytes);
    free(w);
    return r;
}

/* Once more in a moment?  Memory comes back; what was good at the open is not bad for long. */
static bool may_retry(struct store *s, int r, unsigned *failures)
{
    if (r == ERR_CANCELLED || (r != ERR_NOMEM && ++*failures == REPLAY_TRIES))
        return false;
    (void)pthread_mutex_lock(&s->mutex);
    if (!s->replay_stop)
        store_wait(s, &s->replay_wake, REPLAY_RETRY);
    (void)pthread_mutex_unlock(&s->mutex);
    return true;
}

void *store_refill_main(void *arg)
{
    struct store *s = arg;
    unsigned failures = 0;
    struct err err;
    int r;

    do
        r = refill(s, &err);
    while (r < 0 && may_retry(s, r, &failures));
    (void)pthread_mutex_lock(&s->mutex);
    s->stats.replay_ns = (uint64_t)(time_mono() - s->replay_began);
    if (r == 0)
        s->replaying = false;
    else if (r != ERR_CANCELLED)
        s->replay_err = err;
    (void)pthread_cond_broadcast(&s->replay_wake);
    (void)pthread_cond_broadcast(&s->wal_wake);
    (void)pthread_cond_signal(&s->flush_wake);
    (void)pthread_mutex_unlock(&s->mutex);
    if (r < 0 && r != ERR_CANCELLED && s->opt.notice != NULL)
        s->opt.notice(s->opt.notice_arg, "replay.failed", err.text);
    if (r == 0)
        store_gap_tell(s);
    return NULL;
}

void store_refill_text(struct store *s, char *ret, size_t cap)
{
    struct wal_stats st;

    wal_stats(s->wal, &st);
    (void)snprintf(ret, cap, "replaying: %llu of %llu MB",
                   (unsigned long long)(st.again_bytes / 1000000),
                   (unsigned long long)(st.past_bytes / 1000000));
}

int store_wait_replay(struct store *s, struct err *err)
{
    int r = 0;

    OBJ_CHECK(s, STORE_MAGIC);
    (void)pthread_mutex_lock(&s->mutex);
    while (s->replaying && s->replay_err.code == 0 && !s->replay_stop && !s->closing)
        (void)pthread_cond_wait(&s->replay_wake, &s->mutex);
    if (s->replay_err.code != 0) {
        *err = s->replay_err;
        r = err->code;
    } else if (s->replaying) {
        r = stopped(err);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return r;
}
