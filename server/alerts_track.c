/*
 * server/alerts_track.c - rules, the states that belong to them, and their keeping in the store.
 *
 * A state belongs to (tenant, file, group, alert, ordinal): a rule whose expression or labels are
 * edited keeps its alerts, as in Prometheus.  What belongs to no rule any more is kept as a tracked
 * state without a rule: the next evaluation ends its alerts, so that webhooks hear of it.
 */
#include "base/log.h"
#include "base/map.h"
#include "base/obj.h"
#include "server/alerts_priv.h"
#include "server/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SPACE[] = "alerts";
static const char CLOCK[] = "clock";
#define PREFIX STR("rule ")

enum { VALUE_MAX = 16 << 20, KEY_MAX = 4096 };

/* ---- keys ---- */

/* Blanks separate; where they may stand in a part they are escaped, but in the last. */
static void add_part(struct buf *out, struct str part)
{
    for (size_t i = 0; i < part.n; i++) {
        char c = part.p[i];
        if (c == ' ' || c == '%' || c == '\0')
            buf_addf(out, "%%%02x", (unsigned char)c);
        else
            buf_add_char(out, c);
    }
    buf_add_char(out, ' ');
}

char *alerts_key(const struct rule_group *g, const struct rule *rule)
{
    struct buf key;
    char *copy;

    buf_init(&key, KEY_MAX);
    buf_add_str(&key, PREFIX);
    add_part(&key, g->tenant);
    add_part(&key, g->file);
    add_part(&key, g->name);
    buf_addf(&key, "%zu ", rule->ordinal);
    buf_add_str(&key, rule->alert);
    copy = mem_dup(key.p, key.n);
    buf_fini(&key);
    return copy;
}

/* Views of tenant and alertname in a key; false: it is none. */
static bool parse_key(struct str key, struct str *tenant, struct str *alertname)
{
    struct str rest = str_from(key, PREFIX.n);

    if (!str_starts(key, PREFIX))
        return false;
    *tenant = str_cut(&rest, ' ');
    for (int i = 0; i < 3; i++)
        (void)str_cut(&rest, ' '); /* file, group, ordinal */
    *alertname = rest;
    return tenant->n > 0 && alertname->n > 0;
}

/* ---- tracked ---- */

/* Takes `key` and `state` over. */
static struct tracked *tracked_new(char *key, struct rule_state *state)
{
    struct tracked *t = mem_new(sizeof(*t));

    t->key = key;
    t->state = state;
    t->due = INT64_MAX;
    INVARIANT(parse_key(str_of(key), &t->tenant, &t->alertname));
    return t;
}

void alerts_tracked_free(struct tracked **pt)
{
    struct tracked *t = *pt;

    *pt = NULL;
    if (t == NULL)
        return;
    rule_state_free(&t->state);
    free(t->key);
    free(t);
}

/* ---- the store ---- */

void alerts_save(struct alerts *a, struct tracked *t)
{
    struct buf value;
    struct err err;
    int r;

    buf_init(&value, VALUE_MAX);
    if (rule_state_count(t->state) == 0) {
        r = store_kv_delete(a->server->store, SPACE, str_of(t->key), &err);
    } else {
        rule_state_save(t->state, &value);
        r = buf_err(&value, "the alerts of a rule", &err);
        if (r == 0)
            r = store_kv_put(a->server->store, SPACE, str_of(t->key), buf_str(&value), &err);
    }
    if (r < 0) {
        metric_add(METRIC_ALERT_SAVE_FAILED, 1);
        if (!t->unsaved) /* it is tried again at each evaluation */
            log_error("alerts.not_saved", LOG_Z("key", t->key), LOG_ERR(&err));
    }
    t->unsaved = r < 0;
    buf_fini(&value);
}

void alerts_save_clock(struct alerts *a, ts_ns now)
{
    char text[32];
    struct err err;

    (void)snprintf(text, sizeof(text), "%" PRId64, now);
    if (store_kv_put(a->server->store, SPACE, str_of(CLOCK), str_of(text), &err) < 0) {
        metric_add(METRIC_ALERT_SAVE_FAILED, 1);
        log_warn("alerts.not_saved", LOG_Z("key", CLOCK), LOG_ERR(&err));
    }
    a->clock_saved = now;
}

struct restoring {
    struct alerts *a;
    dur_ns outage;
};

static int restore_one(void *arg, struct str key, struct str value)
{
    struct restoring *restoring = arg;
    struct alerts *a = restoring->a;
    struct rule_state *state = NULL;
    struct str tenant;
    struct str alertname;
    struct err err;

    if (!parse_key(key, &tenant, &alertname))
        return 0;
    if (rule_state_restore(value, restoring->outage, &a->budget, &state, &err) < 0) {
        metric_add(METRIC_ALERT_SAVE_FAILED, 1);
        log_error("alerts.state_unreadable", LOG_STR("key", key), LOG_ERR(&err));
        return 0; /* the rule starts anew, and overwrites it */
    }
    VEC_PUSH(&a->tracked, tracked_new(mem_dup(key.p, key.n), state));
    return 0;
}

int alerts_restore(struct alerts *a, struct err *err)
{
    struct restoring restoring = {.a = a};
    struct buf text;
    int64_t clock = 0;
    int r;

    buf_init(&text, 64);
    r = store_kv_get(a->server->store, SPACE, str_of(CLOCK), &text, err);
    if (r == 0 && str_to_i64(buf_str(&text), &clock))
        restoring.outage = store_receive_time(a->server->store) - clock;
    buf_fini(&text);
    if (r >= 0)
        r = store_kv_each(a->server->store, SPACE, restore_one, &restoring, err);
    return r;
}

/* ---- matching ---- */

static int by_alertname(const void *x, const void *y)
{
    const struct tracked *a = *(struct tracked *const *)x;
    const struct tracked *b = *(struct tracked *const *)y;
    int c = str_cmp(a->tenant, b->tenant);

    if (c == 0)
        c = str_cmp(a->alertname, b->alertname);
    return c != 0 ? c : strcmp(a->key, b->key);
}

/* The state of this rule from before, or a new one. */
static struct tracked *match(struct alerts *a, struct map *before, const struct rule_group *g,
                             const struct rule *rule)
{
    char *key = alerts_key(g, rule);
    struct tracked *t = map_get(before, str_of(key));

    if (t != NULL) {
        (void)map_remove(before, str_of(key)); /* it is there */
        free(key);
    } else {
        t = tracked_new(key, rule_state_new(&a->budget));
    }
    t->group = g;
    t->rule = rule;
    t->due = 0; /* at once */
    t->ahead = 0;
    t->not_before = 0;
    return t;
}

static void track(struct alerts *a, struct tracked *t)
{
    VEC_PUSH(&a->tracked, t);
}

/* Move all that is tracked into a map by key. */
static struct map *take_tracked(struct alerts *a)
{
    struct map *before = map_new(0, NULL);

    for (size_t i = 0; i < a->tracked.n; i++)
        (void)map_put(before, str_of(a->tracked.p[i]->key), a->tracked.p[i]); /* it has no limit */
    a->tracked.n = 0;
    return before;
}

/* What no rule has taken goes on without one. */
static void keep_ends(struct alerts *a, const struct map *left)
{
    struct str key;
    void *value;

    for (size_t pos = 0; map_next(left, &pos, &key, &value);) {
        struct tracked *t = value;
        t->group = NULL;
        t->rule = NULL;
        t->due = 0;
        track(a, t);
    }
}

static void track_group(struct alerts *a, struct map *before, const struct rule_group *g)
{
    for (size_t i = 0; i < g->n_rules; i++)
        track(a, match(a, before, g, &g->rules[i]));
}

void alerts_adopt(struct alerts *a, struct rules *rules)
{
    struct map *before;
    struct rules *old = a->rules;
    ts_ns *slots = mem_new((rules->n_groups + 1) * sizeof(*slots));

    (void)pthread_mutex_lock(&a->lock);
    before = take_tracked(a);
    for (size_t i = 0; i < rules->n_groups; i++)
        track_group(a, before, &rules->groups[i]);
    keep_ends(a, before);
    if (a->tracked.n > 0)
        qsort(a->tracked.p, a->tracked.n, sizeof(a->tracked.p[0]), by_alertname);
    a->rules = rules;
    (void)pthread_mutex_unlock(&a->lock);
    map_free(&before);
    rules_unref(&old);
    free(a->slots);
    a->slots = slots;
    a->n_rules = rules->n_rules;
    metric_set(METRIC_RULES_LOADED, rules->n_rules);
}
