/*
 * server/loki_time.h - instants and spans as Loki's API takes them (docs/api.md).
 */
#ifndef LOGQ_SERVER_LOKI_TIME_H
#define LOGQ_SERVER_LOKI_TIME_H

#include "base/time.h"

/* Integer of at most 10 characters: seconds; longer: nanoseconds; with a point: seconds, to the
 * millisecond; else RFC 3339. */
bool loki_time_parse(struct str s, ts_ns *ret);
/* Float seconds, or a Prometheus duration (ns and us too). */
bool loki_duration_parse(struct str s, dur_ns *ret);
/* max(floor(range / 250), 1) seconds. */
dur_ns loki_default_step(ts_ns start, ts_ns end);

#endif
