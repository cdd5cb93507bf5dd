/*
 * base/near.h - "did you mean ...?": the known word that is nearest to a mistyped one.
 *
 *     near_begin(&near, STR("fowrard"));
 *     for each known word: near_offer(&near, word);
 *     if (near.best.p != NULL) "... did you mean '%.*s'?"
 */
#ifndef LOGQ_BASE_NEAR_H
#define LOGQ_BASE_NEAR_H

#include "base/str.h"

enum { NEAR_MAX = 40 }; /* longer words get no suggestion */

struct near {
    struct str best; /* nearest word offered so far, borrowed; p == NULL: none is near */
    struct str word; /* private from here on */
    unsigned least;
};

/* Start anew for `word`, which is borrowed until the last offer. */
void near_begin(struct near *n, struct str word);

/* Consider one known word; of equally near ones the first offered stays. */
void near_offer(struct near *n, struct str known);

#endif
