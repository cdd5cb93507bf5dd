/*
 * query/cli/loki.h - answers of the Loki endpoints, from JSON into rows.
 *
 * The JSON is the server's, hence from outside: whatever does not look as it should is ERR_CORRUPT.
 */
#ifndef LOGQ_QUERY_CLI_LOKI_H
#define LOGQ_QUERY_CLI_LOKI_H

#include "query/cli/rows.h"

/* labels, label values: rows of one ROWS_TEXT. */
int loki_strings(struct str json, struct rows *rows, struct err *err);
/* series: rows of one ROWS_LABELS. */
int loki_series(struct str json, struct rows *rows, struct err *err);
/* delete: id, status, created, from, to, query. */
int loki_deletes(struct str json, struct rows *rows, struct err *err);
/* holds: id, created, by, from, to, reason, query. */
int loki_holds(struct str json, struct rows *rows, struct err *err);
/* query: ROWS_LABELS, ROWS_VALUE.  query_range, which is `timed`: ROWS_TIME before them, a row per
 * point.  The answer's warnings are appended to `warnings` (may be NULL), a line each. */
int loki_result(struct str json, bool timed, struct rows *rows, struct buf *warnings,
                struct err *err);

/* The warnings of any answer in the same way. */
void loki_warnings(struct str json, struct buf *warnings);

/* index/stats: one row of four values: streams, chunks, entries, bytes. */
int loki_stats(struct str json, struct rows *rows, struct err *err);
/* patterns: value (lines), text (level), text (pattern). */
int loki_patterns(struct str json, struct rows *rows, struct err *err);
/* detected_fields: text (name), text (type), value (values), text (where it is found). */
int loki_fields(struct str json, struct rows *rows, struct err *err);
/* detected_field/NAME/values: one text. */
int loki_field_values(struct str json, struct rows *rows, struct err *err);

#endif
