/* query/parse.c - see parse.h. */
#include "query/parse.h"

#include "base/near.h"
#include "base/obj.h"
#include "query/arith.h"
#include "query/parse_log.h"
#include "query/query.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TREE_MAX_BYTES = 64 << 20 /* of the tree of one query; its text is at most 128 KiB */ };

/* ---- shared ---- */

int parse_fail(struct parser *p, struct place at, int code, const char *fmt, ...)
{
    char text[sizeof(p->err->text)];
    va_list ap;

    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    p->failed_at = at;
    return err_set(p->err, code, "%s", text);
}

int parse_advance(struct parser *p)
{
    int r = lex_next(&p->lexer, &p->cur, p->err);

    if (r < 0)
        p->failed_at = p->cur.at;
    else if (++p->n_tokens > QUERY_TOKENS_MAX)
        r = parse_fail(p, p->cur.at, ERR_INVALID, "more than %d words and signs in one query",
                       QUERY_TOKENS_MAX);
    return r;
}

int parse_unexpected(struct parser *p, const char *expecting)
{
    const char *found = lex_kind_name(p->cur.kind);

    if (expecting == NULL)
        return parse_fail(p, p->cur.at, ERR_INVALID, "syntax error: unexpected %s", found);
    return parse_fail(p, p->cur.at, ERR_INVALID, "syntax error: unexpected %s, expecting %s", found,
                      expecting);
}

int parse_mistyped(struct parser *p, struct str word, enum token_kind first, enum token_kind last)
{
    const char *found = lex_kind_name(p->cur.kind);
    struct near near;

    near_begin(&near, word);
    for (int k = (int)first; k <= (int)last; k++)
        near_offer(&near, str_of(lex_kind_name((enum token_kind)k)));
    if (near.best.p == NULL)
        return parse_unexpected(p, NULL);
    if (str_eq(near.best, word)) /* a function's name is one only before its call */
        return parse_fail(p, p->cur.at, ERR_INVALID,
                          "syntax error: unexpected %s, %.*s is followed by ( or a grouping (...)",
                          found, STR_ARG(word));
    return parse_fail(p, p->cur.at, ERR_INVALID,
                      "syntax error: unexpected %s, did you mean %.*s instead of %.*s?", found,
                      STR_ARG(near.best), STR_ARG(word));
}

int parse_expect(struct parser *p, enum token_kind kind)
{
    if (p->cur.kind != kind)
        return parse_unexpected(p, lex_kind_name(kind));
    return parse_advance(p);
}

int parse_text(struct parser *p, enum token_kind kind, struct str *text)
{
    *text = kind == TOKEN_STRING ? p->cur.string : p->cur.text;
    return parse_expect(p, kind);
}

int parse_regexp(struct parser *p, struct str *text)
{
    struct place at = p->cur.at;
    int r = parse_text(p, TOKEN_STRING, text);

    if (r == 0) {
        r = ast_count_regexp(p->ast, *text, p->err);
        p->failed_at = at;
    }
    return r;
}

int parse_enter(struct parser *p)
{
    if (p->depth >= QUERY_DEPTH_MAX)
        return parse_fail(p, p->cur.at, ERR_INVALID, "nested deeper than %d levels",
                          QUERY_DEPTH_MAX);
    p->depth++;
    return 0;
}

void parse_leave(struct parser *p)
{
    p->depth--;
}

void *parse_alloc(struct parser *p, size_t bytes)
{
    void *q = arena_alloc(p->ast->arena, bytes);

    if (q == NULL) {
        p->failed_at = p->cur.at;
        (void)arena_err(p->ast->arena, p->err);
    }
    return q;
}

int parse_failed(const struct parser *p)
{
    INVARIANT(p->err->code < 0);
    return p->err->code;
}

/* ---- expressions ---- */

static int parse_expr(struct parser *p, struct ast_node *left, int min, struct ast_node **ret);

static int new_node(struct parser *p, enum node_kind kind, struct place at, struct ast_node **ret)
{
    struct ast_node *n = p->spare;

    if (n != NULL) {
        p->spare = n->binary.left;
        memset(&n->binary, 0, sizeof(n->binary)); /* it was an operator or a number: that is all */
    } else if ((n = parse_alloc(p, sizeof(*n))) == NULL) {
        return parse_failed(p);
    }
    n->kind = kind;
    n->at = at;
    n->depth = 1;
    *ret = n;
    return 0;
}

/* "(" [ IDENT { "," IDENT } ] ")" */
static int parse_names(struct parser *p, struct ast_name **ret)
{
    struct ast_name **link = ret;
    int r = parse_expect(p, TOKEN_OPEN_PAREN);

    if (r == 0 && p->cur.kind == TOKEN_CLOSE_PAREN)
        return parse_advance(p);
    while (r == 0) {
        struct ast_name *n = parse_alloc(p, sizeof(*n));
        if (n == NULL)
            return parse_failed(p);
        r = parse_text(p, TOKEN_IDENTIFIER, &n->name);
        *link = n;
        link = &n->next;
        if (r < 0 || p->cur.kind != TOKEN_COMMA)
            break;
        r = parse_advance(p);
    }
    if (r < 0)
        return r;
    if (p->cur.kind != TOKEN_CLOSE_PAREN)
        return parse_unexpected(p, ", or )");
    return parse_advance(p);
}

static int parse_grouping(struct parser *p, struct ast_grouping *ret)
{
    int r;

    if (p->cur.kind != TOKEN_BY && p->cur.kind != TOKEN_WITHOUT)
        return 0;
    ret->present = true;
    ret->without = p->cur.kind == TOKEN_WITHOUT;
    ret->at = p->cur.at;
    r = parse_advance(p);
    return r < 0 ? r : parse_names(p, &ret->names);
}

/* IDENT "," logRange: an extension.  The label is what is unwrapped. */
static int parse_distinct(struct parser *p, struct ast_node *n)
{
    struct ast_unwrap *u = parse_alloc(p, sizeof(*u));
    int r;

    if (u == NULL)
        return parse_failed(p);
    u->at = p->cur.at;
    u->unit = UNWRAP_DISTINCT;
    r = parse_text(p, TOKEN_IDENTIFIER, &u->label);
    if (r == 0)
        r = parse_expect(p, TOKEN_COMMA);
    if (r == 0)
        r = parse_log_range(p, &n->range.log);
    if (r < 0)
        return r;
    if (n->range.log->unwrap != NULL)
        return parse_fail(p, n->range.log->unwrap->at, ERR_INVALID,
                          "invalid aggregation %s with unwrap: the label stands in front",
                          lex_kind_name(n->range.op));
    n->range.log->unwrap = u;
    n->range.has_param = true;
    n->range.param_text = u->label;
    return 0;
}

/* rangeOp "(" [ NUMBER "," ] logRange ")" [ grouping ] */
static int parse_range_agg(struct parser *p, struct ast_node *n)
{
    int r;

    n->range.op = p->cur.kind;
    r = parse_advance(p);
    if (r == 0)
        r = parse_expect(p, TOKEN_OPEN_PAREN);
    if (r == 0 && p->cur.kind == TOKEN_NUMBER && n->range.op != TOKEN_COUNT_DISTINCT_OVER_TIME) {
        n->range.has_param = true;
        n->range.param = p->cur.number;
        n->range.param_text = p->cur.text;
        r = parse_advance(p);
        if (r == 0)
            r = parse_expect(p, TOKEN_COMMA);
    }
    if (r == 0)
        r = n->range.op == TOKEN_COUNT_DISTINCT_OVER_TIME ? parse_distinct(p, n)
                                                          : parse_log_range(p, &n->range.log);
    if (r == 0)
        r = parse_expect(p, TOKEN_CLOSE_PAREN);
    return r < 0 ? r : parse_grouping(p, &n->range.grouping);
}

/* A NUMBER behind "(" is the parameter if a comma follows, else it begins the expression. */
static int parse_param_or_expr(struct parser *p, struct ast_node *n)
{
    struct token number = p->cur;
    struct ast_node *left = NULL;
    int r;

    if (p->cur.kind != TOKEN_NUMBER)
        return parse_expr(p, NULL, 1, &n->aggregate.expr);
    r = parse_advance(p);
    if (r < 0)
        return r;
    if (p->cur.kind == TOKEN_COMMA) {
        n->aggregate.has_param = true;
        n->aggregate.param = number.number;
        n->aggregate.param_text = number.text;
        r = parse_advance(p);
    } else {
        r = new_node(p, NODE_LITERAL, number.at, &left);
        if (r == 0 && left != NULL)
            left->number = number.number;
    }
    return r < 0 ? r : parse_expr(p, left, 1, &n->aggregate.expr);
}

/* vectorOp [grouping] "(" [ NUMBER "," ] metricExpr ")" [grouping] */
static int parse_vector_agg(struct parser *p, struct ast_node *n)
{
    int r;

    n->aggregate.op = p->cur.kind;
    r = parse_advance(p);
    if (r == 0)
        r = parse_grouping(p, &n->aggregate.grouping);
    if (r == 0)
        r = parse_expect(p, TOKEN_OPEN_PAREN);
    if (r == 0)
        r = parse_param_or_expr(p, n);
    if (r == 0)
        r = parse_expect(p, TOKEN_CLOSE_PAREN);
    if (r == 0 && !n->aggregate.grouping.present)
        r = parse_grouping(p, &n->aggregate.grouping);
    if (r < 0)
        return r;
    if (n->aggregate.expr->kind == NODE_LOG)
        return parse_fail(p, n->aggregate.expr->at, ERR_INVALID,
                          "unexpected log query in %s: it needs a metric query, such as "
                          "count_over_time(...[5m])",
                          lex_kind_name(n->aggregate.op));
    n->depth = n->aggregate.expr->depth + 1;
    return 0;
}

static int parse_vector(struct parser *p, struct ast_node *n)
{
    int r = parse_advance(p);

    if (r == 0)
        r = parse_expect(p, TOKEN_OPEN_PAREN);
    if (r < 0)
        return r;
    n->number = p->cur.number;
    r = parse_expect(p, TOKEN_NUMBER);
    return r < 0 ? r : parse_expect(p, TOKEN_CLOSE_PAREN);
}

static int parse_replace(struct parser *p, struct ast_node *n)
{
    struct str *args[] = {&n->replace.dst, &n->replace.replacement, &n->replace.src,
                          &n->replace.pattern};
    int r = parse_advance(p);

    if (r == 0)
        r = parse_expect(p, TOKEN_OPEN_PAREN);
    if (r == 0)
        r = parse_expr(p, NULL, 1, &n->replace.expr);
    for (size_t i = 0; i < 4 && r == 0; i++) {
        r = parse_expect(p, TOKEN_COMMA);
        if (r == 0)
            r = i == 3 ? parse_regexp(p, args[i]) : parse_text(p, TOKEN_STRING, args[i]);
    }
    if (r == 0)
        r = parse_expect(p, TOKEN_CLOSE_PAREN);
    if (r < 0)
        return r;
    if (n->replace.expr->kind == NODE_LOG)
        return parse_fail(p, n->replace.expr->at, ERR_INVALID,
                          "unexpected log query in label_replace");
    n->depth = n->replace.expr->depth + 1;
    return 0;
}

static int parse_literal(struct parser *p, struct ast_node *n)
{
    bool negative = p->cur.kind == TOKEN_SUB;
    int r = 0;

    n->kind = NODE_LITERAL;
    if (p->cur.kind != TOKEN_NUMBER)
        r = parse_advance(p);
    if (r < 0)
        return r;
    n->number = negative ? -p->cur.number : p->cur.number;
    return parse_expect(p, TOKEN_NUMBER);
}

static int parse_call(struct parser *p, struct ast_node *n)
{
    int r = parse_enter(p);

    if (r < 0)
        return r;
    if (p->cur.kind >= TOKEN_RATE && p->cur.kind <= TOKEN_COUNT_DISTINCT_OVER_TIME) {
        n->kind = NODE_RANGE;
        r = parse_range_agg(p, n);
    } else if (p->cur.kind >= TOKEN_SUM && p->cur.kind <= TOKEN_SORT_DESC) {
        n->kind = NODE_AGGREGATE;
        r = parse_vector_agg(p, n);
    } else if (p->cur.kind == TOKEN_VECTOR) {
        n->kind = NODE_VECTOR;
        r = parse_vector(p, n);
    } else if (p->cur.kind == TOKEN_LABEL_REPLACE) {
        n->kind = NODE_LABEL_REPLACE;
        r = parse_replace(p, n);
    } else if (p->cur.kind == TOKEN_IDENTIFIER) {
        r = parse_mistyped(p, p->cur.text, TOKEN_RATE, TOKEN_LABEL_REPLACE);
    } else {
        r = parse_unexpected(p, NULL);
    }
    parse_leave(p);
    return r;
}

static int parse_primary(struct parser *p, struct ast_node **ret)
{
    struct place at = p->cur.at;
    int r;

    if (p->cur.kind == TOKEN_OPEN_PAREN) {
        r = parse_enter(p);
        if (r == 0)
            r = parse_advance(p);
        if (r == 0)
            r = parse_expr(p, NULL, 1, ret);
        if (r < 0)
            return r;
        parse_leave(p);
        return parse_expect(p, TOKEN_CLOSE_PAREN);
    }
    r = new_node(p, NODE_LOG, at, ret);
    if (r < 0)
        return r;
    if (p->cur.kind == TOKEN_OPEN_BRACE)
        return parse_log_query(p, &(*ret)->log);
    if (p->cur.kind == TOKEN_NUMBER || p->cur.kind == TOKEN_ADD || p->cur.kind == TOKEN_SUB)
        return parse_literal(p, *ret);
    return parse_call(p, *ret);
}

/* ---- binary operators ---- */

/* [ "bool" ] [ ("on"|"ignoring") names [ ("group_left"|"group_right") [ names ] ] ] */
static int parse_modifiers(struct parser *p, struct ast_node *n)
{
    struct ast_grouping *g = &n->binary.matching;
    int r = 0;

    if (p->cur.kind == TOKEN_BOOL) {
        n->binary.return_bool = true;
        r = parse_advance(p);
    }
    if (r < 0 || (p->cur.kind != TOKEN_ON && p->cur.kind != TOKEN_IGNORING))
        return r;
    g->present = true;
    g->without = p->cur.kind == TOKEN_IGNORING;
    g->at = p->cur.at;
    r = parse_advance(p);
    if (r == 0)
        r = parse_names(p, &g->names);
    if (r < 0 || (p->cur.kind != TOKEN_GROUP_LEFT && p->cur.kind != TOKEN_GROUP_RIGHT))
        return r;
    n->binary.side = p->cur.kind == TOKEN_GROUP_LEFT ? GROUP_LEFT : GROUP_RIGHT;
    r = parse_advance(p);
    if (r == 0 && p->cur.kind == TOKEN_OPEN_PAREN)
        r = parse_names(p, &n->binary.include);
    return r;
}

static void put_spare(struct parser *p, struct ast_node *n)
{
    n->binary.left = p->spare;
    p->spare = n;
}

/* Two literals become one. */
static void fold(struct parser *p, struct ast_node *n)
{
    double a = n->binary.left->number;
    double b = n->binary.right->number;
    double v = ast_is_comparison(n->binary.op) ? (arith_compare(n->binary.op, a, b) ? 1.0 : 0.0)
                                               : arith_apply(n->binary.op, a, b);

    put_spare(p, n->binary.left);
    put_spare(p, n->binary.right);
    n->kind = NODE_LITERAL;
    n->depth = 1;
    n->number = v;
}

/* Rules on the operands of `n`; folds it where that can be. */
static int finish_binary(struct parser *p, struct ast_node *n)
{
    const struct ast_node *legs[] = {n->binary.left, n->binary.right};
    const char *op = lex_kind_name(n->binary.op);

    for (size_t i = 0; i < 2; i++) {
        const char *leg = i == 0 ? "left" : "right";
        if (legs[i]->kind == NODE_LOG)
            return parse_fail(p, legs[i]->at, ERR_INVALID,
                              "unexpected type for %s leg of binary operation (%s): a log query",
                              leg, op);
        if (legs[i]->kind == NODE_LITERAL && ast_is_set(n->binary.op))
            return parse_fail(p, legs[i]->at, ERR_INVALID,
                              "unexpected literal for %s leg of logical/set binary operation (%s)",
                              leg, op);
        if (legs[i]->depth >= n->depth)
            n->depth = legs[i]->depth + 1;
    }
    if (legs[0]->kind == NODE_LITERAL && legs[1]->kind == NODE_LITERAL)
        fold(p, n);
    if (n->depth > QUERY_DEPTH_MAX)
        return parse_fail(p, n->at, ERR_INVALID, "more than %d operators in a row or nested",
                          QUERY_DEPTH_MAX);
    return 0;
}

static int parse_binary(struct parser *p, struct ast_node **left)
{
    int prec = ast_precedence(p->cur.kind);
    bool right_assoc = prec == AST_PRECEDENCE_MAX;
    struct ast_node *n = NULL;
    int r = new_node(p, NODE_BINARY, p->cur.at, &n);

    if (r == 0)
        r = parse_enter(p);
    if (r < 0)
        return r;
    n->binary.op = p->cur.kind;
    n->binary.left = *left;
    r = parse_advance(p);
    if (r == 0)
        r = parse_modifiers(p, n);
    if (r == 0)
        r = parse_expr(p, NULL, right_assoc ? prec : prec + 1, &n->binary.right);
    if (r == 0)
        r = finish_binary(p, n);
    parse_leave(p);
    *left = n;
    return r;
}

/* An expression of operators of at least precedence `min`, beginning with `left` if not NULL. */
static int parse_expr(struct parser *p, struct ast_node *left, int min, struct ast_node **ret)
{
    int r = left == NULL ? parse_primary(p, &left) : 0;

    while (r == 0 && ast_precedence(p->cur.kind) >= min)
        r = parse_binary(p, &left);
    *ret = left;
    return r;
}

int parse_query(struct str text, struct ast *ret, struct place *at, struct err *err)
{
    struct parser p = {.ast = ret, .err = err, .failed_at = {1, 1}};
    int r;

    ast_init(ret, TREE_MAX_BYTES);
    if (text.n > QUERY_TEXT_MAX) {
        *at = p.failed_at;
        return err_set(err, ERR_INVALID, "input size too long (%zu > %d)", text.n, QUERY_TEXT_MAX);
    }
    lex_init(&p.lexer, text, ret->arena);
    r = parse_advance(&p);
    if (r == 0)
        r = parse_expr(&p, NULL, 1, &ret->root);
    if (r == 0 && p.cur.kind != TOKEN_END)
        r = parse_unexpected(&p, NULL);
    *at = p.failed_at;
    return r;
}
