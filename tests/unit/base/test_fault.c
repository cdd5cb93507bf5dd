/* base/fault.c: each point fails once in turn, and the environment can arm them.  What LOGQ_FAULT
 * does is looked at in child processes, because it is read once. */
#include "base/fault.h"

#include "base/file.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef LOGQ_FAULTS

static void each_fails_every_point_once(void **state)
{
    int rounds = 0;
    int failures[4] = {0};

    (void)state;
    FAULT_EACH("test") {
        rounds++;
        if (fault_hit("test.a"))
            failures[0]++;
        else if (fault_hit("other"))
            failures[3]++;
        else if (fault_hit("test.b"))
            failures[1]++;
        else if (fault_hit("test.b"))
            failures[2]++;
    }
    assert_int_equal(rounds, 4); /* three points, and once without */
    assert_int_equal(failures[0], 1);
    assert_int_equal(failures[1], 1);
    assert_int_equal(failures[2], 1);
    assert_int_equal(failures[3], 0);
    assert_false(fault_hit("test.a"));
}

typedef void child_fn(const char *arg);

/* The wait status of a child that runs fn with one variable set. */
static int in_child(const char *name, const char *value, child_fn *fn, const char *arg)
{
    int status = -1;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        (void)setenv(name, value, 1);
        (void)setenv("LSAN_OPTIONS", "detect_leaks=0", 1);
        fn(arg);
        _exit(99);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Exits with the bits of which of six hits failed. */
static void report_hits(const char *arg)
{
    int bits = 0;

    (void)arg;
    fault_start("none");
    for (int i = 0; i < 3; i++)
        bits |= fault_hit("x.one") << i;
    for (int i = 3; i < 6; i++)
        bits |= fault_hit("x.two") << i;
    _exit(bits);
}

static void the_environment_arms_the_kth_hit(void **state)
{
    int status = in_child("LOGQ_FAULT", "x.two:fail,x.one:fail:3", report_hits, NULL);

    (void)state;
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1 << 2 | 1 << 3);
    status = in_child("LOGQ_FAULT", "x.one", report_hits, NULL); /* says what it cannot read */
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void kill_is_a_real_kill(void **state)
{
    int status = in_child("LOGQ_FAULT", "x.two:kill:2", report_hits, NULL);

    (void)state;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void write_plan(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        _exit(98);
}

/* Arms, fires once, stays quiet, and fires again only for a new text. */
static void rearm(const char *path)
{
    int bits = 0;

    bits |= fault_hit("x") << 0;
    write_plan(path, "x:fail:1\n");
    bits |= fault_hit("x") << 1;
    bits |= fault_hit("x") << 2;
    write_plan(path, "x:fail:2");
    bits |= fault_hit("x") << 3;
    bits |= fault_hit("x") << 4;
    write_plan(path, "");
    bits |= fault_hit("x") << 5;
    write_plan(path, "x:fail:2");
    (void)fault_hit("x");
    bits |= fault_hit("x") << 6;
    _exit(bits);
}

static void a_file_arms_a_running_program(void **state)
{
    char dir_path[TMPDIR_PATH_MAX];
    char path[TMPDIR_PATH_MAX + 8];
    int dir = tmpdir_open(dir_path);
    int status;

    (void)state;
    (void)snprintf(path, sizeof(path), "%s/plan", dir_path);
    status = in_child("LOGQ_FAULT_FILE", path, rearm, path);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1 << 1 | 1 << 4 | 1 << 6);
    tmpdir_close(dir);
}

/* The environment is read at a process' first hit, so the tests with children come first. */
CHECK_MAIN(cmocka_unit_test(the_environment_arms_the_kth_hit),
           cmocka_unit_test(kill_is_a_real_kill), cmocka_unit_test(a_file_arms_a_running_program),
           cmocka_unit_test(each_fails_every_point_once))

#else

static void without_faults_each_runs_once(void **state)
{
    int rounds = 0;

    (void)state;
    FAULT_EACH("test") {
        rounds++;
        assert_false(fault_hit("test.a"));
    }
    assert_int_equal(rounds, 1);
}

CHECK_MAIN(cmocka_unit_test(without_faults_each_runs_once))

#endif
