/* Unit tests of collector/siblings: what rotation calls files, and which of them is older. */
#include "collector/siblings.h"

#include "base/buf.h"
#include "base/time.h"
#include "tests/unit/collector/dir_world.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* A file that was written `age` seconds ago. */
static void make(const char *name, int64_t age)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1800000000 - age}};

    assert_int_equal(file_replace(dir, name, 0600, STR("x"), &err), 0);
    assert_int_equal(utimensat(dir, name, times, 0), 0);
}

/* Names of the siblings of x.log, oldest first; others in front of the bar. */
static void expect(const char *expected)
{
    struct siblings all;
    char log[TMPDIR_PATH_MAX + 16];
    struct buf got;
    bool bar = false;

    (void)snprintf(log, sizeof(log), "%s/x.log", root);
    assert_int_equal(siblings_list(NULL, log, &all, &err), 0);
    buf_init(&got, 4096);
    for (size_t i = 0; i < all.v.n; i++) {
        if (all.v.p[i].is_rotated && !bar)
            buf_add_z(&got, "| ");
        bar = bar || all.v.p[i].is_rotated;
        buf_addf(&got, "%s ", strrchr(all.v.p[i].path, '/') + 1);
    }
    check_str(buf_str(&got), expected);
    buf_fini(&got);
    siblings_fini(&all);
}

static void rotated_names_are_told_from_others(void **state)
{
    static const char *const YES[] = {"x.log.1",        "x.log.12.gz",
                                      "x.log-20261121", "x.log.old",
                                      "x.log.1.zst",    "x.log.20261121-191438.gz",
                                      "x.log_2026.1.2", "x.log.2026-11-21T19:14:38Z",
                                      "x.log.bak"};
    static const char *const NO[] = {"x.log",       "x.logs",           "x.log.tmp", "y.log.1",
                                     "x.log.1.tmp", "x.log-feed-1.txt", "x.log.",    "x.log.gz"};

    (void)state;
    for (size_t i = 0; i < sizeof(YES) / sizeof(YES[0]); i++)
        if (!siblings_is_rotated(YES[i], "x.log"))
            fail_msg("%s", YES[i]);
    for (size_t i = 0; i < sizeof(NO) / sizeof(NO[0]); i++)
        if (siblings_is_rotated(NO[i], "x.log"))
            fail_msg("%s", NO[i]);
}

static void numbers_count_up_with_age(void **state)
{
    (void)state;
    make("x.log", 0);
    make("x.log.1", 10);
    make("x.log.2.gz", 20);
    make("x.log.10", 30);
    make("y.log", 5);
    expect("y.log | x.log.10 x.log.2.gz x.log.1 x.log ");
    make("x.log.1", 100); /* a clock that jumped */
    expect("y.log | x.log.10 x.log.2.gz x.log.1 x.log ");
}

static void numbers_may_count_the_other_way(void **state)
{
    (void)state;
    make("x.log", 0);
    make("x.log.1", 30);
    make("x.log.2", 20);
    make("x.log.3", 10);
    expect("| x.log.1 x.log.2 x.log.3 x.log ");
}

static void dates_are_older_the_smaller_they_are(void **state)
{
    (void)state;
    make("x.log", 0);
    make("x.log.20261121-191438.gz", 1); /* compressed later than the others were written */
    make("x.log.20261122-000000", 9);
    make("x.log.20261122-000100", 10); /* a clock that jumped */
    expect("| x.log.20261121-191438.gz x.log.20261122-000000 x.log.20261122-000100 x.log ");
}

/* Several of one second have a counter behind it. */
static void counters_behind_a_date_are_numbers(void **state)
{
    (void)state;
    make("x.log.20261122-000000.9", 5);
    make("x.log.20261122-000000.10", 5);
    make("x.log.20261122-000000.2", 5);
    make("x.log", 6);
    expect("| x.log.20261122-000000.2 x.log.20261122-000000.9 x.log.20261122-000000.10 x.log ");
}

static void names_of_several_kinds_are_put_in_order_by_time(void **state)
{
    (void)state;
    make("x.log", 0);
    make("x.log.1", 10);
    make("x.log.old", 30);
    make("x.log-20261121", 20);
    expect("| x.log.old x.log-20261121 x.log.1 x.log ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, dir_setup, dir_teardown)
CHECK_MAIN(TEST(rotated_names_are_told_from_others), TEST(numbers_count_up_with_age),
           TEST(numbers_may_count_the_other_way), TEST(dates_are_older_the_smaller_they_are),
           TEST(counters_behind_a_date_are_numbers),
           TEST(names_of_several_kinds_are_put_in_order_by_time))
