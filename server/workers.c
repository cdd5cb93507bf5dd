/*
 * server/workers.c - see workers.h.
 *
 * A job is a function and its argument in a heap cell that crosses by base/queue; closing the queue
 * lets the threads drain it and end.
 */
#include "server/workers.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/queue.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct job {
    workers_fn *fn;
    void *arg;
};

struct workers {
    unsigned magic;
#define WORKERS_MAGIC 0x301ce125u
    struct queue *jobs;
    pthread_t *threads;
    unsigned n_threads;
};

static void *work(void *arg)
{
    struct workers *w = arg;
    struct job *job;

    while ((job = queue_pop(w->jobs, -1)) != NULL) {
        job->fn(job->arg);
        free(job);
    }
    return NULL;
}

int workers_new(unsigned threads, size_t max_queued, struct workers **ret, struct err *err)
{
    struct workers *w = mem_new(sizeof(*w));
    sigset_t all, old;
    int r = 0;

    w->magic = WORKERS_MAGIC;
    w->jobs = queue_new(max_queued);
    w->threads = mem_new(threads * sizeof(*w->threads));
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

bool workers_run(struct workers *w, workers_fn *fn, void *arg)
{
    struct job *job = mem_new(sizeof(*job));

    OBJ_CHECK(w, WORKERS_MAGIC);
    job->fn = fn;
    job->arg = arg;
    if (queue_push(w->jobs, job, 0))
        return true;
    free(job);
    return false;
}

void workers_free(struct workers **pw)
{
    struct workers *w = *pw;

    if (w == NULL)
        return;
    OBJ_CHECK(w, WORKERS_MAGIC);
    queue_close(w->jobs);
    for (unsigned i = 0; i < w->n_threads; i++)
        (void)pthread_join(w->threads[i], NULL);
    queue_free(&w->jobs);
    free(w->threads);
    w->magic = 0;
    free(w);
    *pw = NULL;
}
