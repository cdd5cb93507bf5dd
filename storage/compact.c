/*
 * storage/compact.c - the compaction thread: which day to look at, the exchange, and what is told.
 * Contract: compact.h.
 *
 * Order of an exchange: the new file is published; under the flush mutex one catalog transaction
 * replaces the old rows, and meta.db's row of the day follows; the old files go when the last view
 * from before is released.
 *
 * Invariants
 *   (1) nothing is merged that reaches past the position up to which every view sees segments: a
 *       reader from before would find neither the old ones nor the new one;
 *   (2) one partition is worked on at a time, by the thread or by a caller of compact_all
 *       (run_mutex), and a catalog is written under the flush mutex: a flush never meets us there;
 *   (3) what fails changed nothing, and is tried again later; a damaged input is marked in the
 *       catalog and left alone.
 */
#include "storage/compact.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/priority.h"
#include "storage/catalog_index.h"
#include "storage/compact_merge.h"
#include "storage/compact_pace.h"
#include "storage/compact_pick.h"
#include "storage/frame_cache.h"
#include "storage/hide.h"
#include "storage/partition_cache.h"
#include "storage/store_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TICK        NS_PER_S
#define SLICE       (NS_PER_S / 4) /* of a wait, after which ingest is looked at again */
#define FLUSH_WAIT  (5 * NS_PER_S) /* for a flush, at most at once */
#define FLUSH_POLL  (10 * NS_PER_MS)
#define RETRY_FIRST (10 * NS_PER_S) /* after a failure, then twice as long each time */
#define RETRY_MOST  (10 * NS_PER_MIN)

enum {
    MEMORY = 256 << 20,  /* of what is open at once */
    DAYS_AT_ONCE = 4096, /* taken from the store in one go */
};

/* What is known of a day. */
struct day {
    uint64_t tenant_id;
    int32_t day;
    uint64_t segments, rows; /* as it was when it was looked at */
    bool is_changing;        /* so was meta.db's row of it */
    ts_ns next;              /* its time comes; INT64_MAX: only with a change */
    dur_ns not_before;       /* it failed */
    dur_ns wait;
};

/* A day to look at now. */
struct kick {
    uint64_t tenant_id;
    int32_t day;
};

struct compact {
    unsigned magic;
#define COMPACT_MAGIC 0xc03bac70u
    struct store *s; /* borrowed */
    struct mem_budget budget;
    atomic_bool closing;
    pthread_t thread;
    bool has_thread;

    atomic_int free_runs; /* callers of compact_all: no budget meanwhile */

    pthread_mutex_t run_mutex; /* guards days, pace; held across everything: (2) */
    VEC(struct day) days;      /* by tenant, day */
    struct compact_pace pace;

    pthread_mutex_t mutex; /* guards the rest */
    VEC(struct kick) kicks;
    pthread_cond_t wake;
    struct compact_stats stats;
    uint64_t all_total, all_done; /* of compact_all: stored bytes of days, of those that it is
                                     through with; */
    uint64_t all_in;              /* read of the day that it is at */
    struct err last;              /* the failure that was told */
};

static dur_ns clock_ns(clockid_t id)
{
    struct timespec t = {0};

    (void)clock_gettime(id, &t); /* both are always there */
    return (dur_ns)t.tv_sec * NS_PER_S + t.tv_nsec;
}

struct compact *compact_new(struct store *s)
{
    struct compact *c = mem_new(sizeof(*c));
    pthread_condattr_t attr;

    c->magic = COMPACT_MAGIC;
    c->s = s;
    c->budget = (struct mem_budget){.name = "compaction", .limit = MEMORY};
    (void)pthread_mutex_init(&c->run_mutex, NULL); /* none can fail with these attributes here */
    (void)pthread_mutex_init(&c->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->wake, &attr);
    (void)pthread_condattr_destroy(&attr);
    return c;
}

void compact_free(struct compact **pc)
{
    struct compact *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, COMPACT_MAGIC);
    INVARIANT(!c->has_thread);
    VEC_FINI(&c->days);
    VEC_FINI(&c->kicks);
    (void)pthread_cond_destroy(&c->wake);
    (void)pthread_mutex_destroy(&c->mutex);
    (void)pthread_mutex_destroy(&c->run_mutex);
    c->magic = 0;
    free(c);
    *pc = NULL;
}

void compact_stats(struct compact *c, struct compact_stats *ret)
{
    OBJ_CHECK(c, COMPACT_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    *ret = c->stats;
    (void)pthread_mutex_unlock(&c->mutex);
}

/* ---- pace ---- */

/* Until `wait` is over or the store closes. */
static void pause_for(struct compact *c, dur_ns wait)
{
    dur_ns until = clock_ns(CLOCK_MONOTONIC) + wait;
    struct timespec t = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};

    (void)pthread_mutex_lock(&c->mutex);
    if (!atomic_load(&c->closing))
        (void)pthread_cond_timedwait(&c->wake, &c->mutex, &t); /* early is fine */
    (void)pthread_mutex_unlock(&c->mutex);
}

static void look_at_ingest(struct compact *c)
{
    struct store *s = c->s;
    uint64_t bytes;

    (void)pthread_mutex_lock(&s->mutex);
    bytes = s->stats.line_bytes;
    (void)pthread_mutex_unlock(&s->mutex);
    compact_pace_sample(&c->pace, clock_ns(CLOCK_MONOTONIC), bytes);
}

static int check_closing(const struct compact *c, struct err *err)
{
    if (atomic_load(&c->closing))
        return err_set(err, ERR_CANCELLED, "the store closes");
    return 0;
}

static bool flush_is_running(struct compact *c)
{
    if (pthread_mutex_trylock(&c->s->flush_mutex) != 0)
        return true;
    (void)pthread_mutex_unlock(&c->s->flush_mutex);
    return false;
}

/* compact_pace_fn */
static int keep_pace(void *arg, uint64_t bytes_out, struct err *err)
{
    struct compact *c = arg;
    dur_ns start = clock_ns(CLOCK_MONOTONIC);
    dur_ns waited = 0;

    if (atomic_load(&c->free_runs) > 0)
        return check_closing(c, err);
    look_at_ingest(c);
    while (c->pace.busy && waited < FLUSH_WAIT && check_closing(c, err) == 0 &&
           flush_is_running(c)) {
        pause_for(c, FLUSH_POLL);
        waited = clock_ns(CLOCK_MONOTONIC) - start;
    }
    while (check_closing(c, err) == 0) {
        dur_ns wait = compact_pace_wait(&c->pace, clock_ns(CLOCK_MONOTONIC),
                                        clock_ns(CLOCK_THREAD_CPUTIME_ID), bytes_out);
        if (wait == 0)
            break;
        pause_for(c, wait < SLICE ? wait : SLICE);
        look_at_ingest(c);
        waited = clock_ns(CLOCK_MONOTONIC) - start;
    }
    if (waited > 0) {
        (void)pthread_mutex_lock(&c->mutex);
        c->stats.throttled_ns += (uint64_t)waited;
        (void)pthread_mutex_unlock(&c->mutex);
    }
    return check_closing(c, err);
}

/* ---- one exchange ---- */

struct rows {
    VEC(struct catalog_row) v;
};

static int add_row(void *arg, const struct catalog_row *row, struct err *err)
{
    struct rows *r = arg;

    (void)err;
    VEC_PUSH(&r->v, *row);
    return 0;
}

static int read_rows(void *arg, struct catalog *c, struct err *err)
{
    return catalog_rows(c, add_row, arg, err);
}

/* Of everybody who reads this day now or later: keeps (1). */
static uint64_t horizon(struct compact *c, const struct partition *p)
{
    struct store *s = c->s;
    uint64_t ret;
    uint64_t pinned;

    (void)pthread_mutex_lock(&s->mutex);
    ret = late_visible(&s->late, partition_tenant(p), partition_day(p), s->visible);
    pinned = partition_cache_horizon(s->partitions, partition_tenant(p));
    (void)pthread_mutex_unlock(&s->mutex);
    return pinned < ret ? pinned : ret;
}

/* meta.db's row of the day; false: there is none. */
static bool get_day(struct store *s, const struct partition *p, struct meta_partition *ret)
{
    bool found;
    size_t at;

    (void)pthread_mutex_lock(&s->mutex);
    at = store_tenant_day(s, partition_tenant(p), partition_day(p), &found);
    if (found)
        *ret = s->days.p[at];
    (void)pthread_mutex_unlock(&s->mutex);
    return found;
}

static int put_day(struct store *s, const struct meta_partition *row, struct err *err)
{
    int r = meta_partition_put(s->meta, row, err);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&s->mutex);
    store_tenant_set_day(s, row);
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* Before the catalog changes: whatever happens then, the row says that it may be behind.  Under
 * flush_mutex. */
static int mark_day(struct store *s, const struct partition *p, struct err *err)
{
    struct meta_partition row;

    if (!get_day(s, p, &row) || row.is_changing)
        return 0;
    row.is_changing = true;
    return put_day(s, &row, err);
}

/* meta.db's row of the day as the catalog is now; under flush_mutex. */
static int update_day(struct compact *c, struct partition *p, struct err *err)
{
    struct partition_written sum = {0};
    struct meta_partition row;
    int r = partition_totals(p, &sum, err);

    if (r < 0 || partition_is_dropped(p)) /* its row may be that of another by now */
        return r;
    if (!get_day(c->s, p, &row))
        return 0;
    row.is_changing = row.longest_known = false;
    row.rows = sum.rows;
    row.line_bytes = sum.line_bytes;
    row.stored_bytes = sum.stored_bytes;
    row.segments = sum.segments;
    if (sum.segments > 0) {
        row.min_ts = sum.min_ts;
        row.max_ts = sum.max_ts;
        row.newest_received = sum.newest_received;
    }
    return put_day(c->s, &row, err);
}

static int sweep_streams(void *arg, struct catalog *c, struct err *err)
{
    return catalog_streams_sweep(c, arg, err);
}

/* What deleted rows leave behind: labels that no segment has, and what is in memory. */
static int forget_deleted(struct compact *c, struct partition *p, struct err *err)
{
    struct frame_owner owner = {partition_tenant(p), partition_day(p)};
    size_t gone = 0;
    int r;

    store_tenant_forget(c->s, owner.tenant_id);
    r = partition_read(p, sweep_streams, &gone, err);
    frame_cache_drop(c->s->frames, &owner); /* behind it: a reader may keep labels until then */
    if (r == 0 && gone > 0) {
        (void)pthread_mutex_lock(&c->s->flush_mutex); /* a flush brings labels, too */
        r = store_erase_labels(c->s, p, err);
        (void)pthread_mutex_unlock(&c->s->flush_mutex);
    }
    return r;
}

/* May what the merge left out still go?  Under flush_mutex. */
static bool may_go(struct store *s, const struct partition *p, const struct compact_merge *m)
{
    struct hide *now = store_delete_for_good(s, partition_tenant(p), partition_day(p));
    bool may = now != NULL && hide_spares(m->hide, now);

    hide_unref(&now);
    return may;
}

static int exchange(struct compact *c, struct partition *p, const struct compact_merge *m,
                    const struct segment_info *info, struct err *err)
{
    struct store *s = c->s;
    int r;

    (void)pthread_mutex_lock(&s->flush_mutex); /* keeps (2) */
    if (partition_is_dropped(p))
        r = err_set(err, ERR_GONE, "the day was dropped meanwhile");
    else if (m->rows_left_out > 0 && !may_go(s, p, m))
        r = err_set(err, ERR_EXISTS, "a hold was put on the day meanwhile");
    else
        r = mark_day(s, p, err);
    if (r == 0)
        r = partition_replace(p, m->opt.replaces, m->opt.n_replaces, info, err);
    if (r == 0)
        r = update_day(c, p, err);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    (void)partition_cache_sweep(s->partitions);
    return r;
}

/* What a new segment was made under. */
struct settling {
    struct store *s;
    uint64_t tenant_id;
    int32_t day;
    const struct hide *hide;
    const uint8_t *uuid;
};

/* A request that starts is first in everybody's snapshot, then its segments are marked; both that
 * and this look are under the catalog's lock, so a mark that is taken off here is never its. */
static int settle(void *arg, struct catalog *c, struct err *err)
{
    const struct settling *st = arg;
    struct hide *now = store_delete_for_good(st->s, st->tenant_id, st->day);
    bool same = hide_same(now, st->hide);

    hide_unref(&now);
    return same ? catalog_not_due(c, st->uuid, err) : 0;
}

static void count(struct compact *c, const struct compact_merge *m, uint64_t bytes_in,
                  const struct segment_info *info)
{
    (void)pthread_mutex_lock(&c->mutex);
    c->stats.segments_in += m->opt.n_replaces;
    c->stats.bytes_in += bytes_in;
    c->all_in += bytes_in;
    c->stats.rows_left_out += m->rows_left_out;
    c->stats.filters_rebuilt += m->filters_rebuilt;
    if (info != NULL) {
        c->stats.segments_out++;
        c->stats.bytes_out += info->file_bytes;
    }
    (void)pthread_mutex_unlock(&c->mutex);
}

static void begin_all(struct compact *c, uint64_t total)
{
    (void)pthread_mutex_lock(&c->mutex);
    c->all_total = total;
    c->all_done = c->all_in = 0;
    (void)pthread_mutex_unlock(&c->mutex);
}

static void end_day_of_all(struct compact *c, uint64_t bytes)
{
    (void)pthread_mutex_lock(&c->mutex);
    c->all_done += bytes;
    c->all_in = 0;
    (void)pthread_mutex_unlock(&c->mutex);
}

void compact_progress(struct compact *c, uint64_t *done, uint64_t *total)
{
    OBJ_CHECK(c, COMPACT_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    *total = c->all_total;
    *done = c->all_done + c->all_in;
    *done = *done < *total ? *done : *total; /* a merge may be merged again */
    (void)pthread_mutex_unlock(&c->mutex);
}

static void tell(struct compact *c, const char *event, const char *text)
{
    if (c->s->opt.notice != NULL)
        c->s->opt.notice(c->s->opt.notice_arg, event, text);
}

struct mark {
    const uint8_t *uuid;
};

static int mark_alone(void *arg, struct catalog *c, struct err *err)
{
    return catalog_mark_alone(c, ((const struct mark *)arg)->uuid, err);
}

/* keeps (3) */
static int leave_alone(struct compact *c, struct partition *p, const uint8_t *uuid,
                       const struct err *why, struct err *err)
{
    struct mark m = {uuid};
    int r = partition_read(p, mark_alone, &m, err);

    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&c->mutex);
    c->stats.damaged++;
    (void)pthread_mutex_unlock(&c->mutex);
    partition_note_damage(p);
    tell(c, "compact.damaged", why->text);
    return 0;
}

static void fill_options(const struct catalog_row *rows, size_t n, struct partition *p,
                         uint8_t *uuids, struct segment_options *opt)
{
    *opt = (struct segment_options){
        .tenant_id = partition_tenant(p),
        .day = partition_day(p),
        .key = partition_key(p),
        .wal_from = rows[0].wal_from,
        .wal_to = rows[n - 1].wal_to,
        .class = rows[0].class,
        .small = true,
        .replaces = uuids,
        .n_replaces = (uint32_t)n,
    };
    for (size_t i = 0; i < n; i++) {
        memcpy(uuids + i * SEGMENT_UUID, rows[i].uuid, SEGMENT_UUID);
        if (rows[i].level >= opt->level)
            opt->level = rows[i].level + 1;
    }
}

static int merge(struct compact *c, struct partition *p, const struct catalog_row *rows,
                 const struct compact_choice *choice, struct err *err)
{
    uint8_t *uuids = mem_new(choice->n * SEGMENT_UUID);
    struct hide *hide = store_delete_for_good(c->s, partition_tenant(p), partition_day(p));
    struct compact_merge m = {
        .objects = partition_objects(p),
        .hide = hide,
        .now = store_clock_now(c->s),
        .budget = &c->budget,
        .pace = keep_pace,
        .pace_arg = c,
    };
    struct segment_info *info = NULL;
    uint64_t bytes_in = 0;
    int r;

    for (size_t i = 0; i < choice->n; i++)
        bytes_in += rows[choice->first + i].stored_bytes;
    fill_options(rows + choice->first, choice->n, p, uuids, &m.opt);
    compact_pace_begin(&c->pace, clock_ns(CLOCK_MONOTONIC), clock_ns(CLOCK_THREAD_CPUTIME_ID));
    r = compact_merge(&m, &info, err);
    if (r >= 0) {
        r = exchange(c, p, &m, info, err);
        if (r == 0 && info != NULL) {
            struct settling st = {c->s, partition_tenant(p), partition_day(p), hide, info->uuid};
            r = partition_read(p, settle, &st, err);
        }
        if (r == 0 && choice->due)
            r = forget_deleted(c, p, err);
    } else if (m.damaged < choice->n && !partition_is_dropped(p)) {
        struct err why = *err;
        r = leave_alone(c, p, uuids + m.damaged * SEGMENT_UUID, &why, err);
    }
    if (r == 0 && m.damaged == SIZE_MAX) {
        count(c, &m, bytes_in, info);
        if (m.filters_rebuilt > 0)
            tell(c, "compact.filter_rebuilt", m.rebuilt.text);
    }
    segment_info_free(&info);
    hide_unref(&hide);
    free(uuids);
    return r;
}

/* ---- one day ---- */

/* A crash between catalog and meta.db leaves the second behind. */
static int check_day(struct compact *c, struct partition *p, const struct day *d, size_t segments,
                     struct err *err)
{
    int r;

    if (segments == d->segments && !d->is_changing)
        return 0;
    (void)pthread_mutex_lock(&c->s->flush_mutex);
    r = update_day(c, p, err);
    (void)pthread_mutex_unlock(&c->s->flush_mutex);
    return r;
}

/* All that there is to do in it; d->next: when there will be more. */
static int run_partition(struct compact *c, struct partition *p, bool all, struct day *d,
                         struct err *err)
{
    bool is_first = true;
    int r = 0;

    while (r == 0) {
        struct compact_rule rule = {
            .now = time_now(), .horizon = horizon(c, p), .day = partition_day(p), .all = all};
        struct compact_choice choice;
        struct rows rows = {.v = {NULL, 0, 0}};
        bool found = false;
        r = partition_read(p, read_rows, &rows, err);
        if (r == 0)
            found = compact_pick(rows.v.p, rows.v.n, &rule, &choice, &d->next);
        if (r == 0 && is_first && !found)
            r = check_day(c, p, d, rows.v.n, err);
        is_first = false;
        if (r == 0 && found)
            r = merge(c, p, rows.v.p, &choice, err);
        VEC_FINI(&rows.v);
        if (!found)
            break;
    }
    return r;
}

static int run_day(struct compact *c, struct day *d, bool all, struct err *err)
{
    struct partition *p = NULL;
    dur_ns before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int r = partition_cache_get(c->s->partitions, d->tenant_id, d->day, false, &p, err);

    d->next = INT64_MAX;
    if (r == 0)
        r = run_partition(c, p, all, d, err);
    if (r == ERR_GONE || (r < 0 && p != NULL && partition_is_dropped(p)))
        r = 0; /* retention was faster */
    partition_unref(&p);
    (void)pthread_mutex_lock(&c->mutex);
    c->stats.busy_ns += (uint64_t)(clock_ns(CLOCK_THREAD_CPUTIME_ID) - before);
    (void)pthread_mutex_unlock(&c->mutex);
    return r < 0 ? err_wrap(err, "compact day %d", (int)d->day) : 0;
}

/* It failed: later, and told once for each cause. */
static void put_off(struct compact *c, struct day *d, const struct err *why)
{
    bool is_new;

    d->wait = d->wait == 0 ? RETRY_FIRST : 2 * d->wait;
    d->wait = d->wait > RETRY_MOST ? RETRY_MOST : d->wait;
    d->not_before = clock_ns(CLOCK_MONOTONIC) + d->wait;
    d->next = 0;
    (void)pthread_mutex_lock(&c->mutex);
    c->stats.failures++;
    is_new = strcmp(c->last.text, why->text) != 0;
    c->last = *why;
    (void)pthread_mutex_unlock(&c->mutex);
    if (is_new)
        tell(c, "compact.failed", why->text);
}

/* ---- all days ---- */

static struct day *day_of(struct compact *c, uint64_t tenant_id, int32_t day)
{
    size_t lo = 0;
    size_t hi = c->days.n;
    struct day fresh = {.tenant_id = tenant_id, .day = day};

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        const struct day *d = &c->days.p[mid];
        if (d->tenant_id < tenant_id || (d->tenant_id == tenant_id && d->day < day))
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo < c->days.n && c->days.p[lo].tenant_id == tenant_id && c->days.p[lo].day == day)
        return &c->days.p[lo];
    VEC_PUSH(&c->days, fresh);
    memmove(&c->days.p[lo + 1], &c->days.p[lo], (c->days.n - 1 - lo) * sizeof(fresh));
    c->days.p[lo] = fresh;
    return &c->days.p[lo];
}

/* Live days of the store from index *at on; how many were taken. */
static size_t take_days(struct store *s, size_t *at, struct meta_partition *ret)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&s->mutex);
    for (; *at < s->days.n && n < DAYS_AT_ONCE; (*at)++)
        if (s->days.p[*at].state == META_LIVE)
            ret[n++] = s->days.p[*at];
    (void)pthread_mutex_unlock(&s->mutex);
    return n;
}

static bool is_due(const struct day *d, const struct meta_partition *p)
{
    bool changed = d->segments != p->segments || d->rows != p->rows;

    return (changed || p->is_changing || d->next <= time_now()) &&
           d->not_before <= clock_ns(CLOCK_MONOTONIC) && p->segments > 0;
}

static void take_kicks(struct compact *c)
{
    const struct kick *k;

    (void)pthread_mutex_lock(&c->mutex);
    VEC_EACH(&c->kicks, k) {
        day_of(c, k->tenant_id, k->day)->next = 0;
    }
    c->kicks.n = 0;
    (void)pthread_mutex_unlock(&c->mutex);
}

/* Under run_mutex.  The first failure is returned, the other days are looked at all the same. */
static int run(struct compact *c, bool all, struct err *err)
{
    struct meta_partition *days = mem_new(DAYS_AT_ONCE * sizeof(*days));
    struct err why;
    size_t at = 0;
    size_t n;
    int ret = 0;

    take_kicks(c);
    while (ret != ERR_CANCELLED && (n = take_days(c->s, &at, days)) > 0) {
        for (size_t i = 0; i < n && ret != ERR_CANCELLED; i++) {
            struct day *d = day_of(c, days[i].tenant_id, days[i].day);
            int r;
            if (!all && !is_due(d, &days[i]))
                continue;
            d->segments = days[i].segments;
            d->rows = days[i].rows;
            d->is_changing = days[i].is_changing;
            r = run_day(c, d, all, &why);
            if (all)
                end_day_of_all(c, days[i].stored_bytes);
            if (r < 0 && r != ERR_CANCELLED)
                put_off(c, d, &why);
            else
                d->wait = 0;
            if (r < 0 && (ret == 0 || r == ERR_CANCELLED)) {
                ret = r;
                *err = why;
            }
        }
    }
    free(days);
    return ret;
}

static uint64_t stored_bytes(struct store *s)
{
    const struct meta_partition *p;
    uint64_t sum = 0;

    (void)pthread_mutex_lock(&s->mutex);
    VEC_EACH(&s->days, p) {
        sum += p->state == META_LIVE ? p->stored_bytes : 0;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return sum;
}

int compact_all(struct compact *c, struct err *err)
{
    int r;

    OBJ_CHECK(c, COMPACT_MAGIC);
    atomic_fetch_add(&c->free_runs, 1);
    (void)pthread_mutex_lock(&c->run_mutex);
    begin_all(c, stored_bytes(c->s));
    r = run(c, true, err);
    begin_all(c, 0);
    (void)pthread_mutex_unlock(&c->run_mutex);
    atomic_fetch_sub(&c->free_runs, 1);
    return r;
}

struct due {
    ts_ns from, to;
};

static int mark_due(void *arg, struct catalog *c, struct err *err)
{
    const struct due *d = arg;

    return catalog_mark_due(c, d->from, d->to, err);
}

int compact_due(struct compact *c, uint64_t tenant_id, int32_t day, ts_ns from, ts_ns to,
                struct err *err)
{
    struct kick kick = {tenant_id, day};
    struct due due = {from, to};
    struct partition *p = NULL;
    int r;

    OBJ_CHECK(c, COMPACT_MAGIC);
    r = partition_cache_get(c->s->partitions, tenant_id, day, false, &p, err);
    if (r == 0)
        r = partition_read(p, mark_due, &due, err);
    partition_unref(&p);
    if (r < 0)
        return err_wrap(err, "day %d", (int)day);
    (void)pthread_mutex_lock(&c->mutex);
    VEC_PUSH(&c->kicks, kick);
    (void)pthread_mutex_unlock(&c->mutex);
    return 0;
}

/* ---- the thread ---- */

static void *compact_main(void *arg)
{
    struct compact *c = arg;
    struct err err;

    priority_set(PRIORITY_LATER);
    while (!atomic_load(&c->closing)) {
        pause_for(c, TICK);
        if (atomic_load(&c->closing))
            break;
        (void)pthread_mutex_lock(&c->run_mutex);
        look_at_ingest(c);
        (void)run(c, false, &err); /* told where it failed */
        (void)pthread_mutex_unlock(&c->run_mutex);
        (void)partition_cache_sweep(c->s->partitions);
    }
    return NULL;
}

int compact_start(struct compact *c, struct err *err)
{
    sigset_t all;
    sigset_t old;

    OBJ_CHECK(c, COMPACT_MAGIC);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(&c->thread, NULL, compact_main, c);
    c->has_thread = errno == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return c->has_thread ? 0 : err_sys(err, "start a thread");
}

void compact_stop(struct compact *c)
{
    OBJ_CHECK(c, COMPACT_MAGIC);
    atomic_store(&c->closing, true);
    (void)pthread_mutex_lock(&c->mutex);
    (void)pthread_cond_broadcast(&c->wake);
    (void)pthread_mutex_unlock(&c->mutex);
    if (c->has_thread)
        (void)pthread_join(c->thread, NULL);
    c->has_thread = false;
}
