/*
 * collector/journal_line.h - what an entry of the journal says of itself, and its line in the
 * spool.
 *
 * decode_journal.c reads these lines.  Pure functions but for the line's scratch.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_LINE_H
#define LOGQ_COLLECTOR_JOURNAL_LINE_H

#include "base/labels.h"
#include "collector/decode.h"
#include "collector/journal_streams.h"

enum { JOURNAL_LINE_ROOM = 16 << 10, JOURNAL_LABELS_MAX = 8 };

/* An entry of a container; else it is what `matches` asked for. */
bool journal_line_is_container(const struct journal_frame *f);
/* The stream that it belongs to, as journal_joins_key; `key` holds it. */
struct str journal_line_key(const struct journal_frame *f, char key[JOURNAL_KEY_MAX]);
struct str journal_line_runtime(const struct journal_frame *f); /* empty: it does not say */
struct str journal_line_app(const struct journal_frame *f);
enum decode_stream journal_line_stream(const struct journal_frame *f);
/* By its priority; empty: it has none, or is a container's, whose priority is its stream. */
struct str journal_line_level(const struct journal_frame *f);

/* The labels of an entry of stream `s` that it does not share with all others; sorted.  Views of
 * both. */
size_t journal_line_labels(const struct journal_frame *f, const struct journal_stream *s,
                           struct label v[JOURNAL_LABELS_MAX]);

/*
 * The line of a record behind `out`, with its newline: `text` is what is left of it, `cut` of its
 * bytes are not there.  In JSON a text may grow by what escapes take, JOURNAL_LINE_ROOM beyond
 * max_line; what is over that is cut, too.
 */
struct journal_line {
    const struct journal_frame *head;
    const struct journal_stream *stream;
    struct str text;
    uint64_t cut;
    bool partial;
};
void journal_line_put(struct buf *out, const struct journal_line *line, size_t max_line,
                      struct buf *quoted);

#endif
