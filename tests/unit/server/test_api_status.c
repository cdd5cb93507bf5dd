/* What the server says of itself, packed answers, unknown parameters, the form of Loki's rules. */
#include "server/alerts.h"
#include "tests/unit/server/caller.h"
#include "wire/codec.h"

static const char RULES[] =
    "groups:\n"
    "  - name: web\n"
    "    interval: 1m\n"
    "    rules:\n"
    "      - alert: \"Errors: many\"\n"
    "        expr: sum(count_over_time({app=\"web\"} |= \"error\" [1m])) > 0\n"
    "        for: 90s\n"
    "        labels: {severity: page}\n"
    "        annotations: {summary: \"{{ $value }} errors\"}\n"
    "  - name: second\n"
    "    rules:\n"
    "      - {alert: Two, expr: vector(1) > 0}\n";

static void rules_are_shown_in_the_form_of_loki(void **state)
{
    struct fixture *f = *state;
    struct server *s = &f->w->server;
    struct buf errors;
    struct err err;

    check_get(f, "/loki/api/v1/status/buildinfo", 200, "{\"version\":\"3.0.0\"");
    s->conf.rules_dir = STR("rules");
    assert_int_equal(file_make_dirs(f->w->feed.dir, "rules", 0700, &err), 0);
    assert_int_equal(file_replace(f->w->feed.dir, "rules/a.yaml", 0600, str_of(RULES), &err), 0);
    buf_init(&errors, 1 << 16);
    if (alerts_open(s, &errors, &s->alerts, &err) < 0)
        fail_msg("%s %.*s", err.text, STR_ARG(buf_str(&errors)));
    alerts_start(s->alerts);
    check_get(
        f, "/loki/api/v1/rules", 200,
        "\"a.yaml\":\n"
        "  - name: \"web\"\n"
        "    interval: 1m\n"
        "    rules:\n"
        "      - alert: \"Errors: many\"\n"
        "        expr: \"sum(count_over_time({app=\\\"web\\\"} |= \\\"error\\\" [1m])) > 0\"\n"
        "        for: 1m30s\n"
        "        labels:\n"
        "          \"severity\": \"page\"\n"
        "        annotations:\n"
        "          \"summary\": \"{{ $value }} errors\"\n"
        "  - name: \"second\"\n");
    check_get(f, "/api/prom/rules/a.yaml", 200, "\"a.yaml\":\n  - name");
    check_get(f, "/loki/api/v1/rules/a.yaml/second", 200, "name: \"second\"\n");
    check_get(f, "/loki/api/v1/rules/b.yaml", 404, "no rule groups found");
    check_get(f, "/loki/api/v1/rules/a.yaml/third", 404, "group does not exist");
    check(f,
          &(struct request){
              .method = "GET", .target = "/loki/api/v1/rules", .token = EVERY, .scope = "other"},
          404, "no rule groups found"); /* another tenant's */
    check(f, &(struct request){.method = "DELETE", .target = "/loki/api/v1/rules/a.yaml"}, 405,
          "GET");
    check_get(f, "/prometheus/api/v1/rules", 200, "\"name\":\"Two\"");
    check_get(f, "/prometheus/api/v1/rules?rule_group[]=web&file[]=a.yaml", 200,
              "{\"status\":\"success\",\"data\":{\"groups\":[{\"name\":\"web\",\"file\":\"a.yaml\","
              "\"rules\":[{\"state\":");
    check_get(f, "/prometheus/api/v1/rules?rule_group=third", 200, "{\"groups\":[]}");
    check_get(f, "/prometheus/api/v1/rules?rule_name=Two&rule_group=web", 200, "\"rules\":[],");
    check_get(f, "/prometheus/api/v1/rules?type=record&rule_group=web", 200, "\"rules\":[],");
    check_get(f, "/prometheus/api/v1/alerts", 200, "\"alerts\":[");
    alerts_close(&s->alerts);
    buf_fini(&errors);
}

static void the_configuration_is_for_admins_and_has_no_secrets(void **state)
{
    struct fixture *f = *state;
    struct request r = {.method = "GET", .target = "/config", .token = READER, .scope = "default"};

    check_get(f, "/config", 200, "tails: 500");
    check(f, &r, 403, "role admin");
}

static void drilldown_finds_its_limits(void **state)
{
    struct fixture *f = *state;

    check_get(f, "/loki/api/v1/drilldown-limits", 200, "\"max_query_series\":500");
    check_get(f, "/loki/api/v1/drilldown-limits", 200, "\"volume_enabled\":true");
    check_get(f, "/loki/api/v1/drilldown-limits", 200, "\"pattern_ingester_enabled\":true");
    check_get(f, "/loki/api/v2alpha/tail", 404, NULL); /* some look for it and want no other code */
}

static void drilldown_is_told_the_tenants_own_limits(void **state)
{
    static struct server_conf_tenant_limits own = {
        .tenant = STR_INIT("default"), .max_query_series = 2, .max_query_range = 60 * NS_PER_S};
    static struct server_conf_retention rules[] = {
        {.tenant = STR_INIT("default"), .selector = STR_INIT("{a=\"b\"}"), .period = NS_PER_DAY},
        {.tenant = STR_INIT("default"), .period = 2 * NS_PER_DAY}};
    struct fixture *f = *state;
    struct server_conf *c = &f->w->server.conf;
    struct request r = {.method = "GET",
                        .target = "/loki/api/v1/drilldown-limits",
                        .token = READER,
                        .scope = "other"};

    c->query.length = 2 * NS_PER_H;
    c->query.range = NS_PER_H / 2;
    c->query.tenant_limits = &own;
    c->query.n_tenant_limits = 1;
    c->storage.retention = 3 * NS_PER_DAY;
    c->storage.retention_rules = rules;
    c->storage.n_retention_rules = 2;
    check_get(f, r.target, 200, "\"max_query_length\":\"7200s\"");
    check_get(f, r.target, 200, "\"max_query_range\":\"60s\",\"max_query_series\":2,");
    check_get(f, r.target, 200, "\"retention_period\":\"172800s\"");
    check(f, &r, 200, "\"max_query_range\":\"1800s\",\"max_query_series\":500,");
    check(f, &r, 200, "\"retention_period\":\"259200s\"");
}

static void unknown_parameters_are_named(void **state)
{
    struct fixture *f = *state;
    struct request form = {.method = "POST",
                           .target = "/loki/api/v1/query_range",
                           .token = ADMIN,
                           .type = "application/x-www-form-urlencoded",
                           .body = STR("query=%7Bapp%3D%22web%22%7D&strat=5")};

    struct request import =
        push_of(STR("{\"ts_ns\":\"1768003200000000007\",\"labels\":{\"a\":\"b\"},\"line\":\"x\"}"));

    import.target = "/api/v1/import?bacth=5";
    check_get(f, "/loki/api/v1/query_range?query={a=%22b%22}&limt=5", 400,
              "unknown parameter 'limt': did you mean 'limit'?");
    check_get(f, "/loki/api/v1/labels?nothing_like_it=1", 400,
              "unknown parameter 'nothing_like_it'\n");
    check(f, &form, 400, "unknown parameter 'strat': did you mean 'start'?");
    check_get(f, "/api/v1/export?query={a=%22b%22}&fomr=exact", 400, "did you mean 'form'?");
    /* what Loki's clients send where it means nothing */
    check_get(f, "/loki/api/v1/labels?limit=10&direction=forward&_=17&shards=1_of_2", 200, NULL);
    check_get(f, "/loki/api/v1/query?query=1&limit=10&direction=forward", 200, NULL);
    check_get(f, "/api/v1/export?query={a=%22b%22}&_=17", 400, "'_'"); /* ours: nobody sends it */
    check_get(f, "/prometheus/api/v1/rules?typ=record", 400, "did you mean 'type'?");
    check_get(f, "/prometheus/api/v1/rules?type=x", 400, "'type': 'x' is no type of rules");
    check_get(f, "/prometheus/api/v1/alerts?file=a", 400, "unknown parameter 'file'");
    check(f, &import, 400, "did you mean 'batch'?");
    import.target = "/api/v1/import?batch=banana";
    check(f, &import, 400, "'batch': 'banana' is no number");
    import.target = "/api/v1/import";
    import.type = "application/x-www-form-urlencoded"; /* as curl has it */
    check(f, &import, 204, NULL);
}

/* ---- gzip ---- */

static struct call *get_accepting(struct fixture *f, const char *target, const char *accept)
{
    struct request r = {
        .method = "GET", .target = target, .token = ADMIN, .accept_encoding = accept};

    return call(f, &r);
}

static void long_answers_are_packed_for_who_takes_it(void **state)
{
    static const char TARGET[] =
        "/loki/api/v1/query_range?query={app=%22web%22}&direction=forward&" DAY;
    static const char *const TAKE[] = {"gzip", "deflate, GZIP;q=0.5", "br, *"};
    static const char *const REFUSE[] = {NULL, "br, deflate", "gzip;q=0", "gzipped"};
    struct fixture *f = *state;
    struct call *plain, *d;
    struct buf out;
    struct err err;

    push_lines(f, 0, 100, 100);
    plain = get_accepting(f, TARGET, NULL);
    assert_int_equal(plain->status, 200);
    assert_non_null(strstr(plain->body.p, "0000099x"));
    for (size_t i = 0; i < sizeof(TAKE) / sizeof(TAKE[0]); i++) {
        d = get_accepting(f, TARGET, TAKE[i]);
        assert_string_equal(d->encoding, "gzip");
        assert_true(d->body.n < plain->body.n / 4);
        buf_init(&out, BODY_MAX);
        assert_int_equal(codec_unpack(CODEC_GZIP, buf_str(&d->body), BODY_MAX, &out, &err), 0);
        assert_true(out.n > 10000 && memcmp(out.p, plain->body.p, 10000) == 0);
        buf_fini(&out);
        call_free(d);
    }
    for (size_t i = 0; i < sizeof(REFUSE) / sizeof(REFUSE[0]); i++) {
        d = get_accepting(f, TARGET, REFUSE[i]);
        assert_string_equal(d->encoding, "");
        assert_non_null(strstr(d->body.p, "0000099x"));
        call_free(d);
    }
    d = get_accepting(f, "/loki/api/v1/labels?" DAY, "gzip"); /* one packet either way */
    assert_string_equal(d->encoding, "");
    call_free(d);
    call_free(plain);
    d = get_accepting(f, "/metrics", "gzip");
    assert_string_equal(d->encoding, "gzip");
    buf_init(&out, BODY_MAX);
    assert_int_equal(codec_unpack(CODEC_GZIP, buf_str(&d->body), BODY_MAX, &out, &err), 0);
    assert_true(str_starts(buf_str(&out), STR("# HELP ")));
    buf_fini(&out);
    call_free(d);
}

/* A dashboard's selector may name hundreds of pods, and Grafana knows only GET. */
static void a_long_query_may_come_by_get(void **state)
{
    static const char HEAD[] = "/loki/api/v1/query_range?query={app=~%22web";
    struct fixture *f = *state;
    char target[40000];
    size_t n;

    push_lines(f, 0, 1, 20);
    for (size_t max = 30000; max <= 36000; max += 6000) {
        (void)snprintf(target, sizeof(target), "%s", HEAD);
        n = sizeof(HEAD) - 1;
        while (n < max)
            n += (size_t)snprintf(target + n, sizeof(target) - n, "|shop-checkout-%zu", n);
        (void)snprintf(target + n, sizeof(target) - n, "%%22}&" DAY);
        check_get(f, target, max == 30000 ? 200 : 431, max == 30000 ? "0000000" : "by POST");
    }
}

/* A query that runs is cancelled when its client goes away. */
static void a_client_that_goes_away_cancels_its_query(void **state)
{
    enum { LINES = 20000, RUNS = 50 };
    struct fixture *f = *state;
    struct call *d;

    for (size_t i = 0; i < LINES; i += 1000)
        push_lines(f, i, 1000, 100);
    for (int i = 0; i < RUNS && metric_get(METRIC_QUERY_CANCELLED) == 0; i++) {
        uint64_t begun = metric_get(METRIC_QUERIES);
        /* no literal in it, so that each line is looked at: far longer than it takes to hang up */
        d = start(f, &(struct request){.method = "GET",
                                       .target = "/loki/api/v1/query_range?query=count_over_time("
                                                 "{app=%22web%22}|~%22(x.x.)%2B[yz]%22"
                                                 "|~%22(.*.*.*)%2B[ab]%22[5s])&step=1ms&" DAY,
                                       .token = ADMIN});
        wait_metric(f, METRIC_QUERIES, begun + 1);
        http_client_cancel(d->c);
        WAIT_FOR(f->w->loop, d->done);
        call_free(d);
        while (!api_is_idle(f->api))
            check_get(f, "/ready", 200, NULL);
        check_get(f, "/loki/api/v1/labels", 200, NULL); /* behind it in the queue */
        check_get(f, "/loki/api/v1/labels", 200, NULL); /* and with the other worker */
    }
    assert_true(metric_get(METRIC_QUERY_CANCELLED) > 0);
}

CHECK_MAIN(T(rules_are_shown_in_the_form_of_loki),
           T(the_configuration_is_for_admins_and_has_no_secrets), T(drilldown_finds_its_limits),
           T(drilldown_is_told_the_tenants_own_limits), T(unknown_parameters_are_named),
           T(long_answers_are_packed_for_who_takes_it), T(a_long_query_may_come_by_get),
           T(a_client_that_goes_away_cancels_its_query))
