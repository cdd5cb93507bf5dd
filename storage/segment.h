/*
 * storage/segment.h - one immutable file of log records of one tenant and one day.
 *
 * Written whole by segment_writer.c and published by rename; from then on read by any number of
 * threads and never changed.  Bytes: docs/formats/segment.md.  Which segments exist is the
 * catalog's business, which are visible to whom is the partition's.
 *
 * Rows lie sorted by (stream, seq).  A stream's number is its place in this segment's own table,
 * which is sorted by labels, so a block holds every stream of one interval of numbers.
 */
#ifndef LOGQ_STORAGE_SEGMENT_H
#define LOGQ_STORAGE_SEGMENT_H

#include "base/record.h"
#include "storage/crypt.h"
#include "storage/merkle.h"

#include <stdint.h>

struct objstore;
struct objstore_object;

enum {
    SEGMENT_UUID = 16,
    SEGMENT_NAME_MAX = 2 * SEGMENT_UUID + 5, /* "<hex>.lqs" and its NUL */
    SEGMENT_STREAMS_MAX = 1 << 20,
};

/* A record on its way into a segment: borrowed from a batch that nobody changes any more. */
struct segment_row {
    const struct batch *batch;
    uint32_t record; /* index into batch->records */
    ts_ns received;
};

struct segment_options {
    uint64_t tenant_id;
    int32_t day;               /* YYYYMMDD */
    const uint8_t *key;        /* the partition's, CRYPT_KEY bytes; wraps the segment's own */
    uint64_t wal_from, wal_to; /* (from, to]: all rows of this partition in that span are in here */
    int zstd_level;            /* 0: 1 */
};

struct segment_block {
    uint64_t offset;       /* of the block header in the file */
    uint64_t stored_bytes; /* behind the header: frame directory and frames */
    uint64_t raw_bytes;    /* of lines and attributes */
    uint32_t rows, frames;
    uint32_t first_stream, last_stream; /* numbers in the segment, both inclusive */
    ts_ns min_ts, max_ts;
    struct merkle_hash leaf;
};

struct segment_stream {
    struct labels labels;
    uint64_t rows;
    ts_ns min_ts, max_ts;
};

/* All that the footer says: made by the writer, or read back. */
struct segment_info {
    unsigned magic;
#define SEGMENT_INFO_MAGIC 0x5e91f0a2u
    uint8_t uuid[SEGMENT_UUID];
    uint64_t tenant_id;
    int32_t day;
    uint64_t rows, raw_bytes, line_bytes, file_bytes, footer_offset;
    ts_ns min_ts, max_ts, min_received, max_received; /* inclusive */
    uint64_t min_seq, max_seq;
    uint64_t wal_from, wal_to;
    struct merkle_hash root;
    struct segment_block *blocks; /* in the arena, as are the streams */
    uint32_t n_blocks;
    struct segment_stream *streams;
    uint32_t n_streams;
    struct arena *arena;
};
void segment_info_free(struct segment_info **pi);

/* "<32 hex digits>.lqs"; and back, false when `name` is none. */
void segment_name(const uint8_t uuid[SEGMENT_UUID], char ret[SEGMENT_NAME_MAX]);
bool segment_uuid_of(const char *name, uint8_t ret[SEGMENT_UUID]);

/*
 * Write `n` > 0 rows as one segment under a new uuid and a new key, durable and visible in `os` on
 * success. `rows` is in ascending order of seq (sorted here when it is not).  The caller owns *ret.
 * ERR_IO (sys ENOSPC: disk full), ERR_LIMIT: more than SEGMENT_STREAMS_MAX streams or a row that no
 * block holds.  After a failure nothing is left behind.
 */
int segment_writer_write(struct objstore *os, const struct segment_options *opt,
                         struct segment_row *rows, size_t n, struct segment_info **ret,
                         struct err *err);

#endif
