/*
 * storage/scan_known.h - values whose combination a worker knows from the rows before.
 *
 * To number a row (scan_combo.h) its reduced line is put together and looked up among those of all
 * threads.  Where the line has one part that varies, the same few values, or some of many, come
 * again and again, in one block after the other: these are found here, each in a line of the
 * processor's cache.  What has no room is forgotten.
 */
#ifndef LOGQ_STORAGE_SCAN_KNOWN_H
#define LOGQ_STORAGE_SCAN_KNOWN_H

#include "base/arena.h"

#include <stdbool.h>

struct scan_known; /* of one worker */

/* Charged to `budget` (may be NULL), which must outlive it; where that is used up less is known. */
struct scan_known *scan_known_new(struct mem_budget *budget);
void scan_known_free(struct scan_known **pkn);

/* What lines are apart from the value. */
struct scan_shape {
    struct str before, after, tail;
    unsigned set; /* SCAN_FIELDS_* */
};
/* Its number; 0: there are too many, its lines are not kept here. */
uint32_t scan_known_shape(struct scan_known *kn, const struct scan_shape *shape);

struct scan_known_value {
    struct str text;
    uint32_t base, shape;
};
/* Have what scan_known_get will look at brought near; changes nothing. */
void scan_known_fetch(const struct scan_known *kn, const struct scan_known_value *v);
/* The number that was put; false: it is not known. */
bool scan_known_get(struct scan_known *kn, const struct scan_known_value *v, uint32_t *ret);
void scan_known_put(struct scan_known *kn, const struct scan_known_value *v, uint32_t number);

#endif
