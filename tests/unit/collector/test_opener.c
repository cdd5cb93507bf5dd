/* Unit tests of collector/opener: what this process itself opens, and how it says what it cannot.
 */
#include "collector/opener.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int dir;
static char root[TMPDIR_PATH_MAX], path[TMPDIR_PATH_MAX + 64];
static struct err err;

static int setup(void **state)
{
    (void)state;
    dir = tmpdir_open(root);
    assert_int_equal(file_replace(dir, "a.log", 0600, STR("one\n"), &err), 0);
    assert_int_equal(file_replace(dir, "b.log", 0600, STR("second\n"), &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tmpdir_close(dir);
    return 0;
}

static const char *at(const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", root, name);
    return path;
}

static void reads_whole_files(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 6);
    assert_int_equal(opener_read(NULL, OPENER_META, at("a.log"), &b, &err), 0);
    check_str(buf_str(&b), "one\n");
    assert_int_equal(opener_read(NULL, OPENER_META, at("b.log"), &b, &err), ERR_LIMIT);
    check_str(buf_str(&b), "one\n"); /* as before */
    buf_fini(&b);
}

static void says_what_is_wrong_with_a_name(void **state)
{
    struct stat st;
    int fd;

    (void)state;
    assert_int_equal(opener_open(NULL, OPENER_LOG, at("none"), &fd, &err), ERR_GONE);
    assert_int_equal(err.sys, ENOENT);
    assert_int_equal(opener_stat(NULL, at("a.log/below"), &st, &err), ERR_GONE);
    assert_int_equal(err.sys, ENOTDIR);
    assert_int_equal(symlinkat("loop", dir, "loop"), 0);
    assert_int_equal(opener_open(NULL, OPENER_LOG, at("loop"), &fd, &err), ERR_IO);
    assert_int_equal(err.sys, ELOOP);
    assert_int_equal(opener_err(&err, EACCES, "open", "x"), ERR_DENIED);
}

struct seen {
    unsigned n;
    off_t bytes;
    bool with_stat;
};

static void see(void *arg, const char *name, const struct stat *st)
{
    struct seen *s = arg;

    assert_true(strcmp(name, "a.log") == 0 || strcmp(name, "b.log") == 0 ||
                strcmp(name, "nowhere") == 0);
    s->n++;
    s->with_stat = st != NULL;
    if (st != NULL)
        s->bytes += st->st_size;
}

static void lists_names_and_what_they_lead_to(void **state)
{
    struct seen names = {0}, stats = {0};

    (void)state;
    assert_int_equal(symlinkat("none", dir, "nowhere"), 0);
    assert_int_equal(opener_list(NULL, root, OPENER_NO_STATS, see, &names, &err), 0);
    assert_int_equal(names.n, 3);
    assert_false(names.with_stat);
    assert_int_equal(opener_list(NULL, root, OPENER_STATS, see, &stats, &err), 0);
    assert_int_equal(stats.n, 2); /* not the name that leads nowhere */
    assert_int_equal(stats.bytes, 11);
    assert_int_equal(opener_list(NULL, at("none"), OPENER_STATS, see, &stats, &err), ERR_GONE);
}

static void hears_writes_to_a_file_that_has_no_name(void **state)
{
    char text[sizeof(struct inotify_event) + 256];
    struct inotify_event e;
    int inotify, fd, wd;

    (void)state;
    fd = openat(dir, "a.log", O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(unlinkat(dir, "a.log", 0), 0);
    assert_int_equal(opener_inotify(NULL, &inotify, &err), 0);
    assert_int_equal(opener_watch_file(NULL, inotify, fd, &wd, &err), 0);
    assert_int_equal(file_write_all(fd, "x", 1, &err), 0);
    assert_true(read(inotify, text, sizeof(text)) >= (ssize_t)sizeof(e));
    memcpy(&e, text, sizeof(e));
    assert_int_equal(e.wd, wd);
    assert_int_equal(opener_watch_dir(NULL, inotify, at("none"), &wd, &err), ERR_GONE);
    assert_int_equal(opener_watch_dir(NULL, inotify, root, &wd, &err), 0);
    assert_int_equal(file_replace(dir, "c.log", 0600, STR(""), &err), 0);
    assert_true(read(inotify, text, sizeof(text)) >= (ssize_t)sizeof(e));
    memcpy(&e, text, sizeof(e));
    assert_true((e.mask & IN_CREATE) != 0);
    (void)close(inotify);
    (void)close(fd);
}

static void connects_to_a_socket(void **state)
{
    struct sockaddr_un here = {.sun_family = AF_UNIX};
    int fd, ls = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(opener_connect(NULL, at("s"), &fd, &err), ERR_GONE);
    (void)snprintf(here.sun_path, sizeof(here.sun_path), "%.100s", at("s"));
    assert_int_equal(bind(ls, (const struct sockaddr *)&here, sizeof(here)), 0);
    assert_int_equal(opener_connect(NULL, path, &fd, &err), ERR_IO); /* nobody listens */
    assert_int_equal(err.sys, ECONNREFUSED);
    assert_int_equal(listen(ls, 1), 0);
    assert_int_equal(opener_connect(NULL, path, &fd, &err), 0);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    (void)close(fd);
    (void)close(ls);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(reads_whole_files, setup, teardown),
           cmocka_unit_test_setup_teardown(says_what_is_wrong_with_a_name, setup, teardown),
           cmocka_unit_test_setup_teardown(lists_names_and_what_they_lead_to, setup, teardown),
           cmocka_unit_test_setup_teardown(hears_writes_to_a_file_that_has_no_name, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(connects_to_a_socket, setup, teardown))
