/* storage/scan_codebook.c: rows are counted by code, none is lost, memory is bounded. */
#include "storage/scan_codebook.h"

#include "tests/lib/check.h"
#include "tests/lib/records.h"

#include <stdlib.h>

enum { CODES = 300000 };

/* Codes whose number is not known are counted here. */
static void count(struct scan_codebooks *b, struct scan_codebook *book, uint64_t code,
                  uint32_t *rows)
{
    struct scan_code *known = scan_codebook_find(book, code);

    if (known != NULL) {
        assert_int_equal(known->number, code + 1);
        scan_codebook_count(book, known);
        return;
    }
    (void)scan_codebook_put(b, book, code, (uint32_t)code);
    rows[code]++;
}

static void take_all(struct scan_codebooks *b, uint32_t *rows)
{
    uint32_t number;
    uint32_t n;

    while (scan_codebooks_take(b, &number, &n)) {
        assert_true(n > 0);
        rows[number] += n;
    }
}

static void no_row_is_lost(void **state)
{
    struct mem_budget budget = {.name = "query", .limit = 16 << 20};
    struct scan_codebooks *b = scan_codebooks_new(&budget);
    struct scan_codebook *book = scan_codebook_get(b, STR("shape"), 1);
    uint32_t *want = calloc(CODES, sizeof(*want));
    uint32_t *got = calloc(CODES, sizeof(*got));
    uint64_t rng = 3;

    (void)state;
    for (size_t i = 0; i < 2000000; i++) {
        uint64_t draw = records_random(&rng) % CODES;
        uint64_t code = i % 2 == 0 ? draw : draw % 5000; /* some come often */
        want[code]++;
        count(b, book, code, got);
        if (i % 700001 == 700000)
            take_all(b, got);
    }
    take_all(b, got);
    assert_memory_equal(got, want, CODES * sizeof(*got));
    assert_true(budget.peak <= 9 << 20);
    scan_codebooks_free(&b);
    assert_int_equal(budget.used, 0);
    free(want);
    free(got);
}

static void books_are_told_apart_by_shape_and_use(void **state)
{
    struct scan_codebooks *b = scan_codebooks_new(NULL);
    struct scan_codebook *one = scan_codebook_get(b, STR("a"), 0);

    (void)state;
    assert_ptr_equal(scan_codebook_get(b, STR("a"), 0), one);
    assert_ptr_not_equal(scan_codebook_get(b, STR("a"), 1), one);
    assert_ptr_not_equal(scan_codebook_get(b, STR("b"), 0), one);
    assert_true(scan_codebook_put(b, one, 7, 70));
    assert_null(scan_codebook_find(scan_codebook_get(b, STR("a"), 1), 7));
    assert_int_equal(scan_codebook_find(one, 7)->number, 71);
    for (uint32_t use = 2; scan_codebook_get(b, STR("a"), use) != NULL; use++)
        assert_true(use < 1000); /* they end */
    scan_codebooks_free(&b);
}

static void without_memory_there_is_no_book(void **state)
{
    struct mem_budget budget = {.name = "query", .limit = 100};
    struct scan_codebooks *b = scan_codebooks_new(&budget);

    (void)state;
    assert_null(scan_codebook_get(b, STR("a"), 0));
    scan_codebooks_free(&b);
    assert_int_equal(budget.used, 0);
}

CHECK_MAIN(cmocka_unit_test(no_row_is_lost),
           cmocka_unit_test(books_are_told_apart_by_shape_and_use),
           cmocka_unit_test(without_memory_there_is_no_book))
