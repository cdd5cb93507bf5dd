/*
 * server/tail.h - followers: what becomes durable and passes their query is told to them at once.
 *
 * A tail begins with what is stored already (the newest `limit` entries since `start`, oldest
 * first), then everything that becomes durable after it was opened, in that order, each record
 * once: what both ways find is known by its seq.  Behind a client that does not read, entries are
 * dropped, counted and named in the next frame, never kept without bound.
 *
 * One hub with one thread serves all tails; history is read on the server's workers.
 */
#ifndef LOGQ_SERVER_TAIL_H
#define LOGQ_SERVER_TAIL_H

#include "query/query.h"
#include "server/server.h"

struct tail_hub;
struct tail;

enum {
    TAIL_FRAME_ENTRIES = 100, /* at most, of one frame */
    TAIL_DROPPED_SHOWN = 100, /* of dropped entries, by name; more are only counted */
};

enum tail_form {
    TAIL_WEBSOCKET, /* frames with Loki's JSON */
    TAIL_EVENTS,    /* text/event-stream with the lines of an export */
};

struct tail_options {
    struct query *query; /* of kind QUERY_LOG; the tail takes a reference of its own */
    const struct str *tenants;
    size_t n_tenants;
    ts_ns start;
    uint64_t limit; /* 0: nothing of what is stored already */
    dur_ns delay;   /* entries wait so long for older ones that come late */
    enum tail_form form;
    bool categorize;
    /* On the server's main loop.  `bytes` are ready to be written; false: no more of them before
     * tail_resume. */
    bool (*bytes)(void *arg, struct str bytes);
    void (*failed)(void *arg, const struct err *why); /* the last call */
    void *arg;
};

int tail_hub_open(struct server *s, struct tail_hub **ret, struct err *err);
/* When all tails are closed, and neither the workers nor the store call any more. */
void tail_hub_close(struct tail_hub **ph);
/* What a store_observe_fn tells.  Any thread, never blocks. */
void tail_hub_observe(struct tail_hub *h, struct str tenant, struct batch *b);

/* Main loop from here on.  ERR_LIMIT: conf.query.tails are open, or too many queries wait. */
int tail_open(struct tail_hub *h, const struct tail_options *opt, struct tail **ret,
              struct err *err);
void tail_close(struct tail **pt); /* nothing is called any more */
void tail_resume(struct tail *t);  /* the client takes bytes again */

#endif
