/*
 * Unit tests of collector/input_file: logs that were copied, compressed or cut are found again by
 * their content, while we run and while we were away.  Real files, a real loop, and a server that
 * says what it stored.
 */
#include "base/fault.h"
#include "tests/unit/collector/collector_world.h"

#define T   "2026-11-21T19:14:38Z "
#define CRI "  - {type: cri, paths: ['@/logs/*.log']}\n"

static void compress(const char *name)
{
    char packed[64];

    (void)snprintf(packed, sizeof(packed), "%s.gz", name);
    world_copytruncate(name, packed, true);
    assert_int_equal(unlinkat(w.dir, name, 0), 0);
}

static bool is_later(void *arg)
{
    return time_mono() >= *(const dur_ns *)arg;
}

static void a_log_that_was_only_seen_is_found_again_compressed(void **state)
{
    dur_ns later;

    (void)state;
    w.server.hold_acks = true; /* a window of one chunk is all that is read */
    world_write("logs/a.log", T "stdout F one\n");
    world_start("chunk: {delay: 10ms, window: 1}\n", CRI);
    world_wait("one");
    world_rename("logs/a.log", "logs/a.log.20261121-1");
    world_write("logs/a.log", "");           /* empty when it is first seen */
    world_wait_metric(METRIC_FILES_OPEN, 3); /* with our own */
    world_write("logs/a.log", T "stdout F two\n" T "stdout F three\n");
    world_wait_metric(METRIC_LAG_BYTES, 80);
    world_wait_metric(METRIC_CHECKPOINT_SYNCS, (unsigned)metric_get(METRIC_CHECKPOINT_SYNCS) + 1);
    world_die();
    world_rename("logs/a.log", "logs/a.log.20261121-2");
    world_write("logs/a.log", T "stdout F four\n"); /* before the old inode is free again */
    compress("logs/a.log.20261121-2");
    w.server.hold_acks = false;
    world_start("", CRI);
    later = time_mono() + 2 * NS_PER_S;
    world_wait_records(4);
    world_check_once("two");
    world_check_once("three");
    world_check_once("four");
    wait_check(w.loop, is_later, &later, "the time after which a file is given up");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void what_copytruncate_took_away_is_read_from_the_copy(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n" T "stdout P tw");
    world_start("", CRI);
    world_wait("one");
    world_write("logs/a.log", "o and \n" T "stdout F more\n" T "stdout P open \n");
    world_copytruncate("logs/a.log", "logs/a.log.1", false);
    world_write("logs/a.log", T "stdout F end\n" T "stdout F new\n");
    world_wait_records(4);
    check_str(buf_str(&w.server.lines),
              "stdout|one\nstdout|two and more\nstdout|open end\nstdout|new\n");
    world_copytruncate("logs/a.log", "logs/a.log.1", false); /* nothing is read again */
    world_write("logs/a.log", T "stdout F five\n");
    world_wait("five");
    world_die();
    world_start("", CRI);
    world_write("logs/a.log", T "stdout F six\n");
    world_wait("six");
    assert_int_equal(w.server.records, 6);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_false(w.server.overlapped);
}

/* `name` is another file with the same inode from now on, as when it was removed and the file
 * system gives the number out again. */
static void use_inode_again(const char *name, const char *text)
{
    int fd = openat(w.dir, name, O_WRONLY | O_TRUNC | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, text, strlen(text), &err), 0);
    (void)close(fd);
}

/* a.log.1 was read, a.log is followed, and only the journal knows the one. */
static void start_behind_a_rotation(void)
{
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_rename("logs/a.log", "logs/a.log.1");
    world_write("logs/a.log", T "stdout F two\n");
    world_wait("two");
    world_die();
    world_start("", CRI);
    world_write("logs/a.log", T "stdout F three\n");
    world_wait("three");
}

/* It is as empty as before. */
static void what_was_written_and_copied_and_cut_between_two_looks_is_read(void **state)
{
    (void)state;
    world_write("logs/a.log", "");
    world_write("logs/b.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_write("logs/a.log", T "stdout F two\n");
    world_copytruncate("logs/a.log", "logs/a.log.1", false);
    world_wait("two");
    world_write("logs/a.log", T "stdout F three\n");
    world_wait("three");
    assert_int_equal(w.server.records, 3);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_copy_is_found_behind_an_inode_that_is_used_again(void **state)
{
    (void)state;
    start_behind_a_rotation();
    world_write("logs/a.log", T "stdout F four\n");
    use_inode_again("logs/a.log.1", T "stdout F two\n" T "stdout F three\n" T "stdout F four\n");
    use_inode_again("logs/a.log", T "stdout F five\n");
    world_wait("five");
    world_wait("four");
    assert_int_equal(w.server.records, 5);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_rotated_log_is_found_behind_an_inode_that_is_used_again(void **state)
{
    (void)state;
    start_behind_a_rotation();
    use_inode_again("logs/a.log.1", T "stdout F four\n");
    world_rename("logs/a.log", "logs/a.log.2");
    world_write("logs/a.log", T "stdout F five\n");
    world_wait("five");
    world_wait("four");
    assert_int_equal(w.server.records, 5);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void copies_that_a_glob_matches_are_not_read_twice(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", "  - {type: cri, paths: ['@/logs/*']}\n");
    world_wait("one");
    world_write("logs/a.log", T "stdout F two\n");
    world_copytruncate("logs/a.log", "logs/a.log.1", false);
    world_write("logs/a.log", T "stdout F three\n");
    world_wait_records(3);
    world_write("logs/b.log", T "stdout F four\n"); /* a directory event: everything is looked at */
    world_wait("four");
    assert_int_equal(w.server.records, 4);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void copytruncate_while_we_are_away_loses_nothing(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_write("logs/a.log", T "stdout F two\n");
    world_copytruncate("logs/a.log", "logs/a.log.2", false);
    world_write("logs/a.log", "2026-11-21T20:00:00Z stdout F three\n");
    world_copytruncate("logs/a.log", "logs/a.log.1", false);
    world_write("logs/a.log", "2026-11-21T21:00:00Z stdout F four\n");
    world_start("", CRI);
    world_wait_records(4);
    check_str(buf_str(&w.server.lines), "stdout|one\nstdout|two\nstdout|three\nstdout|four\n");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_false(w.server.overlapped);
}

static void what_was_compressed_while_we_were_away_is_read(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_write("logs/a.log", T "stdout F two\n" T "stdout P thr\n");
    world_rename("logs/a.log", "logs/a.log.3");
    world_write("logs/a.log", "2026-11-21T20:00:00Z stdout F ee\n");
    world_rename("logs/a.log", "logs/a.log.2");
    world_write("logs/a.log", "2026-11-21T21:00:00Z stdout F four\n");
    world_rename("logs/a.log", "logs/a.log.1");
    world_write("logs/a.log", "2026-11-21T22:00:00Z stdout F five\n");
    compress("logs/a.log.3");
    compress("logs/a.log.2");
    world_start("", CRI);
    world_wait_records(5);
    check_str(buf_str(&w.server.lines),
              "stdout|one\nstdout|two\nstdout|three\nstdout|four\nstdout|five\n");
    world_wait_metric(METRIC_CHUNKS_ACKED, 2);
    world_die();
    compress("logs/a.log.1"); /* read already: that it is another file now changes nothing */
    world_write("logs/a.log", T "stdout F six\n");
    world_start("", CRI);
    world_wait("six");
    assert_int_equal(w.server.records, 6);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_false(w.server.overlapped);
}

/* One packed file is read at a time, but one that cannot be read for a while holds up no other. */
static void a_compressed_file_that_cannot_be_read_does_not_stop_another(void **state)
{
    static const char *const LOGS[] = {"logs/a.log", "logs/b.log"};
    char rotated[32];

    (void)state;
    for (size_t i = 0; i < 2; i++)
        world_write(LOGS[i], T "stdout F one\n");
    world_start("", CRI);
    world_wait_records(2);
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    for (size_t i = 0; i < 2; i++) {
        world_write(LOGS[i], T "stdout F two\n");
        (void)snprintf(rotated, sizeof(rotated), "%s.1", LOGS[i]);
        world_rename(LOGS[i], rotated);
        compress(rotated);
    }
    world_start("", CRI);
    fault_start("reader.unpack");
    assert_true(fault_next());
    world_wait_records(3);
    assert_int_equal(w.server.records, 3); /* the other is tried again later */
    while (fault_next())
        ;
    world_wait_records(4);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void damage_in_a_compressed_file_is_a_gap(void **state)
{
    int fd;

    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_write("logs/a.log", T "stdout F two\n");
    compress("logs/a.log");
    fd = openat(w.dir, "logs/a.log.gz", O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(lseek(fd, -8, SEEK_END) > 0, 1);
    assert_int_equal(file_write_all(fd, "\0\0\0\0", 4, &err), 0); /* its checksum */
    (void)close(fd);
    world_rename("logs/a.log.gz", "logs/a.log.1.gz");
    w.server.show_labels = true;
    world_write("logs/a.log", "2026-11-21T20:00:00Z stdout F three\n");
    world_start("", CRI);
    world_wait("three");
    world_wait("two");
    world_wait("gap=file_damaged");
}

static void what_is_being_compressed_is_no_other_log(void **state)
{
    (void)state;
    world_start("", CRI);
    world_write("logs/a.log", T "stdout F one\n");
    world_wait("one");
    world_write("logs/a.log.1.gz", "\x1f\x8b\x08"); /* it has just begun */
    world_rename("logs/a.log", "logs/a.log.1");
    world_write("logs/a.log", T "stdout F two\n");
    world_wait("two");
    world_wait_metric(METRIC_CHUNKS_ACKED, 2);
    compress("logs/a.log.1");
    world_rename("logs/a.log", "logs/a.log.2");
    world_write("logs/a.log", T "stdout F three\n");
    world_wait("three");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(w.server.records, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
CHECK_MAIN(TEST(a_log_that_was_only_seen_is_found_again_compressed),
           TEST(what_copytruncate_took_away_is_read_from_the_copy),
           TEST(what_was_written_and_copied_and_cut_between_two_looks_is_read),
           TEST(a_copy_is_found_behind_an_inode_that_is_used_again),
           TEST(a_rotated_log_is_found_behind_an_inode_that_is_used_again),
           TEST(copies_that_a_glob_matches_are_not_read_twice),
           TEST(copytruncate_while_we_are_away_loses_nothing),
           TEST(what_was_compressed_while_we_were_away_is_read),
           TEST(a_compressed_file_that_cannot_be_read_does_not_stop_another),
           TEST(damage_in_a_compressed_file_is_a_gap),
           TEST(what_is_being_compressed_is_no_other_log))
