/* query/plan_wanted.h - which labels a range aggregation asks parsers for. */
#ifndef LOGQ_QUERY_PLAN_WANTED_H
#define LOGQ_QUERY_PLAN_WANTED_H

#include "query/ast.h"

/* Fill in the labels that the range aggregation `n` wants, its samples grouped by `g` (NULL: by all
 * labels), and mark the parsers of which it wants none as skipped.  ERR_LIMIT, ERR_NOMEM. */
int plan_wanted(struct ast *a, struct ast_node *n, const struct ast_grouping *g, struct err *err);

#endif
