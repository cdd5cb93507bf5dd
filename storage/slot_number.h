/*
 * storage/slot_number.h - n numbers in the bytes of a slot column, laid out for zstd to pack.
 *
 * The columns are compressed by zstd as a whole, so bits are not packed here: distances from the
 * least value, or from one value to the next, lie in byte planes (all lowest bytes, then all next
 * ones, ...), where equal and small ones are runs; only top bits that look random are packed.  Few
 * distinct numbers are a list of them and ids.  Format: docs/formats/slot.md.  All arithmetic is
 * modulo 2^64.
 */
#ifndef LOGQ_STORAGE_SLOT_NUMBER_H
#define LOGQ_STORAGE_SLOT_NUMBER_H

#include "base/arena.h"
#include "base/buf.h"
#include "storage/slot_distinct.h"
#include "storage/slot_weigh.h"

enum { SLOT_NUMBER_IDS_MAX = 1 << 16 }; /* distinct values of a dictionary */

/* ---- write: scratch memory, one thread; zeroed is ready ---- */

struct slot_number_key {
    uint64_t key;
    uint32_t id;
};
struct slot_number_encoder {
    uint64_t *scaled, *delta; /* of n values */
    size_t cap;
    struct slot_distinct distinct;
    struct slot_number_key *key, *spare; /* of distinct values */
    size_t key_cap;
    struct slot_scale scale;
};
void slot_number_encoder_fini(struct slot_number_encoder *e);

/* Append `n` > 0 values in the way that looks smallest; `small`: that is, among all that were
 * tried.
 */
void slot_number_put(struct slot_number_encoder *e, const uint64_t *v, size_t n, bool small,
                     struct buf *out);

/* Sort by key, equal keys in their old order; `spare` has room for n. */
void slot_number_sort(struct slot_number_key *key, struct slot_number_key *spare, size_t n);

/* ---- read ---- */

/* A column being read from front to back; plain data, borrows the bytes. */
struct slot_number {
    size_t n, next;            /* values in it; given out */
    unsigned mode, width, top; /* `top` bits above the planes; 0: none */
    const uint8_t *bytes;      /* planes, or ids */
    const uint8_t *packed;     /* top bits */
    uint64_t base, step, bias, last;
    const uint64_t *entry; /* dictionary; in the arena */
    size_t n_entries;
};
/* Take a column of `n` > 0 values off the front of *in.  ERR_CORRUPT, ERR_LIMIT, ERR_NOMEM. */
int slot_number_open(struct str *in, size_t n, struct arena *a, struct slot_number *ret,
                     struct err *err);
/* The next `m` <= n - next values.  ERR_CORRUPT. */
int slot_number_read(struct slot_number *c, size_t m, uint64_t *ret, struct err *err);

/* Value `i` < n of a column of `n` that is taken off the front of *in; adds to *passed how many
 * values were read on the way to it (none where distances are from the least value).  ERR_CORRUPT.
 */
int slot_number_pick(struct str *in, size_t n, size_t i, uint64_t *ret, size_t *passed,
                     struct err *err);
/* The sum of values [0, i) of a column of which nothing was read, and its value i < n; `passed` as
 * above.  ERR_CORRUPT. */
int slot_number_sum(struct slot_number *c, size_t i, uint64_t *sum, uint64_t *ret, size_t *passed,
                    struct err *err);

#endif
