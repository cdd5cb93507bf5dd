/*
 * Unit tests of collector/input_file: records that begin in one file and end in the next, when we
 * are killed in between.
 */
#include "tests/unit/collector/collector_world.h"

#define CRI      "  - {type: cri, paths: ['@/logs/*.log']}\n"
#define REDACTED "redact: {detectors: [email, private_key]}\n"
#define T        "2026-11-21T19:14:38Z "
#define LOG      "logs/a.log"

/* A record began in a file that was rotated then, and goes on in the next. */
static void write_over_a_rotation(const char *more)
{
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    world_start(more, CRI);
    world_wait("one");
    world_rename(LOG, LOG ".20261121-1");
    world_write(LOG, T "stdout P middle-\n" T "stderr F two\n");
    world_wait("two");
    world_wait_metric(METRIC_CHUNKS_ACKED, 2);
}

static void check(const char *more)
{
    write_over_a_rotation(more);
    world_die();
    world_write(LOG, T "stdout F end\n" T "stdout F three\n");
    world_start(more, CRI);
    world_wait("three");
    world_check_once("stdout|begin-middle-end\n");
    assert_int_equal(w.server.records, 4);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_false(w.server.overlapped);
}

static void a_record_over_two_files_is_whole_after_a_kill(void **state)
{
    (void)state;
    check("");
}

/* Looking back for secrets must not use up what the file before has handed over. */
static void a_record_over_two_files_is_whole_after_a_kill_when_it_is_redacted(void **state)
{
    (void)state;
    check(REDACTED);
}

/* The second file was seen, and nothing of it read. */
static void a_record_is_whole_when_the_second_file_was_only_seen(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    world_start(REDACTED, CRI);
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_rename(LOG, LOG ".20261121-1");
    world_write(LOG, "");
    world_wait_metric(METRIC_FILES_OPEN, 2);
    world_die();
    world_write(LOG, T "stdout F end\n");
    world_start(REDACTED, CRI);
    world_wait("end");
    world_check_once("stdout|begin-end\n");
    assert_int_equal(w.server.records, 2);
}

/* Nobody has stored what was on its way. */
static void forget_at_the_server(void)
{
    w.server.ranges.n = 0;
    buf_clear(&w.server.lines);
    w.server.records = 0;
}

static void cut_to_nothing(const char *name)
{
    int fd = openat(w.dir, name, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    (void)close(fd);
}

/* What was planned of the second file is gone: what the first has of the record is not. */
static void the_beginning_is_sent_when_its_end_is_gone(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    world_start("", CRI);
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    w.server.hold_acks = true;
    world_rename(LOG, LOG ".20261121-1");
    world_write(LOG, T "stdout F end\n" T "stdout F a line that is longer than what comes\n");
    world_wait("stdout|begin-end\n");
    world_die();
    forget_at_the_server();
    w.server.hold_acks = false;
    cut_to_nothing(LOG);
    world_write(LOG, T "stdout F other\n");
    world_start("", CRI);
    world_wait("other");
    world_wait("gap=");
    world_check_once("stdout|begin- partial=true\n");
    assert_false(w.server.overlapped);
}

/* The second file was written over where it was planned: all of the record is a gap, also what
 * stands in the first. */
static void a_record_that_cannot_be_built_is_a_gap_in_both_files(void **state)
{
    static const char ONE[] = T "stdout F one\n", PIECE[] = T "stdout P begin-\n";
    char text[4096];
    size_t n;
    int fd;

    (void)state;
    world_write(LOG, ONE);
    world_write(LOG, PIECE);
    world_start("", CRI);
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    w.server.hold_acks = true;
    world_rename(LOG, LOG ".20261121-1");
    n = (size_t)snprintf(text, sizeof(text), T "stdout F end\n");
    while (n < sizeof(text) - 200)
        n += (size_t)snprintf(text + n, sizeof(text) - n, T "stderr F %060d\n", 1);
    world_write(LOG, text);
    world_wait("stdout|begin-end\n");
    world_die();
    forget_at_the_server();
    w.server.hold_acks = false;
    fd = openat(w.dir, LOG, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)n - 1), 1);
    (void)close(fd);
    world_write(LOG, T "stdout F other\n");
    world_start("", CRI);
    world_wait("other");
    world_wait("gap=file_changed");
    assert_int_equal(metric_get(METRIC_GAPS), 2);
    assert_int_equal(metric_get(METRIC_GAP_BYTES), n + sizeof(PIECE) - 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
CHECK_MAIN(TEST(a_record_over_two_files_is_whole_after_a_kill),
           TEST(a_record_over_two_files_is_whole_after_a_kill_when_it_is_redacted),
           TEST(a_record_is_whole_when_the_second_file_was_only_seen),
           TEST(the_beginning_is_sent_when_its_end_is_gone),
           TEST(a_record_that_cannot_be_built_is_a_gap_in_both_files))
