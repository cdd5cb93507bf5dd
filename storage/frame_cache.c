/* storage/frame_cache.c - see frame_cache.h. */
#include "storage/frame_cache.h"

#include "base/hash.h"
#include "base/obj.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    SHARDS = 8,
    FIRST_BUCKETS = 256,
    TRIES = 4,
    TRIM_BYTES = 64 << 20, /* thrown out, after which the heap is tidied */
};

struct frame {
    unsigned magic;
#define FRAME_MAGIC 0xf2a3ecacu
    _Atomic unsigned refs;
    struct frame_key key;
    struct frame_owner owner;
    bool used;          /* asked for since the last look; as the next two guarded by the shard */
    uint32_t place;     /* in shard->v */
    struct frame *next; /* in the bucket */
    size_t bytes;
    void *value;
    frame_free_fn *free_value;
};

/* What a frame takes besides its value. */
#define FRAME_OWN (sizeof(struct frame) + 2 * sizeof(struct frame *))

struct shard {
    pthread_mutex_t mutex; /* guards the rest; never held while a value is freed */
    struct frame **v;
    size_t n, cap;
    struct frame **bucket;
    size_t n_buckets; /* a power of two */
    size_t bytes;
    uint64_t random;
    uint64_t hits, misses, evictions;
};

struct frame_cache {
    unsigned magic;
#define FRAME_CACHE_MAGIC 0xf2a3cac4u
    size_t shard_bytes;
    struct mem_budget *parent; /* borrowed; may be NULL */
    _Atomic size_t thrown_out; /* bytes since the last mem_trim */
    struct shard shard[SHARDS];
};

struct frame_cache *frame_cache_new(size_t max_bytes, struct mem_budget *parent)
{
    struct frame_cache *c = mem_new(sizeof(*c));

    c->magic = FRAME_CACHE_MAGIC;
    c->shard_bytes = (max_bytes == 0 ? (size_t)FRAME_CACHE_BYTES : max_bytes) / SHARDS;
    c->parent = parent;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shard[i];
        INVARIANT(pthread_mutex_init(&s->mutex, NULL) == 0);
        s->n_buckets = FIRST_BUCKETS;
        s->bucket = mem_new(s->n_buckets * sizeof(*s->bucket));
        s->random = 88172645463325252u + i;
    }
    return c;
}

/* ---- frames ---- */

const void *frame_value(const struct frame *f)
{
    OBJ_CHECK(f, FRAME_MAGIC);
    return f->value;
}

void frame_unref(struct frame **pf)
{
    struct frame *f = *pf;

    *pf = NULL;
    if (f == NULL)
        return;
    OBJ_CHECK(f, FRAME_MAGIC);
    if (atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    f->free_value(f->value);
    f->magic = 0;
    free(f);
}

/* ---- one shard, under its mutex ---- */

static uint64_t hash_of(const struct frame_key *key)
{
    return hash_bytes(key, sizeof(*key), 0);
}

static struct frame **bucket_of(struct shard *s, uint64_t hash)
{
    return &s->bucket[hash >> 8 & (s->n_buckets - 1)];
}

static struct frame *find(struct shard *s, const struct frame_key *key, uint64_t hash)
{
    struct frame *f = *bucket_of(s, hash);

    while (f != NULL && memcmp(&f->key, key, sizeof(*key)) != 0)
        f = f->next;
    return f;
}

static void widen(struct shard *s)
{
    struct frame **old = s->bucket;

    s->n_buckets *= 2;
    s->bucket = mem_new(s->n_buckets * sizeof(*s->bucket));
    for (size_t i = 0; i < s->n; i++) {
        struct frame **at = bucket_of(s, hash_of(&s->v[i]->key));
        s->v[i]->next = *at;
        *at = s->v[i];
    }
    free((void *)old);
}

/* Take entry i out; the caller frees it, outside of the mutex, through the list *gone. */
static void take_out(struct frame_cache *c, struct shard *s, size_t i, struct frame **gone)
{
    struct frame *f = s->v[i];
    struct frame **at = bucket_of(s, hash_of(&f->key));

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    s->v[i] = s->v[--s->n];
    s->v[i]->place = (uint32_t)i;
    s->bytes -= f->bytes;
    if (c->parent != NULL)
        mem_budget_give(c->parent, f->bytes);
    f->next = *gone;
    *gone = f;
}

static size_t draw(struct shard *s)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return (size_t)(s->random % s->n);
}

static void evict(struct frame_cache *c, struct shard *s, struct frame **gone)
{
    size_t i = draw(s);

    for (int k = 0; k < TRIES && s->v[i]->used; k++) {
        s->v[i]->used = false;
        i = draw(s);
    }
    take_out(c, s, i, gone);
    s->evictions++;
}

static size_t release(struct frame *gone)
{
    size_t bytes = 0;

    while (gone != NULL) {
        struct frame *f = gone;
        gone = f->next;
        bytes += f->bytes;
        frame_unref(&f);
    }
    return bytes;
}

/* Pieces of all sizes that come and go at random leave holes in the heap, until it is twice what
 * the cache holds; now and then their pages go back. */
static void tidy(struct frame_cache *c, size_t bytes)
{
    size_t before;

    if (bytes == 0)
        return;
    before = atomic_fetch_add_explicit(&c->thrown_out, bytes, memory_order_relaxed);
    if (before + bytes < TRIM_BYTES)
        return;
    atomic_store_explicit(&c->thrown_out, 0, memory_order_relaxed);
    mem_trim();
}

/* Room for `bytes` more; false: there is none to be had. */
static bool make_room(struct frame_cache *c, struct shard *s, size_t bytes, struct frame **gone)
{
    struct err err;

    if (bytes > c->shard_bytes)
        return false;
    while (s->bytes > c->shard_bytes - bytes) /* keeps (1) */
        evict(c, s, gone);
    return c->parent == NULL || mem_budget_take(c->parent, bytes, &err) == 0;
}

static void insert(struct shard *s, struct frame *f, uint64_t hash)
{
    struct frame **at;

    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? FIRST_BUCKETS : 2 * s->cap;
        s->v = (struct frame **)mem_grow((void *)s->v, s->cap * sizeof(*s->v));
    }
    f->place = (uint32_t)s->n;
    s->v[s->n++] = f;
    at = bucket_of(s, hash);
    f->next = *at;
    *at = f;
    s->bytes += f->bytes;
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    if (s->n > s->n_buckets)
        widen(s);
}

/* ---- the cache ---- */

static struct shard *shard_of(struct frame_cache *c, uint64_t hash)
{
    return &c->shard[hash % SHARDS];
}

struct frame *frame_cache_get(struct frame_cache *c, const struct frame_key *key)
{
    uint64_t hash = hash_of(key);
    struct shard *s;
    struct frame *f;

    if (c == NULL)
        return NULL;
    OBJ_CHECK(c, FRAME_CACHE_MAGIC);
    s = shard_of(c, hash);
    (void)pthread_mutex_lock(&s->mutex);
    f = find(s, key, hash);
    if (f == NULL) {
        s->misses++;
    } else {
        s->hits++;
        f->used = true;
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return f;
}

static void keep(struct frame_cache *c, struct frame *f)
{
    uint64_t hash = hash_of(&f->key);
    struct shard *s = shard_of(c, hash);
    struct frame *gone = NULL;
    struct frame *old;

    (void)pthread_mutex_lock(&s->mutex);
    old = find(s, &f->key, hash);
    if (old != NULL)
        take_out(c, s, old->place, &gone);
    if (make_room(c, s, f->bytes, &gone))
        insert(s, f, hash);
    (void)pthread_mutex_unlock(&s->mutex);
    tidy(c, release(gone));
}

struct frame *frame_cache_put(struct frame_cache *c, const struct frame_key *key,
                              const struct frame_owner *owner, void *value, size_t bytes,
                              frame_free_fn *free_value)
{
    struct frame *f = mem_new(sizeof(*f));

    f->magic = FRAME_MAGIC;
    atomic_init(&f->refs, 1);
    f->key = *key;
    f->owner = *owner;
    f->bytes = bytes + FRAME_OWN;
    f->value = value;
    f->free_value = free_value;
    if (c != NULL) {
        OBJ_CHECK(c, FRAME_CACHE_MAGIC);
        keep(c, f);
    }
    return f;
}

size_t frame_cache_value_max(const struct frame_cache *c)
{
    if (c == NULL)
        return 0;
    OBJ_CHECK(c, FRAME_CACHE_MAGIC);
    return c->shard_bytes < FRAME_OWN ? 0 : c->shard_bytes - FRAME_OWN;
}

void frame_cache_drop(struct frame_cache *c, const struct frame_owner *owner)
{
    if (c == NULL)
        return;
    OBJ_CHECK(c, FRAME_CACHE_MAGIC);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shard[i];
        struct frame *gone = NULL;
        (void)pthread_mutex_lock(&s->mutex);
        for (size_t k = s->n; k-- > 0;)
            if (s->v[k]->owner.tenant_id == owner->tenant_id && s->v[k]->owner.day == owner->day)
                take_out(c, s, k, &gone);
        (void)pthread_mutex_unlock(&s->mutex);
        (void)release(gone);
    }
}

void frame_cache_stats(struct frame_cache *c, struct frame_cache_stats *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (c == NULL)
        return;
    OBJ_CHECK(c, FRAME_CACHE_MAGIC);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shard[i];
        (void)pthread_mutex_lock(&s->mutex);
        ret->hits += s->hits;
        ret->misses += s->misses;
        ret->evictions += s->evictions;
        ret->entries += s->n;
        ret->bytes += s->bytes;
        (void)pthread_mutex_unlock(&s->mutex);
    }
}

void frame_cache_free(struct frame_cache **pc)
{
    struct frame_cache *c = *pc;

    *pc = NULL;
    if (c == NULL)
        return;
    OBJ_CHECK(c, FRAME_CACHE_MAGIC);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &c->shard[i];
        struct frame *gone = NULL;
        while (s->n > 0)
            take_out(c, s, s->n - 1, &gone);
        (void)release(gone);
        free((void *)s->v);
        free((void *)s->bucket);
        (void)pthread_mutex_destroy(&s->mutex);
    }
    c->magic = 0;
    free(c);
}
