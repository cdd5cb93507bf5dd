/* Unit tests of collector/journal_drops: counts by rule and container, written down and told. */
#include "collector/journal_drops.h"

#include "tests/lib/check.h"
#include "tests/unit/collector/journal_world.h"

static struct journal_drops d;
static struct buf out;

static int setup(void **state)
{
    (void)state;
    memset(&d, 0, sizeof(d));
    buf_init(&out, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_drops_fini(&d);
    buf_fini(&out);
    return 0;
}

static void add(const char *rule, const char *id, uint64_t bytes)
{
    struct journal_frame f = journal_entry(1, "web", "x");

    f.v[JOURNAL_ID] = str_of(id);
    journal_drops_add(&d, rule, &f, bytes);
}

static const char *put(void)
{
    struct json_writer w;

    buf_clear(&out);
    json_writer_init(&w, &out);
    journal_drops_put(&d, &w);
    buf_add_char(&out, '\0');
    return out.p;
}

static bool take(const char *text)
{
    struct arena *a = arena_new(NULL, 1 << 20);
    struct json_reader r;
    bool ok;

    json_reader_init(&r, str_of(text));
    ok = journal_drops_take(&d, &r, a);
    arena_free(&a);
    return ok;
}

static void what_was_dropped_is_counted_by_rule_and_container(void **state)
{
    (void)state;
    assert_string_equal(put(), "[]");
    add("noise", "aa", 5);
    add("noise", "bb", 6);
    add("thin", "aa", 7);
    add("noise", "aa", 1);
    assert_string_equal(put(), "[[\"noise\",\"aa\",\"web\",2,6],[\"noise\",\"bb\",\"web\",1,6],"
                               "[\"thin\",\"aa\",\"web\",1,7]]");
}

static void what_was_written_down_is_added_to(void **state)
{
    (void)state;
    assert_true(take("[[\"noise\",\"aa\",\"web\",2,6]]"));
    add("noise", "aa", 1);
    assert_string_equal(put(), "[[\"noise\",\"aa\",\"web\",3,7]]");
    assert_false(take("[[\"noise\",\"aa\",\"web\",2]]"));
    assert_false(take("[[\"noise\",\"aa\",\"web\",2,-1]]"));
    assert_false(take("[\"noise\"]"));
    assert_false(take("{}"));
    assert_false(take(""));
}

static void containers_beyond_the_bound_are_counted_together(void **state)
{
    char id[16];

    (void)state;
    for (unsigned i = 0; i < JOURNAL_DROPS_MAX + 100; i++) {
        (void)snprintf(id, sizeof(id), "%u", i);
        add("noise", id, 1);
        add("thin", id, 1);
    }
    assert_int_equal(d.n, JOURNAL_DROPS_MAX + 2);
    assert_int_equal(d.p[JOURNAL_DROPS_MAX].count + d.p[JOURNAL_DROPS_MAX + 1].count,
                     2 * (JOURNAL_DROPS_MAX + 100) - JOURNAL_DROPS_MAX);
    assert_string_equal(d.p[JOURNAL_DROPS_MAX].id, "");
    add("noise", "7", 1); /* one that has its own */
    assert_int_equal(d.n, JOURNAL_DROPS_MAX + 2);
}

static void what_was_told_is_counted_no_more(void **state)
{
    (void)state;
    add("noise", "aa", 5);
    add("thin", "bb", 6);
    journal_drops_tell(&d, STR("journal"), &out);
    assert_int_equal(d.n, 0);
    assert_true(str_starts(buf_str(&out), STR(JOURNAL_DROP_BEGIN "\"noise\",\"time\":\"")));
    assert_true(str_ends(buf_str(&out),
                         STR("\"file\":\"journal\",\"container\":\"web\",\"container_id\":\"bb\","
                             "\"count\":1,\"bytes\":6}\n")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(what_was_dropped_is_counted_by_rule_and_container),
           TEST(what_was_written_down_is_added_to),
           TEST(containers_beyond_the_bound_are_counted_together),
           TEST(what_was_told_is_counted_no_more))
