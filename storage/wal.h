/*
 * storage/wal.h - the one point of commit: bodies appended, made durable, replayed, trimmed.
 *
 * A position is a count of bytes over all files that ever were: it only grows, and is the clock by
 * which catalogs and meta.db say what they have taken over.  The position of a body is the one just
 * behind its last frame.  Bytes: docs/formats/wal.md.
 *
 *     wal_open -> wal_replay -> { wal_append ... wal_sync | wal_fail } ... -> wal_close
 *                           \-> wal_replay_again (a thread of its own) ->/
 *
 * One thread at a time, but wal_trim, wal_stats and wal_replay_again, which may run beside it.
 */
#ifndef LOGQ_STORAGE_WAL_H
#define LOGQ_STORAGE_WAL_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>

enum { WAL_BODY_MAX = 256 << 20 };

struct wal_options {
    int dir_fd;          /* borrowed until wal_close */
    const uint8_t *key;  /* 32 bytes, wraps each file's own key; copied */
    uint64_t file_bytes; /* preallocated per file; a larger body gets a larger file */
    uint64_t floor;      /* everything at or before this position was taken over for good */
    uint64_t known;      /* positions up to here were given, whatever files say */
    bool recover;        /* pass over bad frames and files instead of refusing them */
};

struct wal;

/* Find the files, remove leftovers of a crash, check their headers and that none is missing.
 * ERR_CORRUPT (names the file), ERR_IO. */
int wal_open(const struct wal_options *opt, struct wal **ret, struct err *err);
/* Closes; appended and not synced is lost. */
void wal_close(struct wal **pw);

/* A body, or with `gap` what could not be read: [from, position) of the file. */
struct wal_body {
    struct str bytes;  /* borrowed during the call */
    uint64_t position; /* just behind it */
    bool gap;
    uint64_t from;
    const char *file; /* its name */
};
typedef int wal_replay_fn(void *arg, const struct wal_body *body, struct err *err);

/*
 * Call fn for each whole body past the floor, in order; once, before the first append.  A torn tail
 * is cut and counted.  ERR_CORRUPT: a frame that was durable is bad (names file and offset), or,
 * with `recover`, fn hears of it as a gap.  What fn returns below zero ends the walk.
 */
int wal_replay(struct wal *w, wal_replay_fn *fn, void *arg, struct err *err);

/*
 * The same bodies once more, from the same files, while others append, sync and trim (nothing past
 * what fn has seen may be trimmed).  After wal_replay, on one thread, which may begin again; it
 * must have returned before wal_close.  What wal_replay told as a gap is passed over in silence;
 * ERR_CORRUPT: a frame that was good then is not now.
 */
int wal_replay_again(struct wal *w, wal_replay_fn *fn, void *arg, struct err *err);

/*
 * Append the concatenation of pieces as one body; *ret gets its position.  Not durable before
 * wal_sync.  After ERR_IO (sys ENOSPC: disk full) from this or wal_sync call wal_fail, and append
 * again all that came since the last good wal_sync.  ERR_LIMIT: over WAL_BODY_MAX, nothing changed.
 */
int wal_append(struct wal *w, const struct str *pieces, size_t n, uint64_t *ret, struct err *err);
int wal_sync(struct wal *w, struct err *err);
/* Give the file up: what came since the last good wal_sync is void, the next append begins a new
 * one. */
void wal_fail(struct wal *w);

/* Everything at or before `position` was taken over for good: delete the files that end there. */
int wal_trim(struct wal *w, uint64_t position, struct err *err);
/* From here on wal_trim deletes nothing, until each hold was released; a trim under way may end. */
void wal_hold(struct wal *w);
void wal_release(struct wal *w);

/* How many bytes of the files lie past `position`.  Any thread. */
uint64_t wal_behind(struct wal *w, uint64_t position);

/* The position up to which everything is durable (or was replayed). */
uint64_t wal_position(const struct wal *w);

struct wal_stats {
    uint64_t bytes; /* in files that are still needed */
    uint64_t files, syncs;
    uint64_t replayed_bodies, torn_bytes, skipped_frames;
    uint64_t past_bytes,
        again_bytes; /* past the floor at open; of them, how many were read again */
};
void wal_stats(struct wal *w, struct wal_stats *ret);

#endif
