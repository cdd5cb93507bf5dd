/*
 * wire/loop.c - a uv loop, its thread, and the one door into it from other threads.  Contracts:
 * loop.h, loop_priv.h.
 *
 * Why a list under a mutex and not uv_async_send alone: libuv merges wake-ups, and its internal
 * atomics promise no ordering that we may build on.  The async handle only wakes; what crosses is
 * ordered by `mutex`.
 *
 * Invariants
 *   (1) a call that loop_post or loop_post_patient accepted is made exactly once, in the order of
 * its kind, before loop_run returns if it was accepted before, else inside loop_free; (2) once
 * `stopped` is set nothing is accepted any more but what loop_free waits for, so all else is there
 * when the loop ends; (3)
 * objects with callbacks (LOOP_ITEM_SPEAKS) end before timers and listeners are taken away, so that
 * their last callbacks find everything they hold still alive.
 */
#include "wire/loop.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/priority.h"
#include "wire/loop_priv.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    SLICE_MIN_NS = 1000 * 1000, /* of patient work at once */
    SLICE_MAX_NS = 5 * SLICE_MIN_NS,
    SLICE_SHARE = 2, /* of the time that other work took since the last slice, that part */
};

struct post {
    struct post *next;
    loop_fn *fn;
    void *arg;
    bool patient;
};

struct loop_signal {
    uv_signal_t uv;
    struct loop_signal *next;
    loop_signal_fn *fn;
    void *arg;
};

struct loop {
    unsigned magic;
#define LOOP_MAGIC 0x10091e57u
    uv_loop_t uv;
    uv_async_t wake;
    uv_prepare_t prepare; /* active in a prompt one: before it sleeps */
    struct priority_pace pace;
    uv_idle_t idle; /* active while tasks are queued: keeps the loop from sleeping */
    bool closing;

    pthread_mutex_t mutex; /* guards first, last, stopped */
    struct post *first, *last;
    bool stopped;
    atomic_uint waking; /* threads that are about to wake us; we stay until they have */

    _Atomic(const char *) owner; /* address of a thread-local of the thread that may touch us */
    pthread_t thread;
    bool threaded; /* loop_start was called, loop_join was not */
    char name[16];

    struct loop_item speaks, silent; /* heads of rings */
    struct loop_task tasks, patient; /* heads of rings */
    struct post *later, **later_end; /* patient ones that have come */
    uint64_t waits_since;            /* uv_hrtime: patient work was there, or had its last slice */
    struct loop_signal *signals;
    char read_buffer[LOOP_READ_BYTES];
    char plain_buffer[LOOP_PLAIN_BYTES];
};

struct loop_timer {
    unsigned magic;
#define LOOP_TIMER_MAGIC 0x71e3a8b2u
    uv_timer_t uv;
    struct loop_item item;
    struct loop *loop;
    loop_fn *fn;
    void *arg;
};

static _Thread_local const char this_thread;

static void run_post(struct post *p)
{
    loop_fn *fn = p->fn;
    void *arg = p->arg;

    free(p);
    fn(arg);
}

static bool has_patient(const struct loop *l)
{
    return l->later != NULL || l->patient.next != &l->patient;
}

static void on_idle(uv_idle_t *h);

/* There is work before the loop may sleep. */
static void stay_awake(struct loop *l)
{
    if (!uv_is_closing((uv_handle_t *)&l->idle))
        (void)uv_idle_start(&l->idle, on_idle);
}

/* Patient work comes. */
static void note_patient(struct loop *l)
{
    if (!has_patient(l))
        l->waits_since = uv_hrtime();
    stay_awake(l);
}

/* Make the calls, but the patient ones: they get their turn. */
static void run_posts(struct loop *l, struct post *p)
{
    while (p != NULL) {
        struct post *next = p->next;

        if (p->patient) {
            note_patient(l);
            p->next = NULL;
            *l->later_end = p;
            l->later_end = &p->next;
        } else {
            run_post(p);
        }
        p = next;
    }
}

static struct post *take_later(struct loop *l)
{
    struct post *p = l->later;

    l->later = p->next;
    if (l->later == NULL)
        l->later_end = &l->later;
    return p;
}

static void run_later(struct loop *l)
{
    while (l->later != NULL)
        run_post(take_later(l));
}

static struct post *take_posts(struct loop *l, bool *ret_stopped)
{
    struct post *p;

    pthread_mutex_lock(&l->mutex);
    p = l->first;
    l->first = l->last = NULL;
    *ret_stopped = l->stopped;
    pthread_mutex_unlock(&l->mutex);
    return p;
}

static void on_wake(uv_async_t *a)
{
    struct loop *l = a->data;
    bool stopped = false;

    run_posts(l, take_posts(l, &stopped));
    if (!stopped)
        return;
    run_later(l);
    if (!l->closing)
        uv_stop(&l->uv); /* by (2) there is nothing left to run */
}

static void run_tasks(struct loop *l)
{
    struct loop_task now; /* head of a ring of its own: what is queued from here on waits */

    if (l->tasks.next == &l->tasks)
        return;
    now.next = l->tasks.next;
    now.prev = l->tasks.prev;
    now.next->prev = now.prev->next = &now;
    l->tasks.prev = l->tasks.next = &l->tasks;
    while (now.next != &now) {
        struct loop_task *t = now.next;

        loop_task_cancel(t);
        t->fn(t->arg);
    }
}

static void run_patient(struct loop *l)
{
    uint64_t begin = uv_hrtime();
    uint64_t slice = (begin - l->waits_since) / SLICE_SHARE;

    if (slice < SLICE_MIN_NS)
        slice = SLICE_MIN_NS;
    if (slice > SLICE_MAX_NS)
        slice = SLICE_MAX_NS;
    while (has_patient(l) && uv_hrtime() - begin < slice) {
        struct loop_task *t = l->patient.next;

        if (t != &l->patient) {
            loop_task_cancel(t);
            t->fn(t->arg);
        }
        if (l->later != NULL)
            run_post(take_later(l));
    }
    l->waits_since = uv_hrtime();
}

static void on_idle(uv_idle_t *h)
{
    struct loop *l = h->data;

    run_tasks(l);
    if (has_patient(l))
        run_patient(l);
    if (l->tasks.next == &l->tasks && !has_patient(l))
        (void)uv_idle_stop(h);
}

static void ignore_sigpipe(void)
{
    struct sigaction now;

    /* libuv writes without MSG_NOSIGNAL: a peer that went away would end the program. */
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL)
        (void)signal(SIGPIPE, SIG_IGN);
}

int loop_new(struct loop **ret, struct err *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct loop *l = mem_new(sizeof(*l));
    int r;

    (void)pthread_once(&once, ignore_sigpipe);
    r = uv_loop_init(&l->uv);
    if (r < 0) {
        free(l);
        return loop_uv_err(err, r, "make an event loop");
    }
    r = uv_async_init(&l->uv, &l->wake, on_wake);
    if (r < 0) {
        (void)uv_loop_close(&l->uv);
        free(l);
        return loop_uv_err(err, r, "make an event loop");
    }
    (void)uv_idle_init(&l->uv, &l->idle);
    (void)uv_prepare_init(&l->uv, &l->prepare);
    l->magic = LOOP_MAGIC;
    l->wake.data = l;
    l->idle.data = l;
    l->prepare.data = l;
    pthread_mutex_init(&l->mutex, NULL);
    l->speaks.prev = l->speaks.next = &l->speaks;
    l->silent.prev = l->silent.next = &l->silent;
    l->tasks.prev = l->tasks.next = &l->tasks;
    l->patient.prev = l->patient.next = &l->patient;
    l->later_end = &l->later;
    atomic_init(&l->owner, &this_thread);
    *ret = l;
    return 0;
}

static void on_prepare(uv_prepare_t *h)
{
    struct loop *l = h->data;

    priority_pace(&l->pace);
}

void loop_be_prompt(struct loop *l)
{
    OBJ_CHECK(l, LOOP_MAGIC);
    priority_set(PRIORITY_PROMPT);
    (void)uv_prepare_start(&l->prepare, on_prepare);
}

struct uv_loop_s *loop_uv(struct loop *l)
{
    OBJ_CHECK(l, LOOP_MAGIC);
    return &l->uv;
}

bool loop_is_current(const struct loop *l)
{
    OBJ_CHECK(l, LOOP_MAGIC);
    return atomic_load(&l->owner) == &this_thread;
}

void loop_run(struct loop *l)
{
    OBJ_CHECK(l, LOOP_MAGIC);
    atomic_store(&l->owner, &this_thread);
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
}

static void *thread_main(void *arg)
{
    struct loop *l = arg;

    (void)pthread_setname_np(pthread_self(), l->name);
    loop_run(l);
    return NULL;
}

int loop_start(struct loop *l, const char *name, struct err *err)
{
    sigset_t all, before;
    int r;

    OBJ_CHECK(l, LOOP_MAGIC);
    INVARIANT(!l->threaded);
    (void)snprintf(l->name, sizeof(l->name), "%s", name);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits it */
    r = pthread_create(&l->thread, NULL, thread_main, l);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return loop_uv_err(err, -r, "start thread '%s'", name);
    l->threaded = true;
    return 0;
}

void loop_join(struct loop *l)
{
    OBJ_CHECK(l, LOOP_MAGIC);
    if (!l->threaded)
        return;
    (void)pthread_join(l->thread, NULL);
    l->threaded = false;
    atomic_store(&l->owner, &this_thread);
}

enum post_kind { POST, POST_PATIENT, POST_AWAITED };

static bool post(struct loop *l, loop_fn *fn, void *arg, enum post_kind kind)
{
    struct post *p;
    bool accepted;

    OBJ_CHECK(l, LOOP_MAGIC);
    p = mem_new(sizeof(*p));
    p->fn = fn;
    p->arg = arg;
    p->patient = kind == POST_PATIENT;
    pthread_mutex_lock(&l->mutex);
    accepted = !l->stopped || kind == POST_AWAITED;
    if (accepted) {
        if (l->last == NULL)
            l->first = p;
        else
            l->last->next = p;
        l->last = p;
        l->waking++;
    }
    pthread_mutex_unlock(&l->mutex);
    if (!accepted) {
        free(p);
        return false;
    }
    /* Not under the mutex: the loop may take our core as soon as it wakes up, and would wait. */
    (void)uv_async_send(&l->wake); /* only fails on a handle that is no async */
    l->waking--;
    return true;
}

bool loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    return post(l, fn, arg, POST);
}

bool loop_post_patient(struct loop *l, loop_fn *fn, void *arg)
{
    return post(l, fn, arg, POST_PATIENT);
}

void loop_post_awaited(struct loop *l, loop_fn *fn, void *arg)
{
    (void)post(l, fn, arg, POST_AWAITED);
}

void loop_stop(struct loop *l)
{
    OBJ_CHECK(l, LOOP_MAGIC);
    pthread_mutex_lock(&l->mutex);
    l->stopped = true;
    (void)uv_async_send(&l->wake);
    pthread_mutex_unlock(&l->mutex);
}

static void close_walked(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

/* Ends all that speaks; each takes itself off the ring in its last callback. */
static void close_speaking(struct loop *l)
{
    while (l->speaks.next != &l->speaks) {
        struct loop_item *i;

        for (i = l->speaks.next; i != &l->speaks; i = i->next)
            i->close(i);
        (void)uv_run(&l->uv, UV_RUN_ONCE);
    }
    while (l->tasks.next != &l->tasks)
        run_tasks(l);
}

void loop_free(struct loop **pl)
{
    struct loop *l = *pl;
    bool stopped = false;

    if (l == NULL)
        return;
    OBJ_CHECK(l, LOOP_MAGIC);
    INVARIANT(!l->threaded);
    atomic_store(&l->owner, &this_thread);
    pthread_mutex_lock(&l->mutex);
    l->stopped = true;
    pthread_mutex_unlock(&l->mutex);
    l->closing = true;
    run_posts(l, take_posts(l, &stopped)); /* keeps (1) */
    run_later(l);
    close_speaking(l); /* keeps (3) */
    while (l->waking > 0)
        (void)sched_yield();
    while (l->silent.next != &l->silent) {
        struct loop_item *i = l->silent.next;
        loop_item_remove(i);
        i->close(i);
    }
    uv_walk(&l->uv, close_walked, NULL);
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
        ;
    INVARIANT(uv_loop_close(&l->uv) == 0);
    while (l->signals != NULL) {
        struct loop_signal *s = l->signals;
        l->signals = s->next;
        free(s);
    }
    pthread_mutex_destroy(&l->mutex);
    l->magic = 0;
    free(l);
    *pl = NULL;
}

static void on_timer(uv_timer_t *h)
{
    struct loop_timer *t = h->data;

    t->fn(t->arg);
}

static void timer_closed(uv_handle_t *h)
{
    free(h->data);
}

static void close_timer(struct loop_timer *t)
{
    t->magic = 0;
    uv_close((uv_handle_t *)&t->uv, timer_closed);
}

static void close_timer_item(struct loop_item *i)
{
    close_timer((struct loop_timer *)(void *)((char *)i - offsetof(struct loop_timer, item)));
}

struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
    struct loop_timer *t = mem_new(sizeof(*t));

    OBJ_CHECK(l, LOOP_MAGIC);
    t->magic = LOOP_TIMER_MAGIC;
    t->loop = l;
    t->fn = fn;
    t->arg = arg;
    (void)uv_timer_init(&l->uv, &t->uv); /* cannot fail */
    t->uv.data = t;
    loop_item_add(l, &t->item, LOOP_ITEM_SILENT, close_timer_item);
    return t;
}

void loop_timer_start(struct loop_timer *t, uint64_t delay_ms, uint64_t repeat_ms)
{
    OBJ_CHECK(t, LOOP_TIMER_MAGIC);
    uv_update_time(&t->loop->uv); /* a long callback must not shorten the delay */
    (void)uv_timer_start(&t->uv, on_timer, delay_ms, repeat_ms);
}

void loop_timer_stop(struct loop_timer *t)
{
    OBJ_CHECK(t, LOOP_TIMER_MAGIC);
    (void)uv_timer_stop(&t->uv);
}

void loop_timer_free(struct loop_timer **pt)
{
    struct loop_timer *t = *pt;

    if (t == NULL)
        return;
    OBJ_CHECK(t, LOOP_TIMER_MAGIC);
    loop_item_remove(&t->item);
    close_timer(t);
    *pt = NULL;
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct loop_signal *s = h->data;

    s->fn(s->arg, signum);
}

int loop_on_signal(struct loop *l, int signum, loop_signal_fn *fn, void *arg, struct err *err)
{
    struct loop_signal *s = mem_new(sizeof(*s));
    int r;

    OBJ_CHECK(l, LOOP_MAGIC);
    r = uv_signal_init(&l->uv, &s->uv);
    if (r < 0) {
        free(s);
        return loop_uv_err(err, r, "watch signal %d", signum);
    }
    s->uv.data = s;
    s->fn = fn;
    s->arg = arg;
    s->next = l->signals;
    l->signals = s; /* from here on loop_free closes and frees it */
    r = uv_signal_start(&s->uv, on_signal, signum);
    if (r < 0)
        return loop_uv_err(err, r, "watch signal %d", signum);
    return 0;
}

void loop_item_add(struct loop *l, struct loop_item *i, enum loop_item_kind kind,
                   void (*close)(struct loop_item *i))
{
    struct loop_item *head;

    OBJ_CHECK(l, LOOP_MAGIC);
    head = kind == LOOP_ITEM_SPEAKS ? &l->speaks : &l->silent;
    i->close = close;
    i->prev = head->prev;
    i->next = head;
    head->prev->next = i;
    head->prev = i;
}

void loop_item_remove(struct loop_item *i)
{
    if (i->next == NULL)
        return;
    i->prev->next = i->next;
    i->next->prev = i->prev;
    i->prev = i->next = NULL;
}

void loop_task_init(struct loop_task *t, struct loop *l, loop_fn *fn, void *arg)
{
    *t = (struct loop_task){.loop = l, .fn = fn, .arg = arg};
}

static void append_task(struct loop_task *ring, struct loop_task *t)
{
    t->prev = ring->prev;
    t->next = ring;
    t->prev->next = t;
    ring->prev = t;
}

void loop_task_queue(struct loop_task *t)
{
    struct loop *l = t->loop;

    OBJ_CHECK(l, LOOP_MAGIC);
    if (t->next != NULL)
        return;
    append_task(&l->tasks, t);
    stay_awake(l);
}

void loop_task_queue_patient(struct loop_task *t)
{
    struct loop *l = t->loop;

    OBJ_CHECK(l, LOOP_MAGIC);
    if (t->next != NULL)
        return;
    note_patient(l);
    append_task(&l->patient, t);
}

void loop_task_cancel(struct loop_task *t)
{
    if (t->next == NULL)
        return;
    t->prev->next = t->next;
    t->next->prev = t->prev;
    t->prev = t->next = NULL;
}

char *loop_read_buffer(struct loop *l)
{
    return l->read_buffer;
}

char *loop_plain_buffer(struct loop *l)
{
    return l->plain_buffer;
}

bool loop_is_closing(const struct loop *l)
{
    return l->closing;
}

int loop_uv_err(struct err *err, int status, const char *fmt, ...)
{
    char what[160];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    (void)err_set(err, ERR_IO, "%s: %s", what, uv_strerror(status));
    err->sys = status > -3000 ? -status : 0; /* below are libuv's own codes, not errno */
    return ERR_IO;
}
