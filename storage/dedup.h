/*
 * storage/dedup.h - chunks of senders that know no ranges: was this very chunk stored before?
 *
 * A window of DEDUP_WINDOW of time and DEDUP_MAX entries: within it a resend after a lost ack is
 * recognised.  An identity is kept as 16 bytes of its SHA-256.  One thread at a time (the store's
 * mutex).
 */
#ifndef LOGQ_STORAGE_DEDUP_H
#define LOGQ_STORAGE_DEDUP_H

#include "base/str.h"
#include "base/time.h"

#include <stdint.h>

enum { DEDUP_KEY = 16, DEDUP_MAX = 1000000 };
#define DEDUP_WINDOW NS_PER_DAY

struct dedup_entry {
    uint8_t key[DEDUP_KEY];
    ts_ns when;
};

struct dedup;

struct dedup *dedup_new(size_t max_entries); /* 0: DEDUP_MAX */
void dedup_free(struct dedup **pd);
void dedup_clear(struct dedup *d);

void dedup_key(struct str identity, uint8_t ret[DEDUP_KEY]);
bool dedup_has(const struct dedup *d, const uint8_t key[DEDUP_KEY]);

/* Remember; an entry that is there already keeps its place.  Entries out of the window leave. */
void dedup_add(struct dedup *d, const struct dedup_entry *e);

/*
 * For meta.db: entries are numbered in the order of their coming.  The window is [first, next);
 * those from `*from` on are copied (malloc'ed, NULL when none).
 */
uint64_t dedup_first(const struct dedup *d);
uint64_t dedup_next(const struct dedup *d);
struct dedup_entry *dedup_since(const struct dedup *d, uint64_t from, size_t *ret_n);
/* Number the next entry that comes: once, on an empty window, when it is loaded. */
void dedup_start_at(struct dedup *d, uint64_t number);

#endif
