/* storage/column_str.c - see column_str.h for the format. */
#include "storage/column_str.h"

#include "base/hash.h"
#include "base/mem.h"
#include "storage/column_int.h"
#include "storage/varint.h"

#include <stdlib.h>

enum { KIND_PLAIN, KIND_DICT };

/* Distinct values found so far: open addressing over twice as many places as values allowed. */
struct dict {
    struct str *value;
    size_t n, max;
    uint32_t *slot; /* value index + 1 */
    size_t mask;
};

static void put_plain(struct buf *b, const struct str *v, size_t n)
{
    uint64_t *lengths = mem_grow(NULL, n * sizeof(*lengths) + 1);

    for (size_t i = 0; i < n; i++)
        lengths[i] = v[i].p == NULL ? 0 : (uint64_t)v[i].n + 1;
    column_int_encode(b, lengths, n);
    free(lengths);
    for (size_t i = 0; i < n; i++)
        if (v[i].p != NULL)
            buf_add_str(b, v[i]);
}

static bool same(struct str a, struct str b)
{
    return (a.p == NULL) == (b.p == NULL) && str_eq(a, b);
}

/* The index of `s`, new or found again; false: too many. */
static bool dict_index(struct dict *d, struct str s, uint64_t *ret)
{
    uint64_t h = s.p == NULL ? 0 : hash_bytes(s.p, s.n, 1);

    for (size_t at = h & d->mask;; at = (at + 1) & d->mask) {
        if (d->slot[at] == 0) {
            if (d->n == d->max)
                return false;
            d->value[d->n] = s;
            d->slot[at] = (uint32_t)++d->n;
        }
        if (same(d->value[d->slot[at] - 1], s)) {
            *ret = d->slot[at] - 1;
            return true;
        }
    }
}

/* Ids of all values; false when there are too many distinct ones for a dictionary to pay. */
static bool dict_build(struct dict *d, const struct str *v, size_t n, uint64_t *ids)
{
    size_t slots = 16;

    d->max = n / 4 + 1;
    while (slots < 2 * d->max)
        slots *= 2;
    d->mask = slots - 1;
    d->value = mem_grow(NULL, d->max * sizeof(*d->value));
    d->slot = mem_new(slots * sizeof(*d->slot));
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && same(v[i], v[i - 1]))
            ids[i] = ids[i - 1];
        else if (!dict_index(d, v[i], &ids[i]))
            return false;
    }
    return true;
}

void column_str_encode(struct buf *b, const struct str *v, size_t n)
{
    struct dict d = {0};
    uint64_t *ids = mem_grow(NULL, n * sizeof(*ids) + 1);

    if (dict_build(&d, v, n, ids)) {
        buf_add_char(b, KIND_DICT);
        varint_put(b, d.n);
        put_plain(b, d.value, d.n);
        column_int_encode(b, ids, n);
    } else {
        buf_add_char(b, KIND_PLAIN);
        put_plain(b, v, n);
    }
    free(d.value);
    free(d.slot);
    free(ids);
}

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "string column: %s", what);
}

static int get_plain(struct str *in, size_t n, struct arena *a, struct str **ret, struct err *err)
{
    uint64_t *lengths = arena_alloc(a, n * sizeof(*lengths) + 1);
    struct str *v = arena_alloc(a, n * sizeof(*v) + 1);
    int r;

    if (lengths == NULL || v == NULL)
        return arena_err(a, err);
    r = column_int_decode(in, n, lengths, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        if (lengths[i] == 0)
            continue;
        if (lengths[i] - 1 > in->n)
            return corrupt("values are cut", err);
        v[i] = (struct str){in->p, (size_t)lengths[i] - 1};
        *in = str_from(*in, (size_t)lengths[i] - 1);
    }
    *ret = v;
    return 0;
}

static int get_ids(struct str *in, size_t n, struct arena *a, struct column_str *c, struct err *err)
{
    uint64_t *wide = arena_alloc(a, n * sizeof(*wide) + 1);
    uint32_t *id = arena_alloc(a, n * sizeof(*id) + 1);
    int r;

    if (wide == NULL || id == NULL)
        return arena_err(a, err);
    r = column_int_decode(in, n, wide, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++) {
        if (wide[i] >= c->n_values)
            return corrupt("id outside of the dictionary", err);
        id[i] = (uint32_t)wide[i];
    }
    c->id = id;
    return 0;
}

int column_str_decode(struct str *in, size_t n, struct arena *a, struct column_str *ret,
                      struct err *err)
{
    struct column_str c = {.n_values = n};
    uint64_t count;
    unsigned kind;
    int r;

    if (in->n < 1)
        return corrupt("no head", err);
    kind = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    if (kind == KIND_DICT) {
        if (!varint_get(in, &count) || count > n)
            return corrupt("size of the dictionary", err);
        c.n_values = (size_t)count;
    } else if (kind != KIND_PLAIN) {
        return corrupt("unknown kind", err);
    }
    r = get_plain(in, c.n_values, a, &c.value, err);
    if (r == 0 && kind == KIND_DICT)
        r = get_ids(in, n, a, &c, err);
    if (r == 0)
        *ret = c;
    return r;
}
