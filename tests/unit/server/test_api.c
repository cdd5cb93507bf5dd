/* server/api*.c over HTTPS: router, credentials, push, queries, export, and what ends in the
 * middle. */
#include "server/api.h"

#include "base/json.h"
#include "tests/unit/server/world.h"
#include "wire/codec.h"
#include "wire/http_client.h"

#include <fcntl.h>

#define ADMIN  "lq_administrator-0123456789"
#define READER "lq_reader-0123456789abcdef"
#define WRITER "lq_writer-0123456789abcdef"
#define EVERY  "lq_everything-0123456789ab"

enum { BODY_MAX = 256 << 20, HEADERS_MAX = 4, MAX_BODY = 1 << 20 };

struct fixture {
    struct world *w;
    struct api *api;
    struct tls_ctx *tls;
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
    char type[64], allow[64], authenticate[64], retry_after[16];
    struct err err;
};

/* ---- the client ---- */

static void keep(char *dst, size_t cap, const struct http_client *c, const char *name)
{
    (void)str_to_z(http_client_header(c, name), dst, cap);
}

static void on_head(struct http_client *c, int status, void *arg)
{
    struct call *d = arg;

    d->status = status;
    d->has_head = true;
    keep(d->type, sizeof(d->type), c, "Content-Type");
    keep(d->allow, sizeof(d->allow), c, "Allow");
    keep(d->authenticate, sizeof(d->authenticate), c, "WWW-Authenticate");
    keep(d->retry_after, sizeof(d->retry_after), c, "Retry-After");
}

static void on_body(struct http_client *c, struct str bytes, void *arg)
{
    struct call *d = arg;

    buf_add_str(&d->body, bytes);
    d->has_body = true;
    if (d->pause)
        http_client_pause(c);
    if (d->cancel)
        http_client_cancel(c);
}

static void on_done(struct http_client *c, const struct err *err, void *arg)
{
    struct call *d = arg;

    (void)c;
    d->c = NULL;
    d->err = *err;
    d->done = true;
}

struct request {
    const char *method, *target, *token, *scope, *type, *encoding;
    struct str body;
    bool pause, cancel; /* at the first bytes of the answer */
};

static struct call *start(struct fixture *f, const struct request *r)
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
    if (http_client_start(f->w->loop, &req, &HANDLER, d, &d->c, &err) < 0)
        fail_msg("%s", err.text);
    return d;
}

static void finish(struct call *d)
{
    WAIT_FOR(d->f->w->loop, d->done);
    if (d->err.code != 0)
        fail_msg("%s", d->err.text);
    buf_add_char(&d->body, '\0');
    d->body.n--; /* a C string as well */
}

static void call_free(struct call *d)
{
    buf_fini(&d->body);
    free(d);
}

static struct call *call(struct fixture *f, const struct request *r)
{
    struct call *d = start(f, r);

    finish(d);
    return d;
}

/* Status, and a piece of the body when `says` is not NULL. */
static void check(struct fixture *f, const struct request *r, int status, const char *says)
{
    struct call *d = call(f, r);

    if (d->status != status || (says != NULL && strstr(d->body.p, says) == NULL))
        fail_msg("%s %s: %d '%.300s', not %d '%s'", r->method, r->target, d->status, d->body.p,
                 status, says == NULL ? "" : says);
    call_free(d);
}

static void check_get(struct fixture *f, const char *target, int status, const char *says)
{
    check(f, &(struct request){.method = "GET", .target = target, .token = ADMIN}, status, says);
}

static struct request push_of(struct str body)
{
    return (struct request){.method = "POST",
                            .target = "/loki/api/v1/push",
                            .token = ADMIN,
                            .type = "application/json",
                            .body = body};
}

/* ---- fixture ---- */

static void add_token(struct fixture *f, size_t i, const char *token, int role,
                      struct conf_strs tenants)
{
    struct err err;
    char *name = mem_dup("token0", 6);

    name[5] = (char)('0' + i);
    f->tokens[i] = (struct server_conf_token){
        .name = str_of(name), .token_file = str_of(name), .role = role, .tenants = tenants};
    assert_int_equal(file_replace(f->w->feed.dir, name, 0600, str_of(token), &err), 0);
}

static void open_api(struct fixture *f, unsigned workers, size_t queued)
{
    struct err err;

    workers_free(&f->w->server.workers);
    assert_int_equal(workers_new(workers, queued, &f->w->server.workers, &err), 0);
    if (f->api == NULL && api_open(&f->w->server, &f->api, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));
    struct world *w = world_new();
    struct tls_files files;
    struct err err;

    f->w = w;
    certs_standard(w->feed.path);
    files = (struct tls_files){.ca = certs_path(w->feed.path, "ca.crt")};
    assert_int_equal(tls_ctx_new(&files, &f->tls, &err), 0);
    w->server.conf.http.cert = STR("server.crt");
    w->server.conf.http.key = STR("server.key");
    w->server.conf.http.max_body_bytes = MAX_BODY;
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

/* As the server stops: cut on the loop, then the loop, then what works for it. */
static void stop(struct fixture *f)
{
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

static int teardown(void **state)
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

/* ---- a gate for workers ---- */

struct block {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned inside;
    bool is_open;
};

static void stand_in(void *arg)
{
    struct block *b = arg;

    (void)pthread_mutex_lock(&b->mutex);
    b->inside++;
    (void)pthread_cond_broadcast(&b->changed);
    while (!b->is_open)
        (void)pthread_cond_wait(&b->changed, &b->mutex);
    (void)pthread_mutex_unlock(&b->mutex);
}

/* One worker, and it is busy from here to unblock. */
static void block_worker(struct fixture *f, struct block *b, size_t queued)
{
    open_api(f, 1, queued);
    *b = (struct block){.inside = 0};
    (void)pthread_mutex_init(&b->mutex, NULL);
    (void)pthread_cond_init(&b->changed, NULL);
    assert_true(workers_run(f->w->server.workers, stand_in, b));
    (void)pthread_mutex_lock(&b->mutex);
    while (b->inside == 0)
        (void)pthread_cond_wait(&b->changed, &b->mutex);
    (void)pthread_mutex_unlock(&b->mutex);
}

static void unblock(struct block *b)
{
    (void)pthread_mutex_lock(&b->mutex);
    b->is_open = true;
    (void)pthread_cond_broadcast(&b->changed);
    (void)pthread_mutex_unlock(&b->mutex);
}

struct until {
    unsigned metric;
    uint64_t least;
};

static bool metric_is_there(void *arg)
{
    const struct until *u = arg;

    return metric_get(u->metric) >= u->least;
}

static void wait_metric(struct fixture *f, unsigned metric, uint64_t least)
{
    struct until u = {metric, least};

    wait_check(f->w->loop, metric_is_there, &u, "a metric");
}

/* ---- data ---- */

/* `n` lines of `bytes` bytes, a nanosecond apart, "0000007xxx...". */
static void push_lines(struct fixture *f, size_t from, size_t n, size_t bytes)
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

#define DAY "start=1768003200&end=1768003201"

/* The numbers of lines in an export, which must come as 0, 1, 2 ... */
static size_t count_export(const struct call *d)
{
    struct str rest = buf_str(&d->body);
    size_t n = 0;

    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        char want[32];
        (void)snprintf(want, sizeof(want), "\"line\":\"%07zu", n);
        if (str_find(line, str_of(want)) == SIZE_MAX)
            fail_msg("entry %zu is %.200s", n, line.p);
        n++;
    }
    return n;
}

/* ---- router and credentials ---- */

static void unknown_paths_are_404_and_methods_405(void **state)
{
    struct fixture *f = *state;
    struct call *d;

    check_get(f, "/nowhere", 404, "/nowhere");
    check_get(f, "/loki/api/v1/query_range/", 404, NULL);
    check_get(f, "/loki/api/v1/label//values", 404, NULL);
    d = call(f,
             &(struct request){.method = "DELETE", .target = "/loki/api/v1/push", .token = ADMIN});
    assert_int_equal(d->status, 405);
    assert_string_equal(d->allow, "POST");
    call_free(d);
    d = call(f, &(struct request){.method = "PUT", .target = "/loki/api/v1/labels"});
    assert_int_equal(d->status, 405); /* no need to say who you are for that */
    assert_string_equal(d->allow, "GET, POST");
    call_free(d);
}

static void who_may_what(void **state)
{
    static const struct {
        const char *method, *target, *token, *scope;
        int status;
    } CASES[] = {
        {"GET", "/loki/api/v1/labels", NULL, NULL, 401},
        {"GET", "/loki/api/v1/labels", "wrong-wrong-wrong-wrong", NULL, 403},
        {"GET", "/loki/api/v1/labels", WRITER, NULL, 403},
        {"GET", "/loki/api/v1/labels", READER, NULL, 401}, /* which tenant? */
        {"GET", "/loki/api/v1/labels", READER, "other", 200},
        {"GET", "/loki/api/v1/labels", READER, "default|other", 200},
        {"GET", "/loki/api/v1/labels", READER, "third", 403},
        {"GET", "/loki/api/v1/labels", ADMIN, NULL, 200},
        {"POST", "/loki/api/v1/push", READER, "default", 403},
        {"POST", "/loki/api/v1/push", NULL, NULL, 401},
        {"GET", "/metrics", NULL, NULL, 401},
        {"GET", "/metrics", READER, NULL, 403},
        {"GET", "/metrics", ADMIN, NULL, 200},
        {"GET", "/metrics", EVERY, NULL, 200}, /* of several tenants, and asks for none */
        {"GET", "/loki/api/v1/status/buildinfo", EVERY, NULL, 200},
        {"GET", "/loki/api/v1/status/buildinfo", NULL, NULL, 401},
        {"GET", "/ready", NULL, NULL, 200},
        {"GET", "/", NULL, NULL, 200},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct call *d = call(f, &(struct request){.method = CASES[i].method,
                                                   .target = CASES[i].target,
                                                   .token = CASES[i].token,
                                                   .scope = CASES[i].scope});
        if (d->status != CASES[i].status)
            fail_msg("%s %s with %s: %d", CASES[i].method, CASES[i].target,
                     CASES[i].token == NULL ? "nothing" : CASES[i].token, d->status);
        assert_int_equal(d->authenticate[0] != '\0', d->status == 401);
        call_free(d);
    }
    f->w->server.conf.http.metrics_public = true;
    check(f, &(struct request){.method = "GET", .target = "/metrics"}, 200,
          "logq_http_denied_total 10\n");
}

/* A body that nobody asked for is not read: the answer comes, the budget does not see it. */
static void a_strangers_body_is_not_read(void **state)
{
    struct fixture *f = *state;
    struct request r = push_of(STR_NULL);
    char *body = mem_new(MAX_BODY);
    size_t peak;

    r.token = "wrong-wrong-wrong-wrong";
    r.body = (struct str){body, MAX_BODY};
    peak = f->w->server.memory.peak;
    check(f, &r, 403, "unknown token");
    assert_true(f->w->server.memory.peak - peak < MAX_BODY / 2);
    free(body);
}

static void ready_says_when_it_stops(void **state)
{
    struct fixture *f = *state;

    check_get(f, "/ready", 200, "ready");
    f->w->server.draining = true;
    check_get(f, "/ready", 503, "stopping");
}

/* ---- push ---- */

static const char ONE_LINE[] = "{\"streams\":[{\"stream\":{\"app\":\"web\"},\"values\":[["
                               "\"1768003200000000007\",\"hello\"]]}]}";

static void a_push_is_answered_when_it_is_durable(void **state)
{
    struct fixture *f = *state;
    struct request r = push_of(STR(ONE_LINE));
    struct call *d;

    world_shut(f->w, true);
    d = start(f, &r);
    wait_check(f->w->loop, world_is_waiting, f->w, "the push to be durable");
    check_get(f, "/ready", 200, NULL); /* the loop is alive, and no answer there */
    assert_false(d->has_head);
    world_shut(f->w, false);
    finish(d);
    assert_int_equal(d->status, 204);
    assert_int_equal(d->body.n, 0);
    call_free(d);
    feed_check(&f->w->feed, "default", "hello\n");
}

static void pushes_come_compressed_too(void **state)
{
    struct fixture *f = *state;
    struct codec_writer *z = codec_writer_new();
    struct request r;
    struct buf packed;
    struct err err;

    buf_init(&packed, 4096);
    assert_int_equal(codec_pack(z, CODEC_GZIP, 6, STR(ONE_LINE), &packed, &err), 0);
    r = push_of(buf_str(&packed));
    r.encoding = "gzip";
    check(f, &r, 204, NULL);
    check(f, &r, 204, NULL); /* twice is two records: only chunks are known again */
    r.body.n -= 5;
    check(f, &r, 400, NULL);
    feed_check(&f->w->feed, "default", "hello\nhello\n");
    buf_fini(&packed);
    codec_writer_free(&z);
}

static void a_push_that_cannot_be_says_why(void **state)
{
    struct fixture *f = *state;
    struct codec_writer *z = codec_writer_new();
    struct request r = push_of(STR("{\"streams\":[{}]}"));
    char *zeros = mem_new(4 * MAX_BODY);
    struct buf packed;
    struct err err;

    check(f, &r, 400, "at byte 12");
    r.type = "application/x-protobuf";
    check(f, &r, 415, "JSON");
    r.type = "application/json";
    r.encoding = "snappy";
    check(f, &r, 415, NULL);
    r.encoding = "br";
    check(f, &r, 415, "'br'");
    r.encoding = NULL;
    r.body = (struct str){zeros, MAX_BODY + 1};
    check(f, &r, 413, NULL);
    buf_init(&packed, 1 << 20);
    assert_int_equal(codec_pack(z, CODEC_GZIP, 6, (struct str){zeros, 4 * MAX_BODY}, &packed, &err),
                     0);
    r.encoding = "gzip";
    r.body = buf_str(&packed);
    check(f, &r, 413, NULL); /* a bomb */
    check(f, &(struct request){.method = "POST", .target = "/loki/api/v1/push", .token = ADMIN},
          400, "byte 0");
    assert_int_equal(metric_get(METRIC_PUSH_REJECTED), 6);
    buf_fini(&packed);
    free(zeros);
    codec_writer_free(&z);
}

static void a_push_of_any_time_is_taken(void **state)
{
    struct fixture *f = *state;
    struct request r =
        push_of(STR("{\"streams\":[{\"stream\":{\"app\":\"web\"},\"values\":["
                    "[\"-9223372036854775808\",\"first\"],[\"9223372036854775807\",\"last\"]]}]}"));
    struct err err;

    check(f, &r, 204, NULL);
    if (store_flush(f->w->server.store, &err) < 0)
        fail_msg("%s", err.text);
    check_get(f, "/ready", 200, NULL);
}

static void a_stopped_store_is_503_come_again(void **state)
{
    struct fixture *f = *state;
    struct request r = push_of(STR(ONE_LINE));
    struct call *d;

    store_stop(f->w->server.store);
    d = call(f, &r);
    assert_int_equal(d->status, 503);
    assert_string_equal(d->retry_after, "5");
    call_free(d);
}

static void without_memory_a_push_is_503(void **state)
{
    struct fixture *f = *state;
    struct mem_budget *m = &f->w->server.memory;
    size_t taken = m->limit - m->used - 200000;
    struct request r = push_of(STR_NULL);
    struct err err;
    char *body = mem_new(MAX_BODY);

    memset(body, ' ', MAX_BODY);
    r.body = (struct str){body, MAX_BODY};
    assert_int_equal(mem_budget_take(m, taken, &err), 0);
    check(f, &r, 503, NULL);
    mem_budget_give(m, taken);
    check(f, &r, 400, NULL);
    free(body);
}

/* ---- queries ---- */

static void get_and_form_give_the_same_answer(void **state)
{
    static const char TARGET[] =
        "/loki/api/v1/query_range?query=%7Bapp%3D%22web%22%7D&direction=forward&" DAY;
    struct fixture *f = *state;
    struct request form = {.method = "POST",
                           .target = "/loki/api/v1/query_range",
                           .token = ADMIN,
                           .type = "application/x-www-form-urlencoded; charset=utf-8",
                           .body = STR("query=%7Bapp%3D%22web%22%7D&direction=forward&" DAY)};

    push_lines(f, 0, 3, 7);
    check_get(f, TARGET, 200, "[[\"1768003200000000000\",\"0000000\"],[\"1768003200000000001\"");
    check(f, &form, 200, "[[\"1768003200000000000\",\"0000000\"],[\"1768003200000000001\"");
    check_get(f, "/loki/api/v1/labels?" DAY, 200, "[\"app\",\"service_name\"]");
    check_get(f, "/loki/api/v1/label/app/values?" DAY, 200, "[\"web\"]");
    check_get(f, "/loki/api/v1/label/a-b/values?" DAY, 400, "no label name");
    check_get(f, "/loki/api/v1/series?match[]={app%3D%22web%22}&" DAY, 200,
              "[{\"app\":\"web\",\"service_name\":\"web\"}]");
    check_get(f, "/loki/api/v1/series?match[]={app%3D%22else%22}&" DAY, 200, "\"data\":[]");
    check_get(f, "/loki/api/v1/query?query=1%2B1", 200, "\"2\"");
    check_get(f, "/loki/api/v1/format_query?query={app=%20%22web%22}", 200, "{app=\\\"web\\\"}");
}

static void tenants_do_not_see_each_other(void **state)
{
    struct fixture *f = *state;
    struct request r = push_of(STR(ONE_LINE));
    struct request q = {.method = "GET", .target = "/loki/api/v1/labels?" DAY, .token = EVERY};

    r.token = EVERY;
    r.scope = "other";
    check(f, &r, 204, NULL);
    q.scope = "default";
    check(f, &q, 200, "\"data\":[]");
    q.scope = "other";
    check(f, &q, 200, "\"app\"");
    q.scope = "default|other|other";
    check(f, &q, 200, "\"app\"");
    r.scope = "default|other";
    check(f, &r, 403, "one tenant");
}

static void bad_parameters_are_400_in_words(void **state)
{
    static const struct {
        const char *target, *says;
    } CASES[] = {
        {"/loki/api/v1/query_range", "'query' is missing"},
        {"/loki/api/v1/query_range?query={app=", "parse error at line 1"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&start=9999999999", "is no time"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&start=2&end=1", "end timestamp"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&since=-1h", "is no duration"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&limit=0", "positive number"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&limit=5001", "max entries limit"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&direction=up", "direction"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&step=0", "step"},
        {"/loki/api/v1/query_range?query=%zz", NULL},
        {"/loki/api/v1/query?query={a=%22b%22}", "instant query"},
        {"/loki/api/v1/series?match[]=1", "label matchers"},
        {"/loki/api/v1/format_query?query={", "invalid-query"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        check_get(f, CASES[i].target, 400, CASES[i].says);
    check_get(f, /* the widest range there is */
              "/loki/api/v1/query_range?query={a=%22b%22}&start=-9223372036854775808"
              "&end=9223372036854775807",
              200, "streams");
}

static void when_too_many_wait_it_is_429(void **state)
{
    struct fixture *f = *state;
    struct block b;
    struct call *waits;

    block_worker(f, &b, 1);
    waits = start(
        f, &(struct request){.method = "GET", .target = "/loki/api/v1/labels", .token = ADMIN});
    while (!workers_run(f->w->server.workers, stand_in, &b) ? false : true)
        ; /* until the queue is full: by the call, or by us */
    check_get(f, "/loki/api/v1/labels", 429, "query.concurrent");
    check_get(f, "/api/v1/export?query={a=%22b%22}", 200, NULL); /* has workers of its own */
    assert_true(metric_get(METRIC_QUERY_BUSY) >= 1);
    unblock(&b);
    WAIT_FOR(f->w->loop, waits->done);
    call_free(waits);
    workers_free(&f->w->server.workers);
}

static void a_client_that_goes_away_while_it_waits_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct block b;
    struct call *d;

    block_worker(f, &b, 8);
    d = start(f, &(struct request){.method = "GET",
                                   .target = "/loki/api/v1/query_range?query={a=%22b%22}",
                                   .token = ADMIN});
    wait_metric(f, METRIC_QUERIES, 1);
    http_client_cancel(d->c);
    WAIT_FOR(f->w->loop, d->done);
    assert_int_equal(d->err.code, ERR_CANCELLED);
    call_free(d);
    while (!api_is_idle(f->api))
        check_get(f, "/ready", 200, NULL); /* the server sees it too */
    unblock(&b);
    check_get(f, "/loki/api/v1/labels", 200, NULL);        /* behind it in the queue */
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 0); /* it never ran */
    workers_free(&f->w->server.workers);
}

/* ---- export ---- */

static void an_export_streams_everything_in_order(void **state)
{
    enum { LINES = 20000 };
    struct fixture *f = *state;
    struct call *d;

    for (size_t i = 0; i < LINES; i += 5000)
        push_lines(f, i, 5000, 40);
    d = call(f, &(struct request){.method = "GET",
                                  .target = "/api/v1/export?query={app=%22web%22}"
                                            "&direction=forward&" DAY,
                                  .token = ADMIN});
    assert_int_equal(d->status, 200);
    assert_string_equal(d->type, "application/x-ndjson");
    assert_int_equal(count_export(d), LINES);
    call_free(d);
    d = call(f, &(struct request){.method = "GET",
                                  .target = "/api/v1/export?query={app=%22web%22}"
                                            "&direction=forward&limit=10&" DAY,
                                  .token = ADMIN});
    assert_int_equal(count_export(d), 10);
    call_free(d);
    d = call(f, &(struct request){.method = "GET",
                                  .target = "/api/v1/export?query={app=%22none%22}&" DAY,
                                  .token = ADMIN});
    assert_int_equal(d->status, 200);
    assert_int_equal(d->body.n, 0);
    call_free(d);
}

static void errors_of_an_export_are_json(void **state)
{
    struct fixture *f = *state;

    check_get(f, "/api/v1/export", 400, "\"errorType\":\"bad_data\"");
    check_get(f, "/api/v1/export?query={app=%22web%22}%20|", 400, "\"line\":1,\"column\":");
    check_get(f, "/api/v1/export?query={a=%22b%22}&start=x", 400, "\"status\":\"error\"");
    check_get(f, "/api/v1/export?query=1%2B1", 400, "log queries");
    check_get(f, "/api/v1/export?query={a=%22b%22}&after_seq=3", 400, "direction=forward");
    check_get(f, "/api/v1/export?query={a=%22b%22}&limit=-1", 400, "is no number");
}

/* The query fails behind the first entry, in front of the first full piece: the entry comes, then
 * the error, and the answer is visibly not whole. */
static void an_export_that_fails_in_the_middle_says_so(void **state)
{
    enum { OTHERS = 3000 /* more than a scan gives at once, but few pass */ };
    struct fixture *f = *state;
    struct request first = push_of(
        STR("{\"streams\":[{\"stream\":{\"app\":\"web\"},\"values\":[[\"1768003200000000000\","
            "\"0000000 error\"]]}]}"));
    struct call *d;
    struct err err;

    check(f, &first, 204, NULL);
    push_lines(f, 1, OTHERS, 7);
    push_lines(f, (size_t)(2 * NS_PER_DAY), 1, 900000);
    assert_int_equal(store_flush(f->w->server.store, &err), 0);
    f->w->server.conf.query.memory_bytes = 3 << 19; /* not enough for the last line */
    d = start(f, &(struct request){.method = "GET",
                                   .target = "/api/v1/export?query={app=%22web%22}%20|"
                                             "%20detected_level=%22error%22&direction=forward"
                                             "&start=1768003200&end=1768262400",
                                   .token = ADMIN});
    WAIT_FOR(f->w->loop, d->done);
    buf_add_char(&d->body, '\0');
    assert_int_equal(d->status, 200);
    assert_int_not_equal(d->err.code, 0); /* cut */
    assert_non_null(strstr(d->body.p, "0000000 error"));
    assert_non_null(strstr(d->body.p, "\n{\"error\":"));
    call_free(d);
}

enum { BIG_LINES = 1500, BIG_LINE = 16000, BIG_PER_PUSH = 50 };

static void push_much(struct fixture *f)
{
    for (size_t i = 0; i < BIG_LINES; i += BIG_PER_PUSH)
        push_lines(f, i, BIG_PER_PUSH, BIG_LINE);
}

static const struct request MUCH = {
    .method = "GET",
    .target = "/api/v1/export?query={app=%22web%22}&direction=forward&" DAY,
    .token = ADMIN};

/* How often can /ready be asked before `d` is done?  At most `most` times. */
static unsigned turns_until_done(struct fixture *f, const struct call *d, unsigned most)
{
    unsigned n = 0;

    for (; n < most && !d->done; n++)
        check_get(f, "/ready", 200, NULL);
    return n;
}

static void a_slow_reader_slows_the_query_and_gets_it_all(void **state)
{
    struct fixture *f = *state;
    struct request slow = MUCH;
    struct call *d;
    unsigned turns;

    push_much(f);
    d = start(f, &MUCH);
    turns = turns_until_done(f, d, 100000);
    assert_int_equal(count_export(d), BIG_LINES);
    call_free(d);
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 1);
    slow.pause = true;
    d = start(f, &slow);
    WAIT_FOR(f->w->loop, d->has_body);
    (void)turns_until_done(f, d, 2 * turns + 10);
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 1); /* the query waits for its reader */
    d->pause = false;
    http_client_resume(d->c);
    finish(d);
    assert_int_equal(count_export(d), BIG_LINES);
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 2);
    call_free(d);
}

static void a_reader_that_goes_away_frees_the_worker(void **state)
{
    struct fixture *f = *state;
    struct request gone = MUCH;
    struct call *d;

    open_api(f, 1, 4);
    push_much(f);
    gone.cancel = true;
    d = start(f, &gone);
    WAIT_FOR(f->w->loop, d->done);
    call_free(d);
    wait_metric(f, METRIC_QUERY_CANCELLED, 1);
    check_get(f, "/loki/api/v1/labels?" DAY, 200, "app"); /* by the only worker */
}

/* ---- the end ---- */

static void a_drain_lets_calls_end_and_takes_no_new_ones(void **state)
{
    struct fixture *f = *state;
    char address[64];
    struct block b;
    struct call *d;

    block_worker(f, &b, 8);
    (void)snprintf(address, sizeof(address), "%s", api_address(f->api));
    d = start(f, &(struct request){.method = "GET",
                                   .target = "/loki/api/v1/query_range?query={a=%22b%22}",
                                   .token = ADMIN});
    wait_metric(f, METRIC_QUERIES, 1);
    api_drain(f->api);
    assert_false(api_is_idle(f->api));
    unblock(&b);
    finish(d);
    assert_int_equal(d->status, 200);
    assert_true(api_is_idle(f->api));
    call_free(d);
    d = start(f, &(struct request){.method = "GET", .target = "/ready"});
    WAIT_FOR(f->w->loop, d->done);
    assert_int_equal(d->err.code, ERR_IO);
    call_free(d);
    workers_free(&f->w->server.workers);
}

/* A push at the store, a query and an export in the queue, an export that streams: none may be
 * touched after it was freed, whoever frees it. */
static void a_stop_in_the_middle_frees_everything_once(void **state)
{
    struct fixture *f = *state;
    struct request push = push_of(STR(ONE_LINE)), slow = MUCH;
    struct call *calls[4];
    struct block b;

    push_much(f);
    open_api(f, 2, 8);
    slow.pause = true;
    calls[0] = start(f, &slow);
    WAIT_FOR(f->w->loop, calls[0]->has_body);
    b = (struct block){.inside = 0};
    (void)pthread_mutex_init(&b.mutex, NULL);
    (void)pthread_cond_init(&b.changed, NULL);
    assert_true(workers_run(f->w->server.workers, stand_in, &b)); /* the second worker */
    world_shut(f->w, true);
    calls[1] = start(f, &push);
    wait_check(f->w->loop, world_is_waiting, f->w, "the push to be durable");
    calls[2] = start(f, &(struct request){.method = "GET",
                                          .target = "/loki/api/v1/query_range?query={a=%22b%22}",
                                          .token = ADMIN});
    calls[3] = start(f, &MUCH);
    wait_metric(f, METRIC_QUERIES, 3);
    api_cut(f->api);
    loop_stop(f->w->loop);
    loop_run(f->w->loop); /* until it has stopped */
    unblock(&b);
    world_shut(f->w, false);
    stop(f);
    loop_free(&f->w->loop); /* the clients hear of it */
    for (size_t i = 0; i < 4; i++) {
        assert_true(calls[i]->done);
        call_free(calls[i]);
    }
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(unknown_paths_are_404_and_methods_405), T(who_may_what),
           T(a_strangers_body_is_not_read), T(ready_says_when_it_stops),
           T(a_push_is_answered_when_it_is_durable), T(pushes_come_compressed_too),
           T(a_push_that_cannot_be_says_why), T(a_push_of_any_time_is_taken),
           T(a_stopped_store_is_503_come_again), T(without_memory_a_push_is_503),
           T(get_and_form_give_the_same_answer), T(tenants_do_not_see_each_other),
           T(bad_parameters_are_400_in_words), T(when_too_many_wait_it_is_429),
           T(a_client_that_goes_away_while_it_waits_is_forgotten),
           T(an_export_streams_everything_in_order), T(errors_of_an_export_are_json),
           T(an_export_that_fails_in_the_middle_says_so),
           T(a_slow_reader_slows_the_query_and_gets_it_all),
           T(a_reader_that_goes_away_frees_the_worker),
           T(a_drain_lets_calls_end_and_takes_no_new_ones),
           T(a_stop_in_the_middle_frees_everything_once))
