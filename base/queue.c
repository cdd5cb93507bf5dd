/* base/queue.c - see queue.h.  A ring under one mutex; deadlines are on the monotonic clock. */
#include "base/queue.h"

#include "base/mem.h"
#include "base/obj.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct queue {
    unsigned magic;
#define QUEUE_MAGIC 0x9e0e51d7u
    size_t cap;
    pthread_mutex_t lock; /* guards ring, head, closed, and writing of count */
    pthread_cond_t filled, drained;
    void **ring;
    size_t head; /* oldest */
    bool closed;
    _Atomic size_t count; /* read without the lock by queue_count */
};

static void init_cond(pthread_cond_t *c)
{
    pthread_condattr_t attr;

    INVARIANT(pthread_condattr_init(&attr) == 0);
    INVARIANT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    INVARIANT(pthread_cond_init(c, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
}

struct queue *queue_new(size_t max_items)
{
    struct queue *q = mem_new(sizeof(*q));

    INVARIANT(max_items > 0 && max_items <= SIZE_MAX / sizeof(*q->ring));
    q->magic = QUEUE_MAGIC;
    q->cap = max_items;
    q->ring = mem_new(max_items * sizeof(*q->ring));
    INVARIANT(pthread_mutex_init(&q->lock, NULL) == 0);
    init_cond(&q->filled);
    init_cond(&q->drained);
    return q;
}

void queue_free(struct queue **pq)
{
    struct queue *q = *pq;

    if (q == NULL)
        return;
    OBJ_CHECK(q, QUEUE_MAGIC);
    INVARIANT(q->count == 0);
    (void)pthread_cond_destroy(&q->filled);
    (void)pthread_cond_destroy(&q->drained);
    (void)pthread_mutex_destroy(&q->lock);
    free(q->ring);
    q->magic = 0;
    free(q);
    *pq = NULL;
}

static struct timespec deadline_of(dur_ns wait)
{
    dur_ns at = time_mono();

    at = wait > INT64_MAX - at ? INT64_MAX : at + wait;
    return (struct timespec){.tv_sec = (time_t)(at / NS_PER_S), .tv_nsec = (long)(at % NS_PER_S)};
}

/* Under the lock: wait once for `c`; false when the time is over. */
static bool wait_for(struct queue *q, pthread_cond_t *c, dur_ns wait, const struct timespec *until)
{
    if (wait == 0)
        return false;
    if (wait < 0)
        return pthread_cond_wait(c, &q->lock) == 0;
    return pthread_cond_timedwait(c, &q->lock, until) != ETIMEDOUT;
}

bool queue_push(struct queue *q, void *item, dur_ns wait)
{
    struct timespec until = {0};
    bool pushed = false;

    OBJ_CHECK(q, QUEUE_MAGIC);
    INVARIANT(item != NULL);
    if (wait > 0)
        until = deadline_of(wait);
    (void)pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == q->cap)
        if (!wait_for(q, &q->drained, wait, &until))
            break;
    if (!q->closed && q->count < q->cap) {
        q->ring[(q->head + q->count) % q->cap] = item;
        q->count++;
        pushed = true;
        (void)pthread_cond_signal(&q->filled);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return pushed;
}

void *queue_pop(struct queue *q, dur_ns wait)
{
    struct timespec until = {0};
    void *item = NULL;

    OBJ_CHECK(q, QUEUE_MAGIC);
    if (wait > 0)
        until = deadline_of(wait);
    (void)pthread_mutex_lock(&q->lock);
    while (!q->closed && q->count == 0)
        if (!wait_for(q, &q->filled, wait, &until))
            break;
    if (q->count > 0) {
        item = q->ring[q->head];
        q->head = (q->head + 1) % q->cap;
        q->count--;
        (void)pthread_cond_signal(&q->drained);
    }
    (void)pthread_mutex_unlock(&q->lock);
    return item;
}

void queue_close(struct queue *q)
{
    OBJ_CHECK(q, QUEUE_MAGIC);
    (void)pthread_mutex_lock(&q->lock);
    q->closed = true;
    (void)pthread_cond_broadcast(&q->filled);
    (void)pthread_cond_broadcast(&q->drained);
    (void)pthread_mutex_unlock(&q->lock);
}

size_t queue_count(const struct queue *q)
{
    OBJ_CHECK(q, QUEUE_MAGIC);
    return q->count;
}
