/*
 * storage/line_nibble.h - literals in hex digits as they are packed, two in a byte.
 *
 * A literal of k digits begins in the high or in the low half of a byte: two strings of bytes, of
 * which the first or the last may count by half.  Two neighbouring bytes of such a string are
 * looked for in 32 places at a time (AVX2 where the CPU has it); what is found is compared as a
 * whole.  A pure function; any thread.
 */
#ifndef LOGQ_STORAGE_LINE_NIBBLE_H
#define LOGQ_STORAGE_LINE_NIBBLE_H

#include "storage/find.h"
#include "storage/slot.h"

enum { LINE_NIBBLE_MIN = 3 }; /* digits of a literal; shorter ones are found everywhere */

/* What byte i of the needle is as a digit; 16: none. */
unsigned line_nibble_of(const struct find *f, size_t i, bool upper);

/* Set bit i of `bits` for each of n values that holds the needle.  false: it is too short, or has
 * dashes, so that nothing was looked for. */
bool line_nibble_mark(const struct find *f, const struct slot_digits *d, size_t n, uint64_t *bits);

/* The same without AVX2. */
bool line_nibble_mark_portable(const struct find *f, const struct slot_digits *d, size_t n,
                               uint64_t *bits);

#endif
