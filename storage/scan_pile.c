/*
 * storage/scan_pile.c - rows counted by combination over many blocks, see scan_tally.h.
 *
 * Where many combinations come back block after block, most of the work of adding a block to the
 * cells would be to find these.  As long as blocks are of one bucket and of streams that are alike,
 * a worker counts in an array of its own, by number; the cells get it at the end.  They are asked
 * for at once nevertheless: what they have against a row ends the count where it begins.
 */
#include "storage/scan_codebook.h"
#include "storage/scan_tally.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 1 << 12 };

static size_t bytes_of(const struct scan_pile *p)
{
    return p->cap * (sizeof(*p->rows) + sizeof(*p->met));
}

void scan_pile_free(struct scan_pile *p, struct mem_budget *budget)
{
    mem_budget_give(budget, bytes_of(p));
    free(p->rows);
    free(p->met);
    *p = (struct scan_pile){.n = 0};
}

/* Numbers below `n` have a place. */
int scan_pile_widen(struct scan_counter *k, struct scan_worker *w, size_t n, struct err *err)
{
    struct mem_budget *budget = k->sc->req.budget;
    struct scan_pile *p = &w->pile;
    struct scan_pile wide = *p;
    int r;

    for (wide.cap = p->cap == 0 ? FIRST : p->cap; wide.cap < n;)
        wide.cap *= 2;
    if (wide.cap == p->cap)
        return 0;
    r = mem_budget_take(budget, bytes_of(&wide), err);
    if (r < 0)
        return r;
    wide.rows = calloc(wide.cap, sizeof(*wide.rows));
    wide.met = calloc(wide.cap, sizeof(*wide.met));
    if (wide.rows == NULL || wide.met == NULL) {
        scan_pile_free(&wide, budget);
        return err_set(err, ERR_NOMEM, "out of memory for %zu combinations", n);
    }
    if (p->cap > 0) {
        memcpy(wide.rows, p->rows, p->cap * sizeof(*p->rows));
        memcpy(wide.met, p->met, p->n * sizeof(*p->met));
    }
    scan_pile_free(p, budget);
    *p = wide;
    return 0;
}

void scan_pile_forget_none(struct scan_pile *p)
{
    size_t to = 0;

    for (size_t i = 0; i < p->n; i++)
        if (p->rows[p->met[i]] > 0)
            p->met[to++] = p->met[i];
    p->n = to;
}

int scan_pile_end(struct scan_counter *k, struct scan_worker *w, struct err *err)
{
    struct scan_pile *p = &w->pile;
    uint32_t number;
    uint32_t rows;
    int r = 0;

    (void)pthread_mutex_lock(&k->mutex);
    for (size_t i = 0; i < p->n; i++) {
        struct scan_tally_key key = {p->stream, p->met[i], p->bucket};
        if (r == 0)
            r = scan_tally_add(k, &key, p->rows[p->met[i]], 0, err);
        p->rows[p->met[i]] = 0;
    }
    while (p->sum > 0 && w->books != NULL && scan_codebooks_take(w->books, &number, &rows)) {
        struct scan_tally_key key = {p->stream, number, p->bucket};
        if (r == 0)
            r = scan_tally_add(k, &key, rows, 0, err);
    }
    (void)pthread_mutex_unlock(&k->mutex);
    p->n = 0;
    p->sum = 0;
    return r;
}

/* Ask for the cells of those that are new. */
int scan_pile_ask(struct scan_counter *k, struct scan_worker *w, size_t from, struct err *err)
{
    const struct scan_pile *p = &w->pile;
    struct scan_cells *ignored = NULL;
    int r = 0;

    if (from == p->n)
        return 0;
    (void)pthread_mutex_lock(&k->mutex);
    for (size_t i = from; r == 0 && i < p->n; i++)
        r = scan_tally_cells(k, p->stream, p->met[i], &ignored, err);
    (void)pthread_mutex_unlock(&k->mutex);
    return r;
}

int scan_pile_begin(struct scan_counter *k, struct scan_worker *w, const struct scan_tally_key *key,
                    size_t rows, struct err *err)
{
    struct scan_pile *p = &w->pile;
    int r = 0;

    if (p->sum > 0 && (p->stream->tally != key->stream->tally || p->bucket != key->bucket ||
                       rows > UINT32_MAX - p->sum))
        r = scan_pile_end(k, w, err);
    if (r == 0)
        r = scan_pile_widen(k, w, scan_combos_count(&k->combos), err);
    if (r < 0)
        return r;
    p->stream = key->stream;
    p->bucket = key->bucket;
    p->sum += rows;
    return 0;
}

int scan_pile_add(struct scan_counter *k, struct scan_selection *s, const uint32_t *combo,
                  const struct scan_tally_key *key, struct err *err)
{
    struct scan_worker *w = s->block.worker;
    struct scan_pile *p = &w->pile;
    size_t n = s->block.candidate->block.rows;
    size_t from;
    int r = scan_pile_begin(k, w, key, n, err);

    from = p->n;
    for (uint32_t at = 0; r == 0 && at < n; at++)
        if (scan_is_selected(s, at) && p->rows[combo[at]]++ == 0)
            p->met[p->n++] = combo[at];
    return r < 0 ? r : scan_pile_ask(k, w, from, err);
}
