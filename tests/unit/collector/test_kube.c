/* Unit tests of collector/kube: an API server over TLS, and logs of its pods all the way to the
 * store. */
#include "tests/unit/collector/collector_world.h"

#include "collector/kube.h"
#include "tests/lib/certs.h"
#include "wire/http.h"

enum { PODS = 4 };

struct api {
    struct http_server *http;
    struct tls_ctx *tls;
    char address[64];
    struct http_exchange *watch; /* the stream that is open; NULL: none */
    char token[32];
    char pods[PODS][512]; /* "" ends them */
    bool one_a_page;
    uint64_t limit;     /* of the last list */
    int status;         /* of lists */
    const char *answer; /* instead of a list; NULL: none */
    bool endless;       /* and it goes on */
    unsigned lists, first_pages, watches, denied;
    char from[64]; /* resourceVersion of the last watch */
    char exact;    /* the last first page: 'c' may come from a cache, 'x' may not */
};
static struct api api;

static void on_aborted(void *arg)
{
    (void)arg;
    api.watch = NULL;
}

static void list(struct http_exchange *x)
{
    struct str more = http_param(x, "continue", 0);
    size_t from = more.n == 0 ? 0 : (size_t)(more.p[more.n - 1] - '0');
    bool more_to_come = false;
    struct buf b;

    api.lists++;
    if (more.n == 0) {
        api.first_pages++;
        api.exact = http_param(x, "resourceVersion", 0).n == 0 ? 'x' : 'c';
    }
    assert_true(str_to_u64(http_param(x, "limit", 0), &api.limit));
    if (api.endless) {
        http_watch(x, on_aborted, NULL, NULL);
        http_reply_start(x, api.status, "application/json");
        http_reply_write(x, str_of(api.answer));
        return;
    }
    if (api.status != 200 || api.answer != NULL) {
        http_reply(x, api.status, "application/json",
                   api.answer == NULL ? STR("{\"kind\":\"Status\"}") : str_of(api.answer));
        return;
    }
    buf_init(&b, 1 << 16);
    buf_add_z(&b, "{\"kind\":\"PodList\",\"items\":[");
    for (size_t i = from; i < PODS && api.pods[i][0] != '\0' && !more_to_come; i++) {
        buf_addf(&b, "%s%s", i > from ? "," : "", api.pods[i]);
        more_to_come = api.one_a_page && i + 1 < PODS && api.pods[i + 1][0] != '\0';
    }
    buf_add_z(&b, "],\"metadata\":{\"resourceVersion\":\"100\"");
    if (more_to_come)
        buf_addf(&b, ",\"continue\":\"+/= %zu\"", from + 1);
    buf_add_z(&b, "}}");
    http_reply(x, 200, "application/json", buf_str(&b));
    buf_fini(&b);
}

static void on_request(struct http_exchange *x, void *arg)
{
    char expected[64];

    (void)arg;
    check_str(http_path(x), "/base/api/v1/pods");
    check_str(http_param(x, "fieldSelector", 0), "spec.nodeName=n 1");
    (void)snprintf(expected, sizeof(expected), "Bearer %s", api.token);
    if (!str_eq(http_header(x, "authorization"), str_of(expected))) {
        api.denied++;
        http_replyf(x, 401, "no\n");
    } else if (!str_eq(http_param(x, "watch", 0), STR("true"))) {
        list(x);
    } else {
        (void)str_to_z(http_param(x, "resourceVersion", 0), api.from, sizeof(api.from));
        check_str(http_param(x, "allowWatchBookmarks", 0), "true");
        api.watches++;
        api.watch = x;
        http_watch(x, on_aborted, NULL, NULL);
        http_reply_start(x, 200, "application/json");
    }
}

static void api_open(void)
{
    struct tls_files files = {.cert = certs_path(w.path, "server.crt"),
                              .key = certs_path(w.path, "server.key"),
                              .server = true};
    struct listener_options listen = {.max_streams = 16};
    static const struct http_options HTTP = {.idle_ms = 0};

    if (tls_ctx_new(&files, &api.tls, &err) < 0)
        fail_msg("%s", err.text);
    listen.stream.tls = api.tls;
    if (http_server_open(w.loop, api.address[0] == '\0' ? "127.0.0.1:0" : api.address, &listen,
                         &HTTP, on_request, NULL, &api.http, &err) < 0)
        fail_msg("%s", err.text);
    (void)snprintf(api.address, sizeof(api.address), "%s", http_server_address(api.http));
}

static void api_close(void)
{
    if (api.http != NULL)
        http_server_close(&api.http);
    tls_ctx_unref(&api.tls);
    api.watch = NULL;
}

static void put_token(const char *token)
{
    char text[40];

    (void)snprintf(text, sizeof(text), "%s\n", token);
    assert_int_equal(file_replace(w.dir, "token", 0600, str_of(text), &err), 0);
}

static int setup(void **state)
{
    (void)world_setup(state);
    memset(&api, 0, sizeof(api));
    api.status = 200;
    (void)snprintf(api.token, sizeof(api.token), "%s", "first");
    put_token("first");
    certs_standard(w.path);
    assert_int_equal(file_make_dirs(w.dir, "pods/ns_web_u1/app", 0700, &err), 0);
    api_open();
    w.server.show_labels = true;
    return 0;
}

static int teardown(void **state)
{
    world_die();
    api_close();
    return world_teardown(state);
}

static const char *pod(const char *uid, const char *team)
{
    static char text[512];

    (void)snprintf(text, sizeof(text),
                   "{\"metadata\":{\"uid\":\"%s\",\"namespace\":\"ns\",\"name\":\"web\","
                   "\"resourceVersion\":\"101\",\"labels\":{\"app\":\"shop\",\"team\":\"%s\","
                   "\"host\":\"evil\"}},\"spec\":{\"nodeName\":\"n 1\",\"containers\":[{\"name\":"
                   "\"app\",\"image\":\"reg/web:1\"}]}}",
                   uid, team);
    return text;
}

static void set_pod(size_t i, const char *uid, const char *team)
{
    (void)snprintf(api.pods[i], sizeof(api.pods[i]), "%s", pod(uid, team));
}

#define INPUT "  - {type: cri, paths: ['@/pods/*/*/*.log'], runtime: containerd}\n"

/* The section of the configuration, in a static buffer. */
static const char *section(void)
{
    static char text[512];

    (void)snprintf(text, sizeof(text),
                   "kubernetes: {api: 'https://%s/base/', node: 'n 1', token_file: %s/token, "
                   "ca_file: %s/ca.crt, labels: [te*, host]}\n",
                   api.address, w.path, w.path);
    return text;
}

static void start(void)
{
    world_start(section(), INPUT);
}

static bool is_watched(void *arg)
{
    (void)arg;
    return api.watch != NULL;
}

static bool is_not_watched(void *arg)
{
    (void)arg;
    return api.watch == NULL;
}

static void wait_watch(void)
{
    wait_check(w.loop, is_watched, NULL, "a watch");
}

/* Something happens to a pod; it is known when this returns. */
static void say(const char *type, const char *object)
{
    uint64_t before = metric_get(METRIC_KUBE_EVENTS);
    struct buf b;

    buf_init(&b, 4096);
    buf_addf(&b, "{\"type\":\"%s\",\"object\":%s}\n", type, object);
    wait_watch();
    http_reply_write(api.watch, buf_str(&b));
    buf_fini(&b);
    world_wait_metric(METRIC_KUBE_EVENTS, (unsigned)before + 1);
}

static void log_line(const char *text)
{
    char line[128];

    (void)snprintf(line, sizeof(line), "2026-11-22T10:00:00.000000001Z stdout F %s\n", text);
    world_write("pods/ns_web_u1/app/0.log", line);
}

#define LABELS(team)                                                                               \
    "app=shop container=app host=h image=reg/web:1 namespace=ns pod=web runtime=containerd "       \
    "source=container team=" team " stdout|"

/* Pod u1 of team pay wrote a line, and the server has it. */
static void begin(void)
{
    set_pod(0, "u1", "pay");
    log_line("one");
    start();
    world_wait(LABELS("pay") "one");
}

static void reload(const char *more)
{
    assert_int_equal(collector_reload(w.collector, world_config(more, INPUT), &err), 0);
}

static void a_log_has_the_labels_of_its_pod(void **state)
{
    (void)state;
    begin();
    wait_watch();
    assert_int_equal(api.first_pages, 1);
    assert_int_equal(api.exact, 'c');
    assert_string_equal(api.from, "100");
    assert_int_equal(metric_get(METRIC_KUBE_PODS), 1);
    assert_int_equal(metric_get(METRIC_KUBE_UNKNOWN), 0);
    assert_int_equal(metric_get(METRIC_KUBE_ERRORS), 0);
}

static void a_log_waits_for_its_pod(void **state)
{
    (void)state;
    log_line("one");
    start();
    wait_watch();
    say("ADDED", pod("u1", "pay"));
    world_wait(LABELS("pay") "one");
    assert_int_equal(metric_get(METRIC_KUBE_UNKNOWN), 0);
}

static void no_log_waits_long(void **state)
{
    (void)state;
    api.status = 500;
    log_line("one");
    start();
    world_wait("app=app container=app host=h namespace=ns pod=web runtime=containerd "
               "source=container stdout|one");
    assert_int_equal(metric_get(METRIC_KUBE_UNKNOWN), 1);
    assert_true(metric_get(METRIC_KUBE_ERRORS) > 0);
    api.status = 200;
    set_pod(0, "u1", "late");
    wait_watch();
    log_line("two");
    world_wait(LABELS("late") "two");
}

static void a_change_is_for_the_records_from_then_on(void **state)
{
    (void)state;
    begin();
    say("MODIFIED", pod("u1", "new"));
    log_line("two");
    world_wait(LABELS("new") "two");
    say("DELETED", pod("u1", "new"));
    log_line("three"); /* its last words */
    world_wait(LABELS("new") "three");
    world_check_once("one");
    world_check_once("two");
}

/* The chunk that has the first line is not sent before the second one is read. */
static void old_and_new_labels_may_be_in_one_chunk(void **state)
{
    char more[640];

    (void)state;
    set_pod(0, "u1", "pay");
    log_line("one");
    (void)snprintf(more, sizeof(more), "chunk: {delay: 60s}\n%s", section());
    world_start(more, INPUT);
    world_wait_metric(METRIC_RECORDS, 1);
    say("MODIFIED", pod("u1", "new"));
    log_line("two");
    world_wait_metric(METRIC_RECORDS, 2);
    collector_drain(w.collector, 10 * NS_PER_S, wait_tick, NULL);
    world_wait(LABELS("pay") "one");
    world_wait(LABELS("new") "two");
    assert_int_equal(w.server.messages, 1);
}

static void a_restart_without_the_server_knows_them(void **state)
{
    (void)state;
    begin();
    world_die();
    api_close();
    log_line("two");
    start();
    world_wait(LABELS("pay") "two");
    world_check_once("one");
    assert_int_equal(metric_get(METRIC_KUBE_UNKNOWN), 0);
    api_open(); /* the same port */
    set_pod(0, "u1", "back");
    wait_watch();
    log_line("three");
    world_wait(LABELS("back") "three");
}

static void what_is_too_old_is_listed_anew(void **state)
{
    (void)state;
    start();
    wait_watch();
    set_pod(0, "u1", "pay");
    say("ERROR", "{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}");
    log_line("one");
    world_wait(LABELS("pay") "one");
    assert_int_equal(api.first_pages, 2);
    assert_int_equal(api.exact, 'x');
    assert_int_equal(metric_get(METRIC_KUBE_ERRORS), 0);
}

static void a_bookmark_is_where_the_next_watch_begins(void **state)
{
    (void)state;
    start();
    wait_watch();
    say("BOOKMARK", "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"4711\"}}");
    http_reply_end(api.watch);
    api.watch = NULL;
    wait_watch();
    assert_string_equal(api.from, "4711");
    assert_int_equal(api.first_pages, 1);
    assert_int_equal(metric_get(METRIC_KUBE_REFUSED), 0);
}

static void end_watch(void)
{
    wait_watch();
    http_reply_end(api.watch);
    api.watch = NULL;
    wait_watch();
}

/* As one is whose versions went back, when etcd was restored: it has nothing newer for a long time.
 */
static void a_server_that_stays_silent_is_listed_anew(void **state)
{
    (void)state;
    start();
    end_watch();
    say("BOOKMARK", "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"4711\"}}");
    end_watch();
    end_watch();
    assert_int_equal(api.first_pages, 1);
    end_watch();
    assert_int_equal(api.first_pages, 2);
    assert_int_equal(api.exact, 'c');
    assert_string_equal(api.from, "100");
    assert_int_equal(metric_get(METRIC_KUBE_ERRORS), 0);
}

static void a_list_has_pages(void **state)
{
    (void)state;
    api.one_a_page = true;
    set_pod(0, "u0", "a");
    set_pod(1, "u1", "pay");
    set_pod(2, "u2", "c");
    log_line("one");
    start();
    world_wait(LABELS("pay") "one");
    wait_watch();
    assert_int_equal(api.first_pages, 1);
    assert_int_equal(api.lists, 3);
    assert_int_equal(metric_get(METRIC_KUBE_LISTS), 3);
    assert_int_equal(metric_get(METRIC_KUBE_PODS), 3);
}

static void a_token_that_rotates_is_read_again(void **state)
{
    (void)state;
    start();
    wait_watch();
    (void)snprintf(api.token, sizeof(api.token), "%s", "second");
    put_token("second");
    http_reply_end(api.watch);
    api.watch = NULL;
    wait_watch();
    assert_int_equal(api.denied, 0);
    say("BOOKMARK", "{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"4711\"}}");
    (void)snprintf(api.token, sizeof(api.token), "%s", "third"); /* before its file */
    http_reply_end(api.watch);
    api.watch = NULL;
    world_wait_metric(METRIC_KUBE_ERRORS, 1);
    assert_true(api.denied > 0);
    put_token("third");
    wait_watch();
    assert_int_equal(api.first_pages, 1);
}

static bool is_small_and_exact(void *arg)
{
    (void)arg;
    return api.limit == 12 && api.exact == 'x';
}

/* Not from a cache, which may not care for `limit`; then smaller ones. */
static void a_page_that_is_too_large_is_asked_for_otherwise(void **state)
{
    size_t n = 9 << 20;
    char *large = mem_new(n + 1);

    (void)state;
    memset(large, ' ', n);
    api.answer = large;
    log_line("one");
    start();
    wait_check(w.loop, is_small_and_exact, NULL, "a smaller page");
    api.answer = NULL;
    free(large);
    set_pod(0, "u1", "pay");
    wait_watch();
    log_line("two");
    world_wait(LABELS("pay") "two");
}

static void a_refusal_that_does_not_end_is_cut_off(void **state)
{
    static char large[32 << 10];

    (void)state;
    memset(large, ' ', sizeof(large) - 1);
    api.status = 503;
    api.answer = large;
    api.endless = true;
    start();
    world_wait_metric(METRIC_KUBE_ERRORS, 2);
    api.endless = false;
    api.answer = NULL;
    api.status = 200;
    wait_watch();
}

static void a_reload_begins_and_ends_to_ask(void **state)
{
    (void)state;
    set_pod(0, "u1", "pay");
    log_line("one");
    world_start("", INPUT);
    world_wait("runtime=containerd source=container stdout|one");
    assert_int_equal(api.lists, 0);
    reload(section());
    wait_watch();
    log_line("two");
    world_wait(LABELS("pay") "two");
    reload(section());
    say("MODIFIED", pod("u1", "same")); /* by the watch that was there */
    log_line("three");
    world_wait(LABELS("same") "three");
    assert_int_equal(api.watches, 1);
    reload("");
    log_line("four");
    world_wait("four");
    wait_check(w.loop, is_not_watched, NULL, "the end of the watch");
    assert_int_equal(metric_get(METRIC_KUBE_ERRORS), 0);
}

/* The list says what was known: that is no change. */
static void a_reload_labels_open_logs_from_the_cache(void **state)
{
    (void)state;
    begin();
    world_die();
    api_close();
    assert_int_equal(unlinkat(w.dir, "pods/ns_web_u1/app/0.log", 0), 0);
    log_line("two"); /* another one */
    world_start("", INPUT);
    world_wait("runtime=containerd source=container stdout|two");
    reload(section());
    log_line("three");
    world_wait(LABELS("pay") "three");
}

static void a_file_that_cannot_be_used_harms_nobody(void **state)
{
    (void)state;
    assert_int_equal(file_make_dirs(w.dir, "state/" KUBE_CACHE "/x", 0700, &err), 0);
    set_pod(0, "u1", "pay");
    start();
    wait_watch();
    log_line("one");
    world_wait(LABELS("pay") "one");
    world_die(); /* it cannot be written either */
    start();
    log_line("two");
    world_wait(LABELS("pay") "two");
}

static void what_is_not_understood_changes_nothing(void **state)
{
    (void)state;
    set_pod(0, "u1", "pay");
    start();
    wait_watch();
    api.answer = "<html>log in</html>";
    say("ADDED", "7} trailing");
    world_wait_metric(METRIC_KUBE_ERRORS, 2);
    log_line("one");
    world_wait(LABELS("pay") "one");
    api.answer = NULL;
    wait_watch();
    say("ADDED", "{\"metadata\":[]}");
    assert_int_equal(metric_get(METRIC_KUBE_REFUSED), 1);
    assert_int_equal(metric_get(METRIC_KUBE_PODS), 1);
}

static void a_server_of_another_ca_is_not_believed(void **state)
{
    (void)state;
    api_close();
    certs_issue(w.path, "other-ca", "server", "DNS:localhost,IP:127.0.0.1", 30);
    api_open();
    start();
    world_wait_metric(METRIC_KUBE_ERRORS, 2);
    assert_int_equal(api.lists, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(
    TEST(a_log_has_the_labels_of_its_pod), TEST(a_log_waits_for_its_pod), TEST(no_log_waits_long),
    TEST(a_change_is_for_the_records_from_then_on), TEST(old_and_new_labels_may_be_in_one_chunk),
    TEST(a_restart_without_the_server_knows_them), TEST(what_is_too_old_is_listed_anew),
    TEST(a_bookmark_is_where_the_next_watch_begins),
    TEST(a_server_that_stays_silent_is_listed_anew), TEST(a_list_has_pages),
    TEST(a_token_that_rotates_is_read_again), TEST(a_page_that_is_too_large_is_asked_for_otherwise),
    TEST(a_refusal_that_does_not_end_is_cut_off), TEST(a_reload_begins_and_ends_to_ask),
    TEST(a_reload_labels_open_logs_from_the_cache), TEST(a_file_that_cannot_be_used_harms_nobody),
    TEST(what_is_not_understood_changes_nothing), TEST(a_server_of_another_ca_is_not_believed))
