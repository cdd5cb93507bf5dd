/* storage/segment_writer_internal.h - a segment on its way, for segment_writer.c and
 * segment_writer_end.c. */
#ifndef LOGQ_STORAGE_SEGMENT_WRITER_INTERNAL_H
#define LOGQ_STORAGE_SEGMENT_WRITER_INTERNAL_H

#include "base/vec.h"
#include "storage/block.h"
#include "storage/id_filter.h"
#include "storage/segment.h"

/* A block whose rows are not written yet. */
struct open_block {
    struct block_encoder *encoder;
    struct block_row *row; /* BLOCK_ROWS_MAX; owned */
    struct arena *bytes;   /* of rows that were copied */
    size_t n, raw_bytes;
    ts_ns min_received, max_received;
    struct id_keys keys;             /* of its lines, once it is encoded */
    const struct block_frame *frame; /* the encoder's */
    size_t n_frames;
};

struct segment_writer {
    unsigned magic;
#define SEGMENT_WRITER_MAGIC 0x5e9b17c4u
    const struct segment_options *opt; /* borrowed */
    char name[SEGMENT_NAME_MAX];
    struct segment_info *info; /* owned until _finish hands it out */
    VEC(struct segment_block) blocks;
    VEC(struct segment_stream) streams; /* labels in info's arena */
    struct objstore_put *put;
    struct crypt *crypt;
    struct buf out; /* a block as it goes to the file */
    uint32_t next_frame;
    struct id_builder *ids;         /* owned; NULL: a copy */
    VEC(struct id_group) id_groups; /* whose pages are written */
    VEC(uint64_t) id_at;            /* where each of them lies, and the end */

    /* Rows: blocks that wait for each other, the last of them open, and the stream that is being
     * added to. */
    struct open_block block[SEGMENT_BLOCKS_MAX];
    size_t n_blocks;           /* how many of them there are; 0: a copy */
    size_t most;               /* that there may be */
    size_t at;                 /* the open one */
    size_t charged;            /* to the budget, for those past the first */
    struct labels next_labels; /* of a stream that has no row yet */
    bool has_next;
    uint64_t last_seq;

    /* A copy. */
    const struct segment_part *parts; /* borrowed */
    size_t n_parts, part;
    uint32_t part_block;   /* the next one of that part */
    uint32_t part_stream;  /* what its stream numbers start at */
    struct arena *labels;  /* of next_labels */
    struct arena *work;    /* a block on its way */
    struct objstore *from; /* borrowed */
    size_t n_rebuilt;      /* parts whose id filter was damaged */
    struct err rebuilt;    /* what the first of them had */
};

/* Behind the last block, which is written: the id filter, if any, and the footer; w->info is
 * complete then but for its file_bytes.  ERR_LIMIT, ERR_NOMEM, ERR_IO; of a copy also ERR_CORRUPT
 * in the part that _copying names. */
int segment_writer_end(struct segment_writer *w, struct err *err);

#endif
