/*
 * storage/compact.h - small segments become large ones, in the background.
 *
 * A thread of its own looks at days whose segments changed or whose time has come
 * (compact_pick.h), writes what belongs together into one file (compact_merge.h) and exchanges it
 * in one transaction (partition_replace).  While ingest runs above half of its best rate of late it
 * takes at most a quarter of a core and writes at most 20 MB/s, and it waits while a flush runs;
 * else it takes what it gets.
 *
 * Life cycle and every place to die: docs/formats/lifecycle.md.
 */
#ifndef LOGQ_STORAGE_COMPACT_H
#define LOGQ_STORAGE_COMPACT_H

#include "base/err.h"
#include "base/time.h"

struct compact;
struct store;

/* For a store that is open but for its threads; `s` is borrowed until _free.  Never fails. */
struct compact *compact_new(struct store *s);
/* The thread must have ended. */
void compact_free(struct compact **pc);

int compact_start(struct compact *c, struct err *err);
/* Ends what is under way at the next block, and the thread.  Idempotent. */
void compact_stop(struct compact *c);

/* Blocking, on the caller's thread: write together all that belongs together, as if every hour and
 * day were over, in every day of every tenant; without a budget.  Damaged segments are left alone
 * and are no error.  ERR_IO, ERR_CANCELLED (the store closes), ... */
int compact_all(struct compact *c, struct err *err);

/* Rows of [from, to] of a day were deleted: its ordinary segments are due, and written anew soon,
 * without what is hidden then.  Durable on return.  ERR_GONE: no such day. */
int compact_due(struct compact *c, uint64_t tenant_id, int32_t day, ts_ns from, ts_ns to,
                struct err *err);

struct compact_stats {
    uint64_t segments_in, segments_out, bytes_in, bytes_out;
    uint64_t rows_left_out;   /* deleted or expired */
    uint64_t busy_ns;         /* thread CPU time spent */
    uint64_t throttled_ns;    /* time waited for the budget or a flush */
    uint64_t failures;        /* tried again later */
    uint64_t damaged;         /* segments left alone, once each */
    uint64_t filters_rebuilt; /* id filters that were damaged, and made anew */
};
void compact_stats(struct compact *c, struct compact_stats *ret);

/* How far compact_all is: stored bytes of the days that it has looked at, and of all; both 0 when
 * none runs. */
void compact_progress(struct compact *c, uint64_t *done, uint64_t *total);

#endif
