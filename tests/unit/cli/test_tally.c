/* query/cli/tally.c, bars.c: lines in any order of time come out as bars of the whole span. */
#include "query/cli/tally.h"

#include "tests/lib/check.h"

#include <unistd.h>

/* Print through a pipe: answers here are shorter than what one holds. */
static void check_bars(const struct tally *t, enum format_kind kind, const char *want)
{
    struct args args = {.has_output = true, .output = kind};
    struct bars *b;
    struct output o;
    struct err err;
    char got[4096];
    ssize_t n;
    int fd[2];

    assert_int_equal(tally_bars(t, &b, &err), 0);
    assert_non_null(b);
    assert_int_equal(pipe(fd), 0);
    output_init(&o, fd[1], &args, &(struct output_env){.terminal = false});
    assert_int_equal(bars_print(b, &o, &err), 0);
    assert_true(output_fini(&o));
    bars_free(&b);
    close(fd[1]);
    n = read(fd[0], got, sizeof(got));
    close(fd[0]);
    assert_true(n >= 0);
    check_str(((struct str){got, (size_t)n}), want);
}

static void add(struct tally *t, int64_t seconds, const char *level)
{
    struct err err;

    assert_int_equal(tally_add(t, seconds * NS_PER_S + 1, str_of(level), &err), 0);
}

static void the_step_follows_the_span(void **state)
{
    struct tally *t = tally_new(0);

    (void)state;
    add(t, 600, "info");
    add(t, 0, "error");
    add(t, 19, "");
    add(t, 21, "error");
    add(t, 601, "info");
    check_bars(t, FORMAT_RAW,
               "1970-01-01T00:00:00Z\terror\t2\n1970-01-01T00:00:00Z\tunknown\t1\n"
               "1970-01-01T00:10:00Z\tinfo\t2\n");
    tally_free(&t);
}

static void a_given_step_is_kept(void **state)
{
    struct tally *t = tally_new(NS_PER_MIN);

    (void)state;
    add(t, -1, "info"); /* before 1970 */
    add(t, 59, "info");
    add(t, 60, "info");
    check_bars(t, FORMAT_CSV,
               "time,level,lines\n1969-12-31T23:59:00Z,info,1\n1970-01-01T00:00:00Z,info,1\n"
               "1970-01-01T00:01:00Z,info,1\n");
    tally_free(&t);
}

static void what_cannot_be_drawn_is_told(void **state)
{
    struct tally *t = tally_new(NS_PER_S);
    struct bars *b;
    struct err err;

    (void)state;
    assert_int_equal(tally_bars(t, &b, &err), 0);
    assert_null(b); /* nothing came */
    add(t, 0, "info");
    add(t, 1999, "info");
    assert_int_equal(tally_bars(t, &b, &err), 0);
    bars_free(&b);
    add(t, 2000, "info");
    assert_int_equal(tally_bars(t, &b, &err), ERR_INVALID);
    assert_null(b);
    tally_free(&t);
}

static void levels_of_other_names_are_counted_apart(void **state)
{
    struct tally *t = tally_new(NS_PER_MIN);

    (void)state;
    add(t, 1, "notice");
    add(t, 2, "verbose");
    add(t, 3, "unknown");
    add(t, 4, "");
    check_bars(t, FORMAT_RAW, "1970-01-01T00:00:00Z\tother\t2\n1970-01-01T00:00:00Z\tunknown\t2\n");
    tally_free(&t);
}

static void all_of_time_has_bars(void **state)
{
    struct tally *t = tally_new(0);
    struct bars *b;
    struct err err;

    (void)state;
    assert_int_equal(tally_add(t, -8520336000 * NS_PER_S, STR("info"), &err), 0); /* 1700 */
    assert_int_equal(tally_add(t, 7258118400 * NS_PER_S, STR("warn"), &err), 0);  /* 2200 */
    check_bars(t, FORMAT_RAW, "1686-08-21T00:00:00Z\tinfo\t1\n2186-09-09T00:00:00Z\twarn\t1\n");
    assert_int_equal(tally_add(t, INT64_MIN, STR("info"), &err), 0);
    assert_int_equal(tally_add(t, INT64_MAX, STR("info"), &err), 0);
    assert_int_equal(tally_bars(t, &b, &err), 0);
    assert_true(bars_from(b) == INT64_MIN && bars_to(b) == INT64_MAX);
    bars_free(&b);
    tally_free(&t);
    t = tally_new(NS_PER_S);
    assert_int_equal(tally_add(t, INT64_MIN, STR("info"), &err), 0);
    assert_int_equal(tally_add(t, INT64_MAX, STR("info"), &err), 0);
    assert_int_equal(tally_bars(t, &b, &err), ERR_INVALID); /* too many */
    tally_free(&t);
}

CHECK_MAIN(cmocka_unit_test(the_step_follows_the_span), cmocka_unit_test(a_given_step_is_kept),
           cmocka_unit_test(what_cannot_be_drawn_is_told),
           cmocka_unit_test(levels_of_other_names_are_counted_apart),
           cmocka_unit_test(all_of_time_has_bars))
