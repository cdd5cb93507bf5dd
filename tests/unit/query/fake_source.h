/*
 * tests/unit/query/fake_source.h - records of a test behind the seam that a run reads from.
 *
 * It does what a scan promises, in the plainest way: all records are looked at, one after the
 * other.  `asked` keeps the request of the scan opened last.
 */
#ifndef LOGQ_TESTS_UNIT_QUERY_FAKE_SOURCE_H
#define LOGQ_TESTS_UNIT_QUERY_FAKE_SOURCE_H

#include "base/obj.h"
#include "base/vec.h"
#include "query/check.h"
#include "query/exec.h"
#include "query/parse.h"

#include <stdlib.h>
#include <string.h>

struct fake {
    struct batch *all; /* filled by fake_add */
    size_t per_batch;  /* 0: the request's, or 7, so that batches are many */
    struct scan_request asked;
    unsigned scans;
    int fail_after; /* > 0: that many batches, then ERR_IO */
    uint64_t state; /* of spans that end by `closed`; 0: there are no states */
    ts_ns closed;
    /* At each scan, if not NULL; non-zero fails it. */
    int (*on_open)(void *arg, const struct scan_request *req, struct err *err);
    void *on_open_arg;
};

struct fake_scan {
    struct fake *fake;
    struct scan_request req;
    VEC(const struct record *) hits;
    size_t at;
    int batches;
    struct scan_stats stats;
};

static inline void fake_init(struct fake *f)
{
    memset(f, 0, sizeof(*f));
    f->all = batch_new(NULL, 0);
}

static inline void fake_fini(struct fake *f)
{
    batch_unref(&f->all);
}

/* A record of the stream `labels` ({a="b"}) with attributes `attrs` in the same form, or NULL. */
static inline void fake_add(struct fake *f, const char *labels, const char *attrs, ts_ns ts,
                            struct str line)
{
    struct record rec = {.ts = ts, .seq = f->all->n_records + 1};
    struct labels l;
    struct err err;

    INVARIANT(labels_parse(f->all->arena, str_of(labels), &l, &err) == 0);
    INVARIANT(batch_stream(f->all, &l, &rec.stream, &err) == 0);
    if (attrs != NULL) {
        INVARIANT(labels_parse(f->all->arena, str_of(attrs), &l, &err) == 0);
        rec.attr = l.v;
        rec.n_attr = (uint32_t)l.n;
    }
    rec.line = arena_str(f->all->arena, line);
    INVARIANT(batch_add(f->all, &rec, &err) == 0);
}

static inline bool fake_passes(const struct scan_filter *f, struct str line)
{
    bool found = false;

    for (size_t i = 0; i < f->n && !found; i++) {
        if (f->op == SCAN_CONTAINS || f->op == SCAN_CONTAINS_NOT)
            found = str_find(line, f->text[i]) != SIZE_MAX;
        else
            found = regexp_matches(f->re[i], line);
    }
    return found == (f->op == SCAN_CONTAINS || f->op == SCAN_MATCHES);
}

static inline bool fake_wants(const struct fake *f, const struct scan_request *req,
                              const struct record *rec)
{
    if (rec->ts < req->from || rec->ts >= req->to ||
        !matchers_match(req->matchers, req->n_matchers, &f->all->streams[rec->stream]))
        return false;
    for (size_t i = 0; i < req->n_filters; i++)
        if (!fake_passes(&req->filters[i], rec->line))
            return false;
    return true;
}

static inline int fake_forward(const void *a, const void *b)
{
    const struct record *x = *(const struct record *const *)a;
    const struct record *y = *(const struct record *const *)b;

    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static inline int fake_backward(const void *a, const void *b)
{
    return fake_forward(b, a);
}

static inline int fake_open(void *arg, const struct scan_request *req, void **ret, struct err *err)
{
    struct fake *f = arg;
    struct fake_scan *sc;
    int r = f->on_open == NULL ? 0 : f->on_open(f->on_open_arg, req, err);

    if (r < 0)
        return r;
    sc = mem_new(sizeof(*sc));
    f->asked = *req;
    f->scans++;
    sc->fake = f;
    sc->req = *req;
    for (uint32_t i = 0; i < f->all->n_records; i++) {
        sc->stats.lines++;
        sc->stats.line_bytes += f->all->records[i].line.n;
        if (fake_wants(f, req, &f->all->records[i]))
            VEC_PUSH(&sc->hits, &f->all->records[i]);
    }
    if (sc->hits.n > 1 && req->order != SCAN_ANY)
        qsort(sc->hits.p, sc->hits.n, sizeof(*sc->hits.p),
              req->order == SCAN_FORWARD ? fake_forward : fake_backward);
    *ret = sc;
    return 0;
}

static inline int fake_next(void *scan, struct batch **ret, struct err *err)
{
    struct fake_scan *sc = scan;
    size_t n = sc->fake->per_batch != 0 ? sc->fake->per_batch
               : sc->req.batch_records  ? sc->req.batch_records
                                        : 7;
    struct batch *b;

    if (sc->req.max_line_bytes > 0 && sc->stats.line_bytes > sc->req.max_line_bytes)
        return err_set(err, ERR_LIMIT, "too many bytes");
    if (sc->fake->fail_after > 0 && sc->batches++ == sc->fake->fail_after)
        return err_set(err, ERR_IO, "the disk is gone");
    if (sc->at == sc->hits.n)
        return 1;
    b = batch_new(sc->req.budget, 0);
    for (; n > 0 && sc->at < sc->hits.n; n--, sc->at++) {
        struct record rec = *sc->hits.p[sc->at];
        INVARIANT(batch_stream(b, &sc->fake->all->streams[rec.stream], &rec.stream, err) == 0);
        if (!sc->req.need_line)
            rec.line = STR_NULL;
        if (!sc->req.need_attrs)
            rec.n_attr = 0;
        INVARIANT(batch_add(b, &rec, err) == 0);
        sc->stats.lines_out++;
    }
    *ret = b;
    return 0;
}

static inline void fake_stats(void *scan, struct scan_stats *ret)
{
    *ret = ((struct fake_scan *)scan)->stats;
}

static inline void fake_close(void *scan)
{
    struct fake_scan *sc = scan;

    VEC_FINI(&sc->hits);
    free(sc);
}

static inline int fake_streams(void *arg, const struct scan_request *req, scan_stream_fn *fn,
                               void *fn_arg, struct err *err)
{
    struct fake *f = arg;

    (void)err;
    for (uint32_t i = 0; i < f->all->n_streams; i++) {
        int r = 0;
        if (matchers_match(req->matchers, req->n_matchers, &f->all->streams[i]))
            r = fn(fn_arg, &f->all->streams[i]);
        if (r != 0)
            return r;
    }
    return 0;
}

static inline int fake_spans(void *arg, const struct scan_request *req, struct scan_span *spans,
                             size_t n, struct err *err)
{
    struct fake *f = arg;

    (void)req;
    (void)err;
    for (size_t i = 0; i < n; i++)
        spans[i].state = spans[i].to <= f->closed ? f->state : 0;
    return 0;
}

static inline struct source fake_source(struct fake *f)
{
    return (struct source){.arg = f,
                           .open = fake_open,
                           .next = fake_next,
                           .stats = fake_stats,
                           .close = fake_close,
                           .streams = fake_streams,
                           .spans = f->state != 0 ? fake_spans : NULL};
}

/* A query's tree, ready to run; release with ast_fini. */
static inline int fake_query(const char *text, struct ast *ret, struct err *err)
{
    struct place at;
    int r = parse_query(str_of(text), ret, &at, err);

    if (r == 0)
        r = check_query(ret, &at, err);
    return r < 0 ? r : plan_query(ret, err);
}

/* Entries of a log query as text: stream, attribute and parsed labels, then the line; one a line.
 */
static inline int fake_log_entry(void *arg, const struct query_entry *e)
{
    struct buf *out = arg;

    labels_format(out, &e->stream);
    if (e->meta.n > 0)
        labels_format(out, &e->meta);
    if (e->parsed.n > 0) {
        buf_add_char(out, '+');
        labels_format(out, &e->parsed);
    }
    buf_addf(out, " %.*s\n", STR_ARG(e->line));
    return 0;
}

/* Run `text` over the records of `f`; the answer, or what the error says, in `out`.  Returns the
 * code. */
static inline int fake_run(struct fake *f, const char *text, const struct query_params *p,
                           struct buf *out)
{
    const struct exec_sink sink = {.fn = fake_log_entry, .arg = out};
    struct source source = fake_source(f);
    struct query_result *res = NULL;
    struct query_stats stats;
    struct err err = {0};
    struct ast a;
    int r = fake_query(text, &a, &err);

    buf_clear(out);
    if (r == 0 && a.root->kind == NODE_LOG)
        r = exec_log(&a, &source, p, &sink, &stats, &err);
    else if (r == 0)
        r = exec_metric(&a, &source, p, &res, &stats, &err);
    for (size_t i = 0; res != NULL && i < res->n; i++) {
        labels_format(out, &res->series[i].labels);
        for (size_t k = 0; k < res->series[i].n; k++)
            buf_addf(out, " %g@%g", res->series[i].value[k],
                     (double)res->series[i].ts[k] / (double)NS_PER_S);
        buf_add_char(out, '\n');
    }
    if (r < 0) {
        buf_clear(out);
        buf_add_z(out, err.text);
    }
    query_result_free(&res);
    ast_fini(&a);
    return r;
}

#endif
