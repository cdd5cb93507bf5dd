/* query/range_run.c - see range_run.h. */
#include "query/range_run.h"

#include "base/utf8.h"
#include "query/op.h"

enum { SLIDE_MIN = 4 /* ranges that a sample lies in, from which on windows slide */ };

/* ---- time ---- */

/* The steps whose ranges cover `ts`; false: none. */
bool range_run_covers(const struct range_run *run, ts_ns ts, size_t *first, size_t *last)
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

ts_ns range_run_step(const struct steps *s, size_t k)
{
    return exec_add(s->start, (dur_ns)k * s->step);
}

/* ---- series ---- */

/* The cell of `g`, new if it has none; NULL: *err says why not. */
static struct range_cell *cell_of(struct range_run *run, struct group *g, struct err *err)
{
    struct arena *a = run->x->arena;
    size_t n = run->steps->n + 1;
    struct range_cell *c = g->data;

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
    if (run->node->range.op == TOKEN_COUNT_DISTINCT_OVER_TIME)
        window_distinct(&c->window);
    g->data = c;
    return c;
}

struct range_cell *range_run_cell(struct range_run *run, const struct labels *l,
                                  struct arena *scratch, struct err *err)
{
    struct labels picked = *l;
    struct group *g = NULL;

    if (run->absent)
        picked.n = 0;
    else if (run->grouping != NULL && series_project(scratch, l, run->grouping->names,
                                                     run->grouping->without, &picked, err) != 0)
        return NULL;
    if (run->drops_empty)
        series_drop_empty(&picked);
    return groups_find(&run->groups, &picked, &g, err) != 0 ? NULL : cell_of(run, g, err);
}

/* The cell of a record that has nothing but the labels of its stream. */
static struct range_cell *stream_cell(struct range_run *run, const struct batch *b, uint32_t stream,
                                      struct err *err)
{
    if (run->cached != b) {
        arena_reset(run->scratch);
        run->cached = NULL;
        run->by_stream = arena_alloc(run->scratch, b->n_streams * sizeof(struct range_cell *));
        if (run->by_stream == NULL) {
            (void)arena_err(run->scratch, err);
            return NULL;
        }
        run->cached = b;
    }
    if (run->by_stream[stream] == NULL)
        run->by_stream[stream] = range_run_cell(run, &b->streams[stream], run->scratch, err);
    return run->by_stream[stream];
}

/* May the entry, which failed, be a sample?  Else the query fails. */
static bool may_count(struct range_run *run)
{
    struct str error = entry_get(&run->entry, ENTRY_ERROR);

    return run->keeps_parser_error &&
           (str_eq(error, STR("JSONParserErr")) || str_eq(error, STR("LogfmtParserErr")));
}

#define PIPELINE_HINT " Use a label filter to intentionally skip this error. (e.g | __error__!=\""

void query_print_error(const struct err *err, struct buf *out)
{
    struct str text = str_of(err->text);
    size_t at =
        str_starts(text, STR("pipeline error: '")) ? str_find(text, STR(PIPELINE_HINT)) : SIZE_MAX;

    if (at == SIZE_MAX) {
        utf8_repair(out, text);
        return;
    }
    utf8_repair(out, str_sub(text, 0, at));
    buf_add_char(out, '\n');
    buf_add_str(out, str_from(text, at + 1));
    buf_add_z(out, "\nTo skip all potential errors you can match empty errors."
                   "(e.g __error__=\"\")\nThe label filter can also be specified after unwrap. "
                   "(e.g | unwrap latency | __error__=\"\" )");
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
                "pipeline error: '%.*s' for series: '%.*s%s'." PIPELINE_HINT "%.*s\").",
                STR_ARG(str_sub(error, 0, 30)), STR_ARG(utf8_cut(buf_str(&text), SHOWN)),
                text.n > SHOWN ? "..." : "", STR_ARG(str_sub(error, 0, 30)));
    buf_fini(&text);
    return r;
}

/* Behind the stages: what is unwrapped is no label any more, unless it is asked for.  1: a sample.
 * `keyed`: of rows with numbers of their own. */
static int unwrap(struct range_run *run, bool keyed, double *value, struct err *err)
{
    const struct ast_unwrap *u = run->log->unwrap;
    int r;

    if (!keyed || run->distinct != NULL)
        r = op_unwrap(u, &run->entry, value, err);
    else /* it has a number, of which they ask nothing */
        r = op_pipeline(u->filters, &run->entry, err);
    if (!run->keeps_unwrapped)
        entry_remove(&run->entry, u->label);
    return r;
}

int range_run_sample(struct range_run *run, const struct batch *b, const struct record *rec,
                     const struct scan_key *key, struct range_sample *ret, struct err *err)
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
    if (run->top != NULL) {
        r = range_top_find(run->top, &l, &ret->top, err);
        return r < 0 ? r : 1;
    }
    ret->cell = range_run_cell(run, &l, e->arena, err);
    return ret->cell == NULL ? err->code : 1;
}
