/*
 * Unit tests of collector/fleet, with the whole collector around it and two servers: who gets what,
 * and what becomes of it when one falls silent.  The failover time is 300 ms, which a server that
 * answers has to keep: the loop of these tests does nothing else.
 */
#include "tests/unit/collector/collector_world.h"

#define T    "2026-11-21T19:14:38Z "
#define CRI  "  - {type: cri, paths: ['@/logs/*.log']}\n"
#define ONE  "chunk: {delay: 10ms, window: 1}\n"
#define LONG "ack_timeout: 1h\n"

static struct forward_server second;

static int setup(void **state)
{
    int r = world_setup(state);

    forward_server_open(&second, w.loop, "127.0.0.1:0", NULL);
    (void)snprintf(w.servers, sizeof(w.servers), "['%s', '%s']",
                   listener_address(w.server.listener), listener_address(second.listener));
    return r;
}

static int teardown(void **state)
{
    collector_free(&w.collector);
    forward_server_close(&second);
    return world_teardown(state);
}

static bool second_has(void *arg)
{
    return str_find(buf_str(&second.lines), str_of(arg)) != SIZE_MAX;
}

static void wait_second(const char *text)
{
    char copy[64];

    (void)snprintf(copy, sizeof(copy), "%s", text);
    wait_check(w.loop, second_has, copy, text);
}

/* The first is gone; its address is nobody's. */
static void close_first(void)
{
    listener_close(&w.server.listener);
    if (w.server.stream != NULL)
        stream_close(w.server.stream, NULL);
}

static void all_goes_to_the_first_while_that_is_there(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_write("logs/b.log", T "stdout F two\n");
    world_wait("two");
    assert_int_equal(second.messages, 0);
    assert_int_equal(second.connections, 1); /* it is kept ready */
    assert_int_equal(metric_get(METRIC_SERVERS_THERE), 2);
    collector_free(&w.collector);
    assert_int_equal(metric_get(METRIC_SERVERS_THERE), 0);
    assert_int_equal(w.server.marked, 0);
}

static void what_was_in_flight_goes_on_marked(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    wait_second("one");
    assert_int_equal(second.marked, 1);
    assert_string_equal(second.ranges.p[0].id, w.server.ranges.p[0].id);
    assert_int_equal(second.ranges.p[0].end, w.server.ranges.p[0].end);
    assert_int_equal(metric_get(METRIC_FAILOVERS), 1);
    assert_int_equal(metric_get(METRIC_MAYBE_TWICE_BYTES), strlen(T "stdout F one\n"));
    /* The file stays with the second, and what it gets is not marked. */
    world_write("logs/a.log", T "stdout F two\n");
    wait_second("two");
    assert_int_equal(second.marked, 1);
    wait_second("failover"); /* and it is told */
    assert_int_equal(w.server.records, 1);
}

static void what_was_never_sent_is_not_marked(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start(ONE LONG, CRI);
    world_wait("one");
    w.server.hold_acks = true;
    world_write("logs/a.log", T "stdout F two\n");
    world_wait("two"); /* the window is full */
    world_write("logs/a.log", T "stdout F three\n");
    wait_second("three");
    assert_int_equal(second.marked, 1);
    assert_true(second_has((char[]){"two"}));
    assert_int_equal(w.server.records, 2);
}

static void a_server_that_is_away_from_the_start_is_passed_over(void **state)
{
    (void)state;
    close_first();
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    wait_second("one");
    assert_int_equal(second.marked, 0);
    assert_int_equal(metric_get(METRIC_MAYBE_TWICE_BYTES), 0);
}

static void when_all_are_silent_nobody_moves(void **state)
{
    (void)state;
    close_first();
    second.hold_acks = true;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("ack_timeout: 400ms\n", CRI);
    wait_second("one");
    world_wait_metric(METRIC_ACK_TIMEOUTS, 2); /* longer than the failover time */
    assert_int_equal(second.records, 1);
    assert_int_equal(second.marked, 0);
    second.hold_acks = false;
    forward_server_release(&second);
    world_write("logs/a.log", T "stdout F two\n");
    wait_second("two");
    assert_int_equal(metric_get(METRIC_MAYBE_TWICE_BYTES), 0);
}

static void a_restart_goes_on_with_the_server_it_was_moved_to(void **state)
{
    (void)state;
    second.hold_acks = w.server.hold_acks = true;
    world_write("logs/a.log", T "stdout F one\n");
    world_start(LONG, CRI);
    wait_second("one");
    assert_int_equal(second.marked, 1);
    world_die();
    w.server.hold_acks = second.hold_acks = false;
    world_start(LONG, CRI);
    world_write("logs/a.log", T "stdout F two\n");
    wait_second("two");
    assert_true(second.repeated >= 1); /* built again, with the same borders */
    assert_int_equal(w.server.records, 1);
    assert_int_equal(w.server.messages, 1);
}

static void a_server_that_is_taken_from_the_list_is_left_at_the_start(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_write("logs/a.log", T "stdout F one\n");
    (void)snprintf(w.servers, sizeof(w.servers), "['%s']", listener_address(w.server.listener));
    world_start("", CRI);
    world_wait("one");
    world_die();
    (void)snprintf(w.servers, sizeof(w.servers), "['%s']", listener_address(second.listener));
    world_start("", CRI);
    world_write("logs/a.log", T "stdout F two\n");
    wait_second("two");
    wait_second("one");
    assert_int_equal(second.marked, 1);
    wait_second("failover");
}

static void what_follows_a_chunk_that_is_gone_is_not_marked(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_write("logs/a.log", T "stdout F one\n");
    (void)snprintf(w.servers, sizeof(w.servers), "['%s']", listener_address(w.server.listener));
    world_start("", CRI);
    world_wait("one");
    world_die();
    assert_int_equal(unlinkat(w.dir, "logs/a.log", 0), 0);
    world_write("logs/b.log", T "stdout F two\n");
    (void)snprintf(w.servers, sizeof(w.servers), "['%s']", listener_address(second.listener));
    world_start("", CRI);
    wait_second("two");
    wait_second("failover");
    wait_second("file_gone");
    assert_int_equal(second.marked, 0);
}

static bool has_young(void *arg)
{
    unsigned *n = arg;
    char name[32];

    if (str_find(buf_str(&w.server.lines), STR("young")) != SIZE_MAX)
        return true;
    (void)snprintf(name, sizeof(name), "logs/n%u.log", ++*n / 64);
    if (*n % 64 == 0)
        world_write(name, T "stdout F young\n");
    return false;
}

static void a_server_that_is_back_gets_what_is_new(void **state)
{
    unsigned n = 0;

    (void)state;
    w.server.hold_acks = true;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("chunk: {delay: 10ms, window: 2}\n" LONG, CRI);
    wait_second("failover"); /* everything is the second's now */
    w.server.hold_acks = false;
    wait_check(w.loop, has_young, &n, "a new file at the first");
    world_write("logs/a.log", T "stdout F two\n");
    wait_second("two");
    /* What waits for the second does not hold up the first. */
    second.hold_acks = true;
    for (int i = 0; i < 3; i++) {
        char line[64];
        (void)snprintf(line, sizeof(line), T "stdout F more %d\n", i);
        world_write("logs/a.log", line);
        if (i < 2)
            wait_second(strstr(line, "more"));
    }
    world_write("logs/last.log", T "stdout F other\n");
    world_wait("other");
    assert_int_equal(w.server.marked, 0);
    assert_int_equal(metric_get(METRIC_FAILOVERS), 1);
}

#define F(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

CHECK_MAIN(F(all_goes_to_the_first_while_that_is_there), F(what_was_in_flight_goes_on_marked),
           F(what_was_never_sent_is_not_marked),
           F(a_server_that_is_away_from_the_start_is_passed_over),
           F(when_all_are_silent_nobody_moves),
           F(a_restart_goes_on_with_the_server_it_was_moved_to),
           F(a_server_that_is_taken_from_the_list_is_left_at_the_start),
           F(what_follows_a_chunk_that_is_gone_is_not_marked),
           F(a_server_that_is_back_gets_what_is_new))
