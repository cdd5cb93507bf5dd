/* base/file.c: whole or not at all, wherever a call fails. */
#include "base/file.h"

#include "base/fault.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Looks without base/file.c, and so without its fault points. */
static bool holds(int dir, const char *name, const char *text)
{
    char got[64];
    int fd = openat(dir, name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, got, sizeof(got));

    if (fd >= 0)
        (void)close(fd);
    return n >= 0 && str_eq((struct str){got, (size_t)n}, str_of(text));
}

static void publishes_new_names_or_leaves_nothing(void **state)
{
    int dir = tmpdir_open(NULL);
    unsigned failed = 0;

    (void)state;
    FAULT_EACH("file") {
        struct file *f = NULL;
        struct err err;
        int r = file_create_tmp(dir, "a", 0600, &f, &err);
        if (r == 0)
            r = file_append(f, "hello ", 6, &err);
        if (r == 0)
            r = file_append(f, "world", 5, &err);
        if (r == 0) {
            assert_int_equal(file_size(f), 11);
            assert_false(tmpdir_has(dir, "a"));
            r = file_publish(f, &err);
        }
        file_discard(&f);
        assert_null(f);
        assert_true(r == 0 || r == ERR_IO);
        assert_int_equal(tmpdir_has(dir, "a"), r == 0);
        assert_false(tmpdir_has(dir, "a.tmp"));
        failed += r != 0;
        if (r == 0) {
            assert_true(holds(dir, "a", "hello world"));
            assert_int_equal(unlinkat(dir, "a", 0), 0);
        }
    }
#ifdef LOGQ_FAULTS
    assert_int_equal(failed,
                     8); /* create, 2 x (write, torn), fsync, rename, fsync of the directory */
#endif
    tmpdir_close(dir);
}

static void replacing_keeps_one_of_both_texts(void **state)
{
    int dir = tmpdir_open(NULL);
    struct err err;
    unsigned failed = 0;

    (void)state;
    assert_int_equal(file_replace(dir, "a", 0600, STR("old"), &err), 0);
    FAULT_EACH("file") {
        int r = file_replace(dir, "a", 0600, STR("new"), &err);
        assert_true(r == 0 || r == ERR_IO);
        assert_true(holds(dir, "a", "new") || (r < 0 && holds(dir, "a", "old")));
        assert_false(tmpdir_has(dir, "a.tmp"));
        failed += r != 0;
        if (r < 0) /* this round's fault is spent */
            assert_int_equal(file_replace(dir, "a", 0600, STR("old"), &err), 0);
    }
#ifdef LOGQ_FAULTS
    assert_int_equal(failed, 6);
#endif
    tmpdir_close(dir);
}

static void litter_of_a_crash_does_not_block(void **state)
{
    int dir = tmpdir_open(NULL);
    struct err err;
    int fd = openat(dir, "a.tmp", O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "torn", 4), 4);
    (void)close(fd);
    assert_int_equal(file_replace(dir, "a", 0640, STR("x"), &err), 0);
    assert_true(holds(dir, "a", "x"));
    assert_int_equal(tmpdir_count(dir), 1);
    tmpdir_close(dir);
}

static void paths_with_directories_work_too(void **state)
{
    char path[TMPDIR_PATH_MAX];
    char name[TMPDIR_PATH_MAX + 16];
    int dir = tmpdir_open(path);
    struct err err;

    (void)state;
    assert_int_equal(file_make_dirs(dir, "x//y/z/", 0700, &err), 0);
    assert_int_equal(file_make_dirs(dir, "x/y", 0700, &err), 0);
    assert_int_equal(file_replace(dir, "x/y/a", 0600, STR("1"), &err), 0);
    assert_true(holds(dir, "x/y/a", "1"));
    (void)snprintf(name, sizeof(name), "%s/x/b", path);
    assert_int_equal(file_replace(AT_FDCWD, name, 0600, STR("2"), &err), 0);
    assert_true(holds(dir, "x/b", "2"));
    assert_int_equal(file_replace(dir, "none/a", 0600, STR("1"), &err), ERR_IO);
    assert_int_equal(file_make_dirs(dir, "x/b/c", 0700, &err), ERR_IO);
    tmpdir_close(dir);
}

static void reads_within_its_maximum(void **state)
{
    int dir = tmpdir_open(NULL);
    struct err err;
    struct buf b;

    (void)state;
    assert_int_equal(file_replace(dir, "a", 0600, STR("12345"), &err), 0);
    buf_init(&b, 8);
    buf_add_z(&b, "abc");
    assert_int_equal(file_read(dir, "a", &b, &err), 0);
    check_str(buf_str(&b), "abc12345");
    assert_int_equal(file_read(dir, "a", &b, &err), ERR_LIMIT);
    check_str(buf_str(&b), "abc12345");
    assert_int_equal(file_read(dir, "none", &b, &err), ERR_GONE);
    buf_fini(&b);
    buf_init(&b, 1 << 20);
    assert_int_equal(file_read(AT_FDCWD, "/proc/self/status", &b, &err), 0); /* has size 0 */
    assert_true(b.n > 100);
    buf_fini(&b);
    tmpdir_close(dir);
}

static void a_short_file_is_corrupt_not_an_io_error(void **state)
{
    int dir = tmpdir_open(NULL);
    int fd = openat(dir, "a", O_CREAT | O_RDWR, 0600);
    struct err err;
    char got[8];

    (void)state;
    assert_int_equal(file_pwrite_all(fd, "34", 2, 2, &err), 0);
    assert_int_equal(file_write_all(fd, "12", 2, &err), 0);
    assert_int_equal(file_pread_all(fd, got, 4, 0, &err), 0);
    assert_memory_equal(got, "1234", 4);
    assert_int_equal(file_pread_all(fd, got, 5, 0, &err), ERR_CORRUPT);
    assert_int_equal(file_pread_all(fd, got, 1, UINT64_MAX, &err), ERR_CORRUPT);
    assert_int_equal(file_pread_all(fd, got, 8, INT64_MAX - 3, &err), ERR_CORRUPT);
    assert_int_equal(file_pread_all(fd, got, 0, 4, &err), 0);
    assert_int_equal(file_pwrite_all(fd, "x", 1, UINT64_MAX, &err), ERR_INVALID);
    (void)close(fd);
    assert_int_equal(file_pread_all(-1, got, 1, 0, &err), ERR_IO);
    tmpdir_close(dir);
}

static void trees_go_without_following_links(void **state)
{
    int dir = tmpdir_open(NULL);
    struct err err;

    (void)state;
    assert_int_equal(file_make_dirs(dir, "keep", 0700, &err), 0);
    assert_int_equal(file_replace(dir, "keep/a", 0600, STR("1"), &err), 0);
    assert_int_equal(file_make_dirs(dir, "t/u/v", 0700, &err), 0);
    assert_int_equal(file_replace(dir, "t/u/f", 0600, STR("1"), &err), 0);
    assert_int_equal(symlinkat("../keep", dir, "t/link"), 0);
    assert_int_equal(file_remove_tree(dir, "t", &err), 0);
    assert_false(tmpdir_has(dir, "t"));
    assert_true(tmpdir_has(dir, "keep/a"));
    assert_int_equal(file_remove_tree(dir, "t", &err), 0); /* absent is fine */
    assert_int_equal(file_remove_tree(dir, "keep/a", &err), 0);
    assert_int_equal(tmpdir_count(dir), 1);
    tmpdir_close(dir);
}

static int stop_at_b(void *arg, int dir_fd, const char *name, struct err *err)
{
    unsigned *seen = arg;

    (void)dir_fd;
    (*seen)++;
    if (strcmp(name, "b") == 0)
        return err_set(err, ERR_CANCELLED, "enough");
    return 0;
}

static void walks_stop_when_told(void **state)
{
    int dir = tmpdir_open(NULL);
    struct err err;
    unsigned seen = 0;

    (void)state;
    assert_int_equal(file_make_dirs(dir, "a", 0700, &err), 0);
    assert_int_equal(file_make_dirs(dir, "c", 0700, &err), 0);
    assert_int_equal(file_walk(dir, stop_at_b, &seen, &err), 0);
    assert_int_equal(seen, 2);
    assert_int_equal(file_make_dirs(dir, "b", 0700, &err), 0);
    assert_int_equal(file_walk(dir, stop_at_b, &seen, &err), ERR_CANCELLED);
    tmpdir_close(dir);
}

static void a_lock_names_who_holds_it(void **state)
{
    int dir = tmpdir_open(NULL);
    struct err err;
    char pid[24];
    int one = -1;
    int two = -1;

    (void)state;
    assert_int_equal(file_lock(dir, "lock", &one, &err), 0);
    assert_int_equal(file_lock(dir, "lock", &two, &err), ERR_EXISTS);
    (void)snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
    assert_non_null(strstr(err.text, pid));
    (void)close(one);
    assert_int_equal(file_lock(dir, "lock", &two, &err), 0);
    (void)close(two);
    tmpdir_close(dir);
}

static void opening_what_is_no_directory_fails(void **state)
{
    int dir = tmpdir_open(NULL);
    struct err err;
    int fd = -1;

    (void)state;
    assert_int_equal(file_replace(dir, "a", 0600, STR("1"), &err), 0);
    assert_int_equal(file_open_dir(dir, "none", &fd, &err), ERR_GONE);
    assert_int_equal(file_open_dir(dir, "a", &fd, &err), ERR_IO);
    assert_int_equal(file_open_dir(dir, ".", &fd, &err), 0);
    (void)close(fd);
    tmpdir_close(dir);
}

/* The child's part: 0 if nothing that it opens becomes a standard stream. */
static int live_without_standard_streams(unsigned closed)
{
    struct err err;
    char c = 'x';
    int fd;

    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
        if ((closed & 1U << i) != 0)
            (void)close(i);
    if (file_hold_standard(&err) != 0 || file_hold_standard(&err) != 0)
        return 1;
    fd = open("/dev/zero", O_RDWR | O_CLOEXEC);
    if (fd <= STDERR_FILENO)
        return 2;
    for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++) {
        ssize_t n = i == STDIN_FILENO ? read(i, &c, 1) : write(i, &c, 0);
        if ((closed & 1U << i) != 0 && (n >= 0 || errno != EBADF))
            return 3;
    }
    return 0;
}

static void closed_standard_streams_are_not_used_for_files(void **state)
{
    (void)state;
    for (unsigned closed = 0; closed < 8; closed++) {
        int status = -1;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
            _exit(live_without_standard_streams(closed));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
}

CHECK_MAIN(cmocka_unit_test(publishes_new_names_or_leaves_nothing),
           cmocka_unit_test(replacing_keeps_one_of_both_texts),
           cmocka_unit_test(litter_of_a_crash_does_not_block),
           cmocka_unit_test(paths_with_directories_work_too),
           cmocka_unit_test(reads_within_its_maximum),
           cmocka_unit_test(a_short_file_is_corrupt_not_an_io_error),
           cmocka_unit_test(trees_go_without_following_links),
           cmocka_unit_test(walks_stop_when_told), cmocka_unit_test(a_lock_names_who_holds_it),
           cmocka_unit_test(opening_what_is_no_directory_fails),
           cmocka_unit_test(closed_standard_streams_are_not_used_for_files))
