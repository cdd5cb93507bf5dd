/* Unit tests of collector/taken: which chunks were taken, also after a restart. */
#include "collector/taken.h"

#include "base/buf.h"
#include "tests/unit/collector/dir_world.h"

#include <fcntl.h>
#include <unistd.h>

/* The `i`th hash; all with i % 4 alike have their place in the table in common. */
static struct hash128 id_of(uint64_t i)
{
    return (struct hash128){.lo = i % 4 | i << 40, .hi = i};
}

static void add(struct taken *k, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++) {
        struct hash128 id = id_of(i);
        taken_add(k, &id);
    }
}

/* Of the first `n` exactly those in [from, to) are known. */
static void check_has(const struct taken *k, uint64_t from, uint64_t to, uint64_t n)
{
    assert_int_equal(taken_count(k), to - from);
    for (uint64_t i = 0; i < n; i++) {
        struct hash128 id = id_of(i);
        if (taken_has(k, &id) != (i >= from && i < to))
            fail_msg("%llu of [%llu, %llu)", (unsigned long long)i, (unsigned long long)from,
                     (unsigned long long)to);
    }
}

static void the_oldest_are_forgotten(void **state)
{
    struct taken *k = taken_new(100);

    (void)state;
    check_has(k, 0, 0, 10);
    add(k, 0, 70);
    check_has(k, 0, 70, 120);
    add(k, 0, 70); /* they are there */
    check_has(k, 0, 70, 120);
    for (uint64_t i = 70; i < 350; i++) { /* round the ring more than three times */
        add(k, i, i + 1);
        check_has(k, i < 100 ? 0 : i - 99, i + 1, 360);
    }
    taken_free(&k);
}

static void what_is_saved_is_loaded_in_its_order(void **state)
{
    struct taken *k = taken_new(100), *again = taken_new(50);

    (void)state;
    assert_int_equal(taken_load(k, dir, &err), ERR_GONE);
    add(k, 0, 130);
    assert_int_equal(taken_save(k, dir, &err), 0);
    taken_free(&k);
    k = taken_new(100);
    assert_int_equal(taken_load(k, dir, &err), 0);
    check_has(k, 30, 130, 140);
    add(k, 130, 131); /* the oldest is the oldest still */
    check_has(k, 31, 131, 140);
    assert_int_equal(taken_load(again, dir, &err), 0); /* the newest of them have room */
    check_has(again, 80, 130, 140);
    taken_free(&k);
    taken_free(&again);
}

static void an_empty_set_is_saved_too(void **state)
{
    struct taken *k = taken_new(4);

    (void)state;
    assert_int_equal(taken_save(k, dir, &err), 0);
    assert_int_equal(taken_load(k, dir, &err), 0);
    check_has(k, 0, 0, 4);
    taken_free(&k);
}

static void a_damaged_file_adds_nothing(void **state)
{
    struct taken *k = taken_new(100);
    struct buf good;

    (void)state;
    add(k, 0, 3);
    assert_int_equal(taken_save(k, dir, &err), 0);
    taken_free(&k);
    k = taken_new(100);
    buf_init(&good, 4096);
    assert_int_equal(file_read(dir, TAKEN_FILE, &good, &err), 0);
    assert_int_equal(good.n, 12 + 3 * 16 + 4);
    for (size_t i = 0; i < good.n; i++) { /* each byte, and each length */
        good.p[i] ^= 0x10;
        assert_int_equal(file_replace(dir, TAKEN_FILE, 0600, buf_str(&good), &err), 0);
        assert_int_equal(taken_load(k, dir, &err), ERR_CORRUPT);
        good.p[i] ^= 0x10;
        assert_int_equal(file_replace(dir, TAKEN_FILE, 0600, (struct str){good.p, i}, &err), 0);
        assert_int_equal(taken_load(k, dir, &err), ERR_CORRUPT);
    }
    check_has(k, 0, 0, 4);
    buf_fini(&good);
    taken_free(&k);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, dir_setup, dir_teardown)
CHECK_MAIN(TEST(the_oldest_are_forgotten), TEST(what_is_saved_is_loaded_in_its_order),
           TEST(an_empty_set_is_saved_too), TEST(a_damaged_file_adds_nothing))
