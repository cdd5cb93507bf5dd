/*
 * server/api_status.c - what the server says about itself: ready, metrics, version, page, limits,
 * configuration, rules.
 */
#include "server/api_priv.h"

#include "base/json.h"
#include "server/alerts.h"
#include "server/metrics.h"
#include "server/peers.h"
#include "server/tenant_limits.h"

#include <stdio.h>

#define LOKI_VERSION "3.0.0" /* what clients expect of a server that can do what this one can */

enum {
    METRICS_MAX = 4 << 20,
    RULES_MAX = 16 << 20,
    CONFIG_MAX = 4 << 20,
    LIMITS_MAX = 64 << 10,
    VOLUME_SERIES_MAX = 1000,
};

static const char PAGE[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>logq</title>"
    "<meta name=\"viewport\" content=\"width=device-width\"><style>"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:44rem;margin:3rem auto;padding:0 "
    "1rem;color:#1c1e21;background:#fff}"
    "pre{background:#f3f4f6;padding:1rem;overflow:auto;border-radius:4px}"
    "@media(prefers-color-scheme:dark){body{background:#16181b;color:#e4e6e9}pre{background:#"
    "22252a}}"
    "</style></head><body><h1>logq %s</h1><p>This server is <strong>%s</strong>.</p><pre>"
    "logq query '{source=\"container\"}' --since 1h\n"
    "logq tail '{container=\"NAME\"} |= \"error\"'\n"
    "logq query 'sum by (container) (count_over_time({source=\"container\"}[5m]))'"
    "</pre><p>Grafana: add it as a Loki data source with this address and a token. "
    "<code>/ready</code>, <code>/metrics</code> and Loki's API are here.</p></body></html>\n";

static bool is_ready(const struct server *s, char *reason, size_t cap)
{
    if (s->draining) {
        (void)str_to_z(STR("stopping"), reason, cap);
        return false;
    }
    return store_state(s->store, reason, cap) == STORE_READY;
}

void api_page(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    char reason[200];
    bool ready = is_ready(a->server, reason, sizeof(reason));
    struct buf out;

    (void)caller;
    buf_init(&out, 2 * sizeof(PAGE));
    buf_addf(&out, PAGE, LOGQ_VERSION, ready ? "ready" : reason);
    http_reply_header(x, "Content-Security-Policy",
                      STR("default-src 'none'; style-src 'unsafe-inline'"));
    http_reply(x, 200, "text/html; charset=utf-8", buf_str(&out));
    buf_fini(&out);
}

void api_ready(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    char reason[200];

    (void)caller;
    if (is_ready(a->server, reason, sizeof(reason)))
        http_replyf(x, 200, "ready\n");
    else
        http_replyf(x, 503, "%s\n", reason);
}

static void update_http(const struct api *a)
{
    struct http_stats st;

    http_server_stats(a->http, &st);
    metric_set(METRIC_HTTP_REFUSED, st.refused);
    metric_set(METRIC_HTTP_TIMEOUTS, st.timeouts);
    metric_set(METRIC_HTTP_ABORTED, st.aborted);
    metric_set(METRIC_HTTP_CONNECTIONS_REFUSED, st.connections_refused);
}

void api_metrics(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct buf out;

    if (!a->server->conf.http.metrics_public && caller->role != ROLE_ADMIN) {
        metric_add(METRIC_HTTP_DENIED, 1);
        http_replyf(x, 403, "/metrics needs a token of role admin\n");
        return;
    }
    buf_init(&out, METRICS_MAX);
    metrics_update(a->server);
    update_http(a);
    metric_write(&out);
    peers_write(a->server->peers, &out);
    api_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", &out);
    buf_fini(&out);
}

void api_buildinfo(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    /* Grafana decides by `version` what Loki can do. */
    static const char BODY[] = "{\"version\":\"" LOKI_VERSION "\",\"revision\":\"logq-" LOGQ_VERSION
                               "\",\"branch\":\"main\",\"buildUser\":\"\","
                               "\"buildDate\":\"\",\"goVersion\":\"\"}";

    (void)a;
    (void)caller;
    http_reply(x, 200, "application/json", STR(BODY));
}

/* What runs, with defaults filled in and secrets as "(set)". */
void api_config(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct buf out;

    (void)caller;
    buf_init(&out, CONFIG_MAX);
    server_conf_print(&a->server->conf, &out);
    http_reply(x, out.over ? 500 : 200, "text/yaml; charset=utf-8", buf_str(&out));
    buf_fini(&out);
}

static void put_words(struct json_writer *w, const char *key, const char *words)
{
    struct str rest = str_of(words);

    json_put_key(w, str_of(key));
    json_put_array(w);
    while (rest.p != NULL)
        json_put_string(w, str_cut(&rest, ' '));
    json_put_array_end(w);
}

static void put_seconds(struct json_writer *w, const char *key, dur_ns d)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%llds", (long long)(d / NS_PER_S));
    json_put_kv_str(w, key, str_of(text));
}

/* How long the tenant's streams are kept, but those that a rule speaks of by their labels. */
static dur_ns retention_of(const struct server_conf *c, struct str tenant)
{
    for (size_t i = 0; i < c->storage.n_retention_rules; i++) {
        const struct server_conf_retention *rule = &c->storage.retention_rules[i];
        struct str selector = str_trim(rule->selector);
        bool takes_all = selector.n == 0 || str_eq(selector, STR("{}"));
        if (takes_all && (rule->tenant.n == 0 || str_eq(rule->tenant, tenant)))
            return rule->period;
    }
    return c->storage.retention;
}

/* Of all tenants that are asked; 0: nothing is ever deleted. */
static dur_ns shortest_retention(const struct server_conf *c, const struct auth_caller *caller)
{
    dur_ns r = retention_of(c, caller->n_tenants == 0 ? STR("") : caller->tenants[0]);

    for (size_t i = 1; i < caller->n_tenants; i++) {
        dur_ns next = retention_of(c, caller->tenants[i]);
        if (r == 0 || (next > 0 && next < r))
            r = next;
    }
    return r;
}

/* What Logs Drilldown asks before it asks anything else. */
void api_drilldown_limits(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    const struct server_conf *c = &a->server->conf;
    struct tenant_limits limits;
    struct json_writer w;
    struct buf out;

    tenant_limits_of(c, caller->tenants, caller->n_tenants, &limits);
    buf_init(&out, LIMITS_MAX);
    json_writer_init(&w, &out);
    json_put_object(&w);
    json_put_key(&w, STR("limits"));
    json_put_object(&w);
    json_put_key(&w, STR("discover_log_levels"));
    json_put_bool(&w, true);
    put_words(&w, "discover_service_name",
              "service app application app_name name app_kubernetes_io_name container "
              "container_name k8s_container_name component workload job k8s_job_name");
    put_words(&w, "log_level_fields",
              "level LEVEL Level log.level severity SEVERITY Severity SeverityText lvl LVL Lvl "
              "severity_text Severity_Text SEVERITY_TEXT");
    json_put_kv_u64(&w, "max_entries_limit_per_query", limits.entries);
    json_put_kv_u64(&w, "max_line_size_truncate", RECORD_LINE_MAX);
    json_put_kv_u64(&w, "max_query_bytes_read", limits.query.line_bytes);
    put_seconds(&w, "max_query_length", limits.query.length);
    put_seconds(&w, "max_query_lookback", 0);
    put_seconds(&w, "max_query_range", limits.query.range);
    json_put_kv_u64(&w, "max_query_series", limits.query.series);
    json_put_key(&w, STR("metric_aggregation_enabled"));
    json_put_bool(&w, false);
    put_seconds(&w, "query_timeout", limits.query.time);
    put_seconds(&w, "retention_period", shortest_retention(c, caller));
    json_put_key(&w, STR("volume_enabled"));
    json_put_bool(&w, true);
    json_put_kv_u64(&w, "volume_max_series", VOLUME_SERIES_MAX);
    json_put_object_end(&w);
    json_put_key(&w, STR("pattern_ingester_enabled"));
    json_put_bool(&w, true);
    json_put_kv_str(&w, "version", STR(LOKI_VERSION));
    json_put_object_end(&w);
    http_reply(x, 200, "application/json", buf_str(&out));
    buf_fini(&out);
}

/* Rules are files of the server: here they can be read, in the form in which Loki keeps them. */
void api_loki_rules(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    struct alerts_filter f = {.tenants = caller->tenants, .n_tenants = caller->n_tenants};
    struct str rest = http_path(x);
    struct buf out;
    size_t n;

    rest = str_from(rest, str_find(rest, STR("/rules")) + sizeof("/rules") - 1);
    rest = str_from(rest, 1);
    f.file = str_cut(&rest, '/');
    f.group = rest;
    buf_init(&out, RULES_MAX);
    n = alerts_print_loki(a->server->alerts, &f, &out);
    if (n == 0)
        http_replyf(x, 404, "%s\n",
                    f.group.n > 0 ? "group does not exist" : "no rule groups found");
    else
        api_reply(x, 200, "application/yaml", &out);
    buf_fini(&out);
}

/* Parameter `name`, or as Prometheus names it since it takes several: `name[]`; the first counts.
 */
static struct str choice(struct http_exchange *x, const char *name, const char *names)
{
    struct str s = http_param(x, name, 0);

    return s.n > 0 ? s : http_param(x, names, 0);
}

static void reply_print(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                        void (*print)(struct alerts *, const struct alerts_filter *, struct buf *))
{
    struct str type = http_param(x, "type", 0);
    struct alerts_filter f = {.tenants = caller->tenants,
                              .n_tenants = caller->n_tenants,
                              .file = choice(x, "file", "file[]"),
                              .group = choice(x, "rule_group", "rule_group[]"),
                              .name = choice(x, "rule_name", "rule_name[]"),
                              .records = str_eq_nocase(type, STR("record"))};
    struct buf out;

    if (type.n > 0 && !f.records && !str_eq_nocase(type, STR("alert"))) {
        struct err err;
        (void)api_bad_param(&err, "type", type, "type of rules: alert or record");
        api_fail(x, &err);
        return;
    }
    buf_init(&out, RULES_MAX);
    print(a->server->alerts, &f, &out);
    api_reply(x, 200, "application/json", &out);
    buf_fini(&out);
}

void api_rules(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    reply_print(a, x, caller, alerts_print_rules);
}

void api_alerts(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    reply_print(a, x, caller, alerts_print_alerts);
}
