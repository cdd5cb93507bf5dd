/*
 * tests/unit/server/caller.h - HTTPS requests on the test's loop, and the server's API that answers
 * them (world.h).  Header only.
 */
#ifndef LOGQ_TESTS_UNIT_SERVER_CALLER_H
#define LOGQ_TESTS_UNIT_SERVER_CALLER_H

#include "server/api.h"
#include "tests/unit/server/world.h"
#include "wire/http_client.h"

#define ADMIN  "lq_administrator-0123456789"
#define READER "lq_reader-0123456789abcdef"
#define WRITER "lq_writer-0123456789abcdef"
#define EVERY  "lq_everything-0123456789ab"

enum { BODY_MAX = 256 << 20, HEADERS_MAX = 5, MAX_BODY = 1 << 20 };

/* Where workers are made to stand. */
struct block {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned inside;
    bool is_open;
};

struct fixture {
    struct world *w;
    struct api *api;
    struct tls_ctx *tls;
    struct block block;
    struct server_conf_token tokens[4];
    struct str one[1], any[1], two[2];
};

/* A request and its answer. */
struct call {
    struct fixture *f;
    struct http_client *c;
    int status;
    bool has_head, has_body, done, pause, cancel;
    struct buf body;
    char type[64], allow[64], authenticate[64], retry_after[16], encoding[16];
    struct err err;
};

/* ---- the client ---- */

static inline void keep(char *dst, size_t cap, const struct http_client *c, const char *name)
{
    (void)str_to_z(http_client_header(c, name), dst, cap);
}

static inline void on_head(struct http_client *c, int status, void *arg)
{
    struct call *d = arg;

    d->status = status;
    d->has_head = true;
    keep(d->type, sizeof(d->type), c, "Content-Type");
    keep(d->allow, sizeof(d->allow), c, "Allow");
    keep(d->authenticate, sizeof(d->authenticate), c, "WWW-Authenticate");
    keep(d->retry_after, sizeof(d->retry_after), c, "Retry-After");
    keep(d->encoding, sizeof(d->encoding), c, "Content-Encoding");
}

static inline void on_body(struct http_client *c, struct str bytes, void *arg)
{
    struct call *d = arg;

    buf_add_str(&d->body, bytes);
    d->has_body = true;
    if (d->pause)
        http_client_pause(c);
    if (d->cancel)
        http_client_cancel(c);
}

static inline void on_done(struct http_client *c, const struct err *err, void *arg)
{
    struct call *d = arg;

    (void)c;
    d->c = NULL;
    d->err = *err;
    d->done = true;
}

struct request {
    const char *method, *target, *token, *scope, *type, *encoding, *accept_encoding;
    struct str body;
    bool pause, cancel; /* at the first bytes of the answer */
};

static inline struct call *start(struct fixture *f, const struct request *r)
{
    static const struct http_client_handler HANDLER = {
        .head = on_head, .body = on_body, .done = on_done};
    struct call *d = mem_new(sizeof(*d));
    char bearer[128];
    struct label headers[HEADERS_MAX];
    struct http_client_request req = {.address = api_address(f->api),
                                      .tls = f->tls,
                                      .method = r->method,
                                      .target = r->target,
                                      .headers = headers,
                                      .body = r->body};
    struct err err;

    d->f = f;
    d->pause = r->pause;
    d->cancel = r->cancel;
    buf_init(&d->body, BODY_MAX);
    (void)snprintf(bearer, sizeof(bearer), "Bearer %s", r->token == NULL ? "" : r->token);
    if (r->token != NULL)
        headers[req.n_headers++] = (struct label){STR("Authorization"), str_of(bearer)};
    if (r->scope != NULL)
        headers[req.n_headers++] = (struct label){STR("X-Scope-OrgID"), str_of(r->scope)};
    if (r->type != NULL)
        headers[req.n_headers++] = (struct label){STR("Content-Type"), str_of(r->type)};
    if (r->encoding != NULL)
        headers[req.n_headers++] = (struct label){STR("Content-Encoding"), str_of(r->encoding)};
    if (r->accept_encoding != NULL)
        headers[req.n_headers++] =
            (struct label){STR("Accept-Encoding"), str_of(r->accept_encoding)};
    if (http_client_start(f->w->loop, &req, &HANDLER, d, &d->c, &err) < 0)
        fail_msg("%s", err.text);
    return d;
}

static inline void finish(struct call *d)
{
    WAIT_FOR(d->f->w->loop, d->done);
    if (d->err.code != 0)
        fail_msg("%s", d->err.text);
    buf_add_char(&d->body, '\0');
    d->body.n--; /* a C string as well */
}

static inline void call_free(struct call *d)
{
    buf_fini(&d->body);
    free(d);
}

static inline struct call *call(struct fixture *f, const struct request *r)
{
    struct call *d = start(f, r);

    finish(d);
    return d;
}

/* Status, and a piece of the body when `says` is not NULL. */
static inline void check(struct fixture *f, const struct request *r, int status, const char *says)
{
    struct call *d = call(f, r);

    if (d->status != status || (says != NULL && strstr(d->body.p, says) == NULL))
        fail_msg("%s %s: %d '%.300s', not %d '%s'", r->method, r->target, d->status, d->body.p,
                 status, says == NULL ? "" : says);
    call_free(d);
}

static inline void check_get(struct fixture *f, const char *target, int status, const char *says)
{
    check(f, &(struct request){.method = "GET", .target = target, .token = ADMIN}, status, says);
}

static inline struct request push_of(struct str body)
{
    return (struct request){.method = "POST",
                            .target = "/loki/api/v1/push",
                            .token = ADMIN,
                            .type = "application/json",
                            .body = body};
}

/* ---- fixture ---- */

static inline void add_token(struct fixture *f, size_t i, const char *token, int role,
                             struct conf_strs tenants)
{
    struct err err;
    char *name = mem_dup("token0", 6);

    name[5] = (char)('0' + i);
    f->tokens[i] = (struct server_conf_token){
        .name = str_of(name), .token_file = str_of(name), .role = role, .tenants = tenants};
    assert_int_equal(file_replace(f->w->feed.dir, name, 0600, str_of(token), &err), 0);
}

static inline void open_api(struct fixture *f, unsigned workers, size_t queued)
{
    struct err err;

    workers_free(&f->w->server.workers);
    assert_int_equal(workers_new(workers, queued, &f->w->server.workers, &err), 0);
    if (f->api == NULL && api_open(&f->w->server, &f->api, &err) < 0)
        fail_msg("%s", err.text);
    if (f->w->server.api == NULL)
        f->w->server.api = f->api;
}

static inline int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));
    struct world *w = world_new();
    struct tls_files files;
    struct err err;

    f->w = w;
    (void)pthread_mutex_init(&f->block.mutex, NULL);
    (void)pthread_cond_init(&f->block.changed, NULL);
    certs_standard(w->feed.path);
    files = (struct tls_files){.ca = certs_path(w->feed.path, "ca.crt")};
    assert_int_equal(tls_ctx_new(&files, &f->tls, &err), 0);
    w->server.conf.http.cert = STR("server.crt");
    w->server.conf.http.key = STR("server.key");
    w->server.conf.http.max_body_bytes = MAX_BODY;
    w->server.conf.query.workers = w->server.conf.query.concurrent = 1; /* of exports */
    f->one[0] = f->two[0] = STR("default");
    f->two[1] = STR("other");
    f->any[0] = STR("*");
    add_token(f, 0, ADMIN, ROLE_ADMIN, (struct conf_strs){f->one, 1});
    add_token(f, 1, READER, ROLE_READER, (struct conf_strs){f->two, 2});
    add_token(f, 2, WRITER, ROLE_WRITER, (struct conf_strs){f->one, 1});
    add_token(f, 3, EVERY, ROLE_ADMIN, (struct conf_strs){f->any, 1});
    w->server.conf.tokens = f->tokens;
    w->server.conf.n_tokens = 4;
    assert_int_equal(auth_new(&w->server.conf, false, &w->server.auth, &err), 0);
    open_api(f, 2, 16);
    *state = f;
    return 0;
}

/* ---- a gate for workers ---- */

static inline void stand_in(void *arg)
{
    struct block *b = arg;

    (void)pthread_mutex_lock(&b->mutex);
    b->inside++;
    (void)pthread_cond_broadcast(&b->changed);
    while (!b->is_open)
        (void)pthread_cond_wait(&b->changed, &b->mutex);
    (void)pthread_mutex_unlock(&b->mutex);
}

/* From here to unblock there is one worker for queries and it is busy, and `queued` may wait. */
static inline void block_worker(struct fixture *f, size_t queued)
{
    struct block *b = &f->block;

    open_api(f, 1, queued);
    assert_true(workers_run(f->w->server.workers, STR("default"), stand_in, b));
    (void)pthread_mutex_lock(&b->mutex);
    while (b->inside == 0)
        (void)pthread_cond_wait(&b->changed, &b->mutex);
    (void)pthread_mutex_unlock(&b->mutex);
}

static inline void unblock(struct fixture *f)
{
    (void)pthread_mutex_lock(&f->block.mutex);
    f->block.is_open = true;
    (void)pthread_cond_broadcast(&f->block.changed);
    (void)pthread_mutex_unlock(&f->block.mutex);
}

/* As the server stops: cut on the loop, then the loop, then what works for it. */
static inline void stop(struct fixture *f)
{
    unblock(f);
    if (f->api == NULL)
        return;
    api_cut(f->api);
    loop_stop(f->w->loop);
    world_shut(f->w, false);
    loop_run(f->w->loop);
    store_stop(f->w->server.store);
    workers_free(&f->w->server.workers);
    api_close(&f->api);
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;

    stop(f);
    tls_ctx_unref(&f->tls);
    for (size_t i = 0; i < 4; i++) {
        union {
            const char *in;
            void *out;
        } name = {.in = f->tokens[i].name.p};
        free(name.out);
    }
    world_free(f->w);
    free(f);
    return 0;
}

struct until {
    unsigned metric;
    uint64_t least;
};

static inline bool metric_is_there(void *arg)
{
    const struct until *u = arg;

    return metric_get(u->metric) >= u->least;
}

static inline void wait_metric(struct fixture *f, unsigned metric, uint64_t least)
{
    struct until u = {metric, least};

    wait_check(f->w->loop, metric_is_there, &u, "a metric");
}

/* ---- data ---- */

/* `n` lines of `bytes` bytes, a nanosecond apart, "0000007xxx...". */
static inline void push_lines(struct fixture *f, size_t from, size_t n, size_t bytes)
{
    struct request r;
    struct buf b;

    buf_init(&b, BODY_MAX);
    buf_add_z(&b, "{\"streams\":[{\"stream\":{\"app\":\"web\"},\"values\":[");
    for (size_t i = from; i < from + n; i++) {
        buf_addf(&b, "%s[\"%lld\",\"%07zu", i > from ? "," : "", (long long)(FEED_DAY + (ts_ns)i),
                 i);
        for (size_t k = 7; k < bytes; k++)
            buf_add_char(&b, 'x');
        buf_add_z(&b, "\"]");
    }
    buf_add_z(&b, "]}]}");
    assert_false(b.over);
    r = push_of(buf_str(&b));
    check(f, &r, 204, NULL);
    buf_fini(&b);
}

#define ONE_LINE                                                                                   \
    "{\"streams\":[{\"stream\":{\"app\":\"web\"},\"values\":[["                                    \
    "\"1768003200000000007\",\"hello\"]]}]}"

#define DAY "start=1768003200&end=1768003201"

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
