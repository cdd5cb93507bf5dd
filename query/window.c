/* query/window.c - see window.h. */
#include "query/window.h"

#include "base/obj.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 16, SAMPLE_BYTES = sizeof(ts_ns) + sizeof(double) };

void window_fini(struct window *w, struct mem_budget *budget)
{
    free(w->ts);
    free(w->v);
    mem_budget_give(budget, w->cap * SAMPLE_BYTES);
    memset(w, 0, sizeof(*w));
}

static int grow(struct window *w, struct mem_budget *budget, struct err *err)
{
    size_t cap = w->cap == 0 ? FIRST_CAP : 2 * w->cap;
    int r = mem_budget_take(budget, (cap - w->cap) * SAMPLE_BYTES, err);
    ts_ns *ts;
    double *v;

    if (r < 0)
        return r;
    ts = realloc(w->ts, cap * sizeof(*ts));
    if (ts != NULL)
        w->ts = ts;
    v = realloc(w->v, cap * sizeof(*v));
    if (v != NULL)
        w->v = v;
    if (ts == NULL || v == NULL) {
        mem_budget_give(budget, (cap - w->cap) * SAMPLE_BYTES);
        return err_set(err, ERR_NOMEM, "out of memory for %zu samples", cap);
    }
    w->cap = cap;
    return 0;
}

int window_push(struct window *w, ts_ns ts, double v, struct mem_budget *budget, struct err *err)
{
    int r = 0;

    if (w->head + w->n == w->cap) {
        if (w->head > w->n) { /* more than half is free: move instead of growing */
            memmove(w->ts, w->ts + w->head, w->n * sizeof(*w->ts));
            memmove(w->v, w->v + w->head, w->n * sizeof(*w->v));
            w->head = 0;
        } else {
            r = grow(w, budget, err);
        }
    }
    if (r < 0)
        return r;
    w->ts[w->head + w->n] = ts;
    w->v[w->head + w->n] = v;
    w->n++;
    return 0;
}

void window_drop(struct window *w, ts_ns ts)
{
    while (w->n > 0 && w->ts[w->head] <= ts) {
        w->head++;
        w->n--;
    }
    if (w->n == 0)
        w->head = 0;
}

/* ---- values ---- */

static double sum(const double *v, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += v[i];
    return s;
}

/* A running mean does not overflow where the sum would. */
static double mean(const double *v, size_t n)
{
    double m = 0;

    for (size_t i = 0; i < n; i++) {
        double count = (double)(i + 1);
        if (isinf(m) && (isinf(v[i]) ? (m > 0) == (v[i] > 0) : !isnan(v[i])))
            continue; /* inf - inf would make it NaN */
        m += v[i] / count - m / count;
    }
    return m;
}

/* The largest (sign 1) or smallest (sign -1), NaN only if all are. */
static double extreme(const double *v, size_t n, double sign)
{
    double best = v[0];

    for (size_t i = 1; i < n; i++)
        if (isnan(best) || sign * v[i] > sign * best)
            best = v[i];
    return best;
}

static double variance(const double *v, size_t n)
{
    double m = 0;
    double squares = 0;

    for (size_t i = 0; i < n; i++) {
        double delta = v[i] - m;
        m += delta / (double)(i + 1);
        squares += delta * (v[i] - m);
    }
    return squares / (double)n;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x); /* NaN first */
    return (x > y) - (x < y);
}

static double quantile(const double *v, size_t n, double phi, double *scratch)
{
    double rank;
    size_t low;
    size_t high;
    double weight;

    if (isnan(phi))
        return phi;
    if (phi < 0)
        return -HUGE_VAL;
    if (phi > 1)
        return HUGE_VAL;
    memcpy(scratch, v, n * sizeof(*v));
    qsort(scratch, n, sizeof(*scratch), ascending);
    rank = phi * (double)(n - 1);
    low = (size_t)rank;
    high = low + 1 < n ? low + 1 : n - 1;
    weight = rank - (double)low;
    return scratch[low] * (1 - weight) + scratch[high] * weight;
}

static double seconds(dur_ns d)
{
    return (double)d / (double)NS_PER_S;
}

/* Increase of a counter per second: a value below the one before means that it began again at 0;
 * what lies between the outer samples and the ends of the range is extrapolated, as far as samples
 * usually are apart, and not below zero. */
static double counter_rate(const struct window *w, const struct window_query *q)
{
    const ts_ns *ts = w->ts + w->head;
    const double *v = w->v + w->head;
    double rise = v[w->n - 1] - v[0];
    double sampled = seconds(ts[w->n - 1] - ts[0]);
    double to_start = seconds(ts[0] - (q->end - q->range));
    double to_end = seconds(q->end - ts[w->n - 1]);
    double apart;
    double covered;

    if (w->n < 2 || sampled == 0)
        return 0;
    for (size_t i = 1; i < w->n; i++)
        if (v[i] < v[i - 1])
            rise += v[i - 1];
    apart = sampled / (double)(w->n - 1);
    to_start = to_start < apart * 1.1 ? to_start : apart / 2;
    to_end = to_end < apart * 1.1 ? to_end : apart / 2;
    if (rise > 0 && v[0] >= 0 && sampled * (v[0] / rise) < to_start)
        to_start = sampled * (v[0] / rise);
    covered = sampled + to_start + to_end;
    return rise * (covered / sampled) / seconds(q->range);
}

double window_value(const struct window *w, const struct window_query *q, double *scratch)
{
    const double *v = w->v + w->head;

    INVARIANT(w->n > 0);
    if (q->op == TOKEN_SUM_OVER_TIME)
        return sum(v, w->n);
    if (q->op == TOKEN_RATE)
        return sum(v, w->n) / seconds(q->range);
    if (q->op == TOKEN_RATE_COUNTER)
        return counter_rate(w, q);
    if (q->op == TOKEN_AVG_OVER_TIME)
        return mean(v, w->n);
    if (q->op == TOKEN_MIN_OVER_TIME)
        return extreme(v, w->n, -1);
    if (q->op == TOKEN_MAX_OVER_TIME)
        return extreme(v, w->n, 1);
    if (q->op == TOKEN_STDVAR_OVER_TIME)
        return variance(v, w->n);
    if (q->op == TOKEN_STDDEV_OVER_TIME)
        return sqrt(variance(v, w->n));
    if (q->op == TOKEN_QUANTILE_OVER_TIME)
        return quantile(v, w->n, q->param, scratch);
    if (q->op == TOKEN_FIRST_OVER_TIME)
        return v[0];
    INVARIANT(q->op == TOKEN_LAST_OVER_TIME);
    return v[w->n - 1];
}
