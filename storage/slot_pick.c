/*
 * storage/slot_pick.c - one value of a packed column.  Contract: slot.h; format:
 * docs/formats/slot.md.
 *
 * A hit in a block of fifty thousand rows needs one value of each of its columns.  Most are found
 * where they lie; numbers that are kept as steps from one to the next are read up to it, and so are
 * lengths.  What slot_open checks of every value is checked of this one, so that nothing is read
 * from outside of the bytes.
 */
#include "storage/slot_internal.h"
#include "storage/varint.h"

#include <string.h>

enum {
    PICK_WORK = 128, /* finding a value, in values that are opened in that time */
    WRITE_SPEED = 8, /* values that are read in the time in which one of a pattern is written out */
};

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "slot: %s", what);
}

static int pick(const struct slot_stamp *s, struct slot_place at, bool inner, struct arena *a,
                struct str *ret, struct err *err);

static int pick_int(const struct slot_stamp *s, struct slot_place at, struct arena *a,
                    struct str *ret, struct err *err)
{
    char *room = arena_bytes(a, SLOT_ROOM);
    uint64_t v = 0;
    int r = room == NULL ? arena_err(a, err)
                         : slot_number_pick(&at.bytes, at.n, at.i, &v, at.work, err);

    if (r < 0)
        return r;
    if (v < s->min || v > s->max)
        return corrupt("a number outside of its stamp", err);
    *ret = (struct str){room, slot_print(v, s->width, room)};
    return 0;
}

static int pick_line(struct slot_place at, struct str *ret, struct err *err)
{
    struct str in = at.bytes;

    *at.work += at.i;
    for (size_t i = 0;; i++) {
        const char *stop = in.n == 0 ? NULL : memchr(in.p, '\n', in.n);
        if (stop == NULL)
            return corrupt("a line is cut", err);
        *ret = str_sub(in, 0, (size_t)(stop - in.p));
        if (i == at.i)
            return 0;
        in = str_from(in, ret->n + 1);
    }
}

static int pick_text(struct slot_place at, struct arena *a, struct str *ret, struct err *err)
{
    uint64_t length = 0;
    uint64_t before = 0;
    struct slot_number c;
    int r = slot_number_open(&at.bytes, at.n, a, &c, err);

    if (r == 0)
        r = slot_number_sum(&c, at.i, &before, &length, at.work, err);
    if (r < 0)
        return r;
    if (before > at.bytes.n || length > at.bytes.n - before)
        return corrupt("a value is past the end of the text", err);
    *ret = str_sub(at.bytes, (size_t)before, (size_t)length);
    return 0;
}

static void put_str(char **to, struct str s)
{
    if (s.n > 0)
        memcpy(*to, s.p, s.n);
    *to += s.n;
}

static int pick_pattern(const struct slot_stamp *s, const struct slot_place *at, struct arena *a,
                        struct str *ret, struct err *err)
{
    struct slot_parts p;
    struct str value[SLOT_PARTS_MAX];
    uint64_t length = 0;
    size_t work = 0;
    char *to;
    int r = slot_pattern_parts(str_from(at->bytes, 1), &p, err);

    for (size_t k = 0; r == 0 && k < p.n; k++) {
        r = pick(&p.stamp[k], (struct slot_place){p.bytes[k], at->n, at->i, &work}, true, a,
                 &value[k], err);
        length += p.piece[k].n + (r == 0 ? value[k].n : 0);
    }
    if (r < 0)
        return r;
    *at->work += work / WRITE_SPEED;
    length += p.piece[p.n].n;
    if (length > s->max_len)
        return corrupt("a length outside of its stamp", err);
    to = arena_bytes(a, (size_t)length + 1);
    if (to == NULL)
        return arena_err(a, err);
    *ret = (struct str){to, (size_t)length};
    for (size_t k = 0; k <= p.n; k++) {
        put_str(&to, p.piece[k]);
        if (k < p.n)
            put_str(&to, value[k]);
    }
    return 0;
}

static int pick_forms(const struct slot_place *at, struct arena *a, struct str *ret,
                      struct err *err)
{
    struct slot_forms f;
    struct str number = STR_NULL;
    size_t form = 0;
    size_t rank = 0;
    char *to;
    int r = slot_forms_take(str_from(at->bytes, 1), at->n, &f, err);

    if (r < 0)
        return r;
    *at->work += at->n / WRITE_SPEED;
    slot_forms_find(&f, at->i, &form, &rank);
    if (f.form[form].has_number)
        r = pick(&f.stamp, (struct slot_place){f.bytes, f.n_numbers, rank, at->work}, true, a,
                 &number, err);
    if (r < 0)
        return r;
    to = arena_bytes(a, f.form[form].before.n + number.n + f.form[form].behind.n + 1);
    if (to == NULL)
        return arena_err(a, err);
    *ret = (struct str){to, 0};
    put_str(&to, f.form[form].before);
    put_str(&to, number);
    put_str(&to, f.form[form].behind);
    ret->n = (size_t)(to - ret->p);
    return 0;
}

static int pick_string(const struct slot_stamp *s, struct slot_place at, bool inner,
                       struct arena *a, struct str *ret, struct err *err)
{
    struct slot_place rest = {str_from(at.bytes, 1), at.n, at.i, at.work};
    int r;

    if (at.bytes.n < 1)
        return corrupt("no strings", err);
    switch ((uint8_t)at.bytes.p[0]) {
    case SLOT_WAY_LINES:
        r = pick_line(rest, ret, err);
        break;
    case SLOT_WAY_HEX:
        r = s->min_len != s->max_len ? corrupt("hex digits of more than one length", err)
                                     : slot_hex_pick(&rest, s->min_len, a, ret, err);
        break;
    case SLOT_WAY_JOINED:
        r = s->min_len != s->max_len ? corrupt("times of more than one length", err)
                                     : slot_joined_pick(&rest, s->min_len, a, ret, err);
        break;
    case SLOT_WAY_PATTERN:
        r = inner ? corrupt("a pattern in a pattern", err) : pick_pattern(s, &at, a, ret, err);
        break;
    case SLOT_WAY_FORMS:
        r = inner ? corrupt("forms in a pattern", err) : pick_forms(&at, a, ret, err);
        break;
    default:
        r = pick_text(at, a, ret, err);
        break;
    }
    if (r == 0 && (ret->n < s->min_len || ret->n > s->max_len))
        r = corrupt("a length outside of its stamp", err);
    return r;
}

static int pick(const struct slot_stamp *s, struct slot_place at, bool inner, struct arena *a,
                struct str *ret, struct err *err)
{
    struct slot_place entry = {.bytes = STR_NULL};
    int r;

    if (at.i >= at.n)
        return corrupt("no such value", err);
    *at.work += PICK_WORK;
    if (at.bytes.n != s->bytes || (s->kind == SLOT_CONST && at.bytes.n > 0))
        return corrupt("not as many bytes as in its stamp", err);
    switch (s->kind) {
    case SLOT_CONST:
        *ret = s->constant;
        return 0;
    case SLOT_INT:
        return pick_int(s, at, a, ret, err);
    case SLOT_DICT:
        r = slot_dict_pick(&at, &entry, err);
        return r < 0 ? r : pick_string(s, entry, inner, a, ret, err);
    case SLOT_TEXT:
    case SLOT_HEX:
    case SLOT_PATTERN:
        return pick_string(s, at, inner, a, ret, err);
    case SLOT_KINDS:
        break;
    }
    return corrupt("unknown kind", err);
}

int slot_pick(const struct slot_stamp *s, const struct slot_place *at, struct arena *a,
              struct str *ret, struct err *err)
{
    struct slot_place place = *at;
    size_t work = 0;

    if (place.work == NULL)
        place.work = &work;
    return pick(s, place, false, a, ret, err);
}
