/*
 * server/alerts.c - the alert thread: when which rule is evaluated.  Contract: alerts.h.
 *
 * A rule is evaluated
 *   - at the ticks of its group: aligned to the interval, shifted by a hash so that groups spread;
 *   - 250 ms after a batch arrived that could change it (query_touches), so that what arrives
 *     together is one evaluation, unless the rule is slow: then it rests ten times as long as it
 * took;
 *   - when the `for` of one of its alerts has passed;
 *   - at start and after a reload.
 * The time of an evaluation is the store's receive time, which never steps back, less the group's
 * query_offset.  Records may be a little ahead of it (senders' clocks): while a matching one is,
 * the query runs a second time at that record's time and what only it finds is added, so that
 * neither records of now nor those ahead are out of the window.
 *
 * Invariants
 *   (1) rules and states change on the alert thread only, under `lock`; queries, the store and
 *       receivers are waited for without it;
 *   (2) a change of state is saved before it is told.
 */
#include "server/alerts.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/obj.h"
#include "server/alerts_priv.h"
#include "server/metrics.h"
#include "server/tenant_limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOUCHED_MAX = 256,
    REST_FACTOR = 10,
    WARNINGS_MAX = 64 << 10,
    STATE_BYTES_MAX = 256 << 20, /* of all alerts */
};

#define COALESCE    (250 * NS_PER_MS)
#define AHEAD_MAX   (10 * NS_PER_MIN)
#define IDLE_WAIT   NS_PER_S
#define REPLAY_WAIT (100 * NS_PER_MS)
#define CLOCK_EVERY NS_PER_MIN
#define QUERY_TIME  (10 * NS_PER_S)

/* A batch on its way to the alert thread. */
struct touch {
    struct batch *batch; /* NULL: nothing but a wake-up */
    char *tenant;
};

/* ---- from other threads ---- */

static void touch_free(struct touch *t)
{
    batch_unref(&t->batch);
    free(t->tenant);
    free(t);
}

static bool push(struct alerts *a, struct batch *b, struct str tenant)
{
    struct touch *t = mem_new(sizeof(*t));

    t->batch = b == NULL ? NULL : batch_ref(b);
    t->tenant = mem_dup(tenant.p, tenant.n);
    if (queue_push(a->touched, t, 0))
        return true;
    touch_free(t);
    return false;
}

void alerts_observe(struct alerts *a, struct str tenant, struct batch *b)
{
    OBJ_CHECK(a, ALERTS_MAGIC);
    if (a->n_rules == 0 || push(a, b, tenant))
        return;
    metric_add(METRIC_RULE_BATCHES_SKIPPED, 1);
    a->overflow = true;
}

static int load(struct server *s, struct buf *errors, struct rules **ret, struct err *err)
{
    struct arena *scratch = arena_new(NULL, 0);
    struct buf warnings;
    struct str rest;
    int r;

    buf_init(&warnings, WARNINGS_MAX);
    r = rules_load(server_conf_path(&s->conf, s->conf.rules_dir, scratch), errors, &warnings, ret,
                   err);
    rest = buf_str(&warnings);
    while (r == 0 && rest.n > 0)
        log_warn("rules.unwise", LOG_STR("rule", str_cut(&rest, '\n')));
    buf_fini(&warnings);
    arena_free(&scratch);
    return r;
}

int alerts_reload(struct alerts *a, struct buf *errors, struct err *err)
{
    struct rules *rules = NULL;
    int r;

    OBJ_CHECK(a, ALERTS_MAGIC);
    r = load(a->server, errors, &rules, err);
    if (r < 0)
        return r;
    (void)pthread_mutex_lock(&a->lock);
    rules_unref(&a->next);
    a->next = rules;
    (void)pthread_mutex_unlock(&a->lock);
    (void)push(a, NULL, STR("")); /* a full queue wakes it, too */
    return 0;
}

/* ---- evaluating ---- */

static int run_query(struct alerts *a, const struct tracked *t, ts_ns at, struct query_result **ret,
                     struct err *err)
{
    struct tenant_limits limits;
    struct query_params p = {
        .tenants = &t->tenant,
        .n_tenants = 1,
        .start = at,
        .end = at,
        .budget = &a->server->memory,
        .cancel = &a->closing,
    };
    struct query_stats stats;

    tenant_limits_of(&a->server->conf, &t->tenant, 1, &limits);
    p.limits = limits.query;
    if (p.limits.time == 0 || p.limits.time > QUERY_TIME)
        p.limits.time = QUERY_TIME;
    return query_run_metric(t->rule->query, a->server->store, &p, ret, &stats, err);
}

static bool has_series(const struct query_result *r, const struct labels *l)
{
    for (size_t i = 0; i < r->n; i++) {
        if (labels_equal(&r->series[i].labels, l))
            return true;
    }
    return false;
}

/* Answers of now and of the time ahead, and both together: the series of now, and those that only
 * the time ahead has. */
struct samples {
    struct query_result *now, *ahead; /* owned; may be NULL */
    struct query_result all;          /* views of them */
};

static int query_samples(struct alerts *a, const struct tracked *t, ts_ns at, struct samples *ret,
                         struct err *err)
{
    int r = run_query(a, t, at, &ret->now, err);

    if (r == 0 && t->ahead > at)
        r = run_query(a, t, t->ahead, &ret->ahead, err);
    if (r < 0)
        return r;
    ret->all = *ret->now;
    if (ret->ahead == NULL || ret->ahead->n == 0)
        return 0;
    ret->all.series =
        arena_alloc(ret->now->arena, (ret->now->n + ret->ahead->n) * sizeof(*ret->all.series));
    if (ret->all.series == NULL)
        return arena_err(ret->now->arena, err);
    for (size_t i = 0; i < ret->now->n; i++)
        ret->all.series[i] = ret->now->series[i];
    for (size_t i = 0; i < ret->ahead->n; i++) {
        if (!has_series(ret->now, &ret->ahead->series[i].labels))
            ret->all.series[ret->all.n++] = ret->ahead->series[i];
    }
    return 0;
}

/* Log an error once until it changes or ends. */
static void note_error(struct alerts *a, struct tracked *t, const struct err *err)
{
    char text[sizeof(t->error)] = "";

    if (err != NULL) {
        metric_add(METRIC_RULE_FAILED, 1);
        (void)snprintf(text, sizeof(text), "%.199s", err->text);
    }
    if (strcmp(text, t->error) == 0)
        return;
    if (err != NULL)
        log_warn("rule.failed", LOG_STR("alert", t->alertname), LOG_STR("group", t->group->name),
                 LOG_STR("file", t->group->file), LOG_ERR(err));
    else
        log_info("rule.recovered", LOG_STR("alert", t->alertname), LOG_STR("group", t->group->name),
                 LOG_STR("file", t->group->file));
    (void)pthread_mutex_lock(&a->lock);
    (void)str_to_z(str_of(text), t->error, sizeof(t->error));
    (void)pthread_mutex_unlock(&a->lock);
}

/* What was cancelled because we stop is no error of the rule. */
static void finish(struct alerts *a, struct tracked *t, ts_ns now, dur_ns began, int r,
                   const struct err *err)
{
    dur_ns took = time_mono() - began;

    metric_add(METRIC_RULE_EVALUATIONS, 1);
    metric_observe(METRIC_RULE_SECONDS, (double)took / NS_PER_S);
    (void)pthread_mutex_lock(&a->lock);
    t->evaluated_at = now;
    t->seconds = (double)took / NS_PER_S;
    (void)pthread_mutex_unlock(&a->lock);
    t->not_before = now + REST_FACTOR * took;
    if (r == 0 || !a->closing)
        note_error(a, t, r < 0 ? err : NULL);
}

/* Returns whether some alert changed. */
static bool evaluate(struct alerts *a, struct tracked *t, ts_ns now)
{
    struct samples samples = {.now = NULL};
    struct rule_state_change change = {0};
    struct err err;
    dur_ns began = time_mono();
    int r = query_samples(a, t, now - t->group->query_offset, &samples, &err);

    if (r == 0) { /* else the state stays as it is */
        (void)pthread_mutex_lock(&a->lock);
        r = rule_state_eval(t->state, t->rule, &samples.all, now, &change, &err);
        (void)pthread_mutex_unlock(&a->lock);
        metric_add(METRIC_RULE_TEMPLATE_FAILED, change.failed);
        metric_add(METRIC_ALERTS_EVICTED, change.evicted);
    }
    query_result_free(&samples.now);
    query_result_free(&samples.ahead);
    if (t->ahead <= now)
        t->ahead = 0;
    finish(a, t, now, began, r, &err);
    t->due = r < 0 ? INT64_MAX : rule_state_due(t->state, t->rule);
    if (t->ahead != 0 && t->ahead < t->due)
        t->due = t->ahead;
    return change.changed;
}

/* The rule is gone: end its alerts.  Returns whether some changed. */
static bool end(struct alerts *a, struct tracked *t, ts_ns now)
{
    struct rule_state_change change;

    (void)pthread_mutex_lock(&a->lock);
    rule_state_end(t->state, now, &change);
    (void)pthread_mutex_unlock(&a->lock);
    t->due = now + NS_PER_MIN; /* until its alerts are forgotten, too */
    return change.changed;
}

/* ---- notifying ---- */

static void count_alerts(struct alerts *a)
{
    size_t firing = 0;
    size_t pending = 0;

    for (size_t i = 0; i < a->tracked.n; i++) {
        firing += rule_state_firing(a->tracked.p[i]->state);
        pending += rule_state_pending(a->tracked.p[i]->state);
    }
    metric_set(METRIC_ALERTS_FIRING, firing);
    metric_set(METRIC_ALERTS_PENDING, pending);
}

/* tracked [from, to) have one tenant and alertname. */
static void notify_run(struct alerts *a, size_t from, size_t to, ts_ns now)
{
    const struct tracked *first = a->tracked.p[from];
    struct notify_alert *alerts;
    size_t n = 0;
    ts_ns look;

    for (size_t i = from; i < to; i++)
        n += rule_state_count(a->tracked.p[i]->state);
    if (n == 0)
        return;
    alerts = mem_new(n * sizeof(*alerts));
    n = 0;
    for (size_t i = from; i < to; i++) {
        const struct tracked *t = a->tracked.p[i];
        struct str expr = t->rule == NULL ? STR("") : t->rule->expr;
        for (size_t k = 0; k < rule_state_count(t->state); k++)
            alerts[n++] = (struct notify_alert){rule_state_at(t->state, k), expr};
    }
    look = notify_group(a->notify, first->tenant, first->alertname, alerts, n, now);
    if (look < a->look_again)
        a->look_again = look;
    free(alerts);
}

static bool same_group(const struct tracked *x, const struct tracked *y)
{
    return str_eq(x->tenant, y->tenant) && str_eq(x->alertname, y->alertname);
}

static void notify_all(struct alerts *a, ts_ns now)
{
    a->look_again = INT64_MAX;
    notify_begin(a->notify);
    for (size_t from = 0, to; from < a->tracked.n; from = to) {
        for (to = from + 1; to < a->tracked.n; to++) {
            if (!same_group(a->tracked.p[from], a->tracked.p[to]))
                break;
        }
        notify_run(a, from, to, now);
    }
    notify_end(a->notify);
    count_alerts(a);
}

/* ---- scheduling ---- */

static void touch_rule(struct tracked *t, const struct batch *b, ts_ns now)
{
    ts_ns newest = b->max_ts;
    ts_ns due = now + COALESCE;

    if (newest > now + AHEAD_MAX)
        newest = now + AHEAD_MAX;
    if (t->due <= due && newest <= now)
        return; /* is about to be evaluated anyway */
    if (!query_touches(t->rule->query, b))
        return;
    if (t->group->query_offset > 0 && newest + t->group->query_offset > due)
        due = newest + t->group->query_offset;
    else if (newest > t->ahead && newest > now)
        t->ahead = newest;
    if (due < t->not_before)
        due = t->not_before;
    if (due < t->due)
        t->due = due;
}

static void take_touch(struct alerts *a, struct touch *touch, ts_ns now)
{
    struct str tenant = str_of(touch->tenant);

    for (size_t i = 0; touch->batch != NULL && i < a->tracked.n; i++) {
        struct tracked *t = a->tracked.p[i];
        if (t->rule != NULL && str_eq(t->tenant, tenant))
            touch_rule(t, touch->batch, now);
    }
    touch_free(touch);
}

static void touch_everything(struct alerts *a, ts_ns now)
{
    for (size_t i = 0; i < a->tracked.n; i++) {
        struct tracked *t = a->tracked.p[i];
        ts_ns due = now + COALESCE > t->not_before ? now + COALESCE : t->not_before;
        if (t->rule != NULL && due < t->due)
            t->due = due;
    }
}

static dur_ns shift_of(const struct rule_group *g)
{
    uint64_t h = hash_bytes(g->name.p, g->name.n, hash_bytes(g->file.p, g->file.n, 0));

    return (dur_ns)(h % (uint64_t)g->interval);
}

/* Groups whose tick has come: all their rules are due. */
static void tick(struct alerts *a, ts_ns now, ts_ns *next)
{
    for (size_t i = 0; i < a->rules->n_groups; i++) {
        const struct rule_group *g = &a->rules->groups[i];
        ts_ns slot = (now - shift_of(g)) / g->interval;
        ts_ns at = (slot + 1) * g->interval + shift_of(g);
        if (a->slots[i] != 0 && slot > a->slots[i] + 1)
            metric_add(METRIC_RULE_MISSED, (uint64_t)(slot - a->slots[i] - 1));
        if (slot != a->slots[i] && a->slots[i] != 0) {
            for (size_t k = 0; k < a->tracked.n; k++) {
                if (a->tracked.p[k]->group == g)
                    a->tracked.p[k]->due = 0;
            }
        }
        a->slots[i] = slot;
        if (at < *next)
            *next = at;
    }
}

/* Drop what belongs to no rule and has no alerts any more.  Keeps (1). */
static void sweep(struct alerts *a)
{
    size_t n = 0;

    (void)pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->tracked.n; i++) {
        struct tracked *t = a->tracked.p[i];
        if (t->rule == NULL && rule_state_count(t->state) == 0 && !t->unsaved)
            alerts_tracked_free(&t);
        else
            a->tracked.p[n++] = t;
    }
    a->tracked.n = n;
    (void)pthread_mutex_unlock(&a->lock);
}

static void take_reload(struct alerts *a)
{
    struct rules *next;

    (void)pthread_mutex_lock(&a->lock);
    next = a->next;
    a->next = NULL;
    (void)pthread_mutex_unlock(&a->lock);
    if (next == NULL)
        return;
    alerts_adopt(a, next);
    a->look_again = 0;
    log_info("rules.loaded", LOG_U64("rules", next->n_rules), LOG_U64("groups", next->n_groups));
}

/* Evaluate what is due, save, tell; returns when something is due next. */
static ts_ns work(struct alerts *a, ts_ns now)
{
    ts_ns next = now + IDLE_WAIT;
    bool changed = false;

    /* While the store's answers lack records an alert would end that has not. */
    if (store_state(a->server->store, NULL, 0) == STORE_REPLAYING)
        return now + REPLAY_WAIT;
    tick(a, now, &next);
    for (size_t i = 0; i < a->tracked.n && !a->closing; i++) {
        struct tracked *t = a->tracked.p[i];
        if (t->due <= now) {
            bool here = t->rule == NULL ? end(a, t, now) : evaluate(a, t, now);
            if (here || t->unsaved)
                alerts_save(a, t); /* keeps (2) */
            changed = changed || here;
        }
        if (t->due < next)
            next = t->due;
    }
    if ((changed || a->look_again <= now) && !a->closing) {
        notify_all(a, now);
        sweep(a);
    }
    if (a->look_again < next)
        next = a->look_again;
    if (now - a->clock_saved >= CLOCK_EVERY)
        alerts_save_clock(a, now);
    return next;
}

static void *run(void *arg)
{
    struct alerts *a = arg;
    struct store *store = a->server->store;
    ts_ns next = 0;

    while (!a->closing) {
        ts_ns now = store_receive_time(store);
        struct touch *touch = queue_pop(a->touched, next > now ? next - now : 0);
        now = store_receive_time(store);
        for (unsigned n = 1; touch != NULL; n++) {
            take_touch(a, touch, now);
            touch = n < TOUCHED_MAX ? queue_pop(a->touched, 0) : NULL;
        }
        if (atomic_exchange(&a->overflow, false))
            touch_everything(a, now);
        take_reload(a);
        if (!a->closing)
            next = work(a, now);
    }
    return NULL;
}

/* ---- open and close ---- */

static struct str keep(struct alerts *a, struct str s)
{
    struct str copy = arena_str(a->arena, s);

    INVARIANT(copy.p != NULL); /* as large as the configuration, which has a limit */
    return copy;
}

static void configure(struct alerts *a)
{
    const struct server_conf *c = &a->server->conf;
    size_t n = c->alerting.n_webhooks;

    a->targets = mem_new((n + 1) * sizeof(*a->targets));
    a->webhooks = mem_new((n + 1) * sizeof(*a->webhooks));
    for (size_t i = 0; i < n; i++) {
        const struct server_conf_webhook *from = &c->alerting.webhooks[i];
        a->webhooks[i] = (struct notify_webhook){keep(a, from->url), from->send_resolved};
        a->targets[i].url = a->webhooks[i].url.p;
        a->targets[i].timeout = from->timeout;
        if (from->bearer_token_file.n > 0)
            a->targets[i].bearer_token_file =
                server_conf_path(c, from->bearer_token_file, a->arena);
    }
}

static int open_parts(struct alerts *a, struct buf *errors, struct err *err)
{
    const struct server_conf *c = &a->server->conf;
    struct delivery_options deliver = {
        .store = a->server->store, .targets = a->targets, .n_targets = c->alerting.n_webhooks};
    struct notify_options tell = {.store = a->server->store,
                                  .webhooks = a->webhooks,
                                  .n_webhooks = c->alerting.n_webhooks,
                                  .external_url = keep(a, c->alerting.external_url)};
    struct rules *rules = NULL;
    int r = load(a->server, errors, &rules, err);

    if (r == 0)
        r = alerts_restore(a, err);
    if (r == 0)
        r = delivery_open(&deliver, &a->delivery, err);
    tell.delivery = a->delivery;
    if (r == 0)
        r = notify_new(&tell, &a->notify, err);
    if (r == 0)
        alerts_adopt(a, rules);
    else
        rules_unref(&rules);
    return r < 0 ? err_wrap(err, "alerts") : 0;
}

int alerts_open(struct server *s, struct buf *errors, struct alerts **ret, struct err *err)
{
    struct alerts *a = mem_new(sizeof(*a));
    int r;

    a->magic = ALERTS_MAGIC;
    a->server = s;
    a->budget =
        (struct mem_budget){.name = "alerts", .limit = STATE_BYTES_MAX, .parent = &s->memory};
    a->arena = arena_new(NULL, 0);
    a->touched = queue_new(TOUCHED_MAX);
    (void)pthread_mutex_init(&a->lock, NULL); /* a default mutex cannot fail here */
    configure(a);
    r = open_parts(a, errors, err);
    if (r == 0)
        *ret = a;
    else
        alerts_close(&a);
    return r;
}

void alerts_start(struct alerts *a)
{
    OBJ_CHECK(a, ALERTS_MAGIC);
    INVARIANT(!a->started);
    delivery_start(a->delivery);
    INVARIANT(pthread_create(&a->thread, NULL, run, a) == 0);
    a->started = true;
}

void alerts_close(struct alerts **pa)
{
    struct alerts *a = *pa;
    struct touch *touch;

    *pa = NULL;
    if (a == NULL)
        return;
    OBJ_CHECK(a, ALERTS_MAGIC);
    a->closing = true;
    queue_close(a->touched);
    if (a->started) {
        (void)pthread_join(a->thread, NULL);
        alerts_save_clock(a, store_receive_time(a->server->store));
    }
    while ((touch = queue_pop(a->touched, 0)) != NULL)
        touch_free(touch);
    queue_free(&a->touched);
    delivery_close(&a->delivery);
    notify_free(&a->notify);
    for (size_t i = 0; i < a->tracked.n; i++)
        alerts_tracked_free(&a->tracked.p[i]);
    VEC_FINI(&a->tracked);
    rules_unref(&a->rules);
    rules_unref(&a->next);
    (void)pthread_mutex_destroy(&a->lock);
    arena_free(&a->arena);
    free(a->targets);
    free(a->webhooks);
    free(a->slots);
    a->magic = 0;
    free(a);
}
