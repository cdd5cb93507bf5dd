/*
 * Unit tests of collector/input_file: what cannot be opened or read for a while.  Nothing of it is
 * given up, nothing is read as another file's, and once it can be read each line arrives once.
 */
#include "base/fault.h"
#include "tests/unit/collector/collector_world.h"

#include <errno.h>

#define CRI "  - {type: cri, paths: ['@/logs/*.log']}\n"
#define T   "2026-11-21T19:14:38Z "
#define LOG "logs/a.log"

enum { TRIES = 3 };

/* An opener of this process for which some names cannot be opened, or directories not be listed. */
static struct {
    struct opener opener;
    const char *ending; /* NULL: none */
    bool lists;         /* it is listings that fail */
    int why;
    unsigned failed;
    void (*at_list)(void); /* once, before a listing of logs/ */
    unsigned lists_before; /* so many of them go before */
} bad;

static bool is_bad(const char *path, bool lists)
{
    if (bad.ending == NULL || lists != bad.lists || !str_ends(str_of(path), str_of(bad.ending)))
        return false;
    bad.failed++;
    return true;
}

static int bad_open(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                    struct err *e)
{
    (void)o;
    if (is_bad(path, false))
        return opener_err(e, bad.why, "open", path);
    return opener_open(NULL, kind, path, ret, e);
}

static int bad_stat(struct opener *o, const char *path, struct stat *ret, struct err *e)
{
    (void)o;
    return opener_stat(NULL, path, ret, e);
}

static int bad_list(struct opener *o, const char *path, enum opener_stats stats,
                    opener_entry_fn *fn, void *arg, struct err *e)
{
    void (*at_list)(void) = bad.at_list;

    (void)o;
    if (at_list != NULL && str_ends(str_of(path), STR("logs")) && bad.lists_before-- == 0) {
        bad.at_list = NULL;
        at_list();
    }
    if (is_bad(path, true))
        return opener_err(e, bad.why, "open directory", path);
    return opener_list(NULL, path, stats, fn, arg, e);
}

static int bad_inotify(struct opener *o, int *ret, struct err *e)
{
    (void)o;
    return opener_inotify(NULL, ret, e);
}

static int bad_watch_dir(struct opener *o, int inotify, const char *path, int *ret, struct err *e)
{
    (void)o;
    return opener_watch_dir(NULL, inotify, path, ret, e);
}

static int bad_watch_file(struct opener *o, int inotify, int fd, int *ret, struct err *e)
{
    (void)o;
    return opener_watch_file(NULL, inotify, fd, ret, e);
}

static int bad_connect(struct opener *o, const char *path, int *ret, struct err *e)
{
    (void)o;
    return opener_connect(NULL, path, ret, e);
}

static void start(void)
{
    static const struct opener_ops OPS = {bad_open,      bad_stat,       bad_list,    bad_inotify,
                                          bad_watch_dir, bad_watch_file, bad_connect, NULL};
    struct collector_rights rights = {.opener = &bad.opener, .pid = getpid()};

    bad.opener.ops = &OPS;
    assert_int_equal(file_make_dirs(w.dir, "state", 0700, &err), 0);
    assert_int_equal(file_open_dir(w.dir, "state", &rights.state_fd, &err), 0);
    if (collector_open(w.loop, &rights, world_config("", CRI), &w.collector, &err) < 0)
        fail_msg("%s", err.text);
    (void)close(rights.state_fd);
}

/* From now on names that end so fail, or the listings of such directories. */
static void break_names(const char *ending, bool lists, int why)
{
    bad.ending = ending;
    bad.lists = lists;
    bad.why = why;
    bad.failed = 0;
}

static bool has_tried(void *arg)
{
    (void)arg;
    return bad.failed >= TRIES || metric_get(METRIC_GAPS) > 0;
}

/* It was tried several times, and nothing was given up; now it works again. */
static void mend_names(void)
{
    wait_check(w.loop, has_tried, NULL, "more tries");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_true(metric_get(METRIC_FILES_UNREADABLE) > 0);
    bad.ending = NULL;
}

static void check_all(size_t records)
{
    world_wait_records(records);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(w.server.records, records);
    assert_false(w.server.overlapped);
}

static bool nothing_waits(void *arg)
{
    (void)arg;
    return metric_get(METRIC_FILES_WAITING) == 0;
}

/* One line of a.log is acknowledged; it is away, has another and was renamed when we come back. */
static void write_and_rotate(void)
{
    world_write(LOG, T "stdout F one\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_write(LOG, T "stdout F two\n");
    world_rename(LOG, LOG ".1");
    world_write(LOG, T "stdout F three\n");
}

static void a_rotated_file_that_cannot_be_opened_is_tried_again(void **state)
{
    (void)state;
    write_and_rotate();
    break_names("a.log.1", false, EMFILE);
    start();
    world_wait("three"); /* what can be read is not held up */
    mend_names();
    check_all(3);
    wait_check(w.loop, nothing_waits, NULL, "nothing to wait");
}

/* Another line at the end of the log each time it is asked. */
static bool has_the_beginning(void *arg)
{
    (void)arg;
    world_write(LOG, T "stdout F more\n");
    return str_find(buf_str(&w.server.lines), STR("begin-")) != SIZE_MAX;
}

/* What the first file holds of a record does not go on in the midst of the second, which was read
 * while the first could not be. */
static void a_record_does_not_go_on_in_a_file_that_was_read_before(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_rename(LOG, LOG ".1");
    world_write(LOG, T "stdout F end\n" T "stdout F two\n");
    break_names("a.log.1", false, EMFILE);
    start();
    world_wait("two");
    mend_names();
    wait_check(w.loop, has_the_beginning, NULL, "the beginning");
    world_check_once("stdout|begin- partial=true\n");
    world_check_once("stdout|end\n");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_false(w.server.overlapped);
}

static void a_log_that_cannot_be_opened_is_no_new_one_later(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_write(LOG, T "stdout F two\n");
    break_names("a.log", false, EACCES);
    start();
    mend_names();
    check_all(2);
    world_check_once("one");
}

static void a_directory_that_cannot_be_listed_is_tried_again(void **state)
{
    (void)state;
    write_and_rotate();
    start();
    world_wait("three");
    world_wait_metric(METRIC_CHUNKS_ACKED, 2);
    world_die();
    world_write(LOG, T "stdout F four\n");
    world_rename(LOG ".1", LOG ".2");
    world_rename(LOG, LOG ".1");
    break_names("/logs", true, EIO);
    start();
    mend_names();
    check_all(4);
}

static bool has_sent(void *arg)
{
    (void)arg;
    return w.server.held.n > 0;
}

/* What was on its way when we were killed is built again, of each file when it can be read. */
static void a_planned_file_that_cannot_be_opened_is_tried_again(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_write(LOG, T "stdout F one\n");
    world_write("logs/b.log", T "stdout F two\n");
    start();
    wait_check(w.loop, has_sent, NULL, "a chunk");
    world_die();
    w.server.hold_acks = false;
    world_write(LOG, T "stdout F three\n");
    world_write("logs/b.log", T "stdout F four\n");
    break_names("a.log", false, EIO);
    start();
    world_wait("four"); /* what can be read is not held up */
    mend_names();
    check_all(4);
    world_check_once("one");
    world_check_once("two");
}

/* A record that ends in a file that cannot be opened is built again with that file. */
static void a_record_that_ends_in_a_file_that_cannot_be_opened_is_whole(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    w.server.hold_acks = true;
    world_rename(LOG, LOG ".1");
    world_write(LOG, T "stdout F end\n");
    world_wait("stdout|begin-end\n");
    world_die();
    w.server.hold_acks = false;
    w.server.ranges.n = 0; /* as if nothing had been stored */
    w.server.records = 0;
    buf_clear(&w.server.lines);
    world_write(LOG, T "stdout F two\n");
    break_names("a.log", false, EIO);
    start();
    mend_names();
    world_wait("two");
    check_all(2);
    world_check_once("stdout|begin-end\n");
}

/* Nor is what was on its way a gap when it cannot be read for a moment. */
static void a_planned_file_that_cannot_be_read_is_tried_again(void **state)
{
    fault_start("tail.rebuild");
    for (unsigned n = 0; fault_next(); n++) {
        assert_in_range(n, 0, 10);
        (void)world_teardown(state);
        (void)world_setup(state);
        world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
        start();
        world_wait("one");
        world_wait_metric(METRIC_CHUNKS_ACKED, 1);
        w.server.hold_acks = true;
        world_rename(LOG, LOG ".1");
        world_write(LOG, T "stdout F end\n");
        world_write("logs/b.log", T "stdout F two\n");
        world_wait("stdout|begin-end\n");
        world_wait("two");
        world_die();
        w.server.hold_acks = false;
        w.server.ranges.n = 0; /* as if nothing had been stored */
        w.server.records = 0;
        buf_clear(&w.server.lines);
        start();
        world_write(LOG, T "stdout F three\n");
        world_wait("three");
        check_all(3);
        world_check_once("stdout|begin-end\n");
        world_check_once("two");
    }
}

/* What is refused of a chunk is what was in the message, and not what is still to come. */
static void what_is_not_built_yet_is_not_refused(void **state)
{
    (void)state;
    w.server.hold_acks = true;
    world_write(LOG, T "stdout F one\n");
    world_write("logs/b.log", T "stdout F two\n");
    start();
    wait_check(w.loop, has_sent, NULL, "a chunk");
    world_die();
    w.server.hold_acks = false;
    w.server.refuse = "INVALID";
    break_names("a.log", false, EIO);
    start();
    world_wait_metric(METRIC_CHUNKS_REFUSED, 1);
    w.server.refuse = NULL;
    bad.ending = NULL;
    world_wait("gap=refused");
    wait_check(w.loop, nothing_waits, NULL, "nothing to wait");
    world_write(LOG, T "stdout F three\n");
    world_wait("three");
    assert_int_equal(metric_get(METRIC_GAPS), 1);
    assert_int_equal(metric_get(METRIC_CHUNKS_REFUSED), 1);
}

/* A part that is refused is one gap, and its lines alone are kept; the others are acknowledged. */
static void what_is_refused_of_a_chunk_is_one_gap(void **state)
{
    struct buf kept;
    (void)state;

    world_write(LOG, T "stdout F one\n");
    world_write("logs/b.log", T "stdout F two\n");
    world_write("logs/c.log", T "stdout F three\n");
    w.server.refuse_line = "two";
    start();
    world_wait("gap=refused");
    world_check_once("one");
    world_check_once("three");
    assert_int_equal(metric_get(METRIC_GAPS), 1);
    assert_int_equal(metric_get(METRIC_PARTS_REFUSED), 1);
    assert_int_equal(metric_get(METRIC_CHUNKS_REFUSED), 0);
    buf_init(&kept, 1 << 20);
    assert_int_equal(file_read(w.dir, "state/refused/1.fwd", &kept, &err), 0);
    assert_true(str_find(buf_str(&kept), STR("two")) < kept.n &&
                str_find(buf_str(&kept), STR("three")) >= kept.n);
    buf_fini(&kept);
    world_die(); /* its ack may be lost, then it is sent again */
    start();
    world_write("logs/b.log", T "stdout F four\n");
    world_wait("four");
    world_check_once("one");
    world_check_once("three");
}

/* Its pieces were held, in two files, with others between them. */
static void a_gap_of_what_is_refused_has_all_bytes_of_a_record(void **state)
{
    static const char FIRST[] = T "stdout P be\n", MORE[] = T "stdout P gi\n",
                      END[] = T "stdout F n\n";
    static const char OTHER[] = T "stderr F other\n";

    (void)state;
    w.server.refuse_line = "begin";
    world_write(LOG, OTHER);
    world_write(LOG, FIRST);
    start();
    world_wait_records(1);
    world_rename(LOG, LOG ".1");
    world_write(LOG, MORE);
    world_write(LOG, OTHER);
    world_wait_records(2);
    world_write(LOG, END);
    world_wait("gap=refused");
    world_wait_metric(METRIC_GAP_BYTES, sizeof(FIRST) - 1 + sizeof(MORE) - 1 + sizeof(END) - 1);
    assert_int_equal(metric_get(METRIC_GAP_BYTES),
                     sizeof(FIRST) - 1 + sizeof(MORE) - 1 + sizeof(END) - 1);
    assert_int_equal(metric_get(METRIC_PARTS_REFUSED), 1);
}

static void a_copy_that_cannot_be_opened_when_its_log_is_cut_is_tried_again(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout F two ");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    break_names("a.log.1", false, ENFILE);
    world_write(LOG, "and a half\n" T "stdout F three\n");
    world_copytruncate(LOG, LOG ".1", false);
    world_write(LOG, T "stdout F four\n");
    world_wait("four"); /* what can be read is not held up */
    mend_names();
    check_all(4);
    world_check_once("two and a half");
    world_check_once("three");
}

static void a_kill_while_a_copy_is_sought_loses_nothing(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    break_names("a.log.1", false, EIO);
    world_write(LOG, T "stdout F two\n");
    world_copytruncate(LOG, LOG ".1", false);
    world_write(LOG, T "stdout F three\n");
    world_wait("three");
    mend_names();
    world_die();
    start();
    check_all(3);
    world_check_once("two");
}

/* The bytes themselves: a beginning that cannot be read is not another one. */
static void a_beginning_that_cannot_be_read_is_not_another(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    fault_start("reader.read");
    assert_true(fault_next());
    world_write(LOG, T "stdout F two\n");
    world_wait("two");
    while (fault_next())
        ;
    assert_int_equal(metric_get(METRIC_FILES_TRUNCATED), 0);
    check_all(2);
    world_check_once("one");
}

static void forget_at_the_server(void)
{
    w.server.hold_acks = false;
    w.server.ranges.n = 0; /* as if nothing had been stored */
    w.server.records = 0;
    buf_clear(&w.server.lines);
}

/* What a file holds that was built and read on is left alone when another cannot be built. */
static void a_part_that_cannot_be_read_takes_nothing_from_other_files(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n");
    world_write("logs/b.log", T "stdout F two\n");
    w.server.hold_acks = true;
    start();
    world_wait("one");
    world_wait("two");
    world_die();
    forget_at_the_server();
    break_names("b.log", false, EMFILE);
    start();
    world_wait("one");
    world_write(LOG, T "stdout P begin-\n" T "stderr F three\n");
    world_wait("three");
    fault_start("tail.rebuild");
    assert_true(fault_next());
    bad.ending = NULL;
    world_wait("two");
    while (fault_next())
        ;
    world_write(LOG, T "stdout F end\n");
    world_wait("end");
    world_check_once("stdout|begin-end\n");
}

/* A planned part of a log that is cut while it waits is a gap. */
static void a_planned_log_that_is_cut_while_it_waits_is_a_gap(void **state)
{
    int fd;

    (void)state;
    world_write(LOG, T "stdout F one and more than what comes\n");
    w.server.hold_acks = true;
    start();
    world_wait("one");
    world_die();
    forget_at_the_server();
    fault_start("tail.rebuild");
    assert_true(fault_next());
    start();
    world_wait_metric(METRIC_FILES_UNREADABLE, 1);
    while (fault_next())
        ;
    fd = openat(w.dir, LOG, O_WRONLY | O_TRUNC | O_CLOEXEC);
    (void)close(fd);
    world_write(LOG, T "stdout F new\n");
    world_wait("new");
    world_wait("gap=");
}

/* What the log before holds waits until its successor's parts are built. */
static void what_is_held_is_handed_over_when_parts_are_built(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    w.server.hold_acks = true;
    world_rename(LOG, LOG ".1");
    world_write(LOG, T "stdout P middle-\n" T "stderr F two\n");
    world_wait("two");
    world_die();
    forget_at_the_server();
    fault_start("tail.rebuild");
    assert_true(fault_next());
    start();
    world_wait("two");
    while (fault_next())
        ;
    world_write(LOG, T "stdout F end\n" T "stdout F three\n");
    world_wait("three");
    world_check_once("stdout|begin-middle-end\n");
    assert_int_equal(w.server.records, 3);
}

/* Nor in the midst of one that was cut since. */
static void a_record_does_not_go_on_in_what_was_cut_after_it_was_read(void **state)
{
    int fd;

    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    start();
    world_wait("one");
    world_wait_metric(METRIC_CHUNKS_ACKED, 1);
    world_die();
    world_rename(LOG, LOG ".1");
    world_write(LOG, T "stdout F end\n" T "stderr F two\n" T "stdout P piece\n");
    break_names("a.log.1", false, EMFILE);
    start();
    world_wait("two");
    bad.ending = NULL;
    world_wait_metric(METRIC_FILES_OPEN, 3);
    fd = openat(w.dir, LOG, O_WRONLY | O_TRUNC | O_CLOEXEC);
    (void)close(fd);
    world_wait("piece");
    world_wait("begin-");
    world_check_once("stdout|begin- partial=true\n");
    world_check_once("stdout|piece partial=true\n");
}

/* Twice, just after its name was opened. */
static void rotate_twice(void)
{
    world_rename(LOG, LOG ".20261123-000002");
    world_write(LOG, T "stdout F end\n");
    world_rename(LOG, LOG ".20261123-000003");
    world_write(LOG, T "stdout F new\n");
}

static void logs_that_are_rotated_at_the_start_stay_in_order(void **state)
{
    (void)state;
    world_write(LOG, T "stdout F one\n" T "stdout P begin-\n");
    start();
    world_wait("one");
    world_rename(LOG, LOG ".20261123-000001");
    world_write(LOG, T "stderr F two\n" T "stdout P middle-\n");
    world_wait("two");
    world_wait_metric(METRIC_CHUNKS_ACKED, 2);
    world_die();
    bad.at_list = rotate_twice;
    bad.lists_before = 1; /* for the name; the next one is for those beside it */
    start();
    world_wait("stdout|new\n");
    world_check_once("stdout|begin-middle-end\n");
}

static int setup(void **state)
{
    bad.ending = NULL;
    bad.at_list = NULL;
    return world_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
CHECK_MAIN(TEST(a_rotated_file_that_cannot_be_opened_is_tried_again),
           TEST(a_record_does_not_go_on_in_a_file_that_was_read_before),
           TEST(a_log_that_cannot_be_opened_is_no_new_one_later),
           TEST(a_directory_that_cannot_be_listed_is_tried_again),
           TEST(a_planned_file_that_cannot_be_opened_is_tried_again),
           TEST(a_record_that_ends_in_a_file_that_cannot_be_opened_is_whole),
           TEST(a_planned_file_that_cannot_be_read_is_tried_again),
           TEST(what_is_not_built_yet_is_not_refused), TEST(what_is_refused_of_a_chunk_is_one_gap),
           TEST(a_gap_of_what_is_refused_has_all_bytes_of_a_record),
           TEST(a_copy_that_cannot_be_opened_when_its_log_is_cut_is_tried_again),
           TEST(a_kill_while_a_copy_is_sought_loses_nothing),
           TEST(a_beginning_that_cannot_be_read_is_not_another),
           TEST(a_part_that_cannot_be_read_takes_nothing_from_other_files),
           TEST(a_planned_log_that_is_cut_while_it_waits_is_a_gap),
           TEST(what_is_held_is_handed_over_when_parts_are_built),
           TEST(a_record_does_not_go_on_in_what_was_cut_after_it_was_read),
           TEST(logs_that_are_rotated_at_the_start_stay_in_order))
