/*
 * collector/join.h - puts the pieces of a record together, per stream of one file.
 *
 * Runtimes cut long lines (Docker and containerd at 16 KiB, conmon at every read), and two streams
 * interleave in one file.  A join holds the text of at most one unfinished record per stream, and
 * where in the file its pieces lie: those bytes are inside no range that was shipped until the
 * record is complete (docs/collector.md, invariant 2).
 *
 * Bounds: text of a record is cut at max_line, and all joins together at a budget; a record is
 * given up as partial after JOIN_PIECES_MAX pieces or JOIN_FACTOR times max_line. One
 * thread.
 */
#ifndef LOGQ_COLLECTOR_JOIN_H
#define LOGQ_COLLECTOR_JOIN_H

#include "base/mem.h"
#include "base/vec.h"
#include "collector/decode.h"

enum { JOIN_PIECES_MAX = 768, JOIN_FACTOR = 16 };

struct checkpoint_file;

/* Bytes [start, end) of a file that hold pieces of one open record, with no other line between. */
struct join_segment {
    struct checkpoint_file *file;
    uint64_t start, end;
    uint64_t mark; /* entries in the chunk when the segment began (chunk.h) */
    ts_ns ts;      /* of its last line */
    ts_ns first;   /* of its first */
};

struct join_segments {
    struct join_segment *p; /* as VEC of base/vec.h */
    size_t n, cap;
};
void join_segments_add(struct join_segments *v, const struct join_segment *seg);
/* The same, into the last one where it goes on from that with no record between them. */
void join_segments_hold(struct join_segments *v, const struct join_segment *seg);
/* Put adjacent ones into one: between two lines nobody needs to know their borders any more. */
void join_segments_compact(struct join_segments *v);

struct join_limits {
    size_t max_line;
    struct mem_budget *budget; /* text of all joins; may be NULL */
};

struct join_stream {
    bool open;
    ts_ns ts; /* of the first piece */
    struct buf text;
    size_t charged; /* to the budget */
    uint64_t total; /* length of the record so far, uncut */
    unsigned pieces;
    dur_ns grown; /* time_mono of the last piece */
    struct join_segments held;
};

struct join {
    struct join_stream s[DECODE_STREAMS];
};

/* A record: text is valid until the next call on the join or its decoder. */
struct join_record {
    ts_ns ts;
    enum decode_stream stream;
    struct str text;
    uint64_t total; /* > text.n: it was cut */
    bool partial, raw;
    unsigned pieces;                    /* that it was put together of */
    const struct checkpoint_file *file; /* its last byte is in front of `end` of this one */
    uint64_t end;
    const struct join_segment *held; /* pieces before the last line; view, until join_done */
    size_t n_held;
};

/* Zeroed memory is an empty join. */
void join_fini(struct join *j, const struct join_limits *limits);

/*
 * Take the piece of the line at [seg->start, seg->end).  1: it is held.  0: *ret is a record that
 * ends with this line; call join_done when it has been used.
 */
int join_add(struct join *j, const struct piece *p, const struct join_segment *seg, dur_ns now,
             const struct join_limits *limits, struct join_record *ret);
/* What is held of stream `s` as a partial record; 1: nothing is. */
int join_flush(struct join *j, enum decode_stream s, struct join_record *ret);
/* The record of stream `s` is used: forget its pieces. */
void join_done(struct join *j, enum decode_stream s, const struct join_limits *limits);

/* Put what `from` holds in front of what `to` holds (a record that spans a rotation); `from` is
 * empty after. */
void join_move(struct join *from, struct join *to, const struct join_limits *limits);

bool join_is_open(const struct join *j);

/* join_segments_compact of all that is held. */
void join_compact(struct join *j);

#endif
