/*
 * storage/segment_cursor.h - the rows of a segment one by one, in the order in which they lie:
 * stream by stream, seq ascending.
 *
 * What is held is one block, opened column by column.  Everything that is read is checked as a
 * scan checks it.  One thread.
 */
#ifndef LOGQ_STORAGE_SEGMENT_CURSOR_H
#define LOGQ_STORAGE_SEGMENT_CURSOR_H

#include "storage/segment.h"

struct mem_budget;
struct segment_cursor;

/* As segment_reader_open, with a key; what is held is charged to `budget` (may be NULL). */
int segment_cursor_open(struct objstore *os, const uint8_t uuid[SEGMENT_UUID], const uint8_t *key,
                        struct mem_budget *budget, struct segment_cursor **ret, struct err *err);
void segment_cursor_free(struct segment_cursor **pc);

const struct segment_info *segment_cursor_info(const struct segment_cursor *c);

/* Where the cursor stands; the first row to begin with. */
struct segment_cursor_key {
    uint32_t stream; /* number in the segment */
    uint64_t seq;
};
/* 1: behind the last row. */
int segment_cursor_at(struct segment_cursor *c, struct segment_cursor_key *ret, struct err *err);
/* That row; its bytes are valid until the next _row, or _at of another block. */
int segment_cursor_row(struct segment_cursor *c, struct segment_item *ret, struct err *err);
void segment_cursor_step(struct segment_cursor *c);
/* The block of the row at which _at said that it stands. */
uint32_t segment_cursor_block(const struct segment_cursor *c);

#endif
