/*
 * storage/varint.h - unsigned numbers in 7-bit groups, lowest first, and signed ones folded into
 * them.
 */
#ifndef LOGQ_STORAGE_VARINT_H
#define LOGQ_STORAGE_VARINT_H

#include "base/buf.h"

#include <stdint.h>

static inline void varint_put(struct buf *b, uint64_t v)
{
    char text[10];
    size_t n = 0;

    while (v >= 0x80) {
        text[n++] = (char)(v | 0x80);
        v >>= 7;
    }
    text[n++] = (char)v;
    buf_add(b, text, n);
}

/* Take one off the front of *in; false when it does not end in there or does not fit 64 bits. */
static inline bool varint_get(struct str *in, uint64_t *ret)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < 10 && i < in->n; i++) {
        uint64_t c = (uint8_t)in->p[i];
        if (i == 9 && c > 1)
            return false;
        v |= (c & 0x7f) << (7 * i);
        if (c < 0x80) {
            in->p += i + 1;
            in->n -= i + 1;
            *ret = v;
            return true;
        }
    }
    return false;
}

/* -1 -> 1, 1 -> 2, -2 -> 3: near zero is small. */
static inline uint64_t zigzag(uint64_t v)
{
    return v << 1 ^ (0 - (v >> 63));
}

static inline uint64_t unzigzag(uint64_t v)
{
    return v >> 1 ^ (0 - (v & 1));
}

#endif
