/*
 * wire/tls_ctx.c - certificates and peer rules, loaded into an OpenSSL context.  Contract:
 * tls_ctx.h.
 *
 * Everything is set before tls_ctx_new returns and never changed after, so threads may share it;
 * the count of references is the only moving part.
 */
#include "wire/tls_ctx.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/obj.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PEM_MAX = 4 << 20 }; /* a system's bundle of certificates is a quarter of that */

struct tls_ctx {
    unsigned magic;
#define TLS_CTX_MAGIC 0x3c7e05d1u
    _Atomic unsigned refs;
    SSL_CTX *ssl;
    bool server;
    ts_ns not_before, not_after;
};

/* The first reason in OpenSSL's queue is the innermost one; the queue is empty afterwards. */
static int ssl_err(struct err *err, const char *what, const char *file)
{
    unsigned long e = ERR_get_error();
    const char *reason = e == 0 ? NULL : ERR_reason_error_string(e);
    char buf[128];

    if (e != 0 && ERR_SYSTEM_ERROR(e))
        reason = strerror_r(ERR_GET_REASON(e), buf, sizeof(buf)); /* GNU form: may not use buf */
    ERR_clear_error();
    return err_set(err, ERR_INVALID, "%s '%s': %s", what, file,
                   reason == NULL ? "not usable" : reason);
}

/* The bytes of `file`: those that were given, else read into `b`. */
static int take_pem(const char *what, const char *file, struct str given, struct buf *b,
                    struct str *ret, struct err *err)
{
    int fd, r;

    *ret = given;
    if (given.n > 0)
        return 0;
    fd = open(file, O_RDONLY | O_CLOEXEC);
    r = fd < 0 ? err_sys(err, "%s '%s'", what, file) : file_read_fd(fd, b, err);
    if (fd >= 0) {
        (void)close(fd); /* was only read */
        if (r < 0)
            (void)err_wrap(err, "%s '%s'", what, file);
    }
    if (r < 0)
        err->code = ERR_INVALID;
    *ret = buf_str(b);
    return r < 0 ? ERR_INVALID : 0;
}

/* Without this a key with a pass phrase would make OpenSSL ask on the terminal. */
/* NOLINTNEXTLINE(readability-non-const-parameter): the type is OpenSSL's */
static int no_pass_phrase(char *dst, int cap, int rw, void *arg)
{
    (void)dst;
    (void)cap;
    (void)rw;
    (void)arg;
    return -1;
}

static BIO *bio_of(struct str pem)
{
    return BIO_new_mem_buf(pem.n == 0 ? "" : pem.p, (int)pem.n);
}

/* The last read ended the queue with "no start line": that is the end, not an error. */
static bool is_end_of_pem(void)
{
    unsigned long e = ERR_peek_last_error();

    if (ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
        return false;
    ERR_clear_error();
    return true;
}

/* Our certificate, then those between it and what the peer trusts. */
static int use_chain(struct tls_ctx *c, const char *file, struct str pem, struct err *err)
{
    BIO *bio = bio_of(pem);
    X509 *x = PEM_read_bio_X509_AUX(bio, NULL, no_pass_phrase, NULL);
    bool ok = x != NULL && SSL_CTX_use_certificate(c->ssl, x) == 1;

    X509_free(x);
    while (ok) {
        x = PEM_read_bio_X509(bio, NULL, no_pass_phrase, NULL);
        if (x == NULL) {
            ok = is_end_of_pem();
            break;
        }
        ok = SSL_CTX_add0_chain_cert(c->ssl, x) == 1; /* takes it */
        if (!ok)
            X509_free(x);
    }
    BIO_free(bio);
    return ok ? 0 : ssl_err(err, "certificate", file);
}

static int use_key(struct tls_ctx *c, const struct tls_files *f, struct str pem, struct err *err)
{
    BIO *bio = bio_of(pem);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_pass_phrase, NULL);
    int r = 0;

    BIO_free(bio);
    if (key == NULL || SSL_CTX_use_PrivateKey(c->ssl, key) != 1) {
        if (ERR_GET_REASON(ERR_peek_error()) == X509_R_KEY_VALUES_MISMATCH) {
            ERR_clear_error();
            r = err_set(err, ERR_INVALID, "key '%s' does not fit certificate '%s'", f->key,
                        f->cert);
        } else {
            r = ssl_err(err, "key", f->key);
        }
    }
    EVP_PKEY_free(key);
    return r;
}

static int check_own(struct tls_ctx *c, const struct tls_files *f, struct err *err)
{
    struct tm tm;

    if (SSL_CTX_check_private_key(c->ssl) != 1) {
        ERR_clear_error();
        return err_set(err, ERR_INVALID, "key '%s' does not fit certificate '%s'", f->key, f->cert);
    }
    if (ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(c->ssl)), &tm) != 1)
        return ssl_err(err, "end date of certificate", f->cert);
    c->not_after = (ts_ns)timegm(&tm) * NS_PER_S;
    if (ASN1_TIME_to_tm(X509_get0_notBefore(SSL_CTX_get0_certificate(c->ssl)), &tm) != 1)
        return ssl_err(err, "begin date of certificate", f->cert);
    c->not_before = (ts_ns)timegm(&tm) * NS_PER_S;
    if (c->not_after <= time_now()) {
        char when[TIME_TEXT_MAX];
        struct str s = time_format_rfc3339nano(c->not_after, when);
        return err_set(err, ERR_INVALID, "certificate '%s' expired at %.*s", f->cert, STR_ARG(s));
    }
    return 0;
}

static int load_own(struct tls_ctx *c, const struct tls_files *f, struct err *err)
{
    struct str cert, key;
    struct buf cert_text, key_text;
    int r;

    if (f->key == NULL)
        return err_set(err, ERR_INVALID, "certificate '%s' has no key", f->cert);
    buf_init(&cert_text, PEM_MAX);
    buf_init(&key_text, PEM_MAX);
    r = take_pem("certificate", f->cert, f->cert_pem, &cert_text, &cert, err);
    if (r == 0)
        r = take_pem("key", f->key, f->key_pem, &key_text, &key, err);
    if (r == 0)
        r = use_chain(c, f->cert, cert, err);
    if (r == 0)
        r = use_key(c, f, key, err);
    if (key_text.n > 0)
        OPENSSL_cleanse(key_text.p, key_text.n);
    buf_fini(&key_text);
    buf_fini(&cert_text);
    return r < 0 ? r : check_own(c, f, err);
}

/* Every certificate of `pem` is trusted, and named to clients by a server. */
static int trust(struct tls_ctx *c, const struct tls_files *f, struct str pem, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(c->ssl);
    BIO *bio = bio_of(pem);
    size_t n = 0;
    bool ok = true;

    while (ok) {
        X509 *x = PEM_read_bio_X509_AUX(bio, NULL, no_pass_phrase, NULL);
        if (x == NULL) {
            ok = n > 0 && is_end_of_pem();
            break;
        }
        ok = X509_STORE_add_cert(store, x) == 1 &&
             (!f->server || SSL_CTX_add_client_CA(c->ssl, x) == 1);
        X509_free(x);
        n++;
    }
    BIO_free(bio);
    return ok ? 0 : ssl_err(err, "CA", f->ca);
}

static int load_trusted(struct tls_ctx *c, const struct tls_files *f, struct err *err)
{
    struct buf text;
    struct str pem;
    int r;

    if (f->ca == NULL) {
        if (f->server && f->require_client_cert)
            return err_set(err, ERR_INVALID,
                           "client certificates are required, but no CA is trusted");
        if (!f->server && SSL_CTX_set_default_verify_paths(c->ssl) != 1)
            return ssl_err(err, "certificates of", "the system");
        return 0;
    }
    buf_init(&text, PEM_MAX);
    r = take_pem("CA", f->ca, f->ca_pem, &text, &pem, err);
    if (r == 0)
        r = trust(c, f, pem, err);
    buf_fini(&text);
    return r;
}

/* Where the file has our certificate alone, those between it and a root come from `ca`.  Looked for
 * once: else OpenSSL would for every connection. */
static void complete_chain(struct tls_ctx *c)
{
    STACK_OF(X509) *given = NULL;

    (void)SSL_CTX_get0_chain_certs(c->ssl, &given);
    if (sk_X509_num(given) <= 0) /* -1: there is none */
        (void)SSL_CTX_build_cert_chain(c->ssl, SSL_BUILD_CHAIN_FLAG_NO_ROOT |
                                                   SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR);
    ERR_clear_error(); /* what is missing there is up to the peer */
    (void)SSL_CTX_set_mode(c->ssl, SSL_MODE_NO_AUTO_CHAIN);
}

static void set_peer_rules(struct tls_ctx *c, const struct tls_files *f)
{
    int mode = SSL_VERIFY_NONE;

    if (!f->server)
        mode = SSL_VERIFY_PEER;
    else if (f->ca != NULL)
        mode = SSL_VERIFY_PEER | (f->require_client_cert ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    SSL_CTX_set_verify(c->ssl, mode, NULL);
    if (f->server && f->ca != NULL) {
        (void)SSL_CTX_set_num_tickets(c->ssl, 0);
        (void)SSL_CTX_set_options(c->ssl, SSL_OP_NO_TICKET);
    }
    (void)SSL_CTX_set_session_cache_mode(c->ssl, SSL_SESS_CACHE_OFF);
    /* Our order of ciphers, the cheapest first; one without AES in hardware says so by its own. */
    (void)SSL_CTX_set_options(c->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
}

int tls_ctx_new(const struct tls_files *files, struct tls_ctx **ret, struct err *err)
{
    struct tls_ctx *c = mem_new(sizeof(*c));
    int r = 0;

    c->magic = TLS_CTX_MAGIC;
    c->server = files->server;
    atomic_init(&c->refs, 1);
    ERR_clear_error();
    c->ssl = SSL_CTX_new(files->server ? TLS_server_method() : TLS_client_method());
    if (c->ssl == NULL || SSL_CTX_set_min_proto_version(c->ssl, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(c->ssl, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                         "TLS_CHACHA20_POLY1305_SHA256") != 1)
        r = ssl_err(err, "set up", "TLS 1.3");
    if (r == 0) {
        SSL_CTX_set_default_passwd_cb(c->ssl, no_pass_phrase);
        (void)SSL_CTX_set_mode(c->ssl, SSL_MODE_RELEASE_BUFFERS);
        if (files->cert != NULL)
            r = load_own(c, files, err);
        else if (files->server)
            r = err_set(err, ERR_INVALID, "a TLS server needs a certificate");
    }
    if (r == 0)
        r = load_trusted(c, files, err);
    if (r < 0) {
        tls_ctx_unref(&c);
        return r;
    }
    if (files->cert != NULL)
        complete_chain(c);
    set_peer_rules(c, files);
    *ret = c;
    return 0;
}

struct tls_ctx *tls_ctx_ref(struct tls_ctx *c)
{
    OBJ_CHECK(c, TLS_CTX_MAGIC);
    (void)atomic_fetch_add(&c->refs, 1);
    return c;
}

void tls_ctx_unref(struct tls_ctx **pc)
{
    struct tls_ctx *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, TLS_CTX_MAGIC);
    *pc = NULL;
    if (atomic_fetch_sub(&c->refs, 1) != 1)
        return;
    SSL_CTX_free(c->ssl);
    c->magic = 0;
    free(c);
}

ts_ns tls_ctx_not_before(const struct tls_ctx *c)
{
    OBJ_CHECK(c, TLS_CTX_MAGIC);
    return c->not_before;
}

ts_ns tls_ctx_not_after(const struct tls_ctx *c)
{
    OBJ_CHECK(c, TLS_CTX_MAGIC);
    return c->not_after;
}

struct ssl_ctx_st *tls_ctx_ssl(const struct tls_ctx *c)
{
    OBJ_CHECK(c, TLS_CTX_MAGIC);
    return c->ssl;
}

bool tls_ctx_is_server(const struct tls_ctx *c)
{
    OBJ_CHECK(c, TLS_CTX_MAGIC);
    return c->server;
}
