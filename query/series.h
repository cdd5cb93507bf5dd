/*
 * query/series.h - what the operators of metric queries hand to each other: series over the steps
 * of a run.
 *
 * Values are dense, one place per step, with a mark where there is a point.  All of it lies in the
 * arena of the run.
 */
#ifndef LOGQ_QUERY_SERIES_H
#define LOGQ_QUERY_SERIES_H

#include "base/labels.h"
#include "base/time.h"

/* Evaluation times: start, start + step, ... `n` of them; an instant query has one. */
struct steps {
    ts_ns start;
    dur_ns step; /* > 0 */
    size_t n;
};

struct series {
    struct labels labels;
    double *value;
    unsigned char *has;
};

struct matrix {
    bool is_scalar;  /* `number` at each step, no series */
    bool is_ordered; /* the order of the series says something */
    double number;
    struct series *v;
    size_t n;
};

/* Fill s->value and s->has, no point anywhere yet.  ERR_NOMEM, ERR_LIMIT. */
int series_make(struct arena *a, size_t n_steps, struct series *s, struct err *err);

/* *ret: the labels of `l` that `by` names, or if `without` the others; in `a`.  Names of a list
 * that `l` lacks are passed over. */
struct ast_name;
int series_project(struct arena *a, const struct labels *l, const struct ast_name *names,
                   bool without, struct labels *ret, struct err *err);

/* Take the labels without a value away, in the array of *l itself, as series_project makes it. */
void series_drop_empty(struct labels *l);

/* Set label `name` of *l to `value`, or take it away if that is empty; other labels, empty ones
 * too, stay.  *l gets an array of its own in `a`; the texts are borrowed. */
int series_label(struct arena *a, struct labels *l, struct str name, struct str value,
                 struct err *err);

#endif
