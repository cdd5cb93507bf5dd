/*
 * query/tmpl_exec.c - executing a template, see tmpl.h.
 *
 * Evaluation follows Go's text/template step by step, down to what r->at is when something fails:
 * the message names that node.  An error travels as a negative code: ERR_INVALID is the template's
 * own (r->error says it), everything else ends the query.
 *
 * Invariants
 *   (1) r->depth <= TMPL_DEPTH_MAX: recursion is bounded, however templates call each other;
 *   (2) every node costs a step, every byte made is counted: execution is bounded.
 */
#include "query/tmpl_internal.h"

#include <string.h>

enum {
    ERROR_TEXT_MAX = 8192,
    FEW_ARGS = 6,
    NO_TYPE = '\0', /* the receiver of fields */
    JUMP_BREAK = 1,
    JUMP_CONTINUE = 2
};

/* An argument list: nodes, and what comes through the pipe behind them (or NULL). */
struct args {
    const struct tmpl_node *first; /* behind the function's or field's own node */
    size_t n;
    const struct tmpl_value *final;
};

static const struct args no_args = {NULL, 0, NULL};

static int eval_pipe(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *pipe,
                     struct tmpl_value *ret);
static int eval_fields(struct tmpl_run *r, const struct tmpl_node *n, struct tmpl_value receiver,
                       const struct tmpl_value *dot, struct args args, struct tmpl_value *ret);
static int eval_arg(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
                    char type, struct tmpl_value *ret);
static int walk(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *list);

/* As tmpl_full, where no function is called. */
static int full_here(struct tmpl_run *r)
{
    int x = tmpl_full(r);

    return x == ERR_INVALID ? tmpl_error(r, "it makes more than %d bytes", TMPL_BYTES_MAX) : x;
}

static int step(struct tmpl_run *r)
{
    if (r->steps == 0)
        return tmpl_error(r, "it takes more than %d steps", TMPL_STEPS_MAX);
    r->steps--;
    return 0;
}

/* ---- types of arguments ---- */

/* NULL: any will do. */
static const char *type_name(char type)
{
    return type == 's'   ? "string"
           : type == 'i' ? "int"
           : type == 'f' ? "float64"
           : type == 't' ? "time.Time"
           : type == 'd' ? "time.Duration"
                         : NULL;
}

/* Make *v what a parameter of `type` takes, or fail. */
static int check_type(struct tmpl_run *r, struct tmpl_value *v, char type)
{
    const char *name = type_name(type);

    if (type == NO_TYPE)
        return 0;
    if (name != NULL && v->kind == TMPL_NONE && v->boxed)
        return tmpl_error(r, "wrong type for value; expected %s; got interface {}", name);
    v->boxed = false;
    if (name == NULL || (type == 's' && v->kind == TMPL_STRING) ||
        (type == 'i' && v->kind == TMPL_INT) || (type == 'f' && v->kind == TMPL_FLOAT) ||
        (type == 't' && v->kind == TMPL_TIME) || (type == 'd' && v->kind == TMPL_DURATION))
        return 0;
    if (v->kind == TMPL_NONE)
        return tmpl_error(r, "invalid value; expected %s", name);
    return tmpl_error(r, "wrong type for value; expected %s; got %s", name, tmpl_type_name(v));
}

/* A number where no type is asked for. */
static struct tmpl_value number_value(const struct tmpl_node *n)
{
    return n->number.is_float ? tmpl_of_float(n->number.f) : tmpl_of_int(TMPL_INT, n->number.i);
}

/* A literal as an argument of `type`. */
static int literal(struct tmpl_run *r, const struct tmpl_node *n, char type, struct tmpl_value *ret)
{
    struct buf text;
    int x;

    if (n->kind == TMPL_N_NUMBER && (type == 'i' || type == 'd') && n->number.is_int) {
        *ret = tmpl_of_int(type == 'i' ? TMPL_INT : TMPL_DURATION, n->number.i);
        return 0;
    }
    if (n->kind == TMPL_N_NUMBER && type == 'f') {
        *ret = tmpl_of_float(n->number.f);
        return 0;
    }
    if (n->kind == TMPL_N_STRING && (type == 's' || type == 'a')) {
        *ret = tmpl_of_str(n->string.value);
        return 0;
    }
    if (type == 'a') {
        *ret = n->kind == TMPL_N_BOOL ? tmpl_of_bool(n->b) : number_value(n);
        return 0;
    }
    buf_init(&text, ERROR_TEXT_MAX);
    tmpl_node_print(n, &text);
    if (type == 't')
        x = tmpl_error(r, "can't handle %.*s for arg of type time.Time", STR_ARG(buf_str(&text)));
    else
        x = tmpl_error(r, "expected %s; found %.*s",
                       type == 's'                  ? "string"
                       : type == 'i' || type == 'd' ? "integer"
                                                    : "float",
                       STR_ARG(buf_str(&text)));
    buf_fini(&text);
    return x;
}

static int eval_call(struct tmpl_run *r, const struct tmpl_value *dot,
                     const struct tmpl_node *ident, const struct tmpl_node *cmd, struct args args,
                     struct tmpl_value *ret);

static int eval_nil(struct tmpl_run *r, char type, struct tmpl_value *ret)
{
    const char *name = type_name(type);

    *ret = (struct tmpl_value){.kind = TMPL_NONE};
    return name == NULL ? 0 : tmpl_error(r, "cannot assign nil to %s", name);
}

/* What stands before the fields of a chain, and those. */
static int eval_chain(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
                      struct args args, struct tmpl_value *ret)
{
    int x;

    r->at = n;
    if (n->field.node->kind == TMPL_N_NIL)
        return tmpl_error(r, "indirection through explicit nil in nil");
    x = eval_arg(r, dot, n->field.node, NO_TYPE, ret);
    return x < 0 ? x : eval_fields(r, n, *ret, dot, args, ret);
}

/* A node as an argument of `type`. */
static int eval_arg(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n,
                    char type, struct tmpl_value *ret)
{
    int x = step(r);

    r->at = n;
    if (x < 0)
        return x;
    if (n->kind == TMPL_N_NIL)
        return eval_nil(r, type, ret);
    if (n->kind >= TMPL_N_BOOL)
        return literal(r, n, type, ret);
    if (n->kind == TMPL_N_DOT)
        *ret = *dot;
    else if (n->kind == TMPL_N_FIELD)
        x = eval_fields(r, n, *dot, dot, no_args, ret);
    else if (n->kind == TMPL_N_VARIABLE)
        x = eval_fields(r, n, r->slots[n->field.slot], dot, no_args, ret);
    else if (n->kind == TMPL_N_PIPE)
        x = eval_pipe(r, dot, n, ret);
    else if (n->kind == TMPL_N_IDENTIFIER)
        x = eval_call(r, dot, n, n, no_args, ret);
    else
        x = eval_chain(r, dot, n, no_args, ret);
    return x < 0 ? x : check_type(r, ret, type);
}

/* ---- functions ---- */

static char type_of_arg(const struct tmpl_func *f, size_t n_types, bool variadic, size_t i)
{
    if (i < n_types)
        return f->types[i];
    return variadic && n_types > 0 ? f->types[n_types - 1] : 'a';
}

/* and, or: only as many arguments are evaluated as it takes. */
static int eval_logic(struct tmpl_run *r, const struct tmpl_value *dot, bool is_or,
                      struct args args, struct tmpl_value *ret)
{
    for (const struct tmpl_node *a = args.first; a != NULL; a = a->next) {
        int x = eval_arg(r, dot, a, 'a', ret);
        if (x < 0 || tmpl_is_true(ret) == is_or)
            return x;
    }
    if (args.final != NULL)
        *ret = *args.final;
    return 0;
}

static int check_count(struct tmpl_run *r, const struct tmpl_node *ident, struct args args)
{
    size_t n = args.n + (args.final != NULL);
    size_t want = ident->ident.n_types;

    if (ident->ident.variadic && n < want - 1)
        return tmpl_error(r, "wrong number of args for %s: want at least %zu got %zu",
                          ident->ident.func->name, want - 1, args.n);
    if (!ident->ident.variadic && n != want)
        return tmpl_error(r, "wrong number of args for %s: want %zu got %zu",
                          ident->ident.func->name, want, n);
    return 0;
}

/* `node` is what the message names if the function fails. */
static int call_func(struct tmpl_run *r, const struct tmpl_func *f, const struct tmpl_node *node,
                     const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    size_t bytes = 0;
    int x;

    for (size_t i = 0; i < n; i++)
        bytes += v[i].kind == TMPL_STRING ? v[i].s.n : 0;
    *ret = (struct tmpl_value){.kind = TMPL_NONE};
    x = tmpl_step(r, bytes / TMPL_STEP_BYTES); /* it will look at all of them */
    if (x == 0)
        x = f->fn(r, v, n, ret);
    if (x == ERR_INVALID) { /* put the place before the reason */
        struct str reason = arena_str(r->in->arena, buf_str(&r->error));
        if (reason.p == NULL)
            return arena_err(r->in->arena, r->err);
        r->at = node;
        return tmpl_error(r, "error calling %s: %.*s", f->name, STR_ARG(reason));
    }
    return x;
}

/* The function that `ident` names; `cmd` is what messages name. */
static int eval_call(struct tmpl_run *r, const struct tmpl_value *dot,
                     const struct tmpl_node *ident, const struct tmpl_node *cmd, struct args args,
                     struct tmpl_value *ret)
{
    const struct tmpl_func *f = ident->ident.func;
    struct tmpl_value few[FEW_ARGS];
    struct tmpl_value *v = few;
    size_t n = args.n + (args.final != NULL);
    size_t i = 0;
    int x;

    r->at = ident;
    x = check_count(r, ident, args);
    if (x < 0)
        return x;
    if (f->fn == NULL)
        return eval_logic(r, dot, f->name[0] == 'o', args, ret);
    if (n > FEW_ARGS && (v = tmpl_alloc(r, n * sizeof(*v))) == NULL)
        return full_here(r);
    for (const struct tmpl_node *a = args.first; a != NULL && i < args.n; a = a->next, i++) {
        x = eval_arg(r, dot, a, type_of_arg(f, ident->ident.n_types, ident->ident.variadic, i),
                     &v[i]);
        if (x < 0)
            return x;
    }
    if (args.final != NULL) {
        v[i] = *args.final;
        x = check_type(r, &v[i], type_of_arg(f, ident->ident.n_types, ident->ident.variadic, i));
        if (x < 0)
            return x;
    }
    return call_func(r, f, cmd, v, n, ret);
}

/* ---- fields ---- */

static int eval_method(struct tmpl_run *r, const struct tmpl_func *f, const struct tmpl_value *self,
                       const struct tmpl_value *dot, struct args args, struct tmpl_value *ret)
{
    struct tmpl_value v[4] = {*self};
    size_t n = strlen(f->types);
    size_t i = 1;
    const struct tmpl_node *at = r->at;

    if (args.n + (args.final != NULL) != n - 1)
        return tmpl_error(r, "wrong number of args for %s: want %zu got %zu", f->name, n - 1,
                          args.n + (args.final != NULL));
    for (const struct tmpl_node *a = args.first; a != NULL && i < n; a = a->next, i++) {
        int x = eval_arg(r, dot, a, f->types[i], &v[i]);
        if (x < 0)
            return x;
    }
    if (args.final != NULL) {
        int x;
        v[i] = *args.final;
        x = check_type(r, &v[i], f->types[i]);
        if (x < 0)
            return x;
    }
    return call_func(r, f, at, v, n, ret);
}

static int eval_field(struct tmpl_run *r, struct str name, const struct tmpl_value *dot,
                      struct args args, struct tmpl_value *v)
{
    const struct tmpl_func *method;
    struct tmpl_value found;

    if (v->kind == TMPL_NONE && !v->boxed)
        return 0; /* of nothing, nothing */
    if (v->kind == TMPL_NONE)
        return tmpl_error(r, "nil pointer evaluating interface {}.%.*s", STR_ARG(name));
    method = tmpl_time_method(v->kind, name);
    if (method != NULL) {
        struct tmpl_value self = *v;
        return eval_method(r, method, &self, dot, args, v);
    }
    if (v->kind == TMPL_LABELS || v->kind == TMPL_MAP) {
        bool there;
        if (args.n > 0 || args.final != NULL)
            return tmpl_error(r, "%.*s is not a method but has arguments", STR_ARG(name));
        there = tmpl_map_get(v, name, &found);
        if (there || v->kind == TMPL_LABELS || v->map->type == NULL) {
            *v = found;
            return 0;
        }
    }
    return tmpl_error(r, "can't evaluate field %.*s in type %s", STR_ARG(name),
                      v->boxed ? "interface {}" : tmpl_type_name(v));
}

/* The fields of `n` one after the other, from `receiver` on; the last one gets the arguments. */
static int eval_fields(struct tmpl_run *r, const struct tmpl_node *n, struct tmpl_value receiver,
                       const struct tmpl_value *dot, struct args args, struct tmpl_value *ret)
{
    int x = 0;

    if (n->kind != TMPL_N_CHAIN) /* of a chain, Go names what stands before the fields */
        r->at = n;
    for (size_t i = 0; i < n->field.n && x == 0; i++)
        x = eval_field(r, n->field.name[i], dot, i + 1 == n->field.n ? args : no_args, &receiver);
    *ret = receiver;
    return x;
}

/* ---- pipelines ---- */

static int not_a_function(struct tmpl_run *r, const struct tmpl_node *first, struct args args)
{
    struct buf text;
    int x;

    if (args.n == 0 && args.final == NULL)
        return 0;
    buf_init(&text, ERROR_TEXT_MAX);
    tmpl_node_print(first, &text);
    x = tmpl_error(r, "can't give argument to non-function %.*s", STR_ARG(buf_str(&text)));
    buf_fini(&text);
    return x;
}

static int eval_command(struct tmpl_run *r, const struct tmpl_value *dot,
                        const struct tmpl_node *cmd, const struct tmpl_value *final,
                        struct tmpl_value *ret)
{
    const struct tmpl_node *first = cmd->command.args;
    struct args args = {first->next, cmd->command.n - 1, final};
    int x = step(r);

    if (x < 0)
        return x;
    if (first->kind == TMPL_N_FIELD)
        return eval_fields(r, first, *dot, dot, args, ret);
    if (first->kind == TMPL_N_IDENTIFIER)
        return eval_call(r, dot, first, cmd, args, ret);
    if (first->kind == TMPL_N_CHAIN)
        return eval_chain(r, dot, first, args, ret);
    if (first->kind == TMPL_N_VARIABLE && first->field.n > 0)
        return eval_fields(r, first, r->slots[first->field.slot], dot, args, ret);
    if (first->kind != TMPL_N_PIPE)
        r->at = first;
    x = not_a_function(r, first, args);
    if (x < 0)
        return x;
    if (first->kind == TMPL_N_NIL)
        return tmpl_error(r, "nil is not a command");
    return eval_arg(r, dot, first, 'a', ret);
}

static int eval_pipe(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *pipe,
                     struct tmpl_value *ret)
{
    struct tmpl_value v = {.kind = TMPL_NONE};
    bool first = true;
    int x = 0;

    if (++r->depth > TMPL_DEPTH_MAX)
        return tmpl_error(r, "nested deeper than %d levels", TMPL_DEPTH_MAX);
    r->at = pipe;
    for (const struct tmpl_node *c = pipe->pipe.cmds; c != NULL && x == 0; c = c->next) {
        struct tmpl_value before = v;
        x = eval_command(r, dot, c, first ? NULL : &before, &v);
        v.boxed = false; /* from here on it has the type of what it holds */
        first = false;
    }
    r->depth--;
    if (x < 0)
        return x;
    for (const struct tmpl_node *d = pipe->pipe.decls; d != NULL; d = d->next)
        r->slots[d->field.slot] = v;
    *ret = v;
    return 0;
}

/* ---- walking ---- */

int tmpl_run_define(struct tmpl_run *r, const struct tmpl_define *d, const struct tmpl_value *dot)
{
    const struct tmpl_define *outer = r->define;
    struct tmpl_value *outer_slots = r->slots;
    int x;

    r->slots = tmpl_alloc(r, d->n_slots * sizeof(*r->slots));
    if (r->slots == NULL) {
        r->slots = outer_slots;
        return full_here(r);
    }
    r->define = d;
    r->slots[0] = *dot;
    if (outer == NULL) /* variables of the environment are those of the root alone */
        for (size_t i = 0; i < r->t->n_vars; i++)
            r->slots[1 + i] = r->in->vars[i];
    x = walk(r, dot, d->root);
    if (x >= 0) { /* else messages are still to name the inner one */
        r->define = outer;
        r->slots = outer_slots;
    }
    return x;
}

static int walk_call(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
    const struct tmpl_define *d = tmpl_find(r->t, n->call.name);
    struct tmpl_value v = {.kind = TMPL_NONE};
    int x = 0;

    r->at = n;
    if (d == NULL)
        return tmpl_error(r, "template \"%.*s\" not defined",
                          STR_ARG(str_sub(n->call.name, 0, 80)));
    if (n->call.pipe != NULL)
        x = eval_pipe(r, dot, n->call.pipe, &v);
    if (x == 0 && r->depth >= TMPL_DEPTH_MAX)
        return tmpl_error(r, "exceeded maximum template depth (%d)", TMPL_DEPTH_MAX);
    return x < 0 ? x : tmpl_run_define(r, d, &v);
}

/* One turn of a range; JUMP_BREAK ends it. */
static int turn(struct tmpl_run *r, const struct tmpl_node *n, const struct tmpl_value *index,
                const struct tmpl_value *element)
{
    const struct tmpl_node *first = n->branch.pipe->pipe.decls;
    int x = step(r);

    if (x < 0)
        return x;
    if (first != NULL && first->next != NULL) {
        r->slots[first->field.slot] = *index;
        r->slots[first->next->field.slot] = *element;
    } else if (first != NULL) {
        r->slots[first->field.slot] = *element;
    }
    x = walk(r, element, n->branch.body);
    return x == JUMP_CONTINUE ? 0 : x;
}

static int range_map(struct tmpl_run *r, const struct tmpl_node *n, const struct tmpl_value *v,
                     bool *any)
{
    struct labels all = {NULL, 0};
    int x = v->kind == TMPL_LABELS ? tmpl_labels_map(r, v, &all) : 0;
    size_t count = v->kind == TMPL_LABELS ? all.n : v->map->n;

    for (size_t i = 0; i < count && x == 0; i++) {
        struct tmpl_value key;
        struct tmpl_value value;
        if (v->kind == TMPL_LABELS) {
            key = tmpl_of_str(all.v[i].name);
            value = tmpl_of_str(all.v[i].value);
        } else {
            key = tmpl_of_str(v->map->v[i].key);
            value = v->map->v[i].value;
            value.boxed = true;
        }
        *any = true;
        x = turn(r, n, &key, &value);
    }
    return x;
}

static int range_over(struct tmpl_run *r, const struct tmpl_node *n, const struct tmpl_value *v,
                      bool *any)
{
    bool two = n->branch.pipe->pipe.decls != NULL && n->branch.pipe->pipe.decls->next != NULL;
    struct tmpl_value index;
    struct buf text;
    int x = 0;

    if (v->kind == TMPL_NONE)
        return 0;
    if (v->kind == TMPL_LABELS || (v->kind == TMPL_MAP && v->map->type == NULL))
        return range_map(r, n, v, any);
    if (v->kind == TMPL_LIST) {
        for (size_t i = 0; i < v->list->n && x == 0; i++) {
            struct tmpl_value element = v->list->v[i];
            element.boxed = true;
            index = tmpl_of_int(TMPL_INT, (int64_t)i);
            *any = true;
            x = turn(r, n, &index, &element);
        }
        return x;
    }
    if (tmpl_is_int(v) && !two) {
        for (int64_t i = 0; i < v->i && x == 0; i++) {
            index = tmpl_of_int(v->kind, i);
            *any = true;
            x = turn(r, n, &index, &index);
        }
        return x;
    }
    buf_init(&text, ERROR_TEXT_MAX);
    x = tmpl_print_value(r, v, &text);
    if (x == 0)
        x = tmpl_error(r,
                       two && tmpl_is_int(v)
                           ? "can't use %.*s to iterate over more than one variable"
                           : "range can't iterate over %.*s",
                       STR_ARG(buf_str(&text)));
    buf_fini(&text);
    return x;
}

static int walk_range(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
    struct tmpl_value v;
    bool any = false;
    int x = eval_pipe(r, dot, n->branch.pipe, &v);

    if (x == 0)
        x = range_over(r, n, &v, &any);
    if (x == JUMP_BREAK)
        return 0;
    if (x == 0 && !any && n->branch.otherwise != NULL)
        x = walk(r, dot, n->branch.otherwise);
    return x;
}

static int walk_branch(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
    struct tmpl_value v;
    int x = eval_pipe(r, dot, n->branch.pipe, &v);

    if (x < 0)
        return x;
    if (tmpl_is_true(&v))
        return walk(r, n->kind == TMPL_N_WITH ? &v : dot, n->branch.body);
    return n->branch.otherwise == NULL ? 0 : walk(r, dot, n->branch.otherwise);
}

static int walk_action(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
    struct tmpl_value v;
    int x;

    r->at = n;
    x = eval_pipe(r, dot, n->branch.pipe, &v);
    if (x < 0 || n->branch.pipe->pipe.decls != NULL)
        return x;
    if (v.kind == TMPL_STRING) {
        buf_add_str(&r->out, v.s);
        return 0;
    }
    if (v.kind == TMPL_NONE) {
        buf_add_z(&r->out, "<no value>");
        return 0;
    }
    return tmpl_print_value(r, &v, &r->out);
}

static int walk_one(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *n)
{
    if (n->kind == TMPL_N_TEXT) {
        buf_add_str(&r->out, n->text);
        return 0;
    }
    if (n->kind == TMPL_N_ACTION)
        return walk_action(r, dot, n);
    if (n->kind == TMPL_N_IF || n->kind == TMPL_N_WITH)
        return walk_branch(r, dot, n);
    if (n->kind == TMPL_N_RANGE)
        return walk_range(r, dot, n);
    if (n->kind == TMPL_N_TEMPLATE)
        return walk_call(r, dot, n);
    return n->kind == TMPL_N_BREAK ? JUMP_BREAK : JUMP_CONTINUE;
}

/* 0, JUMP_BREAK, JUMP_CONTINUE, or an error. */
static int walk(struct tmpl_run *r, const struct tmpl_value *dot, const struct tmpl_node *list)
{
    int x = 0;

    if (++r->depth > TMPL_DEPTH_MAX)
        return tmpl_error(r, "exceeded maximum template depth (%d)", TMPL_DEPTH_MAX);
    for (const struct tmpl_node *n = list->first; n != NULL && x == 0; n = n->next) {
        x = step(r);
        if (x == 0)
            x = walk_one(r, dot, n);
        if (x == 0 && r->out.over) {
            r->at = n;
            x = tmpl_error(r, "the output is longer than %d bytes", TMPL_OUT_MAX);
        }
    }
    r->depth--;
    return x;
}
