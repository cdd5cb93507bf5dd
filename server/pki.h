/*
 * server/pki.h - the small certificate authority that `init` makes and `cert` uses (X.509 v3, RFC
 * 5280).
 *
 * ECDSA P-256 with SHA-256.  For a first installation; who has an authority of his own names its
 * files in server.yaml.
 */
#ifndef LOGQ_SERVER_PKI_H
#define LOGQ_SERVER_PKI_H

#include "base/buf.h"
#include "base/err.h"

struct pki; /* an authority: its certificate and key */

/* A new one; the key is in memory only until pki_print. */
int pki_new(const char *common_name, int days, struct pki **ret, struct err *err);
/* One from PEM files.  ERR_INVALID names the file. */
int pki_load(const char *cert_path, const char *key_path, struct pki **ret, struct err *err);
void pki_free(struct pki **pp);
/* Its certificate and key as PEM; either may be NULL. */
int pki_print(const struct pki *p, struct buf *cert, struct buf *key, struct err *err);

struct pki_request {
    const char *common_name;
    const char *const *names; /* subject alternative names: DNS names or IP addresses */
    size_t n_names;
    const char *uri;     /* one more, a URI; may be NULL */
    bool server, client; /* extended key usage */
    int days;
};
/* Draw a key, sign a certificate for it, append both as PEM. */
int pki_issue(const struct pki *p, const struct pki_request *req, struct buf *cert, struct buf *key,
              struct err *err);

#endif
