/*
 * collector/certs.h - our certificate, its key and the CA: what the files hold now.
 *
 * Somebody renews them while we run.  They are looked at again before each connection, and from
 * four fifths of the certificate's life on from time to time, and read when one of them is another
 * file than it was.  Files that do not fit each other (one is renewed before the other) change
 * nothing.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_CERTS_H
#define LOGQ_COLLECTOR_CERTS_H

#include "collector/config.h"
#include "collector/opener.h"
#include "wire/tls_ctx.h"

struct certs;

/* Read the files that `config` names; nothing is kept of it.  `o` is borrowed.  ERR_INVALID,
 * ERR_IO. */
int certs_open(struct opener *o, const struct config *config, struct certs **ret, struct err *err);
void certs_free(struct certs **pc);

/* What to connect with; borrowed until the next certs_look.  NULL: without TLS. */
struct tls_ctx *certs_current(const struct certs *c);
/* Look at the files, at most once a second.  true: there is another certs_current. */
bool certs_look(struct certs *c);
/* When four fifths of the certificate's life are over; 0: without TLS. */
ts_ns certs_due(const struct certs *c);

#endif
