/*
 * storage/partition_cache.h - the partitions that are open, at most so many of them idle.
 *
 * An open partition holds an SQLite connection and two descriptors; scans walk days one after
 * another, so a small number is enough.  Those in use are never closed: the bound is max_open plus
 * what scans and the flush hold. Thread-safe; opening is I/O and happens outside of the cache's
 * mutex.
 */
#ifndef LOGQ_STORAGE_PARTITION_CACHE_H
#define LOGQ_STORAGE_PARTITION_CACHE_H

#include "base/arena.h"
#include "storage/partition.h"
#include "storage/store.h"

/* `dir` is DATA/tenants (made if absent), `keyring` borrowed until _free; max_open 0: 32.  ERR_IO.
 */
int partition_cache_new(const char *dir, struct keyring *keyring, size_t max_open,
                        struct partition_cache **ret, struct err *err);
/* Whom to tell that a catalog was set aside ("catalog.rebuilt"), on the thread that met it.  Before
 * the first partition_cache_get. */
void partition_cache_tell(struct partition_cache *c, store_notice_fn *fn, void *arg);
/* Where the labels of a partition lie in short (catalog_summary.h): appends them sealed.  1: there
 * are none.  Any thread; set before the first partition_cache_get. */
typedef int partition_labels_fn(void *arg, uint64_t tenant_id, int32_t day, struct buf *ret,
                                struct err *err);
void partition_cache_ask_labels(struct partition_cache *c, partition_labels_fn *fn, void *arg);
/* Up to which position the segments of a partition are known to count, whatever its catalog says.
 * The same; NULL: none. */
typedef uint64_t partition_position_fn(void *arg, uint64_t tenant_id, int32_t day);
void partition_cache_ask_position(struct partition_cache *c, partition_position_fn *fn, void *arg);
/* Where the segments of a partition lie; NULL: files in its directory.  The same. */
void partition_cache_put_objects(struct partition_cache *c, store_objects_fn *fn, void *arg);
/* Closes all; nobody may hold a partition any more. */
void partition_cache_free(struct partition_cache **pc);

/*
 * One reference on the partition, opened if it is not: leftovers of a crash are removed, a missing
 * or damaged catalog is made again from the segments' footers.  `make`: create directory and key
 * when there are none.  ERR_GONE: its key was destroyed, or never made; ERR_IO; ERR_CORRUPT, also
 * when the key is there and the directory is not.
 */
int partition_cache_get(struct partition_cache *c, uint64_t tenant_id, int32_t day, bool make,
                        struct partition **ret, struct err *err);

/* The labels of a partition in short, in `a`, without opening it.  1: there are none, or they
 * cannot be read: open it. */
int partition_cache_labels(struct partition_cache *c, uint64_t tenant_id, int32_t day,
                           struct arena *a, struct str *ret);

/* Forget the partition and remove its directory; scans that hold it find nothing more in it.  Its
 * key is the caller's business (keyring_shred_partition), before this.  An absent one is fine.
 * ERR_IO. */
int partition_cache_drop(struct partition_cache *c, uint64_t tenant_id, int32_t day,
                         struct err *err);

/*
 * Pins.  A view of a store (view.h) holds one from its making to its release: what was replaced
 * after that stays readable, file by file, until it is given back, and nothing is compacted that
 * reaches past the position up to which some view sees segments.
 */
struct partition_pin {
    uint64_t epoch, tenant_id, visible;
};
/* tenant_id 0: everybody's partitions. */
struct partition_pin partition_cache_pin(struct partition_cache *c, uint64_t tenant_id,
                                         uint64_t visible);
void partition_cache_unpin(struct partition_cache *c, const struct partition_pin *pin);
/* The least `visible` that is pinned of that tenant; UINT64_MAX: none is. */
uint64_t partition_cache_horizon(struct partition_cache *c, uint64_t tenant_id);

/* How many catalogs were begun anew since start, but for those of partitions that are new
 * themselves: numbers of streams and what compaction meant to do may be others behind it. */
uint64_t partition_cache_renewed(struct partition_cache *c);

/* A segment that was replaced, or is a leftover: its file goes with the next _sweep that finds no
 * pin from before this call.  Blocking I/O is left to _sweep. */
void partition_cache_retire(struct partition_cache *c, uint64_t tenant_id, int32_t day,
                            const uint8_t uuid[SEGMENT_UUID]);
/* Remove what nobody can be reading any more; how many stay.  Files that cannot be removed now are
 * tried again by the next call. */
size_t partition_cache_sweep(struct partition_cache *c);

/* Segments and blocks that failed their checks when read, catalogs made again; since start. */
struct partition_cache_stats {
    uint64_t damaged, rebuilt_catalogs, adopted_segments, removed_leftovers, open;
    uint64_t retired; /* waiting for their readers */
};
void partition_cache_stats(struct partition_cache *c, struct partition_cache_stats *ret);

#endif
