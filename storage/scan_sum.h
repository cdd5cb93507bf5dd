/*
 * storage/scan_sum.h - the numbers of a block's rows, for sums over values.
 */
#ifndef LOGQ_STORAGE_SCAN_SUM_H
#define LOGQ_STORAGE_SCAN_SUM_H

#include "storage/scan_internal.h"

/* By place in the layout; bits as those of a selection. */
struct scan_numbers {
    double *v;
    uint64_t *has;    /* v holds the row's number */
    uint64_t *unsure; /* that is not told here */
};

/* Of the rows that are selected.  Everything is in the block's arena. */
int scan_numbers_read(struct scan_selection *s, const struct scan_value *value,
                      struct scan_numbers *ret, struct err *err);

static inline bool scan_bit(const uint64_t *bits, size_t at)
{
    return (bits[at / 64] >> (at % 64) & 1) != 0;
}

#endif
