/* base/record.c: batches, their streams, and what they may hold. */
#include "base/record.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <string.h>

static uint32_t stream(struct batch *b, const char *value)
{
    struct label v = {STR("app"), str_of(value)};
    struct labels l = {&v, 1};
    struct err err;
    uint32_t ret = UINT32_MAX;

    assert_int_equal(batch_stream(b, &l, &ret, &err), 0);
    return ret;
}

static void a_stream_is_found_again(void **state)
{
    struct batch *b = batch_new(NULL, 0);
    char text[16];

    (void)state;
    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 1000; i++) {
            (void)snprintf(text, sizeof(text), "v%u", i);
            assert_int_equal(stream(b, text), i);
        }
    assert_int_equal(b->n_streams, 1000);
    check_str(b->streams[77].v[0].value, "v77"); /* a copy of its own */
    batch_unref(&b);
    assert_null(b);
}

static void records_keep_order_and_their_span(void **state)
{
    struct batch *b = batch_new(NULL, 0);
    struct err err;
    uint32_t s = stream(b, "x");

    (void)state;
    for (unsigned i = 0; i < 500; i++) {
        struct record rec = {.ts = 1000 - (ts_ns)i, .line = STR("12345"), .stream = s, .seq = i};
        assert_int_equal(batch_add(b, &rec, &err), 0);
    }
    assert_int_equal(b->n_records, 500);
    assert_int_equal(b->records[499].seq, 499);
    assert_true(b->min_ts == 501 && b->max_ts == 1000);
    assert_int_equal(b->line_bytes, 2500);
    batch_unref(&b);
}

static void parts_copy_their_file_id(void **state)
{
    struct batch *b = batch_new(NULL, 0);
    char id[RECORD_FILE_ID_MAX + 1];
    struct record_part part = {.file_id = {id, 8}, .start = 10, .end = 20, .count = 1};
    struct err err;

    (void)state;
    memset(id, 'i', sizeof(id));
    for (int i = 0; i < 9; i++)
        assert_int_equal(batch_add_part(b, &part, &err), 0);
    memset(id, 'j', sizeof(id));
    check_str(b->parts[8].file_id, "iiiiiiii");
    assert_int_equal(b->parts[8].end, 20);
    part.file_id.n = sizeof(id);
    assert_int_equal(batch_add_part(b, &part, &err), ERR_LIMIT);
    assert_int_equal(b->n_parts, 9);
    batch_unref(&b);
}

static void the_last_reference_gives_the_budget_back(void **state)
{
    struct mem_budget budget = {.name = "batch"};
    struct batch *b = batch_new(&budget, 0);
    struct batch *other = batch_ref(b);

    (void)state;
    (void)stream(b, "x");
    assert_true(budget.used > 0);
    assert_true(batch_held(b) >= budget.used);
    batch_unref(&b);
    assert_int_equal(stream(other, "x"), 0);
    batch_unref(&other);
    assert_int_equal(budget.used, 0);
    batch_unref(&other);
}

/* At any limit: an error that leaves the batch as it was, never more than was allowed. */
static void a_full_batch_stays_whole(void **state)
{
    (void)state;
    for (size_t max = 100; max < 20000; max += 333) {
        struct batch *b = batch_new(NULL, max);
        struct err err;
        int r = 0;
        char text[16];

        for (unsigned i = 0; r == 0; i++) {
            struct label v = {STR("app"), {text, (size_t)snprintf(text, sizeof(text), "%u", i)}};
            struct labels l = {&v, 1};
            uint32_t at;
            uint32_t before = b->n_streams;
            r = batch_stream(b, &l, &at, &err);
            assert_int_equal(b->n_streams, before + (r == 0));
            if (r == 0) {
                struct record rec = {.ts = 1, .stream = at};
                r = batch_add(b, &rec, &err);
            }
        }
        assert_int_equal(r, ERR_LIMIT);
        assert_true(arena_used(b->arena) <= max);
        for (uint32_t i = 0; i < b->n_streams; i++) {
            uint32_t at;
            assert_int_equal(batch_stream(b, &b->streams[i], &at, &err), 0);
            assert_int_equal(at, i);
        }
        batch_unref(&b);
    }
}

CHECK_MAIN(cmocka_unit_test(a_stream_is_found_again),
           cmocka_unit_test(records_keep_order_and_their_span),
           cmocka_unit_test(parts_copy_their_file_id),
           cmocka_unit_test(the_last_reference_gives_the_budget_back),
           cmocka_unit_test(a_full_batch_stays_whole))
