/*
 * storage/retain.c - partitions whose time is over.  Contract: retain.h.
 *
 * Order: meta.db says META_GOING, with the position; then the key is destroyed, then the directory
 * removed; then meta.db says META_GONE.  A crash anywhere is finished at the next open.
 *
 * Invariants
 *   (1) a day goes only while memory holds none of its records, and no replay is under way.  All
 *       that the WAL holds past meta.db's position is in memory then, so a replay never makes a
 *       dropped day again.
 *   (2) readers hear of a day no more before its first file goes.
 *
 * A day goes when it is past the longest period of its streams.  What rules say of a tenant bounds
 * that from both sides, so that a catalog is opened only for a day in between, and once.
 */
#include "storage/retain.h"

#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog.h"
#include "storage/compact.h"
#include "storage/frame_cache.h"
#include "storage/hide.h"
#include "storage/keyring.h"
#include "storage/partition_cache.h"
#include "storage/segment.h"
#include "storage/store_internal.h"

#include <errno.h>
#include <stdlib.h>

enum { OPENS_MAX = 256 }; /* catalogs looked into by one run */

static int set_state(struct store *s, struct meta_partition *p, enum meta_state state,
                     struct err *err)
{
    int r;

    p->state = state;
    r = meta_partition_state(s->meta, p, err);
    if (r == ERR_IO && err->sys == ENOSPC && ballast_release(&s->ballast))
        r = meta_partition_state(s->meta, p, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&s->mutex);
    store_tenant_set_day(s, p);
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

static int fail_at(const char *point, struct err *err)
{
    if (!fault_hit(point))
        return 0;
    errno = EIO;
    return err_sys(err, "%s", point);
}

/* From META_GOING on. */
static int finish(struct store *s, struct meta_partition *p, struct err *err)
{
    int r;

    r = fail_at("retain.going", err);
    if (r == 0)
        r = keyring_shred_partition(s->keyring, p->tenant_id, p->day, err);
    if (r == 0)
        r = fail_at("retain.shredded", err);
    if (r == 0)
        r = partition_cache_drop(s->partitions, p->tenant_id, p->day, err);
    frame_cache_drop(s->frames, &(struct frame_owner){p->tenant_id, p->day});
    store_tenant_forget(s, p->tenant_id);
    if (r == 0)
        r = fail_at("retain.removed", err);
    if (r == 0)
        r = set_state(s, p, META_GONE, err);
    return r < 0 ? err_wrap(err, "drop day %d", (int)p->day) : 0;
}

int retain_finish_day(struct store *s, uint64_t tenant_id, int32_t day, struct err *err)
{
    struct meta_partition p;
    bool going;
    size_t at;
    int r;

    (void)pthread_mutex_lock(&s->mutex);
    at = store_tenant_day(s, tenant_id, day, &going);
    going = going && s->days.p[at].state == META_GOING;
    if (going)
        p = s->days.p[at];
    (void)pthread_mutex_unlock(&s->mutex);
    if (!going)
        return 0;
    r = finish(s, &p, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&s->mutex);
    s->stats.partitions_dropped++;
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* What fails for one day is told by the first error; the others do not wait for it. */
static void note_failure(int *ret, struct err *err, int r, const struct err *why)
{
    if (r < 0 && *ret == 0) {
        *ret = r;
        *err = *why;
    }
}

/* ---- which days ---- */

/* A day as retention sees it, copied out from under the mutex. */
struct candidate {
    struct meta_partition p;
    char tenant[STORE_TENANT_MAX + 1];
};

struct candidates {
    VEC(struct candidate) v;
};

/* Are the day's end and its newest receive time past `period`? */
static bool is_past(const struct meta_partition *p, dur_ns period, ts_ns now)
{
    ts_ns cutoff;

    if (period == 0 || now < INT64_MIN + NS_PER_DAY + period)
        return false;
    cutoff = now - period;
    return time_of_day(p->day) <= cutoff - NS_PER_DAY && p->newest_received <= cutoff;
}

struct tenant_rule {
    uint64_t id;
    const char *name; /* the store's, for good */
    dur_ns least;     /* no stream of it is kept shorter */
};

static int by_id(const void *a, const void *b)
{
    const struct tenant_rule *x = a;
    const struct tenant_rule *y = b;

    return (x->id > y->id) - (x->id < y->id);
}

/* Under mutex: all tenants, by id; malloc'ed. */
static struct tenant_rule *tenant_rules(struct store *s, size_t *ret_n)
{
    struct tenant_rule *v = mem_new(map_count(s->tenants) * sizeof(*v) + 1);
    struct str name;
    size_t pos = 0;
    size_t n = 0;
    dur_ns most;
    void *t;

    while (map_next(s->tenants, &pos, &name, &t)) {
        v[n] = (struct tenant_rule){.id = ((const struct store_tenant *)t)->id,
                                    .name = ((const struct store_tenant *)t)->name};
        hide_bounds(&s->opt, name, &v[n].least, &most);
        n++;
    }
    qsort(v, n, sizeof(*v), by_id);
    *ret_n = n;
    return v;
}

static void add_candidate(struct candidates *c, const struct meta_partition *p, const char *tenant)
{
    struct candidate one = {.p = *p};

    (void)str_to_z(str_of(tenant), one.tenant, sizeof(one.tenant));
    VEC_PUSH(&c->v, one);
}

/* Days that may be over, by the shortest period that any stream of theirs can have. */
static void find_candidates(struct store *s, ts_ns now, struct candidates *ret)
{
    const struct meta_partition *p;
    struct tenant_rule *tenants;
    size_t n = 0;
    size_t at = 0;

    (void)pthread_mutex_lock(&s->mutex);
    tenants = tenant_rules(s, &n);
    VEC_EACH(&s->days, p) { /* they lie by tenant, too */
        while (at < n && tenants[at].id < p->tenant_id)
            at++;
        if (at < n && tenants[at].id == p->tenant_id && p->state == META_LIVE &&
            is_past(p, tenants[at].least, now))
            add_candidate(ret, p, tenants[at].name);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    free(tenants);
}

struct longest {
    const struct store_options *opt;
    struct str tenant;
    dur_ns longest, shortest;
    dur_ns thinned;
};

static int look_at_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct longest *lo = arg;
    dur_ns period = hide_period(lo->opt, lo->tenant, l);

    (void)id;
    (void)err;
    if (lo->longest != 0 && (period == 0 || lo->longest < period))
        lo->longest = period;
    if (period > lo->thinned && segment_class_of(l) != SEGMENT_STRICT &&
        (lo->shortest == 0 || period < lo->shortest))
        lo->shortest = period;
    return 0;
}

static int read_longest(void *arg, struct catalog *c, struct err *err)
{
    int r = catalog_streams(c, look_at_stream, arg, err);

    return r < 0 ? r : 0;
}

/* The longest and shortest period of the day's streams, by its catalog; kept with the day until
 * that changes. */
static int look_into(struct store *s, struct candidate *c, struct err *err)
{
    struct longest lo = {&s->opt, str_of(c->tenant), 1, 0, c->p.thinned};
    struct partition *p = NULL;
    bool found;
    size_t at;
    int r;

    if (c->p.longest_known)
        return 0;
    r = partition_cache_get(s->partitions, c->p.tenant_id, c->p.day, false, &p, err);
    if (r == 0)
        r = partition_read(p, read_longest, &lo, err);
    partition_unref(&p);
    if (r < 0)
        return r;
    c->p.longest_known = true;
    c->p.longest = lo.longest;
    c->p.shortest = lo.shortest;
    (void)pthread_mutex_lock(&s->mutex);
    at = store_tenant_day(s, c->p.tenant_id, c->p.day, &found);
    if (found)
        s->days.p[at] = c->p; /* under flush_mutex: nobody else changed it */
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* 1: it is. */
static int is_over(struct store *s, struct candidate *c, ts_ns now, unsigned *opens,
                   struct err *err)
{
    dur_ns least;
    dur_ns most;
    int r;

    hide_bounds(&s->opt, str_of(c->tenant), &least, &most);
    if (is_past(&c->p, most, now))
        return 1;
    if (!c->p.longest_known && (*opens)++ >= OPENS_MAX)
        return 0; /* the next run looks at it */
    r = look_into(s, c, err);
    return r < 0 ? r : is_past(&c->p, c->p.longest, now);
}

/* A day that stays while streams of it are over: compaction leaves them out, once. */
static int thin(struct store *s, struct candidate *c, ts_ns now, struct err *err)
{
    bool found;
    size_t at;
    int r;

    if (!c->p.longest_known || c->p.shortest == 0 || !is_past(&c->p, c->p.shortest, now))
        return 0;
    r = compact_due(s->compact, c->p.tenant_id, c->p.day, INT64_MIN, INT64_MAX, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&s->mutex);
    at = store_tenant_day(s, c->p.tenant_id, c->p.day, &found);
    if (found) {
        s->days.p[at].thinned = c->p.shortest;
        s->days.p[at].longest_known = false; /* a segment that cannot be read may keep the stream:
                                                then the next longer period is asked for */
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* ---- dropping ---- */

/* Drop a live day unless memory holds records of it, a backup is on its way to it, or a hold is on
 * streams of it.  *dropped: it is gone. */
static int drop_day(struct store *s, struct meta_partition *p, bool *dropped, struct err *err)
{
    bool busy;
    int r = store_hold_on_day(s, p->tenant_id, p->day, NULL, err);

    *dropped = false;
    if (r != 0)
        return r < 0 ? r : 0;
    (void)pthread_mutex_lock(&s->mutex);
    busy = s->backups > 0 || store_head_has_day(s, p->tenant_id, p->day); /* keeps (1) */
    p->dropped_pos = s->visible;
    (void)pthread_mutex_unlock(&s->mutex);
    if (busy)
        return 0;
    r = set_state(s, p, META_GOING, err); /* keeps (2) */
    if (r == 0)
        r = finish(s, p, err);
    if (r < 0)
        return r;
    *dropped = true;
    (void)pthread_mutex_lock(&s->mutex);
    s->stats.partitions_dropped++;
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

/* A day that is over, and stays for the sake of a hold: the streams that it does not name are left
 * out as of any day that stays. */
static int thin_held(struct store *s, struct candidate *c, ts_ns now, unsigned *opens,
                     struct err *err)
{
    struct tombstone **held;
    bool some;
    size_t n;
    int r;

    (void)pthread_mutex_lock(&s->mutex);
    held = store_hold_take(s, c->p.tenant_id, c->p.day, &n);
    some = n > 0 && !store_hold_has_all(s, c->p.tenant_id, c->p.day);
    (void)pthread_mutex_unlock(&s->mutex);
    store_hold_drop(&held, n);
    if (!some || (!c->p.longest_known && (*opens)++ >= OPENS_MAX))
        return 0;
    r = look_into(s, c, err);
    return r < 0 ? r : thin(s, c, now, err);
}

/* A day whose catalog cannot be read now waits; the others do not. */
static int by_age(struct store *s, ts_ns now, struct err *err)
{
    struct candidates c = {{0}};
    unsigned opens = 0;
    struct err why;
    bool dropped;
    int r = 0;

    find_candidates(s, now, &c);
    for (size_t i = 0; i < c.v.n; i++) {
        int over = is_over(s, &c.v.p[i], now, &opens, &why);
        dropped = false;
        if (over == 1)
            note_failure(&r, err, drop_day(s, &c.v.p[i].p, &dropped, &why), &why);
        if (over == 1 && !dropped)
            (void)thin_held(s, &c.v.p[i], now, &opens, &why); /* as a day that cannot be read */
        else if (over == 0)
            (void)thin(s, &c.v.p[i], now, &why); /* as a day that cannot be read */
    }
    VEC_FINI(&c.v);
    return r;
}

/* ---- by size ---- */

/* Under mutex: what is stored, of one tenant or of all. */
static uint64_t stored_bytes(const struct store *s, const uint64_t *tenant_id)
{
    const struct meta_partition *p;
    uint64_t sum = 0;

    VEC_EACH(&s->days, p) {
        if (p->state == META_LIVE && (tenant_id == NULL || p->tenant_id == *tenant_id))
            sum += p->stored_bytes;
    }
    return sum;
}

/* Under mutex: the oldest day that may go for the sake of room; never the current one. */
static bool oldest_day(const struct store *s, const uint64_t *tenant_id, ts_ns now, bool not_kept,
                       struct meta_partition *ret)
{
    const struct meta_partition *p;
    int32_t today = time_day(now);
    bool found = false;

    VEC_EACH(&s->days, p) {
        if (p->state != META_LIVE || p->day >= today || p->is_held ||
            store_head_has_day(s, p->tenant_id, p->day) ||
            (tenant_id != NULL && p->tenant_id != *tenant_id) || (found && p->day >= ret->day) ||
            (not_kept && p->is_kept))
            continue;
        *ret = *p;
        found = true;
    }
    return found;
}

static void mark_day(struct store *s, const struct meta_partition *day, bool is_held)
{
    bool found;
    size_t at;

    (void)pthread_mutex_lock(&s->mutex);
    at = store_tenant_day(s, day->tenant_id, day->day, &found);
    if (found && is_held)
        s->days.p[at].is_held = true;
    else if (found)
        s->days.p[at].is_kept = true;
    (void)pthread_mutex_unlock(&s->mutex);
}

/* The oldest day without a stream that is held; others are marked on the way.  1: none. */
static int find_oldest(struct store *s, const uint64_t *tenant_id, ts_ns now, bool not_kept,
                       struct meta_partition *ret)
{
    for (;;) {
        struct err ignored; /* what cannot be read is not judged */
        bool found;
        (void)pthread_mutex_lock(&s->mutex);
        found = oldest_day(s, tenant_id, now, not_kept, ret);
        (void)pthread_mutex_unlock(&s->mutex);
        if (!found)
            return 1;
        if (store_hold_on_day(s, ret->tenant_id, ret->day, NULL, &ignored) == 0)
            return 0;
        mark_day(s, ret, true);
    }
}

int retain_drop_oldest(struct store *s, const uint64_t *tenant_id, ts_ns now, struct err *err)
{
    struct meta_partition p;
    bool dropped = false;
    int r;

    if (find_oldest(s, tenant_id, now, false, &p) != 0)
        return 1;
    r = drop_day(s, &p, &dropped, err);
    if (r < 0)
        return r;
    if (!dropped)
        return 1;
    (void)pthread_mutex_lock(&s->mutex);
    s->stats.partitions_dropped_size++;
    (void)pthread_mutex_unlock(&s->mutex);
    return 0;
}

static int look_at_class(void *arg, const struct catalog_row *row, struct err *err)
{
    (void)err;
    if (row->class == SEGMENT_STRICT)
        *(bool *)arg = true;
    return 0;
}

static int read_classes(void *arg, struct catalog *c, struct err *err)
{
    return catalog_rows(c, look_at_class, arg, err);
}

/* May the day go for want of room?  Audit data may not, and what cannot be read is not judged. */
static bool may_go(struct store *s, const struct meta_partition *day)
{
    struct partition *p = NULL;
    bool is_strict = false;
    struct err ignored;
    int r = partition_cache_get(s->partitions, day->tenant_id, day->day, false, &p, &ignored);

    if (r == 0)
        r = partition_read(p, read_classes, &is_strict, &ignored);
    partition_unref(&p);
    return r == 0 && !is_strict;
}

/* The oldest day that may go for want of room; others are marked on the way.  1: none. */
static int find_room(struct store *s, ts_ns now, struct meta_partition *ret)
{
    while (find_oldest(s, NULL, now, true, ret) == 0) {
        if (may_go(s, ret))
            return 0;
        mark_day(s, ret, false);
    }
    return 1;
}

int retain_make_room(struct store *s, ts_ns now, struct err *err)
{
    struct meta_partition p;
    bool dropped = false;
    int r;

    (void)pthread_mutex_lock(&s->flush_mutex);
    r = find_room(s, now, &p);
    if (r == 0)
        r = drop_day(s, &p, &dropped, err);
    (void)pthread_mutex_lock(&s->mutex);
    s->stats.partitions_dropped_full += dropped ? 1 : 0;
    (void)pthread_mutex_unlock(&s->mutex);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r == 0 && !dropped ? 1 : r;
}

/* Until `max` holds, or nothing more may go. */
static int shrink(struct store *s, const uint64_t *tenant_id, uint64_t max, ts_ns now,
                  struct err *err)
{
    int r = 0;

    while (max != 0 && r == 0) {
        uint64_t bytes;
        (void)pthread_mutex_lock(&s->mutex);
        bytes = stored_bytes(s, tenant_id);
        (void)pthread_mutex_unlock(&s->mutex);
        if (bytes <= max)
            break;
        r = retain_drop_oldest(s, tenant_id, now, err);
    }
    return r < 0 ? r : 0;
}

/* The bound of a tenant; 0: none. */
static uint64_t max_bytes_of(const struct store_options *opt, struct str tenant)
{
    for (size_t i = 0; i < opt->n_retention_rules; i++) {
        const struct store_retention_rule *r = &opt->retention_rules[i];
        if (r->n_matchers == 0 && (r->tenant.n == 0 || str_eq(r->tenant, tenant)))
            return r->max_bytes;
    }
    return 0;
}

static int by_size(struct store *s, ts_ns now, struct err *err)
{
    VEC(uint64_t) ids = {0};
    VEC(uint64_t) most = {0};
    struct str name;
    size_t pos = 0;
    void *t;
    int r = 0;

    (void)pthread_mutex_lock(&s->mutex);
    while (s->opt.n_retention_rules > 0 && map_next(s->tenants, &pos, &name, &t)) {
        uint64_t max = max_bytes_of(&s->opt, name);
        if (max == 0)
            continue;
        VEC_PUSH(&ids, ((const struct store_tenant *)t)->id);
        VEC_PUSH(&most, max);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; r == 0 && i < ids.n; i++)
        r = shrink(s, &ids.p[i], most.p[i], now, err);
    VEC_FINI(&ids);
    VEC_FINI(&most);
    return r == 0 ? shrink(s, NULL, s->opt.max_bytes, now, err) : r;
}

/* ---- runs ---- */

/* Finish the days that are half gone.  Under flush_mutex, or before there are threads. */
static int resume(struct store *s, struct err *err)
{
    struct candidates c = {{0}};
    const struct meta_partition *p;
    struct err why;
    int r = 0;

    (void)pthread_mutex_lock(&s->mutex);
    VEC_EACH(&s->days, p) {
        if (p->state == META_GOING)
            add_candidate(&c, p, "");
    }
    (void)pthread_mutex_unlock(&s->mutex);
    for (size_t i = 0; i < c.v.n; i++)
        note_failure(&r, err, retain_finish_day(s, c.v.p[i].p.tenant_id, c.v.p[i].p.day, &why),
                     &why);
    VEC_FINI(&c.v);
    return r;
}

int retain_run(struct store *s, ts_ns now, struct err *err)
{
    struct err why;
    int r;

    (void)pthread_mutex_lock(&s->flush_mutex);
    r = resume(s, err);
    note_failure(&r, err, by_age(s, now, &why), &why);
    note_failure(&r, err, by_size(s, now, &why), &why);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r;
}

int retain_resume(struct store *s, struct err *err)
{
    return resume(s, err);
}
