/* storage/scan_tally.c - see scan_tally.h. */
#include "storage/scan_tally.h"

#include "base/map.h"
#include "storage/scan_sum.h"

#include <string.h>

enum { KEY_MAX = 1 << 24, OVERHEAD = 64 };

/* The cells of a stream, or of some that are alike, by number of the combination; NULL: not asked
 * for yet. */
struct scan_tally {
    struct scan_cells **v;
    size_t cap;
};

/* Stands for "they do not count". */
static struct scan_cells nowhere;

static int ask_cells(struct scan_counter *k, struct scan_stream *st, uint32_t combo,
                     struct scan_cells **ret, struct err *err)
{
    struct scan_combo cb;
    struct scan_key key;
    int r;

    arena_reset(k->asking);
    r = scan_combos_get(&k->combos, combo, k->asking, &cb, err);
    if (r < 0)
        return r;
    key = (struct scan_key){&st->labels, cb.attr, cb.n_attr, cb.line, cb.tested};
    r = k->c->cells(k->c->arg, &key, ret, err);
    if (r == 0 && *ret == NULL)
        *ret = &nowhere;
    return r;
}

static int widen(struct scan_counter *k, struct scan_tally *t, size_t n, struct err *err)
{
    size_t cap = t->cap == 0 ? 1 : 2 * t->cap;
    struct scan_cells **v;

    while (cap < n)
        cap *= 2;
    v = arena_alloc(k->arena, cap * sizeof(*v));
    if (v == NULL)
        return arena_err(k->arena, err);
    if (t->cap > 0)
        memcpy((void *)v, (void *)t->v, t->cap * sizeof(*v));
    t->v = v;
    t->cap = cap;
    return 0;
}

/* ---- streams that are alike ---- */

static int class_key(const struct scan_counter *k, const struct labels *l, struct buf *key,
                     struct err *err)
{
    for (size_t i = 0; i < k->c->n_names; i++) {
        struct str v = labels_get(l, k->c->names[i]);
        uint32_t n = v.p == NULL ? UINT32_MAX : (uint32_t)v.n;
        buf_add(key, &n, sizeof(n));
        buf_add_str(key, v);
    }
    buf_add_char(key, '.'); /* without names: not empty */
    return buf_err(key, "labels of a stream", err);
}

int scan_tally_find(struct scan_counter *k, struct scan_stream *st, struct err *err)
{
    struct scan_tally *t = NULL;
    struct buf key;
    int r = 0;

    buf_init(&key, KEY_MAX);
    if (k->c->names != NULL) {
        r = class_key(k, &st->labels, &key, err);
        t = r == 0 ? map_get(k->classes, buf_str(&key)) : NULL;
    }
    if (r == 0 && t == NULL) {
        t = arena_alloc(k->arena, sizeof(*t));
        if (t == NULL || arena_bytes(k->arena, key.n + OVERHEAD) == NULL)
            r = arena_err(k->arena, err);
        else if (k->c->names != NULL)
            (void)map_put(k->classes, buf_str(&key), t);
    }
    buf_fini(&key);
    st->tally = r == 0 ? t : NULL;
    return r;
}

/* ---- cells ---- */

static int cells_of(struct scan_counter *k, struct scan_stream *st, uint32_t combo,
                    struct scan_cells **ret, struct err *err)
{
    int r = st->tally == NULL ? scan_tally_find(k, st, err) : 0;

    if (r == 0 && combo >= st->tally->cap)
        r = widen(k, st->tally, (size_t)combo + 1, err);
    if (r == 0 && st->tally->v[combo] == NULL)
        r = ask_cells(k, st, combo, &st->tally->v[combo], err);
    if (r == 0)
        *ret = st->tally->v[combo];
    return r;
}

int scan_tally_cells(struct scan_counter *k, struct scan_stream *st, uint32_t combo,
                     struct scan_cells **ret, struct err *err)
{
    struct scan_cells *cells = NULL;
    int r = cells_of(k, st, combo, &cells, err);

    *ret = r < 0 || cells == &nowhere ? NULL : cells;
    return r;
}

int scan_tally_add(struct scan_counter *k, const struct scan_tally_key *key, uint64_t rows,
                   uint64_t bytes, struct err *err)
{
    struct scan_cells *cells = NULL;
    int r = scan_tally_cells(k, key->stream, key->combo, &cells, err);

    if (r < 0 || cells == NULL)
        return r;
    cells->rows[key->bucket] += rows;
    if (cells->bytes != NULL)
        cells->bytes[key->bucket] += bytes;
    return 0;
}

int scan_tally_number(struct scan_counter *k, const struct scan_tally_key *key,
                      const struct scan_sample *s, struct err *err)
{
    const struct scan_value *value = k->c->value;
    struct scan_cells *cells = NULL;
    int r = scan_tally_cells(k, key->stream, key->combo, &cells, err);

    if (r < 0 || cells == NULL)
        return r;
    if (value->sample != NULL)
        return value->sample(value->arg_record, cells, s, err);
    scan_sum_add(&cells->sum[key->bucket], s->v);
    return 0;
}
