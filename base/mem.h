/*
 * base/mem.h - memory of small fixed sizes, and budgets for the rest.
 *
 * mem_new and friends abort when memory is out: they are for objects whose size the programmer
 * chose. Any size that came from outside goes through arena.h or buf.h, which take a maximum and a
 * budget and fail with ERR_LIMIT or ERR_NOMEM.
 */
#ifndef LOGQ_BASE_MEM_H
#define LOGQ_BASE_MEM_H

#include "base/err.h"

#include <stdatomic.h>
#include <stddef.h>

/* Zeroed memory for `bytes`; never NULL.  Release with free().  Any thread. */
void *mem_new(size_t bytes);

/* Grow or shrink `p` (may be NULL) to `bytes`; never NULL, new bytes are not zeroed. */
void *mem_grow(void *p, size_t bytes);

/* A NUL-terminated copy of `n` bytes at `p`; never NULL. */
char *mem_dup(const char *p, size_t n);

/* Freed blocks of up to `bytes` (and the end of the heap up to that size) are kept for the next one
 * that is needed, until mem_trim: the pages of a new one cost more than what most callers do with
 * them.  Once, for the process. */
void mem_keep(size_t bytes);

/* Give the kernel what was freed and lies between what is in use.  Takes some milliseconds, in
 * which others wait for their turn at the heap: not often, and not on a thread that has a low
 * priority. */
void mem_trim(void);

/* Let go of the pages of code and constants, the program's and its libraries', that were touched so
 * far: what only the start or a handshake needed is no longer held, and what is needed again comes
 * back from the page cache, a few microseconds for each of some dozen places.  Any thread. */
void mem_forget_code(void);

/* How much may be in use at once.  Thread-safe; shared by everything that is charged to it. */
struct mem_budget {
    const char *name;          /* for the error text: "query", "server"; borrowed */
    size_t limit;              /* bytes; 0 means no limit */
    _Atomic size_t used;       /* bytes charged now */
    _Atomic size_t peak;       /* highest `used` so far */
    struct mem_budget *parent; /* charged as well; may be NULL */
    _Atomic size_t refused;    /* how often this limit, not a parent's, was in the way */
};

/* Charge `bytes`; ERR_NOMEM (nothing charged anywhere) when this or a parent's limit would be
 * passed. */
int mem_budget_take(struct mem_budget *b, size_t bytes, struct err *err);

/* Give back `bytes` that were taken. */
void mem_budget_give(struct mem_budget *b, size_t bytes);

#endif
