/*
 * storage/segment_writer_rows.c - rows of batches, as a flush has them, laid out and written.
 * Contract: segment.h.
 *
 * They are all in memory, so the layout (streams sorted by labels, each stream's rows together)
 * costs a counting sort and no merge.
 */
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/segment_format.h"
#include "storage/stream_blob.h"

#include <stdlib.h>

struct layout {
    const struct segment_row *rows; /* borrowed; ascending seq */
    size_t n;
    uint32_t *stream;    /* of row i; owned */
    uint32_t *order;     /* rows in layout order; owned */
    struct arena *arena; /* of labels and streams */
    VEC(struct segment_stream) found;
    struct segment_stream *streams; /* by labels */
};

static const struct record *record_of(const struct segment_row *row)
{
    return &row->batch->records[row->record];
}

static int by_seq(const void *a, const void *b)
{
    uint64_t x = record_of(a)->seq;
    uint64_t y = record_of(b)->seq;

    return (x > y) - (x < y);
}

static int sort_rows(struct segment_row *rows, size_t n, struct err *err)
{
    bool sorted = true;

    for (size_t i = 1; i < n && sorted; i++)
        sorted = record_of(&rows[i - 1])->seq < record_of(&rows[i])->seq;
    if (sorted)
        return 0;
    qsort(rows, n, sizeof(*rows), by_seq);
    for (size_t i = 1; i < n; i++)
        if (record_of(&rows[i - 1])->seq == record_of(&rows[i])->seq)
            return err_set(err, ERR_INVALID, "two records have seq %llu",
                           (unsigned long long)record_of(&rows[i])->seq);
    return 0;
}

/* ---- streams ---- */

struct numbering {
    struct map *index; /* blob of labels -> number + 1 */
    struct buf blob;
    const struct batch *batch; /* whose streams `memo` is about */
    VEC(uint32_t) memo;        /* number + 1 of each stream of the batch; 0: not asked yet */
};

static int number_stream(struct layout *w, struct numbering *nb, const struct labels *labels,
                         uint32_t *ret, struct err *err)
{
    struct segment_stream s = {.min_ts = INT64_MAX, .max_ts = INT64_MIN};
    uintptr_t known;
    int r;

    buf_clear(&nb->blob);
    stream_blob_put(&nb->blob, labels);
    r = buf_err(&nb->blob, "labels of a stream", err);
    if (r < 0)
        return r;
    known = (uintptr_t)map_get(nb->index, buf_str(&nb->blob));
    *ret = (uint32_t)known;
    if (known != 0)
        return 0;
    known = w->found.n + 1;
    if (!map_put(nb->index, buf_str(&nb->blob), (void *)known))
        return err_set(err, ERR_LIMIT, "more than %d streams in one segment", SEGMENT_STREAMS_MAX);
    r = labels_copy(w->arena, labels, &s.labels, err);
    if (r < 0)
        return r;
    VEC_PUSH(&w->found, s);
    *ret = (uint32_t)known;
    return 0;
}

static void enter_batch(struct numbering *nb, const struct batch *b)
{
    nb->batch = b;
    VEC_RESERVE(&nb->memo, b->n_streams);
    nb->memo.n = b->n_streams;
    memset(nb->memo.p, 0, b->n_streams * sizeof(*nb->memo.p));
}

static int number_rows(struct layout *w, struct numbering *nb, struct err *err)
{
    for (size_t i = 0; i < w->n; i++) {
        const struct batch *b = w->rows[i].batch;
        const struct record *rec = record_of(&w->rows[i]);
        struct segment_stream *s;
        uint32_t *number;
        if (b != nb->batch) /* rows of one batch mostly stand together */
            enter_batch(nb, b);
        INVARIANT(rec->stream < b->n_streams);
        number = &nb->memo.p[rec->stream];
        if (*number == 0) {
            int r = number_stream(w, nb, &b->streams[rec->stream], number, err);
            if (r < 0)
                return r;
        }
        w->stream[i] = *number - 1;
        s = &w->found.p[*number - 1];
        s->rows++;
        s->min_ts = rec->ts < s->min_ts ? rec->ts : s->min_ts;
        s->max_ts = rec->ts > s->max_ts ? rec->ts : s->max_ts;
    }
    return 0;
}

static int by_labels(const void *a, const void *b)
{
    const struct segment_stream *x = *(const struct segment_stream *const *)a;
    const struct segment_stream *y = *(const struct segment_stream *const *)b;

    return labels_cmp(&x->labels, &y->labels);
}

/* Renumber by labels, so that streams of one program stand beside each other, and lay the rows out.
 */
static int lay_out(struct layout *w, struct err *err)
{
    size_t n = w->found.n;
    struct segment_stream **sorted = mem_grow(NULL, n * sizeof(struct segment_stream *));
    uint32_t *renumber = mem_grow(NULL, n * sizeof(*renumber));
    size_t *next = mem_new(n * sizeof(*next));
    struct segment_stream *v = arena_alloc(w->arena, n * sizeof(*v));
    size_t at = 0;

    for (size_t i = 0; i < n; i++)
        sorted[i] = &w->found.p[i];
    qsort((void *)sorted, n, sizeof(*sorted), by_labels);
    for (size_t i = 0; i < n && v != NULL; i++) {
        renumber[sorted[i] - w->found.p] = (uint32_t)i;
        v[i] = *sorted[i];
        next[i] = at;
        at += v[i].rows;
    }
    for (size_t i = 0; i < w->n && v != NULL; i++) {
        w->stream[i] = renumber[w->stream[i]];
        w->order[next[w->stream[i]]++] = (uint32_t)i;
    }
    w->streams = v;
    free((void *)sorted);
    free(renumber);
    free(next);
    return v == NULL ? arena_err(w->arena, err) : 0;
}

static int place_rows(struct layout *w, struct err *err)
{
    struct numbering nb = {.index = map_new(SEGMENT_STREAMS_MAX, NULL)};
    int r;

    buf_init(&nb.blob, STREAMS_RAW_MAX);
    r = number_rows(w, &nb, err);
    if (r == 0)
        r = lay_out(w, err);
    map_free(&nb.index);
    buf_fini(&nb.blob);
    VEC_FINI(&nb.memo);
    return r;
}

static int add_rows(struct segment_writer *w, const struct layout *l, struct err *err)
{
    uint32_t stream = UINT32_MAX;
    int r = 0;

    for (size_t i = 0; r == 0 && i < l->n; i++) {
        uint32_t at = l->order[i];
        const struct record *rec = record_of(&l->rows[at]);
        struct segment_item it = {rec->ts,
                                  rec->seq,
                                  rec->line,
                                  rec->attr,
                                  rec->n_attr,
                                  l->rows[at].received,
                                  l->rows[at].received};
        if (l->stream[at] != stream) {
            stream = l->stream[at];
            r = segment_writer_stream(w, &l->streams[stream].labels, err);
        }
        if (r == 0)
            r = segment_writer_add(w, &it, false, err);
    }
    return r;
}

int segment_writer_write(struct objstore *os, const struct segment_options *opt,
                         struct segment_row *rows, size_t n, struct segment_info **ret,
                         struct err *err)
{
    struct layout l = {.rows = rows, .n = n};
    struct segment_writer *w = NULL;
    int r;

    INVARIANT(n > 0);
    if (n > UINT32_MAX)
        return err_set(err, ERR_LIMIT, "%zu rows in one segment", n);
    r = sort_rows(rows, n, err);
    if (r < 0)
        return r;
    l.arena = arena_new(NULL, 0); /* bounded by the rows, as their batches are */
    l.stream = mem_grow(NULL, n * sizeof(*l.stream));
    l.order = mem_grow(NULL, n * sizeof(*l.order));
    r = place_rows(&l, err);
    if (r == 0)
        r = segment_writer_open(os, opt, &w, err);
    if (r == 0)
        r = add_rows(w, &l, err);
    if (r == 0)
        r = segment_writer_finish(w, ret, err);
    segment_writer_free(&w);
    arena_free(&l.arena);
    VEC_FINI(&l.found);
    free(l.stream);
    free(l.order);
    return r;
}
