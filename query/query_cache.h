/*
 * query/query_cache.h - pieces of range aggregations over time that does not change any more, kept.
 *
 * A piece is what one range aggregation (or the sum fused with it) gives at some steps; its key
 * says which and for whom.  It is true while scan_spans says the same of the time that it covers.
 * Bounded: what was not used for longest goes.  Any thread.  Life and statistics: query.h.
 */
#ifndef LOGQ_QUERY_QUERY_CACHE_H
#define LOGQ_QUERY_QUERY_CACHE_H

#include "query/query.h"
#include "query/series.h"

/* The piece, to be given back by query_piece_unref; NULL: there is none.  One of another state is
 * forgotten. */
const struct matrix *query_cache_get(struct query_cache *c, struct str key, uint64_t state);
void query_piece_unref(const struct matrix **pm);
/* Keep a copy of the `n` steps of `m` from `first` on; or not, when it is too large. */
void query_cache_put(struct query_cache *c, struct str key, uint64_t state, const struct matrix *m,
                     size_t first, size_t n);

#endif
