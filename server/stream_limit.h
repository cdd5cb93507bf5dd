/*
 * server/stream_limit.h - how many streams a tenant may have in one day.
 *
 * A label with a value of its own for each request makes a stream of each record, and a day of them
 * is slow for everybody.  Counted per tenant and UTC day of arrival, from the start of the program
 * on.  Known streams are always taken.  Thread-safe.
 */
#ifndef LOGQ_SERVER_STREAM_LIMIT_H
#define LOGQ_SERVER_STREAM_LIMIT_H

#include "base/record.h"

struct stream_limit;

struct stream_limit *stream_limit_new(size_t max); /* 0: no limit */
void stream_limit_free(struct stream_limit **pl);

/* Take the batch's streams in, all or none.  ERR_LIMIT names the tenant, the limit and one of the
 * new streams. */
int stream_limit_admit(struct stream_limit *l, struct str tenant, const struct batch *b, ts_ns now,
                       struct err *err);

#endif
