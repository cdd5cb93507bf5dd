/*
 * Unit tests of collector/input_file: logs of which nothing more can be read, with the whole
 * collector round it.  What is lost of them is told, and nothing is kept for them.
 */
#include "tests/unit/collector/collector_world.h"

#define CRI    "  - {type: cri, paths: ['@/logs/*.log']}\n"
#define NARROW "chunk: {delay: 10ms, bytes: 4KiB, bytes_busy: 4KiB, window: 1}\n"
#define LOG    "logs/a.log"
#define T      "2026-11-21T19:14:38Z "
#define ONE    T "stdout F one\n"
#define HELD   T "stdout P held\n"
#define BEHIND T "stderr F behind\n"

static void cut_log(void)
{
    int fd = openat(w.dir, LOG, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    (void)close(fd);
}

static bool has_few_files(void *arg)
{
    return metric_get(METRIC_FILES_OPEN) <= *(const uint64_t *)arg;
}

static bool has_sent(void *arg)
{
    (void)arg;
    return w.server.held.n > 0;
}

/* However often a log is written anew while the server is away. */
static void a_log_that_is_cut_again_and_again_costs_no_more_than_one(void **state)
{
    enum { CUTS = 40 };
    uint64_t few = 4;
    char text[160]; /* shorter each time, so that it is noticed at once */

    (void)state;
    w.server.hold_acks = true;
    world_write("logs/b.log", ONE);
    world_start(NARROW, CRI);
    wait_check(w.loop, has_sent, NULL, "a chunk");
    for (unsigned i = 1; i <= CUTS; i++) {
        if (i > 1)
            cut_log();
        (void)snprintf(text, sizeof(text), T "stdout F %0*u\n", (int)(100 - i), i);
        world_write(LOG, text);
        if (i > 1)
            world_wait_metric(METRIC_FILES_TRUNCATED, i - 1);
        else
            world_wait_metric(METRIC_FILES_OPEN, 3); /* with our own spool */
    }
    wait_check(w.loop, has_few_files, &few, "those that were cut to be done with");
    w.server.hold_acks = false;
    forward_server_release(&w.server);
    world_wait(text + sizeof(T "stdout F ") - 1);
    assert_in_range(metric_get(METRIC_GAPS), CUTS / 2, CUTS);
}

/* What is held is read again after a start: where it is gone before that, it is lost. */
static void what_was_held_of_a_log_that_is_cut_after_a_start_is_a_gap(void **state)
{
    static const char *const NEW[] = {T "stdout F new\n", ONE T "stdout F new\n",
                                      T "stdout F no piece, and longer than what was\n" T
                                        "stdout F new\n" T "stdout F newer than that, and so on\n"};

    for (size_t i = 0; i < sizeof(NEW) / sizeof(NEW[0]); i++) {
        uint64_t few = 2;
        if (i > 0) {
            (void)world_teardown(state);
            (void)world_setup(state);
        }
        world_write(LOG, ONE HELD BEHIND);
        world_start("partial_timeout: 1h\n", CRI);
        world_wait_records(2);
        world_wait_metric(METRIC_CHUNKS_ACKED, 1);
        world_die();
        world_start("partial_timeout: 1h\n", CRI);
        cut_log();
        world_write(LOG, NEW[i]);
        world_wait("stdout|new\n");
        world_wait("gap=truncated");
        assert_int_equal(metric_get(METRIC_GAPS), 1);
        assert_int_equal(metric_get(METRIC_GAP_BYTES), sizeof(HELD) - 1);
        wait_check(w.loop, has_few_files, &few, "what was cut to be done with");
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

CHECK_MAIN(TEST(a_log_that_is_cut_again_and_again_costs_no_more_than_one),
           TEST(what_was_held_of_a_log_that_is_cut_after_a_start_is_a_gap))
