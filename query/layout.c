/* query/layout.c - pieces of a layout, names, and printing, see layout.h. */
#include "query/layout.h"

#include "query/layout_item.h"

#include <inttypes.h>
#include <stdlib.h>

const char *layout_month(unsigned month)
{
    static const char *const names[] = {"January",   "February", "March",    "April",
                                        "May",       "June",     "July",     "August",
                                        "September", "October",  "November", "December"};

    return names[month - 1];
}

const char *layout_weekday(unsigned day)
{
    static const char *const names[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                        "Thursday", "Friday", "Saturday"};

    return names[day];
}

/* ---- pieces ---- */

static bool is_digit(struct str s, size_t at)
{
    return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

/* Bytes of a fraction at the beginning of `s`: a point and zeros, or nines, that end there. */
static size_t fraction_length(struct str s)
{
    size_t n = 1;

    if (s.n < 2 || (s.p[0] != '.' && s.p[0] != ',') || (s.p[1] != '0' && s.p[1] != '9'))
        return 0;
    while (n < s.n && s.p[n] == s.p[1])
        n++;
    return is_digit(s, n) ? 0 : n;
}

static bool is_item(struct str s, enum layout_item item, struct str text)
{
    if (!str_starts(s, text))
        return false;
    if (item == LAYOUT_MONTH || item == LAYOUT_WEEKDAY) /* "Janet" is no month */
        return !(s.n > 3 && s.p[3] >= 'a' && s.p[3] <= 'z');
    return item != LAYOUT_UNDER_DAY || !str_starts(s, STR("_2006"));
}

/* Which item begins at `s`; LAYOUT_END: none. */
static enum layout_item item_at(struct str s, size_t *n)
{
    static const struct str texts[] = {{NULL, 0},
#define X(name, text) STR_INIT(text),
                                       LAYOUT_ITEMS(X)
#undef X
    };

    for (unsigned i = 1; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].p[0] == s.p[0] && is_item(s, (enum layout_item)i, texts[i])) {
            *n = texts[i].n;
            return (enum layout_item)i;
        }
    }
    *n = fraction_length(s);
    if (*n > 0)
        return s.p[1] == '0' ? LAYOUT_FRACTION_0 : LAYOUT_FRACTION_9;
    return LAYOUT_END;
}

void layout_next(struct str *layout, struct layout_piece *ret)
{
    for (size_t at = 0; at < layout->n; at++) {
        size_t n;
        enum layout_item item = item_at(str_from(*layout, at), &n);
        if (item == LAYOUT_END)
            continue;
        *ret = (struct layout_piece){str_sub(*layout, 0, at), item, str_sub(*layout, at, n)};
        *layout = str_from(*layout, at + n);
        return;
    }
    *ret = (struct layout_piece){.before = *layout, .item = LAYOUT_END};
    *layout = STR_NULL;
}

/* ---- printing ---- */

static void add_number(struct buf *out, int64_t v, int width)
{
    buf_addf(out, v < 0 ? "-%0*" PRIu64 : "%0*" PRIu64, width,
             v < 0 ? 0 - (uint64_t)v : (uint64_t)v);
}

static void add_fraction(struct buf *out, const struct layout_piece *p, int32_t nsec)
{
    char digits[9];
    size_t n = p->text.n - 1 < sizeof(digits) ? p->text.n - 1 : sizeof(digits);

    for (size_t i = sizeof(digits); i-- > 0; nsec /= 10)
        digits[i] = (char)('0' + nsec % 10);
    if (p->item == LAYOUT_FRACTION_9) {
        while (n > 0 && digits[n - 1] == '0')
            n--;
        if (n == 0)
            return;
    }
    buf_add_char(out, p->text.p[0]);
    buf_add(out, digits, n);
}

static void add_zone(struct buf *out, enum layout_item item, int32_t seconds)
{
    unsigned s = (unsigned)abs(seconds);
    bool colon = item == LAYOUT_ZONE_COLON || item == LAYOUT_ISO_COLON ||
                 item == LAYOUT_ZONE_COLON_SECONDS || item == LAYOUT_ISO_COLON_SECONDS;

    if (layout_is_iso(item) && seconds == 0) {
        buf_add_char(out, 'Z');
        return;
    }
    buf_addf(out, "%c%02u", seconds / 60 < 0 ? '-' : '+', s / 3600);
    if (item == LAYOUT_ZONE_SHORT || item == LAYOUT_ISO_SHORT)
        return;
    buf_addf(out, colon ? ":%02u" : "%02u", s / 60 % 60);
    if (item == LAYOUT_ZONE_SECONDS || item == LAYOUT_ISO_SECONDS ||
        item == LAYOUT_ZONE_COLON_SECONDS || item == LAYOUT_ISO_COLON_SECONDS)
        buf_addf(out, colon ? ":%02u" : "%02u", s % 60);
}

static void add_abbrev(struct buf *out, const struct zone_offset *o)
{
    unsigned minutes = (unsigned)abs(o->seconds / 60);

    if (o->abbrev[0] != '\0')
        buf_add_z(out, o->abbrev);
    else
        buf_addf(out, "%c%02u%02u", o->seconds < 0 ? '-' : '+', minutes / 60, minutes % 60);
}

/* Items of dates; false: it is none. */
static bool add_date(struct buf *out, enum layout_item item, const struct civil *c)
{
    if (item == LAYOUT_LONG_MONTH)
        buf_add_z(out, layout_month(c->month));
    else if (item == LAYOUT_MONTH)
        buf_add(out, layout_month(c->month), 3);
    else if (item == LAYOUT_LONG_WEEKDAY)
        buf_add_z(out, layout_weekday(c->weekday));
    else if (item == LAYOUT_WEEKDAY)
        buf_add(out, layout_weekday(c->weekday), 3);
    else if (item == LAYOUT_LONG_YEAR)
        add_number(out, c->year, 4);
    else if (item == LAYOUT_YEAR)
        add_number(out, c->year < 0 ? 0 : c->year % 100, 2);
    else if (item == LAYOUT_NUM_MONTH || item == LAYOUT_ZERO_MONTH)
        add_number(out, c->month, item == LAYOUT_ZERO_MONTH ? 2 : 1);
    else if (item == LAYOUT_DAY || item == LAYOUT_ZERO_DAY)
        add_number(out, c->day, item == LAYOUT_ZERO_DAY ? 2 : 1);
    else if (item == LAYOUT_UNDER_DAY)
        buf_addf(out, "%2u", c->day);
    else if (item == LAYOUT_ZERO_YEARDAY)
        add_number(out, c->yearday, 3);
    else if (item == LAYOUT_UNDER_YEARDAY)
        buf_addf(out, "%3u", c->yearday);
    else
        return false;
    return true;
}

static void add_clock(struct buf *out, enum layout_item item, const struct civil *c)
{
    unsigned hour12 = c->hour % 12 == 0 ? 12 : c->hour % 12;

    if (item == LAYOUT_HOUR)
        add_number(out, c->hour, 2);
    else if (item == LAYOUT_HOUR12 || item == LAYOUT_ZERO_HOUR12)
        add_number(out, hour12, item == LAYOUT_ZERO_HOUR12 ? 2 : 1);
    else if (item == LAYOUT_MINUTE || item == LAYOUT_ZERO_MINUTE)
        add_number(out, c->minute, item == LAYOUT_ZERO_MINUTE ? 2 : 1);
    else if (item == LAYOUT_SECOND || item == LAYOUT_ZERO_SECOND)
        add_number(out, c->second, item == LAYOUT_ZERO_SECOND ? 2 : 1);
    else if (item == LAYOUT_PM_UPPER)
        buf_add_z(out, c->hour >= 12 ? "PM" : "AM");
    else if (item == LAYOUT_PM_LOWER)
        buf_add_z(out, c->hour >= 12 ? "pm" : "am");
}

void layout_print(struct str layout, const struct instant *t, struct buf *out)
{
    struct layout_piece p;
    struct zone_offset o;
    struct civil c;

    zone_at(t->zone, t->unix_s, &o);
    civil_of(t->unix_s + o.seconds, &c);
    do {
        layout_next(&layout, &p);
        buf_add_str(out, p.before);
        if (p.item == LAYOUT_FRACTION_0 || p.item == LAYOUT_FRACTION_9)
            add_fraction(out, &p, t->nsec);
        else if (layout_is_zone(p.item))
            add_zone(out, p.item, o.seconds);
        else if (p.item == LAYOUT_ABBREV)
            add_abbrev(out, &o);
        else if (!add_date(out, p.item, &c))
            add_clock(out, p.item, &c);
    } while (p.item != LAYOUT_END && !out->over);
}
