/*
 * storage/store_head.c - all that is in memory and not in visible segments.  Contract:
 * store_internal.h.
 *
 * Three lists, each in WAL order, all of one before all of the next: what waits (late.h), what a
 * replay brought, and what came since the open.
 */
#include "base/mem.h"
#include "storage/store_internal.h"
#include "storage/wal.h"

#include <stdlib.h>
#include <string.h>

enum {
    LATE_DAYS_MAX = 4096,
    HEADS_OF_REPLAY = 4,
    STUCK_WALS = 4, /* so many times wal_bytes may be kept for days that cannot be written */
};

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
    size_t n_late;
    size_t n_old;
    size_t n_new;
    struct head_item *late = head_take(&s->late.list, tenant_id, pos, &n_late);
    struct head_item *old = head_take(&s->old, tenant_id, pos, &n_old);
    struct head_item *new = head_take(&s->head, tenant_id, pos, &n_new);

    *ret_n = n_late + n_old + n_new;
    return join(late, n_late, join(old, n_old, new, n_new), n_old + n_new);
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

    return s->replaying || head_has_day(&s->late.list, tenant_id, start) ||
           head_has_day(&s->old, tenant_id, start) || head_has_day(&s->head, tenant_id, start);
}

/* A head is 2 head_bytes at most.  What a replay brings comes on top: as much as a crash leaves
 * behind a flush fits without another one, and does not keep new records out.  All of it together
 * is 4 head_bytes at most, and the replay leaves one of them to new records. */
bool store_head_has_room(const struct store *s)
{
    size_t most = s->opt.head_bytes * (s->replaying || s->old.n != 0 ? HEADS_OF_REPLAY : 2);

    return s->head.bytes <= 2 * s->opt.head_bytes && store_head_bytes(s) <= most &&
           !store_late_is_over(s);
}

bool store_late_is_due(const struct store *s)
{
    const struct late *l = &s->late;

    return l->min_pos != UINT64_MAX &&
           (l->bytes > s->opt.late_bytes || l->days.n > LATE_DAYS_MAX + l->stuck.n ||
            time_mono() - l->oldest >= s->opt.late_age ||
            wal_behind(s->wal, l->min_pos) > s->opt.wal_bytes);
}

bool store_late_is_over(const struct store *s)
{
    const struct late *l = &s->late;

    return l->stuck_bytes > s->opt.head_bytes ||
           (l->stuck_pos != UINT64_MAX &&
            wal_behind(s->wal, l->stuck_pos) > STUCK_WALS * s->opt.wal_bytes);
}

uint64_t store_visible_of(struct store *s, uint64_t tenant_id, int32_t day)
{
    uint64_t ret;

    (void)pthread_mutex_lock(&s->mutex);
    ret = late_visible(&s->late, tenant_id, day, s->visible);
    (void)pthread_mutex_unlock(&s->mutex);
    return ret;
}

bool store_head_has_room_for_old(const struct store *s)
{
    size_t new = s->head.bytes > s->opt.head_bytes ? s->head.bytes : s->opt.head_bytes;

    /* One request may be larger than any head: with nothing to flush, only the replay goes on. */
    return s->old.n == 0 || s->old.bytes + new <= HEADS_OF_REPLAY * s->opt.head_bytes;
}

bool store_old_is_due(const struct store *s)
{
    return s->old.bytes > 2 * s->opt.head_bytes || !store_head_has_room_for_old(s);
}
