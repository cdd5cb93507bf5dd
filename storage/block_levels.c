/* storage/block_levels.c - see block_levels.h. */
#include "storage/block_levels.h"

#include "storage/varint.h"

static struct str level_of(const struct block_row *row)
{
    static const struct str name = STR_INIT("detected_level");

    for (uint32_t i = 0; i < row->n_attr; i++)
        if (str_eq(row->attr[i].name, name))
            return row->attr[i].value.p == NULL ? STR("") : row->attr[i].value;
    return STR_NULL;
}

static bool same_level(struct str a, struct str b)
{
    return (a.p == NULL) == (b.p == NULL) && str_eq(a, b);
}

uint32_t block_levels_number(struct block_levels *l, const struct block_row *row, uint32_t guess)
{
    struct str level = level_of(row);

    if (guess < l->n && same_level(l->v[guess], level))
        return guess;
    for (uint32_t i = 0; i < l->n; i++)
        if (same_level(l->v[i], level))
            return i;
    if (l->n == BLOCK_LEVELS_MAX)
        return UINT32_MAX;
    l->v[l->n] = level;
    return (uint32_t)l->n++;
}

void block_levels_put(struct buf *out, const struct block_levels *l)
{
    varint_put(out, l->n);
    for (size_t i = 0; i < l->n; i++) {
        varint_put(out, l->v[i].p == NULL ? 0 : l->v[i].n + 1);
        buf_add_str(out, l->v[i]);
    }
}

int block_levels_take(struct str *in, struct arena *a, struct str **ret, size_t *ret_n,
                      struct err *err)
{
    struct str *level;
    uint64_t n;

    if (!varint_get(in, &n) || n == 0 || n > BLOCK_LEVELS_MAX)
        return err_set(err, ERR_CORRUPT, "levels of a block: their count");
    level = arena_alloc(a, (size_t)n * sizeof(*level));
    if (level == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < n; i++) {
        uint64_t bytes;
        if (!varint_get(in, &bytes) || (bytes > 0 && bytes - 1 > in->n))
            return err_set(err, ERR_CORRUPT, "levels of a block: one is cut");
        if (bytes == 0)
            continue;
        level[i] = arena_str(a, str_sub(*in, 0, (size_t)bytes - 1));
        if (level[i].p == NULL)
            return arena_err(a, err);
        *in = str_from(*in, (size_t)bytes - 1);
    }
    *ret = level;
    *ret_n = (size_t)n;
    return 0;
}
