/* query/pieces.c, query_cache.c: what is kept is found again, and never when something changed. */
#include "query/query_cache.h"

#include "tests/lib/check.h"
#include "tests/unit/query/fake_source.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define HOURS(n) ((ts_ns)(n)*NS_PER_H)

enum { LARGE = 16 << 20, ANSWER_MAX = 4 << 20 };

static const struct str TENANT = STR_INIT("t");

struct world {
    struct fake fake;
    struct query_cache *cache;
    struct query_params p;
    struct buf with, without;
};

/* Records all 97 s of ten hours; everything before the ninth is closed. */
static void setup(struct world *w)
{
    char line[100];

    *w = (struct world){.p = {.start = HOURS(1), .end = HOURS(10), .step = 60 * NS_PER_S}};
    fake_init(&w->fake);
    for (int i = 0; (ts_ns)i * 97 * NS_PER_S < HOURS(10); i++) {
        (void)snprintf(line, sizeof(line), "n=%d took=%dms", i % 17, i % 100);
        fake_add(&w->fake, i % 3 == 0 ? "{app=\"a\"}" : "{app=\"b\"}", NULL,
                 (ts_ns)i * 97 * NS_PER_S, str_of(line));
    }
    w->fake.per_batch = 1000;
    w->fake.state = 5;
    w->fake.closed = HOURS(9);
    w->cache = query_cache_new(LARGE, NULL);
    w->p.tenants = &TENANT;
    w->p.n_tenants = 1;
    buf_init(&w->with, ANSWER_MAX);
    buf_init(&w->without, ANSWER_MAX);
}

static void teardown(struct world *w)
{
    fake_fini(&w->fake);
    query_cache_free(&w->cache);
    buf_fini(&w->with);
    buf_fini(&w->without);
}

/* The same answer with and without; returns how many scans it took with. */
static unsigned check_same(struct world *w, const char *text)
{
    unsigned scans;

    w->p.cache = NULL;
    assert_int_equal(fake_run(&w->fake, text, &w->p, &w->without), 0);
    scans = w->fake.scans;
    w->p.cache = w->cache;
    assert_int_equal(fake_run(&w->fake, text, &w->p, &w->with), 0);
    assert_true(str_eq(buf_str(&w->with), buf_str(&w->without)));
    return w->fake.scans - scans;
}

static struct query_cache_stats stats(struct world *w)
{
    struct query_cache_stats st;

    query_cache_stats(w->cache, &st);
    return st;
}

static void a_closed_range_is_read_once(void **state)
{
    struct world w;
    (void)state;

    setup(&w);
    w.p.end = HOURS(9) - 60 * NS_PER_S;
    w.p.start = HOURS(1);
    assert_int_equal(check_same(&w, "sum by (app) (count_over_time({app=~\".+\"}[5m]))"), 1);
    assert_int_equal(stats(&w).pieces, 8 * 4);
    assert_int_equal(check_same(&w, "sum by (app) (count_over_time({app=~\".+\"}[5m]))"), 0);
    assert_int_equal(stats(&w).hits, 8 * 4);
    teardown(&w);
}

static void what_is_open_is_read_each_time(void **state)
{
    const char *query = "sum(rate({app=~\".+\"}[3m]))";
    struct world w;
    (void)state;

    setup(&w);
    w.p.start = HOURS(1) + 30 * 60 * NS_PER_S;
    assert_int_equal(check_same(&w, query), 1);
    assert_int_equal(stats(&w).pieces, 30); /* up to the ninth hour */
    assert_int_equal(check_same(&w, query), 1);
    assert_true(w.fake.asked.from > HOURS(8));
    w.p.start += HOURS(2); /* as a dashboard moves on */
    assert_int_equal(check_same(&w, query), 1);
    teardown(&w);
}

static void what_lies_at_the_ends_is_kept_for_the_same_question(void **state)
{
    const char *query = "sum(rate({app=~\".+\"}[3m]))";
    struct world w;
    (void)state;

    setup(&w);
    w.p.start = HOURS(1) + 7 * 60 * NS_PER_S;
    w.p.end = HOURS(2) + 7 * 60 * NS_PER_S;
    assert_int_equal(check_same(&w, query), 1);
    assert_int_equal(check_same(&w, query), 0);
    w.p.start += 60 * NS_PER_S;
    w.p.end += 60 * NS_PER_S;
    assert_int_equal(check_same(&w, query), 2); /* the ends */
    teardown(&w);
}

static void what_changed_is_read_again(void **state)
{
    const char *query = "sum(count_over_time({app=\"a\"}[10m]))";
    struct world w;
    (void)state;

    setup(&w);
    w.p.end = HOURS(8) - 60 * NS_PER_S;
    (void)check_same(&w, query);
    fake_add(&w.fake, "{app=\"a\"}", NULL, HOURS(3) + 7, STR("late"));
    w.fake.state++;
    assert_int_equal(check_same(&w, query), 1);
    assert_int_equal(check_same(&w, query), 0);
    teardown(&w);
}

static void each_question_has_pieces_of_its_own(void **state)
{
    static const char *const QUERIES[] = {
        "count_over_time({app=~\".+\"}[5m])",
        "count_over_time({app=~\".+\"}[6m])",
        "count_over_time({app=~\".+\"}[5m] offset 1h)",
        "count_over_time({app=~\".+\"}[5m] offset -1h)",
        "sum by (app) (count_over_time({app=~\".+\"}[5m]))",
        "sum(count_over_time({app=~\".+\"} | logfmt | n > 3 [5m]))",
        "quantile_over_time(0.5, {app=~\".+\"} | logfmt | unwrap n [20m]) by (app)",
        "avg_over_time({app=~\".+\"} | logfmt | unwrap duration(took) [20m]) by (app)",
        "sum(rate({app=\"a\"}[5m])) / sum(rate({app=~\".+\"}[5m]))",
        "topk(1, sum by (app) (count_over_time({app=~\".+\"}[1h])))",
        "absent_over_time({app=\"none\"}[5m])",
        "max_over_time({app=~\".+\"} | logfmt | unwrap n [2h]) by (app)",
    };
    static const dur_ns STEPS[] = {60 * NS_PER_S, 61 * NS_PER_S, 300 * NS_PER_S, NS_PER_H};
    struct world w;
    (void)state;

    setup(&w);
    for (unsigned round = 0; round < 3; round++)
        for (size_t s = 0; s < sizeof(STEPS) / sizeof(STEPS[0]); s++)
            for (size_t i = 0; i < sizeof(QUERIES) / sizeof(QUERIES[0]); i++) {
                w.p.step = STEPS[s];
                w.p.start = HOURS(1) + (ts_ns)round * 20 * 60 * NS_PER_S;
                (void)check_same(&w, QUERIES[i]);
            }
    assert_true(stats(&w).hits > 100);
    teardown(&w);
}

static void tenants_do_not_share(void **state)
{
    static const struct str OTHER = STR_INIT("u");
    struct world w;
    (void)state;

    setup(&w);
    w.p.end = HOURS(8) - 60 * NS_PER_S;
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"), 1);
    w.p.tenants = &OTHER;
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"), 1);
    teardown(&w);
}

static void what_asks_for_the_time_is_not_kept(void **state)
{
    struct world w;
    (void)state;

    setup(&w);
    (void)check_same(&w, "sum(count_over_time({app=\"a\"} | line_format \"{{now.Year}}\" [10m]))");
    (void)check_same(&w, "sum by (year) (count_over_time({app=\"a\"} "
                         "| label_format year=\"{{\\nnow.Year}}\" [10m]))");
    assert_int_equal(stats(&w).pieces, 0);
    (void)check_same(&w, "sum(count_over_time({app=\"a\"} != \"unknown\" [10m]))");
    assert_true(stats(&w).pieces > 0); /* this is a word like any other */
    teardown(&w);
}

static void it_is_bounded_and_the_least_used_goes(void **state)
{
    struct world w;
    uint64_t bytes;
    (void)state;

    setup(&w);
    w.p.start = HOURS(1);
    w.p.end = HOURS(3) - 60 * NS_PER_S;
    (void)check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))");
    bytes = stats(&w).bytes / 2; /* of a piece */
    query_cache_free(&w.cache);
    w.cache = query_cache_new(10 * bytes, NULL);
    w.p.end = HOURS(9) - 60 * NS_PER_S;
    (void)check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"); /* 8 pieces */
    (void)check_same(&w, "sum(count_over_time({app=\"b\"}[10m]))");
    assert_true(stats(&w).bytes <= 10 * bytes);
    assert_true(stats(&w).evictions >= 6);
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"b\"}[10m]))"), 0);
    assert_int_equal(check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))"), 1);
    teardown(&w);
}

static void it_is_charged_and_gives_way_where_memory_is_short(void **state)
{
    struct mem_budget budget = {.name = "server"};
    struct world w;
    size_t used;
    (void)state;

    setup(&w);
    query_cache_free(&w.cache);
    w.cache = query_cache_new(LARGE, &budget);
    (void)check_same(&w, "sum(count_over_time({app=\"a\"}[10m]))");
    used = budget.used;
    assert_int_equal(used, stats(&w).bytes);
    budget.limit = used + used / 4;
    (void)check_same(&w, "sum(count_over_time({app=\"b\"}[10m]))");
    assert_true(stats(&w).evictions > 0);
    assert_true(stats(&w).pieces > 0); /* of the second */
    assert_true(budget.peak <= budget.limit);
    budget.limit = 1;
    (void)check_same(&w, "sum(count_over_time({app=~\"a|b\"}[10m]))");
    assert_true(stats(&w).refused > 0);
    assert_int_equal(stats(&w).pieces, 0);
    assert_int_equal(budget.used, 0);
    query_cache_free(&w.cache);
    teardown(&w);
}

/* ---- many at once ---- */

enum { CLIENTS = 6, HOURS_EACH = 3 };

static const char QUERY[] = "sum by (app) (count_over_time({app=~\".+\"}[5m]))";

/* Scans wait here until the test lets them. */
static struct gate {
    pthread_mutex_t mutex; /* guards what is below */
    pthread_cond_t moved;
    unsigned opened; /* scans that came */
    bool is_open;
} gate;

/* Each has records of its own, that are the same, and all have one cache. */
static struct client {
    struct world w;
    atomic_bool cancel;
    bool fails; /* at the gate, at once; under its mutex */
    int result;
    bool is_joined;
    pthread_t thread;
} clients[CLIENTS];

static struct query_cache *shared;
static struct query_cache_stats at_end;

static int at_gate(void *arg, const struct scan_request *req, struct err *err)
{
    struct client *cl = arg;
    bool cancelled = false;
    bool fails;

    (void)pthread_mutex_lock(&gate.mutex);
    gate.opened++;
    (void)pthread_cond_broadcast(&gate.moved);
    while (!gate.is_open && !cancelled && !cl->fails) {
        (void)pthread_cond_wait(&gate.moved, &gate.mutex);
        cancelled = req->cancel != NULL && atomic_load(req->cancel);
    }
    fails = cl->fails;
    (void)pthread_mutex_unlock(&gate.mutex);
    if (fails)
        return err_set(err, ERR_IO, "failed at the gate");
    return cancelled ? err_set(err, ERR_CANCELLED, "cancelled at the gate") : 0;
}

static void await_opened(unsigned n)
{
    (void)pthread_mutex_lock(&gate.mutex);
    while (gate.opened < n)
        (void)pthread_cond_wait(&gate.moved, &gate.mutex);
    (void)pthread_mutex_unlock(&gate.mutex);
}

static void open_gate(void)
{
    (void)pthread_mutex_lock(&gate.mutex);
    gate.is_open = true;
    (void)pthread_cond_broadcast(&gate.moved);
    (void)pthread_mutex_unlock(&gate.mutex);
}

static void cancel_client(struct client *cl)
{
    (void)pthread_mutex_lock(&gate.mutex);
    atomic_store(&cl->cancel, true);
    (void)pthread_cond_broadcast(&gate.moved);
    (void)pthread_mutex_unlock(&gate.mutex);
}

static void fail_client(struct client *cl)
{
    (void)pthread_mutex_lock(&gate.mutex);
    cl->fails = true;
    (void)pthread_cond_broadcast(&gate.moved);
    (void)pthread_mutex_unlock(&gate.mutex);
}

static void await_joined(uint64_t n)
{
    struct query_cache_stats st = {0};
    dur_ns deadline = time_mono() + 20 * NS_PER_S;

    while (st.joined < n && time_mono() < deadline)
        query_cache_stats(shared, &st);
    assert_true(st.joined >= n);
}

static void *run_client(void *arg)
{
    struct client *cl = arg;

    cl->result = fake_run(&cl->w.fake, QUERY, &cl->w.p, &cl->w.with);
    return NULL;
}

static void setup_clients(ts_ns closed)
{
    shared = query_cache_new(LARGE, NULL);
    gate = (struct gate){.opened = 0};
    (void)pthread_mutex_init(&gate.mutex, NULL);
    (void)pthread_cond_init(&gate.moved, NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *cl = &clients[i];
        setup(&cl->w);
        query_cache_free(&cl->w.cache);
        cl->fails = false;
        cl->w.fake.closed = closed;
        cl->w.p.end = HOURS(1 + HOURS_EACH) - 60 * NS_PER_S;
        cl->w.p.step = 300 * NS_PER_S; /* pieces are hours */
        assert_int_equal(fake_run(&cl->w.fake, QUERY, &cl->w.p, &cl->w.without), 0);
        cl->w.fake.on_open = at_gate;
        cl->w.fake.on_open_arg = cl;
        cl->w.p.cache = shared;
        cl->w.p.cancel = &cl->cancel;
        atomic_init(&cl->cancel, false);
    }
}

static void start_client(struct client *cl)
{
    cl->is_joined = false;
    assert_int_equal(pthread_create(&cl->thread, NULL, run_client, cl), 0);
}

/* The first has begun to read, and is at the gate; the others wait for `joined` pieces of it. */
static void start_clients(uint64_t joined)
{
    start_client(&clients[0]);
    await_opened(1);
    for (size_t i = 1; i < CLIENTS; i++)
        start_client(&clients[i]);
    await_joined(joined);
}

static void join_client(struct client *cl)
{
    if (!cl->is_joined)
        (void)pthread_join(cl->thread, NULL);
    cl->is_joined = true;
}

/* Returns how many have the right answer. */
static unsigned end_clients(void)
{
    unsigned right = 0;

    for (size_t i = 0; i < CLIENTS; i++) {
        struct client *cl = &clients[i];
        join_client(cl);
        right += cl->result == 0 && str_eq(buf_str(&cl->w.with), buf_str(&cl->w.without));
        teardown(&cl->w);
    }
    query_cache_stats(shared, &at_end);
    query_cache_free(&shared);
    (void)pthread_cond_destroy(&gate.moved);
    (void)pthread_mutex_destroy(&gate.mutex);
    return right;
}

static void what_many_ask_at_once_is_read_once(void **state)
{
    (void)state;

    setup_clients(HOURS(9));
    start_clients(HOURS_EACH * (CLIENTS - 1));
    open_gate();
    assert_int_equal(end_clients(), CLIENTS);
    assert_int_equal(gate.opened, 1);
}

static void when_the_reader_is_cancelled_another_reads(void **state)
{
    (void)state;

    setup_clients(HOURS(9));
    start_clients(HOURS_EACH * (CLIENTS - 1));
    cancel_client(&clients[0]);
    await_opened(2);
    open_gate();
    assert_int_equal(end_clients(), CLIENTS - 1);
    assert_int_equal(clients[0].result, ERR_CANCELLED);
}

/* Of each piece one alone tries again, and the others wait for that: so many join.  Two may share
 * the pieces between them. */
static void when_the_reader_fails_one_other_reads(void **state)
{
    (void)state;

    setup_clients(HOURS(9));
    start_clients(HOURS_EACH * (CLIENTS - 1));
    fail_client(&clients[0]);
    await_joined(HOURS_EACH * (CLIENTS - 1) + HOURS_EACH * (CLIENTS - 2));
    open_gate();
    assert_int_equal(end_clients(), CLIENTS - 1);
    assert_int_equal(clients[0].result, ERR_IO);
    assert_int_equal(at_end.joined, HOURS_EACH * (CLIENTS - 1) + HOURS_EACH * (CLIENTS - 2));
    assert_in_range(gate.opened, 2, 1 + HOURS_EACH);
}

static void who_waits_can_be_cancelled(void **state)
{
    (void)state;

    setup_clients(HOURS(9));
    start_clients(HOURS_EACH * (CLIENTS - 1));
    cancel_client(&clients[1]);
    join_client(&clients[1]); /* while the gate is shut */
    assert_int_equal(clients[1].result, ERR_CANCELLED);
    open_gate();
    assert_int_equal(end_clients(), CLIENTS - 1);
    assert_int_equal(gate.opened, 1);
}

/* What may change is shared by those alone who asked before it was read. */
static void open_time_is_read_for_those_who_came_before(void **state)
{
    (void)state;

    setup_clients(0);
    start_clients(HOURS_EACH * (CLIENTS - 2)); /* the second has the next reading */
    open_gate();
    assert_int_equal(end_clients(), CLIENTS);
    assert_in_range(gate.opened, 2, 4); /* hours may be of different clients */
    assert_int_equal(at_end.pieces, 0); /* nothing of it is kept */
}

struct waits {
    bool may;
    _Atomic unsigned begun, ended;
};

static bool begin_waiting(void *arg)
{
    struct waits *w = arg;

    if (w->may)
        atomic_fetch_add(&w->begun, 1);
    return w->may;
}

static void end_waiting(void *arg)
{
    atomic_fetch_add(&((struct waits *)arg)->ended, 1);
}

static void who_waits_says_so(void **state)
{
    struct waits w = {.may = true};
    const struct query_waiting waiting = {&w, begin_waiting, end_waiting};
    (void)state;

    setup_clients(HOURS(9));
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i].w.p.waiting = &waiting;
    start_client(&clients[0]);
    await_opened(1);
    assert_int_equal(w.begun, 0); /* who reads does not wait */
    for (size_t i = 1; i < CLIENTS; i++)
        start_client(&clients[i]);
    await_joined(HOURS_EACH * (CLIENTS - 1));
    open_gate();
    assert_int_equal(end_clients(), CLIENTS);
    assert_int_equal(w.begun, CLIENTS - 1);
    assert_int_equal(w.ended, CLIENTS - 1);
}

static void check_all_read(ts_ns closed)
{
    struct waits w = {.may = false};
    const struct query_waiting waiting = {&w, begin_waiting, end_waiting};

    setup_clients(closed);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i].w.p.waiting = &waiting;
        start_client(&clients[i]);
        await_opened(1); /* the first has claimed all */
    }
    await_opened(CLIENTS); /* comes to an end only if nobody waits for another */
    open_gate();
    assert_int_equal(end_clients(), CLIENTS);
    assert_int_equal(at_end.alone, HOURS_EACH * (CLIENTS - 1));
    assert_int_equal(w.ended, 0);
}

static void who_may_not_wait_reads_alone(void **state)
{
    (void)state;
    check_all_read(HOURS(9));
    check_all_read(0);
}

CHECK_MAIN(cmocka_unit_test(a_closed_range_is_read_once),
           cmocka_unit_test(what_is_open_is_read_each_time),
           cmocka_unit_test(what_lies_at_the_ends_is_kept_for_the_same_question),
           cmocka_unit_test(what_changed_is_read_again),
           cmocka_unit_test(each_question_has_pieces_of_its_own),
           cmocka_unit_test(tenants_do_not_share),
           cmocka_unit_test(what_asks_for_the_time_is_not_kept),
           cmocka_unit_test(it_is_bounded_and_the_least_used_goes),
           cmocka_unit_test(it_is_charged_and_gives_way_where_memory_is_short),
           cmocka_unit_test(what_many_ask_at_once_is_read_once),
           cmocka_unit_test(who_waits_says_so), cmocka_unit_test(who_may_not_wait_reads_alone),
           cmocka_unit_test(when_the_reader_is_cancelled_another_reads),
           cmocka_unit_test(when_the_reader_fails_one_other_reads),
           cmocka_unit_test(who_waits_can_be_cancelled),
           cmocka_unit_test(open_time_is_read_for_those_who_came_before))
