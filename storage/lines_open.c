/*
 * storage/lines_open.c - frames, ids and columns of a block's lines, read when somebody asks.
 * Contract: lines.h.
 *
 * The plan is trusted to be consistent in itself (lines_plan.c saw to that); what frames hold is
 * not: places are held against the frame's bytes, ids against the rows that the plan gives each
 * template, so that a rank is always below its template's rows.
 */
#include "storage/lines_internal.h"

#include "base/obj.h"
#include "storage/le.h"

struct lines {
    unsigned magic;
#define LINES_MAGIC 0x11e50be2u
    const struct lines_plan *plan; /* borrowed */
    lines_frame_fn *read;
    void *arg;
    struct arena *arena;
    struct str *frame;       /* p == NULL: not read yet */
    struct slot_view **view; /* of column; NULL: not opened yet */
    size_t *picked;          /* of column: what picking single values has cost so far */
    uint16_t *template;      /* of row; NULL: not read yet */
    uint32_t *rank;          /* of row */
    uint32_t *order;         /* rows by template; NULL: not asked for yet */
    uint32_t *first;         /* of template, in order */
    uint32_t **length;       /* of template, by rank; NULL: not asked for yet */
};

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "lines: %s", what);
}

int lines_open(const struct lines_plan *plan, lines_frame_fn *frame, void *arg, struct arena *a,
               struct lines **ret, struct err *err)
{
    struct lines *l = arena_alloc(a, sizeof(*l));

    OBJ_CHECK(plan, LINES_PLAN_MAGIC);
    if (l == NULL)
        return arena_err(a, err);
    *l = (struct lines){.magic = LINES_MAGIC, .plan = plan, .read = frame, .arg = arg, .arena = a};
    l->frame = arena_alloc(a, plan->n_frames * sizeof(*l->frame) + 1);
    l->view = arena_alloc(a, plan->n_columns * sizeof(*l->view) + 1);
    l->picked = arena_alloc(a, plan->n_columns * sizeof(*l->picked) + 1);
    if (l->frame == NULL || l->view == NULL || l->picked == NULL)
        return arena_err(a, err);
    *ret = l;
    return 0;
}

const struct lines_plan *lines_plan_of(const struct lines *l)
{
    OBJ_CHECK(l, LINES_MAGIC);
    return l->plan;
}

struct arena *lines_arena(struct lines *l)
{
    OBJ_CHECK(l, LINES_MAGIC);
    return l->arena;
}

static int get_bytes(struct lines *l, const struct lines_column *c, struct str *ret,
                     struct err *err)
{
    struct str *frame = &l->frame[c->frame];

    if (frame->p == NULL) {
        int r = l->read(l->arg, c->frame, frame, err);
        if (r < 0) {
            *frame = STR_NULL;
            return r;
        }
        if (frame->p == NULL)
            *frame = STR("");
    }
    if (c->offset > frame->n || c->stamp.bytes > frame->n - c->offset)
        return corrupt("column is past the end of its frame", err);
    *ret = str_sub(*frame, c->offset, c->stamp.bytes);
    return 0;
}

/* ---- ids ---- */

static int widen_ids(struct str bytes, size_t n, size_t n_templates, uint16_t *ret, struct err *err)
{
    uint16_t top = 0;

    if (bytes.n == n) {
        for (size_t i = 0; i < n; i++) {
            ret[i] = (uint8_t)bytes.p[i];
            top = ret[i] > top ? ret[i] : top;
        }
    } else {
        for (size_t i = 0; i < n; i++) {
            ret[i] = le_get16(bytes.p + 2 * i);
            top = ret[i] > top ? ret[i] : top;
        }
    }
    return top < n_templates ? 0 : corrupt("unknown template", err);
}

static int read_ids(struct lines *l, struct err *err)
{
    const struct lines_plan *p = l->plan;
    uint16_t *template = arena_room(l->arena, p->rows, sizeof(*template));
    uint32_t *rank = arena_room(l->arena, p->rows, sizeof(*rank));
    uint32_t *next = arena_alloc(l->arena, p->n_templates * sizeof(*next));
    struct str bytes = STR_NULL;
    int r;

    if (template == NULL || rank == NULL || next == NULL)
        return arena_err(l->arena, err);
    r = get_bytes(l, &p->ids, &bytes, err);
    if (r == 0)
        r = widen_ids(bytes, p->rows, p->n_templates, template, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < p->rows; i++)
        rank[i] = next[template[i]]++;
    for (size_t t = 0; t < p->n_templates; t++)
        if (next[t] != p->template[t].rows)
            return corrupt("rows of a template", err);
    l->template = template;
    l->rank = rank;
    return 0;
}

int lines_ids(struct lines *l, struct lines_ids *ret, struct err *err)
{
    int r = 0;

    OBJ_CHECK(l, LINES_MAGIC);
    if (l->plan->n_templates > 1 && l->template == NULL)
        r = read_ids(l, err);
    if (r == 0)
        *ret = (struct lines_ids){l->template, l->rank};
    return r;
}

static int make_order(struct lines *l, struct err *err)
{
    const struct lines_plan *p = l->plan;
    struct lines_ids ids;
    uint32_t *order;
    uint32_t at = 0;
    int r = lines_ids(l, &ids, err);

    if (r < 0)
        return r;
    order = arena_alloc(l->arena, p->rows * sizeof(*order));
    l->first = arena_alloc(l->arena, p->n_templates * sizeof(*l->first));
    if (order == NULL || l->first == NULL)
        return arena_err(l->arena, err);
    for (size_t t = 0; t < p->n_templates; t++) {
        l->first[t] = at;
        at += p->template[t].rows;
    }
    for (size_t i = 0; i < p->rows; i++)
        order[l->first[ids.template[i]] + ids.rank[i]] = (uint32_t)i;
    l->order = order;
    return 0;
}

int lines_rows(struct lines *l, size_t template, const uint32_t **ret, struct err *err)
{
    int r = 0;

    OBJ_CHECK(l, LINES_MAGIC);
    INVARIANT(template <l->plan->n_templates);
    if (l->plan->n_templates == 1) {
        *ret = NULL;
        return 0;
    }
    if (l->order == NULL)
        r = make_order(l, err);
    if (r == 0)
        *ret = l->order + l->first[template];
    return r;
}

int lines_locate(struct lines *l, size_t row, struct lines_at *ret, struct err *err)
{
    struct lines_ids ids = {0};
    int r = lines_ids(l, &ids, err);

    INVARIANT(row < l->plan->rows);
    if (r < 0)
        return r;
    ret->number = ids.template == NULL ? 0 : ids.template[row];
    ret->rank = ids.rank == NULL ? row : ids.rank[row];
    ret->template = &l->plan->template[ret->number];
    return 0;
}

/* ---- columns ---- */

static int open_column(struct lines *l, size_t column, size_t n, struct err *err)
{
    const struct lines_column *c = &l->plan->column[column];
    struct slot_view *v = arena_alloc(l->arena, sizeof(*v));
    struct str bytes = STR_NULL;
    int r = 0;

    if (v == NULL)
        return arena_err(l->arena, err);
    if (c->stamp.kind != SLOT_CONST)
        r = get_bytes(l, c, &bytes, err);
    if (r == 0)
        r = slot_open(&c->stamp, bytes, n, l->arena, v, err);
    if (r == 0)
        l->view[column] = v;
    return r;
}

int lines_slot(struct lines *l, size_t template, size_t slot, const struct slot_view **ret,
               struct err *err)
{
    const struct lines_template *t = &l->plan->template[template];
    size_t column = t->first_column + slot;
    int r = 0;

    OBJ_CHECK(l, LINES_MAGIC);
    INVARIANT(template <l->plan->n_templates &&slot < t->n_slots);
    if (l->view[column] == NULL)
        r = open_column(l, column, t->rows, err);
    if (r == 0)
        *ret = l->view[column];
    return r;
}

bool lines_is_open(const struct lines *l, const struct lines_at *at)
{
    for (uint32_t k = 0; k < at->template->n_slots; k++)
        if (l->view[at->template->first_column + k] == NULL)
            return false;
    return true;
}

int lines_pick(struct lines *l, const struct lines_at *at, size_t slot, char room[SLOT_ROOM],
               struct str *ret, struct err *err)
{
    size_t column = at->template->first_column + slot;
    const struct lines_column *c = &l->plan->column[column];
    struct slot_place place = {STR_NULL, at->template->rows, at->rank, &l->picked[column]};
    int r = 0;

    /* Once picking has cost as much as opening would have: at most twice the least in all. */
    if (l->view[column] == NULL && l->picked[column] > at->template->rows)
        r = open_column(l, column, at->template->rows, err);
    if (r == 0 && l->view[column] != NULL) {
        *ret = slot_value(l->view[column], at->rank, room);
        return 0;
    }
    if (r == 0 && c->stamp.kind != SLOT_CONST)
        r = get_bytes(l, c, &place.bytes, err);
    return r < 0 ? r : slot_pick(&c->stamp, &place, l->arena, ret, err);
}

int lines_slot_bytes(struct lines *l, size_t template, size_t slot, struct str *ret,
                     struct err *err)
{
    const struct lines_template *t = &l->plan->template[template];
    const struct lines_column *c = &l->plan->column[t->first_column + slot];

    OBJ_CHECK(l, LINES_MAGIC);
    INVARIANT(template <l->plan->n_templates &&slot < t->n_slots);
    *ret = STR_NULL;
    return c->stamp.kind == SLOT_CONST ? 0 : get_bytes(l, c, ret, err);
}

/* ---- lengths ---- */

static int check_lengths(const uint32_t *v, size_t n, struct err *err)
{
    uint32_t top = 0;

    for (size_t i = 0; i < n; i++)
        top = v[i] > top ? v[i] : top;
    return top <= LINES_FRAME_MAX ? 0 : corrupt("line is too long", err);
}

static int add_slot(struct lines *l, size_t column, size_t n, uint32_t *v, struct err *err)
{
    const struct lines_column *c = &l->plan->column[column];
    const struct slot_view *view = l->view[column];
    struct str bytes = STR_NULL;
    int r = 0;

    if (view == NULL && c->stamp.kind != SLOT_CONST)
        r = get_bytes(l, c, &bytes, err);
    if (r == 0)
        r = view == NULL ? slot_lengths_add(&c->stamp, bytes, n, l->arena, v, err)
                         : slot_view_lengths_add(view, l->arena, v, err);
    return r == 0 ? check_lengths(v, n, err) : r;
}

static int measure(struct lines *l, size_t template, uint32_t **ret, struct err *err)
{
    const struct lines_template *t = &l->plan->template[template];
    uint32_t *v = arena_room(l->arena, t->rows, sizeof(*v));
    uint64_t fixed = 0;
    int r = v == NULL ? arena_err(l->arena, err) : 0;

    for (uint32_t k = 0; k <= t->n_slots; k++)
        fixed += t->piece[k].n;
    if (r == 0 && fixed > LINES_FRAME_MAX)
        r = corrupt("line is too long", err);
    for (size_t i = 0; r == 0 && i < t->rows; i++)
        v[i] = (uint32_t)fixed;
    for (uint32_t k = 0; r == 0 && k < t->n_slots; k++)
        r = add_slot(l, t->first_column + k, t->rows, v, err);
    if (r == 0)
        *ret = v;
    return r;
}

int lines_lengths(struct lines *l, size_t template, const uint32_t **ret, struct err *err)
{
    int r = 0;

    OBJ_CHECK(l, LINES_MAGIC);
    INVARIANT(template <l->plan->n_templates);
    if (l->length == NULL)
        l->length = arena_alloc(l->arena, l->plan->n_templates * sizeof(*l->length));
    if (l->length == NULL)
        return arena_err(l->arena, err);
    if (l->length[template] == NULL)
        r = measure(l, template, &l->length[template], err);
    if (r == 0)
        *ret = l->length[template];
    return r;
}
