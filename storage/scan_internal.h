/*
 * storage/scan_internal.h - the rooms of a scan, and what they share.
 *
 *     scan.c         the door: views of the tenants, one by one
 *     scan_run.c     open, next, close; puts rows into batches
 *     scan_plan.c    parts: a head, or one day of one tenant, with the candidates that are left of
 * it scan_head.c    a candidate that is a batch in memory  \  opened: filtered, scan_block.c   a
 * candidate that is a block on disk    /  the rest kept as a source scan_filter.c  line filters
 *     scan_merge.c   which candidate to open, which source is next
 *     scan_streams.c the streams alone
 *
 * Everything that grows with the data is in arenas charged to the request's budget: a part's, a
 * source's, and one for decoding that is reset after each block.
 */
#ifndef LOGQ_STORAGE_SCAN_INTERNAL_H
#define LOGQ_STORAGE_SCAN_INTERNAL_H

#include "storage/block.h"
#include "storage/find.h"
#include "storage/hide.h"
#include "storage/scan.h"
#include "storage/segment_reader.h"
#include "storage/view.h"

enum {
    SCAN_BATCH_RECORDS = 1024,
    SCAN_BATCH_BYTES = 1 << 20, /* of lines, after which a batch is handed out */
    SCAN_READERS = 8,           /* segments kept open */
};

/* A stream that matches, and where it stands in the batch being filled. */
struct scan_stream {
    struct labels labels;
    const struct hide_stream *hide; /* what of it must not be shown; NULL: nothing */
    uint64_t batch_no; /* of sc->batch_no for which batch_index is true */
    uint32_t batch_index;
};

struct scan_row {
    struct record rec; /* rec.stream is not used */
    struct scan_stream *stream;
};

struct scan_segment {
    uint8_t uuid[SEGMENT_UUID];
    uint32_t n_streams;
    ts_ns max_received;
    uint64_t min_seq, max_seq;
    const uint32_t *stream; /* of each number: index into part->streams, or UINT32_MAX */
};

/* Something that may hold rows: a block of a segment, or (segment == NULL) a batch. */
struct scan_candidate {
    ts_ns min_ts, max_ts;
    const struct scan_segment *segment;
    struct segment_block block;
    uint32_t index; /* of the block in its segment, or of the batch in its view */
    bool hides;     /* some rows that are asked for must not be shown: go row by row */
};

/* A head, or one day of a tenant. */
struct scan_part {
    struct scan_part *next;
    struct store_view *view;
    struct partition *partition; /* one reference; NULL for a head */
    struct arena *arena;
    struct scan_stream *streams;
    size_t n_streams;
    struct scan_candidate *candidates; /* in the order in which they will be opened */
    size_t n_candidates, next_candidate;
    unsigned open_sources;
};

/* Rows of one candidate that passed, sorted as the scan wants them. */
struct scan_source {
    struct scan_part *part;
    struct arena *arena;
    struct scan_row *rows;
    size_t n, next;
};

/* A day of a view that is not yet a part. */
struct scan_unit {
    struct store_view *view;
    int32_t day; /* 0: the view's head */
    ts_ns bound; /* the first (backward: last) instant that it may hold */
};

struct scan_reader {
    struct scan_part *part; /* NULL: free */
    const struct scan_segment *segment;
    struct segment_reader *reader;
    uint64_t used;
};

struct scan_literals {
    struct find *find; /* one for each text of a CONTAINS filter */
};

struct scan {
    unsigned magic;
#define SCAN_MAGIC 0x5ca4ca7du
    struct scan_request req;  /* what it points to is borrowed */
    struct store_view *views; /* owned */
    size_t n_views;
    struct scan_literals *literals; /* of each filter; owned */
    struct scan_unit *units;        /* owned; in order */
    size_t n_units, next_unit;
    struct scan_part *parts;   /* those that are open; owned */
    struct scan_source **heap; /* open sources by their next row; owned */
    size_t n_heap, cap_heap;
    struct arena *work; /* decoding */
    struct scan_reader reader[SCAN_READERS];
    uint64_t clock;    /* for the readers */
    uint64_t batch_no; /* counts batches */
    struct scan_stats stats;
};

/* scan_run.c: takes over what `views` holds (also when it fails), then behaves as scan_open. */
int scan_open_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                    struct scan **ret, struct err *err);

/* scan_streams.c: as scan_streams, over views that are released. */
int scan_streams_views(struct store_view *views, size_t n_views, const struct scan_request *req,
                       scan_stream_fn *fn, void *arg, struct err *err);

/* scan_plan.c */
int scan_plan_units(struct scan *sc, struct err *err);
/* Make the next unit a part; a partition that cannot be read is damage, and no error. */
int scan_plan_open(struct scan *sc, struct err *err);
/* Free a part that has nothing left. */
void scan_plan_done(struct scan *sc, struct scan_part *part);
void scan_plan_free(struct scan *sc);
/* A partition, segment or block cannot be read: count it, keep the first text. */
void scan_damage(struct scan *sc, struct scan_part *part, const struct err *why);
/* ERR_CANCELLED when the caller wants no more. */
int scan_check_cancel(const struct scan *sc, struct err *err);

/* scan_head.c, scan_block.c: open a candidate; *ret is NULL when none of its rows passes. */
int scan_head_open(struct scan *sc, struct scan_part *part, const struct scan_candidate *c,
                   struct scan_source **ret, struct err *err);
int scan_block_open(struct scan *sc, struct scan_part *part, const struct scan_candidate *c,
                    struct scan_source **ret, struct err *err);
void scan_block_close_readers(struct scan *sc, const struct scan_part *part); /* NULL: all */

/* scan_merge.c */
/* The next row, which stays the next until it is dropped.  1: no more. */
int scan_merge_next(struct scan *sc, const struct scan_row **ret, struct err *err);
void scan_merge_drop(struct scan *sc);
/* Sort the rows of a source as the scan wants them. */
void scan_merge_sort(const struct scan *sc, struct scan_row *rows, size_t n);
struct scan_source *scan_source_new(struct scan *sc, struct scan_part *part);
void scan_source_free(struct scan_source **ps);

/* scan_filter.c */
int scan_filter_init(struct scan *sc, struct err *err);
void scan_filter_free(struct scan *sc);
bool scan_filter_line(const struct scan *sc, struct str line);
/* Clear the bits of selected lines that do not pass; uses `a` for a bitmap.  ERR_NOMEM. */
int scan_filter_lines(const struct scan *sc, const struct block_lines *lines, size_t n,
                      uint64_t *selected, struct arena *a, struct err *err);
/* Count lines that are looked at; ERR_LIMIT over max_line_bytes. */
int scan_count_lines(struct scan *sc, uint64_t lines, uint64_t bytes, struct err *err);

static inline bool scan_wants(const struct scan *sc, ts_ns ts)
{
    return ts >= sc->req.from && ts < sc->req.to;
}

/* Whether x comes before y in the order of the scan. */
static inline bool scan_before(const struct scan *sc, const struct record *x,
                               const struct record *y)
{
    if (sc->req.order == SCAN_BACKWARD)
        return x->ts > y->ts || (x->ts == y->ts && x->seq > y->seq);
    return x->ts < y->ts || (x->ts == y->ts && x->seq < y->seq);
}

#endif
