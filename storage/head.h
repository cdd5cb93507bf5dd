/*
 * storage/head.h - what is durable in the WAL but not yet in a visible segment: batches in memory.
 *
 * One list over all tenants, in WAL order.  A flush writes everything up to a position into
 * segments and then drops it in one step; until that step readers take the batches, from then on
 * the segments (partition.h has the position rule).
 *
 * Not thread-safe: it belongs to the store and is guarded by the store's mutex.  Batches are
 * read-only from head_add on.
 */
#ifndef LOGQ_STORAGE_HEAD_H
#define LOGQ_STORAGE_HEAD_H

#include "base/record.h"

#include <stdint.h>

/* One durable batch. */
struct head_item {
    struct batch *batch; /* one reference */
    uint64_t tenant_id;
    uint64_t wal_pos; /* just behind its last WAL frame */
    ts_ns received;
    dur_ns since; /* time_mono when it came */
    size_t held;  /* bytes, for accounting */
};

struct head {
    struct head_item *items; /* ring; [first, first + n) */
    size_t cap, first, n;
    size_t bytes;
    uint64_t records;
};

void head_init(struct head *h);
void head_fini(struct head *h);

/* Take over batch's reference; positions never decrease. */
void head_add(struct head *h, struct batch *batch, uint64_t tenant_id, uint64_t wal_pos,
              ts_ns received);

/* The same with an item made elsewhere. */
void head_put(struct head *h, const struct head_item *item);

/* time_mono of the oldest item's arrival; 0 when there is none. */
dur_ns head_oldest(const struct head *h);

/* The items of one tenant (all: tenant_id NULL) with wal_pos <= pos, in order, each with a new
 * reference to its batch: a malloc'ed array of *ret_n, NULL when there are none. */
struct head_item *head_take(const struct head *h, const uint64_t *tenant_id, uint64_t pos,
                            size_t *ret_n);
/* Give up what head_take gave. */
void head_release(struct head_item **items, size_t n);

/* Is there a record of the tenant whose time may lie in [start, start + one day)? */
bool head_has_day(const struct head *h, uint64_t tenant_id, ts_ns start);

/* Forget the items with wal_pos <= pos.  Their batches are handed back in a malloc'ed array for
 * head_release, so that freeing them happens outside of the mutex. */
struct head_item *head_drop(struct head *h, uint64_t pos, size_t *ret_n);

#endif
