/* query/range_top.c - see range_top.h. */
#include "query/range_top.h"

#include "base/arena.h"
#include "base/buf.h"
#include "base/intern.h"
#include "base/obj.h"

#include <stdlib.h>
#include <string.h>

enum {
    NAMES_MAX = 64,
    KEY_MAX = 1 << 24,
    CHUNK = 512,
    CHUNKS_MAX = 1 << 13, /* four million groups */
    ABSENT = -1,
};

struct counted {
    struct scan_cells cells;
    uint64_t rows, bytes;
};

struct range_top {
    unsigned magic;
#define RANGE_TOP_MAGIC 0x70b9e2d5u
    struct mem_budget *budget;
    struct str name[NAMES_MAX]; /* sorted, different */
    size_t n_names;
    bool bytes;
    struct intern *keys;    /* owned: values by name, each behind its length */
    struct arena *arena;    /* owned: chunks */
    struct counted **chunk; /* owned; of CHUNK groups each, by number */
    struct arena *scratch;  /* owned: labels of two groups at a time */
    struct buf key;
};

static void open_groups(struct range_top *t)
{
    t->keys = intern_new(t->budget, CHUNK * CHUNKS_MAX, 0);
    t->arena = arena_new(t->budget, 0);
}

/* Names stay sorted.  false: they are too many. */
static bool add_name(struct range_top *t, struct str name)
{
    size_t i = 0;

    while (i < t->n_names && str_cmp(t->name[i], name) < 0)
        i++;
    if (i < t->n_names && str_eq(t->name[i], name))
        return true;
    if (t->n_names == NAMES_MAX)
        return false;
    memmove(&t->name[i + 1], &t->name[i], (t->n_names - i) * sizeof(*t->name));
    t->name[i] = name;
    t->n_names++;
    return true;
}

struct range_top *range_top_new(struct mem_budget *budget, const struct ast_name *names, bool bytes)
{
    struct range_top *t = mem_new(sizeof(*t));
    bool fits = true;

    t->magic = RANGE_TOP_MAGIC;
    t->budget = budget;
    t->bytes = bytes;
    for (; fits && names != NULL; names = names->next)
        fits = add_name(t, names->name);
    t->chunk = mem_new(CHUNKS_MAX * sizeof(struct counted *));
    t->scratch = arena_new(budget, 0);
    buf_init(&t->key, KEY_MAX);
    open_groups(t);
    if (!fits)
        range_top_free(&t);
    return t;
}

void range_top_free(struct range_top **pt)
{
    struct range_top *t = *pt;

    *pt = NULL;
    if (t == NULL)
        return;
    OBJ_CHECK(t, RANGE_TOP_MAGIC);
    intern_free(&t->keys);
    arena_free(&t->arena);
    arena_free(&t->scratch);
    buf_fini(&t->key);
    free((void *)t->chunk);
    t->magic = 0;
    free(t);
}

void range_top_clear(struct range_top *t)
{
    OBJ_CHECK(t, RANGE_TOP_MAGIC);
    intern_free(&t->keys);
    arena_free(&t->arena);
    memset((void *)t->chunk, 0, CHUNKS_MAX * sizeof(struct counted *));
    open_groups(t);
}

/* ---- groups ---- */

static int make_key(struct range_top *t, const struct labels *l, struct err *err)
{
    buf_clear(&t->key);
    for (size_t i = 0; i < t->n_names; i++) {
        struct str v = labels_get(l, t->name[i]);
        int32_t n = v.p == NULL ? ABSENT : (int32_t)v.n;
        buf_add(&t->key, &n, sizeof(n));
        buf_add_str(&t->key, v);
    }
    return buf_err(&t->key, "labels of a group", err);
}

static struct counted *counted_of(const struct range_top *t, uint32_t number)
{
    return &t->chunk[number / CHUNK][number % CHUNK];
}

int range_top_find(struct range_top *t, const struct labels *l, struct scan_cells **ret,
                   struct err *err)
{
    struct counted **chunk;
    struct counted *c;
    uint32_t number;
    int r;

    OBJ_CHECK(t, RANGE_TOP_MAGIC);
    r = make_key(t, l, err);
    if (r == 0)
        r = intern_find(t->keys, buf_str(&t->key), &number, err);
    if (r == 1)
        return err_set(err, ERR_NOMEM, "more than %u groups", intern_count(t->keys));
    if (r < 0)
        return r;
    chunk = &t->chunk[number / CHUNK];
    if (*chunk == NULL)
        *chunk = arena_alloc(t->arena, CHUNK * sizeof(**chunk));
    if (*chunk == NULL)
        return arena_err(t->arena, err);
    c = counted_of(t, number);
    c->cells.rows = &c->rows;
    c->cells.bytes = t->bytes ? &c->bytes : NULL;
    *ret = &c->cells;
    return 0;
}

uint64_t range_top_rows(const struct range_top *t)
{
    uint64_t rows = 0;

    for (uint32_t i = 0; i < intern_count(t->keys); i++)
        rows += counted_of(t, i)->rows;
    return rows;
}

/* ---- the best ---- */

static int labels_of(const struct range_top *t, uint32_t number, struct labels *ret,
                     struct err *err)
{
    struct str key = intern_key(t->keys, number);
    struct label *v = arena_alloc(t->scratch, t->n_names * sizeof(*v) + 1);

    if (v == NULL)
        return arena_err(t->scratch, err);
    *ret = (struct labels){v, 0};
    for (size_t i = 0; i < t->n_names; i++) {
        int32_t n;
        memcpy(&n, key.p, sizeof(n));
        key = str_from(key, sizeof(n));
        if (n == ABSENT)
            continue;
        v[ret->n++] = (struct label){t->name[i], str_sub(key, 0, (size_t)n)};
        key = str_from(key, (size_t)n);
    }
    return 0;
}

struct best {
    struct range_top *t;
    const struct range_top_ask *ask;
    uint32_t *v; /* the best first */
    size_t n;
    int result;
    struct err *err;
};

static uint64_t weight_of(const struct range_top *t, uint32_t number)
{
    const struct counted *c = counted_of(t, number);

    return t->bytes ? c->bytes : c->rows;
}

/* Does group `a` come before `b`? */
static bool is_before(struct best *be, uint32_t a, uint32_t b)
{
    uint64_t x = weight_of(be->t, a);
    uint64_t y = weight_of(be->t, b);
    struct labels l[2];

    if (x != y)
        return (x < y) == be->ask->smallest;
    arena_reset(be->t->scratch);
    if (be->result == 0)
        be->result = labels_of(be->t, a, &l[0], be->err);
    if (be->result == 0)
        be->result = labels_of(be->t, b, &l[1], be->err);
    return be->result == 0 && labels_cmp(&l[0], &l[1]) < 0;
}

static void offer(struct best *be, uint32_t number)
{
    size_t low = 0;
    size_t high = be->n;

    if (be->n == be->ask->k && !is_before(be, number, be->v[be->n - 1]))
        return;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_before(be, number, be->v[middle]))
            high = middle;
        else
            low = middle + 1;
    }
    be->n += be->n < be->ask->k;
    memmove(be->v + low + 1, be->v + low, (be->n - 1 - low) * sizeof(*be->v));
    be->v[low] = number;
}

int range_top_best(struct range_top *t, const struct range_top_ask *ask, struct err *err)
{
    struct best be = {.t = t, .ask = ask, .err = err};

    OBJ_CHECK(t, RANGE_TOP_MAGIC);
    if (ask->k == 0)
        return 0;
    be.v = arena_alloc(t->arena, ask->k * sizeof(*be.v));
    if (be.v == NULL)
        return arena_err(t->arena, err);
    for (uint32_t i = 0; be.result == 0 && i < intern_count(t->keys); i++)
        if (counted_of(t, i)->rows > 0)
            offer(&be, i);
    for (size_t i = 0; be.result == 0 && i < be.n; i++) {
        struct labels l;
        arena_reset(t->scratch);
        be.result = labels_of(t, be.v[i], &l, err);
        if (be.result == 0)
            be.result = ask->fn(ask->arg, &l, &counted_of(t, be.v[i])->cells, err);
    }
    return be.result;
}
