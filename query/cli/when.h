/* query/cli/when.h - a moment as people write it on a command line. */
#ifndef LOGQ_QUERY_CLI_WHEN_H
#define LOGQ_QUERY_CLI_WHEN_H

#include "base/str.h"
#include "base/time.h"

/*
 * "now"; how long before `now` (15m, 2d); RFC 3339; the same without a zone, and then also without
 * seconds or the whole clock (2026-11-21 19:14), in UTC or else in the local zone (tzset was
 * called); or a number of seconds, milli-, micro- or nanoseconds since 1970, told apart by their
 * 10, 13, 16 or 19 digits.  false: none of these.
 */
bool when_parse(struct str text, ts_ns now, bool utc, ts_ns *ret);

#endif
