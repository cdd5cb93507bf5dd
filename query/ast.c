/* query/ast.c - see ast.h: ownership, and the printer. */
#include "query/ast.h"

#include "base/mem.h"
#include "base/regexp_cost.h"
#include "query/units.h"

#include <math.h>
#include <string.h>

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
    uint32_t cost = regexp_cost(pattern) + COST_EACH;

    if (cost > COST_MAX - a->regexp_cost)
        return err_set(err, ERR_LIMIT, "too many or too large regular expressions in one query");
    a->regexp_cost += cost;
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

static void print_names(const struct ast_name *names, struct buf *out)
{
    buf_add_char(out, '(');
    for (const struct ast_name *n = names; n != NULL; n = n->next) {
        buf_add_str(out, n->name);
        if (n->next != NULL)
            buf_add_char(out, ',');
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

static void print_filter(const struct ast_filter *f, struct buf *out)
{
    switch (f->kind) {
    case FILTER_AND:
    case FILTER_OR:
        buf_add_char(out, '(');
        for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next) {
            print_filter(kid, out);
            if (kid->next != NULL)
                buf_add_z(out, f->kind == FILTER_AND ? " and " : " or ");
        }
        buf_add_char(out, ')');
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
    case FILTER_DURATION:
    case FILTER_BYTES:
        print_filter_label(f, out);
        buf_add_z(out, compare_text(f->op));
        buf_add_str(out, f->literal);
        return;
    }
}

/* `!= "a" or "b"` is written as two filters, which says the same more plainly. */
static void print_line_filter(const struct ast_stage *s, struct buf *out)
{
    static const char *const text[] = {"|=", "!=", "|~", "!~", "|>", "!>"};
    bool negated = s->line.op == LINE_CONTAINS_NOT || s->line.op == LINE_MATCHES_NOT ||
                   s->line.op == LINE_PATTERN_NOT;

    for (const struct ast_line_arg *a = s->line.args; a != NULL; a = a->next) {
        if (a != s->line.args)
            buf_add_z(out, negated ? " " : " or ");
        if (a == s->line.args || negated)
            buf_addf(out, "%s ", text[s->line.op]);
        if (a->ip)
            buf_add_z(out, "ip(");
        quote_add(out, a->text);
        if (a->ip)
            buf_add_char(out, ')');
    }
}

static void print_extractions(const struct ast_extraction *list, struct buf *out)
{
    for (const struct ast_extraction *x = list; x != NULL; x = x->next) {
        buf_add_char(out, ' ');
        buf_add_str(out, x->name);
        buf_add_char(out, '=');
        quote_add(out, x->path);
        if (x->next != NULL)
            buf_add_char(out, ',');
    }
}

static void print_formats(const struct ast_format *list, struct buf *out)
{
    for (const struct ast_format *f = list; f != NULL; f = f->next) {
        buf_addf(out, " %.*s=", STR_ARG(f->name));
        if (f->is_template)
            quote_add(out, f->value);
        else
            buf_add_str(out, f->value);
        if (f->next != NULL)
            buf_add_char(out, ',');
    }
}

static void print_picks(const struct ast_pick *list, struct buf *out)
{
    for (const struct ast_pick *p = list; p != NULL; p = p->next) {
        buf_add_char(out, ' ');
        if (p->has_matcher)
            print_matcher(&p->m, out);
        else
            buf_add_str(out, p->m.name);
        if (p->next != NULL)
            buf_add_char(out, ',');
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
        print_filter(s->filter, out);
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
        print_names(s->dedup.names, out);
        return;
    case STAGE_UNPACK:
    case STAGE_DECOLORIZE:
        buf_add_z(out, ast_stage_name(s));
        return;
    }
}

static void print_stages(const struct ast_stage *list, struct buf *out)
{
    for (const struct ast_stage *s = list; s != NULL; s = s->next) {
        buf_add_char(out, ' ');
        ast_print_stage(s, out);
    }
}

static void print_unwrap(const struct ast_unwrap *u, struct buf *out)
{
    static const char *const calls[] = {
        [UNWRAP_NUMBER] = NULL,
        [UNWRAP_BYTES] = "bytes",
        [UNWRAP_DURATION] = "duration",
        [UNWRAP_DURATION_SECONDS] = "duration_seconds",
    };

    if (calls[u->unit] == NULL)
        buf_addf(out, " | unwrap %.*s", STR_ARG(u->label));
    else
        buf_addf(out, " | unwrap %s(%.*s)", calls[u->unit], STR_ARG(u->label));
    print_stages(u->filters, out);
}

static void print_log(const struct ast_log *l, struct buf *out)
{
    buf_add_char(out, '{');
    for (const struct ast_matcher *m = l->matchers; m != NULL; m = m->next) {
        print_matcher(&m->m, out);
        if (m->next != NULL)
            buf_add_z(out, ", ");
    }
    buf_add_char(out, '}');
    print_stages(l->stages, out);
    if (l->unwrap != NULL && l->unwrap->unit != UNWRAP_DISTINCT)
        print_unwrap(l->unwrap, out);
    if (l->has_range) {
        buf_add_z(out, " [");
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
    print_names(g->names, out);
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

static void print_binary(const struct ast_node *n, struct buf *out)
{
    buf_add_char(out, '(');
    ast_print(n->binary.left, out);
    buf_addf(out, " %s", lex_kind_name(n->binary.op));
    if (n->binary.return_bool)
        buf_add_z(out, " bool");
    if (n->binary.matching.present) {
        buf_add_z(out, n->binary.matching.without ? " ignoring " : " on ");
        print_names(n->binary.matching.names, out);
    }
    if (n->binary.side != GROUP_NONE) {
        buf_add_z(out, n->binary.side == GROUP_LEFT ? " group_left " : " group_right ");
        print_names(n->binary.include, out);
    }
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

void ast_print(const struct ast_node *n, struct buf *out)
{
    switch (n->kind) {
    case NODE_LOG:
        print_log(n->log, out);
        return;
    case NODE_RANGE:
        buf_addf(out, "%s(", lex_kind_name(n->range.op));
        if (n->range.has_param)
            buf_addf(out, "%.*s,", STR_ARG(n->range.param_text));
        print_log(n->range.log, out);
        buf_add_char(out, ')');
        print_grouping(&n->range.grouping, out);
        return;
    case NODE_AGGREGATE:
        buf_add_z(out, lex_kind_name(n->aggregate.op));
        print_grouping(&n->aggregate.grouping, out);
        buf_add_z(out, n->aggregate.grouping.present ? " (" : "(");
        if (n->aggregate.has_param)
            buf_addf(out, "%.*s,", STR_ARG(n->aggregate.param_text));
        ast_print(n->aggregate.expr, out);
        buf_add_char(out, ')');
        return;
    case NODE_BINARY:
        print_binary(n, out);
        return;
    case NODE_LITERAL:
        print_number(n->number, out);
        return;
    case NODE_VECTOR:
        buf_add_z(out, "vector(");
        units_print_float(out, n->number);
        buf_add_char(out, ')');
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
