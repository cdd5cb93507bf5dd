/* Unit tests of collector/journal_joins: pieces as Docker and podman log them. */
#include "collector/journal_joins.h"

#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/unit/collector/journal_world.h"

#include <stdlib.h>

enum { MAX_LINE = 64 };

static struct journal_joins *j;
static struct journal_record rec;

static int setup(void **state)
{
    (void)state;
    j = journal_joins_new(MAX_LINE);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_joins_free(&j);
    return 0;
}

/* As Docker numbers them: the last one has no mark. */
static struct journal_frame docker(unsigned no, const char *id, const char *ordinal, bool more)
{
    struct journal_frame f = journal_entry(no, "web", ordinal);

    f.v[JOURNAL_PARTIAL_ID] = str_of(id);
    f.v[JOURNAL_ORDINAL] = str_of(ordinal);
    if (more)
        f.v[JOURNAL_PARTIAL] = STR("true");
    return f;
}

static int add(struct journal_frame f)
{
    assert_false(journal_joins_give_up(j, &f, &rec));
    return journal_joins_add(j, &f, 0, &rec);
}

static void an_entry_is_a_record(void **state)
{
    (void)state;
    assert_int_equal(add(journal_entry(1, "web", "hello")), 0);
    check_str(rec.text, "hello");
    assert_int_equal(rec.total, 5);
    assert_false(rec.partial);
    check_str(rec.head.v[JOURNAL_NAME], "web");
}

static void podmans_pieces_end_with_the_next_entry_without_a_mark(void **state)
{
    struct journal_frame err_line = journal_entry(3, "web", "to stderr");

    (void)state;
    err_line.v[JOURNAL_PRIORITY] = STR("3");
    assert_int_equal(add(journal_piece(1, "web", "one ")), 1);
    assert_int_equal(add(journal_piece(2, "web", "two ")), 1);
    assert_int_equal(add(err_line), 0); /* another stream */
    check_str(rec.text, "to stderr");
    assert_int_equal(add(journal_entry(4, "web", "three")), 0);
    check_str(rec.text, "one two three");
    assert_true(rec.head.time == journal_entry(1, "", "").time);
    assert_false(rec.partial);
    assert_int_equal(journal_joins_count(j), 0);
}

static void dockers_pieces_belong_together_by_their_id(void **state)
{
    (void)state;
    assert_int_equal(add(docker(1, "aa", "1", true)), 1);
    assert_int_equal(add(journal_entry(2, "web", "between")), 0);
    check_str(rec.text, "between");
    assert_int_equal(add(docker(3, "aa", "2", true)), 1);
    assert_int_equal(add(docker(4, "aa", "3", false)), 0);
    check_str(rec.text, "123");
}

static void a_piece_that_is_missing_ends_a_record(void **state)
{
    struct journal_frame third = docker(3, "aa", "3", false);

    (void)state;
    assert_int_equal(add(docker(1, "aa", "1", true)), 1);
    assert_true(journal_joins_give_up(j, &third, &rec));
    check_str(rec.text, "1");
    assert_true(rec.partial);
    assert_int_equal(add(third), 0);
    check_str(rec.text, "3");
    assert_true(rec.partial); /* its head is lost */
}

static void a_long_record_is_cut_and_counted(void **state)
{
    static const char FORTY[] = "0123456789012345678901234567890123456789";

    (void)state;
    assert_int_equal(add(journal_piece(1, "web", FORTY)), 1);
    assert_int_equal(add(journal_piece(2, "web", FORTY)), 1);
    assert_int_equal(add(journal_entry(3, "web", FORTY)), 0);
    assert_int_equal(rec.text.n, MAX_LINE);
    assert_int_equal(rec.total, 120);
    assert_true(str_starts(rec.text, STR(FORTY)));
}

static void one_that_never_ends_is_given_up(void **state)
{
    unsigned n = 0;

    (void)state;
    while (add(journal_piece(n++, "web", "x")) == 1)
        assert_true(n < 10000);
    assert_true(rec.partial);
    assert_int_equal(rec.total, n);
    assert_int_equal(journal_joins_count(j), 0);
}

static void the_oldest_goes_when_there_are_too_many(void **state)
{
    struct journal_frame more;

    (void)state;
    for (unsigned i = 0; i < JOURNAL_JOINS_MAX; i++) {
        char name[16];
        struct journal_frame f;
        (void)snprintf(name, sizeof(name), "%u", i);
        f = docker(i, name, "1", true);
        assert_int_equal(journal_joins_add(j, &f, i, &rec), 1);
    }
    more = docker(99, "more", "1", true);
    assert_true(journal_joins_give_up(j, &more, &rec));
    check_str(rec.head.v[JOURNAL_PARTIAL_ID], "0");
    assert_int_equal(add(more), 1);
    assert_int_equal(journal_joins_count(j), JOURNAL_JOINS_MAX);
}

static void what_does_not_grow_is_stale(void **state)
{
    struct journal_frame a = docker(1, "a", "1", true), b = docker(2, "b", "1", true);

    (void)state;
    assert_int_equal(journal_joins_add(j, &a, 100, &rec), 1);
    assert_int_equal(journal_joins_add(j, &b, 200, &rec), 1);
    assert_false(journal_joins_stale(j, 99, &rec));
    assert_true(journal_joins_stale(j, 100, &rec));
    check_str(rec.head.v[JOURNAL_PARTIAL_ID], "a");
    assert_true(rec.partial);
    assert_false(journal_joins_stale(j, 100, &rec));
}

static void what_is_open_is_told_by_key_and_cursor(void **state)
{
    struct str key, cursor;

    (void)state;
    assert_int_equal(add(docker(1, "aa", "1", true)), 1);
    assert_int_equal(add(journal_piece(2, "web", "x")), 1);
    assert_int_equal(add(docker(3, "aa", "2", true)), 1);
    assert_int_equal(journal_joins_count(j), 2);
    journal_joins_at(j, 0, &key, &cursor);
    check_str(key, "4f5e6a7b8c9d/o//aa");
    check_str(cursor, journal_cursor(1));
    journal_joins_at(j, 1, &key, &cursor);
    check_str(key, "4f5e6a7b8c9d/o//");
    check_str(cursor, journal_cursor(2));
}

/* It is written down as JSON, and read again. */
static void a_key_is_of_printable_bytes(void **state)
{
    struct journal_frame f = journal_entry(1, "a\xff\"\\ b\n", "x");
    char key[JOURNAL_KEY_MAX];

    (void)state;
    f.v[JOURNAL_ID] = STR_NULL;
    check_str(journal_joins_key(&f, key), "a____b_/o//");
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(an_entry_is_a_record, setup, teardown),
           cmocka_unit_test_setup_teardown(podmans_pieces_end_with_the_next_entry_without_a_mark,
                                           setup, teardown),
           cmocka_unit_test_setup_teardown(dockers_pieces_belong_together_by_their_id, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(a_piece_that_is_missing_ends_a_record, setup, teardown),
           cmocka_unit_test_setup_teardown(a_long_record_is_cut_and_counted, setup, teardown),
           cmocka_unit_test_setup_teardown(one_that_never_ends_is_given_up, setup, teardown),
           cmocka_unit_test_setup_teardown(the_oldest_goes_when_there_are_too_many, setup,
                                           teardown),
           cmocka_unit_test_setup_teardown(what_does_not_grow_is_stale, setup, teardown),
           cmocka_unit_test_setup_teardown(what_is_open_is_told_by_key_and_cursor, setup, teardown),
           cmocka_unit_test_setup_teardown(a_key_is_of_printable_bytes, setup, teardown))
