/* Unit tests of query/source_batch: a query on one batch in memory, as followers run it. */
#include "query/source_batch.h"

#include "tests/lib/check.h"

#include <stdlib.h>

struct fixture {
    struct mem_budget budget;
    struct batch *b;
    struct buf got;
};

static void add(struct fixture *f, const char *app, ts_ns ts, const char *line)
{
    struct label l[] = {{STR("app"), str_of(app)}};
    struct labels labels = {l, 1};
    struct record rec = {.ts = ts, .seq = f->b->n_records + 1, .line = str_of(line)};
    struct err err;

    assert_int_equal(batch_stream(f->b, &labels, &rec.stream, &err), 0);
    assert_int_equal(batch_add(f->b, &rec, &err), 0);
}

static int setup(void **state)
{
    struct fixture *f = mem_new(sizeof(*f));

    f->budget = (struct mem_budget){.name = "test", .limit = 64 << 20};
    f->b = batch_new(NULL, 0);
    buf_init(&f->got, 1 << 16);
    add(f, "web", 5, "level=info n=5 GET /a");
    add(f, "db", 4, "level=info n=4 GET");
    add(f, "web", 3, "level=error n=3 PUT /b");
    add(f, "web", 9, "level=error n=9 GET /c");
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    batch_unref(&f->b);
    buf_fini(&f->got);
    assert_int_equal(f->budget.used, 0);
    free(f);
    return 0;
}

static int note(void *arg, const struct query_entry *e)
{
    struct fixture *f = arg;
    struct str n = labels_get(&e->parsed, STR("n"));

    buf_addf(&f->got, "%d:%.*s ", (int)e->seq, STR_ARG(n));
    return str_eq(n, STR("3")) ? ERR_CANCELLED : 0;
}

/* "seq:n ..." of what passes. */
static void check(struct fixture *f, const char *text, const char *want)
{
    const struct query_params p = {.budget = &f->budget};
    struct query *q = NULL;
    struct err err;

    if (query_parse(str_of(text), &q, NULL, NULL, &err) < 0)
        fail_msg("%s", err.text);
    buf_clear(&f->got);
    (void)query_run_batch(q, f->b, &p, note, f, &err);
    check_str(buf_str(&f->got), want);
    query_unref(&q);
}

static void records_come_in_the_order_of_the_batch(void **state)
{
    check(*state, "{app=~\".+\"} != \"PUT\"", "1: 2: 4: ");
}

static void matchers_filters_and_stages_decide(void **state)
{
    struct fixture *f = *state;

    check(f, "{app=\"web\"}", "1: 3: 4: ");
    check(f, "{app=\"none\"}", "");
    check(f, "{app=\"web\"} |= \"GET\"", "1: 4: ");
    check(f, "{app=\"web\"} |= \"PUT\" or \"/c\"", "3: 4: ");
    check(f, "{app=\"web\"} != \"PUT\" or \"/c\"", "1: ");
    check(f, "{app=\"web\"} |~ \"G.T /[b-z]\"", "4: ");
    check(f, "{app=\"web\"} !~ \"/[bc]\" | logfmt", "1:5 ");
    check(f, "{app=~\"web|db\"} | logfmt | n > 4", "1:5 4:9 ");
    check(f, "{app=~\"web|db\"} | logfmt | level=\"error\" | n != 3", "4:9 ");
}

static void a_caller_may_end_the_run(void **state)
{
    check(*state, "{app=\"web\"} | logfmt", "1:5 3:3 "); /* says so at 3 */
}

static void without_memory_it_is_an_error(void **state)
{
    struct fixture *f = *state;
    const struct query_params p = {.budget = &f->budget};
    struct query *q = NULL;
    struct err err;

    f->budget.limit = 100;
    assert_int_equal(query_parse(STR("{app=\"web\"} | logfmt"), &q, NULL, NULL, &err), 0);
    assert_int_equal(query_run_batch(q, f->b, &p, note, f, &err), ERR_NOMEM);
    query_unref(&q);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
CHECK_MAIN(T(records_come_in_the_order_of_the_batch), T(matchers_filters_and_stages_decide),
           T(a_caller_may_end_the_run), T(without_memory_it_is_an_error))
