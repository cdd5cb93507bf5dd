/* storage/scan_combo.c - see scan_combo.h. */
#include "storage/scan_combo.h"

#include "base/buf.h"
#include "base/intern.h"

#include <string.h>

enum {
    TABLE_MAX = 1 << 16, /* combinations of dictionary entries of a template that get a table */
    KEY_MAX = 1 << 24,
    SHORT_KEY = 512,  /* that needs no buffer */
    MEMORY_SHARE = 2, /* of the budget that they may take: a half */
};

void scan_combos_init(struct scan_combos *cs, const struct scan_count *count,
                      pthread_mutex_t *mutex)
{
    struct mem_budget *budget = count->req.budget;

    *cs = (struct scan_combos){.count = count, .mutex = mutex};
    cs->keys = intern_new(budget, SCAN_COMBINATIONS_MAX,
                          budget == NULL ? 0 : budget->limit / MEMORY_SHARE);
}

void scan_combos_fini(struct scan_combos *cs)
{
    intern_free(&cs->keys);
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

bool scan_combos_lack(const struct scan_combos *cs, const struct scan_block *b)
{
    const struct lines_plan *p = b->attrs_plan;

    for (size_t t = 0; t < p->n_templates; t++) {
        const struct lines_template *lt = &p->template[t];
        if (lt->rows > 0 && lt->kind != TEMPLATE_ATTRS)
            return false;
        for (size_t i = 0; i < lt->n_slots; i++)
            if (scan_combos_want(cs, lt->piece[i]))
                return false;
    }
    return true;
}

/* ---- the table ---- */

/*
 * The bytes of a combination: of attributes alone `A`, then for each the lengths of name and value
 * and their bytes; with a line `+` or `-` (tested, not), the number of the attributes', the line.
 */
enum { LINE_AT = 1 + sizeof(uint32_t) };

static void put_attr(struct buf *b, const struct label *l)
{
    uint32_t n[2] = {(uint32_t)l->name.n, (uint32_t)l->value.n};

    buf_add(b, n, sizeof(n));
    buf_add_str(b, l->name);
    buf_add_str(b, l->value);
}

/* The next attribute of the bytes; false: no more. */
static bool take_attr(struct str *in, struct label *ret)
{
    uint32_t n[2];

    if (in->n < sizeof(n))
        return false;
    memcpy(n, in->p, sizeof(n));
    *in = str_from(*in, sizeof(n));
    ret->name = str_sub(*in, 0, n[0]);
    ret->value = str_sub(*in, n[0], n[1]);
    *in = str_from(*in, (size_t)n[0] + n[1]);
    return true;
}

/* Takes the mutex. */
static int find(struct scan_combos *cs, struct str key, uint32_t *ret, struct err *err)
{
    int r;

    (void)pthread_mutex_lock(cs->mutex);
    r = intern_find(cs->keys, key, ret, err);
    (void)pthread_mutex_unlock(cs->mutex);
    *ret += r == 0;
    return r;
}

int scan_combos_find(struct scan_combos *cs, const struct label *attr, uint32_t n, uint32_t *ret,
                     struct err *err)
{
    struct buf key;
    int r = 0;

    *ret = 0;
    buf_init(&key, KEY_MAX);
    buf_add_char(&key, 'A');
    for (uint32_t i = 0; i < n; i++)
        if (scan_combos_want(cs, attr[i].name))
            put_attr(&key, &attr[i]);
    if (key.n > 1 || key.over)
        r = buf_err(&key, "attributes of a row", err);
    if (r == 0 && key.n > 1)
        r = find(cs, buf_str(&key), ret, err);
    buf_fini(&key);
    return r;
}

int scan_combos_line(struct scan_combos *cs, uint32_t base, struct str line, bool tested,
                     uint32_t *ret, struct err *err)
{
    char room[SHORT_KEY];
    struct buf key;
    int r;

    if (line.n <= sizeof(room) - LINE_AT) {
        room[0] = tested ? '+' : '-';
        memcpy(room + 1, &base, sizeof(base));
        if (line.n > 0)
            memcpy(room + LINE_AT, line.p, line.n);
        return find(cs, (struct str){room, LINE_AT + line.n}, ret, err);
    }
    buf_init(&key, KEY_MAX);
    buf_add_char(&key, tested ? '+' : '-');
    buf_add(&key, &base, sizeof(base));
    buf_add_str(&key, line);
    r = buf_err(&key, "line", err);
    if (r == 0)
        r = find(cs, buf_str(&key), ret, err);
    buf_fini(&key);
    return r;
}

void scan_combos_key(struct buf *out, struct str line, bool tested)
{
    const uint32_t base = 0;

    buf_add_char(out, tested ? '+' : '-');
    buf_add(out, &base, sizeof(base));
    buf_add_str(out, line);
}

int scan_combos_lines(struct scan_combos *cs, const struct str *key, size_t n, uint32_t *ret,
                      struct err *err)
{
    int r;

    (void)pthread_mutex_lock(cs->mutex);
    r = intern_find_all(cs->keys, key, n, ret, err);
    (void)pthread_mutex_unlock(cs->mutex);
    for (size_t i = 0; r == 0 && i < n; i++)
        ret[i]++;
    return r;
}

/* Under the mutex: the bytes of a number's attributes, without the `A`; and the rest of it. */
static struct str attrs_of(const struct scan_combos *cs, uint32_t number, struct scan_combo *rest)
{
    struct str key = number == 0 ? STR("A") : intern_key(cs->keys, number - 1);

    *rest = (struct scan_combo){.line = STR("")};
    if (key.p[0] != 'A') {
        uint32_t base;
        memcpy(&base, key.p + 1, sizeof(base));
        rest->tested = key.p[0] == '+';
        rest->line = str_from(key, LINE_AT);
        key = base == 0 ? STR("A") : intern_key(cs->keys, base - 1);
    }
    return str_from(key, 1);
}

uint32_t scan_combos_count(struct scan_combos *cs)
{
    uint32_t n;

    (void)pthread_mutex_lock(cs->mutex);
    n = intern_count(cs->keys) + 1;
    (void)pthread_mutex_unlock(cs->mutex);
    return n;
}

int scan_combos_get(struct scan_combos *cs, uint32_t number, struct arena *a,
                    struct scan_combo *ret, struct err *err)
{
    struct label *v;
    struct label l;
    struct str key;
    size_t n = 0;

    (void)pthread_mutex_lock(cs->mutex);
    key = attrs_of(cs, number, ret);
    (void)pthread_mutex_unlock(cs->mutex);
    for (struct str rest = key; take_attr(&rest, &l);)
        n++;
    v = arena_alloc(a, n * sizeof(*v) + 1);
    if (v == NULL)
        return arena_err(a, err);
    ret->attr = v;
    while (take_attr(&key, &l))
        v[ret->n_attr++] = l;
    return 0;
}

struct str scan_combos_value(struct scan_combos *cs, uint32_t number)
{
    struct scan_combo rest;
    struct label l = {STR(""), STR("")};
    struct str key;

    (void)pthread_mutex_lock(cs->mutex);
    key = attrs_of(cs, number, &rest);
    (void)pthread_mutex_unlock(cs->mutex);
    (void)take_attr(&key, &l);
    return l.value;
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
    r = scan_block_plans(b, err);
    if (r < 0 || b->attrs_plan == NULL || scan_combos_lack(cs, b))
        return r;
    r = scan_block_attrs(b, err);
    if (r < 0)
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
