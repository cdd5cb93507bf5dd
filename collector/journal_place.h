/*
 * collector/journal_place.h - cursors of the journal as places in an order.
 *
 * A cursor is text, "s=<seqnum id>;i=<number>;b=<boot id>;m=<monotonic us>;t=<realtime
 * us>;x=<hash>", numbers in hexadecimal.  The order is the one in which libsystemd tells entries of
 * several files.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_PLACE_H
#define LOGQ_COLLECTOR_JOURNAL_PLACE_H

#include "base/str.h"

struct journal_place {
    struct str source, boot; /* views of the cursor */
    uint64_t number, mono, real, hash;
};

/* false: it is no cursor. */
bool journal_place_parse(struct str cursor, struct journal_place *ret);

/* Negative: `a` is told before `b`; 0: they are the same entry. */
int journal_place_cmp(const struct journal_place *a, const struct journal_place *b);

/* What has to be written down of `cursor` where `beside` is, too: its number alone if both have one
 * source, else all of it.  A view of it. */
struct str journal_place_short(struct str cursor, struct str beside);
/* Is `written`, which was made so, the entry at `cursor`? */
bool journal_place_is(struct str written, struct str beside, struct str cursor);

/* Is `b` what the same journal wrote next after `a`? */
bool journal_place_follows(const struct journal_place *a, const struct journal_place *b);

#endif
