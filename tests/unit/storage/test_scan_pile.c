/* storage/scan_pile.c: rows of many blocks come to the cells together, each once, and the cells are
 * asked for at once. */
#include "storage/scan_tally.h"

#include "base/map.h"
#include "tests/lib/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMBOS_MAX = 10000, BUCKETS = 3, STREAMS = 2, NO_LIMIT = COMBOS_MAX + 1 };

/* A count whose cells are numbered by the value of their only attribute. */
struct world {
    struct mem_budget budget;
    struct scan sc;
    struct scan_count count;
    struct scan_counter k;
    struct scan_candidate candidate;
    struct scan_selection s;
    struct scan_stream stream[STREAMS];
    struct scan_cells cells[STREAMS][COMBOS_MAX];
    uint64_t rows[STREAMS][COMBOS_MAX][BUCKETS];
    size_t asked, limit;
};

static const struct str ATTR = STR_INIT("user");

static int give_cells(void *arg, const struct scan_key *key, struct scan_cells **ret,
                      struct err *err)
{
    struct world *w = arg;
    size_t stream = key->stream == &w->stream[1].labels;
    uint64_t n;

    assert_int_equal(key->n_attr, 1);
    assert_true(str_to_u64(key->attr[0].value, &n) && n < COMBOS_MAX);
    if (++w->asked > w->limit)
        return err_set(err, ERR_LIMIT, "too many");
    w->cells[stream][n].rows = w->rows[stream][n];
    *ret = n == 13 ? NULL : &w->cells[stream][n]; /* that one does not count */
    return 0;
}

static struct world *setup(void)
{
    struct world *w = mem_new(sizeof(*w));

    w->budget.name = "query";
    w->limit = NO_LIMIT;
    w->sc.req.budget = &w->budget;
    w->count = (struct scan_count){.attrs = &ATTR, .n_attrs = 1, .cells = give_cells, .arg = w};
    w->k = (struct scan_counter){
        .c = &w->count, .sc = &w->sc, .arena = arena_new(NULL, 0), .asking = arena_new(NULL, 0)};
    (void)pthread_mutex_init(&w->k.mutex, NULL);
    (void)pthread_mutex_init(&w->k.combo_mutex, NULL);
    scan_combos_init(&w->k.combos, &w->count, &w->k.combo_mutex);
    w->s.block.worker = &w->sc.worker[0];
    w->s.block.candidate = &w->candidate;
    return w;
}

static void teardown(struct world *w)
{
    scan_pile_free(&w->sc.worker[0].pile, &w->budget);
    assert_int_equal(w->budget.used, 0);
    scan_combos_fini(&w->k.combos);
    arena_free(&w->k.arena);
    arena_free(&w->k.asking);
    (void)pthread_mutex_destroy(&w->k.mutex);
    (void)pthread_mutex_destroy(&w->k.combo_mutex);
    free(w);
}

static uint32_t combo_of(struct world *w, unsigned user)
{
    char text[16];
    struct label attr = {ATTR, {text, (size_t)snprintf(text, sizeof(text), "%u", user)}};
    uint32_t ret = 0;
    struct err err;

    assert_int_equal(scan_combos_find(&w->k.combos, &attr, 1, &ret, &err), 0);
    return ret;
}

/* A block whose rows are of users first, first + 1 ..., `each` times. */
struct block {
    unsigned first, users, each;
    size_t stream, bucket;
};

static int add(struct world *w, const struct block *b, struct err *err)
{
    size_t n = (size_t)b->users * b->each;
    uint32_t *combo = calloc(n, sizeof(*combo));
    const struct scan_tally_key key = {&w->stream[b->stream], 0, b->bucket};
    int r;

    for (size_t i = 0; i < n; i++)
        combo[i] = combo_of(w, b->first + (unsigned)i % b->users);
    w->candidate.block.rows = (uint32_t)n;
    r = scan_pile_add(&w->k, &w->s, combo, &key, err);
    free(combo);
    return r;
}

static void must_add(struct world *w, struct block b)
{
    struct err err;

    if (add(w, &b, &err) != 0)
        fail_msg("%s", err.text);
}

static void end(struct world *w)
{
    struct err err;

    assert_int_equal(scan_pile_end(&w->k, &w->sc.worker[0], &err), 0);
}

static void blocks_of_a_bucket_come_to_the_cells_together(void **state)
{
    struct world *w = setup();
    (void)state;

    must_add(w, (struct block){.first = 0, .users = 5, .each = 3, .bucket = 1});
    assert_int_equal(w->asked, 5); /* at once */
    must_add(w, (struct block){.first = 3, .users = 4, .each = 1, .bucket = 1});
    assert_int_equal(w->asked, 7);
    assert_int_equal(w->rows[0][0][1], 0);
    end(w);
    for (unsigned i = 0; i < 7; i++)
        assert_int_equal(w->rows[0][i][1], (i < 5 ? 3 : 0) + (i >= 3 ? 1 : 0));
    end(w); /* nothing comes twice */
    must_add(w, (struct block){.first = 0, .users = 1, .each = 2, .bucket = 1});
    end(w);
    assert_int_equal(w->rows[0][0][1], 3 + 2);
    assert_int_equal(w->rows[0][1][1], 3);
    assert_int_equal(w->asked, 7);
    teardown(w);
}

static void another_bucket_or_stream_begins_another_pile(void **state)
{
    struct world *w = setup();
    (void)state;

    must_add(w, (struct block){.users = 2, .each = 3, .bucket = 1});
    must_add(w, (struct block){.users = 2, .each = 1, .bucket = 2});
    assert_int_equal(w->rows[0][1][1], 3);
    assert_int_equal(w->rows[0][1][2], 0);
    must_add(w, (struct block){.users = 2, .each = 5, .stream = 1, .bucket = 2});
    assert_int_equal(w->rows[0][1][2], 1);
    assert_int_equal(w->rows[1][1][2], 0);
    end(w);
    assert_int_equal(w->rows[1][1][2], 5);
    assert_int_equal(w->rows[1][1][1], 0);
    assert_int_equal(w->rows[0][1][0], 0);
    teardown(w);
}

static void only_selected_rows_count(void **state)
{
    struct world *w = setup();
    uint64_t bits = 0x5; /* of four */
    (void)state;

    w->s.bits = &bits;
    must_add(w, (struct block){.users = 4, .each = 1});
    assert_int_equal(w->asked, 2);
    end(w);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(w->rows[0][i][0], i % 2 == 0);
    teardown(w);
}

static void what_the_cells_have_against_a_row_ends_it_at_once(void **state)
{
    struct world *w = setup();
    const struct block b = {.users = 9, .each = 2};
    struct err err;
    (void)state;

    w->limit = 6;
    assert_int_equal(add(w, &b, &err), ERR_LIMIT);
    assert_int_equal(w->asked, 7);
    teardown(w);
}

static void rows_that_do_not_count_are_left_out(void **state)
{
    struct world *w = setup();
    (void)state;

    must_add(w, (struct block){.first = 12, .users = 3, .each = 2});
    end(w);
    assert_int_equal(w->rows[0][12][0], 2);
    assert_int_equal(w->rows[0][13][0], 0);
    assert_int_equal(w->rows[0][14][0], 2);
    teardown(w);
}

/* It grows while it has rows. */
static void many_combinations_have_their_own_rows(void **state)
{
    enum { SOME = 3000 };
    struct world *w = setup();
    (void)state;

    must_add(w, (struct block){.users = SOME, .each = 2});
    must_add(w, (struct block){.users = COMBOS_MAX, .each = 1});
    end(w);
    for (unsigned i = 0; i < COMBOS_MAX; i++)
        assert_int_equal(w->rows[0][i][0], i == 13 ? 0 : i < SOME ? 3 : 1);
    assert_true(w->budget.used >= COMBOS_MAX * 2 * sizeof(uint32_t));
    for (unsigned i = 0; i < 3; i++) { /* one pile after the other in the same place */
        must_add(w, (struct block){.users = COMBOS_MAX, .each = 1, .bucket = 1});
        end(w);
    }
    assert_int_equal(w->rows[0][0][1], 3);
    teardown(w);
}

static void it_stays_within_the_budget(void **state)
{
    struct world *w = setup();
    const struct block b = {.users = COMBOS_MAX, .each = 1};
    struct err err;
    (void)state;

    w->budget.limit = 50000;
    must_add(w, (struct block){.users = 10, .each = 7});
    assert_int_equal(add(w, &b, &err), ERR_NOMEM);
    assert_true(w->budget.peak <= w->budget.limit);
    end(w); /* what it had is not lost */
    assert_int_equal(w->rows[0][9][0], 7);
    teardown(w);
}

/* Some rows of a combination at a time, of numbers that there were none of when it began. */
static void rows_may_come_in_pieces(void **state)
{
    enum { SOME = 6000 };
    struct world *w = setup();
    struct scan_worker *worker = &w->sc.worker[0];
    const struct scan_tally_key key = {&w->stream[0], 0, 2};
    struct err err;
    size_t from;
    (void)state;

    must_add(w, (struct block){.users = 10, .each = 1, .bucket = 2});
    from = worker->pile.n;
    assert_int_equal(scan_pile_begin(&w->k, worker, &key, SOME * 3, &err), 0);
    for (unsigned i = 0; i < SOME; i++) {
        assert_int_equal(scan_pile_put(&w->k, worker, combo_of(w, i), 1, &err), 0);
        assert_int_equal(scan_pile_put(&w->k, worker, combo_of(w, i), 2, &err), 0);
    }
    assert_int_equal(w->asked, 10);
    assert_int_equal(scan_pile_ask(&w->k, worker, from, &err), 0);
    assert_int_equal(w->asked, SOME);
    end(w);
    for (unsigned i = 0; i < SOME; i++)
        assert_int_equal(w->rows[0][i][2], i == 13 ? 0 : i < 10 ? 4 : 3);
    teardown(w);
}

/* Counters have 32 bits: a pile ends before they could overflow. */
static void a_pile_ends_before_its_counters_are_full(void **state)
{
    struct world *w = setup();
    (void)state;

    must_add(w, (struct block){.users = 1, .each = 2});
    w->sc.worker[0].pile.sum = UINT32_MAX - 2;
    must_add(w, (struct block){.users = 1, .each = 3});
    assert_int_equal(w->rows[0][0][0], 2);
    end(w);
    assert_int_equal(w->rows[0][0][0], 5);
    teardown(w);
}

CHECK_MAIN(cmocka_unit_test(blocks_of_a_bucket_come_to_the_cells_together),
           cmocka_unit_test(another_bucket_or_stream_begins_another_pile),
           cmocka_unit_test(only_selected_rows_count),
           cmocka_unit_test(what_the_cells_have_against_a_row_ends_it_at_once),
           cmocka_unit_test(rows_that_do_not_count_are_left_out),
           cmocka_unit_test(many_combinations_have_their_own_rows),
           cmocka_unit_test(rows_may_come_in_pieces), cmocka_unit_test(it_stays_within_the_budget),
           cmocka_unit_test(a_pile_ends_before_its_counters_are_full))
