/*
 * query/cli/bars.h - lines by time and level: counted, and drawn as bars or printed as rows.
 */
#ifndef LOGQ_QUERY_CLI_BARS_H
#define LOGQ_QUERY_CLI_BARS_H

#include "query/cli/output.h"

enum { BARS_MAX = 2000 };

struct bars;

/* A step that people read easily, so that there are about thirty from `from` to `to`. */
dur_ns bars_choose_step(ts_ns from, ts_ns to);

/* The beginning of the step that `ts` lies in, also before 1970; the first time there is, where
 * that lies before it. */
ts_ns bars_floor(ts_ns ts, dur_ns step);

/* Bars of `step` from the step on that `from` lies in, up to `to`.  ERR_INVALID: none, or over
 * BARS_MAX. */
int bars_new(ts_ns from, ts_ns to, dur_ns step, struct bars **ret, struct err *err);
void bars_free(struct bars **pb);

ts_ns bars_from(const struct bars *b);
ts_ns bars_to(const struct bars *b); /* the end of the last one, or of time */
dur_ns bars_step(const struct bars *b);

/* So many lines of that level (empty: not known; a word that names none: other) at `ts`; others
 * than of the span do not count. */
void bars_add(struct bars *b, ts_ns ts, struct str level, uint64_t lines);
bool bars_have_any(const struct bars *b);

/* In a table a bar for each step, else rows of time, level, lines.  Errors as output_text. */
int bars_print(const struct bars *b, struct output *o, struct err *err);

#endif
