/*
 * server/api.c - see api.h: router, credentials, and calls that leave the loop.
 *
 * A request is let in before its body is read (body_max), so that a stranger cannot make us read.
 */
#include "server/api.h"

#include "base/near.h"
#include "base/obj.h"
#include "base/utf8.h"
#include "query/format.h"
#include "server/api_priv.h"
#include "server/api_tail.h"
#include "server/metrics.h"
#include "server/tail.h"
#include "server/tenant_limits.h"
#include "server/workers.h"
#include "wire/codec.h"

#include <stdlib.h>
#include <string.h>

enum {
    FORM_MAX = 1 << 20,
    ANSWER_MAX = 512 << 20,
    CALL_ARENA_MAX = 256 << 10,
    FAILURE_MAX = 4096,
    CONNECTIONS_MAX = 10000,
    ADMIN_THREADS = 2,
    ADMIN_QUEUE = 16,
    HEADER_BYTES = 32 << 10, /* Grafana sends queries with hundreds of names by GET */
    GZIP_MIN = 1400,         /* what fits one packet gains nothing */
    GZIP_LEVEL = 1,
};

enum access {
    ACCESS_OPEN,
    ACCESS_READ,
    ACCESS_WRITE,
    ACCESS_STATUS,
    ACCESS_METRICS,
    ACCESS_ADMIN, /* of tenants' data */
};

struct route {
    const char *path; /* a `*` stands for one segment */
    const char *methods;
    enum access access;
    api_fn *fn;
    const char *params; /* what it reads, with blanks between; NULL: whatever is there */
};

#define SPAN "start end since "

static const struct route ROUTES[] = {
    {"/", "GET, HEAD", ACCESS_OPEN, api_page, NULL},
    {"/ready", "GET, HEAD", ACCESS_OPEN, api_ready, NULL},
    {"/metrics", "GET, HEAD", ACCESS_METRICS, api_metrics, NULL},
    {"/config", "GET", ACCESS_ADMIN, api_config, NULL},
    {"/loki/api/v1/push", "POST", ACCESS_WRITE, api_push, NULL},
    {"/loki/api/v1/query_range", "GET, POST", ACCESS_READ, api_query_range,
     SPAN "query limit direction step interval before after cursor lenient top_series"},
    {"/loki/api/v1/query", "GET, POST", ACCESS_READ, api_query_instant,
     "query time lenient top_series"},
    {"/loki/api/v1/labels", "GET, POST", ACCESS_READ, api_labels, SPAN "query"},
    {"/loki/api/v1/label", "GET, POST", ACCESS_READ, api_labels, SPAN "query"},
    {"/loki/api/v1/label/*/values", "GET, POST", ACCESS_READ, api_label_values, SPAN "query"},
    {"/loki/api/v1/series", "GET, POST", ACCESS_READ, api_series, SPAN "match match[]"},
    {"/loki/api/v1/index/stats", "GET, POST", ACCESS_READ, api_index_stats, SPAN "query"},
    {"/loki/api/v1/index/volume", "GET, POST", ACCESS_READ, api_index_volume,
     SPAN "query limit targetLabels aggregateBy"},
    {"/loki/api/v1/index/volume_range", "GET, POST", ACCESS_READ, api_index_volume_range,
     SPAN "query limit step targetLabels aggregateBy"},
    {"/loki/api/v1/detected_labels", "GET, POST", ACCESS_READ, api_detected_labels, SPAN "query"},
    {"/loki/api/v1/detected_fields", "GET, POST", ACCESS_READ, api_detected_fields,
     SPAN "query limit field_limit line_limit"},
    {"/loki/api/v1/detected_field/*/values", "GET, POST", ACCESS_READ, api_detected_values,
     SPAN "query limit field_limit line_limit"},
    {"/loki/api/v1/patterns", "GET, POST", ACCESS_READ, api_patterns, SPAN "query step"},
    {"/loki/api/v1/tail", "GET", ACCESS_READ, api_tail, "query start limit delay_for"},
    {"/loki/api/v1/format_query", "GET, POST", ACCESS_READ, api_format_query, "query"},
    {"/loki/api/v1/status/buildinfo", "GET", ACCESS_STATUS, api_buildinfo, ""},
    {"/loki/api/v1/drilldown-limits", "GET", ACCESS_READ, api_drilldown_limits, ""},
    {"/loki/api/v1/delete", "GET, POST, PUT, DELETE", ACCESS_ADMIN, api_delete,
     "query start end max_interval request_id force"},
    {"/loki/api/v1/rules", "GET", ACCESS_READ, api_loki_rules, ""},
    {"/loki/api/v1/rules/*", "GET", ACCESS_READ, api_loki_rules, ""},
    {"/loki/api/v1/rules/*/*", "GET", ACCESS_READ, api_loki_rules, ""},
    {"/api/prom/rules", "GET", ACCESS_READ, api_loki_rules, ""},
    {"/api/prom/rules/*", "GET", ACCESS_READ, api_loki_rules, ""},
    {"/api/prom/rules/*/*", "GET", ACCESS_READ, api_loki_rules, ""},
    {"/prometheus/api/v1/rules", "GET", ACCESS_READ, api_rules,
     "type file rule_group rule_name file[] rule_group[] rule_name[]"},
    {"/prometheus/api/v1/alerts", "GET", ACCESS_READ, api_alerts, ""},
    {"/api/v1/tail", "GET, POST", ACCESS_READ, api_tail, "query start limit delay_for"},
    {"/api/v1/export", "GET, POST", ACCESS_READ, api_export,
     SPAN "query limit direction after_seq cursor form before after"},
    {"/api/v1/explain", "GET, POST", ACCESS_READ, api_explain, SPAN "query step limit direction"},
    {"/api/v1/import", "POST", ACCESS_WRITE, api_import, "batch"},
    {"/api/v1/collectors", "GET", ACCESS_ADMIN, api_collectors, ""},
    {"/api/v1/collectors/overlap", "GET", ACCESS_ADMIN, api_collectors_overlap, ""},
    {"/api/v1/collectors/ranges", "GET, POST", ACCESS_ADMIN, api_collectors_ranges,
     "identity files"},
    {"/api/v1/admin/flush", "POST", ACCESS_ADMIN, api_admin_flush, ""},
    {"/api/v1/admin/compact", "GET, POST", ACCESS_ADMIN, api_admin_compact, "wait"},
    {"/api/v1/admin/hold", "GET, POST, DELETE", ACCESS_ADMIN, api_hold,
     "id query reason start end"},
    {"/api/v1/admin/backup", "POST", ACCESS_ADMIN, api_admin_backup, "to with_keyring"},
    {"/api/v1/admin/verify", "POST", ACCESS_ADMIN, api_admin_verify, ""},
};

/* What clients of Loki send wherever they like; where it has no meaning it is passed over. */
static const char LOKI_PARAMS[] = "query start end since time limit direction step interval match "
                                  "match[] targetLabels aggregateBy line_limit field_limit shards "
                                  "delay_for regexp max_interval aggregated _";

/* And what Grafana, and clients of Prometheus, send to the two endpoints that are Prometheus': what
 * only leaves out or cuts into pages. */
static const char PROMETHEUS_PARAMS[] =
    "exclude_alerts match match[] group_limit group_next_token limit_alerts rule_limit matcher "
    "state health dashboard_uid panel_id _";

static bool path_fits(const char *pattern, struct str path)
{
    struct str want = str_of(pattern), have = path;

    while (want.p != NULL && have.p != NULL) {
        struct str w = str_cut(&want, '/'), h = str_cut(&have, '/');
        if (str_eq(w, STR("*")) ? h.n == 0 : !str_eq(w, h))
            return false;
    }
    return want.p == NULL && have.p == NULL;
}

static const struct route *find_route(struct str path)
{
    for (size_t i = 0; i < sizeof(ROUTES) / sizeof(ROUTES[0]); i++)
        if (path_fits(ROUTES[i].path, path))
            return &ROUTES[i];
    return NULL;
}

static bool method_fits(const char *methods, struct str method)
{
    struct str rest = str_of(methods);

    while (rest.p != NULL)
        if (str_eq(str_trim(str_cut(&rest, ',')), method))
            return true;
    return false;
}

static bool has_word(const char *words, struct str word)
{
    struct str rest = str_of(words);

    while (rest.p != NULL)
        if (str_eq(str_cut(&rest, ' '), word))
            return true;
    return false;
}

static void offer_words(struct near *near, const char *words)
{
    struct str rest = str_of(words);

    while (rest.p != NULL) {
        struct str word = str_cut(&rest, ' ');
        if (word.n > 0)
            near_offer(near, word);
    }
}

/* curl says of whatever it posts that it is a form. */
static bool has_parameters(struct http_exchange *x, const struct route *route)
{
    return route->params != NULL &&
           (route->access != ACCESS_WRITE ||
            !str_starts(http_header(x, "Content-Type"), STR("application/x-www-form-urlencoded")));
}

/* A mistyped name must not be taken for none at all.  false: was refused. */
static bool check_params(struct http_exchange *x, const struct route *route)
{
    struct str path = str_of(route->path);
    const char *passed = str_starts(path, STR("/loki/"))         ? LOKI_PARAMS
                         : str_starts(path, STR("/prometheus/")) ? PROMETHEUS_PARAMS
                                                                 : "";
    struct str name, value;
    struct near near;
    size_t pos = 0;

    while (has_parameters(x, route) && http_param_next(x, &pos, &name, &value)) {
        if (has_word(route->params, name) || has_word(passed, name))
            continue;
        near_begin(&near, name);
        offer_words(&near, route->params);
        http_replyf(x, 400, "unknown parameter '%.*s'%s%.*s%s\n", (int)(name.n < 64 ? name.n : 64),
                    name.p, near.best.p == NULL ? "" : ": did you mean '", STR_ARG(near.best),
                    near.best.p == NULL ? "" : "'?");
        return false;
    }
    return true;
}

static enum auth_use use_of(enum access access)
{
    switch (access) {
    case ACCESS_WRITE:
        return AUTH_WRITE;
    case ACCESS_STATUS:
    case ACCESS_METRICS:
        return AUTH_STATUS;
    case ACCESS_OPEN:
    case ACCESS_READ:
    case ACCESS_ADMIN:
        break;
    }
    return AUTH_READ;
}

static int let_in(struct api *a, struct http_exchange *x, const struct route *route,
                  struct auth_caller *ret, struct err *err)
{
    const struct server *s = a->server;
    struct auth_request req = {.authorization = http_header(x, "Authorization"),
                               .scope = http_header(x, "X-Scope-OrgID"),
                               .use = use_of(route->access)};
    int r;

    memset(ret, 0, sizeof(*ret));
    if (route->access == ACCESS_OPEN ||
        (route->access == ACCESS_METRICS && s->conf.http.metrics_public))
        return 0;
    (void)pthread_mutex_lock(&a->letting_in);
    r = auth_check(s->auth, &req, http_arena(x), ret, err);
    (void)pthread_mutex_unlock(&a->letting_in);
    if (r == 0 && route->access == ACCESS_ADMIN && ret->role != ROLE_ADMIN) {
        r = err_set(err, ERR_DENIED, "%s needs a token of role admin", route->path);
        err->sys = 403;
    }
    return r;
}

static size_t body_max(struct http_exchange *x, void *arg)
{
    struct api *a = arg;
    const struct route *route = find_route(http_path(x));
    struct auth_caller caller;
    struct err err;

    if (route == NULL || !method_fits(route->methods, http_method(x)) ||
        let_in(a, x, route, &caller, &err) < 0)
        return SIZE_MAX;
    if (route->access != ACCESS_OPEN)
        http_trust(x);
    http_set_urgent(x, route->fn == api_push); /* a collector waits for its ack */
    return route->access == ACCESS_WRITE ? (size_t)a->server->conf.http.max_body_bytes : FORM_MAX;
}

static void handle(struct http_exchange *x, void *arg)
{
    struct api *a = arg;
    const struct route *route = find_route(http_path(x));
    struct auth_caller caller;
    struct err err;

    metric_add(METRIC_HTTP_REQUESTS, 1);
    if (route == NULL) {
        http_replyf(x, 404, "no such endpoint: %.*s\n", STR_ARG(http_path(x)));
    } else if (!method_fits(route->methods, http_method(x))) {
        http_reply_header(x, "Allow", str_of(route->methods));
        http_replyf(x, 405, "%s takes %s\n", route->path, route->methods);
    } else if (let_in(a, x, route, &caller, &err) < 0) {
        metric_add(METRIC_HTTP_DENIED, 1);
        if (err.sys == 401)
            http_reply_header(x, "WWW-Authenticate", STR("Bearer realm=\"logq\""));
        http_replyf(x, err.sys, "%s\n", err.text);
    } else if (check_params(x, route)) {
        route->fn(a, x, &caller);
    }
}

/* ---- open, close ---- */

static int make_tls(const struct server *s, struct tls_ctx **ret, struct err *err)
{
    const struct server_conf *c = &s->conf;
    struct arena *a = arena_new(NULL, 64 << 10);
    struct tls_files files = {.cert = server_conf_path(c, c->http.cert, a),
                              .key = server_conf_path(c, c->http.key, a),
                              .server = true};
    int r = tls_ctx_new(&files, ret, err);

    arena_free(&a);
    return r;
}

static void be_prompt(void *arg)
{
    loop_be_prompt(arg);
}

/* Pushes get a loop of their own: who waits for an ack waits for no answer of a query. */
static int open_pushes(struct api *a, struct err *err)
{
    int r = loop_new(&a->pushes, err);

    if (r < 0)
        return r;
    http_server_branch(a->http, a->pushes, "POST /loki/api/v1/push");
    (void)loop_post(a->pushes, be_prompt, a->pushes);
    return loop_start(a->pushes, "pushes", err);
}

/* All connections.  The loop of pushes stays: the store still looks for it. */
static void cut(struct api *a)
{
    if (a->http != NULL)
        http_server_cut_branch(a->http);
    if (a->pushes != NULL)
        loop_join(a->pushes);
    http_server_close(&a->http);
}

int api_open(struct server *s, struct api **ret, struct err *err)
{
    struct api *a = mem_new(sizeof(*a));
    struct listener_options lo = {.max_streams = CONNECTIONS_MAX};
    struct http_options opt = {.header_bytes = HEADER_BYTES,
                               .body_max = body_max,
                               .budget = &s->memory,
                               .answers = &s->answers};
    char address[256];
    int r = s->dev ? 0 : make_tls(s, &lo.stream.tls, err);

    a->magic = API_MAGIC;
    a->server = s;
    s->answers = (struct mem_budget){
        .name = "answers", .limit = s->memory.limit / 2, .parent = &s->memory}; /* pushes go on */
    if (s->connections > 0 && s->connections < CONNECTIONS_MAX)
        lo.max_streams = s->connections;
    (void)pthread_mutex_init(&a->letting_in, NULL);
    if (r == 0)
        r = workers_new((unsigned)s->conf.query.workers, (size_t)s->conf.query.concurrent,
                        &a->exports, err);
    if (r == 0)
        r = workers_new(ADMIN_THREADS, ADMIN_QUEUE, &a->admin, err);
    a->compaction = api_compaction_new(s);
    if (r == 0)
        r = tail_hub_open(s, &a->hub, err);
    if (r == 0)
        a->tails = api_tails_new(a);
    if (r == 0)
        r = http_server_open(s->loop, str_to_z(s->conf.http.listen, address, sizeof(address)), &lo,
                             &opt, handle, a, &a->http, err);
    if (r == 0)
        r = open_pushes(a, err);
    tls_ctx_unref(&lo.stream.tls);
    if (r < 0) {
        api_close(&a);
        return err_wrap(err, "http.listen");
    }
    *ret = a;
    return 0;
}

const char *api_address(const struct api *a)
{
    return http_server_address(a->http);
}

void api_set_tls(struct api *a, struct tls_ctx *tls)
{
    if (a->http != NULL)
        http_server_set_tls(a->http, tls);
}

void api_drain(struct api *a)
{
    if (a->http != NULL)
        http_server_drain(a->http);
    api_tails_end(a->tails);
}

void api_take_auth(struct api *a, struct auth *next)
{
    struct auth *last;

    OBJ_CHECK(a, API_MAGIC);
    (void)pthread_mutex_lock(&a->letting_in);
    last = a->server->auth;
    a->server->auth = next;
    (void)pthread_mutex_unlock(&a->letting_in);
    auth_free(&last);
    api_tails_recheck(a->tails);
}

void api_observe(struct api *a, struct str tenant, struct batch *b)
{
    OBJ_CHECK(a, API_MAGIC);
    tail_hub_observe(a->hub, tenant, b);
}

bool api_is_idle(const struct api *a)
{
    return a->http == NULL || http_server_is_idle(a->http);
}

void api_cut(struct api *a)
{
    OBJ_CHECK(a, API_MAGIC);
    cut(a);
}

void api_close(struct api **pa)
{
    struct api *a = *pa;

    if (a == NULL)
        return;
    OBJ_CHECK(a, API_MAGIC);
    cut(a); /* still to be done when the loop never ran */
    loop_free(&a->pushes);
    workers_free(&a->exports); /* after it: that cancels what they run */
    workers_free(&a->admin);
    api_compaction_free(&a->compaction);
    api_tails_free(&a->tails);
    tail_hub_close(&a->hub);
    (void)pthread_mutex_destroy(&a->letting_in);
    a->magic = 0;
    free(a);
    *pa = NULL;
}

/* ---- errors ---- */

int api_status_of(const struct err *err)
{
    switch (err->code) {
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_UNSUPPORTED:
    case ERR_CORRUPT:
        return 400;
    case ERR_DENIED:
        return 403;
    case ERR_CANCELLED:
        return 499;
    case ERR_TIMEOUT:
        return 504;
    case ERR_NOMEM:
        return 503;
    default:
        return 500;
    }
}

void api_fail(struct http_exchange *x, const struct err *err)
{
    http_replyf(x, api_status_of(err), "%s\n", err->text);
}

void api_print_place(struct buf *out, const struct err *err, struct str text, unsigned line,
                     unsigned column)
{
    bool is_of_text = err->code == ERR_INVALID || err->code == ERR_UNSUPPORTED;

    utf8_repair(out, str_of(err->text));
    buf_add_char(out, '\n');
    if (line > 0 && is_of_text)
        format_place(out, text, line, column, false);
}

void api_fail_at(struct http_exchange *x, const struct err *err, struct str text, unsigned line,
                 unsigned column)
{
    struct buf out;

    buf_init(&out, FAILURE_MAX);
    api_print_place(&out, err, text, line, column);
    http_reply(x, api_status_of(err), "text/plain; charset=utf-8", buf_str(&out));
    buf_fini(&out);
}

void api_call_fail(struct api_call *c, const struct err *err)
{
    c->status = api_status_of(err);
    c->type = "text/plain; charset=utf-8";
    buf_clear(&c->body);
    query_print_error(err, &c->body);
    buf_add_char(&c->body, '\n');
}

/* ---- calls ---- */

static void on_aborted(void *arg)
{
    struct api_call *c = arg;

    c->x = NULL;
    c->gone_at = time_mono();
    c->cancel = true;
}

/* `c` is known to nobody but us yet. */
static bool copy_caller(struct api_call *c, const struct auth_caller *caller)
{
    bool ok;

    c->caller = *caller;
    c->caller.name = arena_str(c->arena, caller->name);
    ok = c->caller.name.p != NULL;
    for (size_t i = 0; i < caller->n_tenants; i++) {
        c->caller.tenants[i] = arena_str(c->arena, caller->tenants[i]);
        ok = ok && c->caller.tenants[i].p != NULL;
    }
    return ok;
}

/* Accept-Encoding: gzip, or *, and not with q=0. */
static bool wants_gzip(struct str accept)
{
    while (accept.p != NULL) {
        struct str params = str_cut(&accept, ',');
        struct str name = str_trim(str_cut(&params, ';'));
        double q = 1;

        params = str_trim(params);
        if (str_starts(params, STR("q=")))
            (void)str_to_f64(str_from(params, 2), &q); /* nonsense counts as q=1 */
        if (str_eq_nocase(name, STR("gzip")) || str_eq(name, STR("*")))
            return q > 0;
    }
    return false;
}

struct api_call *api_call_new(struct api *a, struct http_exchange *x,
                              const struct auth_caller *caller)
{
    struct api_call *c = mem_new(sizeof(*c));

    c->magic = API_CALL_MAGIC;
    c->api = a;
    c->x = x;
    c->loop = http_loop(x);
    c->arena = arena_new(&a->server->memory, CALL_ARENA_MAX);
    c->began = time_mono();
    c->status = 500;
    c->type = "application/json";
    buf_init(&c->body, ANSWER_MAX);
    if (!copy_caller(c, caller)) {
        api_call_free(&c);
        http_replyf(x, 503, "no memory for this request now\n");
        return NULL;
    }
    c->gzip = wants_gzip(http_header(x, "Accept-Encoding"));
    http_watch(x, on_aborted, NULL, c);
    return c;
}

static void uncharge_answer(struct api_call *c)
{
    mem_budget_give(&c->api->server->memory, c->charged);
    c->charged = 0;
}

void api_call_free(struct api_call **pc)
{
    struct api_call *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, API_CALL_MAGIC);
    for (size_t i = 0; i < c->n_selectors; i++)
        query_unref(&c->selectors[i]);
    free(c->selectors);
    query_unref(&c->query);
    uncharge_answer(c);
    buf_fini(&c->body);
    arena_free(&c->arena);
    c->magic = 0;
    free(c);
    *pc = NULL;
}

static void say_packed(struct http_exchange *x)
{
    http_reply_header(x, "Content-Encoding", STR("gzip"));
    http_reply_header(x, "Vary", STR("Accept-Encoding"));
}

static void finish(void *arg)
{
    struct api_call *c = arg;

    if (c->x != NULL && c->packed)
        say_packed(c->x);
    uncharge_answer(c); /* the connection pays for it from here on */
    if (c->x != NULL)
        http_reply(c->x, c->status, c->type, buf_str(&c->body));
    api_call_free(&c);
}

/* What does not get smaller, or finds no memory, goes out as it is. */
static bool pack(struct buf *body)
{
    struct codec_writer *w;
    struct buf packed;
    struct err ignored;
    bool ok;

    if (body->over || body->n < GZIP_MIN)
        return false;
    w = codec_writer_new();
    buf_init(&packed, body->n);
    ok = codec_pack(w, CODEC_GZIP, GZIP_LEVEL, buf_str(body), &packed, &ignored) == 0;
    if (ok) {
        buf_fini(body);
        *body = packed;
    } else {
        buf_fini(&packed);
    }
    codec_writer_free(&w);
    return ok;
}

void api_reply(struct http_exchange *x, int status, const char *type, struct buf *body)
{
    if (wants_gzip(http_header(x, "Accept-Encoding")) && pack(body))
        say_packed(x);
    http_reply(x, status, type, buf_str(body));
}

void api_call_refuse(struct api_call *c, const struct err *err)
{
    api_call_fail(c, err);
    finish(c);
}

/* An answer waits for the loop, and there may be many. */
static int charge_answer(struct api_call *c, struct err *err)
{
    int r = buf_err(&c->body, "the answer", err);

    if (r == 0)
        r = mem_budget_take(&c->api->server->memory, c->body.cap, err);
    if (r == 0)
        c->charged = c->body.cap;
    return r;
}

/* How long it was worked for nobody. */
static void count_end_of_gone(const struct api_call *c, dur_ns began)
{
    dur_ns gone = c->gone_at > began ? c->gone_at : began;

    metric_observe(METRIC_QUERY_CANCEL_SECONDS, (double)(time_mono() - gone) / NS_PER_S);
}

static void run_work(void *arg)
{
    struct api_call *c = arg;
    dur_ns began = time_mono();
    struct err err;

    if (!c->cancel)
        c->work(c);
    else
        metric_add(METRIC_QUERY_CANCELLED, 1); /* it never ran */
    if (c->cancel)
        count_end_of_gone(c, began);
    c->packed = c->gzip && pack(&c->body);
    if (charge_answer(c, &err) < 0) {
        buf_fini(&c->body);
        c->packed = false;
        api_call_fail(c, &err);
    }
    if (!loop_post_patient(c->loop, finish, c)) /* an ack does not wait for it */
        api_call_free(&c); /* keeps (1): the server stops, nobody is left to be answered */
}

static void start_on(struct workers *w, struct api_call *c, const char *busy)
{
    if (workers_run(w, auth_lane(&c->caller), run_work, c))
        return;
    metric_add(METRIC_QUERY_BUSY, 1);
    c->status = 429;
    c->type = "text/plain; charset=utf-8";
    buf_add_z(&c->body, busy);
    finish(c);
}

static bool lend_place(void *arg)
{
    return workers_lend(arg);
}

static void take_place_back(void *arg)
{
    workers_take_back(arg);
}

void api_call_start(struct api_call *c)
{
    c->waiting = (struct query_waiting){c->api->server->workers, lend_place, take_place_back};
    c->params.waiting = &c->waiting;
    start_on(c->api->server->workers, c, "too many queries are waiting (query.concurrent)\n");
}

void api_call_start_apart(struct api_call *c)
{
    start_on(c->api->admin, c, "too many requests of operators are waiting\n");
}

void api_fill_params(struct api_call *c)
{
    const struct server *s = c->api->server;
    struct query_params *p = &c->params;
    struct tenant_limits limits;

    p->tenants = c->caller.tenants;
    p->n_tenants = c->caller.n_tenants;
    tenant_limits_of(&s->conf, p->tenants, p->n_tenants, &limits);
    p->limits = limits.query;
    p->budget = &c->api->server->memory;
    p->cancel = &c->cancel;
    p->cache = s->results;
    c->budget = (struct mem_budget){
        .name = "query.memory", .limit = limits.query.memory_bytes, .parent = p->budget};
}

void api_fill_scan(struct api_call *c, struct scan_request *req)
{
    if (c->deadline == 0)
        c->deadline = time_mono() + c->params.limits.time;
    req->tenants = c->caller.tenants;
    req->n_tenants = c->caller.n_tenants;
    req->budget = &c->budget;
    req->deadline = c->deadline;
    req->cancel = &c->cancel;
}

int api_explain_scan(const struct api_call *c, int r, struct err *err)
{
    if (r == ERR_NOMEM && atomic_load(&c->budget.refused) > 0)
        return err_wrap(err, "the request needs too much memory; narrow it, or raise the limit "
                             "(query.memory or the tenant's max_query_memory)");
    if (r == ERR_TIMEOUT)
        return err_wrap(err, "narrow the request, or raise query.time or the tenant's "
                             "query_timeout");
    return r;
}

struct api_call *api_call_query(struct api *a, struct http_exchange *x,
                                const struct auth_caller *caller, struct query *q,
                                const struct query_params *p)
{
    struct api_call *c = api_call_new(a, x, caller);

    metric_add(METRIC_QUERIES, 1);
    if (c == NULL) {
        query_unref(&q);
        return NULL;
    }
    c->query = q;
    c->params = *p;
    api_fill_params(c);
    return c;
}
