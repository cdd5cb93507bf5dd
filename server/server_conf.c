/*
 * server/server_conf.c - see server_conf.h.  The table below is also the manual: conf_print_example
 * makes config/server.yaml's entries from it, and a test keeps that file in step.
 */
#include "server/server_conf.h"

#include "base/file.h"
#include "base/record.h"
#include "server/auth.h"
#include "server/retention.h"
#include "wire/address.h"
#include "wire/forward.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

static const char *const ROLES[] = {"admin", "reader", "writer", NULL};
static const char *const DISK_FULL[] = {"stop", "drop_oldest", NULL};
static const char *const LEVELS[] = {"debug", "info", "warn", "error", NULL};

enum { MIB = 1 << 20, SERVER_CONF_FILE_MAX = 1 << 20 };

#define TOKEN(field) offsetof(struct server_conf_token, field)
static const struct conf_option TOKEN_OPTIONS[] = {
    {.path = "name",
     .type = CONF_STR,
     .offset = TOKEN(name),
     .help = "shown in logs; never the token itself"},
    {.path = "token_file",
     .type = CONF_STR,
     .offset = TOKEN(token_file),
     .help = "file that holds the token, one line"},
    {.path = "tenants",
     .type = CONF_STRS,
     .offset = TOKEN(tenants),
     .fallback = "[default]",
     .help = "tenants this token may use; \"*\" means any"},
    {.path = "role",
     .type = CONF_ENUM,
     .offset = TOKEN(role),
     .fallback = "reader",
     .choices = ROLES,
     .help = "reader queries, writer pushes, admin does both and reads /metrics"},
};

#define RETENTION(field) offsetof(struct server_conf_retention, field)
static const struct conf_option RETENTION_OPTIONS[] = {
    {.path = "tenant",
     .type = CONF_STR,
     .offset = RETENTION(tenant),
     .fallback = "''",
     .help = "empty: every tenant"},
    {.path = "selector",
     .type = CONF_STR,
     .offset = RETENTION(selector),
     .fallback = "'{}'",
     .help = "the streams it speaks of, as in a query; {}: every one"},
    {.path = "period",
     .type = CONF_DUR,
     .offset = RETENTION(period),
     .min = 0,
     .max = INT64_MAX,
     .help = "how long they are kept; 0 keeps them"},
    {.path = "max_bytes",
     .type = CONF_BYTES,
     .offset = RETENTION(max_bytes),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "stored bytes of such a tenant, over which its oldest days go; 0: no bound; only "
             "without a selector"},
};

static const char *const TENANT_CHOICES[] = {"inherit", "false", "true", NULL};
#define LIMITS(field) offsetof(struct server_conf_tenant_limits, field)
static const struct conf_option TENANT_LIMITS_OPTIONS[] = {
    {.path = "tenant", .type = CONF_STR, .offset = LIMITS(tenant), .help = "of whom it speaks"},
    {.path = "query_timeout",
     .type = CONF_DUR,
     .offset = LIMITS(query_timeout),
     .fallback = "0",
     .min = 0,
     .max = 3600 * NS_PER_S,
     .help = "as query.time; here as below 0 means what holds for all tenants"},
    {.path = "max_query_memory",
     .type = CONF_BYTES,
     .offset = LIMITS(max_query_memory),
     .fallback = "0",
     .min = 0,
     .max = 65536 * (int64_t)MIB,
     .help = "as query.memory"},
    {.path = "max_query_bytes_read",
     .type = CONF_BYTES,
     .offset = LIMITS(max_query_bytes_read),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "as query.lines"},
    {.path = "max_query_series",
     .type = CONF_INT,
     .offset = LIMITS(max_query_series),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .help = "as query.series"},
    {.path = "max_entries_limit_per_query",
     .type = CONF_INT,
     .offset = LIMITS(max_entries),
     .fallback = "0",
     .min = 0,
     .max = 1000000,
     .help = "as query.entries"},
    {.path = "max_query_length",
     .type = CONF_DUR,
     .offset = LIMITS(max_query_length),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "as query.length"},
    {.path = "max_query_range",
     .type = CONF_DUR,
     .offset = LIMITS(max_query_range),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "as query.range"},
    {.path = "empty_selector",
     .type = CONF_ENUM,
     .offset = LIMITS(empty_selector),
     .fallback = "inherit",
     .choices = TENANT_CHOICES,
     .help = "as query.empty_selector, or inherit"},
};

#define WEBHOOK(field) offsetof(struct server_conf_webhook, field)
static const struct conf_option WEBHOOK_OPTIONS[] = {
    {.path = "url",
     .type = CONF_STR,
     .offset = WEBHOOK(url),
     .help = "http:// or https:// address that takes the Alertmanager v4 body"},
    {.path = "send_resolved",
     .type = CONF_BOOL,
     .offset = WEBHOOK(send_resolved),
     .fallback = "true",
     .help = "tell it when an alert is over"},
    {.path = "bearer_token_file",
     .type = CONF_STR,
     .offset = WEBHOOK(bearer_token_file),
     .fallback = "''",
     .help = "file with a token for the Authorization header"},
    {.path = "timeout",
     .type = CONF_DUR,
     .offset = WEBHOOK(timeout),
     .fallback = "10s",
     .min = NS_PER_S,
     .max = 60 * NS_PER_S,
     .help = "for one attempt"},
};

#define SERVER(field) offsetof(struct server_conf, field)
#define COUNT(array)  (sizeof(array) / sizeof((array)[0]))
static const struct conf_option OPTIONS[] = {
    {.path = "data_dir",
     .type = CONF_STR,
     .offset = SERVER(data_dir),
     .fallback = "data",
     .help = "where everything is stored; relative paths start at this file"},
    {.path = "master_key",
     .type = CONF_STR,
     .offset = SERVER(master_key),
     .fallback = "master.key",
     .help = "32 random bytes, mode 0600; keep a copy apart from the data: without it nothing can "
             "be read"},
    {.path = "http.listen",
     .type = CONF_STR,
     .offset = SERVER(http.listen),
     .fallback = "127.0.0.1:3100",
     .help = "HTTPS: Loki's API, metrics, page; port 0 takes a free one (see run/addresses.json)"},
    {.path = "http.cert",
     .type = CONF_STR,
     .offset = SERVER(http.cert),
     .fallback = "tls/server.crt",
     .help = "certificate chain, PEM"},
    {.path = "http.key",
     .type = CONF_STR,
     .offset = SERVER(http.key),
     .fallback = "tls/server.key",
     .help = "its key, PEM"},
    {.path = "http.metrics_public",
     .type = CONF_BOOL,
     .offset = SERVER(http.metrics_public),
     .fallback = "false",
     .help = "serve /metrics without a token"},
    {.path = "http.max_body",
     .type = CONF_BYTES,
     .offset = SERVER(http.max_body_bytes),
     .fallback = "16MiB",
     .min = 1024,
     .max = 256 * (int64_t)MIB,
     .help = "largest pushed body, before and after gzip"},
    {.path = "forward.listen",
     .type = CONF_STR,
     .offset = SERVER(forward.listen),
     .fallback = "127.0.0.1:24224",
     .help = "Fluent Forward over mutual TLS"},
    {.path = "forward.cert",
     .type = CONF_STR,
     .offset = SERVER(forward.cert),
     .fallback = "tls/server.crt",
     .help = "certificate chain, PEM"},
    {.path = "forward.key",
     .type = CONF_STR,
     .offset = SERVER(forward.key),
     .fallback = "tls/server.key",
     .help = "its key, PEM"},
    {.path = "forward.client_ca",
     .type = CONF_STR,
     .offset = SERVER(forward.client_ca),
     .fallback = "tls/ca.crt",
     .help = "who signs the certificates of collectors"},
    {.path = "forward.tenant",
     .type = CONF_STR,
     .offset = SERVER(forward.tenant),
     .fallback = "default",
     .help = "tenant of collectors whose certificate names none"},
    {.path = "forward.threads",
     .type = CONF_INT,
     .offset = SERVER(forward.threads),
     .fallback = "0",
     .min = 0,
     .max = 64,
     .help = "event loops for TLS and decoding; 0: one per CPU, at most 4"},
    {.path = "forward.max_message",
     .type = CONF_BYTES,
     .offset = SERVER(forward.max_message_bytes),
     .fallback = "64MiB",
     .min = FORWARD_CHUNK_MAX,
     .max = 256 * (int64_t)MIB,
     .help = "largest message on the wire"},
    {.path = "forward.max_payload",
     .type = CONF_BYTES,
     .offset = SERVER(forward.max_payload_bytes),
     .fallback = "256MiB",
     .min = FORWARD_CHUNK_MAX,
     .max = 1024 * (int64_t)MIB,
     .help = "the same after decompression"},
    {.path = "forward.window",
     .type = CONF_BYTES,
     .offset = SERVER(forward.window_bytes),
     .fallback = "8MiB",
     .min = 65536,
     .max = 256 * (int64_t)MIB,
     .help = "per connection: bytes taken and not yet durable before reading stops"},
    {.path = "forward.max_connections",
     .type = CONF_INT,
     .offset = SERVER(forward.max_connections),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .help = "connections at once"},
    {.path = "forward.message_time",
     .type = CONF_DUR,
     .offset = SERVER(forward.message_time),
     .fallback = "1m",
     .min = 10 * NS_PER_MS,
     .max = 3600 * NS_PER_S,
     .help = "a message that has begun is whole after this time, or has grown by a 16th: by 64 KiB "
             "at least, a MiB will do"},
    {.path = "forward_local",
     .type = CONF_STR,
     .offset = SERVER(forward_local),
     .fallback = "''",
     .help = "Forward without TLS for senders on this host, e.g. unix:/run/logq/forward.sock or "
             "127.0.0.1:24225; empty: off"},
    {.path = "forward_local_tenant",
     .type = CONF_STR,
     .offset = SERVER(forward_local_tenant),
     .fallback = "default",
     .help = "tenant of what comes in there"},
    {.path = "forward_local_labels",
     .type = CONF_LABELS,
     .offset = SERVER(forward_local_labels),
     .fallback = "{}",
     .help = "labels forced on what comes in there; at most 16"},
    {.path = "forward_local_shared_key",
     .type = CONF_SECRET,
     .offset = SERVER(forward_local_shared_key),
     .fallback = "''",
     .help = "ask for Forward's shared-key handshake there"},
    {.path = "tokens",
     .type = CONF_MAPS,
     .offset = SERVER(tokens),
     .fallback = "[]",
     .sub = TOKEN_OPTIONS,
     .n_sub = COUNT(TOKEN_OPTIONS),
     .sub_size = sizeof(struct server_conf_token),
     .count_offset = SERVER(n_tokens),
     .help = "who may use the API"},
    {.path = "storage.retention",
     .type = CONF_DUR,
     .offset = SERVER(storage.retention),
     .fallback = "30d",
     .min = 0,
     .max = INT64_MAX,
     .help = "a day is deleted when it, and the last record received for it, are older; 0 keeps "
             "everything"},
    {.path = "storage.retention_rules",
     .type = CONF_MAPS,
     .offset = SERVER(storage.retention_rules),
     .fallback = "[]",
     .sub = RETENTION_OPTIONS,
     .n_sub = COUNT(RETENTION_OPTIONS),
     .sub_size = sizeof(struct server_conf_retention),
     .count_offset = SERVER(storage.n_retention_rules),
     .help = "other periods for some: the first rule that speaks of a stream decides"},
    {.path = "storage.max_bytes",
     .type = CONF_BYTES,
     .offset = SERVER(storage.max_bytes),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "stored bytes of all tenants, over which the oldest days go; 0: no bound"},
    {.path = "storage.max_streams",
     .type = CONF_INT,
     .offset = SERVER(storage.max_streams),
     .fallback = "1000000",
     .min = 0,
     .max = 16000000,
     .help = "streams of one tenant in one day; what would add more is refused (429); 0: no bound"},
    {.path = "storage.head",
     .type = CONF_BYTES,
     .offset = SERVER(storage.head_bytes),
     .fallback = "64MiB",
     .min = MIB,
     .max = 16384 * (int64_t)MIB,
     .help = "records held in memory before they go into a segment"},
    {.path = "storage.wal",
     .type = CONF_BYTES,
     .offset = SERVER(storage.wal_bytes),
     .fallback = "256MB",
     .min = MIB,
     .max = 65536 * (int64_t)MIB,
     .help = "a longer write-ahead log starts a flush"},
    {.path = "storage.ballast",
     .type = CONF_BYTES,
     .offset = SERVER(storage.ballast_bytes),
     .fallback = "64MB",
     .min = 0,
     .max = 65536 * (int64_t)MIB,
     .help = "kept back so that the catalog can still commit on a full disk"},
    {.path = "storage.flush_age",
     .type = CONF_DUR,
     .offset = SERVER(storage.flush_age),
     .fallback = "1m",
     .min = NS_PER_S,
     .max = 3600 * NS_PER_S,
     .help = "longest time a record stays in memory only (it is in the write-ahead log all along)"},
    {.path = "storage.clock_jump",
     .type = CONF_DUR,
     .offset = SERVER(storage.clock_jump),
     .fallback = "1h",
     .min = 0,
     .max = 365 * NS_PER_DAY,
     .help = "a clock that steps forward by more is not believed for a day, so that retention does "
             "not delete everything; 0 believes any"},
    {.path = "storage.disk_full",
     .type = CONF_ENUM,
     .offset = SERVER(storage.disk_full),
     .fallback = "stop",
     .choices = DISK_FULL,
     .help = "stop acknowledging until there is room, or drop_oldest: delete the oldest days, but "
             "none with audit data"},
    {.path = "query.time",
     .type = CONF_DUR,
     .offset = SERVER(query.time),
     .fallback = "1m",
     .min = NS_PER_MS,
     .max = 3600 * NS_PER_S,
     .help = "longest run of one query"},
    {.path = "query.memory",
     .type = CONF_BYTES,
     .offset = SERVER(query.memory_bytes),
     .fallback = "128MiB",
     .min = MIB,
     .max = 65536 * (int64_t)MIB,
     .help = "memory of one query"},
    {.path = "query.cache",
     .type = CONF_BYTES,
     .offset = SERVER(query.cache_bytes),
     .fallback = "24MiB",
     .min = MIB,
     .max = 65536 * (int64_t)MIB,
     .help = "decoded pieces of segments that all queries keep in memory"},
    {.path = "query.results",
     .type = CONF_BYTES,
     .offset = SERVER(query.results_bytes),
     .fallback = "32MiB",
     .min = 0,
     .max = 65536 * (int64_t)MIB,
     .help = "what metric queries found in days that do not change any more; 0: nothing is kept"},
    {.path = "query.threads",
     .type = CONF_INT,
     .offset = SERVER(query.threads),
     .fallback = "0",
     .min = 0,
     .max = 15,
     .help = "threads that help the workers read blocks; 0: as many as cores"},
    {.path = "query.lines",
     .type = CONF_BYTES,
     .offset = SERVER(query.line_bytes),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "line text one query may look at; 0: no limit"},
    {.path = "query.series",
     .type = CONF_INT,
     .offset = SERVER(query.series),
     .fallback = "500",
     .min = 1,
     .max = 1000000,
     .help = "series in one answer"},
    {.path = "query.entries",
     .type = CONF_INT,
     .offset = SERVER(query.entries),
     .fallback = "5000",
     .min = 1,
     .max = 1000000,
     .help = "largest limit of query_range (export has none)"},
    {.path = "query.empty_selector",
     .type = CONF_BOOL,
     .offset = SERVER(query.empty_selector),
     .fallback = "false",
     .help = "let {} and its like ask all streams, where Loki refuses"},
    {.path = "query.length",
     .type = CONF_DUR,
     .offset = SERVER(query.length),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "longest time from start to end of a query; 0: no limit"},
    {.path = "query.range",
     .type = CONF_DUR,
     .offset = SERVER(query.range),
     .fallback = "0",
     .min = 0,
     .max = INT64_MAX,
     .help = "longest [range] of a range aggregation; 0: no limit"},
    {.path = "query.tenant_limits",
     .type = CONF_MAPS,
     .offset = SERVER(query.tenant_limits),
     .fallback = "[]",
     .sub = TENANT_LIMITS_OPTIONS,
     .n_sub = COUNT(TENANT_LIMITS_OPTIONS),
     .sub_size = sizeof(struct server_conf_tenant_limits),
     .count_offset = SERVER(query.n_tenant_limits),
     .help = "other limits for the queries of single tenants, by Loki's names"},
    {.path = "query.tails",
     .type = CONF_INT,
     .offset = SERVER(query.tails),
     .fallback = "500",
     .min = 1,
     .max = 10000,
     .help = "clients that may follow a query at once"},
    {.path = "query.workers",
     .type = CONF_INT,
     .offset = SERVER(query.workers),
     .fallback = "2",
     .min = 1,
     .max = 256,
     .help = "queries that run at once"},
    {.path = "query.concurrent",
     .type = CONF_INT,
     .offset = SERVER(query.concurrent),
     .fallback = "512",
     .min = 1,
     .max = 10000,
     .help = "queries of one tenant that may wait, tenants take turns; more get 429"},
    {.path = "memory",
     .type = CONF_BYTES,
     .offset = SERVER(memory_bytes),
     .fallback = "1GiB",
     .min = 64 * (int64_t)MIB,
     .max = INT64_MAX,
     .help = "budget of the whole server: what is received, held and queried"},
    {.path = "rules_dir",
     .type = CONF_STR,
     .offset = SERVER(rules_dir),
     .fallback = "rules",
     .help = "directory of rule files (*.yaml); absent is fine"},
    {.path = "alerting.webhooks",
     .type = CONF_MAPS,
     .offset = SERVER(alerting.webhooks),
     .fallback = "[]",
     .sub = WEBHOOK_OPTIONS,
     .n_sub = COUNT(WEBHOOK_OPTIONS),
     .sub_size = sizeof(struct server_conf_webhook),
     .count_offset = SERVER(alerting.n_webhooks),
     .help = "where alerts go"},
    {.path = "alerting.external_url",
     .type = CONF_STR,
     .offset = SERVER(alerting.external_url),
     .fallback = "''",
     .help = "address of this server as receivers can reach it, for links in alerts"},
    {.path = "log_level",
     .type = CONF_ENUM,
     .offset = SERVER(log_level),
     .fallback = "info",
     .choices = LEVELS,
     .help = "the server's own log on stderr"},
};

static struct str directory_of(const char *path, struct arena *a)
{
    const char *slash = strrchr(path, '/');

    if (slash == NULL)
        return arena_str(a, STR("."));
    if (slash == path)
        return arena_str(a, STR("/"));
    return arena_str(a, (struct str){path, (size_t)(slash - path)});
}

static int load_text(const char *name, struct str text, struct server_conf *ret,
                     struct conf_errors *errors, struct err *err)
{
    return conf_load(name, text, OPTIONS, COUNT(OPTIONS), ret, ret->arena, errors, err);
}

/* ---- what the table cannot say ---- */

struct checker {
    const char *file;
    struct str text;
    struct conf_errors *errors;
    struct arena *a;
};

static void complain(const struct checker *k, const char *path, const char *message)
{
    conf_complain(k->errors, k->a, k->file, k->text, path, message);
}

static bool parse_address(struct str text, struct address *ret, struct err *err)
{
    char z[512];

    if (text.n >= sizeof(z) || memchr(text.p, '\0', text.n) != NULL)
        return false;
    return address_parse(str_to_z(text, z, sizeof(z)), ret, err) == 0;
}

bool server_conf_is_loopback(struct str address)
{
    struct address a;
    struct err err;

    if (!parse_address(address, &a, &err))
        return false;
    if (a.kind == ADDRESS_UNIX)
        return true;
    if (a.kind == ADDRESS_NAME)
        return strcmp(a.host, "localhost") == 0;
    if (a.socket.any.sa_family == AF_INET)
        return ntohl(a.socket.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return IN6_IS_ADDR_LOOPBACK(&a.socket.v6.sin6_addr);
}

static void check_address(const struct checker *k, const char *path, struct str text)
{
    struct address a;
    struct err err = {.text = "too long"};

    if (!parse_address(text, &a, &err))
        complain(k, path, err.text);
}

static void check_tenant(const struct checker *k, const char *path, struct str name)
{
    if (!auth_tenant_ok(name))
        complain(k, path, "no tenant name: 1 to 150 of letters, digits, !_.*'()-, not . or ..");
}

static void check_local(const struct checker *k, const struct server_conf *c)
{
    if (c->forward_local.n > 0)
        check_address(k, "forward_local", c->forward_local);
    if (c->forward_local.n > 0 && !server_conf_is_loopback(c->forward_local))
        complain(k, "forward_local",
                 "nobody is asked who he is there: it must be unix:/path or a loopback address");
    check_tenant(k, "forward_local_tenant", c->forward_local_tenant);
    if (c->forward_local_labels.n > SERVER_CONF_FORCED_MAX)
        complain(k, "forward_local_labels", "more than 16 labels");
    for (size_t i = 0; i < c->forward_local_labels.n; i++)
        if (c->forward_local_labels.v[i].value.n > RECORD_LABEL_VALUE_MAX ||
            c->forward_local_labels.v[i].name.n > RECORD_LABEL_NAME_MAX)
            complain(k, "forward_local_labels", "a label is too long");
}

static bool is_http_url(struct str url)
{
    struct str rest = str_starts(url, STR("https://"))  ? str_from(url, 8)
                      : str_starts(url, STR("http://")) ? str_from(url, 7)
                                                        : STR("");

    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= ' ' || url.p[i] > '~')
            return false;
    return rest.n > 0 && rest.p[0] != '/' && rest.p[0] != ':';
}

static void check_alerting(const struct checker *k, const struct server_conf *c)
{
    static const char WHY[] = "no address like https://host/path";

    for (size_t i = 0; i < c->alerting.n_webhooks; i++) {
        struct str path = arena_printf(k->a, "alerting.webhooks.%zu.url", i);
        if (path.p != NULL && !is_http_url(c->alerting.webhooks[i].url))
            complain(k, path.p, WHY);
    }
    if (c->alerting.external_url.n > 0 && !is_http_url(c->alerting.external_url))
        complain(k, "alerting.external_url", WHY);
}

static void check_retention(const struct checker *k, const struct server_conf *c)
{
    for (size_t i = 0; i < c->storage.n_retention_rules; i++) {
        const struct server_conf_retention *rule = &c->storage.retention_rules[i];
        struct str path = arena_printf(k->a, "storage.retention_rules.%zu.selector", i);
        struct str tenant = arena_printf(k->a, "storage.retention_rules.%zu.tenant", i);
        struct query *q = NULL;
        struct err err;
        if (path.p == NULL || tenant.p == NULL)
            return;
        if (rule->tenant.n > 0)
            check_tenant(k, tenant.p, rule->tenant);
        if (retention_selector(rule->selector, &q, &err) < 0)
            complain(k, path.p, err.text);
        else if (q != NULL && rule->max_bytes > 0)
            complain(k, path.p, "max_bytes is of a whole tenant: it goes without a selector");
        query_unref(&q);
    }
}

static void check(const struct checker *k, const struct server_conf *c)
{
    check_address(k, "http.listen", c->http.listen);
    check_address(k, "forward.listen", c->forward.listen);
    check_tenant(k, "forward.tenant", c->forward.tenant);
    check_local(k, c);
    check_alerting(k, c);
    check_retention(k, c);
    for (size_t i = 0; i < c->query.n_tenant_limits; i++)
        check_tenant(k, "query.tenant_limits", c->query.tenant_limits[i].tenant);
    for (size_t i = 0; i < c->n_tokens; i++) {
        const struct conf_strs *tenants = &c->tokens[i].tenants;
        struct str path = arena_printf(k->a, "tokens.%zu.tenants", i);
        for (size_t j = 0; path.p != NULL && j < tenants->n; j++)
            if (!str_eq(tenants->v[j], STR("*")))
                check_tenant(k, path.p, tenants->v[j]);
    }
    if (c->storage.head_bytes > c->memory_bytes / 2)
        complain(k, "memory",
                 "must be at least twice storage.head, or what comes in and queries have no room");
}

int server_conf_load(const char *path, struct server_conf *ret, struct conf_errors *errors,
                     struct err *err)
{
    struct buf text;
    int r;

    memset(ret, 0, sizeof(*ret));
    memset(errors, 0, sizeof(*errors));
    ret->arena = arena_new(NULL, 8 * (size_t)MIB);
    ret->dir = directory_of(path, ret->arena);
    buf_init(&text, SERVER_CONF_FILE_MAX);
    r = file_read(AT_FDCWD, path, &text, err);
    if (r == 0)
        r = load_text(path, buf_str(&text), ret, errors, err);
    if (r == 0) {
        check(&(struct checker){path, buf_str(&text), errors, ret->arena}, ret);
        if (errors->n > 0)
            r = err_set(err, ERR_INVALID, "%.*s", STR_ARG(errors->v[0]));
    }
    buf_fini(&text);
    return r;
}

int server_conf_dev(const char *dev_data, struct server_conf *ret, struct err *err)
{
    struct conf_errors errors = {0};
    int r;

    memset(ret, 0, sizeof(*ret));
    ret->arena = arena_new(NULL, MIB);
    ret->dir = arena_str(ret->arena, str_of(dev_data));
    r = load_text("--dev", STR("{}"), ret, &errors, err);
    if (r < 0 && errors.n > 0)
        return err_set(err, ERR_INVALID, "%.*s", STR_ARG(errors.v[0]));
    return r;
}

void server_conf_free(struct server_conf *c)
{
    arena_free(&c->arena);
    memset(c, 0, sizeof(*c));
}

void server_conf_print(const struct server_conf *c, struct buf *out)
{
    conf_print(out, OPTIONS, COUNT(OPTIONS), c);
}

void server_conf_print_example(struct buf *out)
{
    buf_add_z(out,
              "# logq-server: every option with its default.  Relative paths start at the file's\n"
              "# directory; ${env:NAME} and ${env:NAME:-default} are replaced in values.\n\n");
    conf_print_example(out, OPTIONS, COUNT(OPTIONS));
}

static bool is_reloaded(const char *path)
{
    static const char *const PATHS[] = {"http.cert",   "http.key",          "forward.cert",
                                        "forward.key", "forward.client_ca", "tokens",
                                        "log_level"};

    for (size_t i = 0; i < COUNT(PATHS); i++)
        if (strcmp(PATHS[i], path) == 0)
            return true;
    return false;
}

void server_conf_waiting(const struct server_conf *running, const struct server_conf *c,
                         struct buf *out)
{
    struct buf old, new;

    buf_init(&old, MIB);
    buf_init(&new, MIB);
    for (size_t i = 0; i < COUNT(OPTIONS); i++) {
        bool secret = OPTIONS[i].type == CONF_SECRET; /* that one is not printed */
        if (is_reloaded(OPTIONS[i].path))
            continue;
        buf_clear(&old);
        buf_clear(&new);
        conf_print(&old, &OPTIONS[i], 1, running);
        conf_print(&new, &OPTIONS[i], 1, c);
        if (!str_eq(buf_str(&old), buf_str(&new)) ||
            (secret && !str_eq(running->forward_local_shared_key, c->forward_local_shared_key)))
            buf_addf(out, "%s%s", out->n > 0 ? ", " : "", OPTIONS[i].path);
    }
    buf_fini(&old);
    buf_fini(&new);
}

const char *server_conf_path(const struct server_conf *c, struct str path, struct arena *a)
{
    if (path.n > 0 && path.p[0] == '/')
        return arena_str(a, path).p;
    return arena_printf(a, "%.*s/%.*s", STR_ARG(c->dir), STR_ARG(path)).p;
}
