/*
 * collector/redact_scan.h - where in a text something worth a closer look may be.
 *
 * One pass, 32 bytes at a time: with AVX2 where the machine has it, else byte by byte, with the
 * same result.  What is found is a hint and nothing more; what is not found is not there.  Pure
 * functions, any thread.
 */
#ifndef LOGQ_COLLECTOR_REDACT_SCAN_H
#define LOGQ_COLLECTOR_REDACT_SCAN_H

#include "base/str.h"

#include <stdint.h>

enum redact_hint {
    REDACT_LITERAL = 1, /* one of the literals may begin here */
    REDACT_AT = 2,      /* an @, or the % of %40 and of %25 */
    REDACT_DIGITS = 4,  /* the 13th of a run of digits */
    REDACT_GROUPS = 8,  /* the 16th of a run of digits, blanks and dashes */
    REDACT_QUAD = 16,   /* the digit behind the second of two dots between digits */
    REDACT_COLON = 32, /* a colon behind another, or the third of a chain with hex digits between */
};

enum {
    REDACT_HINTS = 6,
    REDACT_LITERAL_BYTES = 3, /* of a literal are looked for */
    REDACT_DIGITS_MIN = 13,
    REDACT_GROUPS_MIN = 16,
};

struct redact_needles {
    unsigned hints; /* enum redact_hint: the wanted ones */
    /* Sets of literals, a bit each, by the low and the high half of each of their bytes. */
    uint8_t low[REDACT_LITERAL_BYTES][16], high[REDACT_LITERAL_BYTES][16];
};

/* Also look for `literal` (at least REDACT_LITERAL_BYTES), in set `set` (0..7): those of one set
 * should resemble each other. */
void redact_needles_add(struct redact_needles *n, unsigned set, struct str literal, bool any_case);

/* `hints` are those at byte `at` of the text; places come in order. */
typedef void redact_hint_fn(void *arg, size_t at, unsigned hints);
void redact_scan(const struct redact_needles *n, struct str text, redact_hint_fn *fn, void *arg);
/* The same without AVX2. */
void redact_scan_portable(const struct redact_needles *n, struct str text, redact_hint_fn *fn,
                          void *arg);

#endif
