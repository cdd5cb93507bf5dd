/*
 * storage/block_rollup.c - rows and line bytes per stream, minute and level.  Contract: block.h.
 *
 *     levels (block_levels.h)
 *     varint count of entries, then number columns: stream (from the block's first one
 *     on), minute, level, rows, line bytes
 *
 * Rows come sorted by stream and nearly sorted by time, so the entry of the row before is mostly
 * the right one; the rest go through a small hash table.
 */
#include "storage/block.h"

#include "base/mem.h"
#include "storage/block_levels.h"
#include "storage/column_int.h"
#include "storage/varint.h"

#include <stdlib.h>

struct builder {
    struct block_levels levels;
    struct block_rollup_entry *entry;
    size_t n, max;
    uint32_t *table; /* entry + 1; 0: free */
    size_t mask;
};

/* A full minute belongs to the one that it ends, as in the ranges of queries. */
static int64_t minute_of(ts_ns ts)
{
    int64_t minute = ts / NS_PER_MIN;

    return ts % NS_PER_MIN <= 0 ? minute - 1 : minute;
}

static bool same_entry(const struct block_rollup_entry *x, const struct block_rollup_entry *y)
{
    return x->stream == y->stream && x->minute == y->minute && x->level == y->level;
}

static uint64_t hash_entry(const struct block_rollup_entry *e)
{
    uint64_t h = (uint64_t)e->minute * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ h >> 32 ^ ((uint64_t)e->stream << 8 | e->level)) * UINT64_C(0x9e3779b97f4a7c15);
    return h >> 20;
}

/* The entry with the key of `want`, made where there is none; NULL: too many. */
static struct block_rollup_entry *find_entry(struct builder *b,
                                             const struct block_rollup_entry *want)
{
    size_t i = hash_entry(want) & b->mask;

    for (; b->table[i] != 0; i = (i + 1) & b->mask)
        if (same_entry(&b->entry[b->table[i] - 1], want))
            return &b->entry[b->table[i] - 1];
    if (b->n == b->max)
        return NULL;
    b->entry[b->n] = *want;
    b->table[i] = (uint32_t)++b->n;
    return &b->entry[b->n - 1];
}

static bool collect(struct builder *b, const struct block_row *rows, size_t n)
{
    struct block_rollup_entry *at = NULL;

    for (size_t i = 0; i < n; i++) {
        struct block_rollup_entry want = {.minute = minute_of(rows[i].ts),
                                          .stream = rows[i].stream - rows[0].stream};
        want.level = block_levels_number(&b->levels, &rows[i], at == NULL ? 0 : at->level);
        if (want.level == UINT32_MAX)
            return false;
        if (at == NULL || !same_entry(at, &want))
            at = find_entry(b, &want);
        if (at == NULL)
            return false;
        at->rows++;
        at->line_bytes += rows[i].line.n;
    }
    return true;
}

static int by_key(const void *a, const void *b)
{
    const struct block_rollup_entry *x = a;
    const struct block_rollup_entry *y = b;

    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    if (x->minute != y->minute)
        return x->minute < y->minute ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

static uint64_t field(const struct block_rollup_entry *e, unsigned column)
{
    switch (column) {
    case 0:
        return e->stream;
    case 1:
        return (uint64_t)e->minute;
    case 2:
        return e->level;
    case 3:
        return e->rows;
    default:
        return e->line_bytes;
    }
}

static void put(struct buf *out, const struct builder *b)
{
    uint64_t *column = mem_grow(NULL, b->n * sizeof(*column));

    block_levels_put(out, &b->levels);
    varint_put(out, b->n);
    for (unsigned c = 0; c < 5; c++) {
        for (size_t i = 0; i < b->n; i++)
            column[i] = field(&b->entry[i], c);
        column_int_encode(out, column, b->n);
    }
    free(column);
}

bool block_rollup_encode(struct buf *out, const struct block_row *rows, size_t n)
{
    struct builder b = {.max = n / BLOCK_ROLLUP_SHARE, .mask = 15};
    bool fits;

    if (b.max == 0)
        return false;
    while (b.mask < 2 * b.max)
        b.mask = b.mask * 2 + 1;
    b.entry = mem_grow(NULL, b.max * sizeof(*b.entry));
    b.table = mem_new((b.mask + 1) * sizeof(*b.table));
    fits = collect(&b, rows, n);
    if (fits) {
        qsort(b.entry, b.n, sizeof(*b.entry), by_key);
        put(out, &b);
    }
    free(b.entry);
    free(b.table);
    return fits;
}

/* ---- read ---- */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "rollup: %s", what);
}

static int take_columns(struct str *in, uint64_t *v[5], struct arena *a, size_t n, struct err *err)
{
    for (unsigned c = 0; c < 5; c++) {
        int r;
        v[c] = arena_alloc(a, n * sizeof(*v[c]));
        if (v[c] == NULL)
            return arena_err(a, err);
        r = column_int_decode(in, n, v[c], err);
        if (r < 0)
            return r;
    }
    return in->n == 0 ? 0 : corrupt("bytes behind the entries", err);
}

int block_rollup_decode(struct str in, const struct block_shape *shape, struct arena *a,
                        struct block_rollup *ret, struct err *err)
{
    struct block_rollup u = {0};
    uint64_t *v[5];
    uint64_t rows = 0;
    uint64_t n;
    int r = block_levels_take(&in, a, &u.level, &u.n_levels, err);

    if (r < 0)
        return r;
    if (!varint_get(&in, &n) || n == 0 || n > shape->rows / BLOCK_ROLLUP_SHARE)
        return corrupt("count of entries", err);
    u.n = (size_t)n;
    u.entry = arena_alloc(a, u.n * sizeof(*u.entry));
    if (u.entry == NULL)
        return arena_err(a, err);
    r = take_columns(&in, v, a, u.n, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < u.n; i++) {
        if (v[0][i] > shape->last_stream - shape->first_stream || v[2][i] >= u.n_levels ||
            v[3][i] == 0 || v[3][i] > shape->rows - rows)
            return corrupt("entry out of bounds", err);
        rows += v[3][i];
        u.entry[i] = (struct block_rollup_entry){(int64_t)v[1][i], v[4][i],
                                                 shape->first_stream + (uint32_t)v[0][i],
                                                 (uint32_t)v[3][i], (uint32_t)v[2][i]};
        if (i > 0 && by_key(&u.entry[i - 1], &u.entry[i]) >= 0)
            return corrupt("order of entries", err);
    }
    if (rows != shape->rows)
        return corrupt("rows do not add up", err);
    *ret = u;
    return 0;
}

/* ---- sums ---- */

void block_rollup_sum(struct block_rollup *ro)
{
    size_t n = 0;

    for (size_t i = 0, end; i < ro->n; i = end) {
        struct block_rollup_entry sum[BLOCK_LEVELS_MAX] = {{.rows = 0}};
        for (end = i; end < ro->n && ro->entry[end].stream == ro->entry[i].stream; end++) {
            const struct block_rollup_entry *e = &ro->entry[end];
            sum[e->level].rows += e->rows;
            sum[e->level].line_bytes += e->line_bytes;
            sum[e->level].stream = e->stream;
            sum[e->level].level = e->level;
        }
        for (size_t l = 0; l < ro->n_levels; l++)
            if (sum[l].rows > 0)
                ro->entry[n++] = sum[l];
    }
    ro->n = n;
}
