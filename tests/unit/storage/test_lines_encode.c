/* storage/lines_encode.c: what rare templates become, and columns that are alike. */
#include "storage/lines.h"

#include "base/buf.h"
#include "tests/lib/check.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 400 };

struct block {
    struct buf text;
    uint32_t end[ROWS];
    size_t n;
    struct lines_encoder *encoder;
    struct lines_encoded encoded;
    struct lines_plan *plan;
    struct arena *arena;
    struct lines *lines;
};

static int setup(void **state)
{
    struct block *b = calloc(1, sizeof(*b));

    if (b == NULL)
        return -1;
    buf_init(&b->text, 1 << 20);
    b->arena = arena_new(NULL, 0);
    b->encoder = lines_encoder_new(false);
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct block *b = *state;

    lines_plan_free(&b->plan);
    lines_encoder_free(&b->encoder);
    arena_free(&b->arena);
    buf_fini(&b->text);
    free(b);
    return 0;
}

static void PRINTF_LIKE(2, 3) add(struct block *b, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    buf_addv(&b->text, fmt, ap);
    va_end(ap);
    assert_true(b->n < ROWS && !b->text.over);
    b->end[b->n++] = (uint32_t)b->text.n;
}

/* A word of its own for each row. */
static const char *word(unsigned i)
{
    static char text[3];

    text[0] = (char)('a' + i % 26);
    text[1] = (char)('a' + i / 26);
    return text;
}

static struct str line_of(const struct block *b, size_t i)
{
    uint32_t from = i == 0 ? 0 : b->end[i - 1];

    return (struct str){b->text.p + from, b->end[i] - from};
}

static int give_frame(void *arg, uint32_t index, struct str *ret, struct err *err)
{
    const struct block *b = arg;

    if (index >= b->encoded.n_frames)
        return err_set(err, ERR_CORRUPT, "no frame %u", index);
    *ret = b->encoded.frame[index].bytes;
    return 0;
}

/* Encode, open, and see that all lines are back. */
static void encode(struct block *b)
{
    struct str line[ROWS];
    const uint32_t *end;
    struct str text;
    struct err err;

    for (size_t i = 0; i < b->n; i++)
        line[i] = line_of(b, i);
    assert_int_equal(lines_encode(b->encoder, line, b->n, &b->encoded, &err), 0);
    assert_int_equal(lines_plan_new(b->encoded.plan, b->n, NULL, &b->plan, &err), 0);
    assert_int_equal(lines_open(b->plan, give_frame, b, b->arena, &b->lines, &err), 0);
    assert_int_equal(lines_text(b->lines, &text, &end, &err), 0);
    for (size_t i = 0; i < b->n; i++)
        assert_true(str_eq(str_sub(text, i == 0 ? 0 : end[i - 1], line[i].n), line[i]));
}

static size_t rows_of(const struct block *b, enum template_kind kind)
{
    size_t rows = 0;

    for (size_t i = 0; i < b->plan->n_templates; i++)
        rows += b->plan->template[i].kind == kind ? b->plan->template[i].rows : 0;
    return rows;
}

static void rare_messages_of_json_stay_whole(void **state)
{
    struct block *b = *state;

    for (unsigned i = 0; i < ROWS; i++)
        add(b, "{\"n\":%u,\"msg\":\"%s took %u ms\"}", i * 7, word(i), i % 13);
    encode(b);
    assert_int_equal(b->plan->n_templates, 1);
    assert_int_equal(b->plan->template[0].n_slots, 2);
    assert_int_equal(rows_of(b, TEMPLATE_JSON), ROWS);
}

static void rare_text_keeps_the_slots_of_its_head(void **state)
{
    struct block *b = *state;

    for (unsigned i = 0; i < ROWS; i++)
        add(b, "%u worker%u: lost %s after 3 tries", 100000 + i, i % 5, word(i));
    encode(b);
    assert_int_equal(b->plan->n_templates, 1);
    assert_int_equal(b->plan->template[0].n_slots, 3);
    check_str(b->plan->template[0].piece[1], " worker");
    check_str(b->plan->template[0].piece[2], "");
    assert_int_equal(rows_of(b, TEMPLATE_TEXT), ROWS);
}

static void what_has_nothing_in_common_is_raw(void **state)
{
    struct block *b = *state;

    for (unsigned i = 0; i < ROWS; i++)
        add(b, "%s %u %u", word(i), i, i);
    encode(b);
    assert_int_equal(rows_of(b, TEMPLATE_RAW), ROWS);
}

static void equal_columns_are_stored_once(void **state)
{
    struct block *b = *state;
    const struct lines_column *c;

    for (unsigned i = 0; i < ROWS; i++)
        add(b, "from %u to %u", i * i, i * i);
    encode(b);
    c = b->plan->column;
    assert_int_equal(b->plan->n_columns, 2);
    assert_int_equal(c[0].frame, c[1].frame);
    assert_int_equal(c[0].offset, c[1].offset);
    assert_int_equal(c[0].stamp.bytes, c[1].stamp.bytes);
}

static void columns_equal_but_in_one_row_are_stored_twice(void **state)
{
    struct block *b = *state;
    const struct lines_column *c;

    for (unsigned i = 0; i < ROWS; i++)
        add(b, "from %u to %u", i * i, i == 5 ? 0 : i * i);
    encode(b);
    c = b->plan->column;
    assert_true(c[0].frame != c[1].frame || c[0].offset != c[1].offset);
}

static void a_column_like_one_of_another_template_is_refused(void **state)
{
    struct block *b = *state;
    struct lines_plan *plan;
    struct err err;
    char *p;

    for (unsigned i = 0; i < ROWS; i++)
        add(b, "from %u to %u", i * i, i * i);
    encode(b);
    assert_true(b->encoded.plan.n > 2);
    p = malloc(b->encoded.plan.n);
    assert_non_null(p);
    memcpy(p, b->encoded.plan.p, b->encoded.plan.n);
    assert_int_equal((uint8_t)p[b->encoded.plan.n - 2],
                     255); /* the second column: like the first */
    for (unsigned back = 0; back <= 2; back++) {
        p[b->encoded.plan.n - 1] = (char)back;
        plan = NULL;
        assert_int_equal(
            lines_plan_new((struct str){p, b->encoded.plan.n}, b->n, NULL, &plan, &err),
            back == 1 ? 0 : ERR_CORRUPT);
        lines_plan_free(&plan);
    }
    free(p);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

CHECK_MAIN(TEST(rare_messages_of_json_stay_whole), TEST(rare_text_keeps_the_slots_of_its_head),
           TEST(what_has_nothing_in_common_is_raw), TEST(equal_columns_are_stored_once),
           TEST(columns_equal_but_in_one_row_are_stored_twice),
           TEST(a_column_like_one_of_another_template_is_refused))
