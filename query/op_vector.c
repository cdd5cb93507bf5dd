/* query/op_vector.c - aggregations over series, see op_vector.h. */
#include "query/op_vector.h"

#include "query/group.h"

#include <math.h>
#include <string.h>

/* What one group has gathered, per step. */
struct tally {
    struct series out; /* value: sum, mean or extreme so far */
    double *count;     /* points so far */
    double *squares;   /* stddev, stdvar: sum of squared distances from the mean */
};

static bool needs_squares(enum token_kind op)
{
    return op == TOKEN_STDDEV || op == TOKEN_STDVAR;
}

/* The tally of `g`, new if it has none; NULL: *err says why not. */
static struct tally *tally_of(struct exec *x, enum token_kind op, size_t n, struct group *g,
                              struct err *err)
{
    struct tally *t = g->data;

    if (t != NULL)
        return t;
    t = arena_alloc(x->arena, sizeof(*t));
    if (t != NULL)
        t->count = arena_alloc(x->arena, n * sizeof(*t->count));
    if (t != NULL && needs_squares(op))
        t->squares = arena_alloc(x->arena, n * sizeof(*t->squares));
    if (t == NULL || t->count == NULL || (needs_squares(op) && t->squares == NULL)) {
        (void)arena_err(x->arena, err);
        return NULL;
    }
    if (series_make(x->arena, n, &t->out, err) != 0)
        return NULL;
    t->out.labels = g->labels;
    g->data = t;
    return t;
}

/* The mean after one more value; a running mean does not overflow where the sum would. */
static double add_to_mean(double mean, double v, double count)
{
    if (isinf(mean) && (isinf(v) ? (mean > 0) == (v > 0) : !isnan(v)))
        return mean; /* inf - inf would make it NaN */
    return mean + (v / count - mean / count);
}

static void add_point(struct tally *t, enum token_kind op, size_t k, double v)
{
    double *value = &t->out.value[k];
    double count = ++t->count[k];
    double delta;

    t->out.has[k] = 1;
    if (op == TOKEN_SUM) {
        *value += v;
    } else if (op == TOKEN_COUNT) {
        *value = count;
    } else if (op == TOKEN_AVG) {
        *value = add_to_mean(*value, v, count);
    } else if (op == TOKEN_MIN) {
        if (count == 1 || isnan(*value) || v < *value)
            *value = v;
    } else if (op == TOKEN_MAX) {
        if (count == 1 || isnan(*value) || v > *value)
            *value = v;
    } else { /* stddev, stdvar: the mean, and squares beside it */
        delta = v - *value;
        *value += delta / count;
        t->squares[k] += delta * (v - *value);
    }
}

static int add_series(struct exec *x, struct tally *t, enum token_kind op, const struct series *s,
                      size_t n, struct err *err)
{
    int r = 0;

    for (size_t k = 0; k < n && r == 0; k++) {
        if (s->has[k])
            add_point(t, op, k, s->value[k]);
        r = exec_tick(x, err);
    }
    return r;
}

static void finish(struct tally *t, enum token_kind op, size_t n)
{
    for (size_t k = 0; k < n && needs_squares(op); k++) {
        double variance = t->squares[k] / t->count[k];
        t->out.value[k] = op == TOKEN_STDDEV ? sqrt(variance) : variance;
    }
}

int op_aggregate(struct exec *x, const struct ast_node *n, const struct matrix *in,
                 const struct steps *steps, struct matrix *ret, struct err *err)
{
    const struct ast_grouping *g = &n->aggregate.grouping;
    struct groups groups;
    int r = 0;

    *ret = (struct matrix){.n = 0};
    groups_init(&groups, x->arena);
    for (size_t i = 0; i < in->n && r == 0; i++) {
        struct labels l;
        struct group *group = NULL;
        struct tally *t;
        r = series_project(x->arena, &in->v[i].labels, g->names, g->without, &l, err);
        if (r == 0 && g->without)
            series_drop_empty(&l);
        if (r == 0)
            r = groups_find(&groups, &l, &group, err);
        if (r != 0)
            return r;
        t = tally_of(x, n->aggregate.op, steps->n, group, err);
        r = t == NULL ? err->code : add_series(x, t, n->aggregate.op, &in->v[i], steps->n, err);
    }
    if (r < 0)
        return r;
    ret->v = arena_alloc(x->arena, groups.n * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(x->arena, err);
    for (size_t i = 0; i < groups.n; i++) {
        finish(groups.v[i]->data, n->aggregate.op, steps->n);
        ret->v[ret->n++] = ((struct tally *)groups.v[i]->data)->out;
    }
    return 0;
}
