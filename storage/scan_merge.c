/*
 * storage/scan_merge.c - from candidates that are not yet open and sources that are, the next row.
 *
 * Invariants, for an ordered scan
 *   (1) units, and the candidates of a part, stand in the order of their bounds: the earliest
 * (backward: latest) time that they may hold; (2) a row is given out only when no unit and no
 * candidate is left whose bound is at or before its time, so nothing that comes later can belong in
 * front of it. A scan in any order opens one candidate at a time and gives out all of it.
 */
#include "base/mem.h"
#include "base/obj.h"
#include "storage/scan_internal.h"

#include <stdlib.h>

/* ---- sources ---- */

struct scan_source *scan_source_new(struct scan *sc, struct scan_part *part)
{
    struct scan_source *s = mem_new(sizeof(*s));

    s->arena = arena_new(sc->req.budget, 0);
    s->part = part;
    part->open_sources++;
    return s;
}

void scan_source_free(struct scan_source **ps)
{
    struct scan_source *s = *ps;

    if (s == NULL)
        return;
    s->part->open_sources--;
    arena_free(&s->arena);
    free(s);
    *ps = NULL;
}

static int forward(const void *a, const void *b)
{
    const struct record *x = &((const struct scan_row *)a)->rec;
    const struct record *y = &((const struct scan_row *)b)->rec;

    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static int backward(const void *a, const void *b)
{
    return forward(b, a);
}

void scan_merge_sort(const struct scan *sc, struct scan_row *rows, size_t n)
{
    bool sorted = true;

    if (sc->req.order == SCAN_ANY)
        return;
    if (sc->req.order ==
        SCAN_BACKWARD) /* rows come in order of arrival: nearly sorted, the other way round */
        for (size_t i = 0; i < n / 2; i++) {
            struct scan_row row = rows[i];
            rows[i] = rows[n - 1 - i];
            rows[n - 1 - i] = row;
        }
    for (size_t i = 1; i < n && sorted; i++)
        sorted = scan_before(sc, &rows[i - 1].rec, &rows[i].rec);
    if (!sorted)
        qsort(rows, n, sizeof(*rows), sc->req.order == SCAN_BACKWARD ? backward : forward);
}

/* ---- heap of sources ---- */

static bool source_before(const struct scan *sc, const struct scan_source *x,
                          const struct scan_source *y)
{
    return scan_before(sc, &x->rows[x->next].rec, &y->rows[y->next].rec);
}

static void sift_up(struct scan *sc, size_t i)
{
    while (i > 0 && source_before(sc, sc->heap[i], sc->heap[(i - 1) / 2])) {
        struct scan_source *s = sc->heap[i];
        sc->heap[i] = sc->heap[(i - 1) / 2];
        sc->heap[(i - 1) / 2] = s;
        i = (i - 1) / 2;
    }
}

static void sift_down(struct scan *sc, size_t i)
{
    for (;;) {
        size_t least = i;
        struct scan_source *s = sc->heap[i];
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < sc->n_heap; child++)
            if (source_before(sc, sc->heap[child], sc->heap[least]))
                least = child;
        if (least == i)
            return;
        sc->heap[i] = sc->heap[least];
        sc->heap[least] = s;
        i = least;
    }
}

static void push(struct scan *sc, struct scan_source *s)
{
    if (sc->n_heap == sc->cap_heap) {
        sc->cap_heap = sc->cap_heap == 0 ? 32 : 2 * sc->cap_heap;
        sc->heap =
            (struct scan_source **)mem_grow((void *)sc->heap, sc->cap_heap * sizeof(*sc->heap));
    }
    sc->heap[sc->n_heap++] = s;
    sift_up(sc, sc->n_heap - 1);
}

void scan_merge_drop(struct scan *sc)
{
    struct scan_source *s = sc->heap[0];
    struct scan_part *part = s->part;

    if (++s->next < s->n) {
        sift_down(sc, 0);
        return;
    }
    sc->heap[0] = sc->heap[--sc->n_heap];
    if (sc->n_heap > 0)
        sift_down(sc, 0);
    scan_source_free(&s);
    scan_plan_done(sc, part);
}

/* ---- candidates ---- */

static ts_ns bound_of(const struct scan *sc, const struct scan_candidate *c)
{
    return sc->req.order == SCAN_BACKWARD ? c->max_ts : c->min_ts;
}

/* Whether something with this bound may hold a row in front of one at `ts`. */
static bool reaches(const struct scan *sc, ts_ns bound, ts_ns ts)
{
    return sc->req.order == SCAN_BACKWARD ? bound >= ts : bound <= ts;
}

/* The part whose next candidate has the first bound; NULL if no part has one. */
static struct scan_part *first_part(const struct scan *sc)
{
    struct scan_part *first = NULL;

    for (struct scan_part *p = sc->parts; p != NULL; p = p->next) {
        if (p->next_candidate == p->n_candidates)
            continue;
        if (first == NULL || !reaches(sc, bound_of(sc, &first->candidates[first->next_candidate]),
                                      bound_of(sc, &p->candidates[p->next_candidate])))
            first = p;
    }
    return first;
}

static int open_candidate(struct scan *sc, struct scan_part *part, struct err *err)
{
    const struct scan_candidate *c = &part->candidates[part->next_candidate++];
    struct scan_source *s = NULL;
    int r = c->segment == NULL ? scan_head_open(sc, part, c, &s, err)
                               : scan_block_open(sc, part, c, &s, err);

    if (r == 0 && s != NULL)
        push(sc, s);
    else
        scan_plan_done(sc, part);
    return r;
}

/* Open the one thing that must be open before the top of the heap may go; 1: the top may go, or
 * there is none. */
static int open_one(struct scan *sc, struct err *err)
{
    struct scan_part *part = first_part(sc);
    bool has_top = sc->n_heap > 0;
    ts_ns top = has_top ? sc->heap[0]->rows[sc->heap[0]->next].rec.ts : 0;
    ts_ns bound = part == NULL ? 0 : bound_of(sc, &part->candidates[part->next_candidate]);

    if (has_top && sc->req.order == SCAN_ANY)
        return 1;
    if (sc->next_unit < sc->n_units) {
        ts_ns unit = sc->units[sc->next_unit].bound;
        bool before_part = part == NULL || (sc->req.order != SCAN_ANY && reaches(sc, unit, bound));
        if (before_part && (!has_top || reaches(sc, unit, top)))
            return scan_plan_open(sc, err);
    }
    if (part == NULL || (has_top && !reaches(sc, bound, top)))
        return 1;
    return open_candidate(sc, part, err);
}

int scan_merge_next(struct scan *sc, const struct scan_row **ret, struct err *err)
{
    int r = 0;

    while (r == 0)
        r = open_one(sc, err); /* keeps (2) */
    if (r < 0 || sc->n_heap == 0)
        return r;
    *ret = &sc->heap[0]->rows[sc->heap[0]->next];
    return 0;
}
