/*
 * collector/pipeline.h - from inputs through chunk, journal and wire to the ack, and back.
 *
 * Pulls from the input while the window has room, seals chunks by size or age, writes their plan
 * down before they are sent, takes acks.  Back-pressure is that nothing is pulled.  Loop thread
 * only.
 */
#ifndef LOGQ_COLLECTOR_PIPELINE_H
#define LOGQ_COLLECTOR_PIPELINE_H

#include "collector/checkpoint.h"
#include "collector/fleet.h"
#include "collector/input.h"
#include "collector/spool.h"

struct pipeline;

struct pipeline_options {
    struct loop *loop;
    struct checkpoint *checkpoint;
    struct spool *own; /* gap records */
    int state_fd;      /* refused/ lies there; borrowed */
    struct chunk_options chunk;
    dur_ns chunk_delay;
    uint64_t refused_bytes;
    struct fleet_options fleet;
    /* Chunks were acknowledged; may be NULL. */
    void (*acked)(void *arg);
    /* A server has heard of file numbers up to `next` that the journal does not know. */
    void (*old_journal)(void *arg, uint64_t next);
    /* As ship.h's; what the journal knows is put in here. */
    void (*about)(void *arg, bool is_hello, struct forward_about *ret);
    void *arg;
};

int pipeline_open(const struct pipeline_options *opt, struct pipeline **ret, struct err *err);
/* The input to pull from (borrowed); sends again what the journal says is not acknowledged, then
 * goes on. */
void pipeline_start(struct pipeline *p, struct input input);
/* The input has something. */
void pipeline_wake(struct pipeline *p);
/* Pull no more; seal what there is.  `done(arg)` when all is acknowledged or `timeout` has passed.
 */
void pipeline_drain(struct pipeline *p, dur_ns timeout, loop_fn *done, void *arg);
void pipeline_set_tls(struct pipeline *p, struct tls_ctx *tls);
void pipeline_free(struct pipeline **pp);

/* For /health. */
bool pipeline_is_connected(const struct pipeline *p);
size_t pipeline_in_flight(const struct pipeline *p);

#endif
