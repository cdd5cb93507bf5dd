/* collector/profile.c - contract: profile.h. */
#include "collector/profile.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

struct profiles {
    unsigned magic;
#define PROFILES_MAGIC 0x940f11e5u
    unsigned types; /* detectors of the configuration */
    struct redact_patterns patterns;
    struct rules *rules;
    VEC(struct profile *) all;
    struct redact *redact[REDACT_ALL + 1]; /* by detectors, made when asked for */
};

static int compile_patterns(struct profiles *p, const struct config_redact *c, struct err *err)
{
    p->patterns.v = mem_new((c->n_patterns + 1) * sizeof(*p->patterns.v));
    for (size_t i = 0; i < c->n_patterns; i++) {
        struct redact_pattern *v = &p->patterns.v[i];
        int r = patterns_new(c->patterns[i].pattern, &v->pattern, err);
        if (r < 0)
            return err_wrap(err, "redact pattern %.*s", STR_ARG(c->patterns[i].name));
        v->name = c->patterns[i].name;
        p->patterns.n++;
    }
    return 0;
}

int profiles_new(const struct config *c, struct profiles **ret, struct err *err)
{
    struct profiles *p = mem_new(sizeof(*p));
    int r;

    p->magic = PROFILES_MAGIC;
    for (size_t i = 0; i < c->redact.detectors.n; i++)
        p->types |= redact_by_name(c->redact.detectors.v[i]);
    r = compile_patterns(p, &c->redact, err);
    if (r == 0)
        r = rules_new(c, &p->rules, err);
    if (r < 0) {
        profiles_free(&p);
        return r;
    }
    *ret = p;
    return 0;
}

void profiles_free(struct profiles **pp)
{
    struct profiles *p = *pp;
    struct profile **v;

    if (p == NULL)
        return;
    OBJ_CHECK(p, PROFILES_MAGIC);
    VEC_EACH(&p->all, v) {
        free((*v)->multiline);
        free(*v);
    }
    VEC_FINI(&p->all);
    for (unsigned i = 0; i <= REDACT_ALL; i++)
        redact_free(&p->redact[i]);
    for (size_t i = 0; i < p->patterns.n; i++)
        patterns_free(&p->patterns.v[i].pattern);
    free(p->patterns.v);
    rules_free(&p->rules);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

static const struct redact *redact_of(struct profiles *p, unsigned types)
{
    if (p->redact[types] == NULL)
        p->redact[types] = redact_new(types, &p->patterns);
    return p->redact[types];
}

/* The one that is `want`, made if there is none. */
static const struct profile *intern(struct profiles *p, const struct profile *want,
                                    struct str multiline)
{
    struct profile **v, *made;

    VEC_EACH(&p->all, v)
        if ((*v)->excluded == want->excluded && (*v)->redact == want->redact &&
            (*v)->of == want->of && str_eq(str_of((*v)->multiline), multiline))
            return *v;
    made = mem_new(sizeof(*made));
    *made = *want;
    made->mark = rules_mark(want->rules, want->of);
    made->multiline = mem_dup(multiline.p == NULL ? "" : multiline.p, multiline.n);
    VEC_PUSH(&p->all, made);
    return made;
}

/* "card, ip", "card ip", "all" or "true": a container may ask for more, never for less. */
static unsigned types_of_hint(struct str hint)
{
    unsigned types = 0;

    for (size_t n = 0; hint.n > 0; hint = str_from(hint, n + 1)) {
        struct str name;
        for (n = 0; n < hint.n && hint.p[n] != ',' && hint.p[n] != ' '; n++)
            ;
        name = str_sub(hint, 0, n);
        types |= str_eq(name, STR("all")) || str_eq(name, STR("true")) ? (unsigned)REDACT_ALL
                                                                       : redact_by_name(name);
    }
    return types;
}

const struct profile *profile_of_log(struct profiles *p, const struct config_source *conf,
                                     const struct labels *labels, const struct profile_hints *hints)
{
    static const struct profile_hints NONE = {.exclude = {NULL, 0}};
    enum trace_format format;
    const struct profile_hints *h = hints == NULL || !conf->hints ? &NONE : hints;
    struct profile want = {.rules = p->rules, .of = rules_for(p->rules, labels)};

    OBJ_CHECK(p, PROFILES_MAGIC);
    want.redact_types = p->types | types_of_hint(h->redact) | h->types;
    want.redact = redact_of(p, want.redact_types);
    want.excluded = str_eq(h->exclude, STR("true")) ||
                    !rules_labels_fit(&conf->select.include, labels) ||
                    (conf->select.exclude.n > 0 && rules_labels_fit(&conf->select.exclude, labels));
    /* Only what means something: a profile for each text that somebody writes would be too many. */
    return intern(p, &want, trace_by_name(h->multiline, &format) ? h->multiline : STR_NULL);
}

struct trace_rule profile_trace(const struct profile *p, const struct trace_rule *of_input)
{
    enum trace_format hint;

    if (trace_by_name(str_of(p->multiline), &hint))
        return (struct trace_rule){.format = hint};
    return *of_input;
}

const struct profile *profile_of_other(struct profiles *p, bool redacted)
{
    struct profile want = {.rules = p->rules};

    OBJ_CHECK(p, PROFILES_MAGIC);
    if (!redacted) {
        want.redact_types = p->types;
        want.redact = redact_of(p, p->types);
    }
    return intern(p, &want, STR_NULL);
}
