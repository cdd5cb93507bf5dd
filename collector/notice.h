/*
 * collector/notice.h - what the collector has to say itself: lines of its own spool.
 *
 * A notice is a JSON object of "time", one key that says what it is, and what is known beside; it
 * is shipped like any log, exactly once (labels host and source="logq").  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_NOTICE_H
#define LOGQ_COLLECTOR_NOTICE_H

#include "collector/checkpoint.h"
#include "collector/spool.h"

/*
 * On a disk that is full or fails notices wait in memory (spool_keep).  One for which there is no
 * room there, either (ERR_LIMIT), is counted, if nobody will tell it again, and notice_retry says
 * how many there were: "gap":"not_told", `count` gaps of `bytes` bytes, and `others`.
 */

/* "gap": [start, end) of `path` is lost, and why.  Counted, logged, and durable when it returns 0,
 * but on such a disk.  notice_gap_begin leaves the sync to who has several. */
struct notice_gap {
    const char *cause; /* one of those in docs/collector.md */
    struct str path, file_id, text;
    uint64_t start, end;
    struct str container_id; /* empty: not known */
    uint64_t count;          /* of so many that are alike; 0 and 1: of one */
};
int notice_gap(struct spool *own, const struct notice_gap *gap, struct err *err);
int notice_gap_begin(struct spool *own, const struct notice_gap *gap, struct err *err);

/* spool_retry, and then what could not be told.  true: nothing waits any more, and all was told. */
bool notice_retry(struct spool *own);

/* "incarnation": the journal had to be begun anew, or is an old one.  With file NULL that alone,
 * else that [start, end) of `file`, which is read under this id, may be stored already.  Not
 * synced. */
int notice_incarnation(struct spool *own, const struct checkpoint *c,
                       const struct checkpoint_file *file, uint64_t start, uint64_t end,
                       struct err *err);

/* "maybe_twice": some of [start, end) of `path` was stored before, and all of it is sent once more.
 * Not synced. */
void notice_maybe_twice(struct spool *own, const struct checkpoint_part *part);

/* "drop": what a rule dropped of a file since the last of these, and the sums up to now.  Not
 * synced. */
int notice_drop(struct spool *own, const struct checkpoint_file *file,
                const struct checkpoint_drop *drop, struct err *err);

/* "failover": `files` files and `chunks` chunks with `bytes` bytes in flight, which may be stored
 * at both, go from server `from` to `to`.  Not synced. */
struct notice_failover {
    const char *from, *to;
    uint64_t files, chunks, ranges, bytes;
};
int notice_failover(struct spool *own, const struct notice_failover *f, struct err *err);

#endif
