/*
 * storage/flush.c - the head becomes segments.  Contract: flush.h; life cycle with every crash
 * point: docs/formats/lifecycle.md.
 *
 * Order of a flush up to position P:
 *   1. cut: under the mutex, head, ranges, chunk identities and P are taken as of one instant;
 *   2. for each tenant and day: segment published, then catalog with `applied` = P committed;
 *   3. meta.db: ranges, identities, tenants, days, with P;
 *   4. swap: under the mutex, `visible` = P and the head's items up to P leave, in one step;
 *   5. WAL files that end at or before P are deleted.
 *
 * Invariants
 *   (1) a WAL file is deleted only when meta.db, and before it every catalog that its records
 *       belong to, have committed a position at or past its end;
 *   (2) a record goes into a partition only if its position is past the partition's own: what an
 *       interrupted flush committed is not written again;
 *   (3) days are written one after another: one partition is open for writing, however many days
 *       the records are of;
 *   (4) a flush that fails changed nothing that a reader sees, and loses nothing: its ranges are
 *       marked again, its records are still in the head and in the WAL.
 */
#include "storage/flush.h"

#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/keyring.h"
#include "storage/partition_cache.h"
#include "storage/retain.h"
#include "storage/store_internal.h"
#include "storage/wal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST  NS_PER_S
#define RETRY_MOST   (30 * NS_PER_S)
#define RETIRE_EVERY NS_PER_MIN
#define RANGES_KEPT  (7 * NS_PER_DAY) /* of a file that nothing comes from any more */

enum { LABELS_MAX = 1 << 20, RANGES_MANY = RANGES_FILES_MAX / 2 }; /* from there on old ones go */

/* What is flushed: the store as of one instant. */
struct cut {
    struct meta_progress progress;
    struct head_item *items; /* all tenants, in WAL order */
    size_t n_items;
    struct ranges_row *ranges;
    size_t n_ranges;
    VEC(struct str) gone; /* keys of range sets that are over; owned */
    struct dedup_entry *dedup;
    size_t n_dedup;
    uint64_t dedup_number, dedup_first;
    VEC(struct meta_tenant) tenants; /* new ones */
    VEC(struct meta_partition) days; /* written in this flush, as they are now */
    VEC(struct meta_labels) labels;  /* of those that have new streams; the bytes are owned */
};

/* One record on its way; sorted by day, then in WAL order. */
struct flush_row {
    int32_t day;
    uint32_t item, record;
};

static void note_gone(void *arg, struct str key)
{
    struct cut *c = arg;
    struct str own = {mem_dup(key.p, key.n), key.n};

    VEC_PUSH(&c->gone, own);
}

static void add_tenant(struct cut *c, const struct store_tenant *t)
{
    struct meta_tenant m = {t->id, str_of(t->name)};

    VEC_PUSH(&c->tenants, m);
}

static void cut_tenants(struct store *s, struct cut *c)
{
    size_t pos = 0;
    struct str name;
    void *value;

    while (map_next(s->tenants, &pos, &name, &value))
        if (!((const struct store_tenant *)value)->in_meta)
            add_tenant(c, value);
}

/* Step 1.  false: there is nothing to do. */
static bool make_cut(struct store *s, struct cut *c)
{
    bool due;

    (void)pthread_mutex_lock(&s->mutex);
    s->flush_kick = false;
    if (s->replaying && s->replay_pos <= s->visible) {
        (void)pthread_mutex_unlock(&s->mutex);
        return false;
    }
    /* Ranges and identities may be ahead of wal_pos (they are, during a replay): what they come
     * from is durable behind it, and taking them from there again changes nothing. */
    c->progress = (struct meta_progress){
        .wal_pos = s->replaying ? s->replay_pos : s->durable_pos,
        .last_seq = s->replaying ? s->replay_seq : s->last_seq,
        .last_received = atomic_load(&s->last_received),
    };
    (void)ranges_expire(s->ranges, RANGES_MANY, c->progress.last_received - RANGES_KEPT, note_gone,
                        c);
    c->items = store_head_take(s, NULL, c->progress.wal_pos, &c->n_items);
    c->ranges = ranges_take_dirty(s->ranges, &c->n_ranges);
    c->dedup_first = dedup_first(s->dedup);
    c->dedup_number = s->dedup_saved < c->dedup_first ? c->dedup_first : s->dedup_saved;
    c->dedup = dedup_since(s->dedup, c->dedup_number, &c->n_dedup);
    cut_tenants(s, c);
    due = c->progress.wal_pos != s->visible || c->n_items + c->n_ranges + c->n_dedup != 0 ||
          c->tenants.n + c->gone.n != 0;
    (void)pthread_mutex_unlock(&s->mutex);
    return due;
}

static void free_labels(struct cut *c)
{
    const struct meta_labels *l;

    VEC_EACH(&c->labels, l) {
        free((void *)(uintptr_t)l->sealed.p); /* our own copy: see note_labels */
    }
    c->labels.n = 0;
}

static void free_cut(struct cut *c)
{
    struct str *key;

    head_release(&c->items, c->n_items);
    ranges_rows_free(&c->ranges, c->n_ranges);
    VEC_EACH(&c->gone, key) {
        free((void *)(uintptr_t)key->p); /* our own copy: see note_gone */
    }
    VEC_FINI(&c->gone);
    free(c->dedup);
    VEC_FINI(&c->tenants);
    VEC_FINI(&c->days);
    free_labels(c);
    VEC_FINI(&c->labels);
}

/* ---- step 2 ---- */

static int by_day(const void *a, const void *b)
{
    const struct flush_row *x = a;
    const struct flush_row *y = b;

    if (x->day != y->day)
        return x->day < y->day ? -1 : 1;
    if (x->item != y->item)
        return x->item < y->item ? -1 : 1;
    return x->record < y->record ? -1 : x->record > y->record;
}

/* The records of one tenant by day: malloc'ed. */
static struct flush_row *rows_of(const struct cut *c, uint64_t tenant_id, size_t *ret_n)
{
    struct flush_row *rows;
    size_t total = 0;
    size_t n = 0;

    for (size_t i = 0; i < c->n_items; i++)
        if (c->items[i].tenant_id == tenant_id)
            total += c->items[i].batch->n_records;
    rows = mem_new(total * sizeof(*rows));
    for (size_t i = 0; i < c->n_items; i++) {
        const struct batch *b = c->items[i].batch;
        bool one_day = time_day(b->min_ts) == time_day(b->max_ts);
        int32_t day = time_day(b->min_ts);
        if (c->items[i].tenant_id != tenant_id)
            continue;
        for (uint32_t k = 0; k < b->n_records; k++)
            rows[n++] = (struct flush_row){
                one_day ? day : time_day(b->records[k].ts),
                (uint32_t)i,
                k,
            };
    }
    qsort(rows, n, sizeof(*rows), by_day);
    *ret_n = n;
    return rows;
}

/* The labels of a partition that has new streams.  What cannot be read now is not in meta.db: then
 * its catalog is opened for every question. */
static void note_labels(struct cut *c, struct partition *p, struct meta_partition *m)
{
    struct meta_labels l = {.tenant_id = m->tenant_id, .day = m->day};
    uint32_t known = m->summarised;
    struct err ignored;
    struct buf b;

    buf_init(&b, LABELS_MAX);
    if (partition_summary(p, known, &m->summarised, &b, &ignored) < 0) {
        m->summarised = 0;
        buf_clear(&b);
    }
    if (m->summarised != known || known == 0) {
        if (b.n > 0)
            l.sealed = (struct str){mem_dup(b.p, b.n), b.n};
        VEC_PUSH(&c->labels, l);
    }
    buf_fini(&b);
}

static void note_day(struct store *s, struct cut *c, struct partition *part,
                     const struct partition_written *sum)
{
    uint64_t tenant_id = partition_tenant(part);
    int32_t day = partition_day(part);
    struct meta_partition p = {
        .tenant_id = tenant_id,
        .day = day,
        .state = META_LIVE,
        .rows = sum->rows,
        .line_bytes = sum->line_bytes,
        .stored_bytes = sum->stored_bytes,
        .segments = sum->segments,
        .min_ts = sum->min_ts,
        .max_ts = sum->max_ts,
        .newest_received = sum->newest_received,
    };
    bool found;
    size_t at;

    (void)pthread_mutex_lock(&s->mutex);
    at = store_tenant_day(s, tenant_id, day, &found);
    if (found) {
        p.dropped_pos = s->days.p[at].dropped_pos;
        p.summarised = s->days.p[at].state == META_LIVE ? s->days.p[at].summarised : 0;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    note_labels(c, part, &p);
    VEC_PUSH(&c->days, p);
}

/* `n` rows into their partition; *sum: what it holds then. */
static int write_day(struct cut *c, struct partition *p, const struct flush_row *rows, size_t n,
                     struct partition_written *sum, struct err *err)
{
    struct segment_row *out = NULL;
    uint64_t applied = 0;
    size_t kept = 0;
    int r = partition_applied(p, &applied, err);

    if (r == 0 && applied < c->progress.wal_pos) {
        out = mem_new(n * sizeof(*out));
        for (size_t i = 0; i < n; i++) {
            const struct head_item *it = &c->items[rows[i].item];
            if (it->wal_pos > applied) /* keeps (2) */
                out[kept++] = (struct segment_row){it->batch, rows[i].record, it->received};
        }
        r = partition_write(p, out, kept, c->progress.wal_pos, sum, err);
        free(out);
    }
    (void)fault_hit("flush.day"); /* a place to be killed at */
    return r == 0 ? partition_totals(p, sum, err) : r;
}

/* One partition: `n` rows of one day.  A damaged catalog must not stop everybody's flush: it holds
 * nothing that the segments do not, so it is made again and the writing tried once more. */
static int flush_day(struct store *s, struct cut *c, uint64_t tenant_id,
                     const struct flush_row *rows, size_t n, struct err *err)
{
    struct partition *p = NULL;
    struct partition_written sum = {0};
    int r;

    r = partition_cache_get(s->partitions, tenant_id, rows[0].day, true, &p, err);
    if (r == 0) {
        r = write_day(c, p, rows, n, &sum, err);
        if (r == ERR_CORRUPT || r == ERR_EXISTS) {
            struct err why = *err;
            r = partition_rebuild(p, &why, err);
            if (r == 0)
                r = write_day(c, p, rows, n, &sum, err);
        }
    }
    if (r == 0)
        note_day(s, c, p, &sum);
    partition_unref(&p);
    return r < 0 ? err_wrap(err, "flush day %d", (int)rows[0].day) : 0;
}

static int flush_tenant(struct store *s, struct cut *c, uint64_t tenant_id, struct err *err)
{
    struct flush_row *rows;
    size_t n;
    size_t end;
    int r = 0;

    rows = rows_of(c, tenant_id, &n);
    for (size_t from = 0; r == 0 && from < n; from = end) {
        end = from + 1;
        while (end < n && rows[end].day == rows[from].day)
            end++;
        r = flush_day(s, c, tenant_id, rows + from, end - from, err);
    }
    free(rows);
    return r;
}

static int by_id(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The tenants that have items, each once: malloc'ed. */
static uint64_t *tenants_of(const struct cut *c, size_t *ret_n)
{
    uint64_t *ids = mem_new((c->n_items + 1) * sizeof(*ids));
    size_t n = 0;
    size_t out = 0;

    for (size_t i = 0; i < c->n_items; i++)
        if (i == 0 || c->items[i].tenant_id != c->items[i - 1].tenant_id)
            ids[n++] = c->items[i].tenant_id;
    qsort(ids, n, sizeof(*ids), by_id);
    for (size_t i = 0; i < n; i++)
        if (out == 0 || ids[i] != ids[out - 1])
            ids[out++] = ids[i];
    *ret_n = out;
    return ids;
}

static int write_segments(struct store *s, struct cut *c, struct err *err)
{
    uint64_t *ids;
    size_t n;
    int r = 0;

    c->days.n = 0;
    free_labels(c);
    ids = tenants_of(c, &n);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = flush_tenant(s, c, ids[i], err);
    free(ids);
    return r;
}

/* ---- steps 3 to 5 ---- */

static int commit(struct store *s, struct cut *c, struct err *err)
{
    struct meta_change change = {
        .progress = c->progress,
        .tenants = c->tenants.p,
        .n_tenants = c->tenants.n,
        .partitions = c->days.p,
        .n_partitions = c->days.n,
        .labels = c->labels.p,
        .n_labels = c->labels.n,
        .ranges = c->ranges,
        .n_ranges = c->n_ranges,
        .gone_ranges = c->gone.p,
        .n_gone_ranges = c->gone.n,
        .dedup = c->dedup,
        .n_dedup = c->n_dedup,
        .dedup_number = c->dedup_number,
        .dedup_first = c->dedup_first,
    };

    return meta_commit(s->meta, &change, err);
}

static void swap(struct store *s, const struct cut *c)
{
    struct head_item *old;
    const struct meta_partition *p;
    const struct meta_tenant *t;
    size_t n;

    (void)pthread_mutex_lock(&s->mutex);
    s->visible = c->progress.wal_pos;
    s->dedup_saved = c->dedup_number + c->n_dedup;
    old = store_head_drop(s, s->visible, &n);
    VEC_EACH(&c->days, p) {
        store_tenant_set_day(s, p);
    }
    VEC_EACH(&c->tenants, t) {
        store_tenant_find(s, t->name)->in_meta = true;
    }
    s->stats.flushes++;
    (void)pthread_mutex_unlock(&s->mutex);
    head_release(&old, n);
}

static int write_and_commit(struct store *s, struct cut *c, struct err *err)
{
    int r;

    r = write_segments(s, c, err);
    if (r == 0 && fault_hit("flush.commit")) {
        errno = ENOSPC;
        r = err_sys(err, "commit a flush");
    }
    return r == 0 ? commit(s, c, err) : r;
}

/* Under flush_mutex. */
static int run(struct store *s, struct err *err)
{
    struct cut c = {.n_items = 0};
    bool first;
    int r = 0;

    if (make_cut(s, &c)) {
        r = write_and_commit(s, &c, err);
        if (r == ERR_IO && err->sys == ENOSPC && ballast_release(&s->ballast))
            r = write_and_commit(s, &c, err);
        if (r == 0) {
            struct err ignored;
            swap(s, &c);
            (void)fault_hit("flush.swapped"); /* a place to be killed at */
            /* A file that cannot be deleted now is tried again by the next flush. */
            (void)wal_trim(s->wal, c.progress.wal_pos, &ignored);
            ballast_restore(&s->ballast, s->opt.min_free);
        }
    }
    (void)pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; r < 0 && i < c.n_ranges; i++)
        ranges_mark_dirty(s->ranges, c.ranges[i].key); /* keeps (4) */
    first = r < 0 && strcmp(s->flush_err.text, err->text) != 0;
    s->flush_err = r < 0 ? *err : (struct err){0};
    s->stats.flush_failures += r < 0 ? 1 : 0;
    store_count_full(s);
    (void)pthread_cond_broadcast(&s->wal_wake); /* there may be room again */
    (void)pthread_cond_broadcast(&s->replay_wake);
    if (r < 0)
        (void)pthread_cond_signal(&s->flush_wake); /* which tries again, whoever called us */
    (void)pthread_mutex_unlock(&s->mutex);
    free_cut(&c);
    if (first && s->opt.notice != NULL) /* once per cause: it is tried again and again */
        s->opt.notice(s->opt.notice_arg, "flush.failed", err->text);
    return r;
}

int flush_run(struct store *s, struct err *err)
{
    int r;

    (void)pthread_mutex_lock(&s->flush_mutex);
    r = run(s, err);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r;
}

/* ---- the thread ---- */

/* When the flush thread acts next. */
struct timer {
    dur_ns retire_at;
    dur_ns retry_at;   /* not before: the last flush failed */
    dur_ns retry_wait; /* how long the last failure put it off */
    bool was_full;     /* it met a full disk: room that appears ends the wait */
};

/* Under mutex: how long until a flush is due; 0: now. */
static dur_ns flush_due(const struct store *s, dur_ns now, const struct timer *c)
{
    dur_ns due = RETIRE_EVERY;

    if (s->replaying) /* only what it brings can be flushed, and more comes soon */
        due = s->flush_err.code != 0 || s->old.bytes > s->opt.head_bytes ? 0 : due;
    else if (s->flush_kick || s->flush_err.code != 0 || store_head_bytes(s) > s->opt.head_bytes)
        due = 0;
    else if (s->old.n + s->head.n != 0)
        due = head_oldest(s->old.n != 0 ? &s->old : &s->head) + s->opt.flush_age - now;
    if (due < c->retry_at - now)
        due = c->retry_at - now;
    return due < 0 ? 0 : due;
}

static bool has_room(const struct store *s)
{
    uint64_t total;
    uint64_t room;

    return ballast_free(s->dir_fd, &total, &room) >= s->opt.min_free;
}

/* A flush that fails costs as much as one that does not: longer waits between. */
static void put_off(struct store *s, struct timer *c)
{
    c->retry_wait = c->retry_wait == 0 ? RETRY_FIRST : 2 * c->retry_wait;
    if (c->retry_wait > RETRY_MOST)
        c->retry_wait = RETRY_MOST;
    c->retry_at = time_mono() + c->retry_wait;
    c->was_full = !has_room(s);
}

static void look_for_room(struct store *s, struct timer *c)
{
    if (!has_room(s))
        return;
    c->was_full = false;
    c->retry_at = 0;
}

static void act(struct store *s, struct timer *c, bool flush)
{
    struct err err;

    if (flush && flush_run(s, &err) < 0)
        put_off(s, c);
    else if (flush)
        *c = (struct timer){.retire_at = c->retire_at};
    if (time_mono() >= c->retire_at) {
        /* By the clock as it is, not by store_receive_time, which stays ahead when the clock was.
         * What cannot be dropped now is tried again in a minute. */
        (void)retain_run(s, time_now(), &err);
        c->retire_at = time_mono() + RETIRE_EVERY;
    }
}

void *flush_main(void *arg)
{
    struct store *s = arg;
    struct timer c = {0};

    (void)pthread_mutex_lock(&s->mutex);
    while (!s->flush_close) {
        dur_ns now = time_mono();
        dur_ns due = flush_due(s, now, &c);
        if (due > 0 && now < c.retire_at) {
            dur_ns wait = due < c.retire_at - now ? due : c.retire_at - now;
            bool full = c.was_full && c.retry_at > now;
            store_wait(s, &s->flush_wake, full && wait > RETRY_FIRST ? RETRY_FIRST : wait);
            if (full) {
                (void)pthread_mutex_unlock(&s->mutex);
                look_for_room(s, &c);
                (void)pthread_mutex_lock(&s->mutex);
            }
            continue;
        }
        (void)pthread_mutex_unlock(&s->mutex);
        act(s, &c, due == 0);
        (void)pthread_mutex_lock(&s->mutex);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return NULL;
}
