/*
 * base/service.h - the label service_name of a stream, by Loki's rule (docs/logql.md).
 *
 * One implementation for who stores it and for who asks lines that are not stored.  Pure, any
 * thread.
 */
#ifndef LOGQ_BASE_SERVICE_H
#define LOGQ_BASE_SERVICE_H

#include "base/labels.h"

/* Of a stream that has none: the value of the first label that tells; lives as long as that. */
struct str service_name(const struct labels *stream);

#endif
