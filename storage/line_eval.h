/*
 * storage/line_eval.h - rows of one template followed through its graph, column by column.
 *
 * Floor-internal to line_*.c; one thread; scratch in the arena of the graph.
 */
#ifndef LOGQ_STORAGE_LINE_EVAL_H
#define LOGQ_STORAGE_LINE_EVAL_H

#include "storage/line_graph.h"

enum { LINE_GROUP = 1000, LINE_WAYS = 4 };

struct line_eval {
    const struct dfa *d; /* borrowed, as all others */
    struct lines *l;
    struct arena *a;
    struct line_graph *g;
    uint64_t *hits, *asks; /* by row: found; not known */
    uint64_t columns;      /* read */

    uint16_t *target; /* scratch, by place in a list of rows */
    size_t cap;
    /* Tables of three digits: [state] -> state by group, made when somebody asks; and of the digits
     * that a number begins with, by how many they are (0: as many as it takes; while none came
     * the state is group[n_states]). */
    const uint16_t **group, **first[LINE_WAYS];
    size_t groups; /* made */
    bool open;     /* there are too many */
};

/* Ranks of rows of a template, ascending; `list` NULL: all from 0 to n - 1. */
struct line_rows {
    const uint32_t *list;
    size_t n;
};

int line_eval_init(struct line_eval *e, struct line_graph *g, struct lines *l, struct err *err);

/* Follow `rows` of the template that the graph was made for last, beginning at node 0's target
 * `root`; sets bits of hits and asks.  ERR_CORRUPT, ERR_NOMEM, ERR_LIMIT. */
int line_eval_rows(struct line_eval *e, size_t template, unsigned root, struct line_rows rows,
                   struct err *err);

/* line_column.c: targets of the values of one column, for each of `rows`, in e->target.  `after`
 * are the targets by state, LINE_ASK for those that the stamp did not allow. */
int line_column_run(struct line_eval *e, const struct slot_view *v, unsigned state,
                    const uint16_t *after, struct line_rows rows, struct err *err);

#endif
