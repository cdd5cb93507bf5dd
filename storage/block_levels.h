/*
 * storage/block_levels.h - the values of attribute detected_level in a block, as small numbers.
 *
 *     varint count, then each: varint length + 1 (0: the attribute is absent), value
 *
 * What rollup and census begin with.
 */
#ifndef LOGQ_STORAGE_BLOCK_LEVELS_H
#define LOGQ_STORAGE_BLOCK_LEVELS_H

#include "storage/block.h"

struct block_levels {
    struct str v[BLOCK_LEVELS_MAX]; /* p == NULL: the attribute is absent; borrowed from the rows */
    size_t n;
};

/* The number of a row's level, a new one where it was not met yet; `guess` may be it.  UINT32_MAX:
 * there are too many. */
uint32_t block_levels_number(struct block_levels *l, const struct block_row *row, uint32_t guess);

void block_levels_put(struct buf *out, const struct block_levels *l);

/* Take them off the front of *in: `*ret` of `*ret_n` values, in `a`.  ERR_CORRUPT, ERR_NOMEM. */
int block_levels_take(struct str *in, struct arena *a, struct str **ret, size_t *ret_n,
                      struct err *err);

#endif
