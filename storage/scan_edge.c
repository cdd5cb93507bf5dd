/*
 * storage/scan_edge.c - the first or last rows of a block, kept from query to query.
 *
 * The newest hundred lines of all streams come a few each from many blocks, and all that is asked
 * of most of them is that they have none newer.  To tell so the keys of a whole block are read; so
 * what was found at its end is kept: of each of these rows time, number and place; or that too many
 * have one time there, so that this is not looked for again by each who asks.
 *
 * Invariant: an edge has every row of its block, of whatever stream, from that end to `far`; one
 * without rows says nothing.
 */
#include "base/mem.h"
#include "storage/scan_internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROWS_LEAST = 128,
    TIES = 4,    /* times its rows: what equal times may make of them */
    ARRIVED = 2, /* times its rows: looked at to begin with */
};

struct edge_row {
    ts_ns ts;
    uint64_t seq;
    uint32_t at, stream; /* number in the segment */
};
struct edge {
    ts_ns far;
    bool is_whole; /* there is nothing behind far */
    size_t tried;  /* so many rows were to be in it: they are, or too many have one time */
    size_t n;
    struct edge_row v[];
};

static bool is_before(const struct scan *sc, ts_ns x, ts_ns y)
{
    return scan_is_backward(sc) ? x > y : x < y;
}

/* May an edge be the answer? */
static bool may_use(const struct scan_selection *s)
{
    const struct scan *sc = s->block.sc;

    return sc->frames != NULL && scan_is_ordered(sc) && sc->req.n_filters == 0 &&
           sc->req.n_conditions == 0 && sc->req.expect > 0 && sc->req.expect <= SCAN_FEW_ROWS &&
           !s->block.candidate->hides;
}

/* Is it worth the making?  Where the end itself is asked for, of all streams. */
static bool may_make(const struct scan_selection *s)
{
    const struct scan_candidate *c = s->block.candidate;

    return c->all_streams &&
           (scan_is_backward(s->block.sc) ? c->max_ts <= s->hi : c->min_ts >= s->lo);
}

/* ---- making ---- */

/* How many rows it has, if there are as many. */
static size_t edge_rows(const struct scan *sc)
{
    return sc->req.expect <= ROWS_LEAST ? ROWS_LEAST : SCAN_FEW_ROWS;
}

/* Rows arrive nearly in the order of time: the first time that is surely far enough. */
static ts_ns first_far(const struct scan *sc, const struct block_keys *k, size_t rows)
{
    size_t arrived = ARRIVED * edge_rows(sc);
    size_t n = rows < arrived ? rows : arrived;
    size_t first = scan_is_backward(sc) ? rows - n : 0;
    ts_ns far = k->ts[first];

    for (size_t i = first; i < first + n; i++)
        far = is_before(sc, far, k->ts[i]) ? k->ts[i] : far;
    return far;
}

static int gather(struct scan_selection *s, struct scan_rows *rows, ts_ns *far, struct err *err)
{
    const struct scan *sc = s->block.sc;
    const struct block_keys *k = &s->keys;
    size_t n = s->block.candidate->block.rows;
    size_t found = 0;
    int r = scan_block_keys(&s->block, BLOCK_WANT_KEYS, &s->keys, err);

    if (r < 0)
        return r;
    *far = first_far(sc, k, n);
    for (size_t i = 0; i < n; i++)
        found += !is_before(sc, *far, k->ts[i]);
    r = scan_rows_reserve(s->block.sc, rows, found, err);
    for (size_t i = 0; r == 0 && i < n; i++)
        if (!is_before(sc, *far, k->ts[i]))
            rows->v[rows->n++] = (struct scan_row){
                .ts = k->ts[i], .seq = k->seq[i], .at = k->layout[i], .stream = k->stream[i]};
    if (r == 0)
        scan_window_cut(sc, rows, edge_rows(sc), far);
    return r;
}

static struct frame_key key_of(const struct scan_selection *s)
{
    return scan_block_key(&s->block, FRAME_EDGE, scan_is_backward(s->block.sc));
}

static size_t bytes_of(size_t rows)
{
    return sizeof(struct edge) + rows * sizeof(struct edge_row);
}

static struct edge *edge_of(const struct scan_selection *s, const struct scan_rows *rows, ts_ns far)
{
    struct edge *e = mem_new(bytes_of(rows->n));

    e->far = far;
    e->is_whole = rows->n == s->block.candidate->block.rows;
    e->n = rows->n;
    for (size_t i = 0; i < rows->n; i++) {
        const struct scan_row *row = &rows->v[i];
        e->v[i] = (struct edge_row){row->ts, row->seq, row->at, row->stream};
    }
    return e;
}

/* The shorter one that there is, or one without rows. */
static struct edge *copy_of(const struct edge *old)
{
    size_t bytes = bytes_of(old == NULL ? 0 : old->n);
    struct edge *e = mem_new(bytes);

    if (old != NULL)
        memcpy(e, old, bytes);
    return e;
}

/* Takes the place of `old` (may be NULL). */
static int make(struct scan_selection *s, const struct edge *old, struct frame **ret,
                struct err *err)
{
    const struct frame_key key = key_of(s);
    struct scan_rows rows = {.v = NULL};
    ts_ns far = 0;
    struct edge *e;
    int r = gather(s, &rows, &far, err);

    if (r == 0) {
        e = rows.n <= TIES * edge_rows(s->block.sc) ? edge_of(s, &rows, far) : copy_of(old);
        e->tried = edge_rows(s->block.sc);
        *ret = scan_frame_keep(s->block.sc->frames, s->block.candidate->part->partition, &key, e,
                               bytes_of(e->n), free);
    }
    scan_rows_fini(s->block.sc, &rows);
    return r;
}

/* ---- using ---- */

static bool is_wanted(const struct scan_candidate *c, const struct edge_row *row)
{
    return row->stream < c->segment->n_streams && c->segment->stream[row->stream] != UINT32_MAX;
}

static bool is_within(const struct scan_selection *s, const struct edge_row *row)
{
    return row->ts >= s->lo && row->ts <= s->hi;
}

/* Does it have all that is asked for now, or as much as will be taken? */
static bool is_enough(const struct scan_selection *s, const struct edge *e, bool is_cut)
{
    size_t n = 0;

    for (size_t i = 0; is_cut && i < e->n; i++)
        n += is_within(s, &e->v[i]) && is_wanted(s->block.candidate, &e->v[i]);
    return !is_cut || n >= s->block.sc->req.expect;
}

static int take(struct scan_selection *s, const struct edge *e, struct scan_result *ret,
                struct err *err)
{
    struct scan *sc = s->block.sc;
    struct scan_candidate *c = s->block.candidate;
    ts_ns end = scan_is_backward(sc) ? s->lo : s->hi;
    bool is_cut = !e->is_whole && is_before(sc, e->far, end);
    double bytes;
    int r;

    if (e->n == 0 || !is_enough(s, e, is_cut))
        return 1;
    r = scan_rows_reserve(sc, &ret->rows, e->n, err);
    for (size_t i = 0; r == 0 && i < e->n; i++) {
        const struct edge_row *row = &e->v[i];
        if (is_within(s, row) && is_wanted(c, row))
            ret->rows.v[ret->rows.n++] =
                (struct scan_row){row->ts, row->seq, c, row->at, c->segment->stream[row->stream]};
    }
    if (r < 0)
        return r;
    ret->is_cut = is_cut;
    ret->far = e->far;
    bytes = (double)c->block.raw_bytes / (double)c->block.rows * (double)ret->rows.n;
    return scan_count_lines(sc, s->block.worker, ret->rows.n,
                            sc->req.need_line ? (uint64_t)bytes : 0, err);
}

/* Was it made for fewer rows than are expected now? */
static bool is_small(const struct scan_selection *s, const struct edge *e)
{
    return !e->is_whole && e->tried < edge_rows(s->block.sc);
}

int scan_edge_select(struct scan_selection *s, struct scan_result *ret, struct err *err)
{
    struct frame *f = NULL;
    struct frame *made = NULL;
    struct frame_key key;
    int r;

    if (!may_use(s))
        return 1;
    key = key_of(s);
    f = frame_cache_get(s->block.sc->frames, &key);
    r = f == NULL ? 1 : take(s, frame_value(f), ret, err);
    if (r == 1 && may_make(s) && (f == NULL || is_small(s, frame_value(f)))) {
        r = make(s, f == NULL ? NULL : frame_value(f), &made, err);
        if (r == 0)
            r = take(s, frame_value(made), ret, err);
    }
    frame_unref(&made);
    frame_unref(&f);
    return r;
}
