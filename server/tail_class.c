/* server/tail_class.c - see tail_class.h. */
#include "server/tail_class.h"

#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

/* ---- output ---- */

struct tail_output *tail_output_new(struct str bytes, struct mem_budget *budget)
{
    struct tail_output *o;
    struct err ignored;

    if (mem_budget_take(budget, sizeof(*o) + bytes.n, &ignored) < 0)
        return NULL;
    o = mem_new(sizeof(*o) + bytes.n);
    atomic_init(&o->refs, 1);
    o->budget = budget;
    o->n = bytes.n;
    if (bytes.n > 0)
        memcpy(o->bytes, bytes.p, bytes.n);
    return o;
}

struct tail_output *tail_output_ref(struct tail_output *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void tail_output_unref(struct tail_output **po)
{
    struct tail_output *o = *po;

    *po = NULL;
    if (o == NULL || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) > 1)
        return;
    mem_budget_give(o->budget, sizeof(*o) + o->n);
    free(o);
}

/* ---- classes ---- */

struct tail_class *tail_class_get(struct tail_class **first, struct str key)
{
    struct tail_class *c = *first;

    while (c != NULL && !str_eq((struct str){c->key, c->key_bytes}, key))
        c = c->next;
    if (c == NULL) {
        c = mem_new(sizeof(*c));
        c->key = mem_dup(key.p, key.n);
        c->key_bytes = key.n;
        c->next = *first;
        *first = c;
    }
    c->users++;
    return c;
}

void tail_class_put(struct tail_class **first, struct tail_class **pc)
{
    struct tail_class *c = *pc;

    *pc = NULL;
    INVARIANT(c->users > 0);
    if (--c->users > 0)
        return;
    while (*first != c)
        first = &(*first)->next;
    *first = c->next;
    tail_class_forget(c);
    free(c->key);
    free(c);
}

void tail_class_add(struct tail_class *c, struct tail_output *o, size_t n_entries,
                    uint64_t n_dropped)
{
    c->is_more = c->output != NULL;
    if (c->is_more)
        return;
    c->output = tail_output_ref(o);
    c->n_entries = n_entries;
    c->n_dropped = n_dropped;
}

void tail_class_forget(struct tail_class *c)
{
    tail_output_unref(&c->output);
    c->answered = 0;
    c->n_entries = 0;
    c->n_dropped = 0;
    c->is_more = false;
}
