/*
 * query/op_topk.c - topk, bottomk, approx_topk, sort and sort_desc, see op_vector.h.
 *
 * These keep series as they are: topk and bottomk take points away, and all of them put the series
 * of an instant query in order.  NaN comes last in every order; of equal values the series that
 * comes first by its labels comes first, so that answers repeat.
 */
#include "query/op_vector.h"

#include "query/group.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A series with a point at the step in hand. */
struct candidate {
    double value;
    size_t place; /* in the order of labels */
    struct series *series;
};

struct topk {
    struct exec *x;
    bool ascending; /* the smallest are wanted */
    size_t k;
    struct candidate *heap; /* the k best so far of one group and step, the worst on top */
    size_t n;
};

/* Does `a` come before `b`? */
static bool is_before(const struct candidate *a, const struct candidate *b, bool ascending)
{
    if (isnan(a->value) || isnan(b->value)) {
        if (isnan(a->value) != isnan(b->value))
            return isnan(b->value);
    } else if (a->value != b->value) {
        return (a->value < b->value) == ascending;
    }
    return a->place < b->place;
}

/* ---- the k best ---- */

static void sift_down(struct topk *t, size_t i)
{
    for (;;) {
        size_t worst = i;
        struct candidate c;
        for (size_t kid = 2 * i + 1; kid <= 2 * i + 2 && kid < t->n; kid++)
            if (is_before(&t->heap[worst], &t->heap[kid], t->ascending))
                worst = kid;
        if (worst == i)
            return;
        c = t->heap[i];
        t->heap[i] = t->heap[worst];
        t->heap[worst] = c;
        i = worst;
    }
}

static void sift_up(struct topk *t, size_t i)
{
    while (i > 0 && is_before(&t->heap[(i - 1) / 2], &t->heap[i], t->ascending)) {
        struct candidate c = t->heap[i];
        t->heap[i] = t->heap[(i - 1) / 2];
        t->heap[(i - 1) / 2] = c;
        i = (i - 1) / 2;
    }
}

/* Take `c` in, and take the point of what it displaces, or its own, away. */
static void offer(struct topk *t, const struct candidate *c, size_t step)
{
    if (t->n < t->k) {
        t->heap[t->n] = *c;
        sift_up(t, t->n++);
    } else if (is_before(c, &t->heap[0], t->ascending)) {
        t->heap[0].series->has[step] = 0;
        t->heap[0] = *c;
        sift_down(t, 0);
    } else {
        c->series->has[step] = 0;
    }
}

/* ---- groups ---- */

struct members { /* of a group: places in the order of labels */
    size_t first, last;
};
#define NONE SIZE_MAX

/* Bring the series of one group together: lists through `next`, ended by NONE. */
static int make_groups(struct exec *x, const struct ast_grouping *g, const struct matrix *in,
                       struct groups *groups, size_t *next, struct err *err)
{
    for (size_t i = 0; i < in->n; i++) {
        struct labels l;
        struct group *group = NULL;
        struct members *m;
        int r = series_project(x->arena, &in->v[i].labels, g->names, g->without, &l, err);
        if (r == 0)
            r = groups_find(groups, &l, &group, err);
        if (r != 0)
            return r;
        next[i] = NONE;
        m = group->data;
        if (m == NULL) {
            m = group->data = arena_alloc(x->arena, sizeof(*m));
            if (m == NULL)
                return arena_err(x->arena, err);
            m->first = i;
        } else {
            next[m->last] = i;
        }
        m->last = i;
    }
    return 0;
}

static int keep_best(struct topk *t, const struct matrix *m, const struct members *of,
                     const size_t *next, const struct steps *steps, struct err *err)
{
    int r = 0;

    for (size_t k = 0; k < steps->n && r == 0; k++) {
        t->n = 0;
        for (size_t i = of->first; i != NONE && r == 0; i = next[i]) {
            struct candidate c = {.value = m->v[i].value[k], .place = i, .series = &m->v[i]};
            r = exec_tick(t->x, err);
            if (m->v[i].has[k])
                offer(t, &c, k);
        }
    }
    return r;
}

/* ---- order ---- */

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(&((const struct series *)a)->labels, &((const struct series *)b)->labels);
}

static int ascending(const void *a, const void *b)
{
    return is_before(a, b, true) ? -1 : 1;
}

static int descending(const void *a, const void *b)
{
    return is_before(a, b, false) ? -1 : 1;
}

/* The series of an instant query by their values.  Others have none to go by. */
static int order(struct exec *x, struct matrix *m, bool smallest_first, struct err *err)
{
    struct candidate *c = arena_alloc(x->arena, m->n * sizeof(*c));
    struct series *v = arena_alloc(x->arena, m->n * sizeof(*v));
    size_t n = 0;

    if (c == NULL || v == NULL)
        return arena_err(x->arena, err);
    for (size_t i = 0; i < m->n; i++)
        if (m->v[i].has[0])
            c[n++] = (struct candidate){m->v[i].value[0], i, &m->v[i]};
    if (n > 1)
        qsort(c, n, sizeof(*c), smallest_first ? ascending : descending);
    for (size_t i = 0; i < n; i++)
        v[i] = *c[i].series;
    *m = (struct matrix){.v = v, .n = n, .is_ordered = true};
    return 0;
}

/* ---- the whole ---- */

int op_sort(struct exec *x, const struct ast_node *n, struct matrix *in, const struct steps *steps,
            struct matrix *ret, struct err *err)
{
    *ret = *in;
    if (ret->n > 1)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_labels);
    return steps->n > 1 ? 0 : order(x, ret, n->aggregate.op == TOKEN_SORT, err);
}

int op_topk(struct exec *x, const struct ast_node *n, struct matrix *in, const struct steps *steps,
            struct matrix *ret, struct err *err)
{
    struct topk t = {.x = x, .ascending = n->aggregate.op == TOKEN_BOTTOMK};
    struct groups groups;
    size_t *next = arena_alloc(x->arena, in->n * sizeof(*next));
    int r;

    *ret = *in;
    if (n->aggregate.op == TOKEN_APPROX_TOPK && x->params->step > 0)
        return err_set(err, ERR_INVALID,
                       "count min sketches are only supported on instant queries: use topk");
    t.k = n->aggregate.param < (double)in->n ? (size_t)n->aggregate.param : in->n;
    t.heap = arena_alloc(x->arena, t.k * sizeof(*t.heap));
    if (next == NULL || t.heap == NULL)
        return arena_err(x->arena, err);
    if (ret->n > 1)
        qsort(ret->v, ret->n, sizeof(*ret->v), by_labels);
    groups_init(&groups, x->arena);
    r = make_groups(x, &n->aggregate.grouping, ret, &groups, next, err);
    for (size_t i = 0; i < groups.n && r == 0; i++)
        r = keep_best(&t, ret, groups.v[i]->data, next, steps, err);
    return r < 0 || steps->n > 1 ? r : order(x, ret, t.ascending, err);
}
