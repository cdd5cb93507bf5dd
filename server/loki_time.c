/* server/loki_time.c - see loki_time.h. */
#include "server/loki_time.h"

#include <math.h>
#include <string.h>

enum { SECONDS_DIGITS = 10, DEFAULT_POINTS = 250 };

static bool from_seconds(double s, int64_t *ret)
{
    if (!isfinite(s) || fabs(s) > 9.0e9)
        return false;
    *ret = (int64_t)llround(s * 1e9);
    return true;
}

bool loki_time_parse(struct str s, ts_ns *ret)
{
    int64_t whole;
    double seconds;

    if (str_to_i64(s, &whole)) {
        size_t digits = s.n - (s.p[0] == '-' || s.p[0] == '+');
        if (digits > SECONDS_DIGITS) {
            *ret = whole;
            return true;
        }
        if (whole > INT64_MAX / NS_PER_S || whole < INT64_MIN / NS_PER_S)
            return false;
        *ret = whole * NS_PER_S;
        return true;
    }
    if (s.n > 0 && memchr(s.p, ':', s.n) == NULL && str_to_f64(s, &seconds))
        return from_seconds(seconds, ret);
    return time_parse_rfc3339(s, ret);
}

bool loki_duration_parse(struct str s, dur_ns *ret)
{
    double seconds;

    if (str_to_f64(s, &seconds))
        return from_seconds(seconds, ret);
    return dur_parse(s, true, ret);
}

dur_ns loki_default_step(ts_ns start, ts_ns end)
{
    uint64_t range = end > start ? (uint64_t)end - (uint64_t)start : 0; /* may be over INT64_MAX */
    uint64_t seconds = range / (uint64_t)NS_PER_S / DEFAULT_POINTS;

    return (dur_ns)(seconds < 1 ? 1 : seconds) * NS_PER_S;
}
