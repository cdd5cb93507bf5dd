/* query/ends.c - see ends.h. */
#include "query/ends.h"

#include "query/exec.h"

bool ends_know(enum token_kind op)
{
    return op == TOKEN_FIRST_OVER_TIME || op == TOKEN_LAST_OVER_TIME;
}

void ends_add(enum token_kind op, struct end *e, const struct scan_sample *s)
{
    bool is_later = s->ts != e->ts ? s->ts > e->ts : s->seq > e->seq;

    if (e->n++ > 0 && is_later != (op == TOKEN_LAST_OVER_TIME))
        return;
    e->ts = s->ts;
    e->seq = s->seq;
    e->value = s->v;
}

/* A stretch without samples gets the end of the next (first) or the one before (last). */
static void fill(enum token_kind op, struct end *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        size_t at = op == TOKEN_LAST_OVER_TIME ? i : n - 1 - i;
        size_t from = op == TOKEN_LAST_OVER_TIME ? at - 1 : at + 1;
        if (v[at].n == 0)
            v[at] = v[from];
    }
}

void ends_slide(const struct sums_query *q, struct end *v, struct series *out)
{
    size_t from = 0;
    size_t to = 0;

    fill(q->op, v, q->n_edges - 1);
    for (size_t k = 0; k < q->steps->n; k++) {
        ts_ns last = exec_add(exec_add(q->steps->start, (dur_ns)k * q->steps->step), -q->offset);
        ts_ns first = exec_add(last, -q->range);
        const struct end *e;
        while (from + 1 < q->n_edges && q->edge[from] <= first)
            from++;
        while (to + 1 < q->n_edges && q->edge[to] <= last)
            to++;
        if (from >= to)
            continue;
        e = &v[q->op == TOKEN_LAST_OVER_TIME ? to - 1 : from];
        out->has[k] = e->n > 0 && e->ts > first && e->ts <= last;
        if (out->has[k])
            out->value[k] = e->value;
    }
}
