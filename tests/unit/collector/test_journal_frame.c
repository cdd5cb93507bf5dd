/* Unit tests of collector/journal_frame. */
#include "collector/journal_frame.h"

#include "base/mem.h"
#include "tests/lib/check.h"
#include "tests/unit/collector/journal_world.h"

#include <stdlib.h>

static struct buf b;
static struct err err;

static int setup(void **state)
{
    (void)state;
    buf_init(&b, 2 * JOURNAL_FRAME_MAX);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_fini(&b);
    return 0;
}

static void a_frame_comes_back_as_it_was(void **state)
{
    struct journal_frame f = journal_entry(7, "web", "hello"), got;
    size_t used = 0;

    (void)state;
    f.v[JOURNAL_IMAGE] = STR("");
    f.total = 4711;
    journal_frame_put(&b, &f);
    buf_add_z(&b, "next");
    assert_int_equal(journal_frame_take(buf_str(&b), &got, &used, &err), 0);
    assert_int_equal(used, b.n - 4);
    assert_int_equal(got.type, JOURNAL_ENTRY);
    assert_int_equal(got.time, f.time);
    assert_int_equal(got.total, 4711);
    for (size_t i = 0; i < JOURNAL_FIELDS; i++) {
        assert_true(str_eq(got.v[i], f.v[i]));
        assert_int_equal(got.v[i].p == NULL, f.v[i].p == NULL);
    }
}

static void a_frame_is_whole_at_its_last_byte(void **state)
{
    struct journal_frame f = journal_entry(1, "web", "hello"), got;
    size_t used = 0;

    (void)state;
    journal_frame_put(&b, &f);
    for (size_t n = 0; n < b.n; n++)
        assert_int_equal(journal_frame_take((struct str){b.p, n}, &got, &used, &err), 1);
    assert_int_equal(journal_frame_take(buf_str(&b), &got, &used, &err), 0);
}

/* Whatever byte is another one, nothing outside of the frame is touched. */
static void wrong_lengths_are_no_frame(void **state)
{
    struct journal_frame f = journal_entry(1, "web", "hello"), got;
    size_t used = 0, refused = 0;

    (void)state;
    journal_frame_put(&b, &f);
    for (size_t i = 0; i < b.n; i++) {
        char *copy = mem_dup(b.p, b.n);
        copy[i] = (char)(copy[i] ^ 0xff);
        refused += journal_frame_take((struct str){copy, b.n}, &got, &used, &err) == ERR_CORRUPT;
        free(copy);
    }
    assert_true(refused > 4 * JOURNAL_FIELDS);
    b.p[0] = b.p[1] = b.p[2] = b.p[3] = (char)0xff;
    assert_int_equal(journal_frame_take(buf_str(&b), &got, &used, &err), ERR_CORRUPT);
}

static void one_that_is_too_long_is_not_put(void **state)
{
    struct journal_frame f = journal_entry(1, "web", "");
    char *text = mem_new(JOURNAL_FRAME_MAX);

    (void)state;
    f.v[JOURNAL_MESSAGE] = (struct str){text, JOURNAL_FRAME_MAX};
    journal_frame_put(&b, &f);
    assert_int_equal(buf_err(&b, "frame", &err), ERR_LIMIT);
    free(text);
}

CHECK_MAIN(cmocka_unit_test_setup_teardown(a_frame_comes_back_as_it_was, setup, teardown),
           cmocka_unit_test_setup_teardown(a_frame_is_whole_at_its_last_byte, setup, teardown),
           cmocka_unit_test_setup_teardown(wrong_lengths_are_no_frame, setup, teardown),
           cmocka_unit_test_setup_teardown(one_that_is_too_long_is_not_put, setup, teardown))
