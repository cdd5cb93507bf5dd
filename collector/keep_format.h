/*
 * collector/keep_format.h - the bytes of a file in keep/: docs/formats/keep.md.
 *
 * Pure functions of bytes; whatever they are given they return or fail, within the limits below.
 */
#ifndef LOGQ_COLLECTOR_KEEP_FORMAT_H
#define LOGQ_COLLECTOR_KEEP_FORMAT_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/labels.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    KEEP_HEAD_BYTES = 96,
    KEEP_FRAME_BYTES = 32,    /* the head of a frame */
    KEEP_RAW_MAX = 256 << 10, /* bytes of a log in one frame, and of one frame in the file */
};

/* Which log it was. */
struct keep_head {
    uint64_t incarnation, no; /* of its entry in the journal, */
    uint32_t salt;            /* and this, too */
    uint32_t head_len;        /* what it was told by: checkpoint.h */
    uint64_t head_hash, dev, ino;
    uint64_t start; /* the first byte that is kept */
};
void keep_format_head(const struct keep_head *h, uint8_t ret[KEEP_HEAD_BYTES]);
/* ERR_CORRUPT, ERR_UNSUPPORTED. */
int keep_parse_head(const uint8_t bytes[KEEP_HEAD_BYTES], struct keep_head *ret, struct err *err);

enum keep_kind {
    KEEP_NAMES = 1, /* path and labels: the first frame, of no bytes of the log */
    KEEP_PLAIN,
    KEEP_ZSTD,
};
struct keep_frame {
    enum keep_kind kind;
    uint32_t raw, stored; /* bytes of the log; bytes behind the frame's head */
    uint64_t offset;      /* in the log */
    uint32_t crc;         /* of what is stored */
};
void keep_format_frame(const struct keep_frame *f, uint8_t ret[KEEP_FRAME_BYTES]);
/* ERR_CORRUPT. */
int keep_parse_frame(const uint8_t bytes[KEEP_FRAME_BYTES], struct keep_frame *ret,
                     struct err *err);
/* What frame `f` holds, exactly f->raw bytes, appended to `out`.  ERR_CORRUPT. */
int keep_unpack(const struct keep_frame *f, struct str stored, struct buf *out, struct err *err);

struct keep_names {
    struct str path;
    bool described; /* labels are known */
    struct labels labels, attrs;
};
/* ERR_LIMIT when they are too large for a frame. */
int keep_format_names(const struct keep_names *n, struct buf *out, struct err *err);
/* Labels point into `bytes`, their tables are in `a`.  ERR_CORRUPT, ERR_LIMIT. */
int keep_parse_names(struct str bytes, struct arena *a, struct keep_names *ret, struct err *err);

#endif
