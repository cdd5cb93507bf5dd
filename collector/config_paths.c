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

struct str config_engine_socket(const struct config_source *s)
{
    if (s->type != CONFIG_DOCKER_EVENTS && s->type != CONFIG_PODMAN_EVENTS)
        return STR_NULL;
    if (s->socket.n > 0)
        return s->socket;
    return s->type == CONFIG_DOCKER_EVENTS ? STR("/var/run/docker.sock")
                                           : STR("/run/podman/podman.sock");
}
