/*
 * server/stream_limit.h - how many streams a tenant may have in one day.
 *
 * A label with a value of its own for each request makes a stream of each record, and a day of them
 * is slow for everybody.  Counted per tenant and UTC day of arrival; of what came before the start
 * of the program, those that have records of the day (stream_limit_learn).  Known streams are
 * always taken.  Thread-safe.
 */
#ifndef LOGQ_SERVER_STREAM_LIMIT_H
#define LOGQ_SERVER_STREAM_LIMIT_H

#include "base/record.h"

struct store;
struct stream_limit;

struct stream_limit *stream_limit_new(size_t max); /* 0: no limit */
/* Ends the thread of stream_limit_learn, whose store is still open and was told to stop, or has no
 * replay. */
void stream_limit_free(struct stream_limit **pl);

/* Once, before the first batch: know the streams that the store has of today, on a thread of its
 * own that first waits until the store's replay is over, and charges `budget` for what it holds
 * meanwhile.  Until then nothing is refused: what would be has to wait, and what fits is taken, so
 * that a day with a restart may have more than the limit.  ERR_NOMEM: no thread. */
int stream_limit_learn(struct stream_limit *l, struct store *s, struct mem_budget *budget,
                       struct err *err);

/* Is that still to come?  Then another try of what has to wait is in vain. */
bool stream_limit_is_learning(struct stream_limit *l);

/* Take the batch's streams in, all or none.  ERR_LIMIT names the tenant, the limit and one of the
 * new streams; ERR_TIMEOUT: not now, the streams from before the start are not known yet. */
int stream_limit_admit(struct stream_limit *l, struct str tenant, const struct batch *b, ts_ns now,
                       struct err *err);

/*
 * The same part by part: ERR_LIMIT when some are refused.  refused[i], of b->n_parts, is set for
 * those whose streams are not taken in, and for parts without records in front of one that are of
 * the same file (the bytes of its first record); all others are cleared.  A part that has one
 * stream which is taken has all of them taken, for a part is stored whole: stdout and stderr of one
 * container.  What a collector says itself (source="logq") has some room beyond the limit, or it
 * could not say what was refused.
 */
int stream_limit_admit_parts(struct stream_limit *l, struct str tenant, const struct batch *b,
                             ts_ns now, bool *refused, struct err *err);

#endif
