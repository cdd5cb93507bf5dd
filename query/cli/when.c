/*
 * query/cli/when.c - a moment as people write it.  Contract: when.h.
 *
 * A date without a zone is filled up to RFC 3339 as if it were UTC, which checks all of it; the
 * library then says which moment has that reading on the clocks here.
 */
#include "query/cli/when.h"

#include <stdio.h>
#include <time.h>

static bool parse_number(struct str s, ts_ns *ret)
{
    static const struct {
        size_t digits;
        int64_t unit;
    } UNITS[] = {{10, NS_PER_S}, {13, NS_PER_MS}, {16, NS_PER_US}, {19, 1}};
    int64_t n;

    for (size_t i = 0; i < sizeof(UNITS) / sizeof(UNITS[0]); i++)
        if (s.n == UNITS[i].digits && s.p[0] != '-' && str_to_i64(s, &n) &&
            n <= INT64_MAX / UNITS[i].unit) {
            *ret = n * UNITS[i].unit;
            return true;
        }
    return false;
}

/* What a clock here reads as `read` reads in UTC. */
static bool from_local(ts_ns read, ts_ns *ret)
{
    time_t seconds = (time_t)(read / NS_PER_S - (read % NS_PER_S < 0));
    dur_ns fraction = read - (ts_ns)seconds * NS_PER_S;
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL)
        return false;
    tm.tm_isdst = -1;
    seconds = mktime(&tm);
    return !__builtin_mul_overflow((int64_t)seconds, NS_PER_S, ret) &&
           !__builtin_add_overflow(*ret, fraction, ret);
}

static bool parse_without_zone(struct str s, bool utc, ts_ns *ret)
{
    enum { DATE = 10, MINUTES = 16, TEXT_MAX = 40 };
    char text[TEXT_MAX];
    ts_ns read;
    int n;

    if (s.n < DATE || s.n > TEXT_MAX)
        return false;
    n = snprintf(text, sizeof(text), "%.*s%sZ", STR_ARG(s),
                 s.n == DATE      ? "T00:00:00"
                 : s.n == MINUTES ? ":00"
                                  : "");
    if (n >= TEXT_MAX)
        return false;
    if (!time_parse_rfc3339(str_of(text), &read))
        return false;
    if (!utc)
        return from_local(read, ret);
    *ret = read;
    return true;
}

bool when_parse(struct str text, ts_ns now, bool utc, ts_ns *ret)
{
    dur_ns ago;

    if (str_eq(text, STR("now"))) {
        *ret = now;
        return true;
    }
    if (time_parse_rfc3339(text, ret) || parse_number(text, ret))
        return true;
    if (dur_parse(text, false, &ago)) {
        *ret = now - ago;
        return true;
    }
    return parse_without_zone(text, utc, ret);
}
