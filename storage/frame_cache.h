/*
 * storage/frame_cache.h - decoded pieces of blocks, kept for the next query, within a byte budget.
 *
 * Segments never change, so what was read from one is true for ever: block directories, decoded
 * plans, small frames.  What was read from a partition's catalog, its blocks and streams, says
 * under which number of the catalog it is true.  A value is immutable and counted: who holds a
 * `struct frame` may read it while the cache throws it out.  What leaves is drawn at random among
 * the entries that nobody asked for lately: a query that reads more than fits, again and again,
 * still finds a share of it, where the oldest-first rule would find nothing.
 *
 * Invariants
 *   (1) the bytes of the entries of a shard never pass its share of the maximum;
 *   (2) when frame_cache_drop returns, the partition has no entry; who puts one looks behind it
 *       whether the partition was dropped meanwhile, and drops again.
 *
 * Thread-safe.  Everything is in memory in plain: it goes with the process, or with the partition.
 */
#ifndef LOGQ_STORAGE_FRAME_CACHE_H
#define LOGQ_STORAGE_FRAME_CACHE_H

#include "base/mem.h"

#include <stdint.h>

struct frame_cache;
struct frame;

enum { FRAME_CACHE_BYTES = 24 << 20 };

/* `max_bytes` 0: FRAME_CACHE_BYTES.  What is kept is charged to `parent` (may be NULL) too. */
struct frame_cache *frame_cache_new(size_t max_bytes, struct mem_budget *parent);
/* All frames must have been given back. */
void frame_cache_free(struct frame_cache **pc);

enum frame_kind {
    FRAME_PLANS,   /* decoded plans of a block */
    FRAME_BYTES,   /* plain bytes of a frame of a block */
    FRAME_SUMS,    /* rows of a block by stream and level */
    FRAME_IDS,     /* index of a segment's id filter; block and index are 0 */
    FRAME_LIST,    /* segments and blocks of a partition; id: its tenant, block: its day */
    FRAME_STREAMS, /* the same of its streams, scan_day.c */
    FRAME_EDGE,    /* first (index 0) or last (1) rows of a block, scan_edge.c */
    FRAME_ROW,     /* one row of a block, written out, scan_kept.c; index: its place */
};
struct frame_key {
    uint8_t id[16]; /* of the segment, or the tenant */
    uint32_t block;
    uint16_t kind; /* enum frame_kind */
    uint16_t index;
};

/* The partition whose it is. */
struct frame_owner {
    uint64_t tenant_id;
    int32_t day;
};

typedef void frame_free_fn(void *value);

/* The frame of `key` with one reference for the caller, or NULL.  `c` may be NULL. */
struct frame *frame_cache_get(struct frame_cache *c, const struct frame_key *key);

/* Take `value` over, which holds `bytes`, and return it with one reference for the caller.  It is
 * kept if there is room (and `c` not NULL); an older value of the key goes. */
struct frame *frame_cache_put(struct frame_cache *c, const struct frame_key *key,
                              const struct frame_owner *owner, void *value, size_t bytes,
                              frame_free_fn *free_value);

/* The most bytes that a value may hold to be kept; 0 for NULL. */
size_t frame_cache_value_max(const struct frame_cache *c);

const void *frame_value(const struct frame *f);
void frame_unref(struct frame **pf); /* *pf may be NULL */

/* Forget all of a partition; `c` may be NULL. */
void frame_cache_drop(struct frame_cache *c, const struct frame_owner *owner);

struct frame_cache_stats {
    uint64_t hits, misses, evictions; /* since start */
    uint64_t entries, bytes;          /* now */
};
void frame_cache_stats(struct frame_cache *c, struct frame_cache_stats *ret);

#endif
