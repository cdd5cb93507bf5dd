/*
 * server/rule_state_save.c - the alerts of a rule as JSON, and back.
 *
 *     {"v":1,"alerts":[{"labels":{},"annotations":{},"state":"firing","value":1,"active_at":1,
 *      "fired_at":1,"resolved_at":0,"keep_since":0}]}
 *
 * Times are nanoseconds.  What is read was written by us, to our own disk, and is still checked
 * like any other input.
 */
#include "base/json.h"
#include "base/obj.h"
#include "server/rule_state_priv.h"

#include <math.h>

#define OUTAGE_MAX NS_PER_H

enum { ARENA_MAX = 64 << 20, LABELS_MAX = 1000 };

/* ---- out ---- */

static void print_labels(struct json_writer *w, const char *key, const struct labels *l)
{
    json_put_key(w, str_of(key));
    labels_put_json(w, l);
}

static void print_time(struct json_writer *w, const char *key, ts_ns t)
{
    json_put_key(w, str_of(key));
    json_put_i64(w, t);
}

void rule_state_save(const struct rule_state *s, struct buf *out)
{
    struct json_writer w;

    OBJ_CHECK(s, RULE_STATE_MAGIC);
    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_u64(&w, "v", 1);
    json_put_key(&w, STR("alerts"));
    json_put_array(&w);
    for (size_t i = 0; i < s->alerts.n; i++) {
        const struct rule_alert *a = s->alerts.p[i];
        json_put_object(&w);
        print_labels(&w, "labels", &a->labels);
        print_labels(&w, "annotations", &a->annotations);
        json_put_kv_str(&w, "state", rule_alert_state_name(a->state));
        json_put_key(&w, STR("value"));
        json_put_f64(&w, a->value);
        print_time(&w, "active_at", a->active_at);
        print_time(&w, "fired_at", a->fired_at);
        print_time(&w, "resolved_at", a->resolved_at);
        print_time(&w, "keep_since", a->keep_since);
        json_put_object_end(&w);
    }
    json_put_array_end(&w);
    json_put_object_end(&w);
}

/* ---- in ---- */

struct reader {
    struct json_reader json;
    struct arena *a;
    struct err *err;
};

static int corrupt(struct reader *r, const char *what)
{
    return err_set(r->err, ERR_CORRUPT, "a saved alert state: %s", what);
}

static int next(struct reader *r, struct json_token *t)
{
    return json_next(&r->json, t, r->err);
}

static int expect(struct reader *r, enum json_type type)
{
    struct json_token t;
    int e = next(r, &t);

    return e == 0 && t.type != type ? corrupt(r, "another kind of value was expected") : e;
}

/* A map of strings. */
static int read_labels(struct reader *r, struct labels *ret)
{
    struct label *v = arena_alloc(r->a, LABELS_MAX * sizeof(*v));
    struct json_token t;
    size_t n = 0;
    int e;

    if (v == NULL)
        return arena_err(r->a, r->err);
    e = expect(r, JSON_OBJECT);
    while (e == 0) {
        e = next(r, &t);
        if (e < 0 || t.type == JSON_OBJECT_END)
            break;
        if (n == LABELS_MAX)
            return corrupt(r, "too many labels");
        v[n].name = json_text(&t, r->a);
        e = next(r, &t);
        if (e == 0 && t.type != JSON_STRING)
            return corrupt(r, "a label is no string");
        if (e == 0)
            v[n].value = json_text(&t, r->a);
        if (e == 0 && (v[n].name.p == NULL || v[n].value.p == NULL))
            return arena_err(r->a, r->err);
        n++;
    }
    if (e == 0)
        *ret = (struct labels){v, n};
    return e;
}

static int read_time(struct reader *r, ts_ns *ret)
{
    struct json_token t;
    int e = next(r, &t);

    if (e == 0 && (t.type != JSON_NUMBER || !str_to_i64(t.raw, ret) || *ret < 0))
        return corrupt(r, "a time is no number");
    return e;
}

static int read_value(struct reader *r, double *ret)
{
    struct json_token t;
    int e = next(r, &t);

    *ret = (double)NAN; /* as null, for NaN and the infinities */
    if (e == 0 && t.type != JSON_NULL && (t.type != JSON_NUMBER || !str_to_f64(t.raw, ret)))
        return corrupt(r, "a value is no number");
    return e;
}

static int read_state(struct reader *r, enum rule_alert_state *ret)
{
    struct json_token t;
    int e = next(r, &t);

    if (e < 0)
        return e;
    for (int i = RULE_PENDING; i <= RULE_INACTIVE; i++) {
        if (t.type == JSON_STRING &&
            str_eq(t.raw, rule_alert_state_name((enum rule_alert_state)i))) {
            *ret = (enum rule_alert_state)i;
            return 0;
        }
    }
    return corrupt(r, "an unknown state");
}

static int read_field(struct reader *r, struct str key, struct rule_alert *into)
{
    if (str_eq(key, STR("labels")))
        return read_labels(r, &into->labels);
    if (str_eq(key, STR("annotations")))
        return read_labels(r, &into->annotations);
    if (str_eq(key, STR("state")))
        return read_state(r, &into->state);
    if (str_eq(key, STR("value")))
        return read_value(r, &into->value);
    if (str_eq(key, STR("active_at")))
        return read_time(r, &into->active_at);
    if (str_eq(key, STR("fired_at")))
        return read_time(r, &into->fired_at);
    if (str_eq(key, STR("resolved_at")))
        return read_time(r, &into->resolved_at);
    if (str_eq(key, STR("keep_since")))
        return read_time(r, &into->keep_since);
    return corrupt(r, "an unknown field");
}

/* The fields behind a '{', with labels in the reader's arena. */
static int read_alert(struct reader *r, struct rule_alert *into)
{
    struct json_token t;
    int e = 0;

    *into = (struct rule_alert){.state = RULE_PENDING};
    while (e == 0) {
        e = next(r, &t);
        if (e < 0 || t.type == JSON_OBJECT_END)
            break;
        e = read_field(r, t.raw, into);
    }
    if (e == 0 && into->labels.n == 0)
        return corrupt(r, "an alert without labels");
    if (e == 0)
        into->labels.n = labels_sort(into->labels.v, into->labels.n);
    return e;
}

static int add(struct rule_state *s, const struct rule_alert *from, struct err *err)
{
    struct rule_alert *alert = NULL;
    int e;

    if (rule_state_find(s, from) != NULL)
        return err_set(err, ERR_CORRUPT, "a saved alert state: two alerts have the same labels");
    e = rule_alert_new(&from->labels, &from->annotations, s->budget, &alert, err);
    if (e < 0)
        return e;
    alert->value = from->value;
    alert->state = from->state;
    alert->active_at = from->active_at;
    alert->fired_at = from->fired_at;
    alert->resolved_at = from->resolved_at;
    alert->keep_since = from->keep_since;
    rule_state_add(s, alert);
    return 0;
}

static int read_alerts(struct reader *r, struct rule_state *s, bool keep_pending)
{
    struct json_token t;
    struct rule_alert alert;
    int e = expect(r, JSON_ARRAY);

    while (e == 0) {
        e = next(r, &t);
        if (e < 0 || t.type == JSON_ARRAY_END)
            break;
        if (t.type != JSON_OBJECT || s->alerts.n == RULE_ALERTS_MAX)
            return corrupt(r, "no list of alerts, or too long");
        arena_reset(r->a);
        e = read_alert(r, &alert);
        if (e == 0 && (keep_pending || alert.state != RULE_PENDING))
            e = add(s, &alert, r->err);
    }
    return e;
}

int rule_state_restore(struct str json, dur_ns outage, struct mem_budget *budget,
                       struct rule_state **ret, struct err *err)
{
    struct rule_state *s = rule_state_new(budget);
    struct reader r = {.a = arena_new(NULL, ARENA_MAX), .err = err};
    struct json_token t;
    uint64_t version = 0;
    int e;

    json_reader_init(&r.json, json);
    e = expect(&r, JSON_OBJECT);
    while (e == 0) {
        e = next(&r, &t);
        if (e < 0 || t.type == JSON_OBJECT_END)
            break;
        if (str_eq(t.raw, STR("alerts"))) {
            e = read_alerts(&r, s, outage <= OUTAGE_MAX);
        } else if (str_eq(t.raw, STR("v"))) {
            e = next(&r, &t);
            if (e == 0 && !str_to_u64(t.raw, &version))
                e = corrupt(&r, "no version");
        } else {
            e = corrupt(&r, "an unknown field");
        }
    }
    if (e == 0 && version != 1)
        e = corrupt(&r, "an unknown version");
    arena_free(&r.a);
    if (e == 0)
        *ret = s;
    else
        rule_state_free(&s);
    return e;
}
