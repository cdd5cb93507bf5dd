/* query/group.c - see group.h. */
#include "query/group.h"

#include <string.h>

enum { FIRST_CAP = 16 };

void groups_init(struct groups *g, struct arena *a)
{
    *g = (struct groups){.arena = a};
}

static void put(struct groups *g, size_t position)
{
    size_t i = (size_t)g->v[position]->hash.lo & (g->n_slots - 1);

    while (g->slots[i] != 0)
        i = (i + 1) & (g->n_slots - 1);
    g->slots[i] = (uint32_t)position + 1;
}

static int grow(struct groups *g, struct err *err)
{
    size_t cap = g->cap == 0 ? FIRST_CAP : 2 * g->cap;
    struct group **v = arena_alloc(g->arena, cap * sizeof(struct group *));
    uint32_t *slots = arena_alloc(g->arena, 2 * cap * sizeof(*slots));

    if (v == NULL || slots == NULL)
        return arena_err(g->arena, err);
    if (g->n > 0)
        memcpy(v, g->v, g->n * sizeof(struct group *));
    g->v = v;
    g->cap = cap;
    g->slots = slots;
    g->n_slots = 2 * cap;
    for (size_t i = 0; i < g->n; i++)
        put(g, i);
    return 0;
}

int groups_find(struct groups *g, const struct labels *l, struct group **ret, struct err *err)
{
    struct hash128 h = labels_hash(l);
    struct group *new;
    int r = 0;

    if (g->n_slots > 0) {
        size_t i = (size_t)h.lo & (g->n_slots - 1);
        for (; g->slots[i] != 0; i = (i + 1) & (g->n_slots - 1)) {
            struct group *at = g->v[g->slots[i] - 1];
            if (at->hash.lo == h.lo && at->hash.hi == h.hi && labels_equal(&at->labels, l)) {
                *ret = at;
                return 0;
            }
        }
    }
    if (g->n == g->cap)
        r = grow(g, err);
    if (r < 0)
        return r;
    new = arena_alloc(g->arena, sizeof(*new));
    if (new == NULL)
        return arena_err(g->arena, err);
    r = labels_copy(g->arena, l, &new->labels, err);
    if (r < 0)
        return r;
    new->hash = h;
    g->v[g->n] = new;
    put(g, g->n++);
    *ret = new;
    return 0;
}
