/* query/ast.c - see ast.h: ownership, and the printer. */
#include "query/ast.h"

#include "base/mem.h"
#include "base/regexp_cost.h"
#include "query/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BRACKETS_MAX = 10,    /* a pair for each operator of a label filter only if they nest less */
    VECTOR_TEXT_MAX = 340 /* the largest number with six decimals */
};

void ast_init(struct ast *a, size_t max_bytes)
{
    *a = (struct ast){.arena = arena_new(NULL, max_bytes)};
}

void ast_fini(struct ast *a)
{
    for (; a->owned != NULL; a->owned = a->owned->next)
        regexp_free(&a->owned->re);
    arena_free(&a->arena);
    a->root = NULL;
}

static int own(struct ast *a, struct regexp *re, struct err *err)
{
    struct ast_owned *o = arena_alloc(a->arena, sizeof(*o));

    if (o == NULL) {
        regexp_free(&re);
        return arena_err(a->arena, err);
    }
    o->re = re;
    o->next = a->owned;
    a->owned = o;
    return 0;
}

int ast_count_regexp(struct ast *a, struct str pattern, struct err *err)
{
    enum { COST_EACH = 200, COST_MAX = 2 * REGEXP_COST_MAX };
    uint32_t cost = regexp_cost(pattern);

    if (cost + COST_EACH > COST_MAX - a->regexp_cost)
        return err_set(err, ERR_LIMIT, "too many or too large regular expressions in one query");
    if (cost > REGEXP_COST_MAX || pattern.n > REGEXP_MAX_BYTES)
        a->has_large_regexp = true;
    a->regexp_cost += cost + COST_EACH;
    return 0;
}

int ast_regexp(struct ast *a, struct str pattern, bool anchored, struct regexp **ret,
               struct err *err)
{
    int r = regexp_new(pattern, anchored, ret, err);

    return r < 0 ? r : own(a, *ret, err);
}

int ast_matcher(struct ast *a, struct matcher *m, struct err *err)
{
    int r = matcher_init(m, m->op, m->name, m->value, err);

    return r < 0 || m->re == NULL ? r : own(a, m->re, err);
}

bool ast_is_comparison(enum token_kind op)
{
    return op == TOKEN_CMP_EQ || op == TOKEN_NEQ || (op >= TOKEN_GT && op <= TOKEN_LTE);
}

bool ast_is_set(enum token_kind op)
{
    return op == TOKEN_AND || op == TOKEN_OR || op == TOKEN_UNLESS;
}

bool ast_groups_all(const struct ast_grouping *g)
{
    return g->present && !g->without && g->names == NULL;
}

int ast_precedence(enum token_kind op)
{
    static const uint8_t of[TOKEN_KINDS] = {
        [TOKEN_OR] = 1,     [TOKEN_AND] = 2, [TOKEN_UNLESS] = 2,
        [TOKEN_CMP_EQ] = 3, [TOKEN_NEQ] = 3, [TOKEN_GT] = 3,
        [TOKEN_GTE] = 3,    [TOKEN_LT] = 3,  [TOKEN_LTE] = 3,
        [TOKEN_ADD] = 4,    [TOKEN_SUB] = 4, [TOKEN_MUL] = 5,
        [TOKEN_DIV] = 5,    [TOKEN_MOD] = 5, [TOKEN_POW] = AST_PRECEDENCE_MAX,
    };

    return of[op];
}

const char *ast_stage_name(const struct ast_stage *s)
{
    static const char *const names[] = {[STAGE_LINE_FILTER] = "line filter",
                                        [STAGE_LABEL_FILTER] = "label filter",
                                        [STAGE_JSON] = "| json",
                                        [STAGE_LOGFMT] = "| logfmt",
                                        [STAGE_REGEXP] = "| regexp",
                                        [STAGE_PATTERN] = "| pattern",
                                        [STAGE_UNPACK] = "| unpack",
                                        [STAGE_LINE_FORMAT] = "| line_format",
                                        [STAGE_LABEL_FORMAT] = "| label_format",
                                        [STAGE_DECOLORIZE] = "| decolorize",
                                        [STAGE_DROP] = "| drop",
                                        [STAGE_KEEP] = "| keep",
                                        [STAGE_DEDUP] = "| dedup"};

    return names[s->kind];
}

/* ---- printing ---- */

static const char *match_text(enum match_op op)
{
    static const char *const text[] = {"=", "!=", "=~", "!~"};

    return text[op];
}

static const char *compare_text(enum compare_op op)
{
    static const char *const text[] = {"==", "!=", ">", ">=", "<", "<="};

    return text[op];
}

void ast_print_names(const struct ast_name *names, const char *between, struct buf *out)
{
    buf_add_char(out, '(');
    for (const struct ast_name *n = names; n != NULL && !out->over; n = n->next) {
        buf_add_str(out, n->name);
        if (n->next != NULL)
            buf_add_z(out, between);
    }
    buf_add_char(out, ')');
}

static void print_match(const struct matcher *m, struct buf *out)
{
    buf_add_z(out, match_text(m->op));
    quote_add(out, m->value);
}

static void print_matcher(const struct matcher *m, struct buf *out)
{
    buf_add_str(out, m->name);
    print_match(m, out);
}

static void print_filter_label(const struct ast_filter *f, struct buf *out)
{
    buf_add_z(out, f->any ? "any(" : "");
    buf_add_str(out, f->kind == FILTER_MATCH ? f->m.name : f->name);
    buf_add_z(out, f->any ? ")" : "");
}

/* How deep the brackets of a filter nest. */
static unsigned brackets(const struct ast_filter *f)
{
    unsigned depth = 0;
    unsigned most = 0;

    for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next) {
        unsigned within = brackets(kid);
        depth += kid->opens;
        if (depth + within > most)
            most = depth + within;
        depth -= kid->closes;
    }
    return most;
}

static void print_filter(const struct ast_filter *f, bool paired, struct buf *out);

/* One pair of brackets for each operator, or for all of them. */
static void print_filters(const struct ast_filter *f, bool paired, struct buf *out)
{
    for (const struct ast_filter *kid = f->first; kid != NULL && !out->over; kid = kid->next) {
        unsigned opens = paired ? kid->opens : kid == f->first;
        unsigned closes = paired ? kid->closes : kid->next == NULL;
        for (; opens > 0; opens--)
            buf_add_z(out, "( ");
        print_filter(kid, paired, out);
        for (; closes > 0; closes--)
            buf_add_z(out, " )");
        if (kid->next != NULL)
            buf_add_z(out, f->kind == FILTER_AND ? " , " : " or ");
    }
}

static void print_filter(const struct ast_filter *f, bool paired, struct buf *out)
{
    switch (f->kind) {
    case FILTER_AND:
    case FILTER_OR:
        print_filters(f, paired, out);
        return;
    case FILTER_MATCH:
        print_filter_label(f, out);
        print_match(&f->m, out);
        return;
    case FILTER_IP:
        print_filter_label(f, out);
        buf_add_z(out, f->op == COMPARE_EQ ? "=ip(" : "!=ip(");
        quote_add(out, f->literal);
        buf_add_char(out, ')');
        return;
    case FILTER_NUMBER:
        print_filter_label(f, out);
        buf_add_z(out, compare_text(f->op));
        units_print_float(out, f->number);
        return;
    case FILTER_DURATION:
    case FILTER_BYTES:
        print_filter_label(f, out);
        buf_add_z(out, compare_text(f->op));
        buf_add_str(out, f->literal);
        return;
    }
}

const struct ast_line_arg *ast_print_line_part(const struct ast_stage *s,
                                               const struct ast_line_arg *a, struct buf *out)
{
    static const char *const text[] = {"|=", "!=", "|~", "!~", "|>", "!>"};
    bool negated = s->line.op == LINE_CONTAINS_NOT || s->line.op == LINE_MATCHES_NOT ||
                   s->line.op == LINE_PATTERN_NOT;

    buf_addf(out, "%s ", text[s->line.op]);
    for (; a != NULL && !out->over; a = a->next) {
        buf_add_z(out, a->ip ? "ip(" : "");
        quote_add(out, a->text);
        buf_add_z(out, a->ip ? ")" : "");
        if (negated) /* `!= "a" or "b"` is two filters, which says the same more plainly */
            return a->next;
        buf_add_z(out, a->next != NULL ? " or " : "");
    }
    return NULL;
}

static void print_line_filter(const struct ast_stage *s, struct buf *out)
{
    for (const struct ast_line_arg *a = s->line.args; a != NULL && !out->over;) {
        if (a != s->line.args)
            buf_add_char(out, ' ');
        a = ast_print_line_part(s, a, out);
    }
}

static void print_extractions(const struct ast_extraction *list, struct buf *out)
{
    for (const struct ast_extraction *x = list; x != NULL && !out->over; x = x->next) {
        buf_add_char(out, x == list ? ' ' : ',');
        buf_add_str(out, x->name);
        buf_add_char(out, '=');
        quote_add(out, x->path);
    }
}

static void print_formats(const struct ast_format *list, struct buf *out)
{
    for (const struct ast_format *f = list; f != NULL && !out->over; f = f->next) {
        buf_addf(out, "%c%.*s=", f == list ? ' ' : ',', STR_ARG(f->name));
        if (f->is_template)
            quote_add(out, f->value);
        else
            buf_add_str(out, f->value);
    }
}

static void print_picks(const struct ast_pick *list, struct buf *out)
{
    for (const struct ast_pick *p = list; p != NULL && !out->over; p = p->next) {
        buf_add_char(out, p == list ? ' ' : ',');
        if (p->has_matcher)
            print_matcher(&p->m, out);
        else
            buf_add_str(out, p->m.name);
    }
}

void ast_print_stage(const struct ast_stage *s, struct buf *out)
{
    switch (s->kind) {
    case STAGE_LINE_FILTER:
        print_line_filter(s, out);
        return;
    case STAGE_LABEL_FILTER:
        buf_add_z(out, "| ");
        print_filter(s->filter, brackets(s->filter) <= BRACKETS_MAX, out);
        return;
    case STAGE_JSON:
    case STAGE_LOGFMT:
        buf_add_z(out, ast_stage_name(s));
        if (s->parser.strict)
            buf_add_z(out, " --strict");
        if (s->parser.keep_empty)
            buf_add_z(out, " --keep-empty");
        if (s->parser.arrays)
            buf_add_z(out, " --arrays");
        print_extractions(s->parser.list, out);
        return;
    case STAGE_REGEXP:
    case STAGE_PATTERN:
    case STAGE_LINE_FORMAT:
        buf_addf(out, "%s ", ast_stage_name(s));
        quote_add(out, s->text.text);
        return;
    case STAGE_LABEL_FORMAT:
        buf_add_z(out, ast_stage_name(s));
        print_formats(s->formats, out);
        return;
    case STAGE_DROP:
    case STAGE_KEEP:
        buf_add_z(out, ast_stage_name(s));
        print_picks(s->picks, out);
        return;
    case STAGE_DEDUP:
        buf_add_z(out, ast_stage_name(s));
        if (s->dedup.names == NULL)
            return;
        buf_add_z(out, " by ");
        ast_print_names(s->dedup.names, ",", out);
        return;
    case STAGE_UNPACK:
    case STAGE_DECOLORIZE:
        buf_add_z(out, ast_stage_name(s));
        return;
    }
}

static void print_stages(const struct ast_stage *list, struct buf *out)
{
    for (const struct ast_stage *s = list; s != NULL && !out->over; s = s->next) {
        buf_add_char(out, ' ');
        ast_print_stage(s, out);
    }
}

void ast_print_unwrap(const struct ast_unwrap *u, struct buf *out)
{
    static const char *const calls[] = {
        [UNWRAP_NUMBER] = NULL,
        [UNWRAP_BYTES] = "bytes",
        [UNWRAP_DURATION] = "duration",
        [UNWRAP_DURATION_SECONDS] = "duration_seconds",
    };

    if (calls[u->unit] == NULL)
        buf_addf(out, "| unwrap %.*s", STR_ARG(u->label));
    else
        buf_addf(out, "| unwrap %s(%.*s)", calls[u->unit], STR_ARG(u->label));
}

void ast_print_selector(const struct ast_log *l, struct buf *out)
{
    buf_add_char(out, '{');
    for (const struct ast_matcher *m = l->matchers; m != NULL && !out->over; m = m->next) {
        print_matcher(&m->m, out);
        if (m->next != NULL)
            buf_add_z(out, ", ");
    }
    buf_add_char(out, '}');
}

static void print_log(const struct ast_log *l, struct buf *out)
{
    ast_print_selector(l, out);
    print_stages(l->stages, out);
    if (l->unwrap != NULL && l->unwrap->unit != UNWRAP_DISTINCT) {
        buf_add_char(out, ' ');
        ast_print_unwrap(l->unwrap, out);
        print_stages(l->unwrap->filters, out);
    }
    if (l->has_range) {
        buf_add_char(out, '[');
        units_print_range(out, l->range);
        buf_add_char(out, ']');
    }
    if (l->offset != 0) {
        buf_add_z(out, " offset ");
        units_print_duration(out, l->offset);
    }
}

static void print_grouping(const struct ast_grouping *g, struct buf *out)
{
    if (!g->present)
        return;
    buf_add_z(out, g->without ? " without " : " by ");
    ast_print_names(g->names, ",", out);
}

/* There is no literal for NaN and the infinities; what folds to them serves. */
static void print_number(double v, struct buf *out)
{
    if (isnan(v))
        buf_add_z(out, "(0 / 0)");
    else if (isinf(v))
        buf_add_z(out, v > 0 ? "(1e308 * 10)" : "(1e308 * -10)");
    else
        units_print_float(out, v);
}

/* With six decimals where these say it. */
static void print_vector(double v, struct buf *out)
{
    char text[VECTOR_TEXT_MAX];
    int n = snprintf(text, sizeof(text), "%f", v);

    buf_add_z(out, "vector(");
    if (n > 0 && n < VECTOR_TEXT_MAX && strtod(text, NULL) == v)
        buf_add(out, text, (size_t)n);
    else
        units_print_float(out, v);
    buf_add_char(out, ')');
}

void ast_print_param(const struct ast_node *n, struct buf *out)
{
    if (n->kind == NODE_RANGE && n->range.op == TOKEN_COUNT_DISTINCT_OVER_TIME)
        buf_add_str(out, n->range.param_text); /* a label */
    else
        units_print_float(out, n->kind == NODE_RANGE ? n->range.param : n->aggregate.param);
}

void ast_print_operator(const struct ast_node *n, const char *between, struct buf *out)
{
    const struct ast_grouping *m = &n->binary.matching;

    buf_add_z(out, lex_kind_name(n->binary.op));
    if (n->binary.return_bool)
        buf_add_z(out, " bool");
    if (m->present && (!m->without || m->names != NULL || n->binary.side != GROUP_NONE)) {
        buf_add_z(out, m->without ? " ignoring " : " on ");
        ast_print_names(m->names, between, out);
    }
    if (n->binary.side == GROUP_NONE)
        return;
    buf_add_z(out, n->binary.side == GROUP_LEFT ? " group_left" : " group_right");
    if (n->binary.include == NULL)
        return;
    buf_add_char(out, ' ');
    ast_print_names(n->binary.include, between, out);
}

static void print_binary(const struct ast_node *n, struct buf *out)
{
    buf_add_char(out, '(');
    ast_print(n->binary.left, out);
    buf_add_char(out, ' ');
    ast_print_operator(n, ",", out);
    buf_add_char(out, ' ');
    ast_print(n->binary.right, out);
    buf_add_char(out, ')');
}

static void print_replace(const struct ast_node *n, struct buf *out)
{
    const struct str args[] = {n->replace.dst, n->replace.replacement, n->replace.src,
                               n->replace.pattern};

    buf_add_z(out, "label_replace(");
    ast_print(n->replace.expr, out);
    for (size_t i = 0; i < 4; i++) {
        buf_add_char(out, ',');
        quote_add(out, args[i]);
    }
    buf_add_char(out, ')');
}

static void print_range(const struct ast_node *n, struct buf *out)
{
    buf_addf(out, "%s(", lex_kind_name(n->range.op));
    if (n->range.has_param) {
        ast_print_param(n, out);
        buf_add_char(out, ',');
    }
    print_log(n->range.log, out);
    buf_add_char(out, ')');
    print_grouping(&n->range.grouping, out);
}

static void print_aggregate(const struct ast_node *n, struct buf *out)
{
    buf_add_z(out, lex_kind_name(n->aggregate.op));
    if (!ast_groups_all(&n->aggregate.grouping))
        print_grouping(&n->aggregate.grouping, out);
    buf_add_char(out, '(');
    if (n->aggregate.has_param) {
        ast_print_param(n, out);
        buf_add_char(out, ',');
    }
    ast_print(n->aggregate.expr, out);
    buf_add_char(out, ')');
}

void ast_print(const struct ast_node *n, struct buf *out)
{
    if (out->over)
        return;
    switch (n->kind) {
    case NODE_LOG:
        print_log(n->log, out);
        return;
    case NODE_RANGE:
        print_range(n, out);
        return;
    case NODE_AGGREGATE:
        print_aggregate(n, out);
        return;
    case NODE_BINARY:
        print_binary(n, out);
        return;
    case NODE_LITERAL:
        print_number(n->number, out);
        return;
    case NODE_VECTOR:
        print_vector(n->number, out);
        return;
    case NODE_LABEL_REPLACE:
        print_replace(n, out);
        return;
    }
}

/* ---- comparing ---- */

bool ast_compares(enum compare_op op, int order)
{
    switch (op) {
    case COMPARE_EQ:
        return order == 0;
    case COMPARE_NE:
        return order != 0;
    case COMPARE_GT:
        return order > 0;
    case COMPARE_GE:
        return order >= 0;
    case COMPARE_LT:
        return order < 0;
    case COMPARE_LE:
        return order <= 0;
    }
    return false;
}
