/* Unit tests of collector/join: pieces of two streams into records, and the bytes that are held
 * meanwhile. */
#include "collector/join.h"
#include "tests/lib/check.h"

#include <string.h>

enum { MAX_LINE = 10 };

static struct join j;
static struct mem_budget budget;
static struct join_limits limits;
static struct join_record rec;

static int setup(void **state)
{
    (void)state;
    memset(&j, 0, sizeof(j));
    budget = (struct mem_budget){.name = "test", .limit = 1000};
    limits = (struct join_limits){.max_line = MAX_LINE, .budget = &budget};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    join_fini(&j, &limits);
    assert_int_equal(budget.used, 0); /* whatever was charged was given back */
    return 0;
}

static int add(enum decode_stream s, bool last, const char *text, uint64_t start, uint64_t end)
{
    struct piece p = {.ts = (ts_ns)start + 1, .stream = s, .last = last, .text = str_of(text)};
    struct join_segment seg = {.start = start, .end = end};

    return join_add(&j, &p, &seg, 0, &limits, &rec);
}

static void a_whole_line_passes_uncopied(void **state)
{
    static const char TEXT[] = "abc";

    (void)state;
    assert_int_equal(add(DECODE_STDOUT, true, TEXT, 0, 10), 0);
    assert_ptr_equal(rec.text.p, TEXT);
    assert_int_equal(rec.total, 3);
    assert_int_equal(rec.n_held, 0);
    assert_false(join_is_open(&j));
}

static void streams_are_joined_apart(void **state)
{
    (void)state;
    assert_int_equal(add(DECODE_STDOUT, false, "a", 0, 10), 1);
    assert_int_equal(add(DECODE_STDERR, false, "x", 10, 20), 1);
    assert_int_equal(add(DECODE_STDOUT, false, "b", 20, 30), 1);
    assert_int_equal(add(DECODE_STDERR, true, "y", 30, 40), 0);
    check_str(rec.text, "xy");
    assert_int_equal(rec.ts, 11); /* of the first piece */
    assert_int_equal(rec.n_held, 1);
    assert_int_equal(rec.held[0].start, 10);
    join_done(&j, DECODE_STDERR, &limits);
    assert_int_equal(add(DECODE_STDOUT, true, "c", 40, 50), 0);
    check_str(rec.text, "abc");
    assert_int_equal(rec.n_held, 2);
    assert_int_equal(rec.held[1].start, 20);
    join_done(&j, DECODE_STDOUT, &limits);
    assert_false(join_is_open(&j));
}

static void neighbours_are_one_segment(void **state)
{
    (void)state;
    assert_int_equal(add(DECODE_STDOUT, false, "a", 0, 10), 1);
    assert_int_equal(add(DECODE_STDOUT, false, "b", 10, 20), 1);
    assert_int_equal(add(DECODE_STDOUT, true, "c", 20, 30), 0);
    assert_int_equal(rec.n_held, 1);
    assert_int_equal(rec.held[0].end, 20);
    join_done(&j, DECODE_STDOUT, &limits);
}

static void a_long_record_is_cut_and_its_length_kept(void **state)
{
    (void)state;
    assert_int_equal(add(DECODE_STDOUT, true, "0123456789abc", 0, 10), 0);
    check_str(rec.text, "0123456789");
    assert_int_equal(rec.total, 13);
    assert_int_equal(add(DECODE_STDOUT, false, "01234567", 0, 10), 1);
    assert_int_equal(add(DECODE_STDOUT, false, "89ab", 10, 20), 1);
    assert_int_equal(add(DECODE_STDOUT, true, "cd", 20, 30), 0);
    check_str(rec.text, "0123456789");
    assert_int_equal(rec.total, 14);
    join_done(&j, DECODE_STDOUT, &limits);
}

static void beyond_the_budget_text_is_cut_too(void **state)
{
    (void)state;
    budget.limit = 5;
    assert_int_equal(add(DECODE_STDOUT, false, "abcd", 0, 10), 1);
    assert_int_equal(add(DECODE_STDERR, false, "wxyz", 10, 20), 1);
    assert_int_equal(add(DECODE_STDERR, true, "!", 20, 30), 0);
    assert_int_equal(rec.total, 5);
    assert_true(rec.text.n < 5);
    join_done(&j, DECODE_STDERR, &limits);
}

static void an_endless_record_is_given_up_at_its_limits(void **state)
{
    unsigned n = 0;

    (void)state;
    while (add(DECODE_STDOUT, false, "0123456789", n * 10, n * 10 + 10) == 1)
        n++;
    assert_int_equal(n + 1, JOIN_FACTOR);
    assert_true(rec.partial);
    assert_int_equal(rec.total, JOIN_FACTOR * MAX_LINE);
    join_done(&j, DECODE_STDOUT, &limits);
    for (n = 0; add(DECODE_STDOUT, false, "", n, n + 1) == 1; n++)
        assert_true(n < JOIN_PIECES_MAX);
    assert_int_equal(n + 1, JOIN_PIECES_MAX);
    assert_true(rec.partial);
    join_done(&j, DECODE_STDOUT, &limits);
}

static void a_flush_gives_what_is_there(void **state)
{
    (void)state;
    assert_int_equal(join_flush(&j, DECODE_STDOUT, &rec), 1);
    assert_int_equal(add(DECODE_STDOUT, false, "ab", 5, 10), 1);
    assert_int_equal(join_flush(&j, DECODE_STDOUT, &rec), 0);
    check_str(rec.text, "ab");
    assert_true(rec.partial);
    assert_int_equal(rec.held[0].start, 5);
    join_done(&j, DECODE_STDOUT, &limits);
    assert_int_equal(add(DECODE_STDOUT, true, "c", 10, 15), 0);
    check_str(rec.text, "c");
    assert_false(rec.partial);
}

static void a_record_moves_to_the_next_file(void **state)
{
    struct join next;

    (void)state;
    memset(&next, 0, sizeof(next));
    assert_int_equal(add(DECODE_STDERR, false, "ab", 5, 10), 1);
    join_move(&j, &next, &limits);
    assert_false(join_is_open(&j));
    assert_int_equal(join_flush(&next, DECODE_STDERR, &rec), 0);
    check_str(rec.text, "ab");
    join_fini(&next, &limits);
}

static void a_moved_record_stands_in_front(void **state)
{
    struct join old;

    (void)state;
    old = j;
    assert_int_equal(add(DECODE_STDOUT, false, "ab", 5, 10), 1);
    old = j;
    memset(&j, 0, sizeof(j));
    assert_int_equal(add(DECODE_STDOUT, false, "cd", 0, 5), 1);
    join_move(&old, &j, &limits);
    assert_int_equal(add(DECODE_STDOUT, true, "e", 5, 9), 0);
    check_str(rec.text, "abcde");
    assert_int_equal(rec.total, 5);
    assert_int_equal(rec.n_held, 2);
    assert_int_equal(rec.held[0].start, 5);
    join_done(&j, DECODE_STDOUT, &limits);
    join_fini(&old, &limits);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(a_whole_line_passes_uncopied, setup, teardown),
           cmocka_unit_test_setup_teardown(streams_are_joined_apart, setup, teardown),
           cmocka_unit_test_setup_teardown(neighbours_are_one_segment, setup, teardown),
           cmocka_unit_test_setup_teardown(a_long_record_is_cut_and_its_length_kept, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(beyond_the_budget_text_is_cut_too, setup, teardown),
           cmocka_unit_test_setup_teardown(an_endless_record_is_given_up_at_its_limits, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(a_flush_gives_what_is_there, setup, teardown),
           cmocka_unit_test_setup_teardown(a_record_moves_to_the_next_file, setup, teardown),
           cmocka_unit_test_setup_teardown(a_moved_record_stands_in_front, setup, teardown))
