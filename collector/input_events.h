/*
 * collector/input_events.h - events of Docker and podman from their API socket, into a spool.
 *
 * GET /events?since=: the engine replays what it still has from that time on, and what is in the
 * spool already is dropped.  Docker keeps the last 256 events only: when so many come and none of
 * them is known, some were missed, and a gap record says so.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_INPUT_EVENTS_H
#define LOGQ_COLLECTOR_INPUT_EVENTS_H

#include "collector/input.h"
#include "collector/opener.h"
#include "collector/redact.h"
#include "collector/spool.h"
#include "wire/loop.h"

struct input_events;

struct input_events_options {
    struct loop *loop;
    const char *name;            /* SPOOL_DOCKER or SPOOL_PODMAN; borrowed for ever */
    struct opener *opener;       /* borrowed: who connects */
    struct str socket;           /* path; copied */
    struct spool *own;           /* gap records */
    int state_fd;                /* for the spool */
    const struct redact *redact; /* borrowed until _free: before it is spooled; NULL: nothing */
    /* A container has started, while we listened or since we did last; may be NULL. */
    void (*started)(void *arg, const char *name, struct str id);
    void *arg;
    uint64_t backoff_min_ms, backoff_max_ms; /* 0: 500 and 10,000 */
};

int input_events_open(const struct input_events_options *opt, struct input_events **ret,
                      struct err *err);
struct input input_events_input(struct input_events *in);
void input_events_free(struct input_events **pin);

#endif
