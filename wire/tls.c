/*
 * wire/tls.c - OpenSSL between two byte strings.  Contract: tls.h.
 *
 * Why a BIO of our own and not BIO_s_mem: reading takes the socket's bytes where they lie, writing
 * appends to the very buffer that goes to the socket, and an idle connection holds neither.
 * (BIO_s_mem keeps its largest size for ever, and clears all of it at each reset.)
 *
 * Invariant
 *   (1) `in` views the bytes of tls_feed, or `kept`; the latter only between rounds or while it is
 * used up.
 */
#include "wire/tls.h"

#include "base/mem.h"
#include "base/obj.h"

#include <arpa/inet.h>
#include <limits.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    WRITE_CHUNK = 1 << 20,  /* of plaintext given to OpenSSL at once */
    RECORD_BYTES = 1 << 14, /* plaintext in a full record */
    RECORD_EXTRA = 22,      /* header, type and tag of a record */
};

struct tls {
    unsigned magic;
#define TLS_MAGIC 0xa1b36e0fu
    struct tls_ctx *ctx; /* counted */
    SSL *ssl;
    char *server_name; /* for error texts; NULL on the server's side */
    struct str in;     /* ciphertext not used up yet */
    struct buf kept;
    struct buf out;
};

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *b, char *dst, size_t cap, size_t *ret)
{
    struct tls *t = BIO_get_data(b);
    size_t n = t->in.n < cap ? t->in.n : cap;

    BIO_clear_retry_flags(b);
    if (n == 0) {
        BIO_set_retry_read(b);
        return 0;
    }
    memcpy(dst, t->in.p, n);
    t->in = str_from(t->in, n);
    *ret = n;
    return 1;
}

static int bio_write(BIO *b, const char *src, size_t n, size_t *ret)
{
    struct tls *t = BIO_get_data(b);

    BIO_clear_retry_flags(b);
    buf_add(&t->out, src, n);
    if (t->out.over)
        return 0;
    *ret = n;
    return 1;
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr)
{
    (void)b;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_bio_method(void)
{
    BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "logq stream");

    if (m == NULL)
        return;
    if (BIO_meth_set_read_ex(m, bio_read) == 1 && BIO_meth_set_write_ex(m, bio_write) == 1 &&
        BIO_meth_set_ctrl(m, bio_ctrl) == 1)
        bio_method = m; /* for the life of the program */
    else
        BIO_meth_free(m);
}

static bool is_ip(const char *name)
{
    unsigned char ip[16];

    return inet_pton(AF_INET, name, ip) == 1 || inet_pton(AF_INET6, name, ip) == 1;
}

static bool set_server_name(struct tls *t, const char *name)
{
    X509_VERIFY_PARAM *rules = SSL_get0_param(t->ssl);

    t->server_name = mem_dup(name, strlen(name));
    if (is_ip(name))
        return X509_VERIFY_PARAM_set1_ip_asc(rules, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(rules, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_host(rules, name, strlen(name)) == 1 &&
           SSL_ctrl(t->ssl, SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name,
                    t->server_name) == 1;
}

int tls_new(struct tls_ctx *ctx, const char *server_name, struct tls **ret, struct err *err)
{
    struct tls *t = mem_new(sizeof(*t));
    BIO *bio = NULL;

    t->magic = TLS_MAGIC;
    t->ctx = tls_ctx_ref(ctx);
    buf_init(&t->kept, SIZE_MAX);
    buf_init(&t->out, SIZE_MAX);
    ERR_clear_error();
    (void)pthread_once(&bio_once, make_bio_method);
    if (bio_method != NULL)
        bio = BIO_new(bio_method);
    t->ssl = SSL_new(tls_ctx_ssl(ctx));
    if (bio == NULL || t->ssl == NULL) {
        BIO_free(bio);
        tls_free(&t);
        return err_set(err, ERR_NOMEM, "no memory for a TLS connection");
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio); /* takes it */
    if (tls_ctx_is_server(ctx)) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
        if (server_name == NULL || !set_server_name(t, server_name)) {
            ERR_clear_error();
            tls_free(&t);
            return err_set(err, ERR_INVALID, "'%s' is no name that a certificate can be for",
                           server_name == NULL ? "" : server_name);
        }
    }
    *ret = t;
    return 0;
}

void tls_free(struct tls **pt)
{
    struct tls *t = *pt;

    if (t == NULL)
        return;
    OBJ_CHECK(t, TLS_MAGIC);
    SSL_free(t->ssl);
    tls_ctx_unref(&t->ctx);
    buf_fini(&t->kept);
    buf_fini(&t->out);
    free(t->server_name);
    t->magic = 0;
    free(t);
    *pt = NULL;
}

void tls_feed(struct tls *t, struct str bytes)
{
    OBJ_CHECK(t, TLS_MAGIC);
    INVARIANT(t->in.n == 0);
    t->in = bytes;
}

void tls_keep(struct tls *t)
{
    struct buf left;

    OBJ_CHECK(t, TLS_MAGIC);
    buf_init(&left, SIZE_MAX);
    buf_add_str(&left, t->in);
    buf_fini(&t->kept);
    t->kept = left;
    t->in = buf_str(&t->kept);
}

bool tls_has_input(const struct tls *t)
{
    OBJ_CHECK(t, TLS_MAGIC);
    return t->in.n > 0 || SSL_pending(t->ssl) > 0;
}

struct reason {
    int reason; /* SSL_R_* */
    int code;
    const char *text;
};

static const struct reason REASONS[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, ERR_DENIED, "peer did not present a certificate"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, ERR_DENIED,
     "peer requires a certificate and we presented none"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, ERR_DENIED,
     "peer does not know the CA of our certificate, and refused it"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, ERR_DENIED, "peer refused our certificate as bad"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, ERR_DENIED, "peer refused our certificate as expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED, ERR_DENIED, "peer refused our certificate as revoked"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, ERR_DENIED, "peer refused our certificate"},
    {SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE, ERR_DENIED,
     "peer refused the kind of our certificate"},
    {SSL_R_TLSV1_ALERT_ACCESS_DENIED, ERR_DENIED, "peer denies access"},
    {SSL_R_UNSUPPORTED_PROTOCOL, ERR_IO, "peer does not speak TLS 1.3"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, ERR_IO, "peer does not speak TLS 1.3"},
    {SSL_R_WRONG_VERSION_NUMBER, ERR_IO, "peer does not speak TLS"},
    {SSL_R_HTTP_REQUEST, ERR_IO, "peer sent plain HTTP where TLS is spoken"},
    {SSL_R_NO_SHARED_CIPHER, ERR_IO, "no cipher in common with the peer"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, ERR_IO, "peer found no way to agree on TLS settings"},
};

static int refused_certificate(const struct tls *t, struct err *err)
{
    long v = SSL_get_verify_result(t->ssl);

    if (v == X509_V_ERR_HOSTNAME_MISMATCH || v == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return err_set(err, ERR_DENIED, "peer's certificate is not for '%s'",
                       t->server_name == NULL ? "" : t->server_name);
    return err_set(err, ERR_DENIED, "peer's certificate was refused: %s",
                   X509_verify_cert_error_string(v));
}

/* Why the last call failed, in plain words; empties OpenSSL's queue. */
static int describe(struct tls *t, struct err *err)
{
    unsigned long e = ERR_get_error();
    int reason = ERR_GET_REASON(e);
    const char *text;

    ERR_clear_error();
    if (t->out.over)
        return err_set(err, ERR_NOMEM, "no memory for TLS records");
    if (e != 0 && ERR_GET_LIB(e) == ERR_LIB_SSL) {
        if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED)
            return refused_certificate(t, err);
        for (size_t i = 0; i < sizeof(REASONS) / sizeof(REASONS[0]); i++)
            if (REASONS[i].reason == reason)
                return err_set(err, REASONS[i].code, "%s", REASONS[i].text);
    }
    text = e == 0 ? NULL : ERR_reason_error_string(e);
    return err_set(err, ERR_IO, "%s", text == NULL ? "TLS is out of step" : text);
}

int tls_handshake(struct tls *t, struct err *err)
{
    int r;

    OBJ_CHECK(t, TLS_MAGIC);
    ERR_clear_error();
    r = SSL_do_handshake(t->ssl);
    if (r == 1)
        return 0;
    if (SSL_get_error(t->ssl, r) == SSL_ERROR_WANT_READ)
        return 1;
    return describe(t, err);
}

int tls_read(struct tls *t, char *dst, size_t cap, size_t *ret, struct err *err)
{
    size_t n = 0;
    int r;

    OBJ_CHECK(t, TLS_MAGIC);
    ERR_clear_error();
    r = SSL_read_ex(t->ssl, dst, cap, &n);
    if (r == 1) {
        *ret = n;
        return 0;
    }
    switch (SSL_get_error(t->ssl, r)) {
    case SSL_ERROR_WANT_READ:
        return 1;
    case SSL_ERROR_ZERO_RETURN:
        *ret = 0;
        return 0;
    default:
        return describe(t, err);
    }
}

int tls_write(struct tls *t, struct str plain, struct err *err)
{
    OBJ_CHECK(t, TLS_MAGIC);
    while (plain.n > 0) {
        size_t n = plain.n < WRITE_CHUNK ? plain.n : WRITE_CHUNK;
        size_t written = 0;

        (void)buf_room(&t->out,
                       n + (n / RECORD_BYTES + 1) * RECORD_EXTRA); /* one growth, not many */
        ERR_clear_error();
        if (SSL_write_ex(t->ssl, plain.p, n, &written) != 1)
            return describe(t, err);
        plain = str_from(plain, written);
    }
    return 0;
}

void tls_shutdown(struct tls *t)
{
    OBJ_CHECK(t, TLS_MAGIC);
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl); /* 0 or 1; on a broken connection there is nobody to tell */
    ERR_clear_error();
}

bool tls_take(struct tls *t, struct buf *ret)
{
    OBJ_CHECK(t, TLS_MAGIC);
    if (t->out.n == 0)
        return false;
    *ret = t->out;
    buf_init(&t->out, SIZE_MAX);
    return true;
}

static char *find_uri(X509 *cert, size_t *ret_n)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    char *uri = NULL;

    for (int i = 0; uri == NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI)
            continue;
        *ret_n = (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier);
        uri =
            mem_dup((const char *)ASN1_STRING_get0_data(name->d.uniformResourceIdentifier), *ret_n);
    }
    GENERAL_NAMES_free(names);
    return uri;
}

static char *find_common_name(X509 *cert, size_t *ret_n)
{
    X509_NAME *subject = X509_get_subject_name(cert);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *utf8 = NULL;
    char *name;
    int n;

    if (at < 0)
        return NULL;
    n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (n < 0) {
        ERR_clear_error();
        return NULL;
    }
    *ret_n = (size_t)n;
    name = mem_dup((const char *)utf8, (size_t)n);
    OPENSSL_free(utf8);
    return name;
}

void tls_peer(const struct tls *t, struct tls_peer *ret)
{
    X509 *cert;
    struct tm tm;

    OBJ_CHECK(t, TLS_MAGIC);
    *ret = (struct tls_peer){0};
    cert = SSL_get0_peer_certificate(t->ssl);
    if (cert == NULL || SSL_get_verify_result(t->ssl) != X509_V_OK)
        return;
    ret->common_name = find_common_name(cert, &ret->common_name_n);
    ret->identity = find_uri(cert, &ret->identity_n);
    if (ret->identity == NULL && ret->common_name != NULL) {
        ret->identity_n = ret->common_name_n;
        ret->identity = mem_dup(ret->common_name, ret->common_name_n);
    }
    if (ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
        ret->not_after = (ts_ns)timegm(&tm) * NS_PER_S;
}
