/*
 * storage/flush.c - the head becomes segments.  Contract: flush.h; life cycle with every crash
 * point: docs/formats/lifecycle.md.
 *
 * Order of a flush up to position P:
 *   1. cut: under the mutex, what is in memory, ranges, chunk identities and P are taken as of one
 *      instant;
 *   2. for each tenant and day that is due: segment published, then catalog with `applied` = P
 *      committed; the records of other days wait, and of days that cannot be written
 *      (flush_days.c);
 *   3. meta.db: ranges, identities, tenants, days, and the days that wait, with P;
 *   4. swap: under the mutex, `visible` = P, the head's items up to P leave, what waits takes the
 *      place of what waited, in one step;
 *   5. WAL files that end at or before P, and before all that waits, are deleted.
 *
 * Invariants
 *   (1) a WAL file is deleted only when meta.db says of all of its records that they are in
 *       segments, and before it every catalog that they belong to has committed a position at or
 *       past its end;
 *   (2) a flush that fails changed nothing that a reader sees, and loses nothing: its ranges are
 *       marked again, its records are still in memory and in the WAL.
 */
#include "storage/flush.h"

#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/flush_internal.h"
#include "storage/retain.h"
#include "storage/wal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_FIRST  NS_PER_S
#define RETRY_MOST   (30 * NS_PER_S)
#define RETIRE_EVERY NS_PER_MIN
#define TRIM         (30 * NS_PER_S)
#define RANGES_KEPT  (7 * NS_PER_DAY) /* of a file that nothing comes from any more */

enum { RANGES_MANY = RANGES_FILES_MAX / 2 }; /* from there on old ones go */

static void note_gone(void *arg, struct str key)
{
    struct flush_cut *c = arg;
    struct str own = {mem_dup(key.p, key.n), key.n};

    VEC_PUSH(&c->gone, own);
}

static void add_tenant(struct flush_cut *c, const struct store_tenant *t)
{
    struct meta_tenant m = {t->id, str_of(t->name)};

    VEC_PUSH(&c->tenants, m);
}

static void cut_tenants(struct store *s, struct flush_cut *c)
{
    size_t pos = 0;
    struct str name;
    void *value;

    while (map_next(s->tenants, &pos, &name, &value))
        if (!((const struct store_tenant *)value)->in_meta)
            add_tenant(c, value);
}

/* Under mutex: does more wait for this flush than the cores that it takes are worth?  In quiet
 * times they belong to appends and queries. */
static bool is_behind(const struct store *s)
{
    return s->replaying || s->old.n != 0 || s->closing ||
           s->head.bytes > s->opt.head_bytes + s->opt.head_bytes / 2;
}

/* Step 1.  false: there is nothing to do. */
static bool make_cut(struct store *s, struct flush_cut *c)
{
    size_t n_late;
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
    n_late = s->late.list.n;
    c->hurry = is_behind(s);
    c->all = c->all || store_late_is_due(s);
    for (size_t i = 0; i < s->late.stuck.n; i++)
        VEC_PUSH(&c->stuck, s->late.stuck.p[i]);
    c->ranges = ranges_take_dirty(s->ranges, &c->n_ranges);
    c->dedup_first = dedup_first(s->dedup);
    c->dedup_number = s->dedup_saved < c->dedup_first ? c->dedup_first : s->dedup_saved;
    c->dedup = dedup_since(s->dedup, c->dedup_number, &c->n_dedup);
    cut_tenants(s, c);
    due = c->progress.wal_pos != s->visible ||
          c->n_items - n_late + c->n_ranges + c->n_dedup != 0 || c->tenants.n + c->gone.n != 0 ||
          (c->all && n_late != 0) || late_retry_at(&s->late) <= time_mono();
    (void)pthread_mutex_unlock(&s->mutex);
    return due;
}

static void free_cut(struct flush_cut *c)
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
    flush_days_forget(c);
    VEC_FINI(&c->labels);
    VEC_FINI(&c->stuck);
    late_fini(&c->late);
}

/* ---- steps 3 to 5 ---- */

static int commit(struct store *s, struct flush_cut *c, struct err *err)
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
        .late = c->late.days.p,
        .n_late = c->late.days.n,
    };

    return meta_commit(s->meta, &change, err);
}

static void swap(struct store *s, struct flush_cut *c)
{
    struct late late;
    struct head_item *old;
    const struct meta_partition *p;
    const struct meta_tenant *t;
    size_t n;

    (void)pthread_mutex_lock(&s->mutex);
    s->visible = c->progress.wal_pos;
    s->dedup_saved = c->dedup_number + c->n_dedup;
    old = store_head_drop(s, s->visible, &n);
    if (c->late.stuck.n != 0 && c->late.why[0] == '\0') /* none of them was tried */
        memcpy(c->late.why, s->late.why, sizeof(c->late.why));
    late = s->late;
    s->late = c->late;
    c->late = late; /* freed with the cut, outside of the mutex */
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

static int fail_at_begin(struct err *err)
{
    if (!fault_hit("flush.begin"))
        return 0;
    errno = EIO;
    return err_sys(err, "flush");
}

static int write_and_commit(struct store *s, struct flush_cut *c, struct err *err)
{
    int r;

    r = fail_at_begin(err);
    if (r == 0)
        r = flush_days_write(s, c, err);
    if (r == ERR_NOMEM && !c->all) { /* for what waits; so nothing waits */
        c->all = true;
        r = flush_days_write(s, c, err);
    }
    if (r == 0 && fault_hit("flush.commit")) {
        errno = ENOSPC;
        r = err_sys(err, "commit a flush");
    }
    return r == 0 ? commit(s, c, err) : r;
}

/* Days that could not be written: told when there are more of them than before. */
static void tell_stuck(struct store *s, const struct flush_cut *c)
{
    char text[320];
    size_t now;

    (void)pthread_mutex_lock(&s->mutex);
    now = s->late.stuck.n;
    s->stats.flush_failures++;
    (void)pthread_mutex_unlock(&s->mutex);
    if (now <= c->stuck.n || s->opt.notice == NULL)
        return;
    (void)snprintf(text, sizeof(text), "%zu days wait because they cannot be written: %s", now,
                   c->stuck_err.text);
    s->opt.notice(s->opt.notice_arg, "flush.day_stuck", text);
}

/* Under flush_mutex. */
static int run(struct store *s, bool all, struct err *err)
{
    struct flush_cut c = {.all = all, .again = all};
    bool first;
    int r = 0;

    late_init(&c.late);
    if (make_cut(s, &c)) {
        r = write_and_commit(s, &c, err);
        if (r == ERR_IO && err->sys == ENOSPC && ballast_release(&s->ballast))
            r = write_and_commit(s, &c, err);
        if (r == 0) {
            struct err ignored;
            swap(s, &c);
            (void)fault_hit("flush.swapped"); /* a place to be killed at */
            /* A file that cannot be deleted now is tried again by the next flush. */
            (void)wal_trim(s->wal, late_floor(&s->late, c.progress.wal_pos), &ignored);
            ballast_restore(&s->ballast, s->opt.min_free);
        }
    }
    (void)pthread_mutex_lock(&s->mutex);
    for (size_t i = 0; r < 0 && i < c.n_ranges; i++)
        ranges_mark_dirty(s->ranges, c.ranges[i].key); /* keeps (2) */
    first = r < 0 && strcmp(s->flush_err.text, err->text) != 0;
    s->flush_err = r < 0 ? *err : (struct err){0};
    s->stats.flush_failures += r < 0 ? 1 : 0;
    store_count_full(s);
    (void)pthread_cond_broadcast(&s->wal_wake); /* there may be room again */
    (void)pthread_cond_broadcast(&s->replay_wake);
    if (r < 0)
        (void)pthread_cond_signal(&s->flush_wake); /* which tries again, whoever called us */
    (void)pthread_mutex_unlock(&s->mutex);
    if (first && s->opt.notice != NULL) /* once per cause: it is tried again and again */
        s->opt.notice(s->opt.notice_arg, "flush.failed", err->text);
    if (r == 0 && c.stuck_err.code != 0) {
        tell_stuck(s, &c);
        *err = c.stuck_err;
        r = all ? err->code : 0;
    }
    free_cut(&c);
    return r;
}

int flush_run(struct store *s, bool all, struct err *err)
{
    int r;

    (void)pthread_mutex_lock(&s->flush_mutex);
    r = run(s, all, err);
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

static dur_ns sooner(dur_ns due, dur_ns at, dur_ns shift)
{
    return at != INT64_MAX && at + shift < due ? at + shift : due;
}

/* Under mutex: how long until a flush is due; 0: now. */
static dur_ns flush_due(const struct store *s, dur_ns now, const struct timer *c)
{
    dur_ns due = RETIRE_EVERY;

    if (s->replaying) /* only what it brings can be flushed, and more comes soon */
        due = s->flush_err.code != 0 || store_old_is_due(s) ? 0 : due;
    else if (s->flush_kick || s->flush_err.code != 0 || store_head_bytes(s) > s->opt.head_bytes ||
             store_late_is_due(s))
        due = 0;
    else if (s->old.n + s->head.n != 0)
        due = head_oldest(s->old.n != 0 ? &s->old : &s->head) + s->opt.flush_age - now;
    if (!s->replaying) {
        due = sooner(due, s->late.oldest == 0 ? INT64_MAX : s->late.oldest, s->opt.late_age - now);
        due = sooner(due, late_retry_at(&s->late), -now);
    }
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

static bool is_full(struct store *s)
{
    bool ret;

    (void)pthread_mutex_lock(&s->mutex);
    ret = store_is_full(s);
    (void)pthread_mutex_unlock(&s->mutex);
    return ret;
}

/* Days go, the oldest first, until there is room or none may go; true: one went.  The WAL thread
 * looks by itself whether there is room again. */
static bool make_room(struct store *s)
{
    bool any = false;
    struct err err;

    while (!has_room(s) && retain_make_room(s, store_clock_now(s), &err) == 0)
        any = true;
    return any;
}

static void act(struct store *s, struct timer *c, bool flush)
{
    struct err err;

    if (flush && flush_run(s, false, &err) < 0)
        put_off(s, c);
    else if (flush)
        *c = (struct timer){.retire_at = c->retire_at};
    if (s->opt.drop_oldest && is_full(s) && make_room(s))
        look_for_room(s, c);
    if (time_mono() >= c->retire_at) {
        /* By the clock as it is, not by store_receive_time, which stays ahead when the clock was.
         * What cannot be dropped now is tried again in a minute. */
        if (store_clock_look(s))
            (void)retain_run(s, store_clock_now(s), &err);
        (void)store_erase_run(s, store_clock_now(s), &err);
        c->retire_at = time_mono() + RETIRE_EVERY;
    }
}

void *flush_main(void *arg)
{
    struct store *s = arg;
    struct timer c = {0};
    dur_ns trimmed_at = time_mono();

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
        if (now - trimmed_at >= TRIM) { /* blocks of all sizes came and went */
            mem_trim();
            trimmed_at = now;
        }
        (void)pthread_mutex_lock(&s->mutex);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return NULL;
}
