/*
 * server/stream_limit.c - see stream_limit.h.
 *
 * A tenant's streams are hashes in an open table, eight bytes each, at most half full.  Two streams
 * of one hash count as one: one more than allowed, once in 10^13 days.
 */
#include "server/stream_limit.h"

#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/priority.h"
#include "server/metrics.h"
#include "storage/scan.h"
#include "storage/store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST = 64,
    LABELS_SHOWN = 120,
    NOTICES = 1000,  /* streams of collectors' own beyond the limit */
    TRIES = 60,      /* to read a tenant's streams where memory is short, */
    AGAIN_MS = 1000, /* so far apart */
};

struct tenant {
    int32_t day;
    uint64_t *slot; /* owned; 0: free */
    size_t cap, n;  /* cap is a power of two */
};

struct stream_limit {
    unsigned magic;
#define STREAM_LIMIT_MAGIC 0x57e4311eu
    size_t max;
    pthread_mutex_t mutex;   /* guards tenants, learning */
    pthread_cond_t stopping; /* `stop` is set */
    struct map *tenants;     /* name -> struct tenant (owned) */
    bool learning;           /* tenants lack what the store has */
    struct store *store;     /* the thread's, as are the next four */
    struct mem_budget *budget;
    pthread_t thread;
    bool has_thread;
    atomic_bool stop;
};

static void free_tenant(void *value)
{
    struct tenant *t = value;

    free(t->slot);
    free(t);
}

struct stream_limit *stream_limit_new(size_t max)
{
    struct stream_limit *l = mem_new(sizeof(*l));

    l->magic = STREAM_LIMIT_MAGIC;
    l->max = max;
    (void)pthread_mutex_init(&l->mutex, NULL); /* cannot fail for a default mutex here */
    (void)pthread_cond_init(&l->stopping, NULL);
    l->tenants = map_new(0, free_tenant); /* as many as the store has */
    return l;
}

void stream_limit_free(struct stream_limit **pl)
{
    struct stream_limit *l = *pl;

    if (l == NULL)
        return;
    OBJ_CHECK(l, STREAM_LIMIT_MAGIC);
    (void)pthread_mutex_lock(&l->mutex);
    atomic_store(&l->stop, true);
    (void)pthread_cond_signal(&l->stopping);
    (void)pthread_mutex_unlock(&l->mutex);
    if (l->has_thread)
        (void)pthread_join(l->thread, NULL);
    map_free(&l->tenants);
    (void)pthread_cond_destroy(&l->stopping);
    (void)pthread_mutex_destroy(&l->mutex);
    l->magic = 0;
    free(l);
    *pl = NULL;
}

/* The place of `h`, or the free one where it belongs. */
static size_t place(const struct tenant *t, uint64_t h)
{
    size_t at = (size_t)h & (t->cap - 1);

    while (t->slot[at] != 0 && t->slot[at] != h)
        at = (at + 1) & (t->cap - 1);
    return at;
}

/* Room for so many more. */
static void reserve(struct tenant *t, size_t more)
{
    struct tenant wider = {.cap = t->cap == 0 ? FIRST : t->cap};

    while (wider.cap < 2 * (t->n + more))
        wider.cap *= 2;
    if (wider.cap == t->cap)
        return;
    wider.slot = mem_new(wider.cap * sizeof(*wider.slot));
    for (size_t i = 0; i < t->cap; i++)
        if (t->slot[i] != 0)
            wider.slot[place(&wider, t->slot[i])] = t->slot[i];
    free(t->slot);
    t->slot = wider.slot;
    t->cap = wider.cap;
}

/* A day that is over counts as the one that has begun: what was read in between comes late. */
static struct tenant *tenant_of(struct stream_limit *l, struct str name, ts_ns now)
{
    struct tenant *t = map_get(l->tenants, name);
    int32_t day = time_day(now);

    if (t == NULL) {
        t = mem_new(sizeof(*t));
        t->day = day;
        INVARIANT(map_put(l->tenants, name, t)); /* it has no bound */
    }
    if (t->day < day) {
        free(t->slot);
        *t = (struct tenant){.day = day};
    }
    return t;
}

static uint64_t slot_hash(struct hash128 h)
{
    return h.lo == 0 ? 1 : h.lo;
}

static uint64_t hash_of(const struct batch *b, uint32_t i)
{
    return slot_hash(b->hashes[i]);
}

static bool is_known(const struct tenant *t, uint64_t h)
{
    return t->cap > 0 && t->slot[place(t, h)] == h;
}

/* If it is new; there is room. */
static void add(struct tenant *t, uint64_t h)
{
    size_t at = place(t, h);

    t->n += t->slot[at] == 0;
    t->slot[at] = h;
}

static int refuse(const struct stream_limit *l, struct str tenant, const struct labels *labels,
                  struct err *err)
{
    struct buf text;
    int r;

    buf_init(&text, 1 << 20);
    labels_format(&text, labels);
    r = err_set(err, ERR_LIMIT,
                "tenant '%.*s' has %zu streams today (storage.max_streams), none is added: %.*s",
                (int)(tenant.n < 40 ? tenant.n : 40), tenant.p, l->max,
                (int)(text.n < LABELS_SHOWN ? text.n : LABELS_SHOWN), text.p);
    buf_fini(&text);
    return r;
}

/* Marks the streams that are new, and have records: of some all entries were refused. */
static size_t find_new(const struct tenant *t, const struct batch *b, bool *is_new)
{
    size_t fresh = 0;

    for (size_t i = 0; i < b->n_records; i++) {
        uint32_t stream = b->records[i].stream;
        if (is_new[stream] || is_known(t, hash_of(b, stream)))
            continue;
        is_new[stream] = true;
        fresh++;
    }
    return fresh;
}

/* Under mutex: take in all of the batch, if they fit.  Else *first is one that is new. */
static bool admit_all(const struct stream_limit *l, struct tenant *t, const struct batch *b,
                      uint32_t *first)
{
    bool fits = true, *is_new;
    size_t fresh;
    uint32_t i = 0;

    while (i < b->n_streams && is_known(t, hash_of(b, i)))
        i++;
    if (i == b->n_streams)
        return true; /* as mostly */
    is_new = mem_new(b->n_streams * sizeof(*is_new));
    fresh = find_new(t, b, is_new);
    if (fresh > 0) {
        fits = t->n <= l->max && fresh <= l->max - t->n;
        if (fits)
            reserve(t, fresh);
        for (i = b->n_streams; i-- > 0;) {
            if (!is_new[i])
                continue;
            *first = i;
            if (fits)
                add(t, hash_of(b, i));
        }
    }
    free(is_new);
    return fits;
}

static int wait_for_past(struct err *err)
{
    return err_set(err, ERR_TIMEOUT, "the streams from before the start are not known yet");
}

int stream_limit_admit(struct stream_limit *l, struct str tenant, const struct batch *b, ts_ns now,
                       struct err *err)
{
    uint32_t first = 0;
    int r = 0;

    if (l == NULL || l->max == 0)
        return 0;
    OBJ_CHECK(l, STREAM_LIMIT_MAGIC);
    (void)pthread_mutex_lock(&l->mutex);
    if (!admit_all(l, tenant_of(l, tenant, now), b, &first))
        r = l->learning ? wait_for_past(err) : refuse(l, tenant, &b->streams[first], err);
    (void)pthread_mutex_unlock(&l->mutex);
    return r;
}

/* ---- part by part ---- */

static bool is_notice(const struct labels *l)
{
    return str_eq(labels_get(l, STR("source")), STR("logq"));
}

/* Take in the streams of a part; `seen`, of each stream of the batch, is the part it was met in
 * last.  false: there is no room, and *first is new. */
static bool admit_part(const struct stream_limit *l, struct tenant *t, const struct batch *b,
                       uint32_t part, uint32_t *seen, uint32_t *first)
{
    const struct record_part *p = &b->parts[part];
    size_t fresh = 0, room = l->max;
    bool has_known = false;

    for (uint32_t i = p->first; i < p->first + p->count; i++) {
        uint32_t stream = b->records[i].stream;
        if (seen[stream] == part + 1)
            continue;
        seen[stream] = part + 1;
        if (is_known(t, hash_of(b, stream))) {
            has_known = true;
            continue;
        }
        if (is_notice(&b->streams[stream]))
            room = l->max + NOTICES;
        *first = stream;
        fresh++;
    }
    if (fresh > 0 && !has_known && (t->n > room || fresh > room - t->n))
        return false;
    if (fresh > 0)
        reserve(t, fresh);
    for (uint32_t i = p->first; fresh > 0 && i < p->first + p->count; i++)
        add(t, hash_of(b, b->records[i].stream));
    return true;
}

/* Part `i` is refused, and what is in front of it without records of its own. */
static void refuse_part(const struct batch *b, uint32_t i, bool *refused)
{
    struct str file = b->parts[i].file_id;

    refused[i] = true;
    while (i > 0 && b->parts[i - 1].count == 0 && str_eq(b->parts[i - 1].file_id, file))
        refused[--i] = true;
}

/* Under mutex. */
static int admit_each(const struct stream_limit *l, struct str tenant, struct tenant *t,
                      const struct batch *b, bool *refused, struct err *err)
{
    uint32_t *seen = mem_new((b->n_streams + (size_t)1) * sizeof(*seen));
    uint32_t first = 0;
    int r = 0;

    for (uint32_t i = 0; i < b->n_parts; i++) {
        if (admit_part(l, t, b, i, seen, &first))
            continue;
        refuse_part(b, i, refused);
        r = r == 0 ? refuse(l, tenant, &b->streams[first], err) : r;
    }
    free(seen);
    return r;
}

int stream_limit_admit_parts(struct stream_limit *l, struct str tenant, const struct batch *b,
                             ts_ns now, bool *refused, struct err *err)
{
    struct tenant *t;
    uint32_t first = 0;
    int r = 0;

    memset(refused, 0, b->n_parts * sizeof(*refused));
    if (l == NULL || l->max == 0)
        return 0;
    OBJ_CHECK(l, STREAM_LIMIT_MAGIC);
    (void)pthread_mutex_lock(&l->mutex);
    t = tenant_of(l, tenant, now);
    if (!admit_all(l, t, b, &first))
        r = l->learning ? wait_for_past(err) : admit_each(l, tenant, t, b, refused, err);
    (void)pthread_mutex_unlock(&l->mutex);
    return r;
}

/* ---- what was before the start ---- */

struct learner {
    struct stream_limit *l;
    struct str tenant;
    ts_ns now;
    struct err err;
};

static int learn_stream(void *arg, const struct labels *labels)
{
    struct learner *le = arg;
    struct tenant *t;

    (void)pthread_mutex_lock(&le->l->mutex);
    t = tenant_of(le->l, le->tenant, le->now);
    if (t->day == time_day(le->now)) { /* else it begins anew meanwhile */
        reserve(t, 1);
        add(t, slot_hash(labels_hash(labels)));
    }
    (void)pthread_mutex_unlock(&le->l->mutex);
    return atomic_load(&le->l->stop) ? 1 : 0;
}

/* true: it is over. */
static bool wait_a_while(struct stream_limit *l)
{
    ts_ns until = time_now() + AGAIN_MS * NS_PER_MS;
    struct timespec at = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};

    (void)pthread_mutex_lock(&l->mutex);
    if (!atomic_load(&l->stop))
        (void)pthread_cond_timedwait(&l->stopping, &l->mutex, &at);
    (void)pthread_mutex_unlock(&l->mutex);
    return atomic_load(&l->stop);
}

/* Right after a replay memory may be short for a while.  What cannot be learned at all counts as
 * new when it comes again. */
static int learn_tenant(void *arg, struct str tenant)
{
    struct learner *le = arg;
    struct stream_limit *l = le->l;
    struct scan_request req = {.tenants = &tenant,
                               .n_tenants = 1,
                               .from = time_day_start(le->now),
                               .to = time_day_start(le->now) + NS_PER_DAY,
                               .budget = l->budget,
                               .cancel = &l->stop};
    int r;

    le->tenant = tenant;
    r = scan_streams(l->store, &req, learn_stream, le, &le->err);
    for (int i = 1; i < TRIES && r == ERR_NOMEM && !wait_a_while(l); i++)
        r = scan_streams(l->store, &req, learn_stream, le, &le->err);
    if (r < 0 && !atomic_load(&l->stop)) {
        metric_add(METRIC_INGEST_STREAMS_NOT_LEARNED, 1);
        log_warn("streams.not_learned", LOG_STR("tenant", tenant), LOG_ERR(&le->err));
    }
    return atomic_load(&l->stop) ? 1 : 0;
}

static void *learn(void *arg)
{
    struct stream_limit *l = arg;
    struct learner le = {.l = l};

    priority_set(PRIORITY_BULK);
    /* The server says itself what there is to say of a replay that fails. */
    if (store_wait_replay(l->store, &le.err) == 0) {
        le.now = store_receive_time(l->store);
        (void)store_tenants(l->store, learn_tenant, &le); /* or it was stopped */
    }
    (void)pthread_mutex_lock(&l->mutex);
    l->learning = false;
    (void)pthread_mutex_unlock(&l->mutex);
    return NULL;
}

int stream_limit_learn(struct stream_limit *l, struct store *s, struct mem_budget *budget,
                       struct err *err)
{
    sigset_t all, old;

    OBJ_CHECK(l, STREAM_LIMIT_MAGIC);
    if (l->max == 0)
        return 0;
    l->store = s;
    l->budget = budget;
    l->learning = true;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    errno = pthread_create(&l->thread, NULL, learn, l);
    l->has_thread = errno == 0;
    if (!l->has_thread)
        (void)err_sys(err, "start a thread that learns which streams there are");
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return l->has_thread ? 0 : ERR_NOMEM;
}

bool stream_limit_is_learning(struct stream_limit *l)
{
    bool is;

    if (l == NULL)
        return false;
    OBJ_CHECK(l, STREAM_LIMIT_MAGIC);
    (void)pthread_mutex_lock(&l->mutex);
    is = l->learning;
    (void)pthread_mutex_unlock(&l->mutex);
    return is;
}
