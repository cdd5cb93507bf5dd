/*
 * storage/block.h - the rows of a block as columns, and back.
 *
 * A block lays its rows out by (stream, seq).  Its frames:
 *     KEYS   ts, seq and stream of the rows in order of arrival (seq).  A stable counting sort by
 * stream gives the layout back, so the order of time costs a few bits a row and is stored once.
 *            Stream numbers count from the block's first, so that a block can be copied into another
 *            segment as it is.
 *     LINES  lengths of the lines as a number column, then their bytes, both in layout order
 *     ATTRS  one string column for each frequent key, and one of the rare pairs; none if there are
 * no attributes Each frame is compressed by itself; sealing is the segment's business.  Decoders
 * are pure functions of (bytes, limits): hostile bytes end in ERR_CORRUPT, what is held is charged
 * to the arena.
 */
#ifndef LOGQ_STORAGE_BLOCK_H
#define LOGQ_STORAGE_BLOCK_H

#include "base/arena.h"
#include "base/record.h"
#include "storage/column_str.h"

enum {
    BLOCK_RAW_TARGET = 4 << 20,  /* raw bytes after which the writer starts the next block */
    BLOCK_ROW_ALONE = 1 << 20,   /* a row of more raw bytes has a block of its own */
    BLOCK_FRAME_MAX = 256 << 20, /* decoded bytes of a frame */
    BLOCK_ATTR_COLUMNS = 64,     /* keys with a column of their own */
};

enum block_frame_kind { BLOCK_KEYS = 1, BLOCK_LINES = 2, BLOCK_ATTRS = 3, BLOCK_KINDS = 4 };
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

struct block_encoder; /* buffers and compression state for one block after the other; one thread */
struct block_encoder *block_encoder_new(int zstd_level); /* 0: 1 */
void block_encoder_free(struct block_encoder **pe);

/* Encode 1..BLOCK_ROWS_MAX rows in layout order.  *ret (in order of kind) is valid until the next
 * call. ERR_LIMIT: a frame would be over BLOCK_FRAME_MAX. */
int block_encoder_run(struct block_encoder *e, const struct block_row *rows, size_t n,
                      const struct block_frame **ret, size_t *ret_n, struct err *err);

/* Undo the compression of one frame: its bytes themselves when it is plain, else in `a`.  `zstd` is
 * a ZSTD_DCtx. */
int block_frame_open(void *zstd, const struct block_frame *f, struct arena *a, struct str *ret,
                     struct err *err);

/* What a block's header says about its rows: how many, and of which interval of streams. */
struct block_shape {
    size_t rows;
    uint32_t first_stream, last_stream;
};

/* Arrays of all rows in order of arrival; layout[i] is the place of row i in lines and attributes.
 */
struct block_keys {
    ts_ns *ts;
    uint64_t *seq;
    uint32_t *stream;
    uint32_t *layout;
};
int block_keys_decode(struct str frame, const struct block_shape *shape, struct arena *a,
                      struct block_keys *ret, struct err *err);

struct block_lines {
    struct str text; /* of all lines, one after the other; in the frame */
    uint32_t *end;   /* of line i in the text; it starts where the one before ends */
};
int block_lines_decode(struct str frame, size_t n, struct arena *a, struct block_lines *ret,
                       struct err *err);

static inline struct str block_line(const struct block_lines *l, size_t row)
{
    uint32_t start = row == 0 ? 0 : l->end[row - 1];

    return (struct str){l->text.p + start, l->end[row] - start};
}

struct block_attrs {
    size_t n; /* columns, sorted by name */
    struct str *name;
    struct column_str *column;
    struct column_str rest; /* rare pairs of a row, packed */
    bool has_rest;
};
/* block_attrs.c; encode appends the plain frame to `b`, nothing when no row has attributes. */
void block_attrs_encode(struct buf *b, const struct block_row *rows, size_t n);
int block_attrs_decode(struct str frame, size_t n, struct arena *a, struct block_attrs *ret,
                       struct err *err);

/* The attributes of one row, sorted by name, array and bytes in `out` (the bytes copied). */
int block_attrs_row(const struct block_attrs *at, size_t row, struct arena *out,
                    const struct label **ret, uint32_t *ret_n, struct err *err);

#endif
