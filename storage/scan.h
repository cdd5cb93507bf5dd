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
    /* Lines need not be whole: of one that is a JSON object, only members with these paths (keys as
     * they stand, joined by NUL), in their order.  NULL: whole.  Any thread. */
    bool (*want_field)(void *arg, struct str path);
    void *field_arg;
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

/* Where rows are added up; arrays of one number a bucket. */
struct scan_cells {
    uint64_t *rows;
    uint64_t *bytes; /* of lines; NULL: not wanted */
};

/* What rows have in common. */
struct scan_key {
    const struct labels *stream;
    const struct label *attr; /* sorted by name; of the names asked for alone */
    uint32_t n_attr;
    struct str line; /* "" unless by_line.  Of one whose first character but blanks is no `{`, that
                        character may be all */
};

/*
 * Rows by stream, some attributes and time, without records: from rollups and keys, and from the
 * columns that line filters and those attributes need.
 */
struct scan_count {
    struct scan_request req; /* as scan_open; from, to, order, need_* ... do not matter */
    const ts_ns *edge;       /* n_edges > 1, ascending: bucket i is edge[i] <= ts < edge[i + 1] */
    size_t n_edges;
    bool bytes;
    bool all_attrs;          /* by all attributes of a row, or */
    const struct str *attrs; /* by these names */
    size_t n_attrs;
    bool by_line; /* by line too: as req.want_field reduces it */
    /* The cells of rows that are alike; *ret NULL: they do not count.  Called at most once for each
     * key in a day of a tenant, and only when there is such a row in a bucket; on any thread, one
     * at a time. */
    int (*cells)(void *arg, const struct scan_key *key, struct scan_cells **ret, struct err *err);
    void *arg;
};
enum { SCAN_COMBINATIONS_MAX = 1 << 16 };
/* Adds up all rows of the request in all buckets.  1: there are more than SCAN_COMBINATIONS_MAX
 * combinations of attributes and lines; what was added is not complete.  Else as scan_open and
 * scan_next; *stats is filled in any case. */
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
