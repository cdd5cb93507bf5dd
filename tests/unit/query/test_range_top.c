/* query/range_top.c: groups by their labels' values, and the best of them, exactly. */
#include "query/range_top.h"

#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>

enum { MANY = 5000 };

static struct ast_name APP = {STR_INIT("app"), NULL};
static struct ast_name PATH_APP = {STR_INIT("path"), &APP};

static void count(struct range_top *t, const struct label *v, size_t n, uint64_t rows,
                  uint64_t bytes)
{
    const struct labels l = {(struct label *)(uintptr_t)v, n};
    struct scan_cells *cells = NULL;
    struct err err;

    if (range_top_find(t, &l, &cells, &err) != 0)
        fail_msg("%s", err.text);
    cells->rows[0] += rows;
    if (cells->bytes != NULL)
        cells->bytes[0] += bytes;
}

static void count_path(struct range_top *t, const char *path, uint64_t rows)
{
    const struct label v[] = {{STR("app"), STR("a")}, {STR("path"), str_of(path)}};

    count(t, v, 2, rows, 0);
}

static int print(void *arg, const struct labels *l, const struct scan_cells *cells, struct err *err)
{
    struct buf *out = arg;

    (void)err;
    labels_format(out, l);
    buf_addf(out, " %llu %llu\n", (unsigned long long)cells->rows[0],
             cells->bytes == NULL ? 0 : (unsigned long long)cells->bytes[0]);
    return 0;
}

static void check_best(struct range_top *t, size_t k, bool smallest, const char *want)
{
    struct buf out;
    struct range_top_ask ask = {.k = k, .smallest = smallest, .fn = print, .arg = &out};
    struct err err;

    buf_init(&out, 1 << 16);
    assert_int_equal(range_top_best(t, &ask, &err), 0);
    check_str(buf_str(&out), want);
    buf_fini(&out);
}

static void the_greatest_and_the_least_come_in_order(void **state)
{
    struct range_top *t = range_top_new(NULL, &PATH_APP, false);
    (void)state;

    count_path(t, "/b", 3);
    count_path(t, "/c", 9);
    count_path(t, "/a", 3);
    count_path(t, "/d", 1);
    count_path(t, "/b", 2);
    count_path(t, "/none", 0); /* asked for, and nothing came */
    assert_int_equal(range_top_rows(t), 18);
    check_best(t, 2, false,
               "{app=\"a\", path=\"/c\"} 9 0\n"
               "{app=\"a\", path=\"/b\"} 5 0\n");
    check_best(t, 3, true,
               "{app=\"a\", path=\"/d\"} 1 0\n"
               "{app=\"a\", path=\"/a\"} 3 0\n"
               "{app=\"a\", path=\"/b\"} 5 0\n");
    check_best(t, 0, false, "");
    check_best(t, 100, false,
               "{app=\"a\", path=\"/c\"} 9 0\n"
               "{app=\"a\", path=\"/b\"} 5 0\n"
               "{app=\"a\", path=\"/a\"} 3 0\n"
               "{app=\"a\", path=\"/d\"} 1 0\n");
    range_top_free(&t);
    assert_null(t);
    range_top_free(&t);
}

static void equal_ones_come_by_their_labels(void **state)
{
    struct range_top *t = range_top_new(NULL, &PATH_APP, false);
    (void)state;

    count_path(t, "/d", 5);
    count_path(t, "/b", 5);
    count_path(t, "/a", 5);
    count_path(t, "/c", 5);
    check_best(t, 2, false,
               "{app=\"a\", path=\"/a\"} 5 0\n"
               "{app=\"a\", path=\"/b\"} 5 0\n");
    check_best(t, 2, true,
               "{app=\"a\", path=\"/a\"} 5 0\n"
               "{app=\"a\", path=\"/b\"} 5 0\n");
    range_top_free(&t);
}

/* Names that are not grouped by make no groups; one that is absent is not one that is empty, nor
 * may values run into each other. */
static void groups_are_told_apart_by_the_values_of_their_names(void **state)
{
    const struct label other[] = {
        {STR("app"), STR("a")}, {STR("host"), STR("h")}, {STR("path"), STR("x")}};
    const struct label none[] = {{STR("app"), STR("a")}};
    const struct label empty[] = {{STR("app"), STR("a")}, {STR("path"), STR("")}};
    const struct label one[] = {{STR("app"), STR("ab")}, {STR("path"), STR("c")}};
    const struct label two[] = {{STR("app"), STR("a")}, {STR("path"), STR("bc")}};
    struct ast_name twice = {STR("app"), &PATH_APP};
    struct range_top *t = range_top_new(NULL, &twice, false);
    (void)state;

    count_path(t, "x", 10);
    count(t, other, 3, 1, 0);
    count(t, none, 1, 9, 0);
    count(t, empty, 2, 8, 0);
    count(t, one, 2, 7, 0);
    count(t, two, 2, 6, 0);
    check_best(t, 10, false,
               "{app=\"a\", path=\"x\"} 11 0\n"
               "{app=\"a\"} 9 0\n"
               "{app=\"a\", path=\"\"} 8 0\n"
               "{app=\"ab\", path=\"c\"} 7 0\n"
               "{app=\"a\", path=\"bc\"} 6 0\n");
    range_top_free(&t);
}

static void by_bytes_these_decide(void **state)
{
    const struct label v[2][1] = {{{STR("app"), STR("many")}}, {{STR("app"), STR("long")}}};
    struct range_top *t = range_top_new(NULL, &APP, true);
    (void)state;

    count(t, v[0], 1, 100, 5);
    count(t, v[1], 1, 1, 5000);
    check_best(t, 1, false, "{app=\"long\"} 1 5000\n");
    check_best(t, 1, true, "{app=\"many\"} 100 5\n");
    assert_int_equal(range_top_rows(t), 101);
    range_top_free(&t);
}

static void the_best_of_many_are_exact(void **state)
{
    struct range_top *t = range_top_new(NULL, &PATH_APP, false);
    char path[16];
    (void)state;

    for (unsigned i = 0; i < MANY; i++) { /* each once, in no order */
        unsigned n = i * 1789 % MANY;
        (void)snprintf(path, sizeof(path), "%05u", n);
        count_path(t, path, 1 + n);
    }
    check_best(t, 3, false,
               "{app=\"a\", path=\"04999\"} 5000 0\n"
               "{app=\"a\", path=\"04998\"} 4999 0\n"
               "{app=\"a\", path=\"04997\"} 4998 0\n");
    check_best(t, 2, true,
               "{app=\"a\", path=\"00000\"} 1 0\n"
               "{app=\"a\", path=\"00001\"} 2 0\n");
    assert_int_equal(range_top_rows(t), (uint64_t)MANY * (MANY + 1) / 2);
    range_top_free(&t);
}

static void cleared_it_has_nothing_and_counts_anew(void **state)
{
    struct mem_budget budget = {.name = "query"};
    struct range_top *t = range_top_new(&budget, &PATH_APP, false);
    size_t used = budget.used;
    (void)state;

    for (unsigned i = 0; i < 1000; i++) {
        char path[16];
        (void)snprintf(path, sizeof(path), "%u", i);
        count_path(t, path, 1);
    }
    assert_true(budget.used > used);
    range_top_clear(t);
    assert_int_equal(range_top_rows(t), 0);
    check_best(t, 10, false, "");
    count_path(t, "/a", 4);
    check_best(t, 10, false, "{app=\"a\", path=\"/a\"} 4 0\n");
    range_top_free(&t);
    assert_int_equal(budget.used, 0);
}

static void it_stays_within_the_budget(void **state)
{
    struct mem_budget budget = {.name = "query", .limit = 300000};
    struct range_top *t = range_top_new(&budget, &PATH_APP, false);
    struct err err;
    unsigned i = 0;
    int r = 0;
    (void)state;

    for (; r == 0 && i < 100000; i++) {
        char path[16];
        struct label v[] = {{STR("app"), STR("a")},
                            {STR("path"), {path, (size_t)snprintf(path, sizeof(path), "%u", i)}}};
        const struct labels l = {v, 2};
        struct scan_cells *cells;
        r = range_top_find(t, &l, &cells, &err);
    }
    assert_int_equal(r, ERR_NOMEM);
    assert_in_range(i, 100, 20000);
    assert_true(budget.peak <= budget.limit);
    range_top_free(&t);
    assert_int_equal(budget.used, 0);
}

static void too_many_names_are_refused(void **state)
{
    struct ast_name names[65];
    char text[65][8];
    struct range_top *t;
    (void)state;

    for (size_t i = 0; i < 65; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "n%zu", i);
        names[i] = (struct ast_name){str_of(text[i]), i == 0 ? NULL : &names[i - 1]};
    }
    t = range_top_new(NULL, &names[63], false);
    assert_non_null(t);
    range_top_free(&t);
    assert_null(range_top_new(NULL, &names[64], false));
}

static int end_at_second(void *arg, const struct labels *l, const struct scan_cells *cells,
                         struct err *err)
{
    unsigned *n = arg;

    (void)l;
    (void)cells;
    return ++*n == 2 ? err_set(err, ERR_LIMIT, "enough") : 0;
}

static void who_is_told_may_end_it(void **state)
{
    struct range_top *t = range_top_new(NULL, &PATH_APP, false);
    unsigned n = 0;
    struct range_top_ask ask = {.k = 3, .fn = end_at_second, .arg = &n};
    struct err err;
    (void)state;

    count_path(t, "/a", 1);
    count_path(t, "/b", 2);
    count_path(t, "/c", 3);
    assert_int_equal(range_top_best(t, &ask, &err), ERR_LIMIT);
    assert_int_equal(n, 2);
    range_top_free(&t);
}

CHECK_MAIN(cmocka_unit_test(the_greatest_and_the_least_come_in_order),
           cmocka_unit_test(equal_ones_come_by_their_labels),
           cmocka_unit_test(groups_are_told_apart_by_the_values_of_their_names),
           cmocka_unit_test(by_bytes_these_decide), cmocka_unit_test(the_best_of_many_are_exact),
           cmocka_unit_test(cleared_it_has_nothing_and_counts_anew),
           cmocka_unit_test(it_stays_within_the_budget),
           cmocka_unit_test(too_many_names_are_refused), cmocka_unit_test(who_is_told_may_end_it))
