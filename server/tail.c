/*
 * server/tail.c - see tail.h.
 *
 *     main loop: tail_open --> queue: OPEN        worker: history, then queue: HISTORY
 *     WAL thread: observe ---> queue: BATCH       main loop: tail_close --> queue: CLOSE
 *
 * and the hub's thread takes them in this order.  A record is in the store's head before it is
 * observed.  So what was observed before OPEN is found by the history, which is read after it, and
 * what comes later passes through the queue: nothing is lost between the two, and what both find
 * has one seq.
 *
 * Invariants
 *   (1) a tail is counted: by who opened it, by each item in the queue but a BATCH, by each piece
 * on its way to the loop, and by the hub from OPEN to CLOSE; (2) between OPEN and CLOSE a tail's
 * entries are touched by the hub's thread alone, but `history`, which is the worker's until its
 * HISTORY is in the queue; (3) batches that wait, in the queue or for a history, hold at most
 * QUEUE_BYTES; one over it is dropped and every tail is told so; (4) entries are charged to
 * hub->budget while they live, and what is on its way to a client until he has taken it
 * (tail->queued); (5) what a class hands on is what a batch gave to one of it to whom nothing was
 * owed, to others to whom nothing is.
 */
#include "server/tail.h"

#include "base/obj.h"
#include "base/vec.h"
#include "server/metrics.h"
#include "server/tail_class.h"
#include "server/tail_frame.h"
#include "server/tenant_limits.h"
#include "server/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    QUEUE_BYTES = 64 << 20,
    HUB_BYTES = 128 << 20,  /* entries and output of all tails */
    CLIENT_BYTES = 1 << 20, /* on the way to one client; more only to finish a frame */
    FRAME_BYTES = 1 << 20,  /* of entries in one frame, unless one alone has more */
    PIECE_MAX = 128 << 20,
    RETRY_MS = 100, /* dropped entries are told when there is room again */
    BATCH_S = 5,    /* for a query on one batch */
    TENANTS_MAX = 8,
    TENANT_MAX = 160,
    KEY_MAX = 1 << 20,
};

enum item_kind { ITEM_OPEN, ITEM_HISTORY, ITEM_BATCH, ITEM_CLOSE };

struct item {
    enum item_kind kind;
    struct item *next;
    struct tail *tail;     /* a reference; not of BATCH */
    struct batch *batch;   /* a reference; of BATCH */
    size_t bytes;          /* keeps (3) */
    uint64_t min_seq;      /* of its records */
    _Atomic unsigned refs; /* of BATCH: the queue's and those of backlogs */
    char tenant[TENANT_MAX];
};

struct entries { /* as VEC */
    struct tail_entry **p;
    size_t n, cap;
};

struct items {
    struct item **p;
    size_t n, cap;
};

struct tail {
    unsigned magic;
#define SERVER_TAIL_MAGIC 0x7a11f0e5u
    _Atomic unsigned refs;
    struct tail_hub *hub;
    struct query *query; /* owned */
    struct tail_options opt;
    char names[TENANTS_MAX][TENANT_MAX];
    struct str tenants[TENANTS_MAX];
    struct buf key;           /* who has the same gets the same */
    struct tail_class *class; /* the hub's thread; a use, from OPEN to CLOSE */
    atomic_bool cancel;
    _Atomic size_t queued; /* bytes on the way to the client */
    bool closed;           /* the main loop's */

    struct entries history; /* newest first; see (2) */
    struct err history_err;

    bool live;
    uint64_t *seen; /* seqs of the history, ascending; owned */
    size_t n_seen;
    struct items backlog;
    struct entries ready;
    struct entries waiting; /* opt.delay: by ts and seq */
    dur_ns first_due;       /* of those waiting */
    struct entries dropped; /* those that are told by name */
    uint64_t n_dropped;
};

struct tail_hub {
    unsigned magic;
#define TAIL_HUB_MAGIC 0x7a11b0b5u
    struct server *server;
    struct mem_budget budget;
    pthread_t thread;
    bool started;
    _Atomic size_t n_open;
    VEC(struct tail *) tails; /* the hub's thread, as the next three */
    struct tail_class *classes;
    struct tail_class *writing; /* whose first one is being followed */
    uint64_t n_batches;

    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t came;
    struct item *first, **last;
    size_t queued_bytes;
    uint64_t lost; /* records of dropped batches that nobody was told of yet */
    bool closing;
};

/* A piece of output on its way to the main loop. */
struct piece {
    struct tail *tail;          /* a reference */
    struct err why;             /* code not 0: the tail has failed */
    struct tail_output *output; /* a reference; NULL: it has */
};

static void entries_add(struct entries *v, struct tail_entry *e)
{
    VEC_PUSH(v, e);
}

static void items_add(struct items *v, struct item *i)
{
    VEC_PUSH(v, i);
}

/* ---- counting references ---- */

static struct tail *tail_ref(struct tail *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

static void free_entries(struct tail_hub *h, struct tail_entry **v, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tail_entry_free(&v[i], &h->budget);
}

static void item_unref(struct tail_hub *h, struct item *i)
{
    if (atomic_fetch_sub_explicit(&i->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (i->batch != NULL) {
        (void)pthread_mutex_lock(&h->mutex);
        h->queued_bytes -= i->bytes;
        (void)pthread_mutex_unlock(&h->mutex);
        batch_unref(&i->batch);
    }
    free(i);
}

static void tail_unref(struct tail *t)
{
    struct tail_hub *h = t->hub;

    OBJ_CHECK(t, SERVER_TAIL_MAGIC);
    if (atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) > 1)
        return;
    free_entries(h, t->history.p, t->history.n);
    free_entries(h, t->ready.p, t->ready.n);
    free_entries(h, t->waiting.p, t->waiting.n);
    free_entries(h, t->dropped.p, t->dropped.n);
    for (size_t i = 0; i < t->backlog.n; i++)
        item_unref(h, t->backlog.p[i]);
    VEC_FINI(&t->history);
    VEC_FINI(&t->ready);
    VEC_FINI(&t->waiting);
    VEC_FINI(&t->dropped);
    VEC_FINI(&t->backlog);
    mem_budget_give(&h->budget, t->queued);
    free(t->seen);
    buf_fini(&t->key);
    query_unref(&t->query);
    t->magic = 0;
    free(t);
}

/* ---- the queue ---- */

static void push_locked(struct tail_hub *h, struct item *i)
{
    *h->last = i;
    h->last = &i->next;
    (void)pthread_cond_signal(&h->came);
}

static void push(struct tail_hub *h, enum item_kind kind, struct tail *t)
{
    struct item *i = mem_new(sizeof(*i));

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
    struct item *i;
    size_t bytes;

    OBJ_CHECK(h, TAIL_HUB_MAGIC);
    if (h->n_open == 0)
        return;
    bytes = batch_held(b);
    i = mem_new(sizeof(*i));
    i->kind = ITEM_BATCH;
    i->refs = 1;
    i->bytes = bytes;
    i->min_seq = min_seq(b);
    (void)str_to_z(tenant, i->tenant, sizeof(i->tenant));
    (void)pthread_mutex_lock(&h->mutex);
    if (bytes <= QUEUE_BYTES - h->queued_bytes) { /* keeps (3) */
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

/* ---- to the client ---- */

static void on_piece(void *arg)
{
    struct piece *p = arg;
    struct tail *t = p->tail;

    if (t->closed && p->output != NULL)
        tail_taken(t, p->output->n);
    else if (!t->closed && p->output == NULL)
        t->opt.failed(t->opt.arg, &p->why);
    else if (!t->closed)
        t->opt.bytes(t->opt.arg, (struct str){p->output->bytes, p->output->n});
    tail_unref(t);
    tail_output_unref(&p->output);
    free(p);
}

static void post_piece(struct tail *t, struct piece *p)
{
    p->tail = tail_ref(t);
    if (loop_post(t->hub->server->loop, on_piece, p))
        return;
    tail_unref(t); /* the server stops; the hub still counts it */
    tail_output_unref(&p->output);
    free(p);
}

/* false: there is no memory for it. */
static bool post(struct tail *t, struct tail_output *o)
{
    struct piece *p;
    struct err err;

    if (mem_budget_take(&t->hub->budget, o->n, &err) < 0)
        return false;
    p = mem_new(sizeof(*p));
    p->output = tail_output_ref(o);
    atomic_fetch_add(&t->queued, o->n);
    post_piece(t, p);
    return true;
}

static void post_failure(struct tail *t, const struct err *why)
{
    struct piece *p = mem_new(sizeof(*p));

    p->why = *why;
    post_piece(t, p);
}

static void drop(struct tail *t, struct tail_entry *e)
{
    metric_add(METRIC_TAIL_DROPPED, 1);
    t->n_dropped++;
    if (t->dropped.n == TAIL_DROPPED_SHOWN) {
        tail_entry_free(&e, &t->hub->budget);
        return;
    }
    tail_entry_strip(&e, &t->hub->budget);
    entries_add(&t->dropped, e);
}

static bool has_room(const struct tail *t)
{
    return t->queued <= CLIENT_BYTES;
}

/* One frame with up to TAIL_FRAME_ENTRIES of `v`, and what was dropped before it.  false: it could
 * not be. */
static bool tell_frame(struct tail *t, struct tail_entry **v, size_t n)
{
    struct tail_frame f = {.entries = v,
                           .n = n,
                           .dropped = t->dropped.p,
                           .n_dropped = t->dropped.n,
                           .all_dropped = t->n_dropped};
    struct tail_output *o = NULL;
    struct buf out;
    bool told;

    buf_init(&out, PIECE_MAX);
    tail_frame_put(&out, t->opt.form, t->opt.categorize, &f);
    if (!out.over)
        o = tail_output_new(buf_str(&out));
    buf_fini(&out);
    told = o != NULL && post(t, o);
    if (told && t->hub->writing != NULL)
        tail_class_add(t->hub->writing, o, n);
    tail_output_unref(&o);
    if (!told)
        return false;
    metric_add(METRIC_TAIL_ENTRIES, n);
    free_entries(t->hub, t->dropped.p, t->dropped.n);
    t->dropped.n = 0;
    t->n_dropped = 0;
    return true;
}

/* How many of the entries go into one frame. */
static size_t frame_entries(struct tail_entry *const *v, size_t n)
{
    size_t bytes = v[0]->bytes;
    size_t k = 1;

    while (k < n && k < TAIL_FRAME_ENTRIES && v[k]->bytes <= FRAME_BYTES &&
           bytes + v[k]->bytes <= FRAME_BYTES)
        bytes += v[k++]->bytes;
    return k;
}

/* Tell what is ready, or drop it; and that something was dropped. */
static void tell(struct tail *t)
{
    size_t at = 0;

    while (at < t->ready.n && has_room(t)) {
        size_t n = frame_entries(t->ready.p + at, t->ready.n - at);
        if (!tell_frame(t, t->ready.p + at, n))
            break;
        free_entries(t->hub, t->ready.p + at, n);
        at += n;
    }
    for (; at < t->ready.n; at++)
        drop(t, t->ready.p[at]);
    t->ready.n = 0;
    if (t->n_dropped > 0 && has_room(t))
        (void)tell_frame(t, NULL, 0); /* else it is tried again */
}

/* ---- entries ---- */

/* Into its place by ts and seq; most come last. */
static void put_waiting(struct tail *t, struct tail_entry *e)
{
    size_t i = t->waiting.n;

    if (i == 0)
        t->first_due = e->due; /* who comes later is due later */
    entries_add(&t->waiting, e);
    for (; i > 0; i--) {
        const struct tail_entry *before = t->waiting.p[i - 1];
        if (before->ts < e->ts || (before->ts == e->ts && before->seq < e->seq))
            break;
        t->waiting.p[i] = t->waiting.p[i - 1];
    }
    t->waiting.p[i] = e;
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
        metric_add(METRIC_TAIL_DROPPED, 1);
        t->n_dropped++; /* without a name: there is no memory for one */
        return 0;
    }
    if (t->opt.delay > 0) {
        copy->due = time_mono() + t->opt.delay;
        put_waiting(t, copy);
    } else {
        entries_add(&t->ready, copy);
        if (t->ready.n == TAIL_FRAME_ENTRIES)
            tell(t);
    }
    return 0;
}

static bool is_of(const struct tail *t, const char *tenant)
{
    for (size_t i = 0; i < t->opt.n_tenants; i++)
        if (str_eq(t->tenants[i], str_of(tenant)))
            return true;
    return false;
}

/* false: the query failed. */
static bool follow(struct tail *t, const struct item *i)
{
    const struct server_conf *conf = &t->hub->server->conf;
    struct query_params p = {
        .limits = {.time = BATCH_S * NS_PER_S, .memory_bytes = (size_t)conf->query.memory_bytes},
        .budget = &t->hub->server->memory,
        .cancel = &t->cancel};
    struct err err;
    int r;

    if (!is_of(t, i->tenant) || !query_touches(t->query, i->batch))
        return true;
    r = query_run_batch(t->query, i->batch, &p, take_live, t, &err);
    if (r < 0 && !t->cancel)
        post_failure(t, &err);
    tell(t);
    return r >= 0;
}

/* ---- the same for many ---- */

static bool is_owed_nothing(const struct tail *t)
{
    return t->ready.n == 0 && t->n_dropped == 0;
}

/* Would it get what any other of its class gets? */
static bool may_share(const struct tail *t, const struct item *i)
{
    return t->opt.delay == 0 && is_owed_nothing(t) && has_room(t) &&
           (t->n_seen == 0 || i->min_seq > t->seen[t->n_seen - 1]);
}

/* What the batch gave to the first of the class.  false: there is no memory for it. */
static bool give(struct tail *t, const struct tail_class *c)
{
    if (c->output == NULL)
        return true;
    if (!post(t, c->output))
        return false;
    metric_add(METRIC_TAIL_ENTRIES, c->n_entries);
    return true;
}

static void follow_shared(struct tail *t, const struct item *i)
{
    struct tail_hub *h = t->hub;
    struct tail_class *c = t->class;
    bool ok;

    if (!may_share(t, i) || (c->answered == h->n_batches && !give(t, c))) {
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

/* ---- the hub's thread: items ---- */

static void on_open(struct tail_hub *h, struct tail *t)
{
    VEC_PUSH(&h->tails, tail_ref(t));
    t->class = tail_class_get(&h->classes, buf_str(&t->key));
    t->live = t->opt.limit == 0;
}

/* What the history found is told before anything that came meanwhile. */
static void on_history(struct tail *t)
{
    if (t->history_err.code != 0) {
        post_failure(t, &t->history_err);
        return;
    }
    t->seen = mem_new(t->history.n * sizeof(*t->seen) + 1);
    for (size_t i = t->history.n; i-- > 0;) {
        t->seen[t->n_seen++] = t->history.p[i]->seq;
        entries_add(&t->ready, t->history.p[i]);
        t->history.n--;
        if (t->ready.n == TAIL_FRAME_ENTRIES)
            tell(t);
    }
    qsort(t->seen, t->n_seen, sizeof(*t->seen), compare_seqs);
    tell(t);
    t->live = true;
    for (size_t i = 0; i < t->backlog.n; i++) {
        (void)follow(t, t->backlog.p[i]);
        item_unref(t->hub, t->backlog.p[i]);
    }
    VEC_FINI(&t->backlog);
}

static void on_batch(struct tail_hub *h, struct item *i)
{
    h->n_batches++;
    for (size_t k = 0; k < h->tails.n; k++) {
        struct tail *t = h->tails.p[k];
        if (t->live) {
            follow_shared(t, i);
        } else {
            atomic_fetch_add_explicit(&i->refs, 1, memory_order_relaxed);
            items_add(&t->backlog, i);
        }
    }
    for (struct tail_class *c = h->classes; c != NULL; c = c->next)
        tail_class_forget(c);
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

static void take_item(struct tail_hub *h, struct item *i)
{
    struct tail *t = i->tail;

    switch (i->kind) {
    case ITEM_OPEN:
        on_open(h, t);
        break;
    case ITEM_HISTORY:
        on_history(t);
        break;
    case ITEM_BATCH:
        on_batch(h, i);
        break;
    case ITEM_CLOSE:
        on_close(h, t);
        break;
    }
    item_unref(h, i);
    if (t != NULL)
        tail_unref(t);
}

/* ---- the hub's thread: time ---- */

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
        entries_add(&t->ready, t->waiting.p[i]);
    t->waiting.n -= n;
    t->first_due = INT64_MAX;
    for (size_t i = 0; i < t->waiting.n; i++) {
        t->waiting.p[i] = t->waiting.p[n + i];
        if (t->waiting.p[i]->due < t->first_due)
            t->first_due = t->waiting.p[i]->due;
    }
}

static void tell_due(struct tail *t, dur_ns now)
{
    if (t->waiting.n > 0 && t->first_due <= now)
        release(t, count_due(t, now));
    tell(t);
}

/* When time alone is a reason to look again; INT64_MAX: never. */
static dur_ns next_due(const struct tail_hub *h, dur_ns now)
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

static void tell_lost(struct tail_hub *h, uint64_t lost)
{
    metric_add(METRIC_TAIL_DROPPED, lost);
    for (size_t i = 0; i < h->tails.n; i++) {
        const struct query_entry unknown = {.ts = time_now(), .line = STR("")};
        struct tail *t = h->tails.p[i];
        struct tail_entry *e;
        struct err err;

        t->n_dropped += lost;
        if (t->dropped.n < TAIL_DROPPED_SHOWN &&
            tail_entry_new(&unknown, t->opt.form, false, &h->budget, &e, &err) == 0)
            entries_add(&t->dropped, e); /* of which stream nobody knows: {} */
        tell(t);
    }
}

/* The next item; NULL: it is time to look, or records were lost, or the end. */
static struct item *wait_item(struct tail_hub *h, dur_ns due, uint64_t *lost, bool *closing)
{
    struct timespec until = {.tv_sec = due / NS_PER_S, .tv_nsec = due % NS_PER_S};
    struct item *i;
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
        struct item *i = wait_item(h, next_due(h, now), &lost, &closing);

        if (i == NULL && closing)
            return NULL;
        if (i != NULL)
            take_item(h, i);
        if (lost > 0)
            tell_lost(h, lost);
        now = time_mono();
        if (i == NULL || now - looked > RETRY_MS * NS_PER_MS) {
            for (size_t k = 0; k < h->tails.n; k++)
                tell_due(h->tails.p[k], now);
            looked = now;
        }
    }
}

/* ---- history, on a worker ---- */

static int take_stored(void *arg, const struct query_entry *e)
{
    struct tail *t = arg;
    struct tail_entry *copy;
    int r =
        tail_entry_new(e, t->opt.form, t->opt.categorize, &t->hub->budget, &copy, &t->history_err);

    if (r == 0)
        entries_add(&t->history, copy);
    return r;
}

static void read_history(void *arg)
{
    struct tail *t = arg;
    struct server *s = t->hub->server;
    struct tenant_limits limits;
    struct query_params p = {.tenants = t->tenants,
                             .n_tenants = t->opt.n_tenants,
                             .start = t->opt.start,
                             .end = INT64_MAX,
                             .limit = t->opt.limit,
                             .direction = QUERY_BACKWARD,
                             .budget = &s->memory,
                             .cancel = &t->cancel};
    struct query_stats stats;
    struct err err;

    tenant_limits_of(&s->conf, t->tenants, t->opt.n_tenants, &limits);
    p.limits = limits.query;
    if (query_run_log(t->query, s->store, &p, take_stored, t, &stats, &err) < 0 &&
        t->history_err.code == 0)
        t->history_err = err;
    push(t->hub, ITEM_HISTORY, t);
    tail_unref(t);
}

/* false: too many wait for the workers. */
static bool ask_history(struct tail *t)
{
    struct str lane = t->opt.n_tenants > 0 ? t->tenants[0] : STR_NULL;

    if (workers_run(t->hub->server->workers, lane, read_history, tail_ref(t)))
        return true;
    atomic_fetch_sub_explicit(&t->refs, 1, memory_order_relaxed); /* not the last */
    return false;
}

/* ---- open, close ---- */

/* All that decides what a batch gives. */
static void make_key(struct tail *t)
{
    buf_init(&t->key, KEY_MAX);
    for (size_t i = 0; i < t->opt.n_tenants; i++)
        buf_addf(&t->key, "%s|", t->names[i]);
    buf_addf(&t->key, "%d %d\n", (int)t->opt.form, t->opt.categorize);
    query_print(t->query, &t->key);
    if (t->key.over) { /* too long: it is its own alone */
        buf_clear(&t->key);
        buf_addf(&t->key, "%p", (void *)t);
    }
}

static struct tail *tail_new(struct tail_hub *h, const struct tail_options *opt)
{
    struct tail *t = mem_new(sizeof(*t));

    t->magic = SERVER_TAIL_MAGIC;
    t->refs = 1;
    t->hub = h;
    t->query = query_ref(opt->query);
    t->opt = *opt;
    INVARIANT(opt->n_tenants <= TENANTS_MAX);
    for (size_t i = 0; i < opt->n_tenants; i++)
        t->tenants[i] = str_of(str_to_z(opt->tenants[i], t->names[i], sizeof(t->names[i])));
    t->opt.tenants = t->tenants;
    make_key(t);
    return t;
}

int tail_open(struct tail_hub *h, const struct tail_options *opt, struct tail **ret,
              struct err *err)
{
    size_t max = (size_t)h->server->conf.query.tails;
    struct tail *t;

    OBJ_CHECK(h, TAIL_HUB_MAGIC);
    if (h->n_open >= max)
        return err_set(err, ERR_LIMIT,
                       "max concurrent tail requests limit exceeded, count > limit (%zu > %zu, "
                       "query.tails)",
                       h->n_open + 1, max);
    t = tail_new(h, opt);
    h->n_open++; /* from now on batches are queued */
    push(h, ITEM_OPEN, t);
    if (opt->limit > 0 && !ask_history(t)) {
        metric_add(METRIC_QUERY_BUSY, 1);
        tail_close(&t);
        return err_set(err, ERR_LIMIT, "too many queries are waiting (query.concurrent)");
    }
    metric_add(METRIC_TAILS, 1);
    metric_set(METRIC_TAILS_OPEN, h->n_open);
    *ret = t;
    return 0;
}

void tail_close(struct tail **pt)
{
    struct tail *t = *pt;

    *pt = NULL;
    if (t == NULL)
        return;
    OBJ_CHECK(t, SERVER_TAIL_MAGIC);
    t->closed = true;
    t->cancel = true;
    t->hub->n_open--;
    metric_set(METRIC_TAILS_OPEN, t->hub->n_open);
    push(t->hub, ITEM_CLOSE, t);
    tail_unref(t);
}

void tail_taken(struct tail *t, size_t n_bytes)
{
    OBJ_CHECK(t, SERVER_TAIL_MAGIC);
    atomic_fetch_sub(&t->queued, n_bytes);
    mem_budget_give(&t->hub->budget, n_bytes);
}

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
