/* query/cli/follow.c: asking again and again shows every line once, late ones too, in bounded
 * memory. */
#include "query/cli/follow.h"

#include "tests/lib/check.h"

#define AT(seconds) ((ts_ns)((seconds) * (double)NS_PER_S))

static struct follow_mark mark(double seconds, uint64_t seq)
{
    return (struct follow_mark){AT(seconds), seq};
}

static void a_line_is_new_once(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    for (int i = 0; i < 3; i++) {
        follow_begin(&f);
        assert_int_equal(follow_offer(&f, mark(101, 1)), i == 0);
        assert_int_equal(follow_offer(&f, mark(101, 2)), i == 0);
        assert_int_equal(follow_offer(&f, mark(102, 3)), i == 0);
        follow_end(&f, AT(200));
    }
    follow_fini(&f);
}

static void a_late_line_is_new(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    follow_begin(&f);
    assert_true(follow_offer(&f, mark(110, 1)));
    assert_true(follow_offer(&f, mark(112, 2)));
    follow_end(&f, AT(200));
    assert_int_equal(f.bound.ts, AT(112) - FOLLOW_BACK);
    follow_begin(&f);
    assert_false(follow_offer(&f, mark(110, 1)));
    assert_true(follow_offer(&f, mark(111, 3))); /* shipped later */
    assert_false(follow_offer(&f, mark(112, 2)));
    follow_end(&f, AT(200));
    follow_begin(&f);
    assert_false(follow_offer(&f, mark(111, 3)));
    follow_end(&f, AT(200));
    follow_fini(&f);
}

static void the_bound_follows_the_newest_line_and_drops_old_marks(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    follow_begin(&f);
    for (unsigned i = 0; i < 20; i++)
        (void)follow_offer(&f, mark(100 + i, i + 1));
    follow_end(&f, AT(200));
    assert_int_equal(f.bound.ts, AT(119) - FOLLOW_BACK);
    assert_int_equal(f.seen.n, 6); /* 114 .. 119 */
    follow_fini(&f);
}

static void a_line_from_the_future_does_not_move_the_bound_past_now(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    follow_begin(&f);
    (void)follow_offer(&f, mark(101, 1));
    (void)follow_offer(&f, mark(700, 2));
    follow_end(&f, AT(102));
    assert_int_equal(f.bound.ts, AT(100)); /* it never goes back either */
    follow_begin(&f);
    assert_false(follow_offer(&f, mark(101, 1)));
    assert_true(follow_offer(&f, mark(102, 3)));
    assert_false(follow_offer(&f, mark(700, 2)));
    follow_end(&f, AT(103));
    follow_fini(&f);
}

static void a_question_that_breaks_off_forgets_nothing(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    follow_begin(&f);
    (void)follow_offer(&f, mark(101, 1));
    (void)follow_offer(&f, mark(102, 2));
    (void)follow_offer(&f, mark(103, 3));
    follow_end(&f, AT(200));
    follow_begin(&f);
    assert_false(follow_offer(&f, mark(101, 1)));
    assert_true(follow_offer(&f, mark(101.5, 4)));
    follow_end(&f, AT(200)); /* the connection was cut here */
    follow_begin(&f);
    assert_false(follow_offer(&f, mark(101, 1)));
    assert_false(follow_offer(&f, mark(101.5, 4)));
    assert_false(follow_offer(&f, mark(102, 2)));
    assert_false(follow_offer(&f, mark(103, 3)));
    follow_end(&f, AT(200));
    follow_fini(&f);
}

static void what_was_not_asked_for_stays_out(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    follow_begin(&f);
    (void)follow_offer(&f, mark(101, 7));
    (void)follow_offer(&f, mark(101, 9));
    follow_end(&f, AT(101));
    follow_start_at(&f, f.oldest);
    assert_int_equal(f.bound.ts, AT(101));
    assert_int_equal(f.bound.seq, 7);
    assert_int_equal(f.seen.n, 1);
    follow_begin(&f);
    assert_false(follow_offer(&f, mark(101, 9)));
    follow_end(&f, AT(101));
    follow_fini(&f);
}

static void memory_is_bounded_and_nothing_is_shown_twice(void **state)
{
    struct follow f;
    uint64_t n = 3 * (uint64_t)FOLLOW_MARKS_MAX, first;

    (void)state;
    follow_init(&f, AT(100));
    follow_begin(&f);
    for (uint64_t i = 1; i <= n; i++)
        assert_true(follow_offer(&f, mark(101, i)));
    follow_end(&f, AT(101));
    assert_true(f.seen.n <= FOLLOW_MARKS_MAX);
    assert_true(f.shortened > 0);
    assert_int_equal(f.bound.ts, AT(101));
    first = f.bound.seq + 1; /* what the server is asked for */
    assert_true(first > 1);
    follow_begin(&f);
    for (uint64_t i = first; i <= n; i++)
        assert_false(follow_offer(&f, mark(101, i)));
    assert_true(follow_offer(&f, mark(101, n + 1)));
    follow_end(&f, AT(101));
    follow_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(a_line_is_new_once), cmocka_unit_test(a_late_line_is_new),
           cmocka_unit_test(the_bound_follows_the_newest_line_and_drops_old_marks),
           cmocka_unit_test(a_line_from_the_future_does_not_move_the_bound_past_now),
           cmocka_unit_test(a_question_that_breaks_off_forgets_nothing),
           cmocka_unit_test(what_was_not_asked_for_stays_out),
           cmocka_unit_test(memory_is_bounded_and_nothing_is_shown_twice))
