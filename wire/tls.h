/*
 * wire/tls.h - TLS as a filter: ciphertext in, plaintext out, and the other way.  No sockets, no
 * loop.
 *
 * For wire/stream only.  A round of work is
 *
 *     tls_feed(bytes from the socket) -> tls_handshake | tls_read ... -> tls_take(bytes for the
 * socket) -> tls_keep
 *
 * One thread at a time.
 */
#ifndef LOGQ_WIRE_TLS_H
#define LOGQ_WIRE_TLS_H

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/time.h"
#include "wire/tls_ctx.h"

struct tls;

/* Takes a reference of `ctx`.  `server_name`: what the peer's certificate must be for, a DNS name
 * or an IP; ignored on the server's side. */
int tls_new(struct tls_ctx *ctx, const char *server_name, struct tls **ret, struct err *err);
void tls_free(struct tls **pt);

/* Ciphertext to work on, borrowed until tls_keep.  All of the former must be used up. */
void tls_feed(struct tls *t, struct str bytes);
/* End of a round: copy what is not used up, so that tls_feed's bytes may go. */
void tls_keep(struct tls *t);
bool tls_has_input(const struct tls *t); /* a tls_read may find something without a tls_feed */

/* 0: done; 1: needs more from the peer; ERR_DENIED: certificates or rules, else ERR_IO. */
int tls_handshake(struct tls *t, struct err *err);
/* 0: *ret bytes at dst, *ret == 0: the peer ended with close_notify; 1: nothing now; ERR_*: broken.
 */
int tls_read(struct tls *t, char *dst, size_t cap, size_t *ret, struct err *err);
int tls_write(struct tls *t, struct str plain, struct err *err);
void tls_shutdown(struct tls *t); /* close_notify; no tls_write after it */

/* Move the ciphertext for the socket to *ret, which is initialised by this call; false: there is
 * none. */
bool tls_take(struct tls *t, struct buf *ret);

/* From the peer's verified certificate; copies, to be freed by the caller, NULL where there is
 * none. */
struct tls_peer {
    char *identity; /* first SAN URI, else CN */
    size_t identity_n;
    char *common_name;
    size_t common_name_n;
    ts_ns not_after;
};
void tls_peer(const struct tls *t, struct tls_peer *ret);

#endif
