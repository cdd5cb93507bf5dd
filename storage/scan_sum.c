/* storage/scan_sum.c - see scan_sum.h. */
#include "storage/scan_sum.h"

#include "storage/scan_label.h"

#include <string.h>

enum number_state { NUMBER_NONE, NUMBER_HERE, NUMBER_UNSURE };

struct number {
    double v;
    enum number_state state;
};

struct read {
    struct scan_selection *s;
    const struct scan_value *value;
    struct scan_numbers *to;
    const uint64_t *rest; /* rows that do not have the label as an attribute */
    const struct scan_stretch *stretch;
    const uint32_t *rows; /* of the stretch; NULL: row i is i */
    size_t n;
};

static struct number number_of(const struct read *rd, struct str text)
{
    struct number x = {0, NUMBER_UNSURE};
    struct str value;

    if (!scan_label_value(rd->stretch->text, text, &value))
        return x;
    if (value.n == 0)
        x.state = NUMBER_NONE;
    else if (rd->value->number(rd->value->arg, value, &x.v))
        x.state = NUMBER_HERE;
    return x;
}

/* Value i of the stretch is x, if the row is meant. */
static void put(const struct read *rd, size_t i, struct number x)
{
    size_t row = rd->rows == NULL ? i : rd->rows[i];
    const uint64_t *meant = rd->stretch->of_attrs ? rd->s->bits : rd->rest;
    uint64_t bit = (uint64_t)scan_bit(meant, row) << (row % 64);

    rd->to->v[row] = bit != 0 ? x.v : rd->to->v[row];
    rd->to->has[row / 64] |= x.state == NUMBER_HERE ? bit : 0;
    rd->to->unsure[row / 64] |= x.state == NUMBER_UNSURE ? bit : 0;
}

static void put_all(const struct read *rd, struct str text)
{
    struct number x = number_of(rd, text);

    for (size_t i = 0; i < rd->n; i++)
        put(rd, i, x);
}

static int put_entries(const struct read *rd, const struct slot_view *v, struct err *err)
{
    struct arena *a = rd->s->block.arena;
    struct number *x = arena_alloc(a, v->n_entries * sizeof(*x) + 1);

    if (x == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < v->n_entries; i++)
        x[i] = number_of(rd, v->entry[i]);
    for (size_t i = 0; i < rd->n; i++)
        put(rd, i, x[v->id[i]]);
    return 0;
}

static void put_each(const struct read *rd, const struct slot_view *v)
{
    const uint64_t *meant = rd->stretch->of_attrs ? rd->s->bits : rd->rest;

    for (size_t i = 0; i < rd->n; i++) {
        char room[SLOT_ROOM];
        if (scan_bit(meant, rd->rows == NULL ? i : rd->rows[i]))
            put(rd, i, number_of(rd, slot_value(v, i, room)));
    }
}

static int put_column(const struct read *rd, struct err *err)
{
    const struct slot_view *v = NULL;
    int r = scan_label_column(&rd->s->block, rd->stretch, &v, err);

    if (r < 0)
        return r;
    if (v->kind == SLOT_VIEW_DICT)
        return put_entries(rd, v, err);
    if (v->kind == SLOT_VIEW_CONST) {
        put_all(rd, v->constant);
    } else if (v->kind == SLOT_VIEW_INT && rd->value->is_plain) {
        for (size_t i = 0; i < rd->n; i++)
            put(rd, i, (struct number){(double)v->number[i], NUMBER_HERE});
    } else {
        put_each(rd, v);
    }
    return 0;
}

/* Nothing is known of these lines, but that some have no label. */
static int put_unsure(const struct read *rd, struct err *err)
{
    const uint64_t *suspect = NULL;
    int r = 0;

    if (rd->stretch->in_some)
        r = scan_label_suspects(&rd->s->block, rd->value->parser, rd->stretch->template, &suspect,
                                err);
    for (size_t i = 0; r == 0 && i < rd->n; i++)
        if (suspect == NULL || scan_bit(suspect, i))
            put(rd, i, (struct number){0, NUMBER_UNSURE});
    return r;
}

static int read_stretch(struct read *rd, struct err *err)
{
    int r;

    if (rd->stretch->kind == STRETCH_ABSENT)
        return 0;
    r = scan_label_rows(&rd->s->block, rd->stretch, &rd->rows, &rd->n, err);
    if (r < 0)
        return r;
    if (rd->stretch->kind == STRETCH_CONST) {
        put_all(rd, rd->stretch->constant);
        return 0;
    }
    return rd->stretch->kind == STRETCH_COLUMN ? put_column(rd, err) : put_unsure(rd, err);
}

static int make(struct scan_selection *s, struct scan_numbers *ret, struct err *err)
{
    struct arena *a = s->block.arena;

    ret->v = arena_alloc(a, s->words * 64 * sizeof(*ret->v));
    ret->has = arena_alloc(a, s->words * sizeof(*ret->has));
    ret->unsure = arena_alloc(a, s->words * sizeof(*ret->unsure));
    return ret->v == NULL || ret->has == NULL || ret->unsure == NULL ? arena_err(a, err) : 0;
}

int scan_numbers_read(struct scan_selection *s, const struct scan_value *value,
                      struct scan_numbers *ret, struct err *err)
{
    struct read rd = {.s = s, .value = value, .to = ret};
    struct scan_label l;
    uint64_t *rest = NULL;
    int r = scan_block_plans(&s->block, err);

    if (r == 0)
        r = scan_select_bits(s, err);
    if (r == 0)
        r = make(s, ret, err);
    if (r == 0)
        r = scan_label_open(&s->block, value->label, value->parser, &l, err);
    if (r < 0)
        return r;
    if (l.in_streams) {
        memcpy(ret->unsure, s->bits, s->words * sizeof(*s->bits));
        return 0;
    }
    r = scan_label_rest(s, &l, &rest, err);
    rd.rest = rest;
    for (size_t i = 0; r == 0 && i < l.n; i++) {
        rd.stretch = &l.stretch[i];
        r = read_stretch(&rd, err);
    }
    return r;
}
