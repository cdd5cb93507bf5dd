/*
 * storage/lines_render.c - rows put together again from pieces and slots.  Contract: lines.h.
 */
#include "storage/lines_internal.h"

#include "base/obj.h"
#include "storage/varint.h"

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "lines: %s", what);
}

/* The columns of a template. */
static int open_slots(struct lines *l, const struct lines_at *at,
                      const struct slot_view *ret[TEMPLATE_SLOTS_MAX], struct err *err)
{
    for (uint32_t k = 0; k < at->template->n_slots; k++) {
        int r = lines_slot(l, at->number, k, &ret[k], err);
        if (r < 0)
            return r;
    }
    return 0;
}

static uint64_t length_of(const struct lines_template *t,
                          const struct slot_view *const view[TEMPLATE_SLOTS_MAX], size_t rank)
{
    uint64_t n = t->piece[t->n_slots].n;

    for (uint32_t k = 0; k < t->n_slots; k++)
        n += t->piece[k].n + slot_value_bytes(view[k], rank);
    return n;
}

static char *put(char *to, struct str s)
{
    lines_copy(to, s.p, s.n);
    return to + s.n;
}

static char *put_row(char *to, const struct lines_template *t,
                     const struct slot_view *const view[TEMPLATE_SLOTS_MAX], size_t rank)
{
    for (uint32_t k = 0; k < t->n_slots; k++) {
        char room[SLOT_ROOM];
        to = put(to, t->piece[k]);
        to = put(to, slot_value(view[k], rank, room));
    }
    return put(to, t->piece[t->n_slots]);
}

/* The line from values on their own. */
static int render_picked(struct lines *l, const struct lines_at *at, struct arena *out,
                         struct str *ret, struct err *err)
{
    const struct lines_template *t = at->template;
    char room[TEMPLATE_SLOTS_MAX][SLOT_ROOM];
    struct str value[TEMPLATE_SLOTS_MAX];
    uint64_t n = t->piece[t->n_slots].n;
    char *to;

    for (uint32_t k = 0; k < t->n_slots; k++) {
        int r = lines_pick(l, at, k, room[k], &value[k], err);
        if (r < 0)
            return r;
        n += t->piece[k].n + value[k].n;
    }
    if (n > LINES_FRAME_MAX)
        return corrupt("line is too long", err);
    to = arena_bytes(out, (size_t)n + 1);
    if (to == NULL)
        return arena_err(out, err);
    *ret = (struct str){to, (size_t)n};
    for (uint32_t k = 0; k < t->n_slots; k++) {
        to = put(to, t->piece[k]);
        to = put(to, value[k]);
    }
    (void)put(to, t->piece[t->n_slots]);
    return 0;
}

int lines_render(struct lines *l, size_t row, struct arena *out, struct str *ret, struct err *err)
{
    const struct slot_view *view[TEMPLATE_SLOTS_MAX];
    struct lines_at at;
    uint64_t n;
    char *p;
    int r = lines_locate(l, row, &at, err);

    if (r == 0 && !lines_is_open(l, &at))
        return render_picked(l, &at, out, ret, err);
    if (r == 0)
        r = open_slots(l, &at, view, err);
    if (r < 0)
        return r;
    n = length_of(at.template, view, at.rank);
    if (n > LINES_FRAME_MAX)
        return corrupt("line is too long", err);
    p = arena_bytes(out, (size_t)n + 1);
    if (p == NULL)
        return arena_err(out, err);
    (void)put_row(p, at.template, view, at.rank);
    *ret = (struct str){p, (size_t)n};
    return 0;
}

/* Lengths of all rows, then where each ends. */
static int measure(struct lines *l, uint32_t *end, struct err *err)
{
    const struct lines_plan *p = lines_plan_of(l);
    const struct slot_view *view[TEMPLATE_SLOTS_MAX];
    uint64_t total = 0;

    for (size_t t = 0; t < p->n_templates; t++) {
        struct lines_at at = {&p->template[t], t, 0};
        const uint32_t *rows = NULL;
        int r = open_slots(l, &at, view, err);
        if (r == 0)
            r = lines_rows(l, t, &rows, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < at.template->rows; i++) {
            uint64_t n = length_of(at.template, view, i);
            if (n > LINES_FRAME_MAX)
                return corrupt("line is too long", err);
            end[rows == NULL ? i : rows[i]] = (uint32_t)n;
        }
    }
    for (size_t i = 0; i < p->rows; i++) {
        total += end[i];
        if (total > LINES_FRAME_MAX)
            return err_set(err, ERR_LIMIT, "lines of a block: over %d bytes", LINES_FRAME_MAX);
        end[i] = (uint32_t)total;
    }
    return 0;
}

int lines_text(struct lines *l, struct str *ret, const uint32_t **ret_end, struct err *err)
{
    const struct lines_plan *p = lines_plan_of(l);
    const struct slot_view *view[TEMPLATE_SLOTS_MAX];
    struct arena *a = lines_arena(l);
    uint32_t *end = arena_alloc(a, p->rows * sizeof(*end));
    char *text;
    int r;

    if (end == NULL)
        return arena_err(a, err);
    r = measure(l, end, err);
    if (r < 0)
        return r;
    text = arena_bytes(a, (size_t)end[p->rows - 1] + 1);
    if (text == NULL)
        return arena_err(a, err);
    for (size_t t = 0; t < p->n_templates; t++) {
        struct lines_at at = {&p->template[t], t, 0};
        const uint32_t *rows = NULL;
        r = open_slots(l, &at, view, err);
        if (r == 0)
            r = lines_rows(l, t, &rows, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < at.template->rows; i++) {
            size_t row = rows == NULL ? i : rows[i];
            (void)put_row(text + (row == 0 ? 0 : end[row - 1]), at.template, view, i);
        }
    }
    *ret = (struct str){text, end[p->rows - 1]};
    *ret_end = end;
    return 0;
}

/* ---- attributes ---- */

static bool take_string(struct str *in, struct str *ret)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n)
        return false;
    *ret = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    return true;
}

static int unpack(struct str in, struct arena *out, struct label **ret, uint32_t *ret_n,
                  struct err *err)
{
    struct label *v = NULL;
    uint64_t n;

    if (!varint_get(&in, &n) || n > in.n / 2)
        return corrupt("packed attributes", err);
    v = arena_alloc(out, (size_t)n * sizeof(*v) + 1);
    if (v == NULL)
        return arena_err(out, err);
    for (uint64_t i = 0; i < n; i++) {
        if (!take_string(&in, &v[i].name) || !take_string(&in, &v[i].value))
            return corrupt("packed attributes are cut", err);
        if (i > 0 && str_cmp(v[i - 1].name, v[i].name) > 0)
            return corrupt("packed attributes out of order", err);
    }
    if (in.n != 0)
        return corrupt("bytes behind packed attributes", err);
    *ret = v;
    *ret_n = (uint32_t)n;
    return 0;
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

int lines_attrs(struct lines *l, size_t row, struct arena *out, const struct label **ret,
                uint32_t *ret_n, struct err *err)
{
    char room[TEMPLATE_SLOTS_MAX][SLOT_ROOM];
    struct str value[TEMPLATE_SLOTS_MAX];
    struct label *v = NULL;
    uint32_t n = 0;
    struct lines_at at;
    int r = lines_locate(l, row, &at, err);

    if (r == 0 && at.template->kind != TEMPLATE_ATTRS && at.template->kind != TEMPLATE_RAW)
        r = corrupt("lines where attributes should be", err);
    for (uint32_t k = 0; r == 0 && k < at.template->n_slots; k++)
        r = lines_pick(l, &at, k, room[k], &value[k], err);
    if (r < 0)
        return r;
    if (at.template->kind == TEMPLATE_RAW) {
        r = unpack(value[0], out, &v, &n, err);
    } else {
        n = at.template->n_slots;
        v = arena_alloc(out, n * sizeof(*v) + 1);
        if (v == NULL)
            return arena_err(out, err);
        for (uint32_t k = 0; k < n; k++)
            v[k] = (struct label){at.template->piece[k], value[k]};
    }
    if (r == 0)
        r = copy_out(v, n, out, err);
    if (r < 0)
        return r;
    *ret = n == 0 ? NULL : v;
    *ret_n = n;
    return 0;
}
