/*
 * query/parse.h - tokens to tree: expressions; and what the parsers of other parts share.
 *
 * Recursive descent with one token in hand.  Every recursion passes parse_enter, which bounds it.
 */
#ifndef LOGQ_QUERY_PARSE_H
#define LOGQ_QUERY_PARSE_H

#include "query/ast.h"

struct parser {
    struct lexer lexer;
    struct token cur;
    struct ast *ast;
    unsigned depth;
    size_t n_tokens;        /* so far */
    struct ast_node *spare; /* nodes of folded numbers, to be used again; linked by binary.left */
    struct place failed_at;
    struct err *err;
};

/* Parse all of `text` (borrowed for the life of *ret, which is initialised) into ret->root; fold
 * literals.  ERR_INVALID with *at and a message without it; ERR_LIMIT, ERR_NOMEM.  After an error
 * *ret must still be released. */
int parse_query(struct str text, struct ast *ret, struct place *at, struct err *err);

/* ---- for parse_log.c ---- */

int parse_advance(struct parser *p); /* the next token into p->cur */
/* Pass a token of `kind`, or fail as "syntax error: unexpected X, expecting `kind`". */
int parse_expect(struct parser *p, enum token_kind kind);
/* As parse_expect, and *text gets an IDENTIFIER's text or a STRING's value. */
int parse_text(struct parser *p, enum token_kind kind, struct str *text);
/* As parse_text for a STRING that is a regular expression; check compiles it. */
int parse_regexp(struct parser *p, struct str *text);
/* Fail at the token in hand; `expecting` may be NULL. */
int parse_unexpected(struct parser *p, const char *expecting);
/* The same, where `word` seems to be meant for one of the words of kinds first..last: says for
 * which; or for what is missing behind it. */
int parse_mistyped(struct parser *p, struct str word, enum token_kind first, enum token_kind last);
int parse_fail(struct parser *p, struct place at, int code, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Around each recursion: fails when nested deeper than QUERY_DEPTH_MAX. */
int parse_enter(struct parser *p);
void parse_leave(struct parser *p);
/* Zeroed memory in the tree; NULL: failed, return parse_failed(p). */
void *parse_alloc(struct parser *p, size_t bytes);
int parse_failed(const struct parser *p); /* the code of the failure, < 0 */

#endif
