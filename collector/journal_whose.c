/* collector/journal_whose.c - contract: journal_whose.h. */
#include "collector/journal_whose.h"

#include "collector/containers.h"
#include "collector/journal_line.h"

#include <string.h>
#include <sys/stat.h>

enum { ID_MIN = 12, ID_MAX = 64, OF_ROOT_MAX = 16 };

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

struct question {
    const struct source_set *set;
    struct str id, uid;
    struct str runtime; /* empty: it is not said */
    struct arena *a;
    struct meta *ret;
    int r; /* 0: it was found */
};

/* Is a file that says it of another user than who has written the entry?  Who owns a directory may
 * put anything into it, and is to speak of his own containers alone. */
static bool is_of_other(const struct question *q, struct str dir, const char *name)
{
    struct str path = arena_printf(q->a, "%.*s/%s", STR_ARG(dir), name);
    struct stat st;
    struct err err;
    int64_t uid;

    return path.p == NULL ||
           (str_to_i64(q->uid, &uid) && opener_stat(q->set->opener, path.p, &st, &err) == 0 &&
            (int64_t)st.st_uid != uid);
}

/* Or nobody knows. */
static bool is_root(const struct question *q)
{
    return q->uid.n == 0 || str_eq(q->uid, STR("0"));
}

/* As if it logged to `log`, in the directory that its runtime has for it. */
static void ask(struct question *q, int type, struct str log)
{
    const struct config_source conf = {.type = type, .hints = true};
    struct containers_question question = {
        .opener = q->set->opener, .conf = &conf, .path = log, .last_try = true};
    struct meta m;

    if (log.p == NULL)
        return;
    /* What is remembered by an id alone is root's word. */
    q->r = containers_find(is_root(q) ? q->set->containers : NULL, &question, q->a, &m);
    if (q->r == 0 || m.has_hints)
        *q->ret = m;
}

static void look_in(struct question *q, struct str dir)
{
    struct str at = arena_printf(q->a, "%.*s/%.*s", STR_ARG(dir), STR_ARG(q->id));

    if (at.p == NULL)
        return;
    if (q->r != 0 && !str_eq(q->runtime, STR("podman")) && !is_of_other(q, at, "config.v2.json"))
        ask(q, CONFIG_DOCKER, arena_printf(q->a, "%s/%.*s-json.log", at.p, STR_ARG(q->id)));
    if (q->r != 0 && !str_eq(q->runtime, STR("docker")) &&
        !is_of_other(q, at, "userdata/config.json") && !is_of_other(q, dir, "containers.json") &&
        !is_of_other(q, dir, "volatile-containers.json"))
        ask(q, CONFIG_PODMAN, arena_printf(q->a, "%s/userdata/ctr.log", at.p));
}

/* A directory for each user. */
struct homes {
    struct question *q;
    const char *front;
    struct str behind; /* of a name */
    int64_t uid;
    size_t of_root;
};

/* Only at his own, or some that root has made: others could put there what they like between two
 * looks, and anybody may ask, by an entry, as often as he likes. */
static void look_at_home(void *arg, const char *name, const struct stat *st)
{
    struct homes *h = arg;
    struct str dir;

    if (h->q->r == 0 || !S_ISDIR(st->st_mode))
        return;
    if ((int64_t)st->st_uid != h->uid && (st->st_uid != 0 || ++h->of_root > OF_ROOT_MAX))
        return;
    dir = arena_printf(h->q->a, "%s/%s%.*s", h->front, name, STR_ARG(h->behind));
    if (dir.p != NULL)
        look_in(h->q, dir);
}

/* `star` is a component of its own.  root's containers are in none of these. */
static void look_in_homes(struct question *q, struct str dir, size_t star)
{
    struct homes h = {.q = q, .behind = str_from(dir, star + 1)};
    struct err err;

    if (is_root(q) || !str_to_i64(q->uid, &h.uid))
        return;
    h.front = arena_printf(q->a, "%.*s", STR_ARG(str_sub(dir, 0, star - 1))).p;
    if (h.front != NULL)
        (void)opener_list(q->set->opener, h.front, OPENER_STATS, look_at_home, &h, &err);
}

int journal_whose_find(const struct source_set *set, const struct config_source *conf,
                       const struct journal_frame *f, struct arena *a, struct meta *ret)
{
    struct conf_strs dirs = config_runtime_state(conf);
    struct question q = {.set = set,
                         .id = f->v[JOURNAL_ID],
                         .uid = f->v[JOURNAL_UID],
                         .runtime = journal_line_runtime(f),
                         .a = a,
                         .ret = ret,
                         .r = 1};

    memset(ret, 0, sizeof(*ret));
    if (!is_id(q.id) || dirs.n == 0)
        return 0;
    for (size_t i = 0; q.r != 0 && i < dirs.n; i++) {
        size_t star = str_find(dirs.v[i], STR("/*/"));
        if (star == SIZE_MAX)
            look_in(&q, dirs.v[i]);
        else
            look_in_homes(&q, dirs.v[i], star + 1);
    }
    return q.r;
}
