/*
 * storage/ballast.h - a file that holds nothing, so that on a full disk catalogs can still commit.
 *
 * Given up when a flush meets a full disk, made again when there is room.  One thread at a time.
 */
#ifndef LOGQ_STORAGE_BALLAST_H
#define LOGQ_STORAGE_BALLAST_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

struct ballast {
    int dir_fd;     /* borrowed */
    uint64_t bytes; /* 0: there is none, ever */
    bool held;
};

/* Make DATA/ballast unless it is there; without room there is none for now. */
void ballast_init(struct ballast *b, int dir_fd, uint64_t bytes);
/* Give its space back; false: it was not held. */
bool ballast_release(struct ballast *b);
/* Take the space again if afterwards `min_free` of the file system is still free. */
void ballast_restore(struct ballast *b, double min_free);

/* The share of the file system that is free for us, and its size; what cannot be found out reads as
 * all free. */
double ballast_free(int dir_fd, uint64_t *ret_total, uint64_t *ret_free);

#endif
