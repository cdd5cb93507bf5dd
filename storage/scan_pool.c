/* storage/scan_pool.c - see scan_pool.h. */
#include "storage/scan_pool.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/priority.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* The jobs of one scan; on the stack of scan_pool_run. */
struct jobs {
    struct jobs *next;
    size_t n, begun;
    unsigned running;
    unsigned slots; /* a bit for each that is taken */
    scan_job_fn *fn;
    void *arg;
    bool failed;
    size_t failed_job;
    int result;
    struct err err;
    pthread_cond_t idle; /* running fell to 0 */
};

struct scan_pool {
    unsigned magic;
#define SCAN_POOL_MAGIC 0x5ca490e1u
    pthread_mutex_t mutex; /* guards the rest and what jobs hold; not held during a job */
    pthread_cond_t wake;
    struct jobs *list; /* that have jobs to begin */
    bool closing;
    unsigned n_threads;
    pthread_t thread[SCAN_POOL_SLOTS];
};

/* ---- under the mutex ---- */

static bool has_work(const struct jobs *j)
{
    return j->begun < j->n && !j->failed;
}

static void take_off(struct scan_pool *p, struct jobs *j)
{
    struct jobs **at = &p->list;

    while (*at != NULL && *at != j)
        at = &(*at)->next;
    if (*at != NULL)
        *at = j->next;
}

static void put_last(struct scan_pool *p, struct jobs *j)
{
    struct jobs **at = &p->list;

    while (*at != NULL)
        at = &(*at)->next;
    j->next = NULL;
    *at = j;
}

/* Do the next job of `j`; the mutex is given up meanwhile. */
static void do_one(struct scan_pool *p, struct jobs *j)
{
    size_t job = j->begun++;
    unsigned slot = (unsigned)__builtin_ctz(~j->slots);
    struct err err;
    int r;

    j->slots |= 1u << slot;
    j->running++;
    take_off(p, j);
    if (has_work(j))
        put_last(p, j);
    (void)pthread_mutex_unlock(&p->mutex);
    r = j->fn(j->arg, job, slot, &err);
    (void)pthread_mutex_lock(&p->mutex);
    if (r != 0 && (!j->failed || job < j->failed_job)) {
        j->failed = true;
        j->failed_job = job;
        j->result = r;
        j->err = err;
        take_off(p, j);
    }
    j->slots &= ~(1u << slot);
    if (--j->running == 0)
        (void)pthread_cond_signal(&j->idle);
}

/* ---- threads ---- */

static void *helper_main(void *arg)
{
    struct scan_pool *p = arg;

    priority_set(PRIORITY_LATER); /* an ack does not wait for a question */
    (void)pthread_mutex_lock(&p->mutex);
    while (!p->closing) {
        if (p->list != NULL)
            do_one(p, p->list);
        else
            (void)pthread_cond_wait(&p->wake, &p->mutex);
    }
    (void)pthread_mutex_unlock(&p->mutex);
    return NULL;
}

static unsigned cores(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);

    return n < 1 ? 1 : n > SCAN_POOL_SLOTS - 1 ? SCAN_POOL_SLOTS - 1 : (unsigned)n;
}

int scan_pool_new(unsigned threads, struct scan_pool **ret, struct err *err)
{
    struct scan_pool *p = mem_new(sizeof(*p));
    unsigned want = threads == 0 ? cores() : threads;
    sigset_t all;
    sigset_t old;
    int sys = 0;

    p->magic = SCAN_POOL_MAGIC;
    INVARIANT(pthread_mutex_init(&p->mutex, NULL) == 0);
    INVARIANT(pthread_cond_init(&p->wake, NULL) == 0);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &old); /* signals are the programs' business */
    while (sys == 0 && p->n_threads < want && p->n_threads < SCAN_POOL_SLOTS - 1) {
        sys = pthread_create(&p->thread[p->n_threads], NULL, helper_main, p);
        p->n_threads += sys == 0;
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (p->n_threads == 0) {
        scan_pool_free(&p);
        return err_set(err, ERR_IO, "no thread for queries could be started (error %d)", sys);
    }
    *ret = p;
    return 0;
}

void scan_pool_free(struct scan_pool **pp)
{
    struct scan_pool *p = *pp;

    *pp = NULL;
    if (p == NULL)
        return;
    OBJ_CHECK(p, SCAN_POOL_MAGIC);
    (void)pthread_mutex_lock(&p->mutex);
    INVARIANT(p->list == NULL);
    p->closing = true;
    (void)pthread_cond_broadcast(&p->wake);
    (void)pthread_mutex_unlock(&p->mutex);
    for (unsigned i = 0; i < p->n_threads; i++)
        (void)pthread_join(p->thread[i], NULL);
    (void)pthread_cond_destroy(&p->wake);
    (void)pthread_mutex_destroy(&p->mutex);
    p->magic = 0;
    free(p);
}

unsigned scan_pool_slots(const struct scan_pool *p)
{
    return p == NULL ? 1 : p->n_threads + 1;
}

/* ---- running ---- */

static int run_alone(size_t n, scan_job_fn *fn, void *arg, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < n; i++)
        r = fn(arg, i, 0, err);
    return r;
}

int scan_pool_run(struct scan_pool *p, size_t n, scan_job_fn *fn, void *arg, struct err *err)
{
    struct jobs j = {.n = n, .fn = fn, .arg = arg};

    if (p == NULL || n <= 1)
        return run_alone(n, fn, arg, err);
    OBJ_CHECK(p, SCAN_POOL_MAGIC);
    INVARIANT(pthread_cond_init(&j.idle, NULL) == 0);
    (void)pthread_mutex_lock(&p->mutex);
    put_last(p, &j);
    (void)pthread_cond_broadcast(&p->wake);
    while (has_work(&j))
        do_one(p, &j);
    take_off(p, &j);
    while (j.running > 0)
        (void)pthread_cond_wait(&j.idle, &p->mutex);
    (void)pthread_mutex_unlock(&p->mutex);
    (void)pthread_cond_destroy(&j.idle);
    if (j.failed)
        *err = j.err;
    return j.result;
}
