/*
 * collector/kube_labels.h - what a log gets of its pod: labels, attributes, image and hints.
 *
 * Who may label a pod may not say whose log it is: names of our own are never a pod's (host,
 * namespace ...), and what else has the same name wins over the pod's.  Loop thread.
 */
#ifndef LOGQ_COLLECTOR_KUBE_LABELS_H
#define LOGQ_COLLECTOR_KUBE_LABELS_H

#include "collector/config.h"
#include "collector/kube_pods.h"
#include "collector/meta.h"

/* Not more than so many of either, so that those of our own have room beside them; and of all of
 * them not more than so many bytes, because a message may say them a thousand times. */
enum { KUBE_LABELS_MAX = 12, KUBE_LABELS_ATTRS_MAX = 20, KUBE_LABELS_BYTES_MAX = 2048 };

struct kube_labels {
    struct labels labels, attrs; /* not sorted; in the arena */
};

/*
 * Look for the pod of `m` and put what is missing there: app, image, hints.  0: found, or nothing
 * is to be looked for (`pods` is NULL, or `m` is of no pod); 1: it is not known.
 */
int kube_labels_find(const struct kube_pods *pods, const struct config_kube *config, struct meta *m,
                     struct arena *a, struct kube_labels *ret);

#endif
