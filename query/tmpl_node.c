/* query/tmpl_node.c - nodes of a template as messages show them, and what they use. */
#include "query/tmpl_internal.h"

static void print_fields(const struct tmpl_node *n, struct buf *out)
{
    for (size_t i = 0; i < n->field.n; i++) {
        buf_add_char(out, '.');
        buf_add_str(out, n->field.name[i]);
    }
}

static void print_all(const struct tmpl_node *list, const char *between, struct buf *out)
{
    for (const struct tmpl_node *n = list; n != NULL; n = n->next) {
        if (n != list)
            buf_add_z(out, between);
        tmpl_node_print(n, out);
    }
}

static void print_pipe(const struct tmpl_node *n, struct buf *out)
{
    print_all(n->pipe.decls, ", ", out);
    if (n->pipe.decls != NULL)
        buf_add_z(out, n->pipe.assign ? " = " : " := ");
    print_all(n->pipe.cmds, " | ", out);
}

static void print_args(const struct tmpl_node *n, struct buf *out)
{
    for (const struct tmpl_node *a = n->command.args; a != NULL; a = a->next) {
        if (a != n->command.args)
            buf_add_char(out, ' ');
        if (a->kind == TMPL_N_PIPE)
            buf_add_char(out, '(');
        tmpl_node_print(a, out);
        if (a->kind == TMPL_N_PIPE)
            buf_add_char(out, ')');
    }
}

static void print_call(const struct tmpl_node *n, struct buf *out)
{
    buf_add_z(out, "{{template ");
    tmpl_quote(out, n->call.name, false);
    if (n->call.pipe != NULL) {
        buf_add_char(out, ' ');
        print_pipe(n->call.pipe, out);
    }
    buf_add_z(out, "}}");
}

static void print_chain(const struct tmpl_node *n, struct buf *out)
{
    bool pipe = n->field.node->kind == TMPL_N_PIPE;

    buf_add_z(out, pipe ? "(" : "");
    tmpl_node_print(n->field.node, out);
    buf_add_z(out, pipe ? ")" : "");
    print_fields(n, out);
}

void tmpl_node_print(const struct tmpl_node *n, struct buf *out)
{
    switch (n->kind) {
    case TMPL_N_PIPE:
        print_pipe(n, out);
        return;
    case TMPL_N_COMMAND:
        print_args(n, out);
        return;
    case TMPL_N_IDENTIFIER:
        buf_add_z(out, n->ident.func->name);
        return;
    case TMPL_N_CHAIN:
        print_chain(n, out);
        return;
    case TMPL_N_VARIABLE:
        buf_add_str(out, n->field.variable);
        print_fields(n, out);
        return;
    case TMPL_N_FIELD:
        print_fields(n, out);
        return;
    case TMPL_N_DOT:
        buf_add_char(out, '.');
        return;
    case TMPL_N_NIL:
        buf_add_z(out, "nil");
        return;
    case TMPL_N_BOOL:
        buf_add_z(out, n->b ? "true" : "false");
        return;
    case TMPL_N_NUMBER:
        buf_add_str(out, n->number.text);
        return;
    case TMPL_N_STRING:
        buf_add_str(out, n->string.quoted);
        return;
    case TMPL_N_TEMPLATE:
        print_call(n, out);
        return;
    case TMPL_N_ACTION:
    case TMPL_N_IF:
    case TMPL_N_WITH:
    case TMPL_N_RANGE:
        buf_add_z(out, "{{");
        print_pipe(n->branch.pipe, out);
        buf_add_z(out, "}}");
        return;
    case TMPL_N_LIST:
    case TMPL_N_TEXT:
    case TMPL_N_BREAK:
    case TMPL_N_CONTINUE:
        return;
    }
}

/* ---- what is used ---- */

struct wanted {
    struct str variable, field;
};

static bool uses(const struct tmpl_node *n, const struct wanted *w);

static bool any_uses(const struct tmpl_node *list, const struct wanted *w)
{
    for (const struct tmpl_node *n = list; n != NULL; n = n->next)
        if (uses(n, w))
            return true;
    return false;
}

static bool is_named(const struct tmpl_node *n, const struct wanted *w)
{
    if (n->kind == TMPL_N_VARIABLE && n->field.variable.n > 1)
        return str_eq(str_from(n->field.variable, 1), w->variable);
    if (n->kind == TMPL_N_DOT)
        return true;
    return n->field.n == 0 || str_eq(n->field.name[0], w->field); /* $ is the dot */
}

static bool uses(const struct tmpl_node *n, const struct wanted *w)
{
    if (n == NULL)
        return false;
    switch (n->kind) {
    case TMPL_N_LIST:
        return any_uses(n->first, w);
    case TMPL_N_ACTION:
    case TMPL_N_IF:
    case TMPL_N_RANGE:
    case TMPL_N_WITH:
        return uses(n->branch.pipe, w) || uses(n->branch.body, w) || uses(n->branch.otherwise, w);
    case TMPL_N_TEMPLATE:
        return uses(n->call.pipe, w);
    case TMPL_N_PIPE:
        return any_uses(n->pipe.cmds, w);
    case TMPL_N_COMMAND:
        return any_uses(n->command.args, w);
    case TMPL_N_CHAIN:
        return uses(n->field.node, w);
    case TMPL_N_DOT:
    case TMPL_N_FIELD:
    case TMPL_N_VARIABLE:
        return is_named(n, w);
    case TMPL_N_TEXT:
    case TMPL_N_BREAK:
    case TMPL_N_CONTINUE:
    case TMPL_N_IDENTIFIER:
    case TMPL_N_NIL:
    case TMPL_N_BOOL:
    case TMPL_N_NUMBER:
    case TMPL_N_STRING:
        break;
    }
    return false;
}

bool tmpl_uses(const struct tmpl *t, struct str name, struct str field)
{
    struct wanted w = {name, field};
    bool found = uses(t->root->root, &w);

    for (const struct tmpl_define *d = t->defines; d != NULL && !found; d = d->next)
        found = uses(d->root, &w);
    return found;
}
