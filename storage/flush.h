/*
 * storage/flush.h - when and how the head becomes segments.
 */
#ifndef LOGQ_STORAGE_FLUSH_H
#define LOGQ_STORAGE_FLUSH_H

#include "base/err.h"

struct store;

/* Write all that is durable now into segments, commit, show them instead of the head, trim the WAL.
 * Blocking; any thread.  After a failure everything is as before, and the next one goes on. */
int flush_run(struct store *s, struct err *err);

/* The flush thread: flushes by age, size of head and WAL, and on a kick; retires every minute. */
void *flush_main(void *arg);

#endif
