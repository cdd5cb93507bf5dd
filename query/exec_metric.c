/*
 * query/exec_metric.c - running a metric query, see exec.h.
 *
 * The tree is evaluated from its leaves up, each node over all steps at once.  What a node has read
 * it may change in place: a matrix has one user.  Of a result that several parts of the tree share
 * each gets a copy but the last, who gets the thing itself.
 */
#include "query/exec.h"

#include "query/op_range.h"
#include "query/op_vector.h"
#include "query/pieces.h"

#include <stdlib.h>
#include <string.h>

struct shared {
    struct matrix m; /* once `is_there` */
    bool is_there;
    size_t uses; /* left */
};

struct metric_run {
    struct exec *x;
    struct steps steps;
    struct shared *shared; /* by ast_node.share - 1 */
};

/* ---- evaluation ---- */

static int eval_vector(struct metric_run *run, double v, struct matrix *ret, struct err *err)
{
    struct series *s = arena_alloc(run->x->arena, sizeof(*s));
    int r;

    if (s == NULL)
        return arena_err(run->x->arena, err);
    r = series_make(run->x->arena, run->steps.n, s, err);
    for (size_t k = 0; k < run->steps.n && r == 0; k++) {
        s->value[k] = v;
        s->has[k] = 1;
    }
    *ret = (struct matrix){.v = s, .n = 1};
    return r;
}

static int copy_matrix(struct metric_run *run, const struct matrix *m, struct matrix *ret,
                       struct err *err)
{
    size_t n = run->steps.n;
    int r = 0;

    *ret = *m;
    ret->v = arena_alloc(run->x->arena, m->n * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(run->x->arena, err);
    for (size_t i = 0; i < m->n && r == 0; i++) {
        ret->v[i].labels = m->v[i].labels;
        r = series_make(run->x->arena, n, &ret->v[i], err);
        if (r == 0) {
            memcpy(ret->v[i].value, m->v[i].value, n * sizeof(*ret->v[i].value));
            memcpy(ret->v[i].has, m->v[i].has, n * sizeof(*ret->v[i].has));
            r = exec_tick(run->x, err);
        }
    }
    return r;
}

/* A range aggregation, or a sum fused with one. */
static int eval_range(struct metric_run *run, const struct ast_node *n, struct matrix *ret,
                      struct err *err)
{
    struct shared *s = n->share == 0 ? NULL : &run->shared[n->share - 1];
    int r = 0;

    if (s == NULL)
        return pieces_range(run->x, n, &run->steps, ret, err);
    if (!s->is_there)
        r = pieces_range(run->x, n, &run->steps, &s->m, err);
    if (r < 0)
        return r;
    s->is_there = true;
    if (--s->uses > 0)
        return copy_matrix(run, &s->m, ret, err);
    *ret = s->m;
    return 0;
}

static int make_shared(struct metric_run *run, const struct ast *a, struct err *err)
{
    if (a->n_shared == 0)
        return 0;
    run->shared = arena_alloc(run->x->arena, a->n_shared * sizeof(*run->shared));
    if (run->shared == NULL)
        return arena_err(run->x->arena, err);
    for (size_t i = 0; i < a->n_shared; i++)
        run->shared[i].uses = a->share_uses[i];
    return 0;
}

/* topk of a sum that is fused with a range aggregation, at one instant: the other series need not
 * be there. */
static bool wants_best(const struct metric_run *run, const struct ast_node *n,
                       struct op_range_best *ret)
{
    enum { BEST_MAX = 1000 };
    enum token_kind op = n->aggregate.op;
    const struct ast_node *sum = n->aggregate.expr;
    double k = n->aggregate.param;

    if ((op != TOKEN_TOPK && op != TOKEN_BOTTOMK && op != TOKEN_APPROX_TOPK) ||
        n->aggregate.grouping.present || sum->kind != NODE_AGGREGATE || !sum->aggregate.fused ||
        sum->share != 0 || run->steps.n != 1 || !(k >= 1 && k <= BEST_MAX))
        return false;
    *ret = (struct op_range_best){&sum->aggregate.grouping, (size_t)k, op == TOKEN_BOTTOMK};
    return true;
}

static int aggregate(struct metric_run *run, const struct ast_node *n, struct matrix *in,
                     struct matrix *ret, struct err *err)
{
    enum token_kind op = n->aggregate.op;

    if (op == TOKEN_SORT || op == TOKEN_SORT_DESC)
        return op_sort(run->x, n, in, &run->steps, ret, err);
    if (op == TOKEN_TOPK || op == TOKEN_BOTTOMK || op == TOKEN_APPROX_TOPK)
        return op_topk(run->x, n, in, &run->steps, ret, err);
    return op_aggregate(run->x, n, in, &run->steps, ret, err);
}

static int eval(struct metric_run *run, const struct ast_node *n, struct matrix *ret,
                struct err *err)
{
    struct matrix sides[2];
    struct op_range_best best;
    int r;

    switch (n->kind) {
    case NODE_RANGE:
        return eval_range(run, n, ret, err);
    case NODE_AGGREGATE:
        if (n->aggregate.fused)
            return eval_range(run, n, ret, err);
        r = wants_best(run, n, &best) ? op_range_best(run->x, n->aggregate.expr->aggregate.expr,
                                                      &best, &run->steps, &sides[0], err)
                                      : eval(run, n->aggregate.expr, &sides[0], err);
        return r < 0 ? r : aggregate(run, n, &sides[0], ret, err);
    case NODE_BINARY:
        r = eval(run, n->binary.left, &sides[0], err);
        if (r == 0)
            r = eval(run, n->binary.right, &sides[1], err);
        return r < 0 ? r : op_binary(run->x, n, sides, &run->steps, ret, err);
    case NODE_LITERAL:
        *ret = (struct matrix){.is_scalar = true, .number = n->number};
        return 0;
    case NODE_VECTOR:
        return eval_vector(run, n->number, ret, err);
    case NODE_LABEL_REPLACE:
        r = eval(run, n->replace.expr, &sides[0], err);
        return r < 0 ? r : op_label_replace(run->x, n, &sides[0], &run->steps, ret, err);
    case NODE_LOG:
        break; /* check and the parser let it stand nowhere here */
    }
    return err_set(err, ERR_UNSUPPORTED, "a log query has no numbers");
}

/* ---- results ---- */

static int by_labels(const void *a, const void *b)
{
    return labels_cmp(&((const struct query_series *)a)->labels,
                      &((const struct query_series *)b)->labels);
}

static int copy_points(const struct metric_run *run, const struct series *s, struct arena *a,
                       struct query_series *ret, struct err *err)
{
    ts_ns *ts;
    double *value;
    size_t n = 0;

    for (size_t k = 0; k < run->steps.n; k++)
        n += s->has[k];
    ts = arena_alloc(a, n * sizeof(*ts));
    value = arena_alloc(a, n * sizeof(*value));
    if (ts == NULL || value == NULL)
        return arena_err(a, err);
    n = 0;
    for (size_t k = 0; k < run->steps.n; k++) {
        if (!s->has[k])
            continue;
        ts[n] = exec_add(run->steps.start, (dur_ns)k * run->steps.step);
        value[n++] = s->value[k];
    }
    ret->n = n;
    ret->ts = ts;
    ret->value = value;
    return labels_copy(a, &s->labels, &ret->labels, err);
}

static int too_many(const struct exec *x, struct err *err)
{
    return err_set(err, ERR_LIMIT,
                   "maximum number of series (%zu) reached for a single query; consider reducing "
                   "query cardinality by more specific selectors or by aggregating, or raise "
                   "query.series or the tenant's max_query_series",
                   x->limits.series);
}

/* ---- too many series ---- */

struct weighed {
    const struct series *s;
    double weight; /* its values added up, whatever their sign */
};

static int by_weight(const void *a, const void *b)
{
    const struct weighed *x = a;
    const struct weighed *y = b;

    if (x->weight != y->weight)
        return x->weight > y->weight ? -1 : 1;
    return labels_cmp(&x->s->labels, &y->s->labels);
}

static double weight_of(const struct series *s, size_t n)
{
    double sum = 0;

    for (size_t k = 0; k < n; k++)
        if (s->has[k] && s->value[k] == s->value[k]) /* NaN weighs nothing */
            sum += s->value[k] < 0 ? -s->value[k] : s->value[k];
    return sum;
}

/* Of the `n` series of `m` with points those that weigh most take its place. */
static int keep_top(struct metric_run *run, struct matrix *m, size_t n, struct err *err)
{
    size_t kept = run->x->limits.series;
    struct weighed *v = arena_alloc(run->x->arena, n * sizeof(*v));
    struct series *top = arena_alloc(run->x->arena, kept * sizeof(*top));
    size_t k = 0;

    if (v == NULL || top == NULL)
        return arena_err(run->x->arena, err);
    for (size_t i = 0; i < m->n; i++)
        if (memchr(m->v[i].has, 1, run->steps.n) != NULL)
            v[k++] = (struct weighed){&m->v[i], weight_of(&m->v[i], run->steps.n)};
    qsort(v, k, sizeof(*v), by_weight);
    for (size_t i = 0; i < kept; i++)
        top[i] = *v[i].s;
    run->x->stats.series_left_out = n - kept;
    m->v = top;
    m->n = kept;
    return 0;
}

/* Copy what has points into ret->arena.  Charged to the run like everything else until the end. */
static int fill_result(struct metric_run *run, struct matrix *m, struct query_result *ret,
                       struct err *err)
{
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < m->n; i++)
        n += memchr(m->v[i].has, 1, run->steps.n) != NULL;
    if (n > run->x->limits.series && !run->x->params->top_series)
        return too_many(run->x, err);
    if (n > run->x->limits.series)
        r = keep_top(run, m, n, err);
    if (r < 0)
        return r;
    ret->series = arena_alloc(ret->arena, n * sizeof(*ret->series));
    if (ret->series == NULL)
        return arena_err(ret->arena, err);
    for (size_t i = 0; i < m->n; i++) {
        if (memchr(m->v[i].has, 1, run->steps.n) == NULL)
            continue;
        r = copy_points(run, &m->v[i], ret->arena, &ret->series[ret->n++], err);
        if (r < 0)
            return r;
    }
    if (ret->n > 1 && !m->is_ordered)
        qsort(ret->series, ret->n, sizeof(*ret->series), by_labels);
    return 0;
}

static int run_metric(struct metric_run *run, const struct ast *a, bool instant,
                      struct query_result *ret, struct err *err)
{
    struct matrix m = {.n = 0};
    int r = make_shared(run, a, err);

    if (r == 0)
        r = eval(run, a->root, &m, err);
    if (r < 0)
        return r;
    ret->type = instant ? QUERY_VECTOR : QUERY_MATRIX;
    if (m.is_scalar) {
        if (instant)
            ret->type = QUERY_SCALAR;
        r = eval_vector(run, m.number, &m, err);
    }
    return r < 0 ? r : fill_result(run, &m, ret, err);
}

static bool is_longer(const struct ast_log *l, const void *arg)
{
    return l->range > *(const dur_ns *)arg;
}

static int check_ranges(const struct exec *x, const struct ast *a, struct err *err)
{
    char limit[TIME_TEXT_MAX];
    struct str may;

    if (x->limits.range <= 0 || !plan_any_log(a->root, is_longer, &x->limits.range))
        return 0;
    may = dur_format(x->limits.range, limit);
    return err_set(err, ERR_LIMIT,
                   "[interval] value exceeds limit (%.*s); shorten the range, or raise query.range "
                   "or the tenant's max_query_range",
                   STR_ARG(may));
}

static int make_steps(const struct exec *x, struct steps *ret, struct err *err)
{
    const struct query_params *p = x->params;
    uint64_t span;

    if (p->end < p->start)
        return err_set(err, ERR_INVALID, "the end of the query is before its start");
    if (p->step < 0 || (p->step == 0 && p->start != p->end))
        return err_set(err, ERR_INVALID, "a range query needs a step above zero");
    *ret = (struct steps){.start = p->start, .step = p->step == 0 ? 1 : p->step, .n = 1};
    span = (uint64_t)p->end - (uint64_t)p->start;
    if (p->step > 0 && span / (uint64_t)p->step > x->limits.points)
        return err_set(err, ERR_LIMIT,
                       "exceeded maximum resolution of %zu points per time series. Try increasing "
                       "the value of the step parameter",
                       x->limits.points);
    if (p->step > 0)
        ret->n = (size_t)(span / (uint64_t)p->step) + 1;
    return 0;
}

int exec_metric(const struct ast *a, const struct source *s, const struct query_params *p,
                struct query_result **ret, struct query_stats *stats, struct err *err)
{
    struct query_result *result = mem_new(sizeof(*result));
    struct exec x;
    struct metric_run run = {.x = &x};
    int r;

    exec_init(&x, s, p);
    result->arena = arena_new(p->budget, x.limits.memory_bytes);
    r = make_steps(&x, &run.steps, err);
    if (r == 0)
        r = exec_check_length(&x, err);
    if (r == 0)
        r = check_ranges(&x, a, err);
    if (r == 0)
        r = run_metric(&run, a, p->step == 0, result, err);
    if (r == 0) {
        for (size_t i = 0; i < result->n; i++)
            x.stats.entries += result->series[i].n;
        *ret = result;
    } else {
        query_result_free(&result);
    }
    return exec_fini(&x, r, stats, err);
}
