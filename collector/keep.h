/*
 * collector/keep.h - bytes of logs that have no other place any more: state_dir/keep.
 *
 * When a log has lost its last name and is not yet at the server, its bytes exist as long as our
 * descriptor does.  Here they are copied to, packed, before that is closed; then they are read as
 * if from the log.  What is worth it, and how much, is input_file_keep.c's business.  Format:
 * docs/formats/keep.md.  Loop thread only; blocking calls.
 */
#ifndef LOGQ_COLLECTOR_KEEP_H
#define LOGQ_COLLECTOR_KEEP_H

#include "collector/keep_format.h"

#include <sys/types.h>

struct keep;        /* the directory */
struct keep_writer; /* of one log */
struct keep_reader; /* of one log */

/* Open or make `keep` below state_dir (borrowed until _open returns).  Numbers are those of
 * journal `incarnation` from now on. */
int keep_open(int state_fd, uint64_t incarnation, struct keep **ret, struct err *err);
void keep_close(struct keep **pk);
uint64_t keep_bytes(const struct keep *k); /* of all its files */
/* Above the numbers of all that was there of this incarnation when it was opened, by their names.
 */
uint64_t keep_next(const struct keep *k);

/* Call fn for every log that is kept, of other incarnations too, in the order of their numbers;
 * `names` live until it returns.  What is torn before its first byte of a log goes, see
 * keep_remove_orphan; what cannot be read now, or not by this program, is left alone and counted as
 * unreadable.  ERR_IO: some cannot be read now, or not even be listed; all others were told. */
typedef void keep_found_fn(void *arg, const struct keep_head *head, const struct keep_names *names);
int keep_each(struct keep *k, keep_found_fn *fn, void *arg, struct err *err);

/* `log` was kept by another journal, or its number is another's: now it is `no`, `salt`. */
int keep_adopt(struct keep *k, const struct keep_head *log, uint64_t no, uint32_t salt,
               struct err *err);

/* Is there anything of log `no`?  Where that cannot be told, too. */
bool keep_has(const struct keep *k, uint64_t no);

/* Begin with log `head`, in place of what was kept of a log of its number. */
int keep_begin(struct keep *k, const struct keep_head *head, const struct keep_names *names,
               struct keep_writer **ret, struct err *err);
/* The next 1..KEEP_RAW_MAX bytes.  ERR_IO: the disk is full or broken, nothing was added. */
int keep_put(struct keep_writer *w, struct str bytes, struct err *err);
/* Make durable what was put.  After ERR_IO nobody knows: begin again. */
int keep_sync(struct keep_writer *w, struct err *err);
uint64_t keep_start(const struct keep_writer *w); /* the first byte that is kept */
uint64_t keep_end(const struct keep_writer *w);   /* and behind the last */
void keep_writer_free(struct keep_writer **pw);

/* Read log `no`.  What stands before byte `sure` was durable once and is checked when it is read;
 * behind that a torn end is cut off.  Must not outlive `k`.  ERR_GONE, ERR_CORRUPT, ERR_IO. */
int keep_read(struct keep *k, uint64_t no, uint64_t sure, struct keep_reader **ret,
              struct err *err);
uint64_t keep_reader_start(const struct keep_reader *r);
uint64_t keep_reader_end(const struct keep_reader *r);
int keep_reader_fd(const struct keep_reader *r);
/* Make durable all that it reads, also what is behind `sure`.  ERR_IO: nobody knows. */
int keep_reader_sync(struct keep_reader *r, struct err *err);
/* Like pread, as much as there is up to n.  -1 and errno; EBADMSG: damaged there, or in front of
 * its beginning. */
ssize_t keep_reader_read(struct keep_reader *r, char *p, size_t n, uint64_t offset);
/* Did a read come upon damage, since the last keep_reader_skip? */
bool keep_reader_is_damaged(const struct keep_reader *r);
/* Where the first frame behind that damage begins, the end if there is none; `offset` if there was
 * no damage. */
uint64_t keep_reader_skip(struct keep_reader *r, uint64_t offset);
void keep_reader_rest(struct keep_reader *r); /* give back memory until the next read */
bool keep_reader_is_resting(const struct keep_reader *r);
void keep_reader_free(struct keep_reader **pr);

/* Of log `no` only what is in front of `end` is needed: give the rest back, as far as whole frames
 * are behind it.  *ret: the end of what is left; 0: nothing is.  ERR_GONE, ERR_CORRUPT, ERR_IO. */
int keep_cut(struct keep *k, uint64_t no, uint64_t end, uint64_t *ret, struct err *err);
/* It is at the server, or lost: remove it.  Absent is fine. */
void keep_remove(struct keep *k, uint64_t no);
/* Nobody will ever read it: the same, counted and said with `why`. */
void keep_remove_orphan(struct keep *k, uint64_t no, const char *why);

#endif
