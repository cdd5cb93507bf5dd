/*
 * storage/block_census.c - rows per stream, template, level and minute.  Contract: block.h.
 *
 *     levels (block_levels.h)
 *     varint count of runs, varint count of entries
 *     of the runs, number columns: stream (from the block's first one on), template, level, minute
 *     of its first entry, how many entries
 *     of the entries, number columns: minutes since the entry before in the run (0: its first),
 *     rows
 *
 * Steady sources have a row or more in each minute, so the gaps are mostly 1 and cost next to
 * nothing; what is stored is mostly the numbers of rows.
 */
#include "base/mem.h"
#include "storage/block_levels.h"
#include "storage/column_int.h"
#include "storage/varint.h"

#include <stdlib.h>

enum { RUN_COLUMNS = 5 };

struct cell {
    uint32_t stream, template, level;
    int32_t minute;
    uint32_t rows;
};

struct builder {
    struct block_levels levels;
    struct cell *cell;
    size_t n, max;
    uint32_t *table; /* cell + 1; 0: free */
    size_t mask;
    uint32_t last[LINES_TEMPLATES_MAX + 1]; /* of each template: the cell met last, + 1 */
};

static int32_t minute_of(ts_ns ts)
{
    int64_t minute = ts / NS_PER_MIN;

    return (int32_t)(ts % NS_PER_MIN < 0 ? minute - 1 : minute);
}

static bool same_cell(const struct cell *x, const struct cell *y)
{
    return x->minute == y->minute && x->template == y->template && x->stream == y->stream &&
           x->level == y->level;
}

static size_t hash_cell(const struct cell *c)
{
    uint64_t h = ((uint64_t)c->stream << 32 | (uint32_t)c->minute) * UINT64_C(0x9e3779b97f4a7c15);

    h = (h ^ h >> 32 ^ ((uint64_t)c->template << 8 | c->level)) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 20);
}

/* The cell like `want`, made where there is none; NULL: too many. */
static struct cell *find_cell(struct builder *b, const struct cell *want)
{
    size_t i = hash_cell(want) & b->mask;

    for (; b->table[i] != 0; i = (i + 1) & b->mask)
        if (same_cell(&b->cell[b->table[i] - 1], want))
            return &b->cell[b->table[i] - 1];
    if (b->n == b->max)
        return NULL;
    b->cell[b->n] = *want;
    b->table[i] = (uint32_t)++b->n;
    return &b->cell[b->n - 1];
}

static bool collect(struct builder *b, const struct block_row *rows, const uint16_t *template,
                    size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t *last = &b->last[template[i]];
        struct cell *at = *last == 0 ? NULL : &b->cell[*last - 1];
        struct cell want = {.stream = rows[i].stream - rows[0].stream,
                            .template = template[i],
                            .minute = minute_of(rows[i].ts)};
        want.level = block_levels_number(&b->levels, &rows[i], at == NULL ? 0 : at->level);
        if (want.level == UINT32_MAX)
            return false;
        if (at == NULL || !same_cell(at, &want))
            at = find_cell(b, &want);
        if (at == NULL)
            return false;
        *last = (uint32_t)(at - b->cell) + 1;
        at->rows++;
    }
    return true;
}

static int compare_runs(const struct cell *x, const struct cell *y)
{
    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    if (x->template != y->template)
        return x->template <y->template ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

static int by_key(const void *a, const void *b)
{
    const struct cell *x = a;
    const struct cell *y = b;
    int r = compare_runs(x, y);

    return r != 0 ? r : (x->minute > y->minute) - (x->minute < y->minute);
}

static uint64_t field(const struct builder *b, size_t from, size_t end, unsigned column)
{
    const struct cell *c = &b->cell[from];

    switch (column) {
    case 0:
        return c->stream;
    case 1:
        return c->template;
    case 2:
        return c->level;
    case 3:
        return (uint64_t)(int64_t)c->minute;
    default:
        return end - from;
    }
}

/* One column of the runs in v; how many there are. */
static size_t make_runs(const struct builder *b, unsigned column, uint64_t *v)
{
    size_t n = 0;

    for (size_t from = 0, end; from < b->n; from = end) {
        for (end = from + 1; end < b->n && compare_runs(&b->cell[from], &b->cell[end]) == 0;)
            end++;
        v[n++] = field(b, from, end, column);
    }
    return n;
}

static void put(struct buf *out, const struct builder *b)
{
    uint64_t *v = mem_grow(NULL, b->n * sizeof(*v));

    block_levels_put(out, &b->levels);
    varint_put(out, make_runs(b, 0, v));
    varint_put(out, b->n);
    for (unsigned c = 0; c < RUN_COLUMNS; c++)
        column_int_encode(out, v, make_runs(b, c, v));
    for (size_t i = 0; i < b->n; i++) {
        bool is_first = i == 0 || compare_runs(&b->cell[i - 1], &b->cell[i]) != 0;
        v[i] = is_first ? 0 : (uint64_t)((int64_t)b->cell[i].minute - b->cell[i - 1].minute);
    }
    column_int_encode(out, v, b->n);
    for (size_t i = 0; i < b->n; i++)
        v[i] = b->cell[i].rows;
    column_int_encode(out, v, b->n);
    free(v);
}

bool block_census_encode(struct buf *out, const struct block_row *rows, const uint16_t *template,
                         size_t n)
{
    struct builder *b;
    bool fits;

    if (n / BLOCK_CENSUS_SHARE == 0)
        return false;
    b = mem_new(sizeof(*b));
    b->max = n / BLOCK_CENSUS_SHARE;
    b->mask = 15;
    while (b->mask < 2 * b->max)
        b->mask = b->mask * 2 + 1;
    b->cell = mem_grow(NULL, b->max * sizeof(*b->cell));
    b->table = mem_new((b->mask + 1) * sizeof(*b->table));
    fits = collect(b, rows, template, n);
    if (fits) {
        qsort(b->cell, b->n, sizeof(*b->cell), by_key);
        put(out, b);
    }
    free(b->cell);
    free(b->table);
    free(b);
    return fits;
}

/* ---- read ---- */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "census: %s", what);
}

static int take_column(struct str *in, uint64_t **ret, struct arena *a, size_t n, struct err *err)
{
    *ret = arena_alloc(a, n * sizeof(**ret));
    return *ret == NULL ? arena_err(a, err) : column_int_decode(in, n, *ret, err);
}

static int by_run(const struct block_census_run *x, const struct block_census_run *y)
{
    if (x->stream != y->stream)
        return x->stream < y->stream ? -1 : 1;
    if (x->template != y->template)
        return x->template <y->template ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

static int take_runs(struct str *in, const struct block_shape *shape, size_t n_templates,
                     struct arena *a, struct block_census *u, int32_t **minute, struct err *err)
{
    uint64_t *v[RUN_COLUMNS];
    uint32_t at = 0;
    int r = 0;

    for (unsigned c = 0; r == 0 && c < RUN_COLUMNS; c++)
        r = take_column(in, &v[c], a, u->n_runs, err);
    if (r < 0)
        return r;
    u->run = arena_alloc(a, u->n_runs * sizeof(*u->run));
    *minute = arena_alloc(a, u->n_runs * sizeof(**minute));
    if (u->run == NULL || *minute == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < u->n_runs; i++) {
        int64_t first = (int64_t)v[3][i];
        if (v[0][i] > shape->last_stream - shape->first_stream || v[1][i] >= n_templates ||
            v[2][i] >= u->n_levels || first < INT64_MIN / NS_PER_MIN - 1 ||
            first > INT64_MAX / NS_PER_MIN || v[4][i] == 0 || v[4][i] > u->n - at)
            return corrupt("run out of bounds", err);
        u->run[i] =
            (struct block_census_run){shape->first_stream + (uint32_t)v[0][i], (uint32_t)v[1][i],
                                      (uint32_t)v[2][i], at, (uint32_t)v[4][i]};
        (*minute)[i] = (int32_t)first;
        at += (uint32_t)v[4][i];
        if (i > 0 && by_run(&u->run[i - 1], &u->run[i]) >= 0)
            return corrupt("order of runs", err);
    }
    return at == u->n ? 0 : corrupt("entries of no run", err);
}

static int take_entries(struct str *in, size_t all_rows, const int32_t *minute, struct arena *a,
                        struct block_census *u, struct err *err)
{
    uint64_t *gap = NULL;
    uint64_t *rows = NULL;
    uint64_t sum = 0;
    int r = take_column(in, &gap, a, u->n, err);

    if (r == 0)
        r = take_column(in, &rows, a, u->n, err);
    if (r == 0 && in->n != 0)
        r = corrupt("bytes behind the entries", err);
    if (r < 0)
        return r;
    u->entry = arena_alloc(a, u->n * sizeof(*u->entry));
    if (u->entry == NULL)
        return arena_err(a, err);
    for (size_t k = 0; k < u->n_runs; k++) {
        uint32_t from = u->run[k].first;
        int64_t at = minute[k];
        for (uint32_t i = from; i < from + u->run[k].n; i++) {
            if ((gap[i] == 0) != (i == from) || gap[i] > (uint64_t)(INT64_MAX / NS_PER_MIN - at) ||
                rows[i] == 0 || rows[i] > all_rows - sum)
                return corrupt("entry out of bounds", err);
            at += (int64_t)gap[i];
            sum += rows[i];
            u->entry[i] = (struct block_census_entry){(int32_t)at, (uint32_t)rows[i]};
        }
    }
    return sum == all_rows ? 0 : corrupt("rows do not add up", err);
}

int block_census_decode(struct str in, const struct block_shape *shape, size_t n_templates,
                        struct arena *a, struct block_census *ret, struct err *err)
{
    struct block_census u = {0};
    int32_t *minute = NULL;
    uint64_t runs;
    uint64_t n;
    int r = block_levels_take(&in, a, &u.level, &u.n_levels, err);

    if (r < 0)
        return r;
    if (!varint_get(&in, &runs) || !varint_get(&in, &n) || runs == 0 || runs > n ||
        n > shape->rows / BLOCK_CENSUS_SHARE)
        return corrupt("count of entries", err);
    u.n_runs = (size_t)runs;
    u.n = (size_t)n;
    r = take_runs(&in, shape, n_templates, a, &u, &minute, err);
    if (r == 0)
        r = take_entries(&in, shape->rows, minute, a, &u, err);
    if (r == 0)
        *ret = u;
    return r;
}
