/*
 * query/cli/follow.h - which lines have been shown, so that asking again shows only new ones.
 *
 * Lines do not arrive in the order of their times: each collector ships when it ships.  So every
 * question reaches back FOLLOW_BACK before the newest line seen, and what comes again is recognised
 * by (ts, seq) and passed over.
 *
 * Invariants
 *   (1) marks are sorted by (ts, seq), as the server sends lines forward;
 *   (2) all marks are after `bound`, and no question asks for lines at or before it.
 */
#ifndef LOGQ_QUERY_CLI_FOLLOW_H
#define LOGQ_QUERY_CLI_FOLLOW_H

#include "base/time.h"
#include "base/vec.h"

#define FOLLOW_BACK (5 * NS_PER_S)
enum { FOLLOW_MARKS_MAX = 200000 };

struct follow_mark {
    ts_ns ts;
    uint64_t seq;
};

struct follow {
    struct follow_mark bound;     /* ask for ts >= bound.ts, and at bound.ts for seq > bound.seq */
    VEC(struct follow_mark) seen; /* of earlier questions */
    VEC(struct follow_mark) now;  /* of this one */
    size_t at;                    /* in `seen` */
    struct follow_mark oldest;    /* first one offered by the last question */
    uint64_t shortened;           /* times that the marks were too many to reach back all the way */
};

/* Lines from `from` on are of interest. */
void follow_init(struct follow *f, ts_ns from);
void follow_fini(struct follow *f);

/* One question: begin, offer each line in order, end (also when it failed midway). */
void follow_begin(struct follow *f);
bool follow_offer(struct follow *f, struct follow_mark m); /* has it not been shown yet? */
void follow_end(struct follow *f, ts_ns now);

/* Nothing up to `m` is of interest any more. */
void follow_start_at(struct follow *f, struct follow_mark m);

#endif
