/* server/workers.c: every job runs once, a full queue says so, the end waits for what is queued. */
#include "server/workers.h"

#include "base/time.h"
#include "tests/lib/check.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

enum { THREADS = 4, QUEUED = 16, SENDERS = 3, EACH = 2000 };

/* A gate that jobs stand at until it opens. */
struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned waiting;
    bool is_open;
    unsigned passed;
};

static void gate_init(struct gate *g)
{
    *g = (struct gate){.waiting = 0};
    (void)pthread_mutex_init(&g->mutex, NULL);
    (void)pthread_cond_init(&g->changed, NULL);
}

static void pass_gate(void *arg)
{
    struct gate *g = arg;

    (void)pthread_mutex_lock(&g->mutex);
    g->waiting++;
    (void)pthread_cond_broadcast(&g->changed);
    while (!g->is_open)
        (void)pthread_cond_wait(&g->changed, &g->mutex);
    g->passed++;
    (void)pthread_mutex_unlock(&g->mutex);
}

static void wait_for_waiting(struct gate *g, unsigned n)
{
    (void)pthread_mutex_lock(&g->mutex);
    while (g->waiting < n)
        (void)pthread_cond_wait(&g->changed, &g->mutex);
    (void)pthread_mutex_unlock(&g->mutex);
}

static void open_gate(struct gate *g)
{
    (void)pthread_mutex_lock(&g->mutex);
    g->is_open = true;
    (void)pthread_cond_broadcast(&g->changed);
    (void)pthread_mutex_unlock(&g->mutex);
}

static void a_full_queue_says_no(void **state)
{
    struct workers *w = NULL;
    struct gate g;
    struct err err;
    (void)state;

    gate_init(&g);
    assert_int_equal(workers_new(1, 2, &w, &err), 0);
    assert_true(workers_run(w, STR_NULL, pass_gate, &g));
    wait_for_waiting(&g, 1); /* the only thread is busy, the queue empty */
    assert_true(workers_run(w, STR_NULL, pass_gate, &g));
    assert_true(workers_run(w, STR_NULL, pass_gate, &g));
    assert_false(workers_run(w, STR_NULL, pass_gate, &g));
    open_gate(&g);
    workers_free(&w);
    assert_null(w);
    assert_int_equal(g.passed, 3);
}

static void as_many_run_at_once_as_there_are_threads(void **state)
{
    struct workers *w = NULL;
    struct gate g;
    struct err err;
    (void)state;

    gate_init(&g);
    assert_int_equal(workers_new(THREADS, QUEUED, &w, &err), 0);
    for (unsigned i = 0; i < THREADS; i++)
        assert_true(workers_run(w, STR_NULL, pass_gate, &g));
    wait_for_waiting(&g, THREADS); /* comes to an end only if all of them run */
    open_gate(&g);
    workers_free(&w);
    assert_int_equal(g.passed, THREADS);
}

static void a_full_lane_leaves_room_in_the_others(void **state)
{
    struct workers *w = NULL;
    struct gate g;
    struct err err;
    (void)state;

    gate_init(&g);
    assert_int_equal(workers_new(1, 2, &w, &err), 0);
    assert_true(workers_run(w, STR("greedy"), pass_gate, &g));
    wait_for_waiting(&g, 1);
    assert_true(workers_run(w, STR("greedy"), pass_gate, &g));
    assert_true(workers_run(w, STR("greedy"), pass_gate, &g));
    assert_false(workers_run(w, STR("greedy"), pass_gate, &g));
    assert_true(workers_run(w, STR("other"), pass_gate, &g));
    open_gate(&g);
    workers_free(&w);
    assert_int_equal(g.passed, 4);
}

static void all_lanes_together_are_bounded_but_each_has_room_for_one(void **state)
{
    enum { EACH_WAITING = 2, MORE = 8 };
    struct workers *w = NULL;
    unsigned taken = 0;
    char name[2] = "a";
    struct gate g;
    struct err err;
    (void)state;

    gate_init(&g);
    assert_int_equal(workers_new(1, EACH_WAITING, &w, &err), 0);
    assert_true(workers_run(w, STR("first"), pass_gate, &g));
    wait_for_waiting(&g, 1);
    for (unsigned i = 0; i < MORE; i++, name[0]++) {
        assert_true(workers_run(w, str_of(name), pass_gate, &g));
        taken += workers_run(w, str_of(name), pass_gate, &g);
    }
    assert_int_equal(taken, WORKERS_FULL_LANES);
    open_gate(&g);
    workers_free(&w);
    assert_int_equal(g.passed, 1 + MORE + taken);
}

/* Jobs write down whose they were. */
struct note {
    char *log;
    char who;
};

static void write_note(void *arg)
{
    const struct note *n = arg;
    size_t len = strlen(n->log);

    n->log[len] = n->who;
}

static void lanes_take_turns(void **state)
{
    char log[16] = "";
    struct note greedy = {log, 'g'};
    struct note other = {log, 'o'};
    struct note third = {log, 't'};
    struct workers *w = NULL;
    struct gate g;
    struct err err;
    (void)state;

    gate_init(&g);
    assert_int_equal(workers_new(1, QUEUED, &w, &err), 0);
    assert_true(workers_run(w, STR_NULL, pass_gate, &g));
    wait_for_waiting(&g, 1);
    for (unsigned i = 0; i < 4; i++)
        assert_true(workers_run(w, STR("greedy"), write_note, &greedy));
    assert_true(workers_run(w, STR("other"), write_note, &other));
    assert_true(workers_run(w, STR("other"), write_note, &other));
    assert_true(workers_run(w, STR("third"), write_note, &third));
    open_gate(&g);
    workers_free(&w);
    assert_string_equal(log, "gotgogg");
}

struct sender {
    struct workers *w;
    _Atomic unsigned *ran;
    unsigned taken;
};

static void count(void *arg)
{
    atomic_fetch_add((_Atomic unsigned *)arg, 1);
}

static void *send(void *arg)
{
    struct sender *s = arg;

    for (unsigned i = 0; i < EACH; i++)
        s->taken += workers_run(s->w, STR_NULL, count, s->ran);
    return NULL;
}

static void what_was_taken_runs_exactly_once(void **state)
{
    struct sender senders[SENDERS];
    pthread_t threads[SENDERS];
    _Atomic unsigned ran = 0;
    struct workers *w = NULL;
    struct err err;
    unsigned taken = 0;
    (void)state;

    assert_int_equal(workers_new(THREADS, QUEUED, &w, &err), 0);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){.w = w, .ran = &ran};
        assert_int_equal(pthread_create(&threads[i], NULL, send, &senders[i]), 0);
    }
    for (unsigned i = 0; i < SENDERS; i++) {
        (void)pthread_join(threads[i], NULL);
        taken += senders[i].taken;
    }
    workers_free(&w);
    assert_true(taken > 0);
    assert_int_equal(ran, taken);
}

static void nothing_to_free_is_fine(void **state)
{
    struct workers *w = NULL;
    (void)state;

    workers_free(&w);
    assert_null(w);
}

CHECK_MAIN(cmocka_unit_test(a_full_queue_says_no),
           cmocka_unit_test(as_many_run_at_once_as_there_are_threads),
           cmocka_unit_test(a_full_lane_leaves_room_in_the_others),
           cmocka_unit_test(all_lanes_together_are_bounded_but_each_has_room_for_one),
           cmocka_unit_test(lanes_take_turns), cmocka_unit_test(what_was_taken_runs_exactly_once),
           cmocka_unit_test(nothing_to_free_is_fine))
