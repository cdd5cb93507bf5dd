/*
 * storage/segment_format.h - sizes and codes of a segment file outside of its blocks, shared by
 * writer and reader. docs/formats/segment.md has the bytes.
 */
#ifndef LOGQ_STORAGE_SEGMENT_FORMAT_H
#define LOGQ_STORAGE_SEGMENT_FORMAT_H

#include "base/buf.h"
#include "storage/block_header.h"
#include "storage/id_filter.h"
#include "storage/segment.h"

enum {
    SEGMENT_VERSION = 1,
    SEGMENT_HEADER = 128,
    SEGMENT_HEADER_BOUND = 56, /* bytes before the wrapped key: its associated data */
    SEGMENT_TRAILER = 32,
    SEGMENT_SOURCE = 136, /* one entry of a copy's sources */
    FOOTER_HEAD = 216,    /* associated data of the stream table */
    FOOTER_BLOCK = 88,    /* one entry of the block index */
    FOOTER_MAX = 512 << 20,
    STREAMS_RAW_MAX = 256 << 20,
    FRAME_BOUND = BLOCK_HEADER_BOUND + BLOCK_FRAME_ENTRY + 4, /* associated data of a frame */
    ID_PAGE_BOUND = SEGMENT_UUID + 16 + ID_PAGE_BLOCKS / 8,   /* ... of a page of the id filter */
    ID_PAGE_MAX = 64 << 20,
};

struct segment_header {
    uint8_t uuid[SEGMENT_UUID];
    uint64_t tenant_id;
    int32_t day;
    uint32_t n_sources; /* 0: no copy */
    uint8_t wrapped[CRYPT_WRAPPED];
};

/* What is associated data of the wrapped key: the header before it, then the entries of a copy's
 * `n` sources, which follow the header at `p`. */
void segment_header_bound(const uint8_t *p, uint32_t n, struct buf *ret);

/* A segment whose blocks were copied: it says under which names and key they were sealed. */
struct segment_source {
    uint8_t header[SEGMENT_HEADER]; /* as it stood in the source's file */
    uint32_t first_block;           /* its blocks are those from here to the next source's */
    uint32_t first_stream;          /* what its stream numbers start at */
};
void segment_source_put(const struct segment_source *s, uint8_t ret[SEGMENT_SOURCE]);
/* ERR_CORRUPT: not a header of (tenant, day), or itself a copy's. */
int segment_source_get(const uint8_t p[SEGMENT_SOURCE], const struct segment_header *of,
                       struct segment_source *ret, struct err *err);

/* Everything but the wrapped key, then that and the checksum. */
void segment_header_put(const struct segment_header *h, uint8_t ret[SEGMENT_HEADER]);
/* ERR_CORRUPT; ERR_UNSUPPORTED: made by a newer program. */
int segment_header_get(const uint8_t p[SEGMENT_HEADER], struct segment_header *ret,
                       struct err *err);

/* What the footer says of its stream table. */
struct footer_streams {
    uint32_t codec, frame; /* frame: running number, the nonce */
    uint64_t raw_bytes, stored_bytes;
};

/* The first FOOTER_HEAD bytes. */
void footer_head_put(const struct segment_info *info, const struct footer_streams *s,
                     uint8_t ret[FOOTER_HEAD]);
void footer_block_put(const struct segment_block *b, uint8_t ret[FOOTER_BLOCK]);

/* What the trailer says. */
struct segment_trailer {
    uint64_t footer, footer_bytes; /* where it lies */
    uint32_t index_bytes;          /* of the id filter's index, in front of the footer; 0: none */
};
void segment_trailer_put(const struct segment_trailer *t, uint8_t ret[SEGMENT_TRAILER]);
/* Of a file of `size` bytes. */
int segment_trailer_get(const uint8_t p[SEGMENT_TRAILER], uint64_t size,
                        struct segment_trailer *ret, struct err *err);

/* Associated data of a page of a group of the id filter. */
void segment_page_bound(const uint8_t uuid[SEGMENT_UUID], const struct id_group *g, uint32_t page,
                        uint8_t ret[ID_PAGE_BOUND]);

/* Read all but the streams out of a whole footer: head, block index (into info->arena), checksum.
 * *rest is the sealed stream table.  info->arena and ->data_offset are set by the caller. */
int footer_get(struct str footer, const struct segment_trailer *t, struct segment_info *info,
               struct footer_streams *s, struct str *rest, struct err *err);

/* The stream table, plain, to info->streams (arena). */
void footer_streams_put(struct buf *b, const struct segment_info *info);
int footer_streams_get(struct str plain, struct segment_info *info, struct err *err);

#endif
