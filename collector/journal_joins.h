/*
 * collector/journal_joins.h - records that stand in the journal in several entries.
 *
 * Docker and podman cut long lines.  Docker's pieces have an id and a number, podman's only the
 * mark that more follows: there a record ends with the next entry of its container and stream that
 * has no mark.
 *
 * What is open is told by (key, cursor of the first piece) alone, so that it can be read again
 * (journal_state.h).
 *
 * Bounds: JOURNAL_JOINS_MAX records, of each max_line bytes (what is beyond is counted), all
 * together JOURNAL_JOINS_BYTES; pieces as in join.h.  One thread.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_JOINS_H
#define LOGQ_COLLECTOR_JOURNAL_JOINS_H

#include "base/json.h"
#include "collector/journal_frame.h"

enum {
    JOURNAL_JOINS_MAX = 32,
    JOURNAL_JOINS_BYTES = 16 << 20,
    JOURNAL_KEY_MAX = 160,
};

struct journal_joins;

/* Of one entry or of several. */
struct journal_record {
    struct journal_frame head; /* the first piece; its message is not to be used */
    struct str text;
    uint64_t total; /* > text.n: it was cut */
    bool partial;   /* given up as it is */
    unsigned lines; /* that were put together; 0: it is one */
};

struct journal_joins *journal_joins_new(size_t max_line);
void journal_joins_free(struct journal_joins **pj);

/* Is `f` a piece behind which more follows? */
bool journal_joins_is_piece(const struct journal_frame *f);
/* What pieces of one record have in common; `key` holds it.  Anybody may write entries in the name
 * of a container; who it was is part of the key, so they are none of what its runtime has written.
 */
struct str journal_joins_key(const struct journal_frame *f, char key[JOURNAL_KEY_MAX]);

/* Must a record that is open be given up before `f` can be taken?  true: it is *ret, which is valid
 * until the next call.  Ask until it is false. */
bool journal_joins_give_up(struct journal_joins *j, const struct journal_frame *f,
                           struct journal_record *ret);
/* Take an entry.  0: *ret is the record that ends with it, valid until the next call and as long as
 * `f`; 1: it is held. */
int journal_joins_add(struct journal_joins *j, const struct journal_frame *f, dur_ns now,
                      struct journal_record *ret);
/* A record that has not grown since `before` is given up.  false: there is none. */
bool journal_joins_stale(struct journal_joins *j, dur_ns before, struct journal_record *ret);

size_t journal_joins_count(const struct journal_joins *j);
/* Record `i` of those that are open, the oldest first: its key, and the cursor of its first piece.
 * Views. */
void journal_joins_at(const struct journal_joins *j, size_t i, struct str *key, struct str *cursor);

#endif
