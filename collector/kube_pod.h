/*
 * collector/kube_pod.h - a pod as the Kubernetes API tells of it, cut down to what its logs are
 * labelled by.
 *
 * kube_pod_parse reads the API's object and also what kube_pod_write makes of it, which is such an
 * object with a few members left, in one order.  So two states of a pod are the same to us when
 * their texts are, and the cache holds them as they are.  Pure functions of bytes; any thread.
 */
#ifndef LOGQ_COLLECTOR_KUBE_POD_H
#define LOGQ_COLLECTOR_KUBE_POD_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/labels.h"
#include "collector/profile.h"

enum {
    KUBE_POD_LABELS_MAX = 64,     /* the first so many are taken */
    KUBE_POD_CONTAINERS_MAX = 64, /* of all kinds */
    KUBE_POD_OWN_MAX = 32,
    KUBE_POD_UID_MAX = 128,
};

/* Absent facts are empty. */
struct kube_pod {
    struct str uid; /* as in the path of its logs: a static pod has another one there */
    struct str namespace, name, node;
    struct str version;           /* resourceVersion: not written */
    struct str owner_kind, owner; /* deployment, daemonset, job ...: what a person has made */
    struct label labels[KUBE_POD_LABELS_MAX]; /* names are no label names yet */
    size_t n_labels;
    struct label images[KUBE_POD_CONTAINERS_MAX]; /* container, image */
    size_t n_images;
    struct profile_hints hints;
    struct label own[KUBE_POD_OWN_MAX]; /* hints for one container: <container>.logq.io/<hint> */
    size_t n_own;
    bool cut; /* something was over a limit and is left out */
};

/* Texts are views of `object`, or in `a` where they had escapes.  ERR_CORRUPT: it is no pod's JSON;
 * the arena's errors.  Absent facts are no error. */
int kube_pod_parse(struct str object, struct arena *a, struct kube_pod *ret, struct err *err);

/* Append one line without its newline. */
void kube_pod_write(const struct kube_pod *pod, struct buf *out);

/* STR_NULL: there is none. */
struct str kube_pod_label(const struct kube_pod *pod, struct str name);
struct str kube_pod_image(const struct kube_pod *pod, struct str container);

/* What a container of it asks for: its own hints, then those of the pod. */
void kube_pod_hints(const struct kube_pod *pod, struct str container, struct profile_hints *ret);

/* A label's name as one of ours: what may not be in it is an underscore.  Appended to `out`. */
void kube_pod_label_name(struct str name, struct buf *out);

#endif
