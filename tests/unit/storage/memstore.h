/*
 * tests/unit/storage/memstore.h - objects in memory: the second kind of objstore, which proves that
 * nobody goes around the seam.  Header only.
 *
 * A memstore holds the objects of many prefixes (a partition each) and outlives the stores that are
 * opened on it, as a bucket would.  Thread-safe.
 */
#ifndef LOGQ_TESTS_UNIT_STORAGE_MEMSTORE_H
#define LOGQ_TESTS_UNIT_STORAGE_MEMSTORE_H

#include "base/mem.h"
#include "base/obj.h"
#include "storage/objstore.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct memstore_blob {
    char name[180]; /* prefix, '/', name */
    char *bytes;    /* owned */
    uint64_t size;
    unsigned refs; /* of the list, and of who reads it */
    struct memstore_blob *next;
};

struct memstore {
    pthread_mutex_t mutex; /* guards all of it */
    struct memstore_blob *first;
    unsigned puts, deletes;
};

struct memstore_view {
    struct objstore base;
    struct memstore *m;
    char prefix[48];
};

struct memstore_reader {
    struct objstore_object base;
    struct memstore *m;
    struct memstore_blob *blob;
};

struct memstore_writer {
    struct objstore_put base;
    struct memstore_blob *blob; /* until it is published */
    uint64_t cap;
};

static inline struct memstore *memstore_of(struct objstore *os)
{
    return ((struct memstore_view *)(void *)os)->m;
}

/* Under mutex. */
static inline struct memstore_blob **memstore_find(struct objstore *os, const char *name)
{
    struct memstore_view *v = (void *)os;
    char full[180];
    struct memstore_blob **at = &v->m->first;

    (void)snprintf(full, sizeof(full), "%s/%s", v->prefix, name);
    while (*at != NULL && strcmp((*at)->name, full) != 0)
        at = &(*at)->next;
    return at;
}

/* Under mutex. */
static inline void memstore_drop(struct memstore_blob *b)
{
    if (--b->refs > 0)
        return;
    free(b->bytes);
    free(b);
}

static inline int memstore_open_object(struct objstore *os, const char *name,
                                       struct objstore_object **ret, struct err *err)
{
    struct memstore *m = memstore_of(os);
    struct memstore_reader *r = mem_new(sizeof(*r));
    struct memstore_blob *b;

    (void)pthread_mutex_lock(&m->mutex);
    b = *memstore_find(os, name);
    if (b != NULL)
        b->refs++;
    (void)pthread_mutex_unlock(&m->mutex);
    if (b == NULL) {
        free(r);
        return err_set(err, ERR_GONE, "there is no object '%s'", name);
    }
    r->base.magic = OBJSTORE_OBJECT_MAGIC;
    r->base.store = os;
    r->base.size = b->size;
    r->m = m;
    r->blob = b;
    *ret = &r->base;
    return 0;
}

static inline int memstore_read(struct objstore_object *o, uint64_t offset, void *dst, size_t n,
                                struct err *err)
{
    struct memstore_reader *r = (void *)o;

    if (offset > r->blob->size || n > r->blob->size - offset)
        return err_set(err, ERR_CORRUPT, "the object ends before");
    if (n > 0)
        memcpy(dst, r->blob->bytes + offset, n);
    return 0;
}

static inline void memstore_close(struct objstore_object *o)
{
    struct memstore_reader *r = (void *)o;

    (void)pthread_mutex_lock(&r->m->mutex);
    memstore_drop(r->blob);
    (void)pthread_mutex_unlock(&r->m->mutex);
    free(r);
}

static inline int memstore_put(struct objstore *os, const char *name, struct objstore_put **ret,
                               struct err *err)
{
    struct memstore_view *v = (void *)os;
    struct memstore_writer *w;
    bool taken;

    (void)pthread_mutex_lock(&v->m->mutex);
    taken = *memstore_find(os, name) != NULL;
    (void)pthread_mutex_unlock(&v->m->mutex);
    if (taken)
        return err_set(err, ERR_EXISTS, "there is an object '%s'", name);
    w = mem_new(sizeof(*w));
    w->base.magic = OBJSTORE_PUT_MAGIC;
    w->base.store = os;
    w->blob = mem_new(sizeof(*w->blob));
    w->blob->refs = 1;
    (void)snprintf(w->blob->name, sizeof(w->blob->name), "%s/%s", v->prefix, name);
    *ret = &w->base;
    return 0;
}

static inline int memstore_append(struct objstore_put *put, const void *p, size_t n,
                                  struct err *err)
{
    struct memstore_writer *w = (void *)put;
    struct memstore_blob *b = w->blob;

    (void)err;
    while (b->size + n > w->cap) {
        w->cap = w->cap == 0 ? 4096 : 2 * w->cap;
        b->bytes = mem_grow(b->bytes, w->cap);
    }
    if (n > 0)
        memcpy(b->bytes + b->size, p, n);
    b->size += n;
    return 0;
}

static inline int memstore_publish(struct objstore_put *put, struct err *err)
{
    struct memstore_writer *w = (void *)put;
    struct memstore *m = memstore_of(put->store);

    (void)err;
    (void)pthread_mutex_lock(&m->mutex);
    w->blob->next = m->first;
    m->first = w->blob;
    m->puts++;
    (void)pthread_mutex_unlock(&m->mutex);
    w->blob = NULL;
    return 0;
}

static inline void memstore_discard(struct objstore_put *put)
{
    struct memstore_writer *w = (void *)put;

    if (w->blob != NULL)
        memstore_drop(w->blob);
    free(w);
}

static inline int memstore_walk(struct objstore *os, objstore_list_fn *fn, void *arg,
                                struct err *err)
{
    struct memstore_view *v = (void *)os;
    size_t n_prefix = strlen(v->prefix);
    char names[512][136];
    size_t n = 0;
    int r = 0;

    (void)pthread_mutex_lock(&v->m->mutex);
    for (struct memstore_blob *b = v->m->first; b != NULL && n < 512; b = b->next)
        if (strncmp(b->name, v->prefix, n_prefix) == 0 && b->name[n_prefix] == '/')
            (void)snprintf(names[n++], sizeof(names[0]), "%.135s", b->name + n_prefix + 1);
    (void)pthread_mutex_unlock(&v->m->mutex);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = fn(arg, names[i], err);
    return r;
}

static inline int memstore_delete(struct objstore *os, const char *name, struct err *err)
{
    struct memstore *m = memstore_of(os);
    struct memstore_blob **at;

    (void)err;
    (void)pthread_mutex_lock(&m->mutex);
    at = memstore_find(os, name);
    if (*at != NULL) {
        struct memstore_blob *b = *at;
        *at = b->next;
        memstore_drop(b);
        m->deletes++;
    }
    (void)pthread_mutex_unlock(&m->mutex);
    return 0;
}

static inline void memstore_free_view(struct objstore *os)
{
    free(os);
}

/* The objects of one prefix.  store_objects_fn, with the memstore as `arg`. */
static inline int memstore_open(void *arg, uint64_t tenant_id, int32_t day, struct objstore **ret,
                                struct err *err)
{
    static const struct objstore_ops OPS = {
        .open = memstore_open_object,
        .read = memstore_read,
        .close = memstore_close,
        .put = memstore_put,
        .append = memstore_append,
        .publish = memstore_publish,
        .discard = memstore_discard,
        .walk = memstore_walk,
        .delete = memstore_delete,
        .free = memstore_free_view,
    };
    struct memstore_view *v = mem_new(sizeof(*v));

    (void)err;
    v->base.magic = OBJSTORE_MAGIC;
    v->base.ops = &OPS;
    v->m = arg;
    (void)snprintf(v->prefix, sizeof(v->prefix), "%016llx-%08d", (unsigned long long)tenant_id,
                   day);
    *ret = &v->base;
    return 0;
}

static inline struct memstore *memstore_new(void)
{
    struct memstore *m = mem_new(sizeof(*m));

    (void)pthread_mutex_init(&m->mutex, NULL);
    return m;
}

static inline size_t memstore_count(struct memstore *m)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&m->mutex);
    for (struct memstore_blob *b = m->first; b != NULL; b = b->next)
        n++;
    (void)pthread_mutex_unlock(&m->mutex);
    return n;
}

static inline void memstore_free(struct memstore *m)
{
    while (m->first != NULL) {
        struct memstore_blob *b = m->first;
        m->first = b->next;
        memstore_drop(b);
    }
    (void)pthread_mutex_destroy(&m->mutex);
    free(m);
}

#endif
