/* query/plan_tests.c - see plan_tests.h. */
#include "query/plan_tests.h"

#include "query/entry.h"
#include "query/units.h"

#include <math.h>

/* ---- names ---- */

bool plan_names(enum scan_parser parser, struct str path, struct str label)
{
    struct entry e = {.n = 0};
    struct str name;
    bool same;

    if (parser == SCAN_PARSE_PATTERN && str_eq(path, STR("_")))
        return false;
    buf_init(&e.name, RECORD_LINE_MAX);
    if (parser == SCAN_PARSE_PATTERN)
        buf_add_str(&e.name, path);
    if (parser == SCAN_PARSE_LOGFMT)
        entry_add_name(&e, path);
    while (path.p != NULL && parser == SCAN_PARSE_JSON) {
        struct str key = str_trim(str_cut(&path, '\0'));
        if (key.n > 0 && e.name.n > 0)
            buf_add_char(&e.name, '_');
        entry_add_name(&e, key);
    }
    name = buf_str(&e.name);
    same = e.name.over || str_eq(name, label) ||
           (str_eq(label, STR("__")) && str_starts(name, STR("__")));
    buf_fini(&e.name);
    return same;
}

enum scan_parser plan_parser_of(const struct ast_stage *s)
{
    if (s->skipped)
        return SCAN_PARSE_NONE;
    if (s->kind == STAGE_JSON && s->parser.list == NULL && !s->parser.arrays)
        return SCAN_PARSE_JSON;
    if (s->kind == STAGE_LOGFMT && s->parser.list == NULL && !s->parser.strict &&
        !s->parser.keep_empty)
        return SCAN_PARSE_LOGFMT;
    return s->kind == STAGE_PATTERN ? SCAN_PARSE_PATTERN : SCAN_PARSE_NONE;
}

static bool is_picked(const struct ast_pick *list, struct str label, bool always)
{
    for (const struct ast_pick *p = list; p != NULL; p = p->next)
        if (str_eq(p->m.name, label) && !(always && p->has_matcher))
            return true;
    return false;
}

bool plan_is_untouched(const struct ast_stage *stages, const struct ast_stage *end,
                       struct str label)
{
    bool ok = !str_starts(label, STR("__")) && !str_ends(label, STR("_extracted"));

    for (const struct ast_stage *s = stages; s != end; s = s->next) {
        if (s->kind == STAGE_DROP)
            ok = ok && !is_picked(s->picks, label, false);
        else if (s->kind == STAGE_KEEP)
            ok = ok && is_picked(s->picks, label, true);
    }
    return ok;
}

bool plan_filter_names(const struct ast_filter *f, struct str label)
{
    if (f->any) /* the names are found on the way */
        return !str_starts(label, STR("__"));
    if (f->kind == FILTER_MATCH)
        return str_eq(f->m.name, label);
    if (f->kind != FILTER_AND && f->kind != FILTER_OR)
        return str_eq(f->name, label);
    for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next)
        if (plan_filter_names(kid, label))
            return true;
    return false;
}

/* ---- verdicts ---- */

static enum scan_verdict verdict(bool passes)
{
    return passes ? SCAN_PASSES : SCAN_FAILS;
}

/* A value that cannot be compared is not dropped, but marked. */
static enum scan_verdict judge_number(const struct ast_filter *f, struct str value)
{
    double v;

    if (!units_parse_float(value, &v) || isnan(v) || isnan(f->number))
        return SCAN_UNSURE;
    return verdict(ast_compares(f->op, (v > f->number) - (v < f->number)));
}

static enum scan_verdict judge_duration(const struct ast_filter *f, struct str value)
{
    dur_ns v;

    if (units_parse_go_duration(value, &v, NULL) != UNITS_OK)
        return SCAN_UNSURE;
    return verdict(ast_compares(f->op, (v > f->duration) - (v < f->duration)));
}

static enum scan_verdict judge_bytes(const struct ast_filter *f, struct str value)
{
    uint64_t v;

    if (units_parse_bytes(value, &v, NULL) != UNITS_OK)
        return SCAN_UNSURE;
    return verdict(ast_compares(f->op, (v > f->bytes) - (v < f->bytes)));
}

static enum scan_verdict judge(const void *arg, struct str value);

/* AND: the first to fail decides; OR: the first to pass, unless one before it cannot tell. */
static enum scan_verdict judge_kids(const struct ast_filter *f, struct str value)
{
    enum scan_verdict decides = f->kind == FILTER_AND ? SCAN_FAILS : SCAN_PASSES;
    bool unsure = false;

    for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next) {
        enum scan_verdict v = judge(kid, value);
        if (v == SCAN_UNSURE)
            unsure = true;
        else if (v == decides && (decides == SCAN_FAILS || !unsure))
            return v;
    }
    return unsure ? SCAN_UNSURE : decides == SCAN_FAILS ? SCAN_PASSES : SCAN_FAILS;
}

/* scan_test.judge: of a filter over one label. */
static enum scan_verdict judge(const void *arg, struct str value)
{
    const struct ast_filter *f = arg;

    switch (f->kind) {
    case FILTER_AND:
    case FILTER_OR:
        return judge_kids(f, value);
    case FILTER_MATCH:
        return verdict(matcher_matches(&f->m, value.p == NULL ? STR("") : value));
    case FILTER_NUMBER:
        return value.p == NULL ? SCAN_FAILS : judge_number(f, value);
    case FILTER_DURATION:
        return value.p == NULL ? SCAN_FAILS : judge_duration(f, value);
    case FILTER_BYTES:
        return value.p == NULL ? SCAN_FAILS : judge_bytes(f, value);
    case FILTER_IP:
        break;
    }
    return SCAN_UNSURE;
}

/* ---- filters to conditions ---- */

enum { WALKED_MAX = 1 << 16 };

struct pusher {
    struct ast *ast;
    const struct ast_log *log;
    const struct ast_stage *stage; /* whose filter it is */
    enum scan_parser parser;
    size_t cap;    /* conditions there is room for */
    size_t behind; /* stages and picks in front of `stage` */
    size_t walked; /* of these, for all tests */
};

/* The one label that a filter looks at; STR_NULL: there may be several. */
static struct str label_of(const struct ast_filter *f)
{
    struct str label = STR_NULL;

    if (f->any)
        return STR_NULL;
    if (f->kind == FILTER_MATCH)
        return f->m.name;
    if (f->kind != FILTER_AND && f->kind != FILTER_OR)
        return f->name;
    for (const struct ast_filter *kid = f->first; kid != NULL; kid = kid->next) {
        struct str l = label_of(kid);
        if (l.p == NULL || (label.p != NULL && !str_eq(l, label)))
            return STR_NULL;
        label = l;
    }
    return label;
}

static bool make_test(struct pusher *p, const struct ast_filter *f, struct scan_test *ret)
{
    struct str label = label_of(f);

    p->walked += p->behind;
    if (label.p == NULL || f->kind == FILTER_IP || p->walked > WALKED_MAX ||
        !plan_is_untouched(p->log->stages, p->stage, label))
        return false;
    *ret = (struct scan_test){.label = label, .parser = p->parser, .judge = judge, .arg = f};
    if (f->kind == FILTER_NUMBER && !isnan(f->number)) {
        ret->is_order = true;
        ret->below = ast_compares(f->op, -1);
        ret->at = ast_compares(f->op, 0);
        ret->above = ast_compares(f->op, 1);
        ret->number = f->number;
    }
    return true;
}

/* One condition: the filter, or what an OR is made of.  *pushed: could it be. */
static int push_one(struct pusher *p, const struct ast_filter *f, bool *pushed, struct err *err)
{
    struct plan_scan *plan = p->log->plan;
    bool apart = f->kind == FILTER_OR && label_of(f).p == NULL;
    struct scan_test *test;
    size_t n = 0;

    *pushed = false;
    if (plan->n_conditions == p->cap)
        return 0;
    for (const struct ast_filter *kid = f->first; apart && kid != NULL; kid = kid->next)
        n++;
    test = arena_alloc(p->ast->arena, (apart ? n : 1) * sizeof(*test));
    if (test == NULL)
        return arena_err(p->ast->arena, err);
    n = 0;
    *pushed = apart || make_test(p, f, &test[n++]);
    for (const struct ast_filter *kid = f->first; apart && *pushed && kid != NULL; kid = kid->next)
        *pushed = make_test(p, kid, &test[n++]);
    if (*pushed)
        plan->conditions[plan->n_conditions++] = (struct scan_condition){test, n};
    return 0;
}

/* What of the filter can be pushed; *all: the whole. */
static int push_filter(struct pusher *p, const struct ast_filter *f, bool *all, struct err *err)
{
    bool pushed = false;
    int r = 0;

    if (f->kind != FILTER_AND || label_of(f).p != NULL) {
        r = push_one(p, f, &pushed, err);
        *all = *all && pushed;
        return r;
    }
    for (const struct ast_filter *kid = f->first; r == 0 && kid != NULL; kid = kid->next)
        r = push_filter(p, kid, all, err);
    return r;
}

static int plan_pattern(struct ast *a, const struct pattern *p, struct plan_scan *plan,
                        struct err *err)
{
    struct scan_pattern *to = arena_alloc(a->arena, sizeof(*to));
    struct scan_piece *v = arena_alloc(a->arena, p->n * sizeof(*v));

    if (to == NULL || v == NULL)
        return arena_err(a->arena, err);
    for (size_t i = 0; i < p->n; i++)
        v[i] = (struct scan_piece){p->v[i].text, p->v[i].is_capture};
    *to = (struct scan_pattern){v, p->n};
    plan->pattern = to;
    return 0;
}

static size_t count_picks(const struct ast_pick *list)
{
    size_t n = 0;

    for (const struct ast_pick *p = list; p != NULL; p = p->next)
        n++;
    return n;
}

int plan_tests(struct ast *a, struct ast_log *l, struct err *err)
{
    enum { CONDITIONS_MAX = 64 };
    struct pusher p = {.ast = a, .log = l, .cap = CONDITIONS_MAX};
    int r = 0;

    l->plan->conditions = arena_alloc(a->arena, CONDITIONS_MAX * sizeof(*l->plan->conditions));
    if (l->plan->conditions == NULL)
        return arena_err(a->arena, err);
    for (struct ast_stage *s = l->stages; r == 0 && s != NULL; s = s->next) {
        bool all = true;
        p.stage = s;
        p.behind++;
        if (s->kind == STAGE_LABEL_FILTER) {
            r = push_filter(&p, s->filter, &all, err);
            s->tested = all;
            continue;
        }
        if (s->kind == STAGE_DROP || s->kind == STAGE_KEEP)
            p.behind += count_picks(s->picks);
        if (s->kind == STAGE_LINE_FILTER || s->kind == STAGE_DROP || s->kind == STAGE_KEEP)
            continue;
        if (plan_parser_of(s) == SCAN_PARSE_NONE || p.parser != SCAN_PARSE_NONE)
            break; /* from here on labels are not what they were */
        p.parser = plan_parser_of(s);
        if (p.parser == SCAN_PARSE_PATTERN)
            r = plan_pattern(a, s->text.pattern, l->plan, err);
    }
    return r;
}
