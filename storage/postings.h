/*
 * storage/postings.h - ascending ids of streams as few bytes: intervals, each {varint gap << 1 |
 * more, and if more, varint length - 2}; the gap counts from behind the interval before (0 at
 * first).  A label that all streams of a flush share is one interval.
 */
#ifndef LOGQ_STORAGE_POSTINGS_H
#define LOGQ_STORAGE_POSTINGS_H

#include "storage/varint.h"

enum { POSTINGS_ID_MAX = 1 << 24 }; /* ids are below it */

/* Writing: intervals that touch become one.  Zeroed to start; postings_end writes the last. */
struct postings_writer {
    struct buf *out;
    uint32_t next;     /* behind the last interval that was written */
    uint32_t from, to; /* the one being made: [from, to); empty when equal */
};

static inline void postings_end(struct postings_writer *w)
{
    uint32_t n = w->to - w->from;

    if (n == 0)
        return;
    varint_put(w->out, (uint64_t)(w->from - w->next) << 1 | (n > 1));
    if (n > 1)
        varint_put(w->out, n - 2);
    w->next = w->from = w->to;
}

/* Ids of [from, to), not before what was added. */
static inline void postings_add(struct postings_writer *w, uint32_t from, uint32_t to)
{
    if (w->from != w->to && from == w->to) {
        w->to = to;
        return;
    }
    postings_end(w);
    w->from = from;
    w->to = to;
}

struct postings_reader {
    struct str in;
    uint32_t next;
};

/* The next interval; false at the end.  *ok is cleared when the bytes are no postings. */
static inline bool postings_next(struct postings_reader *r, uint32_t *from, uint32_t *to, bool *ok)
{
    uint64_t gap, more = 0;

    if (r->in.n == 0)
        return false;
    *ok = varint_get(&r->in, &gap) && ((gap & 1) == 0 || varint_get(&r->in, &more));
    if (!*ok || gap >> 1 >= POSTINGS_ID_MAX || more >= POSTINGS_ID_MAX) {
        *ok = false;
        return false;
    }
    *from = r->next + (uint32_t)(gap >> 1);
    *to = *from + ((gap & 1) == 0 ? 1 : (uint32_t)more + 2);
    *ok = *to <= POSTINGS_ID_MAX;
    r->next = *to;
    return *ok;
}

#endif
