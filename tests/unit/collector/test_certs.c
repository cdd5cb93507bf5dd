/*
 * Unit tests of collector/certs: files that are renewed under us.  They are looked at once a second
 * at most, so each test looks once.
 */
#include "collector/certs.h"

#include "base/log.h"
#include "collector/metrics.h"
#include "tests/lib/certs.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <stdio.h>

static int dir;
static char path[TMPDIR_PATH_MAX];
static char cert[TMPDIR_PATH_MAX + 16], key[TMPDIR_PATH_MAX + 16], ca[TMPDIR_PATH_MAX + 16];
static struct config config;
static struct certs *c;
static struct err err;

static int setup(void **state)
{
    (void)state;
    metrics_setup();
    log_set_level(LOG_LEVEL_ERROR);
    dir = tmpdir_open(path);
    certs_standard(path);
    (void)snprintf(cert, sizeof(cert), "%s/client.crt", path);
    (void)snprintf(key, sizeof(key), "%s/client.key", path);
    (void)snprintf(ca, sizeof(ca), "%s/ca.crt", path);
    config =
        (struct config){.tls = true, .cert = str_of(cert), .key = str_of(key), .ca = str_of(ca)};
    assert_int_equal(certs_open(NULL, &config, &c, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    certs_free(&c);
    tmpdir_close(dir);
    return 0;
}

static void rename_to_client(const char *name)
{
    assert_int_equal(rename(certs_path(path, name), config.cert.p), 0);
}

static void what_did_not_change_is_not_read_again(void **state)
{
    struct tls_ctx *before = certs_current(c);

    (void)state;
    assert_false(certs_look(c));
    assert_ptr_equal(certs_current(c), before);
    assert_int_equal(metric_get(METRIC_CERTIFICATE_RENEWED), 0);
}

static void a_renewed_certificate_is_taken(void **state)
{
    ts_ns before = tls_ctx_not_after(certs_current(c));

    (void)state;
    certs_issue(path, "ca", "client", "URI:logq://default/collector/one", 300);
    assert_true(certs_look(c));
    assert_true(tls_ctx_not_after(certs_current(c)) > before);
    assert_int_equal(metric_get(METRIC_CERTIFICATE_ENDS),
                     tls_ctx_not_after(certs_current(c)) / NS_PER_S);
    certs_issue(path, "ca", "client", "URI:logq://default/collector/one", 900);
    assert_false(certs_look(c)); /* too soon */
}

static void half_of_a_pair_changes_nothing(void **state)
{
    struct tls_ctx *before = certs_current(c);

    (void)state;
    certs_issue(path, "ca", "next", "URI:logq://default/collector/one", 300);
    rename_to_client("next.crt");
    assert_false(certs_look(c));
    assert_ptr_equal(certs_current(c), before);
    assert_int_equal(metric_get(METRIC_CERTIFICATE_UNUSABLE), 1);
}

static void a_file_that_is_gone_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(remove(config.key.p), 0);
    assert_false(certs_look(c));
    assert_non_null(certs_current(c));
    assert_int_equal(metric_get(METRIC_CERTIFICATE_UNUSABLE), 1);
}

static void four_fifths_of_its_life_are_counted_from_its_beginning(void **state)
{
    ts_ns from = tls_ctx_not_before(certs_current(c)), to = tls_ctx_not_after(certs_current(c));

    (void)state;
    assert_true(from < time_now() && time_now() < to);
    assert_int_equal(certs_due(c), to - (to - from) / 5);
}

static void without_tls_there_is_nothing_to_look_at(void **state)
{
    struct config plain = {.tls = false};

    (void)state;
    certs_free(&c);
    assert_int_equal(certs_open(NULL, &plain, &c, &err), 0);
    assert_null(certs_current(c));
    assert_false(certs_look(c));
    assert_int_equal(certs_due(c), 0);
    plain.tls = true;
    plain.cert = plain.key = plain.ca = STR("/nowhere/at/all");
    certs_free(&c);
    assert_true(certs_open(NULL, &plain, &c, &err) < 0);
    assert_int_equal(certs_open(NULL, &config, &c, &err), 0);
}

#define C(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

CHECK_MAIN(C(what_did_not_change_is_not_read_again), C(a_renewed_certificate_is_taken),
           C(half_of_a_pair_changes_nothing), C(a_file_that_is_gone_changes_nothing),
           C(four_fifths_of_its_life_are_counted_from_its_beginning),
           C(without_tls_there_is_nothing_to_look_at))
