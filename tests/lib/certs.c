/* tests/lib/certs.c - see certs.h. */
#include "tests/lib/certs.h"

#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DAY_S = 24 * 3600 };

static void must(int ok, const char *what)
{
    if (ok)
        return;
    (void)fprintf(stderr, "certs: %s\n", what);
    abort();
}

const char *certs_path(const char *dir, const char *name)
{
    static char ring[8][256];
    static unsigned turn;
    char *p = ring[turn++ % 8];

    (void)snprintf(p, sizeof(ring[0]), "%s/%s", dir, name);
    return p;
}

static FILE *open_file(const char *dir, const char *name, const char *suffix, const char *mode)
{
    char path[256];
    FILE *f;

    (void)snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix);
    f = fopen(path, mode);
    must(f != NULL, path);
    return f;
}

static void write_pair(const char *dir, const char *name, X509 *cert, EVP_PKEY *key)
{
    FILE *f = open_file(dir, name, ".crt", "w");

    must(PEM_write_X509(f, cert) == 1, "write a certificate");
    (void)fclose(f);
    f = open_file(dir, name, ".key", "w");
    must(PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL) == 1, "write a key");
    (void)fclose(f);
}

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509_EXTENSION *e;

    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    must(e != NULL && X509_add_ext(cert, e, -1) == 1, value);
    X509_EXTENSION_free(e);
}

static X509 *new_cert(const char *name, EVP_PKEY *key, int days)
{
    X509 *cert = X509_new();
    X509_NAME *subject;
    long serial = 0;

    must(cert != NULL && X509_set_version(cert, 2) == 1, "make a certificate");
    must(RAND_bytes((unsigned char *)&serial, 4) == 1, "a serial number");
    must(ASN1_INTEGER_set(X509_get_serialNumber(cert), serial) == 1, "a serial number");
    must(X509_gmtime_adj(X509_getm_notBefore(cert), (days < 0 ? days - 2 : -1) * (long)DAY_S) !=
             NULL,
         "a start date");
    must(X509_gmtime_adj(X509_getm_notAfter(cert), days * (long)DAY_S) != NULL, "an end date");
    subject = X509_get_subject_name(cert);
    must(X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, (const unsigned char *)name, -1,
                                    -1, 0) == 1,
         "a name");
    must(X509_set_pubkey(cert, key) == 1, "a public key");
    return cert;
}

void certs_ca(const char *dir, const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert;

    must(key != NULL, "make a key");
    cert = new_cert(name, key, 30);
    must(X509_set_issuer_name(cert, X509_get_subject_name(cert)) == 1, "an issuer");
    add_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE");
    add_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign");
    add_extension(cert, cert, NID_subject_key_identifier, "hash");
    must(X509_sign(cert, key, EVP_sha256()) > 0, "sign");
    write_pair(dir, name, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
}

void certs_issue(const char *dir, const char *ca, const char *name, const char *san, int days)
{
    FILE *f = open_file(dir, ca, ".crt", "r");
    X509 *ca_cert = PEM_read_X509(f, NULL, NULL, NULL);
    EVP_PKEY *ca_key;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert;

    (void)fclose(f);
    f = open_file(dir, ca, ".key", "r");
    ca_key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
    (void)fclose(f);
    must(ca_cert != NULL && ca_key != NULL && key != NULL, "read a CA");
    cert = new_cert(name, key, days);
    must(X509_set_issuer_name(cert, X509_get_subject_name(ca_cert)) == 1, "an issuer");
    if (san != NULL)
        add_extension(cert, ca_cert, NID_subject_alt_name, san);
    must(X509_sign(cert, ca_key, EVP_sha256()) > 0, "sign");
    write_pair(dir, name, cert, key);
    X509_free(cert);
    EVP_PKEY_free(key);
    X509_free(ca_cert);
    EVP_PKEY_free(ca_key);
}

void certs_standard(const char *dir)
{
    certs_ca(dir, "ca");
    certs_issue(dir, "ca", "server", "DNS:localhost,IP:127.0.0.1,IP:::1", 20);
    certs_issue(dir, "ca", "client", "URI:logq://collector/one", 20);
    certs_ca(dir, "other-ca");
    certs_issue(dir, "other-ca", "stranger", "URI:logq://collector/one", 20);
}
