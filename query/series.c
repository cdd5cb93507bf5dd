/* query/series.c - see series.h. */
#include "query/series.h"

#include "query/ast.h"

int series_make(struct arena *a, size_t n_steps, struct series *s, struct err *err)
{
    s->value = arena_alloc(a, n_steps * sizeof(*s->value));
    s->has = arena_alloc(a, n_steps);
    return s->value == NULL || s->has == NULL ? arena_err(a, err) : 0;
}

static bool is_named(const struct ast_name *names, struct str name)
{
    while (names != NULL && !str_eq(names->name, name))
        names = names->next;
    return names != NULL;
}

int series_project(struct arena *a, const struct labels *l, const struct ast_name *names,
                   bool without, struct labels *ret, struct err *err)
{
    struct label *v = arena_alloc(a, l->n * sizeof(*v));
    size_t n = 0;

    if (v == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < l->n; i++)
        if (is_named(names, l->v[i].name) != without)
            v[n++] = l->v[i];
    *ret = (struct labels){v, n};
    return 0;
}

void series_drop_empty(struct labels *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n; i++)
        if (l->v[i].value.n > 0)
            l->v[n++] = l->v[i];
    l->n = n;
}

int series_label(struct arena *a, struct labels *l, struct str name, struct str value,
                 struct err *err)
{
    struct label *v = arena_alloc(a, (l->n + 1) * sizeof(*v));
    size_t n = 0;
    size_t i = 0;

    if (v == NULL)
        return arena_err(a, err);
    while (i < l->n && str_cmp(l->v[i].name, name) < 0)
        v[n++] = l->v[i++];
    if (value.n > 0)
        v[n++] = (struct label){name, value};
    if (i < l->n && str_eq(l->v[i].name, name))
        i++;
    while (i < l->n)
        v[n++] = l->v[i++];
    *l = (struct labels){v, n};
    return 0;
}
