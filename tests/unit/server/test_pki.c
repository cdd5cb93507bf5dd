/* server/pki.c: what it signs, OpenSSL's own verification accepts, and for the right names only. */
#include "server/pki.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PEM_MAX = 64 << 10, DAY_S = 24 * 3600 };

struct fixture {
    struct pki *ca;
    struct buf cert, key;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    buf_init(&f->cert, PEM_MAX);
    buf_init(&f->key, PEM_MAX);
    assert_int_equal(pki_new("test authority", 10, &f->ca, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pki_free(&f->ca);
    buf_fini(&f->cert);
    buf_fini(&f->key);
    free(f);
    return 0;
}

static X509 *read_cert(const struct buf *pem)
{
    BIO *bio = BIO_new_mem_buf(pem->p, (int)pem->n);
    X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    assert_non_null(cert);
    return cert;
}

static X509 *read_ca(const struct pki *ca)
{
    struct buf pem;
    struct err err;
    X509 *cert;

    buf_init(&pem, PEM_MAX);
    assert_int_equal(pki_print(ca, &pem, NULL, &err), 0);
    cert = read_cert(&pem);
    buf_fini(&pem);
    return cert;
}

/* Does the certificate of `f` verify by `ca` for `purpose`, at `when`? */
static bool verifies(const struct fixture *f, const struct pki *ca, int purpose, time_t when)
{
    X509_STORE *store = X509_STORE_new();
    X509_STORE_CTX *ctx = X509_STORE_CTX_new();
    X509 *root = read_ca(ca), *leaf = read_cert(&f->cert);
    bool ok;

    assert_int_equal(X509_STORE_add_cert(store, root), 1);
    assert_int_equal(X509_STORE_CTX_init(ctx, store, leaf, NULL), 1);
    assert_int_equal(X509_STORE_CTX_set_purpose(ctx, purpose), 1);
    X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx), X509_V_FLAG_X509_STRICT);
    X509_STORE_CTX_set_time(ctx, 0, when);
    ok = X509_verify_cert(ctx) == 1;
    X509_STORE_CTX_free(ctx);
    X509_STORE_free(store);
    X509_free(root);
    X509_free(leaf);
    return ok;
}

static bool key_fits(const struct fixture *f)
{
    BIO *bio = BIO_new_mem_buf(f->key.p, (int)f->key.n);
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    X509 *cert = read_cert(&f->cert);
    bool ok = key != NULL && X509_check_private_key(cert, key) == 1;

    BIO_free(bio);
    EVP_PKEY_free(key);
    X509_free(cert);
    return ok;
}

static int issue(struct fixture *f, const struct pki_request *req)
{
    buf_clear(&f->cert);
    buf_clear(&f->key);
    return pki_issue(f->ca, req, &f->cert, &f->key, &f->err);
}

static void a_servers_certificate_is_for_its_names(void **state)
{
    static const char *const NAMES[] = {"logs.example.org", "127.0.0.1", "::1", "*.in.example.org"};
    struct fixture *f = *state;
    struct pki_request req = {
        .common_name = "server", .names = NAMES, .n_names = 4, .server = true, .days = 5};
    X509 *cert;

    assert_int_equal(issue(f, &req), 0);
    assert_true(verifies(f, f->ca, X509_PURPOSE_SSL_SERVER, time(NULL)));
    assert_false(verifies(f, f->ca, X509_PURPOSE_SSL_CLIENT, time(NULL)));
    assert_true(key_fits(f));
    cert = read_cert(&f->cert);
    assert_int_equal(X509_check_host(cert, "logs.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "a.in.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "example.org", 0, 0, NULL), 0);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.2", 0), 0);
    assert_int_equal(X509_check_ca(cert), 0);
    X509_free(cert);
}

static void a_clients_certificate_carries_its_uri(void **state)
{
    struct fixture *f = *state;
    struct pki_request req = {
        .common_name = "node1", .uri = "logq://team/collector/node1", .client = true, .days = 5};
    GENERAL_NAMES *names;
    X509 *cert;

    assert_int_equal(issue(f, &req), 0);
    assert_true(verifies(f, f->ca, X509_PURPOSE_SSL_CLIENT, time(NULL)));
    assert_false(verifies(f, f->ca, X509_PURPOSE_SSL_SERVER, time(NULL)));
    cert = read_cert(&f->cert);
    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_int_equal(sk_GENERAL_NAME_value(names, 0)->type, GEN_URI);
    assert_string_equal(
        ASN1_STRING_get0_data(sk_GENERAL_NAME_value(names, 0)->d.uniformResourceIdentifier),
        "logq://team/collector/node1");
    GENERAL_NAMES_free(names);
    X509_free(cert);
}

static void it_holds_from_now_for_its_days(void **state)
{
    struct fixture *f = *state;
    struct pki_request req = {.common_name = "x", .client = true, .days = 5};
    time_t now = time(NULL);

    assert_int_equal(issue(f, &req), 0);
    assert_true(verifies(f, f->ca, X509_PURPOSE_SSL_CLIENT, now - 60)); /* a clock that lags */
    assert_false(verifies(f, f->ca, X509_PURPOSE_SSL_CLIENT, now - DAY_S));
    assert_true(verifies(f, f->ca, X509_PURPOSE_SSL_CLIENT, now + 4 * DAY_S));
    assert_false(verifies(f, f->ca, X509_PURPOSE_SSL_CLIENT, now + 6 * DAY_S));
}

static void another_authority_does_not_vouch_for_it(void **state)
{
    struct fixture *f = *state;
    struct pki_request req = {.common_name = "x", .client = true, .days = 5};
    struct pki *other = NULL;

    assert_int_equal(pki_new("test authority", 10, &other, &f->err), 0);
    assert_int_equal(issue(f, &req), 0);
    assert_false(verifies(f, other, X509_PURPOSE_SSL_CLIENT, time(NULL)));
    pki_free(&other);
}

static void no_two_serials_are_the_same(void **state)
{
    struct fixture *f = *state;
    struct pki_request req = {.common_name = "x", .client = true, .days = 5};
    X509 *a, *b;

    assert_int_equal(issue(f, &req), 0);
    a = read_cert(&f->cert);
    assert_int_equal(issue(f, &req), 0);
    b = read_cert(&f->cert);
    assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(a), X509_get0_serialNumber(b)), 0);
    X509_free(a);
    X509_free(b);
}

static void names_that_would_say_something_else_are_refused(void **state)
{
    static const char *const BAD[] = {"",        "a b",  "a,DNS:b",   "a:b", "a/b",
                                      "a\"b",    "a\nb", "b\xc3\xbc", "a;b", "999.1.1.1,IP:1",
                                      "@section"};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        struct pki_request req = {
            .common_name = "x", .names = &BAD[i], .n_names = 1, .server = true, .days = 5};
        if (issue(f, &req) != ERR_INVALID)
            fail_msg("'%s' was put into a certificate", BAD[i]);
        assert_int_equal(f->cert.n, 0);
        assert_int_equal(f->key.n, 0);
    }
}

static void an_authority_comes_back_from_its_files(void **state)
{
    struct fixture *f = *state;
    struct pki_request req = {.common_name = "x", .client = true, .days = 5};
    char path[TMPDIR_PATH_MAX], cert[TMPDIR_PATH_MAX + 8], key[TMPDIR_PATH_MAX + 8];
    struct pki *again = NULL;
    int dir = tmpdir_open(path);

    (void)snprintf(cert, sizeof(cert), "%s/ca.crt", path);
    (void)snprintf(key, sizeof(key), "%s/ca.key", path);
    assert_int_equal(pki_print(f->ca, &f->cert, &f->key, &f->err), 0);
    assert_int_equal(file_replace(dir, "ca.crt", 0600, buf_str(&f->cert), &f->err), 0);
    assert_int_equal(file_replace(dir, "ca.key", 0600, buf_str(&f->key), &f->err), 0);
    assert_int_equal(pki_load(cert, key, &again, &f->err), 0);
    buf_clear(&f->cert);
    buf_clear(&f->key);
    assert_int_equal(pki_issue(again, &req, &f->cert, &f->key, &f->err), 0);
    assert_true(verifies(f, f->ca, X509_PURPOSE_SSL_CLIENT, time(NULL)));
    pki_free(&again);

    /* A key of somebody else, no key at all, no file at all: named, and nothing is made. */
    assert_int_equal(file_replace(dir, "ca.key", 0600, buf_str(&f->key), &f->err), 0);
    assert_int_equal(pki_load(cert, key, &again, &f->err), ERR_INVALID);
    assert_non_null(strstr(f->err.text, "ca.key"));
    assert_int_equal(file_replace(dir, "ca.crt", 0600, STR("no PEM"), &f->err), 0);
    assert_int_equal(pki_load(cert, key, &again, &f->err), ERR_INVALID);
    assert_non_null(strstr(f->err.text, "ca.crt"));
    assert_int_equal(pki_load("/nowhere/ca.crt", key, &again, &f->err), ERR_IO);
    assert_non_null(strstr(f->err.text, "/nowhere/ca.crt"));
    assert_null(again);
    tmpdir_close(dir);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(a_servers_certificate_is_for_its_names), T(a_clients_certificate_carries_its_uri),
           T(it_holds_from_now_for_its_days), T(another_authority_does_not_vouch_for_it),
           T(no_two_serials_are_the_same), T(names_that_would_say_something_else_are_refused),
           T(an_authority_comes_back_from_its_files))
