/* query/source_batch.c - see source_batch.h. */
#include "query/source_batch.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/regexp.h"

#include <stdlib.h>

struct batch_scan {
    unsigned magic;
#define BATCH_SCAN_MAGIC 0x50ba7c45u
    const struct batch *from;
    const struct scan_request *req;
    bool *selected; /* of streams; owned */
    bool done;
    struct scan_stats stats;
};

/* The source's argument is read only, as what it points to. */
static void *hide_const(const struct batch *b)
{
    return (void *)(uintptr_t)b;
}

static int batch_scan_open(void *arg, const struct scan_request *req, void **ret, struct err *err)
{
    struct batch_scan *s = mem_new(sizeof(*s));

    (void)err;
    s->magic = BATCH_SCAN_MAGIC;
    s->from = arg;
    s->req = req;
    s->selected = mem_new(s->from->n_streams * sizeof(*s->selected) + 1);
    for (uint32_t i = 0; i < s->from->n_streams; i++)
        s->selected[i] = matchers_match(req->matchers, req->n_matchers, &s->from->streams[i]);
    *ret = s;
    return 0;
}

static bool is_in(const struct scan_filter *f, size_t i, struct str line)
{
    if (f->op == SCAN_CONTAINS || f->op == SCAN_CONTAINS_NOT)
        return str_find(line, f->text[i]) != SIZE_MAX;
    return regexp_matches(f->re[i], line);
}

static bool passes(const struct scan_filter *f, struct str line)
{
    bool found = false;

    for (size_t i = 0; i < f->n && !found; i++)
        found = is_in(f, i, line);
    return found == (f->op == SCAN_CONTAINS || f->op == SCAN_MATCHES);
}

static bool wants(struct batch_scan *s, const struct record *rec)
{
    if (!s->selected[rec->stream] || rec->ts < s->req->from || rec->ts >= s->req->to)
        return false;
    s->stats.lines++;
    s->stats.line_bytes += rec->line.n;
    for (size_t i = 0; i < s->req->n_filters; i++)
        if (!passes(&s->req->filters[i], rec->line))
            return false;
    s->stats.lines_out++;
    return true;
}

/* A batch of the wanted records only: their bytes stay where they are. */
static int batch_scan_next(void *scan, struct batch **ret, struct err *err)
{
    struct batch_scan *s = scan;
    struct batch *b;
    int r = 0;

    OBJ_CHECK(s, BATCH_SCAN_MAGIC);
    if (s->done)
        return 1;
    s->done = true;
    b = batch_new(s->req->budget, 0);
    for (uint32_t i = 0; r == 0 && i < s->from->n_records; i++) {
        struct record rec = s->from->records[i];
        if (!wants(s, &rec))
            continue;
        r = batch_stream(b, &s->from->streams[rec.stream], &rec.stream, err);
        if (r == 0)
            r = batch_add(b, &rec, err);
    }
    if (r < 0)
        batch_unref(&b);
    else
        *ret = b;
    return r;
}

static void batch_scan_stats(void *scan, struct scan_stats *ret)
{
    const struct batch_scan *s = scan;

    *ret = s->stats;
}

static void batch_scan_close(void *scan)
{
    struct batch_scan *s = scan;

    OBJ_CHECK(s, BATCH_SCAN_MAGIC);
    free(s->selected);
    s->magic = 0;
    free(s);
}

static int batch_scan_streams(void *arg, const struct scan_request *req, scan_stream_fn *fn,
                              void *fn_arg, struct err *err)
{
    const struct batch *b = arg;
    int r = 0;

    (void)err;
    for (uint32_t i = 0; r == 0 && i < b->n_streams; i++)
        if (matchers_match(req->matchers, req->n_matchers, &b->streams[i]))
            r = fn(fn_arg, &b->streams[i]);
    return r;
}

struct source source_batch(const struct batch *b)
{
    return (struct source){.arg = hide_const(b),
                           .open = batch_scan_open,
                           .next = batch_scan_next,
                           .stats = batch_scan_stats,
                           .close = batch_scan_close,
                           .streams = batch_scan_streams};
}
