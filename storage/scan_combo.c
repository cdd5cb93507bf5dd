/* storage/scan_combo.c - see scan_combo.h. */
#include "storage/scan_combo.h"

#include "base/map.h"

#include <string.h>

enum {
    TABLE_MAX = 1 << 16, /* combinations of dictionary entries of a template that get a table */
    KEY_MAX = 1 << 24,
    OVERHEAD = 64, /* of an entry of the map */
};

void scan_combos_init(struct scan_combos *cs, const struct scan_count *count,
                      pthread_mutex_t *mutex)
{
    *cs = (struct scan_combos){.count = count, .mutex = mutex};
    cs->arena = arena_new(count->req.budget, 0);
    cs->map = map_new(0, NULL);
    cs->lines = map_new(0, NULL);
    VEC_PUSH(&cs->v, ((struct scan_combo){.line = STR("")}));
}

void scan_combos_fini(struct scan_combos *cs)
{
    map_free(&cs->map);
    map_free(&cs->lines);
    VEC_FINI(&cs->v);
    arena_free(&cs->arena);
}

bool scan_combos_want(const struct scan_combos *cs, struct str name)
{
    if (cs->count->all_attrs)
        return true;
    for (size_t i = 0; i < cs->count->n_attrs; i++)
        if (str_eq(cs->count->attrs[i], name))
            return true;
    return false;
}

/* ---- the table ---- */

static void put_key(struct buf *b, const struct label *l)
{
    uint32_t n[2] = {(uint32_t)l->name.n, (uint32_t)l->value.n};

    buf_add(b, n, sizeof(n));
    buf_add(b, l->name.p, l->name.n);
    buf_add(b, l->value.p, l->value.n);
}

static int copy_label(struct arena *a, const struct label *from, struct label *to, struct err *err)
{
    to->name = arena_str(a, from->name);
    to->value = arena_str(a, from->value);
    return to->name.p == NULL || to->value.p == NULL ? arena_err(a, err) : 0;
}

/* Under the mutex.  A new number for `n` attributes of `attr` that are wanted. */
static int add(struct scan_combos *cs, const struct label *attr, uint32_t n, struct str key,
               struct err *err)
{
    struct label *v = arena_alloc(cs->arena, n * sizeof(*v));
    uint32_t kept = 0;
    int r = 0;

    if (cs->v.n == SCAN_COMBINATIONS_MAX)
        return 1;
    if (v == NULL || arena_bytes(cs->arena, key.n + OVERHEAD) == NULL) /* what the map will hold */
        return arena_err(cs->arena, err);
    for (uint32_t i = 0; r == 0 && i < n; i++)
        if (scan_combos_want(cs, attr[i].name))
            r = copy_label(cs->arena, &attr[i], &v[kept++], err);
    if (r < 0)
        return r;
    VEC_PUSH(&cs->v, ((struct scan_combo){v, kept, STR(""), false}));
    (void)map_put(cs->map, key, (void *)(uintptr_t)cs->v.n);
    return 0;
}

int scan_combos_find(struct scan_combos *cs, const struct label *attr, uint32_t n, uint32_t *ret,
                     struct err *err)
{
    struct buf key;
    uintptr_t found;
    int r = 0;

    buf_init(&key, KEY_MAX);
    for (uint32_t i = 0; i < n; i++)
        if (scan_combos_want(cs, attr[i].name))
            put_key(&key, &attr[i]);
    if (key.n == 0 || (r = buf_err(&key, "attributes of a row", err)) < 0) {
        buf_fini(&key);
        *ret = 0;
        return r;
    }
    (void)pthread_mutex_lock(cs->mutex);
    found = (uintptr_t)map_get(cs->map, buf_str(&key));
    if (found == 0) {
        r = add(cs, attr, n, buf_str(&key), err);
        found = cs->v.n;
    }
    (void)pthread_mutex_unlock(cs->mutex);
    buf_fini(&key);
    *ret = (uint32_t)found - 1;
    return r;
}

/* Under the mutex.  A new number for `base` with a line; the key ends with it. */
static int add_line(struct scan_combos *cs, uint32_t base, struct str line, struct str key,
                    struct err *err)
{
    struct scan_combo combo = cs->v.p[base];

    if (cs->v.n == SCAN_COMBINATIONS_MAX)
        return 1;
    combo.line = arena_str(cs->arena, line);
    combo.tested = key.p[sizeof(base)] == '+';
    if (combo.line.p == NULL || arena_bytes(cs->arena, key.n + OVERHEAD) == NULL)
        return arena_err(cs->arena, err);
    VEC_PUSH(&cs->v, combo);
    (void)map_put(cs->lines, key, (void *)(uintptr_t)cs->v.n);
    return 0;
}

int scan_combos_line(struct scan_combos *cs, uint32_t base, struct str line, bool tested,
                     uint32_t *ret, struct err *err)
{
    struct buf key;
    uintptr_t found;
    int r;

    buf_init(&key, KEY_MAX);
    buf_add(&key, &base, sizeof(base));
    buf_add_char(&key, tested ? '+' : '-');
    buf_add_str(&key, line);
    r = buf_err(&key, "line", err);
    if (r == 0) {
        (void)pthread_mutex_lock(cs->mutex);
        found = (uintptr_t)map_get(cs->lines, buf_str(&key));
        if (found == 0) {
            r = add_line(cs, base, line, buf_str(&key), err);
            found = cs->v.n;
        }
        (void)pthread_mutex_unlock(cs->mutex);
        *ret = (uint32_t)found - 1;
    }
    buf_fini(&key);
    return r;
}

/* ---- blocks ---- */

struct dim {
    struct str name;
    const struct slot_view *view;
};

struct combo_template {
    bool is_open, by_table;
    bool is_raw;     /* rows have no template: attributes as they come */
    struct dim *dim; /* slots that are counted by, in order of name */
    uint32_t n;
    uint32_t *number; /* + 1, by dictionary entries; 0: not asked for yet */
};

struct scan_combo_block {
    struct scan_combos *all;
    struct lines *attrs;
    struct lines_ids ids;
    struct combo_template *template;
    struct arena *arena;
    struct label *label; /* of one row */
};

/* How many entries the slot has, when it is one to have a table for; else 0. */
static size_t entries_of(const struct slot_view *v)
{
    return v->kind == SLOT_VIEW_CONST ? 1 : v->kind == SLOT_VIEW_DICT ? v->n_entries : 0;
}

static int open_template(struct scan_combo_block *cb, size_t t, struct err *err)
{
    const struct lines_template *lt = &lines_plan_of(cb->attrs)->template[t];
    struct combo_template *ct = &cb->template[t];
    size_t size = 1;
    int r = 0;

    ct->is_raw = lt->kind != TEMPLATE_ATTRS;
    ct->is_open = ct->is_raw;
    if (ct->is_raw)
        return 0;
    ct->dim = arena_alloc(cb->arena, lt->n_slots * sizeof(*ct->dim) + 1);
    if (ct->dim == NULL)
        return arena_err(cb->arena, err);
    for (size_t i = 0; r == 0 && i < lt->n_slots; i++) {
        struct dim *d = &ct->dim[ct->n];
        if (!scan_combos_want(cb->all, lt->piece[i]))
            continue;
        d->name = lt->piece[i];
        r = lines_slot(cb->attrs, t, i, &d->view, err);
        if (r == 0 && size <= TABLE_MAX)
            size *= entries_of(d->view);
        ct->n += r == 0;
    }
    ct->by_table = size > 0 && size <= TABLE_MAX;
    if (r == 0 && ct->by_table) {
        ct->number = arena_alloc(cb->arena, size * sizeof(*ct->number));
        r = ct->number == NULL ? arena_err(cb->arena, err) : 0;
    }
    ct->is_open = r == 0;
    return r;
}

static int find_row(struct scan_combo_block *cb, const struct combo_template *ct, size_t rank,
                    uint32_t *ret, struct err *err)
{
    char room[TEMPLATE_SLOTS_MAX][SLOT_ROOM];

    for (uint32_t i = 0; i < ct->n; i++)
        cb->label[i] = (struct label){ct->dim[i].name, slot_value(ct->dim[i].view, rank, room[i])};
    return scan_combos_find(cb->all, cb->label, ct->n, ret, err);
}

/* Rows of a shape that has no template: attributes as they come. */
static int find_raw(struct scan_combo_block *cb, uint32_t at, uint32_t *ret, struct err *err)
{
    const struct label *attr = NULL;
    uint32_t n = 0;
    int r = lines_attrs(cb->attrs, at, cb->arena, &attr, &n, err);

    return r < 0 ? r : scan_combos_find(cb->all, attr, n, ret, err);
}

int scan_combo_of(struct scan_combo_block *cb, uint32_t at, uint32_t *ret, struct err *err)
{
    size_t t = cb->ids.template == NULL ? 0 : cb->ids.template[at];
    size_t rank = cb->ids.rank == NULL ? at : cb->ids.rank[at];
    struct combo_template *ct = &cb->template[t];
    size_t place = 0;
    int r = ct->is_open ? 0 : open_template(cb, t, err);

    if (r < 0)
        return r;
    if (ct->is_raw)
        return find_raw(cb, at, ret, err);
    if (!ct->by_table)
        return find_row(cb, ct, rank, ret, err);
    for (uint32_t i = 0; i < ct->n; i++) {
        const struct slot_view *v = ct->dim[i].view;
        if (v->kind == SLOT_VIEW_DICT)
            place = place * v->n_entries + v->id[rank];
    }
    if (ct->number[place] == 0) {
        r = find_row(cb, ct, rank, ret, err);
        if (r == 0)
            ct->number[place] = *ret + 1;
        return r;
    }
    *ret = ct->number[place] - 1;
    return 0;
}

int scan_combo_numbers(struct scan_combo_block *cb, const struct scan_selection *s,
                       const uint64_t *only, uint32_t *number, struct err *err)
{
    size_t n = s->block.candidate->block.rows;
    int r = 0;

    for (uint32_t at = 0; r == 0 && at < n; at++)
        if (scan_is_selected(s, at) && (only == NULL || (only[at / 64] >> (at % 64) & 1) != 0))
            r = scan_combo_of(cb, at, &number[at], err);
    return r;
}

int scan_combo_open(struct scan_combos *cs, struct scan_block *b, struct scan_combo_block **ret,
                    struct err *err)
{
    struct scan_combo_block *cb;
    size_t n;
    int r = 0;

    if (!cs->count->all_attrs && cs->count->n_attrs == 0)
        return 0;
    r = scan_block_attrs(b, err);
    if (r < 0 || b->attrs == NULL)
        return r;
    n = lines_plan_of(b->attrs)->n_templates;
    cb = arena_alloc(b->arena, sizeof(*cb));
    if (cb == NULL)
        return arena_err(b->arena, err);
    *cb = (struct scan_combo_block){.all = cs, .attrs = b->attrs, .arena = b->arena};
    cb->template = arena_alloc(b->arena, n * sizeof(*cb->template));
    cb->label = arena_alloc(b->arena, TEMPLATE_SLOTS_MAX * sizeof(*cb->label));
    if (cb->template == NULL || cb->label == NULL)
        return arena_err(b->arena, err);
    r = lines_ids(b->attrs, &cb->ids, err);
    if (r == 0)
        *ret = cb;
    return r;
}
