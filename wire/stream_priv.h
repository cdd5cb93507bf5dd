/*
 * wire/stream_priv.h - between listener.c and stream.c.
 */
#ifndef LOGQ_WIRE_STREAM_PRIV_H
#define LOGQ_WIRE_STREAM_PRIV_H

#include "wire/address.h"
#include "wire/stream.h"

struct stream_accepted {
    int fd; /* the callee's in any case */
    union address_socket peer;
    struct listener *ls;
    listener_fn *fn; /* fn(s, arg) sets the handler */
    void *arg;
};

/*
 * Make a stream of a connection, let `fn` set its handler, begin.  On success `ls` hears
 * listener_stream_ended when the stream is gone.  ERR_IO, ERR_NOMEM: nothing was made.
 */
int stream_accept(struct loop *l, const struct stream_accepted *a, const struct stream_options *opt,
                  struct err *err);

void listener_stream_ended(struct listener *ls, bool handshake_failed);

#endif
