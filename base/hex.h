/*
 * base/hex.h - what a hex digit is worth, for those who resolve escapes.
 */
#ifndef LOGQ_BASE_HEX_H
#define LOGQ_BASE_HEX_H

/* 0..15 for a digit of either case; -1: it is none. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

#endif
