/* storage/partition_internal.h - the inside of a partition, for partition*.c. */
#ifndef LOGQ_STORAGE_PARTITION_INTERNAL_H
#define LOGQ_STORAGE_PARTITION_INTERNAL_H

#include "base/vec.h"
#include "storage/partition.h"
#include "storage/partition_cache.h"

#include <pthread.h>
#include <stdatomic.h>

struct catalog;

struct partition {
    unsigned magic;
#define PARTITION_MAGIC 0x9a27171eu
    struct partition_cache *cache; /* borrowed */
    uint64_t tenant_id;
    int32_t day;
    unsigned refs; /* guarded by the cache's mutex, as is `used` and `listed` */
    uint64_t used; /* when it was last asked for */
    bool listed;   /* the cache knows it; else the last reference frees it */
    atomic_bool dropped;
    pthread_mutex_t
        mutex; /* guards the rest; held across SQLite's I/O, since a connection is one thread's */
    bool is_open;
    struct catalog *catalog;   /* owned */
    struct objstore *objects;  /* owned; set when it is opened, then thread-safe */
    uint8_t key[CRYPT_KEY];    /* set when it is opened, then read-only */
    struct scan_pool *pool;    /* of the next write: partition_help; the writer's */
    struct mem_budget *budget; /* the same */
    uint64_t unreadable;       /* segments that no catalog can take in */
    char unreadable_text[200];
};

/* Equal pins, counted. */
struct partition_pins {
    struct partition_pin pin;
    size_t n;
};

/* A file that goes when no pin of its epoch or before is left. */
struct partition_retired {
    uint64_t tenant_id;
    int32_t day;
    uint8_t uuid[SEGMENT_UUID];
    uint64_t epoch;
};

struct partition_cache {
    unsigned magic;
#define PARTITION_CACHE_MAGIC 0x9a27cac4u
    struct keyring *keyring; /* borrowed */
    char *dir;               /* path of DATA/tenants; owned */
    int dir_fd;              /* the same; owned */
    size_t max_open;
    store_notice_fn *notice; /* may be NULL; with its argument set once, before there are threads */
    void *notice_arg;
    partition_labels_fn *labels; /* may be NULL; with its argument set once, as notice */
    void *labels_arg;
    partition_position_fn *position; /* the same */
    void *position_arg;
    store_objects_fn *objects; /* the same */
    void *objects_arg;
    pthread_mutex_t mutex; /* guards all behind it that is not atomic, and what partition says */
    struct partition **list;
    size_t n, cap;
    uint64_t clock;
    uint64_t epoch; /* counts retirements */
    VEC(struct partition_pins) pins;
    VEC(struct partition_retired) retired;
    _Atomic uint64_t renewed; /* catalogs begun anew, even if nothing was put into them */
    _Atomic uint64_t damaged, rebuilt_catalogs, adopted_segments, removed_leftovers;
};

/* partition_open.c: with p->mutex held.  As partition_cache_get. */
int partition_open(struct partition *p, bool make, struct err *err);
/* partition_adopt.c: with p->mutex held.  Take in or remove what the catalog does not know;
 * `fresh`: the catalog was made just now. */
int partition_adopt(struct partition *p, bool fresh, struct err *err);
/* partition_retire.c: with p->mutex held.  Remove a file that the catalog does not count any more,
 * now or when its readers are done; `may_be_read`: somebody may have been told of it before. */
int partition_discard(struct partition *p, const uint8_t uuid[SEGMENT_UUID], bool may_be_read,
                      struct err *err);
/* Close catalog and directory, wipe the key; nobody holds it.  Also half-opened ones. */
void partition_close(struct partition *p);

#endif
