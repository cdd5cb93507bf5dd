/*
 * server/init.h - `logq-server init` and `logq-server cert`: a first installation in one directory.
 *
 * Blocking; prints to stdout what was made and what to do next.
 */
#ifndef LOGQ_SERVER_INIT_H
#define LOGQ_SERVER_INIT_H

#include "base/err.h"

#include <stddef.h>

/* Make server.yaml, tls/, admin.token, master.key, collector/, data/, rules/ in `dir` (made if
 * absent).  `names` are added to the server's certificate; with any, the server listens on all
 * addresses, else on loopback.  ERR_EXISTS: `dir` is not empty; ERR_INVALID: a name is none.  After
 * a failure `dir` is empty again. */
int init_server(const char *dir, const char *const *names, size_t n_names, struct err *err);

/* A client certificate for collector `name` from the authority of init's directory `dir`, into
 * `out` (made if absent): ca.crt, client.crt, client.key.  ERR_EXISTS: client.key is there already;
 * ERR_INVALID: `name` or `tenant` is none. */
int init_collector_cert(const char *dir, const char *name, const char *tenant, const char *out,
                        struct err *err);

/* A new certificate for the server itself, as init made it, into `out` (made if absent):
 * server.crt, server.key.  ERR_EXISTS: server.key is there already; ERR_INVALID: a name is none. */
int init_server_cert(const char *dir, const char *const *names, size_t n_names, const char *out,
                     struct err *err);

#endif
