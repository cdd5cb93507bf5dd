/*
 * server/workers.c - see workers.h.
 *
 * Not base/queue: one queue has one order, and here the order is who has waited for a turn.  Lanes
 * with jobs stand in a ring; a thread takes the first job of the first lane, and the lane goes to
 * the end.  A lane without jobs does not exist.
 *
 * Who lends its place keeps its thread, so there are as many threads more as places were ever lent
 * at once; they are started when needed and stay.
 *
 * Invariants, under the mutex
 *   (1) n_running <= n_places;
 *   (2) n_started >= n_places + n_lent, so that a place that is free finds a thread;
 *   (3) whoever leaves a place free, or takes one while another is free, wakes the next.
 */
#include "server/workers.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/priority.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

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
    unsigned n_places; /* for jobs that work at once */
    size_t max_waiting;
    /* guards what is below */
    pthread_mutex_t mutex;
    pthread_cond_t changed;  /* for who looks for a job */
    pthread_cond_t returned; /* for who wants its place back */
    pthread_t *threads;      /* room for n_places + WORKERS_LENT_MAX */
    unsigned n_started;
    unsigned n_running;   /* jobs that hold a place */
    unsigned n_lent;      /* jobs that do not, */
    unsigned n_returning; /* and of them those that want one; they go before new jobs */
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

/* ---- places; under the mutex ---- */

/* Keeps (3). */
static void wake_next(struct workers *w)
{
    if (w->n_running >= w->n_places)
        return;
    if (w->n_returning > 0)
        (void)pthread_cond_signal(&w->returned);
    else if (w->first != NULL)
        (void)pthread_cond_signal(&w->changed);
}

static bool may_take(const struct workers *w)
{
    return w->first != NULL && w->n_returning == 0 && w->n_running < w->n_places;
}

static bool is_over(const struct workers *w)
{
    return w->closed && w->first == NULL;
}

/* ---- threads ---- */

/* NULL: there will be none any more. */
static struct job *wait_for_job(struct workers *w)
{
    struct job *job = NULL;

    (void)pthread_mutex_lock(&w->mutex);
    while (!may_take(w) && !is_over(w))
        (void)pthread_cond_wait(&w->changed, &w->mutex);
    if (w->first != NULL) {
        job = take(w);
        w->n_running++;
        wake_next(w);
    }
    if (is_over(w))
        (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
    return job;
}

static void leave_place(struct workers *w)
{
    (void)pthread_mutex_lock(&w->mutex);
    w->n_running--;
    wake_next(w);
    (void)pthread_mutex_unlock(&w->mutex);
}

static void *work(void *arg)
{
    struct workers *w = arg;
    struct job *job;

    priority_set(PRIORITY_LATER); /* an ack does not wait for a query */
    while ((job = wait_for_job(w)) != NULL) {
        job->fn(job->arg);
        free(job);
        leave_place(w);
    }
    return NULL;
}

/* Under the mutex, with all signals blocked.  0 or an errno. */
static int start_thread(struct workers *w)
{
    int e = pthread_create(&w->threads[w->n_started], NULL, work, w);

    if (e == 0)
        (void)pthread_setname_np(w->threads[w->n_started++], "worker");
    return e;
}

int workers_new(unsigned threads, size_t max_waiting, struct workers **ret, struct err *err)
{
    struct workers *w = mem_new(sizeof(*w));
    sigset_t all, old;
    int e = 0;

    w->magic = WORKERS_MAGIC;
    w->max_waiting = max_waiting;
    w->n_places = threads;
    w->threads = mem_new((threads + WORKERS_LENT_MAX) * sizeof(*w->threads));
    (void)pthread_mutex_init(&w->mutex, NULL);
    (void)pthread_cond_init(&w->changed, NULL);
    (void)pthread_cond_init(&w->returned, NULL);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    (void)pthread_mutex_lock(&w->mutex);
    while (e == 0 && w->n_started < threads)
        e = start_thread(w);
    (void)pthread_mutex_unlock(&w->mutex);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (e == 0) {
        *ret = w;
        return 0;
    }
    workers_free(&w);
    return err_set(err, ERR_IO, "start a worker thread: %s", strerrorname_np(e));
}

bool workers_lend(struct workers *w)
{
    bool lent;

    OBJ_CHECK(w, WORKERS_MAGIC);
    (void)pthread_mutex_lock(&w->mutex);
    lent = w->n_lent < WORKERS_LENT_MAX;
    if (lent && w->n_started < w->n_places + w->n_lent + 1) /* keeps (2) */
        lent = start_thread(w) == 0;
    if (lent) {
        w->n_lent++;
        w->n_running--;
        wake_next(w);
    }
    (void)pthread_mutex_unlock(&w->mutex);
    return lent;
}

void workers_take_back(struct workers *w)
{
    OBJ_CHECK(w, WORKERS_MAGIC);
    (void)pthread_mutex_lock(&w->mutex);
    w->n_returning++;
    while (w->n_running >= w->n_places)
        (void)pthread_cond_wait(&w->returned, &w->mutex);
    w->n_returning--;
    w->n_lent--;
    w->n_running++;
    wake_next(w);
    (void)pthread_mutex_unlock(&w->mutex);
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
        wake_next(w);
    }
    (void)pthread_mutex_unlock(&w->mutex);
    if (!room)
        free(job);
    return room;
}

/* One that was not waited for before; a job may start others as long as there are jobs. */
static bool next_thread(struct workers *w, unsigned i, pthread_t *ret)
{
    bool is = false;

    (void)pthread_mutex_lock(&w->mutex);
    if (i < w->n_started) {
        *ret = w->threads[i];
        is = true;
    }
    (void)pthread_mutex_unlock(&w->mutex);
    return is;
}

void workers_free(struct workers **pw)
{
    struct workers *w = *pw;
    pthread_t thread;

    if (w == NULL)
        return;
    OBJ_CHECK(w, WORKERS_MAGIC);
    (void)pthread_mutex_lock(&w->mutex);
    w->closed = true;
    (void)pthread_cond_broadcast(&w->changed);
    (void)pthread_mutex_unlock(&w->mutex);
    for (unsigned i = 0; next_thread(w, i, &thread); i++)
        (void)pthread_join(thread, NULL);
    (void)pthread_mutex_destroy(&w->mutex);
    (void)pthread_cond_destroy(&w->changed);
    (void)pthread_cond_destroy(&w->returned);
    free(w->threads);
    w->magic = 0;
    free(w);
    *pw = NULL;
}
