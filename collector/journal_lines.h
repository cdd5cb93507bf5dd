/*
 * collector/journal_lines.h - records of several lines of the journal: what is held of them.
 *
 * What multiline.h does for a file, for each of the streams that are in a journal.  What is open is
 * told by (stream, cursor of the first entry, cursor of the last entry of the first line), so that
 * it can be read again: of the entries between the first and the place that we have come to, all
 * lines of the stream that end at the second one or behind it belong to the record.
 *
 * Bounds: JOURNAL_LINES_MAX records, all together JOURNAL_LINES_BYTES of text (what is beyond is
 * cut, and counted); of each as in multiline.h.  One thread.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_LINES_H
#define LOGQ_COLLECTOR_JOURNAL_LINES_H

#include "collector/journal_streams.h"

enum { JOURNAL_LINES_MAX = 512, JOURNAL_LINES_BYTES = 16 << 20 };

struct journal_lines;

struct journal_lines *journal_lines_new(size_t max_line);
void journal_lines_free(struct journal_lines **pl); /* before the streams */

/* What `rec` is to what is held of its stream, by the stream's rule.  If lines are held and it does
 * not go on from them, journal_lines_end is to follow. */
enum trace_step journal_lines_step(struct journal_lines *l, struct journal_stream *s,
                                   const struct journal_record *rec);
/* Hold `rec`, which ended with the entry at `end`.  1: it is held.  0: and the record is as long as
 * it may be.  Not if journal_lines_oldest is one and nothing of `s` is held. */
int journal_lines_hold(struct journal_lines *l, struct journal_stream *s,
                       const struct journal_record *rec, struct str end, dur_ns now);
/* What is held of `s` is a record; valid until the next call. */
void journal_lines_end(struct journal_lines *l, struct journal_stream *s,
                       struct journal_record *ret);

/* Of which the oldest lines are held when there may be no more of them; NULL: there may. */
struct journal_stream *journal_lines_oldest(const struct journal_lines *l);
/* A stream whose record has not grown since `before`; NULL: there is none. */
struct journal_stream *journal_lines_stale(const struct journal_lines *l, dur_ns before);

size_t journal_lines_count(const struct journal_lines *l);
/* Record `i` of those that are open, the oldest first: its stream, the cursors of its first entry
 * and of the last one of its first line.  Views. */
void journal_lines_at(const struct journal_lines *l, size_t i, struct str *key, struct str *cursor,
                      struct str *end);

#endif
