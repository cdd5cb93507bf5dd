/*
 * storage/scan.h - DOOR, read side: matchers, time and line filters in, record batches out.
 *
 * A scan sees one instant of the store: what was durable when it was opened, head and segments
 * merged, each record once.  It prunes by partition, segment and block (time, streams, what the
 * block's templates can hold), decodes what the question needs within the caller's budget, and
 * writes out only lines that are handed out.  A scan belongs to one thread; helpers of the store
 * join in inside of a call (scan_pool.h).  Any number of scans.
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

/* What reads labels out of lines: each `key` (of nested JSON objects: keys joined by NUL, as they
 * stand) with a value that is text or a number is a label, called as scan_request.names says. */
enum scan_parser { SCAN_PARSE_NONE, SCAN_PARSE_JSON, SCAN_PARSE_LOGFMT, SCAN_PARSE_PATTERN };

/* PATTERN: captures and literals in turn.  A line begins with the literal in front, or has no
 * labels; a capture ends where the next literal stands first, or else with the line, and is the
 * last then.  Its path is its name. */
struct scan_piece {
    struct str text; /* of a literal; the name of a capture */
    bool is_capture;
};
struct scan_pattern {
    const struct scan_piece *v;
    size_t n;
};

/* UNSURE: whoever asked must look at the record itself. */
enum scan_verdict { SCAN_FAILS, SCAN_PASSES, SCAN_UNSURE };

/* A test of one label: of the stream, or else an attribute, or else what the parser found. */
struct scan_test {
    struct str label;
    enum scan_parser parser;
    /* `value.p` NULL: there is no such label.  Pure, any thread. */
    enum scan_verdict (*judge)(const void *arg, struct str value);
    const void *arg;
    bool is_order; /* what judge says of decimal digits is: below, at, above `number` */
    bool below, at, above;
    double number;
};
/* Holds where one of the tests does. */
struct scan_condition {
    const struct scan_test *test;
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
    /* Records for which one of these surely does not hold may be left out: what can be told from
     * columns.  Others come whatever they hold. */
    const struct scan_condition *conditions;
    size_t n_conditions;
    /* Is the field at `path` the label `label`, unless that is taken?  Of conditions, and below.
     * Pure, any thread. */
    bool (*names)(enum scan_parser parser, struct str path, struct str label);
    const struct scan_pattern *pattern; /* of every parser PATTERN; else not looked at */
    bool need_line, need_attrs;         /* false: may be left empty in the records */
    /* Lines need not be whole: of those that `parser` reads, only the fields that may be one of
     * the labels `field`, in their order.  NONE: whole. */
    enum scan_parser parser;
    const struct str *field;
    size_t n_fields;
    size_t batch_records;      /* at most this many per batch; 0: 1,024 */
    size_t expect;             /* ordered: about so many records will be taken; 0: all */
    struct mem_budget *budget; /* all that the scan holds; ERR_NOMEM says "query budget" */
    uint64_t max_line_bytes;   /* line text looked at; over it ERR_LIMIT; 0: no limit */
    dur_ns deadline;           /* of time_mono, looked at with `cancel`: ERR_TIMEOUT; 0: none */
    const atomic_bool *cancel; /* looked at per block and batch; ERR_CANCELLED.  May be NULL */
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
    /* Looked at, before line filters: not those of blocks whose plan already says no.  Bytes in
     * blocks are the block's, in proportion. */
    uint64_t lines, line_bytes;
    uint64_t lines_out;
    uint64_t damaged_blocks;
    char damage[248]; /* the first damage: file and what is wrong; "" if none */
    char partial[64]; /* not all that is stored could be seen yet: "replaying: 3 of 12 MB"; or "" */
};
void scan_stats(const struct scan *sc, struct scan_stats *ret);
void scan_close(struct scan **psc);

/* ---- counting ---- */

/* Values of samples, added up; zeroed is none.  Which sums came first is left open. */
struct scan_sum {
    uint64_t n;
    double sum, min, max;
    double mean, squares; /* squares: of the distances from the mean, added up */
};
static inline void scan_sum_add(struct scan_sum *s, double v)
{
    double off = v - s->mean;

    s->min = s->n == 0 || v < s->min ? v : s->min;
    s->max = s->n == 0 || v > s->max ? v : s->max;
    s->n++;
    s->sum += v;
    s->mean += off / (double)s->n;
    s->squares += off * (v - s->mean);
}

/* Where rows are added up; arrays of one number a bucket. */
struct scan_cells {
    uint64_t *rows;
    uint64_t *bytes;      /* of lines; NULL: not wanted */
    struct scan_sum *sum; /* when values are added up */
    void *owner;          /* the caller's own */
};

/* What rows have in common. */
struct scan_key {
    const struct labels *stream;
    const struct label *attr; /* sorted by name; of the names asked for alone */
    uint32_t n_attr;
    struct str line; /* "" unless by_line.  Of one that the parser makes nothing of, what is left
                        may be less, but for the parser the same */
    bool tested;     /* all conditions hold */
};

/* A number of a row and the row's place in the order of all, for the cells of its key. */
struct scan_sample {
    ts_ns ts;
    uint64_t seq; /* 0 unless asked for */
    double v;
};
typedef int scan_sample_fn(void *arg, struct scan_cells *cells, const struct scan_sample *s,
                           struct err *err);

/* The number that is taken from each row; rows without such a label do not count. */
struct scan_value {
    struct str label; /* looked for as that of a scan_test */
    enum scan_parser parser;
    /* false: it is none, or one that must be looked at with the whole record.  Pure, any thread. */
    bool (*number)(const void *arg, struct str text, double *ret);
    const void *arg;
    bool is_plain; /* of decimal digits it is the number that they are */
    /* A row that cannot be judged here (conditions, value).  0; or as `cells`.  At any time, one
     * at a time. */
    int (*record)(void *arg, const struct labels *stream, const struct record *rec,
                  struct err *err);
    void *arg_record;
    /* NULL: numbers are added up in `sum`.  Else told each, in no order, with arg_record, at any
     * time, one at a time; non-zero as of `record`. */
    scan_sample_fn *sample;
    bool by_seq; /* samples have their seq */
};

/*
 * Rows by stream, some attributes and time, without records: from rollups and keys, and from the
 * columns that line filters, conditions, attributes and parsed fields need.
 */
struct scan_count {
    struct scan_request req; /* as scan_open; from, to, order, need_* ... do not matter */
    const ts_ns *edge;       /* n_edges > 1, ascending: bucket i is edge[i] <= ts < edge[i + 1] */
    size_t n_edges;
    bool bytes;
    bool all_attrs;          /* by all attributes of a row, or */
    const struct str *attrs; /* by these names */
    size_t n_attrs;
    const struct str *names; /* of streams these names alone tell rows apart; NULL: all */
    size_t n_names;
    bool by_line; /* by line too: as req.field reduces it, or that of rows for which all conditions
                     hold as `field` does */
    const struct str *field;
    size_t n_fields;
    const struct scan_value *value; /* NULL: rows are counted */
    /* The cells of rows that are alike; *ret NULL: they do not count.  Called at most once for each
     * key in a day of a tenant, and only when there is such a row in a bucket; on any thread, one
     * at a time. */
    int (*cells)(void *arg, const struct scan_key *key, struct scan_cells **ret, struct err *err);
    void *arg;
};
enum { SCAN_COMBINATIONS_MAX = 1 << 21 };
/* Adds up all rows of the request in all buckets.  1: there are more than SCAN_COMBINATIONS_MAX
 * combinations of attributes and lines, or they take half of the budget; what was added is not
 * complete.  Else as scan_open and scan_next; *stats is filled in any case. */
int scan_count(struct store *s, const struct scan_count *c, struct scan_stats *stats,
               struct err *err);

/* ---- patterns ---- */

/*
 * What the lines look like: templates, as text with `<_>` for what varies, and how many rows of
 * each there are in each bucket.  From the plans of blocks, and from template and time of each row
 * only where a plan is not enough.  Lines without a template are left out.
 */
struct scan_patterns {
    struct scan_request req; /* without line filters; from, to, order ... do not matter */
    const ts_ns *edge;       /* as in scan_count */
    size_t n_edges;
    /* Told once a pattern, at the end, in order of its text; `rows` has n_edges - 1 numbers.  Views
     * are valid during the call; non-zero ends the walk and is returned. */
    int (*pattern)(void *arg, struct str text, struct str level, const uint64_t *rows);
    void *arg;
};
enum { SCAN_PATTERNS_MAX = 1 << 14, SCAN_PATTERN_BYTES = 4096 };
/* `level`: the value of attribute detected_level, "" where there is none.  *left_out: rows without
 * a template, or of patterns past SCAN_PATTERNS_MAX. */
int scan_patterns(struct store *s, const struct scan_patterns *p, uint64_t *left_out,
                  struct scan_stats *stats, struct err *err);

/* ---- what has changed ---- */

/* Some time, and the state of what is stored of it: as long as it stays the same, so does what
 * scans find there, while the process lives.  0: that cannot be told, some of it is in memory. */
struct scan_span {
    ts_ns from, to; /* half-open */
    uint64_t state;
};
/* Sets the state of each span; of the request only the tenants count.  A scan that is opened later
 * finds this or something newer.  ERR_LIMIT. */
int scan_spans(struct store *s, const struct scan_request *req, struct scan_span *spans, size_t n,
               struct err *err);

/* Call fn for each distinct stream of the tenants that has records in [from, to) as far as
 * partitions and segments tell (it may name one whose records lie just outside), labels sorted, in
 * no order.  Non-zero ends the walk and is returned.  `labels` is valid during the call. */
typedef int scan_stream_fn(void *arg, const struct labels *l);
int scan_streams(struct store *s, const struct scan_request *req, scan_stream_fn *fn, void *arg,
                 struct err *err);

/* The same for the names of their labels (name.n == 0), or the values of one: without opening a
 * stream where nothing is hidden.  Each may be told more than once, in no order. */
typedef int scan_text_fn(void *arg, struct str text);
int scan_labels(struct store *s, const struct scan_request *req, struct str name, scan_text_fn *fn,
                void *arg, struct err *err);

#endif
