/*
 * collector/seats.h - connections to one address by whose they are, and who gives up a seat when
 * all are taken.
 *
 * The longest idle connection of whoever has most: so one client that opens many, or leaks them,
 * takes seats from itself and never from others.  No descriptors here; loop thread only.
 */
#ifndef LOGQ_COLLECTOR_SEATS_H
#define LOGQ_COLLECTOR_SEATS_H

#include "base/time.h"

#include <stddef.h>
#include <stdint.h>

enum { SEATS_MAX = 256 };

/* Part of a connection. */
struct seat {
    struct seat *next, **link; /* link NULL: it has none */
    void *conn;                /* the connection, */
    uint64_t peer;             /* whose it is, */
    dur_ns used_at;            /* and when something last came (time_mono) */
};

struct seats {
    struct seat *first;
    size_t n;
};

void seats_add(struct seats *s, struct seat *seat);
void seats_remove(struct seats *s, struct seat *seat); /* one that has none, too */
/* Who has to go, all seats being taken, so that `peer` can have one more.  If nobody has more than
 * `peer` would have it is one of its own, if that was idle since `idle_since`.  NULL: nobody. */
struct seat *seats_choose(const struct seats *s, uint64_t peer, dur_ns idle_since);

#endif
