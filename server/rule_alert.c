/* server/rule_alert.c - see rule_alert.h. */
#include "server/rule_alert.h"

#include "base/utf8.h"

#include <stdlib.h>

enum { ARENA_MAX = 8 << 20 };

static int copy_text(struct arena *a, struct str s, struct str *ret, struct err *err)
{
    struct buf repaired;

    if (utf8_valid(s) == s.n) {
        *ret = arena_str(a, s);
    } else {
        buf_init(&repaired, 3 * s.n); /* each byte may become three */
        utf8_repair(&repaired, s);
        *ret = arena_str(a, buf_str(&repaired));
        buf_fini(&repaired);
    }
    return ret->p == NULL ? arena_err(a, err) : 0;
}

static int copy_labels(struct arena *a, const struct labels *from, struct labels *ret,
                       struct err *err)
{
    struct label *v = arena_alloc(a, (from->n + 1) * sizeof(*v));
    int r = v == NULL ? arena_err(a, err) : 0;

    for (size_t i = 0; r == 0 && i < from->n; i++) {
        r = copy_text(a, from->v[i].name, &v[i].name, err);
        if (r == 0)
            r = copy_text(a, from->v[i].value, &v[i].value, err);
    }
    if (r == 0)
        *ret = (struct labels){v, from->n};
    return r;
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

static int expand(const struct rule_text *t, const struct labels *sample, double value,
                  size_t max_bytes, struct arena *a, unsigned *failed, struct label *ret,
                  struct err *err)
{
    struct err why = {.code = 0};
    struct buf out;
    int r;

    buf_init(&out, max_bytes);
    r = rule_template_expand(t->text, sample, value, &out, &why);
    if (r == 0 && out.over)
        r = err_set(&why, ERR_LIMIT, "over %zu bytes", max_bytes);
    if (r < 0) {
        buf_clear(&out);
        buf_addf(&out, "<error expanding template: %s>", why.text);
        ++*failed;
    }
    ret->name = t->name;
    ret->value = arena_str(a, buf_str(&out));
    buf_fini(&out);
    return ret->value.p == NULL ? arena_err(a, err) : 0;
}

static int make_labels(const struct rule *rule, const struct labels *sample, double value,
                       struct arena *a, unsigned *failed, struct labels *ret, struct err *err)
{
    struct label *v = arena_alloc(a, (sample->n + rule->n_labels + 1) * sizeof(*v));
    size_t n = 0;
    int r = v == NULL ? arena_err(a, err) : 0;

    for (size_t i = 0; r == 0 && i < sample->n; i++) {
        if (!str_eq(sample->v[i].name, STR("__name__")))
            v[n++] = sample->v[i];
    }
    for (size_t i = 0; r == 0 && i < rule->n_labels; i++)
        r = expand(&rule->labels[i], sample, value, RULE_LABEL_BYTES, a, failed, &v[n++], err);
    if (r < 0)
        return r;
    v[n++] = (struct label){STR("alertname"), rule->alert};
    *ret = (struct labels){v, labels_sort(v, n)}; /* of equal names the later one stays */
    return 0;
}

static int make_annotations(const struct rule *rule, const struct labels *sample, double value,
                            struct arena *a, unsigned *failed, struct labels *ret, struct err *err)
{
    struct label *v = arena_alloc(a, (rule->n_annotations + 1) * sizeof(*v));
    int r = v == NULL ? arena_err(a, err) : 0;

    for (size_t i = 0; r == 0 && i < rule->n_annotations; i++)
        r = expand(&rule->annotations[i], sample, value, RULE_ANNOTATION_BYTES, a, failed, &v[i],
                   err);
    if (r == 0)
        *ret = (struct labels){v, rule->n_annotations};
    return r;
}

int rule_alert_make(const struct rule *rule, const struct labels *sample, double value,
                    struct mem_budget *budget, unsigned *failed, struct rule_alert **ret,
                    struct err *err)
{
    struct arena *a = arena_new(budget, ARENA_MAX);
    struct labels labels;
    struct labels annotations;
    int r = make_labels(rule, sample, value, a, failed, &labels, err);

    if (r == 0)
        r = make_annotations(rule, sample, value, a, failed, &annotations, err);
    if (r == 0)
        r = rule_alert_new(&labels, &annotations, budget, ret, err);
    if (r == 0)
        (*ret)->value = value;
    arena_free(&a);
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
