/*
 * storage/wal_format.h - the bytes of a WAL file: its header, and the header of a frame.
 *
 * The whole of it, with every offset: docs/formats/wal.md.
 */
#ifndef LOGQ_STORAGE_WAL_FORMAT_H
#define LOGQ_STORAGE_WAL_FORMAT_H

#include "base/err.h"
#include "storage/crypt.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WAL_HEADER = 128,    /* bytes before the first frame */
    WAL_HEADER_AAD = 56, /* of these the key's wrapping is bound to */
    WAL_FRAME = 40,      /* bytes of a frame's header */
    WAL_CHUNK = 1 << 20, /* most plain bytes in a frame */
    WAL_UUID = 16,
    WAL_NAME = 16 + 4, /* "<16 hex digits>.wal" */
    WAL_FIRST = 1,     /* frame flags: the first of a body */
    WAL_LAST = 2,      /* ... the last one */
};

#define WAL_FRAME_MAGIC UINT32_C(0x4657514c) /* "LQWF" */

struct wal_header {
    uint8_t uuid[WAL_UUID];
    uint64_t number; /* of the file; its name */
    uint64_t base;   /* position of the file's first byte */
    uint64_t after;  /* frames of earlier files that end past this position are void */
    uint8_t wrapped[CRYPT_WRAPPED];
};

/* `wrapped` may be filled later: _aad gives the bytes it is bound to. */
void wal_format_header(const struct wal_header *h, char ret[WAL_HEADER]);
int wal_format_parse_header(const char p[WAL_HEADER], struct wal_header *ret, struct err *err);

struct wal_frame {
    uint32_t length; /* sealed bytes behind the header */
    uint8_t flags;
    uint64_t number;   /* in the file, from 0: the nonce */
    uint64_t position; /* of the header's first byte */
    uint64_t synced;   /* everything before this position was durable when the frame was made */
};

void wal_format_frame(const struct wal_frame *f, char ret[WAL_FRAME]);
/* false: no header of a frame (magic, checksum, length or flags). */
bool wal_format_parse_frame(const char p[WAL_FRAME], struct wal_frame *ret);

/* "<16 hex digits>.wal" with its NUL; and back, false when `name` is none. */
void wal_format_name(uint64_t number, char ret[WAL_NAME + 1]);
bool wal_format_parse_name(const char *name, uint64_t *ret);

#endif
