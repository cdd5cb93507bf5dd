/*
 * storage/retain.h - partitions whose time is over.
 */
#ifndef LOGQ_STORAGE_RETAIN_H
#define LOGQ_STORAGE_RETAIN_H

#include "base/err.h"
#include "base/time.h"

struct store;

/* Drop the partitions whose day's end and newest receive time are both past retention at `now`, and
 * of which the head holds nothing.  Blocking; any thread. */
int retain_run(struct store *s, ts_ns now, struct err *err);

/* Finish what a crash interrupted; at open, before the replay. */
int retain_resume(struct store *s, struct err *err);

#endif
