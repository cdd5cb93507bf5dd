/*
 * collector/podman_lists.h - the containers of podman's storages, as their lists say.
 *
 * Each list is one file for all containers of a storage.  So it is read once and kept by id, and
 * read again when it is another file, or younger.  Bounded in lists, containers and bytes.  Loop
 * thread.
 */
#ifndef LOGQ_COLLECTOR_PODMAN_LISTS_H
#define LOGQ_COLLECTOR_PODMAN_LISTS_H

#include "collector/meta.h"

enum {
    PODMAN_LISTS_MAX = 64,
    PODMAN_LISTS_CONTAINERS_MAX = 16384, /* of one list; those that come later are not known */
    PODMAN_LISTS_ID_MAX = 256,
};

struct podman_lists;

/* Borrows the opener. */
struct podman_lists *podman_lists_new(struct opener *o);
void podman_lists_free(struct podman_lists **pl);

/* Name, image and image_digest of container `id` by the list `path`, in `a`; the rest of *ret
 * stays. false: it is not there, or the list is not. */
bool podman_lists_find(struct podman_lists *l, const char *path, struct str id, struct arena *a,
                       struct meta *ret);

#endif
