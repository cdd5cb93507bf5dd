/*
 * collector/journal_whose.h - what the runtime of a container that logs to the journal keeps of it:
 * hints, app, image.
 *
 * The same files as those of containers that log to files (containers.h), found by
 * CONTAINER_ID_FULL in the directories `runtime_state` of the input, if they belong to who has
 * written the entry (_UID).  Nothing is waited for: a container is there before its first entry.
 * Loop thread.
 */
#ifndef LOGQ_COLLECTOR_JOURNAL_WHOSE_H
#define LOGQ_COLLECTOR_JOURNAL_WHOSE_H

#include "collector/journal_frame.h"
#include "collector/meta.h"
#include "collector/source.h"

/* 0: *ret says it, in `a`.  1: not all of it can be told, or nothing; what can is in *ret. */
int journal_whose_find(const struct source_set *set, const struct config_source *conf,
                       const struct journal_frame *f, struct arena *a, struct meta *ret);

#endif
