/*
 * storage/scan_window.c - ordered scans: the rows of the next stretch of time, sorted.
 *
 * Blocks of one segment hold streams side by side, so all of them may overlap in time: keeping the
 * rows of each until their turn would keep everything.  Instead a window is taken: it begins where
 * the last one ended and is open to the far end; candidates are looked at in the order of their
 * bounds, and when more rows came than are wanted the window is cut to those that come first.
 * Candidates that lie behind the cut are not looked at any more.  What was cut off is found again
 * by a later window; windows grow, so that this costs little when everything is read.
 *
 * Invariants
 *   (1) [lo, hi] is what was not handed out yet, far lies in it;
 *   (2) when a window is closed, every candidate that may hold a row between its near end and far
 *       was looked at, and no unit that may is left.
 */
#include "base/mem.h"
#include "storage/scan_internal.h"

#include <stdlib.h>

enum { ROWS_FIRST = 2048, ROWS_LEAST = 256, ROWS_GROWTH = 4 };

static bool is_before(const struct scan *sc, ts_ns x, ts_ns y)
{
    return scan_is_backward(sc) ? x > y : x < y;
}

/* ---- cutting ---- */

static ts_ns median(const struct scan *sc, const struct scan_row *v, size_t n)
{
    ts_ns a = v[0].ts;
    ts_ns b = v[n / 2].ts;
    ts_ns c = v[n - 1].ts;

    if (is_before(sc, b, a)) {
        ts_ns t = a;
        a = b;
        b = t;
    }
    if (is_before(sc, c, a))
        return a;
    return is_before(sc, c, b) ? c : b;
}

static void swap(struct scan_row *v, size_t i, size_t k)
{
    struct scan_row t = v[i];

    v[i] = v[k];
    v[k] = t;
}

/* The time of the row that would be at place `k` if v were sorted. */
static ts_ns select_time(const struct scan *sc, struct scan_row *v, size_t n, size_t k)
{
    for (;;) {
        ts_ns pivot = median(sc, v, n);
        size_t before = 0; /* [0, before) come before the pivot, [before, i) are at it */
        size_t after = n;  /* [after, n) come after it */
        for (size_t i = 0; i < after;) {
            if (is_before(sc, v[i].ts, pivot))
                swap(v, i++, before++);
            else if (is_before(sc, pivot, v[i].ts))
                swap(v, i, --after);
            else
                i++;
        }
        if (k >= before && k < after)
            return pivot;
        if (k < before) {
            n = before;
        } else {
            v += after;
            n -= after;
            k -= after;
        }
    }
}

static void drop_behind(const struct scan *sc, struct scan_rows *rows, ts_ns far)
{
    size_t kept = 0;

    for (size_t i = 0; i < rows->n; i++)
        if (!is_before(sc, far, rows->v[i].ts))
            rows->v[kept++] = rows->v[i];
    rows->n = kept;
}

void scan_window_cut(const struct scan *sc, struct scan_rows *rows, size_t cap, ts_ns *far)
{
    if (rows->n <= cap)
        return;
    *far = select_time(sc, rows->v, rows->n, cap - 1);
    drop_behind(sc, rows, *far);
}

/* ---- gathering ---- */

static ts_ns bound_of(const struct scan *sc, const struct scan_candidate *c)
{
    return scan_is_backward(sc) ? c->max_ts : c->min_ts;
}

static bool has_unit(const struct scan *sc)
{
    return sc->next_unit < sc->n_units;
}

/* The end of the candidates that must be looked at before anything else happens. */
static size_t ripe(const struct scan *sc)
{
    ts_ns unit = has_unit(sc) ? sc->units[sc->next_unit].bound : 0;
    size_t end = sc->n_looked;

    while (end < sc->live.n) {
        ts_ns bound = bound_of(sc, sc->live.p[end]);
        if (is_before(sc, sc->far, bound) || (has_unit(sc) && !is_before(sc, bound, unit)))
            break;
        end++;
    }
    return end;
}

static int merge(struct scan *sc, struct err *err)
{
    size_t n = sc->rows.n;
    int r;

    for (size_t i = 0; i < sc->n_result; i++)
        n += sc->result[i].rows.n;
    r = scan_rows_reserve(sc, &sc->rows, n, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < sc->n_result; i++) {
        const struct scan_rows *from = &sc->result[i].rows;
        if (from->n > 0)
            memcpy(sc->rows.v + sc->rows.n, from->v, from->n * sizeof(*from->v));
        sc->rows.n += from->n;
        if (sc->result[i].is_cut && is_before(sc, sc->result[i].far, sc->far))
            sc->far = sc->result[i].far;
    }
    scan_group_clear(sc);
    drop_behind(sc, &sc->rows, sc->far); /* jobs knew the far of before */
    if (sc->rows.n > sc->rows_cap + sc->rows_cap / 2)
        scan_window_cut(sc, &sc->rows, sc->rows_cap, &sc->far);
    return 0;
}

static ts_ns just_before(const struct scan *sc, ts_ns ts)
{
    return scan_is_backward(sc) ? ts + 1 : ts - 1;
}

static bool any_before(const struct scan *sc, ts_ns ts)
{
    for (size_t i = 0; i < sc->rows.n; i++)
        if (is_before(sc, sc->rows.v[i].ts, ts))
            return true;
    return false;
}

/* The next thing is a unit.  1: the window ends in front of it. */
static int meet_unit(struct scan *sc, struct err *err)
{
    ts_ns bound = sc->units[sc->next_unit].bound;

    if (!any_before(sc, bound))
        return scan_plan_open(sc, err);
    sc->far = just_before(sc, bound);
    drop_behind(sc, &sc->rows, sc->far);
    return 1;
}

static int gather(struct scan *sc, struct err *err)
{
    int r = 0;

    while (r == 0) {
        size_t end = ripe(sc);
        if (end > sc->n_looked) {
            r = scan_group_run(sc, end, err);
            if (r == 0)
                r = merge(sc, err);
        } else if (has_unit(sc) && !is_before(sc, sc->far, sc->units[sc->next_unit].bound)) {
            r = meet_unit(sc, err);
        } else {
            r = 1;
        }
    }
    return r < 0 ? r : 0;
}

/* ---- the window ---- */

static int compare(const void *a, const void *b)
{
    const struct scan_row *x = a;
    const struct scan_row *y = b;

    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static void sort(struct scan *sc)
{
    struct scan_row *v = sc->rows.v;
    size_t n = sc->rows.n;

    if (n > 1)
        qsort(v, n, sizeof(*v), compare);
    if (scan_is_backward(sc))
        for (size_t i = 0; i < n / 2; i++)
            swap(v, i, n - 1 - i);
}

static size_t first_cap(const struct scan *sc)
{
    size_t n = sc->req.expect;

    if (n == 0)
        return ROWS_FIRST;
    if (n > SCAN_ROWS_MAX)
        return SCAN_ROWS_MAX;
    if (n == sc->req.batch_records) /* none will be thrown away */
        return n;
    return n < ROWS_LEAST ? ROWS_LEAST : n;
}

/* What is still to come lies behind far. */
static void advance(struct scan *sc)
{
    if (sc->far == (scan_is_backward(sc) ? sc->lo : sc->hi)) {
        sc->hi = INT64_MIN;
        sc->lo = INT64_MAX; /* nothing does */
    } else if (scan_is_backward(sc)) {
        sc->hi = sc->far - 1;
    } else {
        sc->lo = sc->far + 1;
    }
}

int scan_window_next(struct scan *sc, struct err *err)
{
    sc->rows.n = 0;
    sc->next_row = 0;
    while (sc->rows.n == 0) {
        int r;
        if (sc->lo > sc->hi)
            return 1;
        scan_plan_retire(sc);
        sc->far = scan_is_backward(sc) ? sc->lo : sc->hi;
        sc->rows_cap = sc->rows_cap == 0 ? first_cap(sc) : sc->rows_cap * ROWS_GROWTH;
        if (sc->rows_cap > SCAN_ROWS_MAX)
            sc->rows_cap = SCAN_ROWS_MAX;
        r = gather(sc, err);
        if (r < 0)
            return r;
        advance(sc);
    }
    sort(sc);
    return 0;
}
