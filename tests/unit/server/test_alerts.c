/*
 * server/alerts*.c, notify.c: from a line in the store to a body at a real receiver, with rules
 * read from files, over reloads and restarts.
 */
#include "server/alerts.h"

#include "server/metrics.h"
#include "tests/lib/feed.h"
#include "tests/lib/hook.h"

#include <fcntl.h>
#include <sys/stat.h>

struct fixture {
    struct feed f;
    struct hook h;
    struct server s;
    struct server_conf_webhook webhook;
    char rules[TMPDIR_PATH_MAX + 8];
    int rules_dir;
};

static void observe(void *arg, struct str tenant, struct batch *b)
{
    struct fixture *x = arg;

    if (x->s.alerts != NULL)
        alerts_observe(x->s.alerts, tenant, b);
}

static void write_rules(struct fixture *x, const char *file, const char *text)
{
    struct err err;

    assert_int_equal(file_replace(x->rules_dir, file, 0600, str_of(text), &err), 0);
}

static void fixture_init(struct fixture *x, const char *rules)
{
    memset(x, 0, sizeof(*x));
    metrics_setup();
    feed_init(&x->f);
    x->f.opt.observe = observe;
    x->f.opt.observe_arg = x;
    hook_open(&x->h, HOOK_SCRIPT(200));
    (void)snprintf(x->rules, sizeof(x->rules), "%s/rules", x->f.path);
    assert_int_equal(mkdir(x->rules, 0700), 0);
    x->rules_dir = open(x->rules, O_RDONLY | O_DIRECTORY);
    write_rules(x, "r.yaml", rules);
    x->webhook = (struct server_conf_webhook){.url = str_of(x->h.url), .send_resolved = true};
    x->s.magic = SERVER_MAGIC;
    x->s.memory.name = "server";
    x->s.conf.rules_dir = str_of(x->rules);
    x->s.conf.alerting.webhooks = &x->webhook;
    x->s.conf.alerting.n_webhooks = 1;
    x->s.conf.alerting.external_url = STR("https://logs.example/");
}

static void begin(struct fixture *x)
{
    struct buf errors;
    struct err err;

    feed_open(&x->f);
    x->s.store = x->f.s;
    buf_init(&errors, 10000);
    if (alerts_open(&x->s, &errors, &x->s.alerts, &err) < 0)
        fail_msg("%s %.*s", err.text, STR_ARG(buf_str(&errors)));
    buf_fini(&errors);
    alerts_start(x->s.alerts);
}

static void end(struct fixture *x)
{
    store_stop(x->f.s);
    alerts_close(&x->s.alerts);
    store_close(&x->f.s);
}

static void fixture_fini(struct fixture *x)
{
    end(x);
    hook_close(&x->h);
    (void)close(x->rules_dir);
    tmpdir_close(x->f.dir);
}

static void put_at(struct fixture *x, const char *tenant, const char *app, ts_ns ts,
                   const char *line)
{
    char text[200];

    (void)snprintf(text, sizeof(text), "R %lld %s %s\n", (long long)ts, app, line);
    assert_int_equal(feed_put(&x->f, tenant, text), STORE_STORED);
}

static void put(struct fixture *x, const char *tenant, const char *app, const char *line)
{
    put_at(x, tenant, app, time_now(), line);
}

static bool says(const struct hook_request *r, const char *what)
{
    return str_find(str_of(r->body), str_of(what)) != SIZE_MAX;
}

#define CHECK_SAYS(r, what)                                                                        \
    do {                                                                                           \
        if (!says((r), (what)))                                                                    \
            fail_msg("not in the body: %s\n%s", (what), (r)->body);                                \
    } while (0)

/* Wait until the API's JSON holds `what`. */
static void wait_for_alerts(struct fixture *x, const char *tenant, const char *what)
{
    const struct str t = str_of(tenant);
    dur_ns deadline = time_mono() + HOOK_WAIT_S * NS_PER_S;
    bool found = false;
    struct buf out;

    buf_init(&out, 1 << 20);
    while (!found && time_mono() < deadline) {
        buf_clear(&out);
        alerts_print_rules(x->s.alerts, &(struct alerts_filter){.tenants = &t, .n_tenants = 1},
                           &out);
        found = str_find(buf_str(&out), str_of(what)) != SIZE_MAX;
        if (!found)
            (void)usleep(5000);
    }
    if (!found)
        fail_msg("waited in vain for %s in %.*s", what, STR_ARG(buf_str(&out)));
    buf_fini(&out);
}

static const char ERRORS[] =
    "groups:\n"
    "- name: g\n"
    "  rules:\n"
    "  - alert: Errors\n"
    "    expr: sum by (app) (count_over_time({app=~\".+\"} |= \"error\" [5m])) > 0\n"
    "    labels: {severity: page}\n"
    "    annotations: {summary: '{{ $labels.app }} {{ $value }}'}\n";

static void a_line_is_a_body_within_two_seconds(void **state)
{
    struct fixture x;
    const struct hook_request *got;
    dur_ns pushed;

    (void)state;
    fixture_init(&x, ERRORS);
    begin(&x);
    put(&x, "default", "web", "all is well");
    put(&x, "default", "web", "an error");
    pushed = time_mono();
    got = hook_wait(&x.h, 1);
    assert_true(got[0].at - pushed < 2 * NS_PER_S);
    CHECK_SAYS(&got[0], "{\"receiver\":\"webhook\",\"status\":\"firing\",\"alerts\":[{\"status\":"
                        "\"firing\",\"labels\":{\"alertname\":\"Errors\",\"app\":\"web\","
                        "\"severity\":\"page\"},\"annotations\":{\"summary\":\"web 1\"},");
    CHECK_SAYS(&got[0], "\"generatorURL\":\"https://logs.example/?query=sum%20by%20%28app%29");
    CHECK_SAYS(&got[0], "\"externalURL\":\"https://logs.example/\"");
    CHECK_SAYS(&got[0], "\"groupKey\":\"{}:{alertname=\\\"Errors\\\"}\"");
    /* another one: the group is told again, with both */
    put(&x, "default", "db", "error too");
    got = hook_wait(&x.h, 2);
    CHECK_SAYS(&got[1], "\"app\":\"web\"");
    CHECK_SAYS(&got[1], "\"app\":\"db\"");
    assert_int_equal(metric_get(METRIC_ALERTS_FIRING), 2);
    fixture_fini(&x);
}

static void an_alert_ends_when_its_window_has_passed(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_init(&x, "groups:\n"
                     "- name: g\n"
                     "  interval: 200ms\n"
                     "  rules:\n"
                     "  - alert: A\n"
                     "    expr: count_over_time({app=\"web\"}[2s]) > 0\n");
    begin(&x);
    put(&x, "default", "web", "x");
    got = hook_wait(&x.h, 2);
    CHECK_SAYS(&got[0], "\"status\":\"firing\"");
    CHECK_SAYS(&got[1], "\"receiver\":\"webhook\",\"status\":\"resolved\"");
    assert_false(says(&got[1], "0001-01-01"));
    assert_int_equal(hook_count(&x.h), 2);
    fixture_fini(&x);
}

static void for_holds_an_alert_back_and_no_longer(void **state)
{
    struct fixture x;
    const struct hook_request *got;
    dur_ns pushed = time_mono();

    (void)state;
    fixture_init(&x, "groups:\n"
                     "- name: g\n" /* its interval is a minute: the end of `for` is no tick */
                     "  rules:\n"
                     "  - alert: A\n"
                     "    expr: count_over_time({app=\"web\"}[5m]) > 0\n"
                     "    for: 1s\n");
    begin(&x);
    put(&x, "default", "web", "x");
    wait_for_alerts(&x, "default", "\"state\":\"pending\"");
    got = hook_wait(&x.h, 1);
    assert_true(got[0].at - pushed >= NS_PER_S);
    assert_true(got[0].at - pushed < 30 * NS_PER_S);
    wait_for_alerts(&x, "default", "\"state\":\"firing\"");
    fixture_fini(&x);
}

static void a_restart_repeats_nothing_and_forgets_nothing(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_init(&x, ERRORS);
    begin(&x);
    put(&x, "default", "web", "an error");
    (void)hook_wait(&x.h, 1);
    end(&x);
    begin(&x);
    wait_for_alerts(&x, "default", "\"lastEvaluation\":\"2"); /* it has looked */
    put(&x, "default", "db", "an error");
    got = hook_wait(&x.h, 2); /* the second is about db, not a repetition */
    CHECK_SAYS(&got[1], "\"app\":\"db\"");
    CHECK_SAYS(&got[1], "\"app\":\"web\"");
    fixture_fini(&x);
}

static void rules_that_go_end_their_alerts(void **state)
{
    struct fixture x;
    struct buf errors;
    struct err err;
    const struct hook_request *got;

    (void)state;
    fixture_init(&x, ERRORS);
    begin(&x);
    put(&x, "default", "web", "an error");
    (void)hook_wait(&x.h, 1);
    buf_init(&errors, 10000);
    write_rules(&x, "r.yaml", "groups: [}\n");
    assert_int_equal(alerts_reload(x.s.alerts, &errors, &err), ERR_INVALID);
    assert_true(str_find(buf_str(&errors), STR("/r.yaml:1:10: ")) != SIZE_MAX);
    wait_for_alerts(&x, "default", "\"state\":\"firing\""); /* the old rules stay */
    write_rules(&x, "r.yaml", "groups: []\n");
    assert_int_equal(alerts_reload(x.s.alerts, &errors, &err), 0);
    got = hook_wait(&x.h, 2);
    CHECK_SAYS(&got[1], "\"receiver\":\"webhook\",\"status\":\"resolved\"");
    assert_int_equal(metric_get(METRIC_RULES_LOADED), 0);
    buf_fini(&errors);
    fixture_fini(&x);
}

static void a_rule_removed_while_stopped_ends_its_alerts(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_init(&x, ERRORS);
    begin(&x);
    put(&x, "default", "web", "an error");
    (void)hook_wait(&x.h, 1);
    end(&x);
    write_rules(&x, "r.yaml", "");
    begin(&x);
    got = hook_wait(&x.h, 2);
    CHECK_SAYS(&got[1], "\"receiver\":\"webhook\",\"status\":\"resolved\"");
    CHECK_SAYS(&got[1], "\"app\":\"web\"");
    fixture_fini(&x);
}

static void a_record_ahead_of_the_clock_fires_and_hides_no_other(void **state)
{
    struct fixture x;
    const struct hook_request *got;

    (void)state;
    fixture_init(&x, "groups:\n"
                     "- name: g\n"
                     "  interval: 200ms\n"
                     "  rules:\n"
                     "  - alert: A\n"
                     "    expr: count_over_time({app=~\".+\"} |= \"error\" [1m]) > 0\n");
    begin(&x);
    put(&x, "default", "now", "error");
    (void)hook_wait(&x.h, 1);
    put_at(&x, "default", "early", time_now() + 5 * NS_PER_MIN, "error");
    got = hook_wait(&x.h, 2);
    CHECK_SAYS(&got[1], "\"app\":\"early\"");
    CHECK_SAYS(&got[1], "\"app\":\"now\"");
    assert_false(says(&got[1], "resolved"));
    fixture_fini(&x);
}

static void tenants_have_rules_of_their_own(void **state)
{
    const struct str other = STR("other");
    struct fixture x;
    const struct hook_request *got;
    struct buf out;

    (void)state;
    fixture_init(&x, "tenant: acme\n"
                     "groups:\n"
                     "- name: g\n"
                     "  rules:\n"
                     "  - alert: A\n"
                     "    expr: sum(count_over_time({app=~\".+\"}[1m])) > 0\n");
    begin(&x);
    put(&x, "default", "not-yours", "x");
    put(&x, "acme", "yours", "x");
    got = hook_wait(&x.h, 1);
    CHECK_SAYS(&got[0], "\"groupKey\":\"{}/{tenant=\\\"acme\\\"}:{alertname=\\\"A\\\"}\"");
    wait_for_alerts(&x, "acme", "\"value\":\"1\"");
    buf_init(&out, 10000);
    alerts_print_rules(x.s.alerts, &(struct alerts_filter){.tenants = &other, .n_tenants = 1},
                       &out);
    check_str(buf_str(&out), "{\"status\":\"success\",\"data\":{\"groups\":[]}}");
    buf_clear(&out);
    alerts_print_alerts(x.s.alerts, &(struct alerts_filter){.tenants = &other, .n_tenants = 1},
                        &out);
    check_str(buf_str(&out), "{\"status\":\"success\",\"data\":{\"alerts\":[]}}");
    buf_fini(&out);
    fixture_fini(&x);
}

static void a_query_that_fails_changes_no_alert(void **state)
{
    struct fixture x;

    (void)state;
    fixture_init(&x, "groups:\n"
                     "- name: g\n"
                     "  interval: 200ms\n"
                     "  rules:\n"
                     "  - alert: A\n"
                     "    expr: count_over_time({app=~\".+\"}[1m]) > 0\n");
    x.s.conf.query.series = 1;
    begin(&x);
    put(&x, "default", "a", "x");
    (void)hook_wait(&x.h, 1);
    put(&x, "default", "b", "x"); /* one series too many */
    wait_for_alerts(&x, "default", "\"health\":\"err\"");
    wait_for_alerts(&x, "default", "\"state\":\"firing\"");
    assert_true(metric_get(METRIC_RULE_FAILED) > 0);
    assert_int_equal(hook_count(&x.h), 1);
    fixture_fini(&x);
}

static void without_send_resolved_the_end_is_not_told(void **state)
{
    struct fixture x;

    (void)state;
    fixture_init(&x, "groups:\n"
                     "- name: g\n"
                     "  interval: 200ms\n"
                     "  rules:\n"
                     "  - alert: A\n"
                     "    expr: count_over_time({app=\"web\"}[1s]) > 0\n");
    x.webhook.send_resolved = false;
    begin(&x);
    put(&x, "default", "web", "x");
    (void)hook_wait(&x.h, 1);
    wait_for_alerts(&x, "default", "\"state\":\"inactive\"");
    put(&x, "default", "web", "x");
    CHECK_SAYS(&hook_wait(&x.h, 2)[1], "\"status\":\"firing\"");
    assert_false(says(&x.h.got[1], "resolved"));
    fixture_fini(&x);
}

CHECK_MAIN(cmocka_unit_test(a_line_is_a_body_within_two_seconds),
           cmocka_unit_test(an_alert_ends_when_its_window_has_passed),
           cmocka_unit_test(for_holds_an_alert_back_and_no_longer),
           cmocka_unit_test(a_restart_repeats_nothing_and_forgets_nothing),
           cmocka_unit_test(rules_that_go_end_their_alerts),
           cmocka_unit_test(a_rule_removed_while_stopped_ends_its_alerts),
           cmocka_unit_test(a_record_ahead_of_the_clock_fires_and_hides_no_other),
           cmocka_unit_test(tenants_have_rules_of_their_own),
           cmocka_unit_test(a_query_that_fails_changes_no_alert),
           cmocka_unit_test(without_send_resolved_the_end_is_not_told))
