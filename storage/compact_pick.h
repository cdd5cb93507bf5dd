/*
 * storage/compact_pick.h - which segments of a partition are worth writing into one.  Pure.
 *
 * A segment is written by a flush (level 0), once more when the hour in which it came is over or
 * when there are very many, and then only together with others that were written as often: what is
 * written grows with the logarithm of the day, and nothing is written anew for nothing.
 */
#ifndef LOGQ_STORAGE_COMPACT_PICK_H
#define LOGQ_STORAGE_COMPACT_PICK_H

#include "storage/catalog.h"

enum {
    COMPACT_MANY = 8,         /* so many of one level become one of the next */
    COMPACT_INPUTS = 64,      /* at once */
    COMPACT_STRICT_LEVEL = 2, /* strict ones are copied no further: SEGMENT_SOURCES_MAX */
};

#define COMPACT_STORED_MAX (UINT64_C(256) << 20) /* bytes of a result */
#define COMPACT_OPEN_MAX   (UINT64_C(96) << 20)  /* raw bytes of the blocks that are open at once */
#define COMPACT_LATE       NS_PER_MIN            /* behind an hour's end */
#define COMPACT_DAY_LATE   (2 * NS_PER_H)        /* behind a day's end */

struct compact_rule {
    ts_ns now;        /* as receive times go */
    uint64_t horizon; /* segments that reach past it are not touched */
    int32_t day;      /* of the partition */
    bool all;         /* whatever the time: hour and day are over */
};

/* Rows [first, first + n) of those of catalog_rows, of one class, next to each other. */
struct compact_choice {
    size_t first, n;
    bool due; /* holds rows that were deleted */
};

/* false: nothing now; *next: when to ask again if nothing is written until then (INT64_MAX: never).
 */
bool compact_pick(const struct catalog_row *rows, size_t n, const struct compact_rule *rule,
                  struct compact_choice *ret, ts_ns *next);

#endif
