/*
 * query/tmpl_number.c - arithmetic of templates, see tmpl_internal.h.
 *
 * Arguments are of any type and converted silently: text that is no number counts as 0.  The
 * functions in `f` compute with decimals, 0.1 plus 0.2 is 0.3; long double holds more digits than
 * come out.
 */
#include "query/tmpl_internal.h"

#include "query/units.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BYTES = 200 }; /* of a text in a message */

/* ---- conversions ---- */

/* "12.75" is 12: decimal digits lose their point and what is behind it. */
static struct str whole_part(struct str s)
{
    size_t sign = s.n > 0 && (s.p[0] == '-' || s.p[0] == '+');
    size_t point = str_find_char(s, '.');

    if (point == SIZE_MAX)
        return s;
    for (size_t i = sign; i < s.n; i++)
        if (i != point && (s.p[i] < '0' || s.p[i] > '9'))
            return s;
    return point == sign ? STR("0") : str_sub(s, 0, point);
}

static int64_t int_of_float(double f)
{
    return f >= -0x1p63 && f < 0x1p63 ? (int64_t)f : INT64_MIN; /* as amd64 converts */
}

static int64_t to_int(const struct tmpl_value *v)
{
    int64_t i = 0;

    if (v->kind == TMPL_FLOAT)
        return int_of_float(v->f);
    if (v->kind == TMPL_BOOL)
        return v->b;
    if (v->kind == TMPL_STRING)
        return tmpl_parse_int(whole_part(v->s), &i) ? i : 0;
    return tmpl_is_int(v) ? v->i : 0;
}

static double to_float(const struct tmpl_value *v)
{
    double f = 0;

    if (v->kind == TMPL_FLOAT)
        return v->f;
    if (v->kind == TMPL_STRING)
        return units_parse_float(v->s, &f) ? f : 0;
    return (double)to_int(v);
}

/* The decimal that `f` is written as. */
static long double to_decimal(double f)
{
    char text[40];
    int digits = 15;

    do
        (void)snprintf(text, sizeof(text), "%.*g", digits, f);
    while (digits++ < 17 && islessgreater(strtod(text, NULL), f));
    return strtold(text, NULL);
}

int tmpl_fn_int(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_int(TMPL_INT, to_int(&v[0]));
    return 0;
}

int tmpl_fn_float(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_float(to_float(&v[0]));
    return 0;
}

/* ---- integers: they wrap ---- */

static int64_t wrap(uint64_t u)
{
    int64_t i;

    memcpy(&i, &u, sizeof(i));
    return i;
}

int tmpl_fn_add(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    uint64_t sum = 0;

    (void)r;
    for (size_t i = 0; i < n; i++)
        sum += (uint64_t)to_int(&v[i]);
    *ret = tmpl_of_int(TMPL_INT64, wrap(sum));
    return 0;
}

int tmpl_fn_sub(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_int(TMPL_INT64, wrap((uint64_t)to_int(&v[0]) - (uint64_t)to_int(&v[1])));
    return 0;
}

int tmpl_fn_mul(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    uint64_t product = 1;

    (void)r;
    for (size_t i = 0; i < n; i++)
        product *= (uint64_t)to_int(&v[i]);
    *ret = tmpl_of_int(TMPL_INT64, wrap(product));
    return 0;
}

static int divide_by_zero(struct tmpl_run *r)
{
    return tmpl_fail(r, "runtime error: integer divide by zero");
}

int tmpl_fn_div(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    int64_t a = to_int(&v[0]);
    int64_t b = to_int(&v[1]);

    (void)n;
    if (b == 0)
        return divide_by_zero(r);
    *ret = tmpl_of_int(TMPL_INT64, b == -1 ? wrap(0 - (uint64_t)a) : a / b);
    return 0;
}

int tmpl_fn_mod(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    int64_t b = to_int(&v[1]);

    (void)n;
    if (b == 0)
        return divide_by_zero(r);
    *ret = tmpl_of_int(TMPL_INT64, b == -1 ? 0 : to_int(&v[0]) % b);
    return 0;
}

static int pick_int(const struct tmpl_value *v, size_t n, bool largest, struct tmpl_value *ret)
{
    int64_t best = to_int(&v[0]);

    for (size_t i = 1; i < n; i++) {
        int64_t x = to_int(&v[i]);
        best = largest == (x > best) && x != best ? x : best;
    }
    *ret = tmpl_of_int(TMPL_INT64, best);
    return 0;
}

int tmpl_fn_max(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    return pick_int(v, n, true, ret);
}

int tmpl_fn_min(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    return pick_int(v, n, false, ret);
}

/* ---- decimals ---- */

static int decimal(struct tmpl_run *r, char op, long double a, const struct tmpl_value *v, size_t n,
                   struct tmpl_value *ret)
{
    for (size_t i = 0; i < n; i++) {
        double x = to_float(&v[i]);
        long double b;
        if (!isfinite(x))
            return tmpl_fail(r, "cannot create a decimal of %s", isnan(x) ? "NaN" : "an infinity");
        b = to_decimal(x);
        if (op == '+') {
            a += b;
        } else if (op == '-') {
            a -= b;
        } else if (op == '*') {
            a *= b;
        } else if (x < 0 || x > 0) {
            long double scaled = (a /= b) * 1e16L; /* digits behind the point */
            if (fabsl(scaled) < 0x1p62L)
                a = roundl(scaled) / 1e16L;
        } else {
            return tmpl_fail(r, "decimal division by 0");
        }
    }
    *ret = tmpl_of_float((double)a + 0.0);
    return 0;
}

/* As `decimal`, beginning with the first argument. */
static int decimals(struct tmpl_run *r, char op, const struct tmpl_value *v, size_t n,
                    struct tmpl_value *ret)
{
    double first = to_float(&v[0]);

    if (!isfinite(first))
        return decimal(r, '+', 0, v, 1, ret);
    return decimal(r, op, to_decimal(first), v + 1, n - 1, ret);
}

int tmpl_fn_addf(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    return decimal(r, '+', 0, v, n, ret);
}

int tmpl_fn_subf(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    return decimals(r, '-', v, n, ret);
}

int tmpl_fn_mulf(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    return decimals(r, '*', v, n, ret);
}

int tmpl_fn_divf(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    return decimals(r, '/', v, n, ret);
}

/* Go's math.Max and Min: NaN wins. */
static int pick_float(const struct tmpl_value *v, size_t n, bool largest, struct tmpl_value *ret)
{
    double best = to_float(&v[0]);

    for (size_t i = 1; i < n; i++) {
        double x = to_float(&v[i]);
        if (isnan(x) || isnan(best))
            best = (double)NAN;
        else if (largest ? x > best : x < best)
            best = x;
    }
    *ret = tmpl_of_float(best);
    return 0;
}

int tmpl_fn_maxf(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    return pick_float(v, n, true, ret);
}

int tmpl_fn_minf(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    return pick_float(v, n, false, ret);
}

int tmpl_fn_ceil(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_float(ceil(to_float(&v[0])));
    return 0;
}

int tmpl_fn_floor(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    (void)r;
    (void)n;
    *ret = tmpl_of_float(floor(to_float(&v[0])));
    return 0;
}

/* Value, places, and from which fraction on it is rounded up (0.5). */
int tmpl_fn_round(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    double on = n > 2 ? v[2].f : 0.5;
    double power = pow(10, (double)v[1].i);
    double digit = power * to_float(&v[0]);
    double whole;
    double fraction = modf(digit, &whole);

    (void)r;
    *ret = tmpl_of_float((fraction >= on ? ceil(digit) : floor(digit)) / power);
    return 0;
}

/* ---- units ---- */

int tmpl_fn_bytes(struct tmpl_run *r, const struct tmpl_value *v, size_t n, struct tmpl_value *ret)
{
    struct str part;
    uint64_t bytes;
    enum units_fault fault = units_parse_bytes(v[0].s, &bytes, &part);

    (void)n;
    part = str_sub(part, 0, SHOWN_BYTES);
    if (fault == UNITS_UNKNOWN_UNIT)
        return tmpl_fail(r, "unhandled size name: %.*s", STR_ARG(part));
    if (fault == UNITS_TOO_LARGE)
        return tmpl_fail(r, "too large: %.*s", STR_ARG(str_sub(v[0].s, 0, SHOWN_BYTES)));
    if (fault != UNITS_OK)
        return tmpl_fail(r, "strconv.ParseFloat: parsing \"%.*s\": invalid syntax", STR_ARG(part));
    *ret = tmpl_of_float((double)bytes);
    return 0;
}

/* As package time quotes: bytes that are not plain ASCII as \\xNN. */
static void quote_bytes(struct buf *out, struct str s)
{
    buf_add_char(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < ' ' || c >= 0x80)
            buf_addf(out, "\\x%02x", c);
        else
            buf_addf(out, c == '"' || c == '\\' ? "\\%c" : "%c", c);
    }
    buf_add_char(out, '"');
}

static int bad_duration(struct tmpl_run *r, enum units_fault fault, struct str text,
                        struct str unit)
{
    struct buf *b = &r->text;
    struct str quoted;
    size_t n;
    int x;

    buf_clear(b);
    quote_bytes(b, str_sub(text, 0, SHOWN_BYTES));
    n = b->n;
    quote_bytes(b, str_sub(unit, 0, SHOWN_BYTES));
    quoted = str_sub(buf_str(b), 0, n);
    unit = str_from(buf_str(b), n);
    if (fault == UNITS_NO_UNIT)
        x = tmpl_fail(r, "time: missing unit in duration %.*s", STR_ARG(quoted));
    else if (fault == UNITS_UNKNOWN_UNIT)
        x = tmpl_fail(r, "time: unknown unit %.*s in duration %.*s", STR_ARG(unit),
                      STR_ARG(quoted));
    else
        x = tmpl_fail(r, "time: invalid duration %.*s", STR_ARG(quoted));
    buf_clear(b);
    return x;
}

int tmpl_fn_duration(struct tmpl_run *r, const struct tmpl_value *v, size_t n,
                     struct tmpl_value *ret)
{
    struct str unit = STR_NULL;
    dur_ns d;
    enum units_fault fault = units_parse_go_duration(v[0].s, &d, &unit);

    (void)n;
    if (fault != UNITS_OK)
        return bad_duration(r, fault, v[0].s, unit);
    *ret = tmpl_of_float((double)(d / NS_PER_S) + (double)(d % NS_PER_S) / 1e9);
    return 0;
}
