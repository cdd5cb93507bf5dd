/*
 * query/query_cache.c - see query_cache.h.
 *
 * Entries are found by the whole text of their key (a hash alone could be made to meet another
 * tenant's), stand in a list from the last used to the first to go, and are counted: who found one
 * reads it without the lock, whatever is thrown out meanwhile.
 */
#include "query/query_cache.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 4096, LARGEST_SHARE = 8 /* an entry takes at most 1/8 of it all */ };

struct query_piece {
    struct matrix m; /* first; in `arena` */
    _Atomic unsigned refs;
    uint64_t state;
    struct str key;      /* in `arena` */
    struct arena *arena; /* owned */
    size_t bytes;
    struct query_piece *newer, *older; /* the cache's, under its mutex */
};

struct query_cache {
    unsigned magic;
#define QUERY_CACHE_MAGIC 0x9ca11e5du
    size_t max_bytes;
    /* guards what is below */
    pthread_mutex_t mutex;
    struct map *by_key; /* not the owner of what it holds */
    struct query_piece *newest, *oldest;
    struct query_cache_stats stats;
};

struct query_cache *query_cache_new(size_t max_bytes)
{
    struct query_cache *c = mem_new(sizeof(*c));

    c->magic = QUERY_CACHE_MAGIC;
    c->max_bytes = max_bytes;
    c->by_key = map_new(0, NULL);
    (void)pthread_mutex_init(&c->mutex, NULL);
    return c;
}

void query_piece_unref(const struct matrix **pm)
{
    struct query_piece *p = (struct query_piece *)(uintptr_t)*pm;

    *pm = NULL;
    if (p == NULL || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(&p->arena);
    free(p);
}

/* ---- the list; under the mutex ---- */

static void unlink_piece(struct query_cache *c, struct query_piece *p)
{
    if (p->newer != NULL)
        p->newer->older = p->older;
    else
        c->newest = p->older;
    if (p->older != NULL)
        p->older->newer = p->newer;
    else
        c->oldest = p->newer;
    p->newer = p->older = NULL;
}

static void link_newest(struct query_cache *c, struct query_piece *p)
{
    p->older = c->newest;
    p->newer = NULL;
    if (c->newest != NULL)
        c->newest->newer = p;
    else
        c->oldest = p;
    c->newest = p;
}

static void forget(struct query_cache *c, struct query_piece *p)
{
    const struct matrix *m = &p->m;

    unlink_piece(c, p);
    (void)map_remove(c->by_key, p->key);
    c->stats.bytes -= p->bytes;
    c->stats.pieces--;
    query_piece_unref(&m);
}

void query_cache_free(struct query_cache **pc)
{
    struct query_cache *c = *pc;

    *pc = NULL;
    if (c == NULL)
        return;
    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    while (c->oldest != NULL)
        forget(c, c->oldest);
    map_free(&c->by_key);
    (void)pthread_mutex_destroy(&c->mutex);
    c->magic = 0;
    free(c);
}

void query_cache_stats(struct query_cache *c, struct query_cache_stats *ret)
{
    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    *ret = c->stats;
    (void)pthread_mutex_unlock(&c->mutex);
}

/* ---- finding, keeping ---- */

const struct matrix *query_cache_get(struct query_cache *c, struct str key, uint64_t state)
{
    struct query_piece *p;

    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    p = map_get(c->by_key, key);
    if (p != NULL && p->state != state) {
        forget(c, p); /* its time will not come again */
        p = NULL;
    }
    if (p != NULL) {
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
        unlink_piece(c, p);
        link_newest(c, p);
        c->stats.hits++;
    } else {
        c->stats.misses++;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return p == NULL ? NULL : &p->m;
}

static bool copy_series(struct query_piece *p, const struct series *s, size_t first, size_t n)
{
    struct series *to = &p->m.v[p->m.n];
    struct err ignored;

    if (memchr(s->has + first, 1, n) == NULL)
        return true; /* no point here */
    if (labels_copy(p->arena, &s->labels, &to->labels, &ignored) < 0 ||
        series_make(p->arena, n, to, &ignored) < 0)
        return false;
    memcpy(to->value, s->value + first, n * sizeof(*to->value));
    memcpy(to->has, s->has + first, n * sizeof(*to->has));
    p->m.n++;
    return true;
}

/* NULL: it is too large. */
static struct query_piece *make_piece(size_t max_bytes, struct str key, const struct matrix *m,
                                      size_t first, size_t n)
{
    struct query_piece *p = mem_new(sizeof(*p));
    const struct matrix *self = &p->m;
    bool ok;

    atomic_init(&p->refs, 1);
    p->arena = arena_new(NULL, max_bytes);
    p->key = arena_str(p->arena, key);
    p->m.v = arena_alloc(p->arena, m->n * sizeof(*p->m.v) + 1);
    ok = p->key.p != NULL && p->m.v != NULL;
    for (size_t i = 0; ok && i < m->n; i++)
        ok = copy_series(p, &m->v[i], first, n);
    if (!ok) {
        query_piece_unref(&self);
        return NULL;
    }
    p->bytes = sizeof(*p) + arena_held(p->arena) + key.n;
    return p;
}

/* NOLINTNEXTLINE(readability-function-size): what is kept is a part of a matrix */
void query_cache_put(struct query_cache *c, struct str key, uint64_t state, const struct matrix *m,
                     size_t first, size_t n)
{
    struct query_piece *p;
    struct query_piece *old;

    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    if (key.n > KEY_MAX)
        return;
    p = make_piece(c->max_bytes / LARGEST_SHARE, key, m, first, n);
    if (p == NULL)
        return;
    p->state = state;
    (void)pthread_mutex_lock(&c->mutex);
    old = map_get(c->by_key, key);
    if (old != NULL)
        forget(c, old);
    (void)map_put(c->by_key, p->key, p); /* has no maximum */
    link_newest(c, p);
    c->stats.bytes += p->bytes;
    c->stats.pieces++;
    while (c->stats.bytes > c->max_bytes && c->oldest != p) {
        forget(c, c->oldest);
        c->stats.evictions++;
    }
    (void)pthread_mutex_unlock(&c->mutex);
}
