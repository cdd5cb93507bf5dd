/*
 * collector/podman_lists.h - the containers of podman's storages, as their lists say.
 *
 * Each list is one file for all containers of a storage.  So it is read once and kept by id, and
 * read again when it is another file, or younger, but not without a pause: neither one that changes
 * all the time nor one that cannot be read is read for each log.  Bounded in lists, containers and
 * bytes.  Loop thread.
 */
#ifndef LOGQ_COLLECTOR_PODMAN_LISTS_H
#define LOGQ_COLLECTOR_PODMAN_LISTS_H

#include "base/time.h"
#include "collector/meta.h"

enum {
    PODMAN_LISTS_MAX = 64,
    PODMAN_LISTS_CONTAINERS_MAX = 16384, /* of one list; those that come later are not known */
    PODMAN_LISTS_ID_MAX = 256,
};

struct podman_lists;

/* Borrows the opener.  Each list is read anew after `pause` at the earliest. */
struct podman_lists *podman_lists_new(struct opener *o, dur_ns pause);
void podman_lists_free(struct podman_lists **pl);

/* Name, image and image_digest of container `id` by the list `path`, in `a`; the rest of *ret
 * stays. false: it is not there, or not yet as far as we know, or the list is not. */
bool podman_lists_find(struct podman_lists *l, const char *path, struct str id, struct arena *a,
                       struct meta *ret);

#endif
