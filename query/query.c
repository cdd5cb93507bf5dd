/* query/query.c - see query.h. */
#include "query/query.h"

#include "base/mem.h"
#include "base/obj.h"
#include "query/ast_pretty.h"
#include "query/check.h"
#include "query/distinct.h"
#include "query/exec.h"
#include "query/op.h"
#include "query/parse.h"
#include "query/plan.h"
#include "query/source_batch.h"

#include <stdlib.h>

struct query {
    unsigned magic;
#define QUERY_MAGIC 0x10c9a5b3u
    _Atomic unsigned refs;
    struct arena *text_arena; /* owned; the copy of the text that the tree points into */
    struct ast ast;
};

/* ---- life ---- */

static void free_query(struct query *q)
{
    ast_fini(&q->ast);
    arena_free(&q->text_arena);
    q->magic = 0;
    free(q);
}

static int build(struct query *q, struct str text, bool all, struct place *at, struct err *err)
{
    struct str copy = text; /* one that is too long is refused unread */
    int r;

    if (text.n <= QUERY_TEXT_MAX && (copy = arena_str(q->text_arena, text)).p == NULL)
        return arena_err(q->text_arena, err);
    r = parse_query(copy, &q->ast, at, err);
    q->ast.may_select_all = all;
    if (r == 0)
        r = check_query(&q->ast, at, err);
    return r < 0 ? r : plan_query(&q->ast, err);
}

/* A failure's last form: where it is. */
static int failed_at(int r, struct place at, unsigned *line, unsigned *column, struct err *err)
{
    if (line != NULL)
        *line = at.line;
    if (column != NULL)
        *column = at.column;
    if (r == ERR_LIMIT) /* of the text: it is what is wrong */
        r = err->code = ERR_INVALID;
    if (r == ERR_INVALID || r == ERR_UNSUPPORTED)
        return err_wrap(err, "parse error at line %u, col %u", at.line, at.column);
    return r;
}

static int format(struct str text, bool all, struct buf *out, struct place *at, struct err *err)
{
    size_t before = out->n;
    struct ast a;
    int r = parse_query(text, &a, at, err);

    a.may_select_all = all;
    if (r == 0)
        r = check_text(&a, at, err);
    if (r == 0)
        ast_pretty(a.root, out);
    if (r == 0 && out->over) { /* many short stages, far indented */
        out->n = before;
        out->over = false;
        ast_print(a.root, out);
    }
    ast_fini(&a);
    return r;
}

static int formatted(int r, struct place at, unsigned *line, unsigned *column, struct buf *out,
                     struct err *err)
{
    return r < 0 ? failed_at(r, at, line, column, err) : buf_err(out, "the canonical text", err);
}

int query_format(struct str text, struct buf *out, unsigned *line, unsigned *column,
                 struct err *err)
{
    struct place at = {1, 1};
    int r = format(text, false, out, &at, err);

    return formatted(r, at, line, column, out, err);
}

int query_format_all(struct str text, struct buf *out, unsigned *line, unsigned *column,
                     struct err *err)
{
    struct place at = {1, 1};
    int r = format(text, true, out, &at, err);

    return formatted(r, at, line, column, out, err);
}

static int parse(struct str text, bool all, struct query **ret, struct place *ret_at,
                 struct err *err)
{
    struct query *q = mem_new(sizeof(*q));
    struct place at = {1, 1};
    int r;

    q->magic = QUERY_MAGIC;
    atomic_init(&q->refs, 1);
    q->text_arena = arena_new(NULL, 0);
    r = build(q, text, all, &at, err);
    if (r == 0) {
        *ret = q;
        return 0;
    }
    free_query(q);
    *ret_at = at;
    return r;
}

int query_parse(struct str text, struct query **ret, unsigned *line, unsigned *column,
                struct err *err)
{
    struct place at;
    int r = parse(text, false, ret, &at, err);

    return r < 0 ? failed_at(r, at, line, column, err) : 0;
}

int query_parse_all(struct str text, struct query **ret, unsigned *line, unsigned *column,
                    struct err *err)
{
    struct place at;
    int r = parse(text, true, ret, &at, err);

    return r < 0 ? failed_at(r, at, line, column, err) : 0;
}

bool query_may_follow(const struct query *q)
{
    OBJ_CHECK(q, QUERY_MAGIC);
    if (q->ast.root->kind != NODE_LOG)
        return false;
    for (const struct ast_stage *s = q->ast.root->log->stages; s != NULL; s = s->next)
        if (s->kind == STAGE_DEDUP)
            return false;
    return true;
}

struct query *query_ref(struct query *q)
{
    OBJ_CHECK(q, QUERY_MAGIC);
    atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
    return q;
}

void query_unref(struct query **pq)
{
    struct query *q = *pq;

    *pq = NULL;
    if (q == NULL)
        return;
    OBJ_CHECK(q, QUERY_MAGIC);
    if (atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) == 1)
        free_query(q);
}

enum query_kind query_kind(const struct query *q)
{
    OBJ_CHECK(q, QUERY_MAGIC);
    return q->ast.root->kind == NODE_LOG ? QUERY_LOG : QUERY_METRIC;
}

bool query_selector(const struct query *q, const struct matcher **ret, size_t *n)
{
    const struct ast_node *root = q->ast.root;

    OBJ_CHECK(q, QUERY_MAGIC);
    if (root->kind != NODE_LOG || root->log->stages != NULL)
        return false;
    *ret = root->log->plan->matchers;
    *n = root->log->plan->n_matchers;
    return true;
}

/* One line filter as a delete request has it; false: it is none of those. */
static bool delete_filter(const struct ast_stage *s, struct arena *a,
                          struct store_delete_filter *ret, struct err *err)
{
    size_t n = 0;
    struct str *text;

    if (s->kind != STAGE_LINE_FILTER || s->line.op == LINE_PATTERN ||
        s->line.op == LINE_PATTERN_NOT)
        return false;
    for (const struct ast_line_arg *arg = s->line.args; arg != NULL; arg = arg->next) {
        if (arg->ip)
            return false;
        n++;
    }
    text = arena_alloc(a, n * sizeof(*text) + 1);
    if (text == NULL) {
        (void)arena_err(a, err);
        return true;
    }
    *ret = (struct store_delete_filter){
        .regexp = s->line.op == LINE_MATCHES || s->line.op == LINE_MATCHES_NOT,
        .negative = s->line.op == LINE_CONTAINS_NOT || s->line.op == LINE_MATCHES_NOT,
        .text = text,
        .n = n};
    n = 0;
    for (const struct ast_line_arg *arg = s->line.args; arg != NULL; arg = arg->next)
        text[n++] = arg->text;
    return true;
}

/* Does every entry pass it, so that it decides nothing? */
static bool passes_all(enum stage_kind kind)
{
    switch (kind) {
    case STAGE_JSON:
    case STAGE_LOGFMT:
    case STAGE_REGEXP:
    case STAGE_PATTERN:
    case STAGE_UNPACK:
    case STAGE_LINE_FORMAT:
    case STAGE_LABEL_FORMAT:
    case STAGE_DECOLORIZE:
    case STAGE_DROP:
    case STAGE_KEEP:
        return true;
    case STAGE_LINE_FILTER:
    case STAGE_LABEL_FILTER:
    case STAGE_DEDUP:
        break;
    }
    return false;
}

static bool changes_line(enum stage_kind kind)
{
    return kind == STAGE_UNPACK || kind == STAGE_LINE_FORMAT || kind == STAGE_DECOLORIZE;
}

int query_delete(const struct query *q, struct arena *a, struct store_delete *ret, struct err *err)
{
    const struct ast_node *root = q->ast.root;
    struct store_delete_filter *filters;
    bool is_stored = true; /* the line, yet */
    size_t n = 0;

    OBJ_CHECK(q, QUERY_MAGIC);
    if (root->kind != NODE_LOG)
        return err_set(err, ERR_UNSUPPORTED, "a metric query deletes nothing");
    for (const struct ast_stage *s = root->log->stages; s != NULL; s = s->next)
        n++;
    filters = arena_alloc(a, n * sizeof(*filters) + 1);
    if (filters == NULL)
        return arena_err(a, err);
    err->code = 0;
    n = 0;
    for (const struct ast_stage *s = root->log->stages; s != NULL; s = s->next) {
        is_stored = is_stored && !changes_line(s->kind);
        if (passes_all(s->kind))
            continue;
        if (!is_stored || !delete_filter(s, a, &filters[n++], err))
            return err_set(err, ERR_UNSUPPORTED,
                           "line %u, col %u: a delete request takes a stream selector and line "
                           "filters (|= != |~ !~) on lines as they are stored, nothing more",
                           s->at.line, s->at.column);
        if (err->code < 0)
            return err->code;
    }
    ret->matchers = root->log->plan->matchers;
    ret->n_matchers = root->log->plan->n_matchers;
    ret->filters = filters;
    ret->n_filters = n;
    return 0;
}

void query_print(const struct query *q, struct buf *out)
{
    OBJ_CHECK(q, QUERY_MAGIC);
    ast_print(q->ast.root, out);
}

/* ---- the real source ---- */

static int real_open(void *arg, const struct scan_request *req, void **ret, struct err *err)
{
    struct scan *sc = NULL;
    int r = scan_open(arg, req, &sc, err);

    *ret = sc;
    return r;
}

static int real_next(void *scan, struct batch **ret, struct err *err)
{
    return scan_next(scan, ret, err);
}

static void real_stats(void *scan, struct scan_stats *ret)
{
    scan_stats(scan, ret);
}

static void real_close(void *scan)
{
    struct scan *sc = scan;

    scan_close(&sc);
}

static int real_streams(void *arg, const struct scan_request *req, scan_stream_fn *fn, void *fn_arg,
                        struct err *err)
{
    return scan_streams(arg, req, fn, fn_arg, err);
}

static int real_count(void *arg, const struct scan_count *c, struct scan_stats *stats,
                      struct err *err)
{
    return scan_count(arg, c, stats, err);
}

static int real_spans(void *arg, const struct scan_request *req, struct scan_span *spans, size_t n,
                      struct err *err)
{
    return scan_spans(arg, req, spans, n, err);
}

static struct source real_source(struct store *s)
{
    return (struct source){.arg = s,
                           .open = real_open,
                           .next = real_next,
                           .stats = real_stats,
                           .close = real_close,
                           .streams = real_streams,
                           .count = real_count,
                           .spans = real_spans};
}

/* ---- running ---- */

/* NOLINTNEXTLINE(readability-function-size): the door's seven parameters */
int query_run_log(struct query *q, struct store *s, const struct query_params *p,
                  query_entry_fn *fn, void *arg, struct query_stats *stats, struct err *err)
{
    const struct exec_sink sink = {.fn = fn, .arg = arg};
    struct source source = real_source(s);

    OBJ_CHECK(q, QUERY_MAGIC);
    INVARIANT(q->ast.root->kind == NODE_LOG);
    return exec_log(&q->ast, &source, p, &sink, stats, err);
}

struct distinct *query_seen_new(size_t max_bytes)
{
    return distinct_new_own(max_bytes);
}

void query_seen_free(struct distinct **ps)
{
    distinct_free(ps);
}

/* NOLINTNEXTLINE(readability-function-size): as query_run_log */
int query_run_batch(struct query *q, const struct batch *b, const struct query_params *p,
                    query_entry_fn *fn, void *arg, struct err *err)
{
    const struct exec_sink sink = {.fn = fn, .arg = arg};
    struct source source = source_batch(b);
    struct query_params all = *p;

    OBJ_CHECK(q, QUERY_MAGIC);
    INVARIANT(q->ast.root->kind == NODE_LOG);
    all.start = INT64_MIN;
    all.end = INT64_MAX;
    all.limit = all.after_seq = 0;
    all.interval = 0;
    all.cursor.set = false;
    all.direction = QUERY_FORWARD;
    return exec_log(&q->ast, &source, &all, &sink, NULL, err);
}

int query_run_metric(struct query *q, struct store *s, const struct query_params *p,
                     struct query_result **ret, struct query_stats *stats, struct err *err)
{
    struct source source = real_source(s);

    OBJ_CHECK(q, QUERY_MAGIC);
    INVARIANT(q->ast.root->kind != NODE_LOG);
    return exec_metric(&q->ast, &source, p, ret, stats, err);
}

int query_run_batch_metric(struct query *q, const struct batch *b, const struct query_params *p,
                           struct query_result **ret, struct err *err)
{
    struct source source = source_batch(b);

    OBJ_CHECK(q, QUERY_MAGIC);
    INVARIANT(q->ast.root->kind != NODE_LOG);
    return exec_metric(&q->ast, &source, p, ret, NULL, err);
}

void query_result_free(struct query_result **pr)
{
    struct query_result *r = *pr;

    *pr = NULL;
    if (r == NULL)
        return;
    arena_free(&r->arena);
    free(r);
}

/* ---- for rules ---- */

static bool passes_filters(const struct ast_log *l, struct str line)
{
    for (const struct ast_stage *s = l->stages; s != NULL; s = s->next)
        if (s->pushed && !op_line_filter(s, line))
            return false;
    return true;
}

/* selected[i]: stream i of the batch passes the matchers.  false: none does. */
static bool select_streams(const struct ast_log *l, const struct batch *b, bool *selected)
{
    bool any = false;

    for (uint32_t i = 0; i < b->n_streams; i++) {
        selected[i] = matchers_match(l->plan->matchers, l->plan->n_matchers, &b->streams[i]);
        any |= selected[i];
    }
    return any;
}

static bool selects_any(const struct ast_log *l, const void *arg)
{
    enum { FEW = 256 };
    const struct batch *b = arg;
    bool few[FEW];
    bool *selected = b->n_streams <= FEW ? few : mem_new(b->n_streams * sizeof(*selected));
    bool found = false;

    if (select_streams(l, b, selected)) {
        for (uint32_t i = 0; i < b->n_records && !found; i++)
            found = selected[b->records[i].stream] && passes_filters(l, b->records[i].line);
    }
    if (selected != few)
        free(selected);
    return found;
}

bool query_touches(const struct query *q, const struct batch *b)
{
    OBJ_CHECK(q, QUERY_MAGIC);
    return plan_any_log(q->ast.root, selects_any, b);
}

/* ---- what it does ---- */

struct explaining {
    query_part_fn *fn;
    void *arg;
};

static void tell_matchers(const struct explaining *x, const struct ast_log *l, struct buf *text)
{
    buf_clear(text);
    if (l->matchers == NULL)
        buf_add_char(text, '{');
    for (const struct ast_matcher *m = l->matchers; m != NULL; m = m->next) {
        static const char *const ops[] = {
            [MATCH_EQ] = "=", [MATCH_NE] = "!=", [MATCH_RE] = "=~", [MATCH_NRE] = "!~"};

        buf_add_z(text, m == l->matchers ? "{" : ", ");
        buf_add_str(text, m->m.name);
        buf_add_z(text, ops[m->m.op]);
        quote_add(text, m->m.value);
    }
    buf_add_char(text, '}');
    x->fn(x->arg, buf_str(text), QUERY_AT_INDEX);
}

/* For plan_any_log: each log selector, but for parsers that are not run. */
static bool tell_log(const struct ast_log *l, const void *arg)
{
    const struct explaining *x = arg;
    struct buf text;

    buf_init(&text, 4 * QUERY_TEXT_MAX);
    tell_matchers(x, l, &text);
    for (const struct ast_stage *s = l->stages; s != NULL; s = s->next) {
        if (s->skipped)
            continue;
        buf_clear(&text);
        ast_print_stage(s, &text);
        x->fn(x->arg, str_trim(buf_str(&text)),
              s->pushed   ? QUERY_AT_BLOCKS
              : s->tested ? QUERY_AT_COLUMNS
                          : QUERY_AT_RECORDS);
    }
    buf_fini(&text);
    return false;
}

void query_explain(const struct query *q, query_part_fn *fn, void *arg)
{
    const struct explaining x = {fn, arg};

    OBJ_CHECK(q, QUERY_MAGIC);
    (void)plan_any_log(q->ast.root, tell_log, &x); /* of no interest: it is always false */
}

dur_ns query_lookback(const struct query *q)
{
    OBJ_CHECK(q, QUERY_MAGIC);
    return plan_lookback(q->ast.root);
}
