/* storage/ranges.c: a set of intervals against a naive map of bytes. */
#include "storage/ranges.h"

#include "base/fault.h"
#include "tests/lib/check.h"
#include "tests/lib/records.h"

#include <stdlib.h>
#include <string.h>

enum { SPACE = 200, ROUNDS = 200, STEPS = 60 };

static struct str key_of(const char *peer, const char *file, struct ranges_key *k)
{
    assert_true(ranges_key_make(str_of(peer), str_of(file), k));
    return (struct str){k->bytes, k->n};
}

/* The set says of every byte what the map says, and its list is as short as it can be. */
static void agrees(const struct ranges *r, struct str key, const bool *map)
{
    struct store_range list[SPACE];
    size_t n = ranges_list(r, key, list, SPACE);
    size_t runs = 0;

    for (uint64_t i = 0; i < SPACE; i++) {
        uint64_t same = i;
        while (same < SPACE && map[same] == map[i])
            same++;
        assert_int_equal(ranges_have_until(r, key, i, SPACE), map[i] ? same : i);
        assert_int_equal(ranges_lack_until(r, key, i, SPACE), map[i] ? i : same);
        assert_int_equal(ranges_covered(r, key, i, i + 1), map[i]);
        runs += map[i] && (i == 0 || !map[i - 1]) ? 1 : 0;
    }
    assert_int_equal(n, runs); /* coalesced */
    for (size_t i = 0; i < n; i++) {
        assert_true(list[i].start < list[i].end);
        assert_true(i == 0 || list[i - 1].end < list[i].start);
    }
}

static void shuffled_duplicated_and_overlapping_ranges_equal_a_naive_map(void **state)
{
    uint64_t rng = 12345;
    struct ranges_key k;
    struct str key = key_of("peer", "file", &k);
    (void)state;

    for (int round = 0; round < ROUNDS; round++) {
        struct ranges *r = ranges_new();
        bool map[SPACE] = {false};
        for (int step = 0; step < STEPS; step++) {
            uint64_t a = records_random(&rng) % SPACE;
            uint64_t n = 1 + records_random(&rng) % (round % 2 == 0 ? 5 : 40);
            uint64_t end = a + n > SPACE ? SPACE : a + n;
            uint64_t have = 0;
            for (uint64_t i = a; i < end; i++)
                have += map[i];
            assert_int_equal(ranges_covered(r, key, a, end), have);
            ranges_add(r, key, a, end);
            for (uint64_t i = a; i < end; i++)
                map[i] = true;
        }
        agrees(r, key, map);
        ranges_free(&r);
    }
}

static void the_ends_of_the_number_space_work(void **state)
{
    struct ranges *r = ranges_new();
    struct ranges_key k;
    struct str key = key_of("p", "f", &k);
    struct store_range list[2];
    (void)state;

    ranges_add(r, key, 0, 1);
    ranges_add(r, key, UINT64_MAX - 1, UINT64_MAX);
    assert_true(ranges_covered(r, key, 0, UINT64_MAX) == 2);
    ranges_add(r, key, 1, UINT64_MAX - 1);
    assert_int_equal(ranges_list(r, key, list, 2), 1);
    assert_true(list[0].start == 0 && list[0].end == UINT64_MAX);
    ranges_free(&r);
}

static void peers_and_files_do_not_mix(void **state)
{
    struct ranges *r = ranges_new();
    struct ranges_key a, b, c;
    struct str peer, file;
    (void)state;

    ranges_add(r, key_of("ab", "c", &a), 0, 10);
    assert_int_equal(ranges_covered(r, key_of("a", "bc", &b), 0, 10), 0);
    assert_int_equal(ranges_covered(r, key_of("ab", "d", &c), 0, 10), 0);
    assert_int_equal(ranges_covered(r, key_of("ab", "c", &c), 0, 10), 10);
    assert_true(ranges_key_split((struct str){a.bytes, a.n}, &peer, &file));
    check_str(peer, "ab");
    check_str(file, "c");
    assert_false(ranges_key_split(STR("\xff\xff"), &peer, &file));
    ranges_free(&r);
}

static void dirty_sets_come_once_and_load_again(void **state)
{
    struct ranges *r = ranges_new();
    struct ranges *back = ranges_new();
    struct ranges_key k;
    struct str key = key_of("peer", "file", &k);
    struct ranges_row *rows;
    struct store_range list[4];
    struct err err;
    size_t n;
    (void)state;

    ranges_add(r, key, 10, 20);
    ranges_add(r, key, 30, 40);
    rows = ranges_take_dirty(r, &n);
    assert_int_equal(n, 1);
    assert_int_equal(ranges_load(back, &rows[0], &err), 0);
    assert_int_equal(ranges_list(back, key, list, 4), 2);
    assert_true(list[1].start == 30 && list[1].end == 40);
    ranges_mark_dirty(r, key); /* the commit failed */
    ranges_rows_free(&rows, n);
    rows = ranges_take_dirty(r, &n);
    assert_int_equal(n, 1);
    ranges_rows_free(&rows, n);
    assert_null(ranges_take_dirty(r, &n));
    assert_int_equal(n, 0);
    ranges_free(&r);
    ranges_free(&back);
}

static void a_damaged_row_is_refused(void **state)
{
    struct ranges *r = ranges_new();
    struct ranges_key k;
    struct ranges_row row = {.key = key_of("p", "f", &k)};
    char b[32] = {0};
    struct err err;
    (void)state;

    row.encoded = (struct str){b, 16}; /* [0, 0) */
    assert_int_equal(ranges_load(r, &row, &err), ERR_CORRUPT);
    b[8] = 5;
    row.encoded = (struct str){b, 15};
    assert_int_equal(ranges_load(r, &row, &err), ERR_CORRUPT);
    b[16] = 5; /* [0, 5) [5, 9): not coalesced */
    b[24] = 9;
    row.encoded = (struct str){b, 32};
    assert_int_equal(ranges_load(r, &row, &err), ERR_CORRUPT);
    b[16] = 6;
    assert_int_equal(ranges_load(r, &row, &err), 0);
    ranges_free(&r);
}

static void a_file_takes_only_so_many_separate_ranges(void **state)
{
    struct ranges *r = ranges_new();
    struct ranges_key k, other;
    struct str key = key_of("p", "f", &k);
    struct err err;
    (void)state;

    for (uint64_t i = 0; i < RANGES_PER_FILE_MAX; i++) {
        assert_int_equal(ranges_may_add(r, key, &err), 0);
        ranges_add(r, key, 10 * i, 10 * i + 1);
    }
    assert_int_equal(ranges_may_add(r, key, &err), ERR_LIMIT);
    assert_int_equal(ranges_may_add(r, key_of("p", "g", &other), &err), 0);
    ranges_free(&r);
}

static void note_gone(void *arg, struct str key)
{
    struct str peer, file;

    assert_true(ranges_key_split(key, &peer, &file));
    check_str(file, "old");
    (*(int *)arg)++;
}

static void old_files_are_forgotten_when_there_are_many(void **state)
{
    struct ranges *r = ranges_new();
    struct ranges *more = ranges_new();
    struct ranges_key k;
    int gone = 0;
    size_t n;
    (void)state;

    ranges_add(r, key_of("p", "old", &k), 0, 5);
    ranges_touch(r, key_of("p", "old", &k), 100);
    ranges_add(r, key_of("p", "new", &k), 0, 5);
    ranges_touch(r, key_of("p", "new", &k), 100);
    ranges_add(more, key_of("p", "new", &k), 5, 9);
    ranges_merge(r, more, 200); /* what grows is not old */
    ranges_add(r, key_of("p", "open", &k), 0, 5);
    assert_int_equal(ranges_expire(r, 3, 150, note_gone, &gone), 0); /* there is room */
    assert_int_equal(ranges_expire(r, 0, 150, note_gone, &gone), 1);
    assert_int_equal(gone, 1);
    assert_int_equal(ranges_files(r), 2);
    struct ranges_row *rows = ranges_take_dirty(r, &n); /* the forgotten one is not among them */
    assert_int_equal(n, 2);
    ranges_rows_free(&rows, n);
    ranges_free(&more);
    ranges_free(&r);
}

CHECK_MAIN(cmocka_unit_test(shuffled_duplicated_and_overlapping_ranges_equal_a_naive_map),
           cmocka_unit_test(the_ends_of_the_number_space_work),
           cmocka_unit_test(peers_and_files_do_not_mix),
           cmocka_unit_test(dirty_sets_come_once_and_load_again),
           cmocka_unit_test(a_damaged_row_is_refused),
           cmocka_unit_test(a_file_takes_only_so_many_separate_ranges),
           cmocka_unit_test(old_files_are_forgotten_when_there_are_many))
