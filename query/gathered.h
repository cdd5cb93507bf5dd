/*
 * query/gathered.h - range aggregations over values that were gathered in no order.
 *
 * For what needs each value of a range by itself: quantiles; and counters, of which the order of
 * records of one time matters too.
 */
#ifndef LOGQ_QUERY_GATHERED_H
#define LOGQ_QUERY_GATHERED_H

#include "query/exec.h"
#include "query/series.h"
#include "query/window.h"

/* At most one value for so many bytes that a query may take: little more than half of them at the
 * worst, while a window grows and is sorted. */
enum { GATHERED_MEMORY_MIN = 128 };

/* Can the range aggregation be had from values in no order? */
bool gathered_know(enum token_kind op);
/* And does it depend on the order of samples?  Then windows order theirs. */
bool gathered_orders(enum token_kind op);

struct gathered_query {
    enum token_kind op;
    double param; /* quantile */
    const struct steps *steps;
    dur_ns range, offset;
};
/* Sort the samples of `w`, which neither slides nor has forgotten any, and set the points of `out`,
 * which has none; the window is used up then.  Scratch memory is of x->arena.  ERR_NOMEM, and as
 * exec_tick. */
int gathered_slide(const struct gathered_query *q, struct window *w, struct exec *x,
                   struct series *out, struct err *err);

#endif
