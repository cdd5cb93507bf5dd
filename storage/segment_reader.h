/*
 * storage/segment_reader.h - a published segment: its blocks, its footer, its proof.
 *
 * Everything in the file is hostile: places are checked by subtraction, sizes before they are
 * allocated, and what fails is ERR_CORRUPT naming file and block while other blocks stay readable.
 * One thread per reader.
 */
#ifndef LOGQ_STORAGE_SEGMENT_READER_H
#define LOGQ_STORAGE_SEGMENT_READER_H

#include "storage/block.h"
#include "storage/block_header.h"
#include "storage/id_filter.h"
#include "storage/segment.h"

struct objstore;
struct segment_reader;

/*
 * Open segment `uuid` of `os` (borrowed).  `key` is the partition's; NULL: only what needs none
 * (the footer without streams, _verify).  ERR_GONE: no such object; ERR_CORRUPT: damaged, or a key
 * that does not fit; ERR_UNSUPPORTED; ERR_IO.
 */
int segment_reader_open(struct objstore *os, const uint8_t uuid[SEGMENT_UUID], const uint8_t *key,
                        struct segment_reader **ret, struct err *err);
void segment_reader_free(struct segment_reader **pr);

uint64_t segment_reader_tenant(const struct segment_reader *r);
int32_t segment_reader_day(const struct segment_reader *r);
uint64_t segment_reader_bytes(const struct segment_reader *r); /* read from the store so far */

/* Whose blocks these are: those of a copy, else the segment itself alone.  As long as `r`. */
struct segment_source;
const struct segment_source *segment_reader_sources(const struct segment_reader *r, uint32_t *n);

/* A block, its header checked against its place; stream numbers in it are the segment's own, also
 * where the block was copied from another. */
struct segment_reader_block {
    struct block_header header;
    uint64_t offset;
    uint32_t source; /* index into segment_reader_sources */
    uint8_t bound[BLOCK_HEADER_BOUND];
    const uint8_t *entry;        /* BLOCK_FRAME_ENTRY bytes for each frame */
    const uint64_t *start;       /* of each frame, behind the block header */
    uint32_t first[BLOCK_KINDS]; /* frame of each kind: they stand together */
    uint32_t count[BLOCK_KINDS];
    struct str stored; /* frames, when the block was small enough to read at once */
};

/* Open block `index` as catalog or footer describe it, in one read.  What it reads is in `a` as
 * long as *ret is used; *ret never changes again. */
int segment_reader_block(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                         struct arena *a, struct segment_reader_block *ret, struct err *err);

/* The plain bytes of frame `index` of `kind`, in `a`; reads that frame alone.  1: there is none. */
int segment_reader_frame(struct segment_reader *r, const struct segment_reader_block *b,
                         enum block_frame_kind kind, uint32_t index, struct arena *a,
                         struct str *ret, struct err *err);

/* A whole block as it lies in the file (header, directory, frames), in `a`, after its digest and
 * leaf were found right; *ret_header says what the block says, stream numbers as written.  Needs no
 * key. */
int segment_reader_raw(struct segment_reader *r, const struct segment_block *b, uint32_t index,
                       struct arena *a, struct block_header *ret_header, struct str *ret,
                       struct err *err);

/* The footer; streams only with a key.  Memory is charged to `budget` (may be NULL). */
int segment_reader_info(struct segment_reader *r, struct mem_budget *budget,
                        struct segment_info **ret, struct err *err);

/* The index of the id filter; the caller owns *ret.  1: the segment has none.  What it may take,
 * and reading it, is charged to `budget` (may be NULL) and added to *charged, also after a failure;
 * the caller gives that back.  ERR_NOMEM: it does not fit. */
int segment_reader_filter(struct segment_reader *r, struct mem_budget *budget, size_t *charged,
                          struct id_filter **ret, struct err *err);
/* A page of a group of it, plain, in `a`. */
int segment_reader_page(struct segment_reader *r, const struct id_filter *f, size_t group,
                        uint32_t page, struct arena *a, struct str *ret, struct err *err);
/* Is every byte of the filter as it was written: behind the last block, its checksums, and, with
 * the key, its pages?  *at: where it is not.  ERR_CORRUPT. */
int segment_reader_verify_filter(struct segment_reader *r, const struct segment_info *info,
                                 uint64_t *at, struct err *err);

/* Compute every leaf again from the stored bytes, and the root from the leaves, and look at the id
 * filter; needs no key.  ERR_CORRUPT names the first block that does not fit. */
int segment_reader_verify(struct segment_reader *r, const struct segment_info *info,
                          struct mem_budget *budget, struct err *err);

#endif
