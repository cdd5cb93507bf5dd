/* Unit tests of collector/input_events: an engine that is an HTTP server on a unix socket, all the
 * way to the store. */
#include "tests/unit/collector/collector_world.h"

#include "base/fault.h"
#include "base/mem.h"
#include "wire/http.h"

#include <inttypes.h>

struct engine {
    struct http_server *http;
    struct http_exchange *x; /* the stream that is open; NULL: none */
    struct buf history;      /* sent at once to whoever connects */
    unsigned connects;
    bool connected;
    int64_t since; /* of the last request */
    int status;
};
static struct engine engine;

static void on_aborted(void *arg)
{
    (void)arg;
    engine.x = NULL;
}

static void on_request(struct http_exchange *x, void *arg)
{
    (void)arg;
    engine.connects++;
    engine.connected = true;
    check_str(http_path(x), "/events");
    assert_true(str_to_i64(http_param(x, "since", 0), &engine.since));
    if (engine.status != 200) {
        http_replyf(x, engine.status, "no\n");
        return;
    }
    engine.x = x;
    http_watch(x, on_aborted, NULL, NULL);
    http_reply_start(x, 200, "application/json");
    http_reply_write(x, buf_str(&engine.history));
}

static void engine_open(void)
{
    static const struct listener_options LISTEN = {.unix_mode = 0600};
    static const struct http_options HTTP = {.idle_ms = 0};
    char address[TMPDIR_PATH_MAX + 16];

    (void)snprintf(address, sizeof(address), "unix:%s/d.sock", w.path);
    if (http_server_open(w.loop, address, &LISTEN, &HTTP, on_request, NULL, &engine.http, &err) < 0)
        fail_msg("%s", err.text);
}

static int setup(void **state)
{
    (void)world_setup(state);
    memset(&engine, 0, sizeof(engine));
    engine.status = 200;
    buf_init(&engine.history, 1 << 20);
    engine_open();
    w.server.show_labels = true;
    return 0;
}

static int teardown(void **state)
{
    world_die();
    if (engine.http != NULL)
        http_server_close(&engine.http);
    buf_fini(&engine.history);
    return world_teardown(state);
}

/* Event `no` at 1,700,000,000 s + no ns. */
static void add_event(struct buf *b, unsigned no, const char *action)
{
    buf_addf(b,
             "{\"status\":\"%s\",\"Type\":\"container\",\"Action\":\"%s\",\"Actor\":{\"ID\":\"c%"
             "u\",\"Attributes\":{\"image\":"
             "\"bb:1\",\"name\":\"web\"}},\"scope\":\"local\",\"time\":1700000000,\"timeNano\":"
             "17000000%011u}\n",
             action, action, no, no);
}

static void say(unsigned no, const char *action)
{
    struct buf b;

    buf_init(&b, 4096);
    add_event(&b, no, action);
    assert_non_null(engine.x);
    http_reply_write(engine.x, buf_str(&b));
    buf_fini(&b);
}

#define DOCKER "  - {type: docker_events, socket: '@/d.sock'}\n"

static void events_become_records_with_labels(void **state)
{
    (void)state;
    add_event(&engine.history, 1, "start");
    world_start("", DOCKER);
    world_wait("action=start container=web host=h image=bb:1 runtime=docker source=docker_events "
               "{\"status\":\"start\",");
    assert_int_equal(engine.since, 0);
    say(2, "exec_create: /bin/sh -c x");
    world_wait("action=exec_create container=web");
    world_wait("action_detail=/bin/sh -c x");
    assert_int_equal(w.server.records, 2);
}

/* Not even the spool has a secret, and what is replayed is known by what was written down. */
static void events_are_redacted_before_they_are_spooled(void **state)
{
    static const char SECRET[] = "exec_create: curl -H Bearer 0123456789abcdef";
    struct buf spool;

    (void)state;
    add_event(&engine.history, 1, SECRET);
    world_start("redact: {detectors: bearer}\n", DOCKER);
    world_wait("action_detail=curl -H Bearer [redacted:bearer]");
    world_die();
    buf_init(&spool, 1 << 20);
    assert_int_equal(file_read(w.dir, "state/spool/docker_events/00000001.jsonl", &spool, &err), 0);
    assert_int_equal(str_find(buf_str(&spool), STR("0123456789abcdef")), SIZE_MAX);
    assert_true(str_find(buf_str(&spool), STR("Bearer [redacted:bearer]")) != SIZE_MAX);
    buf_fini(&spool);
    add_event(&engine.history, 2, "start");
    world_start("redact: {detectors: bearer}\n", DOCKER);
    world_wait("\"c2\"");
    assert_int_equal(w.server.records, 2);
}

static void what_is_replayed_is_stored_once(void **state)
{
    (void)state;
    add_event(&engine.history, 1, "create");
    add_event(&engine.history, 2, "start");
    world_start("", DOCKER);
    world_wait("\"c2\"");
    http_reply_abort(engine.x); /* the connection breaks */
    engine.x = NULL;
    add_event(&engine.history, 3, "die");
    world_wait("\"c3\"");
    assert_int_equal(engine.connects, 2);
    assert_true(engine.since > 1699999000 && engine.since <= 1700000000);
    assert_int_equal(w.server.records, 3);
    assert_int_equal(metric_get(METRIC_EVENTS_REPEATED), 2);
}

static void a_restart_knows_what_it_has_written_down(void **state)
{
    (void)state;
    add_event(&engine.history, 1, "create");
    world_start("", DOCKER);
    world_wait("\"c1\"");
    world_die();
    add_event(&engine.history, 2, "start");
    world_start("", DOCKER);
    world_wait("\"c2\"");
    assert_int_equal(w.server.records, 2);
}

static void an_overrun_of_the_engines_memory_is_a_gap(void **state)
{
    (void)state;
    add_event(&engine.history, 1, "create");
    world_start("", DOCKER);
    world_wait("\"c1\"");
    world_die();
    buf_clear(&engine.history); /* 300 later ones, of which the engine has the last 256 */
    for (unsigned i = 301 - 256; i < 301; i++)
        add_event(&engine.history, i + 1, "start");
    world_start("", DOCKER);
    world_wait("gap=events_lost");
    world_wait("\"c301\"");
    assert_int_equal(metric_get(METRIC_GAPS), 1);
}

static void a_replay_that_overlaps_is_no_gap(void **state)
{
    (void)state;
    for (unsigned i = 1; i <= 256; i++)
        add_event(&engine.history, i, "start");
    world_start("", DOCKER);
    world_wait("\"c256\"");
    world_die();
    add_event(&engine.history, 257, "die");
    world_start("", DOCKER);
    world_wait("\"c257\"");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(w.server.records, 257);
}

static bool is_durable(void *arg)
{
    (void)arg;
    return metric_get(METRIC_SPOOL_WAITING_BYTES) == 0;
}

/* A sync that failed says nothing of the bytes: they are written again, and no event has to come.
 */
static void what_could_not_be_synced_is_written_again(void **state)
{
    struct buf spool;
    int fd;

    (void)state;
    world_start("", DOCKER);
    WAIT_FOR(w.loop, engine.connected);
    fault_start("spool.sync");
    assert_true(fault_next());
    say(1, "start");
    world_wait_metric(METRIC_SPOOL_SYNC_FAILED, 1);
    while (fault_next())
        ;
    assert_true(metric_get(METRIC_SPOOL_WAITING_BYTES) > 0);
    fd = openat(w.dir, "state/spool/docker_events/00000001.jsonl", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\0\0\0\0", 4, 0), 4); /* as a file system may leave it */
    (void)close(fd);
    wait_check(w.loop, is_durable, NULL, "the event on the disk");
    buf_init(&spool, 1 << 20);
    assert_int_equal(file_read(w.dir, "state/spool/docker_events/00000001.jsonl", &spool, &err), 0);
    assert_true(str_starts(buf_str(&spool), STR("{\"status\":\"start\"")));
    buf_fini(&spool);
    assert_int_equal(metric_get(METRIC_SPOOL_SYNC_FAILED), 1);
}

static void a_refusing_engine_is_asked_again(void **state)
{
    (void)state;
    engine.status = 500;
    world_start("", DOCKER);
    world_wait_metric(METRIC_ENGINE_CONNECT_FAILED, 1);
    engine.status = 200;
    add_event(&engine.history, 1, "start");
    world_wait("\"c1\"");
}

static void an_endless_event_is_dropped_and_the_next_is_read(void **state)
{
    (void)state;
    world_start("", DOCKER);
    WAIT_FOR(w.loop, engine.connected);
    for (int i = 0; i < 40; i++) {
        char junk[32768];
        memset(junk, 'x', sizeof(junk));
        http_reply_write(engine.x, (struct str){junk, sizeof(junk)});
    }
    http_reply_write(engine.x, STR("\n"));
    say(1, "start");
    world_wait("\"c1\"");
    assert_int_equal(metric_get(METRIC_EVENTS_DROPPED), 1);
    assert_int_equal(w.server.records, 1);
}

static void podman_without_a_service_is_read_from_its_file(void **state)
{
    (void)state;
    world_write("events.log",
                "{\"ID\":\"4f\",\"Image\":\"bb:1\",\"Name\":\"c1\",\"Status\":\"died\",\"Time\":"
                "\"2026-11-21T21:47:29.276553399Z\",\"Type\":\"container\",\"Attributes\":null}\n");
    world_start("", "  - {type: podman_events, events_file: '@/events.log'}\n");
    world_wait(
        "action=die container=c1 host=h image=bb:1 runtime=podman source=podman_events {\"ID\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(events_become_records_with_labels),
           TEST(events_are_redacted_before_they_are_spooled), TEST(what_is_replayed_is_stored_once),
           TEST(a_restart_knows_what_it_has_written_down),
           TEST(an_overrun_of_the_engines_memory_is_a_gap), TEST(a_replay_that_overlaps_is_no_gap),
           TEST(what_could_not_be_synced_is_written_again), TEST(a_refusing_engine_is_asked_again),
           TEST(an_endless_event_is_dropped_and_the_next_is_read),
           TEST(podman_without_a_service_is_read_from_its_file))
