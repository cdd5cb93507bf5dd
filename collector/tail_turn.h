/*
 * collector/tail_turn.h - a stretch of reading: what tail_read.c and tail_parts.c share.
 *
 * tail_read.c goes from bytes to lines to records in the chunk; tail_parts.c says which bytes those
 * are.  Of tail.h's callers none needs this.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_TAIL_TURN_H
#define LOGQ_COLLECTOR_TAIL_TURN_H

#include "collector/tail.h"

/* A stretch of reading and the run of bytes that it has decoded so far. */
struct turn {
    struct tail *t;
    struct tail_reader *rd;
    struct chunk *c;             /* NULL: joins only (resume) */
    uint64_t run_start;          /* where the part that is being made begins */
    uint64_t mark;               /* entries in c at that place */
    ts_ns ts;                    /* what a line without a time would get at that place */
    const struct labels *labels; /* of this run, when lines bring their own */
    bool whole;            /* rebuild: the part is given, runs are not ended and nothing stops */
    unsigned closed, keys; /* of the file where the part begins */
    bool others;           /* rebuild: it was planned by other rules, */
    uint64_t dropped, dropped_bytes; /* and so much of it is dropped now */
    bool look;                       /* records are only looked at, for keys and cuts */
    unsigned held;                   /* lines of the run that were held, at least for a while */
    bool changed;                    /* the file was cut or rewritten meanwhile */
    bool border;                     /* they are others behind this line: the part ends there */
    dur_ns now;
    uint64_t lost; /* records that had no chunk to go to */
};

/* A turn of `t` that begins at `start` and puts records into `c` (NULL: into the joins only). */
struct turn turn_begin(struct tail *t, struct tail_reader *rd, struct chunk *c, uint64_t start);

/* Decode whole lines from *at up to `to`, and stop (*stopped) where the chunk is full or `stop` is
 * reached.  Bytes behind the last newline are left.  *at moves.  ERR_IO.  ERR_CORRUPT: the file is
 * another one's now (u->changed); nothing of that was used. */
int turn_lines(struct turn *u, uint64_t *at, uint64_t to, uint64_t stop, bool *stopped,
               struct err *err);
/* The bytes [start, end) without a newline, as a partial record.  ERR_IO, ERR_CORRUPT as above or
 * where the file ends before. */
int turn_last_line(struct turn *u, uint64_t start, uint64_t end, struct err *err);
/* Put a record into the chunk; `p` (may be NULL) is the piece that ended it. */
void turn_emit(struct turn *u, const struct join_record *rec, const struct piece *p);

/* The file's state is that of the parts that are made from here on. */
void turn_begin_state(struct turn *u);
/* It is what `part` says: the part is built again. */
void turn_set_state(struct turn *u, const struct checkpoint_part *part);
/* After a restart nobody remembers whether a key is open in front of pos, or a record was cut off
 * there: look at the records.  The joins stay as they are.  What lies open at pos is in *ret: when
 * what is held was put back, tail_was_given_up says what became of the rest. */
struct tail_given_up {
    bool is_open[DECODE_STREAMS];
    unsigned keys[DECODE_STREAMS]; /* if it was given up there */
};
void tail_look_back(struct tail *t, struct tail_reader *rd, struct tail_given_up *ret);
void tail_was_given_up(struct tail *t, const struct tail_given_up *g);
void turn_look(struct turn *u, const struct join_record *rec);
/* Put the state into `part`. */
void turn_put_state(const struct turn *u, struct checkpoint_part *part);

/* In front of a line of time `ts`: true: rates that were used up are open for it, so the part that
 * is being made has to end there. */
bool turn_reopens(struct turn *u, ts_ns ts);
/* The same in front of a record that has parts of its own, where nothing is in the run. */
static inline void turn_open_rates(struct turn *u, ts_ns ts)
{
    if (turn_reopens(u, ts))
        turn_begin_state(u);
}
/* What the profile does to a record (tail_process.c).  false: it is dropped.  *text and the
 * attributes `v` are without secrets then. */
bool turn_process(struct turn *u, const struct join_record *rec, struct str *text, struct label *v,
                  size_t n);
/* The bytes that a finished record held before this run have to be shipped with it. */
void turn_fill(struct turn *u, const struct join_record *rec);
/* `rec` ends with the line at `last`, whose piece is `p`: into the chunk, or held because it may go
 * on.  rec->held follows when the run is ended. */
void turn_record(struct turn *u, struct join_record *rec, const struct piece *p,
                 struct join_segment *last);
/* What is held of several lines of stream `s` is a whole record: into the chunk, its bytes as parts
 * of its own (unless parts are given).  tail_multi.c. */
void turn_end_record(struct turn *u, enum decode_stream s);
/* The parts for what an open record held; the last of them has `flags`, and counts it unless a rule
 * has dropped it: it came, if it did, after the chunk had `entries`. */
void turn_add_held(struct turn *u, const struct join_record *rec, uint64_t entries, unsigned flags);
/* Flags of a part that ends at `end`, the next one beginning at `next`: whose records are whole. */
unsigned turn_end_flags(const struct turn *u, uint64_t end, uint64_t next);

/* Make parts of [run_start, end) and begin the next run there. */
void turn_end_run(struct turn *u, uint64_t end);
/* Will these be so many, with those of the chunk, that the turn should end?  The next line may
 * bring all pieces of a record more.  Asked behind every line. */
enum { TURN_CROWDED = 2000 };
static inline bool turn_is_crowded(const struct turn *u)
{
    return u->c->parts.n + u->rd->fills.n + u->held >= TURN_CROWDED;
}

/* Bytes [at - n, at) were read: for tail_is_copy, and for the next look. */
void tail_remember(struct tail *t, const char *p, size_t n, uint64_t at);
/* After some of it was read and before any of that is used: is it what it was, so that these bytes
 * are its own?  Told by its beginning and by what was in front of them.  As tail_identify. */
int tail_is_current(const struct tail *t);

/* A file of `size` bytes is about to be read.  1: it is what it was, 0: it is not, -1 and errno:
 * nobody can tell now. */
int tail_identify(struct tail *t, struct tail_reader *rd, uint64_t size);

#endif
