/*
 * wire/tls_ctx.h - certificates and peer rules for TLS 1.3: load, reload.
 *
 * Counted and immutable: a reload makes a new one, connections keep the one they began with.
 * TLS 1.3 only, ALPN not used, no session tickets where client certificates are asked for (a
 * revoked one must not resume).
 */
#ifndef LOGQ_WIRE_TLS_CTX_H
#define LOGQ_WIRE_TLS_CTX_H

#include "base/err.h"
#include "base/str.h"
#include "base/time.h"

#include <stdbool.h>

struct tls_ctx;
struct ssl_ctx_st;

struct tls_files {
    const char *cert; /* PEM chain; NULL for a client without a certificate */
    const char *key;  /* PEM key */
    const char *ca;   /* PEM of those we trust; NULL: the system's (client), nobody (server) */
    /* The same as bytes, read by somebody who may; the names above then serve in errors only. */
    struct str cert_pem, key_pem, ca_pem;
    bool server;
    bool require_client_cert; /* server: mutual TLS against `ca` */
};

/* ERR_INVALID names the file and OpenSSL's reason (unreadable, expired, key does not fit).  Any
 * thread. */
int tls_ctx_new(const struct tls_files *files, struct tls_ctx **ret, struct err *err);
struct tls_ctx *tls_ctx_ref(struct tls_ctx *c);
void tls_ctx_unref(struct tls_ctx **pc);

/* When our own certificate begins and ends; 0 without one. */
ts_ns tls_ctx_not_before(const struct tls_ctx *c);
ts_ns tls_ctx_not_after(const struct tls_ctx *c);

/* For wire/tls: OpenSSL's object, borrowed, and which side it is for. */
struct ssl_ctx_st *tls_ctx_ssl(const struct tls_ctx *c);
bool tls_ctx_is_server(const struct tls_ctx *c);

#endif
