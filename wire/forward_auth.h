/*
 * wire/forward_auth.h - the shared-key handshake HELO, PING, PONG (Forward v1, server side).
 *
 * For senders that know nothing better, on loopback or a unix socket; with mutual TLS the
 * certificate is the identity.  Digests are hex(SHA-512(...)), compared in constant time.
 */
#ifndef LOGQ_WIRE_FORWARD_AUTH_H
#define LOGQ_WIRE_FORWARD_AUTH_H

#include "base/buf.h"
#include "base/err.h"
#include "wire/forward_parse.h"

struct forward_auth {
    unsigned char nonce[16];
    unsigned char salt[16];
};

/* Draw nonce and salt, append HELO to `out` (one write, one TLS record).  ERR_IO: no random bytes;
 * ERR_LIMIT. */
int forward_auth_helo(struct forward_auth *a, struct buf *out, struct err *err);
/* Check a PING and append the PONG.  ERR_DENIED: the digest is wrong, or the key is empty (the PONG
 * says so too; then close), or it is no PING at all (nothing appended: close).  User name and
 * password are not looked at. */
int forward_auth_check(const struct forward_auth *a, const struct forward_message *ping,
                       struct str shared_key, struct str our_hostname, struct buf *out,
                       struct err *err);

#endif
