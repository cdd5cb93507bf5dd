/*
 * storage/scan_tally.h - a count that is under way, and the cells that its rows are added to.
 *
 * Rows are told apart by a number for their attributes and line (scan_combo.h) and by their stream,
 * or by what the stream has of the labels that matter: then streams that are alike in these share a
 * tally.
 */
#ifndef LOGQ_STORAGE_SCAN_TALLY_H
#define LOGQ_STORAGE_SCAN_TALLY_H

#include "storage/scan_combo.h"

struct scan_counter {
    const struct scan_count *c;
    struct scan *sc;
    struct scan_buckets buckets;
    pthread_mutex_t mutex;       /* guards cells, tallies, arena; taken before the next */
    pthread_mutex_t combo_mutex; /* guards combos */
    struct arena *arena;
    struct arena *asking; /* what one key is made of */
    struct map *classes;  /* what streams have of the names -> tally */
    struct scan_combos combos;
};

/* Under the mutex, as the rest.  Sets st->tally: streams with the same one are alike. */
int scan_tally_find(struct scan_counter *k, struct scan_stream *st, struct err *err);
/* The cells of a combination of a stream's rows; *ret NULL: they do
 * not count.  As scan_count.cells. */
int scan_tally_cells(struct scan_counter *k, struct scan_stream *st, uint32_t combo,
                     struct scan_cells **ret, struct err *err);

struct scan_tally_key {
    struct scan_stream *stream;
    uint32_t combo;
    size_t bucket;
};
int scan_tally_add(struct scan_counter *k, const struct scan_tally_key *key, uint64_t rows,
                   uint64_t bytes, struct err *err);
/* The number of a row. */
int scan_tally_number(struct scan_counter *k, const struct scan_tally_key *key,
                      const struct scan_sample *s, struct err *err);

/* scan_pile.c: count the selected rows by combination (place in the layout), all of the key's
 * bucket and of streams like its; the cells get them when the worker's pile ends, which the caller
 * sees to while the stream is there.  Take the mutex. */
int scan_pile_add(struct scan_counter *k, struct scan_selection *s, const uint32_t *combo,
                  const struct scan_tally_key *key, struct err *err);
int scan_pile_end(struct scan_counter *k, struct scan_worker *w, struct err *err);

/* The same in pieces: at most `rows` will come for this key; some of a combination, whose cells are
 * asked for at the end, from the one on that was the pile's next when it began. */
int scan_pile_begin(struct scan_counter *k, struct scan_worker *w, const struct scan_tally_key *key,
                    size_t rows, struct err *err);
int scan_pile_widen(struct scan_counter *k, struct scan_worker *w, size_t n, struct err *err);
static inline int scan_pile_put(struct scan_counter *k, struct scan_worker *w, uint32_t number,
                                uint32_t rows, struct err *err)
{
    struct scan_pile *p = &w->pile;
    int r = number < p->cap ? 0 : scan_pile_widen(k, w, (size_t)number + 1, err);

    if (r < 0)
        return r;
    if (p->rows[number] == 0)
        p->met[p->n++] = number;
    p->rows[number] += rows;
    return 0;
}
int scan_pile_ask(struct scan_counter *k, struct scan_worker *w, size_t from, struct err *err);
/* After rows were taken back: combinations without rows are no more among those that have some. */
void scan_pile_forget_none(struct scan_pile *p);

/* scan_count.c: the combinations of the rows that are selected, for which `only` (NULL: all) has a
 * bit, by place in the layout; keys hold the layout.  Without the mutex.  1: there are too many. */
int scan_count_combos(struct scan_counter *k, struct scan_selection *s, const uint64_t *only,
                      uint32_t **ret, struct err *err);

/* scan_values.c: as counting, for what is selected of a block, and for a batch in memory. */
int scan_values_block(struct scan_counter *k, struct scan_selection *s, struct err *err);
int scan_values_head(struct scan_counter *k, struct scan_candidate *c, const struct record *rec,
                     struct err *err);

static inline struct scan_stream *scan_count_stream(const struct scan_candidate *c, uint32_t number)
{
    uint32_t i = c->segment->stream[number];

    return i == UINT32_MAX ? NULL : &c->part->streams[i];
}

#endif
