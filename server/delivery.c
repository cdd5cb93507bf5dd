/*
 * server/delivery.c - see delivery.h.
 *
 * The queue is one list in order of coming.  Its thread walks it, starts what is due and first in
 * its lane, and waits in curl_multi_poll, which delivery_add and delivery_close wake up.
 *
 * Invariants
 *   (1) an item in flight belongs to the thread: nobody else changes, moves or frees it;
 *   (2) of a lane only the oldest item is in flight, so a receiver never hears "resolved" before
 * the "firing" it ends; (3) what is in the store and not in the list is either older than the last
 * start or was dropped while the store refused to delete it; the next start finds it again.
 */
#include "server/delivery.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "server/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

static const char SPACE[] = "deliveries";

enum {
    MAX_QUEUED = 1000,
    IN_FLIGHT_MAX = 64,
    PER_TARGET_MAX = 4,
    ID_MAX = 100,
    KEY_BYTES = ID_MAX + 24,
    VALUE_MAX = 16 << 20,
    POLL_MS = 1000,
    CLOSE_MS = 2000,
};

#define GIVE_UP_AFTER (24 * NS_PER_H)

struct item {
    struct item *next;
    size_t target;
    char id[ID_MAX + 1];
    char key[KEY_BYTES]; /* in the store: time of coming, id */
    char *lane, *body;   /* owned */
    uint64_t lane_hash;  /* of lane and target */
    size_t body_bytes;
    ts_ns created;
    unsigned attempts;       /* that failed */
    dur_ns due;              /* monotonic */
    bool in_flight;          /* set and cleared by the thread, under lock */
    struct webhook *webhook; /* the thread's */
};

struct delivery {
    unsigned magic;
#define DELIVERY_MAGIC 0xde11fe41u
    struct delivery_options opt;
    CURLM *multi;
    pthread_t thread;
    bool started;
    unsigned *per_target; /* in flight; the thread's */
    unsigned in_flight;   /* the thread's */
    uint64_t random;      /* the thread's */
    pthread_mutex_t lock; /* guards the list, n, closing */
    struct item *first, **tail;
    size_t n;
    bool closing;
};

/* ---- items ---- */

static void item_free(struct item *it)
{
    webhook_free(&it->webhook);
    free(it->lane);
    free(it->body);
    free(it);
}

static struct item *item_new(const struct delivery_item *from, ts_ns created)
{
    struct item *it = mem_new(sizeof(*it));

    it->target = from->target;
    (void)str_to_z(str_of(from->id), it->id, sizeof(it->id));
    it->lane = mem_dup(from->lane.p, from->lane.n);
    it->lane_hash = hash_bytes(from->lane.p, from->lane.n, from->target);
    it->body = mem_dup(from->body.p, from->body.n);
    it->body_bytes = from->body.n;
    it->created = created;
    (void)snprintf(it->key, sizeof(it->key), "%020lld-%s", (long long)created, it->id);
    return it;
}

/* Under lock. */
static void append(struct delivery *d, struct item *it)
{
    *d->tail = it;
    d->tail = &it->next;
    d->n++;
    metric_set(METRIC_WEBHOOK_QUEUED, d->n);
}

/* Under lock: take *at out of the list. */
static struct item *unlink_item(struct delivery *d, struct item **at)
{
    struct item *it = *at;

    *at = it->next;
    if (d->tail == &it->next)
        d->tail = at;
    it->next = NULL;
    d->n--;
    metric_set(METRIC_WEBHOOK_QUEUED, d->n);
    return it;
}

static void forget(struct delivery *d, const struct item *it)
{
    struct err err;

    if (store_kv_delete(d->opt.store, SPACE, str_of(it->key), &err) < 0)
        log_warn("webhook.not_forgotten", LOG_Z("id", it->id), LOG_ERR(&err));
}

static void log_dropped(const struct delivery *d, const struct item *it, const char *why)
{
    metric_add(METRIC_WEBHOOK_DROPPED, 1);
    log_error("webhook.dropped", LOG_Z("id", it->id),
              LOG_STR("to", webhook_origin(str_of(d->opt.targets[it->target].url))),
              LOG_U64("attempts", it->attempts), LOG_Z("why", why));
}

/* ---- the store ---- */

static void print_item(const struct delivery *d, const struct item *it, struct buf *out)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_u64(&w, "v", 1);
    json_put_kv_str(&w, "id", str_of(it->id));
    json_put_kv_str(&w, "url", str_of(d->opt.targets[it->target].url));
    json_put_kv_str(&w, "lane", str_of(it->lane));
    json_put_kv_u64(&w, "created", (uint64_t)it->created);
    json_put_kv_str(&w, "body", (struct str){it->body, it->body_bytes});
    json_put_object_end(&w);
}

static int save(struct delivery *d, const struct item *it, struct err *err)
{
    struct buf value;
    int r;

    buf_init(&value, VALUE_MAX);
    print_item(d, it, &value);
    r = buf_err(&value, "a notification", err);
    if (r == 0)
        r = store_kv_put(d->opt.store, SPACE, str_of(it->key), buf_str(&value), err);
    buf_fini(&value);
    return r;
}

struct saved {
    struct str id, url, lane, body;
    uint64_t created;
};

/* Where the text of member `key` belongs; NULL: it is none of ours. */
static struct str *text_member(struct saved *s, struct str key)
{
    if (str_eq(key, STR("id")))
        return &s->id;
    if (str_eq(key, STR("url")))
        return &s->url;
    if (str_eq(key, STR("lane")))
        return &s->lane;
    return str_eq(key, STR("body")) ? &s->body : NULL;
}

static int parse_time(struct json_reader *json, uint64_t *ret, struct err *err)
{
    struct json_token t;
    int r = json_next(json, &t, err);

    if (r == 0 && (t.type != JSON_NUMBER || !str_to_u64(t.raw, ret)))
        r = err_set(err, ERR_CORRUPT, "a saved notification has no time");
    return r;
}

/* Members that a newer server wrote are passed over, whatever they hold. */
static int parse_saved(struct str text, struct arena *a, struct saved *ret, struct err *err)
{
    struct json_reader json;
    struct json_token key;
    int r = json_reader_init_object(&json, text, err);

    memset(ret, 0, sizeof(*ret));
    while (r == 0 && (r = json_member(&json, &key, err)) == 0) {
        struct str *member = text_member(ret, key.raw);
        if (member != NULL)
            r = json_string_or_null(&json, a, member, err);
        else if (str_eq(key.raw, STR("created")))
            r = parse_time(&json, &ret->created, err);
    }
    if (r < 0)
        return r;
    if (ret->id.n == 0 || ret->id.n > ID_MAX || ret->url.p == NULL || ret->body.p == NULL)
        return err_set(err, ERR_CORRUPT, "a saved notification lacks a part");
    return 0;
}

static size_t find_target(const struct delivery *d, struct str url)
{
    size_t i = 0;

    while (i < d->opt.n_targets && !str_eq(str_of(d->opt.targets[i].url), url))
        i++;
    return i;
}

/* One that was left from before: queued, or gone when nobody can want it any more. */
static int restore_one(void *arg, struct str key, struct str value)
{
    struct delivery *d = arg;
    struct arena *a = arena_new(NULL, 2 * (size_t)VALUE_MAX);
    struct saved saved;
    struct err err;
    char id[ID_MAX + 1];
    int r = parse_saved(value, a, &saved, &err);

    if (r == 0 && find_target(d, saved.url) == d->opt.n_targets)
        r = err_set(&err, ERR_GONE, "its webhook is not configured any more");
    if (r == 0) {
        struct delivery_item from = {
            .target = find_target(d, saved.url), .lane = saved.lane, .body = saved.body};
        struct item *it;
        from.id = str_to_z(saved.id, id, sizeof(id));
        it = item_new(&from, (ts_ns)saved.created);
        (void)str_to_z(key, it->key, sizeof(it->key));
        append(d, it);
    } else {
        metric_add(METRIC_WEBHOOK_DROPPED, 1);
        log_error("webhook.dropped", LOG_STR("key", key), LOG_ERR(&err));
        (void)store_kv_delete(d->opt.store, SPACE, key,
                              &err); /* else the next start says it again */
    }
    arena_free(&a);
    return 0;
}

/* ---- attempts, on the thread ---- */

static double random_unit(struct delivery *d) /* 0 <= x < 1 */
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return (double)(d->random >> 11) / (double)(UINT64_C(1) << 53);
}

/* 1, 2, 5, 15, 30, 30 ... units, give or take a fifth, and not before the receiver wants it. */
static dur_ns retry_delay(struct delivery *d, unsigned attempts, dur_ns retry_after)
{
    static const int UNITS[] = {1, 2, 5, 15, 30};
    size_t i = attempts - 1 < 4 ? attempts - 1 : 4;
    double delay = (double)d->opt.retry_unit * UNITS[i] * (0.8 + 0.4 * random_unit(d));

    return retry_after > (dur_ns)delay ? retry_after : (dur_ns)delay;
}

/* Not in flight any more; drops or keeps it. */
static void settle(struct delivery *d, struct item *it, const struct webhook_result *result)
{
    const char *why = result->why;
    bool arrived = result->outcome == WEBHOOK_DELIVERED;
    bool too_old = time_now() - it->created > GIVE_UP_AFTER;
    struct item **at = &d->first;

    if (!arrived && result->outcome == WEBHOOK_RETRY && !too_old) {
        metric_add(METRIC_WEBHOOK_RETRIES, 1);
        (void)pthread_mutex_lock(&d->lock);
        it->due = time_mono() + retry_delay(d, ++it->attempts, result->retry_after);
        it->in_flight = false;
        (void)pthread_mutex_unlock(&d->lock);
        if (it->attempts == 1) /* the others are counted */
            log_warn("webhook.retry", LOG_Z("id", it->id),
                     LOG_STR("to", webhook_origin(str_of(d->opt.targets[it->target].url))),
                     LOG_Z("why", why));
        return;
    }
    forget(d, it);
    (void)pthread_mutex_lock(&d->lock);
    while (*at != it)
        at = &(*at)->next;
    it = unlink_item(d, at);
    (void)pthread_mutex_unlock(&d->lock);
    if (arrived) {
        metric_add(METRIC_WEBHOOK_SENT, 1);
        log_info("webhook.sent", LOG_Z("id", it->id), LOG_I64("status", result->status),
                 LOG_U64("retries", it->attempts));
    } else {
        it->attempts++;
        log_dropped(d, it, why);
    }
    item_free(it);
}

static void start_attempt(struct delivery *d, struct item *it)
{
    struct webhook_result failed = {.outcome = WEBHOOK_RETRY};
    struct err err;
    int r = webhook_new(&d->opt.targets[it->target], it->id, time_now(),
                        (struct str){it->body, it->body_bytes}, &it->webhook, &err);

    if (r == 0) {
        (void)curl_easy_setopt(webhook_handle(it->webhook), CURLOPT_PRIVATE, it); /* cannot fail */
        if (curl_multi_add_handle(d->multi, webhook_handle(it->webhook)) != CURLM_OK) {
            webhook_free(&it->webhook);
            r = err_set(&err, ERR_NOMEM, "cannot start an attempt");
        }
    }
    if (r < 0) {
        (void)snprintf(failed.why, sizeof(failed.why), "%.190s", err.text);
        settle(d, it, &failed);
        return;
    }
    d->in_flight++;
    d->per_target[it->target]++;
}

/* Under lock: the first that may start now, taken into flight; *wait_ms shrinks to when the next
 * one may. */
static struct item *next_due(struct delivery *d, int *wait_ms)
{
    struct map *lanes = map_new(0, NULL);
    struct item *found = NULL;
    dur_ns now = time_mono();

    for (struct item *it = d->first; it != NULL && found == NULL; it = it->next) {
        struct str lane = {(const char *)&it->lane_hash, sizeof(it->lane_hash)};
        if (map_get(lanes, lane) != NULL)
            continue;                   /* keeps (2) */
        (void)map_put(lanes, lane, it); /* it has no limit */
        if (it->in_flight || d->per_target[it->target] >= PER_TARGET_MAX)
            continue;
        if (it->due <= now)
            found = it;
        else if ((it->due - now) / NS_PER_MS + 1 < *wait_ms)
            *wait_ms = (int)((it->due - now) / NS_PER_MS + 1);
    }
    map_free(&lanes);
    if (found != NULL)
        found->in_flight = true; /* keeps (1) */
    return found;
}

static int start_due(struct delivery *d)
{
    int wait_ms = POLL_MS;

    while (d->in_flight < IN_FLIGHT_MAX) {
        struct item *it;
        (void)pthread_mutex_lock(&d->lock);
        it = d->closing ? NULL : next_due(d, &wait_ms);
        (void)pthread_mutex_unlock(&d->lock);
        if (it == NULL)
            break;
        start_attempt(d, it);
    }
    return wait_ms;
}

/* Returns whether something ended, so that something else may start. */
static bool finish_done(struct delivery *d)
{
    bool some = false;
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(d->multi, &left)) != NULL) {
        struct webhook_result result;
        struct item *it = NULL;
        CURLcode code = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &it); /* cannot fail */
        webhook_result(it->webhook, code, &result);
        (void)curl_multi_remove_handle(d->multi, webhook_handle(it->webhook)); /* it is in there */
        webhook_free(&it->webhook);
        d->in_flight--;
        d->per_target[it->target]--;
        settle(d, it, &result);
        some = true;
    }
    return some;
}

static bool is_closing(struct delivery *d)
{
    bool closing;

    (void)pthread_mutex_lock(&d->lock);
    closing = d->closing;
    (void)pthread_mutex_unlock(&d->lock);
    return closing;
}

static void *run(void *arg)
{
    struct delivery *d = arg;
    dur_ns stop = INT64_MAX;

    for (;;) {
        int wait_ms;
        int running;
        if (stop == INT64_MAX && is_closing(d))
            stop = time_mono() + CLOSE_MS * NS_PER_MS;
        if (stop != INT64_MAX && (d->in_flight == 0 || time_mono() > stop))
            break;
        wait_ms = start_due(d);
        (void)curl_multi_perform(d->multi, &running); /* what fails shows in the messages */
        if (finish_done(d))
            continue;
        if (stop != INT64_MAX)
            wait_ms = 20;
        (void)curl_multi_poll(d->multi, NULL, 0, d->in_flight < IN_FLIGHT_MAX ? wait_ms : POLL_MS,
                              NULL);
    }
    return NULL;
}

/* ---- doors ---- */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT); /* a failure shows in curl_multi_init */
}

static int check_tokens(const struct delivery *d, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < d->opt.n_targets; i++) {
        struct webhook *w = NULL;
        r = webhook_new(&d->opt.targets[i], "msg_", time_now(), STR("{}"), &w, err);
        webhook_free(&w);
    }
    return r;
}

int delivery_open(const struct delivery_options *opt, struct delivery **ret, struct err *err)
{
    struct delivery *d = mem_new(sizeof(*d));
    int r;

    (void)pthread_once(&curl_once, init_curl);
    d->magic = DELIVERY_MAGIC;
    d->opt = *opt;
    if (d->opt.max_queued == 0)
        d->opt.max_queued = MAX_QUEUED;
    if (d->opt.retry_unit == 0)
        d->opt.retry_unit = NS_PER_S;
    d->tail = &d->first;
    d->per_target = mem_new((opt->n_targets + 1) * sizeof(*d->per_target));
    if (getrandom(&d->random, sizeof(d->random), 0) != sizeof(d->random))
        d->random = (uint64_t)time_mono();
    d->random |= 1;                           /* never 0 */
    (void)pthread_mutex_init(&d->lock, NULL); /* a default mutex cannot fail here */
    d->multi = curl_multi_init();
    r = d->multi == NULL ? err_set(err, ERR_NOMEM, "cannot prepare webhooks") : 0;
    if (r == 0)
        r = check_tokens(d, err);
    if (r == 0)
        r = store_kv_each(opt->store, SPACE, restore_one, d, err);
    if (r == 0)
        *ret = d;
    else
        delivery_close(&d);
    return r;
}

void delivery_start(struct delivery *d)
{
    OBJ_CHECK(d, DELIVERY_MAGIC);
    INVARIANT(!d->started);
    INVARIANT(pthread_create(&d->thread, NULL, run, d) == 0);
    d->started = true;
}

void delivery_close(struct delivery **pd)
{
    struct delivery *d = *pd;

    *pd = NULL;
    if (d == NULL)
        return;
    OBJ_CHECK(d, DELIVERY_MAGIC);
    (void)pthread_mutex_lock(&d->lock);
    d->closing = true;
    (void)pthread_mutex_unlock(&d->lock);
    if (d->started) {
        (void)curl_multi_wakeup(d->multi); /* else it sees it a second later */
        (void)pthread_join(d->thread, NULL);
    }
    for (struct item *it = d->first, *next; it != NULL; it = next) {
        next = it->next;
        if (it->webhook != NULL)
            (void)curl_multi_remove_handle(d->multi, webhook_handle(it->webhook));
        item_free(it);
    }
    if (d->multi != NULL)
        (void)curl_multi_cleanup(d->multi);
    (void)pthread_mutex_destroy(&d->lock);
    free(d->per_target);
    d->magic = 0;
    free(d);
}

/* Under lock: the oldest that is not in flight, when there is no room for another. */
static struct item *make_room(struct delivery *d)
{
    struct item **at = &d->first;

    if (d->n < d->opt.max_queued)
        return NULL;
    while (*at != NULL && (*at)->in_flight)
        at = &(*at)->next;
    return *at == NULL ? NULL : unlink_item(d, at);
}

static bool is_queued(const struct delivery *d, const char *id)
{
    for (const struct item *it = d->first; it != NULL; it = it->next) {
        if (strcmp(it->id, id) == 0)
            return true;
    }
    return false;
}

int delivery_add(struct delivery *d, const struct delivery_item *item, struct err *err)
{
    struct item *dropped;
    struct item *it;
    bool known;
    int r;

    OBJ_CHECK(d, DELIVERY_MAGIC);
    INVARIANT(item->target < d->opt.n_targets && strlen(item->id) <= ID_MAX);
    (void)pthread_mutex_lock(&d->lock);
    known = is_queued(d, item->id);
    (void)pthread_mutex_unlock(&d->lock);
    if (known)
        return 0;
    it = item_new(item, time_now());
    r = save(d, it, err);
    (void)pthread_mutex_lock(&d->lock);
    dropped = make_room(d);
    append(d, it);
    (void)pthread_mutex_unlock(&d->lock);
    (void)curl_multi_wakeup(d->multi); /* else the thread sees it a second later */
    if (dropped != NULL) {
        forget(d, dropped);
        log_dropped(d, dropped, "the queue is full");
        item_free(dropped);
    }
    return r;
}

size_t delivery_queued(struct delivery *d)
{
    size_t n;

    OBJ_CHECK(d, DELIVERY_MAGIC);
    (void)pthread_mutex_lock(&d->lock);
    n = d->n;
    (void)pthread_mutex_unlock(&d->lock);
    return n;
}
