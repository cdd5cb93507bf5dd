/* server/alert_body.c: the bytes of a body, compared with one captured from Alertmanager 0.25. */
#include "server/alert_body.h"

#include "tests/lib/check.h"

#include <stdlib.h>

static struct label P2[] = {{STR_INIT("alertname"), STR_INIT("HighErr")},
                            {STR_INIT("container"), STR_INIT("web")},
                            {STR_INIT("pod"), STR_INIT("p2")},
                            {STR_INIT("severity"), STR_INIT("warn")}};
static struct label P1[] = {{STR_INIT("alertname"), STR_INIT("HighErr")},
                            {STR_INIT("container"), STR_INIT("web")},
                            {STR_INIT("pod"), STR_INIT("p1")}};
static struct label S1[] = {{STR_INIT("summary"), STR_INIT("s1")}};
static struct label S2[] = {{STR_INIT("link"), STR_INIT("l")},
                            {STR_INIT("summary"), STR_INIT("s1")}};
static const struct labels LABELS2 = {P2, 4}, LABELS1 = {P1, 3}, TEXTS1 = {S1, 1}, TEXTS2 = {S2, 2};

static void check_body(struct alert_body *b, const char *want)
{
    struct buf out;

    buf_init(&out, ALERT_BODY_BYTES_MAX);
    (void)alert_body_print(&out, b);
    check_str(buf_str(&out), want);
    buf_fini(&out);
}

static void a_body_is_the_one_of_alertmanager(void **state)
{
    struct alert_body_alert alert = {
        .labels = &LABELS2, .annotations = &TEXTS1, .starts_at = INT64_C(1795289281626104764)};
    struct alert_body b = {.receiver = STR("hook"),
                           .alertname = STR("HighErr"),
                           .route = STR("{}"),
                           .external_url = STR("http://vm:19093"),
                           .alerts = &alert,
                           .n = 1,
                           .max_alerts = 10};

    (void)state;
    check_body(
        &b,
        "{\"receiver\":\"hook\",\"status\":\"firing\",\"alerts\":[{\"status\":\"firing\","
        "\"labels\":"
        "{\"alertname\":\"HighErr\",\"container\":\"web\",\"pod\":\"p2\",\"severity\":\"warn\"},"
        "\"annotations\":{\"summary\":\"s1\"},\"startsAt\":\"2026-11-21T19:28:01.626104764Z\","
        "\"endsAt\":\"0001-01-01T00:00:00Z\",\"generatorURL\":\"\",\"fingerprint\":"
        "\"8187634b461f1f2e\"}],\"groupLabels\":{\"alertname\":\"HighErr\"},\"commonLabels\":"
        "{\"alertname\":\"HighErr\",\"container\":\"web\",\"pod\":\"p2\",\"severity\":\"warn\"},"
        "\"commonAnnotations\":{\"summary\":\"s1\"},\"externalURL\":\"http://vm:19093\","
        "\"version\":\"4\",\"groupKey\":\"{}:{alertname=\\\"HighErr\\\"}\",\"truncatedAlerts\":0}");
}

static void a_body_mixes_firing_and_resolved(void **state)
{
    struct alert_body_alert alerts[] = {
        {.labels = &LABELS2, .annotations = &TEXTS1, .starts_at = NS_PER_S},
        {.labels = &LABELS1,
         .annotations = &TEXTS2,
         .starts_at = NS_PER_S,
         .ends_at = 61 * NS_PER_S + 500 * NS_PER_MS,
         .generator_url = STR("http://x/?query=1")},
    };
    struct alert_body b = {.receiver = STR("webhook"),
                           .alertname = STR("HighErr"),
                           .route = STR("{}/{tenant=\"a\"}"),
                           .alerts = alerts,
                           .n = 2,
                           .max_alerts = 10};

    (void)state;
    check_body(
        &b,
        "{\"receiver\":\"webhook\",\"status\":\"firing\",\"alerts\":[{\"status\":\"resolved\","
        "\"labels\":{\"alertname\":\"HighErr\",\"container\":\"web\",\"pod\":\"p1\"},"
        "\"annotations\":{\"link\":\"l\",\"summary\":\"s1\"},\"startsAt\":\"1970-01-01T00:00:01Z\","
        "\"endsAt\":\"1970-01-01T00:01:01.5Z\",\"generatorURL\":\"http://x/?query=1\","
        "\"fingerprint\":\"85caf1a3bc0850f4\"},{\"status\":\"firing\",\"labels\":{\"alertname\":"
        "\"HighErr\",\"container\":\"web\",\"pod\":\"p2\",\"severity\":\"warn\"},\"annotations\":"
        "{\"summary\":\"s1\"},\"startsAt\":\"1970-01-01T00:00:01Z\",\"endsAt\":"
        "\"0001-01-01T00:00:00Z\",\"generatorURL\":\"\",\"fingerprint\":\"8187634b461f1f2e\"}],"
        "\"groupLabels\":{\"alertname\":\"HighErr\"},\"commonLabels\":{\"alertname\":\"HighErr\","
        "\"container\":\"web\"},\"commonAnnotations\":{\"summary\":\"s1\"},\"externalURL\":\"\","
        "\"version\":\"4\",\"groupKey\":\"{}/{tenant=\\\"a\\\"}:{alertname=\\\"HighErr\\\"}\","
        "\"truncatedAlerts\":0}");
}

static void a_truncated_body_keeps_what_fires(void **state)
{
    struct alert_body_alert alerts[] = {
        {.labels = &LABELS1, .annotations = &TEXTS1, .starts_at = 1, .ends_at = 2},
        {.labels = &LABELS2, .annotations = &TEXTS1, .starts_at = 1},
    };
    struct alert_body b = {.receiver = STR("webhook"),
                           .alertname = STR("HighErr"),
                           .route = STR("{}"),
                           .alerts = alerts,
                           .n = 2,
                           .max_alerts = 1};
    struct buf out;

    (void)state;
    buf_init(&out, ALERT_BODY_BYTES_MAX);
    assert_int_equal(alert_body_print(&out, &b), 1);
    assert_true(str_find(buf_str(&out), STR("\"pod\":\"p2\"")) != SIZE_MAX);
    assert_true(str_find(buf_str(&out), STR("\"pod\":\"p1\"")) == SIZE_MAX);
    assert_true(str_ends(buf_str(&out), STR("\"truncatedAlerts\":1}")));
    buf_fini(&out);
}

static void all_over_means_resolved(void **state)
{
    struct alert_body_alert alert = {
        .labels = &LABELS1, .annotations = &TEXTS1, .starts_at = 1, .ends_at = 2};
    struct alert_body b = {.receiver = STR("webhook"),
                           .alertname = STR("HighErr"),
                           .route = STR("{}"),
                           .alerts = &alert,
                           .n = 1,
                           .max_alerts = 1};
    struct buf out;

    (void)state;
    buf_init(&out, ALERT_BODY_BYTES_MAX);
    (void)alert_body_print(&out, &b);
    assert_true(
        str_starts(buf_str(&out), STR("{\"receiver\":\"webhook\",\"status\":\"resolved\"")));
    buf_fini(&out);
}

CHECK_MAIN(cmocka_unit_test(a_body_is_the_one_of_alertmanager),
           cmocka_unit_test(a_body_mixes_firing_and_resolved),
           cmocka_unit_test(a_truncated_body_keeps_what_fires),
           cmocka_unit_test(all_over_means_resolved))
