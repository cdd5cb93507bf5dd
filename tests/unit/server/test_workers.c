/* server/workers.c: every job runs once, a full queue says so, the end waits for what is queued,
 * who waits for another makes room. */
#include "server/workers.h"

#include "base/time.h"
#include "tests/lib/check.h"

#include <pthread.h>
#include <sched.h>
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

/* Jobs that only wait, at a gate, and then work. */
struct lender {
    struct workers *w;
    struct gate *gate;
    _Atomic unsigned lent;
    _Atomic unsigned working;
    _Atomic unsigned too_many; /* times that more than `places` worked at once */
    unsigned places;
};

static void wait_and_work(void *arg)
{
    struct lender *l = arg;
    bool lent = workers_lend(l->w);

    if (lent)
        atomic_fetch_add(&l->lent, 1);
    pass_gate(l->gate);
    if (lent)
        workers_take_back(l->w);
    if (atomic_fetch_add(&l->working, 1) >= l->places)
        atomic_fetch_add(&l->too_many, 1);
    (void)sched_yield();
    atomic_fetch_sub(&l->working, 1);
}

static void who_only_waits_leaves_room_for_others(void **state)
{
    struct gate waits, works;
    struct lender l = {.gate = &waits, .places = 1};
    struct err err;
    (void)state;

    gate_init(&waits);
    gate_init(&works);
    assert_int_equal(workers_new(1, 2, &l.w, &err), 0);
    assert_true(workers_run(l.w, STR_NULL, wait_and_work, &l));
    wait_for_waiting(&waits, 1);
    assert_true(workers_run(l.w, STR_NULL, pass_gate, &works));
    wait_for_waiting(&works, 1); /* comes to an end only if it runs beside the one that waits */
    open_gate(&waits);
    open_gate(&works);
    workers_free(&l.w);
    assert_int_equal(waits.passed + works.passed, 2);
    assert_int_equal(l.too_many, 0);
}

static void who_comes_back_finds_a_place_and_takes_no_other_s(void **state)
{
    enum { PLACES = 2, JOBS = 40, ROUNDS = 20 };
    struct gate g;
    struct lender l = {.gate = &g, .places = PLACES};
    struct err err;
    (void)state;

    for (unsigned round = 0; round < ROUNDS; round++) {
        gate_init(&g);
        l.lent = 0;
        assert_int_equal(workers_new(PLACES, JOBS, &l.w, &err), 0);
        for (unsigned i = 0; i < JOBS; i++)
            assert_true(workers_run(l.w, STR_NULL, wait_and_work, &l));
        wait_for_waiting(&g, JOBS); /* all of them at once */
        open_gate(&g);
        workers_free(&l.w);
        assert_int_equal(g.passed, JOBS);
        assert_int_equal(l.lent, JOBS);
    }
    assert_int_equal(l.too_many, 0);
}

static void so_many_may_wait_and_the_next_holds_its_place(void **state)
{
    struct gate g;
    struct lender l = {.gate = &g, .places = 1};
    struct err err;
    (void)state;

    gate_init(&g);
    assert_int_equal(workers_new(1, WORKERS_LENT_MAX + 2, &l.w, &err), 0);
    for (unsigned i = 0; i <= WORKERS_LENT_MAX; i++)
        assert_true(workers_run(l.w, STR_NULL, wait_and_work, &l));
    wait_for_waiting(&g, WORKERS_LENT_MAX + 1);
    assert_int_equal(l.lent, WORKERS_LENT_MAX);
    open_gate(&g);
    workers_free(&l.w);
    assert_int_equal(g.passed, WORKERS_LENT_MAX + 1);
    assert_int_equal(l.too_many, 0);
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
           cmocka_unit_test(who_only_waits_leaves_room_for_others),
           cmocka_unit_test(who_comes_back_finds_a_place_and_takes_no_other_s),
           cmocka_unit_test(so_many_may_wait_and_the_next_holds_its_place),
           cmocka_unit_test(nothing_to_free_is_fine))
