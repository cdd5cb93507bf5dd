/*
 * collector/pipeline_internal.h - what the parts of pipeline share: pipeline.c (lanes, sealing, the
 * pump, life), pipeline_answer.c (what a server says to a chunk), pipeline_move.c (everything of
 * one server goes to another).
 *
 * A server has a lane: a chunk that is being filled from its files, and those on their way to it.
 *
 * Invariants (the argument for exactly-once is in docs/collector.md)
 *   (1) a chunk is sent, also to another server, only when the journal says on the disk that it is
 * planned for that server; (2) nothing is pulled of a file before every chunk of the journal that
 * has some of it was built again (others wait for nothing, also not where a file cannot be read),
 * so the joins that these leave empty are the ones that reading begins with; (3) a chunk that is
 * refused, all or some parts, is acknowledged in the journal only after its gap records are in the
 * spool (on a full disk: in its memory); (4) a chunk that a server may have is sent to another one
 * marked maybe_twice.
 */
#ifndef LOGQ_COLLECTOR_PIPELINE_INTERNAL_H
#define LOGQ_COLLECTOR_PIPELINE_INTERNAL_H

#include "base/vec.h"
#include "collector/pipeline.h"
#include "collector/refused.h"

enum { PIPELINE_MESSAGE_SLACK = 8 << 20 };

/* A chunk whose plan is in the journal's buffer and not yet on the disk. */
struct sealed {
    uint64_t no;
    size_t lane;
    uint64_t mark; /* of the journal, behind its plan or move */
    uint64_t next; /* next new file when it was planned; 0: it was before */
    char token[CHUNK_TOKEN_BYTES];
    struct buf message;
};

/* A chunk of the journal of which some parts cannot be built now. */
struct put_off {
    uint64_t no;
    bool on_its_way; /* the others are: of a number one message at a time */
};

struct lane {
    uint32_t server;     /* the journal's number */
    struct chunk *chunk; /* being filled; NULL: none ever was */
    dur_ns opened_at;    /* when its first part came */
    size_t sealed;
    bool had_no_room; /* a file waits for that */
};

struct pipeline {
    unsigned magic;
#define PIPELINE_MAGIC 0x919e11e5u
    struct pipeline_options opt;
    struct input input;
    struct fleet *fleet;
    struct refused *refused;
    struct lane lanes[FLEET_MAX];
    size_t n_lanes;
    struct lane *filling; /* that was chosen last */
    bool undecided;       /* a file waits for a server */
    VEC(struct sealed) sealed;
    VEC(uint64_t) again; /* chunks of the journal still to be built, oldest first */
    VEC(struct put_off) put_off;
    uint64_t first_new;   /* chunks below were in the journal: they may have been sent */
    uint64_t again_mark;  /* of the journal, when it was said where they go */
    uint64_t next;        /* next new file, as far as the journal has it on the disk */
    uint64_t loaded_next; /* as the journal had it when we started */
    struct loop_timer *timer;
    dur_ns retry_at; /* the journal could not be written: not before then; 0: it can */
    bool started, draining, drained;
    loop_fn *drain_done;
    void *drain_arg;
    struct loop_timer *drain_timer;
    struct loop_timer *trim_timer; /* runs while there may be memory to give back */
    uint64_t sent, sent_before; /* bytes since the last mem_trim; and when the timer was started */
};

/* pipeline.c */
/* The lane of a server of the configuration; NULL: it is not one of them. */
struct lane *pipeline_lane_of(struct pipeline *p, uint32_t server);
/* That of a chunk, which goes to a server of the configuration (pipeline_leave_strangers). */
struct lane *pipeline_lane_of_chunk(struct pipeline *p, const struct checkpoint_chunk *c);
size_t pipeline_index_of(const struct pipeline *p, const struct lane *l);
bool pipeline_is_filling(const struct lane *l);
/* Seal what `from` has been filled with, for `to`. */
void pipeline_seal_lane(struct pipeline *p, struct lane *from, struct lane *to);

/* pipeline_answer.c: struct ship_handler */
void pipeline_on_acked(void *pipeline, uint64_t no);
void pipeline_on_refused(void *pipeline, uint64_t no, struct str message,
                         const struct forward_ack *why);

/* pipeline_move.c */
/* struct fleet_handler: everything of one server is the other's from now on. */
void pipeline_on_left(void *pipeline, size_t from, size_t to);
/* At the start: what goes to servers that are not in the configuration any more.  Files go where
 * new ones do, chunks to the first; keeps (4). */
void pipeline_leave_strangers(struct pipeline *p);

#endif
