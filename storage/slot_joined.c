/*
 * storage/slot_joined.c - times: all parts of each value as one number.  Contract: slot_internal.h;
 * format: docs/formats/slot.md.
 *
 * `2015-10-18 18:01:50,353` in columns of its own parts costs bits for each: seconds and
 * milliseconds are noise when looked at alone.  As one number, minutes and seconds counting to 60,
 * it is as far from the one before as the clock went on.  Values are of one length and differ in
 * digits alone, so reading one is a few divisions and copying the rest.
 */
#include "base/buf.h"
#include "storage/slot_internal.h"
#include "storage/varint.h"

#include <string.h>

_Static_assert((int)SLOT_JOINED_PARTS <= (int)SLOT_PARTS_MAX, "parts of a time fit");

enum {
    LENGTH_MIN = 8,
    LENGTH_MAX = 64,
    DIGITS_MAX = 19, /* of a part */
    HOURS = 24,
    SEXAGESIMAL = 60, /* minutes, seconds; and months and days, which seldom change */
    CHUNK = 512,
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint64_t power(unsigned n)
{
    uint64_t p = 1;

    while (n-- > 0)
        p *= 10;
    return p;
}

/* What the part at `at` counts to.  Of two digits: hours stand before a colon and not behind one
 * that two digits stand before. */
static uint64_t radix_of(struct str s, const struct slot_joined *j, size_t at, size_t width)
{
    const struct slot_joined_part *before = j->n_parts == 0 ? NULL : &j->part[j->n_parts - 1];
    bool behind =
        before != NULL && before->width == 2 && at == (size_t)before->at + 3 && s.p[at - 1] == ':';

    if (width != 2)
        return power((unsigned)width);
    return at + 2 < s.n && s.p[at + 2] == ':' && !behind ? HOURS : SEXAGESIMAL;
}

/* Where the numbers of `s` stand. */
static bool find_parts(struct str s, struct slot_joined *j)
{
    bool colon = false;
    size_t i = 0;

    *j = (struct slot_joined){.length = (uint32_t)s.n};
    if (s.n < LENGTH_MIN || s.n > LENGTH_MAX)
        return false;
    while (i < s.n) {
        size_t from = i;
        colon |= s.p[i] == ':';
        while (i < s.n && is_digit(s.p[i]))
            i++;
        if (i == from) {
            i++;
            continue;
        }
        if (j->n_parts == SLOT_JOINED_PARTS || i - from >= DIGITS_MAX)
            return false;
        j->part[j->n_parts] = (struct slot_joined_part){(uint8_t)from, (uint8_t)(i - from),
                                                        radix_of(s, j, from, i - from)};
        j->n_parts++;
    }
    return colon && j->n_parts >= 2;
}

/* Can all values of the parts be one number of 64 bits? */
static bool fits_64(const struct slot_joined *j)
{
    uint64_t product = 1;

    for (size_t k = 0; k < j->n_parts; k++) {
        uint64_t radix = k == 0 ? power(j->part[k].width) : j->part[k].radix;
        if (product > UINT64_MAX / radix)
            return false;
        product *= radix;
    }
    return true;
}

static bool same_part(struct str a, struct str b, const struct slot_joined_part *p)
{
    return a.n == b.n && memcmp(a.p + p->at, b.p + p->at, p->width) == 0;
}

/* Parts in front that seem to be the same in all values become static, until the rest fits. */
static bool narrow(struct slot_joined *j, const struct str *v, size_t n)
{
    while (!fits_64(j)) {
        if (j->n_parts < 2 || !same_part(v[0], v[n - 1], j->part) ||
            !same_part(v[0], v[n / 2], j->part))
            return false;
        j->n_parts--;
        memmove(j->part, j->part + 1, j->n_parts * sizeof(j->part[0]));
    }
    return true;
}

/* The number of `s`, or false: it differs in more than digits, or in a part that counts to 60. */
static bool join(const struct slot_joined *j, const char *first, const char *s, uint64_t *ret)
{
    uint64_t v = 0;
    size_t at = 0;

    for (size_t k = 0; k < j->n_parts; k++) {
        const struct slot_joined_part *p = &j->part[k];
        uint64_t x = 0;
        for (; at < p->at; at++)
            if (s[at] != first[at])
                return false;
        for (; at < (size_t)p->at + p->width; at++) {
            unsigned digit = (unsigned)(uint8_t)s[at] - '0';
            if (digit > 9)
                return false;
            x = x * 10 + digit;
        }
        if (k > 0 && x >= p->radix)
            return false;
        v = v * p->radix + x;
    }
    for (; at < j->length; at++)
        if (s[at] != first[at])
            return false;
    *ret = v;
    return true;
}

static unsigned bits_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

/* Do the numbers go on in steps much smaller than their range? */
static bool steps(const uint64_t *v, size_t n)
{
    uint64_t min = v[0];
    uint64_t max = v[0];
    uint64_t bits = 0;

    for (size_t i = 1; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
        bits += bits_of(zigzag(v[i] - v[i - 1]));
    }
    return bits < (n - 1) * bits_of(max - min) * 7 / 8;
}

bool slot_joined_fits(const struct str *v, size_t n, bool any, uint64_t *number,
                      struct slot_joined *ret)
{
    if (!find_parts(v[0], ret) || !narrow(ret, v, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (v[i].n != ret->length || !join(ret, v[0].p, v[i].p, &number[i]))
            return false;
    return any || steps(number, n);
}

void slot_joined_put(const struct slot_joined *j, struct str first, struct buf *out)
{
    buf_add_char(out, SLOT_WAY_JOINED);
    buf_add_char(out, (char)j->n_parts);
    for (size_t k = 0; k < j->n_parts; k++) {
        buf_add_char(out, (char)j->part[k].at);
        buf_add_char(out, (char)j->part[k].width);
        varint_put(out, j->part[k].radix);
    }
    buf_add_char(out, (char)j->length);
    buf_add_str(out, first);
}

/* ---- read ---- */

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "joined slot: %s", what);
}

static int take_byte(struct str *in, uint8_t *ret, struct err *err)
{
    if (in->n < 1)
        return corrupt("its head is cut", err);
    *ret = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    return 0;
}

/* Parts ascend, do not touch, lie within `length`, and count to what their digits hold. */
static int get_head(struct str *in, uint32_t length, struct slot_joined *j, struct str *first,
                    struct err *err)
{
    uint8_t n = 0;
    uint32_t at = 0;

    *j = (struct slot_joined){.length = length};
    if (take_byte(in, &n, err) < 0)
        return ERR_CORRUPT;
    if (n == 0 || n > SLOT_JOINED_PARTS)
        return corrupt("number of parts", err);
    j->n_parts = n;
    for (size_t k = 0; k < n; k++) {
        struct slot_joined_part *p = &j->part[k];
        if (take_byte(in, &p->at, err) < 0 || take_byte(in, &p->width, err) < 0)
            return ERR_CORRUPT;
        if (!varint_get(in, &p->radix) || p->at < at || p->width == 0 || p->width >= DIGITS_MAX ||
            p->radix < 2 || p->radix > power(p->width))
            return corrupt("a part", err);
        at = (uint32_t)p->at + p->width;
    }
    if (take_byte(in, &n, err) < 0)
        return ERR_CORRUPT;
    if (n != length || n > in->n || at > length)
        return corrupt("length", err);
    *first = str_sub(*in, 0, n);
    *in = str_from(*in, n);
    return 0;
}

/* `v` as text over a copy of the first value; false: it has too many digits. */
static bool split(const struct slot_joined *j, uint64_t v, char *to)
{
    for (size_t k = j->n_parts; k-- > 0;) {
        const struct slot_joined_part *p = &j->part[k];
        uint64_t x = k == 0 ? v : v % p->radix;
        v /= p->radix;
        for (char *d = to + p->at + p->width; d > to + p->at; x /= 10)
            *--d = (char)('0' + x % 10);
        if (x > 0)
            return false;
    }
    return true;
}

int slot_joined_parts(struct str in, uint32_t length, struct slot_parts *ret, struct err *err)
{
    struct slot_joined j;
    struct str first;
    uint32_t at = 0;
    int r = get_head(&in, length, &j, &first, err);

    if (r < 0)
        return r;
    *ret = (struct slot_parts){.n = j.n_parts, .joined = true};
    ret->bytes[0] = in;
    for (size_t k = 0; k < j.n_parts; k++) {
        const struct slot_joined_part *p = &j.part[k];
        ret->piece[k] = str_sub(first, at, p->at - at);
        ret->stamp[k] = (struct slot_stamp){.kind = SLOT_INT,
                                            .classes = SLOT_DIGIT,
                                            .min_len = p->width,
                                            .max_len = p->width,
                                            .max = (k == 0 ? power(p->width) : p->radix) - 1,
                                            .width = p->width};
        at = (uint32_t)p->at + p->width;
    }
    ret->piece[j.n_parts] = str_from(first, at);
    return 0;
}

__extension__ typedef unsigned __int128 wide;

/* Division by a number that stays: a multiplication and, at most a few times, a step. */
struct divider {
    uint64_t by, inverse;
};

static uint64_t divide(const struct divider *d, uint64_t v, uint64_t *rest)
{
    uint64_t q = (uint64_t)((wide)v * d->inverse >> 64);
    uint64_t left = v - q * d->by;

    for (; left >= d->by; q++)
        left -= d->by;
    *rest = left;
    return q;
}

/* What a number has of the part: it is divided by all that count faster, of that the rest. */
struct share {
    struct divider below, radix;
    bool first; /* there is nothing above: the rest is all */
    uint64_t max;
};

static int share_of(const struct slot_parts *p, size_t part, struct share *ret, struct err *err)
{
    uint64_t below = 1;
    uint64_t radix = p->stamp[part].max + 1;

    for (size_t k = part + 1; k < p->n; k++)
        if (__builtin_mul_overflow(below, p->stamp[k].max + 1, &below))
            return corrupt("parts are more than a number", err);
    *ret = (struct share){.below = {below, UINT64_MAX / below},
                          .radix = {radix, UINT64_MAX / radix},
                          .first = part == 0,
                          .max = p->stamp[part].max};
    return 0;
}

static bool take_share(const struct share *s, uint64_t *v, size_t n)
{
    uint64_t top = 0;
    uint64_t rest;

    for (size_t i = 0; i < n; i++) {
        v[i] = divide(&s->below, v[i], &rest);
        if (!s->first)
            (void)divide(&s->radix, v[i], &v[i]);
        top = v[i] > top ? v[i] : top;
    }
    return top <= s->max;
}

int slot_joined_part(const struct slot_parts *p, size_t part, size_t n, struct arena *a,
                     struct slot_view *ret, struct err *err)
{
    struct share s = {.max = 0};
    struct str in = p->bytes[0];
    struct slot_number c = {0};
    uint64_t *number = slot_room(a, n, sizeof(*number));
    int r = share_of(p, part, &s, err);

    if (r < 0)
        return r;
    if (number == NULL)
        return arena_err(a, err);
    r = slot_number_open(&in, n, a, &c, err);
    if (r == 0 && in.n != 0)
        r = corrupt("bytes behind the numbers", err);
    for (size_t at = 0; r == 0 && at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        r = slot_number_read(&c, m, number + at, err);
        if (r == 0 && !take_share(&s, number + at, m))
            r = corrupt("a number has too many digits", err);
    }
    if (r == 0)
        *ret = (struct slot_view){
            .kind = SLOT_VIEW_INT, .n = n, .number = number, .width = p->stamp[part].width};
    return r;
}

/* Numbers that are read in the time in which one is written out. */
enum { PICK_SPEED = 16 };

int slot_joined_pick(const struct slot_place *at, uint32_t length, struct arena *a, struct str *ret,
                     struct err *err)
{
    struct str in = at->bytes;
    struct slot_joined j;
    struct str first;
    uint64_t v = 0;
    size_t passed = 0;
    char *text;
    int r = get_head(&in, length, &j, &first, err);

    if (r == 0)
        r = slot_number_pick(&in, at->n, at->i, &v, &passed, err);
    if (r < 0)
        return r;
    *at->work += passed / PICK_SPEED;
    text = arena_bytes(a, length);
    if (text == NULL)
        return arena_err(a, err);
    memcpy(text, first.p, length);
    if (!split(&j, v, text))
        return corrupt("a number has too many digits", err);
    *ret = (struct str){text, length};
    return 0;
}

int slot_joined_open(struct str in, size_t n, uint32_t length, struct arena *a,
                     struct slot_view *ret, struct err *err)
{
    struct slot_number c = {0};
    struct slot_joined j;
    uint64_t number[CHUNK];
    struct str first;
    uint32_t *end;
    char *text;
    int r = get_head(&in, length, &j, &first, err);

    if (r == 0 && n > SLOT_TEXT_MAX / length)
        r = corrupt("too much text", err);
    if (r == 0)
        r = slot_number_open(&in, n, a, &c, err);
    if (r < 0)
        return r;
    if (in.n != 0)
        return corrupt("bytes behind the numbers", err);
    end = slot_room(a, n, sizeof(*end));
    text = arena_bytes(a, n * length);
    if (end == NULL || text == NULL)
        return arena_err(a, err);
    for (size_t at = 0; r == 0 && at < n; at += CHUNK) {
        size_t m = n - at < CHUNK ? n - at : CHUNK;
        r = slot_number_read(&c, m, number, err);
        for (size_t i = 0; r == 0 && i < m; i++) {
            char *to = text + (at + i) * length;
            memcpy(to, first.p, length);
            if (!split(&j, number[i], to))
                r = corrupt("a number has too many digits", err);
            end[at + i] = (uint32_t)((at + i + 1) * length);
        }
    }
    if (r < 0)
        return r;
    ret->kind = SLOT_VIEW_TEXT;
    ret->text = (struct str){text, n * length};
    ret->end = end;
    return 0;
}
