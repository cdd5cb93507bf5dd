/* server/init.c: a first installation that a server can start from, and nothing half-made. */
#include "server/init.h"

#include "base/file.h"
#include "base/mem.h"
#include "server/auth.h"
#include "storage/keyring.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "wire/tls_ctx.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = TMPDIR_PATH_MAX + 64 };

struct fixture {
    int tmp, dir; /* the test's, and init's in it */
    char path[TMPDIR_PATH_MAX], init[PATH_BYTES], out[PATH_BYTES];
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    f->tmp = tmpdir_open(f->path);
    f->dir = -1;
    (void)snprintf(f->init, sizeof(f->init), "%s/a/b", f->path);
    (void)snprintf(f->out, sizeof(f->out), "%s/out", f->path);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->dir >= 0)
        (void)close(f->dir);
    tmpdir_close(f->tmp);
    free(f);
    return 0;
}

/* init prints what it made; that is not the test's to show. */
static void quiet(int *saved)
{
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    (void)fflush(stdout);
    *saved = dup(STDOUT_FILENO);
    (void)dup2(null, STDOUT_FILENO);
    (void)close(null);
}

static void loud(int saved)
{
    (void)fflush(stdout);
    (void)dup2(saved, STDOUT_FILENO);
    (void)close(saved);
}

static int init(struct fixture *f, const char *name)
{
    int saved;
    int r;

    quiet(&saved);
    r = init_server(f->init, &name, name == NULL ? 0 : 1, &f->err);
    loud(saved);
    if (f->dir < 0 && r == 0)
        assert_int_equal(file_open_dir(AT_FDCWD, f->init, &f->dir, &f->err), 0);
    return r;
}

static int collector_cert(struct fixture *f, const char *name, const char *tenant)
{
    int saved;
    int r;

    quiet(&saved);
    r = init_collector_cert(f->init, name, tenant, f->out, &f->err);
    loud(saved);
    return r;
}

static int server_cert(struct fixture *f, const char *name)
{
    int saved;
    int r;

    quiet(&saved);
    r = init_server_cert(f->init, &name, 1, f->out, &f->err);
    loud(saved);
    return r;
}

static const char *in(char *room, const char *dir, const char *name)
{
    (void)snprintf(room, (size_t)PATH_BYTES + 64, "%s/%s", dir, name);
    return room;
}

static void check_mode(struct fixture *f, const char *name, mode_t want)
{
    struct stat st;

    if (fstatat(f->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        fail_msg("%s is not there", name);
    if ((st.st_mode & 07777) != want)
        fail_msg("%s has mode %o", name, st.st_mode & 07777);
}

static void secrets_are_for_the_owner_only(void **state)
{
    static const char *const SECRETS[] = {"admin.token", "master.key", "tls/ca.key",
                                          "tls/server.key", "collector/client.key"};
    static const char *const DIRS[] = {".", "tls", "collector", "data", "rules", "run"};
    static const char *const PUBLIC[] = {"server.yaml",      "tls/ca.crt",
                                         "tls/server.crt",   "collector/collector.yaml",
                                         "collector/ca.crt", "collector/client.crt"};
    struct fixture *f = *state;
    mode_t umask_was = umask(0);

    assert_int_equal(init(f, NULL), 0);
    (void)umask(umask_was);
    for (size_t i = 0; i < sizeof(SECRETS) / sizeof(SECRETS[0]); i++)
        check_mode(f, SECRETS[i], 0600);
    for (size_t i = 0; i < sizeof(DIRS) / sizeof(DIRS[0]); i++)
        check_mode(f, DIRS[i], 0700);
    for (size_t i = 0; i < sizeof(PUBLIC) / sizeof(PUBLIC[0]); i++)
        check_mode(f, PUBLIC[i], 0644);
    assert_int_equal(tmpdir_count(f->dir), 8); /* and no litter: five directories, three files */
}

static void what_it_made_fits_together(void **state)
{
    struct fixture *f = *state;
    char a[PATH_BYTES + 64], b[PATH_BYTES + 64], c[PATH_BYTES + 64];
    struct conf_errors errors;
    struct server_conf conf;
    struct auth *auth = NULL;
    struct auth_request req = {.use = AUTH_WRITE};
    struct auth_caller caller;
    struct keyring *keys = NULL;
    struct tls_ctx *tls = NULL;
    struct tls_files server = {.cert = in(a, f->init, "tls/server.crt"),
                               .key = in(b, f->init, "tls/server.key"),
                               .ca = in(c, f->init, "tls/ca.crt"),
                               .server = true,
                               .require_client_cert = true};
    struct buf token;

    assert_int_equal(init(f, NULL), 0);
    assert_int_equal(tls_ctx_new(&server, &tls, &f->err), 0);
    tls_ctx_unref(&tls);
    if (server_conf_load(in(a, f->init, "server.yaml"), &conf, &errors, &f->err) < 0)
        fail_msg("%s", f->err.text);
    check_str(conf.http.listen, "127.0.0.1:3100");
    assert_int_equal(auth_new(&conf, false, &auth, &f->err), 0);
    buf_init(&token, 256);
    buf_add_z(&token, "Bearer ");
    assert_int_equal(file_read(f->dir, "admin.token", &token, &f->err), 0);
    req.authorization = str_trim(buf_str(&token));
    assert_int_equal(auth_check(auth, &req, conf.arena, &caller, &f->err), 0);
    assert_int_equal(caller.role, ROLE_ADMIN);
    assert_int_equal(keyring_open(in(b, f->init, "data/keyring.db"), in(c, f->init, "master.key"),
                                  &keys, &f->err),
                     0);
    keyring_close(&keys);
    buf_fini(&token);
    auth_free(&auth);
    server_conf_free(&conf);
}

static X509 *read_cert(const char *path)
{
    FILE *file = fopen(path, "re");
    X509 *cert;

    assert_non_null(file);
    cert = PEM_read_X509(file, NULL, NULL, NULL);
    (void)fclose(file);
    assert_non_null(cert);
    return cert;
}

static void a_name_is_in_the_certificate_and_opens_the_server(void **state)
{
    struct fixture *f = *state;
    char a[PATH_BYTES + 64];
    struct conf_errors errors;
    struct server_conf conf;
    X509 *cert;

    assert_int_equal(init(f, "logs.example.org"), 0);
    cert = read_cert(in(a, f->init, "tls/server.crt"));
    assert_int_equal(X509_check_host(cert, "logs.example.org", 0, 0, NULL), 1);
    assert_int_equal(X509_check_host(cert, "localhost", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    assert_int_equal(X509_check_ip_asc(cert, "::1", 0), 1);
    X509_free(cert);
    assert_int_equal(server_conf_load(in(a, f->init, "server.yaml"), &conf, &errors, &f->err), 0);
    check_str(conf.http.listen, "0.0.0.0:3100");
    check_str(conf.forward.listen, "0.0.0.0:24224");
    server_conf_free(&conf);
}

static void a_directory_with_something_in_it_is_refused(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(init(f, NULL), 0);
    assert_int_equal(unlinkat(f->dir, "server.yaml", 0), 0);
    assert_int_equal(init(f, NULL), ERR_EXISTS);
    assert_non_null(strstr(f->err.text, "not empty"));
    assert_false(tmpdir_has(f->dir, "server.yaml")); /* nothing was touched */
    check_mode(f, "master.key", 0600);
}

static void a_bad_name_leaves_the_directory_as_it_was(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(init(f, "logs example"), ERR_INVALID);
    assert_non_null(strstr(f->err.text, "logs example"));
    assert_int_equal(file_open_dir(AT_FDCWD, f->init, &f->dir, &f->err), 0);
    assert_int_equal(tmpdir_count(f->dir), 0);
    assert_int_equal(init(f, "logs.example"), 0);
}

static void a_collectors_certificate_names_tenant_and_collector(void **state)
{
    struct fixture *f = *state;
    char a[PATH_BYTES + 64];
    GENERAL_NAMES *names;
    X509 *cert, *ca;

    assert_int_equal(init(f, NULL), 0);
    assert_int_equal(collector_cert(f, "node-7", "team.a"), 0);
    cert = read_cert(in(a, f->out, "client.crt"));
    ca = read_cert(in(a, f->out, "ca.crt"));
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(ca)), 1);
    names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
    assert_int_equal(sk_GENERAL_NAME_num(names), 1);
    assert_string_equal(
        ASN1_STRING_get0_data(sk_GENERAL_NAME_value(names, 0)->d.uniformResourceIdentifier),
        "logq://team.a/collector/node-7");
    GENERAL_NAMES_free(names);
    X509_free(cert);
    X509_free(ca);
    (void)close(f->dir);
    assert_int_equal(file_open_dir(AT_FDCWD, f->out, &f->dir, &f->err), 0);
    check_mode(f, "client.key", 0600);
    check_mode(f, ".", 0700);
}

static void a_new_server_certificate_is_from_the_same_authority(void **state)
{
    struct fixture *f = *state;
    char a[PATH_BYTES + 64], b[PATH_BYTES + 64], c[PATH_BYTES + 64];
    struct tls_files files = {.cert = in(a, f->out, "server.crt"),
                              .key = in(b, f->out, "server.key"),
                              .ca = in(c, f->init, "tls/ca.crt"),
                              .server = true};
    struct tls_ctx *tls = NULL;
    X509 *cert, *ca;

    assert_int_equal(server_cert(f, "logs.example"), ERR_IO); /* no authority yet */
    assert_non_null(strstr(f->err.text, "--dir"));
    assert_int_equal(init(f, NULL), 0);
    assert_int_equal(server_cert(f, "a,DNS:b"), ERR_INVALID);
    assert_int_equal(server_cert(f, "logs.example"), 0);
    assert_int_equal(tls_ctx_new(&files, &tls, &f->err), 0);
    tls_ctx_unref(&tls);
    cert = read_cert(a);
    ca = read_cert(c);
    assert_int_equal(X509_verify(cert, X509_get0_pubkey(ca)), 1);
    assert_int_equal(X509_check_host(cert, "logs.example", 0, 0, NULL), 1);
    assert_int_equal(X509_check_ip_asc(cert, "127.0.0.1", 0), 1);
    X509_free(cert);
    X509_free(ca);
    assert_int_equal(server_cert(f, "logs.example"), ERR_EXISTS);
}

static void a_key_that_is_there_is_not_overwritten(void **state)
{
    struct fixture *f = *state;
    struct buf before, after;
    char a[PATH_BYTES + 64];

    buf_init(&before, 4096);
    buf_init(&after, 4096);
    assert_int_equal(init(f, NULL), 0);
    assert_int_equal(collector_cert(f, "one", "default"), 0);
    assert_int_equal(file_read(AT_FDCWD, in(a, f->out, "client.key"), &before, &f->err), 0);
    assert_int_equal(collector_cert(f, "two", "default"), ERR_EXISTS);
    assert_int_equal(file_read(AT_FDCWD, a, &after, &f->err), 0);
    assert_true(str_eq(buf_str(&before), buf_str(&after)));
    buf_fini(&before);
    buf_fini(&after);
}

/* A tenant with a slash would be another tenant's certificate. */
static void names_that_would_say_something_else_are_refused(void **state)
{
    static const char *const BAD[] = {"",     "a/b", "a b", "a,URI:logq://x/collector/y",
                                      "a\nb", "..x/"};
    struct fixture *f = *state;

    assert_int_equal(init(f, NULL), 0);
    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        assert_int_equal(collector_cert(f, BAD[i], "default"), ERR_INVALID);
        assert_int_equal(collector_cert(f, "node", BAD[i]), ERR_INVALID);
    }
    assert_int_equal(collector_cert(f, "node", ".."), ERR_INVALID);
    assert_false(tmpdir_has(f->tmp, "out"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(secrets_are_for_the_owner_only), T(what_it_made_fits_together),
           T(a_name_is_in_the_certificate_and_opens_the_server),
           T(a_directory_with_something_in_it_is_refused),
           T(a_bad_name_leaves_the_directory_as_it_was),
           T(a_collectors_certificate_names_tenant_and_collector),
           T(a_new_server_certificate_is_from_the_same_authority),
           T(a_key_that_is_there_is_not_overwritten),
           T(names_that_would_say_something_else_are_refused))
