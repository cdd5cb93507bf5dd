/* query/plan.c - see plan.h. */
#include "query/plan.h"

#include "query/plan_hints.h"
#include "query/plan_share.h"
#include "query/plan_tests.h"
#include "query/plan_wanted.h"

bool plan_is_counted(const struct ast_node *n)
{
    enum token_kind op = n->range.op;

    if (op == TOKEN_RATE)
        return n->range.log->unwrap == NULL;
    return op == TOKEN_COUNT_OVER_TIME || op == TOKEN_BYTES_OVER_TIME || op == TOKEN_BYTES_RATE ||
           op == TOKEN_ABSENT_OVER_TIME;
}

/* ---- line filters ---- */

static bool can_push(const struct ast_stage *s)
{
    if (s->kind != STAGE_LINE_FILTER || s->line.op > LINE_MATCHES_NOT)
        return false;
    for (const struct ast_line_arg *a = s->line.args; a != NULL; a = a->next)
        if (a->ip)
            return false;
    return true;
}

/* Behind such a stage nothing can be asked of the scan: of lines that dedup holds for the same, the
 * first need not be the one that a later stage lets pass. */
static bool ends_pushing(const struct ast_stage *s)
{
    return s->kind == STAGE_DEDUP || s->kind == STAGE_LINE_FORMAT || s->kind == STAGE_UNPACK ||
           s->kind == STAGE_DECOLORIZE;
}

static int push_filter(struct ast *a, struct ast_stage *s, struct scan_filter *ret, struct err *err)
{
    static const enum scan_filter_op ops[] = {
        [LINE_CONTAINS] = SCAN_CONTAINS,
        [LINE_CONTAINS_NOT] = SCAN_CONTAINS_NOT,
        [LINE_MATCHES] = SCAN_MATCHES,
        [LINE_MATCHES_NOT] = SCAN_MATCHES_NOT,
    };
    struct str *text;
    const struct regexp **re;
    size_t n = 0;

    for (const struct ast_line_arg *arg = s->line.args; arg != NULL; arg = arg->next)
        n++;
    text = arena_alloc(a->arena, n * sizeof(*text));
    re = arena_alloc(a->arena, n * sizeof(*re));
    if (text == NULL || re == NULL)
        return arena_err(a->arena, err);
    n = 0;
    for (const struct ast_line_arg *arg = s->line.args; arg != NULL; arg = arg->next) {
        text[n] = arg->text;
        re[n++] = arg->re;
    }
    *ret = (struct scan_filter){.op = ops[s->line.op], .text = text, .re = re, .n = n};
    s->pushed = true;
    return 0;
}

static int push_filters(struct ast *a, struct ast_log *l, struct err *err)
{
    struct plan_scan *plan = l->plan;
    size_t n = 0;
    int r = 0;

    for (const struct ast_stage *s = l->stages; s != NULL; s = s->next)
        n++;
    plan->filters = arena_alloc(a->arena, n * sizeof(*plan->filters));
    if (plan->filters == NULL)
        return arena_err(a->arena, err);
    for (struct ast_stage *s = l->stages; s != NULL && r == 0 && !ends_pushing(s); s = s->next) {
        if (can_push(s)) {
            r = push_filter(a, s, &plan->filters[plan->n_filters++], err);
        } else if ((r = plan_hint(a, s, &plan->filters[plan->n_filters], err)) > 0) {
            plan->n_filters++;
            r = 0;
        }
    }
    return r;
}

/* ---- selectors ---- */

static int plan_log(struct ast *a, struct ast_log *l, struct err *err)
{
    struct plan_scan *plan = arena_alloc(a->arena, sizeof(*plan));
    size_t n = 0;
    int r;

    for (const struct ast_matcher *m = l->matchers; m != NULL; m = m->next)
        n++;
    if (plan == NULL ||
        (plan->matchers = arena_alloc(a->arena, n * sizeof(struct matcher))) == NULL)
        return arena_err(a->arena, err);
    for (const struct ast_matcher *m = l->matchers; m != NULL; m = m->next)
        plan->matchers[plan->n_matchers++] = m->m;
    l->plan = plan;
    r = push_filters(a, l, err);
    if (r == 0)
        r = plan_tests(a, l, err);
    if (r < 0)
        return r;
    plan->need_line = true;
    plan->attrs = PLAN_ATTRS_YES;
    for (const struct ast_stage *s = l->stages; s != NULL; s = s->next)
        plan->stages_left |= !s->pushed && !s->skipped;
    return 0;
}

static bool reads_line(const struct ast_stage *s)
{
    return !s->pushed && !s->skipped && s->kind != STAGE_LABEL_FILTER && s->kind != STAGE_DROP &&
           s->kind != STAGE_KEEP;
}

/* What of the records a range aggregation does not look at need not be read. */
static void narrow_range(const struct ast_node *n, const struct ast_grouping *grouping)
{
    struct plan_scan *plan = n->range.log->plan;
    bool bytes = n->range.op == TOKEN_BYTES_OVER_TIME || n->range.op == TOKEN_BYTES_RATE;

    plan->need_line = bytes;
    for (const struct ast_stage *s = n->range.log->stages; s != NULL; s = s->next)
        plan->need_line |= reads_line(s);
    if (plan->stages_left || n->range.log->unwrap != NULL)
        return;
    if (n->range.op == TOKEN_ABSENT_OVER_TIME)
        plan->attrs = PLAN_ATTRS_NO;
    else if (grouping != NULL && !grouping->without)
        plan->attrs = grouping->names == NULL ? PLAN_ATTRS_NO : PLAN_ATTRS_UNLESS_STREAM;
}

static int plan_range(struct ast *a, struct ast_node *n, const struct ast_grouping *grouping,
                      struct err *err)
{
    enum token_kind op = n->range.op;
    bool is_extreme = op == TOKEN_MIN_OVER_TIME || op == TOKEN_MAX_OVER_TIME;
    int r = plan_wanted(a, n, is_extreme && !n->range.grouping.present ? NULL : grouping, err);

    if (r == 0)
        r = plan_log(a, n->range.log, err);
    if (r == 0)
        narrow_range(n, grouping);
    return r;
}

/* Is the aggregation of what series give the same as what all samples of a group give? */
static bool can_fuse(const struct ast_node *n)
{
    const struct ast_node *range = n->aggregate.expr;
    enum token_kind op = range->range.op;

    if (range->range.grouping.present)
        return false;
    if (n->aggregate.op == TOKEN_MIN || n->aggregate.op == TOKEN_MAX)
        return op == (n->aggregate.op == TOKEN_MIN ? TOKEN_MIN_OVER_TIME : TOKEN_MAX_OVER_TIME);
    if (n->aggregate.op != TOKEN_SUM || op == TOKEN_ABSENT_OVER_TIME)
        return false;
    return plan_is_counted(range) || op == TOKEN_SUM_OVER_TIME || op == TOKEN_RATE;
}

static int plan_node(struct ast *a, struct ast_node *n, struct err *err)
{
    int r;

    switch (n->kind) {
    case NODE_LOG:
        return plan_log(a, n->log, err);
    case NODE_RANGE:
        return plan_range(a, n, n->range.grouping.present ? &n->range.grouping : NULL, err);
    case NODE_AGGREGATE:
        n->aggregate.fused = n->aggregate.expr->kind == NODE_RANGE && can_fuse(n);
        if (n->aggregate.fused)
            return plan_range(a, n->aggregate.expr, &n->aggregate.grouping, err);
        return plan_node(a, n->aggregate.expr, err);
    case NODE_BINARY:
        r = plan_node(a, n->binary.left, err);
        return r < 0 ? r : plan_node(a, n->binary.right, err);
    case NODE_LABEL_REPLACE:
        return plan_node(a, n->replace.expr, err);
    case NODE_LITERAL:
    case NODE_VECTOR:
        break;
    }
    return 0;
}

int plan_query(struct ast *a, struct err *err)
{
    int r = plan_node(a, a->root, err);

    return r < 0 ? r : plan_share(a, err);
}

/* ---- walks ---- */

static dur_ns max_dur(dur_ns a, dur_ns b)
{
    return a > b ? a : b;
}

dur_ns plan_lookback(const struct ast_node *n)
{
    dur_ns sum;

    switch (n->kind) {
    case NODE_RANGE:
        if (__builtin_add_overflow(n->range.log->range, n->range.log->offset, &sum))
            sum = INT64_MAX;
        return max_dur(sum, 0);
    case NODE_AGGREGATE:
        return plan_lookback(n->aggregate.expr);
    case NODE_BINARY:
        return max_dur(plan_lookback(n->binary.left), plan_lookback(n->binary.right));
    case NODE_LABEL_REPLACE:
        return plan_lookback(n->replace.expr);
    case NODE_LOG:
    case NODE_LITERAL:
    case NODE_VECTOR:
        break;
    }
    return 0;
}

bool plan_any_log(const struct ast_node *n, plan_log_fn *fn, const void *arg)
{
    switch (n->kind) {
    case NODE_LOG:
        return fn(n->log, arg);
    case NODE_RANGE:
        return fn(n->range.log, arg);
    case NODE_AGGREGATE:
        return plan_any_log(n->aggregate.expr, fn, arg);
    case NODE_BINARY:
        return plan_any_log(n->binary.left, fn, arg) || plan_any_log(n->binary.right, fn, arg);
    case NODE_LABEL_REPLACE:
        return plan_any_log(n->replace.expr, fn, arg);
    case NODE_LITERAL:
    case NODE_VECTOR:
        break;
    }
    return false;
}
