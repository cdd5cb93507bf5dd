/*
 * query/tmpl_parse.h - between tmpl_parse.c (actions, lists, named templates) and tmpl_pipeline.c
 * (what stands in an action: operands, commands, variables).
 *
 * Variables are numbered while parsing: a variable is a slot of the execution of the template that
 * declares it, and slots are used again behind the block that a variable belongs to.
 *
 * Invariants
 *   (1) depth <= TMPL_DEPTH_MAX on the way down, so that recursion is bounded;
 *   (2) vars[0..n_vars) are the variables that may be named; their slots ascend.
 */
#ifndef LOGQ_QUERY_TMPL_PARSE_H
#define LOGQ_QUERY_TMPL_PARSE_H

#include "base/vec.h"
#include "query/tmpl_internal.h"

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

/* ---- tmpl_parse.c ---- */

/* Tokens: the next one, the same left where it is, either without blanks before it; and back with
 * one, at most three. */
struct tmpl_token tmpl_parse_next(struct tmpl_parser *p);
struct tmpl_token tmpl_parse_peek(struct tmpl_parser *p);
struct tmpl_token tmpl_parse_next_solid(struct tmpl_parser *p);
struct tmpl_token tmpl_parse_peek_solid(struct tmpl_parser *p);
void tmpl_parse_back(struct tmpl_parser *p, struct tmpl_token t);

/* Mistakes, with the template's name and the line; they return the code. */
int tmpl_parse_fail(struct tmpl_parser *p, const char *fmt, ...) PRINTF_LIKE(2, 3);
int tmpl_parse_unexpected(struct tmpl_parser *p, struct tmpl_token t, const char *context);

int tmpl_parse_enter(struct tmpl_parser *p); /* one level deeper; keeps (1) */
/* NULL: p->err says why. */
struct tmpl_node *tmpl_parse_node(struct tmpl_parser *p, enum tmpl_node_kind kind, size_t pos);

/* ---- tmpl_pipeline.c ---- */

/* The string constant that is token `t`. */
int tmpl_pipeline_string(struct tmpl_parser *p, struct tmpl_token t, struct tmpl_node **ret);
/* Up to token `end`, which is passed; `context` is for messages. */
int tmpl_pipeline_parse(struct tmpl_parser *p, const char *context, enum tmpl_token_kind end,
                        struct tmpl_node **ret);

#endif
