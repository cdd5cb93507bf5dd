/*
 * base/map.c - see map.h.
 *
 * Linear probing in a power of two of slots, at most 3/4 of them not free.  A removed entry leaves
 * a tombstone, which a walk steps over and the next growth sweeps out: removing while walking moves
 * nothing.
 */
#include "base/map.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/obj.h"

#include <stdlib.h>
#include <sys/random.h>

enum slot_state { SLOT_FREE, SLOT_USED, SLOT_DEAD };

struct slot {
    char *key; /* owned */
    size_t key_n;
    uint64_t hash;
    void *value;
    enum slot_state state;
};

struct map {
    unsigned magic;
#define MAP_MAGIC 0x3a9c7e21u
    struct slot *slots;
    size_t cap;   /* power of two, or 0 */
    size_t count; /* used */
    size_t dirty; /* used or dead */
    size_t max;
    uint64_t seed;
    map_free_fn *free_value;
};

struct map *map_new(size_t max, map_free_fn *free_value)
{
    struct map *m = mem_new(sizeof(*m));

    m->magic = MAP_MAGIC;
    m->max = max == 0 ? SIZE_MAX : max;
    m->free_value = free_value;
    /* Eight bytes never block nor fail once the system is up; else the address is the seed. */
    if (getrandom(&m->seed, sizeof(m->seed), GRND_NONBLOCK) != (ssize_t)sizeof(m->seed))
        m->seed = (uint64_t)(uintptr_t)m;
    return m;
}

static void drop(const struct map *m, struct slot *s)
{
    free(s->key);
    s->key = NULL;
    if (m->free_value != NULL)
        m->free_value(s->value);
    s->value = NULL;
}

void map_free(struct map **pm)
{
    struct map *m = *pm;

    if (m == NULL)
        return;
    OBJ_CHECK(m, MAP_MAGIC);
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].state == SLOT_USED)
            drop(m, &m->slots[i]);
    free(m->slots);
    m->magic = 0;
    free(m);
    *pm = NULL;
}

static struct slot *find(const struct map *m, struct str key, uint64_t hash)
{
    size_t mask = m->cap - 1;

    if (m->cap == 0)
        return NULL;
    for (size_t i = (size_t)hash & mask;; i = (i + 1) & mask) {
        struct slot *s = &m->slots[i];
        if (s->state == SLOT_FREE)
            return NULL;
        if (s->state == SLOT_USED && s->hash == hash && str_eq((struct str){s->key, s->key_n}, key))
            return s;
    }
}

/* The first slot on the way of `hash` that may be taken; there is one. */
static struct slot *vacancy(struct slot *slots, size_t cap, uint64_t hash)
{
    size_t i = (size_t)hash & (cap - 1);

    while (slots[i].state == SLOT_USED)
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void make_room(struct map *m)
{
    size_t cap = 8;
    struct slot *slots;

    if (m->cap > 0 && m->dirty + 1 <= m->cap / 4 * 3)
        return;
    while (cap / 2 < m->count + 1) /* at most half full after a growth */
        cap *= 2;
    slots = mem_new(cap * sizeof(*slots));
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].state == SLOT_USED)
            *vacancy(slots, cap, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    m->slots = slots;
    m->cap = cap;
    m->dirty = m->count;
}

void *map_get(const struct map *m, struct str key)
{
    struct slot *s;

    OBJ_CHECK(m, MAP_MAGIC);
    s = find(m, key, hash_bytes(key.p, key.n, m->seed));
    return s == NULL ? NULL : s->value;
}

bool map_put(struct map *m, struct str key, void *value)
{
    uint64_t hash;
    struct slot *s;

    OBJ_CHECK(m, MAP_MAGIC);
    INVARIANT(value != NULL);
    hash = hash_bytes(key.p, key.n, m->seed);
    s = find(m, key, hash);
    if (s != NULL) {
        if (m->free_value != NULL && s->value != value)
            m->free_value(s->value);
        s->value = value;
        return true;
    }
    if (m->count >= m->max)
        return false;
    make_room(m);
    s = vacancy(m->slots, m->cap, hash);
    if (s->state == SLOT_FREE)
        m->dirty++;
    *s = (struct slot){.key = mem_dup(key.p, key.n),
                       .key_n = key.n,
                       .hash = hash,
                       .value = value,
                       .state = SLOT_USED};
    m->count++;
    return true;
}

bool map_remove(struct map *m, struct str key)
{
    struct slot *s;

    OBJ_CHECK(m, MAP_MAGIC);
    s = find(m, key, hash_bytes(key.p, key.n, m->seed));
    if (s == NULL)
        return false;
    s->state = SLOT_DEAD; /* first: `key` may lie in the entry itself */
    m->count--;
    drop(m, s);
    return true;
}

size_t map_count(const struct map *m)
{
    OBJ_CHECK(m, MAP_MAGIC);
    return m->count;
}

bool map_next(const struct map *m, size_t *pos, struct str *key, void **value)
{
    OBJ_CHECK(m, MAP_MAGIC);
    while (*pos < m->cap) {
        const struct slot *s = &m->slots[(*pos)++];
        if (s->state != SLOT_USED)
            continue;
        *key = (struct str){s->key, s->key_n};
        *value = s->value;
        return true;
    }
    return false;
}
