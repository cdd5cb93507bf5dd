/*
 * query/ast.h - what a query says, as a tree, and its canonical text.
 *
 * The tree lives in one arena, with the regular expressions it owns registered in `struct ast`.  It
 * is built by the parser, completed by check (compiled patterns, paths) and plan (`pushed`,
 * `tested`, `fused`), and from then on read-only: any number of threads run it at once.
 *
 * Sub-expressions are linked lists in source order.  Every depth is at most QUERY_DEPTH_MAX, so
 * walks may recurse; lists may be as long as the text allows, so walks over them may not.
 */
#ifndef LOGQ_QUERY_AST_H
#define LOGQ_QUERY_AST_H

#include "base/match.h"
#include "query/ip.h"
#include "query/lex.h"
#include "query/pattern.h"

struct ast_name {
    struct str name;
    struct ast_name *next;
};

/* by (...) or without (...); also on (...) and ignoring (...), where `without` means ignoring. */
struct ast_grouping {
    bool present, without;
    struct ast_name *names;
    struct place at;
};

struct ast_matcher {
    struct matcher m;
    struct place at;
    struct ast_matcher *next;
};

/* ---- stages of a pipeline ---- */

enum line_op {
    LINE_CONTAINS,
    LINE_CONTAINS_NOT,
    LINE_MATCHES,
    LINE_MATCHES_NOT,
    LINE_PATTERN,
    LINE_PATTERN_NOT
};

struct ast_line_arg {
    struct str text;
    bool ip;                 /* ip("...") */
    struct regexp *re;       /* of MATCHES, set by check */
    struct pattern *pattern; /* of PATTERN, set by check */
    struct ip_range *ips;    /* of ip, set by check */
    struct place at;
    struct ast_line_arg *next;
};

enum filter_kind {
    FILTER_AND, /* kids, two or more */
    FILTER_OR,
    FILTER_MATCH,
    FILTER_NUMBER,
    FILTER_DURATION,
    FILTER_BYTES,
    FILTER_IP
};
enum compare_op { COMPARE_EQ, COMPARE_NE, COMPARE_GT, COMPARE_GE, COMPARE_LT, COMPARE_LE };
/* Does `a op b` hold, where `order` is below, at or above 0 as a is below, at or above b? */
bool ast_compares(enum compare_op op, int order);

struct ast_filter {
    enum filter_kind kind;
    struct place at;
    unsigned depth;
    struct ast_filter *first, *last; /* kids */
    struct ast_filter *next;         /* sibling */
    unsigned opens, closes;          /* brackets before and behind it among its siblings, of which
                                      * there is a pair for each operator as it was parsed */
    struct matcher m;                /* MATCH */
    struct str name;                 /* the others: the label */
    bool any;                        /* any(label): of elements of an array; an extension */
    enum compare_op op;
    double number;
    dur_ns duration;
    uint64_t bytes;
    struct str literal;   /* the value as written, with its sign; IP: the pattern */
    struct ip_range *ips; /* IP, set by check */
};

struct tmpl; /* query/tmpl.h */

/* A step of a JSON path: a member, or an element of an array. */
struct ast_step {
    bool is_index;
    struct str key;
    size_t index;
};

struct ast_extraction {
    struct str name;
    struct str path; /* as written, or the name itself */
    bool has_path;
    struct ast_step *steps;
    size_t n_steps;
    struct place at;
    struct ast_extraction *next;
};

struct ast_format { /* one of label_format's */
    struct str name;
    struct str value; /* template, or the label that is renamed */
    bool is_template;
    const struct tmpl *tmpl; /* of a template, set by check */
    struct place at;
    struct ast_format *next;
};

struct ast_pick {     /* one of drop's or keep's */
    struct matcher m; /* m.name alone unless has_matcher */
    bool has_matcher;
    struct place at; /* of its value */
    struct ast_pick *next;
};

enum stage_kind {
    STAGE_LINE_FILTER,
    STAGE_LABEL_FILTER,
    STAGE_JSON,
    STAGE_LOGFMT,
    STAGE_REGEXP,
    STAGE_PATTERN,
    STAGE_UNPACK,
    STAGE_LINE_FORMAT,
    STAGE_LABEL_FORMAT,
    STAGE_DECOLORIZE,
    STAGE_DROP,
    STAGE_KEEP,
    STAGE_DEDUP
};

struct ast_stage {
    enum stage_kind kind;
    struct place at;
    bool pushed;  /* done by the scan already */
    bool skipped; /* a parser of which nothing is asked */
    bool tested;  /* label filter: done by the scan, too, for the records of which it says so */
    struct ast_stage *next;
    union {
        struct {
            enum line_op op;
            struct ast_line_arg *args;
        } line;
        struct ast_filter *filter;
        struct {
            bool strict, keep_empty; /* logfmt */
            bool arrays;             /* json: flatten these, too */
            struct ast_extraction *list;
        } parser; /* json, logfmt */
        struct {
            struct str text;
            struct regexp *re;       /* regexp */
            struct pattern *pattern; /* pattern, set by check */
            const struct tmpl *tmpl; /* line_format, set by check */
        } text;                      /* regexp, pattern, line_format */
        struct ast_format *formats;
        struct ast_pick *picks; /* drop, keep */
        struct {
            struct ast_name *names; /* NULL: the line */
            size_t number;          /* of the dedup stages of the query, set by check */
        } dedup;
    };
};

enum unwrap_unit {
    UNWRAP_NUMBER,
    UNWRAP_BYTES,
    UNWRAP_DURATION,
    UNWRAP_DURATION_SECONDS,
    UNWRAP_DISTINCT /* a number for each text: of count_distinct_over_time, never written */
};

struct ast_unwrap {
    struct str label;
    enum unwrap_unit unit;
    struct ast_stage *filters; /* label filters behind it */
    struct place at;
};

struct plan_scan;

/* {matchers} stages [| unwrap] [range] [offset]; the latter three only inside a range aggregation.
 */
struct ast_log {
    struct place at;
    struct ast_matcher *matchers;
    struct ast_stage *stages, *last_stage;
    struct ast_unwrap *unwrap; /* or NULL */
    bool has_range;
    dur_ns range, offset;
    struct plan_scan *plan; /* set by plan, as the following */
    bool is_limited;        /* of what parsers find only `wanted` is asked for */
    const struct str *wanted;
    size_t n_wanted;
};

/* ---- expressions ---- */

enum node_kind {
    NODE_LOG,
    NODE_RANGE,
    NODE_AGGREGATE,
    NODE_BINARY,
    NODE_LITERAL,
    NODE_VECTOR,
    NODE_LABEL_REPLACE
};

enum group_side { GROUP_NONE, GROUP_LEFT, GROUP_RIGHT };

struct ast_node {
    enum node_kind kind;
    struct place at;
    unsigned depth;
    size_t
        share; /* 1 + index of the result that equal parts share; 0: it is alone (plan_share.h) */
    union {
        struct ast_log *log; /* LOG */
        struct {
            enum token_kind op; /* TOKEN_RATE ... */
            bool has_param;
            double param;
            struct str param_text;
            struct ast_log *log;
            struct ast_grouping grouping;
        } range;
        struct {
            enum token_kind op; /* TOKEN_SUM ... */
            bool has_param;
            double param;
            struct str param_text;
            struct ast_node *expr;
            struct ast_grouping grouping;
            bool fused; /* done while the samples of `expr`, a RANGE, come in */
        } aggregate;
        struct {
            enum token_kind op; /* TOKEN_ADD ..., TOKEN_CMP_EQ ..., TOKEN_AND ... */
            bool return_bool;
            struct ast_grouping matching; /* on, ignoring */
            enum group_side side;
            struct ast_name *include;
            struct ast_node *left, *right;
        } binary;
        double number; /* LITERAL, VECTOR */
        struct {
            struct ast_node *expr;
            struct str dst, replacement, src, pattern;
            struct regexp *re;
        } replace;
    };
};

/* What must be released besides the arena. */
struct ast_owned {
    struct regexp *re;
    struct ast_owned *next;
};

struct ast {
    struct arena *arena; /* owned */
    struct ast_node *root;
    bool may_select_all; /* a selector need not name anything */
    struct ast_owned *owned;
    uint32_t regexp_cost;  /* of all regular expressions */
    bool has_large_regexp; /* one of them is larger than may be compiled, as check will say */
    size_t n_shared;       /* results with several users, */
    size_t *share_uses;    /* and how many each */
};

void ast_init(struct ast *a, size_t max_bytes);
void ast_fini(struct ast *a);

/* For the parser: is there room for one more regular expression?  Their sizes are summed up, which
 * bounds the time to compile them and, since each has some, their number.  ERR_LIMIT. */
int ast_count_regexp(struct ast *a, struct str pattern, struct err *err);
/* Compile `pattern`; the result lives as long as the tree.  ERR_INVALID, ERR_LIMIT, ERR_NOMEM. */
int ast_regexp(struct ast *a, struct str pattern, bool anchored, struct regexp **ret,
               struct err *err);
/* Complete *m, which lies in the tree, as matcher_init does. */
int ast_matcher(struct ast *a, struct matcher *m, struct err *err);

bool ast_is_comparison(enum token_kind op); /* == != > >= < <= */
bool ast_is_set(enum token_kind op);        /* and or unless */

/* by (): what an aggregation does without a grouping, too. */
bool ast_groups_all(const struct ast_grouping *g);
/* 0: it is no operator; else those of a higher one bind tighter.  All are applied from the left but
 * those of the highest. */
enum { AST_PRECEDENCE_MAX = 6 };
int ast_precedence(enum token_kind op);

/* Canonical text, in one line: parses to an equal tree and prints the same again. */
void ast_print(const struct ast_node *n, struct buf *out);
/* The form of messages: "| json", "|= ...". */
void ast_print_stage(const struct ast_stage *s, struct buf *out); /* without a blank before it */
/* Its parts, for ast_pretty. */
void ast_print_selector(const struct ast_log *l, struct buf *out);
void ast_print_names(const struct ast_name *names, const char *between, struct buf *out);
void ast_print_unwrap(const struct ast_unwrap *u, struct buf *out); /* without its filters */
void ast_print_param(const struct ast_node *n, struct buf *out);    /* RANGE, AGGREGATE */
void ast_print_operator(const struct ast_node *n, const char *between,
                        struct buf *out); /* BINARY */
/* Of a line filter what can stand alone, from `a` on; returns what is left: NULL is all. */
const struct ast_line_arg *ast_print_line_part(const struct ast_stage *s,
                                               const struct ast_line_arg *a, struct buf *out);
const char *ast_stage_name(const struct ast_stage *s);

#endif
