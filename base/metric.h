/*
 * base/metric.h - counters, gauges and histograms of a program, and their Prometheus text.
 *
 * A program lists all of its metrics in its metrics.def (X-macro), from which enum, table, /metrics
 * and manual are made:
 *
 *     // X(id, type, "name", "labels", "meaning")
 *     X(FORWARD_BYTES, COUNTER, "logq_forward_received_bytes_total", "", "bytes received")
 *     X(REJECT_BOMB, COUNTER, "logq_forward_rejected_total", "reason=\"bomb\"", "messages refused")
 *
 *     #define X(id, type, name, labels, help) METRIC_##id,
 *     enum { #include "metrics.def" };
 *     #define X(id, type, name, labels, help) {name, labels, help, METRIC_TYPE_##type},
 *     static const struct metric_def DEFS[] = { #include "metrics.def" };
 *     metric_setup(DEFS, count);                 // once, before threads start
 *     metric_add(METRIC_FORWARD_BYTES, n);       // any thread
 *
 * Rows with one name must stand together.  Names carry units (_bytes, _seconds, _total).
 */
#ifndef LOGQ_BASE_METRIC_H
#define LOGQ_BASE_METRIC_H

#include "base/buf.h"

#include <stdint.h>

enum metric_type { METRIC_TYPE_COUNTER, METRIC_TYPE_GAUGE, METRIC_TYPE_HISTOGRAM /* of seconds */ };

struct metric_def {
    const char *name, *labels, *help;
    enum metric_type type;
};

/* Use the table `defs` (borrowed for ever), all numbers zero.  Before it nothing is counted and all
 * of the below do nothing; again (in tests) it starts anew.  Not while other threads count. */
void metric_setup(const struct metric_def *defs, size_t n);

/* Any thread, never blocking.  A wrong id is a programmer's error. */
void metric_add(unsigned id, uint64_t n);         /* counter, gauge */
void metric_sub(unsigned id, uint64_t n);         /* gauge */
void metric_set(unsigned id, uint64_t value);     /* gauge; also a counter kept elsewhere */
uint64_t metric_get(unsigned id);                 /* of a histogram: how many were observed */
void metric_observe(unsigned id, double seconds); /* histogram: 0.5 ms .. 60 s in fixed buckets */

/* Append the Prometheus text format 0.0.4 of everything. */
void metric_write(struct buf *out);

#endif
