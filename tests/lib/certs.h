/* tests/lib/certs.h - real P-256 certificates for a test, as PEM files.  Aborts when it cannot. */
#ifndef LOGQ_TESTS_LIB_CERTS_H
#define LOGQ_TESTS_LIB_CERTS_H

/* Write DIR/NAME.crt and DIR/NAME.key: a CA that signs itself. */
void certs_ca(const char *dir, const char *name);

/* Write DIR/NAME.crt and DIR/NAME.key, signed by the CA whose files are DIR/CA.crt and DIR/CA.key.
 * `san` is "DNS:localhost,IP:127.0.0.1" or NULL; the common name is `name`; valid from a day ago to
 * `days` from now, which may be negative (expired; then valid from two days before that). */
void certs_issue(const char *dir, const char *ca, const char *name, const char *san, int days);

/*
 * What most tests need: ca; server (localhost, 127.0.0.1, ::1) and client
 * (URI:logq://collector/one) by it; other-ca and stranger (a client) by that one.
 */
void certs_standard(const char *dir);

/* "DIR/NAME" in a static buffer, of which there are eight in turn.  Not for several threads. */
const char *certs_path(const char *dir, const char *name);

#endif
