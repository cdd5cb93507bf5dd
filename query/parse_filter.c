/*
 * query/parse_filter.c - see parse_filter.h.
 *
 * The operators of label filters group in a way of their own: `and` before `or`, but a comma or
 * nothing at all between two filters takes everything to its right first, so that `x=1, y=2 or z=3`
 * is `x and (y or z)`.  Hence an operator-precedence parser with a stack: before an operator is
 * pushed, those on the stack are applied that bind at least as tightly, but only words among
 * themselves; a comma neither applies others nor is applied before the end.
 */
#include "query/parse_filter.h"

#include "base/obj.h"
#include "base/vec.h"
#include "query/query.h"

#include <string.h>

struct stack {
    VEC(struct ast_filter *) operands;
    VEC(enum token_kind) operators; /* AND, OR, COMMA */
};

static struct ast_filter *new_filter(struct parser *p, enum filter_kind kind, struct place at)
{
    struct ast_filter *f = parse_alloc(p, sizeof(*f));

    if (f != NULL) {
        f->kind = kind;
        f->at = at;
        f->depth = 1;
    }
    return f;
}

static void append_kid(struct ast_filter *parent, struct ast_filter *kid)
{
    if (parent->last == NULL)
        parent->first = kid;
    else
        parent->last->next = kid;
    parent->last = kid;
    if (kid->depth >= parent->depth)
        parent->depth = kid->depth + 1;
}

/* Append `f`, or its kids where it is of the same kind as `parent`: and, or are associative. */
static void append_flat(struct ast_filter *parent, struct ast_filter *f)
{
    if (f->kind != parent->kind) {
        append_kid(parent, f);
        return;
    }
    if (parent->last == NULL)
        parent->first = f->first;
    else
        parent->last->next = f->first;
    parent->last = f->last;
    if (f->depth > parent->depth)
        parent->depth = f->depth;
}

/* Replace the two topmost operands by what the topmost operator makes of them. */
static int apply_top(struct parser *p, struct stack *s)
{
    enum token_kind op = s->operators.p[--s->operators.n];
    struct ast_filter *b = s->operands.p[--s->operands.n];
    struct ast_filter **a = &s->operands.p[s->operands.n - 1];
    enum filter_kind kind = op == TOKEN_OR ? FILTER_OR : FILTER_AND;
    struct ast_filter *f = *a;

    if (f->kind != kind) {
        f = new_filter(p, kind, (*a)->at);
        if (f == NULL)
            return parse_failed(p);
        append_kid(f, *a);
    }
    append_flat(f, b);
    f->first->opens++;
    f->last->closes++;
    if (f->depth > QUERY_DEPTH_MAX)
        return parse_fail(p, f->at, ERR_INVALID, "label filters nested deeper than %d levels",
                          QUERY_DEPTH_MAX);
    *a = f;
    return 0;
}

/* The operator of a matcher; false: it is none. */
static bool match_of(enum token_kind token, enum match_op *ret)
{
    if (token != TOKEN_EQ && token != TOKEN_NEQ && token != TOKEN_RE && token != TOKEN_NRE)
        return false;
    *ret = token == TOKEN_EQ    ? MATCH_EQ
           : token == TOKEN_NEQ ? MATCH_NE
           : token == TOKEN_RE  ? MATCH_RE
                                : MATCH_NRE;
    return true;
}

static int parse_value(struct parser *p, struct matcher *ret, struct place *at)
{
    *at = p->cur.at;
    return ret->op == MATCH_EQ || ret->op == MATCH_NE ? parse_text(p, TOKEN_STRING, &ret->value)
                                                      : parse_regexp(p, &ret->value);
}

int parse_filter_matcher(struct parser *p, struct str name, struct matcher *ret, struct place *at)
{
    int r;

    *ret = (struct matcher){.op = MATCH_EQ, .name = name};
    if (!match_of(p->cur.kind, &ret->op))
        return parse_unexpected(p, "= or != or =~ or !~");
    r = parse_advance(p);
    return r < 0 ? r : parse_value(p, ret, at);
}

/* Behind the operator of a comparison with a text. */
static int parse_matcher_value(struct parser *p, struct str name, enum token_kind op,
                               struct place at, struct ast_filter *f)
{
    f->kind = FILTER_MATCH;
    f->m = (struct matcher){.op = MATCH_EQ, .name = name};
    if (match_of(op, &f->m.op))
        return parse_value(p, &f->m, &f->at);
    p->cur.kind = op; /* that is what is wrong */
    p->cur.at = at;
    return parse_unexpected(p, "= or != or =~ or !~");
}

static int parse_ip(struct parser *p, struct ast_filter *f, enum token_kind op)
{
    int r;

    f->kind = FILTER_IP;
    f->op = op == TOKEN_EQ ? COMPARE_EQ : COMPARE_NE;
    r = parse_advance(p);
    if (r == 0)
        r = parse_expect(p, TOKEN_OPEN_PAREN);
    if (r == 0)
        r = parse_text(p, TOKEN_STRING, &f->literal);
    return r < 0 ? r : parse_expect(p, TOKEN_CLOSE_PAREN);
}

/* DURATION | BYTES | [ "+" | "-" ] NUMBER */
static int parse_literal(struct parser *p, struct ast_filter *f)
{
    bool negative = p->cur.kind == TOKEN_SUB;
    int r = 0;

    f->literal = p->cur.text;
    if (p->cur.kind == TOKEN_DURATION) {
        f->kind = FILTER_DURATION;
        f->duration = p->cur.duration;
        return parse_advance(p);
    }
    if (p->cur.kind == TOKEN_BYTES) {
        f->kind = FILTER_BYTES;
        f->bytes = p->cur.bytes;
        return parse_advance(p);
    }
    if (negative || p->cur.kind == TOKEN_ADD)
        r = parse_advance(p);
    if (r < 0)
        return r;
    f->kind = FILTER_NUMBER;
    f->number = negative ? -p->cur.number : p->cur.number;
    f->literal = p->cur.text;
    if (negative) {
        f->literal = arena_printf(p->ast->arena, "-%.*s", STR_ARG(p->cur.text));
        if (f->literal.p == NULL)
            return arena_err(p->ast->arena, p->err);
    }
    return parse_expect(p, TOKEN_NUMBER);
}

static bool compare_of(enum token_kind token, enum compare_op *ret)
{
    static const struct {
        enum token_kind token;
        enum compare_op op;
    } table[] = {{TOKEN_EQ, COMPARE_EQ}, {TOKEN_CMP_EQ, COMPARE_EQ}, {TOKEN_NEQ, COMPARE_NE},
                 {TOKEN_GT, COMPARE_GT}, {TOKEN_GTE, COMPARE_GE},    {TOKEN_LT, COMPARE_LT},
                 {TOKEN_LTE, COMPARE_LE}};

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        if (table[i].token == token) {
            *ret = table[i].op;
            return true;
        }
    }
    return false;
}

/* IDENT, or `any` "(" IDENT ")", an extension: a name is followed by a parenthesis nowhere else. */
static int parse_label(struct parser *p, struct ast_filter *f, struct str *name)
{
    int r = parse_text(p, TOKEN_IDENTIFIER, name);

    if (r < 0 || p->cur.kind != TOKEN_OPEN_PAREN || !str_eq_nocase(*name, STR("any")))
        return r;
    f->any = true;
    r = parse_advance(p);
    if (r == 0)
        r = parse_text(p, TOKEN_IDENTIFIER, name);
    return r < 0 ? r : parse_expect(p, TOKEN_CLOSE_PAREN);
}

/* One comparison of one label. */
static int parse_comparison(struct parser *p, struct ast_filter *f)
{
    struct str name = STR("");
    enum token_kind op;
    struct place at;
    int r = parse_label(p, f, &name);

    if (r < 0)
        return r;
    op = p->cur.kind;
    at = p->cur.at;
    if (!compare_of(op, &f->op) && op != TOKEN_RE && op != TOKEN_NRE)
        return parse_mistyped(p, name, TOKEN_JSON, TOKEN_UNWRAP);
    r = parse_advance(p); /* the kind of the value says what it is */
    if (r < 0)
        return r;
    if (p->cur.kind == TOKEN_STRING || op == TOKEN_RE || op == TOKEN_NRE)
        return parse_matcher_value(p, name, op, at, f);
    f->name = name;
    if (p->cur.kind == TOKEN_IP && (op == TOKEN_EQ || op == TOKEN_NEQ))
        return parse_ip(p, f, op);
    if (p->cur.kind == TOKEN_DURATION || p->cur.kind == TOKEN_BYTES ||
        p->cur.kind == TOKEN_NUMBER || p->cur.kind == TOKEN_ADD || p->cur.kind == TOKEN_SUB)
        return parse_literal(p, f);
    return parse_unexpected(p, NULL);
}

static int parse_operand(struct parser *p, struct ast_filter **ret)
{
    struct place at = p->cur.at;
    int r;

    if (p->cur.kind == TOKEN_OPEN_PAREN) {
        r = parse_enter(p);
        if (r == 0)
            r = parse_advance(p);
        if (r == 0)
            r = parse_filter(p, ret);
        if (r < 0)
            return r;
        parse_leave(p);
        return parse_expect(p, TOKEN_CLOSE_PAREN);
    }
    if (p->cur.kind != TOKEN_IDENTIFIER)
        return parse_unexpected(p, "IDENTIFIER or (");
    *ret = new_filter(p, FILTER_MATCH, at);
    return *ret == NULL ? parse_failed(p) : parse_comparison(p, *ret);
}

/* Does an operator follow, and which?  Nothing before another filter counts as a comma. */
static bool next_operator(const struct parser *p, enum token_kind *ret)
{
    enum token_kind k = p->cur.kind;

    *ret = k;
    if (k == TOKEN_IDENTIFIER || k == TOKEN_OPEN_PAREN)
        *ret = TOKEN_COMMA;
    return *ret == TOKEN_AND || *ret == TOKEN_OR || *ret == TOKEN_COMMA;
}

/* Apply operators from the top of the stack: those that bind at least as tightly as `op`, a word,
 * or all of them if it is END. */
static int apply_before(struct parser *p, struct stack *s, enum token_kind op)
{
    int r = 0;

    while (r == 0 && s->operators.n > 0) {
        enum token_kind top = s->operators.p[s->operators.n - 1];
        if (op != TOKEN_END && top != TOKEN_AND && top != op)
            break;
        r = apply_top(p, s);
    }
    return r;
}

static void push_operand(struct stack *s, struct ast_filter *f)
{
    INVARIANT(f != NULL);
    VEC_PUSH(&s->operands, f);
}

static int push_operator(struct parser *p, struct stack *s, enum token_kind op)
{
    int r = op == TOKEN_COMMA ? 0 : apply_before(p, s, op);

    if (r < 0)
        return r;
    VEC_PUSH(&s->operators, op);
    return p->cur.kind == op ? parse_advance(p) : 0;
}

static int parse_chain(struct parser *p, struct ast_filter *operand, struct stack *s)
{
    enum token_kind op;
    int r = 0;

    while (r == 0) {
        push_operand(s, operand);
        if (!next_operator(p, &op))
            return apply_before(p, s, TOKEN_END);
        r = push_operator(p, s, op);
        if (r == 0)
            r = parse_operand(p, &operand);
    }
    return r;
}

int parse_filter(struct parser *p, struct ast_filter **ret)
{
    enum token_kind op;
    struct stack s;
    int r = parse_operand(p, ret);

    if (r < 0 || !next_operator(p, &op))
        return r; /* most have one operand */
    memset(&s, 0, sizeof(s));
    r = parse_chain(p, *ret, &s);
    if (r == 0)
        *ret = s.operands.p[0];
    VEC_FINI(&s.operands);
    VEC_FINI(&s.operators);
    return r;
}
