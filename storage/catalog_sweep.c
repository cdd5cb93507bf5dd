/*
 * storage/catalog_sweep.c - streams that no segment holds any more.  Contract: catalog_index.h.
 *
 * What a tenant deleted must not stay as labels: their chunk is written anew without them, and the
 * index, whose pages hold values and no stream's name, is made again from those that are left.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "storage/catalog_blob.h"
#include "storage/catalog_index.h"
#include "storage/catalog_internal.h"
#include "storage/catalog_run.h"
#include "storage/catalog_streams.h"
#include "storage/db.h"
#include "storage/le.h"
#include "storage/varint.h"

#include <stdlib.h>

enum { BATCH = 1 << 14, ARENA_MAX = 512 << 20 };

struct sweep {
    struct catalog *c;
    struct idset used;
    size_t gone;
    uint32_t end;
    struct arena *arena; /* labels of the batch */
    const struct segment_stream *batch[BATCH];
    uint32_t first; /* id of batch[0] */
    size_t n;
};

static int note_segment(void *arg, const struct catalog_segment *s, struct err *err)
{
    struct sweep *w = arg;

    (void)err;
    for (uint32_t i = 0; i < s->n_streams; i++)
        idset_add(&w->used, le_get32(s->streams + 4 * (size_t)i));
    return 0;
}

static int note_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct sweep *w = arg;

    (void)l;
    (void)err;
    w->gone += !idset_has(&w->used, id);
    return 0;
}

static int drop_runs(struct catalog *c, struct err *err)
{
    struct catalog_run runs[CATALOG_RUNS_MAX];
    size_t n = 0;
    int r = catalog_run_list(c, runs, &n, err);

    for (size_t i = 0; r == 0 && i < n; i++)
        r = catalog_run_drop(c, &runs[i], err);
    return r;
}

static int end_batch(struct sweep *w, struct err *err)
{
    int r = w->n == 0 ? 0 : catalog_index_add(w->c, w->batch, w->n, w->first, err);

    arena_reset(w->arena);
    w->first += (uint32_t)w->n;
    w->n = 0;
    return r;
}

/* Put one that stays into the batch; ids that are missing before it are NULL there. */
static int keep_stream(void *arg, uint64_t id, const struct labels *l, struct err *err)
{
    struct sweep *w = arg;
    struct segment_stream *own;
    int r = 0;

    while (r == 0 && w->first + w->n < id) {
        if (w->n == BATCH)
            r = end_batch(w, err);
        w->batch[w->n++] = NULL;
    }
    if (r == 0 && w->n == BATCH)
        r = end_batch(w, err);
    if (r < 0)
        return r;
    own = arena_alloc(w->arena, sizeof(*own));
    if (own == NULL)
        return arena_err(w->arena, err);
    w->batch[w->n++] = own;
    return labels_copy(w->arena, l, &own->labels, err);
}

static int sweep(struct sweep *w, struct err *err)
{
    int r = drop_runs(w->c, err);

    if (r == 0)
        r = catalog_streams_keep(w->c, &w->used, err);
    if (r == 0)
        r = catalog_streams(w->c, keep_stream, w, err);
    return r == 0 ? end_batch(w, err) : r;
}

int catalog_streams_sweep(struct catalog *c, size_t *ret, struct err *err)
{
    static const struct catalog_range ALL = {UINT64_MAX, INT64_MIN, INT64_MAX};
    struct sweep *w = mem_new(sizeof(*w));
    uint64_t applied = 0;
    int r;

    OBJ_CHECK(c, CATALOG_MAGIC);
    w->c = c;
    w->first = 1;
    w->arena = arena_new(NULL, ARENA_MAX);
    r = catalog_streams_end(c, &w->end, err);
    if (r == 0)
        r = idset_init(&w->used, w->end, false, w->arena, err);
    if (r == 0)
        r = catalog_segments(c, &ALL, note_segment, w, err);
    if (r == 0)
        r = catalog_streams(c, note_stream, w, err);
    if (r == 0 && w->gone > 0)
        r = catalog_applied(c, &applied, err);
    if (r == 0 && w->gone > 0) {
        struct arena *used = w->arena; /* holds the set: the batches have one of their own */
        w->arena = arena_new(NULL, ARENA_MAX);
        r = catalog_begin(c, err);
        if (r == 0)
            r = catalog_end(c, sweep(w, err), applied, err);
        arena_free(&used);
    }
    if (r == 0)
        *ret = w->gone;
    arena_free(&w->arena);
    free(w);
    return r;
}
