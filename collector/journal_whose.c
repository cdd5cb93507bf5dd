/* collector/journal_whose.c - contract: journal_whose.h. */
#include "collector/journal_whose.h"

#include "collector/containers.h"
#include "collector/journal_line.h"

#include <string.h>

enum { ID_MIN = 12, ID_MAX = 64 };

/* Anybody may write entries: what is no id of a container is no part of a path. */
static bool is_id(struct str s)
{
    if (s.n < ID_MIN || s.n > ID_MAX)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((s.p[i] < '0' || s.p[i] > '9') && (s.p[i] < 'a' || s.p[i] > 'f'))
            return false;
    return true;
}

/* As if its log were a file in `dir`. */
static int ask(const struct source_set *set, int type, struct str dir, struct str id,
               struct arena *a, struct meta *ret)
{
    const struct config_source conf = {.type = type, .hints = true};
    struct containers_question q = {.opener = set->opener, .conf = &conf, .last_try = true};

    q.path =
        type == CONFIG_DOCKER
            ? arena_printf(a, "%.*s/%.*s/%.*s-json.log", STR_ARG(dir), STR_ARG(id), STR_ARG(id))
            : arena_printf(a, "%.*s/%.*s/userdata/ctr.log", STR_ARG(dir), STR_ARG(id));
    return q.path.p == NULL ? 1 : containers_find(set->containers, &q, a, ret);
}

int journal_whose_find(const struct source_set *set, const struct config_source *conf,
                       const struct journal_frame *f, struct arena *a, struct meta *ret)
{
    static const int TYPES[] = {CONFIG_DOCKER, CONFIG_PODMAN};
    static const char *const NAMES[] = {"docker", "podman"};
    struct conf_strs dirs = config_runtime_state(conf);
    struct str id = f->v[JOURNAL_ID], runtime = journal_line_runtime(f);

    memset(ret, 0, sizeof(*ret));
    if (!is_id(id))
        return 0;
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < dirs.n && (runtime.n == 0 || str_eq(runtime, str_of(NAMES[k])));
             i++) {
            struct meta m;
            int r = ask(set, TYPES[k], dirs.v[i], id, a, &m);
            if (r == 0 || m.has_hints)
                *ret = m;
            if (r == 0)
                return 0;
        }
    return dirs.n == 0 ? 0 : 1;
}
