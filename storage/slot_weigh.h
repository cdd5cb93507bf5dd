/*
 * storage/slot_weigh.h - what bytes come to after zstd: how ways to pack a column are compared when
 * bytes matter more than time.
 */
#ifndef LOGQ_STORAGE_SLOT_WEIGH_H
#define LOGQ_STORAGE_SLOT_WEIGH_H

#include "base/str.h"

/* Scratch; zeroed is ready.  One thread. */
struct slot_scale {
    void *zstd; /* ZSTD_CCtx, made when first used */
    char *room;
    size_t cap;
};
void slot_scale_fini(struct slot_scale *s);

/* Compressed size of `bytes`. */
size_t slot_weigh(struct slot_scale *s, struct str bytes);

#endif
