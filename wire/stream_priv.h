/*
 * wire/stream_priv.h - between listener.c and stream.c.
 */
#ifndef LOGQ_WIRE_STREAM_PRIV_H
#define LOGQ_WIRE_STREAM_PRIV_H

#include "wire/address.h"
#include "wire/stream.h"

/*
 * Make a stream of the accepted `fd` (owned by the callee in any case), let fn(s, arg) set its
 * handler, begin. On success `ls` hears listener_stream_ended when the stream is gone.  ERR_IO,
 * ERR_NOMEM: nothing was made.
 */
int stream_accept(struct loop *l, int fd, const union address_socket *peer,
                  const struct stream_options *opt, listener_fn *fn, void *arg, struct listener *ls,
                  struct err *err);

void listener_stream_ended(struct listener *ls, bool handshake_failed);

#endif
