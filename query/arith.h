/* query/arith.h - the binary operators on two numbers: shared by folding and evaluation. */
#ifndef LOGQ_QUERY_ARITH_H
#define LOGQ_QUERY_ARITH_H

#include "query/lex.h"

/* + - * / % ^.  Division and remainder by zero are NaN. */
double arith_apply(enum token_kind op, double a, double b);

/* == != > >= < <= */
bool arith_compare(enum token_kind op, double a, double b);

#endif
