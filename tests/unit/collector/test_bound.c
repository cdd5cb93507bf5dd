/* Unit tests of collector/bound: sockets find their place when a configuration names them in
 * another order. */
#include "collector/bound.h"

#include "tests/lib/check.h"
#include "tests/lib/tmpdir.h"
#include "wire/stream.h"

#include <stdio.h>
#include <unistd.h>

enum { SLOTS = 4 };

static struct bound slots[SLOTS];
static char names[3][TMPDIR_PATH_MAX + 16]; /* addresses */
static int dir, fds[2];
static struct err err;

/* The first two are bound, in this order. */
static int setup(void **state)
{
    char path[TMPDIR_PATH_MAX];

    (void)state;
    dir = tmpdir_open(path);
    for (size_t i = 0; i < SLOTS; i++)
        slots[i].fd = -1;
    for (size_t i = 0; i < 3; i++)
        (void)snprintf(names[i], sizeof(names[i]), "unix:%s/%c", path, "abc"[i]);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(listener_bind_unix(names[i], 0600, &slots[i].fd, &err), 0);
        (void)str_to_z(str_from(str_of(names[i]), sizeof("unix:") - 1), slots[i].at.sun_path,
                       sizeof(slots[i].at.sun_path));
        fds[i] = slots[i].fd;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t i = 0; i < SLOTS; i++)
        bound_remove(&slots[i]);
    tmpdir_close(dir);
    return 0;
}

static void arrange(const char *first, const char *second, const char *third)
{
    struct str v[] = {str_of(first), str_of(second), str_of(third)};

    bound_arrange(slots, SLOTS, (struct conf_strs){v, 3});
}

static void check_slots(int first, int second, int third)
{
    assert_int_equal(slots[0].fd, first);
    assert_int_equal(slots[1].fd, second);
    assert_int_equal(slots[2].fd, third);
    assert_int_equal(slots[3].fd, -1);
}

static void one_that_is_bound_is_found_wherever_it_was(void **state)
{
    (void)state;
    arrange(names[0], names[1], names[2]);
    check_slots(fds[0], fds[1], -1);
    arrange(names[1], names[0], names[2]);
    check_slots(fds[1], fds[0], -1);
    arrange("127.0.0.1:0", names[2], names[1]);
    check_slots(-1, -1, fds[1]);
    assert_false(tmpdir_has(dir, "a"));
    assert_true(tmpdir_has(dir, "b"));
    arrange(names[2], names[1], "127.0.0.1:0");
    check_slots(-1, fds[1], -1);
}

static void what_nobody_wants_is_removed(void **state)
{
    (void)state;
    bound_arrange(slots, SLOTS, (struct conf_strs){NULL, 0});
    check_slots(-1, -1, -1);
    assert_false(tmpdir_has(dir, "a") || tmpdir_has(dir, "b"));
    assert_int_equal(close(fds[0]), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(one_that_is_bound_is_found_wherever_it_was), TEST(what_nobody_wants_is_removed))
