/*
 * query/distinct.h - which values a run has seen already, for the stage `dedup`.
 *
 * The values themselves are kept, not hashes: a line is never left out for one that only looks like
 * it.  Their memory is charged to the budget of the run.  One thread.
 */
#ifndef LOGQ_QUERY_DISTINCT_H
#define LOGQ_QUERY_DISTINCT_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct distinct;

/* `budget` (may be NULL) is borrowed until distinct_free. */
struct distinct *distinct_new(struct mem_budget *budget);
void distinct_free(struct distinct **pd);

/* The same with `max_bytes` of its own, for more than one run. */
struct distinct *distinct_new_own(size_t max_bytes);

/* 1: `key` comes for the first time; 0: it was there; ERR_NOMEM. */
int distinct_first(struct distinct *d, struct str key, struct err *err);

#endif
