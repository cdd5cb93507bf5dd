/*
 * query/plan_share.h - which parts of a metric query ask the store the same.
 *
 * `errors / (errors + others)` need not count the errors twice.  What reads records, a range
 * aggregation or a sum that is fused with one, is compared by its canonical text.
 */
#ifndef LOGQ_QUERY_PLAN_SHARE_H
#define LOGQ_QUERY_PLAN_SHARE_H

#include "query/ast.h"

/* Number what is there more than once: sets `share` of nodes, n_shared and share_uses of the tree,
 * after plan has fused.  ERR_NOMEM, ERR_LIMIT. */
int plan_share(struct ast *a, struct err *err);

#endif
