/*
 * storage/compact_pace.h - how fast compaction may go just now.
 *
 * Two buckets, CPU time of the thread and bytes written, that count only while ingest is busy: its
 * rate over the last seconds is above half of the best it had of late.  Pure but for the time that
 * is passed in; one thread.
 */
#ifndef LOGQ_STORAGE_COMPACT_PACE_H
#define LOGQ_STORAGE_COMPACT_PACE_H

#include "base/time.h"

#include <stdbool.h>
#include <stdint.h>

struct compact_pace {
    /* Ingest. */
    dur_ns sampled_at;
    uint64_t sampled_bytes;
    double rate, best; /* bytes/s; the second fades over hours */
    bool busy;
    /* Buckets: what was used and not yet earned. */
    dur_ns at, cpu_at;
    uint64_t bytes_at;
    double cpu_debt, bytes_debt; /* ns, bytes */
};

/* `ingested`: bytes since the store was opened. */
void compact_pace_sample(struct compact_pace *p, dur_ns now, uint64_t ingested);

/* Begin a piece of work: `cpu` is the thread's CPU time, nothing is written yet. */
void compact_pace_begin(struct compact_pace *p, dur_ns now, dur_ns cpu);

/* How long to wait now; 0: go on. */
dur_ns compact_pace_wait(struct compact_pace *p, dur_ns now, dur_ns cpu, uint64_t bytes);

#endif
