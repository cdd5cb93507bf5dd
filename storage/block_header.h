/*
 * storage/block_header.h - the fixed head of a block: what it holds, where it belongs, the digest
 * of its bytes.
 *
 * Its canonical form is 208 bytes, all in clear and free of what a tenant wrote, so that a verifier
 * needs no key. The leaf of a segment's tree is SHA-256(0x00 || canonical header); the part before
 * the digest is the associated data of every frame.  Bytes: docs/formats/segment.md.  Pure
 * functions.
 */
#ifndef LOGQ_STORAGE_BLOCK_HEADER_H
#define LOGQ_STORAGE_BLOCK_HEADER_H

#include "base/err.h"
#include "base/time.h"
#include "storage/merkle.h"

enum {
    BLOCK_HEADER_BYTES = 208,                     /* canonical */
    BLOCK_HEADER_STORED = BLOCK_HEADER_BYTES + 4, /* and its crc32c */
    BLOCK_HEADER_BOUND = 176,                     /* bytes before the digest */
    BLOCK_FRAME_ENTRY = 16, /* one entry of the frame directory behind the header */
    BLOCK_FRAMES_MAX = 4096,
    BLOCK_ROWS_MAX = 1 << 16,
    BLOCK_CODEC_TEMPLATES = 2, /* docs/formats/segment.md, "Columns" */
};

enum {                                  /* header flags */
       BLOCK_FLAG_ROLLUP = 1 << 0,      /* has a frame with rows per stream, minute and level */
       BLOCK_FLAG_RECORD_ROOT = 1 << 1, /* record_root is set */
};

struct block_header {
    uint8_t segment[16];
    uint32_t index, flags;
    uint64_t tenant_id, key_id;
    ts_ns min_ts, max_ts, min_received, max_received;
    uint64_t min_seq, max_seq;
    uint32_t rows, codec;
    uint64_t raw_bytes;    /* of lines and attributes */
    uint64_t stored_bytes; /* of frame directory and frames */
    uint32_t first_stream, last_stream;
    uint32_t frames;
    uint32_t first_frame; /* running number in the segment: the nonce of frame 0 */
    struct merkle_hash record_root;
    struct merkle_hash digest; /* SHA-256 of the stored bytes */
};

void block_header_put(const struct block_header *h, uint8_t ret[BLOCK_HEADER_STORED]);

/* ERR_CORRUPT when checksum, magic or the bounds of a field are wrong. */
int block_header_get(const uint8_t p[BLOCK_HEADER_STORED], struct block_header *ret,
                     struct err *err);

struct merkle_hash block_header_leaf(const uint8_t p[BLOCK_HEADER_BYTES]);

struct block_frame_entry {
    uint16_t kind, codec;
    uint32_t raw_bytes, stored_bytes; /* before compression; as it lies in the file */
};
void block_frame_put(const struct block_frame_entry *e, uint8_t ret[BLOCK_FRAME_ENTRY]);
struct block_frame_entry block_frame_get(const uint8_t p[BLOCK_FRAME_ENTRY]);

#endif
