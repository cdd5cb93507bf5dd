/* Unit tests of collector/notice: what the collector says itself is a line of JSON. */
#include "collector/notice.h"

#include "tests/unit/collector/spool_world.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void check_said(const char *what)
{
    buf_clear(&seen);
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    if (str_find(buf_str(&seen), str_of(what)) == SIZE_MAX)
        fail_msg("'%s' is not in '%.*s'", what, STR_ARG(buf_str(&seen)));
}

static void a_gap_is_a_line_and_counted(void **state)
{
    struct notice_gap gap = {.cause = "file_gone",
                             .path = STR("/a \"b\""),
                             .file_id = STR("id-1"),
                             .start = 10,
                             .end = 30};

    (void)state;
    assert_int_equal(notice_gap(s, &gap, &err), 0);
    check_said("\"gap\":\"file_gone\",\"file\":\"/a \\\"b\\\"\",\"file_id\":\"id-1\","
               "\"start\":10,\"end\":30,\"bytes\":20}\n");
    assert_int_equal(metric_get(METRIC_GAPS), 1);
    assert_int_equal(metric_get(METRIC_GAP_BYTES), 20);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void take_last(void *arg, struct str line)
{
    size_t *n = arg;

    (*n)++;
    buf_clear(&seen);
    buf_add_str(&seen, line);
}

/* On a disk that is full for long there is no room for them in memory, either. */
static void what_could_not_be_told_is_told_in_one(void **state)
{
    struct checkpoint_file f = {.id = "id-1", .path = (char[]){"/twice"}};
    struct checkpoint_part part = {.file = &f, .end = 9};
    struct notice_failover failover = {.from = "a", .to = "b"};
    char name[4000], expected[128];
    struct notice_gap gap = {
        .cause = "truncated", .path = {name, sizeof(name)}, .start = 10, .end = 30};
    unsigned untold = 0, all = 0;
    size_t lines = 0;

    (void)state;
    memset(name, 'x', sizeof(name));
    limit_files(0);
    for (; untold < 10; all++)
        untold += notice_gap_begin(s, &gap, &err) < 0;
    assert_int_equal(err.code, ERR_LIMIT);
    gap.count = 5; /* alike */
    assert_true(notice_gap_begin(s, &gap, &err) < 0);
    f.path = name;
    name[sizeof(name) - 1] = '\0';
    notice_maybe_twice(s, &part);
    failover.from = name;
    assert_true(notice_failover(s, &failover, &err) < 0);
    assert_false(notice_retry(s));
    limit_files(RLIM_INFINITY);
    assert_int_equal(spool_sync(s, &err), 0); /* as the next retry does */
    assert_true(notice_retry(s));
    assert_true(notice_retry(s)); /* and not again */
    assert_int_equal(spool_replay(s, take_last, &lines, &err), 0);
    assert_int_equal(lines, all - untold + 1);
    (void)snprintf(expected, sizeof(expected),
                   "\"gap\":\"not_told\",\"bytes\":%d,\"count\":15,\"others\":2}", 11 * 20);
    if (!str_ends(buf_str(&seen), str_of(expected)))
        fail_msg("'%s' is not at the end of '%.*s'", expected, STR_ARG(buf_str(&seen)));
    assert_int_equal(metric_get(METRIC_GAPS), all + 1);
}

static void a_new_incarnation_names_what_may_be_stored_twice(void **state)
{
    struct checkpoint *c;
    struct checkpoint_file *f;

    (void)state;
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    checkpoint_close(&c);
    assert_int_equal(unlinkat(dir, "checkpoint", 0), 0);
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    f = checkpoint_file_new(c, 1, 2, "/log");
    assert_int_equal(notice_incarnation(s, c, NULL, 0, 0, &err), 0);
    check_said("\",\"cause\":\"journal_lost\"}\n");
    assert_int_equal(notice_incarnation(s, c, f, 5, 9, &err), 0);
    check_said("\"cause\":\"journal_lost\",\"file\":\"/log\",\"file_id\":\"");
    check_said(f->id);
    check_said("\"start\":5,\"end\":9,\"bytes\":4}\n");
    checkpoint_close(&c);
}

static void drops_are_told_with_their_sums(void **state)
{
    struct checkpoint *c;
    struct checkpoint_file *f;
    struct checkpoint_drop drop = {"noise", 7, 700, 5, 550};

    (void)state;
    assert_int_equal(checkpoint_open(dir, &c, &err), 0);
    f = checkpoint_file_new(c, 1, 2, "/log");
    assert_int_equal(notice_drop(s, f, &drop, &err), 0);
    check_said("\"drop\":\"noise\",\"file\":\"/log\",\"file_id\":\"");
    check_said("\"count\":2,\"bytes\":150,\"count_sum\":7,\"bytes_sum\":700}\n");
    checkpoint_close(&c);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(a_gap_is_a_line_and_counted, setup, teardown),
           cmocka_unit_test_setup_teardown(what_could_not_be_told_is_told_in_one, setup, teardown),
           cmocka_unit_test_setup_teardown(drops_are_told_with_their_sums, setup, teardown),
           cmocka_unit_test_setup_teardown(a_new_incarnation_names_what_may_be_stored_twice, setup,
                                           teardown))
