/*
 * collector/containers.h - whose log is this, by all that there is: the files beside it (meta.h),
 * its runtime's state (oci.h), and what was known before (known.h).
 *
 * What is found is remembered; a container that is gone is what it was.  Loop thread.
 */
#ifndef LOGQ_COLLECTOR_CONTAINERS_H
#define LOGQ_COLLECTOR_CONTAINERS_H

#include "collector/config.h"
#include "collector/meta.h"

struct containers;

/* Borrows both.  What was remembered is read; that it cannot be is no error (known.h). */
struct containers *containers_open(int state_fd, struct opener *o);
void containers_close(struct containers **pc);

struct containers_question {
    struct opener *opener;
    const struct config_source *conf; /* of docker, cri or podman; others have no containers */
    struct str path;                  /* of the log */
    bool last_try;
};

/*
 * 0: *ret says it, in `a`.  1: it cannot be told now, and may be later; what the path says is in
 * *ret.  A log of Kubernetes is waited for only while its pod is there, and with last_try what the
 * path says is enough.  `c` may be NULL: then nothing is remembered, nor is there a runtime's
 * state.
 */
int containers_find(struct containers *c, const struct containers_question *q, struct arena *a,
                    struct meta *ret);

/* What was done to that log in the end, where others had a say, too: remembered beside the
 * container's own hints if it is something else. */
void containers_set_hints(struct containers *c, const struct config_source *conf, struct str path,
                          const struct profile_hints *hints);
/* And what it was last, or else what the container asked for, in `a`; nothing where neither is
 * remembered. */
void containers_hints(struct containers *c, const struct config_source *conf, struct str path,
                      struct arena *a, struct profile_hints *ret);

#endif
