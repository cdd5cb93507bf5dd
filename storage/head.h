/*
 * storage/head.h - what is durable in the WAL but not yet in a segment: batches in memory, per
 * tenant.
 *
 * A reader takes a view: for one tenant, the batches of the head and, for each day, the WAL
 * position up to which that day's records stand in segments.  One rule makes every record seen
 * exactly once, while a flush publishes its days one after another, after a flush that failed
 * half-way, and after a crash:
 *
 *     of day D use the segments with   segment.wal_pos <= head_view_flushed(view, D), and
 *     of the head's items the records  of day D with item.wal_pos > head_view_flushed(view, D).
 *
 * segment.wal_pos is what the flush that wrote it passed to partition_write: all records of that
 * tenant and day at or before it are in this segment or in earlier ones.
 *
 * Thread-safe.  Batches are read-only from head_add on.
 */
#ifndef LOGQ_STORAGE_HEAD_H
#define LOGQ_STORAGE_HEAD_H

#include "base/record.h"

#include <stdint.h>

/* One durable batch. */
struct head_item {
    struct batch *batch; /* one reference */
    uint64_t tenant_id;
    uint64_t wal_pos; /* position just behind its last WAL frame */
    ts_ns received;
};

/* One record of the head, for a segment writer: its labels are batch->streams[record->stream]. */
struct head_record {
    const struct batch *batch;
    const struct record *record;
};

struct head_day {
    int32_t day;      /* YYYYMMDD */
    uint64_t wal_pos; /* this day is in segments up to here */
};

struct head;

struct head *head_new(void);
void head_free(struct head **ph);

/* Take over item->batch's reference; positions never decrease.  A batch all of whose days are
 * flushed past its position already (replay after a crash in a flush) is dropped. */
void head_add(struct head *h, const struct head_item *item);

/* Bytes and records held, and the monotonic time (time_mono) of the oldest item, 0 when empty. */
struct head_load {
    size_t bytes;
    uint64_t records, items;
    dur_ns oldest;
};
void head_load(struct head *h, struct head_load *ret);

/* One tenant's head at one instant. */
struct head_view {
    struct head_item *items; /* in append order; each holds a reference */
    size_t n_items;
    struct head_day *days; /* sorted by day */
    size_t n_days;
    uint64_t base; /* days not listed are flushed up to here */
};
/* A tenant without a head gives an empty view with the right positions.  End with head_view_fini.
 */
void head_view_init(struct head_view *v, struct head *h, uint64_t tenant_id);
void head_view_fini(struct head_view *v);
uint64_t head_view_flushed(const struct head_view *v, int32_t day);

/* For flush and replay.  Items of all tenants with wal_pos <= pos, as views with a reference each:
 * the tenants that have any, in `ret` of at most `cap`; returns how many there are. */
size_t head_tenants(struct head *h, uint64_t *ret, size_t cap);
/* This day's records up to `pos` are in segments now (in one step for readers). */
void head_flushed(struct head *h, uint64_t tenant_id, int32_t day, uint64_t pos);
/* Everything up to `pos` is: drop the items and forget the days at or before it. */
void head_drop(struct head *h, uint64_t pos);

#endif
