/*
 * storage/line_needle.h - the literals of a filter, for finders.
 *
 * Where text is long, a finder is ten times faster than an automaton; it can stand in for it where
 * the filter is nothing but literals, or where a whole line without any of them is settled.
 * Immutable after init; any thread.
 */
#ifndef LOGQ_STORAGE_LINE_NEEDLE_H
#define LOGQ_STORAGE_LINE_NEEDLE_H

#include "storage/dfa.h"
#include "storage/find.h"

enum { LINE_NEEDLES_MAX = 8 };

struct line_needle {
    size_t n; /* 0: the filter has none, or too many */
    struct find find[LINE_NEEDLES_MAX];
    bool ascii;     /* they are needed in texts without bytes above 0x7f alone */
    bool whole;     /* the filter looks for them and for nothing else */
    size_t longest; /* bytes */
};

/* Those of `d`, which must outlive it. */
void line_needle_init(struct line_needle *w, const struct dfa *d);

/* Set the bits of the texts, text[end[i - 1], end[i]), that hold any. */
void line_needle_mark(const struct line_needle *w, struct str text, const uint32_t *end, size_t n,
                      uint64_t *bits);

#endif
