/*
 * query/group.h - distinct label sets, each with something of the caller's.
 *
 * Sets are found by a 128-bit hash and compared, and keep the order of their first appearance.  All
 * memory is the arena's.
 */
#ifndef LOGQ_QUERY_GROUP_H
#define LOGQ_QUERY_GROUP_H

#include "base/labels.h"

struct group {
    struct labels labels; /* a copy, in the arena */
    struct hash128 hash;
    void *data; /* the caller's; NULL at first */
};

struct groups {
    struct arena *arena;
    struct group **v;
    size_t n, cap;
    uint32_t *slots; /* position + 1; a power of two of them, at most half full */
    size_t n_slots;
};

void groups_init(struct groups *g, struct arena *a);

/* The group of these labels, new if there was none.  It stays where it is.  ERR_NOMEM, ERR_LIMIT.
 */
int groups_find(struct groups *g, const struct labels *l, struct group **ret, struct err *err);

#endif
