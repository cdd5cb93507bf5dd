/*
 * query/window.h - the samples of one series that a range still covers.
 *
 * Samples come in order of time and leave at the other end.  Memory is charged to a budget.
 *
 * Where ranges overlap, each sample would be looked at once for every range it is in.  A window
 * that slides keeps what its samples come to instead, in two parts: of those in front, at each
 * sample what it and those behind it come to, so that the first may go; of the others the whole, so
 * that one more may come.  When the front is used up, what is there becomes the front.
 */
#ifndef LOGQ_QUERY_WINDOW_H
#define LOGQ_QUERY_WINDOW_H

#include "base/mem.h"
#include "base/time.h"
#include "query/lex.h"

struct window_part { /* what some samples come to */
    double value;    /* sum, mean or extreme */
    double squares;  /* of distances from the mean */
    double n;
};

struct window {
    ts_ns *ts;
    double *v;
    uint64_t *seq;       /* of samples of one time, their order; NULL unless `orders` */
    size_t head, n, cap; /* samples are [head, head + n) */
    bool slides;
    bool orders;
    bool distinct; /* of equal values only the last is kept */
    enum token_kind op;
    struct window_part *parts; /* parts[i], i in [head, head + front): of samples i to the last */
    size_t front;
    struct window_part back; /* of the samples behind the front */
};

/* Before the first sample: window_value will be asked for `op` of ranges that overlap.  Does
 * nothing where that helps nothing: quantiles, counters, first and last. */
void window_slide(struct window *w, enum token_kind op);

/* Before the first sample: window_value will be asked how many different values there are, of
 * ranges whose ends ascend.  Then a value needs memory once, however often it comes.  Values are
 * not negative. */
void window_distinct(struct window *w);

/* Before the first sample: samples come in no order, and window_value will be asked for something
 * that depends on it.  Such a window does not slide. */
void window_order(struct window *w);

void window_fini(struct window *w, struct mem_budget *budget);

/* ts must not be before that of the last one, unless window_sort follows.  ERR_NOMEM. */
int window_push(struct window *w, ts_ns ts, double v, struct mem_budget *budget, struct err *err);
/* The same of a window that orders. */
struct window_sample {
    ts_ns ts;
    uint64_t seq;
    double v;
};
int window_push_sample(struct window *w, const struct window_sample *s, struct mem_budget *budget,
                       struct err *err);

/* Put samples in order that were pushed in none, into a window that does not slide and has
 * forgotten nothing.  ERR_NOMEM. */
int window_sort(struct window *w, struct mem_budget *budget, struct err *err);

/* Forget samples at or before `ts`. */
void window_drop(struct window *w, ts_ns ts);

/* What a range aggregation over unwrapped values makes of the samples, at least one, of the range
 * (end - range, end].  `scratch` of w->n doubles is for quantiles and different values. */
struct window_query {
    enum token_kind op; /* TOKEN_RATE ... but those that count lines */
    double param;       /* quantile */
    ts_ns end;
    dur_ns range;
};
double window_value(const struct window *w, const struct window_query *q, double *scratch);

#endif
