/*
 * server/rule_state.c - see rule_state.h.
 *
 * An evaluation first makes all the alerts that the samples stand for, which may fail, and then
 * changes the state, which may not.
 *
 * Invariant: `index` holds exactly the alerts of `alerts`, by the hash of their labels.
 */
#include "server/rule_state.h"

#include "base/obj.h"
#include "server/rule_state_priv.h"

#include <stdlib.h>
#include <string.h>

struct rule_state *rule_state_new(struct mem_budget *budget)
{
    struct rule_state *s = mem_new(sizeof(*s));

    s->magic = RULE_STATE_MAGIC;
    s->budget = budget;
    s->index = map_new(0, NULL);
    return s;
}

void rule_state_free(struct rule_state **ps)
{
    struct rule_state *s = *ps;

    *ps = NULL;
    if (s == NULL)
        return;
    OBJ_CHECK(s, RULE_STATE_MAGIC);
    for (size_t i = 0; i < s->alerts.n; i++)
        rule_alert_free(&s->alerts.p[i]);
    VEC_FINI(&s->alerts);
    map_free(&s->index);
    s->magic = 0;
    free(s);
}

static struct str key_of(const struct hash128 *h)
{
    return (struct str){(const char *)h, sizeof(*h)};
}

struct rule_alert *rule_state_find(const struct rule_state *s, const struct rule_alert *like)
{
    struct hash128 h = labels_hash(&like->labels);

    return map_get(s->index, key_of(&h));
}

void rule_state_add(struct rule_state *s, struct rule_alert *alert)
{
    struct hash128 h = labels_hash(&alert->labels);

    INVARIANT(map_put(s->index, key_of(&h), alert)); /* it has no limit */
    VEC_PUSH(&s->alerts, alert);
}

static void drop(struct rule_state *s, size_t i)
{
    struct hash128 h = labels_hash(&s->alerts.p[i]->labels);

    (void)map_remove(s->index, key_of(&h)); /* it is there */
    rule_alert_free(&s->alerts.p[i]);
    s->alerts.p[i] = s->alerts.p[--s->alerts.n];
}

/* ---- the alerts that samples stand for ---- */

struct fresh {
    struct rule_alert **v; /* owned, where not NULL */
    size_t n;
};

static void fresh_fini(struct fresh *f)
{
    for (size_t i = 0; i < f->n; i++)
        rule_alert_free(&f->v[i]);
    free(f->v);
}

static int make_fresh(struct rule_state *s, const struct rule *rule,
                      const struct query_result *samples, struct fresh *f, unsigned *failed,
                      struct err *err)
{
    struct map *seen = map_new(0, NULL);
    int r = 0;

    if (samples->n > RULE_ALERTS_MAX) {
        r = err_set(err, ERR_LIMIT, "%zu series, at most %d are alerts", samples->n,
                    RULE_ALERTS_MAX);
        map_free(&seen);
        return r;
    }
    f->v = mem_new((samples->n + 1) * sizeof(struct rule_alert *));
    for (size_t i = 0; r == 0 && i < samples->n; i++) {
        const struct query_series *in = &samples->series[i];
        struct hash128 h;
        if (in->n == 0)
            continue;
        r = rule_alert_make(rule, in, s->budget, failed, &f->v[f->n], err);
        if (r < 0)
            break;
        f->n++;
        h = labels_hash(&f->v[f->n - 1]->labels);
        if (map_get(seen, key_of(&h)) != NULL)
            r = err_set(err, ERR_INVALID,
                        "two series have the same labels after those of the rule are applied");
        else
            (void)map_put(seen, key_of(&h), f->v[f->n - 1]); /* it has no limit */
    }
    map_free(&seen);
    return r;
}

/* ---- the state machine ---- */

/* An alert goes on: it takes the value, and the annotations, which depend on it. */
static void refresh(struct rule_alert *old, struct rule_alert *new)
{
    struct rule_alert was = *old;

    *old = *new; /* equal labels; the texts come from the other arena */
    old->state = was.state;
    old->active_at = was.active_at;
    old->fired_at = was.fired_at;
    old->resolved_at = was.resolved_at;
    old->seen = true;
    new->arena = was.arena; /* goes with `new` */
}

static void take_sample(struct rule_state *s, struct rule_alert **fresh, ts_ns now,
                        struct rule_state_change *ret)
{
    struct rule_alert *old = rule_state_find(s, *fresh);

    if (old != NULL && old->state != RULE_INACTIVE) {
        ret->changed = ret->changed || old->keep_since != 0;
        refresh(old, *fresh); /* keep_since is 0 again */
        return;
    }
    ret->changed = true;
    if (old != NULL) {
        for (size_t i = 0; i < s->alerts.n; i++) {
            if (s->alerts.p[i] == old) {
                drop(s, i);
                break;
            }
        }
    }
    (*fresh)->state = RULE_PENDING;
    (*fresh)->active_at = now;
    (*fresh)->seen = true;
    rule_state_add(s, *fresh);
    *fresh = NULL;
}

static void resolve(struct rule_alert *alert, ts_ns now)
{
    alert->state = RULE_INACTIVE;
    alert->resolved_at = now;
    alert->keep_since = 0;
}

/* An alert without a sample.  false: it is gone. */
static bool miss(struct rule_alert *alert, dur_ns keep_firing, ts_ns now,
                 struct rule_state_change *ret)
{
    if (alert->state == RULE_FIRING && keep_firing > 0) {
        if (alert->keep_since == 0) {
            alert->keep_since = now;
            ret->changed = true;
        }
        if (now - alert->keep_since < keep_firing)
            return true;
    }
    if (alert->state == RULE_INACTIVE)
        return now - alert->resolved_at <= RULE_RESOLVED_RETENTION;
    ret->changed = true;
    if (alert->state == RULE_PENDING)
        return false;
    resolve(alert, now);
    return true;
}

static void advance(struct rule_state *s, const struct rule *rule, ts_ns now,
                    struct rule_state_change *ret)
{
    for (size_t i = 0; i < s->alerts.n;) {
        struct rule_alert *alert = s->alerts.p[i];
        if (!alert->seen && !miss(alert, rule->keep_firing, now, ret)) {
            ret->changed = true;
            drop(s, i);
            continue;
        }
        if (alert->state == RULE_PENDING && now - alert->active_at >= rule->hold) {
            alert->state = RULE_FIRING;
            alert->fired_at = now;
            ret->changed = true;
        }
        alert->seen = false;
        i++;
    }
}

/* Over RULE_ALERTS_MAX the ones that have been over for longest go first. */
static void evict(struct rule_state *s, struct rule_state_change *ret)
{
    while (s->alerts.n > RULE_ALERTS_MAX) {
        size_t oldest = SIZE_MAX;
        for (size_t i = 0; i < s->alerts.n; i++) {
            const struct rule_alert *a = s->alerts.p[i];
            if (a->state == RULE_INACTIVE &&
                (oldest == SIZE_MAX || a->resolved_at < s->alerts.p[oldest]->resolved_at))
                oldest = i;
        }
        if (oldest == SIZE_MAX)
            break; /* not more active ones than samples, which are bounded */
        drop(s, oldest);
        ret->evicted++;
    }
}

void rule_state_end(struct rule_state *s, ts_ns now, struct rule_state_change *ret)
{
    static const struct rule NOTHING = {.hold = 0};

    OBJ_CHECK(s, RULE_STATE_MAGIC);
    *ret = (struct rule_state_change){0};
    advance(s, &NOTHING, now, ret); /* nothing is seen */
}

int rule_state_eval(struct rule_state *s, const struct rule *rule,
                    const struct query_result *samples, ts_ns now, struct rule_state_change *ret,
                    struct err *err)
{
    struct fresh fresh = {0};
    size_t active;
    int r;

    OBJ_CHECK(s, RULE_STATE_MAGIC);
    *ret = (struct rule_state_change){0};
    r = make_fresh(s, rule, samples, &fresh, &ret->failed, err);
    if (r == 0) {
        for (size_t i = 0; i < fresh.n; i++)
            take_sample(s, &fresh.v[i], now, ret);
        advance(s, rule, now, ret);
        evict(s, ret);
        active = rule_state_firing(s) + rule_state_pending(s);
        if (rule->limit > 0 && active > (uint64_t)rule->limit) {
            struct rule_state_change end;
            rule_state_end(s, now, &end);
            ret->changed = true;
            r = err_set(err, ERR_LIMIT, "%zu alerts, the limit of the group is %lld", active,
                        (long long)rule->limit);
        }
    }
    fresh_fini(&fresh);
    return r;
}

/* ---- looking ---- */

ts_ns rule_state_due(const struct rule_state *s, const struct rule *rule)
{
    ts_ns due = INT64_MAX;

    OBJ_CHECK(s, RULE_STATE_MAGIC);
    for (size_t i = 0; i < s->alerts.n; i++) {
        const struct rule_alert *a = s->alerts.p[i];
        if (a->state == RULE_PENDING && rule->hold < INT64_MAX - a->active_at &&
            a->active_at + rule->hold < due)
            due = a->active_at + rule->hold;
    }
    return due;
}

size_t rule_state_count(const struct rule_state *s)
{
    OBJ_CHECK(s, RULE_STATE_MAGIC);
    return s->alerts.n;
}

const struct rule_alert *rule_state_at(const struct rule_state *s, size_t i)
{
    OBJ_CHECK(s, RULE_STATE_MAGIC);
    INVARIANT(i < s->alerts.n);
    return s->alerts.p[i];
}

static size_t count(const struct rule_state *s, enum rule_alert_state state)
{
    size_t n = 0;

    OBJ_CHECK(s, RULE_STATE_MAGIC);
    for (size_t i = 0; i < s->alerts.n; i++)
        n += s->alerts.p[i]->state == state;
    return n;
}

size_t rule_state_firing(const struct rule_state *s)
{
    return count(s, RULE_FIRING);
}

size_t rule_state_pending(const struct rule_state *s)
{
    return count(s, RULE_PENDING);
}
