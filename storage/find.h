/*
 * storage/find.h - where a literal stands in a text, and which lines of a block hold it.
 *
 * A block's text is searched once, whole, and hits are mapped to lines afterwards: for the usual
 * rare needle that is several times faster than asking line by line.  The inner loop compares the
 * needle's two rarest bytes in 32 places at a time (AVX2 where the CPU has it, else memmem).
 * Immutable after init; any thread.
 */
#ifndef LOGQ_STORAGE_FIND_H
#define LOGQ_STORAGE_FIND_H

#include "base/str.h"

struct find {
    struct str needle;   /* borrowed for the life of the find */
    const uint8_t *fold; /* byte i may also be needle[i] ^ fold[i]; borrowed; NULL: exact */
    size_t rare[2];      /* places of its two rarest bytes */
    bool portable;       /* do without AVX2 */
};

void find_init(struct find *f, struct str needle);
/* The same where some letters may be in either case: fold[i] is 0, or the one bit that byte i may
 * differ in. */
void find_init_fold(struct find *f, struct str needle, const uint8_t *fold);

/* Offset of the first hit at or behind `from`, SIZE_MAX if none.  An empty needle hits at `from` <=
 * text.n. */
size_t find_next(const struct find *f, struct str text, size_t from);

/*
 * Set bit i of `bits` for each line i, text[end[i - 1], end[i]) (the first starts at 0), that holds
 * the needle. A hit that crosses the end of a line is none.  `end` ascends and end[n - 1] ==
 * text.n; other bits stay.
 */
void find_lines(const struct find *f, struct str text, const uint32_t *end, size_t n,
                uint64_t *bits);

/* The same for texts that each have a newline behind them and hold none: text i of `n` ends at the
 * i-th newline.  A needle with a newline is in none. */
void find_ended(const struct find *f, struct str text, size_t n, uint64_t *bits);

#endif
