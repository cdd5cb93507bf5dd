/*
 * query/ends.h - range aggregations that ask for the first or the last value of a range.
 *
 * Between two neighbouring edges all samples lie in the same ranges (sums.h), so of each such
 * stretch the one end is enough, whatever the order in which samples come.
 */
#ifndef LOGQ_QUERY_ENDS_H
#define LOGQ_QUERY_ENDS_H

#include "query/sums.h"

/* Can the range aggregation be had from the ends of stretches? */
bool ends_know(enum token_kind op);

/* The first or last sample of a stretch so far; zeroed is none. */
struct end {
    ts_ns ts;
    uint64_t seq;
    double value;
    uint64_t n; /* samples that it was chosen from */
};
void ends_add(enum token_kind op, struct end *e, const struct scan_sample *s);

/* Set the points of `out`, which has none; `v`: one a stretch, used up then. */
void ends_slide(const struct sums_query *q, struct end *v, struct series *out);

#endif
