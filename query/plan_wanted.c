/*
 * query/plan_wanted.c - see plan_wanted.h.
 *
 * Where samples are grouped by names, what can be asked of a line are these, what is unwrapped, and
 * what filters, renames and templates look at.  Once all of them are found, the rest of the line
 * does not matter: it is not read, and that it may be broken is no error.
 */
#include "query/plan_wanted.h"

enum { WANTED_MAX = 64 };

struct wanted {
    struct str *v;
    size_t n;
    bool all; /* it cannot be told */
};

static void want(struct wanted *w, struct str name)
{
    for (size_t i = 0; i < w->n; i++)
        if (str_eq(w->v[i], name))
            return;
    if (w->n == WANTED_MAX)
        w->all = true;
    else
        w->v[w->n++] = name;
}

/* A label that is called `x_extracted` is that, or the `x` of a line whose stream has an `x`. */
static void want_label(struct wanted *w, struct str name)
{
    static const struct str suffix = STR_INIT("_extracted");

    want(w, name);
    if (str_ends(name, suffix))
        want(w, str_sub(name, 0, name.n - suffix.n));
}

static void want_filter(struct wanted *w, const struct ast_filter *f)
{
    w->all |= f->any;
    if (f->kind != FILTER_AND && f->kind != FILTER_OR)
        want_label(w, f->kind == FILTER_MATCH ? f->m.name : f->name);
    for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next)
        want_filter(w, kid);
}

/* Templates may look at labels whose names they put together. */
static void want_template(struct wanted *w, struct str text)
{
    w->all |= str_find(text, STR("{{")) != SIZE_MAX;
}

static void want_stages(struct wanted *w, const struct ast_stage *list)
{
    for (const struct ast_stage *s = list; s != NULL; s = s->next) {
        if (s->kind == STAGE_LABEL_FILTER)
            want_filter(w, s->filter);
        if (s->kind == STAGE_LINE_FORMAT)
            want_template(w, s->text.text);
        for (const struct ast_format *f = s->kind == STAGE_LABEL_FORMAT ? s->formats : NULL;
             f != NULL; f = f->next) {
            if (f->is_template)
                want_template(w, f->value);
            else
                want_label(w, f->value);
        }
    }
}

static bool is_parser(const struct ast_stage *s)
{
    return s->kind == STAGE_JSON || s->kind == STAGE_LOGFMT || s->kind == STAGE_REGEXP ||
           s->kind == STAGE_PATTERN;
}

int plan_wanted(struct ast *a, struct ast_node *n, const struct ast_grouping *g, struct err *err)
{
    struct ast_log *l = n->range.log;
    struct wanted w = {.n = 0};

    if (n->range.op != TOKEN_ABSENT_OVER_TIME && (g == NULL || g->without))
        return 0;
    w.v = arena_alloc(a->arena, WANTED_MAX * sizeof(*w.v));
    if (w.v == NULL)
        return arena_err(a->arena, err);
    for (const struct ast_name *i = g == NULL ? NULL : g->names; i != NULL; i = i->next)
        want_label(&w, i->name);
    want_stages(&w, l->stages);
    if (l->unwrap != NULL) {
        want_label(&w, l->unwrap->label);
        want_stages(&w, l->unwrap->filters);
    }
    if (w.all)
        return 0;
    l->is_limited = true;
    l->wanted = w.v;
    l->n_wanted = w.n;
    for (struct ast_stage *s = l->stages; s != NULL && w.n == 0; s = s->next)
        s->skipped = is_parser(s);
    return 0;
}
