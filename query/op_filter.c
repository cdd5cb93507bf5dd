/* query/op_filter.c - line filters and label filters, see op.h. */
#include "query/op.h"

#include "query/units.h"

static bool arg_matches(enum line_op op, const struct ast_line_arg *a, struct str line)
{
    if (a->ip)
        return ip_range_in(a->ips, line);
    if (op == LINE_PATTERN || op == LINE_PATTERN_NOT)
        return pattern_matches(a->pattern, line);
    if (op == LINE_MATCHES || op == LINE_MATCHES_NOT)
        return regexp_matches(a->re, line);
    return str_find(line, a->text) != SIZE_MAX;
}

bool op_line_filter(const struct ast_stage *s, struct str line)
{
    bool found = false;

    for (const struct ast_line_arg *a = s->line.args; a != NULL && !found; a = a->next)
        found = arg_matches(s->line.op, a, line);
    return found == (s->line.op == LINE_CONTAINS || s->line.op == LINE_MATCHES ||
                     s->line.op == LINE_PATTERN);
}

/* Mark the entry as one whose label could not be compared, for the reason in `details`, unless
 * something went wrong earlier; it is kept. */
static int cannot_compare(struct entry *e, struct str details, struct err *err)
{
    if (details.p == NULL)
        return arena_err(e->arena, err);
    if (!entry_failed(e))
        entry_fail(e, STR("LabelFilterErr"), details);
    return 1;
}

static bool number_holds(const struct ast_filter *f, double v)
{
    if (v != v || f->number != f->number)
        return f->op == COMPARE_NE;
    return ast_compares(f->op, (v > f->number) - (v < f->number));
}

static int compare_number(const struct ast_filter *f, struct str value, struct entry *e,
                          struct err *err)
{
    double v;

    if (!units_parse_float(value, &v))
        return cannot_compare(e,
                              arena_printf(e->arena,
                                           "strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
                                           STR_ARG(value)),
                              err);
    return number_holds(f, v);
}

/* Why `value` is no duration, in the words of Go's library, which users know. */
static struct str duration_fault(struct entry *e, enum units_fault fault, struct str value,
                                 struct str unit)
{
    if (fault == UNITS_NO_UNIT)
        return arena_printf(e->arena, "time: missing unit in duration \"%.*s\"", STR_ARG(value));
    if (fault == UNITS_UNKNOWN_UNIT)
        return arena_printf(e->arena, "time: unknown unit \"%.*s\" in duration \"%.*s\"",
                            STR_ARG(unit), STR_ARG(value));
    return arena_printf(e->arena, "time: invalid duration \"%.*s\"", STR_ARG(value));
}

static int compare_duration(const struct ast_filter *f, struct str value, struct entry *e,
                            struct err *err)
{
    struct str unit = STR_NULL;
    dur_ns v;
    enum units_fault fault = units_parse_go_duration(value, &v, &unit);

    if (fault != UNITS_OK)
        return cannot_compare(e, duration_fault(e, fault, value, unit), err);
    return ast_compares(f->op, (v > f->duration) - (v < f->duration));
}

static struct str bytes_fault(struct entry *e, enum units_fault fault, struct str part)
{
    if (fault == UNITS_UNKNOWN_UNIT)
        return arena_printf(e->arena, "unhandled size name: %.*s", STR_ARG(part));
    if (fault == UNITS_TOO_LARGE)
        return STR("too large");
    return arena_printf(e->arena, "strconv.ParseFloat: parsing \"%.*s\": invalid syntax",
                        STR_ARG(part));
}

static int compare_bytes(const struct ast_filter *f, struct str value, struct entry *e,
                         struct err *err)
{
    struct str part;
    uint64_t v;
    enum units_fault fault = units_parse_bytes(value, &v, &part);

    if (fault != UNITS_OK)
        return cannot_compare(e, bytes_fault(e, fault, part), err);
    return ast_compares(f->op, (v > f->bytes) - (v < f->bytes));
}

static int compare(const struct ast_filter *f, struct entry *e, struct err *err)
{
    struct str value = entry_get(e, f->name);

    if (value.p == NULL)
        return 0;
    if (f->kind == FILTER_IP)
        return ip_range_in(f->ips, value) == (f->op == COMPARE_EQ);
    if (f->kind == FILTER_NUMBER)
        return compare_number(f, value, e, err);
    if (f->kind == FILTER_DURATION)
        return compare_duration(f, value, e, err);
    return compare_bytes(f, value, e, err);
}

/* ---- any(NAME) ---- */

static bool is_index(struct str part)
{
    for (size_t i = 0; i < part.n; i++)
        if (part.p[i] < '0' || part.p[i] > '9')
            return false;
    return part.n > 0;
}

/* Is `label` called `name` but for the numbers of elements: `tags_0`, `users_12_id`? */
static bool is_element_of(struct str label, struct str name)
{
    struct str want = str_cut(&name, '_');
    bool indexed = false;
    bool left = true; /* a part of the name is */

    while (label.p != NULL) {
        struct str part = str_cut(&label, '_');
        if (left && str_eq(part, want)) {
            left = name.p != NULL;
            want = left ? str_cut(&name, '_') : want;
        } else if (is_index(part)) {
            indexed = true;
        } else {
            return false;
        }
    }
    return indexed && !left;
}

/* What cannot be read as the kind of value that it is compared with does not pass. */
static bool value_passes(const struct ast_filter *f, struct str value)
{
    struct str part;
    double number;
    dur_ns span;
    uint64_t size;

    switch (f->kind) {
    case FILTER_MATCH:
        return matcher_matches(&f->m, value);
    case FILTER_NUMBER:
        return units_parse_float(value, &number) && number_holds(f, number);
    case FILTER_DURATION:
        return units_parse_go_duration(value, &span, &part) == UNITS_OK &&
               ast_compares(f->op, (span > f->duration) - (span < f->duration));
    case FILTER_BYTES:
        return units_parse_bytes(value, &size, &part) == UNITS_OK &&
               ast_compares(f->op, (size > f->bytes) - (size < f->bytes));
    case FILTER_IP:
        return ip_range_in(f->ips, value) == (f->op == COMPARE_EQ);
    case FILTER_AND:
    case FILTER_OR:
        break;
    }
    return false;
}

static bool any_passes(const struct ast_filter *f, const struct entry *e)
{
    struct str name = f->kind == FILTER_MATCH ? f->m.name : f->name;

    for (size_t i = 0; i < e->n; i++)
        if (!e->v[i].gone && is_element_of(e->v[i].name, name) && value_passes(f, e->v[i].value))
            return true;
    return false;
}

int op_label_filter(const struct ast_filter *f, struct entry *e, struct err *err)
{
    struct str value;
    int all = 1;

    if (f->any)
        return any_passes(f, e);
    switch (f->kind) {
    case FILTER_AND: /* to the end: what is right of a failed one may still mark the entry */
        for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next) {
            int r = op_label_filter(kid, e, err);
            if (r < 0)
                return r;
            all &= r;
        }
        return all;
    case FILTER_OR:
        for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next) {
            int r = op_label_filter(kid, e, err);
            if (r != 0)
                return r;
        }
        return 0;
    case FILTER_MATCH:
        value = entry_get(e, f->m.name);
        return matcher_matches(&f->m, value.p == NULL ? STR("") : value);
    case FILTER_NUMBER:
    case FILTER_DURATION:
    case FILTER_BYTES:
    case FILTER_IP:
        return compare(f, e, err);
    }
    return 0;
}
