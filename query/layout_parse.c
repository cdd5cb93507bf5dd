/*
 * query/layout_parse.c - reading a time by its layout, see layout.h.
 *
 * As Go reads: blanks may be many, a fraction of a second may come without being asked for, what a
 * text leaves out is the first of January of year 0.
 */
#include "query/layout.h"
#include "query/layout_item.h"

#include <string.h>

struct reader {
    struct str text; /* what is left */
    int64_t year;
    int month, day, yearday; /* < 0: not given */
    int hour, minute, second;
    int32_t nsec;
    bool pm, am;
    bool utc;
    bool has_offset;
    int32_t offset;
    struct str abbrev;
};

static bool is_digit(struct str s, size_t at)
{
    return at < s.n && s.p[at] >= '0' && s.p[at] <= '9';
}

/* `n` digits at the beginning. */
static bool take_digits(struct str *s, size_t n, int *ret)
{
    int v = 0;

    for (size_t i = 0; i < n; i++) {
        if (!is_digit(*s, i))
            return false;
        v = v * 10 + (s->p[i] - '0');
    }
    *s = str_from(*s, n);
    *ret = v;
    return true;
}

/* Up to `most` digits; exactly so many if `fixed`. */
static bool take_number(struct str *s, size_t most, bool fixed, int *ret)
{
    size_t n = 0;

    while (n < most && is_digit(*s, n))
        n++;
    return n > 0 && (!fixed || n == most) && take_digits(s, n, ret);
}

/* Literal text; a blank of it is any number of them. */
static bool skip(struct str *s, struct str literal)
{
    while (literal.n > 0) {
        if (literal.p[0] == ' ') {
            if (s->n > 0 && s->p[0] != ' ')
                return false;
            while (literal.n > 0 && literal.p[0] == ' ')
                literal = str_from(literal, 1);
            while (s->n > 0 && s->p[0] == ' ')
                *s = str_from(*s, 1);
            continue;
        }
        if (s->n == 0 || s->p[0] != literal.p[0])
            return false;
        literal = str_from(literal, 1);
        *s = str_from(*s, 1);
    }
    return true;
}

/* ---- dates ---- */

static bool take_month(struct reader *r, bool whole)
{
    for (unsigned m = 1; m <= 12; m++) {
        size_t n = whole ? strlen(layout_month(m)) : 3;
        if (str_eq_nocase(str_sub(r->text, 0, n), (struct str){layout_month(m), n})) {
            r->text = str_from(r->text, n);
            r->month = (int)m;
            return true;
        }
    }
    return false;
}

static bool take_weekday(struct reader *r, bool whole)
{
    for (unsigned d = 0; d < 7; d++) {
        size_t n = whole ? strlen(layout_weekday(d)) : 3;
        if (str_eq_nocase(str_sub(r->text, 0, n), (struct str){layout_weekday(d), n})) {
            r->text = str_from(r->text, n);
            return true;
        }
    }
    return false;
}

static void skip_blanks(struct reader *r, size_t most)
{
    for (; most > 0 && r->text.n > 0 && r->text.p[0] == ' '; most--)
        r->text = str_from(r->text, 1);
}

static bool take_year(struct reader *r, size_t digits)
{
    int v;

    if (!take_digits(&r->text, digits, &v))
        return false;
    r->year = digits == 4 ? v : v >= 69 ? 1900 + v : 2000 + v;
    return true;
}

/* 1: read; 0: it does not fit; -1: the item is none of a date. */
static int take_date(struct reader *r, enum layout_item item)
{
    if (item == LAYOUT_LONG_YEAR || item == LAYOUT_YEAR)
        return take_year(r, item == LAYOUT_YEAR ? 2 : 4);
    if (item == LAYOUT_MONTH || item == LAYOUT_LONG_MONTH)
        return take_month(r, item == LAYOUT_LONG_MONTH);
    if (item == LAYOUT_WEEKDAY || item == LAYOUT_LONG_WEEKDAY)
        return take_weekday(r, item == LAYOUT_LONG_WEEKDAY);
    if (item == LAYOUT_NUM_MONTH || item == LAYOUT_ZERO_MONTH)
        return take_number(&r->text, 2, item == LAYOUT_ZERO_MONTH, &r->month) && r->month >= 1 &&
               r->month <= 12;
    if (item == LAYOUT_DAY || item == LAYOUT_ZERO_DAY || item == LAYOUT_UNDER_DAY) {
        skip_blanks(r, item == LAYOUT_UNDER_DAY);
        return take_number(&r->text, 2, item == LAYOUT_ZERO_DAY, &r->day);
    }
    if (item == LAYOUT_ZERO_YEARDAY || item == LAYOUT_UNDER_YEARDAY) {
        skip_blanks(r, item == LAYOUT_UNDER_YEARDAY ? 2 : 0);
        return take_number(&r->text, 3, item == LAYOUT_ZERO_YEARDAY, &r->yearday);
    }
    return -1;
}

/* ---- clocks ---- */

/* A point and `n` - 1 digits; those behind the ninth are dropped. */
static bool take_fraction(struct reader *r, size_t n)
{
    int32_t v = 0;

    if (r->text.n < n || (r->text.p[0] != '.' && r->text.p[0] != ','))
        return false;
    for (size_t i = 1; i < n && i <= 9; i++) {
        if (!is_digit(r->text, i))
            return false;
        v = v * 10 + (r->text.p[i] - '0');
    }
    for (size_t i = n; i <= 9; i++)
        v *= 10;
    r->nsec = v;
    r->text = str_from(r->text, n);
    return true;
}

static size_t fraction_length(struct str s)
{
    size_t n = 1;

    if (s.n < 2 || (s.p[0] != '.' && s.p[0] != ',') || !is_digit(s, 1))
        return 0;
    while (is_digit(s, n))
        n++;
    return n;
}

static bool take_second(struct reader *r, bool fixed, struct str layout)
{
    struct layout_piece next;
    size_t n;

    if (!take_number(&r->text, 2, fixed, &r->second) || r->second >= 60)
        return false;
    n = fraction_length(r->text);
    layout_next(&layout, &next);
    if (n == 0 || next.item == LAYOUT_FRACTION_0 || next.item == LAYOUT_FRACTION_9)
        return true;
    return take_fraction(r, n);
}

static bool take_half(struct reader *r, bool upper)
{
    struct str s = str_sub(r->text, 0, 2);

    r->text = str_from(r->text, 2);
    r->pm = str_eq(s, upper ? STR("PM") : STR("pm"));
    r->am = str_eq(s, upper ? STR("AM") : STR("am"));
    return r->pm || r->am;
}

/* `layout`: what follows the item. */
static int take_clock(struct reader *r, const struct layout_piece *p, struct str layout)
{
    enum layout_item i = p->item;
    size_t n;

    if (i == LAYOUT_HOUR)
        return take_number(&r->text, 2, false, &r->hour) && r->hour < 24;
    if (i == LAYOUT_HOUR12 || i == LAYOUT_ZERO_HOUR12)
        return take_number(&r->text, 2, i == LAYOUT_ZERO_HOUR12, &r->hour) && r->hour <= 12;
    if (i == LAYOUT_MINUTE || i == LAYOUT_ZERO_MINUTE)
        return take_number(&r->text, 2, i == LAYOUT_ZERO_MINUTE, &r->minute) && r->minute < 60;
    if (i == LAYOUT_SECOND || i == LAYOUT_ZERO_SECOND)
        return take_second(r, i == LAYOUT_ZERO_SECOND, layout);
    if (i == LAYOUT_PM_UPPER || i == LAYOUT_PM_LOWER)
        return take_half(r, i == LAYOUT_PM_UPPER);
    if (i == LAYOUT_FRACTION_0)
        return take_fraction(r, p->text.n);
    if (i != LAYOUT_FRACTION_9)
        return -1;
    n = fraction_length(r->text);
    return n == 0 || take_fraction(r, n);
}

/* ---- zones ---- */

static bool take_offset(struct reader *r, enum layout_item item)
{
    bool colon = item == LAYOUT_ZONE_COLON || item == LAYOUT_ISO_COLON ||
                 item == LAYOUT_ZONE_COLON_SECONDS || item == LAYOUT_ISO_COLON_SECONDS;
    bool seconds = item == LAYOUT_ZONE_SECONDS || item == LAYOUT_ISO_SECONDS ||
                   item == LAYOUT_ZONE_COLON_SECONDS || item == LAYOUT_ISO_COLON_SECONDS;
    bool minutes = item != LAYOUT_ZONE_SHORT && item != LAYOUT_ISO_SHORT;
    int h = 0;
    int m = 0;
    int s = 0;
    bool negative;

    if (layout_is_iso(item) && str_starts(r->text, STR("Z"))) {
        r->text = str_from(r->text, 1);
        r->utc = true;
        return true;
    }
    if (!str_starts(r->text, STR("+")) && !str_starts(r->text, STR("-")))
        return false;
    negative = r->text.p[0] == '-';
    r->text = str_from(r->text, 1);
    if (!take_digits(&r->text, 2, &h) || (minutes && colon && !skip(&r->text, STR(":"))) ||
        (minutes && !take_digits(&r->text, 2, &m)) ||
        (seconds && colon && !skip(&r->text, STR(":"))) ||
        (seconds && !take_digits(&r->text, 2, &s)) || h > 24 || m > 60 || s > 60)
        return false;
    r->has_offset = true;
    r->offset = h * 3600 + m * 60 + s;
    r->offset = negative ? -r->offset : r->offset;
    return true;
}

/* Bytes of +3 or -11 at the beginning; 0: there is none. */
static size_t signed_hours(struct str s, int *ret)
{
    size_t n = 1;
    int v = 0;

    if (s.n == 0 || (s.p[0] != '+' && s.p[0] != '-'))
        return 0;
    for (; is_digit(s, n) && n < 4; n++)
        v = v * 10 + (s.p[n] - '0');
    *ret = s.p[0] == '-' ? -v : v;
    return n > 1 && v <= 23 ? n : 0;
}

/* Bytes of an abbreviation of a zone at the beginning; 0: there is none. */
static size_t abbrev_length(struct str s)
{
    size_t n = 0;
    int hours;

    if (s.n < 3)
        return 0;
    if (str_starts(s, STR("ChST")) || str_starts(s, STR("MeST")))
        return 4;
    if (str_starts(s, STR("GMT")))
        return 3 + signed_hours(str_from(s, 3), &hours);
    if (s.p[0] == '+' || s.p[0] == '-')
        return signed_hours(s, &hours);
    while (n < s.n && n < 6 && s.p[n] >= 'A' && s.p[n] <= 'Z')
        n++;
    if (n == 5)
        return s.p[4] == 'T' ? 5 : 0;
    if (n == 4)
        return s.p[3] == 'T' || str_starts(s, STR("WITA")) ? 4 : 0;
    return n == 3 ? 3 : 0;
}

static bool take_abbrev(struct reader *r)
{
    size_t n;

    if (str_starts(r->text, STR("UTC"))) {
        r->text = str_from(r->text, 3);
        r->utc = true;
        return true;
    }
    n = abbrev_length(r->text);
    r->abbrev = str_sub(r->text, 0, n);
    r->text = str_from(r->text, n);
    return n > 0;
}

/* ---- all of it ---- */

static bool take_all(struct reader *r, struct str layout)
{
    struct layout_piece p;

    for (;;) {
        int ok;
        layout_next(&layout, &p);
        if (!skip(&r->text, p.before))
            return false;
        if (p.item == LAYOUT_END)
            return r->text.n == 0;
        ok = take_date(r, p.item);
        if (ok < 0)
            ok = take_clock(r, &p, layout);
        if (ok < 0)
            ok = p.item == LAYOUT_ABBREV ? take_abbrev(r) : take_offset(r, p.item);
        if (!ok)
            return false;
    }
}

/* Month and day of a day of the year. */
static bool place_yearday(struct reader *r)
{
    int left = r->yearday;
    int month = 1;

    if (left < 1)
        return false;
    while (month <= 12 && left > (int)civil_month_days(r->year, (unsigned)month))
        left -= (int)civil_month_days(r->year, (unsigned)month++);
    if (month > 12 || (r->month >= 0 && r->month != month) || (r->day >= 0 && r->day != left))
        return false;
    r->month = month;
    r->day = left;
    return true;
}

static void name_zone(struct zone *made, struct str abbrev, int32_t seconds)
{
    *made = (struct zone){.rules = NULL, .fixed = {.seconds = seconds}};
    (void)str_to_z(abbrev, made->fixed.abbrev, sizeof(made->fixed.abbrev));
}

/* What the reader knows of a zone, applied to `local`, its seconds as a clock shows them. */
static void place(const struct reader *r, int64_t local, const struct zone *zone, struct zone *made,
                  struct instant *ret)
{
    struct zone_offset o;
    int32_t seconds = 0;
    int hours = 0;

    ret->zone = zone;
    if (r->utc) {
        ret->zone = NULL;
        ret->unix_s = local;
    } else if (r->has_offset) {
        ret->unix_s = local - r->offset;
        zone_at(zone, ret->unix_s, &o);
        if (o.seconds == r->offset && (r->abbrev.n == 0 || str_eq(r->abbrev, str_of(o.abbrev))))
            return;
        name_zone(made, r->abbrev, r->offset);
        ret->zone = made;
    } else if (r->abbrev.n > 0) {
        if (zone_abbrev(zone, r->abbrev, local, &seconds)) {
            ret->unix_s = local - seconds;
            return;
        }
        if (r->abbrev.n > 3 && str_starts(r->abbrev, STR("GMT")) &&
            signed_hours(str_from(r->abbrev, 3), &hours) > 0)
            seconds = hours * 3600;
        name_zone(made, r->abbrev, seconds);
        ret->zone = made;
        ret->unix_s = local; /* as if in UTC, GMT+3 too: so does Go */
    } else {
        ret->unix_s = zone_instant(zone, local);
    }
}

bool layout_parse(struct str layout, struct str text, const struct zone *zone, struct zone *made,
                  struct instant *ret)
{
    struct reader r = {.text = text, .month = -1, .day = -1, .yearday = -1};
    struct civil c;

    if (!take_all(&r, layout))
        return false;
    if (r.pm && r.hour < 12)
        r.hour += 12;
    else if (r.am && r.hour == 12)
        r.hour = 0;
    if (r.yearday >= 0 && !place_yearday(&r))
        return false;
    r.month = r.month < 0 ? 1 : r.month;
    r.day = r.day < 0 ? 1 : r.day;
    if (r.day < 1 || r.day > (int)civil_month_days(r.year, (unsigned)r.month))
        return false;
    c = (struct civil){.year = r.year,
                       .month = (unsigned)r.month,
                       .day = (unsigned)r.day,
                       .hour = (unsigned)r.hour,
                       .minute = (unsigned)r.minute,
                       .second = (unsigned)r.second};
    ret->nsec = r.nsec;
    place(&r, civil_seconds(&c), zone, made, ret);
    return true;
}
