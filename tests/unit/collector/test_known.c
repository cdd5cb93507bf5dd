/* Unit tests of collector/known: what is remembered, over restarts, damage and full disks. */
#include "collector/known.h"

#include "base/crc.h"
#include "base/fault.h"
#include "tests/unit/collector/dir_world.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct known *k;
static struct meta m;

static int setup(void **state)
{
    (void)dir_setup(state);
    k = known_open(dir);
    return 0;
}

static int teardown(void **state)
{
    known_close(&k);
    return dir_teardown(state);
}

static void again(void)
{
    known_close(&k);
    k = known_open(dir);
}

static void put(const char *key, const char *name)
{
    struct meta is = {.id = STR("0a1b"), .name = str_of(name), .hints = {.redact = STR("ip")}};

    known_put(k, str_of(key), &is);
}

static bool has(const char *key, const char *name)
{
    return known_get(k, str_of(key), a, &m) && str_eq(m.name, str_of(name));
}

static off_t file_bytes(void)
{
    struct stat st;

    assert_int_equal(fstatat(dir, KNOWN_FILE, &st, 0), 0);
    return st.st_size;
}

static void all_of_it_is_there_after_a_restart(void **state)
{
    const struct meta is = {
        .id = STR("0a1b"),
        .name = STR("web \"1\"\n"),
        .image = STR("i:1"),
        .image_digest = STR("sha256:x"),
        .app = STR("shop"),
        .namespace = STR("ns"),
        .pod = STR("p"),
        .pod_uid = STR("u"),
        .restart = STR("3"),
        .hints = {.exclude = STR("true"), .redact = STR("ip card"), .multiline = STR("java")}};

    (void)state;
    assert_false(known_get(k, STR("cri/x"), a, &m));
    known_put(k, STR("cri/x"), &is);
    put("docker/y", "other");
    again();
    assert_int_equal(known_count(k), 2);
    assert_true(known_get(k, STR("cri/x"), a, &m));
    check_str(m.id, "0a1b");
    check_str(m.name, "web \"1\"\n");
    check_str(m.image, "i:1");
    check_str(m.image_digest, "sha256:x");
    check_str(m.app, "shop");
    check_str(m.namespace, "ns");
    check_str(m.pod, "p");
    check_str(m.pod_uid, "u");
    check_str(m.restart, "3");
    check_str(m.hints.exclude, "true");
    check_str(m.hints.redact, "ip card");
    check_str(m.hints.multiline, "java");
    assert_true(m.has_hints);
    assert_true(has("docker/y", "other"));
}

static void the_last_word_counts_and_is_written_once(void **state)
{
    off_t size;

    (void)state;
    put("x", "one");
    put("x", "two");
    size = file_bytes();
    put("x", "two");
    assert_int_equal(file_bytes(), size);
    again();
    assert_int_equal(known_count(k), 1);
    assert_true(has("x", "two"));
}

/* What a killed process has written is there: it is in the file before anything is read. */
static void it_is_written_at_once(void **state)
{
    struct known *other;

    (void)state;
    put("x", "one");
    other = known_open(dir);
    assert_true(known_get(other, STR("x"), a, &m));
    known_close(&other);
}

static void damage_costs_the_lines_that_it_is_in(void **state)
{
    struct buf text;

    (void)state;
    put("x", "one");
    put("y", "two");
    put("z", "three");
    buf_init(&text, 1 << 16);
    assert_int_equal(file_read(dir, KNOWN_FILE, &text, &err), 0);
    for (size_t i = 0; i < text.n; i += 3) {
        struct buf bad;
        buf_init(&bad, 1 << 16);
        buf_add_str(&bad, buf_str(&text));
        bad.p[i] = (char)(bad.p[i] ^ 0x11);
        assert_int_equal(file_replace(dir, KNOWN_FILE, 0600, buf_str(&bad), &err), 0);
        again();
        assert_in_range(known_count(k), 1, 2); /* a newline parts two of them */
        assert_int_equal(has("x", "one") + has("y", "two") + has("z", "three"), known_count(k));
        again(); /* the file was mended */
        assert_in_range(known_count(k), 1, 2);
        buf_fini(&bad);
    }
    for (size_t n = 0; n < text.n; n += 3) { /* a write that was torn */
        struct str part = {text.p, n};
        assert_int_equal(file_replace(dir, KNOWN_FILE, 0600, part, &err), 0);
        again();
        put("new", "four");
        again();
        assert_true(has("new", "four"));
        assert_int_equal(has("x", "one") + has("y", "two") + has("z", "three") + 1, known_count(k));
    }
    buf_fini(&text);
}

static void members_of_another_version_are_passed_over(void **state)
{
    static const char TEXT[] = "{\"key\":\"x\",\"later\":{\"a\":[1]},\"name\":\"one\"}";
    struct str line =
        arena_printf(a, "%08" PRIx32 " %s\n", crc32c(0, TEXT, sizeof(TEXT) - 1), TEXT);

    (void)state;
    known_close(&k);
    assert_int_equal(file_replace(dir, KNOWN_FILE, 0600, line, &err), 0);
    k = known_open(dir);
    assert_true(has("x", "one"));
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    char key[32];

    (void)state;
    for (int i = 0; i < KNOWN_MAX + 10; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        put(key, "n");
        if (i == KNOWN_MAX - 1)
            assert_true(has("k0", "n")); /* now it is a young one */
    }
    assert_int_equal(known_count(k), KNOWN_MAX);
    assert_true(has("k0", "n"));
    assert_false(has("k1", "n"));
    assert_false(has("k10", "n"));
    assert_true(has("k11", "n"));
    again();
    assert_int_equal(known_count(k), KNOWN_MAX);
    assert_int_equal(metric_get(METRIC_KNOWN), KNOWN_MAX);
}

/* A key is bytes, be there zeros among them. */
static void any_key_goes_when_others_need_the_room(void **state)
{
    struct meta is = {.name = STR("n")};

    (void)state;
    known_put(k, STR("a\0b"), &is);
    known_put(k, STR("a"), &is);
    for (unsigned i = 0; i < KNOWN_MAX; i++) {
        char key[32];
        (void)snprintf(key, sizeof(key), "k%u", i);
        put(key, "n");
    }
    assert_int_equal(known_count(k), KNOWN_MAX);
    assert_false(known_get(k, STR("a\0b"), a, &m));
    again();
    assert_int_equal(known_count(k), KNOWN_MAX);
}

static void large_ones_take_no_more_room_than_there_is(void **state)
{
    char name[2000], key[32];

    (void)state;
    memset(name, 'x', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (int i = 0; i < 1500; i++) {
        (void)snprintf(key, sizeof(key), "k%d", i);
        put(key, name);
    }
    assert_in_range(known_count(k), KNOWN_BYTES_MAX / 2200, KNOWN_BYTES_MAX / 2000);
    assert_true(has("k1499", name));
}

static void the_file_does_not_grow_for_ever(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(name, sizeof(name), "name %d", i);
        put("x", name);
    }
    assert_in_range(file_bytes(), 1, 70 << 10);
    again();
    assert_true(has("x", "name 4999"));
}

static void one_that_is_too_long_is_not_remembered(void **state)
{
    struct buf name;
    struct meta is = {.id = STR("x")};

    (void)state;
    buf_init(&name, 1 << 16);
    for (int i = 0; i < 2048; i++)
        buf_add_char(&name, '\x01'); /* six bytes each as JSON */
    is.name = is.image = is.app = buf_str(&name);
    known_put(k, STR("x"), &is);
    assert_int_equal(known_count(k), 0);
    assert_int_equal(metric_get(METRIC_KNOWN_FAILED), 1);
    buf_fini(&name);
}

/* Wherever writing fails, it is remembered, and written when it goes again. */
static void a_disk_that_fails_costs_nothing_but_the_next_start(void **state)
{
    size_t was = 0;

    (void)state;
    known_close(&k);
    FAULT_EACH("file") {
        (void)unlinkat(dir, KNOWN_FILE, 0);
        k = known_open(dir);
        put("x", "one");
        put("y", "two");
        assert_true(has("x", "one") && has("y", "two"));
        put("z", "three"); /* the fault is once: this one is written, and with it all before */
        put("z", "four");
        known_close(&k);
        k = known_open(dir);
        if (known_count(k) != 0) /* else reading it was what failed */
            assert_true(has("x", "one") && has("y", "two") && known_count(k) == 3);
        was = known_count(k);
        known_close(&k);
    }
    assert_int_equal(was, 3); /* nothing failed in the last round */
    k = known_open(dir);
    assert_true(has("z", "four"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(all_of_it_is_there_after_a_restart), TEST(the_last_word_counts_and_is_written_once),
           TEST(it_is_written_at_once), TEST(damage_costs_the_lines_that_it_is_in),
           TEST(members_of_another_version_are_passed_over),
           TEST(the_oldest_go_when_there_are_too_many),
           TEST(any_key_goes_when_others_need_the_room),
           TEST(large_ones_take_no_more_room_than_there_is), TEST(the_file_does_not_grow_for_ever),
           TEST(one_that_is_too_long_is_not_remembered),
           TEST(a_disk_that_fails_costs_nothing_but_the_next_start))
