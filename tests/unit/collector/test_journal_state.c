/* Unit tests of collector/journal_state: what stands at the end of the spool. */
#include "collector/journal_state.h"

#include "base/file.h"
#include "tests/unit/collector/journal_world.h"
#include "tests/unit/collector/spool_world.h"

#include <fcntl.h>
#include <unistd.h>

static struct journal_state st;

static int begin(void **state)
{
    journal_state_init(&st);
    return setup(state);
}

static int end(void **state)
{
    journal_state_fini(&st);
    return teardown(state);
}

static void append(const char *lines)
{
    assert_int_equal(spool_append(s, str_of(lines), &err), 0);
}

static int load(void)
{
    journal_state_fini(&st);
    journal_state_init(&st);
    spool_close(&s);
    assert_int_equal(spool_open(dir, "x", &s, &err), 0);
    return journal_state_load(&st, s, &err);
}

static void an_empty_spool_has_none(void **state)
{
    (void)state;
    assert_int_equal(load(), 0);
    assert_string_equal(st.at, "");
}

static void what_is_put_comes_back(void **state)
{
    struct journal_joins *joins = journal_joins_new(100);
    struct journal_streams *streams = journal_streams_new(1000);
    struct journal_lines *lines = journal_lines_new(100);
    struct journal_frame piece = journal_piece(4, "we\xff\"b", "x");
    struct journal_record rec = {.head = journal_entry(3, "web", "y"), .text = STR("y")};
    struct buf out;

    (void)state;
    buf_init(&out, 1 << 20);
    rec.total = 1;
    piece.v[JOURNAL_ID] = STR_NULL;
    (void)str_to_z(str_of(journal_cursor(9)), st.at, sizeof(st.at));
    assert_int_equal(journal_joins_add(joins, &piece, 1, &rec), 1);
    (void)journal_lines_hold(lines, journal_streams_get(streams, STR("k")), &rec,
                             str_of(journal_cursor(5)), 1);
    journal_drops_add(&st.drops, "noise", &rec.head, 7);
    journal_state_put(&st, joins, lines, &out);
    assert_true(str_starts(buf_str(&out), STR(JOURNAL_STATE_BEGIN)));
    buf_add_char(&out, '\0');
    append("{\"line\":\"one\"}\n");
    append(out.p);
    assert_int_equal(load(), 0);
    assert_string_equal(st.at, journal_cursor(9));
    assert_string_equal(st.from, journal_cursor(3));
    assert_int_equal(st.n_open, 2);
    assert_int_equal(st.open[0].key, journal_state_key(STR("we__b/o//")));
    assert_string_equal(st.open[0].begin, "4");
    assert_string_equal(st.open[0].end, "");
    assert_int_equal(st.open[1].key, journal_state_key(STR("k")));
    assert_string_equal(st.open[1].begin, "3");
    assert_string_equal(st.open[1].end, "5");
    assert_int_equal(st.drops.n, 1);
    assert_int_equal(st.drops.p[0].bytes, 7);
    buf_fini(&out);
    journal_joins_free(&joins);
    journal_lines_free(&lines);
    journal_streams_free(&streams);
}

static void what_has_no_state_behind_it_is_cut_off(void **state)
{
    (void)state;
    append("{\"line\":\"one\"}\n{\"at\":\"c1\"}\n{\"line\":\"two\"}\n{\"line\":\"three\"}\n");
    assert_int_equal(load(), 0);
    assert_string_equal(st.at, "c1");
    assert_int_equal(spool_replay(s, take, NULL, &err), 0);
    check_str(buf_str(&seen), "{\"line\":\"one\"}\n{\"at\":\"c1\"}\n");
    append("{\"at\":\"c2\"}\n");
    assert_int_equal(load(), 0);
    assert_string_equal(st.at, "c2");
}

#define KEY "\"0123456789abcdef\""

static void one_that_breaks_its_format_is_none(void **state)
{
    static const char *const WRONG[] = {
        "{\"at\":1}\n",
        "{\"at\":\"\"}\n",
        "{\"at\":\"c\",\"from\":\"c\",\"open\":[[" KEY "]]}\n",
        "{\"at\":\"c\",\"from\":\"c\",\"open\":[[\"0123\",\"c\"]]}\n",
        "{\"at\":\"c\",\"from\":\"c\",\"open\":[[\"0123456789abcdeg\",\"c\"]]}\n",
        "{\"at\":\"c\",\"from\":\"c\",\"open\":[[" KEY ",\"c\",\"c\"]]}\n",
        "{\"at\":\"c\",\"from\":\"c\",\"lines\":[[" KEY ",\"c\"]]}\n",
        "{\"at\":\"c\",\"open\":[[" KEY ",\"c\"]]}\n",
        "{\"at\":\"c\",\"from\":\"c\"}\n",
        "{\"at\":\"c\",\"dropped\":[1]}\n",
        "{\"at\":\"c\"\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(WRONG) / sizeof(WRONG[0]); i++) {
        append(WRONG[i]);
        assert_int_equal(load(), 0);
        assert_string_equal(st.at, "");
        assert_int_equal(st.n_open + st.drops.n, 0);
    }
}

/* The same with more of them open than there can be. */
static void what_is_open_is_bounded(void **state)
{
    struct buf line;

    (void)state;
    buf_init(&line, 1 << 20);
    buf_add_z(&line, "{\"at\":\"c\",\"from\":\"c\",\"open\":[[" KEY ",\"c\"]");
    for (size_t i = 1; i <= JOURNAL_OPEN_MAX; i++)
        buf_add_z(&line, ",[" KEY ",\"c\"]");
    buf_add_z(&line, "]}\n");
    buf_add_char(&line, '\0');
    append(line.p);
    assert_int_equal(load(), 0);
    assert_int_equal(st.n_open, 0);
    buf_fini(&line);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
CHECK_MAIN(TEST(an_empty_spool_has_none), TEST(what_is_put_comes_back),
           TEST(what_has_no_state_behind_it_is_cut_off), TEST(one_that_breaks_its_format_is_none),
           TEST(what_is_open_is_bounded))
