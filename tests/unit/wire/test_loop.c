/* Unit tests of wire/loop: threads post, timers fire, everything is closed. */
#include "wire/loop.h"

#include "tests/lib/check.h"
#include "tests/lib/wait.h"
#include "wire/loop_priv.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { POSTERS = 4, POSTS = 2000 };

struct counting {
    struct loop *loop;
    int last[POSTERS];
    int count; /* touched by the loop's thread only, until it was joined */
    bool out_of_order;
    bool elsewhere;
};

struct numbered {
    struct counting *c;
    int poster, number;
};

static struct loop *new_loop(void)
{
    struct loop *l = NULL;
    struct err err;

    assert_int_equal(loop_new(&l, &err), 0);
    return l;
}

static void count_one(void *arg)
{
    struct numbered *n = arg;
    struct counting *c = n->c;

    if (!loop_is_current(c->loop))
        c->elsewhere = true;
    if (n->number != c->last[n->poster] + 1)
        c->out_of_order = true;
    c->last[n->poster] = n->number;
    c->count++;
    free(n);
}

struct poster {
    struct counting *c;
    int id;
    bool patient;
};

static void *post_many(void *arg)
{
    struct poster *p = arg;

    for (int i = 1; i <= POSTS; i++) {
        struct numbered *n = malloc(sizeof(*n));
        *n = (struct numbered){p->c, p->id, i};
        if (p->patient ? !loop_post_patient(p->c->loop, count_one, n)
                       : !loop_post(p->c->loop, count_one, n))
            abort();
    }
    return NULL;
}

static void posts_of_many_threads_run_in_order_on_the_loops_thread(void **state)
{
    struct counting c = {.loop = new_loop()};
    struct poster posters[POSTERS];
    pthread_t threads[POSTERS];
    struct err err;

    (void)state;
    assert_int_equal(loop_start(c.loop, "test-loop", &err), 0);
    for (int i = 0; i < POSTERS; i++) {
        posters[i] = (struct poster){&c, i, i % 2 == 1};
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &posters[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++)
        (void)pthread_join(threads[i], NULL);
    loop_stop(c.loop); /* after all posts: each still has to run */
    loop_join(c.loop);
    assert_int_equal(c.count, POSTERS * POSTS);
    assert_false(c.out_of_order);
    assert_false(c.elsewhere);
    assert_true(loop_is_current(c.loop));
    loop_free(&c.loop);
    assert_null(c.loop);
}

static void set_flag(void *arg)
{
    *(bool *)arg = true;
}

static void a_post_after_stop_is_refused(void **state)
{
    struct loop *l = new_loop();
    bool ran = false;

    (void)state;
    loop_stop(l);
    loop_run(l); /* returns at once */
    assert_false(loop_post(l, set_flag, &ran));
    loop_free(&l);
    assert_false(ran);
}

static void an_accepted_post_runs_even_if_the_loop_never_did(void **state)
{
    struct loop *l = new_loop();
    bool ran = false, patient_ran = false;

    (void)state;
    assert_true(loop_post_patient(l, set_flag, &patient_ran));
    assert_true(loop_post(l, set_flag, &ran));
    loop_free(&l);
    assert_true(ran);
    assert_true(patient_ran);
}

enum { PATIENT = 4, LONG_MS = 6 /* more than a slice of patient work may take */ };

struct mixture {
    struct loop *l;
    struct loop_task tasks[PATIENT];
    int patient;        /* that have run */
    int before_urgent;  /* of them, when the urgent one came */
    int before_patient; /* urgent ones, when the patient one came */
    int urgent;
    bool done;
};

static void work_long(void)
{
    dur_ns end = time_mono() + LONG_MS * NS_PER_MS;

    while (time_mono() < end)
        ;
}

static void be_urgent(void *arg)
{
    struct mixture *m = arg;

    m->before_urgent = m->patient;
}

static void be_patient(void *arg)
{
    struct mixture *m = arg;

    if (m->patient == 0)
        assert_true(loop_post(m->l, be_urgent, m)); /* behind all patient ones */
    m->patient++;
    work_long();
    m->done = m->patient == 2 * PATIENT;
}

static void what_is_urgent_passes_patient_work(void **state)
{
    struct mixture m = {.l = new_loop(), .before_urgent = -1};

    (void)state;
    for (int i = 0; i < PATIENT; i++) {
        loop_task_init(&m.tasks[i], m.l, be_patient, &m);
        loop_task_queue_patient(&m.tasks[i]);
        assert_true(loop_post_patient(m.l, be_patient, &m));
    }
    WAIT_FOR(m.l, m.done);
    assert_in_range(m.before_urgent, 1, 2); /* a task and a post are a slice at most */
    loop_free(&m.l);
}

static void be_urgent_again(void *arg)
{
    struct mixture *m = arg;

    m->urgent++;
    if (!m->done)
        assert_true(loop_post(m->l, be_urgent_again, m));
}

static void note_turn(void *arg)
{
    struct mixture *m = arg;

    m->before_patient = m->urgent;
    m->done = true;
}

static void patient_work_has_its_turn_among_endless_urgent_work(void **state)
{
    struct mixture m = {.l = new_loop()};

    (void)state;
    assert_true(loop_post(m.l, be_urgent_again, &m));
    assert_true(loop_post_patient(m.l, note_turn, &m));
    WAIT_FOR(m.l, m.done);
    assert_in_range(m.before_patient, 1, 3);
    loop_free(&m.l);
}

struct ticking {
    struct loop_timer *t;
    int count;
    bool done;
};

static void on_tick(void *arg)
{
    struct ticking *t = arg;

    if (++t->count == 3) {
        loop_timer_stop(t->t);
        t->done = true;
    }
}

static void a_timer_repeats_until_stopped(void **state)
{
    struct loop *l = new_loop();
    struct ticking t = {0};
    struct ticking other = {0};
    bool later = false;
    struct loop_timer *end = loop_timer_new(l, set_flag, &later);

    (void)state;
    t.t = loop_timer_new(l, on_tick, &t);
    other.t = loop_timer_new(l, on_tick, &other);
    loop_timer_start(other.t, 0, 1);
    loop_timer_free(&other.t);
    assert_null(other.t);
    loop_timer_start(t.t, 0, 1);
    WAIT_FOR(l, t.done);
    loop_timer_start(end, 20, 0);
    WAIT_FOR(l, later);
    assert_int_equal(t.count, 3);
    assert_int_equal(other.count, 0);
    loop_timer_free(&t.t);
    loop_free(&l); /* `end` was left to it */
}

static void free_timer(void *arg)
{
    struct ticking *t = arg;

    t->count++;
    loop_timer_free(&t->t);
    t->done = true;
}

static void a_timer_may_free_itself(void **state)
{
    struct loop *l = new_loop();
    struct ticking t = {0};

    (void)state;
    t.t = loop_timer_new(l, free_timer, &t);
    loop_timer_start(t.t, 1, 1);
    WAIT_FOR(l, t.done);
    assert_null(t.t);
    loop_free(&l);
    assert_int_equal(t.count, 1);
}

static int seen_signal;

static void on_signal_stop(void *arg, int signum)
{
    seen_signal = signum;
    loop_stop(arg);
}

static void a_signal_reaches_its_handler(void **state)
{
    struct loop *l = new_loop();
    struct err err;

    (void)state;
    assert_int_equal(loop_on_signal(l, SIGUSR1, on_signal_stop, l, &err), 0);
    (void)raise(SIGUSR1);
    loop_run(l);
    assert_int_equal(seen_signal, SIGUSR1);
    loop_free(&l);
}

static void a_bad_signal_is_an_error(void **state)
{
    struct loop *l = new_loop();
    struct err err;

    (void)state;
    assert_int_equal(loop_on_signal(l, 0, on_signal_stop, l, &err), ERR_IO);
    loop_free(&l);
}

struct masked {
    struct loop *l;
    bool all_blocked;
    char name[16];
};

static void look_at_thread(void *arg)
{
    struct masked *m = arg;
    sigset_t now;

    (void)pthread_sigmask(SIG_SETMASK, NULL, &now);
    m->all_blocked = sigismember(&now, SIGTERM) == 1 && sigismember(&now, SIGHUP) == 1;
    (void)pthread_getname_np(pthread_self(), m->name, sizeof(m->name));
    loop_stop(m->l);
}

static void a_loops_thread_has_its_name_and_blocks_signals(void **state)
{
    struct masked m = {.l = new_loop()};
    struct err err;

    (void)state;
    assert_int_equal(loop_start(m.l, "ingest-0", &err), 0);
    assert_true(loop_post(m.l, look_at_thread, &m));
    loop_join(m.l);
    assert_true(m.all_blocked);
    assert_string_equal(m.name, "ingest-0");
    loop_free(&m.l);
}

CHECK_MAIN(cmocka_unit_test(posts_of_many_threads_run_in_order_on_the_loops_thread),
           cmocka_unit_test(a_post_after_stop_is_refused),
           cmocka_unit_test(an_accepted_post_runs_even_if_the_loop_never_did),
           cmocka_unit_test(what_is_urgent_passes_patient_work),
           cmocka_unit_test(patient_work_has_its_turn_among_endless_urgent_work),
           cmocka_unit_test(a_timer_repeats_until_stopped),
           cmocka_unit_test(a_timer_may_free_itself),
           cmocka_unit_test(a_signal_reaches_its_handler),
           cmocka_unit_test(a_bad_signal_is_an_error),
           cmocka_unit_test(a_loops_thread_has_its_name_and_blocks_signals))
