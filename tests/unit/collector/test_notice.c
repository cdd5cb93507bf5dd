/* Unit tests of collector/notice: what the collector says itself is a line of JSON. */
#include "collector/notice.h"

#include "tests/unit/collector/spool_world.h"

#include <fcntl.h>
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
           cmocka_unit_test_setup_teardown(drops_are_told_with_their_sums, setup, teardown),
           cmocka_unit_test_setup_teardown(a_new_incarnation_names_what_may_be_stored_twice, setup,
                                           teardown))
