/*
 * query/pieces.h - a range aggregation, in pieces of which some are known from before.
 *
 * The steps are cut at full quarters of an hour, hours or days.  Of a piece whose time is stored
 * and has not changed the series are kept (query_cache.h): of those at the ends too, which the same
 * question asked by many at once needs.  What lies between known pieces is evaluated in one go.
 * What another run is evaluating just now is waited for instead, as long as that is allowed.
 */
#ifndef LOGQ_QUERY_PIECES_H
#define LOGQ_QUERY_PIECES_H

#include "query/exec.h"
#include "query/series.h"

/* As op_range, of a range aggregation or the sum that is fused with one. */
int pieces_range(struct exec *x, const struct ast_node *n, const struct steps *steps,
                 struct matrix *ret, struct err *err);

#endif
