/*
 * query/query_cache.h - pieces of range aggregations over time that does not change any more, kept.
 *
 * A piece is what one range aggregation (or the sum fused with it) gives at some steps; its key
 * says which and for whom.  It is true while scan_spans says the same of the time that it covers.
 * Bounded: what was not used for longest goes.  Any thread.  Life and statistics: query.h.
 *
 * Who finds no piece claims it.  The same question asked meanwhile, by others, finds the claim and
 * waits for what comes of it (a flight) instead of reading the same again.  What may change at any
 * time (state 0) is never kept, and given only to those who asked before its reading began: who
 * comes later, or asks for another state, opens the next flight, which begins when that one has
 * ended and takes all who came until then.  A flight that fails or is given up gives nothing: who
 * waited for it claims again, and so one of them is the next to try.  So of any number of equal
 * questions one is worked on at a time, and every answer is at least as new as its question.
 *
 * Who may not wait (struct query_waiting) leaves the flight, or ends his own that has not begun,
 * and evaluates for himself, outside of all flights.
 *
 * Flights wait in one direction only, if callers keep to this: (1) who has a begun flight waits for
 * nothing before it has ended it; (2) who has one that is to begin waits for that, but for nobody
 * else's result.
 *
 * A key begins with the tenants that are read, each with '|' behind it.
 */
#ifndef LOGQ_QUERY_QUERY_CACHE_H
#define LOGQ_QUERY_QUERY_CACHE_H

#include "query/query.h"
#include "query/series.h"

#include <stdbool.h>

void query_piece_unref(const struct matrix **pm);

struct query_flight;
enum query_claim {
    QUERY_CLAIM_KEPT,   /* *kept is the piece, to be given back by query_piece_unref */
    QUERY_CLAIM_OURS,   /* *flight is the caller's to evaluate, now, and to end */
    QUERY_CLAIM_NEXT,   /* the same, after query_flight_may_begin and query_flight_begin */
    QUERY_CLAIM_THEIRS, /* *flight is another's: wait for it, then take its result */
};
/* Sets *kept or *flight.  `state` 0: what is read may change at any time. */
enum query_claim query_cache_claim(struct query_cache *c, struct str key, uint64_t state,
                                   const struct matrix **kept, struct query_flight **flight);
/* Wait for some milliseconds at most: has the one before it ended?  Then begin. */
bool query_flight_may_begin(struct query_cache *c, struct query_flight *f);
void query_flight_begin(struct query_cache *c, struct query_flight *f);

/* End a flight of one's own, begun or not, with its result; NULL: there is none. *pf is NULL then.
 */
struct query_result_steps { /* steps [first, first + n) of m */
    const struct matrix *m;
    size_t first, n;
    bool keep; /* for later questions too; not of state 0 */
};
void query_flight_end(struct query_cache *c, struct query_flight **pf,
                      const struct query_result_steps *r);
/* Of another's: wait for some milliseconds at most: has it ended? */
bool query_flight_wait(struct query_cache *c, struct query_flight *f);
/* Leave another's flight, ended or not: the piece, to be given back by query_piece_unref, or NULL:
 * it gave none. */
const struct matrix *query_flight_leave(struct query_cache *c, struct query_flight **pf);
/* Count a piece that is evaluated outside of all flights. */
void query_cache_count_alone(struct query_cache *c);

#endif
