/* server/alerts_print.c - rules and alerts as Prometheus' API shows them. */
#include "base/json.h"
#include "base/obj.h"
#include "query/format.h"
#include "server/alerts_priv.h"

static bool may_see(const struct alerts_filter *f, struct str tenant)
{
    for (size_t i = 0; i < f->n_tenants; i++) {
        if (str_eq(f->tenants[i], tenant))
            return true;
    }
    return false;
}

static bool fits(struct str wanted, struct str have)
{
    return wanted.n == 0 || str_eq(wanted, have);
}

static bool shows_group(const struct alerts_filter *f, const struct rule_group *g)
{
    return may_see(f, g->tenant) && fits(f->file, g->file) && fits(f->group, g->name);
}

static void print_time(struct json_writer *w, const char *key, ts_ns t)
{
    char text[TIME_TEXT_MAX];

    json_put_kv_str(w, key,
                    t == 0 ? STR("0001-01-01T00:00:00Z") : time_format_rfc3339nano(t, text));
}

static void print_f64(struct json_writer *w, const char *key, double v)
{
    json_put_key(w, str_of(key));
    json_put_f64(w, v);
}

static void print_labels(struct json_writer *w, const char *key, const struct labels *l)
{
    json_put_key(w, str_of(key));
    labels_put_json(w, l);
}

static void print_alert(struct json_writer *w, const struct rule_alert *a)
{
    struct buf value;

    buf_init(&value, 64);
    format_value(&value, a->value);
    json_put_object(w);
    print_labels(w, "labels", &a->labels);
    print_labels(w, "annotations", &a->annotations);
    json_put_kv_str(w, "state", rule_alert_state_name(a->state));
    print_time(w, "activeAt", a->active_at);
    if (a->keep_since != 0)
        print_time(w, "keepFiringSince", a->keep_since);
    json_put_kv_str(w, "value", buf_str(&value));
    json_put_object_end(w);
    buf_fini(&value);
}

static void print_alerts_of(struct json_writer *w, const struct tracked *t)
{
    for (size_t i = 0; i < rule_state_count(t->state); i++) {
        const struct rule_alert *alert = rule_state_at(t->state, i);
        if (alert->state != RULE_INACTIVE)
            print_alert(w, alert);
    }
}

/* Texts of rules are shown as they are written; expanded they stand in the alerts. */
static void print_texts(struct json_writer *w, const char *key, const struct rule_text *v, size_t n)
{
    json_put_key(w, str_of(key));
    json_put_object(w);
    for (size_t i = 0; i < n; i++)
        json_put_kv_str(w, v[i].name.p, v[i].source);
    json_put_object_end(w);
}

static void print_rule(struct json_writer *w, const struct tracked *t)
{
    const struct rule *r = t->rule;
    enum rule_alert_state state = rule_state_firing(t->state) > 0    ? RULE_FIRING
                                  : rule_state_pending(t->state) > 0 ? RULE_PENDING
                                                                     : RULE_INACTIVE;

    json_put_object(w);
    json_put_kv_str(w, "state", rule_alert_state_name(state));
    json_put_kv_str(w, "name", r->alert);
    json_put_kv_str(w, "query", r->expr);
    print_f64(w, "duration", (double)r->hold / NS_PER_S);
    print_f64(w, "keepFiringFor", (double)r->keep_firing / NS_PER_S);
    print_texts(w, "labels", r->labels, r->n_labels);
    print_texts(w, "annotations", r->annotations, r->n_annotations);
    json_put_key(w, STR("alerts"));
    json_put_array(w);
    print_alerts_of(w, t);
    json_put_array_end(w);
    json_put_kv_str(w, "health",
                    t->error[0] != '\0'    ? STR("err")
                    : t->evaluated_at == 0 ? STR("unknown")
                                           : STR("ok"));
    if (t->error[0] != '\0')
        json_put_kv_str(w, "lastError", str_of(t->error));
    print_f64(w, "evaluationTime", t->seconds);
    print_time(w, "lastEvaluation", t->evaluated_at);
    json_put_kv_str(w, "type", STR("alerting"));
    json_put_object_end(w);
}

static const struct tracked *find(const struct alerts *a, const struct rule *rule)
{
    for (size_t i = 0; i < a->tracked.n; i++) {
        if (a->tracked.p[i]->rule == rule)
            return a->tracked.p[i];
    }
    return NULL;
}

static void print_group(struct json_writer *w, const struct alerts *a,
                        const struct alerts_filter *f, const struct rule_group *g)
{
    double seconds = 0;
    ts_ns last = 0;

    json_put_object(w);
    json_put_kv_str(w, "name", g->name);
    json_put_kv_str(w, "file", g->file);
    json_put_key(w, STR("rules"));
    json_put_array(w);
    for (size_t i = 0; i < g->n_rules; i++) {
        const struct tracked *t = find(a, &g->rules[i]);
        if (t == NULL || !fits(f->name, g->rules[i].alert) || f->records)
            continue;
        print_rule(w, t);
        seconds += t->seconds;
        last = t->evaluated_at > last ? t->evaluated_at : last;
    }
    json_put_array_end(w);
    print_f64(w, "interval", (double)g->interval / NS_PER_S);
    json_put_kv_u64(w, "limit", (uint64_t)g->limit);
    print_f64(w, "evaluationTime", seconds);
    print_time(w, "lastEvaluation", last);
    json_put_object_end(w);
}

static void begin(struct json_writer *w, struct buf *out, const char *what)
{
    json_writer_init(w, out);
    json_put_object(w);
    json_put_kv_str(w, "status", STR("success"));
    json_put_key(w, STR("data"));
    json_put_object(w);
    json_put_key(w, str_of(what));
    json_put_array(w);
}

static void finish(struct json_writer *w)
{
    json_put_array_end(w);
    json_put_object_end(w);
    json_put_object_end(w);
}

void alerts_print_rules(struct alerts *a, const struct alerts_filter *f, struct buf *out)
{
    struct json_writer w;

    OBJ_CHECK(a, ALERTS_MAGIC);
    begin(&w, out, "groups");
    (void)pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->rules->n_groups; i++) {
        if (shows_group(f, &a->rules->groups[i]))
            print_group(&w, a, f, &a->rules->groups[i]);
    }
    (void)pthread_mutex_unlock(&a->lock);
    finish(&w);
}

void alerts_print_alerts(struct alerts *a, const struct alerts_filter *f, struct buf *out)
{
    struct json_writer w;

    OBJ_CHECK(a, ALERTS_MAGIC);
    begin(&w, out, "alerts");
    (void)pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->tracked.n; i++) {
        if (may_see(f, a->tracked.p[i]->tenant))
            print_alerts_of(&w, a->tracked.p[i]);
    }
    (void)pthread_mutex_unlock(&a->lock);
    finish(&w);
}

/* ---- Loki's YAML ---- */

/* JSON's strings are YAML's in double quotes. */
static void put_line(struct buf *out, unsigned indent, const char *key, struct str value)
{
    buf_addf(out, "%*s%s: ", (int)indent, "", key);
    json_quote(out, value);
    buf_add_char(out, '\n');
}

static void put_dur(struct buf *out, unsigned indent, const char *key, dur_ns d)
{
    char text[TIME_TEXT_MAX];
    struct str s = dur_format(d, text);

    buf_addf(out, "%*s%s: %.*s\n", (int)indent, "", key, STR_ARG(s));
}

static void put_texts(struct buf *out, unsigned indent, const char *key, const struct rule_text *v,
                      size_t n)
{
    if (n == 0)
        return;
    buf_addf(out, "%*s%s:\n", (int)indent, "", key);
    for (size_t i = 0; i < n; i++) {
        buf_addf(out, "%*s", (int)indent + 2, "");
        json_quote(out, v[i].name);
        buf_add_z(out, ": ");
        json_quote(out, v[i].source);
        buf_add_char(out, '\n');
    }
}

/* `indent` of what stands in the group; its first line was begun by the caller. */
static void put_loki_group(struct buf *out, unsigned indent, const struct rule_group *g)
{
    buf_add_z(out, "name: ");
    json_quote(out, g->name);
    buf_add_char(out, '\n');
    put_dur(out, indent, "interval", g->interval);
    if (g->limit > 0)
        buf_addf(out, "%*slimit: %lld\n", (int)indent, "", (long long)g->limit);
    buf_addf(out, "%*srules:\n", (int)indent, "");
    for (size_t i = 0; i < g->n_rules; i++) {
        const struct rule *r = &g->rules[i];
        buf_addf(out, "%*s- alert: ", (int)indent + 2, "");
        json_quote(out, r->alert);
        buf_add_char(out, '\n');
        put_line(out, indent + 4, "expr", r->expr);
        put_dur(out, indent + 4, "for", r->hold);
        if (r->keep_firing > 0)
            put_dur(out, indent + 4, "keep_firing_for", r->keep_firing);
        put_texts(out, indent + 4, "labels", r->labels, r->n_labels);
        put_texts(out, indent + 4, "annotations", r->annotations, r->n_annotations);
    }
}

size_t alerts_print_loki(struct alerts *a, const struct alerts_filter *f, struct buf *out)
{
    struct str last = STR_NULL;
    size_t n = 0;

    OBJ_CHECK(a, ALERTS_MAGIC);
    (void)pthread_mutex_lock(&a->lock);
    for (size_t i = 0; i < a->rules->n_groups; i++) {
        const struct rule_group *g = &a->rules->groups[i];
        if (!shows_group(f, g))
            continue;
        n++;
        if (f->group.n > 0) {
            put_loki_group(out, 0, g);
            break;
        }
        if (!str_eq(last, g->file)) { /* groups of a file stand together */
            json_quote(out, g->file);
            buf_add_z(out, ":\n");
            last = g->file;
        }
        buf_add_z(out, "  - ");
        put_loki_group(out, 4, g);
    }
    (void)pthread_mutex_unlock(&a->lock);
    return n;
}
