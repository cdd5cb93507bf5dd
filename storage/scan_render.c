/*
 * storage/scan_render.c - rows to records: lines and attributes, only of what is handed out.
 *
 * The next rows of a window come from many blocks in turn.  They are written out a chunk at a time,
 * block by block, so each block is opened once for a chunk; blocks stay open for the next one, if
 * one can come, as long as there is room.  Chunks grow, so that with more blocks than fit the
 * opening pays.
 */
#include "base/mem.h"
#include "storage/scan_internal.h"

#include <stdlib.h>

struct scan_open {
    struct arena *arena;
    struct scan_block block;
    size_t held; /* of the arena, in sc->open_bytes */
};

void scan_render_close(struct scan *sc, struct scan_candidate *c)
{
    struct scan_open *o = c->open;

    if (o == NULL)
        return;
    scan_block_fini(&o->block);
    arena_free(&o->arena);
    (void)atomic_fetch_sub_explicit(&sc->open_bytes, o->held, memory_order_relaxed);
    free(o);
    c->open = NULL;
}

static struct scan_open *open_block(struct scan *sc, struct scan_worker *w,
                                    struct scan_candidate *c)
{
    struct scan_open *o = c->open;

    if (o == NULL) {
        o = mem_new(sizeof(*o));
        o->arena = arena_new(sc->req.budget, 0);
        scan_block_init(&o->block, sc, w, c, o->arena);
        c->open = o;
    }
    o->block.worker = w;
    return o;
}

static int render_line(struct scan_block *b, uint32_t at, struct arena *out, struct str *ret,
                       struct err *err)
{
    const struct scan_fields fields = scan_fields_of(&b->sc->req);
    struct buf *line = &b->worker->line;
    bool is_reduced = false;
    int r = 0;

    if (b->sc->req.parser != SCAN_PARSE_NONE)
        r = scan_reduce_line(b, &fields, at, line, &is_reduced, err);
    if (r < 0 || !is_reduced)
        return r < 0 ? r : lines_render(b->lines, at, out, ret, err);
    *ret = arena_str(out, buf_str(line));
    return ret->p == NULL ? arena_err(out, err) : 0;
}

int scan_render_row(struct scan_block *b, uint32_t at, struct arena *out, struct record *ret,
                    struct err *err)
{
    const struct scan_request *req = &b->sc->req;
    int r = 0;

    if (req->need_line) {
        r = b->lines == NULL ? scan_block_lines(b, err) : 0;
        if (r == 0)
            r = render_line(b, at, out, &ret->line, err);
    }
    if (r == 0 && req->need_attrs) {
        r = b->attrs == NULL ? scan_block_attrs(b, err) : 0;
        if (r == 0 && b->attrs != NULL)
            r = lines_attrs(b->attrs, at, out, &ret->attr, &ret->n_attr, err);
    }
    return r;
}

/* ---- a chunk ---- */

struct chunk_item {
    struct scan_candidate *candidate;
    uint32_t row; /* of the chunk */
};
struct chunk_job {
    size_t first, n; /* items */
};
struct chunk {
    struct scan *sc;
    const struct scan_row *row;
    struct scan_ready *ready;
    struct chunk_item *item; /* by candidate, then by row */
    struct chunk_job *job;
    size_t n, n_jobs;
    bool is_last; /* no row comes behind it */
};

static void render_head(struct chunk *ch, const struct chunk_job *job)
{
    const struct scan_candidate *c = ch->item[job->first].candidate;
    const struct batch *b = c->part->view->batch[c->index];

    for (size_t i = 0; i < job->n; i++) {
        uint32_t row = ch->item[job->first + i].row;
        scan_head_record(ch->sc, &b->records[ch->row[row].at], &ch->ready[row].rec);
        ch->ready[row].stream = &c->streams[ch->row[row].stream];
    }
}

static int render_row(struct scan_block *b, uint32_t at, struct arena *out, struct record *ret,
                      struct err *err)
{
    bool may = scan_kept_may(b->sc);
    int r;

    if (may && scan_kept_take(b, at, ret))
        return 0;
    r = scan_render_row(b, at, out, ret, err);
    if (r == 0 && may)
        scan_kept_put(b, at, ret);
    return r;
}

/* What a block that cannot be read leaves: records that are taken out again. */
static void forget(struct chunk *ch, const struct chunk_job *job)
{
    for (size_t i = 0; i < job->n; i++)
        ch->ready[ch->item[job->first + i].row].stream = NULL;
}

static int render_block(struct chunk *ch, const struct chunk_job *job, struct scan_worker *w,
                        struct err *err)
{
    struct scan *sc = ch->sc;
    struct scan_candidate *c = ch->item[job->first].candidate;
    struct scan_open *o = open_block(sc, w, c);
    size_t sum;
    int r = 0;

    for (size_t i = 0; r == 0 && i < job->n; i++) {
        uint32_t row = ch->item[job->first + i].row;
        struct scan_ready *ready = &ch->ready[row];
        ready->rec = (struct record){.ts = ch->row[row].ts, .seq = ch->row[row].seq};
        ready->stream = &c->part->streams[ch->row[row].stream];
        r = render_row(&o->block, ch->row[row].at, w->out, &ready->rec, err);
    }
    sum = atomic_fetch_add_explicit(&sc->open_bytes, arena_held(o->arena) - o->held,
                                    memory_order_relaxed);
    sum += arena_held(o->arena) - o->held;
    o->held = arena_held(o->arena);
    if (ch->is_last || sum > SCAN_OPEN_BYTES || r < 0)
        scan_render_close(sc, c);
    if (r < 0)
        forget(ch, job);
    return scan_block_forgive(w, c, r, err);
}

static int render(void *arg, size_t job, unsigned slot, struct err *err)
{
    struct chunk *ch = arg;
    const struct chunk_job *j = &ch->job[job];
    int r = scan_check_cancel(ch->sc, err);

    if (r < 0)
        return r;
    if (ch->item[j->first].candidate->segment != NULL)
        return render_block(ch, j, scan_group_worker(ch->sc, slot), err);
    render_head(ch, j);
    return 0;
}

static int by_candidate(const void *a, const void *b)
{
    const struct chunk_item *x = a;
    const struct chunk_item *y = b;

    if (x->candidate != y->candidate)
        return (uintptr_t)x->candidate < (uintptr_t)y->candidate ? -1 : 1;
    return (x->row > y->row) - (x->row < y->row);
}

static void make_jobs(struct chunk *ch)
{
    for (size_t i = 0; i < ch->n; i++)
        ch->item[i] = (struct chunk_item){ch->row[i].candidate, (uint32_t)i};
    if (ch->n > 1)
        qsort(ch->item, ch->n, sizeof(*ch->item), by_candidate);
    for (size_t i = 0; i < ch->n; i++) {
        if (i == 0 || ch->item[i].candidate != ch->item[i - 1].candidate)
            ch->job[ch->n_jobs++] = (struct chunk_job){i, 0};
        ch->job[ch->n_jobs - 1].n++;
    }
}

/* ---- its size ---- */

static size_t row_bytes(const struct scan_row *row)
{
    const struct scan_candidate *c = row->candidate;

    if (c->segment == NULL)
        return sizeof(struct scan_ready);
    return (size_t)(c->block.raw_bytes / c->block.rows) + sizeof(struct scan_ready);
}

static size_t chunk_size(struct scan *sc)
{
    size_t left = sc->rows.n - sc->next_row;
    size_t bytes = 0;
    size_t n = 0;

    if (sc->chunk_rows == 0)
        sc->chunk_rows =
            sc->req.expect > sc->req.batch_records ? sc->req.expect : sc->req.batch_records;
    else if (sc->chunk_rows < SCAN_CHUNK_ROWS)
        sc->chunk_rows *= 2;
    if (sc->chunk_rows > SCAN_CHUNK_ROWS)
        sc->chunk_rows = SCAN_CHUNK_ROWS;
    while (n < left && n < sc->chunk_rows && (n == 0 || bytes < SCAN_CHUNK_BYTES))
        bytes += row_bytes(&sc->rows.v[sc->next_row + n++]);
    return n;
}

static void drop_forgotten(struct scan *sc)
{
    size_t kept = 0;

    for (size_t i = 0; i < sc->n_ready; i++)
        if (sc->ready[i].stream != NULL)
            sc->ready[kept++] = sc->ready[i];
    sc->n_ready = kept;
}

int scan_render_chunk(struct scan *sc, struct err *err)
{
    struct chunk ch = {.sc = sc, .n = chunk_size(sc), .row = sc->rows.v + sc->next_row};
    struct arena *a;
    int r;

    for (unsigned i = 0; i < SCAN_POOL_SLOTS; i++) {
        scan_kept_forget(&sc->worker[i]);
        if (sc->worker[i].out != NULL)
            arena_reset(sc->worker[i].out);
    }
    a = scan_group_worker(sc, 0)->out;
    ch.is_last = sc->next_row + ch.n == sc->rows.n && sc->lo > sc->hi;
    ch.ready = arena_alloc(a, ch.n * sizeof(*ch.ready));
    ch.item = arena_alloc(a, ch.n * sizeof(*ch.item));
    ch.job = arena_alloc(a, ch.n * sizeof(*ch.job));
    if (ch.ready == NULL || ch.item == NULL || ch.job == NULL)
        return arena_err(a, err);
    make_jobs(&ch);
    r = scan_pool_run(sc->pool, ch.n_jobs, render, &ch, err);
    if (r < 0)
        return r;
    sc->ready = ch.ready;
    sc->n_ready = ch.n;
    sc->next_ready = 0;
    sc->next_row += ch.n;
    drop_forgotten(sc);
    return 0;
}
