/* storage/meta_internal.h - what meta.c and meta_kv.c share. */
#ifndef LOGQ_STORAGE_META_INTERNAL_H
#define LOGQ_STORAGE_META_INTERNAL_H

#include "storage/db.h"
#include "storage/meta.h"

#include <pthread.h>

struct meta {
    unsigned magic;
#define META_MAGIC 0x9e7a3c15u
    pthread_mutex_t mutex; /* guards db, which is one connection: held across its I/O on purpose */
    struct db *db;         /* owned */
};

#endif
