/*
 * collector/containers.c - contract: containers.h.
 *
 * Which id a container of a pod has.  Its log is .../<namespace>_<pod>_<uid>/<name>/<n>.log, and n
 * counts its restarts: each is a container of its own, with an id of its own.  CRI-O says whose log
 * it is.  containerd does not say which n a container is.  But of one name it runs one at a time,
 * and makes its log before it: so when the runtime's state was read, and then there is no log with
 * a higher n, the one that runs is n's - unless it was that of n - 1 before, whose end is to come.
 */
#include "collector/containers.h"

#include "base/mem.h"
#include "base/obj.h"
#include "collector/known.h"
#include "collector/oci.h"
#include "collector/podman_lists.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_PAUSE_MS = 50, LIST_PAUSE_MS = 250, HINTS_BYTES = 128 << 10 };

struct containers {
    unsigned magic;
#define CONTAINERS_MAGIC 0xc047a14eu
    struct known *known;
    struct oci *oci;
    struct podman_lists *lists;
};

struct containers *containers_open(int state_fd, struct opener *o)
{
    struct containers *c = mem_new(sizeof(*c));

    c->magic = CONTAINERS_MAGIC;
    c->known = known_open(state_fd);
    c->oci = oci_new(o, LOOK_PAUSE_MS * NS_PER_MS);
    c->lists = podman_lists_new(o, LIST_PAUSE_MS * NS_PER_MS);
    return c;
}

void containers_close(struct containers **pc)
{
    struct containers *c = *pc;

    if (c == NULL)
        return;
    OBJ_CHECK(c, CONTAINERS_MAGIC);
    known_close(&c->known);
    oci_free(&c->oci);
    podman_lists_free(&c->lists);
    c->magic = 0;
    free(c);
    *pc = NULL;
}

/* What it is remembered by; p == NULL: it is no container's. */
static struct str key_of(const struct config_source *conf, struct str path, struct arena *a)
{
    struct str dir = meta_dir(path);
    struct meta m;

    if (conf->type == CONFIG_DOCKER)
        return arena_printf(a, "docker/%.*s", STR_ARG(meta_base(dir)));
    if (conf->type == CONFIG_PODMAN)
        return arena_printf(a, "podman/%.*s", STR_ARG(meta_base(meta_dir(dir))));
    if (conf->type != CONFIG_CRI || meta_cri(path, a, &m) != 0 || m.pod.n == 0)
        return STR_NULL;
    return arena_printf(a, "cri/%.*s_%.*s_%.*s/%.*s/%.*s", STR_ARG(m.namespace), STR_ARG(m.pod),
                        STR_ARG(m.pod_uid), STR_ARG(m.name), STR_ARG(m.restart));
}

/* ---- containers of pods ---- */

/* Is there a log of a later restart? */
struct later {
    uint64_t than;
    bool is_there;
};

static void see_log(void *arg, const char *name, const struct stat *st)
{
    struct later *l = arg;
    struct str rest = str_of(name);
    uint64_t n;

    (void)st;
    if (str_to_u64(str_cut(&rest, '.'), &n) && n > l->than && str_starts(rest, STR("log")))
        l->is_there = true;
}

/* A directory that cannot be listed has none. */
static bool has_later(const struct containers_question *q, uint64_t restart)
{
    struct later l = {.than = restart};
    char dir[4096];
    struct err err;

    if (meta_dir(q->path).n >= sizeof(dir))
        return false;
    (void)opener_list(q->opener, str_to_z(meta_dir(q->path), dir, sizeof(dir)), OPENER_NO_STATS,
                      see_log, &l, &err);
    return l.is_there;
}

/* Was that the one before? */
static bool is_before(struct containers *c, const struct meta *pod, uint64_t restart, struct str id,
                      struct arena *a)
{
    struct meta before;
    struct str key;

    if (restart == 0)
        return false;
    key = arena_printf(a, "cri/%.*s_%.*s_%.*s/%.*s/%" PRIu64, STR_ARG(pod->namespace),
                       STR_ARG(pod->pod), STR_ARG(pod->pod_uid), STR_ARG(pod->name), restart - 1);
    return key.p != NULL && known_get(c->known, key, a, &before) && str_eq(before.id, id);
}

/* The end of a log's path as its runtime knows it, without what rotation put behind. */
static struct str log_of(const struct meta *pod, struct arena *a)
{
    return arena_printf(a, "/%.*s_%.*s_%.*s/%.*s/%.*s.log", STR_ARG(pod->namespace),
                        STR_ARG(pod->pod), STR_ARG(pod->pod_uid), STR_ARG(pod->name),
                        STR_ARG(pod->restart));
}

static void add(struct meta *to, const struct meta *found)
{
    to->id = found->id;
    to->image = found->image;
    to->image_digest = found->image_digest;
    to->app = found->app;
    to->hints = found->hints;
    to->has_hints = true;
}

/* What its pod says, for a container that is gone or not there yet. */
static void add_pod(struct meta *to, const struct meta *pod)
{
    to->app = pod->app;
    to->hints = pod->hints;
    to->has_hints = pod->has_hints;
}

/* `*ret` is what the path says.  0, or 1: later. */
static int find_in_pod(struct containers *c, const struct containers_question *q, struct arena *a,
                       struct meta *ret)
{
    struct conf_strs roots = config_runtime_state(q->conf);
    struct str log = log_of(ret, a);
    struct oci_found found = {.is_exact = false};
    uint64_t restart;
    enum oci_result r;

    if (roots.n == 0 || log.p == NULL || !str_to_u64(ret->restart, &restart))
        return 0;
    r = oci_find(c->oci, &roots, ret, log, a, &found);
    if (r == OCI_NONE)
        return 0;
    add_pod(ret, &found.pod);
    if (r == OCI_FOUND && found.is_exact) {
        add(ret, &found.meta);
        return 0;
    }
    if (has_later(q, restart))
        return 0; /* it ended */
    if (r == OCI_LATER || is_before(c, ret, restart, found.meta.id, a))
        return 1;
    add(ret, &found.meta);
    return 0;
}

static int find_cri(struct containers *c, const struct containers_question *q, struct str key,
                    struct arena *a, struct meta *ret)
{
    struct meta before;
    bool is_known;
    int r;

    (void)meta_cri(q->path, a, ret);
    if (c == NULL || key.p == NULL)
        return 0;
    is_known = known_get(c->known, key, a, &before);
    if (is_known && before.id.n > 0) {
        add(ret, &before);
        return 0;
    }
    r = find_in_pod(c, q, a, ret);
    if (r != 0 && !q->last_try && !is_known)
        return 1;
    if (is_known && !ret->has_hints) /* what its pod said while it was there */
        add_pod(ret, &before);
    if (r != 0 || ret->id.n > 0 || ret->has_hints) /* waited for once: not again */
        known_put(c->known, key, ret);
    return 0;
}

/* ---- all ---- */

static int ask(struct containers *c, const struct containers_question *q, struct str key,
               struct arena *a, struct meta *ret)
{
    struct meta before;
    int r;

    if (q->conf->type == CONFIG_DOCKER)
        r = meta_docker(q->opener, q->path, q->conf->docker_root, a, ret);
    else
        r = meta_podman(q->opener, c == NULL ? NULL : c->lists, q->path, a, ret);
    if (c == NULL || key.p == NULL)
        return r;
    if ((r != 0 || !ret->has_hints) && known_get(c->known, key, a, &before)) {
        if (r != 0)
            *ret = before;
        else
            ret->hints = before.hints;
        return 0;
    }
    if (r == 0)
        known_put(c->known, key, ret);
    return r;
}

int containers_find(struct containers *c, const struct containers_question *q, struct arena *a,
                    struct meta *ret)
{
    struct str key = q->conf == NULL ? STR_NULL : key_of(q->conf, q->path, a);

    memset(ret, 0, sizeof(*ret));
    if (q->conf != NULL && q->conf->type == CONFIG_CRI)
        return find_cri(c, q, key, a, ret);
    return key.p == NULL ? 0 : ask(c, q, key, a, ret);
}

/* ---- hints ---- */

/* Both of a log, which is known by the first and was done by the second. */
struct keys {
    struct str own, done;
};

static bool keys_of(const struct containers *c, const struct config_source *conf, struct str path,
                    struct arena *a, struct keys *ret)
{
    if (c == NULL || conf == NULL)
        return false;
    ret->own = key_of(conf, path, a);
    if (ret->own.p == NULL)
        return false;
    ret->done = arena_printf(a, "hints/%.*s", STR_ARG(ret->own));
    return ret->done.p != NULL;
}

static bool is_same(const struct profile_hints *x, const struct profile_hints *y)
{
    return str_eq(x->exclude, y->exclude) && str_eq(x->redact, y->redact) &&
           str_eq(x->multiline, y->multiline);
}

void containers_set_hints(struct containers *c, const struct config_source *conf, struct str path,
                          const struct profile_hints *hints)
{
    struct arena *a = arena_new(NULL, HINTS_BYTES);
    struct meta own = {.id = STR_NULL}, done = {.id = STR_NULL};
    struct keys k;

    if (keys_of(c, conf, path, a, &k)) {
        (void)known_get(c->known, k.own, a, &own);
        if (known_get(c->known, k.done, a, &done) || !is_same(&own.hints, hints)) {
            done.hints = *hints;
            known_put(c->known, k.done, &done);
        }
    }
    arena_free(&a);
}

void containers_hints(struct containers *c, const struct config_source *conf, struct str path,
                      struct arena *a, struct profile_hints *ret)
{
    struct meta m = {.id = STR_NULL};
    struct keys k;

    if (keys_of(c, conf, path, a, &k) && !known_get(c->known, k.done, a, &m))
        (void)known_get(c->known, k.own, a, &m);
    *ret = m.hints;
}
