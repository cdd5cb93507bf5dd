/*
 * collector/tail.h - one log file that is followed.
 *
 * Reads on from where it was, decodes, joins, and puts records and the ranges they came from into a
 * chunk.  Which files there are, and when one is looked at, is input_file.h's business.  Why the
 * ranges are as they are: docs/collector.md.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_TAIL_H
#define LOGQ_COLLECTOR_TAIL_H

#include "collector/checkpoint.h"
#include "collector/chunk.h"
#include "collector/join.h"
#include "collector/multiline.h"
#include "collector/reader.h"
#include "collector/source.h"

/* What all files share: buffers and limits. */
struct tail_reader {
    struct decoder decoder;
    char *buf; /* owned */
    size_t cap;
    size_t line_max; /* bytes of a line that are looked at */
    struct join_limits limits;
    struct mem_budget joins;
    dur_ns partial_timeout, multiline_timeout;
    struct checkpoint *checkpoint;
    struct join_segments fills, held; /* scratch */
    struct redact_scratch redacted;
};
void tail_reader_init(struct tail_reader *rd, struct checkpoint *checkpoint, size_t max_line,
                      dur_ns partial_timeout);
void tail_reader_fini(struct tail_reader *rd);

enum { TAIL_LAST_BYTES = 64 };

enum tail_result {
    TAIL_END,     /* all there is now was read */
    TAIL_MORE,    /* stopped because of the quantum or a full chunk */
    TAIL_CHANGED, /* it shrank or is another file's content now: tail_renew, or give it up */
    TAIL_FAILED,  /* reading failed: later again */
};

struct tail {
    unsigned magic;
#define TAIL_MAGIC 0x7a11f11eu
    struct reader from; /* fd -1: nothing more can be read of it */
    uint64_t dev, ino;
    char *path; /* owned */
    const struct source *source;
    struct source_set *set;       /* counted: where `source` lives */
    struct checkpoint_file *file; /* NULL: tail_register is still to come */
    struct chunk_names *names;    /* counted: what labels and attrs consist of */
    struct labels labels, attrs;
    bool described;                /* labels are known */
    const struct profile *profile; /* what is done to its records; the set's */
    struct rules_rates rates;      /* where it is read, if its source has none: tail_rates */
    unsigned keys;                 /* CHECKPOINT_KEY_*, _CUT_*: what goes on there */
    dur_ns opened_at;
    uint64_t pos;            /* all before was decoded */
    uint64_t seen;           /* size at the last look */
    uint64_t looked;         /* its size when its head was looked at last, tail_look */
    uint64_t scanned;        /* no newline between pos and here, */
    uint64_t zeros;          /* and nothing but zeros from pos to here */
    uint64_t room, room_end; /* nothing but zeros in between, behind what was read */
    uint64_t last_at;        /* what was read ended here, with */
    uint8_t last_n;          /* these bytes */
    char last[TAIL_LAST_BYTES];
    dur_ns seen_at;    /* when it last grew */
    bool caught_up;    /* nothing was left unread at the last look */
    bool ends_in_zero; /* at `seen` */
    bool has_room; /* zeros from `room` to the end, at the last read: for lines that are to come */
    ts_ns last_ts; /* for lines without a time */
    struct join join;
    struct trace_rule trace; /* which lines are one record */
    struct multiline *multi; /* owned; NULL: never needed */

    /* input_file.c's */
    int wd;
    size_t index;   /* in its list of all */
    bool unasked;   /* no input asks for it any more: */
    uint64_t until; /* what was there then is read */
    bool queued, drained, unlinked;
    bool sought;      /* it was cut, and whether there is a copy is not known yet */
    bool holes_due;   /* tail_resume is still to come */
    bool begun;       /* lines of it were read since we run */
    bool adopted;     /* it was in the journal */
    bool came;        /* the event of its name was taken: input_file_came */
    uint64_t resumed; /* tail_resume failed here: what was held before is in the joins */
    dur_ns successor_at;
    uint64_t acked, mark; /* input_file_lag.c: acknowledged before here; size at mark_at */
    dur_ns mark_at;
    struct slot *slot;
    struct tail *next_ready;
    dur_ns looked_at; /* by the sweep */
    int failed;       /* errno that was logged last; 0: it can be read */
    dur_ns failed_at;

    /* input_file_keep.c's */
    struct keep_writer *keeping; /* owned; NULL: nothing of it was copied yet */
    uint64_t disk;               /* bytes that it takes there, at the last look */
    dur_ns keep_failed_at;       /* 0: it has not */
};

/* How far the rates are used up that its records count in. */
static inline struct rules_rates *tail_rates(struct tail *t)
{
    return t->source->rates != NULL ? t->source->rates : &t->rates;
}

/* Follow `from` (taken in either case).  ERR_INVALID: no regular file. */
int tail_open(struct reader *from, const char *path, const struct source *source, struct tail **ret,
              struct err *err);
void tail_free(struct tail **pt, struct tail_reader *rd);

/* Its input is `source` now, of another set: what is done to its records follows that from the next
 * one on; its labels stay. */
void tail_set_source(struct tail *t, const struct source *source);

/* Find out whose log it is; true when that is settled, one way or the other. */
bool tail_describe(struct tail *t);
/* Somebody knows more of it now: the same once more, for the records from here on.  What was known
 * stays where it cannot be told now. */
void tail_describe_again(struct tail *t);
/* It is known already, from when the file could still be described. */
void tail_set_names(struct tail *t, const struct labels *labels, const struct labels *attrs);

/* Is the file the one that `f` describes: same head, not shorter than what was planned?  1: yes, 0:
 * no, -1 and errno: it cannot be read now. */
int tail_is_file(struct reader *from, const struct checkpoint_file *f);
/* Go on as journal file `f`. */
void tail_adopt(struct tail *t, struct checkpoint_file *f);
/* It was not in the journal: now it is. */
void tail_register(struct tail *t, struct tail_reader *rd);
/* Put held bytes back into the joins after a restart, behind what is there.  ERR_IO, ERR_CORRUPT:
 * the next one goes on where it failed. */
int tail_resume(struct tail *t, struct tail_reader *rd, struct err *err);

/* Go to the end of what is there, at a line's start (in a line that is longer than we look at: at
 * its end so far), without reading it. */
void tail_skip(struct tail *t, struct tail_reader *rd);
/* The same for one that is excluded, whatever it holds.  Not TAIL_MORE. */
enum tail_result tail_pass(struct tail *t, struct tail_reader *rd, struct err *err);
/* `next` goes on where `t` ends. */
void tail_hand_over(struct tail *t, struct tail *next, struct tail_reader *rd);

/* Read about `quantum` bytes into `c`. */
enum tail_result tail_read(struct tail *t, struct tail_reader *rd, struct chunk *c, size_t quantum,
                           struct err *err);
/* Where what is written ends, as far as it was looked at: zeros at the end are room for lines. */
static inline uint64_t tail_end(const struct tail *t)
{
    bool has_room = t->has_room && t->room >= t->pos && t->room < t->seen && t->room_end >= t->seen;

    return has_room ? t->room : t->seen;
}
/* Is there an unfinished line that nobody will finish? */
bool tail_is_due(const struct tail *t, const struct tail_reader *rd, dur_ns now);
/* Put it into `c` as it is. */
void tail_expire(struct tail *t, struct tail_reader *rd, struct chunk *c, dur_ns now);

/* Look at it without reading on.  Where it cannot be, nothing has changed. */
enum tail_look {
    TAIL_SAME,
    TAIL_GREW,
    TAIL_REPLACED, /* as TAIL_CHANGED */
};
enum tail_look tail_look(struct tail *t);
/* Something was written, and its size does not tell what: it may have been into its room. */
void tail_written(struct tail *t);
/* Before its size is noted: what it is told by, so that a copy is found again too. */
void tail_learn(struct tail *t, struct tail_reader *rd);

/* The content was replaced: `t` is a new file from now on (tail_register is to come).  What it was
 * is returned as another, which has no bytes to read, unless it is given those of a copy, but what
 * its joins hold; it has a path and labels of its own. */
struct tail *tail_split(struct tail *t);
/* Nothing more can be read of it: what its joins hold goes into `c` as partial records. */
void tail_flush(struct tail *t, struct tail_reader *rd, struct chunk *c);
/* Does it hold lines or pieces that are no record yet? */
bool tail_is_holding(const struct tail *t);
/* Call fn for the bytes that are held, stretch by stretch, in no order. */
typedef void tail_held_fn(void *arg, const struct join_segment *seg);
void tail_each_held(const struct tail *t, tail_held_fn *fn, void *arg);
/* What is held is no record any more. */
void tail_forget_held(struct tail *t, struct tail_reader *rd);
/* Could this be a copy of `t` as it was when it was read last: the bytes in front of pos?  As
 * tail_is_file. */
int tail_is_copy(const struct tail *t, struct reader *from);

/* Read [part->start, part->end) again into `c` exactly as it was planned, if the rules are those of
 * then: else by these, without rates, for checkpoint_replan.  With CHECKPOINT_CARRY
 * open records move on to `next` (may be NULL).  ERR_IO, ERR_CORRUPT (the file is shorter),
 * ERR_LIMIT (with other options than then it is too much for a chunk): nothing of it is in `c`'s
 * parts, and the joins are empty. */
int tail_rebuild(struct tail *t, struct tail_reader *rd, struct chunk *c,
                 const struct checkpoint_part *part, struct tail *next, struct err *err);

/* Everything read was planned and acknowledged, nothing is held. */
bool tail_is_settled(const struct tail *t);

#endif
