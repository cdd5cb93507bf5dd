/* collector/own.h - is this the log of the container that we run in? */
#ifndef LOGQ_COLLECTOR_OWN_H
#define LOGQ_COLLECTOR_OWN_H

#include "base/str.h"

enum { OWN_IDS_MAX = 8, OWN_ID_BYTES = 65 };

/* Ids found in our own cgroup and mounts: 64 hex digits, or a pod's uid. */
struct own {
    char ids[OWN_IDS_MAX][OWN_ID_BYTES];
    size_t n;
};

/* Look at /proc/self; on a host nothing is found. */
void own_find(struct own *o);
/* The same from given texts, for tests. */
void own_scan(struct own *o, struct str cgroup, struct str mountinfo);
bool own_is(const struct own *o, struct str path);

#endif
