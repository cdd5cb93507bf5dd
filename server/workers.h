/*
 * server/workers.h - a pool of threads for what blocks: queries, meta.db.
 *
 * Bounded: a full queue is a clear error for the caller (HTTP 429), never growth.
 */
#ifndef LOGQ_SERVER_WORKERS_H
#define LOGQ_SERVER_WORKERS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

struct workers;
typedef void workers_fn(void *arg);

int workers_new(unsigned threads, size_t max_queued, struct workers **ret, struct err *err);
/* Run fn(arg) on some worker.  false: the queue is full or closed, fn will not run.  Any thread. */
bool workers_run(struct workers *w, workers_fn *fn, void *arg);
/* Finish what is queued, end the threads, free. */
void workers_free(struct workers **pw);

#endif
