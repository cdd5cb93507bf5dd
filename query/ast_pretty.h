/*
 * query/ast_pretty.h - a query as people lay it out.
 *
 * What fits in 100 bytes stands in one line, as ast_print writes it; anything longer is broken into
 * its parts, which stand below each other, two blanks further in for each level.  Parses to an
 * equal tree and prints the same again.
 */
#ifndef LOGQ_QUERY_AST_PRETTY_H
#define LOGQ_QUERY_AST_PRETTY_H

#include "query/ast.h"

void ast_pretty(const struct ast_node *n, struct buf *out);

#endif
