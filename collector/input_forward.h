/*
 * collector/input_forward.h - applications that log through fluent libraries, on this host: Forward
 * messages from a unix socket or loopback, into a spool.
 *
 *     message -> lines (forward_line.h) -> one write and one sync for all connections -> acks
 *
 * An ack is given when what it is for is on the disk.  A chunk that comes again, because its ack
 * was lost or because we were killed, is acknowledged and not taken again (taken.h).  Nothing is
 * read while the spool is full or the disk fails.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_INPUT_FORWARD_H
#define LOGQ_COLLECTOR_INPUT_FORWARD_H

#include "collector/config.h"
#include "collector/seats.h"
#include "wire/loop.h"

#include <sys/types.h>

struct input_forward;

enum {
    INPUT_FORWARD_LISTENERS = CONFIG_LISTEN_MAX,
    INPUT_FORWARD_CONNECTIONS = SEATS_MAX, /* at once, of each listener: seats.h */
    INPUT_FORWARD_TAKEN = 65536,           /* chunks that are known when they come again */
};

struct input_forward_options {
    struct loop *loop;
    struct conf_strs listen; /* addresses; borrowed until _open returns */
    const int *bound_fds;    /* for each the socket that is bound to it, taken; 0: none, bind it;
                                -1: that cannot be, nobody listens there.  NULL: none of all */
    bool go_on;              /* where we cannot listen is no error: it is tried again */
    loop_fn *listening;      /* what input_forward_address says has changed; may be NULL */
    void *arg;
    mode_t mode;  /* of a unix socket that we bind */
    int state_fd; /* for the spool */
    size_t max_line;
    uint64_t spool_bytes; /* so much unacknowledged and nothing is read */
    uint64_t idle_ms;     /* a client with most connections loses one that was idle so long, for
                             another of its own; 0: 10,000 */
};

/* What a kill has left of a message that was not acknowledged is cut off the spool: open it before
 * anybody reads that.  ERR_EXISTS: somebody else listens there. */
int input_forward_open(const struct input_forward_options *opt, struct input_forward **ret,
                       struct err *err);
/* "127.0.0.1:41873" or "unix:/path", of those where we listen; NULL: there are no more. */
const char *input_forward_address(const struct input_forward *in, size_t i);
/* Take no more; what was taken is synced and acknowledged, then connections end. */
void input_forward_stop(struct input_forward *in);
void input_forward_free(struct input_forward **pin);

#endif
