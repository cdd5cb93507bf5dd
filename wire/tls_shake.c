/*
 * wire/tls_shake.c - see tls_shake.h.
 *
 * Why threads of our own and not those of libuv: its queue wakes them by a condition variable, and
 * glibc's `signal` may wait until a thread that was woken before has had the processor.  These
 * threads have it last, so the loop, and all acks on it, would wait for them.  A semaphore's `post`
 * waits for nobody.
 *
 * Invariant
 *   (1) what crosses is ordered by `whose`, not by what the queue happens to lock: each side looks
 * at it before it touches anything and sets it as the last thing it does.
 */
#include "wire/tls_shake.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/priority.h"
#include "wire/loop_priv.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS_MAX = 4 };

enum whose { THE_LOOPS, THE_THREADS };

struct tls_shake {
    unsigned magic;
#define TLS_SHAKE_MAGIC 0x5ba4e7d2u
    struct tls_shake *next, **at; /* waiting for a thread: what comes behind, what points here;
                                     `at` NULL: no more */
    struct loop_item item;        /* keeps the loop until the step is over */
    struct loop *loop;
    _Atomic enum whose whose;
    struct tls *tls; /* owned once it is abandoned */
    loop_fn *done;
    void *arg;
    bool over;
    bool abandoned;
    int r;
    struct err err; /* set when r < 0 */
};

static struct {
    pthread_once_t once;
    pthread_mutex_t mutex; /* guards first, last */
    sem_t waiting;         /* steps in the list, or a little more */
    struct tls_shake *first, **last;
    size_t threads;
} pool = {.once = PTHREAD_ONCE_INIT, .mutex = PTHREAD_MUTEX_INITIALIZER};

/* Off the list, if it is still there.  Under the mutex. */
static bool unlink_step(struct tls_shake *s)
{
    if (s->at == NULL)
        return false;
    *s->at = s->next;
    if (s->next != NULL)
        s->next->at = s->at;
    else
        pool.last = s->at;
    s->at = NULL;
    return true;
}

static void release(struct tls_shake *s)
{
    if (s->abandoned)
        tls_free(&s->tls);
    s->magic = 0;
    free(s);
}

/* ---- the threads ---- */

static void on_worked(void *arg)
{
    struct tls_shake *s = arg;

    INVARIANT(s->whose == THE_LOOPS);
    loop_item_remove(&s->item);
    s->over = true;
    if (s->abandoned)
        release(s);
    else
        s->done(s->arg);
}

static void work(struct tls_shake *s)
{
    struct loop *l;

    INVARIANT(s->whose == THE_THREADS); /* keeps (1) */
    l = s->loop;
    s->r = tls_handshake(s->tls, &s->err);
    s->whose = THE_LOOPS;
    loop_post_awaited(l, on_worked, s);
}

/* The step that waits longest; NULL: it was given up. */
static struct tls_shake *take(void)
{
    struct tls_shake *s;

    pthread_mutex_lock(&pool.mutex);
    s = pool.first;
    if (s != NULL)
        (void)unlink_step(s);
    pthread_mutex_unlock(&pool.mutex);
    return s;
}

static void *thread_main(void *arg)
{
    (void)arg;
    (void)pthread_setname_np(pthread_self(), "handshake");
    priority_set(PRIORITY_BULK);
    for (;;) {
        struct tls_shake *s = sem_wait(&pool.waiting) == 0 ? take() : NULL;
        if (s != NULL)
            work(s);
    }
    return NULL;
}

/* As many as there are cores.  They stay until the program ends. */
static void start_threads(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    size_t want = cores < 1 ? 1 : cores < THREADS_MAX ? (size_t)cores : THREADS_MAX;
    sigset_t all, before;
    pthread_t t;

    pool.last = &pool.first;
    (void)sem_init(&pool.waiting, 0, 0); /* fails for values and sharing that are not these */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* new threads inherit it */
    while (pool.threads < want && pthread_create(&t, NULL, thread_main, NULL) == 0) {
        (void)pthread_detach(t);
        pool.threads++;
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* ---- the loop ---- */

/* loop_free waits: a step is a matter of milliseconds. */
static void wait_for_end(struct loop_item *i)
{
    (void)i;
}

struct tls_shake *tls_shake_begin(struct loop *l, struct tls *t, loop_fn *done, void *arg)
{
    struct tls_shake *s = mem_new(sizeof(*s));

    (void)pthread_once(&pool.once, start_threads);
    s->magic = TLS_SHAKE_MAGIC;
    s->loop = l;
    s->tls = t;
    s->done = done;
    s->arg = arg;
    s->whose = THE_THREADS;
    loop_item_add(l, &s->item, LOOP_ITEM_SPEAKS, wait_for_end);
    if (pool.threads == 0) {
        work(s); /* slow, but right */
        return s;
    }
    pthread_mutex_lock(&pool.mutex);
    s->at = pool.last;
    *pool.last = s;
    pool.last = &s->next;
    pthread_mutex_unlock(&pool.mutex);
    (void)sem_post(&pool.waiting); /* fails above two thousand million */
    return s;
}

int tls_shake_end(struct tls_shake **ps, struct err *err)
{
    struct tls_shake *s = *ps;
    int r = s->r;

    OBJ_CHECK(s, TLS_SHAKE_MAGIC);
    INVARIANT(s->over);
    *ps = NULL;
    if (r < 0)
        *err = s->err;
    release(s);
    return r;
}

/* Whether no thread has come to it, and none will. */
static bool take_back(struct tls_shake *s)
{
    bool found;

    pthread_mutex_lock(&pool.mutex);
    found = unlink_step(s);
    pthread_mutex_unlock(&pool.mutex);
    return found;
}

void tls_shake_abandon(struct tls_shake **ps, struct tls **pt)
{
    struct tls_shake *s = *ps;

    OBJ_CHECK(s, TLS_SHAKE_MAGIC);
    INVARIANT(s->tls == *pt);
    *ps = NULL;
    *pt = NULL;
    s->abandoned = true;
    if (!s->over && !take_back(s))
        return; /* on_worked frees it */
    loop_item_remove(&s->item);
    release(s);
}
