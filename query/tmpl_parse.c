/*
 * query/tmpl_parse.c - tokens to the tree of a template, see tmpl_internal.h.
 *
 * Variables are numbered while parsing: a variable is a slot of the execution of the template that
 * declares it, and slots are used again behind the block that a variable belongs to.  Functions are
 * looked up here as well, so that executing a template meets no name but those of fields.
 *
 * Invariants
 *   (1) depth <= TMPL_DEPTH_MAX on the way down, so that recursion is bounded;
 *   (2) vars[0..n_vars) are the variables that may be named; their slots ascend.
 */
#include "query/tmpl_internal.h"

#include "base/near.h"
#include "base/vec.h"
#include "query/lex.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct tmpl_parser {
    struct tmpl_lexer lexer;
    struct tmpl_token tok[3]; /* looked at already; the next one is tok[n_peek - 1] */
    unsigned n_peek;
    unsigned line; /* of the token looked at last */
    size_t pos;
    struct tmpl *t;
    struct arena *arena;
    struct err *err;
    unsigned depth, loops;
    size_t n_funcs, n_builtins; /* 0: not counted yet */
    unsigned n_defines;
    VEC(struct str) vars;
    size_t n_slots; /* the most that vars held in this template */
};

static int parse_list(struct tmpl_parser *p, struct tmpl_node **ret, struct tmpl_token *end);
static int parse_pipeline(struct tmpl_parser *p, const char *context, enum tmpl_token_kind end,
                          struct tmpl_node **ret);

/* ---- tokens and errors ---- */

static int fail(struct tmpl_parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);

static int fail(struct tmpl_parser *p, const char *fmt, ...)
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

static struct tmpl_token next(struct tmpl_parser *p)
{
    if (p->n_peek == 0)
        lex(p, &p->tok[p->n_peek++]);
    p->n_peek--;
    p->line = p->tok[p->n_peek].line;
    p->pos = p->tok[p->n_peek].pos;
    return p->tok[p->n_peek];
}

static void back(struct tmpl_parser *p, struct tmpl_token t)
{
    INVARIANT(p->n_peek < sizeof(p->tok) / sizeof(p->tok[0]));
    p->tok[p->n_peek++] = t;
}

static struct tmpl_token peek(struct tmpl_parser *p)
{
    struct tmpl_token t = next(p);

    back(p, t);
    return t;
}

static struct tmpl_token next_solid(struct tmpl_parser *p)
{
    struct tmpl_token t = next(p);

    while (t.kind == TMPL_T_SPACE)
        t = next(p);
    return t;
}

static struct tmpl_token peek_solid(struct tmpl_parser *p)
{
    struct tmpl_token t = next_solid(p);

    back(p, t);
    return t;
}

static int unexpected(struct tmpl_parser *p, struct tmpl_token t, const char *context)
{
    struct buf quoted;
    int r;

    if (t.kind == TMPL_T_ERROR)
        return fail(p, "%.*s", STR_ARG(str_sub(t.text, 0, 120)));
    if (t.kind == TMPL_T_EOF)
        return fail(p, "unexpected EOF");
    if (t.kind >= TMPL_T_IF || t.kind == TMPL_T_DOT || t.kind == TMPL_T_NIL)
        return fail(p, "unexpected <%.*s> in %s", STR_ARG(t.text), context);
    buf_init(&quoted, 256);
    tmpl_quote(&quoted, str_sub(t.text, 0, 10), false);
    r = fail(p, "unexpected %.*s%s in %s", STR_ARG(buf_str(&quoted)), t.text.n > 10 ? "..." : "",
             context);
    buf_fini(&quoted);
    return r;
}

static int expect(struct tmpl_parser *p, enum tmpl_token_kind kind, const char *context)
{
    struct tmpl_token t = next_solid(p);

    return t.kind == kind ? 0 : unexpected(p, t, context);
}

static int enter(struct tmpl_parser *p)
{
    if (p->depth >= TMPL_DEPTH_MAX)
        return fail(p, "nested deeper than %d levels", TMPL_DEPTH_MAX);
    p->depth++;
    return 0;
}

/* NULL: p->err says why. */
static struct tmpl_node *new_node(struct tmpl_parser *p, enum tmpl_node_kind kind, size_t pos)
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

/* ---- operands ---- */

static int parse_number(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct tmpl_node *n = new_node(p, TMPL_N_NUMBER, t.pos);
    const char *fault;

    if (n == NULL)
        return p->err->code;
    *ret = n;
    n->number.text = t.text;
    fault = tmpl_number(t, p->arena, n);
    if (fault == NULL)
        return 0;
    return fail(p, t.kind == TMPL_T_RUNE ? "%s: %.*s" : "%s: \"%.*s\"", fault,
                STR_ARG(str_sub(t.text, 0, 40)));
}

static int parse_string(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct str inside = str_sub(t.text, 1, t.text.n - 2);
    struct tmpl_node *n = new_node(p, TMPL_N_STRING, t.pos);

    if (n == NULL)
        return p->err->code;
    n->string.quoted = t.text;
    n->string.value = inside;
    *ret = n;
    if (t.text.p[0] == '`' || lex_unescape(inside, p->arena, &n->string.value))
        return 0;
    if (n->string.value.p == NULL)
        return arena_err(p->arena, p->err);
    return fail(p, "invalid syntax");
}

static size_t count_funcs(const struct tmpl_func *table)
{
    size_t n = 0;

    while (table[n].name != NULL)
        n++;
    return n;
}

/* *n_funcs: of the table, 0 until somebody asks. */
static const struct tmpl_func *find_in(const struct tmpl_func *table, size_t *n_funcs,
                                       struct str name)
{
    size_t n = *n_funcs == 0 ? count_funcs(table) : *n_funcs;
    size_t lo = 0;

    *n_funcs = n;
    while (lo < n) {
        size_t mid = lo + (n - lo) / 2;
        int order = strncmp(table[mid].name, name.p, name.n);
        if (order == 0 && table[mid].name[name.n] != '\0')
            order = 1; /* it goes on */
        if (order == 0)
            return &table[mid];
        if (order < 0)
            lo = mid + 1;
        else
            n = mid;
    }
    return NULL;
}

static int unknown_function(struct tmpl_parser *p, struct str name)
{
    const struct tmpl_func *tables[] = {p->t->env->funcs, tmpl_builtins};
    struct near near;

    near_begin(&near, name);
    for (size_t i = 0; i < 2; i++)
        for (const struct tmpl_func *f = tables[i]; f->name != NULL; f++)
            near_offer(&near, str_of(f->name));
    if (near.best.p == NULL)
        return fail(p, "function \"%.*s\" not defined", STR_ARG(str_sub(name, 0, 60)));
    return fail(p, "function \"%.*s\" not defined; did you mean \"%.*s\"?",
                STR_ARG(str_sub(name, 0, 60)), STR_ARG(near.best));
}

static int parse_identifier(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct tmpl_node *n = new_node(p, TMPL_N_IDENTIFIER, t.pos);

    if (n == NULL)
        return p->err->code;
    n->ident.func = find_in(p->t->env->funcs, &p->n_funcs, t.text);
    if (n->ident.func == NULL)
        n->ident.func = find_in(tmpl_builtins, &p->n_builtins, t.text);
    if (n->ident.func == NULL)
        return unknown_function(p, t.text);
    for (const char *type = n->ident.func->types; *type != '\0'; type++) {
        n->ident.variadic = *type == '*';
        n->ident.n_types = (unsigned char)(n->ident.n_types + (*type != '*'));
    }
    *ret = n;
    return 0;
}

static bool find_var(const struct tmpl_parser *p, struct str name, size_t *slot)
{
    for (size_t i = p->vars.n; i-- > 0;) {
        if (str_eq(p->vars.p[i], name)) {
            *slot = i;
            return true;
        }
    }
    return false;
}

static int parse_variable(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct tmpl_node *n = new_node(p, TMPL_N_VARIABLE, t.pos);

    if (n == NULL)
        return p->err->code;
    n->field.variable = t.text;
    if (!find_var(p, t.text, &n->field.slot))
        return fail(p, "undefined variable \"%.*s\"", STR_ARG(str_sub(t.text, 0, 60)));
    *ret = n;
    return 0;
}

static int add_field(struct tmpl_parser *p, struct tmpl_node *n, struct str dotted)
{
    /* names double, so that n.field.n says how many there is room for */
    if ((n->field.n & (n->field.n - 1)) == 0) {
        size_t cap = n->field.n == 0 ? 1 : 2 * n->field.n;
        struct str *v = arena_alloc(p->arena, cap * sizeof(*v));
        if (v == NULL)
            return arena_err(p->arena, p->err);
        if (n->field.n > 0)
            memcpy(v, n->field.name, n->field.n * sizeof(*v));
        n->field.name = v;
    }
    n->field.name[n->field.n++] = str_from(dotted, 1);
    return 0;
}

/* *ret stays NULL where no operand begins. */
static int parse_term(struct tmpl_parser *p, struct tmpl_node **ret)
{
    struct tmpl_token t = next_solid(p);
    enum tmpl_node_kind kind;

    if (t.kind == TMPL_T_IDENTIFIER)
        return parse_identifier(p, t, ret);
    if (t.kind == TMPL_T_VARIABLE)
        return parse_variable(p, t, ret);
    if (t.kind == TMPL_T_NUMBER || t.kind == TMPL_T_RUNE)
        return parse_number(p, t, ret);
    if (t.kind == TMPL_T_STRING)
        return parse_string(p, t, ret);
    if (t.kind == TMPL_T_OPEN)
        return parse_pipeline(p, "parenthesized pipeline", TMPL_T_CLOSE, ret);
    if (t.kind == TMPL_T_DOT)
        kind = TMPL_N_DOT;
    else if (t.kind == TMPL_T_NIL)
        kind = TMPL_N_NIL;
    else if (t.kind == TMPL_T_BOOL)
        kind = TMPL_N_BOOL;
    else if (t.kind == TMPL_T_FIELD)
        kind = TMPL_N_FIELD;
    else {
        back(p, t);
        return 0;
    }
    *ret = new_node(p, kind, t.pos);
    if (*ret == NULL)
        return p->err->code;
    if (kind == TMPL_N_BOOL)
        (*ret)->b = t.text.n == 4;
    return kind == TMPL_N_FIELD ? add_field(p, *ret, t.text) : 0;
}

static int literal_with_field(struct tmpl_parser *p, const struct tmpl_node *n)
{
    struct buf text;
    int r;

    buf_init(&text, 200);
    tmpl_node_print(n, &text);
    r = fail(p, "unexpected . after term \"%.*s\"", STR_ARG(buf_str(&text)));
    buf_fini(&text);
    return r;
}

/* A term and the fields asked of it. */
static int parse_operand(struct tmpl_parser *p, struct tmpl_node **ret)
{
    struct tmpl_node *term = NULL;
    int r = parse_term(p, &term);
    struct tmpl_token t;

    *ret = term;
    if (r < 0 || term == NULL || (t = peek(p)).kind != TMPL_T_FIELD)
        return r;
    if (term->kind == TMPL_N_BOOL || term->kind == TMPL_N_STRING || term->kind == TMPL_N_NUMBER ||
        term->kind == TMPL_N_NIL || term->kind == TMPL_N_DOT)
        return literal_with_field(p, term);
    if (term->kind != TMPL_N_FIELD && term->kind != TMPL_N_VARIABLE) {
        *ret = new_node(p, TMPL_N_CHAIN, t.pos);
        if (*ret == NULL)
            return p->err->code;
        (*ret)->field.node = term;
    }
    (*ret)->pos = t.pos;
    for (; r == 0 && peek(p).kind == TMPL_T_FIELD;)
        r = add_field(p, *ret, next(p).text);
    return r;
}

/* ---- pipelines ---- */

/* Operands up to a bar, which is passed, or to what ends the pipeline. */
static int parse_command(struct tmpl_parser *p, struct tmpl_node **ret)
{
    struct tmpl_node *n = new_node(p, TMPL_N_COMMAND, peek_solid(p).pos);
    struct tmpl_node **link;

    if (n == NULL)
        return p->err->code;
    link = &n->command.args;
    for (;;) {
        struct tmpl_node *arg = NULL;
        struct tmpl_token t;
        int r = parse_operand(p, &arg);
        if (r < 0)
            return r;
        if (arg != NULL) {
            *link = arg;
            link = &arg->next;
            n->command.n++;
        }
        t = next(p);
        if (t.kind == TMPL_T_SPACE)
            continue;
        if (t.kind == TMPL_T_RIGHT || t.kind == TMPL_T_CLOSE)
            back(p, t);
        else if (t.kind != TMPL_T_PIPE)
            return unexpected(p, t, "operand");
        break;
    }
    if (n->command.n == 0)
        return fail(p, "empty command");
    *ret = n;
    return 0;
}

static int check_pipeline(struct tmpl_parser *p, const struct tmpl_node *pipe, const char *context)
{
    unsigned stage = 2;

    if (pipe->pipe.cmds == NULL)
        return fail(p, "missing value for %s", context);
    for (const struct tmpl_node *c = pipe->pipe.cmds->next; c != NULL; c = c->next, stage++) {
        enum tmpl_node_kind kind = c->command.args->kind;
        if (kind >= TMPL_N_DOT) /* and literals */
            return fail(p, "non executable command in pipeline stage %u", stage);
    }
    return 0;
}

/* What a pipeline sets: they are there behind it, `$x := add $x 1` means an older $x. */
struct decls {
    struct tmpl_token v[2];
    unsigned n;
    bool assign;
};

/* $x :=, $x =, and for range $i, $x :=, if it stands there. */
static int parse_decls(struct tmpl_parser *p, const char *context, struct decls *ret)
{
    struct tmpl_token v = peek_solid(p);
    struct tmpl_token t;
    struct tmpl_token behind;

    if (v.kind != TMPL_T_VARIABLE)
        return 0;
    (void)next(p);
    behind = peek(p);
    t = peek_solid(p);
    ret->v[ret->n++] = v;
    if (t.kind == TMPL_T_CHAR && t.text.p[0] == ',') {
        (void)next_solid(p);
        if (!str_eq(str_of(context), STR("range")))
            return fail(p, "too many declarations in %s", context);
        v = next_solid(p);
        if (v.kind != TMPL_T_VARIABLE)
            return fail(p, "range can only initialize variables");
        ret->v[ret->n++] = v;
        t = peek_solid(p);
        if (t.kind == TMPL_T_CHAR && t.text.p[0] == ',')
            return fail(p, "too many declarations in range");
        if (t.kind != TMPL_T_ASSIGN && t.kind != TMPL_T_DECLARE)
            return unexpected(p, t, context);
    } else if (t.kind != TMPL_T_ASSIGN && t.kind != TMPL_T_DECLARE) {
        if (behind.kind == TMPL_T_SPACE)
            back(p, behind);
        back(p, v);
        ret->n = 0;
        return 0;
    }
    (void)next_solid(p);
    ret->assign = t.kind == TMPL_T_ASSIGN;
    return 0;
}

static int add_decls(struct tmpl_parser *p, struct tmpl_node *pipe, const struct decls *d)
{
    struct tmpl_node **link = &pipe->pipe.decls;
    int r = 0;

    pipe->pipe.assign = d->assign;
    for (unsigned i = 0; i < d->n && r == 0; i++) {
        if (!d->assign && p->vars.n >= TMPL_VARS_MAX)
            return fail(p, "more than %d variables", TMPL_VARS_MAX);
        if (!d->assign) {
            VEC_PUSH(&p->vars, d->v[i].text);
            p->n_slots = p->vars.n > p->n_slots ? p->vars.n : p->n_slots;
        }
        r = parse_variable(p, d->v[i], link);
        if (r == 0)
            link = &(*link)->next;
    }
    return r;
}

static int parse_pipeline(struct tmpl_parser *p, const char *context, enum tmpl_token_kind end,
                          struct tmpl_node **ret)
{
    struct tmpl_node *pipe = new_node(p, TMPL_N_PIPE, peek_solid(p).pos);
    struct tmpl_node **link;
    struct decls decls = {.n = 0};
    int r = pipe == NULL ? p->err->code : enter(p);

    if (r == 0)
        r = parse_decls(p, context, &decls);
    if (r < 0)
        return r;
    link = &pipe->pipe.cmds;
    for (;;) {
        struct tmpl_token t = next_solid(p);
        if (t.kind == end)
            break;
        if (t.kind != TMPL_T_OPEN && (t.kind < TMPL_T_FIELD || t.kind > TMPL_T_NUMBER))
            return unexpected(p, t, context);
        back(p, t);
        r = parse_command(p, link);
        if (r < 0)
            return r;
        link = &(*link)->next;
    }
    p->depth--;
    *ret = pipe;
    r = check_pipeline(p, pipe, context);
    return r < 0 ? r : add_decls(p, pipe, &decls);
}

/* ---- actions ---- */

/* Behind {{else: its end; or 1: an `if` (`with`) that stands for {{else}}{{if ...}} with one
 * {{end}} less, and is the next token. */
static int parse_else(struct tmpl_parser *p, enum tmpl_node_kind kind)
{
    enum tmpl_token_kind again = kind == TMPL_N_IF ? TMPL_T_IF : TMPL_T_WITH;
    struct tmpl_token t = peek_solid(p);

    if (kind == TMPL_N_RANGE || t.kind != again)
        return expect(p, TMPL_T_RIGHT, "else");
    return 1;
}

static int parse_control(struct tmpl_parser *p, enum tmpl_node_kind kind, size_t pos,
                         struct tmpl_node **ret)
{
    const char *context = kind == TMPL_N_IF ? "if" : kind == TMPL_N_WITH ? "with" : "range";
    struct tmpl_node *n = new_node(p, kind, pos);
    size_t n_vars = p->vars.n;
    struct tmpl_token end = {.kind = TMPL_T_EOF};
    int r = n == NULL ? p->err->code : enter(p);

    if (r == 0)
        r = parse_pipeline(p, context, TMPL_T_RIGHT, &n->branch.pipe);
    if (r < 0)
        return r;
    p->loops += kind == TMPL_N_RANGE;
    r = parse_list(p, &n->branch.body, &end);
    p->loops -= kind == TMPL_N_RANGE;
    if (r == 0 && end.kind == TMPL_T_ELSE)
        r = parse_else(p, kind);
    if (r == 1) {
        struct tmpl_token again = next_solid(p);
        n->branch.otherwise = new_node(p, TMPL_N_LIST, again.pos);
        if (n->branch.otherwise == NULL)
            return p->err->code;
        r = parse_control(p, kind, again.pos, &n->branch.otherwise->first);
    } else if (r == 0 && end.kind == TMPL_T_ELSE) {
        r = parse_list(p, &n->branch.otherwise, &end);
        if (r == 0 && end.kind == TMPL_T_ELSE)
            r = fail(p, "expected end; found {{else}}");
    }
    p->vars.n = n_vars;
    p->depth--;
    *ret = n;
    return r;
}

static int parse_jump(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct tmpl_token end = next_solid(p);

    if (end.kind != TMPL_T_RIGHT)
        return unexpected(p, end, t.kind == TMPL_T_BREAK ? "{{break}}" : "{{continue}}");
    if (p->loops == 0)
        return fail(p, "{{%.*s}} outside {{range}}", STR_ARG(t.text));
    *ret = new_node(p, t.kind == TMPL_T_BREAK ? TMPL_N_BREAK : TMPL_N_CONTINUE, t.pos);
    return *ret == NULL ? p->err->code : 0;
}

/* The name of a template, a string constant. */
static int parse_name(struct tmpl_parser *p, const char *context, struct str *ret)
{
    struct tmpl_token t = next_solid(p);
    struct tmpl_node *n = NULL;
    int r;

    if (t.kind != TMPL_T_STRING)
        return unexpected(p, t, context);
    r = parse_string(p, t, &n);
    if (r == 0)
        *ret = n->string.value;
    return r;
}

static int parse_call(struct tmpl_parser *p, size_t pos, struct tmpl_node **ret)
{
    struct tmpl_node *n = new_node(p, TMPL_N_TEMPLATE, pos);
    struct tmpl_token t;
    int r;

    if (n == NULL)
        return p->err->code;
    *ret = n;
    r = parse_name(p, "template clause", &n->call.name);
    n->pos = p->pos;
    if (r < 0)
        return r;
    t = next_solid(p);
    if (t.kind == TMPL_T_RIGHT)
        return 0;
    back(p, t);
    return parse_pipeline(p, "template clause", TMPL_T_RIGHT, &n->call.pipe);
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
        return fail(p, "more than %d templates", TMPL_DEFINES_MAX);
    memset(&p->vars, 0, sizeof(p->vars));
    VEC_PUSH(&p->vars, STR("$"));
    p->n_slots = 1;
    p->loops = 0;
    d->name = name;
    r = parse_list(p, &d->root, &end);
    if (r == 0 && end.kind != TMPL_T_END)
        r = fail(p, "unexpected {{else}} in %s", what);
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
        return fail(p, "template: multiple definition of template \"%.*s\"",
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
    struct tmpl_node *n = new_node(p, TMPL_N_TEMPLATE, pos);
    int r = n == NULL ? p->err->code : enter(p);

    if (r == 0)
        r = parse_name(p, "block clause", &n->call.name);
    if (r == 0)
        n->pos = p->pos;
    if (r == 0)
        r = parse_pipeline(p, "block clause", TMPL_T_RIGHT, &n->call.pipe);
    if (r == 0)
        r = parse_body(p, n->call.name, "block clause");
    p->depth -= r == 0;
    *ret = n;
    return r;
}

/* What stands behind {{.  *end: it was {{end}} or {{else}}, which ends the list. */
static int parse_action(struct tmpl_parser *p, struct tmpl_node **ret, struct tmpl_token *end)
{
    struct tmpl_token t = next_solid(p);
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
    back(p, t);
    n = new_node(p, TMPL_N_ACTION, t.pos);
    if (n == NULL)
        return p->err->code;
    *ret = n;
    return parse_pipeline(p, "command", TMPL_T_RIGHT, &n->branch.pipe);
}

static int add_text(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **link)
{
    struct tmpl_node *n = new_node(p, TMPL_N_TEXT, t.pos);

    if (n == NULL)
        return p->err->code;
    n->text = t.text;
    *link = n;
    return 0;
}

/* Text and actions up to {{end}} or {{else}}. */
static int parse_list(struct tmpl_parser *p, struct tmpl_node **ret, struct tmpl_token *end)
{
    struct tmpl_node *list = new_node(p, TMPL_N_LIST, peek_solid(p).pos);
    struct tmpl_node **link;

    if (list == NULL)
        return p->err->code;
    *ret = list;
    *end = (struct tmpl_token){.kind = TMPL_T_EOF};
    link = &list->first;
    while (end->kind == TMPL_T_EOF) {
        struct tmpl_token t = next_solid(p);
        int r;
        if (t.kind == TMPL_T_TEXT) {
            r = add_text(p, t, link);
        } else if (t.kind == TMPL_T_LEFT) {
            r = parse_action(p, link, end);
        } else {
            r = unexpected(p, t, "input");
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
    struct tmpl_node *list = new_node(p, TMPL_N_LIST, 0);
    struct tmpl_node **link;
    struct tmpl_token end = {.kind = TMPL_T_EOF};
    int r = list == NULL ? p->err->code : 0;

    if (r < 0)
        return r;
    p->t->root->root = list;
    link = &list->first;
    while (r == 0) {
        struct tmpl_token t = next(p);
        if (t.kind == TMPL_T_EOF)
            break;
        if (t.kind == TMPL_T_TEXT) {
            r = add_text(p, t, link);
        } else if (t.kind != TMPL_T_LEFT) {
            r = unexpected(p, t, "input");
        } else if (peek_solid(p).kind == TMPL_T_DEFINE) {
            (void)next_solid(p);
            r = parse_define(p);
        } else {
            r = parse_action(p, link, &end);
            if (r == 0 && end.kind != TMPL_T_EOF)
                r = fail(p, "unexpected {{%.*s}}", STR_ARG(end.text));
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
