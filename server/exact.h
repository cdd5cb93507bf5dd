/*
 * server/exact.h - a record as a line of JSON that gives its very bytes back: what `logq export`
 * writes and `logq import` sends.
 *
 *     {"ts_ns":"1795288478773648831","seq":7,"labels":{},"attributes":{},"line":"..."}
 *
 * Text that is not UTF-8 stands as base64 under "line_base64" and "attributes_base64" instead.
 * Other keys are passed over when read.
 */
#ifndef LOGQ_SERVER_EXACT_H
#define LOGQ_SERVER_EXACT_H

#include "query/query.h"

/* Append it, with a newline; overflow shows in the buf. */
void exact_put(struct buf *out, const struct query_entry *e);

struct exact_record {
    ts_ns ts;
    struct labels labels, attrs; /* sorted; at most RECORD_LABELS_MAX and RECORD_ATTRS_MAX */
    struct str line;
};
/* Read one line; all of *ret is in `a`.  ERR_INVALID, ERR_LIMIT, ERR_NOMEM. */
int exact_get(struct str line, struct arena *a, struct exact_record *ret, struct err *err);

#endif
