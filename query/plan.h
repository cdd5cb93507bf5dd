/*
 * query/plan.h - what a query asks of the store, worked out once when it is parsed.
 *
 * Every log selector gets a plan_scan with its matchers and those line filters that the scan can
 * do; parsers do not change the line, so filters behind them are pushed down as well.  A sum over a
 * range aggregation that only adds up is fused: samples are added under the labels of the sum at
 * once, so the series in between never exist.
 */
#ifndef LOGQ_QUERY_PLAN_H
#define LOGQ_QUERY_PLAN_H

#include "query/ast.h"
#include "storage/scan.h"

/* Are attributes needed?  If only because names of a `by` may be attributes: not where every stream
 * has them as stream labels. */
enum plan_attrs { PLAN_ATTRS_NO, PLAN_ATTRS_YES, PLAN_ATTRS_UNLESS_STREAM };

struct plan_scan {
    struct matcher *matchers; /* views: regexps belong to the tree */
    size_t n_matchers;
    struct scan_filter *filters;
    size_t n_filters;
    struct scan_condition *conditions; /* plan_tests.h */
    size_t n_conditions;
    const struct scan_pattern *pattern; /* of the stage that is the scan's parser, or NULL */
    bool need_line;
    enum plan_attrs attrs;
    bool stages_left; /* some stage must run on each record */
};

/* Complete a checked tree.  ERR_LIMIT, ERR_NOMEM. */
int plan_query(struct ast *a, struct err *err);

/* What the range aggregation `n` may add up without looking at single samples. */
bool plan_is_counted(const struct ast_node *n);

/* The longest of range + offset in the tree. */
dur_ns plan_lookback(const struct ast_node *n);

/* Does `fn` hold for any log selector of the tree? */
typedef bool plan_log_fn(const struct ast_log *l, const void *arg);
bool plan_any_log(const struct ast_node *n, plan_log_fn *fn, const void *arg);

#endif
