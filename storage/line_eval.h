/*
 * storage/line_eval.h - rows of one template followed through its graph, column by column.
 *
 * Floor-internal to line_*.c; one thread; scratch in the arena of the graph.
 */
#ifndef LOGQ_STORAGE_LINE_EVAL_H
#define LOGQ_STORAGE_LINE_EVAL_H

#include "storage/line_graph.h"
#include "storage/line_needle.h"

enum { LINE_GROUP = 1000, LINE_WAYS = 4 };

/* The PATTERN column last asked for. */
struct line_parts {
    bool known;
    size_t template, slot;
    struct slot_parts parts;
    struct slot_view view[SLOT_PARTS_MAX]; /* n == 0: not opened yet */
};

/* The column of a few forms last asked for. */
struct line_forms {
    bool known;
    size_t template, slot;
    struct slot_forms forms;
    struct slot_view view; /* of the numbers; n == 0: not opened yet */
    const uint32_t *rank;  /* of each row: numbers before its own; NULL: not counted yet */
};

struct line_eval {
    const struct dfa *d; /* borrowed, as all others */
    struct lines *l;
    struct arena *a;
    struct line_graph *g;
    uint64_t *hits, *asks; /* by row: found; not known */
    uint64_t columns;      /* read */

    const struct line_needle *needle;
    struct line_parts parts;
    struct line_forms *forms; /* NULL: no column was asked for */
    /* What is known behind a column: all rows are in state `rest` but for those in `found`, by
     * rank, where a literal was found (NULL: nowhere); or, not settled, each has its own. */
    bool settled;
    unsigned rest;
    uint64_t *found;
    uint16_t *state; /* behind a column, by place in a list of rows; scratch */
    size_t cap;
    /* Tables of three digits: [state] -> state by group, made when somebody asks; and of the digits
     * that a number begins with, by how many they are (0: as many as it takes; while none came
     * the state is group[n_states]). */
    const uint16_t **group, **first[LINE_WAYS];
    size_t groups; /* made */
    bool open;     /* there are too many */
    /* Tables of two hex digits, lower and upper: [state] -> state by byte. */
    const uint16_t **pair[2];
    size_t pairs; /* made */
};

/* Ranks of rows of a template, ascending; `list` NULL: all from 0 to n - 1. */
struct line_rows {
    const uint32_t *list;
    size_t n;
};

int line_eval_init(struct line_eval *e, struct line_graph *g, const struct line_needle *needle,
                   struct lines *l, struct err *err);

/* Follow `rows` of the template that the graph was made for last, beginning at the target `root`;
 * sets bits of hits and asks.  ERR_CORRUPT, ERR_NOMEM, ERR_LIMIT. */
int line_eval_rows(struct line_eval *e, size_t template, unsigned root, struct line_rows rows,
                   struct err *err);

/* A column of `n` values before which the automaton is in `state`; `after` are the targets behind
 * it, and nothing but those needs to be right.  `alone`: the column is the whole line. */
struct line_at {
    const struct slot_stamp *stamp;
    size_t n;
    unsigned state;
    const uint16_t *after; /* NULL: the states must be right */
    bool alone;
};

/* line_find.c: `rows` settled by finders; `bytes` of the column.  1: that cannot be done. */
int line_find_column(struct line_eval *e, const struct line_at *at, struct str bytes,
                     struct line_rows rows, struct err *err);
/* The state of values in which no literal is; DFA_UNKNOWN: it depends on them, or finders do not
 * help. */
unsigned line_find_rest(const struct line_eval *e, const struct line_at *at);
/* Whether finders tell exactly which values of a column with this stamp hold a literal. */
bool line_find_is_exact(const struct line_eval *e, const struct slot_stamp *s, unsigned state);
/* Set the bits of values that hold a literal.  1: that cannot be told. */
int line_find_values(struct line_eval *e, const struct slot_stamp *s, struct str bytes, size_t n,
                     uint64_t *found, struct err *err);
/* The same for numbers that are open.  false: that cannot be told. */
bool line_find_numbers(const struct line_eval *e, const struct slot_stamp *s, const uint64_t *v,
                       size_t n, uint64_t *found);

/* line_column.c: the states of `rows` behind a column, beginning in `state`, in e->state. */
int line_column_run(struct line_eval *e, const struct slot_view *v, unsigned state,
                    struct line_rows rows, struct err *err);
/* The same with the help of finders. */
int line_column_find(struct line_eval *e, const struct slot_view *v, const struct line_at *at,
                     struct line_rows rows, struct err *err);

/* line_digits.c: line_column_run over hex digits as they are packed.  1: they are not, or the
 * automaton has too many states. */
int line_digits_run(struct line_eval *e, const struct line_at *at, struct str bytes,
                    struct line_rows rows, struct err *err);
/* As line_find_values. */
int line_digits_find(struct line_eval *e, const struct slot_stamp *s, struct str bytes, size_t n,
                     uint64_t *found, struct err *err);

/* line_parts.c: line_column_run, or settled, over a PATTERN column, of which only the parts that
 * matter are opened.  1: it has no parts, or they cannot be opened. */
int line_parts_run(struct line_eval *e, size_t template, size_t slot, unsigned state,
                   struct line_rows rows, struct err *err);

/* line_forms.c: the same over a PATTERN column of a few forms.  1: it is none. */
int line_forms_run(struct line_eval *e, size_t template, size_t slot, unsigned state,
                   struct line_rows rows, struct err *err);

static inline size_t line_rank(struct line_rows rows, size_t i)
{
    return rows.list == NULL ? i : rows.list[i];
}

#endif
