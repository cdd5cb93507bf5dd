/*
 * wire/tls_shake.h - one step of a server's TLS handshake on another thread.
 *
 * Signing and key exchange take a quarter of a millisecond and more, of a loop on which others wait
 * for their acks, and after a restart or an outage all clients come at once.  So a step runs on one
 * of the few threads that all loops share for it.  Begin, end and abandon are for the loop's
 * thread; between begin and `done` the tls is the other thread's.
 */
#ifndef LOGQ_WIRE_TLS_SHAKE_H
#define LOGQ_WIRE_TLS_SHAKE_H

#include "wire/loop.h"
#include "wire/tls.h"

struct tls_shake;

/* tls_handshake(t) elsewhere; done(arg) comes from the loop, then tls_shake_end is due.  `t` has
 * kept its input (tls_keep) and stays the caller's, who must not touch it before. */
struct tls_shake *tls_shake_begin(struct loop *l, struct tls *t, loop_fn *done, void *arg);
/* What tls_handshake returned; once, after `done`. */
int tls_shake_end(struct tls_shake **ps, struct err *err);
/* Instead of that, at any time: `done` will not be called any more, *pt is freed when it can be. */
void tls_shake_abandon(struct tls_shake **ps, struct tls **pt);

#endif
