/* collector/journal_place.c - contract: journal_place.h. */
#include "collector/journal_place.h"

enum { DIGITS_MAX = 16 };

static bool take_hex(struct str s, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > DIGITS_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                                                : 16;
        if (digit == 16)
            return false;
        v = v << 4 | digit;
    }
    *ret = v;
    return true;
}

bool journal_place_parse(struct str cursor, struct journal_place *ret)
{
    struct journal_place p = {.number = 0};
    unsigned seen = 0;

    while (cursor.n > 0) {
        struct str part = str_cut(&cursor, ';');
        struct str value = str_from(part, 2);
        unsigned bit = 0;
        bool ok = true;
        if (str_starts(part, STR("s="))) {
            p.source = value;
            bit = 1;
        } else if (str_starts(part, STR("b="))) {
            p.boot = value;
            bit = 2;
        } else if (str_starts(part, STR("i="))) {
            ok = take_hex(value, &p.number);
            bit = 4;
        } else if (str_starts(part, STR("m="))) {
            ok = take_hex(value, &p.mono);
            bit = 8;
        } else if (str_starts(part, STR("t="))) {
            ok = take_hex(value, &p.real);
            bit = 16;
        } else if (str_starts(part, STR("x="))) {
            ok = take_hex(value, &p.hash);
            bit = 32;
        } /* a part that is not known yet decides nothing */
        if (!ok)
            return false;
        seen |= bit;
    }
    if (seen != 63 || p.source.n == 0 || p.boot.n == 0)
        return false;
    *ret = p;
    return true;
}

static int cmp(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int journal_place_cmp(const struct journal_place *a, const struct journal_place *b)
{
    int r = 0;

    if (str_eq(a->source, b->source))
        r = cmp(a->number, b->number);
    if (r == 0 && str_eq(a->boot, b->boot))
        r = cmp(a->mono, b->mono);
    if (r == 0)
        r = cmp(a->real, b->real);
    return r != 0 ? r : cmp(a->hash, b->hash);
}

bool journal_place_follows(const struct journal_place *a, const struct journal_place *b)
{
    return str_eq(a->source, b->source) && b->number == a->number + 1;
}

struct str journal_place_short(struct str cursor, struct str beside)
{
    struct journal_place a, b;
    struct str rest = cursor, part;

    if (!journal_place_parse(cursor, &a) || !journal_place_parse(beside, &b) ||
        !str_eq(a.source, b.source))
        return cursor;
    do
        part = str_cut(&rest, ';');
    while (!str_starts(part, STR("i="))); /* it has one */
    return str_from(part, 2);
}

bool journal_place_is(struct str written, struct str beside, struct str cursor)
{
    struct journal_place a, b;
    uint64_t number;

    if (str_find_char(written, '=') < written.n)
        return str_eq(written, cursor);
    return take_hex(written, &number) && journal_place_parse(cursor, &a) &&
           journal_place_parse(beside, &b) && str_eq(a.source, b.source) && a.number == number;
}
