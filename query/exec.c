/* query/exec.c - see exec.h. */
#include "query/exec.h"

#include "query/plan_tests.h"

#include <inttypes.h>
#include <string.h>

enum {
    DEFAULT_TIME_S = 60,
    DEFAULT_MEMORY = 128 << 20,
    DEFAULT_SERIES = 500,
    DEFAULT_POINTS = 11000,
    TICKS_PER_LOOK = 256,    /* a power of two */
    WORK_PER_LOOK = 1 << 16, /* some milliseconds */
};

void exec_init(struct exec *x, const struct source *s, const struct query_params *p)
{
    struct query_limits l = p->limits;

    l.time = l.time == 0 ? DEFAULT_TIME_S * NS_PER_S : l.time;
    l.memory_bytes = l.memory_bytes == 0 ? DEFAULT_MEMORY : l.memory_bytes;
    l.series = l.series == 0 ? DEFAULT_SERIES : l.series;
    l.points = l.points == 0 ? DEFAULT_POINTS : l.points;
    memset(x, 0, sizeof(*x));
    x->source = s;
    x->params = p;
    x->limits = l;
    x->budget.name = "query.memory";
    x->budget.limit = l.memory_bytes;
    x->budget.parent = p->budget;
    x->arena = arena_new(&x->budget, 0);
    x->started = time_mono();
}

int exec_fini(struct exec *x, int result, struct query_stats *stats, struct err *err)
{
    x->stats.seconds = (double)(time_mono() - x->started) / (double)NS_PER_S;
    x->stats.peak_bytes = atomic_load(&x->budget.peak);
    arena_free(&x->arena);
    if (stats != NULL)
        *stats = x->stats;
    if (result == ERR_NOMEM && atomic_load(&x->budget.refused) == 0)
        return err_wrap(err,
                        "there is no memory for the query now, for all that runs at once takes "
                        "it; ask again later");
    if (result == ERR_NOMEM)
        return err_wrap(err, "the query needs too much memory; narrow it, or raise the limit "
                             "(query.memory or the tenant's max_query_memory)");
    return result;
}

int exec_check_length(const struct exec *x, struct err *err)
{
    const struct query_params *p = x->params;
    dur_ns most = exec_add(x->limits.length, p->end > time_now() ? QUERY_AHEAD : 0);
    char length[TIME_TEXT_MAX];
    char limit[TIME_TEXT_MAX];
    struct str is;
    struct str may;

    if (x->limits.length <= 0 || p->end <= p->start ||
        (uint64_t)p->end - (uint64_t)p->start <= (uint64_t)most)
        return 0;
    is = dur_format(
        (uint64_t)p->end - (uint64_t)p->start > INT64_MAX ? INT64_MAX : p->end - p->start, length);
    may = dur_format(x->limits.length, limit);
    return err_set(err, ERR_LIMIT,
                   "the query time range exceeds the limit (query length: %.*s, limit: %.*s); "
                   "narrow it, or raise query.length or the tenant's max_query_length",
                   STR_ARG(is), STR_ARG(may));
}

int exec_look(struct exec *x, struct err *err)
{
    if (x->params->cancel != NULL && atomic_load(x->params->cancel))
        return err_set(err, ERR_CANCELLED, "the query was cancelled");
    if (time_mono() - x->started > x->limits.time) {
        char text[TIME_TEXT_MAX];
        struct str s = dur_format(x->limits.time, text);
        return err_set(err, ERR_TIMEOUT,
                       "the query took longer than %.*s; narrow it, or raise query.time or the "
                       "tenant's query_timeout",
                       STR_ARG(s));
    }
    return 0;
}

int exec_tick(struct exec *x, struct err *err)
{
    return (++x->ticks & (TICKS_PER_LOOK - 1)) == 0 ? exec_look(x, err) : 0;
}

int exec_work(struct exec *x, struct entry *e, struct err *err)
{
    if (e->work < WORK_PER_LOOK)
        return 0;
    e->work = 0;
    return exec_look(x, err);
}

ts_ns exec_add(ts_ns a, dur_ns b)
{
    ts_ns sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b > 0 ? INT64_MAX : INT64_MIN;
    return sum;
}

static void fill_request(struct exec *x, const struct exec_scan *scan, struct scan_request *req)
{
    const struct query_params *p = x->params;

    *req = (struct scan_request){
        .tenants = p->tenants,
        .n_tenants = p->n_tenants,
        .matchers = scan->plan->matchers,
        .n_matchers = scan->plan->n_matchers,
        .from = scan->from,
        .to = scan->to,
        .order = scan->order,
        .filters = scan->plan->filters,
        .n_filters = scan->plan->n_filters,
        .conditions = scan->plan->conditions,
        .n_conditions = scan->plan->n_conditions,
        .names = plan_names,
        .pattern = scan->plan->pattern,
        .parser = scan->parser,
        .field = scan->field,
        .n_fields = scan->n_fields,
        .need_line = scan->need_line,
        .need_attrs = scan->need_attrs,
        .batch_records = scan->batch_records,
        .expect = scan->expect,
        .budget = &x->budget,
        .deadline = x->started > INT64_MAX - x->limits.time ? 0 : x->started + x->limits.time,
        .cancel = p->cancel,
    };
    if (x->limits.line_bytes > 0) /* several scans of a query share the limit; 0 would mean none */
        req->max_line_bytes = x->stats.scan.line_bytes < x->limits.line_bytes
                                  ? x->limits.line_bytes - x->stats.scan.line_bytes
                                  : 1;
}

static void add_stats(struct scan_stats *sum, const struct scan_stats *s)
{
    sum->partitions += s->partitions;
    sum->segments += s->segments;
    sum->blocks += s->blocks;
    sum->blocks_read += s->blocks_read;
    sum->head_batches += s->head_batches;
    sum->stored_bytes_read += s->stored_bytes_read;
    sum->lines += s->lines;
    sum->line_bytes += s->line_bytes;
    sum->lines_out += s->lines_out;
    sum->damaged_blocks += s->damaged_blocks;
    if (sum->damage[0] == '\0')
        memcpy(sum->damage, s->damage, sizeof(sum->damage));
    if (sum->partial[0] == '\0')
        memcpy(sum->partial, s->partial, sizeof(sum->partial));
}

/* What an error of a scan is to the query. */
static int explain(struct exec *x, int r, struct err *err)
{
    if (r == ERR_LIMIT)
        return err_wrap(err, "the query reads too many lines; narrow it, or raise query.lines or "
                             "the tenant's max_query_bytes_read");
    if (r == ERR_TIMEOUT)
        (void)exec_look(x, err); /* says it in full */
    return r;
}

static int each_of_batch(struct exec *x, const struct batch *b, exec_record_fn *fn, void *arg,
                         struct err *err)
{
    int r = exec_look(x, err);

    for (uint32_t i = 0; i < b->n_records && r == 0; i++) {
        r = exec_tick(x, err);
        if (r == 0)
            r = fn(arg, b, &b->records[i], err);
    }
    return r;
}

int exec_each(struct exec *x, const struct exec_scan *scan, exec_record_fn *fn, void *arg,
              struct err *err)
{
    struct scan_request req;
    struct scan_stats stats;
    void *sc = NULL;
    int r;

    fill_request(x, scan, &req);
    r = x->source->open(x->source->arg, &req, &sc, err);
    if (r < 0)
        return r;
    while (r == 0) {
        struct batch *b = NULL;
        r = x->source->next(sc, &b, err);
        if (r < 0)
            r = explain(x, r, err);
        if (r == 1) {
            r = 0;
            break;
        }
        if (r == 0)
            r = each_of_batch(x, b, fn, arg, err);
        batch_unref(&b);
    }
    memset(&stats, 0, sizeof(stats));
    x->source->stats(sc, &stats);
    add_stats(&x->stats.scan, &stats);
    x->source->close(sc);
    return r;
}

int exec_count(struct exec *x, const struct exec_scan *scan, struct scan_count *c, struct err *err)
{
    struct scan_stats stats = {.lines = 0};
    int r;

    if (x->source->count == NULL)
        return 1;
    fill_request(x, scan, &c->req);
    r = x->source->count(x->source->arg, c, &stats, err);
    add_stats(&x->stats.scan, &stats);
    return r < 0 ? explain(x, r, err) : r;
}

int exec_spans(struct exec *x, struct scan_span *spans, size_t n, struct err *err)
{
    const struct scan_request req = {.tenants = x->params->tenants,
                                     .n_tenants = x->params->n_tenants};

    return x->source->spans(x->source->arg, &req, spans, n, err);
}

int exec_streams(struct exec *x, const struct exec_scan *scan, scan_stream_fn *fn, void *arg,
                 struct err *err)
{
    struct scan_request req;

    fill_request(x, scan, &req);
    return x->source->streams(x->source->arg, &req, fn, arg, err);
}
