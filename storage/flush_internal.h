/* storage/flush_internal.h - a flush under way, for flush.c and flush_days.c. */
#ifndef LOGQ_STORAGE_FLUSH_INTERNAL_H
#define LOGQ_STORAGE_FLUSH_INTERNAL_H

#include "storage/late.h"
#include "storage/store_internal.h"

/* What is flushed: the store as of one instant, and what becomes of it. */
struct flush_cut {
    struct meta_progress progress;
    bool all;                /* no day waits */
    bool hurry;              /* appends or the replay may wait for it: on several threads */
    bool again;              /* stuck days are tried, however short ago they were */
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
    VEC(struct late_stuck) stuck;    /* before this flush */
    struct late late;                /* what waits behind it */
    struct err stuck_err;            /* of the first day that could not be written; code 0: none */
};

/*
 * Step 2 of a flush: the largest days of each tenant (all: every one) into their partitions, the
 * rest into c->late.  Below zero: a failure that is not one partition's own, nothing was decided.
 */
int flush_days_write(struct store *s, struct flush_cut *c, struct err *err);

/* Forget what it noted of days. */
void flush_days_forget(struct flush_cut *c);

#endif
