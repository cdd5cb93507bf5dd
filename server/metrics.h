/* server/metrics.h - the metrics of logq-server: METRIC_<ID> for each row of metrics.def. */
#ifndef LOGQ_SERVER_METRICS_H
#define LOGQ_SERVER_METRICS_H

#include "base/metric.h"

struct server;

enum {
#define X(id, type, name, labels, help) METRIC_##id,
#include "server/metrics.def"
#undef X
};

void metrics_setup(void); /* once, before threads start */
/* Copy what store and budgets count into the table; before metric_write.  Any thread. */
void metrics_update(struct server *s);

#endif
