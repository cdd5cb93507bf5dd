/* query/op_labels.c - drop, keep and unwrap, see op.h. */
#include "query/op.h"

#include "base/hash.h"
#include "query/units.h"

static bool is_picked(const struct ast_pick *list, const struct entry_label *l)
{
    for (const struct ast_pick *p = list; p != NULL; p = p->next) {
        if (str_eq(p->m.name, l->name) && (!p->has_matcher || matcher_matches(&p->m, l->value)))
            return true;
    }
    return false;
}

/* An error is dropped as a label is. */
static void drop_error(const struct ast_pick *list, struct str name, struct str *value)
{
    const struct entry_label l = {.name = name, .value = *value};

    if (value->n > 0 && is_picked(list, &l))
        *value = STR_NULL;
}

void op_drop(const struct ast_stage *s, struct entry *e)
{
    drop_error(s->picks, ENTRY_ERROR, &e->error);
    drop_error(s->picks, ENTRY_DETAILS, &e->details);
    for (size_t i = 0; i < e->n; i++)
        if (is_picked(s->picks, &e->v[i]))
            e->v[i].gone = true;
}

void op_keep(const struct ast_stage *s, struct entry *e)
{
    for (size_t i = 0; i < e->n; i++) {
        struct entry_label *l = &e->v[i];
        if (!str_eq(l->name, ENTRY_ERROR) && !str_eq(l->name, ENTRY_DETAILS) &&
            !is_picked(s->picks, l))
            l->gone = true;
    }
}

bool op_unwrap_number(enum unwrap_unit unit, struct str text, double *ret)
{
    uint64_t bytes;
    dur_ns duration;

    switch (unit) {
    case UNWRAP_NUMBER:
        return units_parse_float(text, ret);
    case UNWRAP_BYTES:
        if (units_parse_bytes(text, &bytes, NULL) != UNITS_OK)
            return false;
        *ret = (double)bytes;
        return true;
    case UNWRAP_DURATION:
    case UNWRAP_DURATION_SECONDS:
        if (units_parse_go_duration(text, &duration, NULL) != UNITS_OK)
            return false;
        *ret = (double)duration / (double)NS_PER_S;
        return true;
    case UNWRAP_DISTINCT: /* 53 bits, which a double holds */
        *ret = (double)(hash_bytes(text.p, text.n, 0) >> 11);
        return true;
    }
    return false;
}

int op_unwrap(const struct ast_unwrap *u, struct entry *e, double *value, struct err *err)
{
    struct str text = entry_get(e, u->label);

    if (text.n == 0)
        return 0;
    if (!op_unwrap_number(u->unit, text, value)) {
        struct str details = arena_printf(e->arena, "cannot unwrap \"%.*s\"", STR_ARG(text));
        if (details.p == NULL)
            return arena_err(e->arena, err);
        *value = 0;
        entry_fail(e, STR("SampleExtractionErr"), details);
    }
    return op_pipeline(u->filters, e, err);
}
