/* query/parse_filter.h - parsing label filters. */
#ifndef LOGQ_QUERY_PARSE_FILTER_H
#define LOGQ_QUERY_PARSE_FILTER_H

#include "query/parse.h"

/* From the name or parenthesis in hand on. */
int parse_filter(struct parser *p, struct ast_filter **ret);

/* ( "=" | "!=" | "=~" | "!~" ) STRING behind `name`; *at gets the place of the string.  A regular
 * expression is left to check. */
int parse_filter_matcher(struct parser *p, struct str name, struct matcher *ret, struct place *at);

#endif
