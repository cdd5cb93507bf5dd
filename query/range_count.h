/*
 * query/range_count.h - range aggregations that the scan counts, adds up or gathers by columns.
 */
#ifndef LOGQ_QUERY_RANGE_COUNT_H
#define LOGQ_QUERY_RANGE_COUNT_H

#include "query/range_run.h"

/* Fill the cells of `run` for all of `scan`, which is completed, without records.  1: records are
 * needed, as `scan` then says; nothing was counted.  Errors as scan_count. */
int range_count(struct range_run *run, struct exec_scan *scan, struct err *err);

#endif
