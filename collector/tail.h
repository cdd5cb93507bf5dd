/*
 * collector/tail.h - one log file that is followed.
 *
 * Reads on from where it was, decodes, joins, and puts records and the ranges they came from into a
 * chunk.  Which files there are, and when one is looked at, is input_file.h's business.  Why the
 * ranges are as they are: docs/collector.md.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_TAIL_H
#define LOGQ_COLLECTOR_TAIL_H

#include "base/arena.h"
#include "collector/checkpoint.h"
#include "collector/chunk.h"
#include "collector/join.h"
#include "collector/source.h"

/* What all files share: buffers and limits. */
struct tail_reader {
    struct decoder decoder;
    char *buf; /* owned */
    size_t cap;
    size_t line_max; /* bytes of a line that are looked at */
    struct join_limits limits;
    struct mem_budget joins;
    dur_ns partial_timeout;
    struct checkpoint *checkpoint;
    struct join_segments fills, held; /* scratch */
};
void tail_reader_init(struct tail_reader *rd, struct checkpoint *checkpoint, size_t max_line,
                      dur_ns partial_timeout);
void tail_reader_fini(struct tail_reader *rd);

enum tail_result {
    TAIL_END,     /* all there is now was read */
    TAIL_MORE,    /* stopped because of the quantum or a full chunk */
    TAIL_CHANGED, /* it shrank or is another file's content now: tail_renew, or give it up */
    TAIL_FAILED,  /* reading failed: later again */
};

struct tail {
    unsigned magic;
#define TAIL_MAGIC 0x7a11f11eu
    int fd; /* owned */
    uint64_t dev, ino;
    char *path; /* owned */
    const struct source *source;
    struct source_set *set;       /* counted: where `source` lives */
    struct checkpoint_file *file; /* NULL: tail_register is still to come */
    struct arena *arena;          /* labels, attrs */
    struct labels labels, attrs;
    bool described; /* labels are known */
    dur_ns opened_at;
    uint64_t pos;     /* all before was decoded */
    uint64_t seen;    /* size at the last look */
    uint64_t scanned; /* no newline between pos and here */
    dur_ns seen_at;   /* when it last grew */
    bool caught_up;   /* nothing was left unread at the last look */
    ts_ns last_ts;    /* for lines without a time */
    struct join join;

    /* input_file.c's */
    int wd;
    bool queued, drained, unlinked;
    bool holes_due; /* tail_resume is still to come */
    bool adopted;   /* it was in the journal */
    dur_ns successor_at;
    struct slot *slot;
    struct tail *next_ready;
    int failed; /* errno that was logged last; 0: it can be read */
    dur_ns failed_at;
};

/* Follow `fd` (taken in either case).  ERR_INVALID: no regular file. */
int tail_open(int fd, const char *path, const struct source *source, struct tail **ret,
              struct err *err);
void tail_free(struct tail **pt, struct tail_reader *rd);

/* Find out whose log it is; true when that is settled, one way or the other. */
bool tail_describe(struct tail *t);

/* Is the file still the one that `f` describes: same head, not shorter than what was planned? */
bool tail_is_file(struct tail *t, const struct checkpoint_file *f);
/* Go on as journal file `f`. */
void tail_adopt(struct tail *t, struct checkpoint_file *f);
/* It was not in the journal: now it is. */
void tail_register(struct tail *t, struct tail_reader *rd);
/* Put held bytes back into the joins after a restart.  ERR_IO, ERR_CORRUPT. */
int tail_resume(struct tail *t, struct tail_reader *rd, struct err *err);

/* Begin at the end of what is there, at a line's start. */
void tail_skip(struct tail *t, struct tail_reader *rd);

/* Read about `quantum` bytes into `c`. */
enum tail_result tail_read(struct tail *t, struct tail_reader *rd, struct chunk *c, size_t quantum,
                           struct err *err);
/* Is there an unfinished line that nobody will finish? */
bool tail_is_due(const struct tail *t, const struct tail_reader *rd, dur_ns now);
/* Put it into `c` as it is. */
void tail_expire(struct tail *t, struct tail_reader *rd, struct chunk *c, dur_ns now);

/* The content was replaced: what is held goes into `c` as partial, then it is a new file.  Returns
 * the bytes known to be lost. */
uint64_t tail_renew(struct tail *t, struct tail_reader *rd, struct chunk *c);

/* Read [part->start, part->end) again into `c` exactly as it was planned; with CHECKPOINT_CARRY
 * open records move on to `next` (may be NULL).  ERR_IO, ERR_CORRUPT (the file is shorter): nothing
 * of it is in `c`'s parts. */
int tail_rebuild(struct tail *t, struct tail_reader *rd, struct chunk *c,
                 const struct checkpoint_part *part, struct tail *next, struct err *err);

/* Everything read was planned and acknowledged, nothing is held. */
bool tail_is_settled(const struct tail *t);

#endif
