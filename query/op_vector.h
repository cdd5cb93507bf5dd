/*
 * query/op_vector.h - operators on series: aggregations over series, and binary operators.
 *
 * Each step is on its own: a series takes part in it where it has a point.
 */
#ifndef LOGQ_QUERY_OP_VECTOR_H
#define LOGQ_QUERY_OP_VECTOR_H

#include "query/exec.h"
#include "query/series.h"

/* sum avg count max min stddev stdvar.  ERR_NOMEM, ERR_LIMIT, and what exec_tick says. */
int op_aggregate(struct exec *x, const struct ast_node *n, const struct matrix *in,
                 const struct steps *steps, struct matrix *ret, struct err *err);

/* topk bottomk approx_topk.  As the two below it works on the series of `in`, which are *ret's from
 * then on.  Also ERR_INVALID: approx_topk over a range. */
int op_topk(struct exec *x, const struct ast_node *n, struct matrix *in, const struct steps *steps,
            struct matrix *ret, struct err *err);
/* sort sort_desc: of instant queries. */
int op_sort(struct exec *x, const struct ast_node *n, struct matrix *in, const struct steps *steps,
            struct matrix *ret, struct err *err);

/* Also ERR_INVALID: two series would get the same labels, and have points at the same step. */
int op_label_replace(struct exec *x, const struct ast_node *n, struct matrix *in,
                     const struct steps *steps, struct matrix *ret, struct err *err);

/* Also ERR_INVALID: series of both sides cannot be paired. */
int op_binary(struct exec *x, const struct ast_node *n, const struct matrix sides[2],
              const struct steps *steps, struct matrix *ret, struct err *err);

#endif
