/*
 * collector/journal_state.h - how far the journal has come, as the spool says it.
 *
 * Lines that are appended together end in one that is none of a record:
 *
 *     {"at":"<cursor of the last entry that is dealt with>","from":"<cursor of the oldest
 *      entry of an open record>","open":[[key,place],...],"lines":[[key,place,place],...],
 *      "dropped":[...]}
 *
 * with what is open (journal_joins.h, journal_lines.h) and what was dropped and not told
 * (journal_drops.h), in so far as there is any.  Of each key there is a hash, of each cursor what
 * `at` does not say already (journal_place_short): there may be many of them, and often.  It is
 * true of all lines in front of it.  Lines without one behind them were being written when we were
 * killed, and nobody has read them: they are cut off, and made again.
 *
 * Whoever writes entries can find two keys of one hash.  So a hash only says where to look: what a
 * record's key is says the entry that it begins with.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_STATE_H
#define LOGQ_COLLECTOR_JOURNAL_STATE_H

#include "collector/journal_drops.h"
#include "collector/journal_lines.h"
#include "collector/spool.h"

#define JOURNAL_STATE_BEGIN "{\"at\":"

enum { JOURNAL_OPEN_MAX = JOURNAL_JOINS_MAX + JOURNAL_LINES_MAX };

/* A record that was open. */
struct journal_open {
    uint64_t key;                   /* journal_state_key of it */
    char begin[JOURNAL_CURSOR_MAX]; /* places, as they are written */
    char end[JOURNAL_CURSOR_MAX];   /* of its first line; "": it is one line, of several entries */
    char whole[JOURNAL_KEY_MAX];    /* the key of the entry at `begin`, which was read again */
    bool ended;                     /* the one at `end` was */
};

struct journal_state {
    char at[JOURNAL_CURSOR_MAX];   /* "": there is none */
    char from[JOURNAL_CURSOR_MAX]; /* where reading has to begin again; "": at `at` */
    struct journal_open *open;     /* owned; JOURNAL_OPEN_MAX */
    size_t n_open;
    struct journal_drops drops;
};

void journal_state_init(struct journal_state *s);
void journal_state_fini(struct journal_state *s);

uint64_t journal_state_key(struct str key);

/* `at` and `drops` of `s` with what is open now, as a line behind `out`. */
void journal_state_put(const struct journal_state *s, const struct journal_joins *joins,
                       const struct journal_lines *lines, struct buf *out);
/* What `line` says, in a `s` that was just made.  false: it breaks its format, and `s` is as it
 * was.
 */
bool journal_state_parse(struct journal_state *s, struct str line);
/* Read the last one of the spool, without what is behind it.  One that breaks its format is as
 * none, and is logged. */
int journal_state_load(struct journal_state *s, struct spool *spool, struct err *err);

/* As if nothing had been open. */
void journal_state_forget_open(struct journal_state *s);
/* `later` is behind `than` in the journal, or one of them is none. */
bool journal_state_is_later(struct str later, struct str than);

#endif
