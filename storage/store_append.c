/*
 * storage/store_append.c - the queue of requests and the thread that empties it.  Contract:
 * store_internal.h.
 *
 * Group commit without a timer: while one group is synced the next one gathers.
 */
#include "base/obj.h"
#include "base/priority.h"
#include "storage/store_internal.h"

static void fail_one(struct store_append *a)
{
    struct err err;

    (void)err_set(&err, ERR_CANCELLED, "the store is closing");
    batch_unref(&a->batch);
    a->done(a, STORE_FAILED, &err);
}

void store_append(struct store *s, struct store_append *a)
{
    bool closing;

    OBJ_CHECK(s, STORE_MAGIC);
    OBJ_CHECK(a->batch, BATCH_MAGIC);
    a->next = NULL;
    a->why = NULL;
    a->first_seq = a->wal_pos = 0;
    a->decided = (int)STORE_FAILED;
    (void)pthread_mutex_lock(&s->mutex);
    closing = s->closing;
    if (!closing) {
        if (s->last == NULL)
            s->first = a;
        else
            s->last->next = a;
        s->last = a;
        s->queued_bytes += a->payload.bytes.n;
    }
    (void)pthread_mutex_unlock(&s->mutex);
    if (closing)
        fail_one(a);
    else /* not under the mutex: who wakes up takes our core at once, and would wait for it */
        (void)pthread_cond_signal(&s->wal_wake);
}

/* What a request costs: in the WAL, or in the head. */
static size_t cost(const struct store_append *a)
{
    size_t held = batch_held(a->batch);

    return held > a->payload.bytes.n ? held : a->payload.bytes.n;
}

/* Under mutex: cut a group off the queue's front.  Its size bounds by how much the head may pass
 * its own bound. */
static struct store_append *cut_group(struct store *s)
{
    size_t most = s->opt.head_bytes < STORE_GROUP_BYTES ? s->opt.head_bytes : STORE_GROUP_BYTES;
    struct store_append *group = s->first;
    struct store_append *end = group;
    size_t bytes = cost(group);

    s->queued_bytes -= group->payload.bytes.n;
    for (size_t n = 1; end->next != NULL && n < STORE_GROUP_MAX; n++) {
        bytes += cost(end->next);
        if (bytes > most)
            break;
        end = end->next;
        s->queued_bytes -= end->payload.bytes.n;
    }
    s->first = end->next;
    if (s->first == NULL)
        s->last = NULL;
    end->next = NULL;
    return group;
}

/* Under mutex: let more requests join, if the options say so. */
static void gather(struct store *s)
{
    dur_ns end = time_mono() + s->opt.group_delay;

    while (s->opt.group_delay > 0 && !s->closing && s->queued_bytes < STORE_GROUP_BYTES) {
        dur_ns left = end - time_mono();
        if (left <= 0)
            break;
        store_wait(s, &s->wal_wake, left);
    }
}

/* Under mutex.  A full disk is full for all: while segments find no room, the WAL takes none of
 * what is left, and nobody is answered. */
static bool may_take(const struct store *s)
{
    return !store_is_full(s) && store_head_has_room(s);
}

/* The next group; NULL: the store closes.  What is queued then stays queued. */
static struct store_append *next_group(struct store *s)
{
    struct store_append *group = NULL;

    (void)pthread_mutex_lock(&s->mutex);
    for (;;) {
        if (s->closing)
            break;
        if (s->first != NULL && may_take(s)) {
            gather(s);
            if (!s->closing)
                group = cut_group(s);
            break;
        }
        if (s->first != NULL && !store_is_full(s)) { /* the head is over its bound */
            s->flush_kick = true;
            (void)pthread_cond_signal(&s->flush_wake);
        }
        (void)pthread_cond_wait(&s->wal_wake, &s->mutex);
    }
    (void)pthread_mutex_unlock(&s->mutex);
    return group;
}

static void fail_queued(struct store *s)
{
    for (;;) {
        struct store_append *a;
        (void)pthread_mutex_lock(&s->mutex);
        a = s->first;
        if (a != NULL) {
            s->first = a->next;
            s->last = s->first == NULL ? NULL : s->last;
            s->queued_bytes -= a->payload.bytes.n;
        }
        (void)pthread_mutex_unlock(&s->mutex);
        if (a == NULL)
            return;
        fail_one(a);
    }
}

void *store_append_main(void *arg)
{
    struct store *s = arg;
    struct priority_pace pace = {0};
    struct store_append *group;

    priority_set(PRIORITY_PROMPT);
    priority_pace(&pace);
    while ((group = next_group(s)) != NULL) {
        store_commit_group(s, group);
        priority_pace(&pace);
    }
    fail_queued(s);
    return NULL;
}
