/*
 * collector/journal_streams.h - the streams that entries of the journal belong to: what is known of
 * each from one record to the next.
 *
 * Bounded: the one that was seen longest ago makes room, of those of which no lines are held.
 * Nothing of them outlives the process, so a stream that is new to us may be in the middle of a
 * private key (`maybe`).  One thread.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_STREAMS_H
#define LOGQ_COLLECTOR_JOURNAL_STREAMS_H

#include "base/str.h"
#include "collector/journal_joins.h"
#include "collector/profile.h"
#include "collector/trace.h"

#include <stdbool.h>

struct journal_held;

/* A container's stream, or a unit. */
struct journal_stream {
    const struct profile *profile;    /* what is done to its records; NULL: it is new */
    struct trace_rule trace;          /* which of its lines are one record */
    struct rules_rates rates;         /* how far they are used up */
    char *app, *image, *image_digest; /* owned: what its runtime says of it; NULL: nothing */
    dur_ns since;                     /* it was first asked for that; */
    dur_ns again_at;                  /* it is asked again; 0: that is settled */
    bool in_key;                      /* what comes next begins inside a private key */
    bool maybe;                       /* or it does not: nobody saw what was before */
    bool cut;                  /* the record before was given up: this may be the rest of it */
    struct journal_held *held; /* lines of a record that may go on (journal_lines.h); NULL: none */

    struct journal_stream *newer, *older; /* from here on only journal_streams.c's */
    char key[JOURNAL_KEY_MAX];
    size_t key_n;
};

struct journal_streams;

/* `max`: more than there can be streams of which lines are held. */
struct journal_streams *journal_streams_new(size_t max);
void journal_streams_free(struct journal_streams **ps);

/* The stream `key` (shorter than JOURNAL_KEY_MAX), seen now; a new one begins with in_key and
 * maybe.  Valid until the next call, and as long as lines of it are held. */
struct journal_stream *journal_streams_get(struct journal_streams *s, struct str key);

#endif
