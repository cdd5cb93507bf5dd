/*
 * server/stream_limit.c - see stream_limit.h.
 *
 * A tenant's streams are hashes in an open table, eight bytes each, at most half full.  Two streams
 * of one hash count as one: one more than allowed, once in 10^13 days.
 */
#include "server/stream_limit.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 64, LABELS_SHOWN = 120 };

struct tenant {
    int32_t day;
    uint64_t *slot; /* owned; 0: free */
    size_t cap, n;  /* cap is a power of two */
};

struct stream_limit {
    unsigned magic;
#define STREAM_LIMIT_MAGIC 0x57e4311eu
    size_t max;
    pthread_mutex_t mutex; /* guards tenants */
    struct map *tenants;   /* name -> struct tenant (owned) */
};

static void free_tenant(void *value)
{
    struct tenant *t = value;

    free(t->slot);
    free(t);
}

struct stream_limit *stream_limit_new(size_t max)
{
    struct stream_limit *l = mem_new(sizeof(*l));

    l->magic = STREAM_LIMIT_MAGIC;
    l->max = max;
    (void)pthread_mutex_init(&l->mutex, NULL); /* cannot fail for a default mutex here */
    l->tenants = map_new(0, free_tenant);      /* as many as the store has */
    return l;
}

void stream_limit_free(struct stream_limit **pl)
{
    struct stream_limit *l = *pl;

    if (l == NULL)
        return;
    OBJ_CHECK(l, STREAM_LIMIT_MAGIC);
    map_free(&l->tenants);
    (void)pthread_mutex_destroy(&l->mutex);
    l->magic = 0;
    free(l);
    *pl = NULL;
}

/* The place of `h`, or the free one where it belongs. */
static size_t place(const struct tenant *t, uint64_t h)
{
    size_t at = (size_t)h & (t->cap - 1);

    while (t->slot[at] != 0 && t->slot[at] != h)
        at = (at + 1) & (t->cap - 1);
    return at;
}

/* Room for so many more. */
static void reserve(struct tenant *t, size_t more)
{
    struct tenant wider = {.cap = t->cap == 0 ? FIRST : t->cap};

    while (wider.cap < 2 * (t->n + more))
        wider.cap *= 2;
    if (wider.cap == t->cap)
        return;
    wider.slot = mem_new(wider.cap * sizeof(*wider.slot));
    for (size_t i = 0; i < t->cap; i++)
        if (t->slot[i] != 0)
            wider.slot[place(&wider, t->slot[i])] = t->slot[i];
    free(t->slot);
    t->slot = wider.slot;
    t->cap = wider.cap;
}

static struct tenant *tenant_of(struct stream_limit *l, struct str name, ts_ns now)
{
    struct tenant *t = map_get(l->tenants, name);
    int32_t day = time_day(now);

    if (t == NULL) {
        t = mem_new(sizeof(*t));
        t->day = day;
        INVARIANT(map_put(l->tenants, name, t)); /* it has no bound */
    }
    if (t->day != day) {
        free(t->slot);
        *t = (struct tenant){.day = day};
    }
    return t;
}

static uint64_t hash_of(const struct batch *b, uint32_t i)
{
    uint64_t h = b->hashes[i].lo;

    return h == 0 ? 1 : h;
}

static bool is_known(const struct tenant *t, uint64_t h)
{
    return t->cap > 0 && t->slot[place(t, h)] == h;
}

/* If it is new. */
static void add(struct tenant *t, uint64_t h)
{
    size_t at = place(t, h);

    t->n += t->slot[at] == 0;
    t->slot[at] = h;
}

static int refuse(const struct stream_limit *l, struct str tenant, const struct labels *labels,
                  struct err *err)
{
    struct buf text;
    int r;

    buf_init(&text, 1 << 20);
    labels_format(&text, labels);
    r = err_set(err, ERR_LIMIT,
                "tenant '%.*s' has %zu streams today (storage.max_streams), none is added: %.*s",
                (int)(tenant.n < 40 ? tenant.n : 40), tenant.p, l->max,
                (int)(text.n < LABELS_SHOWN ? text.n : LABELS_SHOWN), text.p);
    buf_fini(&text);
    return r;
}

/* Under mutex. */
static int admit(struct stream_limit *l, struct str name, const struct batch *b, ts_ns now,
                 struct err *err)
{
    struct tenant *t = tenant_of(l, name, now);
    uint32_t first = UINT32_MAX; /* that is new */
    size_t fresh = 0;

    for (uint32_t i = 0; i < b->n_streams; i++) {
        if (is_known(t, hash_of(b, i)))
            continue;
        first = first == UINT32_MAX ? i : first;
        fresh++;
    }
    if (fresh > 0 && (t->n > l->max || fresh > l->max - t->n))
        return refuse(l, name, &b->streams[first], err);
    if (fresh > 0)
        reserve(t, fresh);
    for (uint32_t i = first; fresh > 0 && i < b->n_streams; i++)
        add(t, hash_of(b, i));
    return 0;
}

int stream_limit_admit(struct stream_limit *l, struct str tenant, const struct batch *b, ts_ns now,
                       struct err *err)
{
    int r;

    if (l == NULL || l->max == 0)
        return 0;
    OBJ_CHECK(l, STREAM_LIMIT_MAGIC);
    (void)pthread_mutex_lock(&l->mutex);
    r = admit(l, tenant, b, now, err);
    (void)pthread_mutex_unlock(&l->mutex);
    return r;
}
