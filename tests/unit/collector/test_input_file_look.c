/*
 * Unit tests of collector/input_file_look: names that move while they are looked at.  A log is
 * rotated between any two questions of the collector: before its first, before its second, and so
 * on until it asks no more; each time every line must arrive once.
 */
#include "tests/unit/collector/collector_world.h"

#define CRI "  - {type: cri, paths: ['@/logs/*.log']}\n"
#define LOG "logs/a.log"

enum { OLD_FILES = 3, PATH_BYTES = 64 };

/* An opener of this process that lets the names move before one of its calls. */
static struct {
    struct opener opener;
    unsigned calls, at; /* at 0: they stay where they are */
    void (*move)(void);
    bool have_moved;
} moving;

static bool is_packed; /* old files are */
static unsigned n_old; /* a.log.1 is the youngest of them */
static unsigned n_lines, n_writes;

/* Questions about the logs; of all other names nothing follows. */
static void count_call(const char *path)
{
    char logs[TMPDIR_PATH_MAX + 8];

    (void)snprintf(logs, sizeof(logs), "%s/logs", w.path);
    if (!str_starts(str_of(path), str_of(logs)) || ++moving.calls != moving.at)
        return;
    moving.have_moved = true;
    moving.move();
}

/* From now on: before the next call, when `at` is 1. */
static void move_at(unsigned at, void (*move)(void))
{
    moving.calls = 0;
    moving.at = at;
    moving.move = move;
    moving.have_moved = false;
}

static int moving_open(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                       struct err *e)
{
    (void)o;
    count_call(path);
    return opener_open(NULL, kind, path, ret, e);
}

static int moving_stat(struct opener *o, const char *path, struct stat *ret, struct err *e)
{
    (void)o;
    count_call(path);
    return opener_stat(NULL, path, ret, e);
}

static int moving_list(struct opener *o, const char *dir, enum opener_stats stats,
                       opener_entry_fn *fn, void *arg, struct err *e)
{
    (void)o;
    count_call(dir);
    return opener_list(NULL, dir, stats, fn, arg, e);
}

static int moving_inotify(struct opener *o, int *ret, struct err *e)
{
    (void)o;
    return opener_inotify(NULL, ret, e);
}

static int moving_watch_dir(struct opener *o, int inotify, const char *dir, int *ret, struct err *e)
{
    (void)o;
    return opener_watch_dir(NULL, inotify, dir, ret, e);
}

static int moving_watch_file(struct opener *o, int inotify, int fd, int *ret, struct err *e)
{
    (void)o;
    return opener_watch_file(NULL, inotify, fd, ret, e);
}

static int moving_connect(struct opener *o, const char *path, int *ret, struct err *e)
{
    (void)o;
    return opener_connect(NULL, path, ret, e);
}

static void start(void)
{
    static const struct opener_ops OPS = {
        moving_open,      moving_stat,       moving_list,    moving_inotify,
        moving_watch_dir, moving_watch_file, moving_connect, NULL};
    struct collector_rights rights = {.opener = &moving.opener, .pid = getpid()};

    moving.opener.ops = &OPS;
    assert_int_equal(file_make_dirs(w.dir, "state", 0700, &err), 0);
    assert_int_equal(file_open_dir(w.dir, "state", &rights.state_fd, &err), 0);
    if (collector_open(w.loop, &rights, world_config("", CRI), &w.collector, &err) < 0)
        fail_msg("%s", err.text);
    (void)close(rights.state_fd);
}

/* ---- a log and its rotation ---- */

static void name_old(char ret[PATH_BYTES], unsigned no)
{
    (void)snprintf(ret, PATH_BYTES, LOG ".%u%s", no, is_packed ? ".gz" : "");
}

static void shift(void)
{
    char from[PATH_BYTES], to[PATH_BYTES];

    for (unsigned i = n_old; i > 0; i--) {
        name_old(from, i);
        name_old(to, i + 1);
        world_rename(from, to);
    }
    n_old++;
}

static void rotate(void)
{
    char name[PATH_BYTES];

    shift();
    name_old(name, 1);
    world_copytruncate(LOG, name, is_packed);
}

/* More lines each time: a younger file is longer than an older one. */
static void write_lines(const char *name)
{
    char line[128];

    n_writes++;
    for (unsigned i = 0; i < n_writes; i++) {
        (void)snprintf(line, sizeof(line), "2026-11-21T19:14:%02uZ stdout F <%u> is what it says\n",
                       n_writes, n_lines++);
        world_write(name, line);
    }
}

static bool is_acknowledged(void *arg)
{
    (void)arg;
    return w.server.records >= n_lines && metric_get(METRIC_CHUNKS_ACKED) >= w.server.messages;
}

static void check_lines(void)
{
    char line[64];

    wait_check(w.loop, is_acknowledged, NULL, "all lines, acknowledged");
    assert_int_equal(w.server.records, n_lines);
    assert_false(w.server.overlapped);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    for (unsigned i = 0; i < n_lines; i++) {
        (void)snprintf(line, sizeof(line), "stdout|<%u> is what it says\n", i);
        world_check_once(line);
    }
}

/* All that is there was read and is acknowledged, and nobody follows it. */
static void make_old_files(void)
{
    write_lines(LOG);
    start();
    check_lines();
    world_die();
    for (unsigned i = 0; i < OLD_FILES; i++) {
        rotate();
        write_lines(LOG);
    }
    start();
    check_lines();
    world_die();
}

/* What is known of the files now is true. */
static void check_after_a_restart(void)
{
    moving.at = 0;
    world_die();
    start();
    write_lines(LOG);
    check_lines();
}

static void rotate_at_a_start(unsigned at)
{
    make_old_files();
    write_lines(LOG);
    move_at(at, rotate);
    start();
    write_lines(LOG);
    check_lines();
    check_after_a_restart();
}

static void shift_at_a_cut(unsigned at)
{
    make_old_files();
    start();
    write_lines(LOG);
    check_lines();
    write_lines(LOG);
    rotate();
    move_at(at, shift);
    write_lines(LOG);
    check_lines();
    check_after_a_restart();
}

static void exchange(void)
{
    world_rename("logs/b.log", "logs/c.log");
    world_rename(LOG, "logs/b.log");
}

static void exchange_at_a_new_name(unsigned at)
{
    write_lines(LOG);
    start();
    check_lines();
    move_at(at, exchange);
    write_lines("logs/b.log");
    check_lines();
    write_lines(moving.have_moved ? "logs/c.log" : "logs/b.log");
    write_lines(moving.have_moved ? "logs/b.log" : LOG);
    check_lines();
}

static void at_each_question(void (*run)(unsigned at))
{
    unsigned at = 0;

    do {
        (void)world_teardown(NULL);
        (void)world_setup(NULL);
        n_old = n_lines = n_writes = 0;
        moving.at = 0;
        run(++at);
    } while (moving.have_moved);
    assert_true(at > 2); /* it has asked */
}

/* ---- another file is put over a log, as podman does ---- */

enum { OVER_MAX = 8 };

static struct {
    unsigned first, end; /* of its lines */
} over[OVER_MAX];
static unsigned n_over, n_at_once;
static bool is_walked;

static void put_over(void)
{
    assert_true(n_over < OVER_MAX);
    over[n_over].first = n_lines;
    write_lines("logs/tmp");
    over[n_over++].end = n_lines;
    world_rename("logs/tmp", LOG);
}

static void put_some_over(void)
{
    for (unsigned i = 0; i < n_at_once; i++)
        put_over();
}

static unsigned count_lines(unsigned first, unsigned end)
{
    char line[64];
    unsigned n = 0;

    for (unsigned i = first; i < end; i++) {
        (void)snprintf(line, sizeof(line), "stdout|<%u> is what it says\n", i);
        n += str_find(buf_str(&w.server.lines), str_of(line)) != SIZE_MAX;
    }
    return n;
}

/* Files of which nothing arrived; a part of one is none. */
static unsigned count_lost(void)
{
    unsigned lost = 0;

    for (unsigned i = 0; i < n_over; i++)
        lost += count_lines(over[i].first, over[i].end) == 0;
    return lost;
}

static bool are_accounted_for(void *arg)
{
    const unsigned *other = arg;
    unsigned first = over[n_over - 1].first, end = over[n_over - 1].end;

    return count_lines(*other, *other + 1) == 1 && count_lines(first, end) == end - first &&
           metric_get(METRIC_NEVER_OPENED) >= count_lost();
}

/* Whatever was not read is told, and nothing else; of what was opened all is read, once. */
static void check_over(void)
{
    unsigned other = n_lines;
    char line[64];

    write_lines("logs/other.log");
    wait_check(w.loop, are_accounted_for, &other, "each file, read or told of");
    assert_int_equal(metric_get(METRIC_NEVER_OPENED), count_lost());
    for (unsigned i = 0; i < n_over; i++) {
        unsigned n = count_lines(over[i].first, over[i].end);
        assert_true(n == 0 || n == over[i].end - over[i].first);
    }
    assert_false(w.server.overlapped);
    for (unsigned i = 0; i < n_lines; i++)
        if (count_lines(i, i + 1) == 1) {
            (void)snprintf(line, sizeof(line), "stdout|<%u> is what it says\n", i);
            world_check_once(line);
        }
}

static void put_over_at(unsigned at)
{
    n_over = 0;
    write_lines(LOG);
    start();
    check_lines();
    put_over();
    move_at(at, put_some_over);
    if (is_walked)
        assert_int_equal(collector_reload(w.collector, world_config("", CRI), &err), 0);
    check_over();
}

static void what_is_put_over_a_log_is_read_or_told_of(void **state)
{
    (void)state;
    is_walked = false;
    for (n_at_once = 1; n_at_once <= 3; n_at_once++)
        at_each_question(put_over_at);
}

/* A walk sees names before their events do. */
static void what_a_walk_sees_before_its_event_is_not_told_of(void **state)
{
    (void)state;
    is_walked = true;
    for (n_at_once = 1; n_at_once <= 3; n_at_once++)
        at_each_question(put_over_at);
}

static void rotation_while_copies_are_looked_for_misleads_nobody(void **state)
{
    (void)state;
    is_packed = false;
    at_each_question(rotate_at_a_start);
}

static void rotation_while_packed_files_are_looked_for_misleads_nobody(void **state)
{
    (void)state;
    is_packed = true;
    at_each_question(rotate_at_a_start);
}

static void a_copy_is_found_while_its_name_moves(void **state)
{
    (void)state;
    is_packed = false;
    at_each_question(shift_at_a_cut);
}

static void a_name_that_goes_to_a_followed_file_is_no_new_one(void **state)
{
    (void)state;
    at_each_question(exchange_at_a_new_name);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
CHECK_MAIN(TEST(rotation_while_copies_are_looked_for_misleads_nobody),
           TEST(rotation_while_packed_files_are_looked_for_misleads_nobody),
           TEST(a_copy_is_found_while_its_name_moves),
           TEST(what_is_put_over_a_log_is_read_or_told_of),
           TEST(what_a_walk_sees_before_its_event_is_not_told_of),
           TEST(a_name_that_goes_to_a_followed_file_is_no_new_one))
