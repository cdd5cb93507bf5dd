/*
 * storage/objstore.h - DOOR, seam: immutable objects by name; a local directory now, S3 later.
 *
 * An object appears whole or not at all (put, then publish) and never changes.  Names are 1..128
 * bytes of [A-Za-z0-9._-], do not start with a dot and do not end in ".tmp": one store is one flat
 * prefix, such as a partition's directory.
 *
 * Thread-safe: any number of threads may read, list and delete; a put belongs to one thread.
 */
#ifndef LOGQ_STORAGE_OBJSTORE_H
#define LOGQ_STORAGE_OBJSTORE_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>

struct objstore;
struct objstore_object; /* one object opened for reading */
struct objstore_put;    /* one object being written */

/* Call for each name; non-zero ends the walk and is returned. */
typedef int objstore_list_fn(void *arg, const char *name, struct err *err);

/* What a kind of store implements; each may assume a name that was checked.  Contracts are those of
 * the functions below. */
typedef int objstore_open_fn(struct objstore *os, const char *name, struct objstore_object **ret,
                             struct err *err);
typedef int objstore_read_fn(struct objstore_object *o, uint64_t offset, void *dst, size_t n,
                             struct err *err);
typedef void objstore_close_fn(struct objstore_object *o);
typedef int objstore_put_fn(struct objstore *os, const char *name, struct objstore_put **ret,
                            struct err *err);
typedef int objstore_append_fn(struct objstore_put *put, const void *p, size_t n, struct err *err);
typedef int objstore_publish_fn(struct objstore_put *put, struct err *err);
typedef void objstore_discard_fn(struct objstore_put *put);
typedef int objstore_walk_fn(struct objstore *os, objstore_list_fn *fn, void *arg, struct err *err);
typedef int objstore_delete_fn(struct objstore *os, const char *name, struct err *err);
typedef void objstore_free_fn(struct objstore *os);

struct objstore_ops {
    objstore_open_fn *open;
    objstore_read_fn *read;
    objstore_close_fn *close;
    objstore_put_fn *put;
    objstore_append_fn *append;
    objstore_publish_fn *publish;
    objstore_discard_fn *discard;
    objstore_walk_fn *walk;
    objstore_delete_fn *delete;
    objstore_free_fn *free;
};

/* The heads of what a kind of store allocates. */
struct objstore {
    unsigned magic;
#define OBJSTORE_MAGIC 0x0b5704eeu
    const struct objstore_ops *ops;
};

struct objstore_object {
    unsigned magic;
#define OBJSTORE_OBJECT_MAGIC 0x0b5704e1u
    struct objstore *store;
    uint64_t size;
};

struct objstore_put {
    unsigned magic;
#define OBJSTORE_PUT_MAGIC 0x0b5704e2u
    struct objstore *store;
    uint64_t size;
};

/* Objects as files of the directory behind `dir_fd` (duplicated).  Half-written ones are NAME.tmp;
 * those a crash has left are removed here, so open one before anything is being put.  ERR_IO. */
int objstore_fs_open(int dir_fd, struct objstore **ret, struct err *err);

/* Release; every object and put must be closed.  *pos may be NULL. */
void objstore_free(struct objstore **pos);

bool objstore_name_ok(const char *name);

/* ERR_GONE when there is none of that name, ERR_INVALID for a bad name, ERR_IO.  Any number of
 * threads may read one object. */
int objstore_open(struct objstore *os, const char *name, struct objstore_object **ret,
                  struct err *err);
uint64_t objstore_size(const struct objstore_object *o);

/* All of [offset, offset + n); ERR_CORRUPT when the object ends before, ERR_IO. */
int objstore_read(struct objstore_object *o, uint64_t offset, void *dst, size_t n, struct err *err);
void objstore_close(struct objstore_object **po);

/* Start an object; append; publish makes it visible and durable.  A failed append or publish leaves
 * only discard, which is also called after a success, and removes what was not published.
 * ERR_EXISTS when the name is taken, ERR_IO. */
int objstore_put(struct objstore *os, const char *name, struct objstore_put **ret, struct err *err);
int objstore_append(struct objstore_put *put, const void *p, size_t n, struct err *err);
uint64_t objstore_put_size(const struct objstore_put *put);
int objstore_publish(struct objstore_put *put, struct err *err);
void objstore_discard(struct objstore_put **pput);

/* The names of all published objects, in no order; ones put or deleted meanwhile may or may not
 * show. */
int objstore_list(struct objstore *os, objstore_list_fn *fn, void *arg, struct err *err);

/* Durable on return; an absent name is fine.  Who has it open may go on reading.  ERR_IO. */
int objstore_delete(struct objstore *os, const char *name, struct err *err);

#endif
