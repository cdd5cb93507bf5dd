/* collector/config_paths.c - where things usually are; contract: config.h. */
#include "collector/config.h"

static struct str DOCKER_PATHS[] = {STR_INIT("/var/lib/docker/containers/*/*-json.log")};
static struct str CRI_PATHS[] = {STR_INIT("/var/log/pods/*/*/*.log")};
static struct str PODMAN_PATHS[] = {
    STR_INIT("/var/lib/containers/storage/*-containers/*/userdata/ctr.log"),
    STR_INIT("/home/*/.local/share/containers/storage/*-containers/*/userdata/ctr.log"),
};

struct conf_strs config_default_paths(int type)
{
    if (type == CONFIG_DOCKER)
        return (struct conf_strs){DOCKER_PATHS, 1};
    if (type == CONFIG_CRI)
        return (struct conf_strs){CRI_PATHS, 1};
    if (type == CONFIG_PODMAN)
        return (struct conf_strs){PODMAN_PATHS, 2};
    return (struct conf_strs){NULL, 0};
}

/* runc's of containerd, of CRI-O; crun's; bundles of containerd, of the one in k3s; of CRI-O. Where
 * there are several for one container the first has the least in it that is not asked for. */
static struct str RUNTIME_STATE[] = {
    STR_INIT("/run/containerd/runc/k8s.io"),
    STR_INIT("/run/runc"),
    STR_INIT("/run/crun"),
    STR_INIT("/run/containerd/io.containerd.runtime.v2.task/k8s.io"),
    STR_INIT("/run/k3s/containerd/io.containerd.runtime.v2.task/k8s.io"),
    STR_INIT("/var/lib/containers/storage/overlay-containers"),
};

/* The same for containers that log to the journal: Docker's and podman's. */
static struct str CONTAINERS[] = {
    STR_INIT("/var/lib/docker/containers"),
    STR_INIT("/var/lib/containers/storage/overlay-containers"),
    STR_INIT("/var/lib/containers/storage/vfs-containers"),
    STR_INIT("/home/*/.local/share/containers/storage/overlay-containers"),
};

static bool is_none(const struct conf_strs *s)
{
    return s->n == 1 && str_eq(s->v[0], STR("none"));
}

struct conf_strs config_runtime_state(const struct config_source *s)
{
    if ((s->type != CONFIG_CRI && s->type != CONFIG_JOURNALD) || is_none(&s->runtime_state))
        return (struct conf_strs){NULL, 0};
    if (s->runtime_state.n > 0)
        return s->runtime_state;
    if (s->type == CONFIG_JOURNALD)
        return (struct conf_strs){CONTAINERS, sizeof(CONTAINERS) / sizeof(CONTAINERS[0])};
    return (struct conf_strs){RUNTIME_STATE, sizeof(RUNTIME_STATE) / sizeof(RUNTIME_STATE[0])};
}

struct str config_engine_socket(const struct config_source *s)
{
    if (s->type != CONFIG_DOCKER_EVENTS && s->type != CONFIG_PODMAN_EVENTS)
        return STR_NULL;
    if (s->socket.n > 0)
        return s->socket;
    return s->type == CONFIG_DOCKER_EVENTS ? STR("/var/run/docker.sock")
                                           : STR("/run/podman/podman.sock");
}
