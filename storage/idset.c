/* storage/idset.c - see idset.h. */
#include "storage/idset.h"

#include <string.h>

static size_t words(const struct idset *s)
{
    return (s->n + 63) / 64;
}

int idset_init(struct idset *s, size_t n, bool full, struct arena *a, struct err *err)
{
    *s = (struct idset){.n = n};
    s->bits = arena_alloc(a, (words(s) + 1) * sizeof(*s->bits));
    if (s->bits == NULL)
        return arena_err(a, err);
    if (full)
        idset_add_range(s, 0, n);
    return 0;
}

void idset_add(struct idset *s, size_t id)
{
    if (id < s->n)
        s->bits[id / 64] |= UINT64_C(1) << (id % 64);
}

/* The bits of word `w` that lie in [from, to). */
static uint64_t mask_of(size_t w, size_t from, size_t to)
{
    uint64_t mask = UINT64_MAX;

    if (from > w * 64)
        mask &= UINT64_MAX << (from - w * 64);
    if (to < w * 64 + 64)
        mask &= (UINT64_C(1) << (to - w * 64)) - 1;
    return mask;
}

void idset_add_range(struct idset *s, size_t from, size_t to)
{
    if (to > s->n)
        to = s->n;
    for (size_t w = from / 64; from < to && w * 64 < to; w++)
        s->bits[w] |= mask_of(w, from, to);
}

bool idset_has(const struct idset *s, size_t id)
{
    return id < s->n && (s->bits[id / 64] >> (id % 64) & 1) != 0;
}

bool idset_has_any(const struct idset *s, size_t from, size_t to)
{
    if (to > s->n)
        to = s->n;
    for (size_t w = from / 64; from < to && w * 64 < to; w++)
        if ((s->bits[w] & mask_of(w, from, to)) != 0)
            return true;
    return false;
}

size_t idset_count(const struct idset *s)
{
    size_t n = 0;

    for (size_t w = 0; w < words(s); w++)
        n += (size_t)__builtin_popcountll(s->bits[w]);
    return n;
}

size_t idset_next(const struct idset *s, size_t from)
{
    for (size_t w = from / 64; w < words(s); w++) {
        uint64_t left = s->bits[w] & mask_of(w, from, SIZE_MAX);
        if (left != 0)
            return w * 64 + (size_t)__builtin_ctzll(left);
    }
    return SIZE_MAX;
}

void idset_and(struct idset *s, const struct idset *with)
{
    for (size_t w = 0; w < words(s); w++)
        s->bits[w] &= w < words(with) ? with->bits[w] : 0;
}

void idset_and_not(struct idset *s, const struct idset *without)
{
    for (size_t w = 0; w < words(s) && w < words(without); w++)
        s->bits[w] &= ~without->bits[w];
}
