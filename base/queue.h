/*
 * base/queue.h - a bounded queue of pointers between threads.
 *
 * The one way by which objects cross threads (besides immutable counted snapshots).  Any number of
 * threads on either side; first in, first out.
 */
#ifndef LOGQ_BASE_QUEUE_H
#define LOGQ_BASE_QUEUE_H

#include "base/time.h"

struct queue;

struct queue *queue_new(size_t max_items);
void queue_free(struct queue **pq); /* must be empty, nobody waiting */

/* Append.  wait < 0: until there is room; 0: not at all; else at most that long.  false: no room in
 * time, or closed; the item stays the caller's. */
bool queue_push(struct queue *q, void *item, dur_ns wait);

/* Take the oldest; same waiting.  NULL: nothing in time, or closed and empty. */
void *queue_pop(struct queue *q, dur_ns wait);

void queue_close(
    struct queue *q); /* wakes everybody; pushes fail from now on, pops drain what is left */
size_t queue_count(const struct queue *q);

#endif
