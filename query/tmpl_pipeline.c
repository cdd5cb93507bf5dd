/*
 * query/tmpl_pipeline.c - what stands in an action of a template: operands, the commands that they
 * make, the variables that a pipeline sets.  Contract: tmpl_parse.h.
 *
 * Functions are looked up here, so that executing a template meets no name but those of fields.
 */
#include "base/near.h"
#include "query/lex.h"
#include "query/tmpl_parse.h"

#include <string.h>

/* ---- operands ---- */

static int parse_number(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_NUMBER, t.pos);
    const char *fault;

    if (n == NULL)
        return p->err->code;
    *ret = n;
    n->number.text = t.text;
    fault = tmpl_number(t, p->arena, n);
    if (fault == NULL)
        return 0;
    return tmpl_parse_fail(p, t.kind == TMPL_T_RUNE ? "%s: %.*s" : "%s: \"%.*s\"", fault,
                           STR_ARG(str_sub(t.text, 0, 40)));
}

int tmpl_pipeline_string(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct str inside = str_sub(t.text, 1, t.text.n - 2);
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_STRING, t.pos);

    if (n == NULL)
        return p->err->code;
    n->string.quoted = t.text;
    n->string.value = inside;
    *ret = n;
    if (t.text.p[0] == '`' || lex_unescape(inside, p->arena, &n->string.value))
        return 0;
    if (n->string.value.p == NULL)
        return arena_err(p->arena, p->err);
    return tmpl_parse_fail(p, "invalid syntax");
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
        return tmpl_parse_fail(p, "function \"%.*s\" not defined", STR_ARG(str_sub(name, 0, 60)));
    return tmpl_parse_fail(p, "function \"%.*s\" not defined; did you mean \"%.*s\"?",
                           STR_ARG(str_sub(name, 0, 60)), STR_ARG(near.best));
}

static int parse_identifier(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret)
{
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_IDENTIFIER, t.pos);

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
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_VARIABLE, t.pos);

    if (n == NULL)
        return p->err->code;
    n->field.variable = t.text;
    if (!find_var(p, t.text, &n->field.slot))
        return tmpl_parse_fail(p, "undefined variable \"%.*s\"", STR_ARG(str_sub(t.text, 0, 60)));
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
    struct tmpl_token t = tmpl_parse_next_solid(p);
    enum tmpl_node_kind kind;

    if (t.kind == TMPL_T_IDENTIFIER)
        return parse_identifier(p, t, ret);
    if (t.kind == TMPL_T_VARIABLE)
        return parse_variable(p, t, ret);
    if (t.kind == TMPL_T_NUMBER || t.kind == TMPL_T_RUNE)
        return parse_number(p, t, ret);
    if (t.kind == TMPL_T_STRING)
        return tmpl_pipeline_string(p, t, ret);
    if (t.kind == TMPL_T_OPEN)
        return tmpl_pipeline_parse(p, "parenthesized pipeline", TMPL_T_CLOSE, ret);
    if (t.kind == TMPL_T_DOT)
        kind = TMPL_N_DOT;
    else if (t.kind == TMPL_T_NIL)
        kind = TMPL_N_NIL;
    else if (t.kind == TMPL_T_BOOL)
        kind = TMPL_N_BOOL;
    else if (t.kind == TMPL_T_FIELD)
        kind = TMPL_N_FIELD;
    else {
        tmpl_parse_back(p, t);
        return 0;
    }
    *ret = tmpl_parse_node(p, kind, t.pos);
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
    r = tmpl_parse_fail(p, "unexpected . after term \"%.*s\"", STR_ARG(buf_str(&text)));
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
    if (r < 0 || term == NULL || (t = tmpl_parse_peek(p)).kind != TMPL_T_FIELD)
        return r;
    if (term->kind == TMPL_N_BOOL || term->kind == TMPL_N_STRING || term->kind == TMPL_N_NUMBER ||
        term->kind == TMPL_N_NIL || term->kind == TMPL_N_DOT)
        return literal_with_field(p, term);
    if (term->kind != TMPL_N_FIELD && term->kind != TMPL_N_VARIABLE) {
        *ret = tmpl_parse_node(p, TMPL_N_CHAIN, t.pos);
        if (*ret == NULL)
            return p->err->code;
        (*ret)->field.node = term;
    }
    (*ret)->pos = t.pos;
    for (; r == 0 && tmpl_parse_peek(p).kind == TMPL_T_FIELD;)
        r = add_field(p, *ret, tmpl_parse_next(p).text);
    return r;
}

/* ---- pipelines ---- */

/* Operands up to a bar, which is passed, or to what ends the pipeline. */
static int parse_command(struct tmpl_parser *p, struct tmpl_node **ret)
{
    struct tmpl_node *n = tmpl_parse_node(p, TMPL_N_COMMAND, tmpl_parse_peek_solid(p).pos);
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
        t = tmpl_parse_next(p);
        if (t.kind == TMPL_T_SPACE)
            continue;
        if (t.kind == TMPL_T_RIGHT || t.kind == TMPL_T_CLOSE)
            tmpl_parse_back(p, t);
        else if (t.kind != TMPL_T_PIPE)
            return tmpl_parse_unexpected(p, t, "operand");
        break;
    }
    if (n->command.n == 0)
        return tmpl_parse_fail(p, "empty command");
    *ret = n;
    return 0;
}

static int check_pipeline(struct tmpl_parser *p, const struct tmpl_node *pipe, const char *context)
{
    unsigned stage = 2;

    if (pipe->pipe.cmds == NULL)
        return tmpl_parse_fail(p, "missing value for %s", context);
    for (const struct tmpl_node *c = pipe->pipe.cmds->next; c != NULL; c = c->next, stage++) {
        enum tmpl_node_kind kind = c->command.args->kind;
        if (kind >= TMPL_N_DOT) /* and literals */
            return tmpl_parse_fail(p, "non executable command in pipeline stage %u", stage);
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
    struct tmpl_token v = tmpl_parse_peek_solid(p);
    struct tmpl_token t;
    struct tmpl_token behind;

    if (v.kind != TMPL_T_VARIABLE)
        return 0;
    (void)tmpl_parse_next(p);
    behind = tmpl_parse_peek(p);
    t = tmpl_parse_peek_solid(p);
    ret->v[ret->n++] = v;
    if (t.kind == TMPL_T_CHAR && t.text.p[0] == ',') {
        (void)tmpl_parse_next_solid(p);
        if (!str_eq(str_of(context), STR("range")))
            return tmpl_parse_fail(p, "too many declarations in %s", context);
        v = tmpl_parse_next_solid(p);
        if (v.kind != TMPL_T_VARIABLE)
            return tmpl_parse_fail(p, "range can only initialize variables");
        ret->v[ret->n++] = v;
        t = tmpl_parse_peek_solid(p);
        if (t.kind == TMPL_T_CHAR && t.text.p[0] == ',')
            return tmpl_parse_fail(p, "too many declarations in range");
        if (t.kind != TMPL_T_ASSIGN && t.kind != TMPL_T_DECLARE)
            return tmpl_parse_unexpected(p, t, context);
    } else if (t.kind != TMPL_T_ASSIGN && t.kind != TMPL_T_DECLARE) {
        if (behind.kind == TMPL_T_SPACE)
            tmpl_parse_back(p, behind);
        tmpl_parse_back(p, v);
        ret->n = 0;
        return 0;
    }
    (void)tmpl_parse_next_solid(p);
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
            return tmpl_parse_fail(p, "more than %d variables", TMPL_VARS_MAX);
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

int tmpl_pipeline_parse(struct tmpl_parser *p, const char *context, enum tmpl_token_kind end,
                        struct tmpl_node **ret)
{
    struct tmpl_node *pipe = tmpl_parse_node(p, TMPL_N_PIPE, tmpl_parse_peek_solid(p).pos);
    struct tmpl_node **link;
    struct decls decls = {.n = 0};
    int r = pipe == NULL ? p->err->code : tmpl_parse_enter(p);

    if (r == 0)
        r = parse_decls(p, context, &decls);
    if (r < 0)
        return r;
    link = &pipe->pipe.cmds;
    for (;;) {
        struct tmpl_token t = tmpl_parse_next_solid(p);
        if (t.kind == end)
            break;
        if (t.kind != TMPL_T_OPEN && (t.kind < TMPL_T_FIELD || t.kind > TMPL_T_NUMBER))
            return tmpl_parse_unexpected(p, t, context);
        tmpl_parse_back(p, t);
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
