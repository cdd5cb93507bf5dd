/*
 * storage/block_attrs.c - attributes of a block as columns.  Contract: block.h.
 *
 *     varint count of columns, then each: varint length of its name, name, string column of n rows
 *     u8 has_rest, then if 1: string column of n rows, absent or {varint count, then each: varint
 * length of the name, name, varint length of the value, value}
 *
 * Why a rest: records of a program that puts a new key into each of them would otherwise make one
 * column a row. A key gets a column when it stands in every 64th row at least, the most frequent
 * first.
 */
#include "storage/block.h"

#include "base/map.h"
#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "storage/varint.h"

#include <stdlib.h>

enum { RARE_SHARE = 64, PAIRS_MAX = 1 << 16 };

struct key {
    struct str name;
    uint32_t count;
    uint32_t column; /* index of its column, or UINT32_MAX */
};

/* One attribute of one row. */
struct cell {
    uint32_t row, key;
    struct str value;
};

struct table {
    VEC(struct key) keys;
    VEC(struct cell) cells; /* by row, then name */
    struct map *index;      /* name -> key index + 1 */
};

static uint32_t key_of(struct table *t, struct str name)
{
    struct key k = {.name = name, .column = UINT32_MAX};
    uintptr_t known = (uintptr_t)map_get(t->index, name);

    if (known != 0)
        return (uint32_t)(known - 1);
    VEC_PUSH(&t->keys, k);
    known = t->keys.n;
    (void)map_put(t->index, name, (void *)known); /* no maximum: cannot be full */
    return (uint32_t)(known - 1);
}

static struct str present(struct str s)
{
    return s.p == NULL ? STR("") : s;
}

/* `guess`: the cell at the same place of the record before, NULL if there is none.  Most records
 * repeat its keys. */
static void add_cell(struct table *t, uint32_t row, const struct label *l, const struct cell *guess)
{
    struct cell c = {.row = row, .value = present(l->value)};

    if (guess != NULL && str_eq(t->keys.p[guess->key].name, l->name))
        c.key = guess->key;
    else
        c.key = key_of(t, l->name);
    INVARIANT(t->keys.p != NULL && c.key < t->keys.n);
    t->keys.p[c.key].count++;
    VEC_PUSH(&t->cells, c);
}

static void collect(struct table *t, const struct block_row *rows, size_t n)
{
    size_t before = 0;
    size_t n_before = 0;

    for (size_t i = 0; i < n; i++) {
        size_t start = t->cells.n;
        for (uint32_t k = 0; k < rows[i].n_attr; k++)
            add_cell(t, (uint32_t)i, &rows[i].attr[k],
                     k < n_before ? &t->cells.p[before + k] : NULL);
        before = start;
        n_before = rows[i].n_attr;
    }
}

static int by_count(const void *a, const void *b)
{
    const struct key *x = *(const struct key *const *)a;
    const struct key *y = *(const struct key *const *)b;

    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return str_cmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    const struct key *x = *(const struct key *const *)a;
    const struct key *y = *(const struct key *const *)b;

    return str_cmp(x->name, y->name);
}

/* Number the keys that get a column, in order of their names; returns how many, and them in `ret`.
 */
static size_t choose(struct table *t, size_t n, struct key **ret)
{
    struct key **all = mem_grow(NULL, t->keys.n * sizeof(struct key *) + 1);
    size_t kept = 0;

    for (size_t i = 0; i < t->keys.n; i++)
        if ((size_t)t->keys.p[i].count * RARE_SHARE >= n)
            all[kept++] = &t->keys.p[i];
    if (kept > 1)
        qsort((void *)all, kept, sizeof(*all), by_count);
    if (kept > BLOCK_ATTR_COLUMNS)
        kept = BLOCK_ATTR_COLUMNS;
    if (kept > 1)
        qsort((void *)all, kept, sizeof(*all), by_name);
    for (size_t i = 0; i < kept; i++) {
        all[i]->column = (uint32_t)i;
        ret[i] = all[i];
    }
    free((void *)all);
    return kept;
}

static void put_name(struct buf *b, struct str s)
{
    varint_put(b, s.n);
    buf_add_str(b, s);
}

/* Cells of each column stand together in `order` after this; start[c] is where column c begins. */
static void group_cells(const struct table *t, const struct cell **order, size_t *start,
                        size_t columns)
{
    size_t at[BLOCK_ATTR_COLUMNS + 1] = {0};

    for (size_t i = 0; i < t->cells.n; i++) {
        uint32_t c = t->keys.p[t->cells.p[i].key].column;
        if (c < columns)
            at[c + 1]++;
    }
    for (size_t c = 0; c < columns; c++)
        at[c + 1] += at[c];
    for (size_t c = 0; c <= columns; c++)
        start[c] = at[c];
    for (size_t i = 0; i < t->cells.n; i++) {
        uint32_t c = t->keys.p[t->cells.p[i].key].column;
        if (c < columns)
            order[at[c]++] = &t->cells.p[i];
    }
}

static void put_columns(struct buf *b, const struct table *t, struct key **chosen, size_t columns,
                        size_t n)
{
    const struct cell **order = mem_grow(NULL, t->cells.n * sizeof(*order) + 1);
    struct str *values = mem_grow(NULL, n * sizeof(*values));
    size_t start[BLOCK_ATTR_COLUMNS + 1];

    group_cells(t, order, start, columns);
    for (size_t c = 0; c < columns; c++) {
        memset(values, 0, n * sizeof(*values));
        for (size_t i = start[c]; i < start[c + 1]; i++)
            values[order[i]->row] = order[i]->value;
        put_name(b, chosen[c]->name);
        column_str_encode(b, values, n);
    }
    free(values);
    free((void *)order);
}

static bool is_rare(const struct table *t, const struct cell *c)
{
    return t->keys.p[c->key].column == UINT32_MAX;
}

static void put_rest(struct buf *b, const struct table *t, size_t n)
{
    struct str *values = mem_new(n * sizeof(*values));
    size_t *offset = mem_new(n * sizeof(*offset));
    struct buf packed;

    buf_init(&packed, BLOCK_FRAME_MAX);
    for (size_t i = 0; i < t->cells.n;) {
        uint32_t row = t->cells.p[i].row;
        size_t end = i;
        uint64_t count = 0;
        for (; end < t->cells.n && t->cells.p[end].row == row; end++)
            count += is_rare(t, &t->cells.p[end]);
        if (count > 0) {
            offset[row] = packed.n;
            varint_put(&packed, count);
            for (; i < end; i++) {
                if (!is_rare(t, &t->cells.p[i]))
                    continue;
                put_name(&packed, t->keys.p[t->cells.p[i].key].name);
                put_name(&packed, t->cells.p[i].value);
            }
            values[row] = (struct str){"", packed.n - offset[row]};
        }
        i = end;
    }
    for (size_t i = 0; i < n && !packed.over; i++)
        if (values[i].p != NULL)
            values[i].p = packed.p + offset[i];
    if (packed.over)
        b->over = true; /* the frame is over its maximum whatever else is in it */
    else
        column_str_encode(b, values, n);
    buf_fini(&packed);
    free(offset);
    free(values);
}

void block_attrs_encode(struct buf *b, const struct block_row *rows, size_t n)
{
    struct key *chosen[BLOCK_ATTR_COLUMNS];
    struct table t = {.index = map_new(0, NULL)};
    size_t columns;

    collect(&t, rows, n);
    if (t.cells.n > 0) {
        columns = choose(&t, n, chosen);
        varint_put(b, columns);
        put_columns(b, &t, chosen, columns, n);
        buf_add_char(b, columns < t.keys.n ? 1 : 0);
        if (columns < t.keys.n)
            put_rest(b, &t, n);
    }
    map_free(&t.index);
    VEC_FINI(&t.keys);
    VEC_FINI(&t.cells);
}

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "attributes: %s", what);
}

static bool get_name(struct str *in, struct str *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n)
        return false;
    *ret = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

int block_attrs_decode(struct str frame, size_t n, struct arena *a, struct block_attrs *ret,
                       struct err *err)
{
    struct block_attrs at = {0};
    uint64_t count;
    int r = 0;

    if (!varint_get(&frame, &count) || count > BLOCK_ATTR_COLUMNS)
        return corrupt("count of columns", err);
    at.n = (size_t)count;
    at.name = arena_alloc(a, at.n * sizeof(*at.name) + 1);
    at.column = arena_alloc(a, at.n * sizeof(*at.column) + 1);
    if (at.name == NULL || at.column == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < at.n; i++) {
        if (!get_name(&frame, &at.name[i]))
            return corrupt("name of a column", err);
        if (i > 0 && str_cmp(at.name[i - 1], at.name[i]) >= 0)
            return corrupt("order of columns", err);
        r = column_str_decode(&frame, n, a, &at.column[i], err);
        if (r < 0)
            return r;
    }
    if (frame.n < 1)
        return corrupt("no end", err);
    at.has_rest = frame.p[0] != 0;
    frame = str_from(frame, 1);
    if (at.has_rest)
        r = column_str_decode(&frame, n, a, &at.rest, err);
    if (r == 0 && frame.n != 0)
        return corrupt("bytes behind the end", err);
    if (r == 0)
        *ret = at;
    return r;
}

/* Pairs of the row's rest appended to v; their count is known to fit. */
static int add_rest(struct str rest, uint64_t count, struct label *v, size_t *n, struct err *err)
{
    for (uint64_t i = 0; i < count; i++) {
        struct label *l = &v[(*n)++];
        if (!get_name(&rest, &l->name) || !get_name(&rest, &l->value))
            return corrupt("rare pair is cut", err);
    }
    return rest.n == 0 ? 0 : corrupt("bytes behind the rare pairs", err);
}

/* Columns are sorted and so is the rest: one insertion pass over what the rest added. */
static void sort_in(struct label *v, size_t from, size_t n)
{
    for (size_t i = from; i < n; i++) {
        struct label x = v[i];
        size_t k = i;
        for (; k > 0 && str_cmp(v[k - 1].name, x.name) > 0; k--)
            v[k] = v[k - 1];
        v[k] = x;
    }
}

static int copy_out(struct label *v, size_t n, struct arena *out, struct err *err)
{
    for (size_t i = 0; i < n; i++) {
        v[i].name = arena_str(out, v[i].name);
        if (v[i].name.p != NULL)
            v[i].value = arena_str(out, v[i].value);
        if (v[i].name.p == NULL || v[i].value.p == NULL)
            return arena_err(out, err);
    }
    return 0;
}

int block_attrs_row(const struct block_attrs *at, size_t row, struct arena *out,
                    const struct label **ret, uint32_t *ret_n, struct err *err)
{
    struct str rest = at->has_rest ? column_str_get(&at->rest, row) : STR_NULL;
    uint64_t rare = 0;
    struct label *v;
    size_t n = 0;
    int r = 0;

    if (rest.p != NULL && (!varint_get(&rest, &rare) || rare > rest.n / 2 || rare > PAIRS_MAX))
        return corrupt("count of rare pairs", err);
    for (size_t i = 0; i < at->n; i++)
        n += column_str_get(&at->column[i], row).p != NULL;
    *ret = NULL;
    *ret_n = 0;
    if (n + rare == 0)
        return 0;
    v = arena_alloc(out, (n + (size_t)rare) * sizeof(*v));
    if (v == NULL)
        return arena_err(out, err);
    n = 0;
    for (size_t i = 0; i < at->n; i++) {
        struct str value = column_str_get(&at->column[i], row);
        if (value.p != NULL)
            v[n++] = (struct label){at->name[i], value};
    }
    if (rare > 0) {
        size_t columns = n;
        r = add_rest(rest, rare, v, &n, err);
        if (r == 0)
            sort_in(v, columns, n);
    }
    if (r == 0)
        r = copy_out(v, n, out, err);
    if (r == 0) {
        *ret = v;
        *ret_n = (uint32_t)n;
    }
    return r;
}
