/* server/loki_time.c - see loki_time.h. */
#include "server/loki_time.h"

#include <math.h>

enum { SECONDS_CHARS = 10, DEFAULT_POINTS = 250 };

static const int64_t SECONDS_MAX = INT64_MAX / NS_PER_S - 1; /* with a fraction, too */

static bool has(struct str s, char c)
{
    return str_find_char(s, c) != SIZE_MAX;
}

/* As Go reads a float: a hexadecimal one has an exponent. */
static bool read_float(struct str s, double *ret)
{
    bool is_hex = has(s, 'x') || has(s, 'X');

    if (is_hex && !has(s, 'p') && !has(s, 'P'))
        return false;
    return str_to_f64(s, ret) && isfinite(*ret);
}

/* To the millisecond, as Loki: what a double holds of today's seconds ends 128 ns behind it. */
static bool time_of_seconds(double s, ts_ns *ret)
{
    double whole, part = modf(s, &whole);

    if (fabs(whole) > (double)SECONDS_MAX)
        return false;
    *ret = (int64_t)whole * NS_PER_S + llround(part * 1000) * NS_PER_MS;
    return true;
}

bool loki_time_parse(struct str s, ts_ns *ret)
{
    int64_t whole;
    double seconds;

    if (has(s, '.') && read_float(s, &seconds))
        return time_of_seconds(seconds, ret);
    if (!str_to_i64(s, &whole))
        return time_parse_rfc3339(s, ret);
    if (s.n > SECONDS_CHARS) {
        *ret = whole;
        return true;
    }
    if (whole > SECONDS_MAX || whole < -SECONDS_MAX)
        return false;
    *ret = whole * NS_PER_S;
    return true;
}

bool loki_duration_parse(struct str s, dur_ns *ret)
{
    double seconds;

    if (!read_float(s, &seconds))
        return dur_parse(s, true, ret);
    if (fabs(seconds) > (double)SECONDS_MAX)
        return false;
    *ret = llround(seconds * 1e9);
    return true;
}

dur_ns loki_default_step(ts_ns start, ts_ns end)
{
    uint64_t range = end > start ? (uint64_t)end - (uint64_t)start : 0; /* may be over INT64_MAX */
    uint64_t seconds = range / (uint64_t)NS_PER_S / DEFAULT_POINTS;

    return (dur_ns)(seconds < 1 ? 1 : seconds) * NS_PER_S;
}
