/* base/priority.c: a thread gets the turns and the nice value that were asked for, and keeps them
 * to itself.  Kernels before Linux 6.12 know no turns of a thread's own and report none. */
#include "base/priority.h"

#include "base/time.h"
#include "tests/lib/check.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int nice_now(void)
{
    return getpriority(PRIO_PROCESS, 0);
}

/* Nanoseconds; 0: the kernel does not say. */
static uint64_t turn_now(void)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime, deadline, period;
    } a = {.size = 0};

    assert_int_equal(syscall(SYS_sched_getattr, 0, &a, sizeof(a), 0), 0);
    return a.runtime;
}

/* What is set cannot be taken back without privileges: each on a thread of its own. */
static void on_thread(void *(*fn)(void *), void *arg)
{
    pthread_t t;

    assert_int_equal(pthread_create(&t, NULL, fn, arg), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
}

struct seen {
    enum priority asked;
    int first_nice; /* before it is asked */
    int nice;
    uint64_t usual, turn, of_child;
};

static void *note_turn(void *arg)
{
    *(uint64_t *)arg = turn_now();
    return NULL;
}

static void *ask(void *arg)
{
    struct seen *s = arg;

    if (s->first_nice != 0)
        assert_int_equal(setpriority(PRIO_PROCESS, 0, s->first_nice), 0);
    s->usual = turn_now();
    priority_set(s->asked);
    s->nice = nice_now();
    s->turn = turn_now();
    on_thread(note_turn, &s->of_child);
    return NULL;
}

static struct seen asked(enum priority p, int first_nice)
{
    struct seen s = {.asked = p, .first_nice = first_nice};

    on_thread(ask, &s);
    return s;
}

static int more(int a, int b)
{
    return a > b ? a : b;
}

static void who_is_waited_for_has_the_shortest_turns(void **state)
{
    struct seen prompt = asked(PRIORITY_PROMPT, 0);
    struct seen bulk = asked(PRIORITY_BULK, 0);
    struct seen later = asked(PRIORITY_LATER, 0);
    (void)state;

    assert_int_equal(prompt.nice, nice_now());
    assert_int_equal(bulk.nice, more(5, nice_now()));
    assert_int_equal(later.nice, more(10, nice_now()));
    if (prompt.usual == 0)
        return;
    assert_true(prompt.turn < prompt.usual);
    assert_true(bulk.turn > bulk.usual);
    assert_true(later.turn > later.usual);
}

static void nobody_becomes_less_nice(void **state)
{
    int nice = more(12, nice_now());
    (void)state;
    assert_int_equal(asked(PRIORITY_PROMPT, nice).nice, nice);
    assert_int_equal(asked(PRIORITY_BULK, nice).nice, nice);
    assert_int_equal(asked(PRIORITY_LATER, nice).nice, nice);
}

static void turns_are_not_inherited(void **state)
{
    struct seen later = asked(PRIORITY_LATER, 0);
    struct seen prompt = asked(PRIORITY_PROMPT, 0);
    (void)state;

    assert_true(later.of_child == later.usual);
    assert_true(prompt.of_child == prompt.usual);
}

/* ---- pace ---- */

struct paced {
    int first, other;  /* what the kernel says its policy is, at first; after a policy of its own */
    int worked, later; /* when it has worked for long; in the next span */
    int of_child;
    bool refused;
};

static int policy_now(void)
{
    return sched_getscheduler(0) & ~SCHED_RESET_ON_FORK;
}

static void *note_policy(void *arg)
{
    *(int *)arg = policy_now();
    return NULL;
}

static void work(dur_ns cpu)
{
    struct timespec t;
    dur_ns end;

    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t), 0);
    end = t.tv_sec * NS_PER_S + t.tv_nsec + cpu;
    while (t.tv_sec * NS_PER_S + t.tv_nsec < end)
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
}

static void *keep_pace(void *arg)
{
    struct paced *seen = arg;
    struct priority_pace pace = {0};
    dur_ns began;

    priority_set(PRIORITY_PROMPT);
    do { /* until it has done its share within one span, whatever else runs here */
        pace.began = 0;
        priority_pace(&pace);
        began = pace.began;
        seen->refused = pace.refused;
        seen->first = policy_now();
        on_thread(note_policy, &seen->of_child);
        work(21 * NS_PER_MS);
        priority_pace(&pace);
        seen->worked = policy_now();
    } while (pace.began != began);
    pace.began -= NS_PER_S; /* the span is over */
    priority_pace(&pace);
    seen->later = policy_now();
    return NULL;
}

static void who_works_for_long_is_no_real_time_thread(void **state)
{
    struct paced seen = {0};

    (void)state;
    on_thread(keep_pace, &seen);
    assert_int_equal(seen.worked, SCHED_OTHER);
    assert_int_equal(seen.of_child, SCHED_OTHER);
    assert_int_equal(seen.first, seen.refused ? SCHED_OTHER : SCHED_RR);
    assert_int_equal(seen.later, seen.first);
}

static void *pace_of_batch(void *arg)
{
    struct priority_pace pace = {0};
    struct sched_param none = {0};
    struct paced *seen = arg;

    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    priority_set(PRIORITY_PROMPT);
    priority_pace(&pace);
    seen->other = policy_now();
    return NULL;
}

static void a_policy_that_was_chosen_stays(void **state)
{
    struct paced seen = {0};

    (void)state;
    on_thread(pace_of_batch, &seen);
    assert_int_equal(seen.other, SCHED_BATCH);
}

CHECK_MAIN(cmocka_unit_test(who_is_waited_for_has_the_shortest_turns),
           cmocka_unit_test(nobody_becomes_less_nice), cmocka_unit_test(turns_are_not_inherited),
           cmocka_unit_test(who_works_for_long_is_no_real_time_thread),
           cmocka_unit_test(a_policy_that_was_chosen_stays))
