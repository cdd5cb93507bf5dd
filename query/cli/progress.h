/*
 * query/cli/progress.h - how far a long answer is: a line on stderr, after the first second.
 *
 * Entries come in order of time, so the share of the span that lies behind the last one tells how
 * much is left; blocks and bytes are that share of what the index says there is.
 */
#ifndef LOGQ_QUERY_CLI_PROGRESS_H
#define LOGQ_QUERY_CLI_PROGRESS_H

#include "query/cli/cmd.h"

struct progress {
    bool on, terminal;
    ts_ns from, to;
    bool backward;
    double blocks, bytes; /* in the span; 0: not known */
    uint64_t entries, line_bytes;
    dur_ns began, shown; /* time_mono */
    bool drawn;
};

/* Does `args` want it, stdout being what it is?  Asks the index of the selector of `query`. */
void progress_begin(struct progress *p, const struct cmd *c, struct str query, ts_ns from,
                    ts_ns to);
/* Another entry of that time and size has come; cheap. */
void progress_step(struct progress *p, ts_ns ts, size_t bytes);
/* Take the line away. */
void progress_end(struct progress *p);

/* Append the line as it would be shown now, `elapsed` after the beginning. */
void progress_print(const struct progress *p, ts_ns at, dur_ns elapsed, struct buf *out);

#endif
