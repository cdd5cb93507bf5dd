/*
 * storage/scan_tuple.h - the values of several fields of a line as one code.
 *
 * What one column may be by itself (slot_codes) several are not.  So a worker numbers the texts of
 * values as they come, from whatever column, and then pairs of such numbers, until one is left:
 * rows with the same values have the same code, in all blocks that it looks at.
 */
#ifndef LOGQ_STORAGE_SCAN_TUPLE_H
#define LOGQ_STORAGE_SCAN_TUPLE_H

#include "storage/scan_reduced.h"

#define SCAN_TUPLE_NONE UINT64_MAX /* there is no room for more numbers */

struct scan_tuple {
    const uint64_t *code; /* by rank */
    uint32_t **value;     /* of each part: numbers of texts, by rank */
    struct intern *texts; /* the worker's */
};

/* Of the lines of a template with more than one part.  In the block's arena. */
int scan_tuple_open(struct scan_block *b, size_t template, struct scan_reduced *red,
                    struct scan_tuple *ret, struct err *err);
/* The value of a part of a row whose code is not NONE. */
struct str scan_tuple_text(const struct scan_tuple *t, size_t part, size_t rank);

#endif
