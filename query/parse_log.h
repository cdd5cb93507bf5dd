/* query/parse_log.h - parsing selectors, pipelines and log ranges. */
#ifndef LOGQ_QUERY_PARSE_LOG_H
#define LOGQ_QUERY_PARSE_LOG_H

#include "query/parse.h"

/* {matchers} stages, from the brace in hand on. */
int parse_log_query(struct parser *p, struct ast_log **ret);

/* What a range aggregation takes: selector, stages, unwrap, [range] and offset in any of their
 * orders, parentheses around it. */
int parse_log_range(struct parser *p, struct ast_log **ret);

#endif
