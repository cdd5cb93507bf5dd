/* server/rule_alert.c - see rule_alert.h. */
#include "server/rule_alert.h"

#include "base/utf8.h"

#include <stdlib.h>

enum { ARENA_MAX = 8 << 20 };

/* p == NULL: `a` is full. */
static struct str copy_text(struct arena *a, struct str s)
{
    struct buf repaired;
    struct str copy;

    if (utf8_valid(s) == s.n)
        return arena_str(a, s);
    buf_init(&repaired, 3 * s.n); /* each byte may become three */
    utf8_repair(&repaired, s);
    copy = arena_str(a, buf_str(&repaired));
    buf_fini(&repaired);
    return copy;
}

static int copy_labels(struct arena *a, const struct labels *from, struct labels *ret,
                       struct err *err)
{
    struct label *v = arena_alloc(a, (from->n + 1) * sizeof(*v));

    if (v == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < from->n; i++) {
        v[i].name = copy_text(a, from->v[i].name);
        v[i].value = copy_text(a, from->v[i].value);
        if (v[i].name.p == NULL || v[i].value.p == NULL)
            return arena_err(a, err);
    }
    *ret = (struct labels){v, from->n};
    return 0;
}

int rule_alert_new(const struct labels *labels, const struct labels *annotations,
                   struct mem_budget *budget, struct rule_alert **ret, struct err *err)
{
    struct rule_alert *alert = mem_new(sizeof(*alert));
    int r;

    alert->arena = arena_new(budget, ARENA_MAX);
    r = copy_labels(alert->arena, labels, &alert->labels, err);
    if (r == 0)
        r = copy_labels(alert->arena, annotations, &alert->annotations, err);
    if (r < 0)
        rule_alert_free(&alert);
    else
        *ret = alert;
    return r;
}

void rule_alert_free(struct rule_alert **pa)
{
    struct rule_alert *alert = *pa;

    *pa = NULL;
    if (alert == NULL)
        return;
    arena_free(&alert->arena);
    free(alert);
}

/* ---- from a sample ---- */

struct maker {
    const struct rule *rule;
    const struct labels *sample;
    double value;
    struct arena *a; /* until the alert has its own */
    unsigned failed;
};

static int expand(struct maker *m, const struct rule_text *t, size_t max_bytes, struct label *ret,
                  struct err *err)
{
    struct err why = {.code = 0};
    struct buf out;
    int r;

    buf_init(&out, max_bytes);
    r = rule_template_expand(t->text, m->sample, m->value, &out, &why);
    if (r == 0 && out.over)
        r = err_set(&why, ERR_LIMIT, "over %zu bytes", max_bytes);
    if (r < 0) {
        buf_clear(&out);
        buf_addf(&out, "<error expanding template: %s>", why.text);
        m->failed++;
    }
    ret->name = t->name;
    ret->value = arena_str(m->a, buf_str(&out));
    buf_fini(&out);
    return ret->value.p == NULL ? arena_err(m->a, err) : 0;
}

static int make_labels(struct maker *m, struct labels *ret, struct err *err)
{
    const struct rule *rule = m->rule;
    struct label *v = arena_alloc(m->a, (m->sample->n + rule->n_labels + 1) * sizeof(*v));
    size_t n = 0;
    int r = 0;

    if (v == NULL)
        return arena_err(m->a, err);
    for (size_t i = 0; i < m->sample->n; i++) {
        if (!str_eq(m->sample->v[i].name, STR("__name__")))
            v[n++] = m->sample->v[i];
    }
    for (size_t i = 0; r == 0 && i < rule->n_labels; i++)
        r = expand(m, &rule->labels[i], RULE_LABEL_BYTES, &v[n++], err);
    if (r < 0)
        return r;
    v[n++] = (struct label){STR("alertname"), rule->alert};
    *ret = (struct labels){v, labels_sort(v, n)}; /* of equal names the later one stays */
    return 0;
}

static int make_annotations(struct maker *m, struct labels *ret, struct err *err)
{
    const struct rule *rule = m->rule;
    struct label *v = arena_alloc(m->a, (rule->n_annotations + 1) * sizeof(*v));
    int r = 0;

    if (v == NULL)
        return arena_err(m->a, err);
    for (size_t i = 0; r == 0 && i < rule->n_annotations; i++)
        r = expand(m, &rule->annotations[i], RULE_ANNOTATION_BYTES, &v[i], err);
    *ret = (struct labels){v, rule->n_annotations};
    return r;
}

int rule_alert_make(const struct rule *rule, const struct query_series *sample,
                    struct mem_budget *budget, unsigned *failed, struct rule_alert **ret,
                    struct err *err)
{
    struct maker m = {.rule = rule,
                      .sample = &sample->labels,
                      .value = sample->value[sample->n - 1],
                      .a = arena_new(budget, ARENA_MAX)};
    struct labels labels = {NULL, 0};
    struct labels annotations = {NULL, 0};
    int r = make_labels(&m, &labels, err);

    if (r == 0)
        r = make_annotations(&m, &annotations, err);
    if (r == 0)
        r = rule_alert_new(&labels, &annotations, budget, ret, err);
    if (r == 0)
        (*ret)->value = m.value;
    *failed += m.failed;
    arena_free(&m.a);
    return r;
}

struct str rule_alert_state_name(enum rule_alert_state state)
{
    switch (state) {
    case RULE_PENDING:
        return STR("pending");
    case RULE_FIRING:
        return STR("firing");
    case RULE_INACTIVE:
        break;
    }
    return STR("inactive");
}
