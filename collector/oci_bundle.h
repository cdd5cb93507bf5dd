/*
 * collector/oci_bundle.h - what a runtime's own file says of one container.
 *
 * Two kinds of file, and it does not matter which: OCI's config.json, of which only "annotations"
 * is looked at and never the environment; and the state.json that runc keeps for each container,
 * where "config"."labels" holds the same pairs as "name=value".  Kubernetes' names are among them:
 *
 *     containerd  io.kubernetes.cri.container-name, sandbox-namespace, sandbox-name, sandbox-uid,
 *                 image-name, container-type
 *     CRI-O       io.kubernetes.container.name, io.kubernetes.pod.namespace, .name, .uid;
 *                 io.kubernetes.cri-o.ImageName, ImageRef, LogPath, ContainerType; and objects as
 *                 text in Labels and Annotations
 *
 * Pure functions of bytes.
 */
#ifndef LOGQ_COLLECTOR_OCI_BUNDLE_H
#define LOGQ_COLLECTOR_OCI_BUNDLE_H

#include "collector/meta.h"

enum { OCI_BUNDLE_MAX = 1 << 20 }; /* bytes of such a file: they have some ten thousand */

struct oci_bundle {
    struct meta meta;    /* all but its id, which is its directory's name */
    struct str log_path; /* CRI-O's */
    bool is_sandbox;     /* it holds a pod together, and is none of its containers */
};

/* false: it is no such file, or its texts do not fit into `a`, where they are. */
bool oci_bundle_parse(struct str text, struct arena *a, struct oci_bundle *ret);

/* A copy whose texts, none longer than a label's value may be, are in one block of *bytes: the
 * caller's to free. */
void *oci_bundle_copy(const struct oci_bundle *from, struct oci_bundle *ret, size_t *bytes);

#endif
