/* query/arith.c - see arith.h. */
#include "query/arith.h"

#include "base/obj.h"

#include <math.h>

double arith_apply(enum token_kind op, double a, double b)
{
    if (op == TOKEN_ADD)
        return a + b;
    if (op == TOKEN_SUB)
        return a - b;
    if (op == TOKEN_MUL)
        return a * b;
    if (op == TOKEN_DIV)
        return b == 0 ? (double)NAN : a / b;
    if (op == TOKEN_MOD)
        return b == 0 ? (double)NAN : fmod(a, b);
    INVARIANT(op == TOKEN_POW);
    return pow(a, b);
}

bool arith_compare(enum token_kind op, double a, double b)
{
    if (op == TOKEN_CMP_EQ)
        return a == b;
    if (op == TOKEN_NEQ)
        return a != b;
    if (op == TOKEN_GT)
        return a > b;
    if (op == TOKEN_GTE)
        return a >= b;
    if (op == TOKEN_LT)
        return a < b;
    INVARIANT(op == TOKEN_LTE);
    return a <= b;
}
