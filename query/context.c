/* query/context.c - see context.h. */
#include "query/context.h"

#include "base/mem.h"
#include "base/vec.h"

#include <stdlib.h>
#include <string.h>

/* How far from a hit lines are looked for; a stream may have been silent for months. */
#define REACH NS_PER_DAY

enum {
    /* What a scan costs before its first record is about that of so many records: it reads on to
     * the next hit over no more of them. */
    GAP_RECORDS = 1000,
    SURE_RECORDS = 16, /* from so many on it is told how dense they are */
};

struct line {
    struct query_entry e;        /* copies */
    const struct labels *stream; /* as stored: two streams may have the same time and number */
};

/*
 * Scans of one side go over the hits of one stream in the order of reading, which is from the last
 * hit to the first one where what came before them is wanted.
 */
struct context {
    struct exec *x;
    VEC(struct line *) lines; /* they lie in the arena of the run */
    size_t n_hits;            /* of lines: the first ones */
    size_t first, end;        /* of these: of the stream that is looked at, rising in time */
    bool backward;
    size_t n_each;          /* lines that are wanted next to each hit */
    size_t reached;         /* hits that were come upon */
    size_t until;           /* the scan goes over the hits before; what is around others may lie
                               outside of it */
    const struct line *hit; /* the last of them; NULL: the scan has come upon none */
    size_t left;            /* of the lines next to it */
    size_t passed;          /* records since nothing was left */
    ts_ns began;            /* the scan */
    size_t read;            /* its records */
    double spacing;         /* ns from one of them to the next; 0: not known */
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

static const struct line *hit_at(const struct context *c, size_t i)
{
    return c->lines.p[c->backward ? c->end - 1 - i : c->first + i];
}

/* In the order of reading: less than, equal to, greater than 0 as the record comes before the hit,
 * is it, or comes behind it. */
static int record_cmp(const struct context *c, const struct record *rec, const struct line *hit)
{
    bool is_later = rec->ts != hit->e.ts ? rec->ts > hit->e.ts : rec->seq > hit->e.seq;

    if (rec->ts == hit->e.ts && rec->seq == hit->e.seq)
        return 0;
    return is_later == c->backward ? -1 : 1;
}

/* Is the record one of the lines next to the last hit? */
static bool is_next_to(const struct context *c, const struct record *rec)
{
    ts_ns ts = c->hit->e.ts;

    return record_cmp(c, rec, c->hit) > 0 &&
           (c->backward ? rec->ts >= exec_add(ts, -REACH) : rec->ts < exec_add(ts, REACH));
}

static double distance(ts_ns a, ts_ns b)
{
    return a > b ? (double)a - (double)b : (double)b - (double)a;
}

/* Are there too many records, as they came until now, between a and b? */
static bool is_far(const struct context *c, ts_ns a, ts_ns b)
{
    return c->spacing > 0 && distance(a, b) > GAP_RECORDS * c->spacing;
}

/* 1: the next hit is far, or not for this scan. */
static int look_at(void *arg, const struct batch *b, const struct record *rec, struct err *err)
{
    struct context *c = arg;
    const struct query_entry e = {
        .ts = rec->ts,
        .seq = rec->seq,
        .stream = b->streams[rec->stream],
        .meta = {(struct label *)(uintptr_t)rec->attr, rec->n_attr}, /* read only */
        .line = rec->line,
        .is_context = true,
    };
    int r = 0;

    if (++c->read >= SURE_RECORDS)
        c->spacing = distance(rec->ts, c->began) / (double)c->read;
    while (c->reached < c->until && record_cmp(c, rec, hit_at(c, c->reached)) >= 0) {
        c->hit = hit_at(c, c->reached++);
        c->left = c->n_each;
        c->passed = 0;
    }
    if (c->hit == NULL) /* records of the hit's time */
        return 0;
    if (c->left == 0)
        return c->reached == c->until || ++c->passed > GAP_RECORDS ||
               is_far(c, rec->ts, hit_at(c, c->reached)->e.ts);
    if (labels_cmp(&b->streams[rec->stream], c->hit->stream) != 0 ||
        record_cmp(c, rec, c->hit) == 0)
        return 0;
    if (is_next_to(c, rec)) {
        r = keep(c, c->hit->stream, &e, err);
        c->left--;
    } else {
        c->left = 0;
    }
    return r < 0 ? r : c->left == 0 && c->reached == c->until;
}

/* From the next hit on, over those that are within reach of it. */
static int read_on(struct context *c, const struct plan_scan *plan, struct err *err)
{
    size_t last = c->reached;
    ts_ns at = hit_at(c, last)->e.ts;
    ts_ns end = at;
    struct exec_scan scan = {
        .plan = plan,
        .order = c->backward ? SCAN_BACKWARD : SCAN_FORWARD,
        .need_line = true,
        .need_attrs = true,
        .expect = c->n_each + 1,
    };

    while (++last < c->end - c->first) {
        ts_ns next = hit_at(c, last)->e.ts;
        if (distance(at, next) >= (double)REACH || is_far(c, end, next))
            break;
        end = next;
    }
    scan.from = c->backward ? exec_add(end, -REACH) : at;
    scan.to = c->backward ? exec_add(at, 1) : exec_add(end, REACH);
    if (c->spacing > 0)
        scan.expect += is_far(c, at, end) ? GAP_RECORDS : (size_t)(distance(at, end) / c->spacing);
    c->hit = NULL;
    c->until = last;
    c->began = at;
    c->left = c->passed = c->read = 0;
    return exec_each(c->x, &scan, look_at, c, err);
}

static int read_side(struct context *c, const struct plan_scan *plan, bool backward, size_t n,
                     struct err *err)
{
    int r = 0;

    c->backward = backward;
    c->n_each = n;
    c->reached = n == 0 ? c->end - c->first : 0;
    while (r >= 0 && c->reached < c->end - c->first) {
        size_t reached = c->reached;
        r = read_on(c, plan, err);
        if (c->reached == reached) /* the hit itself is gone: it was deleted meanwhile */
            c->reached++;
    }
    return r;
}

/* What is around the hits [first, end), which are of one stream. */
static int read_around(struct context *c, struct err *err)
{
    const struct labels *l = c->lines.p[c->first]->stream;
    struct plan_scan plan = {.n_matchers = l->n, .need_line = true, .attrs = PLAN_ATTRS_YES};
    int r;

    c->spacing = 0;
    plan.matchers = arena_alloc(c->x->arena, l->n * sizeof(*plan.matchers) + 1);
    if (plan.matchers == NULL)
        return arena_err(c->x->arena, err);
    for (size_t i = 0; i < l->n; i++) /* of these nothing is to be released */
        plan.matchers[i] =
            (struct matcher){.op = MATCH_EQ, .name = l->v[i].name, .value = l->v[i].value};
    r = read_side(c, &plan, true, c->x->params->before, err);
    return r < 0 ? r : read_side(c, &plan, false, c->x->params->after, err);
}

static int compare_hits(const void *a, const void *b)
{
    const struct line *x = *(const struct line *const *)a;
    const struct line *y = *(const struct line *const *)b;
    int r = labels_cmp(x->stream, y->stream);

    if (r != 0)
        return r;
    if (x->e.ts != y->e.ts)
        return x->e.ts < y->e.ts ? -1 : 1;
    return (x->e.seq > y->e.seq) - (x->e.seq < y->e.seq);
}

static int read_all(struct context *c, struct err *err)
{
    int r = 0;

    if (c->n_hits > 1)
        qsort(c->lines.p, c->n_hits, sizeof(*c->lines.p), compare_hits);
    for (c->first = 0; r >= 0 && c->first < c->n_hits; c->first = c->end) {
        const struct labels *l = c->lines.p[c->first]->stream;
        for (c->end = c->first + 1; c->end < c->n_hits; c->end++)
            if (labels_cmp(c->lines.p[c->end]->stream, l) != 0)
                break;
        r = read_around(c, err);
    }
    return r < 0 ? r : 0;
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
    int r = read_all(c, err);

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
