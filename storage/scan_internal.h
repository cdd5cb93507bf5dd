/*
 * storage/scan_internal.h - the rooms of a scan, and what they share.
 *
 *     scan.c          the door: views of the tenants, one by one
 *     scan_run.c      open, next, close; puts rows into batches
 *     scan_plan.c     parts: a head, or one day of one tenant, with the candidates that are left
 *     scan_list.c     the segments and blocks of a day, kept from query to query
 *     scan_day.c      its streams, the same
 *     scan_ids.c      which blocks may hold the ids that are asked for
 *     scan_group.c    some candidates at once, on the threads of the pool
 *     scan_block.c    a block on disk: read what the question needs, in the order of what it costs
 *     scan_select.c   its rows that pass
 *     scan_place.c    of which streams they are
 *     scan_edge.c     the first or last rows of a block, kept from query to query
 *     scan_kept.c     the same of rows that were written out
 *     scan_head.c     a candidate that is a batch in memory
 *     scan_window.c   ordered scans: the rows of the next stretch of time, sorted
 *     scan_render.c   rows to records
 *     scan_filter.c   line filters made ready
 *     scan_label.c    where the values of a label lie in a block
 *     scan_test.c     conditions on labels, column by column
 *     scan_count.c    rows counted by stream, attributes and time, without records
 *     scan_pile.c     the same over many blocks, where combinations are many
 *     scan_fold.c     the same, template by template, where neither place nor time matters
 *     scan_tuple.c    several fields as one number, for that
 *     scan_combo.c    the attributes that are counted by, as small numbers
 *     scan_reduce.c   lines with the fields alone that are wanted
 *     scan_patterns.c what lines look like, counted
 *     scan_bucket.c   times to buckets, for both
 *     scan_streams.c  the streams alone
 *
 * What grows with the data is in arenas charged to the request's budget.  What a job of the pool
 * touches is its slot's worker, its candidate, and atomics.
 */
#ifndef LOGQ_STORAGE_SCAN_INTERNAL_H
#define LOGQ_STORAGE_SCAN_INTERNAL_H

#include "base/vec.h"
#include "storage/block.h"
#include "storage/catalog_index.h"
#include "storage/frame_cache.h"
#include "storage/hide.h"
#include "storage/line_match.h"
#include "storage/scan.h"
#include "storage/scan_pool.h"
#include "storage/segment_reader.h"
#include "storage/view.h"

enum {
    SCAN_BATCH_RECORDS = 1024,
    SCAN_BATCH_BYTES = 1 << 20,   /* of lines, after which a batch is handed out */
    SCAN_READERS = 4,             /* segments kept open by each thread of a scan */
    SCAN_ROWS_MAX = 1 << 18,      /* rows of a window, as long as times differ */
    SCAN_CHUNK_ROWS = 1 << 16,    /* rows that are rendered at once */
    SCAN_CHUNK_BYTES = 8 << 20,   /* what their lines may come to */
    SCAN_OPEN_BYTES = 24 << 20,   /* of blocks kept open between chunks */
    SCAN_GROUP_MAX = 256,         /* candidates of a group */
    SCAN_GROUP_BYTES = 16 << 20,  /* after which no further candidate of a group is begun */
    SCAN_FRAME_CACHED = 64 << 10, /* plain bytes of a data frame that is worth keeping */
    SCAN_WORK_KEPT = 8 << 20,     /* memory that each worker keeps from block to block */
    SCAN_FEW_ROWS = 1024,         /* at most so many are expected: a small question */
};

/* A stream that matches, and where it stands in the batch being filled. */
struct scan_stream {
    struct labels labels;
    const struct hide_stream *hide; /* what of it must not be shown; NULL: nothing */
    uint64_t batch_no;              /* of sc->batch_no for which batch_index is true */
    uint32_t batch_index;
    uint32_t wanted;          /* of a head's: enum in scan_head.c */
    struct scan_tally *tally; /* scan_count.c; of the part */
};

struct scan_segment {
    uint8_t uuid[SEGMENT_UUID];
    uint32_t n_streams;
    ts_ns max_received;
    uint64_t min_seq, max_seq;
    const uint32_t *stream; /* of each number: index into part->streams, or UINT32_MAX */
};

/* A block with its lines open for rendering; kept from chunk to chunk while there is room. */
struct scan_open;

/* Something that may hold rows: a block of a segment, or (segment == NULL) a batch. */
struct scan_candidate {
    ts_ns min_ts, max_ts;
    struct scan_part *part;
    const struct scan_segment *segment;
    struct segment_block block;
    uint32_t index;              /* of the block in its segment, or of the batch in its view */
    bool all_streams;            /* whatever its block holds matches */
    bool hides;                  /* some rows must not be shown: go row by row */
    bool was_read;               /* counted in blocks_read */
    bool dead;                   /* looked at as a whole: nothing passes */
    struct scan_stream *streams; /* of a batch */
    struct scan_open *open;
};

/* A head, or one day of a tenant. */
struct scan_part {
    struct scan_part *next;
    struct store_view *view;
    struct partition *partition; /* one reference; NULL for a head */
    struct arena *arena;
    struct scan_stream *streams;
    size_t n_streams;
    struct scan_candidate *candidates;
    size_t n_candidates;
    size_t n_live; /* of them, not yet retired */
};

/* A row that passed. */
struct scan_row {
    ts_ns ts;
    uint64_t seq;
    struct scan_candidate *candidate;
    uint32_t at;     /* place in the layout, or record of the batch */
    uint32_t stream; /* index into the streams of part or candidate */
};

/* Rows, charged to the budget. */
struct scan_rows {
    struct scan_row *v;
    size_t n, cap;
};

/* A record that is ready to be handed out. */
struct scan_ready {
    struct record rec; /* rec.stream is not used */
    struct scan_stream *stream;
};

/* A day of a view that is not yet a part. */
struct scan_unit {
    struct store_view *view;
    int32_t day; /* 0: the view's head */
    ts_ns bound; /* the first (backward: last) instant that it may hold */
};

struct scan_reader {
    const struct scan_segment *segment;
    const struct scan_part *part;
    struct segment_reader *reader; /* NULL: free */
    uint64_t used;
};

/* The fields of lines that are wanted: of any row, or of those for which all conditions hold. */
enum { SCAN_FIELDS_ALL, SCAN_FIELDS_TESTED, SCAN_FIELD_SETS };
struct scan_fields {
    enum scan_parser parser;
    const struct str *label;
    size_t n;
    bool (*names)(enum scan_parser parser, struct str path, struct str label);
    unsigned set;
    const struct scan_pattern *pattern;
};

/* scan_pile.c: rows by combination; charged to the budget. */
struct scan_pile {
    struct scan_stream *stream; /* one of those that are alike */
    size_t bucket;
    uint32_t *rows; /* owned; by combination; the worker's books have some more */
    uint32_t *met;  /* owned; those that have some, n */
    size_t n, cap;
    uint64_t sum; /* of all these rows, below 2^32 */
};
void scan_pile_free(struct scan_pile *p, struct mem_budget *budget);

struct scan_known; /* scan_known.h */
struct scan_codebooks;
struct intern;

/* What a slot of the pool has to itself while it is at a job. */
struct scan_worker {
    struct arena *work;       /* one block's decoding; recycled after each */
    struct arena *out;        /* records of the chunk that is being handed out */
    VEC(struct frame *) kept; /* references; the same */
    struct buf line;          /* a reduced line */
    uint32_t *local;          /* scan_count.c: by combination, all 0 between blocks; in `out` */
    size_t n_local;
    struct scan_pile pile;
    struct scan_known *known;     /* owned; NULL: nothing yet; as the next */
    struct scan_codebooks *books; /* scan_codebook.h; rows of it are the pile's */
    struct intern *texts;         /* scan_tuple.c: numbers of texts, and of pairs of numbers */
    uint32_t n_pairs;
    struct scan_reader reader[SCAN_READERS];
    uint64_t clock;
    struct scan_stats stats;
};

/* What a candidate of a group gave. */
struct scan_result {
    bool done;
    bool is_cut; /* rows behind `far` were left out */
    ts_ns far;
    struct scan_rows rows;    /* ordered scans */
    struct scan_ready *ready; /* others; in the arena */
    size_t n_ready;
    struct arena *arena;
};

struct scan {
    unsigned magic;
#define SCAN_MAGIC 0x5ca4ca7du
    struct scan_request req;  /* what it points to is borrowed */
    struct store_view *views; /* owned */
    size_t n_views;
    struct frame_cache *frames; /* borrowed; may be NULL, as the next */
    struct scan_pool *pool;
    struct line_match **match; /* of each filter; owned */
    struct scan_ids *ids;      /* that filters ask for; owned; NULL: none */
    struct scan_unit *units;   /* owned; in order */
    size_t n_units, next_unit;
    struct scan_part *parts;           /* those that are open; owned */
    VEC(struct scan_candidate *) live; /* of open parts, by bound; not yet retired */
    size_t n_looked;                   /* of live: looked at for this window or group */
    struct scan_worker worker[SCAN_POOL_SLOTS];

    /* The group being done, scan_group.c. */
    struct scan_result *result; /* [SCAN_GROUP_MAX] */
    size_t n_result, group_size;
    _Atomic size_t group_bytes;
    _Atomic uint64_t line_bytes; /* against max_line_bytes */

    /* Ordered: the window, scan_window.c. */
    ts_ns lo, hi;          /* inclusive: what is still to be handed out; both shrink */
    ts_ns far;             /* the end of this window */
    struct scan_rows rows; /* sorted */
    size_t next_row, rows_cap;
    size_t chunk_rows;
    _Atomic size_t open_bytes;

    /* Records to be handed out. */
    struct scan_ready *ready;
    size_t n_ready, next_ready, next_result;
    uint64_t batch_no; /* counts batches */
    struct scan_stats stats;
};

/* scan_run.c: takes over what `views` holds (also when it fails), then behaves as scan_open. */
int scan_open_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                    struct scan **ret, struct err *err);

/* scan_spans.c: as scan_spans, over views that are released. */
void scan_spans_views(struct store_view *views, size_t n_views, struct scan_span *spans, size_t n);

/* scan_count.c: as scan_count, over views that are released. */
int scan_count_views(struct store_view *views, size_t n_views, const struct scan_count *c,
                     struct scan_stats *stats, struct err *err);

/* scan_patterns.c: as scan_patterns, over views that are released. */
int scan_patterns_views(struct store_view *views, size_t n_views, const struct scan_patterns *p,
                        uint64_t *left_out, struct scan_stats *stats, struct err *err);

/* scan_bucket.c: where a time within the edges lies; `hint` is a bucket that may be it. */
struct scan_buckets {
    const ts_ns *edge;
    size_t n;
    ts_ns width; /* of all, when they are alike; else 0 */
};
void scan_buckets_init(struct scan_buckets *b, const ts_ns *edge, size_t n_edges);
size_t scan_bucket_search(const struct scan_buckets *b, ts_ns ts);

static inline bool scan_bucket_has(const struct scan_buckets *b, size_t i, ts_ns ts)
{
    return ts >= b->edge[i] && ts < b->edge[i + 1];
}

static inline size_t scan_bucket_of(const struct scan_buckets *b, ts_ns ts, size_t hint)
{
    return scan_bucket_has(b, hint, ts) ? hint : scan_bucket_search(b, ts);
}

/* scan_head.c: is the record asked for by time and stream, and to be shown? */
bool scan_head_wants(const struct scan *sc, struct scan_candidate *c, const struct record *rec);

/* scan_streams.c: as scan_streams, over views that are released. */
int scan_streams_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                       scan_stream_fn *fn, void *arg, struct err *err);
/* As scan_labels, over views that are released. */
struct scan_texts {
    struct str name;
    scan_text_fn *fn;
    void *arg;
};
int scan_labels_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                      const struct scan_texts *to, struct err *err);

/* scan_plan.c */
int scan_plan_units(struct scan *sc, struct err *err);
/* Make the next unit a part and add its candidates to sc->live; a partition that cannot be read is
 * damage, and no error. */
int scan_plan_open(struct scan *sc, struct err *err);
/* Take out of sc->live what can give nothing any more (ordered: by lo and hi; else: what was looked
 * at), and free the parts that have nothing left.  Nothing is looked at then. */
void scan_plan_retire(struct scan *sc);
void scan_plan_free(struct scan *sc);
/* A partition, segment or block cannot be read: count it, keep the first text. */
void scan_damage(struct scan_stats *st, struct partition *p, const struct err *why);
/* ERR_CANCELLED when the caller wants no more, ERR_TIMEOUT past the deadline. */
int scan_check_cancel(const struct scan *sc, struct err *err);
int scan_check_request(const struct scan_request *req, struct err *err);

/* scan_list.c: segments by first time, with their streams and blocks; immutable. */
struct scan_list_segment {
    struct catalog_segment row; /* `streams` are in the list */
    size_t first_block;         /* in the list */
    uint32_t n_blocks;          /* of them there */
};
struct scan_list_block {
    uint64_t offset, stored_bytes, raw_bytes;
    ts_ns min_ts, max_ts;
    uint32_t index, rows, frames, first_stream, last_stream;
};
struct scan_list {
    uint64_t generation; /* of the catalog */
    VEC(struct scan_list_segment) segments;
    VEC(struct scan_list_block) blocks;
    VEC(uint8_t) streams;      /* ids, as in catalog_segment */
    struct mem_budget *budget; /* one that is not kept: the query's, which it is charged to */
    size_t charged;
};
/* Those of `range`, and maybe others; ERR_CORRUPT, ERR_IO, ERR_NOMEM.  *ret is given back with
 * frame_unref. */
int scan_list_get(struct scan *sc, struct partition *p, struct catalog *c,
                  const struct catalog_range *range, struct frame **ret, struct err *err);

/* scan_day.c: as catalog_select; within partition_read. */
struct scan_day {
    struct frame_cache *frames; /* may be NULL */
    struct partition *partition;
    struct catalog *catalog; /* its */
};
int scan_day_select(const struct scan_day *day, const struct catalog_selector *sel,
                    catalog_stream_fn *fn, void *arg, struct err *err);

/* scan_ids.c */
void scan_ids_init(struct scan *sc);
void scan_ids_free(struct scan *sc);
/* Which of the blocks may hold what the filters ask for: bits, in the part's arena; NULL: any. */
int scan_ids_ask(struct scan *sc, struct scan_part *part, const struct scan_segment *segment,
                 uint32_t n_blocks, const uint64_t **ret, struct err *err);

/* scan_group.c */
/* Look at the next candidates of sc->live behind n_looked, at most up to `end`: fill sc->result for
 * those that were done, and move n_looked behind them. */
int scan_group_run(struct scan *sc, size_t end, struct err *err);
/* Free what the results hold. */
void scan_group_clear(struct scan *sc);
struct scan_worker *scan_group_worker(struct scan *sc, unsigned slot);
/* The statistics of all workers together. */
void scan_group_stats(const struct scan *sc, struct scan_stats *ret);
/* Count lines that are looked at; ERR_LIMIT over max_line_bytes. */
int scan_count_lines(struct scan *sc, struct scan_worker *w, uint64_t lines, uint64_t bytes,
                     struct err *err);
int scan_rows_reserve(struct scan *sc, struct scan_rows *rows, size_t n, struct err *err);
void scan_rows_fini(struct scan *sc, struct scan_rows *rows);

/* scan_block.c: a block being read; what it opens is in `arena`. */
struct scan_captures; /* scan_captures.h */
struct scan_reduced;  /* scan_reduce.c, as the next */
struct scan_remembered;
struct scan_side {
    struct scan_block *block;
    uint32_t first; /* data frame of the block that is frame 0 of the plan */
};
struct scan_block {
    struct scan *sc;
    struct scan_worker *worker; /* who reads now */
    struct scan_candidate *candidate;
    struct arena *arena;
    struct segment_reader_block *directory;           /* NULL: not read yet */
    struct frame *plans;                              /* reference; NULL: not asked for yet */
    const struct lines_plan *lines_plan, *attrs_plan; /* attrs: NULL when no row has any */
    struct lines *lines, *attrs;                      /* NULL: not open */
    struct scan_side lines_side, attrs_side;
    const struct template_field **fields;          /* of each template; NULL: not asked for yet */
    const struct scan_captures **captures;         /* the same */
    struct scan_reduced *reduced[SCAN_FIELD_SETS]; /* the same */
    struct scan_remembered *remembered;            /* NULL: nothing yet */
    struct str keys;                               /* frame; p == NULL: not read yet */
    VEC(struct frame *) frames;                    /* references */
};
void scan_block_init(struct scan_block *b, struct scan *sc, struct scan_worker *w,
                     struct scan_candidate *c, struct arena *a);
void scan_block_fini(struct scan_block *b);
/* Of something of the block in the cache. */
struct frame_key scan_block_key(const struct scan_block *b, enum frame_kind kind, uint32_t index);
/* Set the plans; b->lines; b->attrs (stays NULL when no row has any). */
int scan_block_plans(struct scan_block *b, struct err *err);
int scan_block_lines(struct scan_block *b, struct err *err);
int scan_block_attrs(struct scan_block *b, struct err *err);
/* Those of `wanted` (BLOCK_KEY_*) that `keys` lacks. */
int scan_block_keys(struct scan_block *b, unsigned wanted, struct block_keys *keys,
                    struct err *err);
/* 1: the block has none.  A census brings the plans. */
int scan_block_rollup(struct scan_block *b, struct block_rollup *ret, struct err *err);
/* The same as block_rollup_sum makes of it; valid as long as the block is open. */
int scan_block_sums(struct scan_block *b, struct block_rollup *ret, struct err *err);
int scan_block_census(struct scan_block *b, struct block_census *ret, struct err *err);
/* The reader of a segment of a part; the worker's. */
int scan_reader_get(struct scan_worker *w, const struct scan_part *part,
                    const struct scan_segment *segment, struct segment_reader **ret,
                    struct err *err);
/* As frame_cache_put, for something of that partition. */
struct frame *scan_frame_keep(struct frame_cache *frames, const struct partition *p,
                              const struct frame_key *key, void *value, size_t bytes,
                              frame_free_fn *free_value);
/* Those of a part's segments; NULL: all. */
void scan_block_close_readers(struct scan_worker *w, const struct scan_part *part);
/* What a failure of a block is to the scan: damage is noted, and 0. */
int scan_block_forgive(struct scan_worker *w, const struct scan_candidate *c, int r,
                       struct err *err);

/* scan_select.c: which rows of a block pass. */
struct scan_selection {
    struct scan_block block; /* begun by the caller, as lo and hi */
    ts_ns lo, hi;
    struct block_keys keys; /* as far as they were needed */
    uint64_t *bits;         /* by place in the layout; NULL: all, if n > 0 */
    uint64_t *unsure;       /* of those: for which a condition may fail; NULL: none */
    size_t words, n;        /* n: rows that pass */
    bool hides_by_line;     /* whether a selected row may be shown depends on its line */
    bool is_cut;            /* lo or hi was moved to `far`: what lies behind it is not wanted yet */
    ts_ns far;
};
int scan_select_open(struct scan_selection *s, struct err *err);
/* Set s->bits for all rows, if they are not set yet. */
int scan_select_bits(struct scan_selection *s, struct err *err);

/* scan_test.c: could a row pass all conditions, as far as plans tell?  Take out the rows that do
 * not. */
struct scan_label;
int scan_test_plan(struct scan_selection *s, bool *ret, struct err *err);
int scan_test_rows(struct scan_selection *s, struct err *err);

static inline bool scan_is_unsure(const struct scan_selection *s, uint32_t at)
{
    return s->unsure != NULL && (s->unsure[at / 64] >> (at % 64) & 1) != 0;
}

/* scan_place.c: how many of the selected rows are of each of the block's streams, without keys;
 * s->bits is set, `ret` zeroed.  1: that is not known. */
int scan_place_streams(struct scan_selection *s, uint32_t *ret, struct err *err);

static inline bool scan_is_selected(const struct scan_selection *s, uint32_t at)
{
    return s->bits == NULL || (s->bits[at / 64] >> (at % 64) & 1) != 0;
}

/* scan_edge.c: the rows that pass as ordered scans have them.  1: they must be looked for. */
int scan_edge_select(struct scan_selection *s, struct scan_result *ret, struct err *err);

/* scan_kept.c: is it worth the while for this scan?  Of a row of a block: keep line and attributes;
 * set them, valid until scan_kept_forget (false: they are not there). */
bool scan_kept_may(const struct scan *sc);
void scan_kept_put(struct scan_block *b, uint32_t at, const struct record *rec);
bool scan_kept_take(struct scan_block *b, uint32_t at, struct record *ret);
void scan_kept_forget(struct scan_worker *w);

/* scan_select.c, scan_head.c: the rows of scan_range that pass; as rows when the scan is ordered,
 * else as records. */
int scan_block_select(struct scan *sc, struct scan_worker *w, struct scan_candidate *c,
                      struct scan_result *ret, struct err *err);
int scan_head_select(struct scan *sc, struct scan_worker *w, struct scan_candidate *c,
                     struct scan_result *ret, struct err *err);

/* The streams of a batch, in the arena of its part; before there are jobs. */
int scan_head_streams(const struct scan *sc, struct scan_candidate *c, struct err *err);
/* Of a record in memory, what was asked for. */
void scan_head_record(const struct scan *sc, const struct record *rec, struct record *ret);

/* scan_window.c: the next window's rows are in sc->rows.  1: no more. */
int scan_window_next(struct scan *sc, struct err *err);
/* Keep the `cap` rows that come first, and all of the last one's time; sets *far. */
void scan_window_cut(const struct scan *sc, struct scan_rows *rows, size_t cap, ts_ns *far);

/* scan_render.c: the next chunk of sc->rows becomes sc->ready. */
int scan_render_chunk(struct scan *sc, struct err *err);
/* One row; strings in `out`. */
int scan_render_row(struct scan_block *b, uint32_t at, struct arena *out, struct record *ret,
                    struct err *err);
void scan_render_close(struct scan *sc, struct scan_candidate *c);

/* scan_reduce.c: the line of a row with the fields that are wanted alone, in `out`; not when it
 * must be whole.  b->lines is open. */
int scan_reduce_line(struct scan_block *b, const struct scan_fields *f, uint32_t at,
                     struct buf *out, bool *is_reduced, struct err *err);

/* The same of any line; false: it must be whole. */
bool scan_reduce_text(const struct scan_fields *f, struct str line, struct buf *out);

static inline struct scan_fields scan_fields_of(const struct scan_request *req)
{
    return (struct scan_fields){req->parser, req->field,      req->n_fields,
                                req->names,  SCAN_FIELDS_ALL, req->pattern};
}

/* scan_filter.c */
int scan_filter_init(struct scan *sc, struct err *err);
void scan_filter_free(struct scan *sc);
bool scan_filter_line(const struct scan *sc, struct str line);

static inline bool scan_is_ordered(const struct scan *sc)
{
    return sc->req.order != SCAN_ANY;
}

static inline bool scan_is_backward(const struct scan *sc)
{
    return sc->req.order == SCAN_BACKWARD;
}

/* The times, both inclusive, that are asked for now. */
static inline void scan_range(const struct scan *sc, ts_ns *lo, ts_ns *hi)
{
    *lo = scan_is_backward(sc) ? sc->far : sc->lo;
    *hi = scan_is_backward(sc) || !scan_is_ordered(sc) ? sc->hi : sc->far;
}

#endif
