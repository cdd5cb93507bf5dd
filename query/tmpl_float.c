/*
 * query/tmpl_float.c - floating point numbers as Go's strconv writes them, see tmpl_internal.h.
 *
 * With a precision C and Go agree.  Without one Go writes the fewest digits that read back as the
 * same number: 15 always suffice to write a decimal of up to 15 digits back, 17 for every double.
 */
#include "query/tmpl_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS_MAX = 17, SURE_DIGITS = 15, PLAIN_DIGITS = 6 };

struct decimal {
    char digit[DIGITS_MAX + 1];
    int n;     /* digits, without zeros at the end; 1 for zero */
    int point; /* digits before the point; may be negative */
};

/* The shortest digits of `v`, which is finite and not negative. */
static void shortest(double v, struct decimal *ret)
{
    char text[40];
    int digits = v < 0x1p-1000 ? 1 : SURE_DIGITS;
    int n = 1;

    do
        (void)snprintf(text, sizeof(text), "%.*e", digits - 1, v);
    while (digits++ < DIGITS_MAX && islessgreater(strtod(text, NULL), v));
    ret->digit[0] = text[0];
    for (const char *p = text[1] == '.' ? text + 2 : text + 1; *p != 'e'; p++)
        ret->digit[n++] = *p;
    while (n > 1 && ret->digit[n - 1] == '0')
        n--;
    ret->n = n;
    ret->point = v > 0 ? 1 + (int)strtol(strchr(text, 'e') + 1, NULL, 10) : 1;
}

static void add_exponent(struct buf *out, char letter, int exponent)
{
    buf_addf(out, "%c%c%02d", letter, exponent < 0 ? '-' : '+', abs(exponent));
}

static void add_scientific(struct buf *out, const struct decimal *d, char letter)
{
    buf_add_char(out, d->digit[0]);
    if (d->n > 1) {
        buf_add_char(out, '.');
        buf_add(out, d->digit + 1, (size_t)d->n - 1);
    }
    add_exponent(out, letter, d->point - 1);
}

static void add_fixed(struct buf *out, const struct decimal *d)
{
    if (d->point <= 0)
        buf_add_char(out, '0');
    for (int i = 0; i < d->point; i++)
        buf_add_char(out, i < d->n ? d->digit[i] : '0');
    if (d->n <= d->point)
        return;
    buf_add_char(out, '.');
    for (int i = d->point; i < 0; i++)
        buf_add_char(out, '0');
    for (int i = d->point < 0 ? 0 : d->point; i < d->n; i++)
        buf_add_char(out, d->digit[i]);
}

static void add_hex(struct buf *out, double v, char verb, int precision)
{
    char text[40];
    char *p;
    int exponent = 0;

    if (v > 0 && v < 0x1p-1022) { /* C does not normalise these */
        v *= 0x1p200;
        exponent = -200;
    }
    if (precision < 0)
        (void)snprintf(text, sizeof(text), "%a", v);
    else
        (void)snprintf(text, sizeof(text), "%.*a", precision < 14 ? precision : 13, v);
    if (text[2] == '2') { /* C rounds 0x1.8p+1 to 0x2p+1 */
        text[2] = '1';
        exponent++;
    }
    p = strchr(text, 'p');
    exponent += (int)strtol(p + 1, NULL, 10);
    *p = '\0';
    for (p = text; *p != '\0'; p++)
        buf_add_char(out, verb == 'X' && *p >= 'a' ? (char)(*p - 'a' + 'A') : *p);
    for (int i = 13; i < precision; i++)
        buf_add_char(out, '0');
    add_exponent(out, verb == 'X' ? 'P' : 'p', exponent);
}

/* Mantissa and power of two. */
static void add_binary(struct buf *out, double v)
{
    int exponent;
    double mantissa = frexp(v, &exponent);

    exponent = v > 0 ? exponent - 53 : -1075;
    if (exponent < -1074) { /* subnormal, or zero */
        mantissa = ldexp(mantissa, exponent + 1074);
        exponent = -1074;
    }
    buf_addf(out, "%.0fp%+d", ldexp(mantissa, 53), exponent);
}

void tmpl_float(double v, char verb, int precision, struct buf *out)
{
    struct decimal d;

    if (isnan(v) || isinf(v)) {
        buf_add_z(out, isnan(v) ? "NaN" : v > 0 ? "+Inf" : "-Inf");
        return;
    }
    if (signbit(v)) {
        buf_add_char(out, '-');
        v = -v;
    }
    if (verb == 'b') {
        add_binary(out, v);
    } else if (verb == 'x' || verb == 'X') {
        add_hex(out, v, verb, precision);
    } else if (precision >= 0) {
        if (verb == 'e' || verb == 'E')
            buf_addf(out, verb == 'e' ? "%.*e" : "%.*E", precision, v);
        else if (verb == 'f')
            buf_addf(out, "%.*f", precision, v);
        else
            buf_addf(out, verb == 'g' ? "%.*g" : "%.*G", precision, v);
    } else {
        shortest(v, &d);
        if (verb == 'e' || verb == 'E')
            add_scientific(out, &d, verb);
        else if (verb == 'f' || (d.point - 1 >= -4 && d.point - 1 < PLAIN_DIGITS))
            add_fixed(out, &d);
        else
            add_scientific(out, &d, verb == 'g' ? 'e' : 'E');
    }
}
