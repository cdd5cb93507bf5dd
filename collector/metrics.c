/* collector/metrics.c - the table made from metrics.def. */
#include "collector/metrics.h"

static const struct metric_def DEFS[] = {
#define X(id, type, name, labels, help) {name, labels, help, METRIC_TYPE_##type},
#include "collector/metrics.def"
#undef X
};

void metrics_setup(void)
{
    metric_setup(DEFS, METRICS_COUNT);
}
