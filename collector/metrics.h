/* collector/metrics.h - the numbers of metrics.def by name: metric_add(METRIC_GAPS, 1). */
#ifndef LOGQ_COLLECTOR_METRICS_H
#define LOGQ_COLLECTOR_METRICS_H

#include "base/metric.h"

enum metrics_id {
#define X(id, type, name, labels, help) METRIC_##id,
#include "collector/metrics.def"
#undef X
    METRICS_COUNT
};

/* Set up base/metric with the table of this program.  Once, at start. */
void metrics_setup(void);

#endif
