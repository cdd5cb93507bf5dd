/*
 * server/notify.c - see notify.h.
 *
 * For each group and webhook we keep what was told: the alerts (fingerprint and the time they
 * fired) and whether they were told to be over.  Something is due when the group differs from that.
 *
 * Order: the states of the rules are saved first, then the notification is queued, then what was
 * told is saved.  A crash in between repeats the last steps, and as the id of a notification is
 * made from its alerts and what was told before, the repetition has the same id.
 */
#include "server/notify.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/log.h"
#include "base/map.h"
#include "base/obj.h"
#include "server/alert_body.h"
#include "server/metrics.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char SPACE[] = "alerts";
#define PREFIX STR("told ")

enum { KEY_BYTES_MAX = 8192, VALUE_MAX = 8 << 20, TOLD_MAX = 100000, ID_BYTES = 48 };

struct told_alert {
    uint64_t fingerprint;
    ts_ns fired_at;
    bool resolved;
};

struct told {
    ts_ns at;                  /* of the last notification */
    struct told_alert *alerts; /* owned */
    size_t n, cap;
    bool seen; /* in this round */
};

struct notify {
    unsigned magic;
#define NOTIFY_MAGIC 0x4071f1e5u
    struct notify_options opt;
    struct map *told; /* key in the store -> struct told */
};

static void told_free(void *p)
{
    struct told *t = p;

    free(t->alerts);
    free(t);
}

static void told_add(struct told *t, const struct told_alert *alert)
{
    if (t->n == t->cap) {
        t->cap = t->cap == 0 ? 8 : 2 * t->cap;
        t->alerts = mem_grow(t->alerts, t->cap * sizeof(*t->alerts));
    }
    t->alerts[t->n++] = *alert;
}

/* ---- what was told, in the store ---- */

/* "told TENANT URL ALERTNAME": the name, which may hold blanks, stands last. */
static void print_key(struct buf *out, const struct notify *n, size_t webhook, struct str tenant,
                      struct str alertname)
{
    buf_add_str(out, PREFIX);
    buf_add_str(out, tenant);
    buf_add_char(out, ' ');
    buf_addf(out, "%016" PRIx64 " ",
             hash_bytes(n->opt.webhooks[webhook].url.p, n->opt.webhooks[webhook].url.n, 0));
    buf_add_str(out, alertname);
}

static void print_told(struct buf *out, const struct told *t)
{
    struct json_writer w;

    json_writer_init(&w, out);
    json_put_array(&w); /* version, time, then three values per alert */
    json_put_u64(&w, 1);
    json_put_i64(&w, t->at);
    for (size_t i = 0; i < t->n; i++) {
        json_put_u64(&w, t->alerts[i].fingerprint);
        json_put_i64(&w, t->alerts[i].fired_at);
        json_put_bool(&w, t->alerts[i].resolved);
    }
    json_put_array_end(&w);
}

static int next_i64(struct json_reader *json, int64_t *ret, struct err *err)
{
    struct json_token t;
    int r = json_next(json, &t, err);

    if (r == 0 && (t.type != JSON_NUMBER || !str_to_i64(t.raw, ret)))
        r = err_set(err, ERR_CORRUPT, "a saved notification state: no number");
    return r;
}

/* 1: there is no other. */
static int next_alert(struct json_reader *json, struct told_alert *ret, struct err *err)
{
    struct json_token t;
    int r = json_next(json, &t, err);

    if (r < 0 || t.type == JSON_ARRAY_END)
        return r < 0 ? r : 1;
    if (t.type != JSON_NUMBER || !str_to_u64(t.raw, &ret->fingerprint))
        return err_set(err, ERR_CORRUPT, "a saved notification state: no fingerprint");
    r = next_i64(json, &ret->fired_at, err);
    if (r == 0)
        r = json_next(json, &t, err);
    if (r == 0)
        ret->resolved = t.type == JSON_TRUE;
    return r;
}

static int parse_head(struct json_reader *json, struct told *ret, struct err *err)
{
    struct json_token t;
    int64_t version = 0;
    int r = json_next(json, &t, err);

    if (r == 0 && t.type != JSON_ARRAY)
        return err_set(err, ERR_CORRUPT, "a saved notification state: no array");
    if (r == 0)
        r = next_i64(json, &version, err);
    if (r == 0 && version != 1)
        return err_set(err, ERR_CORRUPT, "a saved notification state: an unknown version");
    return r < 0 ? r : next_i64(json, &ret->at, err);
}

static int parse_told(struct str text, struct told *ret, struct err *err)
{
    struct json_reader json;
    struct told_alert alert;
    int r;

    json_reader_init(&json, text);
    r = parse_head(&json, ret, err);
    while (r == 0 && ret->n < TOLD_MAX) {
        r = next_alert(&json, &alert, err);
        if (r == 0)
            told_add(ret, &alert);
    }
    return r == 1 ? 0 : r;
}

static int restore_one(void *arg, struct str key, struct str value)
{
    struct notify *n = arg;
    struct told *t;
    struct err err;

    if (!str_starts(key, PREFIX))
        return 0;
    t = mem_new(sizeof(*t));
    if (parse_told(value, t, &err) < 0) { /* the worst that follows is one notification too many */
        log_warn("alerts.state_unreadable", LOG_STR("key", key), LOG_ERR(&err));
        told_free(t);
        return 0;
    }
    (void)map_put(n->told, key, t); /* it has no limit */
    return 0;
}

static void save(struct notify *n, struct str key, const struct told *t)
{
    struct buf value;
    struct err err;
    int r;

    buf_init(&value, VALUE_MAX);
    print_told(&value, t);
    r = buf_err(&value, "what a webhook was told", &err);
    if (r == 0)
        r = store_kv_put(n->opt.store, SPACE, key, buf_str(&value), &err);
    if (r < 0) {
        metric_add(METRIC_ALERT_SAVE_FAILED, 1);
        log_error("alerts.not_saved", LOG_STR("key", key), LOG_ERR(&err));
    }
    buf_fini(&value);
}

int notify_new(const struct notify_options *opt, struct notify **ret, struct err *err)
{
    struct notify *n = mem_new(sizeof(*n));
    int r;

    n->magic = NOTIFY_MAGIC;
    n->opt = *opt;
    n->told = map_new(0, told_free);
    r = store_kv_each(opt->store, SPACE, restore_one, n, err);
    if (r == 0)
        *ret = n;
    else
        notify_free(&n);
    return r;
}

void notify_free(struct notify **pn)
{
    struct notify *n = *pn;

    *pn = NULL;
    if (n == NULL)
        return;
    OBJ_CHECK(n, NOTIFY_MAGIC);
    map_free(&n->told);
    n->magic = 0;
    free(n);
}

/* ---- what is due ---- */

struct group {
    struct str tenant, alertname;
    const struct notify_alert *alerts;
    size_t count;
    ts_ns now;
};

static bool was_told(const struct told *t, const struct rule_alert *a)
{
    uint64_t fingerprint = alert_body_fingerprint(&a->labels);

    for (size_t i = 0; t != NULL && i < t->n; i++) {
        const struct told_alert *old = &t->alerts[i];
        if (old->fingerprint == fingerprint && old->fired_at == a->fired_at &&
            old->resolved == (a->state == RULE_INACTIVE))
            return true;
    }
    return false;
}

/* The alerts a notification would hold now: what fires, and what is newly over. */
struct picked {
    const struct notify_alert **v; /* room for all of the group */
    size_t n;
    bool is_new, fires; /* some were not told; some fire */
};

static void pick(const struct group *g, const struct told *t, bool send_resolved,
                 struct picked *ret)
{
    ret->n = 0;
    ret->is_new = ret->fires = false;
    for (size_t i = 0; i < g->count; i++) {
        const struct rule_alert *a = g->alerts[i].alert;
        bool told;
        if (a->state == RULE_PENDING || (a->state == RULE_INACTIVE && !send_resolved))
            continue;
        told = was_told(t, a);
        if (a->state == RULE_INACTIVE && told)
            continue;
        ret->is_new = ret->is_new || !told;
        ret->fires = ret->fires || a->state == RULE_FIRING;
        ret->v[ret->n++] = &g->alerts[i];
    }
}

static void print_url(struct buf *out, struct str base, struct str expr)
{
    static const char HEX[] = "0123456789ABCDEF";

    if (base.n == 0)
        return;
    while (base.n > 0 && base.p[base.n - 1] == '/')
        base.n--;
    buf_add_str(out, base);
    buf_add_z(out, "/?query=");
    for (size_t i = 0; i < expr.n; i++) {
        unsigned char c = (unsigned char)expr.p[i];
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
            strchr("-._~", c) != NULL) {
            buf_add_char(out, (char)c);
        } else {
            buf_add_char(out, '%');
            buf_add_char(out, HEX[c >> 4]);
            buf_add_char(out, HEX[c & 15]);
        }
    }
}

static struct str link_of(const struct notify *n, struct str expr, struct arena *a)
{
    struct buf url;
    struct str copy;

    buf_init(&url, 3 * expr.n + n->opt.external_url.n + 16);
    print_url(&url, n->opt.external_url, expr);
    copy = arena_str(a, buf_str(&url));
    buf_fini(&url);
    return copy.p == NULL ? STR("") : copy;
}

static void print_route(struct buf *out, struct str tenant)
{
    struct label l = {STR("tenant"), tenant};

    buf_add_z(out, "{}");
    if (str_eq(tenant, STR("default")))
        return;
    buf_add_char(out, '/'); /* as if each tenant had a route of its own */
    labels_format(out, &(struct labels){&l, 1});
}

/* As many alerts as fit ALERT_BODY_BYTES_MAX; the others are counted as truncated. */
static void print_body(struct buf *out, const struct notify *n, const struct group *g,
                       const struct picked *picked)
{
    struct arena *a = arena_new(NULL, 0);
    struct alert_body body = {.receiver = STR("webhook"),
                              .alertname = g->alertname,
                              .external_url = n->opt.external_url,
                              .alerts = mem_new((picked->n + 1) * sizeof(*body.alerts)),
                              .n = picked->n};
    struct buf route;
    size_t shown;

    buf_init(&route, KEY_BYTES_MAX);
    print_route(&route, g->tenant);
    body.route = buf_str(&route);
    for (size_t i = 0; i < picked->n; i++) {
        const struct rule_alert *from = picked->v[i]->alert;
        body.alerts[i] = (struct alert_body_alert){
            .labels = &from->labels,
            .annotations = &from->annotations,
            .starts_at = from->fired_at,
            .ends_at = from->state == RULE_FIRING ? 0 : from->resolved_at,
            .generator_url = link_of(n, picked->v[i]->expr, a),
        };
    }
    for (size_t max = ALERT_BODY_ALERTS_MAX;; max /= 2) {
        body.max_alerts = max;
        buf_clear(out);
        shown = alert_body_print(out, &body);
        if (!out->over || max == 0)
            break;
    }
    metric_add(METRIC_ALERTS_TRUNCATED, picked->n - shown);
    buf_fini(&route);
    arena_free(&a);
    free(body.alerts);
}

/* The same alerts after the same notification give the same id. */
static void print_id(char id[ID_BYTES], struct str key, const struct told *t,
                     const struct picked *picked)
{
    struct buf all;
    struct hash128 h;
    uint64_t sum = 0; /* independent of order */

    for (size_t i = 0; i < picked->n; i++) {
        const struct rule_alert *a = picked->v[i]->alert;
        uint64_t parts[3] = {alert_body_fingerprint(&a->labels), (uint64_t)a->fired_at,
                             (uint64_t)a->resolved_at};
        sum += hash_bytes(parts, sizeof(parts), 0);
    }
    buf_init(&all, KEY_BYTES_MAX + 64);
    buf_addf(&all, "%" PRIu64 " %zu %lld ", sum, picked->n, (long long)(t == NULL ? 0 : t->at));
    buf_add_str(&all, key);
    h = hash128_bytes(all.p, all.n);
    (void)snprintf(id, ID_BYTES, "msg_%016" PRIx64 "%016" PRIx64, h.hi, h.lo);
    buf_fini(&all);
}

static void remember(struct notify *n, struct str key, const struct group *g)
{
    struct told *t = mem_new(sizeof(*t));

    t->at = g->now;
    t->seen = true;
    for (size_t i = 0; i < g->count && t->n < TOLD_MAX; i++) {
        const struct rule_alert *a = g->alerts[i].alert;
        struct told_alert alert = {alert_body_fingerprint(&a->labels), a->fired_at,
                                   a->state == RULE_INACTIVE};
        if (a->state != RULE_PENDING)
            told_add(t, &alert);
    }
    save(n, key, t);
    (void)map_put(n->told, key, t); /* it has no limit */
}

/* `item` has its target and lane. */
static void queue(struct notify *n, struct delivery_item item, const struct group *g,
                  const struct told *t, const struct picked *picked)
{
    struct buf body;
    struct err err;
    char id[ID_BYTES];

    buf_init(&body, ALERT_BODY_BYTES_MAX);
    print_body(&body, n, g, picked);
    print_id(id, item.lane, t, picked);
    item.id = id;
    item.body = buf_str(&body);
    if (delivery_add(n->opt.delivery, &item, &err) < 0) {
        metric_add(METRIC_ALERT_SAVE_FAILED, 1);
        log_error("webhook.not_saved", LOG_Z("id", id), LOG_ERR(&err));
    }
    buf_fini(&body);
}

/* Returns when to look again. */
static ts_ns tell(struct notify *n, size_t webhook, struct str key, const struct group *g,
                  struct picked *picked)
{
    struct told *t = map_get(n->told, key);
    bool repeat;

    pick(g, t, n->opt.webhooks[webhook].send_resolved, picked);
    repeat = t != NULL && picked->fires && g->now - t->at >= NOTIFY_REPEAT;
    if (t != NULL)
        t->seen = true;
    if (!picked->is_new && !repeat)
        return t != NULL && picked->fires ? t->at + NOTIFY_REPEAT : INT64_MAX;
    if (t != NULL && g->now >= t->at && g->now - t->at < NOTIFY_GROUP_GAP)
        return t->at + NOTIFY_GROUP_GAP;
    queue(n, (struct delivery_item){.target = webhook, .lane = key}, g, t, picked);
    remember(n, key, g);
    return picked->fires ? g->now + NOTIFY_REPEAT : INT64_MAX;
}

void notify_begin(struct notify *n)
{
    struct str key;
    void *value;

    OBJ_CHECK(n, NOTIFY_MAGIC);
    for (size_t pos = 0; map_next(n->told, &pos, &key, &value);)
        ((struct told *)value)->seen = false;
}

ts_ns notify_group(struct notify *n, struct str tenant, struct str alertname,
                   const struct notify_alert *alerts, size_t count, ts_ns now)
{
    struct group g = {tenant, alertname, alerts, count, now};
    struct picked picked = {.v = mem_new((count + 1) * sizeof(*picked.v))};
    ts_ns look = INT64_MAX;

    OBJ_CHECK(n, NOTIFY_MAGIC);
    for (size_t i = 0; i < n->opt.n_webhooks; i++) {
        struct buf key;
        ts_ns again;
        buf_init(&key, KEY_BYTES_MAX);
        print_key(&key, n, i, tenant, alertname);
        again = tell(n, i, buf_str(&key), &g, &picked);
        look = again < look ? again : look;
        buf_fini(&key);
    }
    free(picked.v);
    return look;
}

void notify_end(struct notify *n)
{
    struct str key;
    void *value;
    struct err err;

    OBJ_CHECK(n, NOTIFY_MAGIC);
    for (size_t pos = 0; map_next(n->told, &pos, &key, &value);) {
        if (((struct told *)value)->seen)
            continue;
        if (store_kv_delete(n->opt.store, SPACE, key, &err) < 0)
            log_warn("alerts.not_forgotten", LOG_STR("key", key), LOG_ERR(&err));
        (void)map_remove(n->told, key); /* it is there */
    }
}
