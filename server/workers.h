/*
 * server/workers.h - a pool of threads for what blocks: queries, meta.db.
 *
 * Jobs wait in lanes, one for each tenant, and lanes take turns: who asks a lot waits for himself,
 * not others for him.  Bounded: a full lane is a clear error for the caller (HTTP 429), never
 * growth.
 */
#ifndef LOGQ_SERVER_WORKERS_H
#define LOGQ_SERVER_WORKERS_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stddef.h>

/* Lanes in which something may wait at once; and so many full ones' worth of jobs may wait in all,
 * but one job of a lane in which none waits always may. */
enum { WORKERS_LANES_MAX = 1024, WORKERS_FULL_LANES = 4 };

struct workers;
typedef void workers_fn(void *arg);

/* `max_waiting`: in one lane. */
int workers_new(unsigned threads, size_t max_waiting, struct workers **ret, struct err *err);
/* Run fn(arg) on some worker.  false: the lane is full, or the pool closed, fn will not run.
 * `lane` is looked at during the call only.  Any thread. */
bool workers_run(struct workers *w, struct str lane, workers_fn *fn, void *arg);
/* Finish what waits, end the threads, free. */
void workers_free(struct workers **pw);

#endif
