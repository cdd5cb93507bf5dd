/* query/units.c - see units.h. */
#include "query/units.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_MAX = 400 }; /* longer texts are no numbers that anybody writes */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* ---- floats ---- */

/* Digits (hexadecimal if `hex`) with single `_` between them, copied to *to without those.  Returns
 * their number, or -1 if a `_` stands wrong. */
static int copy_digits(const char **p, const char *end, bool hex, char **to)
{
    int n = 0;

    for (; *p < end; (*p)++) {
        if (**p == '_') {
            if (n == 0 || end - *p < 2 || (hex ? !is_hex((*p)[1]) : !is_digit((*p)[1])))
                return -1;
            continue;
        }
        if (hex ? !is_hex(**p) : !is_digit(**p))
            break;
        *(*to)++ = **p;
        n++;
    }
    return n;
}

static bool copy_exponent(const char **p, const char *end, char **to)
{
    *(*to)++ = *(*p)++;
    if (*p < end && (**p == '+' || **p == '-'))
        *(*to)++ = *(*p)++;
    return copy_digits(p, end, false, to) > 0;
}

static bool is_named_float(struct str s)
{
    return str_eq_nocase(s, STR("inf")) || str_eq_nocase(s, STR("infinity")) ||
           str_eq_nocase(s, STR("nan"));
}

/* Rewrites the number as strtod reads it.  false: Go would not take it. */
static bool normalize(struct str s, char *to)
{
    const char *p = s.p;
    const char *end = p + s.n;
    bool hex = false;
    int whole;
    int part = 0;

    if (p < end && (*p == '+' || *p == '-'))
        *to++ = *p++;
    if (is_named_float((struct str){p, (size_t)(end - p)})) {
        memcpy(to, p, (size_t)(end - p));
        to[end - p] = '\0';
        return true;
    }
    if (end - p > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X')) {
        hex = true;
        *to++ = *p++;
        *to++ = *p++;
    }
    whole = copy_digits(&p, end, hex, &to);
    if (whole >= 0 && p < end && *p == '.') {
        *to++ = *p++;
        part = copy_digits(&p, end, hex, &to);
    }
    if (whole < 0 || part < 0 || whole + part == 0)
        return false;
    if (hex && (p == end || (*p != 'p' && *p != 'P')))
        return false;
    if (p < end && (hex || *p == 'e' || *p == 'E') && !copy_exponent(&p, end, &to))
        return false;
    *to = '\0';
    return p == end;
}

/* Most numbers: so few digits that a double holds them. */
static bool plain_digits(struct str s, double *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 15)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        v = v * 10 + (uint64_t)(s.p[i] - '0');
    }
    *ret = (double)v;
    return true;
}

bool units_parse_float(struct str s, double *ret)
{
    char text[NUMBER_MAX + 1];
    double v;

    if (plain_digits(s, ret))
        return true;
    if (s.n == 0 || s.n > NUMBER_MAX || !normalize(s, text))
        return false;
    v = strtod(text, NULL);
    if (isinf(v) && !is_named_float(str_from(s, s.p[0] == '+' || s.p[0] == '-')))
        return false;
    *ret = v;
    return true;
}

/* ---- durations ---- */

struct unit {
    struct str name;
    dur_ns ns;
};

/* Position of the unit that is all of `s` in `v` of `n`, or n. */
static size_t find_unit(const struct unit *v, size_t n, struct str s)
{
    size_t i = 0;

    while (i < n && (s.n == 0 || s.p[0] != v[i].name.p[0] || !str_eq(s, v[i].name)))
        i++;
    return i;
}

/* *sum += whole * ns + part / scale * ns; false when it does not fit in 63 bits. */
static bool add_group(uint64_t *sum, uint64_t whole, double part, double scale, dur_ns ns)
{
    uint64_t group;

    if (__builtin_mul_overflow(whole, (uint64_t)ns, &group))
        return false;
    if (part > 0 && /* seldom, and a division takes as long as all the rest */
        __builtin_add_overflow(group, (uint64_t)(part * ((double)ns / scale)), &group))
        return false;
    if (__builtin_add_overflow(*sum, group, sum))
        return false;
    return *sum <= INT64_MAX;
}

/* One group "12.5ms" of a Go duration at *p. */
static enum units_fault go_group(const char **p, const char *end, uint64_t *sum, struct str *name)
{
    static const struct unit units[] = {{STR_INIT("ns"), 1},
                                        {STR_INIT("us"), NS_PER_US},
                                        {STR_INIT("\xc2\xb5s"), NS_PER_US},
                                        {STR_INIT("\xce\xbcs"), NS_PER_US},
                                        {STR_INIT("ms"), NS_PER_MS},
                                        {STR_INIT("s"), NS_PER_S},
                                        {STR_INIT("m"), NS_PER_MIN},
                                        {STR_INIT("h"), NS_PER_H}};
    const size_t n_units = sizeof(units) / sizeof(units[0]);
    uint64_t whole = 0;
    double part = 0;
    double scale = 1;
    const char *begin = *p;
    const char *unit;
    size_t i;

    for (; *p < end && is_digit(**p); (*p)++) {
        if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
            __builtin_add_overflow(whole, (uint64_t)(**p - '0'), &whole))
            return UNITS_INVALID;
    }
    if (*p < end && **p == '.') {
        (*p)++;
        if (*p - begin == 1 && (*p == end || !is_digit(**p)))
            return UNITS_INVALID;
        for (; *p < end && is_digit(**p); (*p)++) {
            if (scale < 1e15) { /* further digits are below a nanosecond */
                scale *= 10;
                part = part * 10 + (**p - '0');
            }
        }
    }
    if (*p == begin)
        return UNITS_INVALID;
    unit = *p;
    while (*p < end && **p != '.' && !is_digit(**p))
        (*p)++;
    if (*p == unit)
        return UNITS_NO_UNIT;
    *name = (struct str){unit, (size_t)(*p - unit)};
    i = find_unit(units, n_units, *name);
    if (i == n_units)
        return UNITS_UNKNOWN_UNIT;
    return add_group(sum, whole, part, scale, units[i].ns) ? UNITS_OK : UNITS_INVALID;
}

enum units_fault units_parse_go_duration(struct str s, dur_ns *ret, struct str *unit)
{
    const char *p = s.p;
    const char *end = p + s.n;
    struct str ignored;
    bool negative = false;
    uint64_t sum = 0;

    if (s.n > 0 && (*p == '-' || *p == '+'))
        negative = *p++ == '-';
    if (s.n == 0 || p == end)
        return UNITS_INVALID;
    if (end - p == 1 && *p == '0') {
        *ret = 0;
        return UNITS_OK;
    }
    while (p < end) {
        enum units_fault fault = go_group(&p, end, &sum, unit == NULL ? &ignored : unit);
        if (fault != UNITS_OK)
            return fault;
    }
    *ret = negative ? -(dur_ns)sum : (dur_ns)sum;
    return UNITS_OK;
}

/* The first two are written alone: so is 8d, not 1w1d. */
static const struct unit range_units[] = {
    {STR_INIT("y"), 365 * NS_PER_DAY}, {STR_INIT("w"), 7 * NS_PER_DAY}, {STR_INIT("d"), NS_PER_DAY},
    {STR_INIT("h"), NS_PER_H},         {STR_INIT("m"), NS_PER_MIN},     {STR_INIT("s"), NS_PER_S},
    {STR_INIT("ms"), NS_PER_MS}};
enum { N_RANGE_UNITS = sizeof(range_units) / sizeof(range_units[0]) };

bool units_parse_range(struct str s, dur_ns *ret)
{
    size_t next = 0; /* units before it may not come any more */
    size_t at = 0;
    uint64_t sum = 0;

    if (s.n == 1 && s.p[0] == '0') {
        *ret = 0;
        return true;
    }
    while (at < s.n) {
        uint64_t whole = 0;
        size_t digits = at;
        size_t unit;
        while (at < s.n && is_digit(s.p[at])) {
            if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
                __builtin_add_overflow(whole, (uint64_t)(s.p[at] - '0'), &whole))
                return false;
            at++;
        }
        if (at == digits)
            return false;
        digits = at;
        while (at < s.n && !is_digit(s.p[at]))
            at++;
        unit = find_unit(range_units, N_RANGE_UNITS, str_sub(s, digits, at - digits));
        if (unit < next || unit == N_RANGE_UNITS ||
            !add_group(&sum, whole, 0, 1, range_units[unit].ns))
            return false;
        next = unit + 1;
    }
    *ret = (dur_ns)sum;
    return s.n > 0;
}

/* ---- sizes ---- */

static bool is_letter(char c, char lower)
{
    return c == lower || c == lower - 'a' + 'A';
}

/* What a unit without its blanks multiplies by; 0: there is no such unit. */
static double size_factor(struct str u)
{
    static const char prefixes[] = "kmgtpe";
    double base = 1000;
    double factor = 1;

    if (u.n > 0 && is_letter(u.p[u.n - 1], 'b'))
        u.n--;
    if (u.n == 0)
        return 1;
    if (u.n == 2 && is_letter(u.p[1], 'i')) {
        base = 1024;
        u.n--;
    }
    if (u.n != 1)
        return 0;
    for (size_t i = 0; prefixes[i] != '\0'; i++) {
        factor *= base;
        if (is_letter(u.p[0], prefixes[i]))
            return factor;
    }
    return 0;
}

enum units_fault units_parse_bytes(struct str s, uint64_t *ret, struct str *part)
{
    char number[NUMBER_MAX + 1];
    struct str ignored;
    size_t n = 0;
    size_t at = 0;
    double v;
    double factor;

    part = part == NULL ? &ignored : part;
    for (; at < s.n && (is_digit(s.p[at]) || s.p[at] == '.' || s.p[at] == ','); at++) {
        if (s.p[at] != ',' && n < NUMBER_MAX)
            number[n++] = s.p[at];
    }
    *part = str_sub(s, 0, at);
    if (!units_parse_float((struct str){number, n}, &v))
        return UNITS_INVALID;
    *part = str_trim(str_from(s, at));
    factor = size_factor(*part);
    if (factor == 0)
        return UNITS_UNKNOWN_UNIT;
    if (v * factor >= 18446744073709551616.0)
        return UNITS_TOO_LARGE;
    *ret = (uint64_t)(v * factor);
    return UNITS_OK;
}

/* ---- printing ---- */

void units_print_range(struct buf *out, dur_ns d)
{
    if (d == 0)
        buf_add_z(out, "0s");
    for (size_t i = 0; i < N_RANGE_UNITS; i++) {
        if (i < 2 && d % range_units[i].ns != 0)
            continue;
        if (d >= range_units[i].ns)
            buf_addf(out, "%" PRId64 "%.*s", d / range_units[i].ns, STR_ARG(range_units[i].name));
        d %= range_units[i].ns;
    }
}

void units_print_duration(struct buf *out, dur_ns d)
{
    static const struct unit units[] = {{STR_INIT("h"), NS_PER_H},   {STR_INIT("m"), NS_PER_MIN},
                                        {STR_INIT("s"), NS_PER_S},   {STR_INIT("ms"), NS_PER_MS},
                                        {STR_INIT("us"), NS_PER_US}, {STR_INIT("ns"), 1}};
    uint64_t left = d < 0 ? -(uint64_t)d : (uint64_t)d;

    if (d < 0)
        buf_add_char(out, '-');
    if (d == 0)
        buf_add_z(out, "0s");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (left >= (uint64_t)units[i].ns)
            buf_addf(out, "%" PRIu64 "%.*s", left / (uint64_t)units[i].ns, STR_ARG(units[i].name));
        left %= (uint64_t)units[i].ns;
    }
}

void units_print_float(struct buf *out, double v)
{
    char text[40];
    int digits = 15;

    do
        (void)snprintf(text, sizeof(text), "%.*g", digits, v);
    while (digits++ < 17 && strtod(text, NULL) != v);
    buf_add_z(out, text);
}
