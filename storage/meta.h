/*
 * storage/meta.h - DATA/meta.db: what the store knows beside the records, and the server's small
 * values.
 *
 * Ranges, chunk identities, tenants and partitions are written only by meta_commit, together with
 * the WAL position they are true for: everything past it is made again from the WAL.
 *
 * Thread-safe; blocking.
 */
#ifndef LOGQ_STORAGE_META_H
#define LOGQ_STORAGE_META_H

#include "storage/dedup.h"
#include "storage/ranges.h"

struct meta;

enum meta_state {
    META_LIVE,
    META_GOING, /* dropped for good; its directory or key may still be there */
    META_GONE,
    META_CHANGING, /* in the file only: live, and its catalog may be ahead of what the row says */
};

/* One tenant's one day. */
struct meta_partition {
    uint64_t tenant_id;
    int32_t day;
    enum meta_state state;
    uint64_t dropped_pos; /* WAL position at which it was dropped last; 0: never */
    uint64_t rows, line_bytes, stored_bytes, segments;
    ts_ns min_ts, max_ts, newest_received;
    bool is_changing;   /* live, and the row was not written since compaction changed the catalog */
    bool longest_known; /* memory only: the longest retention of its streams, until rows come */
    dur_ns longest;     /* 0: for ever */
    dur_ns shortest;    /* of those that compaction may leave out; 0: none, or for ever */
    dur_ns thinned;     /* memory only: compaction was told that streams with this one are over */
    bool is_kept;       /* memory only: a full disk is no reason to drop it */
    bool is_held;       /* memory only: it has streams that a hold names */
    uint32_t summarised; /* memory only: the end of its stream ids when its labels were last put
                            into meta.db; 0: not known */
};

/* A partition's labels in short, sealed (catalog_summary.h). */
struct meta_labels {
    uint64_t tenant_id;
    int32_t day;
    struct str sealed; /* empty: none, it has too many */
};

/* A day of which not all records at or before the position of `progress` are in segments: those
 * past `pos` are in the WAL alone. */
struct meta_late {
    uint64_t tenant_id;
    int32_t day;
    uint64_t pos;
};

struct meta_tenant {
    uint64_t id;
    struct str name;
};

/* What the WAL up to `wal_pos` made of it. */
struct meta_progress {
    uint64_t wal_pos;
    uint64_t last_seq;
    ts_ns last_received;
};

int meta_open(const char *path, struct meta **ret, struct err *err);
void meta_close(struct meta **pm);

/* All that was committed; each function may be called many times, and ends the load with an
 * error below zero. */
struct meta_loader {
    void *arg;
    int (*tenant)(void *arg, const struct meta_tenant *t, struct err *err);
    int (*partition)(void *arg, const struct meta_partition *p, struct err *err);
    int (*ranges)(void *arg, const struct ranges_row *row, struct err *err);
    int (*dedup)(void *arg, uint64_t number, const struct dedup_entry *e, struct err *err);
    int (*late)(void *arg, const struct meta_late *l, struct err *err);
};
int meta_load(struct meta *m, const struct meta_loader *l, struct meta_progress *ret,
              struct err *err);

/* One transaction; all or nothing.  Fault point "meta.commit".  ERR_IO (sys ENOSPC: disk full). */
struct meta_change {
    struct meta_progress progress;
    const struct meta_tenant *tenants; /* new ones */
    size_t n_tenants;
    const struct meta_partition *partitions; /* as they are now */
    size_t n_partitions;
    const struct meta_labels *labels;
    size_t n_labels;
    const struct ranges_row *ranges;
    size_t n_ranges;
    const struct str *gone_ranges; /* keys of sets that were dropped */
    size_t n_gone_ranges;
    const struct dedup_entry *dedup; /* the first has number dedup_number */
    size_t n_dedup;
    uint64_t dedup_number, dedup_first; /* those before dedup_first leave */
    const struct meta_late *late;       /* all there are */
    size_t n_late;
};
int meta_commit(struct meta *m, const struct meta_change *c, struct err *err);

/* Append a partition's labels.  1: there are none. */
int meta_labels_get(struct meta *m, uint64_t tenant_id, int32_t day, struct buf *ret,
                    struct err *err);
int meta_labels_put(struct meta *m, const struct meta_labels *l, struct err *err);

/* Move a partition to META_GOING or META_GONE; its labels go. */
int meta_partition_state(struct meta *m, const struct meta_partition *p, struct err *err);
/* What its row says, after compaction; its labels stay. */
int meta_partition_put(struct meta *m, const struct meta_partition *p, struct err *err);

/* The values behind store_kv_*. */
int meta_kv_put(struct meta *m, const char *space, struct str key, struct str value,
                struct err *err);
int meta_kv_get(struct meta *m, const char *space, struct str key, struct buf *ret,
                struct err *err); /* 1: absent */
int meta_kv_delete(struct meta *m, const char *space, struct str key, struct err *err);
/* The first pair whose key is behind `after` (NULL: the first of all).  1: none. */
int meta_kv_next(struct meta *m, const char *space, const struct str *after, struct buf *key,
                 struct buf *value, struct err *err);

#endif
