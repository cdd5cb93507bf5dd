/*
 * storage/store_replay.c - memory made again from meta.db and the WAL.  Contract: store_internal.h.
 *
 * Two passes.  The first, before the store is open, takes what was decided about each body: ranges,
 * chunk identities, tenants, numbers.  From then on new chunks are decided right and taken.  The
 * second brings the records back on a thread of its own: decoding costs what it cost when they
 * came.
 *
 * Invariants
 *   (1) nothing at or before meta.db's position is taken from the WAL, everything behind it is:
 *       ranges and chunk identities are as they were at the end of the WAL when the store is open,
 *       `old` holds all records up to replay_pos;
 *   (2) what a partition holds past that position (a crash between its commit and meta.db's) is in
 *       `old` too, and not visible as a segment: the next flush passes over it by the partition's
 *       own position;
 *   (3) numbers only grow: a body whose records have numbers seen before is void;
 *   (4) a flush takes no more than `old` up to replay_pos until all of the WAL is back: positions
 *       are handed to partitions in order.
 */
#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/store_internal.h"
#include "storage/wal.h"
#include "storage/wal_entry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GAPS_MAX = 1000, TENANTS_TOLD = 64, REPLAY_TRIES = 3 };

#define REPLAY_RETRY (100 * NS_PER_MS)

/* ---- meta.db ---- */

static int load_tenant(void *arg, const struct meta_tenant *t, struct err *err)
{
    return store_tenant_add(arg, t->name, t->id, true, err);
}

static int load_partition(void *arg, const struct meta_partition *p, struct err *err)
{
    (void)err;
    store_tenant_set_day(arg, p);
    return 0;
}

static int load_ranges(void *arg, const struct ranges_row *row, struct err *err)
{
    struct store *s = arg;

    return ranges_load(s->ranges, row, err);
}

static int load_dedup(void *arg, uint64_t number, const struct dedup_entry *e, struct err *err)
{
    struct store *s = arg;

    if (dedup_first(s->dedup) == dedup_next(s->dedup))
        dedup_start_at(s->dedup, number);
    if (number != dedup_next(s->dedup))
        return err_set(err, ERR_CORRUPT, "chunk identity %" PRIu64 " is out of order", number);
    dedup_add(s->dedup, e);
    return 0;
}

static int load_late(void *arg, const struct meta_late *l, struct err *err)
{
    struct store *s = arg;

    (void)err;
    late_add_day(&s->late, l->tenant_id, l->day, l->pos);
    return 0;
}

static void saw_received(struct store *s, ts_ns t)
{
    if (t > atomic_load(&s->last_received))
        atomic_store(&s->last_received, t);
}

int store_replay_load(struct store *s, struct err *err)
{
    const struct meta_loader loader = {s,           load_tenant, load_partition,
                                       load_ranges, load_dedup,  load_late};
    struct meta_progress p;
    int r;

    r = meta_load(s->meta, &loader, &p, err);
    if (r < 0)
        return r;
    s->dedup_saved = dedup_next(s->dedup);
    s->durable_pos = s->visible = p.wal_pos;
    s->last_seq = p.last_seq;
    saw_received(s, p.last_received);
    return 0;
}

/* ---- the WAL ---- */

static void note_gap(struct store *s, const struct wal_body *body)
{
    struct store_gap gap = {.from = body->from, .to = body->position};

    (void)snprintf(gap.file, sizeof(gap.file), "%s", body->file);
    if (s->gaps.n < GAPS_MAX) /* the rest is counted in wal_skipped_frames */
        VEC_PUSH(&s->gaps, gap);
}

/* Ranges and identity of an entry. */
static void take_decisions(struct store *s, const struct wal_entry *e)
{
    struct str rest = e->parts;
    struct record_part part;

    while (wal_entry_part(&rest, &part) == 0) {
        struct ranges_key key;
        if (part.dropped || part.start >= part.end ||
            !ranges_key_make(e->payload.peer, part.file_id, &key))
            continue;
        ranges_add(s->ranges, (struct str){key.bytes, key.n}, part.start, part.end);
        ranges_touch(s->ranges, (struct str){key.bytes, key.n}, e->payload.received);
    }
    if (e->has_dedup) {
        struct dedup_entry d = {.when = e->payload.received};
        memcpy(d.key, e->dedup, DEDUP_KEY);
        dedup_add(s->dedup, &d);
    }
}

static int gap_batch(const struct store_payload *p, struct batch **ret, struct err *err)
{
    struct label v[] = {{STR("service_name"), STR("logq")}, {STR("source"), STR("logq")}};
    struct labels labels = {v, 2};
    struct batch *b = batch_new(NULL, 1 << 20);
    struct record rec = {.ts = p->received, .line = arena_str(b->arena, p->bytes)};
    int r;

    r = rec.line.p == NULL ? arena_err(b->arena, err) : batch_stream(b, &labels, &rec.stream, err);
    if (r == 0)
        r = batch_add(b, &rec, err);
    if (r < 0)
        batch_unref(&b);
    *ret = b;
    return r;
}

/* The records of an entry, as they were stored. */
static int make_batch(struct store *s, const struct wal_entry *e, struct batch **ret,
                      struct err *err)
{
    struct str rest = e->parts;
    struct record_part part;
    struct batch *b = NULL;
    int r;

    if (e->payload.kind == STORE_KIND_GAP)
        r = gap_batch(&e->payload, &b, err);
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

/* First pass: what was decided about a body. */
static int decide_entry(struct store *s, const struct wal_body *body, struct err *err)
{
    struct wal_entry e;
    int r = wal_entry_read(body->bytes, &e, err);

    if (r < 0)
        return r;
    if (body->position <= s->visible || (e.n_records != 0 && e.first_seq <= s->last_seq))
        return 0; /* keeps (1), (3) */
    r = store_tenant_add(s, e.payload.tenant, e.tenant_id, false, err);
    if (r < 0)
        return r;
    take_decisions(s, &e);
    saw_received(s, e.payload.received);
    if (e.n_records != 0)
        s->last_seq = e.first_seq + e.n_records - 1;
    return 0;
}

/* The body could not be used: with `recover` it becomes a gap. */
static int give_up(struct store *s, const struct wal_body *body, int r, struct err *err)
{
    if (r < 0 && r != ERR_NOMEM && r != ERR_CANCELLED && s->opt.recover) {
        struct wal_body gap = *body;
        gap.from = body->position - body->bytes.n;
        note_gap(s, &gap);
        return 0;
    }
    return r < 0 ? err_wrap(err, "replay of WAL file '%s'", body->file) : 0;
}

static int decide_body(void *arg, const struct wal_body *body, struct err *err)
{
    struct store *s = arg;

    if (body->gap) {
        note_gap(s, body);
        return 0;
    }
    return give_up(s, body, decide_entry(s, body, err), err);
}

int store_replay_wal(struct store *s, struct err *err)
{
    struct wal_stats st;
    int r;

    s->replay_seq = s->last_seq;
    s->replay_from = s->visible;
    s->replay_pos = late_floor(&s->late, s->visible);
    r = wal_replay(s->wal, decide_body, s, err);
    if (r < 0)
        return r;
    wal_stats(s->wal, &st);
    s->replaying = st.past_bytes != 0;
    if (wal_position(s->wal) > s->durable_pos)
        s->durable_pos = wal_position(s->wal);
    s->next_seq = s->last_seq + 1;
    return 0;
}

/* ---- the second pass, on a thread of its own ---- */

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

/* A body at or before meta.db's position: what waits of it.  The days that wait do not change while
 * that is on its way: there is no flush. */
static int replay_late(struct store *s, const struct wal_body *body, const struct wal_entry *e,
                       struct err *err)
{
    struct head_item it = {
        .tenant_id = e->tenant_id,
        .wal_pos = body->position,
        .received = e->payload.received,
        .since = time_mono(),
    };
    struct batch *b = NULL;
    uint32_t *index;
    size_t n = 0;
    int r;

    if (late_least(&s->late, e->tenant_id, s->replay_from) >= body->position)
        return 0;
    r = make_batch(s, e, &b, err);
    if (r < 0)
        return r;
    index = mem_new(b->n_records * sizeof(*index));
    for (uint32_t i = 0; i < b->n_records; i++)
        if (is_late(s, e->tenant_id, b->records[i].ts, body->position))
            index[n++] = i;
    if (n != 0)
        r = late_extract(b, index, n, s->opt.budget, &it.batch, err);
    free(index);
    batch_unref(&b);
    if (r < 0 || n == 0)
        return r;
    it.held = batch_held(it.batch);
    (void)pthread_mutex_lock(&s->mutex);
    late_add(&s->late, &it, false);
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

static int replay_entry(struct store *s, const struct wal_body *body, struct err *err)
{
    struct wal_entry e;
    struct batch *b = NULL;
    int r = wal_entry_read(body->bytes, &e, err);

    if (r < 0)
        return r;
    if (body->position <= s->replay_from) {
        r = replay_late(s, body, &e, err);
        (void)pthread_mutex_lock(&s->mutex);
        s->replay_pos = r == 0 ? body->position : s->replay_pos;
        (void)pthread_mutex_unlock(&s->mutex);
        return r;
    }
    if (e.n_records != 0 && e.first_seq <= s->replay_seq)
        return 0; /* keeps (3) */
    r = make_batch(s, &e, &b, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&s->mutex);
    r = wait_for_room(s, err);
    if (r == 0) {
        s->replay_pos = body->position;
        if (b->n_records != 0) {
            s->replay_seq = e.first_seq + b->n_records - 1;
            head_add(&s->old, b, e.tenant_id, body->position, e.payload.received);
            b = NULL; /* the head's now */
        }
        if (s->old.bytes > s->opt.head_bytes)
            (void)pthread_cond_signal(&s->flush_wake);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    batch_unref(&b);
    return r;
}

static int replay_body(void *arg, const struct wal_body *body, struct err *err)
{
    struct store *s = arg;

    if (atomic_load(&s->replay_stop))
        return stopped(err);
    (void)fault_hit("replay.body");                   /* a place to be killed at */
    if (body->gap || body->position <= s->replay_pos) /* an attempt before this one had it */
        return 0;
    return give_up(s, body, replay_entry(s, body, err), err);
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

void *store_replay_main(void *arg)
{
    struct store *s = arg;
    unsigned failures = 0;
    struct err err;
    int r;

    do
        r = wal_replay_again(s->wal, replay_body, s, &err);
    while (r < 0 && may_retry(s, r, &failures));
    (void)pthread_mutex_lock(&s->mutex);
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
        store_replay_gaps(s);
    return NULL;
}

void store_replay_text(struct store *s, char *ret, size_t cap)
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
    while (s->replaying && s->replay_err.code == 0 && !s->replay_stop)
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

/* ---- gap records ---- */

struct gap_append {
    struct store_append a;
    struct store *store;
    char *tenant, *line; /* owned */
};

static void gap_done(struct store_append *a, enum store_outcome outcome, const struct err *err)
{
    struct gap_append *g = a->arg;

    (void)err; /* a store that cannot store says so by its state */
    if (outcome == STORE_STORED)
        store_kick_flush(g->store); /* which then lets go of the damaged file */
    free(g->tenant);
    free(g->line);
    free(g);
}

static void append_gap(struct store *s, const struct store_gap *gap, struct str tenant)
{
    struct gap_append *g = mem_new(sizeof(*g));
    char line[256];
    struct err err;

    (void)snprintf(line, sizeof(line),
                   "{\"gap\":{\"source\":\"wal\",\"file\":\"%s\",\"from\":%" PRIu64
                   ",\"to\":%" PRIu64 "}}",
                   gap->file, gap->from, gap->to);
    g->store = s;
    g->tenant = mem_dup(tenant.p, tenant.n);
    g->line = mem_dup(line, strlen(line));
    g->a.arg = g;
    g->a.done = gap_done;
    g->a.payload = (struct store_payload){
        .kind = STORE_KIND_GAP,
        .tenant = {g->tenant, tenant.n},
        .received = store_receive_time(s),
        .bytes = str_of(g->line),
    };
    if (gap_batch(&g->a.payload, &g->a.batch, &err) == 0)
        store_append(s, &g->a);
    else
        gap_done(&g->a, STORE_FAILED, &err); /* cannot be: a small line in a batch of 1 MB */
}

void store_replay_gaps(struct store *s)
{
    struct str told[TENANTS_TOLD];
    size_t n = 0;
    size_t pos = 0;
    struct str name;
    void *value;

    if (s->gaps.n == 0)
        return;
    /* What was lost may have been anybody's: every tenant is told. */
    (void)pthread_mutex_lock(&s->mutex);
    while (n < TENANTS_TOLD && map_next(s->tenants, &pos, &name, &value))
        told[n++] = str_of(((struct store_tenant *)value)->name);
    (void)pthread_mutex_unlock(&s->mutex);
    if (n == 0)
        told[n++] = STR("default");
    for (size_t i = 0; i < s->gaps.n; i++)
        for (size_t t = 0; t < n; t++)
            append_gap(s, &s->gaps.p[i], told[t]);
    s->gaps.n = 0;
}
