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
#include <time.h>

enum { WAIT_NS = 10000000 /* then the caller looks whether it is still wanted */ };

enum {
    LARGEST_SHARE = 8, /* an entry takes at most 1/8 of it all */
    ENTRY_BYTES = 128, /* what the map needs for an entry besides the bytes of its key, at most */
};

struct query_piece {
    struct matrix m; /* first; in `arena` */
    _Atomic unsigned refs;
    uint64_t state;
    struct str key;      /* in `arena` */
    struct arena *arena; /* owned; charged to the cache's budget */
    struct mem_budget *budget;
    size_t charged; /* besides the arena: for this struct and what finds it by its key */
    size_t bytes;
    struct query_piece *newer, *older; /* the cache's, under its mutex */
};

/* One evaluation of a piece that others wait for.  All of it under the cache's mutex. */
struct query_flight {
    unsigned refs; /* one is the owner's, one a waiter's or the next flight's */
    uint64_t state;
    uint64_t forgotten; /* as the cache's, when it was opened */
    char *key;          /* owned */
    size_t key_n;
    bool listed, begun, has_ended;
    pthread_cond_t ended;
    struct query_flight *before; /* a reference, until it has begun; that has, and ends first */
    struct query_piece *piece;   /* a reference; NULL: none */
};

struct query_cache {
    unsigned magic;
#define QUERY_CACHE_MAGIC 0x9ca11e5du
    size_t max_bytes;
    struct mem_budget *budget; /* borrowed; may be NULL */
    /* guards what is below */
    pthread_mutex_t mutex;
    struct map *by_key;  /* not the owner of what it holds */
    struct map *flights; /* by key, those that may be joined or come before the next; not owner */
    uint64_t forgotten;  /* how often something was, by query_cache_forget */
    struct query_piece *newest, *oldest;
    struct query_cache_stats stats;
};

struct query_cache *query_cache_new(size_t max_bytes, struct mem_budget *budget)
{
    struct query_cache *c = mem_new(sizeof(*c));

    c->magic = QUERY_CACHE_MAGIC;
    c->max_bytes = max_bytes;
    c->budget = budget;
    c->by_key = map_new(0, NULL);
    c->flights = map_new(0, NULL);
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
    mem_budget_give(p->budget, p->charged);
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
    INVARIANT(map_count(c->flights) == 0); /* no run uses it */
    map_free(&c->flights);
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

static bool is_of(const struct query_piece *p, struct str tenant)
{
    struct str rest = p->key;
    bool is = false;

    while (!is && str_find_char(rest, '|') != SIZE_MAX)
        is = str_eq(str_cut(&rest, '|'), tenant);
    return is; /* what looks like it in the question does no harm */
}

void query_cache_forget(struct query_cache *c, struct str tenant)
{
    struct query_piece *older;

    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    c->forgotten++;
    for (struct query_piece *p = c->newest; p != NULL; p = older) {
        older = p->older;
        if (is_of(p, tenant))
            forget(c, p);
    }
    (void)pthread_mutex_unlock(&c->mutex);
}

/* ---- finding, keeping ---- */

/* The piece, with a reference; one of another state is forgotten. Under the mutex. */
static const struct matrix *get(struct query_cache *c, struct str key, uint64_t state)
{
    struct query_piece *p = map_get(c->by_key, key);

    if (p != NULL && p->state != state) {
        forget(c, p); /* its time will not come again */
        p = NULL;
    }
    if (p == NULL) {
        c->stats.misses++;
        return NULL;
    }
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
    unlink_piece(c, p);
    link_newest(c, p);
    c->stats.hits++;
    return &p->m;
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

/* NULL: it is too large, or there is no memory for it. */
static struct query_piece *make_piece(struct query_cache *c, struct str key,
                                      const struct query_result_steps *r)
{
    size_t charged = sizeof(struct query_piece) + key.n + ENTRY_BYTES;
    struct query_piece *p;
    const struct matrix *self;
    struct err ignored;
    bool ok;

    if (mem_budget_take(c->budget, charged, &ignored) < 0)
        return NULL;
    p = mem_new(sizeof(*p));
    self = &p->m;
    atomic_init(&p->refs, 1);
    p->budget = c->budget;
    p->charged = charged;
    p->arena = arena_new(c->budget, c->max_bytes / LARGEST_SHARE);
    p->key = arena_str(p->arena, key);
    p->m.v = arena_alloc(p->arena, r->m->n * sizeof(*p->m.v) + 1);
    ok = p->key.p != NULL && p->m.v != NULL;
    for (size_t i = 0; ok && i < r->m->n; i++)
        ok = copy_series(p, &r->m->v[i], r->first, r->n);
    if (!ok) {
        query_piece_unref(&self);
        return NULL;
    }
    p->bytes = p->charged + arena_held(p->arena);
    return p;
}

/* Under the mutex. */
static void evict(struct query_cache *c)
{
    forget(c, c->oldest);
    c->stats.evictions++;
}

/* Under the mutex; takes over one reference. */
static void keep(struct query_cache *c, struct query_piece *p)
{
    struct query_piece *old = map_get(c->by_key, p->key);

    if (old != NULL)
        forget(c, old);
    (void)map_put(c->by_key, p->key, p); /* has no maximum */
    link_newest(c, p);
    c->stats.bytes += p->bytes;
    c->stats.pieces++;
    while (c->stats.bytes > c->max_bytes && c->oldest != p)
        evict(c);
}

/* The piece; what was kept makes room where memory is short. */
static struct query_piece *make_room(struct query_cache *c, struct str key,
                                     const struct query_result_steps *r)
{
    struct query_piece *p = make_piece(c, key, r);
    bool shrunk = false;

    if (p != NULL || c->budget == NULL)
        return p;
    (void)pthread_mutex_lock(&c->mutex);
    for (; c->oldest != NULL; shrunk = true)
        evict(c);
    (void)pthread_mutex_unlock(&c->mutex);
    return shrunk ? make_piece(c, key, r) : NULL;
}

/* ---- flights ---- */

static struct str flight_key(const struct query_flight *f)
{
    return (struct str){f->key, f->key_n};
}

/* Under the mutex. */
static void flight_unref(struct query_flight *f)
{
    const struct matrix *m = f->piece == NULL ? NULL : &f->piece->m;

    if (--f->refs > 0)
        return;
    query_piece_unref(&m);
    (void)pthread_cond_destroy(&f->ended);
    free(f->key);
    free(f);
}

/* Under the mutex: no more of it to be found. */
static void unlist(struct query_cache *c, struct query_flight *f)
{
    if (f->listed)
        (void)map_remove(c->flights, flight_key(f));
    f->listed = false;
}

/* Under the mutex: it is the one of its key. */
static void list(struct query_cache *c, struct query_flight *f)
{
    f->listed = map_put(c->flights, flight_key(f), f); /* has no maximum */
}

/* Under the mutex: a flight of the caller's, behind `before` unless that is NULL. */
static struct query_flight *open_flight(struct query_cache *c, struct str key, uint64_t state,
                                        struct query_flight *before)
{
    struct query_flight *f = mem_new(sizeof(*f));
    pthread_condattr_t attr;

    f->refs = 1;
    f->state = state;
    f->forgotten = c->forgotten;
    f->key = mem_new(key.n + 1);
    memcpy(f->key, key.p, key.n);
    f->key_n = key.n;
    f->before = before;
    f->begun = before == NULL;
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&f->ended, &attr);
    (void)pthread_condattr_destroy(&attr);
    if (before != NULL) {
        before->refs++;
        unlist(c, before);
    }
    list(c, f);
    return f;
}

enum query_claim query_cache_claim(struct query_cache *c, struct str key, uint64_t state,
                                   const struct matrix **kept, struct query_flight **flight)
{
    enum query_claim claim = QUERY_CLAIM_KEPT;
    struct query_flight *f;

    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    *flight = NULL;
    (void)pthread_mutex_lock(&c->mutex);
    *kept = state == 0 ? NULL : get(c, key, state);
    f = *kept != NULL ? NULL : map_get(c->flights, key);
    if (f != NULL && (!f->begun || (f->state == state && state != 0))) {
        f->refs++;
        *flight = f;
        claim = QUERY_CLAIM_THEIRS;
        c->stats.joined++;
    } else if (*kept == NULL) {
        *flight = open_flight(c, key, state, f);
        claim = f == NULL ? QUERY_CLAIM_OURS : QUERY_CLAIM_NEXT;
    }
    (void)pthread_mutex_unlock(&c->mutex);
    return claim;
}

static bool wait_for(struct query_cache *c, struct query_flight *f)
{
    struct timespec until;
    bool ended;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    (void)pthread_mutex_lock(&c->mutex);
    while (!f->has_ended && pthread_cond_timedwait(&f->ended, &c->mutex, &until) == 0)
        ;
    ended = f->has_ended;
    (void)pthread_mutex_unlock(&c->mutex);
    return ended;
}

bool query_flight_may_begin(struct query_cache *c, struct query_flight *f)
{
    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    return wait_for(c, f->before); /* which only its owner lets go */
}

/* Under the mutex. */
static void let_go_before(struct query_flight *f)
{
    if (f->before != NULL)
        flight_unref(f->before);
    f->before = NULL;
}

void query_flight_begin(struct query_cache *c, struct query_flight *f)
{
    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    f->begun = true;
    let_go_before(f);
    (void)pthread_mutex_unlock(&c->mutex);
}

bool query_flight_wait(struct query_cache *c, struct query_flight *f)
{
    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    return wait_for(c, f);
}

/* Under the mutex: is it to be kept? */
static bool may_keep(const struct query_cache *c, const struct query_flight *f,
                     const struct query_result_steps *r)
{
    return r->keep && f->forgotten == c->forgotten;
}

/* Is the result of any use to others?  What is not kept cannot be joined from here on. */
static bool is_awaited(struct query_cache *c, struct query_flight *f,
                       const struct query_result_steps *r)
{
    bool awaited;

    (void)pthread_mutex_lock(&c->mutex);
    awaited = may_keep(c, f, r);
    if (!awaited)
        unlist(c, f);
    awaited = awaited || f->refs > 1;
    (void)pthread_mutex_unlock(&c->mutex);
    return awaited;
}

/* Under the mutex: who asks from here on does not find it.  If it never began, the one that it was
 * to come behind is the last again. */
static void retire(struct query_cache *c, struct query_flight *f)
{
    bool was_listed = f->listed;

    unlist(c, f);
    if (was_listed && f->before != NULL && !f->before->has_ended)
        list(c, f->before);
    let_go_before(f);
}

void query_flight_end(struct query_cache *c, struct query_flight **pf,
                      const struct query_result_steps *r)
{
    struct query_flight *f = *pf;
    struct query_piece *p = NULL;
    bool awaited;

    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    INVARIANT(r == NULL || (f->begun && (f->state != 0 || !r->keep)));
    *pf = NULL;
    awaited = r != NULL && is_awaited(c, f, r);
    if (awaited)
        p = make_room(c, flight_key(f), r);
    (void)pthread_mutex_lock(&c->mutex);
    c->stats.refused += awaited && p == NULL; /* too large */
    retire(c, f);
    if (p != NULL && may_keep(c, f, r)) {
        p->state = f->state;
        atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
        keep(c, p);
    }
    f->piece = p;
    f->has_ended = true;
    (void)pthread_cond_broadcast(&f->ended);
    flight_unref(f);
    (void)pthread_mutex_unlock(&c->mutex);
}

const struct matrix *query_flight_leave(struct query_cache *c, struct query_flight **pf)
{
    struct query_flight *f = *pf;
    const struct matrix *ret = NULL;

    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    *pf = NULL;
    (void)pthread_mutex_lock(&c->mutex);
    if (f->piece != NULL) {
        atomic_fetch_add_explicit(&f->piece->refs, 1, memory_order_relaxed);
        ret = &f->piece->m;
    }
    flight_unref(f);
    (void)pthread_mutex_unlock(&c->mutex);
    return ret;
}

void query_cache_count_alone(struct query_cache *c)
{
    OBJ_CHECK(c, QUERY_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    c->stats.alone++;
    (void)pthread_mutex_unlock(&c->mutex);
}
