/*
 * collector/kube_pods.h - the pods of this node that we know of, by what their logs' paths say:
 * uid, namespace and name.
 *
 * All three, because a static pod's uid is what an annotation says: whoever may write that on a pod
 * of their own does not speak for another's.
 *
 * Filled from the API server (kube.h), kept in a file so that a restart without it knows them too.
 * A pod that is gone stays for ten minutes: its last lines are still on their way.  Bounded: beyond
 * that, pods that are gone make room, the oldest first.  Loop thread only.
 */
#ifndef LOGQ_COLLECTOR_KUBE_PODS_H
#define LOGQ_COLLECTOR_KUBE_PODS_H

#include "base/time.h"
#include "collector/kube_pod.h"

enum {
    KUBE_PODS_MAX = 2048,           /* a node has a hundred, or two */
    KUBE_PODS_TEXT_MAX = 256 << 10, /* of one of them */
    KUBE_PODS_BYTES_MAX = 8 << 20,  /* of all */
    KUBE_PODS_KEEP_S = 600,
    /* of the file: docs/formats/kube-cache.md */
    KUBE_PODS_FILE_MAX = KUBE_PODS_BYTES_MAX + KUBE_PODS_MAX * 32 + 64,
};

struct kube_pods;

struct kube_pods *kube_pods_new(void);
void kube_pods_free(struct kube_pods **pp);

/* It is there now, as `pod` says.  1: as it was known already.  ERR_INVALID: no uid or no name;
 * ERR_LIMIT: no room.  Nothing of `pod` is kept but copies. */
int kube_pods_put(struct kube_pods *p, const struct kube_pod *pod, struct err *err);
/* It is gone. */
void kube_pods_remove(struct kube_pods *p, const struct kube_pod *pod);

/* Between these two each pod that is there is put: all others are gone. */
void kube_pods_begin_list(struct kube_pods *p);
void kube_pods_end_list(struct kube_pods *p);

/* Forget those that have been gone for long enough. */
void kube_pods_expire(struct kube_pods *p);

/* What is known of the pod of these names.  Texts live until `p` changes, or in `a`. */
bool kube_pods_find(const struct kube_pods *p, struct str uid, struct str namespace,
                    struct str name, struct arena *a, struct kube_pod *ret);

size_t kube_pods_count(const struct kube_pods *p);
/* Goes up with everything that the file should say. */
uint64_t kube_pods_changes(const struct kube_pods *p);

/* The file's content appended to `out`; and the pods of a file taken into an empty `p`.
 * ERR_CORRUPT: it is empty still. */
void kube_pods_save(const struct kube_pods *p, struct buf *out);
int kube_pods_load(struct kube_pods *p, struct str text, struct err *err);

#endif
