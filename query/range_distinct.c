/* query/range_distinct.c - see range_distinct.h. */
#include "query/range_distinct.h"

#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

struct range_values {
    unsigned magic;
#define RANGE_VALUES_MAGIC 0x5d21c0e7u
    struct arena *arena; /* owned */
    size_t n_stretches;
};

struct range_values *range_values_new(struct mem_budget *budget, size_t n_stretches,
                                      size_t max_bytes)
{
    struct range_values *v = mem_new(sizeof(*v));

    v->magic = RANGE_VALUES_MAGIC;
    v->arena = arena_new(budget, max_bytes);
    v->n_stretches = n_stretches;
    return v;
}

void range_values_free(struct range_values **pv)
{
    struct range_values *v = *pv;

    *pv = NULL;
    if (v == NULL)
        return;
    OBJ_CHECK(v, RANGE_VALUES_MAGIC);
    arena_free(&v->arena);
    v->magic = 0;
    free(v);
}

int range_values_add(struct range_values *v, double id, struct range_value **list, struct err *err)
{
    struct range_value *value;

    OBJ_CHECK(v, RANGE_VALUES_MAGIC);
    value = arena_alloc(v->arena, sizeof(*value));
    if (value != NULL)
        value->cells.rows = arena_alloc(v->arena, v->n_stretches * sizeof(*value->cells.rows));
    if (value == NULL || value->cells.rows == NULL)
        return arena_err(v->arena, err);
    value->id = id;
    value->next = *list;
    *list = value;
    return 0;
}

/* ---- points ---- */

static int by_id(const void *a, const void *b)
{
    double x = (*(struct range_value *const *)a)->id;
    double y = (*(struct range_value *const *)b)->id;

    return (x > y) - (x < y);
}

/* The steps of which a stretch is part. */
struct span {
    size_t first, end;
};

static struct span *find_spans(const struct sums_query *q, struct arena *a)
{
    struct span *ret = arena_alloc(a, q->n_edges * sizeof(*ret));
    size_t first = 0;
    size_t end = 0;

    for (size_t i = 0; ret != NULL && i + 1 < q->n_edges; i++) {
        ts_ns ts = exec_add(q->edge[i], q->offset); /* of its first sample, as ends see it */
        while (end < q->steps->n) {
            ts_ns at = exec_add(q->steps->start, (dur_ns)end * q->steps->step);
            if (exec_add(at, -q->range) >= ts)
                break;
            end++;
        }
        while (first < end && exec_add(q->steps->start, (dur_ns)first * q->steps->step) < ts)
            first++;
        ret[i] = (struct span){first, end};
    }
    return ret;
}

/* Values [v, v + n) are the same one: note where it comes to the ranges, and where it goes. */
static uint64_t note_value(struct range_value *const *v, size_t n, size_t n_stretches,
                           const struct span *span, int64_t *change)
{
    uint64_t all = 0;
    size_t done = 0;

    for (size_t i = 0; i < n_stretches; i++) {
        struct span s = span[i];
        uint64_t rows = 0;
        for (size_t k = 0; k < n; k++)
            rows += v[k]->cells.rows[i];
        if (rows == 0 || s.first == s.end)
            continue;
        all += rows;
        s.first = s.first < done ? done : s.first;
        if (s.first >= s.end)
            continue;
        change[s.first]++;
        change[s.end]--;
        done = s.end;
    }
    return all;
}

static struct range_value **sort_values(struct range_value *list, struct arena *a, size_t *n)
{
    struct range_value **v;

    *n = 0;
    for (struct range_value *l = list; l != NULL; l = l->next)
        (*n)++;
    v = arena_alloc(a, *n * sizeof(struct range_value *) + 1);
    *n = 0;
    for (struct range_value *l = list; v != NULL && l != NULL; l = l->next)
        v[(*n)++] = l;
    if (v != NULL && *n > 0)
        qsort((void *)v, *n, sizeof(struct range_value *), by_id);
    return v;
}

int range_values_slide(const struct sums_query *q, struct range_value *list, struct exec *x,
                       struct series *out, uint64_t *rows, struct err *err)
{
    struct span *span = find_spans(q, x->arena);
    int64_t *change = arena_alloc(x->arena, (q->steps->n + 1) * sizeof(*change));
    struct range_value **v;
    int64_t count = 0;
    size_t n;
    int r = 0;

    v = sort_values(list, x->arena, &n);
    if (span == NULL || change == NULL || v == NULL)
        return arena_err(x->arena, err);
    *rows = 0;
    for (size_t i = 0, end; r == 0 && i < n; i = end) {
        for (end = i + 1; end < n && v[end]->id == v[i]->id;)
            end++;
        *rows += note_value(v + i, end - i, q->n_edges - 1, span, change);
        r = exec_tick(x, err);
    }
    for (size_t k = 0; r == 0 && k < q->steps->n; k++) {
        count += change[k];
        out->has[k] = count > 0;
        out->value[k] = (double)count;
    }
    return r;
}
