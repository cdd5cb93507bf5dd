/*
 * query/sums.h - range aggregations over values that were added up between the edges of ranges.
 *
 * Between two neighbouring edges all samples lie in the same ranges, so a step needs the sums of
 * its stretches alone, and what is asked may not depend on the order of samples.  Ranges move on
 * from step to step; each stretch is merged a constant number of times.
 */
#ifndef LOGQ_QUERY_SUMS_H
#define LOGQ_QUERY_SUMS_H

#include "query/lex.h"
#include "query/series.h"
#include "storage/scan.h"

/* Can the range aggregation be had from sums? */
bool sums_know(enum token_kind op);

struct sums_query {
    enum token_kind op;
    const struct steps *steps;
    dur_ns range, offset;
    const ts_ns *edge; /* as those of scan_count */
    size_t n_edges;
};
/* Set the points of `out`, which has none.  Scratch memory is the arena's.  ERR_NOMEM. */
int sums_slide(const struct sums_query *q, const struct scan_sum *v, struct arena *a,
               struct series *out, struct err *err);

#endif
