/*
 * storage/scan.h - DOOR, read side: matchers, time and line filters in, record batches out.
 *
 * A scan sees one instant of the store: what was durable when it was opened, head and segments
 * merged, each record once.  It prunes by partition, segment and block (time, streams), decodes one
 * block at a time within the caller's budget, and filters before it copies.  One thread per scan;
 * any number of scans.
 */
#ifndef LOGQ_STORAGE_SCAN_H
#define LOGQ_STORAGE_SCAN_H

#include "base/match.h"
#include "base/record.h"
#include "storage/store.h"

#include <stdatomic.h>

enum scan_order {
    SCAN_ANY,      /* whatever is fastest */
    SCAN_FORWARD,  /* by (ts, seq) over all streams */
    SCAN_BACKWARD, /* the reverse */
};

enum scan_filter_op { SCAN_CONTAINS, SCAN_CONTAINS_NOT, SCAN_MATCHES, SCAN_MATCHES_NOT };

/* One line filter.  Alternatives (`|= "a" or "b"`): positive operators pass when any is found,
 * negated ones when none is. */
struct scan_filter {
    enum scan_filter_op op;
    const struct str *text;         /* CONTAINS: n literals */
    const struct regexp *const *re; /* MATCHES: n patterns, unanchored */
    size_t n;
};

struct scan_request {
    const struct str *tenants;
    size_t n_tenants;
    const struct matcher *matchers; /* on stream labels; all must match */
    size_t n_matchers;
    ts_ns from, to; /* half-open: from <= ts < to */
    enum scan_order order;
    const struct scan_filter *filters; /* all must pass */
    size_t n_filters;
    bool need_line, need_attrs; /* false: may be left empty in the records */
    size_t batch_records;       /* at most this many per batch; 0: 1,024 */
    struct mem_budget *budget;  /* all that the scan holds; ERR_NOMEM says "query budget" */
    uint64_t max_line_bytes;    /* line text looked at; over it ERR_LIMIT; 0: no limit */
    const atomic_bool *cancel;  /* looked at per block; ERR_CANCELLED.  May be NULL */
};

struct scan;

/* Everything in `req` is borrowed until scan_close.  ERR_NOMEM, ERR_IO, ERR_CORRUPT. */
int scan_open(struct store *s, const struct scan_request *req, struct scan **ret, struct err *err);

/* The next records, in order; streams of the batch are those of these records.  0 and a batch the
 * caller unrefs, or 1: no more.  A damaged block is counted, named in scan_stats and passed over;
 * the answer is then incomplete and says so. */
int scan_next(struct scan *sc, struct batch **ret, struct err *err);

struct scan_stats {
    uint64_t partitions, segments, blocks; /* candidates */
    uint64_t blocks_read, head_batches;
    uint64_t stored_bytes_read; /* from disk */
    uint64_t lines, line_bytes; /* looked at, before line filters */
    uint64_t lines_out;
    uint64_t damaged_blocks;
    char damage[248]; /* the first damage: file and what is wrong; "" if none */
    char partial[64]; /* not all that is stored could be seen yet: "replaying: 3 of 12 MB"; or "" */
};
void scan_stats(const struct scan *sc, struct scan_stats *ret);
void scan_close(struct scan **psc);

/* Call fn for each distinct stream of the tenants that has records in [from, to) as far as
 * partitions and segments tell (it may name one whose records lie just outside), labels sorted, in
 * no order.  Non-zero ends the walk and is returned.  `labels` is valid during the call. */
typedef int scan_stream_fn(void *arg, const struct labels *l);
int scan_streams(struct store *s, const struct scan_request *req, scan_stream_fn *fn, void *arg,
                 struct err *err);

#endif
