/*
 * storage/catalog.h - what a partition holds: streams, segments, blocks, and the WAL position that
 * is applied.
 *
 * One SQLite file (docs/formats/catalog.md).  Nothing in it that cannot be made again from the
 * segments' footers. Labels lie sealed; a stream is found by a keyed hash of its labels.  One
 * thread at a time (partition.c locks).
 */
#ifndef LOGQ_STORAGE_CATALOG_H
#define LOGQ_STORAGE_CATALOG_H

#include "storage/segment.h"

struct catalog;

/* Open or make the catalog of (tenant, day) at `path`; `key` is the partition's.  ERR_CORRUPT:
 * damaged, or another partition's; ERR_INVALID: a newer program's; ERR_IO. */
int catalog_open(const char *path, uint64_t tenant_id, int32_t day, const uint8_t key[CRYPT_KEY],
                 struct catalog **ret, struct err *err);
void catalog_close(struct catalog **pc);

int catalog_applied(struct catalog *c, uint64_t *ret, struct err *err);
int catalog_has(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], bool *ret, struct err *err);

/* Does a segment cover anything of (wal_from, wal_to]? */
int catalog_covers(struct catalog *c, uint64_t wal_from, uint64_t wal_to, bool *ret,
                   struct err *err);

/* One transaction: the segment, its blocks, its streams, and applied = info->wal_to.  Durable on
 * return.  Fault point "catalog.commit". */
int catalog_insert(struct catalog *c, const struct segment_info *info, struct err *err);

/* Move the applied position alone. */
int catalog_advance(struct catalog *c, uint64_t wal_to, struct err *err);

struct catalog_totals {
    uint64_t segments, rows, line_bytes, raw_bytes, stored_bytes;
    ts_ns min_ts, max_ts, newest_received; /* meaningless while there are no segments */
};
int catalog_totals(struct catalog *c, struct catalog_totals *ret, struct err *err);

/* Each stream of the partition.  Non-zero from fn ends the walk and is returned.  `l` is valid
 * during the call. ERR_CORRUPT: labels do not open. */
typedef int catalog_stream_fn(void *arg, uint64_t id, const struct labels *l, struct err *err);
int catalog_streams(struct catalog *c, catalog_stream_fn *fn, void *arg, struct err *err);

struct catalog_segment {
    uint64_t id; /* in this catalog */
    uint8_t uuid[SEGMENT_UUID];
    ts_ns min_ts, max_ts, max_received;
    uint64_t min_seq, max_seq;
    uint32_t n_blocks, n_streams;
    const uint8_t
        *streams; /* n_streams ids, 32-bit little-endian: of stream 0, 1, ... of the segment */
};

/* What a reader may see: segments with wal_to <= visible, times in [from, to]. */
struct catalog_range {
    uint64_t visible;
    ts_ns from, to;
};

/* Each segment of the range, in order of min_ts.  As above; `s` is valid during the call. */
typedef int catalog_segment_fn(void *arg, const struct catalog_segment *s, struct err *err);
int catalog_segments(struct catalog *c, const struct catalog_range *range, catalog_segment_fn *fn,
                     void *arg, struct err *err);

/* Each block of a segment that overlaps the range's times, by index.  leaf is not set. */
typedef int catalog_block_fn(void *arg, uint32_t index, const struct segment_block *b,
                             struct err *err);
int catalog_blocks(struct catalog *c, uint64_t segment, const struct catalog_range *range,
                   catalog_block_fn *fn, void *arg, struct err *err);

#endif
