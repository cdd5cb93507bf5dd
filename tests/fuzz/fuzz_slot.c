/*
 * tests/fuzz/fuzz_slot.c - a stamp and a column, both hostile; and values that must come back.
 *
 *     u8 0: u16 n, a stamp, the rest is the column's bytes
 *     u8 1: values, each u8 length and its bytes
 */
#include "storage/slot.h"

#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 4096 };

/* Every value can be looked at, keeps to the stamp, and is as long as is said. */
static void look(const struct slot_stamp *s, const struct slot_view *v)
{
    volatile char seen = 0;

    for (size_t i = 0; i < v->n; i++) {
        char room[SLOT_ROOM];
        struct str got = slot_value(v, i, room);
        if (got.n != slot_value_bytes(v, i) || got.n < s->min_len || got.n > s->max_len)
            abort();
        if (got.n > 0)
            seen = (char)(seen ^ got.p[0] ^ got.p[got.n - 1]);
    }
}

/* A value by itself is as among the others; where there are none, it is anything but a crash. */
static void pick(const struct slot_stamp *s, struct str bytes, size_t n, const struct slot_view *v,
                 struct arena *a)
{
    volatile char seen = 0;

    for (size_t k = 0; k < 5; k++) {
        struct slot_place at = {bytes, n, (n - 1) * k / 4, NULL};
        char room[SLOT_ROOM];
        struct str got = STR_NULL;
        struct err err;
        int r = slot_pick(s, &at, a, &got, &err);
        if (v != NULL && r != ERR_NOMEM && (r < 0 || !str_eq(got, slot_value(v, at.i, room))))
            abort();
        if (r == 0 && got.n > 0)
            seen = (char)(seen ^ got.p[0] ^ got.p[got.n - 1]);
    }
}

/* Value i of a PATTERN from its parts; longer than `room` is cut. */
static size_t join_parts(const struct slot_parts *p, const struct slot_view *view, size_t i,
                         char *room, size_t cap)
{
    size_t n = 0;

    for (size_t k = 0; k <= p->n; k++) {
        char digits[SLOT_ROOM];
        struct str s[2] = {p->piece[k], STR_NULL};
        if (k < p->n)
            s[1] = slot_value(&view[k], i, digits);
        for (size_t j = 0; j < 2; j++) {
            size_t fits = s[j].n < cap - n ? s[j].n : cap - n;
            if (fits > 0)
                memcpy(room + n, s[j].p, fits);
            n += fits;
        }
    }
    return n;
}

/* The parts of a column, and its digits, say the same as its values. */
static void look_inside(const struct slot_stamp *s, struct str bytes, const struct slot_view *v,
                        struct arena *a)
{
    static const char DIGITS[] = "0123456789abcdef0123456789ABCDEF";
    struct slot_view view[SLOT_PARTS_MAX];
    struct slot_parts p;
    struct slot_digits d;
    struct err err;
    char room[512];
    int r = slot_parts_open(s, bytes, &p, &err);

    for (size_t k = 0; r == 0 && k < p.n; k++)
        r = slot_part_open(&p, k, v->n, a, &view[k], &err);
    for (size_t i = 0; r == 0 && i < v->n; i++) {
        struct str got = slot_value(v, i, NULL);
        struct str made = {room, join_parts(&p, view, i, room, sizeof(room))};
        if (!str_eq(made, str_sub(got, 0, sizeof(room))))
            abort();
    }
    if (slot_digits_open(s, bytes, v->n, &d, &err) != 0)
        return;
    for (size_t i = 0; i < v->n; i++) {
        const char *got = slot_value(v, i, NULL).p;
        for (size_t k = 0; k < d.length - d.n_dashes; k++) {
            size_t at = k;
            unsigned byte = d.bytes[i * d.row + k / 2 * d.column];
            for (size_t j = 0; j < d.n_dashes; j++)
                at += d.dash[j] <= at;
            if (got[at] != DIGITS[(k % 2 == 0 ? byte >> 4 : byte & 15) + (d.upper ? 16 : 0)])
                abort();
        }
    }
}

/* So do its lengths and codes. */
static void look_aside(const struct slot_stamp *s, struct str bytes, const struct slot_view *v,
                       struct arena *a)
{
    uint32_t *length = arena_alloc(a, v->n * sizeof(*length));
    struct slot_codes c;
    struct err err;
    int r = length == NULL ? ERR_NOMEM : slot_lengths_add(s, bytes, v->n, a, length, &err);

    if (r < 0 && r != ERR_NOMEM)
        abort();
    for (size_t i = 0; r == 0 && i < v->n; i++)
        if (length[i] != slot_value_bytes(v, i))
            abort();
    r = slot_codes_open(s, bytes, v->n, a, &c, &err);
    if (r < 0 && r != ERR_NOMEM)
        abort();
    for (size_t i = 0; r == 0 && i < v->n; i++) {
        char room[SLOT_CODE_ROOM];
        char digits[SLOT_ROOM];
        if (!str_eq(slot_codes_text(&c, i, room), slot_value(v, i, digits)))
            abort();
    }
}

/* What is no column ends in an error there too, or in something. */
static void open_inside(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a)
{
    uint32_t *length = arena_alloc(a, n * sizeof(*length));
    struct slot_view view;
    struct slot_parts p;
    struct slot_digits d;
    struct slot_codes c;
    struct err err;
    int r = slot_parts_open(s, bytes, &p, &err);

    for (size_t k = 0; r == 0 && k < p.n; k++)
        r = slot_part_open(&p, k, n, a, &view, &err);
    (void)slot_digits_open(s, bytes, n, &d, &err);
    if (length != NULL)
        (void)slot_lengths_add(s, bytes, n, a, length, &err);
    if (slot_codes_open(s, bytes, n, a, &c, &err) == 0) {
        char room[SLOT_CODE_ROOM];
        (void)slot_codes_text(&c, n - 1, room);
    }
}

static void try_open(struct str in, struct arena *a)
{
    struct slot_stamp s;
    struct slot_view v;
    struct err err;
    size_t n;

    if (in.n < 2)
        return;
    n = 1 + (size_t)((uint8_t)in.p[0] | (uint8_t)in.p[1] << 8);
    in = str_from(in, 2);
    if (slot_stamp_take(&in, &s, &err) < 0)
        return;
    if (slot_open(&s, in, n, a, &v, &err) == 0) {
        look(&s, &v);
        pick(&s, in, n, &v, a);
        look_inside(&s, in, &v, a);
        look_aside(&s, in, &v, a);
    } else {
        pick(&s, in, n, NULL, a);
        open_inside(&s, in, n, a);
    }
}

static void try_values(struct str in, struct arena *a)
{
    static struct str value[VALUES_MAX];
    struct slot_encoder *e = slot_encoder_new();
    struct slot_stamp s;
    struct slot_view v;
    struct err err;
    struct buf out;
    size_t n = 0;

    while (in.n > 0 && n < VALUES_MAX) {
        size_t bytes = (uint8_t)in.p[0];
        in = str_from(in, 1);
        value[n] = str_sub(in, 0, bytes);
        in = str_from(in, bytes);
        n++;
    }
    if (n > 0) {
        buf_init(&out, 64 << 20);
        slot_encode(e, value, n, n % 2 == 0, &out, &s);
        if (slot_open(&s, buf_str(&out), n, a, &v, &err) < 0)
            abort();
        look(&s, &v);
        pick(&s, buf_str(&out), n, &v, a);
        look_inside(&s, buf_str(&out), &v, a);
        for (size_t i = 0; i < n; i++) {
            char room[SLOT_ROOM];
            if (!str_eq(slot_value(&v, i, room), value[i]))
                abort();
        }
        buf_fini(&out);
    }
    slot_encoder_free(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mem_budget budget = {.name = "fuzz", .limit = (size_t)64 << 20};
    struct arena *a = arena_new(&budget, 0);
    struct str in = {(const char *)data, size};

    if (size > 0 && data[0] == 0)
        try_open(str_from(in, 1), a);
    else if (size > 0)
        try_values(str_from(in, 1), a);
    arena_free(&a);
    if (budget.used != 0 || budget.peak > budget.limit)
        abort();
    return 0;
}
