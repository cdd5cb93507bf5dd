/*
 * server/tail_priv.h - what the files of a follower share: tail.c (its life and its history),
 * tail_hub.c (the queue and the thread), tail_live.c (what comes), tail_out.c (what goes to the
 * client).
 *
 *     main loop: tail_open --> queue: OPEN        worker: history, then queue: HISTORY
 *     WAL thread: observe ---> queue: BATCH       main loop: tail_close --> queue: CLOSE
 *
 * and the hub's thread takes them in this order.  A record is in the store's head before it is
 * observed.  So what was observed before OPEN is found by the history, which is read after it, and
 * what comes later passes through the queue: nothing is lost between the two, and what both find
 * has one seq.
 *
 * Invariants
 *   (1) a tail is counted: by who opened it, by each item in the queue but a BATCH, by each piece
 * on its way to the client, and by the hub from OPEN to CLOSE; (2) between OPEN and CLOSE a tail's
 * entries are touched by the hub's thread alone, but `history`, which is the worker's until its
 * HISTORY is in the queue; (3) batches that wait in the queue hold at most TAIL_QUEUE_BYTES; one
 * over it is dropped and every tail is told so; those that wait for a history hold at most
 * TAIL_KEPT_BYTES beside it; one over that is lost for the tail that waits, and no other; (4)
 * entries are charged to hub->budget while they live, and so is output, once for all who get the
 * same; what is on its way to one client is bounded (tail->queued); (5) what a class hands on is
 * what a batch gave to one of it to whom nothing was owed, to others to whom nothing is.
 */
#ifndef LOGQ_SERVER_TAIL_PRIV_H
#define LOGQ_SERVER_TAIL_PRIV_H

#include "base/vec.h"
#include "server/tail.h"
#include "server/tail_class.h"
#include "server/tail_frame.h"

#include <pthread.h>

enum {
    TAIL_QUEUE_BYTES = 64 << 20,
    TAIL_KEPT_BYTES = 32 << 20,
    TAIL_TENANTS_MAX = 8,
    TAIL_TENANT_MAX = 160,
};

enum tail_item_kind { TAIL_ITEM_OPEN, TAIL_ITEM_HISTORY, TAIL_ITEM_BATCH, TAIL_ITEM_CLOSE };

struct tail_item {
    enum tail_item_kind kind;
    struct tail_item *next;
    struct tail *tail;     /* a reference; not of BATCH */
    struct batch *batch;   /* a reference; of BATCH */
    size_t bytes;          /* keeps (3) */
    uint64_t min_seq;      /* of its records */
    _Atomic unsigned refs; /* of BATCH: the queue's and those of backlogs */
    bool is_kept;          /* in a backlog, and counted there */
    char tenant[TAIL_TENANT_MAX];
};

struct tail_entries { /* as VEC */
    struct tail_entry **p;
    size_t n, cap;
};

struct tail_piece; /* of output, on its way to the client; tail_out.c */

struct tail {
    unsigned magic;
#define SERVER_TAIL_MAGIC 0x7a11f0e5u
    _Atomic unsigned refs;
    struct tail_hub *hub;
    struct query *query; /* owned */
    struct tail_options opt;
    size_t memory_bytes; /* the tenants' max_query_memory: of what one batch gives */
    char names[TAIL_TENANTS_MAX][TAIL_TENANT_MAX];
    struct str tenants[TAIL_TENANTS_MAX];
    struct buf key;           /* who has the same gets the same */
    struct tail_class *class; /* the hub's thread; a use, from OPEN to CLOSE */
    atomic_bool cancel;
    _Atomic size_t queued; /* bytes on the way to the client */

    /* the main loop's */
    bool closed;
    bool is_full;                          /* the client takes no more before tail_resume */
    struct tail_piece *waiting_out, **end; /* for that; owned */

    struct tail_entries history; /* newest first; see (2) */
    struct err history_err;

    bool live;
    uint64_t *seen; /* seqs of the history, ascending; owned */
    size_t n_seen;
    VEC(struct tail_item *) backlog; /* a reference each */
    struct tail_entries ready;
    struct tail_entries waiting; /* opt.delay: by ts and seq, unless */
    bool is_mixed;               /* they are in order of coming */
    dur_ns first_due;            /* of those waiting */
    struct tail_entries dropped; /* those that are told by name */
    uint64_t n_dropped;
};

struct tail_hub {
    unsigned magic;
#define TAIL_HUB_MAGIC 0x7a11b0b5u
    struct server *server;
    struct mem_budget budget;
    pthread_t thread;
    bool started;
    _Atomic size_t n_open;
    VEC(struct tail *) tails; /* the hub's thread, as the next three */
    struct tail_class *classes;
    struct tail_class *writing; /* whose first one is being followed */
    uint64_t n_batches;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t came;
    struct tail_item *first, **last;
    size_t queued_bytes, kept_bytes; /* keeps (3) */
    uint64_t lost;                   /* records of dropped batches that nobody was told of yet */
    bool closing;
};

/* ---- tail.c ---- */

struct tail *tail_ref(struct tail *t);
void tail_unref(struct tail *t);

/* ---- tail_hub.c ---- */

/* An item about a tail, behind all that are in the queue.  Any thread. */
void tail_hub_push(struct tail_hub *h, enum tail_item_kind kind, struct tail *t);
/* A batch is to wait for a history; false: too much does. */
bool tail_hub_keep(struct tail_hub *h, struct tail_item *i);
/* One reference less. */
void tail_hub_release(struct tail_hub *h, struct tail_item *i);

/* ---- tail_live.c: the hub's thread ---- */

/* The history is there: it is told before anything that came meanwhile. */
void tail_live_begin(struct tail *t);
/* What the batch gives to each tail. */
void tail_live_batch(struct tail_hub *h, struct tail_item *i);
/* Tell what is due at `now` (time_mono), and again what could not be told. */
void tail_live_due(struct tail *t, dur_ns now);
/* When time alone is a reason to look again; INT64_MAX: never. */
dur_ns tail_live_next_due(const struct tail_hub *h, dur_ns now);
/* So many records passed all tails by. */
void tail_live_lost(struct tail_hub *h, uint64_t lost);

/* ---- tail_out.c: the hub's thread, unless said otherwise ---- */

/* Tell t->ready, or drop it; and that something was dropped. */
void tail_out_tell(struct tail *t);
/* One entry that there is no memory for: without a name. */
void tail_out_lose(struct tail *t);
/* Does the client keep up? */
bool tail_out_has_room(const struct tail *t);
/* Hand on what the class got; false: it cannot be. */
bool tail_out_give(struct tail *t, const struct tail_class *c);
/* The tail has failed: say so, behind everything else. */
void tail_out_fail(struct tail *t, const struct err *why);
/* Main loop: the tail is closed, forget what waits for its client. */
void tail_out_close(struct tail *t);
void tail_out_free_entries(struct tail_hub *h, struct tail_entries *v);

#endif
