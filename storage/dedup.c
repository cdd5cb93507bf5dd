/*
 * storage/dedup.c - a window of chunk identities.  Contract: dedup.h.
 *
 * A ring in order of coming, and a map from key to place.  Times come from store_receive_time and
 * so never step back in the ring: what leaves is always at its front.
 *
 * Invariants
 *   (1) the map holds exactly the keys in the ring.
 */
#include "storage/dedup.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/crypt.h"

#include <stdlib.h>
#include <string.h>

struct dedup {
    unsigned magic;
#define DEDUP_MAGIC 0xdedb3f21u
    size_t max;
    struct dedup_entry *ring; /* cap entries; number i stands at i % cap */
    size_t cap;
    uint64_t first, next;
    struct map *keys; /* owned; the values mean nothing */
};

static char present;

struct dedup *dedup_new(size_t max_entries)
{
    struct dedup *d = mem_new(sizeof(*d));

    d->magic = DEDUP_MAGIC;
    d->max = max_entries == 0 ? DEDUP_MAX : max_entries;
    d->keys = map_new(0, NULL);
    return d;
}

void dedup_free(struct dedup **pd)
{
    struct dedup *d = *pd;

    if (d == NULL)
        return;
    OBJ_CHECK(d, DEDUP_MAGIC);
    map_free(&d->keys);
    free(d->ring);
    d->magic = 0;
    free(d);
    *pd = NULL;
}

static struct str key_str(const uint8_t key[DEDUP_KEY])
{
    return (struct str){(const char *)key, DEDUP_KEY};
}

static void drop_first(struct dedup *d)
{
    (void)map_remove(d->keys, key_str(d->ring[d->first % d->cap].key)); /* is there by (1) */
    d->first++;
}

void dedup_clear(struct dedup *d)
{
    OBJ_CHECK(d, DEDUP_MAGIC);
    while (d->first < d->next)
        drop_first(d);
}

void dedup_key(struct str identity, uint8_t ret[DEDUP_KEY])
{
    uint8_t sum[CRYPT_SHA256];

    crypt_sha256(&identity, 1, sum);
    memcpy(ret, sum, DEDUP_KEY);
}

bool dedup_has(const struct dedup *d, const uint8_t key[DEDUP_KEY])
{
    OBJ_CHECK(d, DEDUP_MAGIC);
    return map_get(d->keys, key_str(key)) != NULL;
}

static void grow(struct dedup *d)
{
    size_t cap = d->cap == 0 ? 256 : d->cap * 2;
    struct dedup_entry *ring = mem_new(cap * sizeof(*ring));

    for (uint64_t i = d->first; i < d->next; i++)
        ring[i % cap] = d->ring[i % d->cap];
    free(d->ring);
    d->ring = ring;
    d->cap = cap;
}

void dedup_add(struct dedup *d, const struct dedup_entry *e)
{
    OBJ_CHECK(d, DEDUP_MAGIC);
    while (d->first < d->next && (d->next - d->first >= d->max ||
                                  d->ring[d->first % d->cap].when < e->when - DEDUP_WINDOW))
        drop_first(d);
    if (dedup_has(d, e->key))
        return;
    if (d->next - d->first == d->cap)
        grow(d);
    d->ring[d->next % d->cap] = *e;
    d->next++;
    INVARIANT(map_put(d->keys, key_str(e->key), &present)); /* keeps (1) */
}

uint64_t dedup_first(const struct dedup *d)
{
    return d->first;
}

uint64_t dedup_next(const struct dedup *d)
{
    return d->next;
}

struct dedup_entry *dedup_since(const struct dedup *d, uint64_t from, size_t *ret_n)
{
    struct dedup_entry *ret;
    uint64_t at = from < d->first ? d->first : from;

    OBJ_CHECK(d, DEDUP_MAGIC);
    *ret_n = at < d->next ? (size_t)(d->next - at) : 0;
    if (*ret_n == 0)
        return NULL;
    ret = mem_new(*ret_n * sizeof(*ret));
    for (size_t i = 0; i < *ret_n; i++)
        ret[i] = d->ring[(at + i) % d->cap];
    return ret;
}

void dedup_start_at(struct dedup *d, uint64_t number)
{
    INVARIANT(d->first == d->next);
    d->first = d->next = number;
}
