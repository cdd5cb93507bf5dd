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
/* For reading alone, as db_open_reader; without a key (NULL) nothing that is sealed can be asked
 * for. */
int catalog_open_reader(const char *path, bool still, const uint8_t *key, struct catalog **ret,
                        struct err *err);
void catalog_close(struct catalog **pc);

int catalog_applied(struct catalog *c, uint64_t *ret, struct err *err);
int catalog_has(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], bool *ret, struct err *err);
/* Was it replaced, and is its file still there? */
int catalog_is_leaving(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], bool *ret,
                       struct err *err);

/* Does a segment of the class cover anything of (wal_from, wal_to]? */
struct catalog_span {
    enum segment_class class;
    uint64_t wal_from, wal_to;
};
int catalog_covers(struct catalog *c, const struct catalog_span *span, bool *ret, struct err *err);

/* Another number after each commit, and in each catalog that is opened, while the process lives:
 * what was read under one number is still true under the same. */
uint64_t catalog_generation(const struct catalog *c);
/* The same of the streams, their ids and their labels alone. */
uint64_t catalog_streams_state(const struct catalog *c);

/* ---- writing: one transaction each, durable on return.  Fault point "catalog.commit". ---- */

/* The segments, their blocks and streams, and applied = wal_to. */
int catalog_insert(struct catalog *c, struct segment_info *const *infos, size_t n, uint64_t wal_to,
                   struct err *err);

/* Move the applied position alone. */
int catalog_advance(struct catalog *c, uint64_t wal_to, struct err *err);

/* For many segments: begin, add each, end with the outcome so far (0: commit, and applied = wal_to;
 * else roll back and return it). */
int catalog_begin(struct catalog *c, struct err *err);
int catalog_add(struct catalog *c, const struct segment_info *info, struct err *err);
int catalog_end(struct catalog *c, int outcome, uint64_t wal_to, struct err *err);

/* `info` (NULL: nothing, none of their rows is left) takes the place of the `n` segments with these
 * uuids, one after the other. What they were stays on record, with their uuids among
 * catalog_leaving.  ERR_GONE: one of them is not here any more; nothing happened. */
int catalog_replace(struct catalog *c, const uint8_t *uuids, size_t n,
                    const struct segment_info *info, struct err *err);

/* Segments that were replaced and whose files may still be there; and that one is gone. */
typedef int catalog_uuid_fn(void *arg, const uint8_t uuid[SEGMENT_UUID], struct err *err);
int catalog_leaving(struct catalog *c, catalog_uuid_fn *fn, void *arg, struct err *err);
int catalog_left(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], struct err *err);

/* What compaction has to do with a segment. */
enum catalog_todo {
    CATALOG_NOTHING, /* but what its size and age ask for */
    CATALOG_DUE,     /* holds rows that were deleted: write it anew soon */
    CATALOG_ALONE,   /* damaged: leave it alone */
};
int catalog_mark_alone(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], struct err *err);
/* Every ordinary segment with times in [from, to] that is not to be left alone is due. */
int catalog_mark_due(struct catalog *c, ts_ns from, ts_ns to, struct err *err);
/* A segment that took the place of due ones is due, too, until somebody says that nothing was
 * deleted since its rows were chosen. */
int catalog_not_due(struct catalog *c, const uint8_t uuid[SEGMENT_UUID], struct err *err);

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
    uint64_t wal_to;
    uint32_t n_blocks, n_streams;
    const uint8_t
        *streams; /* n_streams ids, 32-bit little-endian: of stream 0, 1, ... of the segment */
};

/* What a walk over all segments and their blocks would give. */
struct catalog_extent {
    uint64_t segments, blocks, streams; /* streams: sum over the segments */
};
int catalog_extent(struct catalog *c, struct catalog_extent *ret, struct err *err);

/* Each segment, by class and span: what compaction chooses from. */
struct catalog_row {
    uint8_t uuid[SEGMENT_UUID];
    enum segment_class class;
    enum catalog_todo todo;
    uint32_t level, n_blocks, n_streams;
    uint64_t wal_from, wal_to;
    uint64_t rows, raw_bytes, stored_bytes;
    ts_ns min_ts, max_ts, min_received, max_received;
};
typedef int catalog_row_fn(void *arg, const struct catalog_row *row, struct err *err);
int catalog_rows(struct catalog *c, catalog_row_fn *fn, void *arg, struct err *err);

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
