/* query/gathered.c - see gathered.h. */
#include "query/gathered.h"

enum { MANY = 1024 /* samples, that take longer than a look at the clock */ };

bool gathered_orders(enum token_kind op)
{
    return op == TOKEN_RATE_COUNTER;
}

bool gathered_know(enum token_kind op)
{
    return op == TOKEN_QUANTILE_OVER_TIME || gathered_orders(op);
}

int gathered_slide(const struct gathered_query *q, struct window *w, struct exec *x,
                   struct series *out, struct err *err)
{
    struct window_query value = {.op = q->op, .param = q->param, .range = q->range};
    double *sorted = arena_alloc(x->arena, w->n * sizeof(*sorted) + 1);
    size_t n = w->n;
    size_t seen = 0;
    int r = sorted == NULL ? arena_err(x->arena, err) : window_sort(w, &x->budget, err);

    w->n = 0;
    for (size_t k = 0; r == 0 && k < q->steps->n; k++) {
        value.end = exec_add(exec_add(q->steps->start, (dur_ns)k * q->steps->step), -q->offset);
        for (; seen < n && w->ts[seen] <= value.end; seen++)
            w->n++;
        window_drop(w, exec_add(value.end, -q->range));
        w->head = seen - w->n; /* an empty window would begin anew */
        r = w->n >= MANY ? exec_look(x, err) : exec_tick(x, err);
        if (r < 0 || w->n == 0)
            continue;
        out->value[k] = window_value(w, &value, sorted);
        out->has[k] = 1;
    }
    return r;
}
