/*
 * storage/lines_internal.h - what lines_*.c agree on: where columns lie in data frames.
 *
 * Frame 0 holds the ids when there are several templates.  Columns follow in order; each that has
 * bytes begins a frame of its own, begins a packed frame, or goes behind the column before it in
 * the packed frame that is open for its content.  Frames are numbered in the order in which they
 * begin.
 */
#ifndef LOGQ_STORAGE_LINES_INTERNAL_H
#define LOGQ_STORAGE_LINES_INTERNAL_H

#include "storage/lines.h"

#include <string.h>

/* Instead of a stamp: the column is that of the slot so many (varint) before in the template. */
enum { LINES_SAME = 255 };

enum lines_place { LINES_PLACE_NEXT = 0, LINES_PLACE_NEW = 1, LINES_PLACE_ALONE = 2 };

static inline enum lines_content lines_content_of(enum slot_kind kind)
{
    return kind == SLOT_DICT || kind == SLOT_TEXT ? LINES_TEXT : LINES_NUMBERS;
}

/* Bytes of one row's id. */
static inline size_t lines_id_bytes(size_t n_templates)
{
    if (n_templates <= 1)
        return 0;
    return n_templates <= 256 ? 1 : 2;
}

/* memcpy for pieces and values, most of them short: no call up to 16 bytes. */
static inline void lines_copy(char *to, const char *from, size_t n)
{
    if (n < 4) {
        for (size_t i = 0; i < n; i++)
            to[i] = from[i];
    } else if (n <= 8) {
        uint32_t head;
        uint32_t tail;
        memcpy(&head, from, 4);
        memcpy(&tail, from + n - 4, 4);
        memcpy(to, &head, 4);
        memcpy(to + n - 4, &tail, 4);
    } else if (n <= 16) {
        uint64_t head;
        uint64_t tail;
        memcpy(&head, from, 8);
        memcpy(&tail, from + n - 8, 8);
        memcpy(to, &head, 8);
        memcpy(to + n - 8, &tail, 8);
    } else {
        memcpy(to, from, n);
    }
}

/* lines_open.c: the template of a row, and which of its rows it is. */
struct lines_at {
    const struct lines_template *template;
    size_t number, rank;
};
int lines_locate(struct lines *l, size_t row, struct lines_at *ret, struct err *err);
struct arena *lines_arena(struct lines *l);
/* Are all columns of its template open? */
bool lines_is_open(const struct lines *l, const struct lines_at *at);
/* Its value of a slot; in `room`, or as long as the lines.  The column is opened only when values
 * of it were asked for so often that this pays. */
int lines_pick(struct lines *l, const struct lines_at *at, size_t slot, char room[SLOT_ROOM],
               struct str *ret, struct err *err);

#endif
