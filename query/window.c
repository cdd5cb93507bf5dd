/* query/window.c - see window.h. */
#include "query/window.h"

#include "base/hash.h"
#include "base/obj.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CAP = 16, SELECT_SMALL = 16, SELECT_ROUNDS = 64 };

/* ---- parts ---- */

static bool is_sum(enum token_kind op)
{
    return op == TOKEN_SUM_OVER_TIME || op == TOKEN_RATE;
}

static bool is_variance(enum token_kind op)
{
    return op == TOKEN_STDVAR_OVER_TIME || op == TOKEN_STDDEV_OVER_TIME;
}

static bool is_extreme(enum token_kind op)
{
    return op == TOKEN_MIN_OVER_TIME || op == TOKEN_MAX_OVER_TIME;
}

/* The smaller or larger one, NaN only if both are. */
static double better(enum token_kind op, double a, double b)
{
    if (isnan(a) || isnan(b))
        return isnan(a) ? b : a;
    return (op == TOKEN_MIN_OVER_TIME) == (a < b) ? a : b;
}

/* What the samples of `a` and those of `b` come to together. */
static struct window_part join(enum token_kind op, struct window_part a, struct window_part b)
{
    double n = a.n + b.n;
    double delta = b.value - a.value;
    struct window_part ret = {.n = n};

    if (a.n == 0 || b.n == 0)
        return a.n == 0 ? b : a;
    if (is_sum(op)) {
        ret.value = a.value + b.value;
    } else if (is_extreme(op)) {
        ret.value = better(op, a.value, b.value);
    } else if (is_variance(op)) {
        ret.value = a.value + delta * (b.n / n);
        ret.squares = a.squares + b.squares + delta * delta * (a.n * b.n / n);
    } else { /* the mean; sums of large numbers would overflow */
        ret.value = a.value * (a.n / n) + b.value * (b.n / n);
    }
    return ret;
}

/* The square is 0; that of what is not finite is NaN, as the variance of samples it is among. */
static struct window_part part_of(double v)
{
    return (struct window_part){.value = v, .squares = v - v, .n = 1};
}

void window_slide(struct window *w, enum token_kind op)
{
    w->op = op;
    w->slides = is_sum(op) || is_variance(op) || is_extreme(op) || op == TOKEN_AVG_OVER_TIME;
}

/* All samples become the front. */
static void turn(struct window *w)
{
    struct window_part sum = {.n = 0};

    for (size_t i = w->head + w->n; i-- > w->head;) {
        sum = join(w->op, part_of(w->v[i]), sum);
        w->parts[i] = sum;
    }
    w->front = w->n;
    w->back = (struct window_part){.n = 0};
}

/* ---- samples ---- */

static size_t sample_bytes(const struct window *w)
{
    return sizeof(*w->ts) + sizeof(*w->v) + (w->slides ? sizeof(*w->parts) : 0) +
           (w->orders ? sizeof(*w->seq) : 0);
}

void window_fini(struct window *w, struct mem_budget *budget)
{
    free(w->ts);
    free(w->v);
    free(w->parts);
    free(w->seq);
    mem_budget_give(budget, w->cap * sample_bytes(w));
    memset(w, 0, sizeof(*w));
}

/* realloc; without memory the array as it was, and *ok is false. */
static void *resized(void *array, size_t n, size_t each, bool *ok)
{
    void *p = realloc(array, n * each);

    *ok = *ok && p != NULL;
    return p != NULL ? p : array;
}

static int grow(struct window *w, struct mem_budget *budget, struct err *err)
{
    size_t cap = w->cap == 0 ? FIRST_CAP : 2 * w->cap;
    int r = mem_budget_take(budget, (cap - w->cap) * sample_bytes(w), err);
    bool ok = true;

    if (r < 0)
        return r;
    w->ts = resized(w->ts, cap, sizeof(*w->ts), &ok);
    w->v = resized(w->v, cap, sizeof(*w->v), &ok);
    if (w->slides)
        w->parts = resized(w->parts, cap, sizeof(*w->parts), &ok);
    if (w->orders)
        w->seq = resized(w->seq, cap, sizeof(*w->seq), &ok);
    if (!ok) {
        mem_budget_give(budget, (cap - w->cap) * sample_bytes(w));
        return err_set(err, ERR_NOMEM, "out of memory for %zu samples", cap);
    }
    w->cap = cap;
    return 0;
}

void window_distinct(struct window *w)
{
    w->distinct = true;
}

void window_order(struct window *w)
{
    w->orders = true;
}

/* Is it the first time that `v` is put into the table? */
static bool put(double *slots, size_t n_slots, double v)
{
    size_t i = (size_t)hash_bytes(&v, sizeof(v), (uintptr_t)slots) & (n_slots - 1);

    while (slots[i] >= 0 && slots[i] != v)
        i = (i + 1) & (n_slots - 1);
    if (slots[i] >= 0)
        return false;
    slots[i] = v;
    return true;
}

/* Keep of each value the last sample: as long as a range covers any, it covers that one. */
static int forget_repeats(struct window *w, struct mem_budget *budget, struct err *err)
{
    size_t n_slots = FIRST_CAP;
    size_t to = w->head + w->n;
    double *slots;
    int r;

    while (n_slots < 2 * w->n)
        n_slots *= 2;
    r = mem_budget_take(budget, n_slots * sizeof(*slots), err);
    if (r < 0)
        return r;
    slots = malloc(n_slots * sizeof(*slots));
    for (size_t i = 0; slots != NULL && i < n_slots; i++)
        slots[i] = -1;
    for (size_t i = w->head + w->n; slots != NULL && i-- > w->head;) {
        if (put(slots, n_slots, w->v[i])) {
            to--;
            w->ts[to] = w->ts[i];
            w->v[to] = w->v[i];
        }
    }
    mem_budget_give(budget, n_slots * sizeof(*slots));
    if (slots == NULL)
        return err_set(err, ERR_NOMEM, "out of memory for %zu samples", w->n);
    free(slots);
    w->n = w->head + w->n - to;
    w->head = to;
    return 0;
}

int window_push(struct window *w, ts_ns ts, double v, struct mem_budget *budget, struct err *err)
{
    return window_push_sample(w, &(struct window_sample){ts, 0, v}, budget, err);
}

int window_push_sample(struct window *w, const struct window_sample *s, struct mem_budget *budget,
                       struct err *err)
{
    int r = 0;

    if (w->distinct && w->head + w->n == w->cap && w->head <= w->n)
        r = forget_repeats(w, budget, err);
    if (r == 0 && w->head + w->n == w->cap) {
        if (w->head > w->n) { /* more than half is free: move instead of growing */
            memmove(w->ts, w->ts + w->head, w->n * sizeof(*w->ts));
            memmove(w->v, w->v + w->head, w->n * sizeof(*w->v));
            if (w->orders)
                memmove(w->seq, w->seq + w->head, w->n * sizeof(*w->seq));
            if (w->front > 0)
                memmove(w->parts, w->parts + w->head, w->front * sizeof(*w->parts));
            w->head = 0;
        } else {
            r = grow(w, budget, err);
        }
    }
    if (r < 0)
        return r;
    w->ts[w->head + w->n] = s->ts;
    w->v[w->head + w->n] = s->v;
    if (w->orders)
        w->seq[w->head + w->n] = s->seq;
    w->n++;
    if (w->slides)
        w->back = join(w->op, w->back, part_of(s->v));
    return 0;
}

static int by_time(const void *a, const void *b)
{
    const struct window_sample *x = a;
    const struct window_sample *y = b;

    if (x->ts != y->ts)
        return x->ts < y->ts ? -1 : 1;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static struct window_sample sample_of(const struct window *w, size_t i)
{
    return (struct window_sample){w->ts[i], w->orders ? w->seq[i] : 0, w->v[i]};
}

static bool is_in_order(const struct window *w)
{
    bool in_order = true;

    for (size_t i = 1; i < w->n && in_order; i++)
        in_order = w->ts[i - 1] < w->ts[i] ||
                   (w->ts[i - 1] == w->ts[i] && (!w->orders || w->seq[i - 1] <= w->seq[i]));
    return in_order;
}

int window_sort(struct window *w, struct mem_budget *budget, struct err *err)
{
    struct window_sample *all;
    size_t bytes = w->n * sizeof(*all);
    int r;

    INVARIANT(w->head == 0 && !w->slides);
    if (is_in_order(w))
        return 0;
    r = mem_budget_take(budget, bytes, err);
    if (r < 0)
        return r;
    all = malloc(bytes);
    for (size_t i = 0; all != NULL && i < w->n; i++)
        all[i] = sample_of(w, i);
    if (all != NULL)
        qsort(all, w->n, sizeof(*all), by_time);
    for (size_t i = 0; all != NULL && i < w->n; i++) {
        w->ts[i] = all[i].ts;
        w->v[i] = all[i].v;
        if (w->orders)
            w->seq[i] = all[i].seq;
    }
    mem_budget_give(budget, bytes);
    r = all != NULL ? 0 : err_set(err, ERR_NOMEM, "out of memory for %zu samples", w->n);
    free(all);
    return r;
}

void window_drop(struct window *w, ts_ns ts)
{
    if (w->n > 0 && w->ts[w->head + w->n - 1] <= ts) {
        w->n = w->front = 0;
        w->back = (struct window_part){.n = 0};
    }
    while (w->n > 0 && w->ts[w->head] <= ts) {
        if (w->slides && w->front == 0)
            turn(w);
        w->head++;
        w->n--;
        if (w->slides)
            w->front--;
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

static bool is_less(double a, double b)
{
    return isnan(a) ? !isnan(b) : a < b; /* NaN first */
}

static double median(double a, double b, double c)
{
    if (is_less(b, a)) {
        double t = a;
        a = b;
        b = t;
    }
    return is_less(c, a) ? a : is_less(c, b) ? c : b;
}

/* Move v[low..high) about so that none of [low, ret] is more than any of (ret, high). */
static size_t divide(double *v, size_t low, size_t high)
{
    /* two of the three are not less than the pivot, so one of them is not the last: both parts get
     * something */
    double pivot = median(v[low], v[low + (high - low) / 2], v[high - 1]);
    size_t i = low;
    size_t j = high - 1;

    for (;; i++, j--) {
        double t;
        while (is_less(v[i], pivot))
            i++;
        while (is_less(pivot, v[j]))
            j--;
        if (i >= j)
            return j;
        t = v[i];
        v[i] = v[j];
        v[j] = t;
    }
}

/* The k-th of v, which is moved about: what is behind place k is not less. */
static double select_kth(double *v, size_t n, size_t k)
{
    size_t low = 0;
    size_t high = n;

    for (int round = 0; high - low > SELECT_SMALL && round < SELECT_ROUNDS; round++) {
        size_t at = divide(v, low, high);
        if (k <= at)
            high = at + 1;
        else
            low = at + 1;
    }
    qsort(v + low, high - low, sizeof(*v), ascending);
    return v[k];
}

static double quantile(const double *v, size_t n, double phi, double *scratch)
{
    double rank;
    size_t low;
    double below;
    double above;

    if (isnan(phi))
        return phi;
    if (phi < 0)
        return -HUGE_VAL;
    if (phi > 1)
        return HUGE_VAL;
    memcpy(scratch, v, n * sizeof(*v));
    rank = phi * (double)(n - 1);
    low = (size_t)rank;
    below = select_kth(scratch, n, low);
    above = low + 1 < n ? scratch[low + 1] : below;
    for (size_t i = low + 2; i < n; i++)
        above = is_less(scratch[i], above) ? scratch[i] : above;
    return below * (1 - (rank - (double)low)) + above * (rank - (double)low);
}

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* How many different ones there are; none is NaN. */
static double count_distinct(const double *v, size_t n, double *scratch)
{
    size_t found = 1;

    memcpy(scratch, v, n * sizeof(*v));
    qsort(scratch, n, sizeof(*scratch), compare_values);
    for (size_t i = 1; i < n; i++)
        found += scratch[i] > scratch[i - 1];
    return (double)found;
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

static double slid_value(const struct window *w, const struct window_query *q)
{
    struct window_part all = w->back;

    INVARIANT(w->op == q->op);
    if (w->front > 0)
        all = join(w->op, w->parts[w->head], w->back);
    if (q->op == TOKEN_RATE)
        return all.value / seconds(q->range);
    if (is_variance(q->op)) {
        double variance = all.squares / all.n;
        return q->op == TOKEN_STDDEV_OVER_TIME ? sqrt(variance) : variance;
    }
    return all.value;
}

double window_value(const struct window *w, const struct window_query *q, double *scratch)
{
    const double *v = w->v + w->head;

    INVARIANT(w->n > 0);
    if (w->slides)
        return slid_value(w, q);
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
    if (q->op == TOKEN_COUNT_DISTINCT_OVER_TIME)
        return count_distinct(v, w->n, scratch);
    if (q->op == TOKEN_FIRST_OVER_TIME)
        return v[0];
    INVARIANT(q->op == TOKEN_LAST_OVER_TIME);
    return v[w->n - 1];
}
