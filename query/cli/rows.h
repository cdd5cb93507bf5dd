/*
 * query/cli/rows.h - a small table of answers (labels, series, values) in each form of `-o`.
 *
 *     table   columns padded, with a heading when there is more than one column
 *     raw     cells with tabs between, empty label sets left out
 *     json    an array, jsonl a line each: of objects by column name, or of the bare cells when
 *             there is one column
 *     csv     with a heading
 *     logfmt  column=value; a label set as its pairs
 *
 * Log lines have a form of their own (query/format.h): they stream, these are held.
 */
#ifndef LOGQ_QUERY_CLI_ROWS_H
#define LOGQ_QUERY_CLI_ROWS_H

#include "base/arena.h"
#include "query/cli/output.h"

/* BYTES: a value, in a table with a unit. */
enum rows_kind { ROWS_TEXT, ROWS_TIME, ROWS_LABELS, ROWS_VALUE, ROWS_BYTES };

struct rows_column {
    const char *name;
    enum rows_kind kind;
};

#define ROWS_NO_TIME INT64_MIN /* a cell that stays empty */

/* What the kind of its column says is set. */
struct rows_cell {
    struct str text;
    ts_ns ts;
    struct labels labels;
    double value;
};

struct rows;
enum { ROWS_COLUMNS_MAX = 16 };

/* `columns` is borrowed until rows_free. */
struct rows *rows_new(const struct rows_column *columns, size_t n);
void rows_free(struct rows **pr);

/* For what cells point to: they live until rows_free. */
struct arena *rows_arena(struct rows *r);
/* Add a row of one cell per column; texts and labels must lie in rows_arena.  ERR_LIMIT. */
int rows_add(struct rows *r, const struct rows_cell *cells, struct err *err);
size_t rows_count(const struct rows *r);
/* The cells of a row. */
const struct rows_cell *rows_cells(const struct rows *r, size_t row);
/* The first cell of a row, which is a text. */
struct str rows_text(const struct rows *r, size_t row);
/* From now on more than `n` rows are passed over; 0: none are. */
void rows_limit(struct rows *r, uint64_t n);

/* "12.3 MB", decimal. */
void rows_add_bytes(struct buf *out, double n);

/* Back to no rows, and an empty arena; widths of columns stay. */
void rows_clear(struct rows *r);
/* Append the only row in `form`; `first`: with the heading, if the form has one.  In a table
 * columns are as wide as the widest cell that came by so far. */
void rows_stream(struct rows *r, struct buf *out, const struct format_options *form, bool first);

/* Print all of it and flush.  Errors as output_entry. */
int rows_print(const struct rows *r, struct output *o, struct err *err);

#endif
