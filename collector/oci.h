/*
 * collector/oci.h - the containers of this host's pods, as their runtimes' state tells them.
 *
 * A runtime keeps a directory per container that it runs, named by the container's id:
 *
 *     ROOT/<id>/state.json              runc's, below what runs it: containerd, CRI-O
 *     ROOT/<id>/config.json             a bundle of containerd, a copy of crun
 *     ROOT/<id>/userdata/config.json    CRI-O's
 *
 * A log below /var/log/pods says which pod and container it is of, and not which of the ids.  So
 * what these directories say is kept, by id, and looked at anew when a log is looked for: what is
 * new or younger is read, what is gone is forgotten.  The first of the files above that is there is
 * the one: state.json has no environment in it.
 *
 * Bounded: directories per root, bytes of one file, files read at once, bytes kept.  Loop thread;
 * calls block as the opener's do.
 */
#ifndef LOGQ_COLLECTOR_OCI_H
#define LOGQ_COLLECTOR_OCI_H

#include "base/conf.h"
#include "base/time.h"
#include "collector/meta.h"
#include "collector/opener.h"

enum {
    OCI_ITEMS_MAX = 4096,    /* containers of one root */
    OCI_BYTES_MAX = 8 << 20, /* of texts that are kept */
    OCI_READS_MAX = 256,     /* files read at one look */
    OCI_TRIES_MAX = 40,      /* looks at a directory that holds no such file, until it changes */
};

struct oci;

/* Borrows the opener.  Directories are looked at anew after `pause` at the earliest. */
struct oci *oci_new(struct opener *o, dur_ns pause);
void oci_free(struct oci **px);

enum oci_result {
    OCI_FOUND,
    OCI_LATER, /* its pod is there, and it is not: not yet, or not any more */
    OCI_NONE,  /* nobody knows its pod */
};

struct oci_found {
    struct meta meta;
    struct meta pod; /* its app and hints; without has_hints it is not known itself */
    bool is_exact;   /* by its log's name or its number; else by its pod's and its own name */
};

/*
 * Find the container of `want`: namespace, pod, pod_uid, name and restart, as its log's path says
 * them; `log` is the end of that path.  Of several the youngest.  OCI_FOUND fills ret->meta: id,
 * image, app and hints, in `a`; what a container does not say of the latter two its pod may.
 * ret->pod is filled in any case, as far as it is known.
 */
enum oci_result oci_find(struct oci *x, const struct conf_strs *roots, const struct meta *want,
                         struct str log, struct arena *a, struct oci_found *ret);

#endif
