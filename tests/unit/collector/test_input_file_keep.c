/*
 * Unit tests of collector/input_file_keep: logs that are deleted before they were read, with the
 * whole collector round it.  The server holds its acks back, so that only a window is sent.
 */
#include "tests/unit/collector/collector_world.h"

#define ID  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIR "logs/" ID
#define LOG DIR "/" ID "-json.log"
#define MORE                                                                                       \
    "chunk: {delay: 10ms, bytes: 4KiB, bytes_busy: 4KiB, window: 1}\npartial_timeout: "            \
    "100ms\nspool: "
#define SMALL  MORE "{bytes: 64KiB}\n"
#define LARGE  MORE "{bytes: 1MiB}\n"
#define DOCKER "  - {type: docker, paths: ['@/logs/*/*-json.log']}\n"

enum { LINES = 500 };

static unsigned seed = 1;
static const char *labels, *ending; /* of the container, of each line */

/* A container's log of LINES lines; `noise` does not pack. */
static void write_log(unsigned noise)
{
    struct buf text;

    buf_init(&text, 1 << 24);
    assert_int_equal(file_make_dirs(w.dir, DIR, 0700, &err), 0);
    buf_addf(&text, "{\"Name\":\"/web\",\"Config\":{\"Image\":\"shop:1\",\"Labels\":{%s}}}",
             labels);
    buf_add_char(&text, '\0');
    world_write(DIR "/config.v2.json", text.p);
    buf_clear(&text);
    for (unsigned i = 0; i < LINES; i++) {
        buf_addf(&text, "{\"log\":\"n=%06u ", i);
        for (unsigned k = 0; k < noise; k++) {
            seed = seed * 1664525u + 1013904223u;
            buf_add_char(&text, (char)('0' + (seed >> 16) % 64 + ((seed >> 16) % 64 >= 44)));
        }
        buf_addf(&text, "%s\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T19:14:38.%09uZ\"}\n",
                 ending, i);
    }
    buf_add_char(&text, '\0');
    world_write(LOG, text.p);
    buf_fini(&text);
}

static void delete_log(void)
{
    assert_int_equal(file_remove_tree(w.dir, DIR, &err), 0);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

/* As SIGTERM ends it, with a server that does not answer. */
static void world_stop(void)
{
    bool done = false;

    collector_drain(w.collector, 50 * NS_PER_MS, set_flag, &done);
    WAIT_FOR(w.loop, done);
    world_die();
}

static bool has_sent(void *arg)
{
    (void)arg;
    return w.server.held.n > 0;
}

/* The first window was sent, the rest of the log is deleted, and we end. */
static void read_begin_delete_and_stop(const char *more)
{
    w.server.hold_acks = true;
    world_start(more, DOCKER);
    wait_check(w.loop, has_sent, NULL, "a chunk");
    delete_log();
    world_stop();
    w.server.hold_acks = false;
}

static size_t count_lines(void)
{
    size_t n = 0;
    char text[32];

    for (unsigned i = 0; i < LINES; i++) {
        (void)snprintf(text, sizeof(text), "stdout|n=%06u", i);
        n += str_find(buf_str(&w.server.lines), str_of(text)) != SIZE_MAX;
    }
    return n;
}

static bool keep_is_empty(void *arg)
{
    (void)arg;
    return metric_get(METRIC_SPOOL_BYTES) == 0;
}

static void a_log_deleted_before_it_was_read_survives_our_end(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_true(count_lines() < LINES);
    w.server.show_labels = true;
    world_start(SMALL, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(w.server.records, LINES); /* and none twice */
    world_wait("app=web container=web host=h image=shop:1");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
    assert_int_equal(metric_get(METRIC_UNRESOLVED), 0);
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

/* Its labels were gone with it; the parts that were planned are the same, and so is what is new. */
static void what_a_deleted_container_asked_for_is_still_done(void **state)
{
    (void)state;
    labels = "\"logq.io/redact\":\"email\"";
    ending = " by joe@example.org";
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    world_start(SMALL, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(count_lines(), LINES);
    assert_int_equal(w.server.records, LINES);
    assert_int_equal(str_find(buf_str(&w.server.lines), STR("joe")), SIZE_MAX);
    world_check_once("n=000000");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void what_is_kept_waits_through_more_ends(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    for (int i = 0; i < 2; i++) {
        w.server.hold_acks = true;
        world_start(SMALL, DOCKER);
        world_wait_metric(METRIC_CHUNKS_REBUILT, 1 + (unsigned)i);
        if (i == 0)
            world_stop();
        else
            world_die();
        w.server.hold_acks = false;
    }
    world_start(SMALL, DOCKER);
    world_wait_records(LINES);
    assert_int_equal(count_lines(), LINES);
    assert_int_equal(w.server.records, LINES);
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_log_that_is_there_again_is_another(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_int_equal(file_make_dirs(w.dir, DIR, 0700, &err), 0);
    world_write(LOG,
                "{\"log\":\"new\\n\",\"stream\":\"stdout\",\"time\":\"2026-11-21T19:15:00Z\"}\n");
    world_start(SMALL, DOCKER);
    world_wait_records(LINES + 1);
    assert_int_equal(count_lines(), LINES);
    world_check_once("stdout|new");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

static void a_lost_journal_loses_nothing_that_is_kept(void **state)
{
    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_int_equal(unlinkat(w.dir, "state/checkpoint", 0), 0);
    world_start(SMALL, DOCKER);
    world_wait("n=000499");
    assert_int_equal(count_lines(), LINES);
    world_wait("\"cause\":\"journal_lost\",\"file\":");
    assert_int_equal(metric_get(METRIC_GAPS), 0);
}

struct cut {
    off_t size;
};

static int cut_one(void *arg, int dir_fd, const char *name, struct err *e)
{
    const struct cut *cut = arg;
    int fd = openat(dir_fd, name, O_RDWR | O_CLOEXEC);

    (void)e;
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, cut->size), 0);
    (void)close(fd);
    return 0;
}

static void what_the_journal_promised_and_is_gone_is_a_gap(void **state)
{
    struct cut cut = {200};
    int dir;

    (void)state;
    write_log(20);
    read_begin_delete_and_stop(SMALL);
    assert_int_equal(file_open_dir(w.dir, "state/keep", &dir, &err), 0);
    assert_int_equal(file_walk(dir, cut_one, &cut, &err), 0);
    (void)close(dir);
    world_start(SMALL, DOCKER);
    world_wait("spool_damaged");
    assert_true(metric_get(METRIC_GAP_BYTES) > 0);
    assert_true(count_lines() < LINES);
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

static void what_is_over_the_budget_is_a_gap(void **state)
{
    (void)state;
    write_log(1000); /* ten times spool.bytes */
    read_begin_delete_and_stop(SMALL);
    assert_true(metric_get(METRIC_SPOOL_DROPPED_BYTES) > 0);
    world_start(SMALL, DOCKER);
    world_wait("spool_full");
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
}

static void what_no_input_wants_goes_first(void **state)
{
    (void)state;
    write_log(300);
    read_begin_delete_and_stop(LARGE);
    assert_true(metric_get(METRIC_SPOOL_BYTES) > 64 << 10);
    world_start(SMALL, "  - {type: file, paths: ['@/other/*.log']}\n");
    world_wait("spool_full");
    wait_check(w.loop, keep_is_empty, NULL, "keep/ to be empty");
    assert_true(metric_get(METRIC_GAP_BYTES) > 0);
}

static int setup(void **state)
{
    labels = ending = "";
    return world_setup(state);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_deleted_before_it_was_read_survives_our_end),
        TEST(what_a_deleted_container_asked_for_is_still_done),
        TEST(what_is_kept_waits_through_more_ends),
        TEST(a_log_that_is_there_again_is_another),
        TEST(a_lost_journal_loses_nothing_that_is_kept),
        TEST(what_the_journal_promised_and_is_gone_is_a_gap),
        TEST(what_is_over_the_budget_is_a_gap),
        TEST(what_no_input_wants_goes_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
