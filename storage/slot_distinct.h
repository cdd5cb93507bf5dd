/*
 * storage/slot_distinct.h - the distinct ones among n values: a hash table, and the number of each
 * value.  What a value is, is the user's business.  Scratch memory, one thread; zeroed is ready.
 */
#ifndef LOGQ_STORAGE_SLOT_DISTINCT_H
#define LOGQ_STORAGE_SLOT_DISTINCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slot_distinct {
    uint32_t *table; /* number + 1; 0: free */
    uint32_t *id;    /* number of each value */
    size_t table_cap, id_cap;
};
void slot_distinct_fini(struct slot_distinct *d);

/* Room for n values of which up to `max` differ; returns how many places the table has, a power of
 * two and all free. */
size_t slot_distinct_open(struct slot_distinct *d, size_t n, size_t max);

/* After `seen` of n values with `distinct` different ones: may all of them be n / share or fewer?
 */
bool slot_distinct_may_repeat(size_t seen, size_t distinct, size_t n, size_t share);

#endif
