/*
 * server/api_status.c - what the server says about itself: ready, metrics, version, page, rules.
 */
#include "server/api_priv.h"

#include "server/alerts.h"
#include "server/metrics.h"
#include "server/peers.h"

enum { METRICS_MAX = 4 << 20, RULES_MAX = 16 << 20 };

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
    http_reply(x, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&out));
    buf_fini(&out);
}

void api_buildinfo(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    /* Grafana decides by `version` what Loki can do. */
    static const char BODY[] = "{\"version\":\"3.0.0\",\"revision\":\"logq-" LOGQ_VERSION
                               "\",\"branch\":\"main\",\"buildUser\":\"\","
                               "\"buildDate\":\"\",\"goVersion\":\"\"}";

    (void)a;
    (void)caller;
    http_reply(x, 200, "application/json", STR(BODY));
}

static void reply_print(struct api *a, struct http_exchange *x, const struct auth_caller *caller,
                        void (*print)(struct alerts *, const struct str *, size_t, struct buf *))
{
    struct buf out;

    buf_init(&out, RULES_MAX);
    print(a->server->alerts, caller->tenants, caller->n_tenants, &out);
    http_reply(x, 200, "application/json", buf_str(&out));
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
