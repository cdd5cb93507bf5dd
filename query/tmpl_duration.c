/*
 * query/tmpl_duration.c - durations of templates, see tmpl_internal.h: what one time lies behind
 * another, and what one adds to a time.
 */
#include "query/tmpl_internal.h"

#include <inttypes.h>

static const uint64_t SECOND = (uint64_t)NS_PER_S;

/* v / unit, a power of ten, without zeros at its end. */
static void put_decimal(struct buf *out, uint64_t v, uint64_t unit)
{
    uint64_t rest = v % unit;

    buf_addf(out, "%" PRIu64, v / unit);
    for (bool first = true; rest > 0; first = false) {
        unit /= 10;
        if (first)
            buf_add_char(out, '.');
        buf_add_char(out, (char)('0' + rest / unit));
        rest %= unit;
    }
}

void tmpl_duration_print(int64_t d, struct buf *out)
{
    uint64_t u = d < 0 ? 0 - (uint64_t)d : (uint64_t)d;
    uint64_t minutes = u / (60 * SECOND);

    if (d < 0)
        buf_add_char(out, '-');
    if (u == 0 || u >= SECOND) {
        if (minutes >= 60)
            buf_addf(out, "%" PRIu64 "h", minutes / 60);
        if (minutes > 0)
            buf_addf(out, "%" PRIu64 "m", minutes % 60);
        put_decimal(out, u % (60 * SECOND), SECOND);
        buf_add_char(out, 's');
        return;
    }
    put_decimal(out, u, u >= 1000000 ? 1000000 : u >= 1000 ? 1000 : 1);
    buf_add_z(out, u >= 1000000 ? "ms" : u >= 1000 ? "\xc2\xb5s" : "ns");
}

/* ---- methods ---- */

#define METHOD(name, value)                                                                        \
    static int name(struct tmpl_run *r, const struct tmpl_value *v, size_t n,                      \
                    struct tmpl_value *ret)                                                        \
    {                                                                                              \
        (void)r;                                                                                   \
        (void)n;                                                                                   \
        *ret = value;                                                                              \
        return 0;                                                                                  \
    }

/* Whole units, and then the rest of one: so the last digits are Go's. */
static struct tmpl_value in_units(int64_t d, int64_t unit)
{
    return tmpl_of_float((double)(d / unit) + (double)(d % unit) / (double)unit);
}

METHOD(m_hours, in_units(v[0].i, NS_PER_H))
METHOD(m_minutes, in_units(v[0].i, NS_PER_MIN))
METHOD(m_seconds, in_units(v[0].i, NS_PER_S))
METHOD(m_milliseconds, tmpl_of_int(TMPL_INT64, v[0].i / 1000000))
METHOD(m_microseconds, tmpl_of_int(TMPL_INT64, v[0].i / 1000))
METHOD(m_nanoseconds, tmpl_of_int(TMPL_INT64, v[0].i))
METHOD(m_abs, tmpl_of_int(TMPL_DURATION, v[0].i >= 0           ? v[0].i
                                         : v[0].i == INT64_MIN ? INT64_MAX
                                                               : -v[0].i))
METHOD(m_truncate, tmpl_of_int(TMPL_DURATION, v[1].i <= 0 ? v[0].i : v[0].i - v[0].i % v[1].i))

/* To the nearest multiple, halves away from zero; as far as 64 bits go. */
static int64_t rounded(int64_t d, int64_t to)
{
    uint64_t rest;
    int64_t ret;

    if (to <= 0)
        return d;
    rest = d < 0 ? (uint64_t) - (d % to) : (uint64_t)(d % to);
    if (2 * rest < (uint64_t)to)
        return d - d % to;
    if (__builtin_add_overflow(d - d % to, d < 0 ? -to : to, &ret))
        return d < 0 ? INT64_MIN : INT64_MAX;
    return ret;
}
METHOD(m_round, tmpl_of_int(TMPL_DURATION, rounded(v[0].i, v[1].i)))
#undef METHOD

const struct tmpl_func *tmpl_duration_method(struct str name)
{
    static const struct tmpl_func methods[] = {
        {"Hours", "d", m_hours},
        {"Minutes", "d", m_minutes},
        {"Seconds", "d", m_seconds},
        {"Milliseconds", "d", m_milliseconds},
        {"Microseconds", "d", m_microseconds},
        {"Nanoseconds", "d", m_nanoseconds},
        {"Abs", "d", m_abs},
        {"Round", "dd", m_round},
        {"Truncate", "dd", m_truncate},
    };

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (str_eq(name, str_of(methods[i].name)))
            return &methods[i];
    return NULL;
}
