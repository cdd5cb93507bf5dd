/*
 * collector/spool.h - lines that have no file of their own get one.
 *
 * Events from a socket and our own gap records are appended here, made durable, and then read like
 * any other log file: so they are shipped exactly once by the same rules
 * (docs/adr/0005-events-through-a-spool.md).  Files are state_dir/spool/<name>/<8 digits>.jsonl;
 * the reader removes one when spool_retire allows it and all of it is acknowledged.  Loop thread
 * only.
 */
#ifndef LOGQ_COLLECTOR_SPOOL_H
#define LOGQ_COLLECTOR_SPOOL_H

#include "base/err.h"
#include "base/str.h"

#define SPOOL_DIR      "spool"
#define SPOOL_SUFFIX   ".jsonl"
#define SPOOL_DOCKER   "docker_events"
#define SPOOL_PODMAN   "podman_events"
#define SPOOL_FORWARD  "forward"
#define SPOOL_OWN      "logq"
#define SPOOL_JOURNALD "journald"

enum { SPOOL_LATE_MAX = 1 << 20 };

struct spool;

/* Open spool `name` below state_dir; a torn last line is cut off. */
int spool_open(int state_fd, const char *name, struct spool **ret, struct err *err);
/* Tries once more what is held. */
void spool_close(struct spool **ps);

/* Append whole lines, all into one file.  ERR_IO: nothing was appended. */
int spool_append(struct spool *s, struct str lines, struct err *err);
/* fdatasync.  ERR_IO: what was appended is there, but may be lost with the power. */
int spool_sync(struct spool *s, struct err *err);
/* After a sync that failed: what is appended next begins with the last `n` bytes, all of one
 * spool_append, and is written over them.  The kernel tells of bytes that it could not write only
 * once and then takes them for written, so that another sync alone would prove nothing. */
void spool_again(struct spool *s, size_t n);

/*
 * Instead of spool_append, for who does not hold the line itself: it is held here until a sync has
 * made it durable.  What cannot be written or synced (a full disk, a failing one) is written again
 * by spool_sync and spool_retry until it is.  ERR_LIMIT: SPOOL_LATE_MAX bytes wait already.
 */
int spool_keep(struct spool *s, struct str line, struct err *err);
/* For who wants to tell later of what there was no room for (notice.h): its to count and to clear.
 */
struct spool_missed {
    uint64_t gaps, bytes; /* of gaps, and what these are about */
    uint64_t others;
};
struct spool_missed *spool_missed(struct spool *s);
/* Make durable what is held, if that can be now.  true: nothing waits any more.  Cheap when nothing
 * does, and for a while after it has failed; logs the first of several failures. */
bool spool_retry(struct spool *s);

/* Call fn for each line of the last two files, oldest first, without the newline. */
typedef void spool_line_fn(void *arg, struct str line);
int spool_replay(struct spool *s, spool_line_fn *fn, void *arg, struct err *err);

/*
 * For a source that is dense: files become as large as it says, and it says where one begins.  From
 * now on spool_append begins none by itself.
 */
void spool_by_hand(struct spool *s);
int spool_next(struct spool *s, struct err *err);
uint64_t spool_size(const struct spool *s); /* bytes in the file that is written */
/* Bytes in all files that are still there. */
int spool_total(struct spool *s, uint64_t *ret, struct err *err);
/* Call fn for each line of the file that is written: its first SPOOL_HEAD_MAX bytes, and where it
 * ends, behind its newline. */
enum { SPOOL_HEAD_MAX = 256 };
typedef void spool_head_fn(void *arg, struct str head, uint64_t end);
int spool_heads(struct spool *s, spool_head_fn *fn, void *arg, struct err *err);
/* Nothing behind `size` was ever appended as far as anybody knows: take it off. */
int spool_cut(struct spool *s, uint64_t size, struct err *err);
int spool_dir(const struct spool *s); /* borrowed: for what lies beside the files */

/* The last *n bytes, `cap` at most, of the last line, without its newline; 0: there is no line. */
int spool_end(struct spool *s, char *p, size_t cap, size_t *n, struct err *err);

/* Remove the file of a spool that was followed as `path`, if there is a later one with something in
 * it (in SPOOL_FORWARD, any later one; of an engine's events, one behind the next: spool_replay
 * wants two): true when it was removed. */
bool spool_retire(int state_fd, const char *path);

#endif
