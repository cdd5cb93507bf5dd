/* What an entry of a fluent client says: its line, its attributes, its container. */
#include "tests/lib/check.h"
#include "wire/forward_record.h"

#include <string.h>

static struct arena *arena;
static struct label attrs[9];
static struct forward_field fields[16];
static struct forward_entry entry;
static struct err err;

static int setup(void **state)
{
    (void)state;
    arena = arena_new(NULL, 1 << 20);
    entry = (struct forward_entry){.ts = 1, .fields = fields};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    arena_free(&arena);
    return 0;
}

static void add(const char *key, enum forward_value type, const char *text)
{
    fields[entry.n_fields++] = (struct forward_field){str_of(key), type, str_of(text)};
}

static struct forward_record read_entry(void)
{
    struct forward_record rec = {.attrs = attrs, .max_attrs = 8};

    assert_int_equal(forward_record_read(&entry, STR("tag"), arena, &rec, &err), 0);
    return rec;
}

static void check_attr(const struct forward_record *rec, size_t i, const char *name,
                       const char *value)
{
    assert_true(i < rec->n_attrs);
    check_str(rec->attrs[i].name, name);
    check_str(rec->attrs[i].value, value);
}

static void the_line_is_log_or_message_or_msg(void **state)
{
    struct forward_record rec;

    (void)state;
    add("msg", FORWARD_STR, "c");
    rec = read_entry();
    check_str(rec.line, "c");
    assert_int_equal(rec.n_attrs, 1);
    add("message", FORWARD_INT, "2");
    rec = read_entry();
    check_str(rec.line, "2");
    check_attr(&rec, 0, "msg", "c");
    check_attr(&rec, 1, "fluent.tag", "tag");
    add("log", FORWARD_STR, "a");
    rec = read_entry();
    check_str(rec.line, "a");
    assert_int_equal(rec.n_attrs, 3);
}

static void without_one_it_is_the_record_as_json(void **state)
{
    struct forward_field meta = {STR("m"), FORWARD_STR, STR("v")};
    struct forward_record rec;

    (void)state;
    add("msg", FORWARD_NESTED, "{\"x\":1}");
    add("a\"", FORWARD_STR, "b\n");
    add("n", FORWARD_NIL, "null");
    add("t", FORWARD_TIME, "1970-01-01T00:00:01Z");
    entry.meta = &meta;
    entry.n_meta = 1;
    rec = read_entry();
    check_str(rec.line, "{\"msg\":{\"x\":1},\"a\\\"\":\"b\\n\",\"n\":null,"
                        "\"t\":\"1970-01-01T00:00:01Z\"}");
    check_attr(&rec, 0, "m", "v");
    check_attr(&rec, 1, "fluent.tag", "tag");
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void dockers_driver_is_told_by_its_keys(void **state)
{
    struct forward_record rec;

    (void)state;
    add("container_id", FORWARD_STR, ID);
    add("container_name", FORWARD_STR, "/web");
    add("source", FORWARD_STR, "stderr");
    add("log", FORWARD_STR, "x");
    add("source", FORWARD_STR, "again");
    rec = read_entry();
    assert_true(rec.is_docker);
    check_str(rec.stream, "stderr");
    check_str(rec.container, "web");
    check_attr(&rec, 0, "container_id", ID);
    check_attr(&rec, 1, "source", "again");
    fields[2].text = STR("elsewhere");
    rec = read_entry();
    assert_false(rec.is_docker);
    assert_int_equal(rec.n_attrs, 5);
}

static void dockers_keys_without_a_line_are_a_record_of_anybody(void **state)
{
    struct forward_record rec;

    (void)state;
    add("container_id", FORWARD_STR, ID);
    add("container_name", FORWARD_STR, "/web");
    add("source", FORWARD_STR, "stderr");
    rec = read_entry();
    assert_false(rec.is_docker);
    assert_int_equal(rec.stream.n, 0);
    check_str(rec.line, "{\"container_id\":\"" ID "\",\"container_name\":\"/web\","
                        "\"source\":\"stderr\"}");
    assert_int_equal(rec.n_attrs, 1);
}

static void there_is_room_for_so_many_and_the_tag(void **state)
{
    struct forward_record rec;

    (void)state;
    add("log", FORWARD_STR, "x");
    for (int i = 0; i < 12; i++)
        add("k", FORWARD_STR, "v");
    rec = read_entry();
    assert_int_equal(rec.n_attrs, 9);
    check_attr(&rec, 8, "fluent.tag", "tag");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
CHECK_MAIN(TEST(the_line_is_log_or_message_or_msg), TEST(without_one_it_is_the_record_as_json),
           TEST(dockers_driver_is_told_by_its_keys),
           TEST(dockers_keys_without_a_line_are_a_record_of_anybody),
           TEST(there_is_room_for_so_many_and_the_tag))
