/*
 * query/tmpl_internal.h - what the files of the template language share: tokens, tree, run.
 *
 * Tree and messages are Go's on purpose: who knows its templates knows its errors, and dashboards
 * match on `__error_details__`.
 */
#ifndef LOGQ_QUERY_TMPL_INTERNAL_H
#define LOGQ_QUERY_TMPL_INTERNAL_H

#include "base/buf.h"
#include "base/obj.h"
#include "base/regexp.h"
#include "query/tmpl.h"

/* ---- tokens (tmpl_lex.c) ---- */

enum tmpl_token_kind {
    TMPL_T_ERROR, /* `text` says what is wrong */
    TMPL_T_EOF,
    TMPL_T_TEXT,
    TMPL_T_LEFT,  /* {{ and what trims */
    TMPL_T_RIGHT, /* }} */
    TMPL_T_SPACE,
    TMPL_T_ASSIGN,
    TMPL_T_DECLARE,
    TMPL_T_PIPE,
    TMPL_T_CHAR, /* any other sign */
    TMPL_T_OPEN,
    TMPL_T_CLOSE,
    TMPL_T_FIELD,    /* .name */
    TMPL_T_VARIABLE, /* $name */
    TMPL_T_IDENTIFIER,
    TMPL_T_BOOL,
    TMPL_T_NIL,
    TMPL_T_DOT,
    TMPL_T_STRING, /* "..." or `...`, quotes included */
    TMPL_T_RUNE,   /* '...' */
    TMPL_T_NUMBER,
    TMPL_T_IF, /* from here on: keywords */
    TMPL_T_ELSE,
    TMPL_T_END,
    TMPL_T_RANGE,
    TMPL_T_WITH,
    TMPL_T_DEFINE,
    TMPL_T_BLOCK,
    TMPL_T_TEMPLATE,
    TMPL_T_BREAK,
    TMPL_T_CONTINUE
};

struct tmpl_token {
    enum tmpl_token_kind kind;
    size_t pos; /* of its first byte */
    unsigned line;
    struct str text;
};

struct tmpl_lexer {
    struct str text;
    size_t pos;
    unsigned line;
    unsigned parens;
    bool inside;         /* of {{ }} */
    bool trim;           /* the text that follows loses its leading blanks */
    bool failed;         /* from now on only TMPL_T_EOF */
    struct arena *arena; /* for messages */
};

void tmpl_lex_init(struct tmpl_lexer *l, struct str text, struct arena *a);
/* Errors are a token, too. */
void tmpl_lex_next(struct tmpl_lexer *l, struct tmpl_token *ret);
bool tmpl_is_blank(char c);

/* ---- tree (tmpl_parse.c) ---- */

enum tmpl_node_kind {
    TMPL_N_LIST,
    TMPL_N_TEXT,
    TMPL_N_ACTION,
    TMPL_N_IF,
    TMPL_N_RANGE,
    TMPL_N_WITH,
    TMPL_N_TEMPLATE,
    TMPL_N_BREAK,
    TMPL_N_CONTINUE,
    TMPL_N_PIPE,
    TMPL_N_COMMAND,
    TMPL_N_IDENTIFIER,
    TMPL_N_FIELD,
    TMPL_N_VARIABLE,
    TMPL_N_CHAIN,
    TMPL_N_DOT,
    TMPL_N_NIL,
    TMPL_N_BOOL,
    TMPL_N_NUMBER,
    TMPL_N_STRING
};

struct tmpl_define; /* a named template */

struct tmpl_node {
    enum tmpl_node_kind kind;
    size_t pos;
    struct tmpl_node *next; /* the one behind it in its list, pipe or command */
    union {
        struct tmpl_node *first; /* LIST */
        struct str text;         /* TEXT */
        struct {
            struct tmpl_node *pipe; /* ACTION too */
            struct tmpl_node *body, *otherwise;
        } branch; /* IF, RANGE, WITH */
        struct {
            struct tmpl_node *pipe; /* or NULL */
            struct str name;
        } call; /* TEMPLATE */
        struct {
            struct tmpl_node *decls; /* VARIABLEs */
            struct tmpl_node *cmds;
            bool assign; /* = and not := */
        } pipe;
        struct {
            struct tmpl_node *args;
            size_t n;
        } command;
        struct {
            const struct tmpl_func *func;
            unsigned char n_types; /* parameters that are listed */
            bool variadic;
        } ident;
        struct {
            struct str *name; /* VARIABLE: what follows the variable */
            size_t n;
            size_t slot;            /* VARIABLE */
            struct str variable;    /* VARIABLE, with its $ */
            struct tmpl_node *node; /* CHAIN: what has the fields */
        } field;
        bool b; /* BOOL */
        struct {
            struct str text;
            bool is_int;   /* in `i`; in `f` always */
            bool is_float; /* where no type is asked for */
            int64_t i;
            double f;
        } number;
        struct {
            struct str quoted, value;
        } string;
    };
};

struct tmpl_define {
    struct str name;
    struct tmpl_node *root; /* LIST */
    size_t n_slots;         /* variables of one execution */
    struct tmpl_define *next;
};

struct tmpl {
    const struct tmpl_env *env;
    struct str text;
    struct tmpl_define *root;
    struct tmpl_define *defines; /* all of them but root */
    size_t n_vars;               /* of env */
    size_t n_tokens;
};

/* What a template calls when it is executed; NULL: there is none. */
const struct tmpl_define *tmpl_find(const struct tmpl *t, struct str name);
/* tmpl_literal.c: fill in ret->number from a NUMBER or RUNE.  NULL, or what is wrong. */
const char *tmpl_number(struct tmpl_token t, struct arena *a, struct tmpl_node *ret);
/* Go's ParseInt(s, 0, 64): with sign, prefix (0x 0o 0b 0) and `_` between digits. */
bool tmpl_parse_int(struct str s, int64_t *ret);
/* tmpl_node.c: an expression as messages show it. */
void tmpl_node_print(const struct tmpl_node *n, struct buf *out);

/* ---- execution (tmpl_exec.c) ---- */

enum { TMPL_REGEXPS = 8 };

struct tmpl_regexp {
    struct regexp *re;
    unsigned used; /* when */
};

struct tmpl_run {
    unsigned magic;
#define TMPL_RUN_MAGIC 0x7e3a91d5u
    const struct tmpl *t;
    const struct tmpl_input *in;
    const struct tmpl_define *define; /* the one that runs */
    const struct tmpl_node *at;       /* what messages name */
    struct tmpl_value *slots;         /* of `define` */
    struct buf out;
    struct buf text;  /* for functions to put a text together; and the message of an error */
    struct buf error; /* why the template failed; empty if not */
    struct err *err;  /* why there is no memory */
    unsigned depth;
    size_t steps; /* left */
    size_t bytes; /* left */
    bool over;    /* of steps or bytes there were not enough */
    struct tmpl_regexp regexps[TMPL_REGEXPS];
    unsigned clock; /* of regexps */
};

/* Execute `d` with `dot` and variables of its own. */
int tmpl_run_define(struct tmpl_run *r, const struct tmpl_define *d, const struct tmpl_value *dot);
/* Charge `n` steps; for functions, as tmpl_fail.  Evaluation has a step of its own. */
int tmpl_step(struct tmpl_run *r, size_t n);
/* The template fails with this message, at r->at. */
int tmpl_error(struct tmpl_run *r, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A compiled pattern, valid until the next call; charged. */
int tmpl_regexp(struct tmpl_run *r, struct str pattern, const struct regexp **ret);

/* ---- values (tmpl_value.c) ---- */

/* "string", "map[string]interface {}". */
const char *tmpl_type_name(const struct tmpl_value *v);
bool tmpl_is_true(const struct tmpl_value *v);
bool tmpl_is_int(const struct tmpl_value *v); /* of any width */
/* What a map holds under `key`; false: nothing, and *ret is the zero value of its elements. */
bool tmpl_map_get(const struct tmpl_value *map, struct str key, struct tmpl_value *ret);
/* All of LABELS as pairs. */
int tmpl_labels_map(struct tmpl_run *r, const struct tmpl_value *v, struct labels *ret);
int tmpl_len(struct tmpl_run *r, const struct tmpl_value *v, size_t *ret);

/* ---- printing (tmpl_print.c, tmpl_printf.c, tmpl_float.c) ---- */

/* %v, println and print of fmt, appended to `out`. */
int tmpl_print_value(struct tmpl_run *r, const struct tmpl_value *v, struct buf *out);
int tmpl_sprint(struct tmpl_run *r, const struct tmpl_value *arg, size_t n, struct buf *out);
int tmpl_sprintf(struct tmpl_run *r, struct str format, const struct tmpl_value *arg, size_t n,
                 struct buf *out);
/* Go's strconv.FormatFloat; verb one of e E f g G x X b, precision < 0: as many as it takes. */
void tmpl_float(double v, char verb, int precision, struct buf *out);
/* Go's strconv.Quote. */
void tmpl_quote(struct buf *out, struct str s, bool ascii);
void tmpl_quote_rune(struct buf *out, uint32_t c, bool ascii);
bool tmpl_is_print(uint32_t c);

/* The text of `out` from byte `from` on leaves it for a value. */
int tmpl_take(struct tmpl_run *r, struct buf *out, size_t from, struct tmpl_value *ret);

/* The code point at the start of s (not empty), *n its bytes; U+FFFD of one byte if there is none.
 */
uint32_t tmpl_rune(struct str s, size_t *n);
size_t tmpl_count_runes(struct str s);

/* ---- functions ---- */

extern const struct tmpl_func tmpl_builtins[]; /* tmpl_builtin.c */

/* tmpl_text.c */
tmpl_fn tmpl_fn_lower, tmpl_fn_upper, tmpl_fn_title, tmpl_fn_trim_space, tmpl_fn_trim_cut,
    tmpl_fn_trim_left, tmpl_fn_trim_right, tmpl_fn_go_trim_prefix, tmpl_fn_go_trim_suffix,
    tmpl_fn_go_replace, tmpl_fn_trim_all, tmpl_fn_trim_prefix, tmpl_fn_trim_suffix, tmpl_fn_trunc,
    tmpl_fn_substr, tmpl_fn_replace, tmpl_fn_repeat, tmpl_fn_contains, tmpl_fn_has_prefix,
    tmpl_fn_has_suffix, tmpl_fn_indent, tmpl_fn_nindent, tmpl_fn_align_left, tmpl_fn_align_right;
/* tmpl_code.c: codings and patterns */
tmpl_fn tmpl_fn_b64enc, tmpl_fn_b64dec, tmpl_fn_urlencode, tmpl_fn_urldecode,
    tmpl_fn_regexp_replace, tmpl_fn_regexp_replace_literal, tmpl_fn_count, tmpl_fn_from_json;
void tmpl_url_encode(struct buf *out, struct str s);
/* tmpl_number.c */
tmpl_fn tmpl_fn_int, tmpl_fn_float, tmpl_fn_add, tmpl_fn_sub, tmpl_fn_mul, tmpl_fn_div, tmpl_fn_mod,
    tmpl_fn_addf, tmpl_fn_subf, tmpl_fn_mulf, tmpl_fn_divf, tmpl_fn_max, tmpl_fn_min, tmpl_fn_maxf,
    tmpl_fn_minf, tmpl_fn_ceil, tmpl_fn_floor, tmpl_fn_round, tmpl_fn_bytes, tmpl_fn_duration;
/* tmpl_time.c */
tmpl_fn tmpl_fn_now, tmpl_fn_date, tmpl_fn_to_date, tmpl_fn_to_date_in_zone, tmpl_fn_unix_epoch,
    tmpl_fn_unix_millis, tmpl_fn_unix_nanos, tmpl_fn_unix_to_time;
struct tmpl_value tmpl_time_of_ns(ts_ns t);
/* Of a value of this kind; NULL: it has none of that name. */
const struct tmpl_func *tmpl_time_method(enum tmpl_kind kind, struct str name);
const struct tmpl_func *tmpl_duration_method(struct str name);
void tmpl_duration_print(int64_t d, struct buf *out);
/* time.Time's own text, and the names of months (1..12) and days (0..6; else "%!Weekday(9)"). */
void tmpl_time_print(const struct tmpl_value *v, struct buf *out);

#endif
