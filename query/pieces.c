/* query/pieces.c - see pieces.h. */
#include "query/pieces.h"

#include "query/group.h"
#include "query/op_range.h"
#include "query/query_cache.h"

#include <string.h>

enum { KEY_MAX_BYTES = 2048, STEPS_ROOM = 64 };

/* So many steps belong together; 0: steps are too far apart to be kept. */
#define SHORT_STEP (5 * NS_PER_MIN)
#define LONG_STEP  (2 * NS_PER_H)

struct piece {
    size_t first, n; /* steps */
    bool whole;
    uint64_t state;            /* 0: not to be kept */
    const struct matrix *kept; /* a reference, or NULL */
};

struct pieces_run {
    struct exec *x;
    const struct ast_node *node;
    const struct steps *steps;
    dur_ns length; /* of a piece */
    struct piece *v;
    size_t n;
    struct scan_span *spans; /* one a piece */
    struct buf key;          /* tenants and text; the rest of a piece's behind it */
    size_t key_n;
    struct groups groups;
};

static int evaluate(struct exec *x, const struct ast_node *n, const struct steps *steps,
                    struct matrix *ret, struct err *err)
{
    const struct ast_grouping *g;

    if (n->kind == NODE_AGGREGATE) /* fused */
        return op_range(x, n->aggregate.expr, &n->aggregate.grouping, steps, ret, err);
    g = n->range.grouping.present ? &n->range.grouping : NULL;
    return op_range(x, n, g, steps, ret, err);
}

/* ---- cutting ---- */

static int64_t number_of(ts_ns t, dur_ns length)
{
    return t / length - (t % length < 0);
}

static ts_ns time_at(const struct pieces_run *run, size_t k)
{
    return exec_add(run->steps->start, (dur_ns)k * run->steps->step);
}

static void cut(struct pieces_run *run)
{
    const struct steps *s = run->steps;

    for (size_t k = 0, end; k < s->n; k = end) {
        int64_t number = number_of(time_at(run, k), run->length);
        struct piece *p = &run->v[run->n++];
        for (end = k + 1; end < s->n && number_of(time_at(run, end), run->length) == number;)
            end++;
        *p = (struct piece){.first = k, .n = end - k};
        p->whole = number_of(exec_add(time_at(run, k), -s->step), run->length) != number &&
                   number_of(exec_add(time_at(run, end - 1), s->step), run->length) != number;
    }
}

static int read_states(struct pieces_run *run, struct err *err)
{
    const struct ast_node *n =
        run->node->kind == NODE_AGGREGATE ? run->node->aggregate.expr : run->node;
    const struct ast_log *log = n->range.log;
    int r;

    for (size_t i = 0; i < run->n; i++) {
        const struct piece *p = &run->v[i];
        ts_ns first = exec_add(time_at(run, p->first), -log->offset);
        ts_ns last = exec_add(time_at(run, p->first + p->n - 1), -log->offset);
        run->spans[i].from = exec_add(exec_add(first, -log->range), 1);
        run->spans[i].to = exec_add(last, 1);
    }
    r = exec_spans(run->x, run->spans, run->n, err);
    for (size_t i = 0; r == 0 && i < run->n; i++)
        run->v[i].state = run->v[i].whole ? run->spans[i].state : 0;
    return r;
}

/* ---- keys ---- */

/* false: this is not kept. */
static bool begin_key(struct pieces_run *run)
{
    const struct query_params *p = run->x->params;
    size_t text;

    for (size_t i = 0; i < p->n_tenants; i++) {
        buf_add_str(&run->key, p->tenants[i]);
        buf_add_char(&run->key, '|');
    }
    text = run->key.n;
    ast_print(run->node, &run->key);
    buf_addf(&run->key, "\n%lld", (long long)run->steps->step);
    run->key_n = run->key.n;
    /* A template that asks for the time gives another answer each time. */
    return run->key.n + STEPS_ROOM <= KEY_MAX_BYTES && !run->key.over &&
           str_find(str_from(buf_str(&run->key), text), STR("now")) == SIZE_MAX;
}

static struct str key_of(struct pieces_run *run, const struct piece *p)
{
    run->key.n = run->key_n;
    buf_addf(&run->key, " %lld %zu", (long long)time_at(run, p->first), p->n);
    return buf_str(&run->key);
}

/* ---- putting together ---- */

/* The points of `n` steps of `m` become those from step `at` on. */
static int add_points(struct pieces_run *run, const struct matrix *m, size_t at, size_t n,
                      struct err *err)
{
    struct arena *a = run->x->arena;

    for (size_t i = 0; i < m->n; i++) {
        struct group *g = NULL;
        struct series *s;
        int r = groups_find(&run->groups, &m->v[i].labels, &g, err);
        if (r == 0 && g->data == NULL) {
            g->data = s = arena_alloc(a, sizeof(*s));
            r = s == NULL ? arena_err(a, err) : series_make(a, run->steps->n, s, err);
            if (r == 0)
                s->labels = g->labels;
        }
        if (r == 0)
            r = exec_tick(run->x, err);
        if (r < 0)
            return r;
        s = g->data;
        memcpy(s->value + at, m->v[i].value, n * sizeof(*s->value));
        memcpy(s->has + at, m->v[i].has, n * sizeof(*s->has));
    }
    return 0;
}

static bool is_complete(const struct exec *x)
{
    return x->stats.scan.damaged_blocks == 0 && x->stats.scan.partial[0] == '\0';
}

/* Evaluate pieces [i, end) in one go, and keep what may be kept. */
static int fill(struct pieces_run *run, size_t i, size_t end, struct matrix *ret, struct err *err)
{
    size_t first = run->v[i].first;
    struct steps part = {.start = time_at(run, first),
                         .step = run->steps->step,
                         .n = run->v[end - 1].first + run->v[end - 1].n - first};
    int r = evaluate(run->x, run->node, &part, ret, err);

    for (; r == 0 && i < end && is_complete(run->x); i++)
        if (run->v[i].state != 0)
            query_cache_put(run->x->params->cache, key_of(run, &run->v[i]), run->v[i].state, ret,
                            run->v[i].first - first, run->v[i].n);
    return r;
}

static int put_together(struct pieces_run *run, struct matrix *ret, struct err *err)
{
    struct matrix m;
    int r = 0;

    groups_init(&run->groups, run->x->arena);
    for (size_t i = 0, end; r == 0 && i < run->n; i = end) {
        end = i + 1;
        if (run->v[i].kept != NULL) {
            r = add_points(run, run->v[i].kept, run->v[i].first, run->v[i].n, err);
            continue;
        }
        while (end < run->n && run->v[end].kept == NULL)
            end++;
        r = fill(run, i, end, &m, err);
        if (r == 0)
            r = add_points(run, &m, run->v[i].first,
                           run->v[end - 1].first + run->v[end - 1].n - run->v[i].first, err);
    }
    if (r < 0)
        return r;
    *ret = (struct matrix){.n = run->groups.n};
    ret->v = arena_alloc(run->x->arena, ret->n * sizeof(*ret->v) + 1);
    if (ret->v == NULL)
        return arena_err(run->x->arena, err);
    for (size_t i = 0; i < ret->n; i++)
        ret->v[i] = *(struct series *)run->groups.v[i]->data;
    return 0;
}

static int run_pieces(struct pieces_run *run, struct matrix *ret, struct err *err)
{
    size_t known = 0;
    int r = read_states(run, err);

    for (size_t i = 0; r == 0 && i < run->n; i++) {
        if (run->v[i].state != 0)
            run->v[i].kept =
                query_cache_get(run->x->params->cache, key_of(run, &run->v[i]), run->v[i].state);
        known += run->v[i].kept != NULL;
    }
    if (r == 0)
        r = known == 0 ? fill(run, 0, run->n, ret, err) : put_together(run, ret, err);
    for (size_t i = 0; i < run->n; i++)
        query_piece_unref(&run->v[i].kept);
    return r;
}

int pieces_range(struct exec *x, const struct ast_node *n, const struct steps *steps,
                 struct matrix *ret, struct err *err)
{
    struct pieces_run run = {.x = x, .node = n, .steps = steps};
    int r;

    if (x->params->cache == NULL || x->params->lenient || x->source->spans == NULL ||
        steps->n < 2 || steps->step > LONG_STEP)
        return evaluate(x, n, steps, ret, err);
    run.length = steps->step <= SHORT_STEP ? NS_PER_H : NS_PER_DAY;
    run.v = arena_alloc(x->arena, steps->n * sizeof(*run.v));
    run.spans = arena_alloc(x->arena, steps->n * sizeof(*run.spans));
    if (run.v == NULL || run.spans == NULL)
        return arena_err(x->arena, err);
    buf_init(&run.key, KEY_MAX_BYTES);
    if (begin_key(&run)) {
        cut(&run);
        r = run_pieces(&run, ret, err);
    } else {
        r = evaluate(x, n, steps, ret, err);
    }
    buf_fini(&run.key);
    return r;
}
