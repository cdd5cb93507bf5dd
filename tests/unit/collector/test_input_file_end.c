/*
 * Unit tests of collector/input_file: logs of which nothing more can be read, with the whole
 * collector round it.  What is lost of them is told, and nothing is kept for them.
 */
#include "base/fault.h"
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

/* The same behind an older file that is not read yet. */
static void a_log_that_is_cut_again_and_again_behind_another_costs_few(void **state)
{
    enum { CUTS = 40 };
    uint64_t few = 6;
    char text[160];

    (void)state;
    w.server.hold_acks = true;
    world_write("logs/b.log", ONE);
    world_start(NARROW, CRI);
    wait_check(w.loop, has_sent, NULL, "a chunk");
    world_write(LOG, T "stdout F old\n");
    world_wait_metric(METRIC_FILES_OPEN, 3);
    world_rename(LOG, LOG ".1");
    for (unsigned i = 1; i <= CUTS; i++) {
        if (i > 1)
            cut_log();
        (void)snprintf(text, sizeof(text), T "stdout F %0*u\n", (int)(100 - i), i);
        world_write(LOG, text);
        if (i > 1)
            world_wait_metric(METRIC_FILES_TRUNCATED, i - 1);
        else
            world_wait_metric(METRIC_FILES_OPEN, 4);
    }
    wait_check(w.loop, has_few_files, &few, "those that were cut to be done with");
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

/* ---- a record that begins in the log before, and goes on in this one with others between ---- */

#define GOES_ON_1 T "stdout P /goes on\n"
#define GOES_ON_2 T "stdout P /and on\n"

/* Both are read, and nobody has heard of the record's end. */
static void begin_in_the_log_before(void)
{
    world_write(LOG, ONE HELD);
    world_start("partial_timeout: 1h\n", CRI);
    world_wait_records(1);
    world_rename(LOG, LOG ".1");
    world_write(LOG, GOES_ON_1 BEHIND);
    world_write(LOG, GOES_ON_2 T "stderr F farther\n");
    world_wait("stderr|farther\n");
    world_wait_metric(METRIC_CHUNKS_ACKED, 2);
    world_die();
}

static bool has(const char *text)
{
    return str_find(buf_str(&w.server.lines), str_of(text)) != SIZE_MAX;
}

static bool is_acked(void *arg)
{
    (void)arg;
    return metric_get(METRIC_WINDOW_CHUNKS) == 0;
}

/* What is there of it is stored, what is not is told, and what is new is none of it. */
static void cut_and_check(void)
{
    uint64_t lost = 0;

    cut_log();
    world_write(LOG, T "stdout F new\n");
    world_wait("stdout|new\n");
    world_wait("stdout|held");
    world_check_once("stdout|held");
    if (!has("goes on"))
        lost += sizeof(GOES_ON_1) - 1;
    if (!has("and on"))
        lost += sizeof(GOES_ON_2) - 1;
    assert_true(lost == 0 || has("gap=truncated"));
    assert_int_equal(metric_get(METRIC_GAP_BYTES), lost);
    wait_check(w.loop, is_acked, NULL, "all to be acknowledged");
    world_die();
    world_start("partial_timeout: 1h\n", CRI);
    world_write(LOG, T "stdout F newer\n");
    world_wait("stdout|newer\n");
    world_check_once("stdout|held");
    assert_int_equal(metric_get(METRIC_GAP_BYTES), lost);
}

static void
what_goes_on_in_a_log_that_is_cut_after_a_start_is_stored_as_far_as_it_is_there(void **state)
{
    (void)state;
    begin_in_the_log_before();
    world_start("partial_timeout: 1h\n", CRI);
    cut_and_check();
}

/* All of it was sent, the server has none of it, and the rest of the file is gone. */
static void what_was_planned_with_bytes_that_are_gone_ends_in_front_of_them(void **state)
{
    (void)state;
    begin_in_the_log_before();
    w.server.hold_acks = true;
    world_write(LOG, T "stdout F /to its end\n");
    world_start("partial_timeout: 1h\n", CRI);
    world_wait("stdout|held/goes on/and on/to its end\n");
    world_die();
    w.server.hold_acks = false;
    w.server.ranges.n = 0;
    buf_clear(&w.server.lines);
    cut_log();
    world_write(LOG, T "stdout F new\n");
    world_start("partial_timeout: 1h\n", CRI);
    world_wait("stdout|new\n");
    world_wait("stdout|held partial=true\n");
    world_wait("gap=file_gone");
}

/* Of all readings of the next start, the k-th. */
static void let_reading_fail(unsigned k)
{
    fault_start("reader.read");
    for (unsigned i = 1; fault_next() && i < k; i++)
        while (!fault_hit("reader.read"))
            ;
}

static void the_disk_may_fail_once_when_it_is_read_again(void **state)
{
    /* Is the log known, is the one before it; the second of what is held of the log. */
    static const unsigned READINGS[] = {1, 2, 10};
    static const char *const PIECES[] = {"held", "/goes on", "/and on", "/to its end"};

    (void)state;
    for (size_t k = 0; k < sizeof(READINGS) / sizeof(READINGS[0]); k++) {
        if (k > 0) {
            (void)world_teardown(state);
            (void)world_setup(state);
        }
        begin_in_the_log_before();
        let_reading_fail(READINGS[k]);
        world_start("partial_timeout: 1s\n", CRI);
        world_write(LOG, T "stdout F /to its end\n");
        for (size_t i = 0; i < sizeof(PIECES) / sizeof(PIECES[0]); i++)
            world_wait(PIECES[i]);
        for (size_t i = 0; i < sizeof(PIECES) / sizeof(PIECES[0]); i++)
            world_check_once(PIECES[i]);
        assert_int_equal(metric_get(METRIC_GAPS), 0);
        while (fault_next())
            ;
    }
}

/* Only a beginning of it was packed: what was held behind that is nowhere. */
static void what_was_held_of_a_log_of_which_only_a_part_was_packed_is_a_gap(void **state)
{
    enum { LINES = 50 }; /* more than it is told by */

    (void)state;
    for (int i = 0; i < LINES; i++)
        world_write(LOG, ONE);
    world_copy(LOG, "logs/part", false);
    world_write(LOG, HELD BEHIND);
    world_start("partial_timeout: 1h\n", CRI);
    world_wait("stderr|behind\n");
    wait_check(w.loop, is_acked, NULL, "all to be acknowledged");
    world_die();
    world_copy("logs/part", LOG ".1.gz", true);
    assert_int_equal(unlinkat(w.dir, LOG, 0), 0);
    world_write(LOG, T "stdout F new\n");
    world_start("partial_timeout: 1h\n", CRI);
    world_wait("stdout|new\n");
    world_wait("gap=file_gone");
    assert_int_equal(metric_get(METRIC_GAP_BYTES), sizeof(HELD) - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

CHECK_MAIN(TEST(a_log_that_is_cut_again_and_again_costs_no_more_than_one),
           TEST(a_log_that_is_cut_again_and_again_behind_another_costs_few),
           TEST(what_was_held_of_a_log_that_is_cut_after_a_start_is_a_gap),
           TEST(what_goes_on_in_a_log_that_is_cut_after_a_start_is_stored_as_far_as_it_is_there),
           TEST(what_was_planned_with_bytes_that_are_gone_ends_in_front_of_them),
           TEST(what_was_held_of_a_log_of_which_only_a_part_was_packed_is_a_gap),
           TEST(the_disk_may_fail_once_when_it_is_read_again))
