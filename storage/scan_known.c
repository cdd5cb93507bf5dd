/*
 * storage/scan_known.c - see scan_known.h.
 *
 * Each value has two places; the older one goes.  The table grows while more is put than it has
 * room for, and begins empty then.
 */
#include "storage/scan_known.h"

#include "base/hash.h"

#include <stdlib.h>
#include <string.h>

enum {
    SHAPES = 64,
    TEXT_MAX = 50,
    FIRST = 1 << 8, /* pairs of entries */
    LAST = 1 << 14,
};

struct entry {
    uint32_t number; /* + 1; 0: free */
    uint32_t base;
    uint32_t shape;
    uint8_t n;
    bool is_new; /* the newer one of its pair */
    char text[TEXT_MAX];
};
_Static_assert(sizeof(struct entry) == 64, "a line of the cache");

struct scan_known {
    struct mem_budget *budget; /* borrowed; may be NULL */
    struct arena *arena;       /* owned; of shapes */
    struct scan_shape shape[SHAPES];
    uint32_t n_shapes;
    struct entry *v; /* owned */
    size_t pairs;    /* a power of two; 0: there is no memory */
    size_t puts;     /* into this table */
    uint64_t hash;   /* of the last value that was not found */
};

static size_t bytes_of(size_t pairs)
{
    return 2 * pairs * sizeof(struct entry);
}

/* A table of so many pairs takes the place of the other; without memory that stays. */
static void resize(struct scan_known *kn, size_t pairs)
{
    struct entry *v;
    struct err ignored;

    if (mem_budget_take(kn->budget, bytes_of(pairs), &ignored) < 0)
        return;
    v = calloc(2 * pairs, sizeof(*v));
    if (v == NULL) {
        mem_budget_give(kn->budget, bytes_of(pairs));
        return;
    }
    mem_budget_give(kn->budget, bytes_of(kn->pairs));
    free(kn->v);
    kn->v = v;
    kn->pairs = pairs;
}

struct scan_known *scan_known_new(struct mem_budget *budget)
{
    struct scan_known *kn = mem_new(sizeof(*kn));

    kn->budget = budget;
    kn->arena = arena_new(budget, 0);
    resize(kn, FIRST);
    return kn;
}

void scan_known_free(struct scan_known **pkn)
{
    struct scan_known *kn = *pkn;

    *pkn = NULL;
    if (kn == NULL)
        return;
    mem_budget_give(kn->budget, bytes_of(kn->pairs));
    arena_free(&kn->arena);
    free(kn->v);
    free(kn);
}

uint32_t scan_known_shape(struct scan_known *kn, const struct scan_shape *shape)
{
    struct scan_shape *s;

    for (uint32_t i = 0; i < kn->n_shapes; i++) {
        s = &kn->shape[i];
        if (s->set == shape->set && str_eq(s->before, shape->before) &&
            str_eq(s->after, shape->after) && str_eq(s->tail, shape->tail))
            return i + 1;
    }
    if (kn->n_shapes == SHAPES || kn->pairs == 0)
        return 0;
    s = &kn->shape[kn->n_shapes];
    s->set = shape->set;
    s->before = arena_str(kn->arena, shape->before);
    s->after = arena_str(kn->arena, shape->after);
    s->tail = arena_str(kn->arena, shape->tail);
    if (s->before.p == NULL || s->after.p == NULL || s->tail.p == NULL)
        return 0;
    return ++kn->n_shapes;
}

static uint64_t hash_of(const struct scan_known_value *v)
{
    return hash_bytes(v->text.p, v->text.n, (uint64_t)v->base << 8 | v->shape);
}

static bool is_same(const struct entry *e, const struct scan_known_value *v)
{
    return e->number != 0 && e->base == v->base && e->shape == v->shape && e->n == v->text.n &&
           memcmp(e->text, v->text.p, e->n) == 0;
}

void scan_known_fetch(const struct scan_known *kn, const struct scan_known_value *v)
{
    const struct entry *pair;

    if (v->text.n == 0 || v->text.n > TEXT_MAX)
        return;
    pair = &kn->v[2 * (hash_of(v) & (kn->pairs - 1))];
    __builtin_prefetch(pair);
    __builtin_prefetch(pair + 1);
}

bool scan_known_get(struct scan_known *kn, const struct scan_known_value *v, uint32_t *ret)
{
    struct entry *pair;

    if (v->text.n == 0 || v->text.n > TEXT_MAX)
        return false;
    kn->hash = hash_of(v);
    pair = &kn->v[2 * (kn->hash & (kn->pairs - 1))];
    for (size_t i = 0; i < 2; i++)
        if (is_same(&pair[i], v)) {
            *ret = pair[i].number - 1;
            return true;
        }
    return false;
}

void scan_known_put(struct scan_known *kn, const struct scan_known_value *v, uint32_t number)
{
    struct entry *pair;
    struct entry *e;

    if (v->text.n == 0 || v->text.n > TEXT_MAX)
        return;
    if (kn->puts++ == kn->pairs) {
        if (kn->pairs < LAST)
            resize(kn, 2 * kn->pairs);
        kn->puts = 0;
    }
    pair = &kn->v[2 * (kn->hash & (kn->pairs - 1))];
    e = pair[0].number == 0 || (pair[1].number != 0 && pair[1].is_new) ? &pair[0] : &pair[1];
    pair[0].is_new = e == &pair[0];
    pair[1].is_new = e == &pair[1];
    e->number = number + 1;
    e->base = v->base;
    e->shape = v->shape;
    e->n = (uint8_t)v->text.n;
    memcpy(e->text, v->text.p, v->text.n);
}
