/*
 * query/op_format.c - the stages `line_format` and `label_format`, see op.h.
 *
 * A template sees the labels as they are; a stage's templates do not see what the stage itself
 * changes from its first template on, but its renames do.  So all of them are executed before the
 * first is applied.  While there is no label at all, though, it is the next template whose labels
 * are those that all see: Loki's way of saying that it has not looked yet.
 */
#include "query/op.h"

#include "query/tmpl.h"

static struct str get_label(void *arg, struct str name)
{
    struct entry *e = arg;
    struct str value = entry_get(e, name);
    struct entry_label *l = value.p == NULL ? entry_find(e, name) : NULL;

    return l == NULL ? value : l->value; /* `__error__` of the line, where there is no error */
}

static int all_labels(void *arg, struct labels *ret, struct err *err)
{
    return entry_labels(arg, LABEL_KINDS, ret, err);
}

/* 0: *ret is the text; 1: the entry is to be marked, *ret says why. */
static int execute(const struct tmpl *t, struct entry *e, struct str *ret, struct err *err)
{
    const struct tmpl_labels labels = {e, get_label, all_labels};
    struct tmpl_input in = {.dot = {.kind = TMPL_LABELS, .labels = &labels},
                            .line = e->line,
                            .ts = e->ts,
                            .arena = e->arena};
    int r;

    if (e->tmpl == NULL)
        e->tmpl = tmpl_run_new();
    r = tmpl_execute(e->tmpl, t, &in, ret, err);
    e->work += tmpl_run_steps(e->tmpl);
    return r;
}

static void fail_format(struct entry *e, struct str details)
{
    entry_fail(e, STR("TemplateFormatErr"), details);
}

int op_line_format(const struct ast_stage *s, struct entry *e, struct err *err)
{
    struct str text = STR_NULL;
    int r = execute(s->text.tmpl, e, &text, err);

    if (r == 0)
        e->line = text;
    else if (r == 1)
        fail_format(e, text);
    return r < 0 ? r : 1;
}

static int rename_label(const struct ast_format *f, struct entry *e, struct err *err)
{
    struct entry_label *l = entry_find(e, f->value);
    int r;

    if (l == NULL)
        return 0;
    r = entry_set(e, f->name, l->value, err);
    entry_remove(e, f->value);
    return r;
}

struct made { /* by a template */
    struct str text;
    bool failed;
};

static int execute_all(const struct ast_format *list, struct made *made, struct entry *e,
                       struct err *err)
{
    int r = 0;

    for (const struct ast_format *f = list; f != NULL && r >= 0; f = f->next, made++) {
        if (!f->is_template)
            continue;
        r = execute(f->tmpl, e, &made->text, err);
        made->failed = r == 1;
    }
    return r < 0 ? r : 0;
}

static int apply(const struct ast_format *f, const struct made *made, struct entry *e,
                 struct err *err)
{
    if (!f->is_template)
        return rename_label(f, e, err);
    if (made->failed) {
        fail_format(e, made->text);
        return 0;
    }
    return entry_set(e, f->name, made->text, err);
}

static int format_one(const struct ast_format *f, struct entry *e, struct err *err)
{
    struct made made = {.failed = false};
    int r = f->is_template ? execute(f->tmpl, e, &made.text, err) : 0;

    made.failed = r == 1;
    return r < 0 ? r : apply(f, &made, e, err);
}

int op_label_format(const struct ast_stage *s, struct entry *e, struct err *err)
{
    const struct ast_format *f = s->formats;
    struct made *made;
    size_t n = 0;
    int r = 0;

    for (; f != NULL && r == 0 && (!f->is_template || !entry_has_labels(e)); f = f->next)
        r = format_one(f, e, err);
    if (r < 0 || f == NULL)
        return r < 0 ? r : 1;
    for (const struct ast_format *i = f; i != NULL; i = i->next)
        n++;
    made = arena_alloc(e->arena, n * sizeof(*made));
    if (made == NULL)
        return arena_err(e->arena, err);
    r = execute_all(f, made, e, err);
    for (; f != NULL && r == 0; f = f->next)
        r = apply(f, made++, e, err);
    return r < 0 ? r : 1;
}
