/*
 * query/cli/follow.h - which lines have been shown, so that nothing is shown twice when a follower
 * has to ask for what passed it by.
 *
 * The server tells what becomes durable, in the order of sequence numbers but for what was stored
 * together.  Where that broke off (the connection, or the server dropped lines) there is a gap: it
 * is asked for, oldest first, from FOLLOW_BACK or FOLLOW_BACK_AWAY before the newest line shown,
 * since lines do not arrive in the order of their times; what comes again is known by (ts, seq).
 * Where nothing came behind that line for longer than FOLLOW_BACK_QUIET, it is asked for from so
 * much later.  An answer that broke off is gone on with; one that lacks lines anywhere, since the
 * server still reads what it has, is asked for again as a whole.
 *
 * Invariants
 *   (1) shown[0, n_sorted) is sorted by (seq, ts), and what follows is in none of it;
 *   (2) while there is no gap, each line up to `done` has been shown, or is not wanted; all others
 *       that were shown are in `shown`;
 *   (3) a gap's `done` and `newest` stay as they were when it began: what was told behind it says
 *       nothing about what is missing.
 */
#ifndef LOGQ_QUERY_CLI_FOLLOW_H
#define LOGQ_QUERY_CLI_FOLLOW_H

#include "base/time.h"
#include "base/vec.h"

#define FOLLOW_BACK       (5 * NS_PER_S)    /* lines that were dropped */
#define FOLLOW_BACK_AWAY  (60 * NS_PER_S)   /* the connection broke */
#define FOLLOW_BACK_QUIET (10 * NS_PER_MIN) /* what comes next may be late by so much more */
enum { FOLLOW_MARKS_MAX = 200000 };

struct follow_mark {
    ts_ns ts;
    uint64_t seq;
};

struct follow {
    struct follow_mark floor; /* nothing up to it is of interest */
    ts_ns newest;             /* of the lines shown; 0: none was */
    ts_ns heard;              /* what was stored before has been told, by our clock; 0: not known */
    ts_ns quiet_from;         /* the first such time behind the last line shown; 0: there is none */
    uint64_t done;
    VEC(struct follow_mark) shown;
    size_t n_sorted;
    uint64_t forgotten; /* the last of those that there was no room for; 0: none */
    struct {
        size_t n;
        struct follow_mark first, last;
    } offered; /* by the last answer */
    struct {
        bool is_open;
        ts_ns from;
        uint64_t done;
        ts_ns newest;
    } gap;
};

/* All from `from` on is of interest, and none of it known: a gap. */
void follow_init(struct follow *f, ts_ns from);
void follow_fini(struct follow *f);

/* The server told this line: has it not been shown yet?  Then it is now. */
bool follow_tell(struct follow *f, struct follow_mark m);

/* Unless a gap is open: all that was stored up to `until` has been told, of our clock; a time not
 * later than the one before says nothing.  It lies behind the lines told before this call. */
void follow_hear(struct follow *f, ts_ns until);

/* From here on lines are missing, that are at most `back` older than the newest line shown. */
void follow_miss(struct follow *f, ts_ns now, dur_ns back);

/* Behind which line to ask for what is missing... */
struct follow_mark follow_ask(struct follow *f);
/* ... and the answer: each line, in order of (ts, seq), then what is to be thought of it. */
bool follow_offer(struct follow *f, struct follow_mark m);
enum follow_answer {
    FOLLOW_WHOLE,
    FOLLOW_CUT,    /* what lies behind the last line is missing */
    FOLLOW_PARTIAL /* any line may be */
};
void follow_end(struct follow *f, enum follow_answer answer);

/* Nothing up to `m` is of interest any more. */
void follow_start_at(struct follow *f, struct follow_mark m);

#endif
