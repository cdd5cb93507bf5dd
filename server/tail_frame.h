/*
 * server/tail_frame.h - entries on their way to a follower, and the bytes that tell of them.
 *
 * Only for tail*.c.  The hub's thread, and a worker for what is stored already.
 */
#ifndef LOGQ_SERVER_TAIL_FRAME_H
#define LOGQ_SERVER_TAIL_FRAME_H

#include "server/tail.h"

struct tail_entry {
    ts_ns ts;
    uint64_t seq;
    dur_ns due;        /* of time_mono: when it may be told */
    struct str stream; /* JSON object of labels; behind the struct */
    struct str value;  /* JSON: what it is told by; behind the struct */
    size_t bytes;      /* charged */
};

/* A copy of `e` in the form that `form` tells it.  ERR_NOMEM; ERR_LIMIT: it is too long. */
int tail_entry_new(const struct query_entry *e, enum tail_form form, bool categorize,
                   struct mem_budget *budget, struct tail_entry **ret, struct err *err);
void tail_entry_free(struct tail_entry **pe, struct mem_budget *budget);
/* Forget the value: of an entry that was dropped only stream and time are told. */
void tail_entry_strip(struct tail_entry **pe, struct mem_budget *budget);

struct tail_frame {
    struct tail_entry *const *entries;
    size_t n;
    struct tail_entry *const *dropped;
    size_t n_dropped;
    uint64_t all_dropped; /* n_dropped of them are named */
};
/* Append it, ready to be written. */
void tail_frame_put(struct buf *out, enum tail_form form, bool categorize,
                    const struct tail_frame *f);

#endif
