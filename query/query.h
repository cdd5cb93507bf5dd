/*
 * query/query.h - DOOR: LogQL text in, answer out.
 *
 * lex -> parse -> check -> plan -> exec.  A parsed query is immutable: many threads may run it at
 * once.  A run is one thread's, blocks on storage/scan.h, and always ends: in an answer or an error
 * that says which limit was reached and how to raise it.  Language: docs/logql.md.
 */
#ifndef LOGQ_QUERY_QUERY_H
#define LOGQ_QUERY_QUERY_H

#include "base/buf.h"
#include "base/record.h"
#include "storage/scan.h"

struct query;

enum query_kind { QUERY_LOG, QUERY_METRIC };

/* Of one query: bytes; levels; words, signs, numbers and strings (bounds the time to read them). */
enum { QUERY_TEXT_MAX = 131071, QUERY_DEPTH_MAX = 100, QUERY_TOKENS_MAX = 20000 };

/* Lines on one side of a hit, and hits, where lines around them are asked for. */
enum { QUERY_CONTEXT_MAX = 100, QUERY_CONTEXT_HITS_MAX = 1000 };

/* ERR_INVALID: "parse error at line L, col C: message".  ERR_UNSUPPORTED in the same form for what
 * LogQL has and we have not yet. `line` and `column` (may be NULL) get the place, from 1. */
int query_parse(struct str text, struct query **ret, unsigned *line, unsigned *column,
                struct err *err);
/* The same, and a selector may take all streams, as {} and {app=~".*"} do (an extension). */
int query_parse_all(struct str text, struct query **ret, unsigned *line, unsigned *column,
                    struct err *err);
/* Append the canonical text of `text` to *out, laid out for people: in several lines where it is
 * long.  It is one that could be a query, but need not be one that runs: regular expressions of
 * line filters, ip(), paths of parsers and templates are not looked at.  Errors as query_parse. */
int query_format(struct str text, struct buf *out, unsigned *line, unsigned *column,
                 struct err *err);
/* The same, and a selector may take all streams, as for query_parse_all. */
int query_format_all(struct str text, struct buf *out, unsigned *line, unsigned *column,
                     struct err *err);
struct query *query_ref(struct query *q);
void query_unref(struct query **pq);

enum query_kind query_kind(const struct query *q);
/* Can it be asked of what comes, batch by batch?  A metric query, or one with dedup, cannot. */
bool query_may_follow(const struct query *q);
/* The matchers of a query that is a stream selector and nothing else; false for any other.  They
 * live with q. */
bool query_selector(const struct query *q, const struct matcher **ret, size_t *n);
/* The parts of a delete request: a stream selector with line filters on the line as it is stored,
 * and stages that all entries pass.  Sets ret->matchers and ret->filters, which live with q and in
 * `a`.  ERR_UNSUPPORTED for any other. */
int query_delete(const struct query *q, struct arena *a, struct store_delete *ret, struct err *err);
void query_print(const struct query *q, struct buf *out); /* canonical text, in one line */

/* What a query is made of, and where each part is done. */
enum query_place {
    QUERY_AT_INDEX,   /* by catalogs: other streams are not looked at */
    QUERY_AT_BLOCKS,  /* in the scan: blocks that cannot hold a hit are not read */
    QUERY_AT_COLUMNS, /* in the scan, from columns, as far as they tell; else on records */
    QUERY_AT_RECORDS, /* on each record that is left */
};
typedef void query_part_fn(void *arg, struct str text, enum query_place place);
/* Tell all parts, selector by selector.  `text` is valid during the call. */
void query_explain(const struct query *q, query_part_fn *fn, void *arg);

/* How far ahead of now whoever asks for all up to now may put the end: records may be. */
#define QUERY_AHEAD (10 * NS_PER_MIN)

struct query_limits {    /* 0: the default behind it */
    dur_ns time;         /* 60 s */
    size_t memory_bytes; /* 128 MiB */
    uint64_t line_bytes; /* no limit */
    size_t series;       /* 500: result series */
    size_t points;       /* 11,000: (end - start) / step */
    dur_ns length;       /* no limit: end - start, without QUERY_AHEAD where end lies ahead */
    dur_ns range;        /* no limit: of a range aggregation */
};

/* What metric queries found where nothing changes any more, for the next ones; any thread.  It is
 * charged to `budget` (may be NULL), which must outlive it; where that is used up nothing is kept.
 */
struct query_cache;
struct query_cache *query_cache_new(size_t max_bytes, struct mem_budget *budget);
void query_cache_free(struct query_cache **pc); /* no run uses it */
/* Keep nothing that was made of the tenant's records so far, by runs under way neither. */
void query_cache_forget(struct query_cache *c, struct str tenant);
struct query_cache_stats {
    uint64_t hits, misses, evictions; /* of pieces: some steps of one range aggregation */
    uint64_t joined;                  /* misses that another run was evaluating already, */
    uint64_t alone;                   /* and of those what it was not waited for */
    uint64_t refused;                 /* results that were too large, or had no memory */
    uint64_t pieces, bytes;           /* now */
};
void query_cache_stats(struct query_cache *c, struct query_cache_stats *ret);

/* What the stages `dedup` of a query have let pass, in at most `max_bytes`: for runs on one batch
 * after another.  One thread. */
struct distinct;
struct distinct *query_seen_new(size_t max_bytes);
void query_seen_free(struct distinct **ps);

/* Append what Loki says of an error of a run: its text, and of a line that could not be read the
 * ways to leave it out, a line of text each. */
void query_print_error(const struct err *err, struct buf *out);

enum query_direction { QUERY_BACKWARD, QUERY_FORWARD };

/* A place in the order of a log query's answer, behind one record.  Records of one time and number
 * there may be in several streams; they are counted. */
struct query_cursor {
    bool set;
    ts_ns ts;
    uint64_t seq;
    uint64_t nth; /* of those with this time and number, from 1 */
};

/* Whoever runs queries on few threads is told when one of them only waits for what another run
 * reads, and so may run others meanwhile.  Both on the thread of the run. */
struct query_waiting {
    void *arg;
    bool (*begin)(void *arg); /* false: it may not wait (and reads itself); no end follows */
    void (*end)(void *arg);
};

struct query_params {
    const struct str *tenants;
    size_t n_tenants;
    ts_ns start,
        end; /* log: start <= ts < end.  metric: evaluation times start, start + step ... <= end */
    dur_ns step;     /* metric; 0 with start == end: instant */
    dur_ns interval; /* log: keep an entry only when that far from the last kept one; 0: all */
    uint64_t limit;  /* log: entries; 0: all */
    enum query_direction direction;
    /* log, forward: pass over entries at `start` with seq <= after_seq (cursor of the last one
     * seen); 0: none */
    uint64_t after_seq;
    struct query_cursor cursor; /* log: go on behind it, in either direction; not with dedup */
    /* log: so many lines of its stream before and after each entry, if any; the limit is then of
     * those that are hits */
    uint64_t before, after;
    bool lenient;    /* metric: lines that a stage cannot read are left out, and counted */
    bool top_series; /* metric: of too many series the greatest are given */
    struct query_limits limits;
    struct mem_budget *budget;           /* parent of the query's own; may be NULL */
    const atomic_bool *cancel;           /* may be NULL */
    struct query_cache *cache;           /* of this store; NULL: nothing is kept */
    const struct query_waiting *waiting; /* may be NULL */
    struct distinct *seen;               /* log: by runs before, too; NULL: each run begins anew */
};

struct query_stats {
    struct scan_stats scan;
    uint64_t entries;         /* given out */
    struct query_cursor next; /* log: set where the limit ended the run: there may be more behind */
    uint64_t pipeline_lines;  /* that passed the pipeline */
    uint64_t failed_lines;    /* left out, for a stage could not read them (lenient) */
    uint64_t series_left_out; /* the lesser ones (top_series) */
    double seconds;
    size_t peak_bytes;
};

/* One line of an answer.  The three kinds of labels are kept apart (Loki's categorize-labels). */
struct query_entry {
    ts_ns ts;
    uint64_t seq;
    struct labels stream; /* stream labels (after drop, keep, label_format) */
    struct labels meta;   /* attributes: structured metadata */
    struct labels parsed; /* made by the pipeline */
    struct str line;      /* after the pipeline */
    bool is_context;      /* it is next to a hit, and not through the pipeline */
};
/* Called in order.  Views are valid during the call.  Non-zero ends the run (which then returns
 * that value if < 0, else 0). */
typedef int query_entry_fn(void *arg, const struct query_entry *e);

int query_run_log(struct query *q, struct store *s, const struct query_params *p,
                  query_entry_fn *fn, void *arg, struct query_stats *stats, struct err *err);

/* The same on the records of one batch in memory, in the batch's order; the query is one that
 * follows what comes, so start, end, limit and direction of *p do not count. */
int query_run_batch(struct query *q, const struct batch *b, const struct query_params *p,
                    query_entry_fn *fn, void *arg, struct err *err);

struct query_series {
    struct labels labels;
    size_t n;
    const ts_ns *ts;
    const double *value;
};
enum query_result_type { QUERY_SCALAR, QUERY_VECTOR, QUERY_MATRIX };
struct query_result {
    enum query_result_type type;
    struct query_series *series; /* sorted by labels; vector: n == 1 each */
    size_t n;
    struct arena *arena; /* private: owns all of it */
};
int query_run_metric(struct query *q, struct store *s, const struct query_params *p,
                     struct query_result **ret, struct query_stats *stats, struct err *err);
/* The same on the records of one batch in memory, which lie in order of time. */
int query_run_batch_metric(struct query *q, const struct batch *b, const struct query_params *p,
                           struct query_result **ret, struct err *err);
void query_result_free(struct query_result **pr);

/* Could `b` change the value of this metric query: does any record pass its selectors and line
 * filters?  For rules, cheap.  Any thread. */
bool query_touches(const struct query *q, const struct batch *b);

/* The longest range a metric query looks back from an evaluation time (range + offset); 0 for a log
 * query. */
dur_ns query_lookback(const struct query *q);

#endif
