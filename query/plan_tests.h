/*
 * query/plan_tests.h - label filters as conditions that the scan puts to columns.
 *
 * A condition only leaves out records that the filter would drop.  Where the scan is sure that a
 * record passes all of them, filters that were turned into conditions as a whole need not be asked
 * again (ast_stage.tested).
 */
#ifndef LOGQ_QUERY_PLAN_TESTS_H
#define LOGQ_QUERY_PLAN_TESTS_H

#include "query/plan.h"

/* Fill the conditions of l->plan.  ERR_LIMIT, ERR_NOMEM. */
int plan_tests(struct ast *a, struct ast_log *l, struct err *err);

/* What the stage is to the scan; NONE: no parser, or one that the scan does not know. */
enum scan_parser plan_parser_of(const struct ast_stage *s);

/* Is `label` after `stages` what it was in the stream, the attributes or the line?  Not if a stage
 * drops it, or if it may be one of those that were renamed. */
bool plan_is_untouched(const struct ast_stage *stages, const struct ast_stage *end,
                       struct str label);

/* Does the filter look at the label? */
bool plan_filter_names(const struct ast_filter *f, struct str label);

/* scan_request.names, as the parsers name their labels; `__` stands for all that begin so. */
bool plan_names(enum scan_parser parser, struct str path, struct str label);

#endif
