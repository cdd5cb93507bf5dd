/*
 * storage/flush.h - when and how the head becomes segments.
 */
#ifndef LOGQ_STORAGE_FLUSH_H
#define LOGQ_STORAGE_FLUSH_H

#include "base/err.h"

#include <stdbool.h>

struct store;

/*
 * Write what is durable now into segments, commit, show them instead of the head, trim the WAL.  Of
 * many days some may wait (late.h); `all`: none does, and days that could not be written are tried
 * again.  Blocking; any thread.  After a failure everything is as before, and the next one goes on;
 * with `all` it is a failure, too, when single days could not be written: all others were.
 */
int flush_run(struct store *s, bool all, struct err *err);

/* The flush thread: flushes by age, size of head and WAL, and on a kick; retires every minute. */
void *flush_main(void *arg);

#endif
