/* collector/config_own.c - contract: config_own.h. */
#include "collector/config_own.h"

#include "collector/spool.h"

#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of each. */
static const char *const OWN[] = {"checkpoint",
                                  "checkpoint.spare",
                                  "checkpoint.bad",
                                  "lock",
                                  "addresses.json",
                                  "containers",
                                  "kube.cache",
                                  "journald.position",
                                  SPOOL_DIR "/" SPOOL_OWN "/00000001" SPOOL_SUFFIX,
                                  SPOOL_DIR "/" SPOOL_FORWARD "/00000001" SPOOL_SUFFIX,
                                  SPOOL_DIR "/" SPOOL_DOCKER "/00000001" SPOOL_SUFFIX,
                                  SPOOL_DIR "/" SPOOL_PODMAN "/00000001" SPOOL_SUFFIX,
                                  SPOOL_DIR "/" SPOOL_JOURNALD "/00000001" SPOOL_SUFFIX,
                                  "keep/0123456789abcdef-0123456789abcdef.lqk",
                                  "refused/1.fwd"};

/* As watch.c understands globs. */
static bool is_input(const struct config_source *s, const char *path)
{
    char glob[PATH_MAX];
    bool is = false;

    for (size_t i = 0; i < s->paths.n && !is; i++)
        is = s->paths.v[i].n < sizeof(glob) && fnmatch(str_to_z(s->paths.v[i], glob, sizeof(glob)),
                                                       path, FNM_PATHNAME | FNM_PERIOD) == 0;
    for (size_t i = 0; i < s->exclude.n && is; i++)
        is = s->exclude.v[i].n >= sizeof(glob) ||
             fnmatch(str_to_z(s->exclude.v[i], glob, sizeof(glob)), path, FNM_PATHNAME) != 0;
    return is;
}

static bool is_read(const struct config_source *s, const char *state_dir)
{
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof(OWN) / sizeof(OWN[0]); i++) {
        int n = snprintf(path, sizeof(path), "%s/%s", state_dir, OWN[i]);
        if (n > 0 && (size_t)n < sizeof(path) && is_input(s, path))
            return true;
    }
    return false;
}

bool config_own_is_read(const struct config_source *s, const char *state_dir)
{
    char *real = realpath(state_dir, NULL); /* NULL: it is yet to be made, or not ours to see */
    bool is = is_read(s, state_dir) || (real != NULL && is_read(s, real));

    free(real);
    return is;
}
