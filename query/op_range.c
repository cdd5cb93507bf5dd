/* query/op_range.c - see op_range.h. */
#include "query/op_range.h"

#include "query/group.h"
#include "query/op.h"
#include "query/window.h"

#include <stdlib.h>
#include <string.h>

/* What belongs to one series; data of its group. */
struct cell {
    uint64_t *count; /* counted: + where lines enter the ranges, - where they have left */
    uint64_t *bytes;
    struct scan_cells cells; /* counted by the scan; rows NULL: nothing */
    struct window window;    /* else */
    struct series out;
};

struct range_run {
    struct exec *x;
    const struct ast_node *node;
    const struct ast_log *log;
    const struct ast_grouping *grouping; /* NULL: all labels */
    const struct steps *steps;
    bool counted, bytes, absent;
    bool keeps_error; /* `__error__` is one of the labels asked for */
    struct entry entry;
    struct groups groups;
    struct arena *scratch;      /* for the groups of the streams of one batch */
    const struct batch *cached; /* that batch */
    struct cell **by_stream;
    size_t next; /* the step whose range is not complete yet (not counted) */
    double *sorted;
    size_t sorted_cap;
    ts_ns *edge; /* where ranges begin and end, for counts of the scan */
    size_t n_edges;
    bool failed_on_parts; /* a line failed of which the scan gave a part: the whole one says more */
};

/* ---- time ---- */

/* The steps whose ranges cover `ts`; false: none. */
static bool covering(const struct range_run *run, ts_ns ts, size_t *first, size_t *last)
{
    const struct steps *s = run->steps;
    ts_ns from = exec_add(ts, run->log->offset); /* from <= T < until */
    ts_ns until = exec_add(from, run->log->range);
    uint64_t gap;

    if (until <= s->start || from >= until)
        return false;
    *first = 0;
    if (from > s->start) {
        gap = (uint64_t)from - (uint64_t)s->start - 1;
        if (gap / (uint64_t)s->step + 1 >= s->n)
            return false;
        *first = (size_t)(gap / (uint64_t)s->step) + 1;
    }
    gap = (uint64_t)until - (uint64_t)s->start - 1;
    *last = gap / (uint64_t)s->step >= s->n ? s->n - 1 : (size_t)(gap / (uint64_t)s->step);
    return *first <= *last;
}

static ts_ns step_time(const struct steps *s, size_t k)
{
    return exec_add(s->start, (dur_ns)k * s->step);
}

/* ---- series ---- */

/* The cell of `g`, new if it has none; NULL: *err says why not. */
static struct cell *cell_of(struct range_run *run, struct group *g, struct err *err)
{
    struct arena *a = run->x->arena;
    size_t n = run->steps->n + 1;
    struct cell *c = g->data;

    if (c != NULL)
        return c;
    c = arena_alloc(a, sizeof(*c));
    if (c != NULL && run->counted)
        c->count = arena_alloc(a, n * sizeof(*c->count));
    if (c != NULL && run->bytes)
        c->bytes = arena_alloc(a, n * sizeof(*c->bytes));
    if (c == NULL || (run->counted && c->count == NULL) || (run->bytes && c->bytes == NULL)) {
        (void)arena_err(a, err);
        return NULL;
    }
    if (!run->counted && series_make(a, run->steps->n, &c->out, err) != 0)
        return NULL;
    c->out.labels = g->labels;
    g->data = c;
    return c;
}

/* The cell of the labels `l` of a sample, as the grouping picks them. */
static struct cell *find_cell(struct range_run *run, const struct labels *l, struct arena *scratch,
                              struct err *err)
{
    struct labels picked = *l;
    struct group *g = NULL;

    if (run->absent)
        picked.n = 0;
    else if (run->grouping != NULL && series_project(scratch, l, run->grouping->names,
                                                     run->grouping->without, &picked, err) != 0)
        return NULL;
    return groups_find(&run->groups, &picked, &g, err) != 0 ? NULL : cell_of(run, g, err);
}

/* The cell of a record that has nothing but the labels of its stream. */
static struct cell *stream_cell(struct range_run *run, const struct batch *b, uint32_t stream,
                                struct err *err)
{
    if (run->cached != b) {
        arena_reset(run->scratch);
        run->cached = NULL;
        run->by_stream = arena_alloc(run->scratch, b->n_streams * sizeof(struct cell *));
        if (run->by_stream == NULL) {
            (void)arena_err(run->scratch, err);
            return NULL;
        }
        run->cached = b;
    }
    if (run->by_stream[stream] == NULL)
        run->by_stream[stream] = find_cell(run, &b->streams[stream], run->scratch, err);
    return run->by_stream[stream];
}

static int pipeline_error(struct range_run *run, struct err *err)
{
    enum { SHOWN = 90 };
    struct str error = entry_get(&run->entry, ENTRY_ERROR);
    struct labels l;
    struct buf text;
    int r;

    r = entry_labels(&run->entry, LABEL_KINDS, &l, err);
    if (r < 0)
        return r;
    buf_init(&text, RECORD_LINE_MAX);
    labels_format(&text, &l);
    r = err_set(err, ERR_INVALID,
                "pipeline error: '%.*s' for series: '%.*s%s'. Use a label filter to intentionally "
                "skip this error. (e.g | __error__!=\"%.*s\")",
                STR_ARG(str_sub(error, 0, 30)), STR_ARG(str_sub(buf_str(&text), 0, SHOWN)),
                text.n > SHOWN ? "..." : "", STR_ARG(str_sub(error, 0, 30)));
    buf_fini(&text);
    return r;
}

/* The record through the pipeline.  1: it is a sample of *ret. */
static int sample_of(struct range_run *run, const struct batch *b, const struct record *rec,
                     struct cell **ret, double *value, struct err *err)
{
    struct entry *e = &run->entry;
    struct labels l;
    int r;

    if (!run->log->plan->stages_left && run->log->unwrap == NULL && rec->n_attr == 0) {
        *value = (double)rec->line.n;
        *ret = stream_cell(run, b, rec->stream, err);
        return *ret == NULL ? err->code : 1;
    }
    r = entry_begin(e, b, rec, err);
    if (r == 0)
        r = op_pipeline(run->log->stages, e, err);
    *value = (double)e->line.n;
    if (r == 1 && run->log->unwrap != NULL)
        r = op_unwrap(run->log->unwrap, e, value, err);
    if (r != 1)
        return r;
    if (entry_failed(e) && !run->keeps_error)
        return pipeline_error(run, err);
    r = entry_labels(e, LABEL_KINDS, &l, err);
    if (r != 0)
        return r;
    *ret = find_cell(run, &l, e->arena, err);
    return *ret == NULL ? err->code : 1;
}

/* ---- samples in order ---- */

static int need_sorted(struct range_run *run, size_t n, struct err *err)
{
    if (run->node->range.op != TOKEN_QUANTILE_OVER_TIME || n <= run->sorted_cap)
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
        .end = exec_add(step_time(run->steps, run->next), -run->log->offset),
        .range = run->log->range,
    };
    ts_ns begin = exec_add(q.end, -q.range);

    for (size_t i = 0; i < run->groups.n; i++) {
        struct cell *c = run->groups.v[i]->data;
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
           exec_add(step_time(run->steps, run->next), -run->log->offset) < ts)
        r = finish_step(run, err);
    return r;
}

/* ---- records ---- */

static int range_record(void *arg, const struct batch *b, const struct record *rec, struct err *err)
{
    struct range_run *run = arg;
    struct cell *c = NULL;
    size_t first;
    size_t last;
    double value;
    int r;

    if (rec == b->records)
        run->cached = NULL; /* another batch, perhaps where the last one lay */
    if (!covering(run, rec->ts, &first, &last))
        return 0;
    r = sample_of(run, b, rec, &c, &value, err);
    if (r != 1 || c == NULL)
        return r;
    run->x->stats.pipeline_lines++;
    if (run->counted) {
        c->count[first]++;
        c->count[last + 1]--; /* wraps; the running sum does not */
        if (run->bytes) {
            c->bytes[first] += (uint64_t)value;
            c->bytes[last + 1] -= (uint64_t)value;
        }
        return 0;
    }
    r = finish_before(run, rec->ts, err);
    return r < 0 ? r : window_push(&c->window, rec->ts, value, &run->x->budget, err);
}

/* ---- counts without records ---- */

/* What the pipeline looks at: labels alone, or (*parses) members of JSON lines too, by name. */
static bool can_count(const struct range_run *run, bool *parses)
{
    bool can = run->log->unwrap == NULL;

    *parses = false;
    for (const struct ast_stage *s = run->log->stages; s != NULL; s = s->next) {
        bool parser = s->kind == STAGE_JSON && s->parser.list == NULL;
        *parses = *parses || parser;
        can = can && (s->pushed || parser || s->kind == STAGE_LABEL_FILTER ||
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

/* scan_request.want_field: may the member become, or hide, one of the labels?  As op_json names it.
 */
static bool want_field(void *arg, struct str path)
{
    const struct names *ns = arg;
    struct entry e = {.n = 0};
    struct str name;
    bool found = false;

    if (memchr(path.p, '\\', path.n) != NULL)
        return true; /* an escape in a key */
    buf_init(&e.name, RECORD_LINE_MAX);
    while (path.p != NULL) {
        struct str key = str_trim(str_cut(&path, '\0'));
        if (key.n > 0 && e.name.n > 0)
            buf_add_char(&e.name, '_');
        entry_add_name(&e, key);
    }
    name = buf_str(&e.name);
    for (size_t i = 0; i < ns->n && !found; i++)
        found = str_eq(ns->v[i], name);
    found = found || e.name.over || str_starts(name, STR("__")); /* __error__ is one too */
    buf_fini(&e.name);
    return found;
}

static void note_filter(struct names *ns, const struct ast_filter *f)
{
    if (f->kind != FILTER_AND && f->kind != FILTER_OR)
        note_name(ns, f->kind == FILTER_MATCH ? f->m.name : f->name);
    for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next)
        note_filter(ns, kid);
}

/* The labels that decide about a record and its series. */
static int note_names(const struct range_run *run, struct names *ns, struct err *err)
{
    enum { NAMES_MAX = 64 };

    ns->all = run->grouping != NULL ? run->grouping->without : !run->absent;
    ns->cap = NAMES_MAX;
    ns->v = arena_alloc(run->x->arena, NAMES_MAX * sizeof(*ns->v));
    if (ns->v == NULL)
        return arena_err(run->x->arena, err);
    for (const struct ast_name *n = run->grouping == NULL ? NULL : run->grouping->names; n != NULL;
         n = n->next)
        note_name(ns, n->name);
    for (const struct ast_stage *s = run->log->stages; s != NULL; s = s->next) {
        if (s->kind == STAGE_LABEL_FILTER)
            note_filter(ns, s->filter);
        else if (s->kind == STAGE_DROP || s->kind == STAGE_KEEP)
            for (const struct ast_pick *p = s->picks; p != NULL; p = p->next)
                note_name(ns, p->m.name);
    }
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
        ts_ns end = exec_add(step_time(run->steps, k), -run->log->offset);
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

/* For scan_count: a record without line or time through the pipeline. */
static int count_cells(void *arg, const struct scan_key *key, struct scan_cells **ret,
                       struct err *err)
{
    struct range_run *run = arg;
    struct labels l = *key->stream;
    struct batch b = {.magic = BATCH_MAGIC, .streams = &l, .n_streams = 1};
    struct record rec = {.line = key->line, .attr = key->attr, .n_attr = key->n_attr};
    struct cell *c = NULL;
    double value;
    int r;

    run->cached = NULL;
    *ret = NULL;
    r = sample_of(run, &b, &rec, &c, &value, err);
    run->failed_on_parts = r == ERR_INVALID && key->line.n > 0;
    if (r != 1 || c == NULL)
        return r < 0 ? r : 0;
    if (c->cells.rows == NULL) {
        size_t bytes = (run->n_edges - 1) * sizeof(*c->cells.rows);
        c->cells.rows = arena_alloc(run->x->arena, bytes);
        c->cells.bytes = run->bytes ? arena_alloc(run->x->arena, bytes) : NULL;
        if (c->cells.rows == NULL || (run->bytes && c->cells.bytes == NULL))
            return arena_err(run->x->arena, err);
    }
    *ret = &c->cells;
    return 0;
}

static void add_cells(struct range_run *run, struct cell *c)
{
    for (size_t i = 0; c->cells.rows != NULL && i + 1 < run->n_edges; i++) {
        uint64_t rows = c->cells.rows[i];
        size_t first;
        size_t last;
        if (rows == 0 || !covering(run, run->edge[i], &first, &last))
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

/* 1: records are needed. */
static int count_rows(struct range_run *run, const struct exec_scan *scan, struct err *err)
{
    struct scan_count c = {.bytes = run->bytes, .cells = count_cells, .arg = run};
    struct names ns = {.n = 0};
    int r;

    if (!run->counted || run->x->source->count == NULL || !can_count(run, &c.by_line))
        return 1;
    r = make_edges(run, err);
    if (r == 0 && (scan->need_attrs || c.by_line))
        r = note_names(run, &ns, err);
    if (r < 0 || run->n_edges < 2)
        return r < 0 ? r : 1;
    if (c.by_line && ns.all)
        return 1;
    if (c.by_line) {
        c.req.want_field = want_field;
        c.req.field_arg = &ns;
    }
    c.edge = run->edge;
    c.n_edges = run->n_edges;
    if (scan->need_attrs) {
        c.all_attrs = ns.all;
        c.attrs = ns.v;
        c.n_attrs = ns.n;
    }
    r = exec_count(run->x, scan, &c, err);
    if (r < 0 && run->failed_on_parts)
        return 1;
    for (size_t i = 0; r == 0 && i < run->groups.n; i++)
        if (run->groups.v[i]->data != NULL)
            add_cells(run, run->groups.v[i]->data);
    return r;
}

/* ---- results ---- */

/* The running sums of a counted series. */
static int finish_counted(struct range_run *run, struct cell *c, struct err *err)
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
        struct cell *c = run->groups.v[i]->data;
        int r = run->counted ? finish_counted(run, c, err) : 0;
        if (r < 0)
            return r;
        if (has_point(&c->out, run->steps->n))
            ret->v[ret->n++] = c->out;
    }
    return 0;
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
        count = ((struct cell *)run->groups.v[0]->data)->count;
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
    ts_ns last = exec_add(step_time(s, s->n - 1), -run->log->offset);
    struct exec_scan scan = {
        .plan = run->log->plan,
        .from = exec_add(exec_add(first, -run->log->range), 1),
        .to = exec_add(last, 1),
        .order = run->counted ? SCAN_ANY : SCAN_FORWARD,
        .need_line = run->log->plan->need_line,
    };
    int r = decide_attrs(run, &scan, err);

    if (r == 0 && scan.from < scan.to && run->log->range > 0) {
        r = count_rows(run, &scan, err);
        if (r == 1)
            r = exec_each(run->x, &scan, range_record, run, err);
    }
    while (r == 0 && !run->counted && run->next < s->n)
        r = finish_step(run, err);
    return r;
}

static bool asks_for_error(const struct ast_grouping *g)
{
    const struct ast_name *n = g == NULL || g->without ? NULL : g->names;

    while (n != NULL && !str_eq(n->name, ENTRY_ERROR))
        n = n->next;
    return n != NULL;
}

int op_range(struct exec *x, const struct ast_node *n, const struct ast_grouping *grouping,
             const struct steps *steps, struct matrix *ret, struct err *err)
{
    enum token_kind op = n->range.op;
    struct range_run run = {
        .x = x,
        .node = n,
        .log = n->range.log,
        .grouping = grouping,
        .steps = steps,
        .counted = plan_is_counted(n),
        .bytes = op == TOKEN_BYTES_OVER_TIME || op == TOKEN_BYTES_RATE,
        .absent = op == TOKEN_ABSENT_OVER_TIME,
        .keeps_error = asks_for_error(grouping),
    };
    int r;

    *ret = (struct matrix){.n = 0};
    entry_init(&run.entry, &x->budget);
    groups_init(&run.groups, x->arena);
    run.scratch = arena_new(&x->budget, 0);
    r = run_scan(&run, err);
    if (r == 0)
        r = run.absent ? collect_absent(&run, ret, err) : collect(&run, ret, err);
    for (size_t i = 0; i < run.groups.n; i++) {
        struct cell *c = run.groups.v[i]->data;
        if (c != NULL)
            window_fini(&c->window, &x->budget);
    }
    arena_free(&run.scratch);
    entry_fini(&run.entry);
    return r;
}
