/*
 * query/range_run.h - one range aggregation under way, and how a record becomes a sample of it.
 *
 * op_range.c reads records one by one, range_count.c has the scan count; both go through here, so
 * that a sample is the same thing and lands in the same series for either.
 */
#ifndef LOGQ_QUERY_RANGE_RUN_H
#define LOGQ_QUERY_RANGE_RUN_H

#include "query/exec.h"
#include "query/group.h"
#include "query/range_distinct.h"
#include "query/range_top.h"
#include "query/series.h"
#include "query/window.h"

/* What belongs to one series; data of its group. */
struct range_cell {
    uint64_t *count; /* counted: + where lines enter the ranges, - where they have left */
    uint64_t *bytes;
    struct scan_cells cells;    /* counted by the scan; rows NULL: nothing */
    struct end *ends;           /* the same, for the first or last value; NULL: nothing */
    struct range_value *values; /* the same, for different values; NULL: nothing */
    struct window window;       /* else */
    struct series out;
};

struct range_run {
    struct exec *x;
    const struct ast_node *node;
    const struct ast_log *log;
    const struct ast_grouping *grouping; /* NULL: all labels */
    const struct steps *steps;
    bool counted, bytes, absent;
    bool keeps_unwrapped;          /* the label is one that the grouping names */
    bool drops_empty;              /* labels without a value are none of the sum's */
    bool summed;                   /* values were added up by the scan, or */
    bool gathered;                 /* gathered: each is needed by itself, in no order; or */
    bool ended;                    /* the first or last one was chosen; or */
    struct range_values *distinct; /* rows counted by value; owned; NULL: else */
    size_t n_gathered;
    bool keeps_parser_error; /* `__error__` is asked for: what a parser could not read counts */
    struct entry entry;
    struct groups groups;
    struct range_top *top;      /* NULL, or groups until the best of them are known; an instant */
    struct arena *scratch;      /* for the groups of the streams of one batch */
    const struct batch *cached; /* that batch */
    struct range_cell **by_stream;
    size_t next; /* the step whose range is not complete yet (not counted) */
    double *sorted;
    size_t sorted_cap;
    ts_ns *edge; /* where ranges begin and end, for counts of the scan */
    size_t n_edges;
    bool failed; /* a line did while the scan counted: the records say whether it is in a range */
};

struct range_sample {
    struct range_cell *cell; /* NULL: it belongs to */
    struct scan_cells *top;  /* a group of run->top */
    double value;
};

/* The steps whose ranges cover `ts`; false: none. */
bool range_run_covers(const struct range_run *run, ts_ns ts, size_t *first, size_t *last);
/* The time of step k. */
ts_ns range_run_step(const struct steps *s, size_t k);

/* The cell of these labels, as the grouping picks them; `scratch` for these.  NULL: *err says why
 * not. */
struct range_cell *range_run_cell(struct range_run *run, const struct labels *l,
                                  struct arena *scratch, struct err *err);

/* The record through the pipeline; `key` (may be NULL) is what it stands for in a count.  1: it is
 * a sample, *ret; 0: it is none.  ERR_INVALID: a stage could not read it. */
int range_run_sample(struct range_run *run, const struct batch *b, const struct record *rec,
                     const struct scan_key *key, struct range_sample *ret, struct err *err);

#endif
