/* collector/policy.c - contract: policy.h. */
#include "collector/policy.h"

#include "base/mem.h"
#include "base/obj.h"
#include "base/vec.h"
#include "collector/siblings.h"
#include "collector/watch.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { LINKS_MAX = 40 }; /* on the way to one directory; the kernel's own limit */

/* A glob, or a name where there is nothing wild. */
struct rule {
    char *pattern;       /* without doubled slashes */
    VEC(char *) exclude; /* globs of names that it is not about */
    size_t fixed;        /* bytes of its directories before the first wild one, without the slash */
};

struct policy {
    unsigned magic;
#define POLICY_MAGIC 0x9011c7d4u
    VEC(struct rule) logs;
    VEC(struct rule) metas; /* directories that hold nothing but runtimes' files */
    VEC(struct rule) state; /* runtimes' files in directories that hold other things, too */
    VEC(char *) follow;     /* directories */
    VEC(char *) files;      /* certificates, and the token for Kubernetes */
};

/* What runtimes keep of their containers, and we read. */
static const char *const META_NAMES[] = {"config.v2.json", "containers.json",
                                         "volatile-containers.json"};

struct policy *policy_new(void)
{
    struct policy *p = mem_new(sizeof(*p));

    p->magic = POLICY_MAGIC;
    return p;
}

static void free_rule(struct rule *r)
{
    while (r->exclude.n > 0)
        free(r->exclude.p[--r->exclude.n]);
    VEC_FINI(&r->exclude);
    free(r->pattern);
}

void policy_free(struct policy **pp)
{
    struct policy *p = *pp;

    if (p == NULL)
        return;
    OBJ_CHECK(p, POLICY_MAGIC);
    while (p->logs.n > 0)
        free_rule(&p->logs.p[--p->logs.n]);
    while (p->metas.n > 0)
        free_rule(&p->metas.p[--p->metas.n]);
    while (p->state.n > 0)
        free_rule(&p->state.p[--p->state.n]);
    while (p->follow.n > 0)
        free(p->follow.p[--p->follow.n]);
    while (p->files.n > 0)
        free(p->files.p[--p->files.n]);
    VEC_FINI(&p->logs);
    VEC_FINI(&p->metas);
    VEC_FINI(&p->state);
    VEC_FINI(&p->follow);
    VEC_FINI(&p->files);
    p->magic = 0;
    free(p);
    *pp = NULL;
}

/* ---- paths ---- */

static bool is_wild(char c)
{
    return c == '*' || c == '?' || c == '[';
}

/* A copy without doubled slashes and without one at the end. */
static char *normal(struct str path)
{
    char *to = mem_new(path.n + 1);
    size_t n = 0;

    for (size_t i = 0; i < path.n; i++)
        if (path.p[i] != '/' || n == 0 || to[n - 1] != '/')
            to[n++] = path.p[i];
    if (n > 1 && to[n - 1] == '/')
        n--;
    to[n] = '\0';
    return to;
}

/* Absolute, and nothing in it that leads up or stands still. */
static bool is_plain(const char *path)
{
    if (path[0] != '/' || strlen(path) >= PATH_MAX)
        return false;
    for (const char *p = path; *p != '\0'; p++) {
        size_t n;
        if (*p != '/' || p[1] == '\0')
            continue;
        n = strcspn(p + 1, "/");
        if (n == 0 || (n == 1 && p[1] == '.') || (n == 2 && p[1] == '.' && p[2] == '.'))
            return false;
    }
    return true;
}

static struct str dir_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return (struct str){path, slash == NULL ? 0 : (size_t)(slash - path)};
}

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

static size_t count_slashes(struct str s)
{
    size_t n = 0;

    for (size_t i = 0; i < s.n; i++)
        n += s.p[i] == '/';
    return n;
}

/* Does the beginning of `pattern` with as many components as `dir` match it? */
static bool starts_with_dir(const char *pattern, struct str dir)
{
    char head[PATH_MAX], text[PATH_MAX];
    size_t want = count_slashes(dir), n = 0, at;

    if (dir.n == 0)
        return true;
    for (at = 0; pattern[at] != '\0'; at++)
        if (pattern[at] == '/' && n++ == want)
            break;
    if (pattern[at] != '/' || at >= sizeof(head) || dir.n >= sizeof(text))
        return false;
    return fnmatch(str_to_z((struct str){pattern, at}, head, sizeof(head)),
                   str_to_z(dir, text, sizeof(text)), FNM_PATHNAME) == 0;
}

/* Is `dir` the directory of files that `pattern` matches? */
static bool is_dir_of(const char *pattern, struct str dir)
{
    return count_slashes(dir_of(pattern)) == count_slashes(dir) && starts_with_dir(pattern, dir);
}

static bool is_meta(const char *base)
{
    for (size_t i = 0; i < sizeof(META_NAMES) / sizeof(META_NAMES[0]); i++)
        if (strcmp(base, META_NAMES[i]) == 0)
            return true;
    return false;
}

/* Without the ending of a compressed file. */
static struct str uncompressed(struct str name)
{
    static const char *const ENDINGS[] = {".gz", ".zst"};

    for (size_t i = 0; i < sizeof(ENDINGS) / sizeof(ENDINGS[0]); i++)
        if (str_ends(name, str_of(ENDINGS[i])))
            return str_sub(name, 0, name.n - strlen(ENDINGS[i]));
    return name;
}

/* A name that is asked for, and whose it may be. */
struct asked {
    const struct rule *rule; /* NULL: one without exclusions */
    struct str dir;
    const char *pattern; /* of names in it */
    const char *base;
};

/* Does the configuration leave out `head` with `ending` behind it, in that directory? */
static bool is_excluded(const struct asked *a, const char *head, const char *ending)
{
    char path[PATH_MAX];
    int n = snprintf(path, sizeof(path), "%.*s/%s%s", STR_ARG(a->dir), head, ending);

    if (a->rule == NULL)
        return false;
    if (n < 0 || (size_t)n >= sizeof(path))
        return true;
    for (size_t i = 0; i < a->rule->exclude.n; i++)
        if (watch_matches(str_of(a->rule->exclude.p[i]), path))
            return true;
    return false;
}

/* Is it a name that `pattern` matches, with what rotation puts behind it (siblings.h), and `ending`
 * behind both? */
static bool is_rotated(const struct asked *a, const char *pattern, const char *base,
                       const char *ending)
{
    char head[NAME_MAX + 1];

    for (size_t k = 1; base[k] != '\0'; k++) {
        if (base[k] != '.' && base[k] != '-' && base[k] != '_')
            continue;
        (void)str_to_z((struct str){base, k}, head, sizeof(head));
        if (siblings_is_rotated(base, head) && fnmatch(pattern, head, 0) == 0 &&
            !is_excluded(a, head, ending))
            return true;
    }
    return false;
}

/* Does it match, or is it what rotation makes of a name that does: x.log -> x.log.1,
 * x.log-20260101, or with the date before its ending x-20260101.log?  What rotation makes of a name
 * that is not excluded is not either: `exclude: *.gz` loses no unread lines. */
static bool is_of_log(const struct asked *a)
{
    char stem[NAME_MAX + 1], inner[NAME_MAX + 1];
    const char *dot = strrchr(a->pattern, '.');
    struct str plain = uncompressed(str_of(a->base));

    if (strlen(a->base) > NAME_MAX || strlen(a->pattern) > NAME_MAX || is_meta(a->base) ||
        strcmp(a->base, "hostconfig.json") == 0)
        return false;
    if (fnmatch(a->pattern, a->base, 0) == 0 && !is_excluded(a, a->base, ""))
        return true;
    if (is_rotated(a, a->pattern, a->base, ""))
        return true;
    if (dot == NULL || dot == a->pattern || !str_ends(plain, str_of(dot)))
        return false;
    (void)str_to_z((struct str){a->pattern, (size_t)(dot - a->pattern)}, stem, sizeof(stem));
    (void)str_to_z((struct str){a->base, plain.n - strlen(dot)}, inner, sizeof(inner));
    return is_rotated(a, stem, inner, dot);
}

/* A log of `r`, by its name in `dir`? */
static bool takes(const struct rule *r, struct str dir, const char *base)
{
    return is_dir_of(r->pattern, dir) &&
           is_of_log(&(struct asked){r, dir, base_of(r->pattern), base});
}

static bool looks_like_log(const char *path)
{
    return is_of_log(&(struct asked){NULL, STR(""), "*.log", base_of(path)});
}

/* ---- what the configuration asks for ---- */

static struct rule rule_of(struct str pattern)
{
    struct rule r = {.pattern = normal(pattern)};
    size_t at = 0;

    while (r.pattern[at] != '\0' && !is_wild(r.pattern[at])) {
        if (r.pattern[at] == '/')
            r.fixed = at;
        at++;
    }
    return r;
}

static bool is_same(const struct rule *a, const struct rule *b)
{
    if (strcmp(a->pattern, b->pattern) != 0 || a->exclude.n != b->exclude.n)
        return false;
    for (size_t i = 0; i < a->exclude.n; i++)
        if (strcmp(a->exclude.p[i], b->exclude.p[i]) != 0)
            return false;
    return true;
}

static bool has_rule(const struct rule *v, size_t n, const struct rule *r)
{
    for (size_t i = 0; i < n; i++)
        if (is_same(&v[i], r))
            return true;
    return false;
}

static void add_log(struct policy *p, struct str pattern, const struct conf_strs *exclude)
{
    struct rule r = rule_of(pattern);

    for (size_t i = 0; i < exclude->n; i++)
        VEC_PUSH(&r.exclude, normal(exclude->v[i]));
    if (r.pattern[0] == '/' && !has_rule(p->logs.p, p->logs.n, &r))
        VEC_PUSH(&p->logs, r);
    else
        free_rule(&r);
}

/* Runtimes' files are in `root`/<anything>/. */
static void add_meta_root(struct policy *p, struct str root)
{
    char text[PATH_MAX];
    struct rule r;

    if (root.n == 0 || root.n + 5 > sizeof(text))
        return;
    (void)snprintf(text, sizeof(text), "%.*s/*/*", STR_ARG(root));
    r = rule_of(str_of(text));
    if (r.pattern[0] == '/' && !has_rule(p->metas.p, p->metas.n, &r))
        VEC_PUSH(&p->metas, r);
    else
        free_rule(&r);
}

/* `root`/<id>/ and the names that oci.h tells; of the journal's containers, those that meta.h
 * does. */
static void add_state_root(struct policy *p, struct str root, bool is_journal)
{
    static const char *const OCI[] = {"*/state.json", "*/config.json", "*/userdata/config.json",
                                      NULL};
    static const char *const META[] = {"*/config.v2.json", "*/userdata/config.json",
                                       "containers.json", "volatile-containers.json", NULL};
    const char *const *names = is_journal ? META : OCI;
    char text[PATH_MAX];

    for (size_t i = 0; names[i] != NULL; i++) {
        int n = snprintf(text, sizeof(text), "%.*s/%s", STR_ARG(root), names[i]);
        struct rule r;
        if (n < 0 || (size_t)n >= sizeof(text))
            continue;
        r = rule_of(str_of(text));
        if (r.pattern[0] == '/' && !has_rule(p->state.p, p->state.n, &r))
            VEC_PUSH(&p->state, r);
        else
            free_rule(&r);
    }
}

static bool has_text(char *const *v, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(v[i], text) == 0)
            return true;
    return false;
}

static void add_follow(struct policy *p, struct str dir)
{
    char *text = normal(dir);

    if (text[0] == '/' && !has_text(p->follow.p, p->follow.n, text))
        VEC_PUSH(&p->follow, text);
    else
        free(text);
}

static void add_file(struct policy *p, struct str file)
{
    char *text = normal(file);

    if (text[0] == '/' && !has_text(p->files.p, p->files.n, text))
        VEC_PUSH(&p->files, text);
    else
        free(text);
}

void policy_add(struct policy *p, const struct source_set *set)
{
    const struct config *c = set->config;

    OBJ_CHECK(p, POLICY_MAGIC);
    for (size_t i = 0; i < set->n; i++)
        for (size_t k = 0; k < set->v[i].paths.n; k++)
            add_log(p, set->v[i].paths.v[k], &set->v[i].exclude);
    for (size_t i = 0; i < c->n_sources; i++) {
        struct conf_strs roots = config_runtime_state(&c->sources[i]);
        add_meta_root(p, c->sources[i].docker_root);
        for (size_t k = 0; k < roots.n; k++)
            add_state_root(p, roots.v[k], c->sources[i].type == CONFIG_JOURNALD);
    }
    for (size_t i = 0; i < c->follow_into.n; i++)
        add_follow(p, c->follow_into.v[i]);
    add_file(p, c->ca);
    add_file(p, c->cert);
    add_file(p, c->key);
    if (c->kube.api.n > 0) {
        add_file(p, c->kube.token_file);
        add_file(p, c->kube.ca_file);
    }
}

/* ---- by name ---- */

static bool may_open_log(const struct policy *p, const char *path)
{
    for (size_t i = 0; i < p->logs.n; i++)
        if (takes(&p->logs.p[i], dir_of(path), base_of(path)))
            return true;
    return false;
}

/* podman's copy of what a container was made of. */
static bool is_oci_config(const char *path)
{
    return strcmp(base_of(path), "config.json") == 0 && str_ends(dir_of(path), STR("/userdata"));
}

static bool is_state(const struct rule *r, const char *path)
{
    return is_dir_of(r->pattern, dir_of(path)) && strcmp(base_of(r->pattern), base_of(path)) == 0;
}

static bool may_open_meta(const struct policy *p, const char *path)
{
    for (size_t i = 0; i < p->state.n; i++)
        if (is_state(&p->state.p[i], path))
            return true;
    if (!is_meta(base_of(path)) && !is_oci_config(path))
        return false;
    for (size_t i = 0; i < p->metas.n; i++)
        if (is_dir_of(p->metas.p[i].pattern, dir_of(path)))
            return true;
    for (size_t i = 0; i < p->logs.n; i++)
        if (starts_with_dir(p->logs.p[i].pattern, dir_of(path)))
            return true;
    return false;
}

bool policy_may_open(const struct policy *p, enum opener_kind kind, const char *path)
{
    OBJ_CHECK(p, POLICY_MAGIC);
    if (!is_plain(path))
        return false;
    switch (kind) {
    case OPENER_LOG:
        return may_open_log(p, path);
    case OPENER_META:
        return may_open_meta(p, path);
    case OPENER_CONF:
        return has_text(p->files.p, p->files.n, path);
    }
    return false;
}

/* What is in front of the wild part of `r`? */
static bool is_root_of(const struct rule *r, const char *dir)
{
    return strlen(dir) == r->fixed && strncmp(r->pattern, dir, r->fixed) == 0;
}

bool policy_may_list(const struct policy *p, const char *dir)
{
    OBJ_CHECK(p, POLICY_MAGIC);
    if (!is_plain(dir))
        return false;
    for (size_t i = 0; i < p->state.n; i++)
        if (is_root_of(&p->state.p[i], dir))
            return true;
    for (size_t i = 0; i < p->logs.n; i++) {
        struct str d = {dir, strcmp(dir, "/") == 0 ? 0 : strlen(dir)};
        if (count_slashes(d) <= count_slashes(dir_of(p->logs.p[i].pattern)) &&
            starts_with_dir(p->logs.p[i].pattern, d))
            return true;
    }
    return false;
}

bool policy_may_stat(const struct policy *p, const char *path)
{
    return policy_may_list(p, path) || policy_may_open(p, OPENER_LOG, path) ||
           policy_may_open(p, OPENER_META, path) || strcmp(path, SOURCE_CRIO_SOCKET) == 0;
}

/* ---- by where it really is ---- */

/* May a link stand in the directory `fd`?  Only root, or we, can put a name into it. */
static bool is_trusted_fd(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) &&
           (st.st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

static bool is_trusted_dir(const char *dir)
{
    int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool is_trusted = fd >= 0 && is_trusted_fd(fd);

    if (fd >= 0)
        (void)close(fd);
    return is_trusted;
}

/* On the way to a directory: where we are, and what is left of the name. */
struct walk {
    int at;
    unsigned links;
    char rest[PATH_MAX];
};

static void walk_to(struct walk *w, int fd)
{
    if (w->at >= 0)
        (void)close(w->at);
    w->at = fd;
}

/* Go on where the link `fd` in the directory w->at leads. */
static bool follow(struct walk *w, int fd, const char *behind)
{
    char rest[PATH_MAX], target[PATH_MAX];
    ssize_t n;
    int len;

    if (++w->links > LINKS_MAX || !is_trusted_fd(w->at))
        return false;
    n = readlinkat(fd, "", target, sizeof(target));
    if (n <= 0 || (size_t)n == sizeof(target))
        return false;
    len = snprintf(rest, sizeof(rest), "%.*s/%s", (int)n, target, behind);
    if (len < 0 || (size_t)len >= sizeof(rest))
        return false;
    memcpy(w->rest, rest, (size_t)len + 1);
    if (target[0] == '/')
        walk_to(w, open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
    return w->at >= 0;
}

/* One component; false: it is not to be had. */
static bool step(struct walk *w)
{
    char name[NAME_MAX + 1];
    const char *from = w->rest + strspn(w->rest, "/");
    size_t n = strcspn(from, "/");
    struct stat st = {.st_mode = 0};
    bool ok;
    int fd;

    if (n > NAME_MAX)
        return false;
    (void)str_to_z((struct str){from, n}, name, sizeof(name));
    from += n;
    if (n == 0) {
        w->rest[0] = '\0';
        return true;
    }
    fd = openat(w->at, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return false;
    if (fstat(fd, &st) < 0 || S_ISLNK(st.st_mode)) {
        ok = S_ISLNK(st.st_mode) && follow(w, fd, from);
        (void)close(fd);
        return ok;
    }
    walk_to(w, fd);
    memmove(w->rest, from, strlen(from) + 1);
    return true;
}

/* The common case, in one step: no link is on the way.  -1: there is one, or it cannot be told so.
 */
static int open_without_links(struct str dir)
{
    struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS};
    char path[PATH_MAX];

    if (dir.n == 0 || dir.p[0] != '/' || dir.n >= sizeof(path))
        return -1;
    return (int)syscall(SYS_openat2, AT_FDCWD, str_to_z(dir, path, sizeof(path)), &how,
                        sizeof(how));
}

/*
 * Where the directory `dir` really is; false: it is not to be had, or a link on the way stands
 * where others could have put it.  Each step is taken from the descriptor of the one before, so
 * that what was looked at is what is walked through; who exchanges a component meanwhile changes
 * the result, and that is no longer where the file was opened.
 */
static bool find_dir(struct str dir, char *to, size_t cap)
{
    struct walk w = {.at = open_without_links(dir)};
    char link[64];
    ssize_t n = -1;
    bool ok = true;

    if (w.at < 0) {
        w.at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
        ok = w.at >= 0 && dir.n < sizeof(w.rest);
        if (ok)
            (void)str_to_z(dir, w.rest, sizeof(w.rest));
    }
    while (ok && w.rest[0] != '\0')
        ok = step(&w);
    if (ok) {
        (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", w.at);
        n = readlink(link, to, cap);
    }
    if (w.at >= 0)
        (void)close(w.at);
    if (n <= 0 || (size_t)n >= cap)
        return false;
    to[n] = '\0';
    return true;
}

/* `path` with the fixed part of `r` as it really is, in `to`; false: it is not to be had. */
static bool resolve(const struct rule *r, const char *path, char *to, size_t cap)
{
    size_t n;

    if (strncmp(path, r->pattern, r->fixed) != 0 || path[r->fixed] != '/')
        return false;
    if (r->fixed == 0)
        return (size_t)snprintf(to, cap, "%s", path) < cap;
    if (!find_dir((struct str){path, r->fixed}, to, cap))
        return false;
    n = strcmp(to, "/") == 0 ? 0 : strlen(to);
    return (size_t)snprintf(to + n, cap - n, "%s", path + r->fixed) < cap - n;
}

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

/* Is `real` a log of `r`, whose fixed part is a link? */
static bool is_behind_link(const struct rule *r, const char *real)
{
    char place[PATH_MAX], named[PATH_MAX];
    int n;

    if (!find_dir((struct str){r->pattern, r->fixed}, place, sizeof(place)) ||
        !is_below(real, place))
        return false;
    n = snprintf(named, sizeof(named), "%.*s%s", (int)r->fixed, r->pattern, real + strlen(place));
    return n > 0 && (size_t)n < sizeof(named) && takes(r, dir_of(named), base_of(named));
}

/* A place that logs are kept in. */
static bool is_log_place(const struct policy *p, const char *real)
{
    char expected[PATH_MAX];

    for (size_t i = 0; i < p->follow.n; i++)
        if (is_below(real, p->follow.p[i]) && looks_like_log(real))
            return true;
    if (may_open_log(p, real))
        return true;
    for (size_t i = 0; i < p->follow.n; i++) { /* the place itself may be behind a link */
        if (find_dir(str_of(p->follow.p[i]), expected, sizeof(expected)) &&
            is_below(real, expected) && looks_like_log(real))
            return true;
    }
    for (size_t i = 0; i < p->logs.n; i++) {
        const struct rule *r = &p->logs.p[i];
        if (r->fixed > 0 && is_behind_link(r, real))
            return true;
    }
    return false;
}

/* `real` is `path`, but for trusted links in the fixed part of `r`; a log may have been renamed
 * since. */
static bool is_where_it_says(const struct rule *r, enum opener_kind kind, const char *path,
                             const char *real)
{
    char expected[PATH_MAX];

    if (!starts_with_dir(r->pattern, dir_of(path)) || !resolve(r, path, expected, sizeof(expected)))
        return false;
    if (!str_eq(dir_of(expected), dir_of(real)))
        return false;
    return kind == OPENER_LOG ? takes(r, dir_of(path), base_of(real))
                              : strcmp(base_of(expected), base_of(real)) == 0;
}

/* The name is a link.  Its directory is where it says, is trusted, and it leads to a log. */
static bool is_good_link(const struct policy *p, const struct rule *r, const char *path,
                         const char *real)
{
    char expected[PATH_MAX], dir[PATH_MAX];
    char *there;
    bool ok;

    if (!is_dir_of(r->pattern, dir_of(path)) || !resolve(r, path, expected, sizeof(expected)))
        return false;
    (void)str_to_z(dir_of(expected), dir, sizeof(dir));
    there = realpath(dir, NULL);
    ok = there != NULL && strcmp(there, dir) == 0 && is_trusted_dir(dir) && is_log_place(p, real);
    free(there);
    return ok;
}

bool policy_may_pass(const struct policy *p, enum opener_kind kind, const char *path,
                     const char *real)
{
    char text[PATH_MAX];
    struct str name = str_of(real);

    OBJ_CHECK(p, POLICY_MAGIC);
    if (str_ends(name, STR(" (deleted)")))
        name.n -= sizeof(" (deleted)") - 1;
    if (kind == OPENER_CONF)
        return policy_may_open(p, kind, path); /* where it leads is the administrator's doing */
    if (name.n >= sizeof(text) || !policy_may_open(p, kind, path))
        return false;
    (void)str_to_z(name, text, sizeof(text));
    for (size_t i = 0; i < p->logs.n; i++)
        if (is_where_it_says(&p->logs.p[i], kind, path, text) ||
            (kind == OPENER_LOG && is_good_link(p, &p->logs.p[i], path, text)))
            return true;
    for (size_t i = 0; kind == OPENER_META && i < p->metas.n; i++)
        if (is_where_it_says(&p->metas.p[i], kind, path, text))
            return true;
    for (size_t i = 0; kind == OPENER_META && i < p->state.n; i++)
        if (is_state(&p->state.p[i], path) && is_where_it_says(&p->state.p[i], kind, path, text))
            return true;
    return false;
}

bool policy_may_pass_dir(const struct policy *p, const char *dir, const char *real)
{
    char expected[PATH_MAX];
    size_t n = strlen(dir);

    if (!policy_may_list(p, dir))
        return false;
    if (find_dir(str_of(dir), expected, sizeof(expected)) && strcmp(expected, dir) == 0 &&
        strcmp(real, dir) == 0)
        return true; /* no link at all */
    for (size_t i = 0; i < p->state.n; i++)
        if (is_root_of(&p->state.p[i], dir) && find_dir(str_of(dir), expected, sizeof(expected)) &&
            strcmp(expected, real) == 0)
            return true;
    for (size_t i = 0; i < p->logs.n; i++) {
        const struct rule *r = &p->logs.p[i];
        bool in_fixed = n <= r->fixed && strncmp(r->pattern, dir, n) == 0 && r->pattern[n] == '/';
        if (in_fixed && find_dir(str_of(dir), expected, sizeof(expected)) &&
            strcmp(expected, real) == 0)
            return true;
        if (!in_fixed && starts_with_dir(r->pattern, str_of(dir)) &&
            resolve(r, dir, expected, sizeof(expected)) && strcmp(expected, real) == 0)
            return true;
    }
    return false;
}
