/*
 * wire/forward_time.h - the times of Forward: EventTime, integer and float seconds, msgpack
 * timestamps.
 */
#ifndef LOGQ_WIRE_FORWARD_TIME_H
#define LOGQ_WIRE_FORWARD_TIME_H

#include "base/time.h"
#include "wire/mp.h"

enum { FORWARD_EVENT_TIME = 0, FORWARD_TIMESTAMP = -1 }; /* msgpack ext types */

/* The highest seconds an EventTime may say; the two above mark groups of Fluent Bit. */
#define FORWARD_SECONDS_MAX UINT32_C(0xfffffffd)

/* The time of an entry.  0 and nil mean `now`; what ts_ns cannot hold becomes its first or last
 * instant.  false: no kind of time. */
bool forward_time_of(const struct mp_value *v, ts_ns now, ts_ns *ret);

/* An EventTime or msgpack timestamp inside a record; false: neither, or outside of what ts_ns
 * holds. */
bool forward_time_ext(const struct mp_value *v, ts_ns *ret);

/* Fluent Bit's start or end of a log group: EventTime seconds 0xffffffff or 0xfffffffe. */
bool forward_time_is_group(const struct mp_value *v);

#endif
