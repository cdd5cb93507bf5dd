/* storage/scan_run.c - the life of a scan, and records put into batches.  Contract: scan.h. */
#include "base/intern.h"
#include "base/mem.h"
#include "base/obj.h"
#include "storage/scan_codebook.h"
#include "storage/scan_internal.h"
#include "storage/scan_known.h"

#include <stdlib.h>
#include <string.h>

int scan_open_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                    struct scan **ret, struct err *err)
{
    struct scan *sc = mem_new(sizeof(*sc));
    int r;

    sc->magic = SCAN_MAGIC;
    sc->req = *req;
    if (sc->req.batch_records == 0)
        sc->req.batch_records = SCAN_BATCH_RECORDS;
    sc->views = mem_new(n_views * sizeof(*views) + 1);
    if (n_views > 0) {
        memcpy(sc->views, views, n_views * sizeof(*views));
        memset(views, 0, n_views * sizeof(*views));
        sc->frames = sc->views[0].frames;
        sc->pool = sc->views[0].pool;
    }
    sc->n_views = n_views;
    for (size_t i = 0; i < n_views; i++)
        if (sc->views[i].is_partial)
            memcpy(sc->stats.partial, sc->views[i].partial_text, sizeof(sc->stats.partial));
    sc->lo = INT64_MAX; /* nothing, if from >= to */
    sc->hi = INT64_MIN;
    r = scan_filter_init(sc, err);
    if (r == 0)
        scan_ids_init(sc);
    if (r == 0 && req->from < req->to) {
        sc->lo = req->from;
        sc->hi = req->to - 1;
        r = scan_plan_units(sc, err);
    }
    if (r < 0)
        scan_close(&sc);
    else
        *ret = sc;
    return r;
}

void scan_close(struct scan **psc)
{
    struct scan *sc = *psc;

    if (sc == NULL)
        return;
    OBJ_CHECK(sc, SCAN_MAGIC);
    scan_group_clear(sc);
    free(sc->result);
    scan_rows_fini(sc, &sc->rows);
    for (size_t i = 0; i < sc->live.n; i++)
        scan_render_close(sc, sc->live.p[i]);
    for (size_t i = 0; i < SCAN_POOL_SLOTS; i++) {
        scan_block_close_readers(&sc->worker[i], NULL);
        arena_free(&sc->worker[i].work);
        arena_free(&sc->worker[i].out);
        scan_pile_free(&sc->worker[i].pile, sc->req.budget);
        scan_known_free(&sc->worker[i].known);
        scan_codebooks_free(&sc->worker[i].books);
        intern_free(&sc->worker[i].texts);
        buf_fini(&sc->worker[i].line);
        scan_kept_forget(&sc->worker[i]);
        VEC_FINI(&sc->worker[i].kept);
    }
    scan_plan_free(sc);
    scan_filter_free(sc);
    scan_ids_free(sc);
    for (size_t i = 0; i < sc->n_views; i++)
        view_release(&sc->views[i]);
    free(sc->views);
    sc->magic = 0;
    free(sc);
    *psc = NULL;
}

void scan_stats(const struct scan *sc, struct scan_stats *ret)
{
    OBJ_CHECK(sc, SCAN_MAGIC);
    scan_group_stats(sc, ret);
}

/* ---- what comes next ---- */

/* Ordered: the next chunk of the window, or of the next window. */
static int refill_ordered(struct scan *sc, struct err *err)
{
    int r = 0;

    if (sc->next_row == sc->rows.n)
        r = scan_window_next(sc, err);
    return r == 0 ? scan_render_chunk(sc, err) : r;
}

/* In any order: the next result of the group, or of the next group. */
static int refill_any(struct scan *sc, struct err *err)
{
    int r = 0;

    while (r == 0 && sc->next_result == sc->n_result) {
        scan_group_clear(sc);
        sc->next_result = 0;
        scan_plan_retire(sc);
        if (sc->live.n > 0)
            r = scan_group_run(sc, sc->live.n, err);
        else if (sc->next_unit < sc->n_units)
            r = scan_plan_open(sc, err);
        else
            r = 1;
    }
    if (r != 0)
        return r;
    sc->ready = sc->result[sc->next_result].ready;
    sc->n_ready = sc->result[sc->next_result++].n_ready;
    sc->next_ready = 0;
    return 0;
}

static int next_ready(struct scan *sc, const struct scan_ready **ret, struct err *err)
{
    int r = 0;

    while (r == 0 && sc->next_ready == sc->n_ready) {
        sc->ready = NULL;
        sc->n_ready = 0;
        sc->next_ready = 0;
        r = scan_is_ordered(sc) ? refill_ordered(sc, err) : refill_any(sc, err);
    }
    if (r == 0)
        *ret = &sc->ready[sc->next_ready];
    return r;
}

/* ---- batches ---- */

static int copy_bytes(struct arena *a, struct str *s, struct err *err)
{
    char *p = arena_bytes(a, s->n + 1);

    if (p == NULL)
        return arena_err(a, err);
    if (s->n > 0)
        memcpy(p, s->p, s->n);
    s->p = p;
    return 0;
}

static int copy_attrs(struct arena *a, struct record *rec, struct err *err)
{
    struct label *v;

    if (rec->n_attr == 0) {
        rec->attr = NULL;
        return 0;
    }
    v = arena_alloc(a, rec->n_attr * sizeof(*v));
    if (v == NULL)
        return arena_err(a, err);
    memcpy(v, rec->attr, rec->n_attr * sizeof(*v));
    rec->attr = v;
    for (uint32_t i = 0; i < rec->n_attr; i++) {
        int r = copy_bytes(a, &v[i].name, err);
        if (r == 0)
            r = copy_bytes(a, &v[i].value, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static int add_record(struct scan *sc, struct batch *b, const struct scan_ready *ready,
                      struct err *err)
{
    struct scan_stream *stream = ready->stream;
    struct record rec = ready->rec;
    int r = 0;

    if (stream->batch_no != sc->batch_no) {
        r = batch_stream(b, &stream->labels, &stream->batch_index, err);
        if (r < 0)
            return r;
        stream->batch_no = sc->batch_no;
    }
    rec.stream = stream->batch_index;
    if (sc->req.need_line)
        r = copy_bytes(b->arena, &rec.line, err);
    if (r == 0)
        r = copy_attrs(b->arena, &rec, err);
    return r == 0 ? batch_add(b, &rec, err) : r;
}

/* Where few records are expected a batch does not wait for another window: who has enough would not
 * have needed it. */
static bool is_full(const struct scan *sc, const struct batch *b)
{
    bool is_window_done = sc->next_ready == sc->n_ready && sc->next_row == sc->rows.n;

    return b->n_records == sc->req.batch_records || b->line_bytes >= SCAN_BATCH_BYTES ||
           (sc->req.expect > 0 && is_window_done && scan_is_ordered(sc));
}

int scan_next(struct scan *sc, struct batch **ret, struct err *err)
{
    const struct scan_ready *ready = NULL;
    struct batch *b;
    int r;

    OBJ_CHECK(sc, SCAN_MAGIC);
    r = scan_check_cancel(sc, err);
    if (r == 0)
        r = next_ready(sc, &ready, err);
    if (r != 0)
        return r;
    b = batch_new(sc->req.budget, 0);
    sc->batch_no++;
    while (r == 0) {
        r = add_record(sc, b, ready, err);
        if (r < 0)
            break;
        sc->next_ready++;
        if (is_full(sc, b))
            break;
        r = next_ready(sc, &ready, err);
    }
    if (r < 0) {
        batch_unref(&b);
        return r;
    }
    sc->stats.lines_out += b->n_records;
    *ret = b;
    return 0;
}
