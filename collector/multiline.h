/*
 * collector/multiline.h - records of many lines, per stream of one file: what is held of them.
 *
 * The second join: join.h makes lines of pieces, this makes records of lines.  Which lines belong
 * together is trace.h's business.  A record is over when a line comes that does not belong to it,
 * when it does not grow for a while, or at its bounds: MULTILINE_LINES_MAX lines, as many pieces of
 * lines (join.h), max_line bytes.
 * Its bytes are held like those of a join, so the argument of docs/collector.md is the same.  One
 * thread.
 */
#ifndef LOGQ_COLLECTOR_MULTILINE_H
#define LOGQ_COLLECTOR_MULTILINE_H

#include "collector/join.h"
#include "collector/trace.h"

enum { MULTILINE_LINES_MAX = 1000, MULTILINE_PIECES_MAX = 1000 };

struct multiline_stream {
    bool open;
    unsigned state; /* trace_step's */
    ts_ns ts;       /* of the first line */
    struct buf text;
    size_t charged; /* to the budget */
    uint64_t total; /* length so far, uncut */
    unsigned lines, pieces;
    dur_ns grown; /* time_mono of the last line */
    struct join_segments held;
    struct label *attrs; /* of the first line; owned, in one block */
    size_t n_attrs;
    uint64_t after; /* the line that begins there ended the record before this one */
};

struct multiline {
    struct multiline_stream s[DECODE_STREAMS];
};

/* What `line` is to what is open of its stream, which is told so.  Bounds make GOES_ON a BEGINS. */
enum trace_step multiline_step(struct multiline_stream *s, const struct trace_rule *rule,
                               struct str line, const struct join_limits *limits);
/* Has what is open of `s` room for the pieces of `rec`?  Each may need a part of its own (chunk.h).
 */
bool multiline_has_room(const struct multiline_stream *s, const struct join_record *rec);
/* Hold `rec`, whose last line is at `last`; `p` (may be NULL) has its attributes.  1: it was held.
 * 0: the record is as long as it may be. */
int multiline_hold(struct multiline_stream *s, const struct join_record *rec,
                   const struct join_segment *last, const struct piece *p, dur_ns now,
                   const struct join_limits *limits);
/* What is held of `stream`, as a record and the piece that has its attributes; views until
 * multiline_done. */
void multiline_record(const struct multiline *m, enum decode_stream stream, struct join_record *ret,
                      struct piece *piece);
/* It is used: forget it. */
void multiline_done(struct multiline_stream *s, const struct join_limits *limits);

bool multiline_is_open(const struct multiline *m); /* m may be NULL */
/* As join_move; `rule` tells how it goes on. */
void multiline_move(struct multiline *from, struct multiline *to, const struct trace_rule *rule,
                    const struct join_limits *limits);
void multiline_free(struct multiline **pm, const struct join_limits *limits);

#endif
