/*
 * storage/line_quick.h - templates in which literals cannot be, told in some nanoseconds a slot.
 *
 * Most templates have nothing to do with what is looked for.  While the automaton idles, a piece is
 * passed by a look at its last byte and a slot by its classes; where neither is enough the template
 * is left to line_graph.h.  That no literal stands inside of a piece is found for the plan at once:
 * its pieces lie one after the other.  Immutable after init; any thread.
 */
#ifndef LOGQ_STORAGE_LINE_QUICK_H
#define LOGQ_STORAGE_LINE_QUICK_H

#include "storage/line_needle.h"
#include "storage/lines.h"

enum { LINE_QUICK_STATES = 256 }; /* more: not usable */

struct line_quick {
    const struct dfa *d;         /* borrowed; NULL: the filter is no set of literals */
    const struct line_needle *w; /* borrowed */
    bool leaves[256];            /* behind this byte the automaton may be somewhere in a literal */
    bool goes_on[256]; /* in some literal this byte goes on, elsewhere than at its start */
    uint16_t goes_classes[LINE_QUICK_STATES]; /* of bytes that a literal goes on with, by state */
    uint16_t needs[LINE_NEEDLES_MAX][DFA_NEEDLE_MAX]; /* classes that byte i may be of */
};

void line_quick_init(struct line_quick *q, const struct dfa *d, const struct line_needle *w);

/* Whether line_quick_never may be asked about templates of this plan. */
bool line_quick_begin(const struct line_quick *q, const struct lines_plan *plan);
/* true: nothing is found in rows of the template.  false: look closely. */
bool line_quick_never(const struct line_quick *q, const struct lines_plan *plan, size_t template);

#endif
