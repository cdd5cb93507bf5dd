/*
 * query/source_batch.h - records of one batch in memory as what a run reads from (struct source).
 *
 * For records that have just become durable: a follower runs its query on each batch that comes.
 * Conditions of the request (label filters) are left to the run's own stages.
 */
#ifndef LOGQ_QUERY_SOURCE_BATCH_H
#define LOGQ_QUERY_SOURCE_BATCH_H

#include "query/exec.h"

/* `b` is borrowed, read only, as long as the source is used.  Counting is not offered. */
struct source source_batch(const struct batch *b);

#endif
