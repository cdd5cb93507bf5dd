/* server/tail_live.c - what becomes durable, past the query of each follower.  See tail_priv.h. */
#include "base/obj.h"
#include "server/metrics.h"
#include "server/tail_priv.h"

#include <stdlib.h>

enum {
    RETRY_MS = 100, /* dropped entries are told when there is room again */
    BATCH_S = 5,    /* for a query on one batch */
};

/* ---- entries ---- */

/* Most come in order.  The others find their places when some are due: a sender may bring any
 * number in the worst of orders. */
static void put_waiting(struct tail *t, struct tail_entry *e)
{
    const struct tail_entry *last = t->waiting.n == 0 ? NULL : t->waiting.p[t->waiting.n - 1];

    if (last == NULL)
        t->first_due = e->due; /* who comes later is due later */
    else if (last->ts > e->ts || (last->ts == e->ts && last->seq > e->seq))
        t->is_mixed = true;
    VEC_PUSH(&t->waiting, e);
}

static int compare_waiting(const void *a, const void *b)
{
    const struct tail_entry *x = *(struct tail_entry *const *)a;
    const struct tail_entry *y = *(struct tail_entry *const *)b;

    return x->ts != y->ts ? (x->ts > y->ts) - (x->ts < y->ts)
                          : (x->seq > y->seq) - (x->seq < y->seq);
}

static void sort_waiting(struct tail *t)
{
    if (t->is_mixed)
        qsort(t->waiting.p, t->waiting.n, sizeof(*t->waiting.p), compare_waiting);
    t->is_mixed = false;
}

static void put_ready(struct tail *t, struct tail_entry *e)
{
    VEC_PUSH(&t->ready, e);
    if (t->ready.n == TAIL_FRAME_ENTRIES)
        tail_out_tell(t);
}

static int compare_seqs(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool was_seen(const struct tail *t, uint64_t seq)
{
    return t->n_seen > 0 && seq <= t->seen[t->n_seen - 1] &&
           bsearch(&seq, t->seen, t->n_seen, sizeof(seq), compare_seqs) != NULL;
}

static int take_live(void *arg, const struct query_entry *e)
{
    struct tail *t = arg;
    struct tail_entry *copy;
    struct err err;

    if (was_seen(t, e->seq))
        return 0;
    if (tail_entry_new(e, t->opt.form, t->opt.categorize, &t->hub->budget, &copy, &err) < 0) {
        tail_out_lose(t);
        return 0;
    }
    if (t->opt.delay == 0) {
        put_ready(t, copy);
        return 0;
    }
    copy->due = time_mono() + t->opt.delay;
    put_waiting(t, copy);
    return 0;
}

static bool is_of(const struct tail *t, const char *tenant)
{
    for (size_t i = 0; i < t->opt.n_tenants; i++)
        if (str_eq(t->tenants[i], str_of(tenant)))
            return true;
    return false;
}

static bool may_concern(const struct tail *t, const struct tail_item *i)
{
    return is_of(t, i->tenant) && query_touches(t->query, i->batch);
}

/* false: the query failed. */
static bool follow(struct tail *t, const struct tail_item *i)
{
    struct query_params p = {
        .limits = {.time = BATCH_S * NS_PER_S, .memory_bytes = t->memory_bytes},
        .budget = &t->hub->server->memory,
        .cancel = &t->cancel};
    struct err err;
    int r;

    if (!may_concern(t, i))
        return true;
    r = query_run_batch(t->query, i->batch, &p, take_live, t, &err);
    if (r < 0 && !t->cancel)
        tail_out_fail(t, &err);
    tail_out_tell(t);
    return r >= 0;
}

/* ---- the same for many ---- */

static bool is_owed_nothing(const struct tail *t)
{
    return t->ready.n == 0 && t->n_dropped == 0;
}

/* Would it get what any other of its class gets? */
static bool may_share(const struct tail *t, const struct tail_item *i)
{
    return t->opt.delay == 0 && is_owed_nothing(t) && tail_out_has_room(t) &&
           (t->n_seen == 0 || i->min_seq > t->seen[t->n_seen - 1]);
}

static void follow_shared(struct tail *t, const struct tail_item *i)
{
    struct tail_hub *h = t->hub;
    struct tail_class *c = t->class;
    bool ok;

    if (!may_share(t, i) || (c->answered == h->n_batches && !tail_out_give(t, c))) {
        (void)follow(t, i);
        return;
    }
    if (c->answered == h->n_batches)
        return;
    tail_class_forget(c);
    h->writing = c;
    ok = follow(t, i);
    h->writing = NULL;
    if (ok && is_owed_nothing(t) && !c->is_more) /* keeps (5) */
        c->answered = h->n_batches;
}

/* So many records passed it by. */
static void lose(struct tail *t, uint64_t lost)
{
    const struct query_entry unknown = {.ts = time_now(), .line = STR("")};
    struct tail_entry *e;
    struct err err;

    metric_add(METRIC_TAIL_DROPPED, lost);
    t->n_dropped += lost;
    if (t->dropped.n < TAIL_DROPPED_SHOWN &&
        tail_entry_new(&unknown, t->opt.form, false, &t->hub->budget, &e, &err) == 0)
        VEC_PUSH(&t->dropped, e); /* of which stream nobody knows: {} */
}

/* Until its history is there. */
static void put_by(struct tail *t, struct tail_item *i)
{
    if (!may_concern(t, i))
        return;
    if (tail_hub_keep(t->hub, i))
        VEC_PUSH(&t->backlog, i);
    else
        lose(t, i->batch->n_records);
}

void tail_live_batch(struct tail_hub *h, struct tail_item *i)
{
    h->n_batches++;
    for (size_t k = 0; k < h->tails.n; k++) {
        struct tail *t = h->tails.p[k];
        if (t->live)
            follow_shared(t, i);
        else
            put_by(t, i);
    }
    for (struct tail_class *c = h->classes; c != NULL; c = c->next)
        tail_class_forget(c);
}

/* ---- the beginning ---- */

void tail_live_begin(struct tail *t)
{
    if (t->history_err.code != 0) {
        tail_out_fail(t, &t->history_err);
        return;
    }
    t->seen = mem_new(t->history.n * sizeof(*t->seen) + 1);
    for (size_t i = t->history.n; i-- > 0;) {
        struct tail_entry *e = t->history.p[i];
        t->seen[t->n_seen++] = e->seq;
        t->history.n--;
        put_ready(t, e);
    }
    qsort(t->seen, t->n_seen, sizeof(*t->seen), compare_seqs);
    tail_out_tell(t);
    t->live = true;
    for (size_t i = 0; i < t->backlog.n; i++) {
        (void)follow(t, t->backlog.p[i]);
        tail_hub_release(t->hub, t->backlog.p[i]);
    }
    VEC_FINI(&t->backlog);
}

/* ---- time ---- */

/* How many of those waiting may go: what is due, and what is older and here by now. */
static size_t count_due(const struct tail *t, dur_ns now)
{
    size_t n = t->waiting.n;

    while (n > 0 && t->waiting.p[n - 1]->due > now)
        n--;
    return n;
}

static void release(struct tail *t, size_t n)
{
    for (size_t i = 0; i < n; i++)
        VEC_PUSH(&t->ready, t->waiting.p[i]);
    t->waiting.n -= n;
    t->first_due = INT64_MAX;
    for (size_t i = 0; i < t->waiting.n; i++) {
        t->waiting.p[i] = t->waiting.p[n + i];
        if (t->waiting.p[i]->due < t->first_due)
            t->first_due = t->waiting.p[i]->due;
    }
}

void tail_live_due(struct tail *t, dur_ns now)
{
    if (t->waiting.n > 0 && t->first_due <= now) {
        sort_waiting(t);
        release(t, count_due(t, now));
    }
    tail_out_tell(t);
}

dur_ns tail_live_next_due(const struct tail_hub *h, dur_ns now)
{
    dur_ns due = INT64_MAX;

    for (size_t i = 0; i < h->tails.n; i++) {
        const struct tail *t = h->tails.p[i];
        if (t->waiting.n > 0 && t->first_due < due)
            due = t->first_due;
        if (t->n_dropped > 0 && now + RETRY_MS * NS_PER_MS < due)
            due = now + RETRY_MS * NS_PER_MS;
    }
    return due;
}

/* ---- what passed by ---- */

void tail_live_lost(struct tail_hub *h, uint64_t lost)
{
    for (size_t i = 0; i < h->tails.n; i++) {
        lose(h->tails.p[i], lost);
        tail_out_tell(h->tails.p[i]);
    }
}
