/*
 * collector/gate.h - a process that connects to unix sockets, and lets through what may pass.
 *
 * An engine's API is root: whoever can write to its socket owns the host.  So the worker does not
 * get a connection to it but a pair of sockets with us in the middle, and one request goes through:
 * GET /events?since=<digits>, with the head that http_client writes.  What the engine answers is
 * passed on unread.  A server's own socket (unix:...) is handed over as it is.
 *
 * It keeps the user it was started as, because that is who may connect, and nothing else: no
 * capability, and system calls for sockets only (sandbox.h).
 */
#ifndef LOGQ_COLLECTOR_GATE_H
#define LOGQ_COLLECTOR_GATE_H

#include "base/err.h"
#include "base/str.h"

#include <stddef.h>

enum { GATE_SOCKETS_MAX = 16 };

struct gate_sockets { /* what may be connected to; texts are borrowed */
    struct str engines[GATE_SOCKETS_MAX];
    size_t n;
    struct str servers[GATE_SOCKETS_MAX];
    size_t n_servers;
};

/* Answer on `channel` until nobody asks any more and nothing is left to pass on.  Exit code. */
int gate_run(const struct gate_sockets *sockets, int channel);

/* Is `head`, all there is so far, the beginning of the request that may pass?  1: it is all of it;
 * 0: so far; ERR_DENIED. */
int gate_check(struct str head, struct err *err);

#endif
