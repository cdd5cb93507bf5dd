/* Unit tests of collector/journal_lines: what is held of several streams. */
#include "collector/journal_lines.h"

#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/unit/collector/journal_world.h"

#include <stdlib.h>

enum { MAX_LINE = 64 };

static struct journal_lines *l;
static struct journal_streams *streams;

static int setup(void **state)
{
    (void)state;
    l = journal_lines_new(MAX_LINE);
    streams = journal_streams_new(2 * JOURNAL_LINES_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_lines_free(&l);
    journal_streams_free(&streams);
    return 0;
}

static struct journal_stream *stream(const char *key)
{
    struct journal_stream *s = journal_streams_get(streams, str_of(key));

    s->trace.format = TRACE_PYTHON;
    return s;
}

static struct journal_record record(unsigned no, const char *text)
{
    struct journal_record r = {.head = journal_entry(no, "web", text)};

    r.text = str_of(text);
    r.total = r.text.n;
    return r;
}

static enum trace_step step(const char *key, const char *text)
{
    struct journal_record r = record(1, text);

    return journal_lines_step(l, stream(key), &r);
}

static int hold(const char *key, unsigned no, const char *text, dur_ns now)
{
    struct journal_record r = record(no, text);

    return journal_lines_hold(l, stream(key), &r, str_of(journal_cursor(no + 100)), now);
}

static void lines_are_put_together_for_each_stream(void **state)
{
    struct journal_record rec;

    (void)state;
    assert_int_equal(step("a", "hello"), TRACE_ALONE);
    assert_int_equal(step("a", "Traceback (most recent call last):"), TRACE_BEGINS);
    assert_int_equal(hold("a", 1, "Traceback (most recent call last):", 1), 1);
    assert_int_equal(hold("b", 2, "Traceback (most recent call last):", 2), 1);
    assert_int_equal(step("a", "  File \"a.py\", line 1"), TRACE_GOES_ON);
    assert_int_equal(hold("a", 3, "  File \"a.py\"", 3), 1);
    assert_int_equal(journal_lines_count(l), 2);
    journal_lines_end(l, stream("a"), &rec);
    check_str(rec.text, "Traceback (most recent call last):\n  File \"a.py\"");
    assert_int_equal(rec.lines, 2);
    assert_int_equal(rec.total, rec.text.n);
    check_str(rec.head.v[JOURNAL_CURSOR], journal_cursor(1));
    assert_null(stream("a")->held);
    assert_non_null(stream("b")->held);
}

static void what_is_open_is_told_by_its_places(void **state)
{
    struct str key, cursor, line_end;

    (void)state;
    (void)hold("a", 1, "Traceback (most recent call last):", 1);
    (void)hold("a", 2, "  File", 1);
    assert_int_equal(journal_lines_count(l), 1);
    journal_lines_at(l, 0, &key, &cursor, &line_end);
    check_str(key, "a");
    check_str(cursor, journal_cursor(1));
    check_str(line_end, journal_cursor(101));
}

static void what_does_not_grow_is_stale(void **state)
{
    (void)state;
    (void)hold("a", 1, "Traceback (most recent call last):", 10);
    (void)hold("b", 2, "Traceback (most recent call last):", 20);
    (void)hold("a", 3, "  File", 30);
    assert_null(journal_lines_stale(l, 19));
    assert_ptr_equal(journal_lines_stale(l, 20), stream("b"));
}

static void there_are_so_many_of_so_many_bytes(void **state)
{
    char key[16], text[MAX_LINE + 1];
    struct journal_record rec;

    (void)state;
    for (unsigned i = 0; i < JOURNAL_LINES_MAX; i++) {
        assert_null(journal_lines_oldest(l));
        (void)snprintf(key, sizeof(key), "%u", i);
        (void)hold(key, i, "x", 1);
    }
    assert_ptr_equal(journal_lines_oldest(l), stream("0"));
    memset(text, 'y', MAX_LINE);
    text[MAX_LINE] = '\0';
    assert_int_equal(step("1", text), TRACE_ALONE);
    assert_int_equal(hold("1", 200, text, 1), 0);
    journal_lines_end(l, stream("1"), &rec);
    assert_int_equal(rec.text.n, MAX_LINE);
    assert_int_equal(rec.total, MAX_LINE + 2);
    assert_null(journal_lines_oldest(l));
}

/* Partial records are never held, nor is anything where no rule asks for it. */
static void what_stands_alone_is_not_held(void **state)
{
    struct journal_record rec = record(1, "Traceback (most recent call last):");

    (void)state;
    rec.partial = true;
    assert_int_equal(journal_lines_step(l, stream("a"), &rec), TRACE_ALONE);
    rec.partial = false;
    assert_int_equal(journal_lines_step(l, journal_streams_get(streams, STR("none")), &rec),
                     TRACE_ALONE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(lines_are_put_together_for_each_stream), TEST(what_is_open_is_told_by_its_places),
           TEST(what_does_not_grow_is_stale), TEST(there_are_so_many_of_so_many_bytes),
           TEST(what_stands_alone_is_not_held))
