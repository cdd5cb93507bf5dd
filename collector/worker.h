/* collector/worker.h - the process without rights: the collector on its loop, and its orders. */
#ifndef LOGQ_COLLECTOR_WORKER_H
#define LOGQ_COLLECTOR_WORKER_H

#include "collector/priv.h"

/* A priv_worker_fn. */
int worker_run(const struct priv_worker *w);

#endif
