/*
 * query/lex.h - LogQL text to tokens.
 *
 * A pull lexer: the parser asks for one token at a time and keeps one in hand.  Words are tokens of
 * their own kinds (X-macros below); a function's name is one only where a call follows, so a label
 * may be called `rate`.
 */
#ifndef LOGQ_QUERY_LEX_H
#define LOGQ_QUERY_LEX_H

#include "base/arena.h"
#include "base/err.h"
#include "base/time.h"

/* Where something stands in a query's text, both from 1; columns count code points. */
struct place {
    unsigned line, column;
};

/* X(kind, text): words that are never names. */
#define LEX_KEYWORDS(X)                                                                            \
    X(BY, "by")                                                                                    \
    X(WITHOUT, "without")                                                                          \
    X(BOOL, "bool")                                                                                \
    X(OFFSET, "offset")                                                                            \
    X(ON, "on")                                                                                    \
    X(IGNORING, "ignoring")                                                                        \
    X(GROUP_LEFT, "group_left")                                                                    \
    X(GROUP_RIGHT, "group_right")                                                                  \
    X(OR, "or")                                                                                    \
    X(AND, "and")                                                                                  \
    X(UNLESS, "unless")                                                                            \
    X(JSON, "json")                                                                                \
    X(REGEXP, "regexp")                                                                            \
    X(LOGFMT, "logfmt")                                                                            \
    X(UNPACK, "unpack")                                                                            \
    X(PATTERN, "pattern")                                                                          \
    X(LABEL_FORMAT, "label_format")                                                                \
    X(LINE_FORMAT, "line_format")                                                                  \
    X(DECOLORIZE, "decolorize")                                                                    \
    X(DROP, "drop")                                                                                \
    X(KEEP, "keep")                                                                                \
    X(UNWRAP, "unwrap")

/* Words that are functions where a call follows, else names. */
#define LEX_RANGE_OPS(X)                                                                           \
    X(RATE, "rate")                                                                                \
    X(RATE_COUNTER, "rate_counter")                                                                \
    X(COUNT_OVER_TIME, "count_over_time")                                                          \
    X(BYTES_RATE, "bytes_rate")                                                                    \
    X(BYTES_OVER_TIME, "bytes_over_time")                                                          \
    X(AVG_OVER_TIME, "avg_over_time")                                                              \
    X(SUM_OVER_TIME, "sum_over_time")                                                              \
    X(MIN_OVER_TIME, "min_over_time")                                                              \
    X(MAX_OVER_TIME, "max_over_time")                                                              \
    X(STDVAR_OVER_TIME, "stdvar_over_time")                                                        \
    X(STDDEV_OVER_TIME, "stddev_over_time")                                                        \
    X(QUANTILE_OVER_TIME, "quantile_over_time")                                                    \
    X(FIRST_OVER_TIME, "first_over_time")                                                          \
    X(LAST_OVER_TIME, "last_over_time")                                                            \
    X(ABSENT_OVER_TIME, "absent_over_time")                                                        \
    X(COUNT_DISTINCT_OVER_TIME, "count_distinct_over_time") /* an extension */
#define LEX_VECTOR_OPS(X)                                                                          \
    X(SUM, "sum")                                                                                  \
    X(AVG, "avg")                                                                                  \
    X(COUNT, "count")                                                                              \
    X(MAX, "max")                                                                                  \
    X(MIN, "min")                                                                                  \
    X(STDDEV, "stddev")                                                                            \
    X(STDVAR, "stdvar")                                                                            \
    X(BOTTOMK, "bottomk")                                                                          \
    X(TOPK, "topk")                                                                                \
    X(APPROX_TOPK, "approx_topk")                                                                  \
    X(SORT, "sort")                                                                                \
    X(SORT_DESC, "sort_desc")
#define LEX_OTHER_FUNCTIONS(X)                                                                     \
    X(VECTOR, "vector")                                                                            \
    X(LABEL_REPLACE, "label_replace")                                                              \
    X(BYTES_CONV, "bytes")                                                                         \
    X(DURATION_CONV, "duration")                                                                   \
    X(DURATION_SECONDS_CONV, "duration_seconds")                                                   \
    X(IP, "ip")

#define LEX_SIGNS(X)                                                                               \
    X(COMMA, ",")                                                                                  \
    X(OPEN_BRACE, "{")                                                                             \
    X(CLOSE_BRACE, "}")                                                                            \
    X(OPEN_PAREN, "(")                                                                             \
    X(CLOSE_PAREN, ")")                                                                            \
    X(PIPE, "|")                                                                                   \
    X(PIPE_EXACT, "|=")                                                                            \
    X(PIPE_MATCH, "|~")                                                                            \
    X(PIPE_PATTERN, "|>")                                                                          \
    X(NPA, "!>")                                                                                   \
    X(EQ, "=")                                                                                     \
    X(NEQ, "!=")                                                                                   \
    X(RE, "=~")                                                                                    \
    X(NRE, "!~")                                                                                   \
    X(CMP_EQ, "==")                                                                                \
    X(GT, ">")                                                                                     \
    X(GTE, ">=")                                                                                   \
    X(LT, "<")                                                                                     \
    X(LTE, "<=")                                                                                   \
    X(ADD, "+")                                                                                    \
    X(SUB, "-")                                                                                    \
    X(MUL, "*")                                                                                    \
    X(DIV, "/")                                                                                    \
    X(MOD, "%")                                                                                    \
    X(POW, "^")

/* Kinds with a value; the text is what messages call them. */
#define LEX_CLASSES(X)                                                                             \
    X(END, "$end")                                                                                 \
    X(IDENTIFIER, "IDENTIFIER")                                                                    \
    X(STRING, "STRING")                                                                            \
    X(NUMBER, "NUMBER")                                                                            \
    X(DURATION, "DURATION")                                                                        \
    X(BYTES, "BYTES")                                                                              \
    X(RANGE, "RANGE")                                                                              \
    X(FLAG, "PARSER_FLAG")

enum token_kind {
#define X(kind, text) TOKEN_##kind,
    LEX_CLASSES(X) LEX_SIGNS(X) LEX_KEYWORDS(X) LEX_RANGE_OPS(X) LEX_VECTOR_OPS(X)
        LEX_OTHER_FUNCTIONS(X)
#undef X
            TOKEN_KINDS
};

struct token {
    enum token_kind kind;
    struct place at;
    struct str text;   /* as written; in the query's text */
    struct str string; /* STRING: its value, in the lexer's arena or the text */
    double number;     /* NUMBER */
    dur_ns duration;   /* DURATION, RANGE */
    uint64_t bytes;    /* BYTES */
};

struct lexer {
    struct str text;
    size_t pos;
    struct place at; /* of text.p[pos] */
    struct arena *arena;
    uint32_t lengths[26];      /* of words, by their first letter: bit n, n bytes */
    uint8_t first[26];         /* kind of one of them; 0: there is none */
    uint8_t next[TOKEN_KINDS]; /* of the next with the same letter */
};

/* Start reading `text`, borrowed like `a` for the life of all tokens. */
void lex_init(struct lexer *l, struct str text, struct arena *a);

/* The next token; at the end END, again and again.  ERR_INVALID, err->text without its place, which
 * is ret->at; or ERR_NOMEM, ERR_LIMIT of the arena. */
int lex_next(struct lexer *l, struct token *ret, struct err *err);

/* The value of the inside of a double-quoted string, its escapes resolved, in `a` or in `s` itself.
 * false: an escape is wrong; or `a` is full, then ret->p is NULL and n is 0. */
bool lex_unescape(struct str s, struct arena *a, struct str *ret);

/* What messages call a kind: "by", "{", "IDENTIFIER". */
const char *lex_kind_name(enum token_kind kind);

#endif
