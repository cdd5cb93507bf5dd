/*
 * query/check.h - what a query must obey beyond its grammar; and what is completed in its tree.
 *
 * The rules are Loki's, with their messages, and each failure has a place.  Paths of json are read
 * and patterns of stages compiled here, so that running a query cannot fail on its text.
 */
#ifndef LOGQ_QUERY_CHECK_H
#define LOGQ_QUERY_CHECK_H

#include "query/ast.h"

/* ERR_INVALID, or ERR_UNSUPPORTED for what is not built yet, with *at and a message without it;
 * ERR_LIMIT, ERR_NOMEM. */
int check_query(struct ast *a, struct place *at, struct err *err);

/* The same, but for what Loki looks at only when it runs a query: regular expressions and patterns
 * of line filters, ip(), paths of parsers, templates.  The tree may be printed, not run. */
int check_text(struct ast *a, struct place *at, struct err *err);

#endif
