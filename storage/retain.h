/*
 * storage/retain.h - partitions whose time is over.
 */
#ifndef LOGQ_STORAGE_RETAIN_H
#define LOGQ_STORAGE_RETAIN_H

#include "base/err.h"
#include "base/time.h"

struct store;

/* Drop the partitions whose day's end and newest receive time are both past the longest retention
 * of any of their streams at `now`, then the oldest ones of a tenant, and of all, until what is
 * stored is within max_bytes; never one of which memory holds records.  Blocking; any thread. */
int retain_run(struct store *s, ts_ns now, struct err *err);

/* Drop the oldest day (of one tenant; NULL: of any) that is before the day of `now` and of which
 * memory holds nothing.  1: there is none.  Under flush_mutex. */
int retain_drop_oldest(struct store *s, const uint64_t *tenant_id, ts_ns now, struct err *err);

/*
 * The same for a full disk: but no day that holds audit data (class strict), nor any that is held.
 * Takes flush_mutex.  1: there is none; ERR_IO: the disk is too full even for that.
 */
int retain_make_room(struct store *s, ts_ns now, struct err *err);

/* If the day is half gone, the rest of it goes now: before it is begun anew.  Under flush_mutex. */
int retain_finish_day(struct store *s, uint64_t tenant_id, int32_t day, struct err *err);

/* Finish what a crash interrupted; at open, before the replay. */
int retain_resume(struct store *s, struct err *err);

#endif
