/*
 * storage/scan_pool.h - threads that help scans with their blocks.
 *
 * A scan asks for jobs 0..n-1 to be done and works on them itself; idle threads of the pool join
 * in.  So a scan always moves, however busy the pool is, and needs no queue: what is bounded is the
 * number of scans.  Helpers go from scan to scan after each job, in turn: a long query starves
 * nobody.
 */
#ifndef LOGQ_STORAGE_SCAN_POOL_H
#define LOGQ_STORAGE_SCAN_POOL_H

#include "base/err.h"

#include <stddef.h>

struct scan_pool;

enum { SCAN_POOL_SLOTS = 16 }; /* at most so many threads on one scan's jobs */

/* `threads` 0: as many as the machine has cores.  ERR_IO: no thread could be started. */
int scan_pool_new(unsigned threads, struct scan_pool **ret, struct err *err);
/* Nobody may be running anything in it. */
void scan_pool_free(struct scan_pool **pp);

/* Do job `job`.  `slot` < SCAN_POOL_SLOTS belongs to this thread until the job is done: what is
 * kept by slot needs no lock. */
typedef int scan_job_fn(void *arg, size_t job, unsigned slot, struct err *err);

/* Do jobs 0..n-1, and return when no thread is at them any more.  After one has failed no further
 * job begins; the failure of the first of them (by number) is returned.  `p` NULL: on this thread,
 * in order. */
int scan_pool_run(struct scan_pool *p, size_t n, scan_job_fn *fn, void *arg, struct err *err);

/* How many slots scan_pool_run may use: threads of the pool and the caller. */
unsigned scan_pool_slots(const struct scan_pool *p);

#endif
