/*
 * storage/id_page.h - some keys of some blocks, small, and asked without unpacking.
 *
 * A page holds pairs (place of a key, block).  The place is its bucket, of which there are as many
 * as pairs, and a few bits more, which share a number of fixed width with the block: about two bits
 * for the bucket (in unary) and that width are all that a pair takes.  The answer "may be in these
 * blocks" is never wrong when it says no; a key that is nowhere hits one block in 2^width, times
 * blocks, by chance.  Bytes: docs/formats/segment.md, "Id filter".
 */
#ifndef LOGQ_STORAGE_ID_PAGE_H
#define LOGQ_STORAGE_ID_PAGE_H

#include "base/buf.h"

#include <stdint.h>

enum {
    ID_PAGE_BLOCKS = 256,   /* at most */
    ID_PAGE_WIDTH_MAX = 10, /* bits */
    ID_PAGE_PAIRS = 1 << 22,
};

/* A set of blocks of a group. */
struct id_blocks {
    uint64_t bits[ID_PAGE_BLOCKS / 64];
};

/* A pair: where its key lies among those of the page, as a fraction of 2^32. */
struct id_pair {
    uint32_t place;
    uint32_t block; /* below n_blocks */
};

/* A page of pairs, in any order, below ID_PAGE_PAIRS. */
struct id_page {
    const struct id_pair *pairs;
    size_t n;
    unsigned n_blocks;
    unsigned width; /* up to ID_PAGE_WIDTH_MAX; more where there are more blocks than it can tell */
};
/* Append it; `scratch` has room for 2 n. */
void id_page_put(struct buf *b, const struct id_page *page, uint32_t *scratch);

/* Add the blocks that may have the key to *hits.  ERR_CORRUPT. */
int id_page_ask(struct str page, unsigned n_blocks, uint32_t place, struct id_blocks *hits,
                struct err *err);

/* Is every byte of it as id_page_put leaves it?  *ret_pairs: how many it has.  ERR_CORRUPT. */
int id_page_check(struct str page, unsigned n_blocks, uint64_t *ret_pairs, struct err *err);

#endif
