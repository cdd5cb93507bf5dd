/*
 * query/format.h - DOOR: results out, in Loki's JSON and in the forms of the command line.
 *
 * Everything is appended to a buf; overflow shows there.  Lines and values are shown as UTF-8,
 * ill-formed bytes as U+FFFD.
 */
#ifndef LOGQ_QUERY_FORMAT_H
#define LOGQ_QUERY_FORMAT_H

#include "base/buf.h"
#include "query/query.h"

struct json_writer;

/* Gathers entries into Loki streams: one per distinct final label set, in order of first
 * appearance. */
struct format_streams;
struct format_streams *format_streams_new(bool categorize, struct mem_budget *budget,
                                          size_t max_bytes);
int format_streams_add(struct format_streams *f, const struct query_entry *e, struct err *err);
void format_streams_free(struct format_streams **pf);

/* {"status":"success","data":{"resultType":"streams","result":[...],"stats":{...}}} and
 * newline-free; with "cursor" in data if stats->next is set. */
void format_loki_streams(struct buf *out, struct format_streams *f,
                         const struct query_stats *stats);
void format_loki_result(struct buf *out, const struct query_result *r,
                        const struct query_stats *stats);
/* Key "warnings", where something keeps an answer from being complete. */
void format_loki_warnings(struct json_writer *w, const struct query_stats *stats);
/* The text of a cursor, and back; false: it is none. */
void format_cursor(struct buf *out, const struct query_cursor *c);
bool format_cursor_parse(struct str text, struct query_cursor *ret);
/* A float as Prometheus prints it: shortest, NaN, +Inf, -Inf. */
void format_value(struct buf *out, double v);

/* Two lines for people: line `line` of a query (`text`), cut to about 100 characters around column
 * `column`, both from 1, and a caret below that place.  What is not UTF-8 shows as U+FFFD, what a
 * terminal would obey as a blank. */
void format_place(struct buf *out, struct str text, unsigned line, unsigned column, bool color);

/* One entry in pieces of Loki's JSON: the object of its stream's labels, and its element of
 * `values`. */
void format_loki_entry(struct buf *stream, struct buf *value, const struct query_entry *e,
                       bool categorize);

/* One entry as a JSON line, the form of /api/v1/export and `logq -o jsonl`:
 * {"ts":"2026-11-21T19:14:38.773648831Z","ts_ns":"...","seq":1,"labels":{},"attributes":{},"parsed":{},"line":"..."}
 */
void format_entry_json(struct buf *out, const struct query_entry *e);
/* Read it back (labels sorted, in `a`).  ERR_CORRUPT. */
int format_entry_parse(struct str json, struct arena *a, struct query_entry *ret, struct err *err);

/* One cell of CSV: in quotes where there is a quote, a comma or the end of a line in it. */
void format_csv_text(struct buf *out, struct str s);

/* The forms of `-o`.  json is one array.  In table, bytes that a terminal would obey are shown as
 * escapes. */
enum format_kind { FORMAT_TABLE, FORMAT_RAW, FORMAT_JSONL, FORMAT_JSON, FORMAT_CSV, FORMAT_LOGFMT };
struct format_options {
    enum format_kind kind;
    bool color;
    bool utc; /* else local time */
};
/* `first`: write the heading where the form has one (csv). */
void format_entry(struct buf *out, const struct query_entry *e, const struct format_options *opt,
                  bool first);
/* The level and the origin (container, service ...) that a table shows; "" if it has none. */
struct str format_level(const struct query_entry *e);
struct str format_origin(const struct query_entry *e);
/* Behind the last entry, what the form ends with (json); `any`: format_entry was called. */
void format_finish(struct buf *out, const struct format_options *opt, bool any);

#endif
