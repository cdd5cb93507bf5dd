/*
 * query/range_count.c - see range_count.h.
 *
 * What tells rows apart are the labels that the pipeline and the grouping look at; the scan asks
 * once for each combination of these, as a record with nothing but them, where its rows go.
 */
#include "query/range_count.h"

#include "query/ends.h"
#include "query/gathered.h"
#include "query/op.h"
#include "query/plan_tests.h"
#include "query/sums.h"

#include <math.h>
#include <stdlib.h>

enum { VALUES_SHARE = 4 /* of the memory of a query that different values may take */ };
#define NUMBER_MAX 1e150 /* below it squares and sums stay finite */

/* What the pipeline looks at: labels alone, or fields of lines too, as one parser (*ret) names
 * them. */
static bool can_count(const struct range_run *run, enum scan_parser *ret)
{
    bool can = true;

    *ret = SCAN_PARSE_NONE;
    for (const struct ast_stage *s = run->log->stages; s != NULL; s = s->next) {
        enum scan_parser p = plan_parser_of(s);
        can = can && (p == SCAN_PARSE_NONE || *ret == SCAN_PARSE_NONE ||
                      (p == *ret && p != SCAN_PARSE_PATTERN));
        *ret = p == SCAN_PARSE_NONE ? *ret : p;
        can = can &&
              (s->pushed || s->skipped || p != SCAN_PARSE_NONE || s->kind == STAGE_LABEL_FILTER ||
               s->kind == STAGE_DROP || s->kind == STAGE_KEEP);
    }
    return can;
}

struct names {
    struct str *v;
    size_t n, cap;
    bool all;
};

/* Attributes that clash with a stream label are renamed: such a name may be any attribute's. */
static void note_name(struct names *ns, struct str name)
{
    static const struct str suffix = STR_INIT("_extracted");

    if (ns->n == ns->cap || str_ends(name, suffix))
        ns->all = true;
    else
        ns->v[ns->n++] = name;
}

static void note_filter(struct names *ns, const struct ast_filter *f)
{
    ns->all |= f->any;
    if (f->kind != FILTER_AND && f->kind != FILTER_OR)
        note_name(ns, f->kind == FILTER_MATCH ? f->m.name : f->name);
    for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next)
        note_filter(ns, kid);
}

static void note_stages(struct names *ns, const struct ast_stage *list, bool tested)
{
    for (const struct ast_stage *s = list; s != NULL; s = s->next) {
        if (s->kind == STAGE_LABEL_FILTER && !(s->tested && tested))
            note_filter(ns, s->filter);
        else if (s->kind == STAGE_DROP || s->kind == STAGE_KEEP)
            for (const struct ast_pick *p = s->picks; p != NULL; p = p->next)
                note_name(ns, p->m.name);
    }
}

/* Do labels without a name in `keep` go, and no others come behind it? */
static bool keeps_few(const struct ast_stage *list)
{
    bool few = false;

    for (const struct ast_stage *s = list; s != NULL; s = s->next)
        few = s->kind == STAGE_KEEP || (few && plan_parser_of(s) == SCAN_PARSE_NONE);
    return few;
}

/* The labels that decide about a record and its series; `tested`: one that passed the conditions.
 */
static int note_names(const struct range_run *run, bool tested, struct names *ns, struct err *err)
{
    enum { NAMES_MAX = 64 };

    ns->all = run->grouping != NULL ? run->grouping->without : !run->absent;
    ns->all = ns->all && !keeps_few(run->log->stages);
    ns->cap = NAMES_MAX;
    ns->v = arena_alloc(run->x->arena, NAMES_MAX * sizeof(*ns->v));
    if (ns->v == NULL)
        return arena_err(run->x->arena, err);
    note_name(ns, STR("__")); /* __error__ is one */
    for (const struct ast_name *n = run->grouping == NULL ? NULL : run->grouping->names; n != NULL;
         n = n->next)
        note_name(ns, n->name);
    note_stages(ns, run->log->stages, tested);
    if (run->log->unwrap != NULL)
        note_stages(ns, run->log->unwrap->filters, false);
    return 0;
}

static int by_time(const void *a, const void *b)
{
    ts_ns x = *(const ts_ns *)a;
    ts_ns y = *(const ts_ns *)b;

    return (x > y) - (x < y);
}

/* A sample at T - range - offset + 1 is the first of step T, one at T - offset + 1 the first that
 * is not: between two such times all samples lie in the same ranges. */
static int make_edges(struct range_run *run, struct err *err)
{
    size_t n = 0;
    size_t kept = 1;
    ts_ns *v = arena_alloc(run->x->arena, 2 * run->steps->n * sizeof(*v));

    if (v == NULL)
        return arena_err(run->x->arena, err);
    for (size_t k = 0; k < run->steps->n; k++) {
        ts_ns end = exec_add(range_run_step(run->steps, k), -run->log->offset);
        v[n++] = exec_add(exec_add(end, -run->log->range), 1);
        v[n++] = exec_add(end, 1);
    }
    qsort(v, n, sizeof(*v), by_time);
    for (size_t i = 1; i < n; i++)
        if (v[i] != v[kept - 1])
            v[kept++] = v[i];
    run->edge = v;
    run->n_edges = kept;
    return 0;
}

static int make_cells(struct range_run *run, struct range_cell *c, struct err *err)
{
    struct arena *a = run->x->arena;
    size_t n = run->n_edges - 1;

    c->cells.owner = c;
    if (run->gathered && gathered_orders(run->node->range.op))
        window_order(&c->window);
    if (run->gathered)
        return 0;
    if (run->ended) {
        c->ends = arena_alloc(a, n * sizeof(*c->ends));
        return c->ends == NULL ? arena_err(a, err) : 0;
    }
    if (run->summed) {
        c->cells.sum = arena_alloc(a, n * sizeof(*c->cells.sum));
        return c->cells.sum == NULL ? arena_err(a, err) : 0;
    }
    c->cells.rows = arena_alloc(a, n * sizeof(*c->cells.rows));
    c->cells.bytes = run->bytes ? arena_alloc(a, n * sizeof(*c->cells.bytes)) : NULL;
    return c->cells.rows == NULL || (run->bytes && c->cells.bytes == NULL) ? arena_err(a, err) : 0;
}

/* For scan_count: a record without line or time through the pipeline. */
static int count_cells(void *arg, const struct scan_key *key, struct scan_cells **ret,
                       struct err *err)
{
    struct range_run *run = arg;
    struct labels l = *key->stream;
    struct batch b = {.magic = BATCH_MAGIC, .streams = &l, .n_streams = 1};
    struct record rec = {.line = key->line, .attr = key->attr, .n_attr = key->n_attr};
    struct range_sample x = {.value = 0};
    int r;

    run->cached = NULL;
    *ret = NULL;
    r = range_run_sample(run, &b, &rec, key, &x, err);
    run->failed |= r == ERR_INVALID;
    if (r != 1)
        return r;
    if (run->distinct != NULL) {
        r = range_values_add(run->distinct, x.value, &x.cell->values, err);
        run->failed |= r < 0; /* records may take less */
        if (r == 0)
            *ret = &x.cell->values->cells;
        return r;
    }
    if (x.top != NULL) {
        *ret = x.top;
        return 0;
    }
    r = x.cell->cells.owner == NULL ? make_cells(run, x.cell, err) : 0;
    if (r == 0)
        *ret = &x.cell->cells;
    return r;
}

/* For scan_value: a number that adds up with others, whatever their order. */
static bool sum_number(const void *arg, struct str text, double *ret)
{
    const struct ast_unwrap *u = arg;

    return op_unwrap_number(u->unit, text, ret) && fabs(*ret) < NUMBER_MAX;
}

/* For scan_value: one value of those that are gathered.  1: they are too many. */
static int gather(void *arg, struct scan_cells *cells, const struct scan_sample *s, struct err *err)
{
    const struct window_sample sample = {s->ts, s->seq, s->v};
    struct range_run *run = arg;
    struct range_cell *c = cells->owner;
    size_t first;
    size_t last;

    if (!range_run_covers(run, s->ts, &first, &last))
        return 0; /* between two ranges */
    if (run->n_gathered++ >= run->x->limits.memory_bytes / GATHERED_MEMORY_MIN)
        return 1;
    return window_push_sample(&c->window, &sample, &run->x->budget, err) < 0; /* records: less */
}

/* Between which edges a sample lies. */
static size_t bucket_of(const struct range_run *run, ts_ns ts)
{
    size_t low = 0;
    size_t high = run->n_edges - 1;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (run->edge[middle] <= ts)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* For scan_value: one of those of which an end of each stretch is kept. */
static int choose(void *arg, struct scan_cells *cells, const struct scan_sample *s, struct err *err)
{
    struct range_run *run = arg;
    struct range_cell *c = cells->owner;

    (void)err;
    ends_add(run->node->range.op, &c->ends[bucket_of(run, s->ts)], s);
    return 0;
}

/* For scan_value: a whole record.  1: its number does not add up. */
static int sum_record(void *arg, const struct labels *stream, const struct record *rec,
                      struct err *err)
{
    struct range_run *run = arg;
    struct labels l = *stream;
    struct batch b = {.magic = BATCH_MAGIC, .streams = &l, .n_streams = 1};
    struct record one = *rec;
    struct range_sample x = {.value = 0};
    struct scan_sample s = {.ts = rec->ts, .seq = rec->seq};
    int r;

    run->cached = NULL;
    one.stream = 0;
    r = range_run_sample(run, &b, &one, NULL, &x, err);
    run->failed |= r == ERR_INVALID;
    if (r != 1)
        return r;
    if (!(fabs(x.value) < NUMBER_MAX))
        return 1;
    r = x.cell->cells.owner == NULL ? make_cells(run, x.cell, err) : 0;
    s.v = x.value;
    if (r == 0 && (run->gathered || run->ended))
        return (run->gathered ? gather : choose)(run, &x.cell->cells, &s, err);
    if (r == 0)
        scan_sum_add(&x.cell->cells.sum[bucket_of(run, rec->ts)], x.value);
    return r;
}

static void add_cells(struct range_run *run, struct range_cell *c)
{
    for (size_t i = 0; c->cells.rows != NULL && i + 1 < run->n_edges; i++) {
        uint64_t rows = c->cells.rows[i];
        size_t first;
        size_t last;
        if (rows == 0 || !range_run_covers(run, run->edge[i], &first, &last))
            continue;
        run->x->stats.pipeline_lines += rows;
        c->count[first] += rows;
        c->count[last + 1] -= rows;
        if (run->bytes) {
            c->bytes[first] += c->cells.bytes[i];
            c->bytes[last + 1] -= c->cells.bytes[i];
        }
    }
}

static struct sums_query sums_query_of(const struct range_run *run)
{
    return (struct sums_query){
        .op = run->node->range.op,
        .steps = run->steps,
        .range = run->log->range,
        .offset = run->log->offset,
        .edge = run->edge,
        .n_edges = run->n_edges,
    };
}

static int add_sums(struct range_run *run, struct range_cell *c, struct err *err)
{
    const struct sums_query q = sums_query_of(run);
    size_t first;
    size_t last;

    for (size_t i = 0; i + 1 < run->n_edges; i++)
        if (c->cells.sum[i].n > 0 && range_run_covers(run, run->edge[i], &first, &last))
            run->x->stats.pipeline_lines += c->cells.sum[i].n;
    return sums_slide(&q, c->cells.sum, run->x->arena, &c->out, err);
}

static void add_ends(struct range_run *run, struct range_cell *c)
{
    const struct sums_query q = sums_query_of(run);
    size_t first;
    size_t last;

    for (size_t i = 0; i + 1 < run->n_edges; i++)
        if (c->ends[i].n > 0 && range_run_covers(run, run->edge[i], &first, &last))
            run->x->stats.pipeline_lines += c->ends[i].n;
    ends_slide(&q, c->ends, &c->out);
}

static int add_gathered(struct range_run *run, struct range_cell *c, struct err *err)
{
    const struct gathered_query q = {
        .op = run->node->range.op,
        .param = run->node->range.param,
        .steps = run->steps,
        .range = run->log->range,
        .offset = run->log->offset,
    };

    run->x->stats.pipeline_lines += c->window.n;
    return gathered_slide(&q, &c->window, run->x, &c->out, err);
}

static int add_values(struct range_run *run, struct range_cell *c, struct err *err)
{
    const struct sums_query q = sums_query_of(run);
    uint64_t rows = 0;
    int r = range_values_slide(&q, c->values, run->x, &c->out, &rows, err);

    run->x->stats.pipeline_lines += rows;
    return r;
}

/* Nothing was counted. */
static void forget_values(struct range_run *run)
{
    for (size_t i = 0; i < run->groups.n; i++) {
        struct range_cell *c = run->groups.v[i]->data;
        if (c != NULL)
            c->values = NULL;
    }
    range_values_free(&run->distinct);
}

static void forget_gathered(struct range_run *run)
{
    for (size_t i = 0; i < run->groups.n; i++) {
        struct range_cell *c = run->groups.v[i]->data;
        if (c != NULL)
            window_fini(&c->window, &run->x->budget);
    }
    run->gathered = false;
}

/* Can values be summed up, or gathered, by columns?  Then *v says how. */
static bool can_sum(struct range_run *run, enum scan_parser parser, struct scan_value *v)
{
    const struct ast_unwrap *u = run->log->unwrap;

    if (run->keeps_unwrapped)
        return false; /* it tells series apart and is summed up */
    run->gathered = gathered_know(run->node->range.op);
    run->ended = ends_know(run->node->range.op);
    if ((!run->gathered && !run->ended && !sums_know(run->node->range.op)) ||
        !plan_is_untouched(run->log->stages, NULL, u->label))
        return false;
    for (const struct ast_stage *s = u->filters; s != NULL; s = s->next)
        if (s->kind != STAGE_LABEL_FILTER || plan_filter_names(s->filter, u->label))
            return false;
    *v = (struct scan_value){
        .label = u->label,
        .parser = parser,
        .number = sum_number,
        .arg = u,
        .is_plain = u->unit == UNWRAP_NUMBER,
        .record = sum_record,
        .arg_record = run,
        .sample = run->gathered ? gather
                  : run->ended  ? choose
                                : NULL,
        .by_seq = run->ended || gathered_orders(run->node->range.op),
    };
    return true;
}

/* Records are read after all: of lines, the fields that decide and what is unwrapped, unless their
 * lengths are asked for. */
static int reduce_records(struct range_run *run, struct exec_scan *scan, enum scan_parser parser,
                          struct err *err)
{
    const struct ast_unwrap *u = run->log->unwrap;
    struct names ns = {.n = 0};
    int r;

    scan->parser = SCAN_PARSE_NONE;
    scan->n_fields = 0;
    if (run->bytes || parser == SCAN_PARSE_NONE)
        return 0;
    r = note_names(run, false, &ns, err);
    if (r == 0 && u != NULL)
        note_name(&ns, u->label);
    if (r < 0 || ns.all)
        return r;
    scan->parser = parser;
    scan->field = ns.v;
    scan->n_fields = ns.n;
    return 0;
}

/* What the scan is to tell rows apart by.  1: by so much that records are better. */
static int fill_count(struct range_run *run, struct exec_scan *scan, enum scan_parser parser,
                      struct scan_count *c, struct err *err)
{
    struct names ns = {.n = 0};
    struct names tested = {.n = 0};
    int r = note_names(run, false, &ns, err);

    if (r == 0)
        r = note_names(run, true, &tested, err);
    if (r < 0)
        return r;
    if (run->distinct != NULL) {
        note_name(&ns, run->log->unwrap->label);
        note_name(&tested, run->log->unwrap->label);
    }
    c->by_line = parser != SCAN_PARSE_NONE;
    if (ns.all && (c->by_line || c->value != NULL))
        return 1;
    c->edge = run->edge;
    c->n_edges = run->n_edges;
    scan->parser = parser;
    scan->field = ns.v;
    scan->n_fields = ns.n;
    c->field = tested.v;
    c->n_fields = tested.n;
    if (!ns.all) {
        c->names = ns.v;
        c->n_names = ns.n;
    }
    if (scan->need_attrs) {
        c->all_attrs = ns.all;
        c->attrs = ns.v;
        c->n_attrs = ns.n;
    }
    return 0;
}

static int add_all(struct range_run *run, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < run->groups.n; i++) {
        struct range_cell *c = run->groups.v[i]->data;
        if (c != NULL && run->distinct != NULL)
            r = add_values(run, c, err);
        else if (c != NULL && run->gathered)
            r = add_gathered(run, c, err);
        else if (c != NULL && c->ends != NULL)
            add_ends(run, c);
        else if (c != NULL && c->cells.sum != NULL)
            r = add_sums(run, c, err);
        else if (c != NULL)
            add_cells(run, c);
    }
    return r;
}

/* 1: records are needed. */
static int count_all(struct range_run *run, struct exec_scan *scan, enum scan_parser parser,
                     struct err *err)
{
    struct scan_count c = {.bytes = run->bytes, .cells = count_cells, .arg = run};
    struct scan_value value;
    int r;

    if (run->absent && run->log->unwrap != NULL)
        return 1; /* a row counts only where the label is */
    if (!run->counted && run->node->range.op != TOKEN_COUNT_DISTINCT_OVER_TIME) {
        if (!can_sum(run, parser, &value))
            return 1;
        c.value = &value;
    }
    run->summed = !run->counted;
    r = make_edges(run, err);
    if (r == 0 && run->n_edges < 2)
        r = 1;
    if (r == 0 && run->node->range.op == TOKEN_COUNT_DISTINCT_OVER_TIME)
        run->distinct = range_values_new(&run->x->budget, run->n_edges - 1,
                                         run->x->limits.memory_bytes / VALUES_SHARE);
    if (r == 0)
        r = fill_count(run, scan, parser, &c, err);
    if (r == 0)
        r = exec_count(run->x, scan, &c, err);
    if (r < 0 && run->failed)
        r = 1;
    return r == 0 ? add_all(run, err) : r;
}

int range_count(struct range_run *run, struct exec_scan *scan, struct err *err)
{
    enum scan_parser parser;
    int r;

    if (run->x->source->count == NULL || !can_count(run, &parser))
        return 1;
    r = count_all(run, scan, parser, err);
    if (r == 0)
        return 0;
    run->summed = false;
    forget_values(run);
    if (r == 1 && run->gathered)
        forget_gathered(run);
    if (r == 1 && run->top != NULL)
        range_top_clear(run->top);
    if (r < 0)
        return r;
    r = reduce_records(run, scan, parser, err);
    return r < 0 ? r : 1;
}
