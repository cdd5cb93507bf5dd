/* server/rule_template.c - see rule_template.h. */
#include "server/rule_template.h"

#include "query/tmpl.h"

struct rule_template {
    const struct tmpl *t;
};

static const char *const VARIABLES[] = {"labels", "value", NULL};
static const struct tmpl_env ENV = {.name = "text", .funcs = tmpl_alert_funcs, .vars = VARIABLES};

int rule_template_parse(struct str text, struct arena *a, const struct rule_template **ret,
                        size_t *offset, struct err *err)
{
    struct rule_template *t = arena_alloc(a, sizeof(*t));
    int r;

    *offset = 0;
    if (t == NULL)
        return arena_err(a, err);
    r = tmpl_compile(text, &ENV, a, &t->t, offset, err);
    if (r == 0)
        *ret = t;
    return r;
}

bool rule_template_uses_value(const struct rule_template *t)
{
    return tmpl_uses(t->t, STR("value"), STR("Value"));
}

static struct str get_label(void *arg, struct str name)
{
    return labels_get(arg, name);
}

static int all_labels(void *arg, struct labels *ret, struct err *err)
{
    (void)err;
    *ret = *(const struct labels *)arg;
    return 0;
}

/* Who shows it says that it is about a template. */
static int failed(struct str text, struct err *err)
{
    static const struct str prefix = STR_INIT("template: ");

    text = str_from(text, str_starts(text, prefix) ? prefix.n : 0);
    return err_set(err, ERR_INVALID, "%.*s", STR_ARG(str_sub(text, 0, sizeof(err->text) - 1)));
}

int rule_template_expand(const struct rule_template *t, const struct labels *labels, double value,
                         struct buf *out, struct err *err)
{
    struct labels copy = *labels;
    const struct tmpl_labels view = {&copy, get_label, all_labels};
    const struct tmpl_value values[] = {{.kind = TMPL_LABELS, .labels = &view},
                                        tmpl_of_float(value)};
    const struct tmpl_pair fields[] = {{STR("Labels"), values[0]}, {STR("Value"), values[1]}};
    const struct tmpl_map dot = {fields, 2, "struct"};
    struct arena *a = arena_new(NULL, 0);
    const struct tmpl_input in = {
        .dot = {.kind = TMPL_MAP, .map = &dot}, .vars = values, .ts = time_now(), .arena = a};
    struct tmpl_run *run = tmpl_run_new();
    struct str text = STR_NULL;
    int r = tmpl_execute(run, t->t, &in, &text, err);

    if (r == 0)
        buf_add_str(out, text);
    else if (r == 1)
        r = failed(text, err);
    tmpl_run_free(&run);
    arena_free(&a);
    return r;
}
