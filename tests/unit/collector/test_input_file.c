/*
 * Unit tests of collector/input_file, with the pipeline behind it: real files, a real loop, and a
 * server that says what it stored.  Tests that take seconds wait for what takes
 * that long: a container that stays unknown (2 s), a file that is tried again (10 s).
 */
#include "tests/unit/collector/collector_world.h"

#include "base/fault.h"

#include <pthread.h>
#include <sys/syscall.h>

#define T    "2026-11-21T19:14:38Z "
#define CRI  "  - {type: cri, paths: ['@/logs/*.log']}\n"
#define FAST "partial_timeout: 100ms\n"

static void what_is_there_is_read_from_the_start(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n" T "stderr F two\n");
    world_start("", CRI);
    world_wait_records(2);
    check_str(buf_str(&w.server.lines), "stdout|one\nstderr|two\n");
}

static void a_new_file_in_a_new_directory_is_found(void **state)
{
    (void)state;
    world_start("", "  - {type: cri, paths: ['@/pods/*/*/*.log']}\n");
    assert_int_equal(file_make_dirs(w.dir, "pods/ns_p_uid-1/c", 0700, &err), 0);
    world_write("pods/ns_p_uid-1/c/0.log", T "stdout F hello\n");
    w.server.show_labels = true;
    world_wait("app=c container=c host=h namespace=ns pod=p runtime=containerd source=container "
               "stdout|hello");
    assert_int_equal(w.server.records, 1);
}

static void read_from_end_takes_only_what_comes(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F old\n");
    world_start("", "  - {type: cri, paths: ['@/logs/*.log'], read_from: end}\n");
    world_write("logs/a.log", T "stdout F new\n");
    world_write("logs/b.log", T "stdout F young\n"); /* was not there at the start: all of it */
    world_wait_records(2);
    world_check_once("new");
    world_check_once("young");
}

static void a_log_that_was_gone_before_it_could_be_opened_is_a_gap(void **state)
{
    (void)state;
    world_start("", "  - {type: cri, paths: ['@/pods/*/*/*.log']}\n");
    assert_int_equal(file_make_dirs(w.dir, "pods/ns_a_1/c", 0700, &err), 0);
    world_write("pods/ns_a_1/c/0.log", T "stdout F seen\n");
    world_wait("seen");
    assert_int_equal(file_make_dirs(w.dir, "pods/ns_b_2/c", 0700, &err), 0);
    world_write("pods/ns_b_2/c/0.log", T "stdout F never\n"); /* all before the loop turns */
    assert_int_equal(file_remove_tree(w.dir, "pods/ns_b_2", &err), 0);
    world_write("pods/ns_a_1/c/1.log", T "stdout F never\n");
    assert_int_equal(unlinkat(w.dir, "pods/ns_a_1/c/1.log", 0), 0);
    assert_int_equal(symlinkat("later", w.dir, "pods/ns_a_1/c/link.log"), 0);
    assert_int_equal(unlinkat(w.dir, "pods/ns_a_1/c/0.log", 0), 0); /* it was read */
    world_wait_metric(METRIC_NEVER_OPENED, 2);
    world_wait("1.log\"");
    world_wait("pods/ns_b_2\"");
    world_write("pods/ns_a_1/c/later", T "stdout F linked\n");
    world_wait("linked");
    assert_int_equal(metric_get(METRIC_GAPS), 2);
}

static void excluded_paths_are_left_alone(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F yes\n");
    world_write("logs/debug.log", T "stdout F no\n");
    world_start("", "  - {type: cri, paths: ['@/logs/*.log'], exclude: ['@/logs/debug*']}\n");
    world_wait_records(1);
    world_check_once("yes");
}

/* Longer than the buffer that reading begins with, which then is another one. */
static void a_long_line_is_read_whole_and_what_follows_it_too(void **state)
{
    char *text = mem_new(700001);

    (void)state;
    memset(text, 'y', 700000);
    world_start("max_line: 1MiB\n", "  - {type: file, paths: ['@/logs/*.log']}\n");
    world_write("logs/a.log", text);
    world_write("logs/a.log", "\nnext\n");
    world_wait("\nnext\n");
    assert_int_equal(w.server.records, 2);
    assert_true(str_find(buf_str(&w.server.lines), str_of(text)) != SIZE_MAX);
    free(text);
}

static void a_renamed_file_is_read_to_its_end_and_its_successor_after_it(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_write("logs/a.log", T "stdout F two\n" T "stdout P thr");
    world_rename("logs/a.log", "logs/a.log.20261121-191438");
    world_write("logs/a.log.20261121-191438", "ee \n"); /* a writer that has not noticed yet */
    world_write("logs/a.log", T "stdout F and four\n");
    world_wait_records(3);
    check_str(buf_str(&w.server.lines), "stdout|one\nstdout|two\nstdout|three and four\n");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_file_that_was_renamed_over_is_read_from_its_descriptor(void **state)
{
    (void)state;
    world_write("logs/ctr.log", T "stdout F one\n");
    world_start("", "  - {type: podman, paths: ['@/logs/ctr.log']}\n");
    world_wait("one");
    world_write("logs/ctr.log", T "stdout F two\n" T "stderr P x\n");
    world_write("logs/ctr.log.tmp", T "stderr F y\n" T "stdout F three\n");
    world_rename("logs/ctr.log.tmp",
                 "logs/ctr.log"); /* podman's way: the old one has no name any more */
    world_wait_records(4);
    world_check_once("stdout|two");
    world_check_once("stderr|xy");
    world_check_once("stdout|three");
}

static void a_file_between_two_looks_is_not_missed(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_rename("logs/a.log",
                 "logs/a.log.20261121-1"); /* all of this before the loop turns again */
    world_write("logs/a.log", T "stdout F two\n");
    world_rename("logs/a.log", "logs/a.log.20261121-2");
    world_write("logs/a.log", T "stdout F three\n");
    world_wait_records(3);
    world_check_once("two");
    world_check_once("three");
}

static void a_new_name_that_was_rotated_before_it_could_be_opened_is_read_whole(void **state)
{
    (void)state;
    world_start("", CRI);
    world_write("logs/a.log", T "stdout F one\n"); /* all of this before the loop turns again */
    world_rename("logs/a.log", "logs/a.log.20261121-1");
    world_write("logs/a.log", T "stdout F two\n");
    world_rename("logs/a.log", "logs/a.log.20261121-2");
    world_write("logs/a.log", T "stdout F three\n");
    world_wait_records(3);
    check_str(buf_str(&w.server.lines), "stdout|one\nstdout|two\nstdout|three\n");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

/* Nothing else may ever come by that name. */
static void
a_file_that_was_rotated_before_it_could_be_opened_is_read_without_a_successor(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_rename("logs/a.log", "logs/a.log.2");
    world_write("logs/a.log", T "stdout F two\n");
    world_rename("logs/a.log", "logs/a.log.1");
    world_wait("two");
    world_check_once("one");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_file_that_was_rotated_before_it_could_be_opened_is_opened_at_once(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_rename("logs/a.log", "logs/a.log.2");
    world_write("logs/a.log", T "stdout F two\n");
    world_rename("logs/a.log", "logs/a.log.1");
    world_write("logs/b.log", T "stdout F three\n");
    world_wait("three"); /* so all that was said of names is heard */
    assert_int_equal(unlinkat(w.dir, "logs/a.log.1", 0), 0);
    world_wait("two");
    world_check_once("two");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void rotated_files_from_before_us_are_not_read(void **state)
{
    (void)state;
    world_write("logs/a.log.20261121-1", T "stdout F history\n");
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_rename("logs/a.log", "logs/a.log.20261121-2");
    world_write("logs/a.log", T "stdout F two\n");
    world_wait("two");
    assert_int_equal(w.server.records, 2);
}

static void rotation_while_we_are_away_loses_nothing(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_write("logs/a.log", T "stdout F two\n");
    world_rename("logs/a.log", "logs/a.log.20261121-1");
    world_write("logs/a.log", T "stdout F three\n");
    world_rename("logs/a.log", "logs/a.log.20261121-2");
    world_write("logs/a.log", T "stdout F four\n");
    world_start("", CRI);
    world_wait_records(4);
    check_str(buf_str(&w.server.lines), "stdout|one\nstdout|two\nstdout|three\nstdout|four\n");
}

static void a_truncated_file_begins_anew(void **state)
{
    int fd;

    (void)state;
    world_write("logs/a.log", T "stdout F a long line before the cut\n");
    world_start("", CRI);
    world_wait("before the cut");
    fd = openat(w.dir, "logs/a.log", O_WRONLY | O_TRUNC | O_CLOEXEC);
    assert_true(fd >= 0);
    (void)close(fd);
    world_write("logs/a.log", T "stdout F after\n");
    world_wait("after");
    assert_int_equal(w.server.records, 2);
    assert_int_equal(metric_get(METRIC_FILES_TRUNCATED), 1);
    assert_false(w.server.overlapped);
}

static void a_file_that_vanished_while_we_were_away_is_a_gap_of_its_bytes(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_write("logs/b.log", T "stdout F all of it\n");
    world_start("", CRI);
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_wait_records(2);
    w.server.hold_acks = true;
    world_wait("one");
    world_write("logs/a.log", T "stdout P never finished\n" T "stderr F two\n" T "stdout P x\n");
    world_wait("two"); /* what is held is in no range */
    world_die();
    assert_int_equal(unlinkat(w.dir, "logs/a.log", 0), 0);
    assert_int_equal(unlinkat(w.dir, "logs/b.log", 0), 0);
    w.server.hold_acks = false;
    w.server.show_labels = true;
    world_start("", CRI);
    world_wait_metric(METRIC_GAPS, 2);
    world_wait("gap=file_gone");
    assert_int_equal(metric_get(METRIC_GAP_BYTES), 113 - 34);
}

static void a_file_that_cannot_be_opened_does_not_stop_the_others(void **state)
{
    unsigned runs = 0;

    (void)state;
    FAULT_EACH("input.open") {
        if (runs++ == 2) /* either of the two files was the one; more would only repeat it */
            continue;
        world_write("logs/a.log", T "stdout F a\n");
        world_write("logs/b.log", T "stdout F b\n");
        world_start("", CRI);
        world_wait_records(runs > 2 ? 2 : 1);
        if (runs <= 2)
            assert_int_equal(metric_get(METRIC_FILES_UNREADABLE), 1);
        world_write("logs/c.log", T "stdout F c\n"); /* a is tried again after ten seconds */
        world_wait_records(3);
        (void)world_teardown(state);
        (void)world_setup(state);
    }
    assert_true(runs >= 2);
}

/* A loop of links stands for every directory that cannot be gone through, whoever runs this. */
static void a_directory_that_cannot_be_gone_through_is_reported(void **state)
{
    (void)state;
    assert_int_equal(symlinkat("loop", w.dir, "loop"), 0);
    world_write("logs/a.log", T "stdout F a\n");
    world_start("", "  - {type: cri, paths: ['@/loop/*.log', '@/loop/x/*.log', '@/gone/*.log',"
                    " '@/logs/a.log/*', '@/logs/*.log']}\n");
    world_wait_records(1);
    assert_int_equal(metric_get(METRIC_FILES_UNREADABLE), 2);
}

static void an_unfinished_line_goes_after_its_time(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout P prompt>\n");
    world_start(FAST, CRI);
    world_wait("stdout|prompt> partial=true");
    world_write("logs/a.log", T "stdout F typed\n");
    world_wait("stdout|typed");
    assert_int_equal(w.server.records, 2);
}

static void what_was_not_acknowledged_is_sent_again_once(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_write("logs/a.log", T "stdout F one\n" T "stdout P tw\n");
    world_start("", CRI);
    world_wait("one");
    world_die(); /* stored, but we were never told */
    world_write("logs/a.log", T "stdout F o\n");
    w.server.hold_acks = false;
    world_start("", CRI);
    world_wait("two");
    world_wait_metric(METRIC_CHUNKS_ACKED, 2);
    assert_int_equal(w.server.records, 2);
    assert_int_equal(w.server.repeated, 1);
    assert_false(w.server.overlapped);
}

static void a_planned_file_that_is_gone_is_reported_as_a_gap(void **state)
{
    (void)state;
    w.server.lose_after = 1;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait_metric(METRIC_CHUNKS_SENT, 1);
    world_die();
    w.server.records = 0;
    assert_int_equal(unlinkat(w.dir, "logs/a.log", 0), 0);
    w.server.show_labels = true;
    world_start("", CRI);
    world_wait("gap=file_gone");
    world_wait("source=logq");
    world_wait("end=34");
}

static void a_refused_chunk_becomes_a_gap_and_is_kept(void **state)
{
    struct err ignored;
    int refused;

    (void)state;
    w.server.refuse = "INVALID";
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait_metric(METRIC_CHUNKS_REFUSED, 1);
    w.server.refuse = NULL;
    world_write("logs/a.log", T "stdout F two\n");
    world_wait("two");
    world_wait("gap=refused");
    assert_int_equal(file_open_dir(w.dir, "state/refused", &refused, &ignored), 0);
    assert_true(tmpdir_count(refused) >= 1);
    (void)close(refused);
}

static void a_chunk_that_is_stored_in_part_is_sent_once_more_and_told(void **state)
{
    (void)state;
    w.server.half = true;
    world_write("logs/a.log", T "stdout F one\n" T "stdout F two\n");
    world_start("", CRI);
    world_wait("two");
    world_check_once("one");
    world_wait("maybe_twice=journal_old");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_in_range(metric_get(METRIC_MAYBE_TWICE_BYTES), 1, 200);
    w.server.half = false;
    world_write("logs/a.log", T "stdout F three\n");
    world_wait("three");
    world_check_once("two");
}

/* What is to be said of it waits for the disk; the chunk does not. */
static void a_chunk_is_sent_once_more_when_the_disk_fails_too(void **state)
{
    (void)state;
    w.server.half = true;
    world_write("logs/a.log", T "stdout F one\n" T "stdout F two\n");
    fault_start("spool.sync");
    assert_true(fault_next());
    world_start("", CRI);
    world_wait("two");
    world_wait_metric(METRIC_SPOOL_SYNC_FAILED, 1);
    while (fault_next())
        ;
    world_wait("maybe_twice=journal_old");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_container_nobody_knows_is_called_by_its_id(void **state)
{
    (void)state;
    assert_int_equal(file_make_dirs(w.dir, "d/0123456789abcdef", 0700, &err), 0);
    world_write("d/0123456789abcdef/0123456789abcdef-json.log",
                "{\"log\":\"hi\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T19:14:38Z\"}\n");
    w.server.show_labels = true;
    world_start("", "  - {type: docker, paths: ['@/d/*/*-json.log']}\n");
    world_wait(
        "app=0123456789ab container=0123456789ab host=h runtime=docker source=container stdout|hi");
    assert_int_equal(metric_get(METRIC_UNRESOLVED), 1);
}

static void plain_files_are_lines(void **state)
{
    (void)state;
    world_write("logs/app.txt", "first\n\nthird\n");
    world_start("", "  - {type: file, paths: ['@/logs/*.txt'], labels: {app: shop}}\n");
    w.server.show_labels = true;
    world_wait_records(3);
    check_str(buf_str(&w.server.lines), "app=shop host=h source=file first\n"
                                        "app=shop host=h source=file \n"
                                        "app=shop host=h source=file third\n");
}

static void on_drained(void *arg)
{
    *(bool *)arg = true;
}

static void draining_sends_what_is_there_and_waits_for_acks(void **state)
{
    bool drained = false;

    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_start("", CRI);
    world_wait_metric(METRIC_RECORDS, 1); /* read, and mostly not sealed yet */
    world_write("logs/a.log", T "stdout F two\n");
    world_write("logs/late.log", T "stdout F three\n");
    collector_drain(w.collector, 60 * NS_PER_S, on_drained, &drained);
    WAIT_FOR(w.loop, drained);
    assert_int_equal(w.server.records, 3);
    assert_int_equal(metric_get(METRIC_CHUNKS_ACKED), metric_get(METRIC_CHUNKS_SENT));
    world_write("logs/a.log", T "stdout F four\n"); /* nobody looks any more */
    assert_int_equal(metric_get(METRIC_RECORDS), 3);
}

static bool so_many_are_open(void *arg)
{
    return metric_get(METRIC_FILES_OPEN) == *(const uint64_t *)arg;
}

static void a_reload_brings_new_globs_and_ends_old_ones(void **state)
{
    uint64_t open;

    (void)state;
    world_write("logs/a.log", T "stdout F one\n");
    world_write("logs/b.txt", T "stdout F two\n");
    world_start("", CRI);
    world_wait("one");
    open = metric_get(METRIC_FILES_OPEN);
    world_write("logs/a.log", T "stdout F three\n" T "stdout F three");
    assert_int_equal(
        collector_reload(w.collector,
                         world_config("", "  - {type: cri, paths: ['@/logs/*.txt']}\n"), &err),
        0);
    world_wait("two");
    world_wait("three"); /* it was there */
    world_write("logs/a.log", " and a half\n" T "stdout F four\n");
    world_wait("three and a half");
    wait_check(w.loop, so_many_are_open, &open, "the old one is closed");
    world_write("logs/b.txt", T "stdout F five\n");
    world_wait("five");
    assert_int_equal(w.server.records, 5); /* with the line that was begun, and no other */
    assert_int_equal(
        collector_reload(w.collector,
                         world_config("", CRI "  - {type: cri, paths: ['@/logs/*.txt']}\n"), &err),
        0);
    world_wait("four");
    assert_int_equal(w.server.records, 6);
}

static void a_reload_changes_what_is_done_to_followed_files(void **state)
{
    (void)state;
    world_write("logs/a.log", T "stdout F one by joe@example.org\n");
    world_start("", CRI);
    world_wait("one by joe@example.org");
    assert_int_equal(
        collector_reload(w.collector,
                         world_config("redact: {detectors: email}\nrules: [{if: {line: noise}, "
                                      "then: drop}]\n",
                                      CRI),
                         &err),
        0);
    world_write("logs/a.log", T "stdout F noise\n" T "stdout F two by joe@example.org\n");
    world_wait("two by [redacted:email]");
    assert_int_equal(w.server.records, 2);
    assert_int_equal(collector_reload(w.collector, world_config("", CRI), &err), 0);
    world_write("logs/a.log", T "stdout F noise by joe@example.org\n");
    world_wait("noise by joe@example.org");
}

static void a_second_collector_on_the_same_state_is_refused(void **state)
{
    struct collector *second = NULL;

    (void)state;
    world_start("", CRI);
    assert_int_equal(collector_open(w.loop, NULL, world_config("", CRI), &second, &err),
                     ERR_EXISTS);
    assert_null(second);
}

/* Rotations, pieces and deaths in any order; the server loses acks now and then. */
static void every_line_arrives_once_through_rotations_and_deaths(void **state)
{
    char line[128];
    unsigned seed = 7, n = 0, rotations = 0;

    (void)state;
    world_start("", CRI);
    for (unsigned step = 0; step < 60; step++) {
        unsigned lines;
        seed = seed * 1664525u + 1013904223u;
        lines = (seed >> 8) % 20;
        for (unsigned i = 0; i < lines; i++, n++) {
            (void)snprintf(line, sizeof(line), T "%s P <%u\n", n % 2 == 0 ? "stdout" : "stderr", n);
            world_write("logs/a.log", line);
            if (i == lines / 2 && step % 5 == 4) { /* in the middle of a record */
                (void)snprintf(line, sizeof(line), "logs/a.log.20261121-%06u", rotations++);
                world_rename("logs/a.log", line);
            }
            (void)snprintf(line, sizeof(line), T "%s F >\n", n % 2 == 0 ? "stdout" : "stderr");
            world_write("logs/a.log", line);
        }
        w.server.lose_after = step % 7 == 6 ? 1 : 0;
        for (unsigned i = 0; i < (seed >> 16) % 8; i++)
            (void)uv_run(loop_uv(w.loop), UV_RUN_NOWAIT);
        if (step % 4 == 3) {
            world_die();
            world_start("", CRI);
        }
    }
    w.server.lose_after = 0;
    world_wait_records(n);
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    assert_int_equal(w.server.records, n);
    assert_false(w.server.overlapped);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    for (unsigned i = 0; i < n; i++) {
        (void)snprintf(line, sizeof(line), "|<%u>\n", i);
        world_check_once(line);
    }
}

/* The file between the first and the last was there, and nobody saw it. */
static void a_file_that_was_renamed_over_unseen_is_a_gap(void **state)
{
    (void)state;
    world_write("logs/x.log", T "stdout F first\n");
    world_start(FAST, CRI);
    world_wait("stdout|first");
    world_write("logs/tmp1", T "stdout F between\n");
    world_write("logs/tmp2", T "stdout F last\n");
    world_rename("logs/tmp1", "logs/x.log");
    world_rename("logs/tmp2", "logs/x.log");
    world_wait("stdout|last");
    world_wait("never_opened");
    assert_int_equal(metric_get(METRIC_NEVER_OPENED), 1);
}

/* Those of the loop's thread: the journal has its own. */
static pthread_t loop_thread;
static unsigned syncs;

int fdatasync(int fd)
{
    if (pthread_equal(pthread_self(), loop_thread) != 0)
        syncs++;
    return (int)syscall(SYS_fdatasync, fd);
}

/* Who may write into the directory does not hold up what is to be read elsewhere. */
static void many_that_were_renamed_over_are_one_gap_and_one_sync(void **state)
{
    (void)state;
    world_write("logs/x.log", T "stdout F first\n");
    world_start(FAST, CRI);
    world_wait("stdout|first");
    for (int i = 0; i < 1000; i++) {
        world_write("logs/tmp", T "stdout F last\n");
        world_rename("logs/tmp", "logs/x.log");
    }
    loop_thread = pthread_self();
    syncs = 0;
    world_wait("stdout|last");
    world_wait("gap=never_opened");
    assert_int_equal(metric_get(METRIC_GAPS), 1);
    assert_int_equal(syncs, 1);
    assert_in_range(metric_get(METRIC_NEVER_OPENED), 100, 1000);
    world_wait(" count=");
}

/* They have to be durable before the journal passes over what they tell, and no sooner. */
static void many_gaps_are_one_sync(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "logs/%d.log", i);
        world_write(name, T "stdout P held\n" T "stderr F sent\n");
    }
    world_start("", CRI);
    world_wait_records(20);
    world_die();
    for (int i = 0; i < 20; i++) {
        (void)snprintf(name, sizeof(name), "logs/%d.log", i);
        assert_int_equal(unlinkat(w.dir, name, 0), 0);
    }
    w.server.show_labels = true;
    loop_thread = pthread_self();
    syncs = 0;
    world_start("", CRI);
    world_wait("gap=file_gone");
    world_wait_metric(METRIC_GAPS, 20);
    assert_in_range(syncs, 1, 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
CHECK_MAIN(TEST(what_is_there_is_read_from_the_start), TEST(a_new_file_in_a_new_directory_is_found),
           TEST(read_from_end_takes_only_what_comes),
           TEST(a_log_that_was_gone_before_it_could_be_opened_is_a_gap),
           TEST(excluded_paths_are_left_alone),
           TEST(a_long_line_is_read_whole_and_what_follows_it_too),
           TEST(a_renamed_file_is_read_to_its_end_and_its_successor_after_it),
           TEST(a_file_that_was_renamed_over_is_read_from_its_descriptor),
           TEST(a_file_that_was_renamed_over_unseen_is_a_gap),
           TEST(many_that_were_renamed_over_are_one_gap_and_one_sync), TEST(many_gaps_are_one_sync),
           TEST(a_file_between_two_looks_is_not_missed),
           TEST(a_new_name_that_was_rotated_before_it_could_be_opened_is_read_whole),
           TEST(a_file_that_was_rotated_before_it_could_be_opened_is_read_without_a_successor),
           TEST(a_file_that_was_rotated_before_it_could_be_opened_is_opened_at_once),
           TEST(rotated_files_from_before_us_are_not_read),
           TEST(rotation_while_we_are_away_loses_nothing), TEST(a_truncated_file_begins_anew),
           TEST(a_file_that_vanished_while_we_were_away_is_a_gap_of_its_bytes),
           TEST(a_file_that_cannot_be_opened_does_not_stop_the_others),
           TEST(a_directory_that_cannot_be_gone_through_is_reported),
           TEST(an_unfinished_line_goes_after_its_time),
           TEST(what_was_not_acknowledged_is_sent_again_once),
           TEST(a_planned_file_that_is_gone_is_reported_as_a_gap),
           TEST(a_refused_chunk_becomes_a_gap_and_is_kept),
           TEST(a_chunk_that_is_stored_in_part_is_sent_once_more_and_told),
           TEST(a_chunk_is_sent_once_more_when_the_disk_fails_too),
           TEST(a_container_nobody_knows_is_called_by_its_id), TEST(plain_files_are_lines),
           TEST(draining_sends_what_is_there_and_waits_for_acks),
           TEST(a_reload_brings_new_globs_and_ends_old_ones),
           TEST(a_reload_changes_what_is_done_to_followed_files),
           TEST(a_second_collector_on_the_same_state_is_refused),
           TEST(every_line_arrives_once_through_rotations_and_deaths))
