/*
 * storage/partition_cache.c - see partition_cache.h.
 *
 * A linear list: there are a few dozen partitions open, and asking for one is followed by I/O
 * anyway.
 *
 * Invariants
 *   (1) a partition is in the list until it is evicted or dropped; only then, and only without
 * references, is it freed; (2) the cache's mutex is never held while a partition's is waited for,
 * nor across I/O.
 */
#include "storage/partition_cache.h"

#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_summary.h"
#include "storage/keyring.h"
#include "storage/objstore.h"
#include "storage/partition_internal.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_OPEN = 32, LABELS_MAX = 1 << 20 };

int partition_cache_new(const char *dir, struct keyring *keyring, size_t max_open,
                        struct partition_cache **ret, struct err *err)
{
    struct partition_cache *c;
    int fd = -1;
    int r = file_make_dirs(AT_FDCWD, dir, 0700, err);

    if (r == 0)
        r = file_open_dir(AT_FDCWD, dir, &fd, err);
    if (r < 0)
        return r;
    c = mem_new(sizeof(*c));
    c->magic = PARTITION_CACHE_MAGIC;
    c->keyring = keyring;
    c->dir = mem_dup(dir, strlen(dir));
    c->dir_fd = fd;
    c->max_open = max_open == 0 ? MAX_OPEN : max_open;
    INVARIANT(pthread_mutex_init(&c->mutex, NULL) == 0);
    *ret = c;
    return 0;
}

void partition_cache_tell(struct partition_cache *c, store_notice_fn *fn, void *arg)
{
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    c->notice = fn;
    c->notice_arg = arg;
}

void partition_cache_ask_labels(struct partition_cache *c, partition_labels_fn *fn, void *arg)
{
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    c->labels = fn;
    c->labels_arg = arg;
}

void partition_cache_ask_position(struct partition_cache *c, partition_position_fn *fn, void *arg)
{
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    c->position = fn;
    c->position_arg = arg;
}

uint64_t partition_cache_renewed(struct partition_cache *c)
{
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    return atomic_load(&c->renewed);
}

void partition_cache_put_objects(struct partition_cache *c, store_objects_fn *fn, void *arg)
{
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    c->objects = fn;
    c->objects_arg = arg;
}

int partition_cache_labels(struct partition_cache *c, uint64_t tenant_id, int32_t day,
                           struct arena *a, struct str *ret)
{
    uint8_t key[CRYPT_KEY];
    struct buf sealed;
    struct err ignored; /* whoever opens the catalog meets what is wrong */
    int r;

    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    if (c->labels == NULL)
        return 1;
    buf_init(&sealed, LABELS_MAX);
    r = c->labels(c->labels_arg, tenant_id, day, &sealed, &ignored);
    if (r == 0)
        r = keyring_partition(c->keyring, tenant_id, day, 0, key, &ignored);
    if (r == 0) {
        r = catalog_summary_open(key, buf_str(&sealed), a, ret, &ignored);
        crypt_wipe(key, sizeof(key));
    }
    buf_fini(&sealed);
    return r == 0 ? 0 : 1;
}

static void free_partition(struct partition *p)
{
    if (p == NULL)
        return;
    INVARIANT(p->refs == 0);
    partition_close(p);
    (void)pthread_mutex_destroy(&p->mutex);
    p->magic = 0;
    free(p);
}

void partition_cache_free(struct partition_cache **pc)
{
    struct partition_cache *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    for (size_t i = 0; i < c->n; i++)
        free_partition(c->list[i]);
    free((void *)c->list);
    VEC_FINI(&c->pins);
    VEC_FINI(&c->retired);
    free(c->dir);
    (void)close(c->dir_fd); /* a directory: nothing unwritten */
    (void)pthread_mutex_destroy(&c->mutex);
    c->magic = 0;
    free(c);
    *pc = NULL;
}

/* With the mutex held: take entry i out of the list. */
static struct partition *take_out(struct partition_cache *c, size_t i)
{
    struct partition *p = c->list[i];

    c->list[i] = c->list[--c->n];
    p->listed = false;
    return p;
}

/* With the mutex held: the idle partition that was not asked for the longest, if there are too
 * many; NULL if none. */
static struct partition *evict(struct partition_cache *c)
{
    size_t oldest = SIZE_MAX;

    if (c->n <= c->max_open)
        return NULL;
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i]->refs == 0 &&
            (oldest == SIZE_MAX || c->list[i]->used < c->list[oldest]->used))
            oldest = i;
    return oldest == SIZE_MAX ? NULL : take_out(c, oldest);
}

static size_t find(const struct partition_cache *c, uint64_t tenant_id, int32_t day)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i]->tenant_id == tenant_id && c->list[i]->day == day)
            return i;
    return SIZE_MAX;
}

static struct partition *add(struct partition_cache *c, uint64_t tenant_id, int32_t day)
{
    struct partition *p = mem_new(sizeof(*p));

    p->magic = PARTITION_MAGIC;
    p->cache = c;
    p->tenant_id = tenant_id;
    p->day = day;
    p->listed = true;
    INVARIANT(pthread_mutex_init(&p->mutex, NULL) == 0);
    if (c->n == c->cap) {
        c->cap = c->cap == 0 ? 16 : 2 * c->cap;
        c->list = (struct partition **)mem_grow((void *)c->list, c->cap * sizeof(*c->list));
    }
    c->list[c->n++] = p;
    return p;
}

/* Also drops one reference of `p` (may be NULL). */
static void trim(struct partition_cache *c, struct partition *p)
{
    struct partition *gone = NULL;
    struct partition *evicted;

    (void)pthread_mutex_lock(&c->mutex);
    if (p != NULL && --p->refs == 0 && !p->listed)
        gone = p;
    evicted = evict(c);
    (void)pthread_mutex_unlock(&c->mutex);
    free_partition(gone);
    free_partition(evicted);
}

int partition_cache_get(struct partition_cache *c, uint64_t tenant_id, int32_t day, bool make,
                        struct partition **ret, struct err *err)
{
    struct partition *p;
    size_t at;
    int r;

    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    at = find(c, tenant_id, day);
    p = at == SIZE_MAX ? add(c, tenant_id, day) : c->list[at];
    p->refs++;
    p->used = ++c->clock;
    (void)pthread_mutex_unlock(&c->mutex);
    trim(c, NULL); /* keeps (2): closing is I/O */

    (void)pthread_mutex_lock(&p->mutex);
    r = partition_open(p, make, err);
    (void)pthread_mutex_unlock(&p->mutex);
    if (r < 0)
        trim(c, p);
    else
        *ret = p;
    return r;
}

void partition_unref(struct partition **pp)
{
    struct partition *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, PARTITION_MAGIC);
    trim(p->cache, p);
    *pp = NULL;
}

static int remove_object(void *arg, const char *name, struct err *err)
{
    return objstore_delete(arg, name, err);
}

/* Those that do not go with the directory. */
static int remove_objects(struct partition_cache *c, uint64_t tenant_id, int32_t day,
                          struct err *err)
{
    struct objstore *os = NULL;
    int r;

    if (c->objects == NULL)
        return 0;
    r = c->objects(c->objects_arg, tenant_id, day, &os, err);
    if (r == 0)
        r = objstore_list(os, remove_object, os, err);
    objstore_free(&os);
    return r;
}

int partition_cache_drop(struct partition_cache *c, uint64_t tenant_id, int32_t day,
                         struct err *err)
{
    struct partition *p = NULL;
    char name[40];
    size_t at;
    int r;

    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    (void)pthread_mutex_lock(&c->mutex);
    at = find(c, tenant_id, day);
    if (at != SIZE_MAX) {
        p = take_out(c, at);
        atomic_store(&p->dropped, true);
        if (p->refs > 0)
            p = NULL; /* whoever has it frees it */
    }
    (void)pthread_mutex_unlock(&c->mutex);
    free_partition(p);
    r = remove_objects(c, tenant_id, day, err);
    (void)snprintf(name, sizeof(name), "%016" PRIx64 "/%08d", tenant_id, day);
    return r < 0 ? r : file_remove_tree(c->dir_fd, name, err);
}

void partition_cache_stats(struct partition_cache *c, struct partition_cache_stats *ret)
{
    OBJ_CHECK(c, PARTITION_CACHE_MAGIC);
    *ret = (struct partition_cache_stats){
        .damaged = atomic_load(&c->damaged),
        .rebuilt_catalogs = atomic_load(&c->rebuilt_catalogs),
        .adopted_segments = atomic_load(&c->adopted_segments),
        .removed_leftovers = atomic_load(&c->removed_leftovers),
    };
    (void)pthread_mutex_lock(&c->mutex);
    ret->open = c->n;
    ret->retired = c->retired.n;
    (void)pthread_mutex_unlock(&c->mutex);
}
