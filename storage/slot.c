/* storage/slot.c - stamps, and single values of a view.  Contract: slot.h. */
#include "storage/slot.h"

#include "storage/slot_internal.h"
#include "storage/varint.h"

#include <string.h>

/* Short names, so that the table can be looked at. */
enum {
    CTL = SLOT_CONTROL,
    SPC = SLOT_SPACE,
    OTH = SLOT_OTHER,
    DIG = SLOT_DIGIT,
    COL = SLOT_COLON,
    QUO = SLOT_QUOTE,
    DSH = SLOT_DASH,
    DOT = SLOT_DOT,
    SLA = SLOT_SLASH,
    EQU = SLOT_EQUALS,
    HXU = SLOT_HEX_UPPER,
    UPP = SLOT_UPPER,
    HXL = SLOT_HEX_LOWER,
    LOW = SLOT_LOWER,
    UND = SLOT_UNDERSCORE,
    HIG = SLOT_HIGH,
};

/* clang-format off */
const uint16_t slot_class_of[256] = {
    CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, /* 00 */
    CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, CTL, /* 10 */
    SPC, OTH, QUO, OTH, OTH, OTH, OTH, OTH, OTH, OTH, OTH, OTH, OTH, DSH, DOT, SLA, /* 20 */
    DIG, DIG, DIG, DIG, DIG, DIG, DIG, DIG, DIG, DIG, COL, OTH, OTH, EQU, OTH, OTH, /* 30 */
    OTH, HXU, HXU, HXU, HXU, HXU, HXU, UPP, UPP, UPP, UPP, UPP, UPP, UPP, UPP, UPP, /* 40 */
    UPP, UPP, UPP, UPP, UPP, UPP, UPP, UPP, UPP, UPP, UPP, OTH, QUO, OTH, OTH, UND, /* 50 */
    OTH, HXL, HXL, HXL, HXL, HXL, HXL, LOW, LOW, LOW, LOW, LOW, LOW, LOW, LOW, LOW, /* 60 */
    LOW, LOW, LOW, LOW, LOW, LOW, LOW, LOW, LOW, LOW, LOW, OTH, OTH, OTH, OTH, CTL, /* 70 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* 80 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* 90 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* a0 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* b0 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* c0 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* d0 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* e0 */
    HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, HIG, /* f0 */
};
/* clang-format on */

uint16_t slot_classes(struct str s)
{
    unsigned even = 0;
    unsigned odd = 0;
    size_t i = 0;

    for (; i + 1 < s.n; i += 2) {
        even |= slot_class_of[(uint8_t)s.p[i]];
        odd |= slot_class_of[(uint8_t)s.p[i + 1]];
    }
    if (i < s.n)
        even |= slot_class_of[(uint8_t)s.p[i]];
    return (uint16_t)(even | odd);
}

static const uint64_t POWER[SLOT_DIGITS_MAX] = {1,
                                                10,
                                                100,
                                                1000,
                                                10000,
                                                100000,
                                                1000000,
                                                10000000,
                                                100000000,
                                                1000000000,
                                                10000000000,
                                                100000000000,
                                                1000000000000,
                                                10000000000000,
                                                100000000000000,
                                                1000000000000000,
                                                10000000000000000,
                                                100000000000000000,
                                                1000000000000000000,
                                                UINT64_C(10000000000000000000)};

uint32_t slot_digits(uint64_t v)
{
    /* 1233 / 4096 is a little less than log10(2). */
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    unsigned t = bits * 1233 >> 12;

    return t + 1 - (t > 0 && v < POWER[t]);
}

uint32_t slot_print(uint64_t v, uint32_t width, char *to)
{
    static const char PAIRS[] =
        "00010203040506070809101112131415161718192021222324252627282930313233"
        "34353637383940414243444546474849505152535455565758596061626364656667"
        "6869707172737475767778798081828384858687888990919293949596979899";
    uint32_t digits = slot_digits(v);
    uint32_t n = digits < width ? width : digits;
    char *p = to + n;

    while (v >= 100) {
        p -= 2;
        memcpy(p, PAIRS + v % 100 * 2, 2);
        v /= 100;
    }
    if (v >= 10) {
        p -= 2;
        memcpy(p, PAIRS + v * 2, 2);
    } else {
        *--p = (char)('0' + v);
    }
    while (p > to)
        *--p = '0';
    return n;
}

/* ---- stamps ---- */

void slot_stamp_put(struct buf *b, const struct slot_stamp *s)
{
    buf_add_char(b, (char)s->kind);
    if (s->kind == SLOT_CONST) {
        varint_put(b, s->constant.n);
        buf_add_str(b, s->constant);
        return;
    }
    varint_put(b, s->bytes);
    if (s->kind == SLOT_INT) {
        varint_put(b, s->min);
        varint_put(b, s->max - s->min);
        buf_add_char(b, (char)s->width);
        return;
    }
    buf_add_char(b, (char)(s->classes & 255));
    buf_add_char(b, (char)(s->classes >> 8));
    varint_put(b, s->min_len);
    varint_put(b, s->max_len - s->min_len);
    if (s->kind == SLOT_HEX)
        return;
    buf_add_char(b, s->pairs == NULL ? 0 : (char)SLOT_PAIRS);
    if (s->pairs != NULL)
        buf_add(b, s->pairs, SLOT_PAIRS);
}

static int corrupt(const char *what, struct err *err)
{
    return err_set(err, ERR_CORRUPT, "stamp of a slot: %s", what);
}

static bool take_byte(struct str *in, uint8_t *ret)
{
    if (in->n < 1)
        return false;
    *ret = (uint8_t)in->p[0];
    *in = str_from(*in, 1);
    return true;
}

static int take_const(struct str *in, struct slot_stamp *s, struct err *err)
{
    uint64_t n;

    if (!varint_get(in, &n) || n > in->n || n > SLOT_TEXT_MAX)
        return corrupt("its value is cut", err);
    s->constant = str_sub(*in, 0, (size_t)n);
    *in = str_from(*in, (size_t)n);
    s->classes = slot_classes(s->constant);
    s->min_len = s->max_len = (uint32_t)n;
    return 0;
}

static int take_int(struct str *in, struct slot_stamp *s, struct err *err)
{
    uint64_t range;
    uint8_t width;

    if (!varint_get(in, &s->min) || !varint_get(in, &range) || range > UINT64_MAX - s->min ||
        !take_byte(in, &width))
        return corrupt("least and greatest number", err);
    s->max = s->min + range;
    s->width = width;
    if (width > SLOT_DIGITS_MAX || (width > 0 && slot_digits(s->max) > width))
        return corrupt("number of digits", err);
    s->classes = SLOT_DIGIT;
    s->min_len = width > 0 ? width : slot_digits(s->min);
    s->max_len = width > 0 ? width : slot_digits(s->max);
    return 0;
}

static int take_pairs(struct str *in, struct slot_stamp *s, struct err *err)
{
    uint8_t n;

    if (!take_byte(in, &n) || (n != 0 && n != SLOT_PAIRS) || n > in->n)
        return corrupt("pairs", err);
    if (n > 0)
        s->pairs = (const uint8_t *)in->p;
    *in = str_from(*in, n);
    return 0;
}

static int take_text(struct str *in, struct slot_stamp *s, struct err *err)
{
    uint8_t low;
    uint8_t high;
    uint64_t min;
    uint64_t more;

    if (!take_byte(in, &low) || !take_byte(in, &high))
        return corrupt("no classes", err);
    s->classes = (uint16_t)(low | high << 8);
    if (!varint_get(in, &min) || !varint_get(in, &more) || min > SLOT_TEXT_MAX ||
        more > SLOT_TEXT_MAX - min)
        return corrupt("lengths", err);
    s->min_len = (uint32_t)min;
    s->max_len = (uint32_t)(min + more);
    return s->kind == SLOT_HEX ? 0 : take_pairs(in, s, err);
}

int slot_stamp_take(struct str *in, struct slot_stamp *ret, struct err *err)
{
    struct slot_stamp s = {0};
    uint64_t bytes;
    uint8_t kind;
    int r;

    if (!take_byte(in, &kind) || kind >= SLOT_KINDS)
        return corrupt("unknown kind", err);
    s.kind = (enum slot_kind)kind;
    if (s.kind == SLOT_CONST) {
        r = take_const(in, &s, err);
    } else {
        if (!varint_get(in, &bytes) || bytes == 0 || bytes > SLOT_TEXT_MAX)
            return corrupt("bytes of the column", err);
        s.bytes = (uint32_t)bytes;
        r = s.kind == SLOT_INT ? take_int(in, &s, err) : take_text(in, &s, err);
    }
    if (r == 0)
        *ret = s;
    return r;
}

/* ---- values ---- */

static struct str text_value(const struct slot_view *v, size_t i)
{
    uint32_t from = i == 0 ? 0 : v->end[i - 1];

    return (struct str){v->text.p + from, v->end[i] - from};
}

struct str slot_value(const struct slot_view *v, size_t i, char room[SLOT_ROOM])
{
    switch (v->kind) {
    case SLOT_VIEW_CONST:
        return v->constant;
    case SLOT_VIEW_INT:
        return (struct str){room, slot_print(v->number[i], v->width, room)};
    case SLOT_VIEW_DICT:
        return v->entry[v->id[i]];
    case SLOT_VIEW_TEXT:
        break;
    }
    return text_value(v, i);
}

uint32_t slot_value_bytes(const struct slot_view *v, size_t i)
{
    switch (v->kind) {
    case SLOT_VIEW_CONST:
        return (uint32_t)v->constant.n;
    case SLOT_VIEW_INT:
        return v->width > 0 ? v->width : slot_digits(v->number[i]);
    case SLOT_VIEW_DICT:
        return (uint32_t)v->entry[v->id[i]].n;
    case SLOT_VIEW_TEXT:
        break;
    }
    return (uint32_t)text_value(v, i).n;
}
