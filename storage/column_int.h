/*
 * storage/column_int.h - whole numbers of one column, made small and quick to read.
 *
 *     u8 kind (low 4 bits) and decimal scale (high 4 bits: values were divided by 10^(3 * scale))
 *     CONST  one zigzag varint
 *     FOR    groups of up to 128 values: {zigzag varint base, u8 width, (value - base) in `width`
 * bits each} DELTA  one zigzag varint (the first value), then groups as above over the differences
 *     RUNS   varint count of runs, then their values and their lengths, each a column
 *
 * Packed bits are little-endian, a group ends on a byte.  The number of values is not stored: the
 * reader knows it.  All arithmetic is modulo 2^64, so every 64-bit value comes back, signed or not.
 * Pure functions.
 */
#ifndef LOGQ_STORAGE_COLUMN_INT_H
#define LOGQ_STORAGE_COLUMN_INT_H

#include "base/buf.h"

/* Append `n` values in whichever way is smallest; ask buf_err when all is written. */
void column_int_encode(struct buf *b, const uint64_t *v, size_t n);

/* Take a column of `n` values off the front of *in.  Hostile bytes end in ERR_CORRUPT. */
int column_int_decode(struct str *in, size_t n, uint64_t *ret, struct err *err);

#endif
