/*
 * base/time.c - see time.h.
 *
 * Log lines come in order, so nearly all of them share the ten bytes of a date with the line
 * before: the parser compares them with the last date of this thread and takes its day from there.
 * Digits are checked and summed eight at a time in a 64-bit word (the first character in its lowest
 * byte).
 */
#include "base/time.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

static _Atomic bool clock_is_set;
static _Atomic ts_ns clock_value;

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    (void)clock_gettime(id, &t); /* cannot fail for these clocks */
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

ts_ns time_now(void)
{
    if (atomic_load_explicit(&clock_is_set, memory_order_acquire))
        return atomic_load_explicit(&clock_value, memory_order_relaxed);
    return read_clock(CLOCK_REALTIME);
}

dur_ns time_mono(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

void time_set(ts_ns now)
{
    atomic_store_explicit(&clock_value, now, memory_order_relaxed);
    atomic_store_explicit(&clock_is_set, true, memory_order_release);
}

void time_unset(void)
{
    atomic_store_explicit(&clock_is_set, false, memory_order_release);
}

/* ---- calendar: years begin in March here, so that a leap day is the last of its year ---- */

enum { DAYS_TO_1970 = 719468, DAYS_400_YEARS = 146097 };

struct civil {
    int year, month, day;
};

static int64_t days_of(struct civil c)
{
    int year = c.month <= 2 ? c.year - 1 : c.year;
    int era = (year >= 0 ? year : year - 399) / 400;
    int of_era = year - era * 400;
    int month = c.month > 2 ? c.month - 3 : c.month + 9;
    int of_year = (153 * month + 2) / 5 + c.day - 1;

    return (int64_t)era * DAYS_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           DAYS_TO_1970;
}

static struct civil civil_of(int64_t days)
{
    int64_t z = days + DAYS_TO_1970;
    int64_t era = (z >= 0 ? z : z - (DAYS_400_YEARS - 1)) / DAYS_400_YEARS;
    int of_era = (int)(z - era * DAYS_400_YEARS);
    int year = (of_era - of_era / 1460 + of_era / 36524 - of_era / (DAYS_400_YEARS - 1)) / 365;
    int of_year = of_era - (365 * year + year / 4 - year / 100);
    int month = (5 * of_year + 2) / 153;
    struct civil c = {.year = year + (int)(era * 400),
                      .month = month < 10 ? month + 3 : month - 9,
                      .day = of_year - (153 * month + 2) / 5 + 1};

    if (c.month <= 2)
        c.year++;
    return c;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
        return 29;
    return days[month - 1];
}

static int64_t floor_day(ts_ns t)
{
    return t / NS_PER_DAY - (t % NS_PER_DAY < 0 ? 1 : 0);
}

int32_t time_day(ts_ns t)
{
    struct civil c = civil_of(floor_day(t));

    return (int32_t)(c.year * 10000 + c.month * 100 + c.day);
}

ts_ns time_day_start(ts_ns t)
{
    int64_t day = floor_day(t);
    ts_ns start;

    /* The first, partial day that 64 bits can hold starts before them. */
    return __builtin_mul_overflow(day, NS_PER_DAY, &start) ? INT64_MIN : start;
}

ts_ns time_of_day(int32_t yyyymmdd)
{
    struct civil c = {yyyymmdd / 10000, yyyymmdd / 100 % 100, yyyymmdd % 100};
    ts_ns start;

    if (__builtin_mul_overflow(days_of(c), NS_PER_DAY, &start))
        return c.year < 1970 ? INT64_MIN : INT64_MAX;
    return start;
}

/* ---- parsing RFC 3339 ---- */

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

static uint64_t load8(const char *p)
{
    uint64_t w = 0;

    for (unsigned i = 0; i < 8; i++) /* one load on little-endian machines */
        w |= (uint64_t)(unsigned char)p[i] << (8 * i);
    return w;
}

/* 0x80 in each byte of w that is over 9. */
static uint64_t over9(uint64_t w)
{
    return (((w & EACH_BYTE(0x7f)) + EACH_BYTE(0x76)) | w) & EACH_BYTE(0x80);
}

/* Eight values 0..9, the highest place in the lowest byte, as one number. */
static uint32_t sum8(uint64_t w)
{
    w = (w * 10 + (w >> 8)) & UINT64_C(0x00ff00ff00ff00ff);
    w = (w * 100 + (w >> 16)) & UINT64_C(0x0000ffff0000ffff);
    return (uint32_t)(w * 10000 + (w >> 32));
}

static int two(const char *p)
{
    unsigned a = (unsigned)(unsigned char)p[0] - '0';
    unsigned b = (unsigned)(unsigned char)p[1] - '0';

    return a > 9 || b > 9 ? -1 : (int)(a * 10 + b);
}

/* YYYY-MM-DD to the start of that day. */
static bool parse_date(const char *p, ts_ns *ret)
{
    int hundreds = two(p);
    int years = two(p + 2);
    struct civil c = {hundreds * 100 + years, two(p + 5), two(p + 8)};

    if (hundreds < 0 || years < 0 || p[4] != '-' || p[7] != '-')
        return false;
    if (c.year < 1678 || c.year > 2261 || c.month < 1 || c.month > 12 || c.day < 1 ||
        c.day > days_in_month(c.year, c.month))
        return false;
    *ret = days_of(c) * NS_PER_DAY;
    return true;
}

struct day_cache {
    char text[10];
    ts_ns start;
};
static _Thread_local struct day_cache last_day = {"1970-01-01", 0};

static bool day_of(const char *p, ts_ns *ret)
{
    if (memcmp(p, last_day.text, sizeof(last_day.text)) != 0) {
        ts_ns start;
        if (!parse_date(p, &start))
            return false;
        memcpy(last_day.text, p, sizeof(last_day.text));
        last_day.start = start;
    }
    *ret = last_day.start;
    return true;
}

/* HH:MM:SS in seconds of the day; -1 if it is none.  A leap second counts as the one behind it. */
static int parse_clock(const char *p)
{
    uint64_t w = load8(p) ^ UINT64_C(0x30303a30303a3030);
    int h = (int)(w & 0xff) * 10 + (int)(w >> 8 & 0xff);
    int m = (int)(w >> 24 & 0xff) * 10 + (int)(w >> 32 & 0xff);
    int s = (int)(w >> 48 & 0xff) * 10 + (int)(w >> 56);

    if ((over9(w) | (w & UINT64_C(0x0000ff0000ff0000))) != 0 || h > 23 || m > 59 || s > 60)
        return -1;
    return h * 3600 + m * 60 + s;
}

/* Digits at the start of s, at most 9, as nanoseconds; returns how many, 0 or > 9 being wrong. */
static size_t parse_fraction(struct str s, int64_t *ret)
{
    static const int32_t scale[] = {1000000000, 100000000, 10000000, 1000000, 100000,
                                    10000,      1000,      100,      10,      1};
    uint32_t v = 0;
    size_t n = 0;

    if (s.n >= 8) {
        uint64_t w = load8(s.p) ^ EACH_BYTE(0x30);
        uint64_t stop = over9(w);
        n = stop == 0 ? 8 : (size_t)__builtin_ctzll(stop) / 8;
        if (n == 0)
            return 0;
        v = sum8(w << (8 * (8 - n)));
        if (n < 8)
            s.n = n;
    }
    for (; n < s.n; n++) {
        unsigned digit = (unsigned)(unsigned char)s.p[n] - '0';
        if (digit > 9)
            break;
        if (n == 9)
            return 10;
        v = v * 10 + digit;
    }
    *ret = (int64_t)v * scale[n];
    return n;
}

/* The zone, all of s, in seconds east of UTC. */
static bool parse_zone(struct str s, int *ret)
{
    int h;
    int m;

    *ret = 0;
    if (s.n == 1)
        return s.p[0] == 'Z' || s.p[0] == 'z';
    if (s.n != 6 || (s.p[0] != '+' && s.p[0] != '-') || s.p[3] != ':')
        return false;
    h = two(s.p + 1);
    m = two(s.p + 4);
    if (h < 0 || h > 23 || m < 0 || m > 59)
        return false;
    *ret = (h * 3600 + m * 60) * (s.p[0] == '-' ? -1 : 1);
    return true;
}

bool time_parse_rfc3339(struct str s, ts_ns *ret)
{
    ts_ns day;
    int64_t fraction = 0;
    int seconds;
    int zone;
    size_t at = 19;

    if (s.n < 20 || (s.p[10] != 'T' && s.p[10] != 't' && s.p[10] != ' '))
        return false;
    seconds = parse_clock(s.p + 11);
    if (seconds < 0)
        return false;
    if (s.p[at] == '.') {
        size_t digits = parse_fraction(str_from(s, at + 1), &fraction);
        if (digits == 0 || digits > 9)
            return false;
        at += 1 + digits;
    }
    if (!parse_zone(str_from(s, at), &zone) || !day_of(s.p, &day))
        return false;
    *ret = day + (seconds - zone) * NS_PER_S + fraction;
    return true;
}

/* ---- printing ---- */

static char *put(char *p, uint32_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + digits;
}

/* Date, clock and nine digits, without the zone; returns the end. */
static char *format_instant(ts_ns t, char *p)
{
    int64_t day = floor_day(t);
    struct civil c = civil_of(day);
    int64_t rest = t % NS_PER_DAY;
    uint32_t s;

    if (rest < 0)
        rest += NS_PER_DAY;
    s = (uint32_t)(rest / NS_PER_S);
    p = put(p, (uint32_t)c.year, 4);
    *p++ = '-';
    p = put(p, (uint32_t)c.month, 2);
    *p++ = '-';
    p = put(p, (uint32_t)c.day, 2);
    *p++ = 'T';
    p = put(p, s / 3600, 2);
    *p++ = ':';
    p = put(p, s / 60 % 60, 2);
    *p++ = ':';
    p = put(p, s % 60, 2);
    *p++ = '.';
    return put(p, (uint32_t)(rest % NS_PER_S), 9);
}

static struct str end_with_z(char *dst, char *p)
{
    *p++ = 'Z';
    *p = '\0';
    return (struct str){dst, (size_t)(p - dst)};
}

struct str time_format_rfc3339(ts_ns t, char *dst)
{
    return end_with_z(dst, format_instant(t, dst));
}

struct str time_format_rfc3339nano(ts_ns t, char *dst)
{
    char *p = format_instant(t, dst);

    while (p[-1] == '0')
        p--;
    if (p[-1] == '.')
        p--;
    return end_with_z(dst, p);
}

/* ---- durations ---- */

static const struct unit {
    char name[3];
    bool whole_only; /* printed only when nothing is left over: 90d reads better than 12w6d */
    uint64_t ns;
} units[] = {
    {"y", true, 365 * (uint64_t)NS_PER_DAY},
    {"w", true, 7 * (uint64_t)NS_PER_DAY},
    {"d", false, (uint64_t)NS_PER_DAY},
    {"h", false, (uint64_t)NS_PER_H},
    {"m", false, (uint64_t)NS_PER_MIN},
    {"s", false, (uint64_t)NS_PER_S},
    {"ms", false, (uint64_t)NS_PER_MS},
    {"us", false, (uint64_t)NS_PER_US},
    {"ns", false, 1},
};
enum { UNITS = sizeof(units) / sizeof(units[0]) };

/* The unit at the start of s; UNITS if there is none. */
static size_t unit_at(struct str s)
{
    size_t n = 0;

    while (n < s.n && s.p[n] >= 'a' && s.p[n] <= 'z')
        n++;
    for (size_t i = 0; i < UNITS; i++)
        if (str_eq(str_sub(s, 0, n), str_of(units[i].name)))
            return i;
    return UNITS;
}

/* One number and its unit off the front of *s; units must come in falling order, from *next on. */
static bool parse_part(struct str *s, size_t *next, uint64_t *sum)
{
    size_t n = 0;
    size_t unit;
    uint64_t v;

    while (n < s->n && s->p[n] >= '0' && s->p[n] <= '9')
        n++;
    if (!str_to_u64(str_sub(*s, 0, n), &v))
        return false;
    *s = str_from(*s, n);
    unit = unit_at(*s);
    if (unit == UNITS || unit < *next)
        return false;
    *s = str_from(*s, strlen(units[unit].name));
    *next = unit + 1;
    return !__builtin_mul_overflow(v, units[unit].ns, &v) && !__builtin_add_overflow(*sum, v, sum);
}

bool dur_parse(struct str s, bool negative_ok, dur_ns *ret)
{
    bool minus = negative_ok && s.n > 0 && s.p[0] == '-';
    uint64_t sum = 0;
    size_t next = 0;

    if (minus)
        s = str_from(s, 1);
    if (s.n == 0)
        return false;
    if (!str_eq(s, STR("0")))
        while (s.n > 0)
            if (!parse_part(&s, &next, &sum))
                return false;
    if (sum > (uint64_t)INT64_MAX + (minus ? 1 : 0))
        return false;
    *ret = minus && sum > 0 ? -(dur_ns)(sum - 1) - 1 : (dur_ns)sum;
    return true;
}

struct str dur_format(dur_ns d, char *dst)
{
    uint64_t left = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
    char *p = dst;

    if (d < 0)
        *p++ = '-';
    for (size_t i = 0; i < UNITS; i++) {
        uint64_t v = left / units[i].ns;
        int digits = 1;
        if (v == 0 || (units[i].whole_only && left % units[i].ns != 0))
            continue;
        left %= units[i].ns;
        for (uint64_t power = 10; power <= v; power *= 10)
            digits++;
        p = put(p, (uint32_t)v, digits); /* at most 106751 days */
        for (const char *name = units[i].name; *name != '\0'; name++)
            *p++ = *name;
    }
    if (p == dst) {
        *p++ = '0';
        *p++ = 's';
    }
    *p = '\0';
    return (struct str){dst, (size_t)(p - dst)};
}
