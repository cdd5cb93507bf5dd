/* server/tail*.c: the hub without connections.  What followers get, what it costs, what they lose.
 */
#include "server/tail.h"

#include "server/metrics.h"
#include "server/workers.h"
#include "tests/lib/feed.h"
#include "tests/lib/wait.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 10, LINE_MAX_BYTES = 1 << 20, ALL_MAX = 64 << 20 };

struct follower {
    struct tail *tail;
    bool takes; /* more than it was given */
    struct buf got;
    unsigned calls;
    int failed; /* its code */
    size_t got_then;
};

struct world {
    struct server server;
    struct tail_hub *hub;
    struct follower v[MANY];
    size_t n;
    uint64_t seq;
    char line[LINE_MAX_BYTES];
};

static bool on_bytes(void *arg, struct str bytes)
{
    struct follower *f = arg;

    buf_add_str(&f->got, bytes);
    f->calls++;
    return f->takes;
}

static void on_failed(void *arg, const struct err *why)
{
    struct follower *f = arg;

    f->failed = why->code;
    f->got_then = f->got.n;
    tail_close(&f->tail);
}

static struct world *setup(size_t n, const char *const *queries)
{
    static const struct str TENANT = STR_INIT("t");
    struct world *w = mem_new(sizeof(*w));
    struct err err;

    metrics_setup();
    w->server.magic = SERVER_MAGIC;
    w->server.memory.name = "server";
    w->server.conf.query.tails = MANY;
    w->n = n;
    memset(w->line, 'x', sizeof(w->line));
    assert_int_equal(loop_new(&w->server.loop, &err), 0);
    assert_int_equal(tail_hub_open(&w->server, &w->hub, &err), 0);
    for (size_t i = 0; i < n; i++) {
        struct tail_options opt = {.tenants = &TENANT,
                                   .n_tenants = 1,
                                   .form = TAIL_EVENTS,
                                   .bytes = on_bytes,
                                   .failed = on_failed,
                                   .arg = &w->v[i]};
        buf_init(&w->v[i].got, ALL_MAX);
        assert_int_equal(query_parse(str_of(queries[i]), &opt.query, NULL, NULL, &err), 0);
        assert_int_equal(tail_open(w->hub, &opt, &w->v[i].tail, &err), 0);
        query_unref(&opt.query);
    }
    return w;
}

static bool is_all_given_back(void *arg)
{
    return ((struct world *)arg)->server.memory.used == 0;
}

static void teardown(struct world *w)
{
    for (size_t i = 0; i < w->n; i++)
        tail_close(&w->v[i].tail);
    wait_check(w->server.loop, is_all_given_back, w, "all memory is given back");
    tail_hub_close(&w->hub);
    loop_free(&w->server.loop);
    for (size_t i = 0; i < w->n; i++)
        buf_fini(&w->v[i].got);
    free(w);
}

/* `n` records of one time with lines of so many bytes become durable together. */
static void observe(struct world *w, uint32_t n, size_t line_bytes)
{
    struct batch *b = batch_new(NULL, 0);
    struct label app = {STR("app"), STR("a")};
    struct labels l = {&app, 1};
    struct record rec = {.ts = 1};
    struct err err;

    assert_int_equal(batch_stream(b, &l, &rec.stream, &err), 0);
    for (uint32_t i = 0; i < n; i++) {
        rec.seq = ++w->seq;
        rec.line = arena_str(b->arena, (struct str){w->line, line_bytes});
        assert_int_equal(batch_add(b, &rec, &err), 0);
    }
    tail_hub_observe(w->hub, STR("t"), b);
    batch_unref(&b);
}

struct wanted {
    struct world *w;
    unsigned metric;
    uint64_t n;
};

static bool has_counted(void *arg)
{
    const struct wanted *want = arg;

    return metric_get(want->metric) >= want->n;
}

static void await(struct world *w, unsigned metric, uint64_t n)
{
    struct wanted want = {w, metric, n};

    wait_check(w->server.loop, has_counted, &want, "a metric");
}

static size_t count(const struct buf *b, const char *text)
{
    struct str rest = buf_str(b);
    size_t n = 0, at;

    for (; (at = str_find(rest, str_of(text))) != SIZE_MAX; n++)
        rest = str_from(rest, at + 1);
    return n;
}

static bool have_all(void *arg)
{
    struct world *w = arg;
    bool have = true;

    for (size_t i = 0; i < w->n; i++)
        have = have && count(&w->v[i].got, "data: ") == w->seq;
    return have;
}

static bool have_a_line(void *arg)
{
    struct world *w = arg;
    bool have = true;

    for (size_t i = 0; i < w->n; i++)
        have = have && count(&w->v[i].got, "data: {\"ts") == 1;
    return have;
}

static bool have_one_call(void *arg)
{
    struct world *w = arg;
    bool have = true;

    for (size_t i = 0; i < w->n; i++)
        have = have && w->v[i].calls == 1;
    return have;
}

static const char *const SAME[MANY] = {"{app=\"a\"}", "{app=\"a\"}", "{app=\"a\"}", "{app=\"a\"}",
                                       "{app=\"a\"}", "{app=\"a\"}", "{app=\"a\"}", "{app=\"a\"}",
                                       "{app=\"a\"}", "{app=\"a\"}"};

static void what_waits_for_many_is_held_and_charged_once(void **state)
{
    enum { LINE = 100000, LINES = 6 };
    struct world *w = setup(MANY, SAME);
    (void)state;

    for (size_t i = 0; i < LINES; i++)
        observe(w, 1, LINE);
    await(w, METRIC_TAIL_ENTRIES, MANY * LINES);
    wait_check(w->server.loop, have_one_call, w, "a first piece for each");
    assert_in_range(w->server.memory.used, (LINES - 1) * LINE, 2 * LINES * LINE);
    for (size_t i = 0; i < MANY; i++) {
        w->v[i].takes = true;
        tail_resume(w->v[i].tail);
    }
    wait_check(w->server.loop, have_all, w, "all lines for each");
    assert_int_equal(metric_get(METRIC_TAIL_DROPPED), 0);
    teardown(w);
}

static void who_takes_no_more_is_given_no_more(void **state)
{
    struct world *w = setup(1, SAME);
    (void)state;

    for (unsigned i = 1; i <= 3; i++)
        observe(w, 1, 10);
    await(w, METRIC_TAIL_ENTRIES, 3);
    wait_check(w->server.loop, have_one_call, w, "a first piece");
    tail_resume(w->v[0].tail); /* and is full again at once */
    assert_int_equal(w->v[0].calls, 2);
    teardown(w); /* with one that waits */
}

/* Of one that does not fit, nor would for the others: each is told, and counted. */
static void what_is_dropped_for_a_class_counts_for_each(void **state)
{
    struct world *w = setup(3, SAME);
    (void)state;

    for (size_t i = 0; i < w->n; i++)
        w->v[i].takes = true;
    w->server.memory.limit = LINE_MAX_BYTES / 2;
    observe(w, 1, LINE_MAX_BYTES);
    await(w, METRIC_TAIL_DROPPED, 3);
    observe(w, 1, 10);
    wait_check(w->server.loop, have_a_line, w, "the second line");
    for (size_t i = 0; i < w->n; i++)
        assert_int_equal(count(&w->v[i].got, "event: dropped\ndata: {\"entries\":1}\n\n"), 1);
    assert_int_equal(metric_get(METRIC_TAIL_DROPPED), 3);
    teardown(w);
}

static void batches_over_the_queue_are_lost_for_each(void **state)
{
    enum { LINES = 70 };
    struct world *w = setup(2, SAME);
    (void)state;

    for (size_t i = 0; i < w->n; i++)
        w->v[i].takes = true;
    observe(w, LINES, LINE_MAX_BYTES);
    await(w, METRIC_TAIL_DROPPED, (uint64_t)LINES * w->n);
    observe(w, 1, 10);
    await(w, METRIC_TAIL_ENTRIES, w->n);
    assert_int_equal(metric_get(METRIC_TAIL_DROPPED), LINES * w->n);
    teardown(w);
}

struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool is_open;
};

static void stand_in(void *arg)
{
    struct gate *g = arg;

    (void)pthread_mutex_lock(&g->mutex);
    while (!g->is_open)
        (void)pthread_cond_wait(&g->changed, &g->mutex);
    (void)pthread_mutex_unlock(&g->mutex);
}

static bool has_told_of_drops(void *arg)
{
    return count(&((struct follower *)arg)->got, "event: dropped") > 0;
}

/* What waits for somebody's history is nobody else's loss. */
static void a_slow_history_costs_who_asked_for_it_alone(void **state)
{
    enum { BATCHES = 80 };
    static const struct str TENANT = STR_INIT("t");
    struct gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};
    struct world *w = setup(1, SAME);
    struct follower *live = &w->v[0], *slow = &w->v[1];
    struct tail_options opt = {.tenants = &TENANT,
                               .n_tenants = 1,
                               .limit = 10,
                               .form = TAIL_EVENTS,
                               .bytes = on_bytes,
                               .failed = on_failed,
                               .arg = slow};
    struct feed feed;
    struct err err;

    (void)state;
    feed_init(&feed);
    feed_open(&feed);
    w->server.store = feed.s;
    w->n = 2;
    live->takes = slow->takes = true;
    buf_init(&slow->got, ALL_MAX);
    assert_int_equal(workers_new(1, 4, &w->server.workers, &err), 0);
    assert_true(workers_run(w->server.workers, TENANT, stand_in, &g));
    assert_int_equal(query_parse(STR("{app=\"a\"}"), &opt.query, NULL, NULL, &err), 0);
    assert_int_equal(tail_open(w->hub, &opt, &slow->tail, &err), 0);
    query_unref(&opt.query);
    for (unsigned i = 0; i < BATCHES; i++) {
        buf_clear(&live->got);
        observe(w, 1, LINE_MAX_BYTES);
        await(w, METRIC_TAIL_ENTRIES, i + 1);
    }
    assert_in_range(metric_get(METRIC_TAIL_DROPPED), BATCHES / 2, BATCHES - 16);
    wait_check(w->server.loop, has_told_of_drops, slow, "the loss to be told");
    assert_int_equal(count(&live->got, "event: dropped"), 0);
    (void)pthread_mutex_lock(&g.mutex);
    g.is_open = true;
    (void)pthread_cond_broadcast(&g.changed);
    (void)pthread_mutex_unlock(&g.mutex);
    await(w, METRIC_TAIL_ENTRIES, BATCHES + 1); /* what was kept for it */
    workers_free(&w->server.workers);
    teardown(w);
    feed_fini(&feed);
}

static bool has_failed(void *arg)
{
    return ((struct world *)arg)->v[0].failed != 0;
}

/* Even who is full gets what waited for him before it. */
static void a_failure_comes_last(void **state)
{
    struct world *w = setup(1, SAME);
    (void)state;

    observe(w, 1, 10);
    observe(w, 1, 10);
    await(w, METRIC_TAIL_ENTRIES, 2);
    w->server.memory.limit = 1;
    observe(w, 1, 10);
    wait_check(w->server.loop, has_failed, w, "a failure");
    assert_int_equal(w->v[0].failed, ERR_NOMEM);
    assert_int_equal(count(&w->v[0].got, "data: {\"ts"), 2);
    assert_int_equal(w->v[0].got.n, w->v[0].got_then);
    teardown(w);
}

CHECK_MAIN(cmocka_unit_test(what_waits_for_many_is_held_and_charged_once),
           cmocka_unit_test(who_takes_no_more_is_given_no_more),
           cmocka_unit_test(what_is_dropped_for_a_class_counts_for_each),
           cmocka_unit_test(batches_over_the_queue_are_lost_for_each),
           cmocka_unit_test(a_slow_history_costs_who_asked_for_it_alone),
           cmocka_unit_test(a_failure_comes_last))
