/*
 * storage/view.h - one tenant at one instant: what a scan reads.
 *
 * The store makes one under the mutex that also guards the flush's swap, without I/O: head batches
 * and `visible` belong together, so that each record is seen exactly once (partition.h, position
 * rule).
 */
#ifndef LOGQ_STORAGE_VIEW_H
#define LOGQ_STORAGE_VIEW_H

#include "storage/partition_cache.h"

struct frame_cache;
struct scan_pool;
struct store;

struct view_late {
    int32_t day;
    uint64_t visible;
};

struct store_view {
    uint64_t tenant_id;
    struct batch *
        *batch; /* owned array (malloc), one reference each; records not yet in visible segments */
    size_t n_batch;
    int32_t
        *day; /* owned array (malloc): days with a partition that may hold [from, to), ascending */
    size_t n_day;
    uint64_t visible; /* segments with wal_to past this are not part of the view: view_visible */
    struct view_late *late; /* owned array (malloc): days for which it is less, ascending */
    size_t n_late;
    struct partition_cache *partitions; /* borrowed; outlives every scan */
    struct frame_cache *frames;         /* the same; may be NULL, as the next */
    struct scan_pool *pool;
    struct partition_pin pin; /* held from the making to the release */
    bool is_pinned;
    struct hide *hide;     /* one reference; what of all this must not be shown; NULL: nothing */
    uint64_t hide_renewed; /* another number for each that the tenant had, NULL too */
    ts_ns now;             /* what the hiding by age goes by */
    bool is_partial;       /* the records of the WAL are not all back yet */
    char partial_text[64];
};

/* Take the view of `tenant` for [from, to) (implemented by the store, store_view.c).  The caller
 * releases it.  A tenant that is not known gives an empty view.  ERR_NOMEM. */
int store_view_take(struct store *s, struct str tenant, ts_ns from, ts_ns to,
                    struct store_view *ret, struct err *err);

/* Up to which position segments of that day are part of the view (view.c). */
uint64_t view_visible(const struct store_view *v, int32_t day);

/* Drop the references and free the arrays (view.c); *v is zeroed. */
void view_release(struct store_view *v);

#endif
