/* server/api*.c over HTTPS: router, credentials, push, queries, and the end. */
#include "server/stream_limit.h"
#include "tests/unit/server/caller.h"
#include "wire/codec.h"

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
    r.type = "application/x-protobuf"; /* and then snappy, said or not */
    check(f, &r, 400, "snappy");
    r.type = "application/json";
    r.encoding = "snappy";
    check(f, &r, 400, "snappy");
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
    r.encoding = "snappy";
    r.body = STR("\xff\xff\xff\xff\x0f????"); /* 4 GiB, it says */
    check(f, &r, 413, NULL);
    r.body = STR("\x80\x80\x04????"); /* 64 KiB in four bytes */
    check(f, &r, 400, "snappy");
    check(f, &(struct request){.method = "POST", .target = "/loki/api/v1/push", .token = ADMIN},
          400, "byte 0");
    assert_int_equal(metric_get(METRIC_PUSH_REJECTED), 8);
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

static void patterns_are_counted_by_step(void **state)
{
    struct fixture *f = *state;
    struct request push = push_of(STR("{\"streams\":[{\"stream\":{\"app\":\"pat\"},\"values\":["
                                      "[\"1768003200000000001\",\"user 17 logged in\"],"
                                      "[\"1768003200000000002\",\"user 4 logged in\"],"
                                      "[\"1768003200700000000\",\"user 5 logged in\"]]}]}"));

    check(f, &push, 204, NULL);
    check_get(f, "/loki/api/v1/patterns?query={app%3D%22pat%22}&step=500ms&" DAY, 200,
              "[{\"pattern\":\"user <_> logged in\",\"level\":\"unknown\",\"samples\":"
              "[[1768003200,2],[1768003200,1]]}]");
    check_get(f, "/loki/api/v1/patterns?query={app%3D%22none%22}&" DAY, 200, "\"data\":[]");
    check_get(f, "/loki/api/v1/patterns?query={app%3D%22pat%22}|%3D%22x%22&" DAY, 400, "matchers");
    check_get(f, "/loki/api/v1/patterns?query={app%3D%22pat%22}&step=1ms&start=1&end=1000", 400,
              "steps");
}

/* Each segment below `dir_fd`, in its first block. */
static int damage_segment(void *arg, int dir_fd, const char *name, struct err *err)
{
    char noise[400];
    int fd = -1;

    memset(noise, '?', sizeof(noise));
    if (strstr(name, ".lqs") != NULL) {
        fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0 && pwrite(fd, noise, sizeof(noise), 400) == (ssize_t)sizeof(noise));
        (*(unsigned *)arg)++;
        (void)close(fd);
    } else if (file_open_dir(dir_fd, name, &fd, err) == 0) {
        (void)file_walk(fd, damage_segment, arg, err);
        (void)close(fd);
    }
    return 0;
}

static void patterns_say_that_blocks_are_damaged(void **state)
{
    struct fixture *f = *state;
    struct request push;
    struct buf body;
    unsigned n = 0;
    struct err err;
    int fd = -1;

    buf_init(&body, 1 << 16);
    buf_add_z(&body, "{\"streams\":[{\"stream\":{\"app\":\"pat\"},\"values\":[");
    for (unsigned i = 0; i < 200; i++)
        buf_addf(&body, "%s[\"1768003200%09u\",\"user %u logged in\"]", i == 0 ? "" : ",", i, i);
    buf_add_z(&body, "]}]}");
    push = push_of(buf_str(&body));
    check(f, &push, 204, NULL);
    buf_fini(&body);
    assert_int_equal(store_flush(f->w->feed.s, &err), 0);
    assert_int_equal(file_open_dir(f->w->feed.dir, "data/tenants", &fd, &err), 0);
    assert_int_equal(file_walk(fd, damage_segment, &n, &err), 0);
    (void)close(fd);
    assert_int_equal(n, 1);
    check_get(f, "/loki/api/v1/patterns?query={app%3D%22pat%22}&" DAY, 200,
              "\"data\":[],\"warnings\":[\"the answer is incomplete: 1 damaged blocks");
}

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
    const struct request json = {.method = "POST",
                                 .target = "/loki/api/v1/query_range",
                                 .token = ADMIN,
                                 .type = "application/json",
                                 .body = STR("{\"query\":\"{app=~\\\".+\\\"}\"}")};

    push_lines(f, 0, 3, 7);
    check(f, &json, 400, "'query' is missing: a body is a form");
    check_get(f, TARGET, 200, "[[\"1768003200000000000\",\"0000000\"],[\"1768003200000000001\"");
    check(f, &form, 200, "[[\"1768003200000000000\",\"0000000\"],[\"1768003200000000001\"");
    form.target = "/loki/api/v1/query_range?query={app=%22else%22}&direction=up"; /* form first */
    check(f, &form, 200, "[[\"1768003200000000000\",\"0000000\"],[\"1768003200000000001\"");
    check_get(f, "/loki/api/v1/labels?" DAY, 200, "[\"app\",\"service_name\"]");
    check_get(f, "/loki/api/v1/label/app/values?" DAY, 200, "[\"web\"]");
    check_get(f, "/loki/api/v1/label/a-b/values?" DAY, 400, "no label name");
    check_get(f, "/loki/api/v1/series?match[]={app%3D%22web%22}&" DAY, 200,
              "[{\"app\":\"web\",\"service_name\":\"web\"}]");
    check_get(f, "/loki/api/v1/series?match[]={app%3D%22else%22}&" DAY, 200, "\"data\":[]");
    check_get(f, "/loki/api/v1/series?match[]={app%3D%22else%22}&match[]={}&" DAY, 200,
              "[{\"app\":\"web\",\"service_name\":\"web\"}]"); /* any of them */
    check_get(f, "/loki/api/v1/series?match[]={app!%3D%22else%22}&" DAY, 200,
              "[{\"app\":\"web\",\"service_name\":\"web\"}]"); /* selects all, but for series */
    check_get(f, "/loki/api/v1/series?match[]={app%3D~%22.*%22}&" DAY, 200, "[{\"app\":\"web\"");
    check_get(f, "/loki/api/v1/series?match[]={app!%3D%22web%22}&" DAY, 200, "\"data\":[]");
    check_get(f, "/loki/api/v1/labels?query={app!%3D%22else%22}&" DAY, 400, "empty-compatible");
    check_get(f, "/loki/api/v1/label/app/values?query={app!%3D%22else%22}&" DAY, 400,
              "empty-compatible");
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
        {"/loki/api/v1/query_range?query=vector(1)&before=1", "'before' goes with log queries"},
        {"/loki/api/v1/query_range?query=vector(1)&after=1", "'after' goes with log queries"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&lenient=true", "with metric queries"},
        {"/loki/api/v1/query_range?query={a=%22b%22}&top_series=true", "with metric queries"},
        {"/api/v1/admin/compact?wait=banana", "'wait': 'banana' is no answer"},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        check_get(f, CASES[i].target, 400, CASES[i].says);
    check_get(f, /* the widest range there is */
              "/loki/api/v1/query_range?query={a=%22b%22}&start=-9223372036854775808"
              "&end=9223372036854775807",
              200, "streams");
}

static void the_limit_of_entries_is_no_limit_of_a_metric_query(void **state)
{
    struct fixture *f = *state;

    check_get(f, "/loki/api/v1/query_range?query=vector(1)&limit=5001&step=60", 200, "matrix");
    check_get(f, "/loki/api/v1/query_range?query=vector(1)&limit=0", 400, "positive number");
    check_get(f, "/loki/api/v1/query_range?query={a=%22b%22}&limit=5001", 400, "max entries limit");
}

/* An end in the future, as dashboards have it, hides nothing of the last hour. */
static void without_a_start_the_past_is_asked(void **state)
{
#define SOON "end=1768010000" /* two hours from now on */
    static const char *const TARGETS[] = {
        "/loki/api/v1/query_range?query={app=%22web%22}&" SOON,
        "/loki/api/v1/query_range?query={app=%22web%22}&since=10s&" SOON,
        "/loki/api/v1/labels?since=1h&" SOON,
        "/loki/api/v1/series?" SOON,
    };
    struct fixture *f = *state;
    struct request r = push_of(STR(ONE_LINE));

    check(f, &r, 204, NULL);
    time_set(INT64_C(1768003205) * NS_PER_S);
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++)
        check_get(f, TARGETS[i], 200, "app");
    check_get(f, "/loki/api/v1/query_range?query={app=%22web%22}&since=2s&" SOON, 200,
              "\"result\":[]");
    time_unset();
#undef SOON
}

/* The message first, as Loki has it; below it the line of the query, and where in it. */
static void a_parse_error_shows_its_place(void **state)
{
    static const char *const ENDPOINTS[] = {"query_range?query=",
                                            "query?query=",
                                            "tail?query=",
                                            "series?match[]=",
                                            "labels?query=",
                                            "label/app/values?query=",
                                            "index/stats?query=",
                                            "index/volume?query=",
                                            "index/volume_range?query=",
                                            "detected_fields?query=",
                                            "patterns?query=",
                                            "detected_labels?query=",
                                            "detected_field/x/values?query="};
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(ENDPOINTS) / sizeof(ENDPOINTS[0]); i++) {
        char target[200];
        struct call *d;
        (void)snprintf(target, sizeof(target), "/loki/api/v1/%s{a%%3D%%22b%%22,%%0Ac~%%22d%%22}",
                       ENDPOINTS[i]);
        d = call(f, &(struct request){.method = "GET", .target = target, .token = ADMIN});
        assert_int_equal(d->status, 400);
        assert_true(str_starts(str_of(d->type), STR("text/plain")));
        assert_true(str_starts(buf_str(&d->body), STR("parse error at line 2, col 2: ")));
        if (!str_ends(buf_str(&d->body), STR("\n  c~\"d\"}\n   ^\n")))
            fail_msg("%s: %.*s", target, STR_ARG(buf_str(&d->body)));
        call_free(d);
    }
    check_get(f, "/loki/api/v1/format_query?query={a~", 400,
              "\"error\":\"parse error at line 1, col 3: ");
    check_get(f, "/loki/api/v1/format_query?query={a~", 400, "\\n  {a~\\n    ^\\n\"}");
}

static void the_empty_selector_is_for_who_may(void **state)
{
    static struct server_conf_tenant_limits own[] = {
        {.tenant = STR_INIT("other"), .empty_selector = SERVER_CONF_TRUE}};
    static const char *const TARGETS[] = {"/loki/api/v1/query_range?query={}&" DAY,
                                          "/api/v1/export?query={}&" DAY,
                                          "/loki/api/v1/format_query?query={}"};
    struct fixture *f = *state;

    push_lines(f, 0, 1, 20);
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++) {
        struct request q = {.method = "GET", .target = TARGETS[i], .token = EVERY};
        f->w->server.conf.query.n_tenant_limits = 0;
        q.scope = "other";
        check(f, &q, 400, "queries require at least one");
        f->w->server.conf.query.tenant_limits = own;
        f->w->server.conf.query.n_tenant_limits = 1;
        check(f, &q, 200, NULL);
        q.scope = "default";
        check(f, &q, 400, "queries require at least one");
        q.scope = "default|other"; /* one of them does not say so */
        check(f, &q, 400, "queries require at least one");
        f->w->server.conf.query.empty_selector = true;
        check(f, &q, 200, i < 2 ? "00000" : "{}");
        own[0].empty_selector = SERVER_CONF_FALSE;
        check(f, &q, 400, "queries require at least one");
        own[0].empty_selector = SERVER_CONF_TRUE;
        f->w->server.conf.query.empty_selector = false;
    }
    f->w->server.conf.query.tenant_limits = NULL;
    f->w->server.conf.query.n_tenant_limits = 0;
}

static void labels_have_the_time_of_a_query(void **state)
{
    static const char *const TARGETS[] = {
        "/loki/api/v1/labels?" DAY, "/loki/api/v1/label/app/values?" DAY,
        "/loki/api/v1/series?" DAY, "/loki/api/v1/detected_labels?" DAY};
    struct fixture *f = *state;

    push_lines(f, 0, 1, 20);
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++)
        check_get(f, TARGETS[i], 200, NULL);
    f->w->server.conf.query.time = 1; /* ns: over before anything is read */
    for (size_t i = 0; i < sizeof(TARGETS) / sizeof(TARGETS[0]); i++)
        check_get(f, TARGETS[i], 504, "the query took too long");
}

static void when_too_many_wait_it_is_429(void **state)
{
    struct fixture *f = *state;
    struct call *waits;

    block_worker(f, 1);
    waits = start(
        f, &(struct request){.method = "GET", .target = "/loki/api/v1/labels", .token = ADMIN});
    while (workers_run(f->w->server.workers, STR("default"), stand_in, &f->block))
        ; /* until the queue is full: by the call, or by us */
    check_get(f, "/loki/api/v1/labels", 429, "query.concurrent");
    check_get(f, "/api/v1/export?query={a=%22b%22}", 200, NULL); /* has workers of its own */
    assert_true(metric_get(METRIC_QUERY_BUSY) >= 1);
    unblock(f);
    WAIT_FOR(f->w->loop, waits->done);
    call_free(waits);
    workers_free(&f->w->server.workers);
}

static void a_client_that_goes_away_while_it_waits_is_forgotten(void **state)
{
    struct fixture *f = *state;
    struct call *d;

    block_worker(f, 8);
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
    unblock(f);
    check_get(f, "/loki/api/v1/labels", 200, NULL);        /* behind it in the queue */
    assert_int_equal(metric_get(METRIC_QUERY_SECONDS), 0); /* it never ran */
    assert_int_equal(metric_get(METRIC_QUERY_CANCELLED), 1);
    workers_free(&f->w->server.workers);
}

/* Lines that a template keeps busy: all of them would take some ten seconds or more. */
#define BUSY                                                                                       \
    "/loki/api/v1/query_range?query={app=~%22.%2B%22}%7Cline_format%22"                            \
    "{{range%20$i:=40000}}{{if%20$i}}{{end}}{{end}}%22&start=0&limit=5000"

struct memory {
    const struct fixture *f;
    size_t least;
};

static bool is_taken(void *arg)
{
    const struct memory *m = arg;

    return m->f->w->server.memory.used > m->least;
}

static void a_client_that_goes_away_ends_the_query_that_runs(void **state)
{
    enum { OF_A_SCAN = 64 << 10 };
    struct fixture *f = *state;
    struct memory m = {.f = f};
    struct call *d;
    dur_ns gone;

    push_lines(f, 0, 4000, 100);
    m.least = f->w->server.memory.used + OF_A_SCAN;
    d = start(f, &(struct request){.method = "GET", .target = BUSY, .token = ADMIN});
    wait_check(f->w->loop, is_taken, &m, "the query to run");
    gone = time_mono();
    http_client_cancel(d->c);
    WAIT_FOR(f->w->loop, d->done);
    call_free(d);
    wait_metric(f, METRIC_QUERY_CANCELLED, 1);
    assert_in_range(time_mono() - gone, 0, 2 * NS_PER_S); /* 100 ms where nothing else runs */
    wait_metric(f, METRIC_QUERY_CANCEL_SECONDS, 1);       /* which says how long it took */
    assert_int_equal(metric_get(METRIC_QUERY_FAILED), 0);
}

static void lines_around_hits_are_marked(void **state)
{
    struct fixture *f = *state;

    push_lines(f, 0, 9, 20);
    check_get(f,
              "/loki/api/v1/"
              "query_range?query={app=~%22.%2B%22}%7C=%220000004%22&start=0&before=1&after=1",
              200, "{\"context\":true}");
    check_get(f,
              "/loki/api/v1/query_range?query={app=~%22.%2B%22}%7C=%220000004%22&start=0&before=1",
              200, "0000003");
    check_get(f, "/loki/api/v1/query_range?query={app=~%22.%2B%22}&before=101", 400,
              "'before': '101' is no number from 0 to 100");
    check_get(f, "/loki/api/v1/query_range?query={app=~%22.%2B%22}&before=1&limit=1001", 400,
              "limit is from 1 to 1000");
}

static void what_loki_refuses_can_be_had_with_a_warning(void **state)
{
    struct fixture *f = *state;

    push_lines(f, 0, 9, 20);
    check_get(
        f,
        "/loki/api/v1/query?query=max(count_over_time({app=%22web%22}%7Cjson[1h]))&time=1768003201",
        400,
        "'.\nUse a label filter to intentionally skip this error. (e.g | "
        "__error__!=\"JSONParserErr\").\n"
        "To skip all potential errors you can match empty errors.(e.g __error__=\"\")\n"
        "The label filter can also be specified after unwrap. "
        "(e.g | unwrap latency | __error__=\"\" )\n");
    check_get(
        f,
        "/loki/api/v1/"
        "query?query=max(count_over_time({app=%22web%22}%7Cjson[1h]))&time=1768003201&lenient=true",
        200, "\"warnings\":[\"9 lines that a stage could not read were left out\"]");
    f->w->server.conf.query.series = 1;
    check_get(f,
              "/loki/api/v1/"
              "query?query=count_over_time({app=%22web%22}[1h])%20or%20vector(1)&time=1768003201",
              400, "maximum number of series");
    check_get(f,
              "/loki/api/v1/"
              "query?query=count_over_time({app=%22web%22}[1h])%20or%20vector(1)&time=1768003201&"
              "top_series=true",
              200, "1 series over the limit were left out");
    check_get(f, "/loki/api/v1/query?query=vector(1)&lenient=yes", 400, "'lenient': 'yes' is no");
}

static void streams_over_the_limit_are_429(void **state)
{
    struct fixture *f = *state;
    struct request r = push_of(STR(ONE_LINE));

    f->w->server.streams = stream_limit_new(1);
    check(f, &r, 204, NULL);
    check(f, &r, 204, NULL);
    r.body = STR("{\"streams\":[{\"stream\":{\"app\":\"new\"},\"values\":[["
                 "\"1768003200000000007\",\"hello\"]]}]}");
    check(f, &r, 429, "tenant 'default' has 1 streams today");
    feed_check(&f->w->feed, "default", "hello\nhello\n");
    stop(f); /* until then it is looked at by the loop of pushes, too */
    stream_limit_free(&f->w->server.streams);
}

/* ---- delete requests ---- */

#define DELETE "/loki/api/v1/delete"

static void only_admins_delete_and_only_for_one_tenant(void **state)
{
    struct fixture *f = *state;
    struct request r = {.method = "GET", .target = DELETE};

    check(f, &r, 401, NULL);
    r.token = READER;
    r.scope = "default";
    check(f, &r, 403, "role admin");
    r.token = WRITER;
    check(f, &r, 403, NULL);
    r.token = EVERY;
    r.scope = "default|other";
    check(f, &r, 400, "one tenant");
    r.scope = "default";
    check(f, &r, 200, "[]");
}

static void a_delete_request_hides_is_listed_and_taken_back(void **state)
{
    struct fixture *f = *state;
    struct request push = push_of(STR(ONE_LINE));
    struct request r = {.method = "POST",
                        .target =
                            DELETE "?query={app=%22web%22}+|=+%22hell%22&start=0&end=2000000000",
                        .token = ADMIN};

    check(f, &r, 404, "no records"); /* nobody knows the tenant yet */
    check(f, &push, 204, NULL);
    feed_check(&f->w->feed, "default", "hello\n");
    check(f, &r, 204, NULL);
    feed_check(&f->w->feed, "default", "");
    check_get(f, DELETE, 200,
              "[{\"request_id\":\"0000000000000001\",\"start_time\":0,"
              "\"end_time\":2000000000,\"query\":\"{app=\\\"web\\\"} |= "
              "\\\"hell\\\"\",\"status\":\"received\",\"created_at\":");
    r.method = "DELETE";
    r.target = DELETE "?request_id=0000000000000009";
    check(f, &r, 404, "no delete request");
    r.target = DELETE;
    check(f, &r, 400, "request_id");
    r.target = DELETE "?request_id=0000000000000001&force=banana";
    check(f, &r, 400, "'force': 'banana' is no answer");
    r.target = DELETE "?request_id=0000000000000001&force=false";
    check(f, &r, 204, NULL);
    check_get(f, DELETE, 200, "[]");
    feed_check(&f->w->feed, "default", "hello\n");
}

/* Loki's logcli reads whole seconds and nothing else. */
static void delete_requests_are_made_by_form_and_listed_in_whole_seconds(void **state)
{
    static const char *const METHODS[] = {"POST", "PUT"};
    struct fixture *f = *state;
    struct request push = push_of(STR(ONE_LINE));
    struct request r = {.target = DELETE,
                        .token = ADMIN,
                        .type = "application/x-www-form-urlencoded",
                        .body = STR("query={app=%22web%22}&start=1.5&end=1999999999.001"
                                    "&max_interval=24h")};

    check(f, &push, 204, NULL);
    for (size_t i = 0; i < 2; i++) {
        r.method = METHODS[i];
        check(f, &r, 204, NULL);
    }
    check_get(f, DELETE, 200, "\"0000000000000002\",\"start_time\":1,\"end_time\":2000000000,");
    feed_check(&f->w->feed, "default", "");
}

static void a_delete_request_is_a_selector_and_line_filters(void **state)
{
    static const struct {
        const char *target, *says;
    } CASES[] = {
        {DELETE "?start=0", "'query' is missing"},
        {DELETE "?query={a=%22b%22}", "'start' is missing"},
        {DELETE "?query={a=%22b%22}+|+json+|+v=%225%22&start=0", "line 1, col 16: a delete req"},
        {DELETE "?query={a=%22b%22}+|+dedup&start=0", "line 1, col 9: a delete request takes"},
        {DELETE "?query={a=%22b%22}+|+line_format+%22x%22+|=+%22x%22&start=0", "col 27: a delete"},
        {DELETE "?query={a=%22b%22}+|+unpack+|=+%22x%22&start=0", "col 18: a delete request"},
        {DELETE "?query={a=%22b%22}+|+decolorize+!=+%22x%22&start=0", "col 22: a delete request"},
        {DELETE "?query={a=%22b%22}+|>+%22<_>%22&start=0", "col 9: a delete request"},
        {DELETE "?query=rate({a=%22b%22}[1m])&start=0", "metric query"},
        {DELETE "?query={a=%22b%22}&start=9&end=8", "end timestamp"},
        {DELETE "?query={a=%22b%22}&start=9&end=9", "not behind its start"},
        {DELETE "?query={a=%22b%22}&start=0&max_interval=banana", "'max_interval': 'banana'"},
        {DELETE "?query={a=%22b%22}&start=0&max_interval=5", "'max_interval': '5'"},
        {DELETE "?query={a=%22b%22}&start=0&max_interval=1ms", "'max_interval': '1ms'"},
    };
    struct fixture *f = *state;
    struct request push = push_of(STR(ONE_LINE));

    check(f, &push, 204, NULL);
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++)
        check(f, &(struct request){.method = "PUT", .target = CASES[i].target, .token = ADMIN}, 400,
              CASES[i].says);
    feed_check(&f->w->feed, "default", "hello\n");
    /* what all entries pass decides nothing */
    check(f,
          &(struct request){.method = "POST",
                            .target =
                                DELETE "?query={app=%22web%22}+|+json+|+drop+x+|=+%22hello%22+"
                                       "|+line_format+%22%22&start=0",
                            .token = ADMIN},
          204, NULL);
    feed_check(&f->w->feed, "default", "");
}

/* ---- legal holds ---- */

#define HOLD "/api/v1/admin/hold"

static void a_hold_on_streams_refuses_to_delete_them_alone(void **state)
{
    struct fixture *f = *state;
    struct request push = push_of(STR(ONE_LINE));
    struct request r = {.method = "POST",
                        .target = HOLD "?reason=case&query={app=%22web%22}&start=0&end=2000000000",
                        .token = ADMIN};
    struct request other = {.method = "POST",
                            .target = DELETE "?query={app!=%22web%22,app=~%22.%2b%22}&start=0",
                            .token = ADMIN};

    check(f, &push, 204, NULL);
    check(f, &r, 200, "{\"id\":\"");
    check_get(f, HOLD, 200, "\",\"query\":\"{app=\\\"web\\\"}\",\"start\":");
    r.target = DELETE "?query={app=%22web%22}&start=0&end=2000000000";
    check(f, &r, 403, "is on {app=\"web\"");
    check(f, &other, 204, NULL);
    r.target = HOLD "?reason=case&query={app=%22web%22}+|=+%22x%22&start=0&end=2000000000";
    check(f, &r, 400, "a stream selector alone");
    r.target = HOLD "?reason=case&query={app&start=0&end=2000000000";
    check(f, &r, 400, "parse error at line 1");
}

/* ---- the end ---- */

static void a_drain_lets_calls_end_and_takes_no_new_ones(void **state)
{
    struct fixture *f = *state;
    char address[64];
    struct call *d;

    block_worker(f, 8);
    (void)snprintf(address, sizeof(address), "%s", api_address(f->api));
    d = start(f, &(struct request){.method = "GET",
                                   .target = "/loki/api/v1/query_range?query={a=%22b%22}",
                                   .token = ADMIN});
    wait_metric(f, METRIC_QUERIES, 1);
    api_drain(f->api);
    assert_false(api_is_idle(f->api));
    unblock(f);
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

CHECK_MAIN(T(unknown_paths_are_404_and_methods_405), T(who_may_what),
           T(a_strangers_body_is_not_read), T(ready_says_when_it_stops),
           T(a_push_is_answered_when_it_is_durable), T(pushes_come_compressed_too),
           T(a_push_that_cannot_be_says_why), T(a_push_of_any_time_is_taken),
           T(a_stopped_store_is_503_come_again), T(without_memory_a_push_is_503),
           T(patterns_say_that_blocks_are_damaged), T(patterns_are_counted_by_step),
           T(get_and_form_give_the_same_answer), T(tenants_do_not_see_each_other),
           T(bad_parameters_are_400_in_words),
           T(the_limit_of_entries_is_no_limit_of_a_metric_query),
           T(without_a_start_the_past_is_asked), T(a_parse_error_shows_its_place),
           T(the_empty_selector_is_for_who_may), T(labels_have_the_time_of_a_query),
           T(when_too_many_wait_it_is_429), T(a_client_that_goes_away_while_it_waits_is_forgotten),
           T(a_client_that_goes_away_ends_the_query_that_runs), T(lines_around_hits_are_marked),
           T(what_loki_refuses_can_be_had_with_a_warning), T(streams_over_the_limit_are_429),
           T(only_admins_delete_and_only_for_one_tenant),
           T(a_delete_request_hides_is_listed_and_taken_back),
           T(delete_requests_are_made_by_form_and_listed_in_whole_seconds),
           T(a_delete_request_is_a_selector_and_line_filters),
           T(a_hold_on_streams_refuses_to_delete_them_alone),
           T(a_drain_lets_calls_end_and_takes_no_new_ones))
