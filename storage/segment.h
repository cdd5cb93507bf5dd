/*
 * storage/segment.h - one immutable file of log records of one tenant and one day.
 *
 * Written whole by segment_writer.c and published by rename; from then on read by any number of
 * threads and never changed.  Bytes: docs/formats/segment.md.  Which segments exist is the
 * catalog's business, which are visible to whom is the partition's.
 *
 * Rows lie sorted by (stream, seq).  A stream's number is its place in this segment's own table,
 * which is sorted by labels, so a block holds every stream of one interval of numbers.
 *
 * Strict streams (evidence) live in segments of their own, whose blocks compaction only copies,
 * byte for byte: such a copy keeps the headers, hashes and wrapped keys of the segments that its
 * blocks were written for (its sources), and its stream table is theirs, one after the other.
 */
#ifndef LOGQ_STORAGE_SEGMENT_H
#define LOGQ_STORAGE_SEGMENT_H

#include "base/record.h"
#include "storage/crypt.h"
#include "storage/merkle.h"

#include <stdint.h>

struct mem_budget;
struct objstore;
struct objstore_object;
struct scan_pool;

enum {
    SEGMENT_UUID = 16,
    SEGMENT_NAME_MAX = 2 * SEGMENT_UUID + 5, /* "<hex>.lqs" and its NUL */
    SEGMENT_STREAMS_MAX = 1 << 20,
    SEGMENT_SOURCES_MAX = 512,       /* of a copy */
    SEGMENT_REPLACES_MAX = 1024,     /* segments that one replaces */
    SEGMENT_BLOCKS_MAX = 4,          /* encoded at once */
    SEGMENT_BLOCK_MEMORY = 32 << 20, /* about what encoding one takes */
};

/* Bits, so that they also make a set. */
enum segment_class { SEGMENT_ORDINARY = 1, SEGMENT_STRICT = 2, SEGMENT_CLASSES = 3 };

/* Strict: every source but container (which is also what none means), syslog and otlp, and what
 * carries evidence="strict". */
enum segment_class segment_class_of(const struct labels *l);

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
    uint64_t wal_from, wal_to; /* (from, to]: all rows of this partition and class in that span are
                                  in here */
    enum segment_class class;  /* 0: SEGMENT_ORDINARY */
    unsigned span_classes;     /* classes whose segments must all be there for this one to count: a
                                  flush's are published one after the other.  0: its own */
    uint32_t level;            /* 0: a flush's; else how often it was compacted */
    bool small;                /* encode for size */
    const uint8_t *replaces;   /* n_replaces uuids, one after the other; borrowed */
    uint32_t n_replaces;
    struct scan_pool *pool;    /* whose threads encode blocks side by side, at most
                                  SEGMENT_BLOCKS_MAX; borrowed; NULL: one after the other */
    struct mem_budget *budget; /* SEGMENT_BLOCK_MEMORY for each past the first; where that is not
                                  to be had they are fewer.  Borrowed; NULL: not charged */
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
    enum segment_class class;
    unsigned span_classes;
    uint32_t level;
    uint8_t *replaces; /* n_replaces uuids; in the arena */
    uint32_t n_replaces;
    uint64_t data_offset; /* of the first block in the file */
    uint64_t data_end;    /* of the last; the id filter, if any, lies from here to the footer */
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

/* ---- writing ---- */

/*
 * A segment written as a stream: rows come in layout order and leave as blocks as they fill, so
 * memory is bounded by one block and its encoder (with opt->pool, SEGMENT_BLOCKS_MAX of them)
 * whatever the segment holds.  One thread.
 *
 *     segment_writer_open -> { _stream -> _add ... } ... -> _finish -> _free
 *     segment_writer_open_copy -> _copy for each block ... -> _finish -> _free
 */
struct segment_writer;
struct segment_reader;

/* Start a segment under a new uuid and a new key.  `os` and what `opt` points to are borrowed until
 * _free. ERR_IO (sys ENOSPC: disk full). */
int segment_writer_open(struct objstore *os, const struct segment_options *opt,
                        struct segment_writer **ret, struct err *err);

/* Begin the next stream; labels ascend from call to call and are copied.  One without rows leaves
 * nothing.  ERR_INVALID: not ascending; ERR_LIMIT: SEGMENT_STREAMS_MAX. */
int segment_writer_stream(struct segment_writer *w, const struct labels *labels, struct err *err);

struct segment_item {
    ts_ns ts;
    uint64_t seq;
    struct str line;
    const struct label *attr; /* sorted by name */
    uint32_t n_attr;
    ts_ns min_received, max_received; /* where it is not known exactly, what it lies between */
};
/* Append a row of the stream; seq ascends in it.  Bytes stay borrowed until the block is written,
 * at the latest by _finish, or (`copy`) are copied.  ERR_INVALID: seq does not ascend; ERR_LIMIT,
 * ERR_NOMEM, ERR_IO (also of a block that was cut before): only _free may follow. */
int segment_writer_add(struct segment_writer *w, const struct segment_item *it, bool copy,
                       struct err *err);

/* Start a copy of `n` segments, in this order; all of `from` and `info` is borrowed until _free. */
struct segment_part {
    struct segment_reader *from; /* opened with the key */
    const struct segment_info *info;
};
int segment_writer_open_copy(struct objstore *os, const struct segment_options *opt,
                             const struct segment_part *parts, size_t n,
                             struct segment_writer **ret, struct err *err);
/* The next block, checked against its hashes and copied byte for byte.  1: that was all. */
int segment_writer_copy(struct segment_writer *w, struct err *err);
/* The part that the last _copy read from, also when it failed with ERR_CORRUPT. */
size_t segment_writer_copying(const struct segment_writer *w);
/* Parts whose id filter was damaged: _finish made it anew from their lines.  *why: of the first. */
size_t segment_writer_rebuilt(const struct segment_writer *w, struct err *why);

uint64_t segment_writer_bytes(const struct segment_writer *w); /* in the file so far */

/* Write the footer, make it durable and visible.  The caller owns *ret.  Without a row nothing is
 * published: 1. */
int segment_writer_finish(struct segment_writer *w, struct segment_info **ret, struct err *err);
/* What was not published vanishes. */
void segment_writer_free(struct segment_writer **pw);

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
