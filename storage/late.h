/*
 * storage/late.h - records that a flush left in memory: of days that wait for their turn, and of
 * days that cannot be written.
 *
 * A flush writes at most a few days of a tenant, the largest; a chunk that touches 400 days would
 * else make 400 tiny segments a minute.  What it leaves is bounded, stays in the WAL, and is
 * written when there is enough of it or it has waited long enough.  A day whose partition cannot be
 * written is "stuck": its records wait here too, with a bound of their own, and everybody else goes
 * on.
 *
 * For a day that waits, positions (lifecycle.md) are its own: segments up to `pos` are seen, every
 * record past it is here.
 *
 * Not thread-safe: the store's is guarded by its mutex, a flush's own by the flush.
 */
#ifndef LOGQ_STORAGE_LATE_H
#define LOGQ_STORAGE_LATE_H

#include "base/vec.h"
#include "storage/head.h"
#include "storage/meta.h"

/* A day that could not be written, and when it is tried again. */
struct late_stuck {
    uint64_t tenant_id;
    int32_t day;
    dur_ns retry_at, retry_wait; /* time_mono */
};

struct late {
    struct head list;             /* items hold nothing but records that wait */
    VEC(struct meta_late) days;   /* by tenant and day */
    VEC(struct late_stuck) stuck; /* of them; no order */
    size_t bytes, stuck_bytes;    /* of the list: what waits, what is stuck */
    dur_ns oldest;                /* time_mono when the oldest that waits came; 0: none */
    uint64_t min_pos;             /* all waiting items lie past it; UINT64_MAX: none */
    uint64_t stuck_pos;           /* the same of stuck ones */
    char why[248];                /* of the first stuck day */
};

void late_init(struct late *l);
void late_fini(struct late *l);

/* Take over the item's reference; ascending positions.  Its day is added with late_add_day. */
void late_add(struct late *l, const struct head_item *item, bool is_stuck);
/* The day waits from `pos` on; a smaller one wins.  In any order. */
void late_add_day(struct late *l, uint64_t tenant_id, int32_t day, uint64_t pos);

/* Up to which position are segments of that day seen, when those of all others are up to
 * `visible`? */
uint64_t late_visible(const struct late *l, uint64_t tenant_id, int32_t day, uint64_t visible);
/* The least of the tenant's days. */
uint64_t late_least(const struct late *l, uint64_t tenant_id, uint64_t visible);
/* The WAL is needed from here on, if it is up to `visible` by everybody else. */
uint64_t late_floor(const struct late *l, uint64_t visible);

/* NULL: the day is not stuck. */
const struct late_stuck *late_find_stuck(const struct late *l, uint64_t tenant_id, int32_t day);
/* When the first stuck day is tried again; INT64_MAX: none is. */
dur_ns late_retry_at(const struct late *l);

/* The records of `batch` that `index` names (n, ascending, n > 0) in a batch of their own, or
 * `batch` itself, counted, when that is all of it.  ERR_NOMEM, ERR_LIMIT. */
int late_extract(struct batch *batch, const uint32_t *index, size_t n, struct mem_budget *budget,
                 struct batch **ret, struct err *err);

#endif
