/*
 * collector/forward_line.h - a record of a fluent client as one line of the Forward input's spool.
 *
 * The bytes: docs/formats/forward_spool.md.  decode_forward (decode.h) is the way back.
 */
#ifndef LOGQ_COLLECTOR_FORWARD_LINE_H
#define LOGQ_COLLECTOR_FORWARD_LINE_H

#include "base/buf.h"
#include "base/hash.h"
#include "wire/forward_record.h"

/* What a line may have beyond max_line of text; tail.c's readers look at 4 KiB more. */
enum { FORWARD_LINE_SLACK = 60 << 10 };

/* Append `rec` with its newline, at most max_line + FORWARD_LINE_SLACK bytes: its text is cut at
 * max_line, and attributes that have no place are left out, which one more attribute counts.
 * Returns how many those are.  Overflow shows in the buf. */
size_t forward_line_add(struct buf *out, ts_ns ts, const struct forward_record *rec,
                        size_t max_line);

/* The line that begins at `last` and ends `out` is the last of a message of `count` lines, and of
 * chunk `id`, if that is not NULL. */
void forward_line_end(struct buf *out, size_t last, uint64_t count, const struct hash128 *id);

/* Does a line with this beginning end a message?  *ret_has_id: of a chunk, which is *ret. */
bool forward_line_is_end(struct str head, bool *ret_has_id, struct hash128 *ret);

#endif
