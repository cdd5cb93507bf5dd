/* server/alert_body.c - see alert_body.h. */
#include "server/alert_body.h"

#include "base/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const char NEVER[] = "0001-01-01T00:00:00Z"; /* Go's zero time */

static uint64_t fnv1a(uint64_t h, struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * UINT64_C(1099511628211);
    return h;
}

uint64_t alert_body_fingerprint(const struct labels *l)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (size_t i = 0; i < l->n; i++) {
        h = fnv1a(fnv1a(h, l->v[i].name), STR("\xff"));
        h = fnv1a(fnv1a(h, l->v[i].value), STR("\xff"));
    }
    return h;
}

void alert_body_group_key(struct buf *out, struct str route, struct str alertname)
{
    struct label label = {STR("alertname"), alertname};

    buf_add_str(out, route);
    buf_add_char(out, ':');
    labels_format(out, &(struct labels){&label, 1});
}

/* ---- order ---- */

static int by_labels(const void *a, const void *b)
{
    const struct alert_body_alert *x = a;
    const struct alert_body_alert *y = b;

    return labels_cmp(x->labels, y->labels);
}

static int by_state_and_labels(const void *a, const void *b)
{
    const struct alert_body_alert *x = a;
    const struct alert_body_alert *y = b;

    if ((x->ends_at == 0) != (y->ends_at == 0))
        return x->ends_at == 0 ? -1 : 1;
    return by_labels(a, b);
}

/* Returns how many are shown: these stand first, by labels. */
static size_t order(struct alert_body *b)
{
    size_t n = b->n;

    if (n > b->max_alerts) {
        qsort(b->alerts, n, sizeof(*b->alerts), by_state_and_labels);
        n = b->max_alerts;
    }
    if (n > 0)
        qsort(b->alerts, n, sizeof(*b->alerts), by_labels);
    return n;
}

/* ---- the parts ---- */

static void print_map(struct json_writer *w, const char *key, const struct labels *l)
{
    json_put_key(w, str_of(key));
    labels_put_json(w, l);
}

static bool is_common(const struct alert_body *b, size_t n, bool annotations, const struct label *l)
{
    for (size_t i = 1; i < n; i++) {
        const struct labels *other = annotations ? b->alerts[i].annotations : b->alerts[i].labels;
        struct str value = labels_get(other, l->name);
        if (value.p == NULL || !str_eq(value, l->value))
            return false;
    }
    return true;
}

static void print_common(struct json_writer *w, const char *key, const struct alert_body *b,
                         size_t n, bool annotations)
{
    const struct labels *first = n == 0        ? &(const struct labels){NULL, 0}
                                 : annotations ? b->alerts[0].annotations
                                               : b->alerts[0].labels;

    json_put_key(w, str_of(key));
    json_put_object(w);
    for (size_t i = 0; i < first->n; i++) {
        if (!is_common(b, n, annotations, &first->v[i]))
            continue;
        json_put_key(w, first->v[i].name);
        json_put_string(w, first->v[i].value);
    }
    json_put_object_end(w);
}

static void print_alert(struct json_writer *w, const struct alert_body_alert *a)
{
    char time[TIME_TEXT_MAX];
    char print[17];

    (void)snprintf(print, sizeof(print), "%016" PRIx64, alert_body_fingerprint(a->labels));
    json_put_object(w);
    json_put_kv_str(w, "status", a->ends_at == 0 ? STR("firing") : STR("resolved"));
    print_map(w, "labels", a->labels);
    print_map(w, "annotations", a->annotations);
    json_put_kv_str(w, "startsAt", time_format_rfc3339nano(a->starts_at, time));
    json_put_kv_str(w, "endsAt",
                    a->ends_at == 0 ? str_of(NEVER) : time_format_rfc3339nano(a->ends_at, time));
    json_put_kv_str(w, "generatorURL", a->generator_url);
    json_put_kv_str(w, "fingerprint", str_of(print));
    json_put_object_end(w);
}

size_t alert_body_print(struct buf *out, struct alert_body *b)
{
    struct label name = {STR("alertname"), b->alertname};
    struct json_writer w;
    struct buf key;
    size_t n = order(b);
    bool firing = false;

    for (size_t i = 0; i < b->n; i++)
        firing = firing || b->alerts[i].ends_at == 0;
    json_writer_init(&w, out);
    json_put_object(&w);
    json_put_kv_str(&w, "receiver", b->receiver);
    json_put_kv_str(&w, "status", firing ? STR("firing") : STR("resolved"));
    json_put_key(&w, STR("alerts"));
    json_put_array(&w);
    for (size_t i = 0; i < n; i++)
        print_alert(&w, &b->alerts[i]);
    json_put_array_end(&w);
    print_map(&w, "groupLabels", &(struct labels){&name, 1});
    print_common(&w, "commonLabels", b, n, false);
    print_common(&w, "commonAnnotations", b, n, true);
    json_put_kv_str(&w, "externalURL", b->external_url);
    json_put_kv_str(&w, "version", STR("4"));
    buf_init(&key, ALERT_BODY_BYTES_MAX);
    alert_body_group_key(&key, b->route, b->alertname);
    json_put_kv_str(&w, "groupKey", buf_str(&key));
    buf_fini(&key);
    json_put_kv_u64(&w, "truncatedAlerts", b->n - n);
    json_put_object_end(&w);
    return n;
}
