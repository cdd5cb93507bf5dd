/*
 * storage/compact_merge.h - some segments of one partition and class into one new file.
 *
 * Ordinary rows are merged by (labels, seq) and encoded anew, for size; what is hidden for good is
 * left out.  Strict blocks are copied.  Nothing is committed here.  One thread.
 */
#ifndef LOGQ_STORAGE_COMPACT_MERGE_H
#define LOGQ_STORAGE_COMPACT_MERGE_H

#include "storage/segment.h"

struct hide;
struct mem_budget;

/* Called every few hundred rows and after each block with the bytes written so far; waits as the
 * budget wants it.  ERR_CANCELLED: stop now. */
typedef int compact_pace_fn(void *arg, uint64_t bytes_out, struct err *err);

struct compact_merge {
    struct objstore *objects;
    struct segment_options opt; /* of the new segment; replaces = the inputs */
    const struct hide *hide;    /* what is left out; may be NULL */
    ts_ns now;                  /* for `hide` */
    struct mem_budget *budget;  /* may be NULL */
    compact_pace_fn *pace;
    void *pace_arg;

    /* Out. */
    uint64_t rows_left_out;
    uint64_t filters_rebuilt; /* id filters of inputs that were damaged, and made anew */
    struct err rebuilt;       /* what the first of them had */
    size_t damaged;           /* ERR_CORRUPT, ERR_GONE, ERR_UNSUPPORTED: which of the inputs */
};

/* The inputs are opt.replaces, in order of their spans.  The caller owns *ret; 1: no row is left,
 * nothing was written.  After a failure no file stays.  ERR_CORRUPT, ERR_GONE, ERR_UNSUPPORTED: an
 * input is damaged; ERR_IO (sys ENOSPC: disk full), ERR_NOMEM, ERR_LIMIT, ERR_CANCELLED. */
int compact_merge(struct compact_merge *m, struct segment_info **ret, struct err *err);

#endif
