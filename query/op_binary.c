/*
 * query/op_binary.c - binary operators, see op_vector.h.
 *
 * Between two vectors, series are first brought together by their signature: the labels that
 * on (...) names, or all but those of ignoring (...).  Which of them have points differs from step
 * to step, so pairing, and the rule that one side of a pair must be alone, is decided per step.
 */
#include "query/op_vector.h"

#include "query/arith.h"
#include "query/group.h"

#include <string.h>

/* ---- with a number ---- */

/* Value of `a op b`; false: the comparison filters the point out.  A filter keeps `kept`. */
static bool apply(const struct ast_node *n, double a, double b, double kept, double *ret)
{
    bool holds;

    if (!ast_is_comparison(n->binary.op)) {
        *ret = arith_apply(n->binary.op, a, b);
        return true;
    }
    holds = arith_compare(n->binary.op, a, b);
    if (n->binary.return_bool)
        *ret = holds ? 1 : 0;
    else
        *ret = kept;
    return holds || n->binary.return_bool;
}

static int with_scalar(struct exec *x, const struct ast_node *n, const struct matrix sides[2],
                       const struct steps *steps, struct matrix *ret, struct err *err)
{
    bool scalar_left = sides[0].is_scalar;
    double scalar = sides[scalar_left ? 0 : 1].number;
    int r = 0;

    *ret = sides[scalar_left ? 1 : 0]; /* changed in place: nobody else holds it */
    for (size_t i = 0; i < ret->n; i++) {
        struct series *s = &ret->v[i];
        for (size_t k = 0; k < steps->n && r == 0; k++) {
            double v = s->value[k];
            r = exec_tick(x, err);
            if (s->has[k])
                s->has[k] =
                    apply(n, scalar_left ? scalar : v, scalar_left ? v : scalar, v, &s->value[k]);
        }
    }
    return r;
}

/* ---- signatures ---- */

enum { LEFT, RIGHT };

/* Series of both sides with one signature: lists of positions through `next`, ended by NONE. */
struct bundle {
    size_t first[2], last[2];
};
#define NONE SIZE_MAX

struct pairing {
    struct exec *x;
    const struct ast_node *node;
    const struct matrix *sides;
    size_t n_steps;
    struct groups bundles;
    size_t *next[2];
    struct groups results; /* data: struct series */
};

static int bundle_up(struct pairing *p, int side, struct err *err)
{
    const struct ast_grouping *m = &p->node->binary.matching;
    const struct matrix *in = &p->sides[side];
    struct arena *a = p->x->arena;

    p->next[side] = arena_alloc(a, in->n * sizeof(size_t));
    if (p->next[side] == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < in->n; i++) {
        struct labels l;
        struct group *g;
        struct bundle *b;
        int r = series_project(a, &in->v[i].labels, m->names, !m->present || m->without, &l, err);
        if (r == 0) /* a label without a value is as good as none */
            series_drop_empty(&l);
        if (r == 0)
            r = groups_find(&p->bundles, &l, &g, err);
        if (r != 0)
            return r;
        b = g->data;
        if (b == NULL) {
            b = g->data = arena_alloc(a, sizeof(*b));
            if (b == NULL)
                return arena_err(a, err);
            *b = (struct bundle){{NONE, NONE}, {NONE, NONE}};
        }
        p->next[side][i] = NONE;
        if (b->first[side] == NONE)
            b->first[side] = i;
        else
            p->next[side][b->last[side]] = i;
        b->last[side] = i;
    }
    return 0;
}

/* The series of the result that has these labels; NULL: *err says why not. */
static struct series *result_series(struct pairing *p, const struct labels *l, struct err *err)
{
    struct group *g = NULL;
    struct series *s;

    if (groups_find(&p->results, l, &g, err) != 0)
        return NULL;
    if (g->data != NULL)
        return g->data;
    s = arena_alloc(p->x->arena, sizeof(*s));
    if (s == NULL) {
        (void)arena_err(p->x->arena, err);
        return NULL;
    }
    if (series_make(p->x->arena, p->n_steps, s, err) != 0)
        return NULL;
    s->labels = g->labels;
    g->data = s;
    return s;
}

static int take_results(struct pairing *p, struct matrix *ret, struct err *err)
{
    *ret = (struct matrix){.v = arena_alloc(p->x->arena, p->results.n * sizeof(*ret->v))};
    if (ret->v == NULL)
        return arena_err(p->x->arena, err);
    for (size_t i = 0; i < p->results.n; i++)
        ret->v[ret->n++] = *(const struct series *)p->results.v[i]->data;
    return 0;
}

/* ---- arithmetic and comparison of two vectors ---- */

/* Labels of the pair of a series of the many side and one of the one side, with group_left or
 * group_right: those of the former that have a value, and the included ones of the latter. */
static int grouped_labels(struct pairing *p, const struct labels *many, const struct labels *one,
                          struct labels *ret, struct err *err)
{
    int r = series_project(p->x->arena, many, NULL, true, ret, err);

    if (r == 0)
        series_drop_empty(ret);
    for (const struct ast_name *i = p->node->binary.include; i != NULL && r == 0; i = i->next)
        r = series_label(p->x->arena, ret, i->name, labels_get(one, i->name), err);
    return r;
}

/* The one series of the list with a point at step k, NONE if there is none, or an error. */
static int alone_at(const struct pairing *p, int side, size_t first, size_t k, size_t *ret,
                    struct err *err)
{
    *ret = NONE;
    for (size_t i = first; i != NONE; i = p->next[side][i]) {
        if (!p->sides[side].v[i].has[k])
            continue;
        if (*ret != NONE)
            return err_set(err, ERR_INVALID,
                           "found duplicate series on the %s hand-side;many-to-many matching not "
                           "allowed: matching labels must be unique on one side",
                           side == LEFT ? "left" : "right");
        *ret = i;
    }
    return 0;
}

/* The point of one pair at step k, in series `to`. */
static int pair_point(const struct pairing *p, const struct series *left,
                      const struct series *right, size_t k, struct series *to, struct err *err)
{
    double v = 0;
    bool has = apply(p->node, left->value[k], right->value[k], left->value[k], &v);

    if (!has)
        return 0;
    if (to->has[k])
        return err_set(err, ERR_INVALID,
                       "multiple matches for labels: grouping labels must ensure unique matches");
    to->has[k] = 1;
    to->value[k] = v;
    return 0;
}

/* The pair of series i[LEFT] and i[RIGHT], which have points at step k. */
static int pair(struct pairing *p, const struct group *g, const size_t i[2], size_t k,
                struct err *err)
{
    int many = p->node->binary.side == GROUP_RIGHT ? RIGHT : LEFT;
    const struct series *left = &p->sides[LEFT].v[i[LEFT]];
    const struct series *right = &p->sides[RIGHT].v[i[RIGHT]];
    struct labels l = g->labels;
    struct series *to;
    int r = 0;

    if (p->node->binary.side != GROUP_NONE)
        r = many == LEFT ? grouped_labels(p, &left->labels, &right->labels, &l, err)
                         : grouped_labels(p, &right->labels, &left->labels, &l, err);
    if (r != 0)
        return r;
    to = result_series(p, &l, err);
    return to == NULL ? err->code : pair_point(p, left, right, k, to, err);
}

/* One step of one signature, each point of the one side with those of the many side. */
static int pair_step(struct pairing *p, const struct group *g, size_t k, struct err *err)
{
    const struct bundle *b = g->data;
    int many = p->node->binary.side == GROUP_RIGHT ? RIGHT : LEFT;
    size_t matched = 0;
    size_t i[2];
    int r = alone_at(p, !many, b->first[!many], k, &i[!many], err);

    if (r != 0 || i[!many] == NONE)
        return r;
    for (i[many] = b->first[many]; i[many] != NONE && r == 0; i[many] = p->next[many][i[many]]) {
        if (!p->sides[many].v[i[many]].has[k])
            continue;
        if (matched++ > 0 && p->node->binary.side == GROUP_NONE)
            return err_set(err, ERR_INVALID,
                           "multiple matches for labels: many-to-one matching must be explicit "
                           "(group_left/group_right)");
        r = pair(p, g, i, k, err);
    }
    return r;
}

static int pair_vectors(struct pairing *p, struct matrix *ret, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < p->bundles.n; i++)
        for (size_t k = 0; k < p->n_steps && r == 0; k++) {
            r = exec_tick(p->x, err);
            if (r == 0)
                r = pair_step(p, p->bundles.v[i], k, err);
        }
    return r < 0 ? r : take_results(p, ret, err);
}

/* ---- and, or, unless ---- */

static bool any_at(const struct pairing *p, int side, const struct bundle *b, size_t k)
{
    for (size_t i = b->first[side]; i != NONE; i = p->next[side][i])
        if (p->sides[side].v[i].has[k])
            return true;
    return false;
}

/* Copy the points of one side of a bundle to the result where the other side has a point (`wanted`)
 * or has none. */
static int copy_points(struct pairing *p, const struct bundle *b, int side, bool wanted,
                       struct err *err)
{
    for (size_t i = b->first[side]; i != NONE; i = p->next[side][i]) {
        const struct series *from = &p->sides[side].v[i];
        struct series *to = result_series(p, &from->labels, err);
        int r = to == NULL ? err->code : 0;
        for (size_t k = 0; to != NULL && k < p->n_steps && r == 0; k++) {
            r = exec_tick(p->x, err);
            if (from->has[k] && any_at(p, !side, b, k) == wanted) {
                to->has[k] = 1;
                to->value[k] = from->value[k];
            }
        }
        if (r < 0)
            return r;
    }
    return 0;
}

static int combine_sets(struct pairing *p, struct matrix *ret, struct err *err)
{
    enum token_kind op = p->node->binary.op;
    int r = 0;

    for (size_t i = 0; i < p->bundles.n && r == 0; i++) {
        const struct bundle *b = p->bundles.v[i]->data;
        if (op != TOKEN_UNLESS)
            r = copy_points(p, b, LEFT, true, err);
        if (r == 0 && op != TOKEN_AND)
            r = copy_points(p, b, LEFT, false, err);
        if (r == 0 && op == TOKEN_OR)
            r = copy_points(p, b, RIGHT, false, err);
    }
    return r < 0 ? r : take_results(p, ret, err);
}

int op_binary(struct exec *x, const struct ast_node *n, const struct matrix sides[2],
              const struct steps *steps, struct matrix *ret, struct err *err)
{
    struct pairing p = {.x = x, .node = n, .sides = sides, .n_steps = steps->n};
    int r;

    if (sides[LEFT].is_scalar || sides[RIGHT].is_scalar)
        return with_scalar(x, n, sides, steps, ret, err);
    groups_init(&p.bundles, x->arena);
    groups_init(&p.results, x->arena);
    r = bundle_up(&p, LEFT, err);
    if (r == 0)
        r = bundle_up(&p, RIGHT, err);
    if (r < 0)
        return r;
    return ast_is_set(n->binary.op) ? combine_sets(&p, ret, err) : pair_vectors(&p, ret, err);
}
