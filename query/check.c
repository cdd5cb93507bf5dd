/*
 * query/check.c - see check.h.
 *
 * The tree is gone through twice: regular expressions are compiled when all else is right, their
 * own syntax too.  They take a hundred times as long as the rest, and a text that is no query shall
 * not cost that.
 */
#include "query/check.h"

#include "base/map.h"
#include "base/regexp_cost.h"
#include "base/regexp_syntax.h"
#include "base/vec.h"
#include "query/tmpl.h"

#include <string.h>

struct checker {
    struct ast *ast;
    struct place *at;
    struct err *err;
    size_t n_dedups, template_tokens;
    bool text_only; /* leave out what need not be right for the text to be a query */
    bool compiles;  /* the second time: regular expressions, and what they say, alone */
};

#define FAIL(c, place, code, ...) (*(c)->at = (place), err_set((c)->err, (code), __VA_ARGS__))

/* ---- selectors ---- */

static bool is_pattern(const struct matcher *m)
{
    return m->op == MATCH_RE || m->op == MATCH_NRE;
}

/* Of a regular expression, without compiling it.  The parser has seen the sizes. */
static int check_syntax(const struct checker *c, struct str pattern)
{
    int r = c->ast->has_large_regexp ? regexp_check_size(pattern, c->err) : 0;

    return r < 0 ? r : regexp_check(pattern, c->err);
}

static int check_matcher(struct checker *c, struct matcher *m, struct place at)
{
    int r = 0;

    if (is_pattern(m) == c->compiles)
        r = ast_matcher(c->ast, m, c->err);
    else if (!c->compiles)
        r = check_syntax(c, m->value);

    if (r < 0)
        *c->at = at;
    return r;
}

static int check_selector(struct checker *c, const struct ast_log *l)
{
    bool selects = false;

    for (struct ast_matcher *m = l->matchers; m != NULL; m = m->next) {
        int r = check_matcher(c, &m->m, m->at);
        if (r < 0)
            return r;
        if (m->m.op == MATCH_RE && !c->compiles)
            selects = selects || regexp_takes_empty(m->m.value) != REGEXP_EMPTY_YES; /* may be */
        else if (m->m.op == MATCH_EQ || m->m.op == MATCH_RE)
            selects = selects || !matcher_matches(&m->m, STR(""));
    }
    if (selects || c->ast->may_select_all)
        return 0;
    return FAIL(c, l->at, ERR_INVALID,
                "queries require at least one regexp or equality matcher that does not have an "
                "empty-compatible value. For instance, app=~\".*\" does not meet this "
                "requirement, but app=~\".+\" will");
}

/* ---- paths ---- */

static size_t field_length(struct str s)
{
    size_t n = 0;

    while (n < s.n && label_name_ok(str_sub(s, 0, n + 1)))
        n++;
    return n;
}

/* ["key"] or [3] at the beginning of *s, which is moved past it. */
static bool read_bracket(struct checker *c, struct str *s, struct ast_step *ret)
{
    size_t n = 2;
    uint64_t index;

    if (s->n > 1 && s->p[1] == '"') {
        while (n < s->n && s->p[n] != '"')
            n += s->p[n] == '\\' ? 2 : 1;
        if (n >= s->n || !lex_unescape(str_sub(*s, 2, n - 2), c->ast->arena, &ret->key))
            return false;
        n++;
    } else {
        n = 1;
        while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
            n++;
        if (!str_to_u64(str_sub(*s, 1, n - 1), &index) || index > SIZE_MAX)
            return false;
        ret->is_index = true;
        ret->index = (size_t)index;
    }
    if (n >= s->n || s->p[n] != ']')
        return false;
    *s = str_from(*s, n + 1);
    return true;
}

/* One step at the beginning of *s, which is moved past it. */
static bool read_step(struct checker *c, struct str *s, bool first, struct ast_step *ret)
{
    size_t n;

    *ret = (struct ast_step){.key = STR_NULL};
    if (s->p[0] == '[')
        return read_bracket(c, s, ret);
    if (!first) {
        if (s->p[0] != '.')
            return false;
        *s = str_from(*s, 1);
    }
    n = field_length(*s);
    ret->key = str_sub(*s, 0, n);
    *s = str_from(*s, n);
    return n > 0;
}

typedef VEC(struct ast_step) step_list;

static void add_step(step_list *to, struct ast_step step)
{
    VEC_PUSH(to, step);
}

static bool read_path(struct checker *c, struct str path, step_list *ret)
{
    bool ok = path.n > 0;

    while (ok && path.n > 0) {
        struct ast_step step;
        ok = read_step(c, &path, ret->n == 0, &step);
        add_step(ret, step);
    }
    return ok;
}

static int keep_steps(struct checker *c, const step_list *steps, struct ast_extraction *x)
{
    x->steps = arena_alloc(c->ast->arena, steps->n * sizeof(*steps->p));
    if (x->steps == NULL)
        return arena_err(c->ast->arena, c->err);
    memcpy(x->steps, steps->p, steps->n * sizeof(*steps->p));
    x->n_steps = steps->n;
    return 0;
}

static int check_json_path(struct checker *c, struct ast_extraction *x)
{
    step_list steps = {0};
    int r;

    if (read_path(c, x->path, &steps))
        r = keep_steps(c, &steps, x);
    else
        r = FAIL(c, x->at, ERR_INVALID, "cannot parse expression [%.*s] as a JSON path",
                 (int)(x->path.n < 80 ? x->path.n : 80), x->path.p);
    VEC_FINI(&steps);
    return r;
}

static int check_extractions(struct checker *c, const struct ast_stage *s)
{
    if (c->text_only)
        return 0;
    for (struct ast_extraction *x = s->parser.list; x != NULL; x = x->next) {
        int r = 0;
        if (s->kind == STAGE_JSON)
            r = check_json_path(c, x);
        else if (!label_name_ok(x->path))
            r = FAIL(c, x->at, ERR_INVALID, "cannot parse expression [%.*s] as a logfmt key",
                     (int)(x->path.n < 80 ? x->path.n : 80), x->path.p);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- stages ---- */

static int check_ip(struct checker *c, struct str text, struct place at, struct ip_range **ret)
{
    *ret = arena_alloc(c->ast->arena, sizeof(**ret));
    if (*ret == NULL)
        return arena_err(c->ast->arena, c->err);
    if (!ip_range_parse(text, *ret))
        return FAIL(
            c, at, ERR_INVALID,
            "ip: invalid pattern \"%.*s\": it takes an address, a range a-b or a prefix a/n",
            STR_ARG(str_sub(text, 0, 60)));
    return 0;
}

static int check_pattern(struct checker *c, struct str text, struct place at, bool is_stage,
                         struct pattern **ret)
{
    int r;

    *ret = arena_alloc(c->ast->arena, sizeof(**ret));
    if (*ret == NULL)
        return arena_err(c->ast->arena, c->err);
    r = pattern_parse(text, is_stage, c->ast->arena, *ret, c->err);
    if (r < 0)
        *c->at = at;
    return r;
}

static int check_line_filter(struct checker *c, const struct ast_stage *s)
{
    bool pattern = s->line.op == LINE_PATTERN || s->line.op == LINE_PATTERN_NOT;
    bool matches = s->line.op == LINE_MATCHES || s->line.op == LINE_MATCHES_NOT;
    int r = 0;

    if (c->text_only)
        return 0;
    for (struct ast_line_arg *a = s->line.args; a != NULL && r == 0; a = a->next) {
        if (c->compiles != (matches && !a->ip)) {
            if (!c->compiles && (r = check_syntax(c, a->text)) < 0)
                *c->at = a->at;
            continue;
        }
        if (a->ip && s->line.op != LINE_CONTAINS && s->line.op != LINE_CONTAINS_NOT)
            return FAIL(c, a->at, ERR_INVALID, "ip: invalid operation: it takes |= or !=");
        if (a->ip)
            r = check_ip(c, a->text, a->at, &a->ips);
        else if (pattern)
            r = check_pattern(c, a->text, a->at, false, &a->pattern);
        else if (matches && (r = ast_regexp(c->ast, a->text, false, &a->re, c->err)) < 0)
            *c->at = a->at;
    }
    return r;
}

static int check_picks(struct checker *c, struct ast_pick *list)
{
    int r = 0;

    for (struct ast_pick *p = list; p != NULL && r == 0; p = p->next)
        if (p->has_matcher)
            r = check_matcher(c, &p->m, p->at);
    return r;
}

static int check_filter(struct checker *c, struct ast_filter *f)
{
    int r = 0;

    if (f->kind == FILTER_MATCH)
        return check_matcher(c, &f->m, f->at);
    if (f->kind == FILTER_IP && !c->text_only && !c->compiles)
        return check_ip(c, f->literal, f->at, &f->ips);
    for (struct ast_filter *kid = f->first; kid != NULL && r == 0; kid = kid->next)
        r = check_filter(c, kid);
    return r;
}

/* 1: it captures more than regexp_capture fills.  That is told before the pattern is compiled,
 * which takes a hundred times as long; what RE2 counts is asked nevertheless, since arrays depend
 * on it. */
static int compile_capturing(struct checker *c, struct str pattern, bool anchored,
                             struct regexp **ret)
{
    int r;

    if (regexp_groups(pattern, REGEXP_MAX_CAPTURES) == REGEXP_MAX_CAPTURES)
        return 1;
    if (!c->compiles)
        return check_syntax(c, pattern);
    r = ast_regexp(c->ast, pattern, anchored, ret, c->err);
    return r < 0 ? r : regexp_captures(*ret) >= REGEXP_MAX_CAPTURES;
}

/* The names of the groups of a stage, in ret[0..REGEXP_MAX_CAPTURES).  SIZE_MAX: they are not known
 * before it is compiled. */
static size_t group_names(const struct checker *c, const struct ast_stage *s, struct str *ret)
{
    size_t n;

    if (!c->compiles)
        return regexp_names(s->text.text, ret, REGEXP_MAX_CAPTURES);
    n = regexp_captures(s->text.re);
    for (size_t i = 0; i < n; i++)
        ret[i] = regexp_capture_name(s->text.re, i + 1);
    return n;
}

static int check_regexp(struct checker *c, struct ast_stage *s)
{
    struct str names[REGEXP_MAX_CAPTURES];
    size_t n;
    size_t named = 0;
    int r = compile_capturing(c, s->text.text, false, &s->text.re);

    if (r > 0)
        return FAIL(c, s->at, ERR_INVALID, "regexp: more than %d captures",
                    REGEXP_MAX_CAPTURES - 1);
    if (r < 0) {
        *c->at = s->at;
        return r;
    }
    n = group_names(c, s, names);
    if (n == SIZE_MAX)
        return 0; /* the second time */
    for (size_t i = 0; i < n; i++) {
        struct str name = names[i];
        if (name.p == NULL)
            continue;
        named++;
        if (!label_name_ok(name))
            return FAIL(c, s->at, ERR_INVALID, "invalid extracted label name '%.*s'",
                        (int)(name.n < 80 ? name.n : 80), name.p);
        for (size_t j = 0; j < i; j++) {
            if (str_eq(name, names[j]))
                return FAIL(c, s->at, ERR_INVALID, "duplicate extracted label name '%.*s'",
                            (int)(name.n < 80 ? name.n : 80), name.p);
        }
    }
    if (named == 0)
        return FAIL(c, s->at, ERR_INVALID, "at least one named capture must be supplied");
    return 0;
}

static int check_template(struct checker *c, struct str text, const struct tmpl_env *env,
                          const struct tmpl **ret)
{
    int r = tmpl_compile(text, env, c->ast->arena, ret, NULL, c->err);

    if (r == 0)
        c->template_tokens += tmpl_tokens(*ret);
    if (r < 0 || c->template_tokens <= TMPL_TOKENS_MAX)
        return r;
    return err_set(c->err, ERR_INVALID, "too many words and signs in the templates of the query");
}

static int check_line_format(struct checker *c, struct ast_stage *s)
{
    static const struct tmpl_env env = {.name = "line", .funcs = tmpl_logql_funcs};
    int r;

    if (c->text_only)
        return 0;
    r = check_template(c, s->text.text, &env, &s->text.tmpl);
    if (r < 0)
        *c->at = s->at;
    return r == ERR_INVALID ? err_wrap(c->err, "invalid line template") : r;
}

/* A label is set once in a stage, and never the one that says what went wrong. */
static int check_targets(struct checker *c, const struct ast_format *list)
{
    struct map *names = map_new(0, NULL);
    int r = 0;

    for (const struct ast_format *f = list; f != NULL && r == 0; f = f->next) {
        struct str shown = str_sub(f->name, 0, 80);
        if (str_eq(f->name, STR("__error__")))
            r = FAIL(c, f->at, ERR_INVALID, "%.*s cannot be formatted", STR_ARG(shown));
        else if (map_get(names, f->name) != NULL)
            r = FAIL(c, f->at, ERR_INVALID,
                     "multiple label name '%.*s' not allowed in a single format operation",
                     STR_ARG(shown));
        else
            (void)map_put(names, f->name, c); /* any value; there is no limit */
    }
    map_free(&names);
    return r;
}

static int check_label_format(struct checker *c, struct ast_format *list)
{
    static const struct tmpl_env env = {.name = "label", .funcs = tmpl_logql_funcs};
    int r = check_targets(c, list);

    for (struct ast_format *f = list; f != NULL && r == 0 && !c->text_only; f = f->next) {
        if (!f->is_template)
            continue;
        r = check_template(c, f->value, &env, &f->tmpl);
        if (r < 0)
            *c->at = f->at;
        if (r == ERR_INVALID)
            r = err_wrap(c->err, "invalid template for label '%.*s'",
                         STR_ARG(str_sub(f->name, 0, 80)));
    }
    return r;
}

static int check_dedup(struct checker *c, struct ast_stage *s)
{
    if (c->ast->root->kind != NODE_LOG)
        return FAIL(c, s->at, ERR_INVALID,
                    "dedup is for log queries: which line is the first depends on their order");
    s->dedup.number = c->n_dedups++;
    return 0;
}

static bool may_have_regexps(enum stage_kind kind)
{
    return kind == STAGE_LINE_FILTER || kind == STAGE_LABEL_FILTER || kind == STAGE_REGEXP ||
           kind == STAGE_DROP || kind == STAGE_KEEP;
}

static int check_stages(struct checker *c, struct ast_stage *list)
{
    int r = 0;

    for (struct ast_stage *s = list; s != NULL && r == 0; s = s->next) {
        if (c->compiles && !may_have_regexps(s->kind))
            continue;
        switch (s->kind) {
        case STAGE_LINE_FILTER:
            r = check_line_filter(c, s);
            break;
        case STAGE_LABEL_FILTER:
            r = check_filter(c, s->filter);
            break;
        case STAGE_JSON:
        case STAGE_LOGFMT:
            r = check_extractions(c, s);
            break;
        case STAGE_REGEXP:
            r = check_regexp(c, s);
            break;
        case STAGE_PATTERN:
            r = check_pattern(c, s->text.text, s->at, true, &s->text.pattern);
            break;
        case STAGE_DROP:
        case STAGE_KEEP:
            r = check_picks(c, s->picks);
            break;
        case STAGE_DEDUP:
            r = check_dedup(c, s);
            break;
        case STAGE_UNPACK:
        case STAGE_DECOLORIZE:
            break;
        case STAGE_LINE_FORMAT:
            r = check_line_format(c, s);
            break;
        case STAGE_LABEL_FORMAT:
            r = check_label_format(c, s->formats);
            break;
        }
    }
    return r;
}

static int check_log(struct checker *c, const struct ast_log *l)
{
    int r = check_selector(c, l);

    if (r == 0)
        r = check_stages(c, l->stages);
    if (r == 0 && l->unwrap != NULL)
        r = check_stages(c, l->unwrap->filters);
    return r;
}

/* ---- aggregations ---- */

static bool may_unwrap(enum token_kind op)
{
    return op != TOKEN_COUNT_OVER_TIME && op != TOKEN_BYTES_OVER_TIME && op != TOKEN_BYTES_RATE;
}

static bool may_count_lines(enum token_kind op)
{
    return !may_unwrap(op) || op == TOKEN_RATE || op == TOKEN_ABSENT_OVER_TIME;
}

static bool may_group(enum token_kind op)
{
    return op == TOKEN_AVG_OVER_TIME || op == TOKEN_COUNT_DISTINCT_OVER_TIME ||
           (op >= TOKEN_MIN_OVER_TIME && op <= TOKEN_LAST_OVER_TIME);
}

static int check_range(struct checker *c, const struct ast_node *n)
{
    const char *op = lex_kind_name(n->range.op);
    bool unwrap = n->range.log->unwrap != NULL;

    if (c->compiles)
        return check_log(c, n->range.log);
    if (n->range.op == TOKEN_QUANTILE_OVER_TIME && !n->range.has_param)
        return FAIL(c, n->at, ERR_INVALID, "parameter required for operation %s", op);
    if (n->range.op != TOKEN_QUANTILE_OVER_TIME && n->range.op != TOKEN_COUNT_DISTINCT_OVER_TIME &&
        n->range.has_param)
        return FAIL(c, n->at, ERR_INVALID, "parameter %.*s not supported for operation %s",
                    STR_ARG(str_sub(n->range.param_text, 0, 40)), op);
    if (n->range.grouping.present && !may_group(n->range.op))
        return FAIL(c, n->range.grouping.at, ERR_INVALID, "grouping not allowed for %s aggregation",
                    op);
    if (unwrap && !may_unwrap(n->range.op))
        return FAIL(c, n->at, ERR_INVALID, "invalid aggregation %s with unwrap", op);
    if (!unwrap && !may_count_lines(n->range.op))
        return FAIL(c, n->at, ERR_INVALID, "invalid aggregation %s without unwrap", op);
    return check_log(c, n->range.log);
}

static bool takes_count(enum token_kind op)
{
    return op == TOKEN_TOPK || op == TOKEN_BOTTOMK || op == TOKEN_APPROX_TOPK;
}

enum { COUNT_MAX = 1000000000 };

/* Digits alone, as in Loki: 1e1 and 1_0 are numbers, but no counts. */
static bool is_count(struct str text)
{
    uint64_t k;

    return str_to_u64(text, &k) && k > 0 && k <= COUNT_MAX;
}

static int check_aggregate(struct checker *c, const struct ast_node *n)
{
    enum token_kind kind = n->aggregate.op;
    const char *op = lex_kind_name(kind);
    const struct ast_grouping *g = &n->aggregate.grouping;

    if (takes_count(kind) && !n->aggregate.has_param)
        return FAIL(c, n->at, ERR_INVALID, "parameter required for operation %s", op);
    if (takes_count(kind) && !is_count(n->aggregate.param_text))
        return FAIL(c, n->at, ERR_INVALID, "invalid parameter %s(%.*s,", op,
                    STR_ARG(str_sub(n->aggregate.param_text, 0, 40)));
    if (!takes_count(kind) && n->aggregate.has_param)
        return FAIL(c, n->at, ERR_INVALID, "unsupported parameter for operation %s(%.*s,", op,
                    STR_ARG(str_sub(n->aggregate.param_text, 0, 40)));
    if (kind == TOKEN_APPROX_TOPK && g->present)
        return FAIL(c, g->at, ERR_INVALID, "grouping not allowed for %s aggregation", op);
    if ((kind == TOKEN_SORT || kind == TOKEN_SORT_DESC) && g->names != NULL)
        return FAIL(c, g->at, ERR_INVALID, "grouping not allowed for %s aggregation", op);
    if (n->aggregate.expr->kind == NODE_LITERAL)
        return FAIL(c, n->aggregate.expr->at, ERR_INVALID, "unexpected literal in %s", op);
    return 0;
}

static int check_replace(struct checker *c, struct ast_node *n)
{
    int r = compile_capturing(c, n->replace.pattern, true, &n->replace.re);

    if (r > 0)
        return FAIL(c, n->at, ERR_INVALID, "label_replace: more than %d groups",
                    REGEXP_MAX_CAPTURES - 1);
    if (r < 0) {
        *c->at = n->at;
        return err_wrap(c->err, "invalid regex in label_replace");
    }
    return 0;
}

static int check_node(struct checker *c, struct ast_node *n);

static int check_binary(struct checker *c, struct ast_node *n)
{
    int r = check_node(c, n->binary.left);

    return r < 0 ? r : check_node(c, n->binary.right);
}

static int check_node(struct checker *c, struct ast_node *n)
{
    int r;

    switch (n->kind) {
    case NODE_LOG:
        return check_log(c, n->log);
    case NODE_RANGE:
        return check_range(c, n);
    case NODE_AGGREGATE:
        r = c->compiles ? 0 : check_aggregate(c, n);
        return r < 0 ? r : check_node(c, n->aggregate.expr);
    case NODE_BINARY:
        return check_binary(c, n);
    case NODE_LITERAL:
    case NODE_VECTOR:
        return 0;
    case NODE_LABEL_REPLACE:
        r = check_replace(c, n);
        return r < 0 ? r : check_node(c, n->replace.expr);
    }
    return 0;
}

static int check_twice(struct checker *c)
{
    int r = check_node(c, c->ast->root);

    c->compiles = true;
    return r < 0 ? r : check_node(c, c->ast->root);
}

int check_query(struct ast *a, struct place *at, struct err *err)
{
    struct checker c = {.ast = a, .at = at, .err = err};

    return check_twice(&c);
}

int check_text(struct ast *a, struct place *at, struct err *err)
{
    struct checker c = {.ast = a, .at = at, .err = err, .text_only = true};

    return check_twice(&c);
}
