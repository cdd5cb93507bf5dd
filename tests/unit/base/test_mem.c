/* base/mem.c: budgets that refuse without a trace. */
#include "base/mem.h"

#include "tests/lib/check.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void new_is_zeroed_and_dup_is_terminated(void **state)
{
    unsigned char *p = mem_new(64);
    char *z = mem_dup("abc", 2);

    (void)state;
    for (int i = 0; i < 64; i++)
        assert_int_equal(p[i], 0);
    p = mem_grow(p, 4096);
    assert_int_equal(p[63], 0);
    assert_string_equal(z, "ab");
    free(p);
    free(z);
}

static void budget_takes_up_to_its_limit(void **state)
{
    struct mem_budget b = {.name = "query", .limit = 100};
    struct err err;

    (void)state;
    assert_int_equal(mem_budget_take(&b, 60, &err), 0);
    assert_int_equal(mem_budget_take(&b, 40, &err), 0);
    assert_int_equal(mem_budget_take(&b, 1, &err), ERR_NOMEM);
    assert_non_null(strstr(err.text, "query"));
    assert_int_equal(mem_budget_take(&b, SIZE_MAX, &err), ERR_NOMEM);
    mem_budget_give(&b, 100);
    assert_int_equal(b.used, 0);
    assert_int_equal(b.peak, 100);
}

static void a_parents_refusal_charges_nobody(void **state)
{
    struct mem_budget server = {.name = "server", .limit = 100};
    struct mem_budget query = {.name = "query", .limit = 1000, .parent = &server};
    struct mem_budget scan = {.name = "scan", .parent = &query};
    struct err err;

    (void)state;
    assert_int_equal(mem_budget_take(&scan, 90, &err), 0);
    assert_int_equal(server.used, 90);
    assert_int_equal(mem_budget_take(&scan, 11, &err), ERR_NOMEM);
    assert_non_null(strstr(err.text, "server"));
    assert_int_equal(scan.used, 90);
    assert_int_equal(query.used, 90);
    assert_int_equal(server.used, 90);
    mem_budget_give(&scan, 90);
    assert_int_equal(server.used + query.used + scan.used, 0);
}

/* Of the mapping that `p` lies in. */
static size_t resident_around(const volatile void *p)
{
    FILE *f = fopen("/proc/self/smaps", "re");
    char line[512];
    bool is_it = false;
    size_t kb = 0;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        unsigned long from, to;
        if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
            is_it = (uintptr_t)p >= from && (uintptr_t)p < to;
        else if (is_it && sscanf(line, "Rss: %zu kB", &kb) == 1)
            break;
    }
    (void)fclose(f);
    return kb << 10;
}

static void forgotten_code_comes_back(void **state)
{
    /* A fault maps what the kernel keeps in one piece, which is up to 2 MiB to each side. */
    enum { BYTES = 8 << 20, PAGE = 4096 };
    static const char TABLE[BYTES] = {[0] = 1, [BYTES - PAGE] = 2};
    const volatile char *table = TABLE; /* read when we say so */
    static volatile int written = 3;    /* what is no constant stays */
    int sum = 0;

    (void)state;
    written = 4;
    for (size_t i = 0; i < BYTES; i += PAGE)
        sum += table[i];
    assert_true(resident_around(table) >= BYTES - PAGE);
    mem_forget_code();
    assert_true(resident_around(table) < BYTES / 4 * 3);
    for (size_t i = 0; i < BYTES; i += PAGE)
        sum += table[i];
    assert_int_equal(sum, 6);
    assert_int_equal(written, 4);
}

CHECK_MAIN(cmocka_unit_test(new_is_zeroed_and_dup_is_terminated),
           cmocka_unit_test(budget_takes_up_to_its_limit),
           cmocka_unit_test(a_parents_refusal_charges_nobody),
           cmocka_unit_test(forgotten_code_comes_back))
