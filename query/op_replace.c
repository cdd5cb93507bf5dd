/*
 * query/op_replace.c - label_replace, see op_vector.h.
 *
 * The whole value of `src` must match; then `dst` gets the replacement, in which $1, $name and
 * ${name} stand for groups and $$ for a dollar.
 */
#include "query/op_vector.h"

#include "query/group.h"

#include <string.h>

enum { VALUE_MAX_BYTES = 1 << 20 };

struct captures {
    const struct regexp *re;
    struct str v[REGEXP_MAX_CAPTURES];
    size_t n; /* with the whole match in front */
};

/* The name that stands behind a `$`, in braces or not; *used: its bytes.  n == 0: none. */
static struct str read_name(struct str s, size_t *used)
{
    bool braces = s.n > 0 && s.p[0] == '{';
    size_t n = braces;

    while (n < s.n && ((s.p[n] >= '0' && s.p[n] <= '9') || (s.p[n] >= 'a' && s.p[n] <= 'z') ||
                       (s.p[n] >= 'A' && s.p[n] <= 'Z') || s.p[n] == '_'))
        n++;
    *used = n;
    if (!braces)
        return str_sub(s, 0, n);
    if (n >= s.n || s.p[n] != '}')
        return STR_NULL;
    (*used)++;
    return str_sub(s, 1, n - 1);
}

/* The group of this number or name, STR_NULL if there is none. */
static struct str group_text(const struct captures *c, struct str name)
{
    uint64_t number;

    if (str_to_u64(name, &number))
        return number < c->n ? c->v[number] : STR_NULL;
    for (size_t i = 1; i < c->n; i++)
        if (str_eq(regexp_capture_name(c->re, i), name) && c->v[i].p != NULL)
            return c->v[i];
    return STR_NULL;
}

static void expand(struct buf *out, struct str text, const struct captures *c)
{
    while (text.n > 0) {
        size_t used = 1; /* behind the first byte */
        struct str name = STR_NULL;
        if (text.p[0] == '$' && text.n > 1 && text.p[1] == '$') {
            text = str_from(text, 1);
        } else if (text.p[0] == '$') {
            name = read_name(str_from(text, 1), &used);
            used = name.n > 0 ? used + 1 : 1;
        }
        if (name.n > 0)
            buf_add_str(out, group_text(c, name));
        else
            buf_add_char(out, text.p[0]);
        text = str_from(text, used);
    }
}

static int replace(struct exec *x, const struct ast_node *n, struct series *s, struct err *err)
{
    struct captures c = {.re = n->replace.re, .n = regexp_captures(n->replace.re) + 1};
    struct str value = labels_get(&s->labels, n->replace.src);
    struct buf out;
    int r;

    if (!regexp_capture(c.re, value.p == NULL ? STR("") : value, 0, c.v, c.n))
        return 0;
    buf_init(&out, VALUE_MAX_BYTES);
    expand(&out, n->replace.replacement, &c);
    r = buf_err(&out, "label_replace", err);
    if (r == 0) {
        value = arena_str(x->arena, buf_str(&out));
        r = value.p == NULL ? arena_err(x->arena, err)
                            : series_label(x->arena, &s->labels, n->replace.dst, value, err);
    }
    buf_fini(&out);
    return r;
}

/* The points of `from` into `to`, which has the same labels now. */
static int merge(struct series *to, const struct series *from, size_t n_steps, struct err *err)
{
    for (size_t k = 0; k < n_steps; k++) {
        if (!from->has[k])
            continue;
        if (to->has[k])
            return err_set(err, ERR_INVALID,
                           "label_replace: two series would have the same labels; keep the label "
                           "they differ in, or aggregate them first");
        to->has[k] = 1;
        to->value[k] = from->value[k];
    }
    return 0;
}

int op_label_replace(struct exec *x, const struct ast_node *n, struct matrix *in,
                     const struct steps *steps, struct matrix *ret, struct err *err)
{
    struct groups seen;
    size_t kept = 0;

    *ret = *in;
    groups_init(&seen, x->arena);
    for (size_t i = 0; i < in->n; i++) {
        struct group *g = NULL;
        int r = exec_tick(x, err);
        if (r == 0)
            r = replace(x, n, &ret->v[i], err);
        if (r == 0)
            r = groups_find(&seen, &ret->v[i].labels, &g, err);
        if (r == 0 && g->data != NULL)
            r = merge(g->data, &ret->v[i], steps->n, err);
        if (r < 0)
            return r;
        if (g->data != NULL)
            continue;
        ret->v[kept] = ret->v[i];
        g->data = &ret->v[kept++];
    }
    ret->n = kept;
    return 0;
}
