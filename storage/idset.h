/*
 * storage/idset.h - a set of stream ids as a bitmap, in an arena.
 *
 * One thread.  Ids outside of its size are not in it.
 */
#ifndef LOGQ_STORAGE_IDSET_H
#define LOGQ_STORAGE_IDSET_H

#include "base/arena.h"

#include <stdint.h>

struct idset {
    uint64_t *bits;
    size_t n; /* ids are below it */
};

/* For ids below n, all out or all in.  ERR_NOMEM. */
int idset_init(struct idset *s, size_t n, bool full, struct arena *a, struct err *err);
void idset_add(struct idset *s, size_t id);
void idset_add_range(struct idset *s, size_t from, size_t to); /* [from, to), cut to its size */
bool idset_has(const struct idset *s, size_t id);
bool idset_has_any(const struct idset *s, size_t from, size_t to); /* of [from, to) */
size_t idset_count(const struct idset *s);
/* The first id at or behind `from`; SIZE_MAX: none. */
size_t idset_next(const struct idset *s, size_t from);
void idset_and(struct idset *s, const struct idset *with);
void idset_and_not(struct idset *s, const struct idset *without);

#endif
