/* query/cli/follow.c: what the server told and what had to be asked for show every line once, late
 * ones too, in bounded memory. */
#include "query/cli/follow.h"

#include "tests/lib/check.h"

#define AT(seconds) ((ts_ns)((seconds) * (double)NS_PER_S))

static struct follow_mark mark(double seconds, uint64_t seq)
{
    return (struct follow_mark){AT(seconds), seq};
}

/* The lines that were there: 101 to 103. */
static void begin(struct follow *f)
{
    follow_init(f, AT(100));
    assert_int_equal(follow_ask(f).ts, AT(100));
    for (unsigned i = 1; i <= 3; i++)
        assert_true(follow_offer(f, mark(100 + i, i)));
    follow_end(f, FOLLOW_WHOLE);
    assert_false(f->gap.is_open);
}

static void what_both_ways_find_is_new_once(void **state)
{
    struct follow f;

    (void)state;
    begin(&f);
    assert_false(follow_tell(&f, mark(103, 3)));
    assert_true(follow_tell(&f, mark(103, 4)));   /* the same time */
    assert_true(follow_tell(&f, mark(90, 5)));    /* late, however late */
    assert_true(follow_tell(&f, mark(103, 7)));   /* stored together, */
    assert_true(follow_tell(&f, mark(103.5, 6))); /* told by time */
    follow_fini(&f);
}

static void what_is_missing_is_asked_for_from_before_the_newest_line(void **state)
{
    struct follow f;

    (void)state;
    begin(&f);
    for (unsigned i = 4; i <= 50; i++)
        assert_true(follow_tell(&f, mark(100 + i, i)));
    follow_miss(&f, AT(1000), FOLLOW_BACK);
    assert_int_equal(follow_ask(&f).ts, AT(150) - FOLLOW_BACK);
    assert_int_equal(follow_ask(&f).seq, 0);
    for (unsigned i = 45; i <= 50; i++)
        assert_false(follow_offer(&f, mark(100 + i, i)));
    assert_true(follow_offer(&f, mark(150, 51))); /* the same time */
    assert_true(follow_offer(&f, mark(151, 52)));
    follow_end(&f, FOLLOW_WHOLE);
    assert_false(follow_tell(&f, mark(151, 52)));
    assert_true(follow_tell(&f, mark(151, 53)));
    follow_miss(&f, AT(1000), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, AT(100)); /* a minute before, but never before the start */
    follow_fini(&f);
}

static void what_broke_off_is_gone_on_with(void **state)
{
    struct follow f;

    (void)state;
    begin(&f);
    follow_miss(&f, AT(1000), FOLLOW_BACK_AWAY);
    (void)follow_ask(&f);
    assert_false(follow_offer(&f, mark(102, 2)));
    assert_true(follow_offer(&f, mark(102.5, 5)));
    assert_true(follow_offer(&f, mark(120, 9)));
    follow_end(&f, FOLLOW_CUT);
    assert_true(f.gap.is_open);
    assert_true(follow_tell(&f, mark(130, 10))); /* says nothing of what is missing */
    assert_int_equal(follow_ask(&f).ts, AT(120) - FOLLOW_BACK);
    assert_true(follow_offer(&f, mark(119, 4)));
    assert_false(follow_offer(&f, mark(120, 9)));
    assert_true(follow_offer(&f, mark(121, 8)));
    assert_false(follow_offer(&f, mark(130, 10)));
    follow_end(&f, FOLLOW_WHOLE);
    assert_false(f.gap.is_open);
    follow_fini(&f);
}

static void what_lacks_lines_is_asked_for_again(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    (void)follow_ask(&f);
    assert_true(follow_offer(&f, mark(1000, 50)));
    follow_end(&f, FOLLOW_PARTIAL);
    assert_int_equal(follow_ask(&f).ts, AT(100));
    assert_true(follow_offer(&f, mark(110, 1)));
    assert_false(follow_offer(&f, mark(1000, 50)));
    follow_end(&f, FOLLOW_WHOLE);
    follow_miss(&f, AT(2000), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, AT(1000) - FOLLOW_BACK_AWAY);
    assert_true(follow_offer(&f, mark(1500, 60)));
    follow_end(&f, FOLLOW_PARTIAL);
    follow_miss(&f, AT(2001), FOLLOW_BACK_AWAY); /* again, while it is open */
    assert_int_equal(follow_ask(&f).ts, AT(1000) - FOLLOW_BACK_AWAY);
    assert_true(follow_offer(&f, mark(960, 55)));
    follow_end(&f, FOLLOW_WHOLE);
    follow_fini(&f);
}

static void quiet_time_is_not_asked_for(void **state)
{
    ts_ns from = AT(103 + 90000 - 200) - FOLLOW_BACK_QUIET - FOLLOW_BACK_AWAY;
    struct follow f;

    (void)state;
    begin(&f);
    follow_hear(&f, AT(200));
    follow_hear(&f, AT(90000));
    follow_hear(&f, AT(80000)); /* our clock was set back */
    follow_miss(&f, AT(90010), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, from);
    follow_hear(&f, AT(95000)); /* says nothing of what is missing */
    follow_miss(&f, AT(95010), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, from);
    assert_true(follow_offer(&f, mark(90005, 4)));
    follow_end(&f, FOLLOW_WHOLE);
    follow_hear(&f, AT(90020));
    follow_miss(&f, AT(90030), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, AT(90005) - FOLLOW_BACK_AWAY); /* lines may be late */
    follow_fini(&f);
    follow_init(&f, AT(100)); /* no line ever */
    follow_end(&f, FOLLOW_WHOLE);
    follow_hear(&f, AT(200));
    follow_hear(&f, AT(90000));
    follow_miss(&f, AT(90010), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, from - AT(3));
    follow_fini(&f);
}

/* A collector that lags, a clock that is wrong: ours or that of who writes. */
static void lines_may_always_be_late(void **state)
{
    struct follow f;

    (void)state;
    begin(&f);
    follow_hear(&f, AT(5000)); /* nothing for long, */
    for (unsigned i = 1; i <= 10; i++) {
        assert_true(follow_tell(&f, mark(1000 + i, 3 + i))); /* then lines that are late */
        follow_hear(&f, AT(5000 + i - 0.5));                 /* with pauses in between */
    }
    follow_miss(&f, AT(5011), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, AT(1010) - FOLLOW_BACK_AWAY);
    follow_end(&f, FOLLOW_WHOLE);
    assert_true(follow_tell(&f, mark(1011, 14)));
    follow_hear(&f, AT(5009.5)); /* of before that line: it tells of no quiet */
    follow_hear(&f, AT(6000));
    follow_miss(&f, AT(6001), FOLLOW_BACK);
    assert_int_equal(follow_ask(&f).ts, AT(1011) - FOLLOW_BACK);
    follow_fini(&f);
}

static void a_line_from_the_future_hides_no_other(void **state)
{
    struct follow f;

    (void)state;
    begin(&f);
    assert_true(follow_tell(&f, mark(700, 4)));
    follow_miss(&f, AT(110), FOLLOW_BACK);
    assert_int_equal(follow_ask(&f).ts, AT(105));
    assert_true(follow_offer(&f, mark(106, 5)));
    assert_false(follow_offer(&f, mark(700, 4)));
    follow_end(&f, FOLLOW_WHOLE);
    follow_hear(&f, AT(120));
    follow_hear(&f, AT(50120));
    follow_miss(&f, AT(50121), FOLLOW_BACK);
    assert_int_equal(follow_ask(&f).ts, AT(50120) - FOLLOW_BACK_QUIET - FOLLOW_BACK);
    follow_fini(&f);
}

static void what_was_not_asked_for_stays_out(void **state)
{
    struct follow f;

    (void)state;
    follow_init(&f, AT(100));
    (void)follow_ask(&f);
    (void)follow_offer(&f, mark(101, 7));
    (void)follow_offer(&f, mark(101, 9));
    follow_end(&f, FOLLOW_WHOLE);
    follow_start_at(&f, f.offered.first);
    follow_miss(&f, AT(200), FOLLOW_BACK_AWAY);
    assert_int_equal(follow_ask(&f).ts, AT(101));
    assert_int_equal(follow_ask(&f).seq, 7);
    assert_false(follow_offer(&f, mark(101, 9)));
    follow_end(&f, FOLLOW_WHOLE);
    follow_fini(&f);
}

static void memory_is_bounded_and_nothing_is_shown_twice(void **state)
{
    struct follow f;
    uint64_t n = 3 * (uint64_t)FOLLOW_MARKS_MAX;

    (void)state;
    begin(&f);
    for (uint64_t i = 4; i <= n; i++)
        assert_true(follow_tell(&f, mark(104, i)));
    assert_true(f.shown.n <= FOLLOW_MARKS_MAX);
    follow_miss(&f, AT(105), FOLLOW_BACK);
    (void)follow_ask(&f);
    for (uint64_t i = 1; i <= n; i++)
        assert_false(follow_offer(&f, mark(i <= 3 ? 100 + (double)i : 104, i)));
    for (uint64_t i = 1; i <= n; i++)
        assert_true(follow_offer(&f, mark(105, n + i)));
    assert_true(f.shown.n <= FOLLOW_MARKS_MAX);
    follow_end(&f, FOLLOW_WHOLE);
    follow_miss(&f, AT(106), FOLLOW_BACK);
    (void)follow_ask(&f);
    for (uint64_t i = 1; i <= n; i++)
        assert_false(follow_offer(&f, mark(105, n + i)));
    follow_end(&f, FOLLOW_WHOLE);
    follow_fini(&f);
}

static void a_server_that_counts_anew_is_followed(void **state)
{
    struct follow f;

    (void)state;
    begin(&f);
    for (uint64_t i = 4; i <= 2 * (uint64_t)FOLLOW_MARKS_MAX; i++)
        (void)follow_tell(&f, mark(104, i));
    follow_miss(&f, AT(200), FOLLOW_BACK_AWAY);
    (void)follow_ask(&f);
    assert_true(follow_offer(&f, mark(110, 1)));
    follow_end(&f, FOLLOW_WHOLE);
    assert_true(follow_tell(&f, mark(111, 2)));
    follow_fini(&f);
}

CHECK_MAIN(cmocka_unit_test(what_both_ways_find_is_new_once),
           cmocka_unit_test(what_is_missing_is_asked_for_from_before_the_newest_line),
           cmocka_unit_test(what_broke_off_is_gone_on_with),
           cmocka_unit_test(what_lacks_lines_is_asked_for_again),
           cmocka_unit_test(quiet_time_is_not_asked_for),
           cmocka_unit_test(lines_may_always_be_late),
           cmocka_unit_test(a_line_from_the_future_hides_no_other),
           cmocka_unit_test(what_was_not_asked_for_stays_out),
           cmocka_unit_test(memory_is_bounded_and_nothing_is_shown_twice),
           cmocka_unit_test(a_server_that_counts_anew_is_followed))
