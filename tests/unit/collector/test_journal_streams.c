/* Unit tests of collector/journal_streams. */
#include "collector/journal_streams.h"

#include "tests/lib/check.h"

#include <stdio.h>

static struct journal_streams *s;

static int setup(void **state)
{
    (void)state;
    s = journal_streams_new(3);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_streams_free(&s);
    assert_null(s);
    return 0;
}

/* true: it was known.  From now on it is. */
static bool see(const char *key)
{
    struct journal_stream *v = journal_streams_get(s, str_of(key));
    bool known = !v->maybe;

    assert_int_equal(v->in_key, !known);
    v->in_key = v->maybe = false;
    return known;
}

static void a_stream_that_is_new_may_be_inside_of_a_key(void **state)
{
    struct journal_stream *v = journal_streams_get(s, STR("a"));

    (void)state;
    assert_true(v->in_key && v->maybe && !v->cut);
    assert_null(v->profile);
    v->cut = true;
    assert_ptr_equal(journal_streams_get(s, STR("a")), v);
    assert_true(v->cut);
}

static void the_one_seen_longest_ago_makes_room(void **state)
{
    (void)state;
    assert_false(see("a"));
    assert_false(see("b"));
    assert_false(see("c"));
    assert_true(see("a")); /* out of the end of the list, */
    assert_true(see("c")); /* of its middle, */
    assert_true(see("c")); /* and of its beginning */
    assert_false(see("d"));
    assert_true(see("a"));
    assert_true(see("c"));
    assert_true(see("d"));
    assert_false(see("b"));
    assert_false(see("a"));
    assert_false(see(""));
    assert_true(see("b"));
}

static void one_whose_lines_are_held_stays(void **state)
{
    struct journal_held *held = (struct journal_held *)(void *)&s;

    (void)state;
    journal_streams_get(s, STR("a"))->held = held;
    assert_false(see("b"));
    assert_false(see("c"));
    assert_false(see("d"));
    assert_false(see("e"));
    assert_ptr_equal(journal_streams_get(s, STR("a"))->held, held);
    assert_false(see("b"));
}

static void many_come_and_go(void **state)
{
    char key[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof(key), "%d", i);
        assert_false(see(key));
        assert_true(i == 0 || see("0"));
    }
    assert_true(see("999"));
    assert_false(see("997"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(a_stream_that_is_new_may_be_inside_of_a_key),
           TEST(the_one_seen_longest_ago_makes_room), TEST(one_whose_lines_are_held_stays),
           TEST(many_come_and_go))
