/*
 * query/window.h - the samples of one series that a range still covers.
 *
 * Samples come in order of time and leave at the other end.  Memory is charged to a budget.
 */
#ifndef LOGQ_QUERY_WINDOW_H
#define LOGQ_QUERY_WINDOW_H

#include "base/mem.h"
#include "base/time.h"
#include "query/lex.h"

struct window {
    ts_ns *ts;
    double *v;
    size_t head, n, cap; /* samples are [head, head + n) */
};

void window_fini(struct window *w, struct mem_budget *budget);

/* ts must not be before that of the last one.  ERR_NOMEM. */
int window_push(struct window *w, ts_ns ts, double v, struct mem_budget *budget, struct err *err);

/* Forget samples at or before `ts`. */
void window_drop(struct window *w, ts_ns ts);

/* What a range aggregation over unwrapped values makes of the samples, at least one, of the range
 * (end - range, end].  `scratch` of w->n doubles is for quantiles. */
struct window_query {
    enum token_kind op; /* TOKEN_RATE ... but those that count lines */
    double param;       /* quantile */
    ts_ns end;
    dur_ns range;
};
double window_value(const struct window *w, const struct window_query *q, double *scratch);

#endif
