/*
 * collector/meta.h - whose log is this: name, image and place of a container, from files beside its
 * log.
 *
 * No API, no socket: config.v2.json of Docker (meta_docker.c), containers.json of podman's storage
 * (meta_podman.c), the path itself for Kubernetes (meta_cri.c); what its runtime knows beside that
 * is oci.h.  Of config.v2.json only the named fields are looked at, never Env.
 */
#ifndef LOGQ_COLLECTOR_META_H
#define LOGQ_COLLECTOR_META_H

#include "base/arena.h"
#include "base/json.h"
#include "base/str.h"
#include "collector/opener.h"
#include "collector/profile.h"

/* Absent facts are empty.  Texts are in the arena. */
struct meta {
    struct str id;    /* of the container, 64 hex digits mostly */
    struct str name;  /* without a leading / */
    struct str image; /* as the user wrote it */
    struct str image_digest;
    struct str app;                     /* from labels */
    struct str namespace, pod, pod_uid; /* Kubernetes */
    struct str restart;                 /* Kubernetes: N of N.log */
    struct profile_hints hints;         /* from labels or annotations */
    bool has_hints; /* these could be looked for: what is not there was not said */
};

struct podman_lists;

/* Each: 0 found; 1 not to be had now (not there yet, unreadable, not understood); what could be
 * told from the path is in *ret in either case. */
int meta_docker(struct opener *o, struct str log_path, struct str docker_root, struct arena *a,
                struct meta *ret);
/* `lists` may be NULL: then they are read for this one. */
int meta_podman(struct opener *o, struct podman_lists *lists, struct str log_path, struct arena *a,
                struct meta *ret);
int meta_cri(struct str log_path, struct arena *a, struct meta *ret);

/* For those who read what containers are labelled or annotated with.  Is `name` one that
 * meta_take_label looks at?  And that: app, hints, and the names that cri-dockerd and CRI-O set.
 * `rank` is 0 before the first of a container.  The value is borrowed. */
bool meta_is_wanted(struct str name);
void meta_take_label(struct str name, struct str value, int *rank, struct meta *ret);
void meta_take_hint(struct str name, struct str value, struct profile_hints *ret); /* only these */

/* Where in an object the text of a name has its place. */
struct meta_field {
    struct str name;
    size_t at; /* of a struct str */
};

/* The field of that name among `n`; NULL: there is none. */
const struct meta_field *meta_field_find(const struct meta_field *v, size_t n, struct str name);

/* The text of `object` that belongs to the field. */
struct str *meta_field_of(void *object, const struct meta_field *field);

/* For meta_*.c: directory and last component of a path; a labels object, of which only values that
 * are wanted are kept. */
struct str meta_dir(struct str path);
struct str meta_base(struct str path);
bool meta_take_labels(struct json_reader *r, struct arena *a, struct meta *ret);
bool meta_take_string(struct json_reader *r, struct arena *a, struct str *ret);

#endif
