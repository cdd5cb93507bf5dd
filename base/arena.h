/*
 * base/arena.h - a bump allocator: many small pieces, one release.
 *
 * One arena per batch, query, HTTP request, file being parsed.  Pieces live until arena_reset or
 * arena_free.  One thread at a time.
 */
#ifndef LOGQ_BASE_ARENA_H
#define LOGQ_BASE_ARENA_H

#include "base/mem.h"
#include "base/str.h"

struct arena;

/* `max_bytes` bounds all pieces together (0: only the budget bounds it); `budget` may be NULL, else
 * it is charged chunk by chunk and must outlive the arena. */
struct arena *arena_new(struct mem_budget *budget, size_t max_bytes);

/* `bytes` of zeroed memory, aligned to 16; NULL when the maximum or the budget is reached: turn
 * that into arena_err(). */
void *arena_alloc(struct arena *a, size_t bytes);

/* Like arena_alloc, not zeroed: `n` things of `size` bytes that are all written before they are
 * read. */
void *arena_room(struct arena *a, size_t n, size_t size);

/* Like arena_alloc, neither zeroed nor aligned: for bytes. */
char *arena_bytes(struct arena *a, size_t bytes);

/* A copy of `s`, NUL-terminated behind its n bytes; p == NULL when out of room (also for an empty s
 * then). */
struct str arena_str(struct arena *a, struct str s);

/* printf into the arena; p == NULL when out of room. */
struct str arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Fill `err` with ERR_LIMIT or ERR_NOMEM and what ran out; returns the code. */
int arena_err(const struct arena *a, struct err *err);

size_t arena_used(const struct arena *a); /* bytes handed out since the last reset */
size_t arena_held(const struct arena *a); /* bytes held from malloc, i.e. charged to the budget */

/* Forget all pieces; keeps the first chunk for reuse. */
void arena_reset(struct arena *a);

/* Forget all pieces; keeps chunks of up to `bytes` together for reuse, still charged: for who does
 * the same work again and again.  arena_reset gives them back. */
void arena_recycle(struct arena *a, size_t bytes);

/* What the process keeps of the large chunks of arenas that are gone, for the next ones; charged to
 * no budget.  Any thread. */
enum { ARENA_STASH_MAX = 16 << 20 };
size_t arena_stash_bytes(void);
void arena_free(struct arena **pa);

#endif
