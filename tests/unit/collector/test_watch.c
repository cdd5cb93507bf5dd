/* Unit tests of collector/watch: what comes is found, by a look at one directory and no more. */
#include "collector/watch.h"

#include "base/file.h"
#include "base/time.h"
#include "collector/metrics.h"
#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "tests/lib/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct fixture {
    struct loop *loop;
    int dir;
    char path[TMPDIR_PATH_MAX];
    struct opener opener;
    struct watch *watch;
    struct buf told; /* "found TAG NAME\n", "vanished NAME\n", paths below `path` */
    unsigned lists, watches, stats;
    bool hangs;            /* what is asked with a listing */
    unsigned found_listed; /* of those found, with what they lead to */
    bool settled;
    const char *waiting_for;
};
static struct fixture f;
static struct err err;

/* ---- an opener that counts ---- */

static struct opener_ops counting;

static int count_list(struct opener *o, const char *dir, enum opener_stats stats,
                      opener_entry_fn *fn, void *arg, struct err *e)
{
    f.lists++;
    if (f.hangs && stats != OPENER_NO_STATS)
        return opener_err(e, ETIMEDOUT, "list", dir);
    return opener_local.list(o, dir, stats, fn, arg, e);
}

static int count_watch_dir(struct opener *o, int inotify, const char *dir, int *ret, struct err *e)
{
    f.watches++;
    return opener_local.watch_dir(o, inotify, dir, ret, e);
}

static int count_stat(struct opener *o, const char *path, struct stat *ret, struct err *e)
{
    f.stats++;
    return opener_local.stat(o, path, ret, e);
}

static const char *below(const char *path)
{
    return strncmp(path, f.path, strlen(f.path)) == 0 ? path + strlen(f.path) : path;
}

static void on_found(void *arg, void *tag, const char *path, const struct stat *st)
{
    struct stat now;

    (void)arg;
    if (st != NULL) {
        f.found_listed++;
        assert_int_equal(stat(path, &now), 0);
        assert_int_equal(now.st_ino, st->st_ino);
    }
    buf_addf(&f.told, "found %s %s\n", (const char *)tag, below(path));
}

static void on_vanished(void *arg, void *tag, const char *dir)
{
    (void)arg;
    buf_addf(&f.told, "vanished %s %s\n", (const char *)tag, below(dir));
}

static void on_looked(void *arg, const char *dir)
{
    (void)arg;
    buf_addf(&f.told, "looked %s\n", below(dir));
}

static void on_file(void *arg, int wd)
{
    (void)arg;
    buf_addf(&f.told, "file %d\n", wd);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static void on_denied(void *arg, const char *dir, int why)
{
    (void)arg;
    buf_addf(&f.told, "denied %s %d\n", below(dir), why);
}

static void on_settled(void *arg, bool all)
{
    (void)arg;
    if (all)
        f.settled = true;
}

static void on_came(void *arg, const char *path, bool by_rename)
{
    (void)arg;
    buf_addf(&f.told, "came %s%s\n", below(path), by_rename ? " by rename" : "");
}

static void on_went(void *arg, const char *path)
{
    (void)arg;
    buf_addf(&f.told, "went %s\n", below(path));
}

static int setup(void **state)
{
    static const struct watch_handler HANDLER = {on_found,  on_vanished, on_looked,
                                                 on_file,   on_nothing,  on_settled,
                                                 on_denied, on_came,     on_went};

    (void)state;
    memset(&f, 0, sizeof(f));
    metrics_setup();
    counting = opener_local;
    counting.list = count_list;
    counting.watch_dir = count_watch_dir;
    counting.stat = count_stat;
    f.opener.ops = &counting;
    f.dir = tmpdir_open(f.path);
    buf_init(&f.told, 1 << 20);
    assert_int_equal(loop_new(&f.loop, &err), 0);
    assert_int_equal(watch_open(f.loop, &f.opener, &HANDLER, NULL, &f.watch, &err), 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    watch_close(&f.watch);
    loop_free(&f.loop);
    tmpdir_close(f.dir);
    buf_fini(&f.told);
    return 0;
}

static void add(const char *pattern, const char *tag)
{
    char text[TMPDIR_PATH_MAX + 64];

    (void)snprintf(text, sizeof(text), "%s%s", f.path, pattern);
    watch_add(f.watch, str_of(text), (void *)(uintptr_t)tag);
}

static void make_dir(const char *name)
{
    assert_int_equal(file_make_dirs(f.dir, name, 0700, &err), 0);
}

static void make_file(const char *name)
{
    int fd = openat(f.dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    (void)close(fd);
}

static bool is_told(void *arg)
{
    (void)arg;
    return str_find(buf_str(&f.told), str_of(f.waiting_for)) != SIZE_MAX;
}

static void wait_told(const char *line)
{
    f.waiting_for = line;
    wait_check(f.loop, is_told, NULL, line);
}

/* ---- */

static void what_is_there_is_found_and_what_comes_too(void **state)
{
    (void)state;
    make_dir("pods/a/c");
    make_file("pods/a/c/0.log");
    make_file("pods/a/c/0.txt");
    add("/pods/*/*/*.log", "cri");
    check_str(buf_str(&f.told), "looked /pods/a\nlooked /pods/a/c\nfound cri /pods/a/c/0.log\n");
    make_file("pods/a/c/1.log");
    wait_told("found cri /pods/a/c/1.log\n");
    make_dir("pods/b/c");
    make_file("pods/b/c/0.log");
    wait_told("found cri /pods/b/c/0.log\n");
    assert_int_equal(renameat(f.dir, "pods/a/c/0.txt", f.dir, "pods/a/c/2.log"), 0);
    wait_told("found cri /pods/a/c/2.log\n");
}

static void directories_that_are_not_there_yet_are_waited_for(void **state)
{
    (void)state;
    add("/var/log/*/userdata/ctr.log", "podman");
    make_dir("var");
    make_dir("var/log/id/userdata");
    make_file("var/log/id/userdata/ctr.log");
    wait_told("found podman /var/log/id/userdata/ctr.log\n");
}

static void a_name_that_comes_costs_a_look_at_its_directory_alone(void **state)
{
    char name[32];
    unsigned before;

    (void)state;
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "pods/%d/c", i);
        make_dir(name);
    }
    add("/pods/*/*/*.log", "cri");
    before = f.lists;
    make_file("pods/77/c/0.log");
    wait_told("found cri /pods/77/c/0.log\n");
    assert_int_equal(f.lists, before);
    make_dir("pods/100/c");
    wait_told("looked /pods/100/c\n");
    assert_true(f.lists <= before + 3); /* the new ones, one of them twice if it came in between */
}

static void each_glob_is_told_by_its_tag(void **state)
{
    (void)state;
    make_dir("logs");
    add("/logs/*.log", "one");
    add("/logs/a.*", "two");
    make_file("logs/a.log");
    wait_told("found two /logs/a.log\n");
    wait_told("found one /logs/a.log\n");
    watch_forget(f.watch);
    buf_clear(&f.told);
    add("/logs/b*", "three");
    make_file("logs/b.log");
    wait_told("found three /logs/b.log\n");
    check_str(buf_str(&f.told), "found three /logs/b.log\ncame /logs/b.log\n");
}

static void a_directory_that_is_gone_at_once_has_vanished(void **state)
{
    (void)state;
    make_dir("pods");
    add("/pods/*/*/*.log", "cri");
    make_dir("pods/a");
    assert_int_equal(unlinkat(f.dir, "pods/a", AT_REMOVEDIR), 0);
    wait_told("vanished cri /pods/a\n");
    make_dir("pods/b/c"); /* one that was looked into has not */
    wait_told("looked /pods/b/c\n");
    assert_int_equal(file_remove_tree(f.dir, "pods/b", &err), 0);
    watch_walk(f.watch);
    make_dir("pods/d");
    wait_told("looked /pods/d\n");
    assert_int_equal(str_find(buf_str(&f.told), STR("vanished cri /pods/b")), SIZE_MAX);
    assert_true(watch_is_complete(f.watch));
}

static void a_file_that_loses_its_name_is_told_of(void **state)
{
    char line[32];
    int fd, wd;

    (void)state;
    make_file("a.log");
    fd = openat(f.dir, "a.log", O_RDONLY | O_CLOEXEC);
    wd = watch_file(f.watch, fd);
    assert_true(wd >= 0);
    assert_int_equal(unlinkat(f.dir, "a.log", 0), 0);
    (void)snprintf(line, sizeof(line), "file %d\n", wd);
    wait_told(line);
    (void)close(fd);
}

static void move(const char *from, const char *to)
{
    assert_int_equal(renameat(f.dir, from, f.dir, to), 0);
}

static bool is_settled(void *arg)
{
    (void)arg;
    return f.settled;
}

/* Each of them, also when nobody has looked in between; no other. */
static void names_that_come_and_go_are_told_of(void **state)
{
    (void)state;
    add("/*.log", "A");
    make_file("tmp1");
    make_file("tmp2");
    move("tmp1", "over.log");
    move("tmp2", "over.log");
    make_file("new.log");
    move("new.log", "new.log.1");
    f.told.n = 0;
    f.settled = false;
    wait_told("went /new.log\n");
    wait_check(f.loop, is_settled, NULL, "the end of the events");
    check_str(buf_str(&f.told), "found A /over.log\ncame /over.log by rename\n"
                                "found A /over.log\ncame /over.log by rename\n"
                                "found A /new.log\ncame /new.log\nwent /new.log\n");
}

/* The directories on the way to ours, each of which is looked at. */
static unsigned below_root(void)
{
    unsigned n = 0;

    for (const char *p = f.path; *p != '\0'; p++)
        n += *p == '/';
    return n;
}

/* A walk of what has not changed: a listing for each directory, and nothing else is asked. */
static void what_is_known_is_not_asked_for_again(void **state)
{
    (void)state;
    make_dir("pods/a/c");
    make_dir("pods/b/c");
    make_file("pods/a/c/0.log");
    make_file("pods/b/c/0.log");
    add("/pods/*/*/*.log", "cri");
    f.lists = f.watches = f.stats = f.found_listed = 0;
    watch_walk(f.watch);
    assert_int_equal(f.lists, 5);
    assert_int_equal(f.watches, 0);
    assert_int_equal(f.stats, below_root() + 1);
    assert_int_equal(f.found_listed, 2);
}

/* And one above the files not even that, once its times can be trusted. */
static void what_has_not_changed_is_not_listed_again(void **state)
{
    (void)state;
    time_set(time_now());
    make_dir("pods/a/c");
    make_dir("pods/b/c");
    make_file("pods/a/c/0.log");
    make_file("pods/b/c/0.log");
    add("/pods/*/*/*.log", "cri");
    watch_walk(f.watch); /* just made: they may change within the same moment */
    f.lists = f.watches = 0;
    watch_walk(f.watch);
    assert_int_equal(f.lists, 5);
    time_set(time_now() + 10 * NS_PER_S);
    watch_walk(f.watch);
    f.lists = f.found_listed = 0;
    watch_walk(f.watch);
    assert_int_equal(f.lists, 3);
    assert_int_equal(f.found_listed, 2);
    make_dir("pods/a/d");
    make_file("pods/a/d/0.log");
    f.lists = f.found_listed = 0;
    watch_walk(f.watch);
    assert_int_equal(f.lists, 5);
    assert_int_equal(f.found_listed, 3);
    time_unset();
}

static void what_is_remembered_is_doubted_now_and_then(void **state)
{
    unsigned most = 0;

    (void)state;
    make_dir("pods/a/c");
    make_file("pods/a/c/0.log");
    time_set(time_now() + 10 * NS_PER_S);
    add("/pods/*/*/*.log", "cri");
    for (int i = 0; i < 10; i++) {
        f.lists = f.watches = 0;
        watch_walk(f.watch);
        most = f.watches > most ? f.watches : most;
        assert_int_equal(f.lists, f.watches > 0 ? 3 : 2);
    }
    assert_int_equal(most, 3);
    time_unset();
}

/* As where one of the names is a mount whose server is gone. */
static void where_looking_hangs_names_are_found_all_the_same(void **state)
{
    (void)state;
    make_dir("pods/a/c");
    make_file("pods/a/c/0.log");
    f.hangs = true;
    add("/pods/*/*/*.log", "cri");
    check_str(buf_str(&f.told), "looked /pods/a\nlooked /pods/a/c\nfound cri /pods/a/c/0.log\n");
    assert_int_equal(f.found_listed, 0);
}

/* What is remembered is of one glob. */
static void each_glob_is_walked_by_itself(void **state)
{
    (void)state;
    make_dir("pods/a/c");
    make_dir("pods/a/d");
    make_file("pods/a/c/0.log");
    make_file("pods/a/d/0.log");
    time_set(time_now() + 10 * NS_PER_S);
    add("/pods/*/*/*.log", "first");
    f.lists = 0;
    watch_walk(f.watch);
    assert_int_equal(f.lists, 3); /* what was found when it was added is remembered */
    watch_forget(f.watch);
    add("/pods/*/c/*.log", "c");
    add("/pods/*/c*/*.log", "c*");
    add("/pods/*/d*/*.log", "d*");
    for (int i = 0; i < 2; i++) {
        buf_clear(&f.told);
        watch_walk(f.watch);
        check_str(buf_str(&f.told), "looked /pods/a/c\nfound c /pods/a/c/0.log\n"
                                    "looked /pods/a\nlooked /pods/a/c\nfound c* /pods/a/c/0.log\n"
                                    "looked /pods/a\nlooked /pods/a/d\nfound d* /pods/a/d/0.log\n");
    }
    watch_forget(f.watch);
    add("/pods/*/d*/*.log", "d*");
    buf_clear(&f.told);
    watch_walk(f.watch);
    check_str(buf_str(&f.told), "looked /pods/a\nlooked /pods/a/d\nfound d* /pods/a/d/0.log\n");
    time_unset();
}

static void another_directory_by_that_name_is_watched(void **state)
{
    (void)state;
    make_dir("pods/a");
    make_file("pods/a/0.log");
    add("/pods/*/*.log", "cri");
    assert_int_equal(renameat(f.dir, "pods/a", f.dir, "old"), 0);
    make_dir("pods/a");
    f.watches = 0;
    watch_walk(f.watch);
    assert_int_equal(f.watches, 1);
    assert_int_equal(renameat(f.dir, "pods/a", f.dir, "older"), 0);
    assert_int_equal(renameat(f.dir, "old", f.dir, "pods/a"), 0); /* the first is there again */
    buf_clear(&f.told);
    watch_walk(f.watch);
    make_file("pods/a/1.log");
    wait_told("found cri /pods/a/1.log\n");
}

static void a_name_that_leads_nowhere_is_found_all_the_same(void **state)
{
    (void)state;
    make_dir("logs");
    assert_int_equal(symlinkat("nowhere", f.dir, "logs/a.log"), 0);
    add("/logs/*.log", "cri");
    check_str(buf_str(&f.told), "found cri /logs/a.log\n");
    assert_int_equal(f.found_listed, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_is_found_and_what_comes_too),
        TEST(directories_that_are_not_there_yet_are_waited_for),
        TEST(a_name_that_comes_costs_a_look_at_its_directory_alone),
        TEST(each_glob_is_told_by_its_tag),
        TEST(a_directory_that_is_gone_at_once_has_vanished),
        TEST(a_file_that_loses_its_name_is_told_of),
        TEST(names_that_come_and_go_are_told_of),
        TEST(what_is_known_is_not_asked_for_again),
        TEST(what_has_not_changed_is_not_listed_again),
        TEST(what_is_remembered_is_doubted_now_and_then),
        TEST(where_looking_hangs_names_are_found_all_the_same),
        TEST(each_glob_is_walked_by_itself),
        TEST(another_directory_by_that_name_is_watched),
        TEST(a_name_that_leads_nowhere_is_found_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
