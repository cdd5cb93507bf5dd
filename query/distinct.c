/* query/distinct.c - see distinct.h. */
#include "query/distinct.h"

#include "base/map.h"
#include "base/obj.h"

#include <stdlib.h>

/* What the map needs for an entry besides the bytes of its key, at most. */
enum { ENTRY_BYTES = 128 };

struct distinct {
    unsigned magic;
#define DISTINCT_MAGIC 0x3d9e57b1u
    struct map *seen;          /* owned; to the object itself, there is no value */
    struct mem_budget *budget; /* or NULL */
    struct mem_budget own;     /* what it may be */
    size_t charged;
};

struct distinct *distinct_new(struct mem_budget *budget)
{
    struct distinct *d = mem_new(sizeof(*d));

    d->magic = DISTINCT_MAGIC;
    d->budget = budget;
    d->seen = map_new(0, NULL);
    return d;
}

struct distinct *distinct_new_own(size_t max_bytes)
{
    struct distinct *d = distinct_new(NULL);

    d->own = (struct mem_budget){.name = "dedup", .limit = max_bytes};
    d->budget = &d->own;
    return d;
}

void distinct_free(struct distinct **pd)
{
    struct distinct *d = *pd;

    *pd = NULL;
    if (d == NULL)
        return;
    OBJ_CHECK(d, DISTINCT_MAGIC);
    map_free(&d->seen);
    mem_budget_give(d->budget, d->charged);
    d->magic = 0;
    free(d);
}

int distinct_first(struct distinct *d, struct str key, struct err *err)
{
    size_t bytes = key.n + ENTRY_BYTES;
    int r;

    OBJ_CHECK(d, DISTINCT_MAGIC);
    if (map_get(d->seen, key) != NULL)
        return 0;
    r = mem_budget_take(d->budget, bytes, err); /* without a budget nothing */
    if (r < 0)
        return r;
    d->charged += bytes;
    (void)map_put(d->seen, key, d); /* there is no limit */
    return 1;
}
