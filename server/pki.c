/* server/pki.c - see pki.h. */
#include "server/pki.h"

#include "base/mem.h"
#include "base/obj.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_TEXT_MAX = 4096, CLOCK_SKEW_S = 300 };

struct pki {
    unsigned magic;
#define PKI_MAGIC 0x9c1a77e3u
    X509 *cert;
    EVP_PKEY *key;
};

static int openssl_err(struct err *err, const char *what)
{
    unsigned long code = ERR_get_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    ERR_clear_error();
    return err_set(err, ERR_INVALID, "%s: %s", what, reason == NULL ? "OpenSSL failed" : reason);
}

static int add_extension(X509 *cert, X509 *issuer, int nid, const char *value, struct err *err)
{
    X509V3_CTX ctx;
    X509_EXTENSION *ext;
    int ok;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    ext = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    if (ext == NULL)
        return openssl_err(err, "certificate extension");
    ok = X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    return ok == 1 ? 0 : openssl_err(err, "certificate extension");
}

/* Serial (random, RFC 5280 4.1.2.2: positive, at most 20 bytes), times, subject, public key. */
static int fill_basics(X509 *cert, EVP_PKEY *key, const char *common_name, int days,
                       struct err *err)
{
    BIGNUM *serial = BN_new();
    int ok = serial != NULL && BN_rand(serial, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) == 1 &&
             BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(cert)) != NULL;

    BN_free(serial);
    ok = ok && X509_set_version(cert, 2) == 1 &&
         X509_gmtime_adj(X509_getm_notBefore(cert), -CLOCK_SKEW_S) != NULL &&
         X509_time_adj_ex(X509_getm_notAfter(cert), days, 0, NULL) != NULL &&
         X509_set_pubkey(cert, key) == 1 &&
         X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8,
                                    (const unsigned char *)common_name, -1, -1, 0) == 1;
    return ok ? 0 : openssl_err(err, "make certificate");
}

int pki_new(const char *common_name, int days, struct pki **ret, struct err *err)
{
    struct pki *p = mem_new(sizeof(*p));
    int r = 0;

    p->magic = PKI_MAGIC;
    p->key = EVP_EC_gen("P-256");
    p->cert = X509_new();
    if (p->key == NULL || p->cert == NULL)
        r = openssl_err(err, "make authority");
    if (r == 0)
        r = fill_basics(p->cert, p->key, common_name, days, err);
    if (r == 0 && X509_set_issuer_name(p->cert, X509_get_subject_name(p->cert)) != 1)
        r = openssl_err(err, "make authority");
    if (r == 0)
        r = add_extension(p->cert, p->cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0",
                          err);
    if (r == 0)
        r = add_extension(p->cert, p->cert, NID_key_usage, "critical,keyCertSign,cRLSign", err);
    if (r == 0)
        r = add_extension(p->cert, p->cert, NID_subject_key_identifier, "hash", err);
    if (r == 0 && X509_sign(p->cert, p->key, EVP_sha256()) == 0)
        r = openssl_err(err, "sign authority");
    if (r < 0)
        pki_free(&p);
    else
        *ret = p;
    return r;
}

int pki_load(const char *cert_path, const char *key_path, struct pki **ret, struct err *err)
{
    struct pki *p = mem_new(sizeof(*p));
    FILE *f;
    int r = 0;

    p->magic = PKI_MAGIC;
    f = fopen(cert_path, "re");
    if (f == NULL) {
        r = err_sys(err, "read '%s'", cert_path);
    } else {
        p->cert = PEM_read_X509(f, NULL, NULL, NULL);
        (void)fclose(f);
        if (p->cert == NULL)
            r = openssl_err(err, cert_path);
    }
    f = r < 0 ? NULL : fopen(key_path, "re");
    if (r == 0 && f == NULL) {
        r = err_sys(err, "read '%s'", key_path);
    } else if (f != NULL) {
        p->key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
        (void)fclose(f);
        if (p->key == NULL || X509_check_private_key(p->cert, p->key) != 1)
            r = openssl_err(err, key_path);
    }
    if (r < 0)
        pki_free(&p);
    else
        *ret = p;
    return r;
}

void pki_free(struct pki **pp)
{
    struct pki *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, PKI_MAGIC);
    X509_free(p->cert);
    EVP_PKEY_free(p->key);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

static int put_bio(BIO *bio, struct buf *out, struct err *err)
{
    char *p = NULL;
    long n = BIO_get_mem_data(bio, &p);

    if (n <= 0)
        return openssl_err(err, "write PEM");
    buf_add(out, p, (size_t)n);
    return buf_err(out, "PEM", err);
}

static int print_pem(X509 *cert, EVP_PKEY *key, struct buf *out, struct err *err)
{
    BIO *bio = BIO_new(BIO_s_mem());
    int r, ok;

    if (bio == NULL)
        return openssl_err(err, "write PEM");
    ok = cert != NULL ? PEM_write_bio_X509(bio, cert)
                      : PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    r = ok == 1 ? put_bio(bio, out, err) : openssl_err(err, "write PEM");
    BIO_free(bio);
    return r;
}

int pki_print(const struct pki *p, struct buf *cert, struct buf *key, struct err *err)
{
    int r = 0;

    OBJ_CHECK(p, PKI_MAGIC);
    if (cert != NULL)
        r = print_pem(p->cert, NULL, cert, err);
    if (r == 0 && key != NULL)
        r = print_pem(NULL, p->key, key, err);
    return r;
}

static bool is_ip(const char *name)
{
    unsigned char address[16];

    return inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1;
}

/* A host name, which may begin with a wildcard. */
static bool is_host(const char *name)
{
    size_t n = strlen(name);

    return n > 0 && n <= 253 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_*") == n;
}

/* "DNS:localhost,IP:127.0.0.1,URI:..."; a comma or blank in a name would change the meaning. */
static int compose_names(const struct pki_request *req, struct buf *out, struct err *err)
{
    for (size_t i = 0; i < req->n_names; i++) {
        const char *name = req->names[i];
        if (!is_host(name) && !is_ip(name))
            return err_set(err, ERR_INVALID, "'%s' is neither a host name nor an IP address", name);
        buf_addf(out, "%s%s:%s", out->n > 0 ? "," : "", is_ip(name) ? "IP" : "DNS", name);
    }
    if (req->uri != NULL && strpbrk(req->uri, ", \t\r\n") != NULL)
        return err_set(err, ERR_INVALID, "'%s' is not a URI", req->uri);
    if (req->uri != NULL)
        buf_addf(out, "%sURI:%s", out->n > 0 ? "," : "", req->uri);
    buf_add_char(out, '\0');
    return buf_err(out, "names of the certificate", err);
}

static int sign_request(const struct pki *p, const struct pki_request *req, const char *names,
                        X509 *cert, struct err *err)
{
    const char *usage = req->server && req->client ? "serverAuth,clientAuth"
                        : req->server              ? "serverAuth"
                                                   : "clientAuth";
    int r = 0;

    if (X509_set_issuer_name(cert, X509_get_subject_name(p->cert)) != 1)
        r = openssl_err(err, "issue certificate");
    if (r == 0)
        r = add_extension(cert, p->cert, NID_basic_constraints, "critical,CA:FALSE", err);
    if (r == 0)
        r = add_extension(cert, p->cert, NID_key_usage, "critical,digitalSignature", err);
    if (r == 0)
        r = add_extension(cert, p->cert, NID_ext_key_usage, usage, err);
    if (r == 0)
        r = add_extension(cert, p->cert, NID_authority_key_identifier, "keyid:always", err);
    if (r == 0 && names[0] != '\0')
        r = add_extension(cert, p->cert, NID_subject_alt_name, names, err);
    if (r == 0 && X509_sign(cert, p->key, EVP_sha256()) == 0)
        r = openssl_err(err, "sign certificate");
    return r;
}

int pki_issue(const struct pki *p, const struct pki_request *req, struct buf *cert_pem,
              struct buf *key_pem, struct err *err)
{
    struct buf names;
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    int r = 0;

    OBJ_CHECK(p, PKI_MAGIC);
    buf_init(&names, NAMES_TEXT_MAX);
    if (key == NULL || cert == NULL)
        r = openssl_err(err, "issue certificate");
    if (r == 0)
        r = compose_names(req, &names, err);
    if (r == 0)
        r = fill_basics(cert, key, req->common_name, req->days, err);
    if (r == 0)
        r = sign_request(p, req, names.p, cert, err);
    if (r == 0)
        r = print_pem(cert, NULL, cert_pem, err);
    if (r == 0)
        r = print_pem(NULL, key, key_pem, err);
    buf_fini(&names);
    X509_free(cert);
    EVP_PKEY_free(key);
    return r;
}
