/*
 * storage/head.c - the list of durable batches.  Contract: head.h.
 *
 * A ring, because batches come at one end and a flush takes them off the other.
 *
 * Invariants
 *   (1) items stand in ascending wal_pos;
 *   (2) bytes and records are the sums over the items.
 */
#include "storage/head.h"

#include "base/mem.h"
#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

static struct head_item *item_at(const struct head *h, size_t i)
{
    return &h->items[(h->first + i) % h->cap];
}

static void grow(struct head *h)
{
    size_t cap = h->cap == 0 ? 64 : h->cap * 2;
    struct head_item *items = mem_new(cap * sizeof(*items));

    for (size_t i = 0; i < h->n; i++)
        items[i] = *item_at(h, i);
    free(h->items);
    h->items = items;
    h->cap = cap;
    h->first = 0;
}

void head_init(struct head *h)
{
    memset(h, 0, sizeof(*h));
}

void head_fini(struct head *h)
{
    for (size_t i = 0; i < h->n; i++)
        batch_unref(&item_at(h, i)->batch);
    free(h->items);
    head_init(h);
}

void head_add(struct head *h, struct batch *batch, uint64_t tenant_id, uint64_t wal_pos,
              ts_ns received)
{
    struct head_item it = {
        .batch = batch,
        .tenant_id = tenant_id,
        .wal_pos = wal_pos,
        .received = received,
        .since = time_mono(),
        .held = batch_held(batch),
    };

    head_put(h, &it);
}

void head_put(struct head *h, const struct head_item *item)
{
    INVARIANT(h->n == 0 || item_at(h, h->n - 1)->wal_pos <= item->wal_pos); /* keeps (1) */
    if (h->n == h->cap)
        grow(h);
    h->n++;
    *item_at(h, h->n - 1) = *item;
    h->bytes += item->held;
    h->records += item->batch->n_records;
}

dur_ns head_oldest(const struct head *h)
{
    return h->n == 0 ? 0 : item_at(h, 0)->since;
}

/* How many items stand at or before `pos`. */
static size_t count_to(const struct head *h, uint64_t pos)
{
    size_t n = 0;

    while (n < h->n && item_at(h, n)->wal_pos <= pos)
        n++;
    return n;
}

struct head_item *head_take(const struct head *h, const uint64_t *tenant_id, uint64_t pos,
                            size_t *ret_n)
{
    size_t most = count_to(h, pos);
    struct head_item *ret = NULL;
    size_t n = 0;

    *ret_n = 0;
    if (most == 0)
        return NULL;
    ret = mem_new(most * sizeof(*ret));
    for (size_t i = 0; i < most; i++) {
        const struct head_item *it = item_at(h, i);
        if (tenant_id != NULL && it->tenant_id != *tenant_id)
            continue;
        ret[n] = *it;
        (void)batch_ref(ret[n++].batch);
    }
    if (n == 0) {
        free(ret);
        return NULL;
    }
    *ret_n = n;
    return ret;
}

void head_release(struct head_item **items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        batch_unref(&(*items)[i].batch);
    free(*items);
    *items = NULL;
}

bool head_has_day(const struct head *h, uint64_t tenant_id, ts_ns start)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct head_item *it = item_at(h, i);
        if (it->tenant_id == tenant_id && it->batch->max_ts >= start &&
            it->batch->min_ts - start < NS_PER_DAY)
            return true;
    }
    return false;
}

struct head_item *head_drop(struct head *h, uint64_t pos, size_t *ret_n)
{
    size_t n = count_to(h, pos);
    struct head_item *ret = n == 0 ? NULL : mem_new(n * sizeof(*ret));

    for (size_t i = 0; i < n; i++) {
        ret[i] = *item_at(h, i);
        h->bytes -= ret[i].held;
        h->records -= ret[i].batch->n_records;
    }
    if (n != 0) {
        h->first = (h->first + n) % h->cap;
        h->n -= n;
    }
    *ret_n = n;
    return ret;
}
