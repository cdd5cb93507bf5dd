/* query/context.c - see context.h. */
#include "query/context.h"

#include "base/mem.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

/* How far from a hit lines are looked for; a stream may have been silent for months. */
#define REACH NS_PER_DAY

struct line {
    struct query_entry e;        /* copies */
    const struct labels *stream; /* as stored: two streams may have the same time and number */
};

struct context {
    struct exec *x;
    VEC(struct line *) lines; /* they lie in the arena of the run */
    size_t n_hits;            /* of lines: the first ones */
    size_t left;              /* of the lines next to the hit that is looked at */
    size_t hit;
    bool backward;
};

int context_check(const struct query_params *p, struct err *err)
{
    if (p->before > QUERY_CONTEXT_MAX || p->after > QUERY_CONTEXT_MAX)
        return err_set(err, ERR_INVALID, "before and after are at most %d", QUERY_CONTEXT_MAX);
    if (p->limit == 0 || p->limit > QUERY_CONTEXT_HITS_MAX)
        return err_set(err, ERR_INVALID, "with before or after the limit is from 1 to %d",
                       QUERY_CONTEXT_HITS_MAX);
    return 0;
}

struct context *context_new(struct exec *x)
{
    struct context *c = mem_new(sizeof(*c));

    c->x = x;
    return c;
}

void context_free(struct context **pc)
{
    struct context *c = *pc;

    *pc = NULL;
    if (c == NULL)
        return;
    VEC_FINI(&c->lines);
    free(c);
}

static int keep(struct context *c, const struct labels *l, const struct query_entry *e,
                struct err *err)
{
    struct arena *a = c->x->arena;
    struct labels *stream = arena_alloc(a, sizeof(*stream));
    struct line *line = arena_alloc(a, sizeof(*line));
    int r;

    if (stream == NULL || line == NULL)
        return arena_err(a, err);
    *line = (struct line){.e = *e, .stream = stream};
    line->e.line = arena_str(a, e->line);
    if (line->e.line.p == NULL)
        return arena_err(a, err);
    r = labels_copy(a, l, stream, err);
    if (r == 0)
        r = labels_copy(a, &e->stream, &line->e.stream, err);
    if (r == 0)
        r = labels_copy(a, &e->meta, &line->e.meta, err);
    if (r == 0)
        r = labels_copy(a, &e->parsed, &line->e.parsed, err);
    if (r < 0)
        return r;
    VEC_PUSH(&c->lines, line);
    return 0;
}

int context_hit(struct context *c, const struct labels *l, const struct query_entry *e,
                struct err *err)
{
    int r = keep(c, l, e, err);

    c->n_hits = c->lines.n;
    return r;
}

/* ---- what is around ---- */

static int look_at(void *arg, const struct batch *b, const struct record *rec, struct err *err)
{
    struct context *c = arg;
    const struct line *hit = c->lines.p[c->hit];
    const struct query_entry e = {
        .ts = rec->ts,
        .seq = rec->seq,
        .stream = b->streams[rec->stream],
        .meta = {(struct label *)(uintptr_t)rec->attr, rec->n_attr}, /* read only */
        .line = rec->line,
        .is_context = true,
    };
    bool is_past = c->backward ? rec->ts < hit->e.ts || rec->seq < hit->e.seq
                               : rec->ts > hit->e.ts || rec->seq > hit->e.seq;
    int r;

    if (!is_past || labels_cmp(&b->streams[rec->stream], hit->stream) != 0)
        return 0;
    r = keep(c, hit->stream, &e, err);
    return r < 0 ? r : --c->left == 0;
}

static int read_side(struct context *c, const struct plan_scan *plan, bool backward, size_t n,
                     struct err *err)
{
    ts_ns at = c->lines.p[c->hit]->e.ts;
    const struct exec_scan scan = {
        .plan = plan,
        .from = backward ? exec_add(at, -REACH) : at,
        .to = backward ? exec_add(at, 1) : exec_add(at, REACH),
        .order = backward ? SCAN_BACKWARD : SCAN_FORWARD,
        .need_line = true,
        .need_attrs = true,
        .expect = n + 1,
    };
    int r;

    c->left = n;
    c->backward = backward;
    if (n == 0)
        return 0;
    r = exec_each(c->x, &scan, look_at, c, err);
    return r < 0 ? r : 0;
}

static int read_around(struct context *c, struct err *err)
{
    const struct labels *l = c->lines.p[c->hit]->stream;
    struct plan_scan plan = {.n_matchers = l->n, .need_line = true, .attrs = PLAN_ATTRS_YES};
    int r = 0;

    plan.matchers = arena_alloc(c->x->arena, l->n * sizeof(*plan.matchers) + 1);
    if (plan.matchers == NULL)
        return arena_err(c->x->arena, err);
    for (size_t i = 0; i < l->n; i++) /* of these nothing is to be released */
        plan.matchers[i] =
            (struct matcher){.op = MATCH_EQ, .name = l->v[i].name, .value = l->v[i].value};
    r = read_side(c, &plan, true, c->x->params->before, err);
    return r < 0 ? r : read_side(c, &plan, false, c->x->params->after, err);
}

/* ---- in order ---- */

/* A hit comes before the same line as another's context. */
static int compare(const void *a, const void *b)
{
    const struct line *x = *(const struct line *const *)a;
    const struct line *y = *(const struct line *const *)b;
    int r;

    if (x->e.ts != y->e.ts)
        return x->e.ts < y->e.ts ? -1 : 1;
    if (x->e.seq != y->e.seq)
        return x->e.seq < y->e.seq ? -1 : 1;
    r = labels_cmp(x->stream, y->stream);
    return r != 0 ? r : x->e.is_context - y->e.is_context;
}

static bool is_same(const struct line *x, const struct line *y)
{
    return x->e.ts == y->e.ts && x->e.seq == y->e.seq && labels_cmp(x->stream, y->stream) == 0;
}

static size_t drop_repeated(struct line **v, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !is_same(v[kept - 1], v[i]))
            v[kept++] = v[i];
    return kept;
}

int context_finish(struct context *c, const struct exec_sink *sink, struct err *err)
{
    bool backward = c->x->params->direction == QUERY_BACKWARD;
    size_t n;
    int r = 0;

    for (c->hit = 0; r == 0 && c->hit < c->n_hits; c->hit++)
        r = read_around(c, err);
    if (r < 0 || c->lines.n == 0)
        return r;
    qsort(c->lines.p, c->lines.n, sizeof(*c->lines.p), compare);
    n = drop_repeated(c->lines.p, c->lines.n);
    for (size_t i = 0; r == 0 && i < n; i++) {
        c->x->stats.entries++;
        r = sink->fn(sink->arg, &c->lines.p[backward ? n - 1 - i : i]->e);
    }
    return r < 0 ? r : 0;
}
