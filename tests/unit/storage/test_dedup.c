/* storage/dedup.c: the window forgets by time and by number, nothing else. */
#include "storage/dedup.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct dedup_entry entry(unsigned i, ts_ns when)
{
    struct dedup_entry e = {.when = when};
    char text[32];
    int n = snprintf(text, sizeof(text), "chunk %u", i);

    dedup_key((struct str){text, (size_t)n}, e.key);
    return e;
}

static void add(struct dedup *d, unsigned i, ts_ns when)
{
    struct dedup_entry e = entry(i, when);

    dedup_add(d, &e);
}

static bool has(const struct dedup *d, unsigned i)
{
    struct dedup_entry e = entry(i, 0);

    return dedup_has(d, e.key);
}

static void entries_leave_after_a_day(void **state)
{
    struct dedup *d = dedup_new(0);
    (void)state;

    add(d, 1, NS_PER_H);
    add(d, 2, 2 * NS_PER_H);
    add(d, 3, NS_PER_H + DEDUP_WINDOW);
    assert_true(has(d, 1)); /* exactly a day old */
    add(d, 4, NS_PER_H + DEDUP_WINDOW + 1);
    assert_false(has(d, 1));
    assert_true(has(d, 2));
    assert_true(has(d, 3));
    dedup_free(&d);
}

static void the_oldest_leave_when_it_is_full(void **state)
{
    struct dedup *d = dedup_new(100);
    (void)state;

    for (unsigned i = 0; i < 1000; i++)
        add(d, i, (ts_ns)i);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(has(d, i), i >= 900);
    assert_int_equal(dedup_next(d) - dedup_first(d), 100);
    dedup_free(&d);
}

static void what_is_there_already_is_not_numbered_again(void **state)
{
    struct dedup *d = dedup_new(0);
    (void)state;

    add(d, 1, 1);
    add(d, 1, 2);
    assert_int_equal(dedup_next(d), 1);
    dedup_free(&d);
}

static void new_entries_are_given_out_by_number(void **state)
{
    struct dedup *d = dedup_new(10);
    struct dedup_entry *v;
    struct dedup_entry want = entry(14, 0);
    size_t n;
    (void)state;

    dedup_start_at(d, 1000);
    for (unsigned i = 0; i < 15; i++)
        add(d, i, 1);
    assert_int_equal(dedup_first(d), 1005);
    v = dedup_since(d, 1012, &n);
    assert_int_equal(n, 3);
    assert_memory_equal(v[2].key, want.key, DEDUP_KEY);
    free(v);
    v = dedup_since(d, 0, &n);
    assert_int_equal(n, 10);
    free(v);
    assert_null(dedup_since(d, 1015, &n));
    dedup_clear(d);
    assert_false(has(d, 14));
    dedup_free(&d);
}

CHECK_MAIN(cmocka_unit_test(entries_leave_after_a_day),
           cmocka_unit_test(the_oldest_leave_when_it_is_full),
           cmocka_unit_test(what_is_there_already_is_not_numbered_again),
           cmocka_unit_test(new_entries_are_given_out_by_number))
