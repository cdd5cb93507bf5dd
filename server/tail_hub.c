/* server/tail_hub.c - the queue of what concerns followers, and the thread that takes it.  See
 * tail_priv.h. */
#include "base/obj.h"
#include "server/tail_priv.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    HUB_BYTES = 128 << 20, /* entries and output of all tails */
    LOOK_MS = 100,         /* so often all tails are looked at, however much comes */
};

/* ---- the queue ---- */

void tail_hub_release(struct tail_hub *h, struct tail_item *i)
{
    if (atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (i->is_kept) {
        (void)pthread_mutex_lock(&h->mutex);
        h->kept_bytes -= i->bytes;
        (void)pthread_mutex_unlock(&h->mutex);
    }
    if (i->batch != NULL)
        batch_unref(&i->batch);
    free(i);
}

bool tail_hub_keep(struct tail_hub *h, struct tail_item *i)
{
    if (!i->is_kept) {
        (void)pthread_mutex_lock(&h->mutex);
        i->is_kept = i->bytes <= TAIL_KEPT_BYTES - h->kept_bytes;
        if (i->is_kept)
            h->kept_bytes += i->bytes;
        (void)pthread_mutex_unlock(&h->mutex);
    }
    if (i->is_kept)
        atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
    return i->is_kept;
}

/* What the tails have seen of it, or keep, is not the queue's any more. */
static void leave_queue(struct tail_hub *h, const struct tail_item *i)
{
    (void)pthread_mutex_lock(&h->mutex);
    h->queued_bytes -= i->bytes;
    (void)pthread_mutex_unlock(&h->mutex);
}

static void push_locked(struct tail_hub *h, struct tail_item *i)
{
    *h->last = i;
    h->last = &i->next;
    (void)pthread_cond_signal(&h->came);
}

void tail_hub_push(struct tail_hub *h, enum tail_item_kind kind, struct tail *t)
{
    struct tail_item *i = mem_new(sizeof(*i));

    i->kind = kind;
    i->refs = 1;
    i->tail = tail_ref(t);
    (void)pthread_mutex_lock(&h->mutex);
    push_locked(h, i);
    (void)pthread_mutex_unlock(&h->mutex);
}

static uint64_t min_seq(const struct batch *b)
{
    uint64_t least = UINT64_MAX;

    for (uint32_t i = 0; i < b->n_records; i++)
        least = b->records[i].seq < least ? b->records[i].seq : least;
    return least;
}

void tail_hub_observe(struct tail_hub *h, struct str tenant, struct batch *b)
{
    struct tail_item *i;
    size_t bytes;

    OBJ_CHECK(h, TAIL_HUB_MAGIC);
    if (h->n_open == 0)
        return;
    bytes = batch_held(b);
    i = mem_new(sizeof(*i));
    i->kind = TAIL_ITEM_BATCH;
    i->refs = 1;
    i->bytes = bytes;
    i->min_seq = min_seq(b);
    (void)str_to_z(tenant, i->tenant, sizeof(i->tenant));
    (void)pthread_mutex_lock(&h->mutex);
    if (bytes <= TAIL_QUEUE_BYTES - h->queued_bytes) { /* keeps (3) */
        i->batch = batch_ref(b);
        h->queued_bytes += bytes;
        push_locked(h, i);
        i = NULL;
    } else {
        h->lost += b->n_records;
        (void)pthread_cond_signal(&h->came);
    }
    (void)pthread_mutex_unlock(&h->mutex);
    free(i);
}

/* ---- the thread ---- */

static void on_open(struct tail_hub *h, struct tail *t)
{
    VEC_PUSH(&h->tails, tail_ref(t));
    t->class = tail_class_get(&h->classes, buf_str(&t->key));
    t->live = t->opt.limit == 0;
}

static void on_close(struct tail_hub *h, struct tail *t)
{
    for (size_t k = 0; k < h->tails.n; k++) {
        if (h->tails.p[k] != t)
            continue;
        VEC_REMOVE(&h->tails, k);
        tail_class_put(&h->classes, &t->class);
        tail_unref(t);
        return;
    }
}

static void take_item(struct tail_hub *h, struct tail_item *i)
{
    struct tail *t = i->tail;

    switch (i->kind) {
    case TAIL_ITEM_OPEN:
        on_open(h, t);
        break;
    case TAIL_ITEM_HISTORY:
        tail_live_begin(t);
        break;
    case TAIL_ITEM_BATCH:
        tail_live_batch(h, i);
        leave_queue(h, i);
        break;
    case TAIL_ITEM_CLOSE:
        on_close(h, t);
        break;
    }
    tail_hub_release(h, i);
    if (t != NULL)
        tail_unref(t);
}

/* The next item; NULL: it is time to look, or records were lost, or the end. */
static struct tail_item *wait_item(struct tail_hub *h, dur_ns due, uint64_t *lost, bool *closing)
{
    struct timespec until = {.tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S};
    struct tail_item *i;
    int e = 0;

    (void)pthread_mutex_lock(&h->mutex);
    while (h->first == NULL && h->lost == 0 && !h->closing && e == 0)
        e = due == INT64_MAX ? pthread_cond_wait(&h->came, &h->mutex)
                             : pthread_cond_timedwait(&h->came, &h->mutex, &until);
    i = h->first;
    if (i != NULL) {
        h->first = i->next;
        if (h->first == NULL)
            h->last = &h->first;
        i->next = NULL;
    }
    *lost = h->lost;
    h->lost = 0;
    *closing = h->closing;
    (void)pthread_mutex_unlock(&h->mutex);
    return i;
}

static void *run_hub(void *arg)
{
    struct tail_hub *h = arg;
    dur_ns looked = 0;

    for (;;) {
        dur_ns now = time_mono();
        uint64_t lost;
        bool closing;
        struct tail_item *i = wait_item(h, tail_live_next_due(h, now), &lost, &closing);

        if (i == NULL && closing)
            return NULL;
        if (i != NULL)
            take_item(h, i);
        if (lost > 0)
            tail_live_lost(h, lost);
        now = time_mono();
        if (i == NULL || now - looked > LOOK_MS * NS_PER_MS) {
            for (size_t k = 0; k < h->tails.n; k++)
                tail_live_due(h->tails.p[k], now);
            looked = now;
        }
    }
}

/* ---- life ---- */

int tail_hub_open(struct server *s, struct tail_hub **ret, struct err *err)
{
    struct tail_hub *h = mem_new(sizeof(*h));
    pthread_condattr_t attr;
    sigset_t all, old;
    int e;

    h->magic = TAIL_HUB_MAGIC;
    h->server = s;
    h->budget = (struct mem_budget){.name = "tails", .limit = HUB_BYTES, .parent = &s->memory};
    h->last = &h->first;
    (void)pthread_mutex_init(&h->mutex, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&h->came, &attr);
    (void)pthread_condattr_destroy(&attr);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    e = pthread_create(&h->thread, NULL, run_hub, h);
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    h->started = e == 0;
    if (e != 0) {
        tail_hub_close(&h);
        return err_set(err, ERR_IO, "start the thread of tails: %s", strerrorname_np(e));
    }
    (void)pthread_setname_np(h->thread, "tails");
    *ret = h;
    return 0;
}

void tail_hub_close(struct tail_hub **ph)
{
    struct tail_hub *h = *ph;

    *ph = NULL;
    if (h == NULL)
        return;
    OBJ_CHECK(h, TAIL_HUB_MAGIC);
    (void)pthread_mutex_lock(&h->mutex);
    h->closing = true;
    (void)pthread_cond_signal(&h->came);
    (void)pthread_mutex_unlock(&h->mutex);
    if (h->started)
        (void)pthread_join(h->thread, NULL);
    INVARIANT(h->tails.n == 0 && h->first == NULL && h->classes == NULL);
    VEC_FINI(&h->tails);
    (void)pthread_mutex_destroy(&h->mutex);
    (void)pthread_cond_destroy(&h->came);
    h->magic = 0;
    free(h);
}
