/*
 * server/workers.h - a pool of threads for what blocks: queries, meta.db.
 *
 * Jobs wait in lanes, one for each tenant, and lanes take turns: who asks a lot waits for himself,
 * not others for him.  Bounded: a full lane is a clear error for the caller (HTTP 429), never
 * growth.
 *
 * A job that only waits for another one says so, and lends its place to a job that works: of jobs
 * that work there are never more than `threads`, nor fewer while jobs stand in lanes.
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
/* Jobs that may have lent their places at once. */
enum { WORKERS_LENT_MAX = 64 };

struct workers;
typedef void workers_fn(void *arg);

/* `max_waiting`: in one lane. */
int workers_new(unsigned threads, size_t max_waiting, struct workers **ret, struct err *err);
/* Run fn(arg) on some worker.  false: the lane is full, or the pool closed, fn will not run.
 * `lane` is looked at during the call only.  Any thread. */
bool workers_run(struct workers *w, struct str lane, workers_fn *fn, void *arg);
/* In a job: it does nothing from here to workers_take_back, which must follow, but wait for another
 * job that is being worked on.  false: too many do, or there is no thread to take its place: it
 * must not wait then, and workers_take_back does not follow. */
bool workers_lend(struct workers *w);
/* Waits until there is a place again. */
void workers_take_back(struct workers *w);
/* Finish what waits, end the threads, free. */
void workers_free(struct workers **pw);

#endif
