/*
 * query/tmpl_parse.c - tokens to the tree of a template, see tmpl_internal.h: actions, lists, named
 * templates.  What stands in an action is tmpl_pipeline.c.
 */
#include "query/tmpl_parse.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int parse_list(struct tmpl_parser *p, struct tmpl_node **ret, struct tmpl_token *end);

/* ---- tokens and errors ---- */

int tmpl_parse_fail(struct tmpl_parser *p, const char *fmt, ...)
{
    char text[sizeof(p->err->text)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    return err_set(p->err, ERR_INVALID, "template: %s:%u: %s", p->t->env->name, p->line, text);
}

/* The next token of the text, or that there are too many. */
static void lex(struct tmpl_parser *p, struct tmpl_token *ret)
{
    tmpl_lex_next(&p->lexer, ret);
    if (++p->t->n_tokens <= TMPL_TOKENS_MAX || ret->kind == TMPL_T_EOF)
        return;
    ret->kind = TMPL_T_ERROR;
    ret->text = STR("too many words and signs");
    p->lexer.failed = true;
}

struct tmpl_token tmpl_parse_next(struct tmpl_parser *p)
{
    if (p->n_peek == 0)
        lex(p, &p->tok[p->n_peek++]);
    p->n_peek--;
    p->line = p->tok[p->n_peek].line;
    p->pos = p->tok[p->n_peek].pos;
    return p->tok[p->n_peek];
}

void tmpl_parse_back(struct tmpl_parser *p, struct tmpl_token t)
{
    INVARIANT(p->n_peek < sizeof(p->tok) / sizeof(p->tok[0]));
    p->tok[p->n_peek++] = t;
}

struct tmpl_token tmpl_parse_peek(struct tmpl_parser *p)
{
    struct tmpl_token t = tmpl_parse_next(p);

    tmpl_parse_back(p, t);
    return t;
}

struct tmpl_token tmpl_parse_next_solid(struct tmpl_parser *p)
{
    struct tmpl_token t = tmpl_parse_next(p);

    while (t.kind == TMPL_T_SPACE)
        t = tmpl_parse_next(p);
    return t;
}

struct tmpl_token tmpl_parse_peek_solid(struct tmpl_parser *p)
{
    struct tmpl_token t = tmpl_parse_next_solid(p);

    tmpl_parse_back(p, t);
    return t;
}

int tmpl_parse_unexpected(struct tmpl_parser *p, struct tmpl_token t, const char *context)
{
    struct buf quoted;
    int r;

    if (t.kind == TMPL_T_ERROR)
        return tmpl_parse_fail(p, "%.*s", STR_ARG(str_sub(t.text, 0, 120)));
    if (t.kind == TMPL_T_EOF)
        return tmpl_parse_fail(p, "unexpected EOF");
    if (t.kind >= TMPL_T_IF || t.kind == TMPL_T_DOT || t.kind == TMPL_T_NIL)
        return tmpl_parse_fail(p, "unexpected <%.*s> in %s", STR_ARG(t.text), context);
    buf_init(&quoted, 256);
    tmpl_quote(&quoted, str_sub(t.text, 0, 10), false);
    r = tmpl_parse_fail(p, "unexpected %.*s%s in %s", STR_ARG(buf_str(&quoted)),
                        t.text.n > 10 ? "..." : "", context);
    buf_fini(&quoted);
    return r;
}

static int expect(struct tmpl_parser *p, enum tmpl_token_kind kind, const char *context)
{
    struct tmpl_token t = tmpl_parse_next_solid(p);

    return t.kind == kind ? 0 : tmpl_parse_unexpected(p, t, context);
}

int tmpl_parse_enter(struct tmpl_parser *p)
{
    if (p->depth >= TMPL_DEPTH_MAX)
        return tmpl_parse_fail(p, "nested deeper than %d levels", TMPL_DEPTH_MAX);
    p->depth++;
    return 0;
}

struct tmpl_node *tmpl_parse_node(struct tmpl_parser *p, enum tmpl_node_kind kind, size_t pos)
{
    struct tmpl_node *n = arena_alloc(p->arena, sizeof(*n));

    if (n == NULL) {
        (void)arena_err(p->arena, p->err);
        return NULL;
    }
    n->kind = kind;
    n->pos = pos;
    return n;
}

/* ---- actions ---- */

/* Behind {{else: its end; or 1: an `if` (`with`) that stands for {{else}}{{if ...}} with one
 * {{end}} less, and is the next token. */
static int parse_else(struct tmpl_parser *p, enum tmpl_node_kind kind)
{
    enum tmpl_token_kind again = kind == TMPL_N_IF ? TMPL_T_IF : TMPL_T_WITH;
    struct tmpl_token t = tmpl_parse_peek_solid(p);

    if (kind == TMPL_N_RANGE || t.kind != again)
        return expect(p, TMPL_T_RIGHT, "else");
    return 1;
}

static int parse_control(struct tmpl_parser *p, enum tmpl_node_kind kind, size_t pos,
                         struct tmpl_node **ret)
{
    const char *context = kind == TMPL_N_IF ? "if" : kind == TMPL_N_WITH ? "with" : "range";
    struct tmpl_node *n = tmpl_parse_node(p, kind, pos);
    size_t n_vars = p->vars.n;
    struct tmpl_token end = {.kind = TMPL_T_EOF};
    int r = n == NULL ? p->err->code : tmpl_parse_enter(p);

    if (r == 0)
        r = tmpl_pipeline_parse(p, context, TMPL_T_RIGHT, &n->branch.pipe);
    if (r < 0)
        return r;
    p->loops += kind == TMPL_N_RANGE;
    r = parse_list(p, &n->branch.body, &end);
    p->loops -= kind == TMPL_N_RANGE;
    if (r == 0 && end.kind == TMPL_T_ELSE)
        r = parse_else(p, kind);
    if (r == 1) {
        struct tmpl_token again = tmpl_parse_next_solid(p);
        n->branch.otherwise = tmpl_parse_node(p, TMPL_N_LIST, again.pos);
        if (n->branch.otherwise == NULL)
            return p->err->code;
        r = parse_control(p, kind, again.pos, &n->branch.otherwise->first);
    } else if (r == 0 && end.kind == TMPL_T_ELSE) {
        r = parse_list(p, &n->branch.otherwise, &end);
        if (r == 0 && end.kind == TMPL_T_ELSE)
            r = tmpl_parse_fail(p, "expected end; found {{else}}");
    }
    p->vars.n = n_vars;
    p->depth--;
    *ret = n;
    return r;
}

static int parse_jump(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct tmpl_token end = tmpl_parse_next_solid(p);

    if (end.kind != TMPL_T_RIGHT)
        return tmpl_parse_unexpected(p, end, t.kind == TMPL_T_BREAK ? "{{break}}" : "{{continue}}");
    if (p->loops == 0)
        return tmpl_parse_fail(p, "{{%.*s}} outside {{range}}", STR_ARG(t.text));
    *ret = tmpl_parse_node(p, t.kind == TMPL_T_BREAK ? TMPL_N_BREAK : TMPL_N_CONTINUE, t.pos);
    return *ret == NULL ? p->err->code : 0;
}

/* The name of a template, a string constant. */
static int parse_name(struct tmpl_parser *p, const char *context, struct str *ret)
{
    struct tmpl_token t = tmpl_parse_next_solid(p);
    struct tmpl_node *n = NULL;
    int r;

    if (t.kind != TMPL_T_STRING)
        return tmpl_parse_unexpected(p, t, context);
    r = tmpl_pipeline_string(p, t, &n);
    if (r == 0)
        *ret = n->string.value;
    return r;
}

static int parse_call(struct tmpl_parser *p, size_t pos, struct tmpl_node **ret)
{
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_TEMPLATE, pos);
    struct tmpl_token t;
    int r;

    if (n == NULL)
        return p->err->code;
    *ret = n;
    r = parse_name(p, "template clause", &n->call.name);
    n->pos = p->pos;
    if (r < 0)
        return r;
    t = tmpl_parse_next_solid(p);
    if (t.kind == TMPL_T_RIGHT)
        return 0;
    tmpl_parse_back(p, t);
    return tmpl_pipeline_parse(p, "template clause", TMPL_T_RIGHT, &n->call.pipe);
}

static bool is_empty(const struct tmpl_node *list)
{
    for (const struct tmpl_node *n = list->first; n != NULL; n = n->next)
        if (n->kind != TMPL_N_TEXT || str_trim(n->text).n > 0)
            return false;
    return true;
}

/* The body of a named template, up to its {{end}}; its variables are its own. */
static int parse_body(struct tmpl_parser *p, struct str name, const char *what)
{
    struct tmpl_define *d = arena_alloc(p->arena, sizeof(*d));
    struct tmpl_define **link = &p->t->defines;
    struct tmpl_parser outer = *p;
    struct tmpl_token end = {.kind = TMPL_T_EOF};
    int r;

    if (d == NULL)
        return arena_err(p->arena, p->err);
    if (++p->n_defines > TMPL_DEFINES_MAX)
        return tmpl_parse_fail(p, "more than %d templates", TMPL_DEFINES_MAX);
    memset(&p->vars, 0, sizeof(p->vars));
    VEC_PUSH(&p->vars, STR("$"));
    p->n_slots = 1;
    p->loops = 0;
    d->name = name;
    r = parse_list(p, &d->root, &end);
    if (r == 0 && end.kind != TMPL_T_END)
        r = tmpl_parse_fail(p, "unexpected {{else}} in %s", what);
    d->n_slots = p->n_slots;
    VEC_FINI(&p->vars);
    p->vars.p = outer.vars.p;
    p->vars.n = outer.vars.n;
    p->vars.cap = outer.vars.cap;
    p->n_slots = outer.n_slots;
    p->loops = outer.loops;
    while (r == 0 && *link != NULL && !str_eq((*link)->name, name))
        link = &(*link)->next;
    if (r < 0 || *link == NULL) {
        *link = r < 0 ? *link : d;
        return r;
    }
    if (is_empty(d->root))
        return 0;
    if (!is_empty((*link)->root))
        return tmpl_parse_fail(p, "template: multiple definition of template \"%.*s\"",
                               STR_ARG(str_sub(name, 0, 60)));
    (*link)->root = d->root;
    (*link)->n_slots = d->n_slots;
    return 0;
}

static int parse_define(struct tmpl_parser *p)
{
    struct str name = STR_NULL;
    int r = parse_name(p, "define clause", &name);

    if (r == 0)
        r = expect(p, TMPL_T_RIGHT, "define clause");
    return r < 0 ? r : parse_body(p, name, "define clause");
}

static int parse_block(struct tmpl_parser *p, size_t pos, struct tmpl_node **ret)
{
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_TEMPLATE, pos);
    int r = n == NULL ? p->err->code : tmpl_parse_enter(p);

    if (r == 0)
        r = parse_name(p, "block clause", &n->call.name);
    if (r == 0)
        n->pos = p->pos;
    if (r == 0)
        r = tmpl_pipeline_parse(p, "block clause", TMPL_T_RIGHT, &n->call.pipe);
    if (r == 0)
        r = parse_body(p, n->call.name, "block clause");
    p->depth -= r == 0;
    *ret = n;
    return r;
}

/* What stands behind {{.  *end: it was {{end}} or {{else}}, which ends the list. */
static int parse_action(struct tmpl_parser *p, struct tmpl_node **ret, struct tmpl_token *end)
{
    struct tmpl_token t = tmpl_parse_next_solid(p);
    struct tmpl_node *n;

    if (t.kind == TMPL_T_IF)
        return parse_control(p, TMPL_N_IF, t.pos, ret);
    if (t.kind == TMPL_T_RANGE)
        return parse_control(p, TMPL_N_RANGE, t.pos, ret);
    if (t.kind == TMPL_T_WITH)
        return parse_control(p, TMPL_N_WITH, t.pos, ret);
    if (t.kind == TMPL_T_TEMPLATE)
        return parse_call(p, t.pos, ret);
    if (t.kind == TMPL_T_BLOCK)
        return parse_block(p, t.pos, ret);
    if (t.kind == TMPL_T_BREAK || t.kind == TMPL_T_CONTINUE)
        return parse_jump(p, t, ret);
    if (t.kind == TMPL_T_END || t.kind == TMPL_T_ELSE) {
        *end = t;
        return t.kind == TMPL_T_END ? expect(p, TMPL_T_RIGHT, "end") : 0;
    }
    tmpl_parse_back(p, t);
    n = tmpl_parse_node(p, TMPL_N_ACTION, t.pos);
    if (n == NULL)
        return p->err->code;
    *ret = n;
    return tmpl_pipeline_parse(p, "command", TMPL_T_RIGHT, &n->branch.pipe);
}

static int add_text(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **link)
{
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_TEXT, t.pos);

    if (n == NULL)
        return p->err->code;
    n->text = t.text;
    *link = n;
    return 0;
}

/* Text and actions up to {{end}} or {{else}}. */
static int parse_list(struct tmpl_parser *p, struct tmpl_node **ret, struct tmpl_token *end)
{
    struct tmpl_node *list = tmpl_parse_node(p, TMPL_N_LIST, tmpl_parse_peek_solid(p).pos);
    struct tmpl_node **link;

    if (list == NULL)
        return p->err->code;
    *ret = list;
    *end = (struct tmpl_token){.kind = TMPL_T_EOF};
    link = &list->first;
    while (end->kind == TMPL_T_EOF) {
        struct tmpl_token t = tmpl_parse_next_solid(p);
        int r;
        if (t.kind == TMPL_T_TEXT) {
            r = add_text(p, t, link);
        } else if (t.kind == TMPL_T_LEFT) {
            r = parse_action(p, link, end);
        } else {
            r = tmpl_parse_unexpected(p, t, "input");
        }
        if (r < 0)
            return r;
        if (*link != NULL)
            link = &(*link)->next;
    }
    return 0;
}

/* All of the text: a list of its own, and {{define}}s between its pieces. */
static int parse_all(struct tmpl_parser *p)
{
    struct tmpl_node *list = tmpl_parse_node(p, TMPL_N_LIST, 0);
    struct tmpl_node **link;
    struct tmpl_token end = {.kind = TMPL_T_EOF};
    int r = list == NULL ? p->err->code : 0;

    if (r < 0)
        return r;
    p->t->root->root = list;
    link = &list->first;
    while (r == 0) {
        struct tmpl_token t = tmpl_parse_next(p);
        if (t.kind == TMPL_T_EOF)
            break;
        if (t.kind == TMPL_T_TEXT) {
            r = add_text(p, t, link);
        } else if (t.kind != TMPL_T_LEFT) {
            r = tmpl_parse_unexpected(p, t, "input");
        } else if (tmpl_parse_peek_solid(p).kind == TMPL_T_DEFINE) {
            (void)tmpl_parse_next_solid(p);
            r = parse_define(p);
        } else {
            r = parse_action(p, link, &end);
            if (r == 0 && end.kind != TMPL_T_EOF)
                r = tmpl_parse_fail(p, "unexpected {{%.*s}}", STR_ARG(end.text));
        }
        if (r == 0 && *link != NULL)
            link = &(*link)->next;
    }
    return r;
}

int tmpl_compile(struct str text, const struct tmpl_env *env, struct arena *a,
                 const struct tmpl **ret, size_t *offset, struct err *err)
{
    struct tmpl *t = arena_alloc(a, sizeof(*t));
    struct tmpl_define *root = arena_alloc(a, sizeof(*root));
    struct tmpl_parser p = {.t = t, .arena = a, .err = err, .line = 1};
    int r;

    if (t == NULL || root == NULL)
        return arena_err(a, err);
    *t = (struct tmpl){.env = env, .text = text, .root = root};
    root->name = str_of(env->name);
    tmpl_lex_init(&p.lexer, text, a);
    VEC_PUSH(&p.vars, STR("$"));
    for (const char *const *v = env->vars; v != NULL && *v != NULL; v++, t->n_vars++) {
        struct str name = arena_printf(a, "$%s", *v);
        if (name.p == NULL) {
            VEC_FINI(&p.vars);
            return arena_err(a, err);
        }
        VEC_PUSH(&p.vars, name);
    }
    p.n_slots = p.vars.n;
    r = parse_all(&p);
    root->n_slots = p.n_slots;
    VEC_FINI(&p.vars);
    if (offset != NULL)
        *offset = p.pos;
    if (r == 0)
        *ret = t;
    return r;
}

size_t tmpl_tokens(const struct tmpl *t)
{
    return t->n_tokens;
}

const struct tmpl_define *tmpl_find(const struct tmpl *t, struct str name)
{
    for (const struct tmpl_define *d = t->defines; d != NULL; d = d->next)
        if (str_eq(d->name, name))
            return d;
    return str_eq(name, t->root->name) ? t->root : NULL;
}
