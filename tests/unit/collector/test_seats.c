/* Unit tests of collector/seats: who gives up a seat. */
#include "collector/seats.h"

#include "tests/lib/check.h"

#include <string.h>

static struct seats seats;
static struct seat all[SEATS_MAX];

static int setup(void **state)
{
    (void)state;
    memset(&seats, 0, sizeof(seats));
    memset(all, 0, sizeof(all));
    return 0;
}

/* all[from] to all[to - 1] are of `peer`, each used a second after the one before. */
static void fill(size_t from, size_t to, uint64_t peer)
{
    for (size_t i = from; i < to; i++) {
        all[i].peer = peer;
        all[i].used_at = (dur_ns)i * NS_PER_S;
        seats_add(&seats, &all[i]);
    }
}

static void who_has_most_gives_up_its_longest_idle(void **state)
{
    (void)state;
    fill(0, 100, 1);
    fill(100, SEATS_MAX, 2);
    assert_ptr_equal(seats_choose(&seats, 1, 0), &all[100]);
    assert_ptr_equal(seats_choose(&seats, 3, 0), &all[100]);
    all[100].used_at = 1000 * NS_PER_S;
    assert_ptr_equal(seats_choose(&seats, 3, 0), &all[101]);
}

/* One that is in use is not taken for another of the same client. */
static void a_client_takes_only_idle_seats_from_itself(void **state)
{
    (void)state;
    fill(0, SEATS_MAX, 1);
    assert_null(seats_choose(&seats, 1, -1));
    assert_ptr_equal(seats_choose(&seats, 1, 0), &all[0]);
    assert_ptr_equal(seats_choose(&seats, 2, -1), &all[0]);
}

/* Or they would take seats from each other for ever. */
static void who_would_have_as_much_takes_from_itself(void **state)
{
    (void)state;
    fill(0, 128, 1);
    fill(128, SEATS_MAX, 2);
    assert_ptr_equal(seats_choose(&seats, 1, 1000 * NS_PER_S), &all[0]);
    assert_ptr_equal(seats_choose(&seats, 2, 1000 * NS_PER_S), &all[128]);
    assert_null(seats_choose(&seats, 2, 100 * NS_PER_S));
}

static void as_many_clients_as_seats_are_counted(void **state)
{
    (void)state;
    for (size_t i = 0; i < SEATS_MAX; i++)
        fill(i, i + 1, i);
    assert_null(seats_choose(&seats, SEATS_MAX, 1000 * NS_PER_S));
    assert_ptr_equal(seats_choose(&seats, 7, 1000 * NS_PER_S), &all[7]);
}

static void a_seat_that_is_free_is_nobodys(void **state)
{
    (void)state;
    fill(0, 3, 1);
    seats_remove(&seats, &all[0]);
    seats_remove(&seats, &all[0]);
    seats_remove(&seats, &all[1]);
    assert_int_equal(seats.n, 1);
    assert_ptr_equal(seats_choose(&seats, 1, 1000 * NS_PER_S), &all[2]);
}

#define TEST(name) cmocka_unit_test_setup(name, setup)
CHECK_MAIN(TEST(who_has_most_gives_up_its_longest_idle),
           TEST(a_client_takes_only_idle_seats_from_itself),
           TEST(who_would_have_as_much_takes_from_itself),
           TEST(as_many_clients_as_seats_are_counted), TEST(a_seat_that_is_free_is_nobodys))
