/*
 * base/intern.h - byte strings as numbers 0, 1, 2 ... in the order in which they first came.
 *
 * For very many short strings: each costs its bytes and some thirty more, charged to a budget as it
 * comes.  The hash is seeded (base/map.h), and strings are compared: two never share a number.
 */
#ifndef LOGQ_BASE_INTERN_H
#define LOGQ_BASE_INTERN_H

#include "base/mem.h"
#include "base/str.h"

struct intern; /* one thread at a time */

/* At most `max` strings, and `max_bytes` of theirs (0: whatever the budget has).  `budget` (may be
 * NULL) must outlive it. */
struct intern *intern_new(struct mem_budget *budget, uint32_t max, size_t max_bytes);
void intern_free(struct intern **pi);

/* The number of `key`, a new one if it did not come before.  1: it is full; ERR_NOMEM: the budget
 * is. */
int intern_find(struct intern *in, struct str key, uint32_t *ret, struct err *err);

/* The same for `n` of them, which are looked for side by side: where there are many strings, what
 * is looked at is seldom in the processor's cache. */
int intern_find_all(struct intern *in, const struct str *key, size_t n, uint32_t *ret,
                    struct err *err);

uint32_t intern_count(const struct intern *in);
/* The string of a number below the count; lives as long as `in`. */
struct str intern_key(const struct intern *in, uint32_t number);

#endif
