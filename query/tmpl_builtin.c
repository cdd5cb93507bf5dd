/*
 * query/tmpl_builtin.c - the functions that every text/template has, see tmpl_internal.h.
 *
 * `and` and `or` have no function: evaluation must not go past the argument that decides.
 */
#include "query/tmpl_internal.h"

#include "base/utf8.h"

#include <inttypes.h>
#include <math.h>

/* ---- comparing ---- */

enum basic { BASIC_NONE, BASIC_BOOL, BASIC_INT, BASIC_FLOAT, BASIC_STRING };

static enum basic basic_kind(const struct tmpl_value *v)
{
    if (v->kind == TMPL_BOOL)
        return BASIC_BOOL;
    if (tmpl_is_int(v))
        return BASIC_INT;
    if (v->kind == TMPL_FLOAT)
        return BASIC_FLOAT;
    return v->kind == TMPL_STRING ? BASIC_STRING : BASIC_NONE;
}

static bool may_compare(const struct tmpl_value *v)
{
    return v->kind != TMPL_LIST && v->kind != TMPL_MAP && v->kind != TMPL_LABELS;
}

static int uncomparable(struct tmpl_run *r, const struct tmpl_value *a, const struct tmpl_value *b)
{
    return tmpl_fail(r, "non-comparable types %s, %s", tmpl_type_name(a), tmpl_type_name(b));
}

/* Are they equal?  Of equal basic kinds. */
static bool equal(const struct tmpl_value *a, const struct tmpl_value *b)
{
    switch (basic_kind(a)) {
    case BASIC_BOOL:
        return a->b == b->b;
    case BASIC_INT:
        return a->i == b->i;
    case BASIC_FLOAT:
        return !islessgreater(a->f, b->f) && a->f == a->f && b->f == b->f;
    case BASIC_STRING:
        return str_eq(a->s, b->s);
    case BASIC_NONE:
        break;
    }
    if (a->kind != b->kind)
        return false;
    return a->t.sec == b->t.sec && a->nsec == b->nsec; /* times are left */
}

static int any_equal(struct tmpl_run *r, const struct tmpl_value *v, size_t n, bool *ret)
{
    *ret = false;
    if (n < 2)
        return tmpl_fail(r, "missing argument for comparison");
    for (size_t i = 1; i < n && !*ret; i++) {
        bool any_nil = v[0].kind == TMPL_NONE || v[i].kind == TMPL_NONE;
        if (any_nil)
            *ret = v[0].kind == v[i].kind;
        else if (basic_kind(&v[0]) != basic_kind(&v[i]))
            return tmpl_fail(r, "incompatible types for comparison");
        else if (!may_compare(&v[0]) || !may_compare(&v[i]))
            return uncomparable(r, &v[0], &v[i]);
        else
            *ret = equal(&v[0], &v[i]);
    }
    return 0;
}

static int fn_eq(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    bool found;
    int x = any_equal(r, v, n, &found);

    *ret = tmpl_of_bool(found);
    return x;
}

static int fn_ne(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    bool found;
    int x = any_equal(r, v, n, &found);

    *ret = tmpl_of_bool(!found);
    return x;
}

static int less(struct tmpl_run *r, const struct tmpl_value *a, const struct tmpl_value *b,
                bool *ret)
{
    enum basic kind = basic_kind(a);

    if (kind == BASIC_NONE || basic_kind(b) == BASIC_NONE)
        return tmpl_fail(r, "invalid type for comparison");
    if (kind != basic_kind(b))
        return tmpl_fail(r, "incompatible types for comparison");
    if (kind == BASIC_BOOL)
        return tmpl_fail(r, "invalid type for comparison");
    *ret = kind == BASIC_INT     ? a->i < b->i
           : kind == BASIC_FLOAT ? a->f < b->f
                                 : str_cmp(a->s, b->s) < 0;
    return 0;
}

static int fn_lt(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    bool is = false;
    int x = less(r, &v[0], &v[n - 1], &is);

    *ret = tmpl_of_bool(is);
    return x;
}

static int fn_le(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    bool is = false;
    int x = less(r, &v[0], &v[n - 1], &is);

    *ret = tmpl_of_bool(is || (x == 0 && equal(&v[0], &v[n - 1])));
    return x;
}

static int fn_gt(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    int x = fn_le(r, v, n, ret);

    ret->b = !ret->b;
    return x;
}

static int fn_ge(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    int x = fn_lt(r, v, n, ret);

    ret->b = !ret->b;
    return x;
}

static int fn_not(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_bool(!tmpl_is_true(&v[0]));
    return 0;
}

/* ---- parts ---- */

static int fn_len(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    size_t length = 0;
    int x = tmpl_len(r, &v[0], &length);

    (void)n;
    *ret = tmpl_of_int(TMPL_INT, (int64_t)length);
    return x;
}

/* A place in something of `length`; for slice the end counts, too. */
static int index_of(struct tmpl_run *r, const struct tmpl_value *v, size_t length, bool slice,
                    size_t *ret)
{
    if (v->kind == TMPL_NONE)
        return tmpl_fail(r, "cannot index slice/array with nil");
    if (!tmpl_is_int(v))
        return tmpl_fail(r, "cannot index slice/array with type %s", tmpl_type_name(v));
    if (v->i < 0 || (uint64_t)v->i > length || (!slice && (uint64_t)v->i == length))
        return tmpl_fail(r, "index out of range: %" PRId64, v->i);
    *ret = (size_t)v->i;
    return 0;
}

/* Move *item to its element. */
static int index_one(struct tmpl_run *r, const struct tmpl_value *index, struct tmpl_value *item)
{
    struct tmpl_value found;
    size_t at = 0;
    int x;

    if (item->kind == TMPL_STRING) {
        x = index_of(r, index, item->s.n, false, &at);
        if (x == 0)
            *item = tmpl_of_int(TMPL_UINT8, (unsigned char)item->s.p[at]);
        return x;
    }
    if (item->kind == TMPL_LIST) {
        x = index_of(r, index, item->list->n, false, &at);
        if (x == 0) {
            found = item->list->v[at];
            found.boxed = true;
            *item = found;
        }
        return x;
    }
    if (item->kind == TMPL_NONE)
        return tmpl_fail(r, "index of nil pointer");
    if (item->kind != TMPL_LABELS && (item->kind != TMPL_MAP || item->map->type != NULL))
        return tmpl_fail(r, "can't index item of type %s", tmpl_type_name(item));
    if (index->kind == TMPL_NONE)
        return tmpl_fail(r, "value is nil; should be of type string");
    if (index->kind != TMPL_STRING)
        return tmpl_fail(r, "value has type %s; should be string", tmpl_type_name(index));
    (void)tmpl_map_get(item, index->s, &found);
    *item = found;
    return 0;
}

static int fn_index(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    int x = 0;

    if (v[0].kind == TMPL_NONE)
        return tmpl_fail(r, "index of untyped nil");
    *ret = v[0];
    for (size_t i = 1; i < n && x == 0; i++)
        x = index_one(r, &v[i], ret);
    return x;
}

static int fn_slice(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    size_t at[3] = {0, 0, 0};
    size_t length;

    if (v[0].kind == TMPL_NONE)
        return tmpl_fail(r, "slice of untyped nil");
    if (n > 4)
        return tmpl_fail(r, "too many slice indexes: %zu", n - 1);
    if (v[0].kind == TMPL_STRING && n == 4)
        return tmpl_fail(r, "cannot 3-index slice a string");
    if (v[0].kind != TMPL_STRING && v[0].kind != TMPL_LIST)
        return tmpl_fail(r, "can't slice item of type %s", tmpl_type_name(&v[0]));
    length = v[0].kind == TMPL_STRING ? v[0].s.n : v[0].list->n;
    at[1] = length;
    for (size_t i = 1; i < n; i++) {
        int x = index_of(r, &v[i], length, true, &at[i - 1]);
        if (x < 0)
            return x;
    }
    if (at[0] > at[1] || (n == 4 && at[1] > at[2]))
        return tmpl_fail(r, "invalid slice index: %zu > %zu", at[0] > at[1] ? at[0] : at[1],
                         at[0] > at[1] ? at[1] : at[2]);
    if (v[0].kind == TMPL_STRING) {
        *ret = tmpl_of_str(str_sub(v[0].s, at[0], at[1] - at[0]));
    } else {
        struct tmpl_list *list = tmpl_alloc(r, sizeof(*list));
        if (list == NULL)
            return tmpl_full(r);
        *list = (struct tmpl_list){v[0].list->v + at[0], at[1] - at[0]};
        *ret = (struct tmpl_value){.kind = TMPL_LIST, .list = list};
    }
    return 0;
}

/* There are no values that are functions. */
static int fn_call(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)n;
    (void)ret;
    if (v[0].kind == TMPL_NONE)
        return tmpl_fail(r, "call of nil");
    return tmpl_fail(r, "non-function of type %s", tmpl_type_name(&v[0]));
}

/* ---- printing ---- */

static int fn_print(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    size_t from = r->out.n;
    int x = tmpl_sprint(r, v, n, &r->out);

    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}

static int fn_println(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                      struct tmpl_value *ret)
{
    size_t from = r->out.n;
    int x = 0;

    for (size_t i = 0; i < n && x == 0; i++) {
        buf_add_z(&r->out, i == 0 ? "" : " ");
        x = tmpl_print_value(r, &v[i], &r->out);
    }
    buf_add_char(&r->out, '\n');
    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}

static int fn_printf(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                     struct tmpl_value *ret)
{
    size_t from = r->out.n;
    int x = tmpl_sprintf(r, v[0].s, v + 1, n - 1, &r->out);

    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}

/* What html, js and urlquery work on: one text of all arguments. */
static int text_of_args(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct str *ret)
{
    struct tmpl_value *shown;
    struct tmpl_value text;
    int x;

    if (n == 1 && v[0].kind == TMPL_STRING) {
        *ret = v[0].s;
        return 0;
    }
    shown = tmpl_alloc(r, n * sizeof(*shown));
    if (shown == NULL)
        return tmpl_full(r);
    for (size_t i = 0; i < n; i++)
        shown[i] = v[i].kind == TMPL_NONE ? tmpl_of_str(STR("<no value>")) : v[i];
    x = fn_print(r, shown, n, &text);
    if (x == 0)
        *ret = text.s;
    return x;
}

static int fn_html(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    struct str s = STR_NULL;
    size_t from = r->out.n;
    int x = text_of_args(r, v, n, &s);

    for (size_t i = 0; i < s.n && x == 0; i++) {
        char c = s.p[i];
        if (c == '"')
            buf_add_z(&r->out, "&#34;");
        else if (c == '\'')
            buf_add_z(&r->out, "&#39;");
        else if (c == '&')
            buf_add_z(&r->out, "&amp;");
        else if (c == '<')
            buf_add_z(&r->out, "&lt;");
        else if (c == '>')
            buf_add_z(&r->out, "&gt;");
        else if (c == '\0')
            buf_add_z(&r->out, "\xef\xbf\xbd");
        else
            buf_add_char(&r->out, c);
    }
    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}

static void js_rune(struct buf *out, uint32_t c)
{
    if (c == '\\' || c == '\'' || c == '"') {
        buf_add_char(out, '\\');
        buf_add_char(out, (char)c);
    } else if (c == '<' || c == '>' || c == '&' || c == '=' || c < ' ' || !tmpl_is_print(c)) {
        buf_addf(out, "\\u%04X", c);
    } else {
        utf8_add(out, c);
    }
}

static int fn_js(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    struct str s = STR_NULL;
    size_t from = r->out.n;
    int x = text_of_args(r, v, n, &s);
    size_t width;

    for (; s.n > 0 && x == 0; s = str_from(s, width)) {
        uint32_t c = tmpl_rune(s, &width);
        if (c == 0x7f)
            buf_add_char(&r->out, 0x7f); /* Go looks only at what is beyond ASCII */
        else
            js_rune(&r->out, c);
    }
    return x < 0 ? x : tmpl_take(r, &r->out, from, ret);
}

static int fn_urlquery(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                       struct tmpl_value *ret)
{
    struct str s = STR_NULL;
    size_t from = r->out.n;
    int x = text_of_args(r, v, n, &s);

    if (x < 0)
        return x;
    tmpl_url_encode(&r->out, s);
    return tmpl_take(r, &r->out, from, ret);
}

const struct tmpl_func tmpl_builtins[] = {
    {"and", "aa*", NULL},
    {"call", "aa*", fn_call},
    {"eq", "aa*", fn_eq},
    {"ge", "aa", fn_ge},
    {"gt", "aa", fn_gt},
    {"html", "a*", fn_html},
    {"index", "aa*", fn_index},
    {"js", "a*", fn_js},
    {"le", "aa", fn_le},
    {"len", "a", fn_len},
    {"lt", "aa", fn_lt},
    {"ne", "aa", fn_ne},
    {"not", "a", fn_not},
    {"or", "aa*", NULL},
    {"print", "a*", fn_print},
    {"printf", "sa*", fn_printf},
    {"println", "a*", fn_println},
    {"slice", "aa*", fn_slice},
    {"urlquery", "a*", fn_urlquery},
    {NULL, NULL, NULL},
};
