/* Unit tests of collector/spool: lines that have no file of their own. */
#include "collector/spool.h"

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "tests/unit/collector/spool_world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void reopen(void)
{
    spool_close(&s);
    assert_int_equal(spool_open(dir, "x", &s, &err), 0);
}

static void lines_come_back_after_a_restart(void **state)
{
    (void)state;
    assert_int_equal(spool_append(s, STR("one\n"), &err), 0);
    assert_int_equal(spool_append(s, STR("two\n"), &err), 0);
    assert_int_equal(spool_sync(s, &err), 0);
    reopen();
    assert_int_equal(spool_append(s, STR("three\n"), &err), 0);
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    check_str(buf_str(&seen), "one\ntwo\nthree\n");
}

static void a_torn_line_is_cut_off(void **state)
{
    int fd;

    (void)state;
    assert_int_equal(spool_append(s, STR("one\n"), &err), 0);
    fd = openat(dir, "spool/x/00000001.jsonl", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, "tw", 2, &err), 0);
    (void)close(fd);
    reopen();
    assert_int_equal(spool_append(s, STR("three\n"), &err), 0);
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    check_str(buf_str(&seen), "one\nthree\n");
}

static void a_long_spool_goes_on_in_a_next_file(void **state)
{
    char line[1024], first[TMPDIR_PATH_MAX + 64], second[TMPDIR_PATH_MAX + 64];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    (void)snprintf(first, sizeof(first), "%s/spool/x/00000001.jsonl", path);
    (void)snprintf(second, sizeof(second), "%s/spool/x/00000002.jsonl", path);
    assert_false(spool_retire(dir, first));
    for (int i = 0; i < 1025; i++)
        assert_int_equal(spool_append(s, (struct str){line, sizeof(line)}, &err), 0);
    assert_false(spool_retire(dir, second));
    assert_false(spool_retire(dir, "/etc/passwd"));
    assert_true(spool_retire(dir, first)); /* by the directory's descriptor, not by the name */
    assert_int_not_equal(access(first, F_OK), 0);
    reopen();
    assert_int_equal(spool_append(s, STR("last\n"), &err), 0);
    assert_int_equal(access(second, F_OK), 0);
}

static void check_end(size_t cap, const char *want)
{
    char end[64];
    size_t n = 0;

    assert_int_equal(spool_end(s, end, cap, &n, &err), 0);
    check_str(((struct str){end, n}), want);
}

static void the_end_of_the_last_line_is_found(void **state)
{
    char line[1025];
    int fd;

    (void)state;
    check_end(64, "");
    assert_int_equal(spool_append(s, STR("one\n"), &err), 0);
    check_end(64, "one");
    assert_int_equal(spool_append(s, STR("two\nand more\n"), &err), 0);
    check_end(64, "and more");
    check_end(4, "more");
    check_end(8, "and more");
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 2] = '!';
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 1024; i++)
        assert_int_equal(spool_append(s, (struct str){line, sizeof(line)}, &err), 0);
    check_end(3, "xx!");
    fd = openat(dir, "spool/x/00000002.jsonl", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0); /* begun, and then we were killed */
    (void)close(fd);
    reopen();
    check_end(3, "xx!");
}

/* What a source goes on from stays until there is something later. */
static void a_file_with_only_an_empty_one_behind_it_stays(void **state)
{
    char first[TMPDIR_PATH_MAX + 64];
    int fd;

    (void)state;
    (void)snprintf(first, sizeof(first), "%s/spool/x/00000001.jsonl", path);
    assert_int_equal(spool_append(s, STR("one\n"), &err), 0);
    fd = openat(dir, "spool/x/00000002.jsonl", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_false(spool_retire(dir, first));
    reopen();
    assert_int_equal(spool_append(s, STR("two\n"), &err), 0);
    assert_true(spool_retire(dir, first));
}

static void all_files_count_for_the_total(void **state)
{
    uint64_t total = 0;
    char line[1024];

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 1030; i++)
        assert_int_equal(spool_append(s, (struct str){line, sizeof(line)}, &err), 0);
    assert_int_equal(spool_total(s, &total, &err), 0);
    assert_int_equal(total, 1030 * sizeof(line));
}

static void a_failing_disk_leaves_whole_lines(void **state)
{
    (void)state;
    FAULT_EACH("file") {
        size_t lines = 0;
        struct str rest;
        int r = spool_append(s, STR("line\n"), &err);
        buf_clear(&seen);
        if (spool_replay(s, take, NULL, &err) < 0) /* the fault came as late as here */
            assert_int_equal(spool_replay(s, take, NULL, &err), 0);
        rest = buf_str(&seen);
        while (rest.n > 0) {
            check_str(str_cut(&rest, '\n'), "line");
            lines++;
        }
        assert_true(r < 0 || lines > 0);
    }
}

/* Without a sync bytes may be gone whatever the next sync says. */
static void what_was_not_synced_is_written_again_in_its_place(void **state)
{
    char file[16] = "";
    int fd;

    (void)state;
    assert_int_equal(spool_append(s, STR("one\n"), &err), 0);
    assert_int_equal(spool_append(s, STR("two\n"), &err), 0);
    fault_start("spool.sync");
    assert_true(fault_next());
    assert_int_equal(spool_sync(s, &err), ERR_IO);
    while (fault_next())
        ;
    spool_again(s, 4);
    fd = openat(dir, "spool/x/00000001.jsonl", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    fault_start("file.write");
    assert_true(fault_next());
    assert_int_equal(spool_append(s, STR("two\nthree\n"), &err), ERR_IO);
    while (fault_next())
        ;
    assert_int_equal(pread(fd, file, sizeof(file), 0), 8); /* a reader may have had it */
    assert_int_equal(pwrite(fd, "\0\0\0\0", 4, 4), 4);     /* as a file system may leave it */
    assert_int_equal(spool_append(s, STR("two\nthree\n"), &err), 0);
    (void)close(fd);
    assert_int_equal(spool_size(s), 14);
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    check_str(buf_str(&seen), "one\ntwo\nthree\n");
}

/* All of what was kept since the last sync that went well. */
static void what_was_kept_is_written_again_until_it_is_durable(void **state)
{
    char file[16] = "";
    int fd;

    (void)state;
    assert_int_equal(spool_keep(s, STR("one\n"), &err), 0);
    assert_int_equal(spool_sync(s, &err), 0);
    assert_int_equal(metric_get(METRIC_SPOOL_WAITING_BYTES), 0);
    assert_int_equal(spool_keep(s, STR("two\n"), &err), 0);
    assert_int_equal(spool_keep(s, STR("three\n"), &err), 0);
    fault_start("spool.sync");
    assert_true(fault_next());
    assert_false(spool_retry(s));
    while (fault_next())
        ;
    assert_int_equal(metric_get(METRIC_SPOOL_SYNC_FAILED), 1);
    assert_int_equal(metric_get(METRIC_SPOOL_WAITING_BYTES), 10);
    fd = openat(dir, "spool/x/00000001.jsonl", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "\0\0\0\0\0\0", 6, 4), 6); /* as a file system may leave it */
    assert_int_equal(spool_keep(s, STR("4\n"), &err), 0);
    assert_int_equal(spool_sync(s, &err), 0);
    assert_int_equal(pread(fd, file, sizeof(file), 0), 16);
    check_str(((struct str){file, 16}), "one\ntwo\nthree\n4\n");
    assert_int_equal(metric_get(METRIC_SPOOL_WAITING_BYTES), 0);
    (void)close(fd);
}

/* Who ends while the disk fails tries once more. */
static void what_is_kept_is_tried_once_more_at_the_end(void **state)
{
    (void)state;
    fault_start("file.write");
    assert_true(fault_next());
    assert_int_equal(spool_keep(s, STR("one\n"), &err), 0);
    while (fault_next())
        ;
    reopen();
    assert_int_equal(metric_get(METRIC_SPOOL_WAITING_BYTES), 0);
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    check_str(buf_str(&seen), "one\n");
}

/* Nor does more wait than may. */
static void much_that_is_kept_is_synced_in_between(void **state)
{
    char line[1024];
    uint64_t total = 0;

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < 5000; i++)
        assert_int_equal(spool_keep(s, (struct str){line, sizeof(line)}, &err), 0);
    assert_in_range(metric_get(METRIC_SPOOL_WAITING_BYTES), 1, SPOOL_LATE_MAX);
    assert_true(spool_retry(s));
    assert_int_equal(metric_get(METRIC_SPOOL_WAITING_BYTES), 0);
    assert_int_equal(spool_total(s, &total, &err), 0);
    assert_int_equal(total, 5000 * sizeof(line));
}

static void what_cannot_be_written_waits_in_memory(void **state)
{
    (void)state;
    fault_start("file.write");
    assert_true(fault_next());
    assert_int_equal(spool_keep(s, STR("one\n"), &err), 0);
    while (fault_next())
        ;
    assert_int_equal(spool_keep(s, STR("two\n"), &err), 0); /* not before the first */
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    check_str(buf_str(&seen), "");
    assert_true(spool_retry(s));
    assert_true(spool_retry(s));
    reopen();
    assert_int_equal(spool_keep(s, STR("three\n"), &err), 0);
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    check_str(buf_str(&seen), "one\ntwo\nthree\n");
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* As long as the disk takes nothing. */
static void what_waits_is_bounded(void **state)
{
    char line[1024];
    size_t n = 0;

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    limit_files(0);
    while (n <= SPOOL_LATE_MAX && spool_keep(s, (struct str){line, sizeof(line)}, &err) == 0)
        n++;
    limit_files(RLIM_INFINITY);
    assert_int_equal(n, SPOOL_LATE_MAX / sizeof(line));
    assert_int_equal(err.code, ERR_LIMIT);
}

static uint64_t ends[8];
static size_t n_ends;

static void take_head(void *arg, struct str head, uint64_t end)
{
    (void)arg;
    buf_addf(&seen, "%zu:%c ", head.n, head.n == 0 ? '-' : head.p[0]);
    ends[n_ends++] = end;
}

static void a_file_by_hand_is_as_long_as_is_wanted(void **state)
{
    char *line = mem_new(3 << 20);
    uint64_t total = 0;

    (void)state;
    memset(line, 'x', 3 << 20);
    line[(3 << 20) - 1] = '\n';
    spool_by_hand(s);
    assert_int_equal(spool_append(s, STR("a\n\nbb\n"), &err), 0);
    assert_int_equal(spool_append(s, (struct str){line, 3 << 20}, &err), 0);
    assert_int_equal(spool_append(s, STR("c\n"), &err), 0);
    assert_int_equal(spool_size(s), 6 + (3 << 20) + 2);
    n_ends = 0;
    assert_int_equal(spool_heads(s, take_head, NULL, &err), 0);
    check_str(buf_str(&seen), "1:a 0:- 2:b 256:x 1:c ");
    assert_int_equal(ends[0], 2);
    assert_int_equal(ends[1], 3);
    assert_int_equal(ends[2], 6);
    assert_int_equal(ends[3], 6 + (3 << 20));
    assert_int_equal(ends[4], 8 + (3 << 20));
    assert_int_equal(spool_cut(s, 6, &err), 0);
    assert_int_equal(spool_next(s, &err), 0);
    assert_int_equal(spool_size(s), 0);
    assert_int_equal(spool_append(s, STR("d\n"), &err), 0);
    assert_int_equal(spool_total(s, &total, &err), 0);
    assert_int_equal(total, 8);
    buf_clear(&seen);
    assert_int_equal(spool_heads(s, take_head, NULL, &err), 0);
    check_str(buf_str(&seen), "1:d ");
    free(line);
}

/* The server may acknowledge a later one first. */
static void files_may_be_removed_in_any_order(void **state)
{
    char name[3][TMPDIR_PATH_MAX + 64];

    (void)state;
    assert_int_equal(spool_next(s, &err), 0);
    assert_int_equal(spool_next(s, &err), 0);
    assert_int_equal(spool_append(s, STR("x\n"), &err), 0);
    for (int i = 0; i < 3; i++)
        (void)snprintf(name[i], sizeof(name[i]), "%s/spool/x/%08d.jsonl", path, i + 1);
    assert_true(spool_retire(dir, name[1]));
    assert_true(spool_retire(dir, name[0]));
    assert_false(spool_retire(dir, name[2])); /* the one that is written to */
}

/* By which it is known what an engine tells once more. */
static void the_last_two_files_of_events_stay(void **state)
{
    static const char *const SOURCES[] = {SPOOL_DOCKER, SPOOL_PODMAN};
    char name[TMPDIR_PATH_MAX + 64];

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        spool_close(&s);
        assert_int_equal(spool_open(dir, SOURCES[i], &s, &err), 0);
        (void)snprintf(name, sizeof(name), "%s/spool/%s/00000001.jsonl", path, SOURCES[i]);
        assert_int_equal(spool_append(s, STR("one\n"), &err), 0);
        assert_int_equal(spool_next(s, &err), 0);
        assert_int_equal(spool_append(s, STR("two\n"), &err), 0);
        assert_false(spool_retire(dir, name));
        buf_clear(&seen);
        assert_int_equal(spool_replay(s, take, NULL, &err), 0);
        check_str(buf_str(&seen), "one\ntwo\n");
        assert_int_equal(spool_next(s, &err), 0);
        assert_int_equal(spool_append(s, STR("three\n"), &err), 0);
        assert_true(spool_retire(dir, name));
        buf_clear(&seen);
        assert_int_equal(spool_replay(s, take, NULL, &err), 0);
        check_str(buf_str(&seen), "two\nthree\n");
    }
}

static void a_long_torn_line_is_cut_off(void **state)
{
    char *line = mem_new(100000);
    int fd;

    (void)state;
    memset(line, 'x', 100000);
    assert_int_equal(spool_append(s, STR("one\n"), &err), 0);
    fd = openat(dir, "spool/x/00000001.jsonl", O_WRONLY | O_APPEND | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, line, 100000, &err), 0);
    (void)close(fd);
    reopen();
    assert_int_equal(spool_size(s), 4);
    free(line);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(lines_come_back_after_a_restart, setup, teardown),
           cmocka_unit_test_setup_teardown(a_torn_line_is_cut_off, setup, teardown),
           cmocka_unit_test_setup_teardown(a_long_spool_goes_on_in_a_next_file, setup, teardown),
           cmocka_unit_test_setup_teardown(the_end_of_the_last_line_is_found, setup, teardown),
           cmocka_unit_test_setup_teardown(a_file_with_only_an_empty_one_behind_it_stays, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(all_files_count_for_the_total, setup, teardown),
           cmocka_unit_test_setup_teardown(a_failing_disk_leaves_whole_lines, setup, teardown),
           cmocka_unit_test_setup_teardown(what_was_not_synced_is_written_again_in_its_place, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(what_was_kept_is_written_again_until_it_is_durable,
                                           setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_kept_is_tried_once_more_at_the_end, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(much_that_is_kept_is_synced_in_between, setup, teardown),
           cmocka_unit_test_setup_teardown(what_cannot_be_written_waits_in_memory, setup, teardown),
           cmocka_unit_test_setup_teardown(what_waits_is_bounded, setup, teardown),
           cmocka_unit_test_setup_teardown(a_file_by_hand_is_as_long_as_is_wanted, setup, teardown),
           cmocka_unit_test_setup_teardown(files_may_be_removed_in_any_order, setup, teardown),
           cmocka_unit_test_setup_teardown(the_last_two_files_of_events_stay, setup, teardown),
           cmocka_unit_test_setup_teardown(a_long_torn_line_is_cut_off, setup, teardown))
