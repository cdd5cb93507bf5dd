/*
 * storage/ranges.h - which bytes of which sender's files are stored: the memory of exactly-once.
 *
 * Per (peer, file id) a set of disjoint half-open intervals, ascending and coalesced: normally one.
 * Never a single high-water mark, because chunks of one file may arrive in any order over several
 * connections.  Bounded: RANGES_FILES_MAX files, RANGES_PER_FILE_MAX intervals a file.  One thread
 * at a time (the store's mutex).
 */
#ifndef LOGQ_STORAGE_RANGES_H
#define LOGQ_STORAGE_RANGES_H

#include "base/buf.h"
#include "base/time.h"
#include "storage/store.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    RANGES_FILES_MAX = 1 << 20,
    RANGES_PER_FILE_MAX = 4096,
    RANGES_PEER_MAX = 256,
    RANGES_KEY_MAX = 2 + RANGES_PEER_MAX + RECORD_FILE_ID_MAX,
};

/* The name of a set: peer and file id in one string of bytes. */
struct ranges_key {
    char bytes[RANGES_KEY_MAX];
    size_t n;
};
/* false: peer or file id is too long. */
bool ranges_key_make(struct str peer, struct str file_id, struct ranges_key *ret);
/*
 * The name of a second set of the same file: what was stored of parts that said maybe_twice, which
 * another server may have, too.  It lives and is kept like any other.
 */
bool ranges_key_overlap(struct str peer, struct str file_id, struct ranges_key *ret);
bool ranges_is_overlap(struct str key);
/* Take a key of either kind apart again (borrowed from `key`); false when it is none. */
bool ranges_key_split(struct str key, struct str *peer, struct str *file_id);

struct ranges;

struct ranges *ranges_new(void);
void ranges_free(struct ranges **pr);
void ranges_clear(struct ranges *r); /* forget all sets */

/* How many bytes of [start, end) the set holds. */
uint64_t ranges_covered(const struct ranges *r, struct str key, uint64_t start, uint64_t end);

/* Up to where, `end` at most, all bytes from `at` on are stored, or all are not; `at` when the one
 * there is the other. */
uint64_t ranges_have_until(const struct ranges *r, struct str key, uint64_t at, uint64_t end);
uint64_t ranges_lack_until(const struct ranges *r, struct str key, uint64_t at, uint64_t end);

/* ERR_LIMIT when adding [start, end) could pass a bound; asked before the range becomes durable. */
int ranges_may_add(const struct ranges *r, struct str key, struct err *err);
/* Unite [start, end) with the set.  Bounds are the caller's to ask for: here nothing is refused. */
void ranges_add(struct ranges *r, struct str key, uint64_t start, uint64_t end);
/* Unite all of `from` into `r`; these files were touched at `when`. */
void ranges_merge(struct ranges *r, const struct ranges *from, ts_ns when);

size_t ranges_files(const struct ranges *r);
/* Copy up to `n` intervals of a set into `ret`; returns how many it has. */
size_t ranges_list(const struct ranges *r, struct str key, struct store_range *ret, size_t n);

/* Something of the file was stored at `when` (0: unknown, such a set is never forgotten). */
void ranges_touch(struct ranges *r, struct str key, ts_ns when);
/*
 * Forget sets that were touched last before `before`, while there are more than `keep`; their keys
 * are passed to `gone` (may be NULL).  Returns how many.  Nobody says that a file is over, so what
 * is old goes, and only when room is needed: a sender may come back after weeks with a chunk whose
 * ack it never had.
 */
typedef void ranges_gone_fn(void *arg, struct str key);
size_t ranges_expire(struct ranges *r, size_t keep, ts_ns before, ranges_gone_fn *gone, void *arg);

/*
 * For meta.db.  A set that changed since the last ranges_take_dirty is copied out: as its key, the
 * time it was touched (0: not known) and its encoding (16 bytes an interval, start and end,
 * little-endian).  Put them back with ranges_mark_dirty when the commit failed.
 */
struct ranges_row {
    struct str key;
    ts_ns touched;
    struct str encoded;
    char *owned_key, *owned_encoded; /* what ranges_rows_free frees; NULL in a borrowed row */
};
/* Intervals of all sets of the second kind. */
size_t ranges_overlap_count(const struct ranges *r);
/* Copies of these sets. */
struct ranges_row *ranges_overlaps(const struct ranges *r, size_t *ret_n);
/* Interval `i` of a row of ours. */
struct store_range ranges_row_at(const struct ranges_row *row, size_t i);
struct ranges_row *ranges_take_dirty(struct ranges *r, size_t *ret_n);
void ranges_rows_free(struct ranges_row **rows, size_t n);
void ranges_mark_dirty(struct ranges *r, struct str key);
/* Set a file from such a row; ERR_CORRUPT when it is no ascending list of disjoint intervals. */
int ranges_load(struct ranges *r, const struct ranges_row *row, struct err *err);

#endif
