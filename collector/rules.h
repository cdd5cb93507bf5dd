/*
 * collector/rules.h - which records of a log are kept: the option `rules`, ready for use.
 *
 * What a rule decides follows from the record and its place in the file, so that a chunk that is
 * built again after a crash has the same records.  A rate is the exception: it is counted in the
 * time of the records, bounded by our clocks, and whether it is used up is a bit of the part that
 * is being made (checkpoint_part.closed), which changes between two lines and never within a part.
 * So what is built again asks no clock and no bucket.  Immutable but for the buckets; loop thread.
 */
#ifndef LOGQ_COLLECTOR_RULES_H
#define LOGQ_COLLECTOR_RULES_H

#include "base/labels.h"
#include "base/time.h"
#include "collector/config.h"
#include "collector/decode.h"

struct rules;

enum rules_by {
    RULES_KEEP,
    RULES_DROP,
    RULES_SAMPLE,
    RULES_RATE,
    RULES_UNSEARCHED, /* it may fit a rule: looking costs more than is allowed */
};

/* What a rule looks at. */
struct rules_record {
    struct str line;
    enum decode_stream stream;
    ts_ns ts;
    const struct labels *labels; /* of the file */
    const struct label *attrs;
    size_t n_attrs;
    uint64_t place; /* the same for the same bytes of the same file, and for no others */
};

struct rules_decision {
    enum rules_by by;
    size_t rule;    /* which decided; meaningless with RULES_KEEP and no `limit` */
    unsigned limit; /* 0, or 1 + the bucket that the record counts in */
};

/* ERR_INVALID, ERR_LIMIT, ERR_UNSUPPORTED: a pattern.  `c` is borrowed. */
int rules_new(const struct config *c, struct rules **ret, struct err *err);
void rules_free(struct rules **pr);

/* The rules (a bit each) that records of a log with these labels can fit. */
uint64_t rules_for(const struct rules *r, const struct labels *labels);
const char *rules_name(const struct rules *r, size_t rule);
/* What the rules `of` are, in 24 bits: with others records may fare otherwise, and the bits of
 * rates mean something else.  0: there are none. */
uint32_t rules_mark(const struct rules *r, uint64_t of);

/* What becomes of `rec`, by the rules `of`; `closed`: the buckets that are used up. */
struct rules_decision rules_decide(const struct rules *r, uint64_t of, unsigned closed,
                                   const struct rules_record *rec);

/* Two for each rate, stdout and stderr. */
enum { RULES_BUCKETS = 2 * CONFIG_RATES_MAX };
struct rules_bucket {
    double tokens;
    ts_ns at;       /* how far tokens were made: never goes back.  0: never used: it is full */
    ts_ns leap;     /* the last record's, if it is far ahead of `at`; 0: it is not */
    dur_ns counted; /* when it was counted in last, time_mono */
    bool begun;     /* `at` is a time of records */
};

/* The time of a record, and what the clocks say when it is counted. */
struct rules_time {
    ts_ns record, wall;
    dur_ns mono;
};

/* How far rates are used up, of one file or of all files of a source. */
struct rules_rates {
    struct rules_bucket *buckets; /* owned; NULL: none was counted yet */
    unsigned closed;
};

/* Before a record of time `t` is decided by the rules `of`: those of `closed` that are used up
 * still; a bucket that made a second's worth since is open for it.  Between two parts only. */
unsigned rules_reopen(const struct rules *r, uint64_t of, const struct rules_time *t,
                      struct rules_bucket buckets[RULES_BUCKETS], unsigned closed);
/* The same in `rates`, of a record of time `ts` that is read now.  true: one was opened. */
bool rules_reopen_in(const struct rules *r, uint64_t of, ts_ns ts, struct rules_rates *rates);
/* A record of time `t` counts in `d->limit`; returns what `closed` is behind it. */
unsigned rules_count(const struct rules *r, const struct rules_decision *d,
                     const struct rules_time *t, struct rules_bucket buckets[RULES_BUCKETS],
                     unsigned closed);

/* The same in `rates`, of a record of time `ts` that is counted now. */
void rules_count_in(const struct rules *r, const struct rules_decision *d, ts_ns ts,
                    struct rules_rates *rates);
/* A record with a text of `bytes` was dropped: for the metrics. */
void rules_dropped(const struct rules_decision *d, size_t bytes);

/* Do the values of `l` fit those of `want`, all of them?  Values of `want` are globs. */
bool rules_labels_fit(const struct labels *want, const struct labels *l);

#endif
