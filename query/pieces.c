/* query/pieces.c - see pieces.h. */
#include "query/pieces.h"

#include "query/group.h"
#include "query/op_range.h"
#include "query/query_cache.h"

#include <string.h>

enum { KEY_MAX_BYTES = 2048, STEPS_ROOM = 64 };

/* Up to such steps pieces are quarters of an hour, hours, and days. */
#define FINE_STEP  NS_PER_MIN
#define SHORT_STEP (5 * NS_PER_MIN)
#define LONG_STEP  (2 * NS_PER_H)

enum piece_part { PIECE_OPEN, PIECE_OURS, PIECE_NEXT, PIECE_THEIRS, PIECE_DONE };

struct piece {
    size_t first, n; /* steps */
    uint64_t state;  /* 0: it may change at any time */
    enum piece_part part;
    const struct matrix *kept;   /* a reference, or NULL */
    struct query_flight *flight; /* NEXT, THEIRS, OURS */
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

static const struct ast_log *log_of(const struct pieces_run *run)
{
    const struct ast_node *n = run->node;

    return n->kind == NODE_AGGREGATE ? n->aggregate.expr->range.log : n->range.log;
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
        for (end = k + 1; end < s->n && number_of(time_at(run, end), run->length) == number;)
            end++;
        run->v[run->n++] = (struct piece){.first = k, .n = end - k};
    }
}

static int read_states(struct pieces_run *run, struct err *err)
{
    const struct ast_log *log = log_of(run);
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
        run->v[i].state = run->spans[i].state;
    return r;
}

/* ---- keys ---- */

static bool may_tell_time(struct str template)
{
    return str_find(template, STR("now")) != SIZE_MAX;
}

/* A template that asks for the time gives another answer each time. */
static bool asks_for_time(const struct ast_log *log)
{
    bool asks = false;

    for (const struct ast_stage *s = log->stages; s != NULL; s = s->next) {
        if (s->kind == STAGE_LINE_FORMAT)
            asks |= may_tell_time(s->text.text);
        if (s->kind != STAGE_LABEL_FORMAT)
            continue;
        for (const struct ast_format *f = s->formats; f != NULL; f = f->next)
            asks |= f->is_template && may_tell_time(f->value);
    }
    return asks;
}

/* false: this is not kept. */
static bool begin_key(struct pieces_run *run)
{
    const struct query_params *p = run->x->params;

    for (size_t i = 0; i < p->n_tenants; i++) {
        buf_add_str(&run->key, p->tenants[i]);
        buf_add_char(&run->key, '|');
    }
    ast_print(run->node, &run->key);
    buf_addf(&run->key, "\n%lld", (long long)run->steps->step);
    run->key_n = run->key.n;
    return run->key.n + STEPS_ROOM <= KEY_MAX_BYTES && !run->key.over &&
           !asks_for_time(log_of(run));
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

/* ---- who evaluates what ---- */

static void claim_open(struct pieces_run *run)
{
    for (size_t i = 0; i < run->n; i++) {
        struct piece *p = &run->v[i];
        if (p->part != PIECE_OPEN)
            continue;
        switch (query_cache_claim(run->x->params->cache, key_of(run, p), p->state, &p->kept,
                                  &p->flight)) {
        case QUERY_CLAIM_KEPT:
            break; /* stays open: it only has to be added */
        case QUERY_CLAIM_OURS:
            p->part = PIECE_OURS;
            break;
        case QUERY_CLAIM_NEXT:
            p->part = PIECE_NEXT;
            break;
        case QUERY_CLAIM_THEIRS:
            p->part = PIECE_THEIRS;
            break;
        }
    }
}

/* Evaluate pieces [i, end) in one go, for those who wait and, of what may be kept, for later. */
static int fill(struct pieces_run *run, size_t i, size_t end, struct matrix *ret, struct err *err)
{
    struct query_cache *c = run->x->params->cache;
    size_t first = run->v[i].first;
    struct steps part = {.start = time_at(run, first),
                         .step = run->steps->step,
                         .n = run->v[end - 1].first + run->v[end - 1].n - first};
    int r = evaluate(run->x, run->node, &part, ret, err);
    bool has_landed = r == 0 && is_complete(run->x);

    for (; i < end; i++) {
        struct piece *p = &run->v[i];
        const struct query_result_steps result = {
            .m = ret, .first = p->first - first, .n = p->n, .keep = p->state != 0};
        if (p->flight != NULL)
            query_flight_end(c, &p->flight, has_landed ? &result : NULL);
        p->part = PIECE_DONE;
    }
    return r;
}

/* Evaluate all pieces that are ours, neighbours in one go. */
static int fill_ours(struct pieces_run *run, struct err *err)
{
    struct matrix m;
    int r = 0;

    for (size_t i = 0, end; r == 0 && i < run->n; i = end) {
        end = i + 1;
        if (run->v[i].part != PIECE_OURS)
            continue;
        while (end < run->n && run->v[end].part == PIECE_OURS)
            end++;
        r = fill(run, i, end, &m, err);
        if (r == 0)
            r = add_points(run, &m, run->v[i].first,
                           run->v[end - 1].first + run->v[end - 1].n - run->v[i].first, err);
    }
    return r;
}

/* May this run do nothing for a while but wait for others?  If so, has_waited follows. */
static bool may_wait(struct pieces_run *run)
{
    const struct query_waiting *w = run->x->params->waiting;

    return w == NULL || w->begin(w->arg);
}

static void has_waited(struct pieces_run *run)
{
    const struct query_waiting *w = run->x->params->waiting;

    if (w != NULL)
        w->end(w->arg);
}

/* Pieces of `part`, which are another's or come behind another's, become ours outside of flights:
 * so they do not wait, and nobody for them. */
static void read_alone(struct pieces_run *run, enum piece_part part)
{
    struct query_cache *c = run->x->params->cache;

    for (size_t i = 0; i < run->n; i++) {
        struct piece *p = &run->v[i];
        if (p->part != part)
            continue;
        if (part == PIECE_THEIRS)
            p->kept = query_flight_leave(c, &p->flight);
        else
            query_flight_end(c, &p->flight, NULL);
        p->part = p->kept == NULL ? PIECE_OURS : PIECE_OPEN; /* it may just have ended */
        if (p->kept == NULL)
            query_cache_count_alone(c);
    }
}

static bool any_is(const struct pieces_run *run, enum piece_part part)
{
    bool any = false;

    for (size_t i = 0; i < run->n; i++)
        any |= run->v[i].part == part;
    return any;
}

/* Until no flight is before ours; then all begin. */
static int begin_next(struct pieces_run *run, struct err *err)
{
    struct query_cache *c = run->x->params->cache;
    int r = 0;

    if (!may_wait(run)) {
        read_alone(run, PIECE_NEXT);
        return 0;
    }
    for (size_t i = 0; r == 0 && i < run->n; i++)
        while (r == 0 && run->v[i].part == PIECE_NEXT &&
               !query_flight_may_begin(c, run->v[i].flight))
            r = exec_look(run->x, err);
    has_waited(run); /* before any begins: who has begun waits for nothing */
    for (size_t i = 0; r == 0 && i < run->n; i++)
        if (run->v[i].part == PIECE_NEXT) {
            query_flight_begin(c, run->v[i].flight);
            run->v[i].part = PIECE_OURS;
        }
    return r;
}

/* What others evaluated: the piece; it is open again either way. */
static int take_one_of_theirs(struct pieces_run *run, struct piece *p, struct err *err)
{
    struct query_cache *c = run->x->params->cache;
    int r = 0;

    while (r == 0 && !query_flight_wait(c, p->flight))
        r = exec_look(run->x, err);
    if (r < 0)
        return r;
    p->kept = query_flight_leave(c, &p->flight);
    p->part = PIECE_OPEN;
    return 0;
}

static int take_theirs(struct pieces_run *run, struct err *err)
{
    int r = 0;

    if (!may_wait(run)) {
        read_alone(run, PIECE_THEIRS);
        return 0;
    }
    for (size_t i = 0; r == 0 && i < run->n; i++)
        if (run->v[i].part == PIECE_THEIRS)
            r = take_one_of_theirs(run, &run->v[i], err);
    has_waited(run);
    return r;
}

static int add_kept(struct pieces_run *run, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < run->n; i++) {
        struct piece *p = &run->v[i];
        if (p->kept == NULL)
            continue;
        r = add_points(run, p->kept, p->first, p->n, err);
        query_piece_unref(&p->kept);
        p->part = PIECE_DONE;
    }
    return r;
}

static bool all_are(const struct pieces_run *run, enum piece_part part)
{
    bool all = true;

    for (size_t i = 0; i < run->n; i++)
        all &= run->v[i].part == part;
    return all;
}

/* One round over what is open.  The order keeps query_cache.h (1) and (2). */
static int take_part(struct pieces_run *run, struct err *err)
{
    int r = add_kept(run, err);

    if (r == 0)
        r = fill_ours(run, err);
    if (r == 0 && any_is(run, PIECE_NEXT))
        r = begin_next(run, err);
    if (r == 0)
        r = fill_ours(run, err);
    if (r == 0 && any_is(run, PIECE_THEIRS))
        r = take_theirs(run, err);
    if (r == 0)
        r = fill_ours(run, err); /* for which it may not wait */
    return r == 0 ? add_kept(run, err) : r;
}

static int put_together(struct pieces_run *run, struct matrix *ret, struct err *err)
{
    int r = 0;

    groups_init(&run->groups, run->x->arena);
    while (r == 0 && !all_are(run, PIECE_DONE)) {
        r = take_part(run, err);
        if (r == 0)
            claim_open(run);
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

/* What a failed run leaves behind. */
static void let_go(struct pieces_run *run)
{
    struct query_cache *c = run->x->params->cache;

    for (size_t i = 0; i < run->n; i++) {
        struct piece *p = &run->v[i];
        query_piece_unref(&p->kept);
        if (p->flight == NULL)
            continue;
        if (p->part == PIECE_THEIRS)
            p->kept = query_flight_leave(c, &p->flight);
        else
            query_flight_end(c, &p->flight, NULL);
        query_piece_unref(&p->kept);
    }
}

static int run_pieces(struct pieces_run *run, struct matrix *ret, struct err *err)
{
    int r = read_states(run, err);

    if (r < 0)
        return r;
    claim_open(run);
    r = all_are(run, PIECE_OURS) ? fill(run, 0, run->n, ret, err) : put_together(run, ret, err);
    let_go(run);
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
    run.length = steps->step <= FINE_STEP    ? NS_PER_H / 4
                 : steps->step <= SHORT_STEP ? NS_PER_H
                                             : NS_PER_DAY;
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
