/*
 * server/workers.c - see workers.h.
 *
 * Not base/queue: one queue has one order, and here the order is who has waited for a turn.  Lanes
 * with jobs stand in a ring; a thread takes the first job of the first lane, and the lane goes to
 * the end.  A lane without jobs does not exist.
 */
#include "server/workers.h"

#include "base/mem.h"
#include "base/obj.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { NICE = 10 }; /* an ack does not wait for a query */

struct job {
    struct job *next;
    workers_fn *fn;
    void *arg;
};

struct lane {
    struct lane *next;
    struct job *first, *last; /* never NULL in the ring */
    size_t n;
    size_t name_n;
    char name[];
};

struct workers {
    unsigned magic;
#define WORKERS_MAGIC 0x301ce125u
    pthread_t *threads;
    unsigned n_threads;
    size_t max_waiting;
    /* guards what is below */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct lane *first, *last;
    size_t n_lanes, n_jobs;
    bool closed;
};

/* ---- lanes; under the mutex ---- */

static struct lane *find_lane(const struct workers *w, struct str name)
{
    for (struct lane *l = w->first; l != NULL; l = l->next)
        if (str_eq((struct str){l->name, l->name_n}, name))
            return l;
    return NULL;
}

static void append_lane(struct workers *w, struct lane *l)
{
    l->next = NULL;
    if (w->last == NULL)
        w->first = l;
    else
        w->last->next = l;
    w->last = l;
}

static struct lane *add_lane(struct workers *w, struct str name)
{
    struct lane *l = mem_new(sizeof(*l) + name.n);

    l->name_n = name.n;
    if (name.n > 0)
        memcpy(l->name, name.p, name.n);
    append_lane(w, l);
    w->n_lanes++;
    return l;
}

static bool has_room(const struct workers *w, const struct lane *l)
{
    if (w->closed)
        return false;
    if (l == NULL)
        return w->n_lanes < WORKERS_LANES_MAX;
    return l->n < w->max_waiting && w->n_jobs < WORKERS_FULL_LANES * w->max_waiting;
}

/* The job whose turn it is; there is one. */
static struct job *take(struct workers *w)
{
    struct lane *l = w->first;
    struct job *job = l->first;

    w->first = l->next;
    if (w->first == NULL)
        w->last = NULL;
    l->first = job->next;
    l->n--;
    w->n_jobs--;
    if (l->n > 0) {
        append_lane(w, l);
    } else {
        w->n_lanes--;
        free(l);
    }
    return job;
}

/* ---- threads ---- */

static struct job *wait_for_job(struct workers *w)
{
    struct job *job = NULL;

    (void)pthread_mutex_lock(&w->mutex);
    while (w->first == NULL && !w->closed)
        (void)pthread_cond_wait(&w->changed, &w->mutex);
    if (w->first != NULL)
        job = take(w);
    (void)pthread_mutex_unlock(&w->mutex);
    return job;
}

static void *work(void *arg)
{
    struct workers *w = arg;
    struct job *job;

    (void)setpriority(PRIO_PROCESS, 0, NICE); /* of this thread alone; a hint */
    while ((job = wait_for_job(w)) != NULL) {
        job->fn(job->arg);
        free(job);
    }
    return NULL;
}

int workers_new(unsigned threads, size_t max_waiting, struct workers **ret, struct err *err)
{
    struct workers *w = mem_new(sizeof(*w));
    sigset_t all, old;
    int r = 0;

    w->magic = WORKERS_MAGIC;
    w->max_waiting = max_waiting;
    w->threads = mem_new(threads * sizeof(*w->threads));
    (void)pthread_mutex_init(&w->mutex, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    while (r == 0 && w->n_threads < threads) {
        int e = pthread_create(&w->threads[w->n_threads], NULL, work, w);
        if (e != 0)
            r = err_set(err, ERR_IO, "start a worker thread: %s", strerrorname_np(e));
        else
            (void)pthread_setname_np(w->threads[w->n_threads++], "worker");
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r < 0)
        workers_free(&w);
    else
        *ret = w;
    return r;
}

bool workers_run(struct workers *w, struct str lane, workers_fn *fn, void *arg)
{
    struct job *job = mem_new(sizeof(*job));
    struct lane *l;
    bool room;

    OBJ_CHECK(w, WORKERS_MAGIC);
    job->fn = fn;
    job->arg = arg;
    (void)pthread_mutex_lock(&w->mutex);
    l = find_lane(w, lane);
    room = has_room(w, l);
    if (room) {
        if (l == NULL)
            l = add_lane(w, lane);
        if (l->n == 0)
            l->first = job;
        else
            l->last->next = job;
        l->last = job;
        l->n++;
        w->n_jobs++;
        (void)pthread_cond_signal(&w->changed);
    }
    (void)pthread_mutex_unlock(&w->mutex);
    if (!room)
        free(job);
    return room;
}

void workers_free(struct workers **pw)
{
    struct workers *w = *pw;

    if (w == NULL)
        return;
    OBJ_CHECK(w, WORKERS_MAGIC);
    (void)pthread_mutex_lock(&w->mutex);
    w->closed = true;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
    for (unsigned i = 0; i < w->n_threads; i++)
        (void)pthread_join(w->threads[i], NULL);
    (void)pthread_mutex_destroy(&w->mutex);
    (void)pthread_cond_destroy(&w->changed);
    free(w->threads);
    w->magic = 0;
    free(w);
    *pw = NULL;
}
