/*
 * storage/partition_retire.c - pins, and files that wait for them.  Contract: partition_cache.h.
 *
 * One counter for all partitions, not one each: a view opens its days one after another and may
 * come late, so it has to be known from its making on, before it names any of them.
 *
 * Invariants
 *   (1) a file that a pin of its epoch or before may read is not removed;
 *   (2) neither mutex is held across the removal, but where a partition is being opened.
 */
#include "base/obj.h"
#include "storage/catalog.h"
#include "storage/objstore.h"
#include "storage/partition_cache.h"
#include "storage/partition_internal.h"

#include <string.h>

static bool is_same(const struct partition_pin *a, const struct partition_pin *b)
{
    return a->epoch == b->epoch && a->tenant_id == b->tenant_id && a->visible == b->visible;
}

struct partition_pin partition_cache_pin(struct partition_cache *c, uint64_t tenant_id,
                                         uint64_t visible)
{
    struct partition_pins fresh = {.n = 1};
    struct partition_pins *at;

    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    fresh.pin = (struct partition_pin){c->epoch, tenant_id, visible};
    VEC_EACH(&c->pins, at) {
        if (is_same(&at->pin, &fresh.pin))
            break;
    }
    if (at != NULL && at < c->pins.p + c->pins.n)
        at->n++;
    else
        VEC_PUSH(&c->pins, fresh);
    (void)pthread_mutex_unlock(&c->mutex);
    return fresh.pin;
}

void partition_cache_unpin(struct partition_cache *c, const struct partition_pin *pin)
{
    bool found = false;

    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    for (size_t i = 0; !found && i < c->pins.n; i++) {
        struct partition_pins *at = &c->pins.p[i];
        found = is_same(&at->pin, pin);
        if (found && --at->n == 0)
            VEC_REMOVE(&c->pins, i);
    }
    (void)pthread_mutex_unlock(&c->mutex);
    INVARIANT(found);
}

uint64_t partition_cache_horizon(struct partition_cache *c, uint64_t tenant_id)
{
    const struct partition_pins *at;
    uint64_t ret = UINT64_MAX;

    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    VEC_EACH(&c->pins, at) {
        if (at->pin.tenant_id == 0 || at->pin.tenant_id == tenant_id)
            ret = at->pin.visible < ret ? at->pin.visible : ret;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return ret;
}

/* ---- files ---- */

/* Under the cache's mutex. */
static uint64_t oldest_pin(const struct partition_cache *c)
{
    const struct partition_pins *at;
    uint64_t ret = UINT64_MAX;

    VEC_EACH(&c->pins, at) {
        ret = at->pin.epoch < ret ? at->pin.epoch : ret;
    }
    return ret;
}

/* Under the cache's mutex. */
static size_t find_retired(const struct partition_cache *c, const uint8_t *uuid)
{
    for (size_t i = 0; i < c->retired.n; i++)
        if (memcmp(c->retired.p[i].uuid, uuid, SEGMENT_UUID) == 0)
            return i;
    return SIZE_MAX;
}

static void retire(struct partition_cache *c, uint64_t tenant_id, int32_t day, const uint8_t *uuid)
{
    struct partition_retired r = {.tenant_id = tenant_id, .day = day};

    memcpy(r.uuid, uuid, SEGMENT_UUID);
    r.epoch = c->epoch++;
    if (find_retired(c, uuid) == SIZE_MAX)
        VEC_PUSH(&c->retired, r);
}

void partition_cache_retire(struct partition_cache *c, uint64_t tenant_id, int32_t day,
                            const uint8_t uuid[SEGMENT_UUID])
{
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    retire(c, tenant_id, day, uuid);
    (void)pthread_mutex_unlock(&c->mutex);
}

/* With p->mutex held: the file, and what the catalog says of it. */
static int remove_file(struct partition *p, const uint8_t *uuid, struct err *err)
{
    char name[SEGMENT_NAME_MAX];
    bool counts = false;
    int r = catalog_has(p->catalog, uuid, &counts, err);

    if (r < 0 || counts) /* a catalog that was made again took it back */
        return r;
    segment_name(uuid, name);
    r = objstore_delete(p->objects, name, err);
    return r == 0 ? catalog_left(p->catalog, uuid, err) : r;
}

int partition_discard(struct partition *p, const uint8_t uuid[SEGMENT_UUID], bool may_be_read,
                      struct err *err)
{
    struct partition_cache *c = p->cache;
    bool now;

    (void)pthread_mutex_lock(&c->mutex);
    now = (c->pins.n == 0 || !may_be_read) && find_retired(c, uuid) == SIZE_MAX; /* keeps (1) */
    if (!now)
        retire(c, p->tenant_id, p->day, uuid);
    (void)pthread_mutex_unlock(&c->mutex);
    return now ? remove_file(p, uuid, err) : 0;
}

static int remove_retired(struct partition_cache *c, const struct partition_retired *old,
                          struct err *err)
{
    struct partition *p = NULL;
    int r = partition_cache_get(c, old->tenant_id, old->day, false, &p, err);

    if (r == ERR_GONE) /* the whole day went */
        return 0;
    if (r == 0) {
        (void)pthread_mutex_lock(&p->mutex);
        r = remove_file(p, old->uuid, err);
        (void)pthread_mutex_unlock(&p->mutex);
    }
    partition_unref(&p);
    return r;
}

/* The next one at or behind *at that may go. */
static bool next_retired(struct partition_cache *c, size_t *at, struct partition_retired *ret)
{
    uint64_t oldest;
    bool found = false;

    (void)pthread_mutex_lock(&c->mutex);
    oldest = oldest_pin(c);
    for (; !found && *at < c->retired.n; (*at)++) {
        found = c->retired.p[*at].epoch < oldest; /* keeps (1) */
        if (found)
            *ret = c->retired.p[*at];
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return found;
}

size_t partition_cache_sweep(struct partition_cache *c)
{
    struct partition_retired old;
    size_t at = 0;
    size_t left;

    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    while (next_retired(c, &at, &old)) {
        struct err ignored; /* it stays in the list */
        size_t i;
        if (remove_retired(c, &old, &ignored) < 0)
            continue;
        (void)pthread_mutex_lock(&c->mutex);
        i = find_retired(c, old.uuid);
        if (i != SIZE_MAX)
            VEC_REMOVE(&c->retired, i);
        (void)pthread_mutex_unlock(&c->mutex);
        at--;
    }
    (void)pthread_mutex_lock(&c->mutex);
    left = c->retired.n;
    (void)pthread_mutex_unlock(&c->mutex);
    return left;
}
