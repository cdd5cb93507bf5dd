/*
 * collector/input_forward_internal.h - what the parts of input_forward share: input_forward.c
 * (where we listen, life), input_forward_conn.c (connections, messages out of their bytes, their
 * acks), input_forward_spool.c (lines until they are on the disk).
 *
 * Invariants
 *   (1) `pending` holds whole messages; (2) a message is in the spool with its last line, which
 * names its chunk, or it was never acknowledged: what is behind the last such line is cut off at
 * the start; (3) acks are written when everything taken is on the disk, and then only; (4) a chunk
 * is in `taken` while its lines are in `pending` or in a file of the spool, and a file is begun
 * only after the chunks of those before were written down; (5) a write or a sync that failed is
 * tried again with the same bytes at the same place; (6) `taken` is written down only when
 * `pending` is empty: a chunk that stands there is on the disk.
 */
#ifndef LOGQ_COLLECTOR_INPUT_FORWARD_INTERNAL_H
#define LOGQ_COLLECTOR_INPUT_FORWARD_INTERNAL_H

#include "base/buf.h"
#include "base/vec.h"
#include "collector/backoff.h"
#include "collector/input_forward.h"
#include "collector/spool.h"
#include "collector/taken.h"
#include "wire/forward_parse.h"
#include "wire/stream.h"

enum { INPUT_FORWARD_FIELDS = 1000 }; /* of one record */

/* Why nothing is read, from nobody. */
enum hold { HOLD_FULL = 1, HOLD_DISK = 2, HOLD_STOPPED = 4, HOLD_PACE = 8 };

/* Where connections come in. */
struct forward_door {
    struct input_forward *in;
    char *address;             /* owned: as it was asked for */
    struct listener *listener; /* NULL: that could not be yet, or it is closed */
    uint64_t turned_away;      /* connections that came and got no seat, */
    uint64_t evicted;          /* and that lost theirs to a new one */
    uint64_t refused, told;    /* what of these, and of the listener's, was said already */
    struct seats seats;
};

struct forward_conn {
    unsigned magic;
#define FORWARD_CONN_MAGIC 0xf04dc0b1u
    struct input_forward *in; /* NULL: it was freed */
    struct forward_door *door;
    struct seat seat;
    struct forward_conn *next, **link;
    struct stream *stream;
    struct buf bytes; /* what is not a whole message yet */
    struct forward_frame frame;
    struct buf acks;  /* in the order of their messages, */
    VEC(size_t) ends; /* and where each ends */
    bool full;        /* its peer does not read acks, or wants too many */
    bool paused;
    bool broken; /* it ends because of what it sent */
};

struct input_forward {
    unsigned magic;
#define INPUT_FORWARD_MAGIC 0x1f04a4d1u
    struct loop *loop;
    size_t max_line;
    uint64_t spool_bytes, file_bytes;
    struct forward_door doors[INPUT_FORWARD_LISTENERS];
    size_t n_doors;
    mode_t mode;
    struct backoff backoff;
    dur_ns listen_at;   /* where we do not listen yet it is tried again then; 0: we do everywhere */
    loop_fn *listening; /* of whoever made us; may be NULL */
    void *arg;
    dur_ns idle;
    struct forward_conn *first;
    size_t buffered; /* bytes held for unfinished messages */
    struct spool *spool;
    struct taken *taken;
    struct buf pending; /* until it is synced */
    bool due;           /* the flush timer runs */
    uint64_t used;      /* bytes in the spool */
    unsigned held;      /* enum hold, or-ed */
    bool failed, stuck; /* told: of a write, of a next file */
    dur_ns next_flush;
    struct loop_timer *flush_timer, *tick;
    struct forward_reader *reader;
    struct arena *arena;
    struct label attrs[2 * INPUT_FORWARD_FIELDS + 1];
};

/* input_forward.c */
void input_forward_soon(struct input_forward *in); /* the next tick comes at once */

/* input_forward_conn.c */
/* Of a listener: `door` has a new client. */
void input_forward_accept(struct stream *stream, void *door);
void input_forward_hold(struct input_forward *in, enum hold why); /* read nothing, from nobody */
/* What was held back goes on with the next tick, not here: we may be inside of a flush. */
void input_forward_release(struct input_forward *in, enum hold why);
/* Nothing is held any more: take what is here already, read on. */
void input_forward_go_on(struct input_forward *in);
/* Everything taken is on the disk: write the acks that wait for that.  Keeps (3). */
void input_forward_acknowledge(struct input_forward *in);
/* The same, then each connection ends when its acks are out. */
void input_forward_finish(struct input_forward *in);
/* The input goes: connections end, and are freed with their streams. */
void input_forward_orphan(struct input_forward *in);

/* input_forward_spool.c */
/* The spool, and what was taken before: cuts off what a kill has left.  After a failure, too,
 * input_forward_close_spool releases it. */
int input_forward_open_spool(struct input_forward *in, int state_fd, struct err *err);
void input_forward_close_spool(struct input_forward *in);
/* Something is pending or waits for its ack: flush when it is time. */
void input_forward_flush_soon(struct input_forward *in);
/* A message was taken: with much pending flush now if it is time, else hold until it is. */
void input_forward_look_at_pending(struct input_forward *in);
/* It is what it was up to `n`. */
void input_forward_cut_pending(struct input_forward *in, size_t n);
/* What is pending is in the spool and on the disk, or ERR_IO. */
int input_forward_sync(struct input_forward *in, struct err *err);
/* Behind the bound nothing is read until the server has acknowledged a file of it. */
void input_forward_look_at_spool(struct input_forward *in);

#endif
