/*
 * query/op_range.h - range aggregations: log lines in, series over the steps out.
 *
 * At a step T the range is (T - range - offset, T - offset].  Records are read once for all steps.
 * What only adds up is counted where a sample enters the ranges and where it has left them, in any
 * order; for the rest records come in order and each series keeps the samples its range covers.
 */
#ifndef LOGQ_QUERY_OP_RANGE_H
#define LOGQ_QUERY_OP_RANGE_H

#include "query/exec.h"
#include "query/series.h"

/* Evaluate the range aggregation `n`.  `grouping`: labels of the series (NULL: all labels that the
 * pipeline leaves).  ERR_INVALID: a line that a stage could not read reached the aggregation. */
int op_range(struct exec *x, const struct ast_node *n, const struct ast_grouping *grouping,
             const struct steps *steps, struct matrix *ret, struct err *err);

/* The same for who wants no more than the `k` series with the greatest (smallest) values of each
 * step, equal ones in the order of their labels: it may give those alone, or all. */
struct op_range_best {
    const struct ast_grouping *grouping;
    size_t k;
    bool smallest;
};
int op_range_best(struct exec *x, const struct ast_node *n, const struct op_range_best *best,
                  const struct steps *steps, struct matrix *ret, struct err *err);

#endif
