/*
 * storage/slot_codes.c - columns as numbers that stand for their values.  Contract: slot.h.
 *
 * Numbers are that already; of a pattern of numbers (addresses, `order-17`) each part gets bits of
 * its own, whole bytes of them, so that columns whose numbers are about as large have the same
 * shape.  Nothing is written out but what somebody asks for.
 */
#include "storage/slot_internal.h"

#include <string.h>

enum {
    CODE_BITS = 64,
    FIXED_MAX = 256, /* bytes that all values have in common */
    SHAPE_MAX = FIXED_MAX + (SLOT_PARTS_MAX + 1) * (2 + (int)sizeof(size_t)),
};
_Static_assert(FIXED_MAX + SLOT_PARTS_MAX * SLOT_DIGITS_MAX <= SLOT_CODE_ROOM, "texts fit");

static unsigned bits_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

/* Bits for numbers up to `max`: whole bytes. */
static unsigned room_of(uint64_t max)
{
    return (bits_of(max) + 7) / 8 * 8;
}

static void put_piece(struct buf *shape, struct str piece)
{
    buf_add(shape, &piece.n, sizeof(piece.n));
    buf_add_str(shape, piece);
}

/* Behind what all values have in common comes a number. */
static void put_number(struct buf *shape, const struct slot_code_part *p)
{
    put_piece(shape, p->before);
    buf_add_char(shape, (char)p->width);
    buf_add_char(shape, (char)p->bits);
}

static int finish_shape(struct slot_codes *c, struct buf *shape, struct arena *a, struct err *err)
{
    size_t fixed = c->tail.n;

    for (size_t k = 0; k < c->n; k++) {
        fixed += c->part[k].before.n;
        put_number(shape, &c->part[k]);
    }
    put_piece(shape, c->tail);
    if (fixed > FIXED_MAX)
        return 1; /* no field that anybody counts by */
    c->shape = arena_str(a, buf_str(shape));
    if (c->shape.p == NULL)
        return arena_err(a, err);
    return 0;
}

/* ---- numbers ---- */

static int open_numbers(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                        struct slot_codes *ret, struct err *err)
{
    struct slot_view v = {.n = 0};
    int r = slot_open(s, bytes, n, a, &v, err);

    if (r < 0)
        return r;
    ret->part[0] = (struct slot_code_part){.width = s->width, .bits = CODE_BITS};
    ret->n = 1;
    ret->v = v.number;
    return 0;
}

/* ---- patterns ---- */

/* Parts that are numbers; those that are the same in all values go to the text in front.  1: there
 * are others, or they do not fit. */
static int find_parts(const struct slot_parts *parts, size_t *of, struct arena *a,
                      struct slot_codes *c, struct err *err)
{
    unsigned sum = 0;
    struct buf text;
    int r = 0;

    buf_init(&text, FIXED_MAX);
    for (size_t k = 0; r == 0 && k < parts->n; k++) {
        const struct slot_stamp *s = &parts->stamp[k];
        unsigned bits = room_of(s->max);
        buf_add_str(&text, parts->piece[k]);
        if (s->kind == SLOT_CONST) {
            buf_add_str(&text, s->constant);
            continue;
        }
        sum += bits;
        if (s->kind != SLOT_INT || sum > CODE_BITS || s->width > SLOT_DIGITS_MAX || text.over) {
            r = 1;
            break;
        }
        of[c->n] = k;
        c->part[c->n++] = (struct slot_code_part){arena_str(a, buf_str(&text)), s->width, bits};
        if (c->part[c->n - 1].before.p == NULL)
            r = arena_err(a, err);
        buf_clear(&text);
    }
    buf_add_str(&text, parts->piece[parts->n]);
    c->tail = arena_str(a, buf_str(&text));
    if (r == 0 && c->tail.p == NULL)
        r = arena_err(a, err);
    if (r == 0 && text.over)
        r = 1;
    buf_fini(&text);
    return r;
}

static int open_pattern(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                        struct slot_codes *ret, struct err *err)
{
    struct slot_parts parts = {.n = 0};
    size_t of[SLOT_PARTS_MAX];
    uint64_t *v;
    int r = slot_parts_open(s, bytes, &parts, err);

    if (r != 0 || parts.joined)
        return r != 0 ? r : 1;
    r = find_parts(&parts, of, a, ret, err);
    if (r != 0)
        return r;
    v = arena_alloc(a, n * sizeof(*v));
    if (v == NULL)
        return arena_err(a, err);
    for (size_t k = 0; k < ret->n; k++) {
        unsigned bits = ret->part[k].bits;
        struct slot_view part = {.n = 0};
        r = slot_part_open(&parts, of[k], n, a, &part, err);
        if (r < 0)
            return r;
        for (size_t i = 0; i < n; i++)
            v[i] = (bits < CODE_BITS ? v[i] << bits : 0) | part.number[i];
    }
    ret->v = v;
    return 0;
}

int slot_codes_open(const struct slot_stamp *s, struct str bytes, size_t n, struct arena *a,
                    struct slot_codes *ret, struct err *err)
{
    struct slot_codes c = {.n = 0};
    struct buf shape;
    int r;

    if (s->kind != SLOT_INT && s->kind != SLOT_PATTERN)
        return 1;
    r = (s->kind == SLOT_INT ? open_numbers : open_pattern)(s, bytes, n, a, &c, err);
    if (r != 0)
        return r;
    buf_init(&shape, SHAPE_MAX); /* more is never put, or it is not this way */
    r = finish_shape(&c, &shape, a, err);
    buf_fini(&shape);
    if (r == 0)
        *ret = c;
    return r;
}

static char *put_text(char *to, struct str s)
{
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

struct str slot_codes_text(const struct slot_codes *c, size_t i, char room[SLOT_CODE_ROOM])
{
    uint64_t v = c->v[i];
    unsigned left = 0;
    char *to = room;

    for (size_t k = 1; k < c->n; k++)
        left += c->part[k].bits;
    for (size_t k = 0; k < c->n; k++) {
        const struct slot_code_part *p = &c->part[k];
        uint64_t x = left < CODE_BITS ? v >> left : 0;
        if (p->bits < CODE_BITS)
            x &= (UINT64_C(1) << p->bits) - 1;
        to = put_text(to, p->before);
        to += slot_print(x, p->width, to);
        left -= k + 1 < c->n ? c->part[k + 1].bits : 0;
    }
    to = put_text(to, c->tail);
    return (struct str){room, (size_t)(to - room)};
}
