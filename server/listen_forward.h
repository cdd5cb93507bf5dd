/*
 * server/listen_forward.h - Fluent Forward in: one session per connection, on the forward loops.
 *
 * A session finds message borders, decodes (ingest.h), appends to the store, and acks in order of
 * arrival when the store says durable.  Reading stops while more than conf.forward.window_bytes are
 * unacknowledged or the memory budget is spent.
 */
#ifndef LOGQ_SERVER_LISTEN_FORWARD_H
#define LOGQ_SERVER_LISTEN_FORWARD_H

#include "server/server.h"

/* `local`: the forward_local listener (no TLS, SO_PEERCRED or shared key, forced labels). */
int listen_forward_open(struct server *s, bool local, struct listen_forward **ret, struct err *err);
const char *listen_forward_address(const struct listen_forward *l);
void listen_forward_set_tls(struct listen_forward *l, struct tls_ctx *tls);
/* Stop listening and reading; sessions end when their last append is acknowledged. */
void listen_forward_drain(struct listen_forward *l);
bool listen_forward_is_idle(const struct listen_forward *l); /* drained: no session left */
void listen_forward_close(struct listen_forward **pl);

#endif
