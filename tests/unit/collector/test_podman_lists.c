/* Unit tests of collector/podman_lists: one list for many containers, read when it has changed. */
#include "collector/podman_lists.h"

#include "tests/unit/collector/dir_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[TMPDIR_PATH_MAX + 32];
static struct podman_lists *l;
static struct meta m;

/* The way to files, which counts and can fail. */
static struct opener_ops ops;
static struct opener opener = {&ops};
static unsigned opens;
static int fails; /* errno; 0: it does not */

static int count_open(struct opener *o, enum opener_kind kind, const char *name, int *ret,
                      struct err *e)
{
    opens++;
    return fails != 0 ? opener_err(e, fails, "open", name)
                      : opener_local.open(o, kind, name, ret, e);
}

static int setup(void **state)
{
    (void)dir_setup(state);
    ops = opener_local;
    ops.open = count_open;
    opens = 0;
    fails = 0;
    (void)snprintf(path, sizeof(path), "%s/containers.json", root);
    l = podman_lists_new(&opener, 0);
    memset(&m, 0, sizeof(m));
    return 0;
}

static int teardown(void **state)
{
    podman_lists_free(&l);
    return dir_teardown(state);
}

static void put(const char *text)
{
    put_file("containers.json", text);
}

static bool find(const char *id)
{
    return podman_lists_find(l, path, str_of(id), a, &m);
}

#define ONE(id, name)                                                                              \
    "{\"id\":\"" id "\",\"names\":[\"" name "\"],\"metadata\":\"{\\\"image-name\\\":\\\"i:" name   \
    "\\\",\\\"image-id\\\":\\\"2e8c\\\"}\",\"flags\":{}}"

static void each_container_is_found_by_its_id(void **state)
{
    (void)state;
    assert_false(find("a1"));
    put("[" ONE("a1", "one") "," ONE("b2", "two") "]");
    assert_true(find("b2"));
    check_str(m.name, "two");
    check_str(m.image, "i:two");
    check_str(m.image_digest, "2e8c");
    assert_true(find("a1"));
    check_str(m.name, "one");
    assert_false(find("c3"));
}

static void another_list_is_read_and_the_same_is_not(void **state)
{
    struct timespec when[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    int fd;

    (void)state;
    put("[" ONE("a1", "one") "]");
    assert_int_equal(utimensat(dir, "containers.json", when, 0), 0);
    assert_true(find("a1"));
    fd = openat(dir, "containers.json", O_WRONLY | O_CLOEXEC); /* behind its back */
    assert_true(fd >= 0);
    assert_int_equal(file_write_all(fd, "[" ONE("a1", "two"), sizeof(ONE("a1", "two")), &err), 0);
    (void)close(fd);
    assert_int_equal(utimensat(dir, "containers.json", when, 0), 0);
    assert_true(find("a1"));
    check_str(m.name, "one"); /* what is kept */
    when[1].tv_sec++;
    assert_int_equal(utimensat(dir, "containers.json", when, 0), 0);
    assert_true(find("a1"));
    check_str(m.name, "two"); /* it is younger */
    put("[]");
    assert_false(find("a1"));
    put("[" ONE("a1", "tri") "]");
    assert_true(find("a1"));
    assert_int_equal(unlinkat(dir, "containers.json", 0), 0);
    assert_false(find("a1"));
}

static void damage_costs_what_is_behind_it(void **state)
{
    (void)state;
    put("[" ONE("a1", "one") ",{\"id\":\"b2\",\"names\":[\"two\"],\"metadata\":\"{broken\"},"
                             "{\"id\":\"c3\"},{\"names\":[\"none\"]}," ONE(
                                 "d4", "four") ",{\"id\":7}," ONE("e5", "five") "]");
    assert_true(find("a1"));
    assert_true(find("b2"));
    check_str(m.name, "two");
    assert_false(find("c3")); /* it has no name */
    assert_true(find("d4"));
    assert_false(find("e5"));
    put("{\"id\":\"a1\"}");
    assert_false(find("a1"));
}

static void one_that_changes_all_the_time_is_read_after_a_pause(void **state)
{
    (void)state;
    podman_lists_free(&l);
    l = podman_lists_new(&opener, NS_PER_H);
    put("[" ONE("a1", "one") "]");
    assert_true(find("a1"));
    put("[" ONE("a1", "two") "," ONE("b2", "new") "]");
    assert_true(find("a1"));
    check_str(m.name, "one");
    assert_false(find("b2"));
}

static void one_that_is_too_large_is_not_read_again_until_it_is_another(void **state)
{
    (void)state;
    put("[" ONE("a1", "one") "]");
    assert_int_equal(truncate(path, (16 << 20) + 1), 0);
    for (int i = 0; i < 5; i++)
        assert_false(find("a1"));
    assert_int_equal(opens, 1);
    put("[" ONE("a1", "two") "]");
    assert_true(find("a1"));
    check_str(m.name, "two");
}

static void what_is_known_stays_while_a_list_cannot_be_read(void **state)
{
    (void)state;
    put("[" ONE("a1", "one") "]");
    assert_true(find("a1"));
    put("[" ONE("a1", "two") "]");
    fails = EIO;
    assert_true(find("a1"));
    check_str(m.name, "one");
    fails = 0;
    assert_true(find("a1"));
    check_str(m.name, "two");
}

static void of_many_lists_the_oldest_makes_room(void **state)
{
    char name[32], other[TMPDIR_PATH_MAX + 32];

    (void)state;
    put("[" ONE("a1", "one") "]");
    for (int i = 0; i < PODMAN_LISTS_MAX + 5; i++) {
        (void)snprintf(name, sizeof(name), "list%d", i);
        (void)snprintf(other, sizeof(other), "%s/%s", root, name);
        assert_int_equal(linkat(dir, "containers.json", dir, name, 0), 0);
        assert_true(podman_lists_find(l, other, STR("a1"), a, &m));
    }
    assert_true(find("a1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(each_container_is_found_by_its_id), TEST(another_list_is_read_and_the_same_is_not),
           TEST(damage_costs_what_is_behind_it),
           TEST(one_that_changes_all_the_time_is_read_after_a_pause),
           TEST(one_that_is_too_large_is_not_read_again_until_it_is_another),
           TEST(what_is_known_stays_while_a_list_cannot_be_read),
           TEST(of_many_lists_the_oldest_makes_room))
