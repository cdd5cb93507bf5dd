/*
 * storage/line_match.h - which rows of a block pass a line filter, reading as few columns as
 * possible.
 *
 * For each template the filter's automaton (dfa.h) is run over the static pieces, and over what a
 * slot may hold as far as its stamp tells (characters, lengths, numbers).  What comes out is a
 * small decision graph: never, always, or "run slot k from state q and go on where that ends".
 * Slots that cannot change the answer are not in it, so their columns are never decompressed.
 * Dictionaries are run once for each entry; numbers by arithmetic or by tables of three digits;
 * text of a literal by find.h.  The answer is exact; rows that end in DFA_UNKNOWN are written out
 * and asked of base/regexp.
 */
#ifndef LOGQ_STORAGE_LINE_MATCH_H
#define LOGQ_STORAGE_LINE_MATCH_H

#include "storage/dfa.h"
#include "storage/lines.h"

/* A filter made ready, for all blocks of a scan.  Immutable; any thread. */
struct line_match;
/* `f` is borrowed.  Never fails but for memory: what has no automaton is asked of each line. */
int line_match_new(const struct scan_filter *f, struct line_match **ret, struct err *err);
void line_match_free(struct line_match **pm);

/* One line, in memory. */
bool line_match_line(const struct line_match *m, struct str line);

/* Could any row of a block with this plan pass?  false is certain.  Reads no column. */
bool line_match_plan(const struct line_match *m, const struct lines_plan *plan);

struct line_match_stats {
    uint64_t templates, never, always; /* judged */
    uint64_t columns;                  /* read */
    uint64_t rendered;                 /* rows that were written out */
};
/* Clear the bits (by row in layout order) of rows that do not pass.  `a` for scratch.  ERR_CORRUPT,
 * ERR_NOMEM. */
int line_match_block(const struct line_match *m, struct lines *l, uint64_t *selected,
                     struct arena *a, struct line_match_stats *stats, struct err *err);

#endif
