/*
 * storage/block.h - the rows of a block as frames, and back.
 *
 * A block lays its rows out by (stream, seq).  Its frames, in this order:
 *     KEYS    ts, stream and seq of the rows in order of arrival (seq), a number column each that
 *             can be skipped.  A stable counting sort by stream gives the layout back, so the order
 *             of time costs a few bits a row and is stored once.
 *     PLAN    what lines.h needs to read the lines, and the same for the attributes
 *     ROLLUP  rows and line bytes per stream, minute and level; only where that is small
 *     DATA    data frames of the lines, then those of the attributes
 *     CENSUS  rows per stream, template, level and minute; only where that is small
 * Stream numbers in frames count from the block's first stream, so that a block can be copied into
 * another segment as it is.
 * Each frame is compressed by itself; sealing is the segment's business.  Decoders are pure
 * functions of (bytes, limits): hostile bytes end in ERR_CORRUPT, what is held is charged to the
 * arena.
 */
#ifndef LOGQ_STORAGE_BLOCK_H
#define LOGQ_STORAGE_BLOCK_H

#include "base/arena.h"
#include "base/record.h"
#include "storage/lines.h"

enum {
    BLOCK_RAW_TARGET = 8 << 20,  /* raw bytes after which the writer starts the next block */
    BLOCK_ROW_ALONE = 1 << 20,   /* a row of more raw bytes has a block of its own */
    BLOCK_FRAME_MAX = 256 << 20, /* decoded bytes of a frame */
    BLOCK_LEVEL_SMALL = 9,       /* from this zstd level on, columns are made as small as can be */
    BLOCK_ROLLUP_SHARE = 4,      /* rows for each entry of a rollup, at least */
    BLOCK_LEVELS_MAX = 64,       /* values of detected_level in a rollup or census, at most */
    BLOCK_CENSUS_SHARE = 8,      /* rows for each entry of a census, at least */
};

enum block_frame_kind {
    BLOCK_KEYS = 1,
    BLOCK_PLAN = 2,
    BLOCK_ROLLUP = 3,
    BLOCK_DATA = 4,
    BLOCK_CENSUS = 5,
    BLOCK_KINDS = 6,
};
enum block_frame_codec { BLOCK_PLAIN = 0, BLOCK_ZSTD = 1 };

struct block_row {
    ts_ns ts;
    uint64_t seq;
    struct str line;
    const struct label *attr; /* sorted by name */
    uint32_t n_attr;
    uint32_t stream; /* number in the segment */
};

/* Line and attributes, as blocks are cut by. */
size_t block_row_bytes(const struct block_row *row);

struct block_frame {
    uint16_t kind, codec;
    uint32_t raw_bytes; /* before compression */
    struct str bytes;
};

/* Buffers and compression state for one block after the other: keep it.  One thread.  Numbers are
 * compressed at level 1, text at `zstd_level` (0: 1); from BLOCK_LEVEL_SMALL on columns are chosen
 * for size. */
struct block_encoder;
struct block_encoder *block_encoder_new(int zstd_level);
void block_encoder_free(struct block_encoder **pe);

/* Encode 1..BLOCK_ROWS_MAX rows in layout order.  *ret (in order of kind) is valid until the next
 * call. ERR_LIMIT: a frame would be over BLOCK_FRAME_MAX, or there would be too many. */
int block_encoder_run(struct block_encoder *e, const struct block_row *rows, size_t n,
                      const struct block_frame **ret, size_t *ret_n, struct err *err);

/* Undo the compression of one frame: its bytes themselves when it is plain, else in `a`.  `zstd` is
 * a ZSTD_DCtx. */
int block_frame_open(void *zstd, const struct block_frame *f, struct arena *a, struct str *ret,
                     struct err *err);

/* What a block's header says about its rows: how many, and of which interval of streams.  Frames
 * count streams from first_stream on, so a block can move to a segment that numbers them otherwise.
 */
struct block_shape {
    size_t rows;
    uint32_t first_stream, last_stream;
};

/* Which keys are wanted.  LAYOUT needs STREAM and brings it. */
enum {
    BLOCK_WANT_TS = 1 << 0,
    BLOCK_WANT_STREAM = 1 << 1,
    BLOCK_WANT_SEQ = 1 << 2,
    BLOCK_WANT_LAYOUT = 1 << 3,
    BLOCK_WANT_KEYS = 15, /* all of them */
};

/* Arrays of all rows in order of arrival, NULL where not wanted; layout[i] is the place of row i in
 * lines and attributes. */
struct block_keys {
    ts_ns *ts;
    uint32_t *stream;
    uint64_t *seq;
    uint32_t *layout;
};
int block_keys_decode(struct str frame, const struct block_shape *shape, unsigned wanted,
                      struct arena *a, struct block_keys *ret, struct err *err);

/* The two plans of a PLAN frame; attrs.n == 0: no row has attributes. */
struct block_plans {
    struct str lines, attrs;
};
int block_plans_split(struct str frame, struct block_plans *ret, struct err *err);

/* block_rollup.c: rows and line bytes of each stream, minute and value of attribute detected_level,
 * sorted by (stream, minute, level).  Minute m holds 60 s * m < ts <= 60 s * (m + 1): ranges of
 * queries are open at their beginning too. */
struct block_rollup_entry {
    int64_t minute;
    uint64_t line_bytes;
    uint32_t stream, rows;
    uint32_t level; /* index into levels */
};
struct block_rollup {
    struct str *level; /* p == NULL: rows without the attribute */
    size_t n_levels;
    struct block_rollup_entry *entry;
    size_t n;
};
/* Append the plain frame to `b`; false, and nothing appended, where it would have more entries than
 * one for BLOCK_ROLLUP_SHARE rows. */
bool block_rollup_encode(struct buf *b, const struct block_row *rows, size_t n);
int block_rollup_decode(struct str frame, const struct block_shape *shape, struct arena *a,
                        struct block_rollup *ret, struct err *err);
/* One entry of minute 0 in place of those of a stream and level. */
void block_rollup_sum(struct block_rollup *ro);

/*
 * block_census.c: rows of each stream, template and value of attribute detected_level, by minute.
 * Minute m holds 60 s * m <= ts < 60 s * (m + 1), as the steps of a histogram do.  Runs are sorted
 * by (stream, template, level), the minutes of each ascend.
 */
struct block_census_run {
    uint32_t stream, template, level; /* level: index into levels */
    uint32_t first, n;                /* its entries */
};
struct block_census_entry {
    int32_t minute; /* times of 64 bits have fewer minutes than 2^31 */
    uint32_t rows;
};
struct block_census {
    struct str *level; /* p == NULL: rows without the attribute */
    size_t n_levels;
    struct block_census_run *run;
    size_t n_runs;
    struct block_census_entry *entry;
    size_t n;
};
/* As block_rollup_encode; template[i] is that of row i, below LINES_TEMPLATES_MAX + 1. */
bool block_census_encode(struct buf *b, const struct block_row *rows, const uint16_t *template,
                         size_t n);
int block_census_decode(struct str frame, const struct block_shape *shape, size_t n_templates,
                        struct arena *a, struct block_census *ret, struct err *err);

/* All lines of a block, put together again. */
struct block_lines {
    struct str text;     /* of all lines, one after the other */
    const uint32_t *end; /* of line i in the text; it starts where the one before ends */
};

static inline struct str block_line(const struct block_lines *l, size_t row)
{
    uint32_t start = row == 0 ? 0 : l->end[row - 1];

    return (struct str){l->text.p + start, l->end[row] - start};
}

#endif
