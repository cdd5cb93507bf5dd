/* Unit tests of collector/sandbox and statedir: what cannot be done any more.  Each in a process of
 * its own, because nothing of it can be taken back. */
#include "collector/sandbox.h"

#include "base/file.h"
#include "collector/statedir.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_HERE = 77 }; /* the kernel or a sanitizer does not let us try */

static int dir;
static char root[TMPDIR_PATH_MAX];

static int setup(void **state)
{
    (void)state;
    dir = tmpdir_open(root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tmpdir_close(dir);
    return 0;
}

typedef int child_fn(void); /* 0, CANNOT_HERE, or the number of what went wrong */

static int run_child(child_fn *fn)
{
    int status = 0;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        _exit(fn());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void must_pass(child_fn *fn)
{
    int status = run_child(fn);

    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == CANNOT_HERE)
        skip();
    else
        assert_int_equal(WEXITSTATUS(status), 0);
}

static int confine(enum sandbox_profile profile)
{
    struct err err;
    int r = sandbox_drop(NULL, 0, &err);

    if (r == 0)
        r = sandbox_syscalls(profile, &err);
    return r == ERR_UNSUPPORTED ? CANNOT_HERE : r < 0;
}

static int exec_as_worker(void)
{
    char *argv[] = {NULL}, *envp[] = {NULL};
    int r = confine(SANDBOX_WORKER);

    if (r != 0)
        return r;
    (void)execve("/bin/true", argv, envp);
    return 2;
}

static int exec_as_parent(void)
{
    char *argv[] = {NULL}, *envp[] = {NULL};
    int r = confine(SANDBOX_FILES);

    if (r != 0)
        return r;
    (void)execve("/bin/true", argv, envp);
    return 2;
}

static void to_start_a_program_is_the_end(void **state)
{
    child_fn *const TRY[] = {exec_as_worker, exec_as_parent};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        int status = run_child(TRY[i]);
        if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_HERE)
            skip();
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGSYS);
    }
}

static int worker_calls(void)
{
    int r = confine(SANDBOX_WORKER), fd;

    if (r != 0)
        return r;
    if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 2;
    if (socket(AF_PACKET, SOCK_RAW, 0) >= 0 || errno != EPERM)
        return 3;
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 4;
    (void)close(fd);
    if (syscall(SYS_setuid, 0) == 0 || errno != EPERM)
        return 5;
    if (syscall(SYS_inotify_init1, 0) >= 0 || errno != EPERM)
        return 6;
    if (syscall(SYS_fchownat, AT_FDCWD, "/", 0, 0, 0) == 0 || errno != EPERM)
        return 7;
    return fdatasync(dir) == 0 ? 0 : 8;
}

/* Reading below one directory, and nothing of the network. */
static int journal_calls(void)
{
    struct err err;
    const char *const paths[] = {root};
    int r = sandbox_drop(NULL, 0, &err), fd;

    if (mkdirat(dir, "other", 0700) != 0)
        return 2;
    if (r == 0)
        r = sandbox_reading(paths, 1, &err);
    if (r == 0)
        r = sandbox_syscalls(SANDBOX_JOURNAL, &err);
    if (r != 0)
        return r == ERR_UNSUPPORTED ? CANNOT_HERE : 3;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 4;
    if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 5;
    if (openat(dir, "new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
        return 6;
    fd = openat(dir, "other", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 7;
    if (syscall(SYS_inotify_init1, 0) < 0)
        return 8;
    return syscall(SYS_setuid, 0) < 0 && errno == EPERM ? 0 : 9;
}

static void the_journal_is_read_and_nothing_else(void **state)
{
    (void)state;
    must_pass(journal_calls);
}

/* What would reach the parent, who is of the same user. */
static int worker_reaches_out(void)
{
    struct rlimit none = {0, 0}, now;
    int pair[2], r = confine(SANDBOX_WORKER);
    pid_t other = getppid();

    if (r != 0)
        return r;
    if (syscall(SYS_tgkill, other, other, 0) == 0 || errno != EPERM)
        return 2;
    if (syscall(SYS_tgkill, getpid(), getpid(), 0) != 0)
        return 3;
    if (syscall(SYS_prlimit64, other, RLIMIT_CORE, &none, NULL) == 0 || errno != EPERM)
        return 4;
    if (getrlimit(RLIMIT_NOFILE, &now) != 0)
        return 5;
    if (fcntl(dir, F_SETOWN, other) == 0 || errno != EPERM)
        return 6;
    if (fcntl(dir, F_SETSIG, SIGKILL) == 0 || errno != EPERM)
        return 7;
    if (fcntl(dir, F_GETFD) < 0)
        return 8;
    return socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) == 0 || errno != EPERM ? 9 : 0;
}

static void a_worker_reaches_no_other_process(void **state)
{
    (void)state;
    must_pass(worker_reaches_out);
}

static void a_worker_has_the_network_and_little_else(void **state)
{
    (void)state;
    must_pass(worker_calls);
}

static int gate_calls(void)
{
    int r = confine(SANDBOX_GATE);

    if (r != 0)
        return r;
    if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM)
        return 2;
    if (socket(AF_UNIX, SOCK_STREAM, 0) < 0)
        return 3;
    return syscall(SYS_fchmodat, AT_FDCWD, "/", 0755) == 0 || errno != EPERM ? 4 : 0;
}

static void a_gate_has_unix_sockets_and_little_else(void **state)
{
    (void)state;
    must_pass(gate_calls);
}

static int files_of_others(void)
{
    char path[TMPDIR_PATH_MAX + 16];
    struct err err;
    int state_fd = -1, r = file_make_dirs(dir, "state", 0700, &err);

    if (r == 0)
        r = file_open_dir(dir, "state", &state_fd, &err);
    if (r == 0)
        r = file_replace(dir, "log", 0644, STR("x"), &err);
    if (r == 0)
        r = sandbox_drop(NULL, 0, &err);
    if (r == 0)
        r = sandbox_files(state_fd, &err);
    if (r < 0)
        return r == ERR_UNSUPPORTED ? CANNOT_HERE : 1;
    if (file_replace(state_fd, "journal", 0600, STR("y"), &err) < 0)
        return 2;
    (void)snprintf(path, sizeof(path), "%s/log", root);
    if (open(path, O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
        return 3;
    (void)snprintf(path, sizeof(path), "%s/new", root);
    if (open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
        return 4;
    if (open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0)
        return 5;
    return open("/etc/nsswitch.conf", O_RDONLY | O_CLOEXEC) < 0 && errno == EACCES ? 6 : 0;
}

static void files_are_those_of_the_state_directory(void **state)
{
    (void)state;
    must_pass(files_of_others);
}

static void a_user_may_be_a_number(void **state)
{
    struct sandbox_user u;

    (void)state;
    assert_true(sandbox_find_user("24224", &u));
    assert_int_equal(u.uid, 24224);
    assert_int_equal(u.gid, 24224);
    assert_true(sandbox_find_user("0", &u)); /* known: by the list */
    assert_int_equal(u.gid, 0);
    assert_false(sandbox_find_user("4294967295", &u)); /* means "as it is" to the kernel */
    assert_int_equal(u.uid, SANDBOX_NOBODY);
    assert_false(sandbox_find_user("24224x", &u));
    assert_false(sandbox_find_user("-1", &u));
    assert_false(sandbox_find_user("", &u));
}

static int become_nobody(void)
{
    struct sandbox_user user;
    struct err err;

    if (geteuid() != 0)
        return CANNOT_HERE;
    if (sandbox_find_user("no-such-user-as-this", &user) || user.uid != SANDBOX_NOBODY)
        return 2;
    if (!sandbox_may_become(&user))
        return CANNOT_HERE;
    if (sandbox_drop(&user, SANDBOX_CAP(2), &err) < 0) /* CAP_DAC_READ_SEARCH */
        return 3;
    if (geteuid() != SANDBOX_NOBODY || getgid() != SANDBOX_NOBODY || sandbox_caps() > 4)
        return 4;
    if (setresuid(0, 0, 0) == 0 || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
        return 5;
    user.uid--;
    if (sandbox_may_become(&user)) /* nor anybody else */
        return 8;
    if (sandbox_drop(NULL, 0, &err) < 0)
        return 6;
    return sandbox_caps() == 0 ? 0 : 7;
}

static void root_is_left_for_good(void **state)
{
    (void)state;
    must_pass(become_nobody);
}

static int outlive(void)
{
    struct err err;

    return sandbox_die_with(1, &err) == ERR_GONE ? 0 : 2; /* we are not its child */
}

static void an_orphan_is_told(void **state)
{
    (void)state;
    must_pass(outlive);
}

static void a_state_directory_is_given_away_and_nothing_else(void **state)
{
    struct sandbox_user owner = {SANDBOX_NOBODY, SANDBOX_NOBODY};
    char path[TMPDIR_PATH_MAX + 16];
    struct stat st;
    struct err err;
    int fd;

    (void)state;
    if (geteuid() != 0)
        owner = (struct sandbox_user){geteuid(), getegid()};
    (void)snprintf(path, sizeof(path), "%s/s", root);
    assert_int_equal(statedir_open(path, &owner, &fd, &err), 0); /* made */
    assert_int_equal(file_make_dirs(fd, "spool/x", 0700, &err), 0);
    assert_int_equal(file_replace(fd, "checkpoint", 0600, STR("x"), &err), 0);
    assert_int_equal(file_replace(fd, "spool/x/1.jsonl", 0600, STR("x"), &err), 0);
    assert_int_equal(file_replace(dir, "outside", 0600, STR("x"), &err), 0);
    assert_int_equal(symlinkat("../outside", fd, "link"), 0);
    assert_int_equal(linkat(dir, "outside", fd, "hard", 0), 0);
    (void)close(fd);
    assert_int_equal(statedir_open(path, &owner, &fd, &err), 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, owner.uid);
    assert_int_equal(fstatat(fd, "spool/x/1.jsonl", &st, 0), 0);
    assert_int_equal(st.st_uid, owner.uid);
    assert_int_equal(fstatat(dir, "outside", &st, 0), 0);
    assert_int_equal(st.st_uid, geteuid()); /* neither by the link nor by its second name */
    (void)close(fd);
    assert_int_equal(file_make_dirs(dir, "var/lib", 0700, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/var", root);
    assert_int_equal(statedir_open(path, &owner, &fd, &err), ERR_INVALID);
    assert_int_equal(fstatat(dir, "var/lib", &st, 0), 0);
    assert_int_equal(st.st_uid, geteuid());
    assert_int_equal(file_replace(dir, "var/lock", 0600, STR(""), &err), 0); /* dpkg has one, too */
    assert_int_equal(statedir_open(path, &owner, &fd, &err), ERR_INVALID);
    assert_int_equal(unlinkat(dir, "var/lib", AT_REMOVEDIR), 0); /* one that lost its journal */
    assert_int_equal(file_make_dirs(dir, "var/spool", 0700, &err), 0);
    assert_int_equal(file_replace(dir, "var/checkpoint.bad.tmp", 0600, STR("x"), &err), 0);
    assert_int_equal(statedir_open(path, &owner, &fd, &err), 0);
    (void)close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(to_start_a_program_is_the_end), TEST(a_worker_has_the_network_and_little_else),
           TEST(a_worker_reaches_no_other_process), TEST(a_gate_has_unix_sockets_and_little_else),
           TEST(the_journal_is_read_and_nothing_else), TEST(files_are_those_of_the_state_directory),
           TEST(root_is_left_for_good), TEST(a_user_may_be_a_number), TEST(an_orphan_is_told),
           TEST(a_state_directory_is_given_away_and_nothing_else))
