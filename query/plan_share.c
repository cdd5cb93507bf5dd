/* query/plan_share.c - see plan_share.h. */
#include "query/plan_share.h"

#include "base/buf.h"
#include "base/hash.h"
#include "base/vec.h"

#include <stdlib.h>

enum { TEXT_MAX_BYTES = 8 << 20 }; /* of one part: a query has 128 KiB, escapes make it longer */

struct leaf {
    struct hash128 hash; /* of its text: equal hashes are taken for equal texts */
    struct ast_node *node;
};

struct leaves {
    VEC(struct leaf) list;
    struct buf text;
};

static void add_leaf(struct leaves *l, struct ast_node *n)
{
    struct leaf leaf = {.node = n};

    buf_clear(&l->text);
    ast_print(n, &l->text);
    if (l->text.over)
        return; /* evaluated for itself */
    leaf.hash = hash128_bytes(l->text.p, l->text.n);
    VEC_PUSH(&l->list, leaf);
}

static void collect(struct leaves *l, struct ast_node *n)
{
    switch (n->kind) {
    case NODE_RANGE:
        add_leaf(l, n);
        return;
    case NODE_AGGREGATE:
        if (n->aggregate.fused)
            add_leaf(l, n);
        else
            collect(l, n->aggregate.expr);
        return;
    case NODE_BINARY:
        collect(l, n->binary.left);
        collect(l, n->binary.right);
        return;
    case NODE_LABEL_REPLACE:
        collect(l, n->replace.expr);
        return;
    case NODE_LOG:
    case NODE_LITERAL:
    case NODE_VECTOR:
        return;
    }
}

static int by_hash(const void *a, const void *b)
{
    const struct hash128 *x = &((const struct leaf *)a)->hash;
    const struct hash128 *y = &((const struct leaf *)b)->hash;

    if (x->hi != y->hi)
        return x->hi < y->hi ? -1 : 1;
    return (x->lo > y->lo) - (x->lo < y->lo);
}

/* Number each run of equals in the sorted list. */
static int number(struct ast *a, const struct leaves *l, struct err *err)
{
    size_t n = l->list.n;

    a->share_uses = arena_alloc(a->arena, n / 2 * sizeof(*a->share_uses));
    if (a->share_uses == NULL)
        return arena_err(a->arena, err);
    for (size_t i = 0, end; i < n; i = end) {
        end = i + 1;
        while (end < n && by_hash(&l->list.p[i], &l->list.p[end]) == 0)
            end++;
        if (end - i == 1)
            continue;
        a->share_uses[a->n_shared++] = end - i;
        for (size_t k = i; k < end; k++)
            l->list.p[k].node->share = a->n_shared;
    }
    return 0;
}

int plan_share(struct ast *a, struct err *err)
{
    struct leaves l = {.list = {0}};
    int r = 0;

    buf_init(&l.text, TEXT_MAX_BYTES);
    collect(&l, a->root);
    if (l.list.n > 1) {
        qsort(l.list.p, l.list.n, sizeof(*l.list.p), by_hash);
        r = number(a, &l, err);
    }
    VEC_FINI(&l.list);
    buf_fini(&l.text);
    return r;
}
