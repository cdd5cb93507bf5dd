/* storage/slot_distinct.c - see slot_distinct.h. */
#include "storage/slot_distinct.h"

#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

void slot_distinct_fini(struct slot_distinct *d)
{
    free(d->table);
    free(d->id);
    *d = (struct slot_distinct){.table = NULL};
}

size_t slot_distinct_open(struct slot_distinct *d, size_t n, size_t max)
{
    size_t places = 64;

    while (places < 2 * max)
        places *= 2;
    if (places > d->table_cap) {
        d->table = mem_grow(d->table, places * sizeof(*d->table));
        d->table_cap = places;
    }
    if (n > d->id_cap) {
        d->id = mem_grow(d->id, n * sizeof(*d->id));
        d->id_cap = n;
    }
    memset(d->table, 0, places * sizeof(*d->table));
    return places;
}

bool slot_distinct_may_repeat(size_t seen, size_t distinct, size_t n, size_t share)
{
    /* Of `seen` values drawn from n / share, about share / 2 * seen^2 / n come again; half of that
     * will do. */
    return (uint64_t)(seen - distinct) * n >= (uint64_t)seen * seen / 4 * share;
}
