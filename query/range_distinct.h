/*
 * query/range_distinct.h - count_distinct_over_time from rows that the scan counted by value.
 *
 * A value is in a range if there is a row of it between two edges (sums.h) that the range covers:
 * so each value needs its rows by stretch, and no sample by itself.
 */
#ifndef LOGQ_QUERY_RANGE_DISTINCT_H
#define LOGQ_QUERY_RANGE_DISTINCT_H

#include "query/exec.h"
#include "query/series.h"
#include "query/sums.h"

struct range_values; /* of one run; one thread at a time */

/* For so many stretches.  What it holds is charged to `budget`, which must outlive it: at most
 * `max_bytes`. */
struct range_values *range_values_new(struct mem_budget *budget, size_t n_stretches,
                                      size_t max_bytes);
void range_values_free(struct range_values **pv);

/* One value of a series, from whatever rows: there may be more of the same. */
struct range_value {
    struct range_value *next; /* of the series */
    double id;
    struct scan_cells cells;
};
/* One more in front of *list, with rows by stretch.  ERR_NOMEM, ERR_LIMIT. */
int range_values_add(struct range_values *v, double id, struct range_value **list, struct err *err);

/* Set the points of `out`, which has none, from the values of one series; *rows: those that are in
 * a range.  ERR_NOMEM, and as exec_tick. */
int range_values_slide(const struct sums_query *q, struct range_value *list, struct exec *x,
                       struct series *out, uint64_t *rows, struct err *err);

#endif
