/*
 * storage/scan_group.c - some candidates at once, on the threads of the pool.
 *
 * A group is a run of candidates in the scan's order; none begins once the group has brought in
 * enough bytes.  Jobs begin in order, but one that is held up may find that others have brought
 * enough: what counts is the prefix that was done, and the rest is looked at again.  So what is
 * handed out does not depend on who was faster.  Groups grow while they bring little (a needle
 * looks at hundreds of blocks for nothing), and shrink when they bring much.
 */
#include "base/mem.h"
#include "storage/scan_internal.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- rows ---- */

int scan_rows_reserve(struct scan *sc, struct scan_rows *rows, size_t n, struct err *err)
{
    size_t cap = rows->cap == 0 ? 256 : rows->cap;
    int r = 0;

    if (n <= rows->cap)
        return 0;
    while (cap < n)
        cap *= 2;
    if (sc->req.budget != NULL)
        r = mem_budget_take(sc->req.budget, (cap - rows->cap) * sizeof(*rows->v), err);
    if (r < 0)
        return r;
    rows->v = mem_grow(rows->v, cap * sizeof(*rows->v));
    rows->cap = cap;
    return 0;
}

void scan_rows_fini(struct scan *sc, struct scan_rows *rows)
{
    if (sc->req.budget != NULL)
        mem_budget_give(sc->req.budget, rows->cap * sizeof(*rows->v));
    free(rows->v);
    *rows = (struct scan_rows){.v = NULL};
}

/* ---- workers ---- */

struct scan_worker *scan_group_worker(struct scan *sc, unsigned slot)
{
    struct scan_worker *w = &sc->worker[slot];

    if (w->work == NULL) {
        w->work = arena_new(sc->req.budget, 0);
        w->out = arena_new(sc->req.budget, 0);
        buf_init(&w->line, 2 * RECORD_LINE_MAX);
    }
    return w;
}

static void add_stats(struct scan_stats *sum, const struct scan_stats *s)
{
    sum->blocks_read += s->blocks_read;
    sum->head_batches += s->head_batches;
    sum->stored_bytes_read += s->stored_bytes_read;
    sum->lines += s->lines;
    sum->line_bytes += s->line_bytes;
    sum->damaged_blocks += s->damaged_blocks;
    if (sum->damage[0] == '\0')
        memcpy(sum->damage, s->damage, sizeof(sum->damage));
}

void scan_group_stats(const struct scan *sc, struct scan_stats *ret)
{
    *ret = sc->stats;
    for (size_t i = 0; i < SCAN_POOL_SLOTS; i++)
        add_stats(ret, &sc->worker[i].stats);
}

int scan_count_lines(struct scan *sc, struct scan_worker *w, uint64_t lines, uint64_t bytes,
                     struct err *err)
{
    uint64_t sum = atomic_fetch_add_explicit(&sc->line_bytes, bytes, memory_order_relaxed) + bytes;

    w->stats.lines += lines;
    w->stats.line_bytes += bytes;
    if (sc->req.max_line_bytes != 0 && sum > sc->req.max_line_bytes)
        return err_set(err, ERR_LIMIT, "the query looks at more than %" PRIu64 " bytes of lines",
                       sc->req.max_line_bytes);
    return 0;
}

/* ---- groups ---- */

static size_t held_by(const struct scan_result *res)
{
    return res->rows.n * sizeof(*res->rows.v) + (res->arena == NULL ? 0 : arena_held(res->arena));
}

static int look(void *arg, size_t job, unsigned slot, struct err *err)
{
    struct scan *sc = arg;
    struct scan_worker *w = scan_group_worker(sc, slot);
    struct scan_candidate *c = sc->live.p[sc->n_looked + job];
    struct scan_result *res = &sc->result[job];
    int r;

    if (job > 0 && /* the first one goes on, whatever the others do */
        atomic_load_explicit(&sc->group_bytes, memory_order_relaxed) > SCAN_GROUP_BYTES)
        return 0;
    r = scan_check_cancel(sc, err);
    if (r == 0 && !scan_is_ordered(sc))
        res->arena = arena_new(sc->req.budget, 0);
    if (r == 0)
        r = c->segment == NULL ? scan_head_select(sc, w, c, res, err)
                               : scan_block_select(sc, w, c, res, err);
    if (r < 0)
        return r;
    res->done = true;
    atomic_fetch_add_explicit(&sc->group_bytes, held_by(res), memory_order_relaxed);
    return 0;
}

/* Only the first `n` results are kept. */
static void keep_results(struct scan *sc, size_t n)
{
    for (size_t i = n; i < sc->n_result; i++) {
        scan_rows_fini(sc, &sc->result[i].rows);
        arena_free(&sc->result[i].arena);
        sc->result[i] = (struct scan_result){.done = false};
    }
    sc->n_result = n;
}

void scan_group_clear(struct scan *sc)
{
    keep_results(sc, 0);
}

static void set_size(struct scan *sc, bool all_done)
{
    size_t least = scan_pool_slots(sc->pool);
    size_t bytes = atomic_load_explicit(&sc->group_bytes, memory_order_relaxed);

    if (all_done && bytes < SCAN_GROUP_BYTES / 8)
        sc->group_size *= 2;
    else if (bytes > SCAN_GROUP_BYTES / 2)
        sc->group_size /= 2;
    if (sc->group_size < least)
        sc->group_size = least;
    if (sc->group_size > SCAN_GROUP_MAX)
        sc->group_size = SCAN_GROUP_MAX;
}

int scan_group_run(struct scan *sc, size_t end, struct err *err)
{
    size_t n = end - sc->n_looked;
    size_t done = 0;
    int r;

    scan_group_clear(sc);
    if (sc->result == NULL) {
        sc->result = mem_new(SCAN_GROUP_MAX * sizeof(*sc->result));
        sc->group_size = scan_pool_slots(sc->pool);
    }
    if (n > sc->group_size)
        n = sc->group_size;
    sc->n_result = n;
    atomic_store_explicit(&sc->group_bytes, 0, memory_order_relaxed);
    r = scan_pool_run(sc->pool, n, look, sc, err);
    if (r < 0)
        return r;
    while (done < n && sc->result[done].done)
        done++;
    set_size(sc, done == n);
    keep_results(sc, done); /* one behind a gap is looked at again */
    sc->n_looked += done;
    return 0;
}
