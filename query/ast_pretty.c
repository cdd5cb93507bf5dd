/*
 * query/ast_pretty.c - see ast_pretty.h.
 *
 * The layout is Loki's, whose editors show it, where that loses nothing: operands of a broken
 * operator get the parentheses that they need, a chain of `or` stays whole.
 *
 * Whether a part fits is tried by printing it into a buffer of one line, which ends where that is
 * full: so a try costs a line, however long the part is.
 */
#include "query/ast_pretty.h"

#include "query/units.h"

enum { LINE_MAX_BYTES = 100 };

struct printer {
    struct buf *out;
    struct buf line; /* what was tried last */
};

static void put_node(struct printer *p, const struct ast_node *n, unsigned level);

static void put_indent(struct printer *p, unsigned level)
{
    for (; level > 0; level--)
        buf_add_z(p->out, "  ");
}

static void put_line_end(struct printer *p, unsigned level)
{
    buf_add_char(p->out, '\n');
    put_indent(p, level);
}

static bool fits(struct printer *p, const struct ast_node *n)
{
    buf_clear(&p->line);
    ast_print(n, &p->line);
    return !p->line.over;
}

/* ---- pipelines ---- */

/* Neighbouring line filters: those that fit in one line, each other one below.  Returns the stage
 * behind them. */
static const struct ast_stage *put_line_filters(struct printer *p, const struct ast_stage *s,
                                                unsigned level)
{
    bool in_first = true;

    put_line_end(p, level);
    buf_clear(&p->line);
    for (; s != NULL && s->kind == STAGE_LINE_FILTER && !p->out->over; s = s->next) {
        for (const struct ast_line_arg *a = s->line.args, *next; a != NULL; a = next) {
            size_t before = p->line.n;
            if (in_first) {
                buf_add_z(&p->line, before > 0 ? " " : "");
                next = ast_print_line_part(s, a, &p->line);
                if (!p->line.over)
                    continue;
                in_first = false;
                buf_add(p->out, p->line.p, before);
            } else {
                before = 1;
            }
            if (before > 0)
                put_line_end(p, level);
            next = ast_print_line_part(s, a, p->out);
        }
    }
    if (in_first)
        buf_add_str(p->out, buf_str(&p->line));
    return s;
}

static void put_stages(struct printer *p, const struct ast_stage *s, unsigned level)
{
    while (s != NULL && !p->out->over) {
        if (s->kind == STAGE_LINE_FILTER) {
            s = put_line_filters(p, s, level);
            continue;
        }
        put_line_end(p, level);
        ast_print_stage(s, p->out);
        s = s->next;
    }
}

/* A selector and its stages. */
static void put_pipeline(struct printer *p, const struct ast_log *l, unsigned level)
{
    put_indent(p, level);
    buf_clear(&p->line);
    ast_print_selector(l, &p->line);
    for (const struct ast_stage *s = l->stages; s != NULL && !p->line.over; s = s->next) {
        buf_add_char(&p->line, ' ');
        ast_print_stage(s, &p->line);
    }
    if (!p->line.over) {
        buf_add_str(p->out, buf_str(&p->line));
        return;
    }
    ast_print_selector(l, p->out);
    put_stages(p, l->stages, level + 1);
}

/* The argument of a range aggregation. */
static void put_log_range(struct printer *p, const struct ast_log *l, unsigned level)
{
    put_pipeline(p, l, level);
    if (l->unwrap != NULL && l->unwrap->unit != UNWRAP_DISTINCT) {
        put_line_end(p, level + 1);
        ast_print_unwrap(l->unwrap, p->out);
        put_stages(p, l->unwrap->filters, level + 1);
    }
    buf_add_z(p->out, " [");
    units_print_range(p->out, l->range);
    buf_add_char(p->out, ']');
    if (l->offset == 0)
        return;
    buf_add_z(p->out, " offset ");
    units_print_duration(p->out, l->offset);
}

/* ---- expressions ---- */

static void put_grouping(struct printer *p, const struct ast_grouping *g)
{
    if (!g->present)
        return;
    buf_add_z(p->out, g->without ? " without " : " by ");
    ast_print_names(g->names, ", ", p->out);
}

/* Opens the list of arguments, with the parameter if there is one. */
static void put_open(struct printer *p, const struct ast_node *n, bool has_param, unsigned level)
{
    buf_add_z(p->out, "(\n");
    if (!has_param)
        return;
    put_indent(p, level + 1);
    ast_print_param(n, p->out);
    buf_add_z(p->out, ",\n");
}

static void put_close(struct printer *p, unsigned level)
{
    put_line_end(p, level);
    buf_add_char(p->out, ')');
}

static void put_range(struct printer *p, const struct ast_node *n, unsigned level)
{
    buf_add_z(p->out, lex_kind_name(n->range.op));
    put_open(p, n, n->range.has_param, level);
    put_log_range(p, n->range.log, level + 1);
    put_close(p, level);
    put_grouping(p, &n->range.grouping);
}

static void put_aggregate(struct printer *p, const struct ast_node *n, unsigned level)
{
    buf_add_z(p->out, lex_kind_name(n->aggregate.op));
    if (!ast_groups_all(&n->aggregate.grouping))
        put_grouping(p, &n->aggregate.grouping);
    put_open(p, n, n->aggregate.has_param, level);
    put_node(p, n->aggregate.expr, level + 1);
    put_close(p, level);
}

static void put_replace(struct printer *p, const struct ast_node *n, unsigned level)
{
    const struct str args[] = {n->replace.dst, n->replace.replacement, n->replace.src,
                               n->replace.pattern};

    buf_add_z(p->out, "label_replace(\n");
    put_node(p, n->replace.expr, level + 1);
    for (size_t i = 0; i < 4; i++) {
        buf_add_char(p->out, ',');
        put_line_end(p, level + 1);
        quote_add(p->out, args[i]);
    }
    put_close(p, level);
}

/* Would `kid`, without parentheses, be parsed into something else? */
static bool needs_parentheses(const struct ast_node *n, const struct ast_node *kid)
{
    int prec = ast_precedence(n->binary.op);
    bool from_right = prec == AST_PRECEDENCE_MAX;
    int inner;

    if (kid->kind != NODE_BINARY)
        return false;
    inner = ast_precedence(kid->binary.op);
    return inner < prec || (inner == prec && (kid == n->binary.left) == from_right);
}

static void put_operand(struct printer *p, const struct ast_node *n, const struct ast_node *kid,
                        unsigned level)
{
    if (!needs_parentheses(n, kid) || fits(p, kid)) { /* one line has its own */
        put_node(p, kid, level);
        return;
    }
    put_indent(p, level);
    buf_add_z(p->out, "(\n");
    put_node(p, kid, level + 1);
    put_close(p, level);
}

static void put_binary(struct printer *p, const struct ast_node *n, unsigned level)
{
    put_operand(p, n, n->binary.left, level + 1);
    put_line_end(p, level);
    ast_print_operator(n, ", ", p->out);
    buf_add_char(p->out, '\n');
    put_operand(p, n, n->binary.right, level + 1);
}

static void put_broken(struct printer *p, const struct ast_node *n, unsigned level)
{
    switch (n->kind) {
    case NODE_RANGE:
        put_range(p, n, level);
        return;
    case NODE_AGGREGATE:
        put_aggregate(p, n, level);
        return;
    case NODE_LABEL_REPLACE:
        put_replace(p, n, level);
        return;
    case NODE_LITERAL:
    case NODE_VECTOR:
        ast_print(n, p->out);
        return;
    case NODE_LOG:
    case NODE_BINARY:
        return; /* put_node has done these */
    }
}

static void put_node(struct printer *p, const struct ast_node *n, unsigned level)
{
    if (p->out->over)
        return;
    if (n->kind == NODE_LOG) {
        put_pipeline(p, n->log, level);
    } else if (fits(p, n)) {
        put_indent(p, level);
        buf_add_str(p->out, buf_str(&p->line));
    } else if (n->kind == NODE_BINARY) {
        put_binary(p, n, level);
    } else {
        put_indent(p, level);
        put_broken(p, n, level);
    }
}

void ast_pretty(const struct ast_node *n, struct buf *out)
{
    struct printer p = {.out = out};

    buf_init(&p.line, LINE_MAX_BYTES);
    put_node(&p, n, 0);
    buf_fini(&p.line);
}
