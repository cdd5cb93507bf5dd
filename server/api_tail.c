/*
 * server/api_tail.c - GET /loki/api/v1/tail (WebSocket) and /api/v1/tail (text/event-stream).
 *
 * Both are the same follower (tail.h) behind two ways of writing.  A WebSocket is pinged every
 * second, as Loki's clients expect; one that says nothing for HEARD_MAX_S is gone, and so is one
 * that does not read (http.h cuts it).  An event stream gets a comment now and then, so that
 * proxies keep it.
 *
 * A browser sends its user's credentials to any WebSocket that a page names, and under --dev none
 * are needed: so an Origin that is not this server is refused, unless a bearer token came along,
 * which no foreign page has.
 */
#include "server/api_tail.h"

#include "base/json.h"
#include "base/obj.h"
#include "server/api_priv.h"
#include "server/metrics.h"
#include "server/tail.h"
#include "server/tenant_limits.h"
#include "server/websocket.h"

#include <stdlib.h>
#include <string.h>

enum {
    LIMIT_DEFAULT = 100,
    DELAY_MAX_S = 5,
    PING_MS = 1000,
    COMMENT_S = 15,
    HEARD_MAX_S = 60,
    CLIENT_FRAME_MAX = 4096, /* clients have nothing to say */
    FRAME_MAX = 8192,
    JOINED_MAX = 8192, /* a caller's tenants */
};

struct conn {
    unsigned magic;
#define TAIL_CONN_MAGIC 0x7a11c044u
    struct api *api;
    struct conn *prev, *next;    /* ring of api_tails */
    struct http_exchange *x;     /* NULL once it has ended */
    struct tail *tail;           /* owned */
    char *authorization, *scope; /* as in the request; owned */
    char *tenants;               /* that it may follow, as join gives them; owned */
    struct websocket *websocket; /* owned; NULL: an event stream */
    dur_ns heard;                /* the client was */
    dur_ns told;
};

struct api_tails {
    unsigned magic;
#define API_TAILS_MAGIC 0xa9174a11u
    struct conn conns; /* head of the ring */
    struct loop_timer *timer;
};

/* ---- the end of one ---- */

static void conn_free(struct conn *c)
{
    OBJ_CHECK(c, TAIL_CONN_MAGIC);
    tail_close(&c->tail);
    websocket_free(&c->websocket);
    free(c->authorization);
    free(c->scope);
    free(c->tenants);
    c->prev->next = c->next;
    c->next->prev = c->prev;
    c->magic = 0;
    free(c);
}

static void on_aborted(void *arg)
{
    conn_free(arg);
}

static void ping(struct conn *c)
{
    struct buf b;

    buf_init(&b, FRAME_MAX);
    websocket_put(&b, WEBSOCKET_PING, STR(""));
    http_reply_write(c->x, buf_str(&b));
    buf_fini(&b);
}

/* Say why, flush, close. */
static void end(struct conn *c, enum websocket_code code, struct str reason)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, FRAME_MAX);
    if (c->websocket != NULL) {
        websocket_put_close(&b, code, reason);
    } else if (code == WEBSOCKET_FAILED || code == WEBSOCKET_POLICY) {
        buf_add_z(&b, "event: error\ndata: ");
        json_writer_init(&w, &b);
        json_put_object(&w);
        json_put_kv_str(&w, "message", reason);
        json_put_object_end(&w);
        buf_add_z(&b, "\n\n");
    }
    http_reply_write(c->x, buf_str(&b));
    http_reply_end(c->x);
    buf_fini(&b);
    conn_free(c);
}

/* ---- what the tail has to say ---- */

static bool on_bytes(void *arg, struct str bytes)
{
    struct conn *c = arg;

    OBJ_CHECK(c, TAIL_CONN_MAGIC);
    c->told = time_mono();
    http_reply_write(c->x, bytes);
    return !http_is_full(c->x);
}

static void on_drained(void *arg)
{
    struct conn *c = arg;

    OBJ_CHECK(c, TAIL_CONN_MAGIC);
    tail_resume(c->tail);
}

static void on_failed(void *arg, const struct err *why)
{
    end(arg, WEBSOCKET_FAILED, str_of(why->text));
}

/* ---- what the client has to say ---- */

static void on_data(void *arg, struct str bytes)
{
    struct conn *c = arg;
    struct buf answers;
    int r;

    OBJ_CHECK(c, TAIL_CONN_MAGIC);
    c->heard = time_mono();
    buf_init(&answers, bytes.n + WEBSOCKET_ANSWER_MAX);
    r = websocket_read(c->websocket, bytes, &answers);
    if (r == 1 || !http_is_full(c->x)) /* who does not read needs no pongs */
        http_reply_write(c->x, buf_str(&answers));
    buf_fini(&answers);
    if (r == 1) {
        http_reply_end(c->x);
        conn_free(c);
    }
}

/* ---- time ---- */

static void look_at(struct conn *c, dur_ns now)
{
    if (c->websocket == NULL) {
        if (now - c->told >= COMMENT_S * NS_PER_S && !http_is_full(c->x)) {
            http_reply_write(c->x, STR(":\n\n"));
            c->told = now;
        }
        return;
    }
    if (now - c->heard > HEARD_MAX_S * NS_PER_S) {
        http_reply_abort(c->x);
        conn_free(c);
    } else if (!http_is_full(c->x)) {
        ping(c);
    }
}

static void on_timer(void *arg)
{
    struct api_tails *t = arg;
    dur_ns now = time_mono();
    struct conn *next;

    for (struct conn *c = t->conns.next; c != &t->conns; c = next) {
        next = c->next;
        look_at(c, now);
    }
}

struct api_tails *api_tails_new(struct api *a)
{
    struct api_tails *t = mem_new(sizeof(*t));

    t->magic = API_TAILS_MAGIC;
    t->conns.prev = t->conns.next = &t->conns;
    t->timer = loop_timer_new(a->server->loop, on_timer, t);
    loop_timer_start(t->timer, PING_MS, PING_MS);
    return t;
}

static char *join(const struct auth_caller *caller)
{
    struct buf b;
    char *text;

    buf_init(&b, JOINED_MAX);
    for (size_t i = 0; i < caller->n_tenants; i++)
        buf_addf(&b, "%.*s|", STR_ARG(caller->tenants[i]));
    text = mem_dup(b.n == 0 ? "" : b.p, b.n);
    buf_fini(&b);
    return text;
}

/* The same token may be for others now, and then it means them. */
static int check_tenants(const struct conn *c, const struct auth_caller *caller, struct err *err)
{
    char *now = join(caller);
    bool same = strcmp(now, c->tenants) == 0;

    free(now);
    return same ? 0 : err_set(err, ERR_DENIED, "this token is for another tenant now");
}

static bool may_follow(const struct conn *c, struct err *err)
{
    const struct auth_request req = {
        .authorization = str_of(c->authorization), .scope = str_of(c->scope), .use = AUTH_READ};
    struct arena *arena = arena_new(NULL, 0);
    struct auth_caller caller;
    int r = auth_check(c->api->server->auth, &req, arena, &caller, err);

    if (r == 0)
        r = check_tenants(c, &caller, err);
    arena_free(&arena);
    return r == 0;
}

void api_tails_recheck(struct api_tails *t)
{
    OBJ_CHECK(t, API_TAILS_MAGIC);
    for (struct conn *c = t->conns.next, *next; c != &t->conns; c = next) {
        struct err err;
        next = c->next;
        if (!may_follow(c, &err))
            end(c, WEBSOCKET_POLICY, str_of(err.text));
    }
}

void api_tails_end(struct api_tails *t)
{
    OBJ_CHECK(t, API_TAILS_MAGIC);
    for (struct conn *c = t->conns.next, *next; c != &t->conns; c = next) {
        next = c->next;
        end(c, WEBSOCKET_GOING_AWAY, STR("the server stops"));
    }
}

void api_tails_free(struct api_tails **pt)
{
    struct api_tails *t = *pt;

    *pt = NULL;
    if (t == NULL)
        return;
    OBJ_CHECK(t, API_TAILS_MAGIC);
    INVARIANT(t->conns.next == &t->conns);
    loop_timer_free(&t->timer);
    t->magic = 0;
    free(t);
}

/* ---- requests ---- */

/* What is stored may be read as far back as by any other query. */
static int parse_start(const struct tenant_limits *limits, struct http_exchange *x, ts_ns *ret,
                       struct err *err)
{
    const dur_ns most = limits->query.length;
    const ts_ns now = time_now();
    struct str s = http_param(x, "start", 0);

    *ret = now - (most > 0 && most < NS_PER_H ? most : NS_PER_H);
    if (s.n > 0 && !loki_time_parse(s, ret))
        return api_bad_param(err, "start", s, "time: seconds, nanoseconds or RFC 3339");
    if (most <= 0 || *ret >= now - most)
        return 0;
    return err_set(err, ERR_LIMIT,
                   "parameter 'start' is further back than a query may reach; raise query.length "
                   "or the tenant's max_query_length");
}

static int parse_params(const struct tenant_limits *limits, struct http_exchange *x,
                        struct tail_options *opt, struct err *err)
{
    struct str limit = http_param(x, "limit", 0);
    struct str delay = http_param(x, "delay_for", 0);
    int r;

    opt->limit = LIMIT_DEFAULT;
    r = parse_start(limits, x, &opt->start, err);
    if (r < 0)
        return r;
    if (limit.n > 0 && !str_to_u64(limit, &opt->limit))
        return api_bad_param(err, "limit", limit, "number");
    if (tenant_limits_entries(limits, opt->limit, err) < 0)
        return err->code;
    if (delay.n > 0 && (!loki_duration_parse(delay, &opt->delay) || opt->delay < 0))
        return api_bad_param(err, "delay_for", delay, "number of seconds");
    if (opt->delay > DELAY_MAX_S * NS_PER_S)
        return err_set(err, ERR_INVALID, "delay_for can't be greater than %d", (int)DELAY_MAX_S);
    return 0;
}

/* "https://HOST:PORT" of the page against our own Host. */
static bool is_foreign_page(const struct http_exchange *x)
{
    struct str origin = http_header(x, "Origin");
    size_t at = str_find(origin, STR("://"));

    if (origin.p == NULL || str_starts(http_header(x, "Authorization"), STR("Bearer ")))
        return false;
    return at == SIZE_MAX || !str_eq_nocase(str_from(origin, at + 3), http_header(x, "Host"));
}

/* false: was refused. */
static bool offer_fits(struct http_exchange *x, char accept[WEBSOCKET_ACCEPT])
{
    struct websocket_offer offer = {.upgrade = http_header(x, "Upgrade"),
                                    .connection = http_header(x, "Connection"),
                                    .version = http_header(x, "Sec-WebSocket-Version"),
                                    .key = http_header(x, "Sec-WebSocket-Key")};
    const char *why;
    int status = websocket_accept(&offer, accept, &why);

    if (status == 101 && http_may_upgrade(x))
        return true;
    if (status == 101) {
        status = 426;
        why = "a WebSocket is opened by HTTP/1.1";
    }
    if (status == 426) {
        http_reply_header(x, "Upgrade", STR("websocket"));
        http_reply_header(x, "Sec-WebSocket-Version", STR("13"));
    }
    http_replyf(x, status, "%s\n", why);
    return false;
}

static char *copy_header(const struct http_exchange *x, const char *name)
{
    struct str s = http_header(x, name);

    return mem_dup(s.n == 0 ? "" : s.p, s.n);
}

static struct conn *conn_new(struct api *a, struct http_exchange *x,
                             const struct auth_caller *caller, bool websocket)
{
    struct conn *c = mem_new(sizeof(*c));

    c->magic = TAIL_CONN_MAGIC;
    c->api = a;
    c->x = x;
    c->authorization = copy_header(x, "Authorization");
    c->scope = copy_header(x, "X-Scope-OrgID");
    c->tenants = join(caller);
    c->heard = c->told = time_mono();
    if (websocket)
        c->websocket = websocket_new(CLIENT_FRAME_MAX);
    c->prev = a->tails->conns.prev;
    c->next = &a->tails->conns;
    c->prev->next = c;
    c->next->prev = c;
    return c;
}

static void begin(struct conn *c, const char *accept)
{
    http_watch(c->x, on_aborted, on_drained, c);
    if (c->websocket != NULL) {
        http_reply_header(c->x, "Sec-WebSocket-Accept", str_of(accept));
        http_upgrade(c->x, "websocket", on_data, c);
    } else {
        http_reply_header(c->x, "Cache-Control", STR("no-store"));
        http_reply_header(c->x, "X-Accel-Buffering", STR("no"));
        http_reply_start(c->x, 200, "text/event-stream");
    }
}

void api_tail(struct api *a, struct http_exchange *x, const struct auth_caller *caller)
{
    bool websocket = str_starts(http_path(x), STR("/loki/"));
    struct tail_options opt = {.form = websocket ? TAIL_WEBSOCKET : TAIL_EVENTS,
                               .tenants = caller->tenants,
                               .n_tenants = caller->n_tenants,
                               .categorize = api_wants_categories(x),
                               .bytes = on_bytes,
                               .failed = on_failed};
    char accept[WEBSOCKET_ACCEPT];
    struct tenant_limits limits;
    struct conn *c;
    struct err err;
    int r;

    if (is_foreign_page(x)) {
        metric_add(METRIC_HTTP_DENIED, 1);
        http_replyf(x, 403, "a page of another origin may not follow logs here\n");
        return;
    }
    if (api_parse_read(a, x, caller, &opt.query) < 0)
        return;
    tenant_limits_of(&a->server->conf, caller->tenants, caller->n_tenants, &limits);
    r = parse_params(&limits, x, &opt, &err);
    if (r == 0 && query_kind(opt.query) != QUERY_LOG)
        r = err_set(&err, ERR_INVALID, "only log queries can be tailed, not metric queries");
    if (r == 0 && !query_may_follow(opt.query))
        r = err_set(&err, ERR_INVALID, "a query with dedup cannot be tailed: it has an end");
    if (r < 0) {
        query_unref(&opt.query);
        api_fail(x, &err);
        return;
    }
    if (websocket && !offer_fits(x, accept)) {
        query_unref(&opt.query);
        return;
    }
    c = conn_new(a, x, caller, websocket);
    opt.arg = c;
    r = tail_open(a->hub, &opt, &c->tail, &err);
    query_unref(&opt.query);
    if (r < 0) {
        conn_free(c);
        http_replyf(x, 429, "%s\n", err.text);
    } else {
        begin(c, accept);
    }
}
