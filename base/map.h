/*
 * base/map.h - hash map from bytes to a pointer.
 *
 * Keys are copied in.  Open addressing over a seeded 64-bit hash (a hostile sender cannot aim for
 * collisions).  Bounded by `max` entries.  One thread.
 */
#ifndef LOGQ_BASE_MAP_H
#define LOGQ_BASE_MAP_H

#include "base/str.h"

struct map;
typedef void map_free_fn(void *value);

/* `max` entries at most (0: no limit); `free_value` (may be NULL) is called for each value that
 * leaves. */
struct map *map_new(size_t max, map_free_fn *free_value);
void map_free(struct map **pm);

void *map_get(const struct map *m, struct str key); /* NULL if absent */
/* Set key to value (not NULL), replacing and freeing what was there.  false: full, nothing changed.
 */
bool map_put(struct map *m, struct str key, void *value);
bool map_remove(struct map *m, struct str key); /* false if absent */
size_t map_count(const struct map *m);

/* Walk: start with *pos = 0; false at the end.  No put or remove of other keys while walking;
 * removing the key just returned is allowed. */
bool map_next(const struct map *m, size_t *pos, struct str *key, void **value);

#endif
