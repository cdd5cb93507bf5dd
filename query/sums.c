/*
 * query/sums.c - see sums.h.
 *
 * The stretches of a range are a queue: `tail` holds, for those before `middle`, what each comes to
 * together with all behind it up to `middle`; those from there on are merged into one as they come.
 * When the range has left all of the first, the others become them.
 */
#include "query/sums.h"

#include "query/exec.h"

#include <math.h>

bool sums_know(enum token_kind op)
{
    return op == TOKEN_SUM_OVER_TIME || op == TOKEN_RATE || op == TOKEN_AVG_OVER_TIME ||
           op == TOKEN_MIN_OVER_TIME || op == TOKEN_MAX_OVER_TIME || op == TOKEN_STDVAR_OVER_TIME ||
           op == TOKEN_STDDEV_OVER_TIME;
}

static void merge(struct scan_sum *to, const struct scan_sum *s)
{
    double apart = s->mean - to->mean;
    double n;
    double m;

    if (s->n == 0)
        return;
    if (to->n == 0) {
        *to = *s;
        return;
    }
    n = (double)to->n;
    m = (double)s->n;
    to->min = s->min < to->min ? s->min : to->min;
    to->max = s->max > to->max ? s->max : to->max;
    to->sum += s->sum;
    to->squares += s->squares + apart * apart * (n * m / (n + m));
    to->mean += apart * (m / (n + m));
    to->n += s->n;
}

static double value(const struct sums_query *q, const struct scan_sum *s)
{
    if (q->op == TOKEN_SUM_OVER_TIME)
        return s->sum;
    if (q->op == TOKEN_RATE)
        return s->sum / ((double)q->range / (double)NS_PER_S);
    if (q->op == TOKEN_AVG_OVER_TIME)
        return s->sum / (double)s->n;
    if (q->op == TOKEN_MIN_OVER_TIME)
        return s->min;
    if (q->op == TOKEN_MAX_OVER_TIME)
        return s->max;
    if (q->op == TOKEN_STDVAR_OVER_TIME)
        return s->squares / (double)s->n;
    return sqrt(s->squares / (double)s->n);
}

struct slide {
    const struct scan_sum *v;
    struct scan_sum *tail;
    size_t middle, end;
    struct scan_sum back; /* of [middle, end) */
};

/* What the stretches [from, to) come to; both never go back. */
static struct scan_sum move(struct slide *s, size_t from, size_t to)
{
    struct scan_sum sum = {.n = 0};

    for (; s->end < to; s->end++)
        merge(&s->back, &s->v[s->end]);
    if (from >= s->middle) {
        s->middle = s->end;
        s->back = sum;
        for (size_t i = s->end; i > from; i--) {
            s->tail[i - 1] = s->v[i - 1];
            if (i < s->end)
                merge(&s->tail[i - 1], &s->tail[i]);
        }
    }
    if (from < s->middle)
        sum = s->tail[from];
    merge(&sum, &s->back);
    return sum;
}

int sums_slide(const struct sums_query *q, const struct scan_sum *v, struct arena *a,
               struct series *out, struct err *err)
{
    struct slide s = {.v = v, .tail = arena_alloc(a, q->n_edges * sizeof(*s.tail))};
    size_t from = 0;
    size_t to = 0;

    if (s.tail == NULL)
        return arena_err(a, err);
    for (size_t k = 0; k < q->steps->n; k++) {
        ts_ns last = exec_add(exec_add(q->steps->start, (dur_ns)k * q->steps->step), -q->offset);
        ts_ns first = exec_add(last, -q->range);
        struct scan_sum sum;
        while (from + 1 < q->n_edges && q->edge[from] <= first)
            from++;
        while (to + 1 < q->n_edges && q->edge[to] <= last)
            to++;
        sum = move(&s, from, to);
        out->has[k] = sum.n > 0;
        if (sum.n > 0)
            out->value[k] = value(q, &sum);
    }
    return 0;
}
