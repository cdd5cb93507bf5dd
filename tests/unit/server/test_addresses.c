/* server/addresses.c: one server per directory, and a file that scripts can believe. */
#include "server/addresses.h"

#include "base/file.h"
#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    int dir;
    char path[TMPDIR_PATH_MAX];
    struct addresses *a;
    struct err err;
};

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    f->dir = tmpdir_open(f->path);
    assert_int_equal(addresses_lock(f->path, &f->a, &f->err), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    addresses_free(&f->a);
    tmpdir_close(f->dir);
    free(f);
    return 0;
}

static void check_file(struct fixture *f, const char *rest)
{
    struct buf have;
    char want[256];

    buf_init(&have, 4096);
    assert_int_equal(file_read(f->dir, "run/addresses.json", &have, &f->err), 0);
    (void)snprintf(want, sizeof(want), "{\"pid\":%d,%s}\n", (int)getpid(), rest);
    check_str(buf_str(&have), want);
    buf_fini(&have);
}

static void publishes_what_is_bound(void **state)
{
    struct fixture *f = *state;
    struct stat st;

    assert_int_equal(addresses_publish(f->a, "127.0.0.1:1", "[::1]:2", NULL, &f->err), 0);
    check_file(f, "\"https\":[\"127.0.0.1:1\"],\"forward\":[\"[::1]:2\"],\"forward_local\":null");
    assert_int_equal(addresses_publish(f->a, "127.0.0.1:1", "[::1]:2", "unix:/a \"b", &f->err), 0);
    check_file(f, "\"https\":[\"127.0.0.1:1\"],\"forward\":[\"[::1]:2\"],"
                  "\"forward_local\":\"unix:/a \\\"b\"");
    assert_int_equal(fstatat(f->dir, "run", &st, 0), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void goes_at_the_end(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(addresses_publish(f->a, "127.0.0.1:1", "127.0.0.1:2", NULL, &f->err), 0);
    addresses_free(&f->a);
    assert_null(f->a);
    assert_int_equal(faccessat(f->dir, "run/addresses.json", F_OK, 0), -1);
    assert_int_equal(addresses_lock(f->path, &f->a, &f->err), 0); /* the lock is free again */
}

/* In a process of its own: locks of one process do not exclude each other everywhere. */
static int lock_from_another_process(struct fixture *f)
{
    pid_t pid = fork();
    int status = -1;

    if (pid == 0) {
        struct addresses *a = NULL;
        struct err err;
        char holder[32];
        (void)snprintf(holder, sizeof(holder), "%d", (int)getppid());
        if (addresses_lock(f->path, &a, &err) != ERR_EXISTS)
            _exit(1);
        _exit(strstr(err.text, holder) != NULL ? 0 : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_second_server_is_told_who_has_it(void **state)
{
    struct fixture *f = *state;

    assert_int_equal(addresses_publish(f->a, "127.0.0.1:1", "127.0.0.1:2", NULL, &f->err), 0);
    assert_int_equal(lock_from_another_process(f), 0);
    check_file(f, "\"https\":[\"127.0.0.1:1\"],\"forward\":[\"127.0.0.1:2\"],"
                  "\"forward_local\":null"); /* and takes nothing away */
}

static void what_a_dead_server_left_is_not_believed(void **state)
{
    struct fixture *f = *state;

    addresses_free(&f->a);
    assert_int_equal(file_replace(f->dir, "run/addresses.json", 0644, STR("{}"), &f->err), 0);
    assert_int_equal(addresses_lock(f->path, &f->a, &f->err), 0);
    assert_int_equal(faccessat(f->dir, "run/addresses.json", F_OK, 0), -1);
    assert_int_equal(errno, ENOENT);
}

static void a_path_without_end_is_refused(void **state)
{
    struct fixture *f = *state;
    struct addresses *a = NULL;
    char path[PATH_MAX + 8];

    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(addresses_lock(path, &a, &f->err), ERR_INVALID);
    assert_null(a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(publishes_what_is_bound), T(goes_at_the_end), T(a_second_server_is_told_who_has_it),
           T(what_a_dead_server_left_is_not_believed), T(a_path_without_end_is_refused))
