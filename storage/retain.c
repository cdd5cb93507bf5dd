/*
 * storage/retain.c - partitions whose time is over.  Contract: retain.h.
 *
 * Order: meta.db says META_GOING, with the position; then the key is destroyed, then the directory
 * removed; then meta.db says META_GONE.  A crash anywhere is finished at the next open.
 *
 * Invariants
 *   (1) a day goes only while the head holds none of its records.  All that the WAL holds past
 *       meta.db's position is in the head, so a replay never makes a dropped day again.
 *   (2) readers hear of a day no more before its first file goes.
 */
#include "storage/retain.h"

#include "base/fault.h"
#include "base/obj.h"
#include "storage/keyring.h"
#include "storage/partition_cache.h"
#include "storage/store_internal.h"

#include <errno.h>
#include <stdlib.h>

/* Under mutex. */
static bool head_has(const struct store *s, const struct meta_partition *p)
{
    ts_ns start = time_of_day(p->day);

    for (size_t i = 0; i < s->head.n; i++) {
        const struct head_item *it = &s->head.items[(s->head.first + i) % s->head.cap];
        if (it->tenant_id == p->tenant_id && it->batch->max_ts >= start &&
            it->batch->min_ts - start < NS_PER_DAY)
            return true;
    }
    return false;
}

/* Under mutex. */
static bool is_over(const struct store *s, const struct meta_partition *p, ts_ns now)
{
    ts_ns cutoff = now - s->opt.retention;

    return p->state == META_LIVE && time_of_day(p->day) <= cutoff - NS_PER_DAY &&
           p->newest_received <= cutoff && !head_has(s, p); /* keeps (1) */
}

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
    if (r == 0)
        r = fail_at("retain.removed", err);
    if (r == 0)
        r = set_state(s, p, META_GONE, err);
    return r < 0 ? err_wrap(err, "drop day %d", (int)p->day) : 0;
}

/* The next day at or behind index *at that `now` finds over (or, resume: that is half gone). */
static bool next_day(struct store *s, const ts_ns *now, size_t *at, struct meta_partition *ret)
{
    bool found = false;

    (void)pthread_mutex_lock(&s->mutex);
    for (; !found && *at < s->days.n; (*at)++) {
        const struct meta_partition *p = &s->days.p[*at];
        found = p->state == META_GOING || (now != NULL && is_over(s, p, *now));
        if (found) {
            *ret = *p;
            if (p->state == META_LIVE)
                ret->dropped_pos = s->visible;
        }
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return found;
}

/* Under flush_mutex, or before there are threads. */
static int run(struct store *s, const ts_ns *now, struct err *err)
{
    struct meta_partition p;
    size_t at = 0;
    int r = 0;

    while (r == 0 && next_day(s, now, &at, &p)) {
        if (p.state == META_LIVE)
            r = set_state(s, &p, META_GOING, err); /* keeps (2) */
        if (r == 0)
            r = finish(s, &p, err);
        if (r == 0) {
            (void)pthread_mutex_lock(&s->mutex);
            s->stats.partitions_dropped++;
            (void)pthread_mutex_unlock(&s->mutex);
        }
    }
    return r;
}

int retain_run(struct store *s, ts_ns now, struct err *err)
{
    int r;

    if (s->opt.retention == 0)
        return 0;
    (void)pthread_mutex_lock(&s->flush_mutex);
    r = run(s, &now, err);
    (void)pthread_mutex_unlock(&s->flush_mutex);
    return r;
}

int retain_resume(struct store *s, struct err *err)
{
    return run(s, NULL, err);
}
