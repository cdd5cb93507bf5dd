/* query/exec_log.c - running a log query, see exec.h. */
#include "query/exec.h"

#include "query/context.h"
#include "query/op.h"

struct log_run {
    struct exec *x;
    const struct ast_log *log;
    struct entry entry;
    const struct exec_sink *sink;
    struct context *context; /* NULL: entries go to the sink */
    uint64_t hits;
    struct query_cursor at; /* the record that is looked at */
    bool has_dedup;
    bool any; /* an entry was given out, at `last` */
    ts_ns last;
};

/* Does an attribute have the name of a stream label, so that it must be renamed?  Both are sorted.
 */
static bool names_clash(const struct labels *stream, const struct record *rec)
{
    size_t i = 0;

    for (uint32_t j = 0; j < rec->n_attr; j++) {
        while (i < stream->n && str_cmp(stream->v[i].name, rec->attr[j].name) < 0)
            i++;
        if (i < stream->n && str_eq(stream->v[i].name, rec->attr[j].name))
            return true;
    }
    return false;
}

/* The labels of a record as they are, without a copy. */
static void view(const struct batch *b, const struct record *rec, struct query_entry *ret)
{
    *ret = (struct query_entry){
        .ts = rec->ts,
        .seq = rec->seq,
        .stream = b->streams[rec->stream],
        .meta = {(struct label *)(uintptr_t)rec->attr, rec->n_attr}, /* read only */
        .line = rec->line,
    };
}

/* Through the stages.  1: *ret is an entry. */
static int run_stages(struct log_run *run, const struct batch *b, const struct record *rec,
                      struct query_entry *ret, struct err *err)
{
    struct entry *e = &run->entry;
    int r = entry_begin(e, b, rec, err);

    if (r == 0)
        r = op_pipeline(run->log->stages, e, err);
    if (r >= 0 && exec_work(run->x, e, err) < 0)
        return err->code;
    if (r != 1)
        return r;
    *ret = (struct query_entry){.ts = e->ts, .seq = e->seq, .line = e->line};
    r = entry_labels(e, LABEL_STREAM, &ret->stream, err);
    if (r == 0)
        r = entry_labels(e, LABEL_META, &ret->meta, err);
    if (r == 0)
        r = entry_labels(e, LABEL_PARSED, &ret->parsed, err);
    return r < 0 ? r : 1;
}

static bool too_near(const struct log_run *run, ts_ns ts)
{
    dur_ns interval = run->x->params->interval;

    if (interval <= 0 || !run->any)
        return false;
    return run->x->params->direction == QUERY_FORWARD ? ts < exec_add(run->last, interval)
                                                      : ts > exec_add(run->last, -interval);
}

/* Go on to `rec`.  Is it behind the cursor of the request? */
static bool is_behind(struct log_run *run, const struct record *rec)
{
    const struct query_cursor *c = &run->x->params->cursor;
    bool forward = run->x->params->direction == QUERY_FORWARD;
    struct query_cursor *at = &run->at;

    if (at->set && rec->ts == at->ts && rec->seq == at->seq)
        at->nth++;
    else
        *at = (struct query_cursor){.set = true, .ts = rec->ts, .seq = rec->seq, .nth = 1};
    if (!c->set)
        return true;
    if (at->ts != c->ts)
        return (at->ts > c->ts) == forward;
    return at->seq != c->seq ? (at->seq > c->seq) == forward : at->nth > c->nth;
}

/* 0: go on; 1: enough. */
static int log_record(void *arg, const struct batch *b, const struct record *rec, struct err *err)
{
    struct log_run *run = arg;
    const struct query_params *p = run->x->params;
    struct query_entry e;
    int r = 1;

    if (p->direction == QUERY_FORWARD && rec->ts == p->start && rec->seq <= p->after_seq &&
        p->after_seq > 0)
        return 0;
    if (!is_behind(run, rec))
        return 0;
    if (run->log->plan->stages_left || names_clash(&b->streams[rec->stream], rec))
        r = run_stages(run, b, rec, &e, err);
    else
        view(b, rec, &e);
    if (r != 1)
        return r;
    run->x->stats.pipeline_lines++;
    if (too_near(run, e.ts))
        return 0;
    run->any = true;
    run->last = e.ts;
    run->hits++;
    if (run->context != NULL) {
        r = context_hit(run->context, &b->streams[rec->stream], &e, err);
    } else {
        run->x->stats.entries++;
        r = run->sink->fn(run->sink->arg, &e);
    }
    if (r != 0)
        return r < 0 ? r : 1;
    if (p->limit == 0 || run->hits < p->limit)
        return 0;
    if (!run->has_dedup)
        run->x->stats.next = run->at;
    return 1;
}

/* Start where the cursor of the request is.  ERR_INVALID. */
static int seek(struct log_run *run, struct exec_scan *scan, struct err *err)
{
    const struct query_cursor *c = &run->x->params->cursor;

    for (const struct ast_stage *s = run->log->stages; s != NULL; s = s->next)
        run->has_dedup |= s->kind == STAGE_DEDUP;
    if (!c->set && run->x->params->after_seq == 0)
        return 0;
    if (run->has_dedup)
        return err_set(err, ERR_INVALID,
                       "a cursor does not go with dedup: what came before it would come again");
    if (!c->set)
        return 0;
    if (scan->order == SCAN_FORWARD)
        scan->from = c->ts > scan->from ? c->ts : scan->from;
    else
        scan->to = exec_add(c->ts, 1) < scan->to ? exec_add(c->ts, 1) : scan->to;
    run->any = true; /* for the interval: the entry that the cursor stands behind */
    run->last = c->ts;
    return 0;
}

int exec_log(const struct ast *a, const struct source *s, const struct query_params *p,
             const struct exec_sink *sink, struct query_stats *stats, struct err *err)
{
    enum { SMALL_BATCH = 1024, LEAST_BATCH = 128 };
    struct exec x;
    struct log_run run = {.x = &x, .log = a->root->log, .sink = sink};
    struct exec_scan scan = {
        .plan = run.log->plan,
        .from = p->start,
        .to = p->end,
        .order = p->direction == QUERY_FORWARD ? SCAN_FORWARD : SCAN_BACKWARD,
        .need_line = true,
        .need_attrs = true,
    };
    int r;

    if (p->limit > 0 && p->limit < SMALL_BATCH && !scan.plan->stages_left && p->interval == 0 &&
        p->after_seq == 0 && !p->cursor.set)
        scan.batch_records = (size_t)p->limit; /* none will be thrown away */
    else if (p->limit > 0 && p->limit < SMALL_BATCH && p->interval == 0)
        scan.batch_records = p->limit < LEAST_BATCH ? LEAST_BATCH : (size_t)p->limit;
    if (p->interval == 0 && p->limit < SIZE_MAX)
        scan.expect = (size_t)p->limit;
    exec_init(&x, s, p);
    entry_init(&run.entry, &x.budget);
    run.entry.dedup = p->seen;
    r = exec_check_length(&x, err);
    if (r == 0)
        r = seek(&run, &scan, err);
    if (r == 0 && (p->before > 0 || p->after > 0)) {
        r = context_check(p, err);
        run.context = context_new(&x);
    }
    if (r == 0)
        r = exec_each(&x, &scan, log_record, &run, err);
    if (r >= 0 && run.context != NULL)
        r = context_finish(run.context, sink, err);
    context_free(&run.context);
    if (p->seen != NULL)
        run.entry.dedup = NULL;
    entry_fini(&run.entry);
    return exec_fini(&x, r > 0 ? 0 : r, stats, err);
}
