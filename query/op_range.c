/* query/op_range.c - see op_range.h. */
#include "query/op_range.h"

#include "query/plan_tests.h"
#include "query/range_count.h"

#include <string.h>

/* ---- samples in order ---- */

static int need_sorted(struct range_run *run, size_t n, struct err *err)
{
    enum token_kind op = run->node->range.op;

    if ((op != TOKEN_QUANTILE_OVER_TIME && op != TOKEN_COUNT_DISTINCT_OVER_TIME) ||
        n <= run->sorted_cap)
        return 0;
    run->sorted = arena_alloc(run->x->arena, 2 * n * sizeof(*run->sorted));
    if (run->sorted == NULL)
        return arena_err(run->x->arena, err);
    run->sorted_cap = 2 * n;
    return 0;
}

/* The range of step run->next is complete: set the points there. */
static int finish_step(struct range_run *run, struct err *err)
{
    struct window_query q = {
        .op = run->node->range.op,
        .param = run->node->range.param,
        .end = exec_add(range_run_step(run->steps, run->next), -run->log->offset),
        .range = run->log->range,
    };
    ts_ns begin = exec_add(q.end, -q.range);

    for (size_t i = 0; i < run->groups.n; i++) {
        struct range_cell *c = run->groups.v[i]->data;
        int r = exec_tick(run->x, err);
        if (r < 0)
            return r;
        if (c == NULL)
            continue;
        window_drop(&c->window, begin);
        if (c->window.n == 0)
            continue;
        r = need_sorted(run, c->window.n, err);
        if (r < 0)
            return r;
        c->out.value[run->next] = window_value(&c->window, &q, run->sorted);
        c->out.has[run->next] = 1;
    }
    run->next++;
    return 0;
}

/* Finish the steps whose ranges end before `ts`. */
static int finish_before(struct range_run *run, ts_ns ts, struct err *err)
{
    int r = 0;

    while (r == 0 && run->next < run->steps->n &&
           exec_add(range_run_step(run->steps, run->next), -run->log->offset) < ts)
        r = finish_step(run, err);
    return r;
}

/* ---- records ---- */

static int range_record(void *arg, const struct batch *b, const struct record *rec, struct err *err)
{
    struct range_run *run = arg;
    struct range_sample x = {.value = 0};
    size_t first;
    size_t last;
    int r;

    if (rec == b->records)
        run->cached = NULL; /* another batch, perhaps where the last one lay */
    if (!range_run_covers(run, rec->ts, &first, &last))
        return 0;
    r = range_run_sample(run, b, rec, NULL, &x, err);
    if (r != 1)
        return r;
    if (x.top != NULL) {
        x.top->rows[0]++;
        if (x.top->bytes != NULL)
            x.top->bytes[0] += (uint64_t)x.value;
        return 0;
    }
    run->x->stats.pipeline_lines++;
    if (run->counted) {
        x.cell->count[first]++;
        x.cell->count[last + 1]--; /* wraps; the running sum does not */
        if (run->bytes) {
            x.cell->bytes[first] += (uint64_t)x.value;
            x.cell->bytes[last + 1] -= (uint64_t)x.value;
        }
        return 0;
    }
    r = finish_before(run, rec->ts, err);
    return r < 0 ? r : window_push(&x.cell->window, rec->ts, x.value, &run->x->budget, err);
}

/* ---- results ---- */

/* The running sums of a counted series. */
static int finish_counted(struct range_run *run, struct range_cell *c, struct err *err)
{
    enum token_kind op = run->node->range.op;
    bool per_second = op == TOKEN_RATE || op == TOKEN_BYTES_RATE;
    double divisor = per_second ? (double)run->log->range / (double)NS_PER_S : 1;
    uint64_t count = 0;
    uint64_t bytes = 0;
    int r = series_make(run->x->arena, run->steps->n, &c->out, err);

    for (size_t k = 0; k < run->steps->n && r == 0; k++) {
        count += c->count[k];
        bytes += run->bytes ? c->bytes[k] : 0;
        c->out.has[k] = count > 0;
        c->out.value[k] = (double)(run->bytes ? bytes : count) / divisor;
    }
    return r;
}

static bool has_point(const struct series *s, size_t n)
{
    return memchr(s->has, 1, n) != NULL;
}

static int collect(struct range_run *run, struct matrix *ret, struct err *err)
{
    ret->v = arena_alloc(run->x->arena, run->groups.n * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(run->x->arena, err);
    for (size_t i = 0; i < run->groups.n; i++) {
        struct range_cell *c = run->groups.v[i]->data;
        int r = run->counted ? finish_counted(run, c, err) : 0;
        if (r < 0)
            return r;
        if (has_point(&c->out, run->steps->n))
            ret->v[ret->n++] = c->out;
    }
    return 0;
}

/* One of the best gets a cell. */
static int take_best(void *arg, const struct labels *l, const struct scan_cells *cells,
                     struct err *err)
{
    struct range_run *run = arg;
    struct range_cell *c;

    arena_reset(run->scratch);
    c = range_run_cell(run, l, run->scratch, err);
    if (c == NULL)
        return err->code;
    c->count[0] += cells->rows[0];
    c->count[1] -= cells->rows[0];
    if (cells->bytes != NULL) {
        c->bytes[0] += cells->bytes[0];
        c->bytes[1] -= cells->bytes[0];
    }
    return 0;
}

static int collect_best(struct range_run *run, const struct op_range_best *best, struct err *err)
{
    const struct range_top_ask ask = {best->k, best->smallest, take_best, run};

    run->x->stats.pipeline_lines += range_top_rows(run->top);
    run->cached = NULL;
    return range_top_best(run->top, &ask, err);
}

/* Labels of absent_over_time: those that one `=` of the selector fixes. */
static int absent_labels(struct range_run *run, struct labels *ret, struct err *err)
{
    struct arena *a = run->x->arena;
    const struct plan_scan *plan = run->log->plan;

    ret->n = 0;
    ret->v = arena_alloc(a, plan->n_matchers * sizeof(*ret->v));
    if (ret->v == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < plan->n_matchers; i++) {
        const struct matcher *m = &plan->matchers[i];
        bool alone = m->op == MATCH_EQ;
        for (size_t j = 0; j < plan->n_matchers; j++)
            alone &= j == i || !str_eq(m->name, plan->matchers[j].name);
        if (alone)
            ret->v[ret->n++] = (struct label){m->name, m->value};
    }
    ret->n = labels_sort(ret->v, ret->n);
    return 0;
}

static int collect_absent(struct range_run *run, struct matrix *ret, struct err *err)
{
    const uint64_t *count = NULL;
    uint64_t sum = 0;
    struct series *s = arena_alloc(run->x->arena, sizeof(*s));
    int r;

    if (s == NULL)
        return arena_err(run->x->arena, err);
    if (run->groups.n > 0)
        count = ((struct range_cell *)run->groups.v[0]->data)->count;
    r = absent_labels(run, &s->labels, err);
    if (r == 0)
        r = series_make(run->x->arena, run->steps->n, s, err);
    for (size_t k = 0; k < run->steps->n && r == 0; k++) {
        sum += count == NULL ? 0 : count[k];
        s->value[k] = 1;
        s->has[k] = sum == 0;
    }
    ret->v = s;
    ret->n = r == 0 && has_point(s, run->steps->n);
    return r;
}

/* ---- the whole ---- */

struct names_check {
    const struct ast_name *names;
};

/* scan_stream_fn: 1 when the stream lacks one of the names. */
static int lacks_name(void *arg, const struct labels *l)
{
    const struct names_check *c = arg;

    for (const struct ast_name *n = c->names; n != NULL; n = n->next)
        if (labels_get(l, n->name).p == NULL)
            return 1;
    return 0;
}

static int decide_attrs(struct range_run *run, struct exec_scan *scan, struct err *err)
{
    struct names_check check = {.names = run->grouping == NULL ? NULL : run->grouping->names};
    int r;

    scan->need_attrs = scan->plan->attrs == PLAN_ATTRS_YES;
    if (scan->plan->attrs != PLAN_ATTRS_UNLESS_STREAM)
        return 0;
    r = exec_streams(run->x, scan, lacks_name, &check, err);
    scan->need_attrs = r != 0;
    return r < 0 ? r : 0;
}

static int run_scan(struct range_run *run, struct err *err)
{
    const struct steps *s = run->steps;
    ts_ns first = exec_add(s->start, -run->log->offset);
    ts_ns last = exec_add(range_run_step(s, s->n - 1), -run->log->offset);
    struct exec_scan scan = {
        .plan = run->log->plan,
        .from = exec_add(exec_add(first, -run->log->range), 1),
        .to = exec_add(last, 1),
        .order = run->counted ? SCAN_ANY : SCAN_FORWARD,
        .need_line = run->log->plan->need_line,
    };
    int r = decide_attrs(run, &scan, err);

    if (r == 0 && scan.from < scan.to && run->log->range > 0) {
        r = range_count(run, &scan, err);
        if (r == 1)
            r = exec_each(run->x, &scan, range_record, run, err);
    }
    while (r == 0 && !run->counted && !run->summed && run->next < s->n)
        r = finish_step(run, err);
    return r;
}

static bool filters_error(const struct ast_stage *list)
{
    for (const struct ast_stage *s = list; s != NULL; s = s->next)
        if (s->kind == STAGE_LABEL_FILTER && plan_filter_names(s->filter, ENTRY_ERROR))
            return true;
    return false;
}

/* Of the aggregations that are done together with a range, the sums ask for what they name. */
static bool asks_for(const struct range_run *run, struct str name)
{
    enum token_kind op = run->node->range.op;
    bool is_sum = op != TOKEN_MIN_OVER_TIME && op != TOKEN_MAX_OVER_TIME;
    const struct ast_grouping *g = run->grouping;
    const struct ast_name *n = g == NULL || g->without ? NULL : g->names;

    while (n != NULL && !str_eq(n->name, name))
        n = n->next;
    return n != NULL && (is_sum || run->node->range.grouping.present);
}

/* Without stages there are as many groups as streams have of the names: few. */
static bool has_best(const struct range_run *run)
{
    const struct ast_grouping *g = run->grouping;

    return run->counted && !run->absent && run->steps->n == 1 && run->log->plan->stages_left &&
           g != NULL && !g->without && g->names != NULL;
}

static int run_range(struct range_run *run, const struct op_range_best *best, struct matrix *ret,
                     struct err *err)
{
    struct exec *x = run->x;
    enum token_kind op = run->node->range.op;
    int r;

    *ret = (struct matrix){.n = 0};
    run->log = run->node->range.log;
    run->counted = plan_is_counted(run->node);
    run->bytes = op == TOKEN_BYTES_OVER_TIME || op == TOKEN_BYTES_RATE;
    run->absent = op == TOKEN_ABSENT_OVER_TIME;
    run->keeps_parser_error = asks_for(run, ENTRY_ERROR) || filters_error(run->log->stages);
    run->keeps_unwrapped = run->log->unwrap != NULL && asks_for(run, run->log->unwrap->label);
    run->drops_empty =
        run->grouping != NULL && run->grouping->without && !run->node->range.grouping.present;
    entry_init(&run->entry, &x->budget);
    if (run->log->is_limited)
        entry_limit(&run->entry, run->log->wanted, run->log->n_wanted);
    groups_init(&run->groups, x->arena);
    run->scratch = arena_new(&x->budget, 0);
    if (best != NULL && has_best(run))
        run->top = range_top_new(&x->budget, run->grouping->names, run->bytes);
    r = run_scan(run, err);
    if (r == 0 && run->top != NULL)
        r = collect_best(run, best, err);
    if (r == 0)
        r = run->absent ? collect_absent(run, ret, err) : collect(run, ret, err);
    for (size_t i = 0; i < run->groups.n; i++) {
        struct range_cell *c = run->groups.v[i]->data;
        if (c != NULL)
            window_fini(&c->window, &x->budget);
    }
    range_values_free(&run->distinct);
    range_top_free(&run->top);
    arena_free(&run->scratch);
    entry_fini(&run->entry);
    return r;
}

int op_range(struct exec *x, const struct ast_node *n, const struct ast_grouping *grouping,
             const struct steps *steps, struct matrix *ret, struct err *err)
{
    struct range_run run = {.x = x, .node = n, .grouping = grouping, .steps = steps};

    return run_range(&run, NULL, ret, err);
}

int op_range_best(struct exec *x, const struct ast_node *n, const struct op_range_best *best,
                  const struct steps *steps, struct matrix *ret, struct err *err)
{
    struct range_run run = {.x = x, .node = n, .grouping = best->grouping, .steps = steps};

    return run_range(&run, best, ret, err);
}
