/* query/op_range.c - see op_range.h. */
#include "query/op_range.h"

#include "query/gathered.h"
#include "query/group.h"
#include "query/op.h"
#include "query/plan_tests.h"
#include "query/sums.h"
#include "query/window.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_MAX 1e150 /* below it squares and sums stay finite */

enum { SLIDE_MIN = 4 /* ranges that a sample lies in, from which on windows slide */ };

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
    bool summed;   /* values were added up by the scan, or */
    bool gathered; /* gathered: each is needed by itself, in no order */
    size_t n_gathered;
    bool keeps_error;        /* `__error__` is one of the labels asked for */
    bool keeps_parser_error; /* a label filter looks at it: what a parser could not read counts */
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
    bool failed; /* a line did while the scan counted: the records say whether it is in a range */
};

struct sample {
    struct cell *cell;
    double value;
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
    if (!run->counted && run->steps->n > 1 && run->log->range / run->steps->step >= SLIDE_MIN)
        window_slide(&c->window, run->node->range.op);
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

/* May the entry, which failed, be a sample?  Else the query fails. */
static bool may_count(struct range_run *run)
{
    struct str error = entry_get(&run->entry, ENTRY_ERROR);

    return run->keeps_error || (run->keeps_parser_error && (str_eq(error, STR("JSONParserErr")) ||
                                                            str_eq(error, STR("LogfmtParserErr"))));
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

/* Behind the stages: what is unwrapped is no label any more.  1: a sample. */
static int unwrap(struct range_run *run, bool keyed, double *value, struct err *err)
{
    const struct ast_unwrap *u = run->log->unwrap;
    int r;

    if (!keyed)
        return op_unwrap(u, &run->entry, value, err);
    r = op_pipeline(u->filters, &run->entry, err); /* it has a number, of which they ask nothing */
    entry_remove(&run->entry, u->label);
    return r;
}

/* The record through the pipeline; `key` (may be NULL) is what it stands for in a count.  1: it is
 * a sample of *ret. */
static int sample_of(struct range_run *run, const struct batch *b, const struct record *rec,
                     const struct scan_key *key, struct sample *ret, struct err *err)
{
    struct entry *e = &run->entry;
    struct labels l;
    int r;

    if (!run->log->plan->stages_left && run->log->unwrap == NULL && rec->n_attr == 0) {
        ret->value = (double)rec->line.n;
        ret->cell = stream_cell(run, b, rec->stream, err);
        return ret->cell == NULL ? err->code : 1;
    }
    r = entry_begin(e, b, rec, err);
    e->tested = key != NULL && key->tested;
    if (r == 0)
        r = op_pipeline(run->log->stages, e, err);
    if (r >= 0 && exec_work(run->x, e, err) < 0)
        return err->code;
    ret->value = (double)e->line.n;
    if (r == 1 && run->log->unwrap != NULL)
        r = unwrap(run, key != NULL, &ret->value, err);
    if (r != 1)
        return r;
    if (entry_failed(e) && !may_count(run)) {
        /* Where the scan counts it is not known how many lines, and in how many ranges. */
        if (!run->x->params->lenient || key != NULL || run->summed)
            return pipeline_error(run, err);
        run->x->stats.failed_lines++;
        return 0;
    }
    r = entry_labels(e, LABEL_KINDS, &l, err);
    if (r != 0)
        return r;
    ret->cell = find_cell(run, &l, e->arena, err);
    return ret->cell == NULL ? err->code : 1;
}

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
    struct sample x = {NULL, 0};
    size_t first;
    size_t last;
    int r;

    if (rec == b->records)
        run->cached = NULL; /* another batch, perhaps where the last one lay */
    if (!covering(run, rec->ts, &first, &last))
        return 0;
    r = sample_of(run, b, rec, NULL, &x, err);
    if (r != 1)
        return r;
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

/* ---- counts without records ---- */

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
        can = can && (s->pushed || p != SCAN_PARSE_NONE || s->kind == STAGE_LABEL_FILTER ||
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

/* The labels that decide about a record and its series; `tested`: one that passed the conditions.
 */
static int note_names(const struct range_run *run, bool tested, struct names *ns, struct err *err)
{
    enum { NAMES_MAX = 64 };

    ns->all = run->grouping != NULL ? run->grouping->without : !run->absent;
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

static int make_cells(struct range_run *run, struct cell *c, struct err *err)
{
    struct arena *a = run->x->arena;
    size_t n = run->n_edges - 1;

    c->cells.owner = c;
    if (run->gathered)
        return 0;
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
    struct sample x = {NULL, 0};
    int r;

    run->cached = NULL;
    *ret = NULL;
    r = sample_of(run, &b, &rec, key, &x, err);
    run->failed = r == ERR_INVALID;
    if (r != 1)
        return r;
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
static int gather(void *arg, struct scan_cells *cells, ts_ns ts, double v, struct err *err)
{
    struct range_run *run = arg;
    struct cell *c = cells->owner;
    size_t first;
    size_t last;

    if (!covering(run, ts, &first, &last))
        return 0; /* between two ranges */
    if (run->n_gathered++ >= run->x->limits.memory_bytes / GATHERED_MEMORY_MIN)
        return 1;
    return window_push(&c->window, ts, v, &run->x->budget, err) < 0; /* records take less */
}

/* For scan_value: a whole record.  1: its number does not add up. */
static int sum_record(void *arg, const struct labels *stream, const struct record *rec,
                      struct err *err)
{
    struct range_run *run = arg;
    struct labels l = *stream;
    struct batch b = {.magic = BATCH_MAGIC, .streams = &l, .n_streams = 1};
    struct record one = *rec;
    struct sample x = {NULL, 0};
    size_t low = 0;
    size_t high = run->n_edges - 1;
    int r;

    run->cached = NULL;
    one.stream = 0;
    r = sample_of(run, &b, &one, NULL, &x, err);
    run->failed = r == ERR_INVALID;
    if (r != 1)
        return r;
    if (!(fabs(x.value) < NUMBER_MAX))
        return 1;
    r = x.cell->cells.owner == NULL ? make_cells(run, x.cell, err) : 0;
    if (r == 0 && run->gathered)
        return gather(run, &x.cell->cells, rec->ts, x.value, err);
    while (r == 0 && high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (run->edge[middle] <= rec->ts)
            low = middle;
        else
            high = middle;
    }
    if (r == 0)
        scan_sum_add(&x.cell->cells.sum[low], x.value);
    return r;
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

static int add_sums(struct range_run *run, struct cell *c, struct err *err)
{
    const struct sums_query q = {
        .op = run->node->range.op,
        .steps = run->steps,
        .range = run->log->range,
        .offset = run->log->offset,
        .edge = run->edge,
        .n_edges = run->n_edges,
    };

    size_t first;
    size_t last;

    for (size_t i = 0; i + 1 < run->n_edges; i++)
        if (c->cells.sum[i].n > 0 && covering(run, run->edge[i], &first, &last))
            run->x->stats.pipeline_lines += c->cells.sum[i].n;
    return sums_slide(&q, c->cells.sum, run->x->arena, &c->out, err);
}

static int add_gathered(struct range_run *run, struct cell *c, struct err *err)
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

static void forget_gathered(struct range_run *run)
{
    for (size_t i = 0; i < run->groups.n; i++) {
        struct cell *c = run->groups.v[i]->data;
        if (c != NULL)
            window_fini(&c->window, &run->x->budget);
    }
    run->gathered = false;
}

/* Can values be summed up, or gathered, by columns?  Then *v says how. */
static bool can_sum(struct range_run *run, enum scan_parser parser, struct scan_value *v)
{
    const struct ast_unwrap *u = run->log->unwrap;

    run->gathered = gathered_know(run->node->range.op);
    if ((!run->gathered && !sums_know(run->node->range.op)) ||
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
        .sample = run->gathered ? gather : NULL,
    };
    return true;
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
        struct cell *c = run->groups.v[i]->data;
        if (c != NULL && run->gathered)
            r = add_gathered(run, c, err);
        else if (c != NULL && c->cells.sum != NULL)
            r = add_sums(run, c, err);
        else if (c != NULL)
            add_cells(run, c);
    }
    return r;
}

/* 1: records are needed. */
static int count_rows(struct range_run *run, struct exec_scan *scan, struct err *err)
{
    struct scan_count c = {.bytes = run->bytes, .cells = count_cells, .arg = run};
    enum scan_parser parser;
    struct scan_value value;
    int r;

    if (run->x->source->count == NULL || !can_count(run, &parser))
        return 1;
    if (run->absent && run->log->unwrap != NULL)
        return 1; /* a row counts only where the label is */
    if (!run->counted) {
        if (!can_sum(run, parser, &value))
            return 1;
        c.value = &value;
        run->summed = true;
    }
    r = make_edges(run, err);
    if (r == 0 && run->n_edges < 2)
        r = 1;
    if (r == 0)
        r = fill_count(run, scan, parser, &c, err);
    if (r == 0)
        r = exec_count(run->x, scan, &c, err);
    if (r < 0 && run->failed)
        r = 1;
    if (r == 0)
        r = add_all(run, err);
    else
        run->summed = false;
    if (r == 1 && run->gathered)
        forget_gathered(run);
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
    while (r == 0 && !run->counted && !run->summed && run->next < s->n)
        r = finish_step(run, err);
    return r;
}

static bool filter_names_error(const struct ast_filter *f)
{
    bool found = f->kind == FILTER_MATCH && str_eq(f->m.name, ENTRY_ERROR);

    for (const struct ast_filter *kid = f->first; kid != NULL && !found; kid = kid->next)
        found = filter_names_error(kid);
    return found;
}

static bool filters_error(const struct ast_stage *list)
{
    for (const struct ast_stage *s = list; s != NULL; s = s->next)
        if (s->kind == STAGE_LABEL_FILTER && filter_names_error(s->filter))
            return true;
    return false;
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
        .keeps_parser_error = filters_error(n->range.log->stages),
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
