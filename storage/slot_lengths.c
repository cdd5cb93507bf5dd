/*
 * storage/slot_lengths.c - how long the values of a column are.  Contract: slot.h.
 *
 * Stamps know it of columns whose values are all as long; of patterns it is the sum over the parts,
 * most of which are that.
 */
#include "storage/slot_internal.h"

static void add_all(uint32_t length, size_t n, uint32_t *ret)
{
    for (size_t i = 0; i < n; i++)
        ret[i] += length;
}

/* Digits of numbers: of the least, and one more from each power of ten on that others reach. */
static void add_digits(const uint64_t *v, size_t n, uint32_t *ret)
{
    uint64_t min = UINT64_MAX;
    uint64_t max = 0;
    uint64_t power = 1;
    uint32_t digits;

    for (size_t i = 0; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    digits = slot_digits(min);
    add_all(digits, n, ret);
    for (uint32_t d = 0; d < digits && d < SLOT_DIGITS_MAX - 1; d++)
        power *= 10;
    for (; digits < slot_digits(max); digits++) {
        for (size_t i = 0; i < n; i++)
            ret[i] += v[i] >= power;
        power *= digits + 1 < SLOT_DIGITS_MAX ? 10 : 1;
    }
}

static int add_entries(const struct slot_view *v, struct arena *a, uint32_t *ret, struct err *err)
{
    uint32_t *length = arena_room(a, v->n_entries, sizeof(*length));

    if (length == NULL)
        return arena_err(a, err);
    for (size_t i = 0; i < v->n_entries; i++)
        length[i] = (uint32_t)v->entry[i].n;
    for (size_t i = 0; i < v->n; i++)
        ret[i] += length[v->id[i]];
    return 0;
}

int slot_view_lengths_add(const struct slot_view *v, struct arena *a, uint32_t *ret,
                          struct err *err)
{
    uint32_t from = 0;

    switch (v->kind) {
    case SLOT_VIEW_CONST:
        add_all((uint32_t)v->constant.n, v->n, ret);
        break;
    case SLOT_VIEW_INT:
        if (v->width > 0)
            add_all(v->width, v->n, ret);
        else
            add_digits(v->number, v->n, ret);
        break;
    case SLOT_VIEW_DICT:
        return add_entries(v, a, ret, err);
    case SLOT_VIEW_TEXT:
        for (size_t i = 0; i < v->n; i++) {
            ret[i] += v->end[i] - from;
            from = v->end[i];
        }
        break;
    }
    return 0;
}

/* No stamp that was written says more, and no value is longer. */
static int check(uint64_t length, struct err *err)
{
    return length <= SLOT_TEXT_MAX ? 0 : err_set(err, ERR_CORRUPT, "slot: lengths of a column");
}

/* 1: the lengths differ. */
static int add_fixed(const struct slot_stamp *s, size_t n, uint32_t *ret, struct err *err)
{
    uint64_t length = s->kind == SLOT_CONST ? s->constant.n : s->min_len;
    int r;

    if (s->kind != SLOT_CONST && s->min_len != s->max_len)
        return 1;
    r = check(length, err);
    if (r == 0)
        add_all((uint32_t)length, n, ret);
    return r;
}

static int add_part(const struct slot_parts *p, size_t k, size_t n, struct arena *a, uint32_t *ret,
                    struct err *err)
{
    struct slot_view v = {.n = 0};
    int r = add_fixed(&p->stamp[k], n, ret, err);

    if (r != 1)
        return r;
    r = slot_part_open(p, k, n, a, &v, err);
    return r < 0 ? r : slot_view_lengths_add(&v, a, ret, err);
}

static int add_parts(const struct slot_stamp *s, const struct slot_parts *p, size_t n,
                     struct arena *a, uint32_t *ret, struct err *err)
{
    uint32_t *sum = arena_alloc(a, n * sizeof(*sum));
    uint64_t fixed = 0;
    int r = sum == NULL ? arena_err(a, err) : 0;

    for (size_t k = 0; r == 0 && k <= p->n; k++) {
        fixed += p->piece[k].n;
        r = check(fixed, err);
    }
    if (r == 0)
        add_all((uint32_t)fixed, n, sum);
    for (size_t k = 0; r == 0 && k < p->n; k++) {
        r = add_part(p, k, n, a, sum, err);
        for (size_t i = 0; r == 0 && i < n; i++)
            r = check(sum[i], err);
    }
    for (size_t i = 0; r == 0 && i < n; i++) {
        if (sum[i] < s->min_len || sum[i] > s->max_len)
            return err_set(err, ERR_CORRUPT, "slot: a length outside of its stamp");
        ret[i] += sum[i];
    }
    return r;
}

int slot_lengths_add(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                     uint32_t *ret, struct err *err)
{
    struct slot_parts parts = {.n = 0};
    struct slot_view v = {.n = 0};
    struct slot_forms forms;
    int r = add_fixed(s, n, ret, err);

    if (r != 1)
        return r;
    r = slot_parts_open(s, bytes, &parts, err);
    if (r != 1)
        return r < 0 ? r : add_parts(s, &parts, n, a, ret, err);
    r = slot_forms_open(s, bytes, n, &forms, err);
    if (r != 1)
        return r < 0 ? r : slot_forms_lengths(s, &forms, n, a, ret, err);
    r = slot_open(s, bytes, n, a, &v, err);
    return r < 0 ? r : slot_view_lengths_add(&v, a, ret, err);
}
