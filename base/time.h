/*
 * base/time.h - instants, spans, and their text forms.
 *
 * ts_ns is nanoseconds since 1970-01-01 UTC, dur_ns nanoseconds.  The clock can be set for tests.
 */
#ifndef LOGQ_BASE_TIME_H
#define LOGQ_BASE_TIME_H

#include "base/str.h"

typedef int64_t ts_ns;
typedef int64_t dur_ns;

#define NS_PER_US  INT64_C(1000)
#define NS_PER_MS  INT64_C(1000000)
#define NS_PER_S   INT64_C(1000000000)
#define NS_PER_MIN (60 * NS_PER_S)
#define NS_PER_H   (3600 * NS_PER_S)
#define NS_PER_DAY (86400 * NS_PER_S)

enum { TIME_TEXT_MAX = 40 };

ts_ns time_now(void);     /* wall clock, or what time_set said.  Any thread. */
dur_ns time_mono(void);   /* monotonic, for deadlines and durations; not affected by time_set */
void time_set(ts_ns now); /* tests: time_now returns this until time_unset */
void time_unset(void);

/* RFC 3339 with 0-9 fraction digits and Z or +-hh:mm, the whole of `s`.  Also accepts a lower-case
 * t/z and a blank for T.  false: not one, or outside 1678..2261.  Hot path: no libc, caches the
 * day. */
bool time_parse_rfc3339(struct str s, ts_ns *ret);

/* 2026-11-21T19:14:38.773648831Z, always 9 digits; `dst` holds TIME_TEXT_MAX bytes. */
struct str time_format_rfc3339(ts_ns t, char *dst);
/* RFC3339Nano as Go prints it: trailing zeros of the fraction dropped. */
struct str time_format_rfc3339nano(ts_ns t, char *dst);

/* Prometheus durations ("1h30m", "5m", "100ms", "1d", "1w", "1y", "0") plus us/ns and a leading '-'
 * when `negative_ok`.  The whole of `s`. */
bool dur_parse(struct str s, bool negative_ok, dur_ns *ret);
struct str dur_format(dur_ns d, char *dst); /* shortest Prometheus form; TIME_TEXT_MAX bytes */

int32_t time_day(ts_ns t);           /* UTC day as YYYYMMDD */
ts_ns time_day_start(ts_ns t);       /* 00:00 UTC of t's day */
ts_ns time_of_day(int32_t yyyymmdd); /* 00:00 UTC of that day */

#endif
