/* Unit tests of collector/journal_fields over an entry that the test makes up. */
#include "collector/journal_fields.h"

#include "tests/lib/check.h"

#include <string.h>

enum { ITEMS_MAX = 16 };

/* An entry.  Of an item "NAME=!" the name can be read, of "?" nothing. */
struct journal {
    struct str v[ITEMS_MAX];
    size_t n, at; /* `at`: of the pass */
    int asked;    /* times by name */
};

static struct journal entry;
static struct journal_fields fields;
static struct str matches[2];
static struct journal_fields_options opt;

static bool is_damaged(struct str item)
{
    return str_ends(item, STR("=!")) || str_eq(item, STR("?"));
}

/* As libsystemd: a pass does not get over one that cannot be read, */
static int fake_field(struct journal *j, struct str *ret)
{
    if (j->at == j->n)
        return 1;
    if (is_damaged(j->v[j->at]))
        return ERR_IO;
    *ret = j->v[j->at++];
    return 0;
}

/* and who looks for a name not over one that may have it. */
static int fake_get(struct journal *j, const char *field, struct str *ret)
{
    j->asked++;
    for (size_t i = 0; i < j->n; i++) {
        struct str value = j->v[i];
        struct str name = str_cut(&value, '=');
        if (str_eq(name, STR("?")))
            return ERR_IO;
        if (!str_eq(name, str_of(field)))
            continue;
        *ret = value;
        return is_damaged(j->v[i]) ? ERR_IO : 0;
    }
    return 1;
}

static const struct journal_module FAKE = {
    .version = JOURNAL_MODULE_VERSION, .field = fake_field, .get = fake_get};

static int setup(void **state)
{
    (void)state;
    journal_fields_init(&fields);
    matches[0] = STR("_SYSTEMD_UNIT=ssh.service");
    matches[1] = STR("TAG=a=b");
    opt = (struct journal_fields_options){
        .module = &FAKE, .journal = &entry, .matches = {matches, 2}, .max_line = 8};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    journal_fields_fini(&fields);
    return 0;
}

/* Items up to NULL. */
static void read_entry(const char *const *items)
{
    memset(&entry, 0, sizeof(entry));
    for (; *items != NULL; items++)
        entry.v[entry.n++] = str_of(*items);
    journal_fields_read(&fields, &opt);
}
#define READ(...) read_entry((const char *const[]){__VA_ARGS__, NULL})

static void fields_are_found_in_any_order(void **state)
{
    (void)state;
    READ("X=1", "MESSAGE=text", "_UID=0", "CONTAINER_NAME=web", "CONTAINER_PARTIAL_MESSAGE=true",
         "_SOURCE_REALTIME_TIMESTAMP=17");
    assert_true(journal_fields_are_wanted(&fields));
    assert_false(fields.is_damaged);
    check_str(journal_fields_get(&fields, JOURNAL_MESSAGE), "text");
    check_str(journal_fields_get(&fields, JOURNAL_UID), "0");
    check_str(journal_fields_get(&fields, JOURNAL_NAME), "web");
    check_str(journal_fields_get(&fields, JOURNAL_PARTIAL), "true");
    check_str(journal_fields_get(&fields, JOURNAL_SOURCE_TIME), "17");
    assert_null(journal_fields_get(&fields, JOURNAL_ID).p);
    assert_null(journal_fields_get(&fields, JOURNAL_PARTIAL_ID).p);
    READ("CONTAINER_ID_FULL=4f5e", "_UID=7", "MESSAGE=x"); /* nothing of the one before */
    assert_int_equal(entry.asked, 1);
    check_str(journal_fields_get(&fields, JOURNAL_UID), "7");
    assert_null(journal_fields_get(&fields, JOURNAL_NAME).p);
}

/* It may be a core dump. */
static void of_others_no_field_is_unpacked(void **state)
{
    (void)state;
    READ("COREDUMP=x", "MESSAGE=y", "_UID=0");
    assert_false(journal_fields_are_wanted(&fields));
    assert_int_equal(entry.at, 0);
    assert_int_equal(fields.values.n, 0);
}

static void names_are_whole_and_empty_values_are_values(void **state)
{
    (void)state;
    READ("CONTAINER_NAMES=x", "CONTAINER_NAM=x", "MESSAGE=", "");
    assert_false(journal_fields_are_wanted(&fields));
    READ("PRIORITYS=x", "PRIORIT=x", "PRIORITY", "MESSAGE=", "", "CONTAINER_NAME=");
    assert_true(journal_fields_are_wanted(&fields));
    assert_null(journal_fields_get(&fields, JOURNAL_PRIORITY).p);
    assert_non_null(journal_fields_get(&fields, JOURNAL_MESSAGE).p);
    check_str(journal_fields_get(&fields, JOURNAL_MESSAGE), "");
}

static void of_several_the_first_is_told(void **state)
{
    (void)state;
    READ("MESSAGE=", "MESSAGE=two", "CONTAINER_NAME=a", "CONTAINER_NAME=b");
    check_str(journal_fields_get(&fields, JOURNAL_MESSAGE), "");
    check_str(journal_fields_get(&fields, JOURNAL_NAME), "a");
}

static void what_is_long_is_cut(void **state)
{
    static char name[JOURNAL_VALUE_MAX + 64] = "CONTAINER_NAME=";

    (void)state;
    memset(name + strlen(name), 'n', JOURNAL_VALUE_MAX + 10);
    READ("MESSAGE=0123456789", name);
    check_str(journal_fields_get(&fields, JOURNAL_MESSAGE), "01234567");
    assert_int_equal(fields.v[JOURNAL_MESSAGE].total, 10);
    assert_int_equal(journal_fields_get(&fields, JOURNAL_NAME).n, JOURNAL_VALUE_MAX);
}

static void a_match_is_the_whole_of_the_first_value(void **state)
{
    (void)state;
    READ("_SYSTEMD_UNIT=ssh.service.d");
    assert_false(journal_fields_are_wanted(&fields));
    READ("TAG=c", "TAG=a=b", "MESSAGE=x");
    assert_false(journal_fields_are_wanted(&fields));
    READ("TAG=a=b", "TAG=c", "MESSAGE=x");
    assert_true(journal_fields_are_wanted(&fields));
    check_str(journal_fields_get(&fields, JOURNAL_MESSAGE), "x");
    READ("MESSAGE=x"); /* nothing of the one before */
    assert_false(journal_fields_are_wanted(&fields));
}

static void one_that_is_not_told_may_be_damaged(void **state)
{
    (void)state;
    READ("CONTAINER_NAME=web", "COREDUMP=!", "MESSAGE=text", "MESSAGE=two");
    assert_true(journal_fields_are_wanted(&fields));
    assert_false(fields.is_damaged);
    check_str(journal_fields_get(&fields, JOURNAL_NAME), "web");
    check_str(journal_fields_get(&fields, JOURNAL_MESSAGE), "text");
    READ("COREDUMP=!", "TAG=a=b", "PRIORITY=6");
    assert_true(journal_fields_are_wanted(&fields));
    check_str(journal_fields_get(&fields, JOURNAL_PRIORITY), "6");
}

static void one_that_is_told_may_not(void **state)
{
    (void)state;
    READ("CONTAINER_NAME=web", "MESSAGE=!");
    assert_true(fields.is_damaged);
    READ("CONTAINER_NAME=!", "MESSAGE=whose?");
    assert_true(fields.is_damaged);
    READ("TAG=!", "MESSAGE=whose?");
    assert_true(fields.is_damaged);
    READ("MESSAGE=!"); /* nobody wants it */
    assert_false(fields.is_damaged);
    assert_false(journal_fields_are_wanted(&fields));
    READ("CONTAINER_NAME=web", "MESSAGE=text");
    assert_false(fields.is_damaged);
}

static void one_that_may_be_any_is_damage(void **state)
{
    (void)state;
    READ("CONTAINER_NAME=web", "MESSAGE=text", "?");
    assert_true(fields.is_damaged);
    READ("?", "MESSAGE=text");
    assert_true(fields.is_damaged);
    READ("CONTAINER_ID_FULL=4f5e", "?", "MESSAGE=text");
    assert_true(fields.is_damaged);
}

/* As libsystemd does before version 252. */
static int field_without_a_word(struct journal *j, struct str *ret)
{
    while (j->at < j->n && is_damaged(j->v[j->at]))
        j->at++;
    return fake_field(j, ret);
}

static void a_message_that_a_pass_goes_over_is_damage(void **state)
{
    struct journal_module older = FAKE;

    (void)state;
    older.field = field_without_a_word;
    opt.module = &older;
    READ("CONTAINER_NAME=web", "MESSAGE=!");
    assert_true(fields.is_damaged);
    READ("CONTAINER_NAME=web", "COREDUMP=!");
    assert_false(fields.is_damaged);
    assert_null(journal_fields_get(&fields, JOURNAL_MESSAGE).p);
}

CHECK_MAIN(
    cmocka_unit_test_setup_teardown(fields_are_found_in_any_order, setup, teardown),
    cmocka_unit_test_setup_teardown(names_are_whole_and_empty_values_are_values, setup, teardown),
    cmocka_unit_test_setup_teardown(of_several_the_first_is_told, setup, teardown),
    cmocka_unit_test_setup_teardown(what_is_long_is_cut, setup, teardown),
    cmocka_unit_test_setup_teardown(of_others_no_field_is_unpacked, setup, teardown),
    cmocka_unit_test_setup_teardown(a_match_is_the_whole_of_the_first_value, setup, teardown),
    cmocka_unit_test_setup_teardown(one_that_may_be_any_is_damage, setup, teardown),
    cmocka_unit_test_setup_teardown(a_message_that_a_pass_goes_over_is_damage, setup, teardown),
    cmocka_unit_test_setup_teardown(one_that_is_not_told_may_be_damaged, setup, teardown),
    cmocka_unit_test_setup_teardown(one_that_is_told_may_not, setup, teardown))
