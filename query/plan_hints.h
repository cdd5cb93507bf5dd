/* query/plan_hints.h - text that a line must hold to pass a filter that the scan cannot do. */
#ifndef LOGQ_QUERY_PLAN_HINTS_H
#define LOGQ_QUERY_PLAN_HINTS_H

#include "query/ast.h"
#include "storage/scan.h"

/* May the scan pass over lines without some text, though `s`, a line filter, must still look at the
 * others?  1: *ret is such a filter, of one text for each of its arguments; 0: nothing can be said;
 * ERR_NOMEM, ERR_LIMIT. */
int plan_hint(struct ast *a, const struct ast_stage *s, struct scan_filter *ret, struct err *err);

#endif
