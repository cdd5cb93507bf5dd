/*
 * collector/keep_internal.h - what the parts of keep share: keep.c (the directory, and writing) and
 * keep_reader.c (reading).
 */
#ifndef LOGQ_COLLECTOR_KEEP_INTERNAL_H
#define LOGQ_COLLECTOR_KEEP_INTERNAL_H

#include "collector/keep.h"
#include "wire/codec.h"

enum { KEEP_NAME_BYTES = 48 };

struct keep {
    unsigned magic;
#define KEEP_MAGIC 0x4ee9f11eu
    int dir_fd;
    uint64_t incarnation;
    uint64_t bytes, next;
    struct codec_writer *codec; /* while something is written */
    unsigned writers;
};

/* keep.c */
void keep_name(uint64_t incarnation, uint64_t no, char name[KEEP_NAME_BYTES]); /* of its file */
/* Files of the directory have so much less and so much more in them. */
void keep_set_bytes(struct keep *k, uint64_t less, uint64_t more);
int keep_sync_data(int fd, struct err *err);

/* keep_reader.c */
int keep_read_head(int fd, struct keep_head *ret, struct err *err);
/* The head of the frame at `at` of `size` bytes. */
int keep_read_frame(int fd, uint64_t at, uint64_t size, struct keep_frame *ret, struct err *err);
/* What the frame at `at` holds, in place of what is in `out`. */
int keep_read_content(int fd, uint64_t at, const struct keep_frame *f, struct buf *out,
                      struct err *err);

#endif
