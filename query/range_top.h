/*
 * query/range_top.h - groups of a count, of which the greatest or the least few become series.
 *
 * For `topk(10, sum by (path) (count_over_time(...)))`: there may be hundreds of thousands of
 * paths, and none but ten are ever shown.  A group is its labels' values and a number, so that all
 * of them fit where their series would not; which are the best is exact, equal ones by their labels
 * as in op_topk.c.
 */
#ifndef LOGQ_QUERY_RANGE_TOP_H
#define LOGQ_QUERY_RANGE_TOP_H

#include "base/labels.h"
#include "query/ast.h"
#include "storage/scan.h"

struct range_top; /* one thread at a time */

/* Groups by these names, borrowed until _free; `bytes`: of lines, too.  NULL: they are too many. */
struct range_top *range_top_new(struct mem_budget *budget, const struct ast_name *names,
                                bool bytes);
void range_top_free(struct range_top **pt);
/* Forget all groups. */
void range_top_clear(struct range_top *t);

/* The cells (one bucket) of the group that the labels belong to.  ERR_NOMEM. */
int range_top_find(struct range_top *t, const struct labels *l, struct scan_cells **ret,
                   struct err *err);

/* All rows together. */
uint64_t range_top_rows(const struct range_top *t);

/* Tell the best, at most `k`, by bytes or else by rows: labels (valid during the call) and cells.
 * Non-zero ends it and is returned; ERR_NOMEM. */
typedef int range_top_fn(void *arg, const struct labels *l, const struct scan_cells *cells,
                         struct err *err);
struct range_top_ask {
    size_t k;
    bool smallest;
    range_top_fn *fn;
    void *arg;
};
int range_top_best(struct range_top *t, const struct range_top_ask *ask, struct err *err);

#endif
