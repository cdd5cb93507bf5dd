/* base/regexp_cost.h - how large a regular expression will be, told before it is compiled. */
#ifndef LOGQ_BASE_REGEXP_COST_H
#define LOGQ_BASE_REGEXP_COST_H

#include "base/str.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One is about what a plain character takes to compile, some 100 ns.  A whole alternation of 64 KiB
 * is within it. */
enum { REGEXP_COST_MAX = 100000, REGEXP_COST_DEPTH = 250 };

/* An estimate for a pattern of RE2's syntax, not less than the truth by an order of magnitude; at
 * most REGEXP_COST_MAX + 1, which also stands for groups nested deeper than REGEXP_COST_DEPTH. What
 * is no pattern has some cost, too.  Pure, linear. */
uint32_t regexp_cost(struct str pattern);

/* How many groups of a pattern keep what they match: what regexp_captures says once it is compiled.
 * No more than `max` are counted.  Of a pattern that does not compile it is some number.  Pure,
 * linear. */
size_t regexp_groups(struct str pattern, size_t max);

/* Where the class whose bracket is at `at` ends; the end of the pattern if it does not.  *unended:
 * false before the first class of a pattern, from then on what the call before left there, so that
 * all calls for a pattern are linear together.  Pure. */
size_t regexp_class_end(struct str pattern, size_t at, bool *unended);

#ifdef __cplusplus
}
#endif

#endif
