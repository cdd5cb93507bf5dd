/*
 * storage/store_head.c - all that is in memory and not in visible segments.  Contract:
 * store_internal.h.
 *
 * Two lists, each in WAL order, all of the first before all of the second: what a replay brought,
 * and what came since the open.
 */
#include "base/mem.h"
#include "storage/store_internal.h"

#include <stdlib.h>
#include <string.h>

/* Two arrays of items into one; takes both. */
static struct head_item *join(struct head_item *a, size_t n_a, struct head_item *b, size_t n_b)
{
    struct head_item *all;

    if (n_a == 0 || n_b == 0)
        return n_a == 0 ? b : a;
    all = mem_grow(a, (n_a + n_b) * sizeof(*all));
    memcpy(all + n_a, b, n_b * sizeof(*all));
    free(b);
    return all;
}

struct head_item *store_head_take(const struct store *s, const uint64_t *tenant_id, uint64_t pos,
                                  size_t *ret_n)
{
    size_t n_old;
    size_t n_new;
    struct head_item *old = head_take(&s->old, tenant_id, pos, &n_old);
    struct head_item *new = head_take(&s->head, tenant_id, pos, &n_new);

    *ret_n = n_old + n_new;
    return join(old, n_old, new, n_new);
}

struct head_item *store_head_drop(struct store *s, uint64_t pos, size_t *ret_n)
{
    size_t n_old;
    size_t n_new;
    struct head_item *old = head_drop(&s->old, pos, &n_old);
    struct head_item *new = head_drop(&s->head, pos, &n_new);

    *ret_n = n_old + n_new;
    return join(old, n_old, new, n_new);
}

size_t store_head_bytes(const struct store *s)
{
    return s->old.bytes + s->head.bytes;
}

bool store_head_has_day(const struct store *s, uint64_t tenant_id, int32_t day)
{
    ts_ns start = time_of_day(day);

    return s->replaying || head_has_day(&s->old, tenant_id, start) ||
           head_has_day(&s->head, tenant_id, start);
}

/* While a replay is under way what it brings has a bound of its own: else what was in memory when
 * the process died would keep new records out. */
bool store_head_has_room(const struct store *s)
{
    return (s->replaying ? s->head.bytes : store_head_bytes(s)) <= 2 * s->opt.head_bytes;
}

bool store_head_has_room_for_old(const struct store *s)
{
    return s->old.bytes <= 2 * s->opt.head_bytes;
}
