/* Unit tests of collector/journal_place. */
#include "collector/journal_place.h"

#include "tests/lib/check.h"

#define CURSOR(s, i, b, m, t, x) "s=" s ";i=" i ";b=" b ";m=" m ";t=" t ";x=" x

static struct journal_place place(const char *cursor)
{
    struct journal_place p;

    assert_true(journal_place_parse(str_of(cursor), &p));
    return p;
}

static int order(const char *a, const char *b)
{
    struct journal_place pa = place(a), pb = place(b);
    int r = journal_place_cmp(&pa, &pb);

    assert_int_equal(journal_place_cmp(&pb, &pa), -r);
    return r;
}

static void a_cursor_is_taken_apart(void **state)
{
    struct journal_place p =
        place("s=739ad463348b4ceca5a9e69c95a3c93f;i=4ece7;b=6c7c6013a26343b29e964691ff25d04c;"
              "m=4fc72436e;t=4c508a72423d9;x=d3e5610681098c10");

    (void)state;
    check_str(p.source, "739ad463348b4ceca5a9e69c95a3c93f");
    check_str(p.boot, "6c7c6013a26343b29e964691ff25d04c");
    assert_int_equal(p.number, 0x4ece7);
    assert_true(p.mono == UINT64_C(0x4fc72436e) && p.real == UINT64_C(0x4c508a72423d9));
    assert_true(p.hash == UINT64_C(0xd3e5610681098c10));
}

static void what_is_no_cursor_is_refused(void **state)
{
    static const char *const WRONG[] = {
        "",
        "s=a",
        CURSOR("a", "g", "b", "1", "1", "1"),
        CURSOR("a", "", "b", "1", "1", "1"),
        CURSOR("", "1", "b", "1", "1", "1"),
        CURSOR("a", "11111111111111111", "b", "1", "1", "1"),
    };
    struct journal_place p;

    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++)
        assert_false(journal_place_parse(str_of(WRONG[i]), &p));
    assert_true(journal_place_parse(STR(CURSOR("a", "1", "b", "1", "1", "1") ";n=new"), &p));
}

static void numbers_of_one_source_decide_whatever_the_clocks_say(void **state)
{
    (void)state;
    assert_int_equal(
        order(CURSOR("a", "9", "b", "99", "99", "1"), CURSOR("a", "a", "b", "1", "1", "1")), -1);
    assert_int_equal(
        order(CURSOR("a", "9", "b", "1", "1", "1"), CURSOR("a", "9", "b", "1", "1", "1")), 0);
}

static void then_the_boot_then_the_clock_then_the_content(void **state)
{
    (void)state;
    assert_int_equal(
        order(CURSOR("a", "9", "b", "1", "99", "1"), CURSOR("c", "1", "b", "2", "1", "1")), -1);
    assert_int_equal(
        order(CURSOR("a", "9", "b", "9", "1", "1"), CURSOR("c", "1", "d", "2", "2", "1")), -1);
    assert_int_equal(
        order(CURSOR("a", "9", "b", "9", "1", "2"), CURSOR("c", "1", "d", "2", "1", "1")), 1);
}

static void the_next_number_follows(void **state)
{
    struct journal_place a = place(CURSOR("a", "f", "b", "1", "1", "1")),
                         b = place(CURSOR("a", "10", "b", "1", "1", "1")),
                         c = place(CURSOR("c", "10", "b", "1", "1", "1"));

    (void)state;
    assert_true(journal_place_follows(&a, &b));
    assert_false(journal_place_follows(&b, &a));
    assert_false(journal_place_follows(&a, &c));
}

/* Where one is written down another of its source is a number. */
static void beside_another_a_number_is_enough(void **state)
{
    struct str at = STR(CURSOR("a", "ff", "b", "9", "9", "9"));
    struct str one = STR(CURSOR("a", "1c", "b", "1", "1", "1"));
    struct str foreign = STR(CURSOR("c", "1c", "b", "1", "1", "1"));

    (void)state;
    check_str(journal_place_short(one, at), "1c");
    check_str(journal_place_short(foreign, at), CURSOR("c", "1c", "b", "1", "1", "1"));
    check_str(journal_place_short(STR("x"), at), "x");
    check_str(journal_place_short(one, STR("x")), CURSOR("a", "1c", "b", "1", "1", "1"));
    assert_true(journal_place_is(STR("1c"), at, one));
    assert_false(journal_place_is(STR("1c"), at, foreign));
    assert_false(journal_place_is(STR("1d"), at, one));
    assert_false(journal_place_is(STR("1c"), STR("x"), one));
    assert_false(journal_place_is(STR(""), at, one));
    assert_true(journal_place_is(foreign, at, foreign));
    assert_false(journal_place_is(foreign, at, one));
}

CHECK_MAIN(cmocka_unit_test(a_cursor_is_taken_apart),
           cmocka_unit_test(what_is_no_cursor_is_refused),
           cmocka_unit_test(numbers_of_one_source_decide_whatever_the_clocks_say),
           cmocka_unit_test(then_the_boot_then_the_clock_then_the_content),
           cmocka_unit_test(the_next_number_follows),
           cmocka_unit_test(beside_another_a_number_is_enough))
