/* query/parse_log.c - see parse_log.h. */
#include "query/parse_log.h"

#include "query/parse_filter.h"

/* ---- selectors ---- */

static int parse_selector(struct parser *p, struct ast_log *l)
{
    struct ast_matcher **link = &l->matchers;
    int r = parse_expect(p, TOKEN_OPEN_BRACE);

    if (r == 0 && p->cur.kind == TOKEN_CLOSE_BRACE)
        return parse_advance(p);
    while (r == 0) {
        struct str name = STR_NULL;
        struct ast_matcher *m = parse_alloc(p, sizeof(*m));
        if (m == NULL)
            return parse_failed(p);
        m->at = p->cur.at;
        r = parse_text(p, TOKEN_IDENTIFIER, &name);
        if (r == 0)
            r = parse_filter_matcher(p, name, &m->m, &m->at);
        *link = m;
        link = &m->next;
        if (r < 0 || p->cur.kind != TOKEN_COMMA)
            break;
        r = parse_advance(p);
    }
    if (r < 0)
        return r;
    if (p->cur.kind != TOKEN_CLOSE_BRACE)
        return parse_unexpected(p, "} or ,");
    return parse_advance(p);
}

/* ---- stages ---- */

static bool is_line_op(enum token_kind k, enum line_op *ret)
{
    static const enum token_kind ops[] = {
        [LINE_CONTAINS] = TOKEN_PIPE_EXACT,  [LINE_CONTAINS_NOT] = TOKEN_NEQ,
        [LINE_MATCHES] = TOKEN_PIPE_MATCH,   [LINE_MATCHES_NOT] = TOKEN_NRE,
        [LINE_PATTERN] = TOKEN_PIPE_PATTERN, [LINE_PATTERN_NOT] = TOKEN_NPA,
    };

    for (int i = 0; i < (int)(sizeof(ops) / sizeof(ops[0])); i++) {
        if (ops[i] == k) {
            *ret = (enum line_op)i;
            return true;
        }
    }
    return false;
}

/* STRING | "ip" "(" STRING ")" */
static int parse_line_arg(struct parser *p, enum line_op op, struct ast_line_arg *a)
{
    int r = 0;

    a->at = p->cur.at;
    if (p->cur.kind == TOKEN_IP) {
        a->ip = true;
        r = parse_advance(p);
        if (r == 0)
            r = parse_expect(p, TOKEN_OPEN_PAREN);
        if (r == 0)
            r = parse_text(p, TOKEN_STRING, &a->text);
        return r < 0 ? r : parse_expect(p, TOKEN_CLOSE_PAREN);
    }
    if (p->cur.kind != TOKEN_STRING)
        return parse_unexpected(p, "STRING or ip");
    return op == LINE_MATCHES || op == LINE_MATCHES_NOT ? parse_regexp(p, &a->text)
                                                        : parse_text(p, TOKEN_STRING, &a->text);
}

static int parse_line_filter(struct parser *p, enum line_op op, struct ast_stage *s)
{
    struct ast_line_arg **link = &s->line.args;
    int r;

    s->kind = STAGE_LINE_FILTER;
    s->line.op = op;
    do { /* first the operator, then each "or" is passed */
        struct ast_line_arg *a = parse_alloc(p, sizeof(*a));
        if (a == NULL)
            return parse_failed(p);
        r = parse_advance(p);
        if (r == 0)
            r = parse_line_arg(p, op, a);
        *link = a;
        link = &a->next;
    } while (r == 0 && p->cur.kind == TOKEN_OR);
    return r;
}

/* extraction { "," extraction }, if one follows */
static int parse_extractions(struct parser *p, struct ast_extraction **link)
{
    int r = 0;

    if (p->cur.kind != TOKEN_IDENTIFIER)
        return 0;
    for (;;) {
        struct ast_extraction *x = parse_alloc(p, sizeof(*x));
        if (x == NULL)
            return parse_failed(p);
        x->at = p->cur.at;
        r = parse_text(p, TOKEN_IDENTIFIER, &x->name);
        x->path = x->name;
        if (r == 0 && p->cur.kind == TOKEN_EQ) {
            x->has_path = true;
            r = parse_advance(p);
            x->at = p->cur.at;
            if (r == 0)
                r = parse_text(p, TOKEN_STRING, &x->path);
        }
        *link = x;
        link = &x->next;
        if (r < 0 || p->cur.kind != TOKEN_COMMA)
            return r;
        r = parse_advance(p);
        if (r < 0)
            return r;
    }
}

static int parse_logfmt(struct parser *p, struct ast_stage *s)
{
    int r = parse_advance(p);

    while (r == 0 && p->cur.kind == TOKEN_FLAG && !str_eq(p->cur.text, STR("--arrays"))) {
        if (str_eq(p->cur.text, STR("--strict")))
            s->parser.strict = true;
        else
            s->parser.keep_empty = true;
        r = parse_advance(p);
    }
    return r < 0 ? r : parse_extractions(p, &s->parser.list);
}

/* json [--arrays] [extractions]: the flag is an extension. */
static int parse_json(struct parser *p, struct ast_stage *s)
{
    int r = parse_advance(p);

    if (r == 0 && p->cur.kind == TOKEN_FLAG && str_eq(p->cur.text, STR("--arrays"))) {
        s->parser.arrays = true;
        return parse_advance(p);
    }
    return r < 0 ? r : parse_extractions(p, &s->parser.list);
}

/* Does what is behind the word in hand go with a stage of that name? */
static bool ends_stage(const struct parser *p)
{
    struct lexer ahead = p->lexer;
    struct token next;
    struct err ignored;

    if (lex_next(&ahead, &next, &ignored) < 0)
        return false;
    switch ((int)next.kind) {
    case TOKEN_BY:
    case TOKEN_END:
    case TOKEN_PIPE:
    case TOKEN_PIPE_EXACT:
    case TOKEN_PIPE_MATCH:
    case TOKEN_PIPE_PATTERN:
    case TOKEN_NPA:
    case TOKEN_RANGE:
    case TOKEN_CLOSE_PAREN:
        return true;
    default:
        return false;
    }
}

/* Is the word in hand the stage `dedup`, an extension?  In LogQL it is a label's name, and an
 * operator of comparison comes behind it. */
static bool is_dedup(const struct parser *p)
{
    return p->cur.kind == TOKEN_IDENTIFIER && str_eq_nocase(p->cur.text, STR("dedup")) &&
           ends_stage(p);
}

/* "dedup" [ "by" "(" IDENT { "," IDENT } ")" ] */
static int parse_dedup(struct parser *p, struct ast_stage *s)
{
    struct ast_name **link = &s->dedup.names;
    int r = parse_advance(p);

    s->kind = STAGE_DEDUP;
    if (r < 0 || p->cur.kind != TOKEN_BY)
        return r;
    r = parse_advance(p);
    if (r == 0 && p->cur.kind != TOKEN_OPEN_PAREN)
        return parse_unexpected(p, "(");
    do { /* first the parenthesis, then each comma is passed */
        struct ast_name *n = parse_alloc(p, sizeof(*n));
        if (n == NULL)
            return parse_failed(p);
        if (r == 0)
            r = parse_advance(p);
        if (r == 0)
            r = parse_text(p, TOKEN_IDENTIFIER, &n->name);
        *link = n;
        link = &n->next;
    } while (r == 0 && p->cur.kind == TOKEN_COMMA);
    return r < 0 ? r : parse_expect(p, TOKEN_CLOSE_PAREN);
}

/* label_format: IDENT "=" ( IDENT | STRING ) { "," ... } */
static int parse_formats(struct parser *p, struct ast_format **link)
{
    int r;

    do { /* first the keyword, then each comma is passed */
        struct ast_format *f = parse_alloc(p, sizeof(*f));
        if (f == NULL)
            return parse_failed(p);
        r = parse_advance(p);
        f->at = p->cur.at;
        if (r == 0)
            r = parse_text(p, TOKEN_IDENTIFIER, &f->name);
        if (r == 0)
            r = parse_expect(p, TOKEN_EQ);
        if (r < 0)
            return r;
        f->is_template = p->cur.kind == TOKEN_STRING;
        if (!f->is_template && p->cur.kind != TOKEN_IDENTIFIER)
            return parse_unexpected(p, "IDENTIFIER or STRING");
        r = parse_text(p, p->cur.kind, &f->value);
        *link = f;
        link = &f->next;
    } while (r == 0 && p->cur.kind == TOKEN_COMMA);
    return r;
}

/* drop, keep: ( IDENT | matcher ) { "," ... } */
static int parse_picks(struct parser *p, struct ast_pick **link)
{
    int r;

    do { /* first the keyword, then each comma is passed */
        struct str name = STR_NULL;
        struct ast_pick *k = parse_alloc(p, sizeof(*k));
        if (k == NULL)
            return parse_failed(p);
        r = parse_advance(p);
        if (r == 0)
            r = parse_text(p, TOKEN_IDENTIFIER, &name);
        if (r < 0)
            return r;
        k->m.name = name;
        k->has_matcher = p->cur.kind == TOKEN_EQ || p->cur.kind == TOKEN_NEQ ||
                         p->cur.kind == TOKEN_RE || p->cur.kind == TOKEN_NRE;
        if (k->has_matcher)
            r = parse_filter_matcher(p, name, &k->m, &k->at);
        *link = k;
        link = &k->next;
    } while (r == 0 && p->cur.kind == TOKEN_COMMA);
    return r;
}

static int parse_text_stage(struct parser *p, struct ast_stage *s)
{
    int r = parse_advance(p);

    if (r < 0)
        return r;
    return s->kind == STAGE_REGEXP ? parse_regexp(p, &s->text.text)
                                   : parse_text(p, TOKEN_STRING, &s->text.text);
}

static int parse_filter_stage(struct parser *p, struct ast_stage *s)
{
    s->kind = STAGE_LABEL_FILTER;
    return parse_filter(p, &s->filter);
}

/* One stage, from what stands behind its bar on. */
static int parse_stage(struct parser *p, struct ast_stage *s)
{
    static const struct {
        enum token_kind token;
        enum stage_kind kind;
    } words[] = {
        {TOKEN_JSON, STAGE_JSON},     {TOKEN_LOGFMT, STAGE_LOGFMT},
        {TOKEN_REGEXP, STAGE_REGEXP}, {TOKEN_PATTERN, STAGE_PATTERN},
        {TOKEN_UNPACK, STAGE_UNPACK}, {TOKEN_LINE_FORMAT, STAGE_LINE_FORMAT},
        {TOKEN_DROP, STAGE_DROP},     {TOKEN_LABEL_FORMAT, STAGE_LABEL_FORMAT},
        {TOKEN_KEEP, STAGE_KEEP},     {TOKEN_DECOLORIZE, STAGE_DECOLORIZE},
    };
    size_t i = 0;

    if (is_dedup(p))
        return parse_dedup(p, s);
    if (p->cur.kind == TOKEN_IDENTIFIER || p->cur.kind == TOKEN_OPEN_PAREN)
        return parse_filter_stage(p, s);
    while (i < sizeof(words) / sizeof(words[0]) && words[i].token != p->cur.kind)
        i++;
    if (i == sizeof(words) / sizeof(words[0]))
        return parse_unexpected(p, NULL);
    s->kind = words[i].kind;
    switch (s->kind) {
    case STAGE_JSON:
        return parse_json(p, s);
    case STAGE_LOGFMT:
        return parse_logfmt(p, s);
    case STAGE_REGEXP:
    case STAGE_PATTERN:
    case STAGE_LINE_FORMAT:
        return parse_text_stage(p, s);
    case STAGE_LABEL_FORMAT:
        return parse_formats(p, &s->formats);
    case STAGE_DROP:
    case STAGE_KEEP:
        return parse_picks(p, &s->picks);
    case STAGE_UNPACK:
    case STAGE_DECOLORIZE:
    case STAGE_LINE_FILTER:
    case STAGE_LABEL_FILTER:
    case STAGE_DEDUP:
        break;
    }
    return parse_advance(p);
}

/* Stages as long as some follow.  Stops with `unwrap` in hand, its bar passed, where that may come
 * (*unwrap is then true). */
static int parse_stages(struct parser *p, struct ast_log *l, bool *unwrap)
{
    enum line_op op;
    bool is_filter;

    while ((is_filter = is_line_op(p->cur.kind, &op)) || p->cur.kind == TOKEN_PIPE) {
        struct ast_stage *s = parse_alloc(p, sizeof(*s));
        int r = 0;
        if (s == NULL)
            return parse_failed(p);
        s->at = p->cur.at;
        if (is_filter)
            r = parse_line_filter(p, op, s);
        else
            r = parse_advance(p);
        if (r == 0 && !is_filter && p->cur.kind == TOKEN_UNWRAP && unwrap != NULL) {
            *unwrap = true;
            return 0;
        }
        if (r == 0 && !is_filter)
            r = parse_stage(p, s);
        if (r < 0)
            return r;
        if (l->last_stage == NULL)
            l->stages = s;
        else
            l->last_stage->next = s;
        l->last_stage = s;
    }
    return 0;
}

static int new_log(struct parser *p, struct ast_log **ret)
{
    struct ast_log *l = parse_alloc(p, sizeof(*l));

    if (l == NULL)
        return parse_failed(p);
    l->at = p->cur.at;
    *ret = l;
    return 0;
}

int parse_log_query(struct parser *p, struct ast_log **ret)
{
    int r = new_log(p, ret);

    if (r == 0)
        r = parse_selector(p, *ret);
    return r < 0 ? r : parse_stages(p, *ret, NULL);
}

/* ---- ranges ---- */

/* "unwrap" ( IDENT | conversion "(" IDENT ")" ) { "|" labelFilter } */
static int parse_unwrap(struct parser *p, struct ast_log *l)
{
    struct ast_unwrap *u = parse_alloc(p, sizeof(*u));
    struct ast_stage **link;
    int r;

    if (u == NULL)
        return parse_failed(p);
    l->unwrap = u;
    link = &u->filters;
    r = parse_advance(p);
    u->at = p->cur.at;
    if (r == 0 && p->cur.kind >= TOKEN_BYTES_CONV && p->cur.kind <= TOKEN_DURATION_SECONDS_CONV) {
        u->unit = (enum unwrap_unit)(UNWRAP_BYTES + (p->cur.kind - TOKEN_BYTES_CONV));
        r = parse_advance(p);
        if (r == 0)
            r = parse_expect(p, TOKEN_OPEN_PAREN);
        if (r == 0)
            r = parse_text(p, TOKEN_IDENTIFIER, &u->label);
        if (r == 0)
            r = parse_expect(p, TOKEN_CLOSE_PAREN);
    } else if (r == 0) {
        r = parse_text(p, TOKEN_IDENTIFIER, &u->label);
    }
    while (r == 0 && p->cur.kind == TOKEN_PIPE) {
        struct ast_stage *s = parse_alloc(p, sizeof(*s));
        if (s == NULL)
            return parse_failed(p);
        s->at = p->cur.at;
        r = parse_advance(p);
        if (r == 0)
            r = parse_filter_stage(p, s);
        *link = s;
        link = &s->next;
    }
    return r;
}

/* [ stages ] [ unwrap ] */
static int parse_tail(struct parser *p, struct ast_log *l)
{
    bool unwrap = false;
    int r = parse_stages(p, l, &unwrap);

    return r < 0 || !unwrap ? r : parse_unwrap(p, l);
}

/* RANGE [ "offset" DURATION ] */
static int parse_duration(struct parser *p, struct ast_log *l)
{
    int r;

    l->range = p->cur.duration;
    r = parse_expect(p, TOKEN_RANGE);
    l->has_range = true;
    if (r < 0 || p->cur.kind != TOKEN_OFFSET)
        return r;
    r = parse_advance(p);
    if (r < 0)
        return r;
    l->offset = p->cur.duration;
    return parse_expect(p, TOKEN_DURATION);
}

/* A selector with all that may stand around it.  *piped: stages or unwrap came. */
static int parse_body(struct parser *p, struct ast_log **ret, bool *piped)
{
    int r = new_log(p, ret);

    if (r == 0)
        r = parse_selector(p, *ret);
    if (r == 0)
        r = parse_tail(p, *ret);
    if (r < 0)
        return r;
    *piped = (*ret)->stages != NULL || (*ret)->unwrap != NULL;
    if (p->cur.kind != TOKEN_RANGE)
        return 0;
    r = parse_duration(p, *ret);
    return r < 0 || *piped ? r : parse_tail(p, *ret);
}

int parse_log_range(struct parser *p, struct ast_log **ret)
{
    bool piped = false;
    int r;

    if (p->cur.kind != TOKEN_OPEN_PAREN) {
        r = parse_body(p, ret, &piped);
        return r < 0 || (*ret)->has_range ? r : parse_unexpected(p, "RANGE");
    }
    r = parse_enter(p);
    if (r == 0)
        r = parse_advance(p);
    if (r == 0)
        r = p->cur.kind == TOKEN_OPEN_PAREN ? parse_log_range(p, ret) : parse_body(p, ret, &piped);
    if (r == 0)
        r = parse_expect(p, TOKEN_CLOSE_PAREN);
    if (r < 0)
        return r;
    parse_leave(p);
    if ((*ret)->has_range)
        return 0;
    r = parse_duration(p, *ret);
    return r < 0 || piped ? r : parse_tail(p, *ret);
}
