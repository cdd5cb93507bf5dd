/*
 * collector/watch.c - contract: watch.h.
 *
 * A busy container writes thousands of times a second.  After a batch of events the descriptor is
 * left alone for PAUSE_MS, so that the kernel puts equal events into one and we wake up forty times
 * a second at most.
 *
 * A name that comes into a directory is matched with the globs by the directory's path, and only
 * what is below it is walked.  A directory is watched before it is listed: what comes later is
 * told.
 *
 * Every minute all is walked though nothing has changed, mostly, and each question costs a turn of
 * the process that has the rights.  So a listing brings what its names lead to: a directory that is
 * watched already by that name and inode is not watched again, and whoever is told of a file knows
 * which one it is.  A directory of directories that has not been changed since it was listed is not
 * listed again: those in it are the same.
 */
#include "collector/watch.h"

#include "base/map.h"
#include "base/obj.h"
#include "base/time.h"
#include "base/vec.h"
#include "collector/metrics.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum {
    PAUSE_MS = 25,
    EVENT_BYTES = 64 << 10,
    BATCH_READS = 16,
    PATH_BYTES = 4096,
    LISTED_MAX = 64 << 10, /* of names that are remembered of a directory */
    DOUBT_WALKS = 10,      /* of so many walks one goes by nothing that is remembered */
    SETTLED_MS = 100,      /* changes that are closer to each other may have one time, */
    SETTLED_COARSE_S = 2,  /* where a file system counts seconds */
};

struct glob {
    char *pattern; /* owned */
    void *tag;
};

struct inode {
    uint64_t dev, no;
};

/* What matched in a directory: for each a struct inode, and its name with the NUL. */
struct listed {
    struct buf names;
    struct timespec mtime, ctime; /* of the directory, before it was listed */
    size_t glob;                  /* for which of them, by number; SIZE_MAX: nothing is known */
};

struct dir {
    int wd;
    bool is_known; /* in `inodes` */
    struct inode inode;
    struct listed listed;
    char path[];
};

struct watch {
    unsigned magic;
#define WATCH_MAGIC 0x3a7c4001u
    struct opener *opener;
    int fd;
    uv_poll_t *poll; /* freed by its close callback */
    struct loop_timer *pause;
    struct watch_handler handler;
    void *arg;
    char *events; /* owned, EVENT_BYTES */
    VEC(struct glob) globs;
    struct map *dirs;   /* watch -> struct dir */
    struct map *inodes; /* struct inode -> the same; only what was listed as such when it came */
    bool failed;        /* something could not be watched */
    unsigned walks;
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void end_pause(void *arg)
{
    struct watch *w = arg;

    (void)uv_poll_start(w->poll, UV_READABLE, on_readable);
}

static struct str key_of(const int *wd)
{
    return (struct str){(const char *)wd, sizeof(*wd)};
}

static struct str key_of_inode(const struct inode *i)
{
    return (struct str){(const char *)i, sizeof(*i)};
}

static void free_dir(void *value)
{
    struct dir *d = value;

    buf_fini(&d->listed.names);
    free(d);
}

/* It is watched no longer, or as another one. */
static void forget_dir(struct watch *w, int wd)
{
    struct dir *d = map_get(w->dirs, key_of(&wd));

    if (d == NULL)
        return;
    if (d->is_known)
        (void)map_remove(w->inodes, key_of_inode(&d->inode));
    (void)map_remove(w->dirs, key_of(&wd));
}

/* `st` as in struct walk. */
static void remember_dir(struct watch *w, int wd, const char *path, const struct stat *st)
{
    size_t n = strlen(path) + 1;
    struct dir *d = mem_new(sizeof(*d) + n), *other;

    forget_dir(w, wd);
    d->wd = wd;
    buf_init(&d->listed.names, LISTED_MAX);
    d->listed.glob = SIZE_MAX;
    memcpy(d->path, path, n);
    (void)map_put(w->dirs, key_of(&wd), d);
    if (st == NULL)
        return;
    d->inode = (struct inode){st->st_dev, st->st_ino};
    other = map_get(w->inodes, key_of_inode(&d->inode));
    if (other != NULL)
        other->is_known = false;
    d->is_known = map_put(w->inodes, key_of_inode(&d->inode), d);
}

/* After events were lost: one of them may have been the end of a watch.  And now and then: a mount
 * upon a directory changes nothing in the one that it is in, nor does every file system of others
 * tell by its times what they did. */
static void doubt_dirs(struct watch *w)
{
    struct str wd;
    void *dir;

    for (size_t pos = 0; map_next(w->dirs, &pos, &wd, &dir);)
        ((struct dir *)dir)->is_known = false;
    map_free(&w->inodes);
    w->inodes = map_new(0, NULL);
}

static void name_came(struct watch *w, const char *dir, const char *name, bool by_rename);
static void name_went(struct watch *w, const char *dir, const char *name);

/* A directory that has another name now is watched under that when it matches. */
static void dir_moved(struct watch *w, int wd, const char *path)
{
    struct stat st;
    struct err err;

    if (opener_stat(w->opener, path, &st, &err) == 0)
        return;
    (void)inotify_rm_watch(w->fd, wd);
    forget_dir(w, wd);
}

/* `name` is the event's, "" when it has none. */
static void take_event(struct watch *w, const struct inotify_event *e, const char *name)
{
    const struct dir *d = map_get(w->dirs, key_of(&e->wd));
    const char *dir = d == NULL ? NULL : d->path;

    if ((e->mask & IN_Q_OVERFLOW) != 0) {
        metric_add(METRIC_INOTIFY_OVERFLOW, 1);
        doubt_dirs(w);
        w->handler.overflow(w->arg);
    } else if (dir == NULL && (e->mask & (IN_MODIFY | IN_ATTRIB)) != 0) {
        w->handler.file(w->arg, e->wd);
    } else if (dir != NULL && (e->mask & IN_IGNORED) != 0) {
        forget_dir(w, e->wd);
    } else if (dir != NULL && (e->mask & (IN_CREATE | IN_MOVED_TO)) != 0 && *name != '\0') {
        name_came(w, dir, name, (e->mask & IN_MOVED_TO) != 0);
    } else if (dir != NULL && (e->mask & IN_MOVED_FROM) != 0 && *name != '\0') {
        name_went(w, dir, name);
    } else if (dir != NULL && (e->mask & IN_MOVE_SELF) != 0) {
        dir_moved(w, e->wd, dir);
    }
}

/* The events in w->events[0..n). */
static void take_events(struct watch *w, size_t n)
{
    for (size_t at = 0; at < n;) {
        struct inotify_event e;
        memcpy(&e, w->events + at, sizeof(e));
        take_event(w, &e, e.len == 0 ? "" : w->events + at + sizeof(e));
        at += sizeof(e) + e.len;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    ssize_t n = 1;

    (void)status;
    (void)events;
    for (int i = 0; i < BATCH_READS && n > 0; i++) {
        n = read(w->fd, w->events, EVENT_BYTES);
        if (n <= 0)
            break;
        take_events(w, (size_t)n);
    }
    w->handler.settled(w->arg, n <= 0);
    (void)uv_poll_stop(w->poll);
    loop_timer_start(w->pause, PAUSE_MS, 0);
}

int watch_open(struct loop *l, struct opener *o, const struct watch_handler *h, void *arg,
               struct watch **ret, struct err *err)
{
    struct watch *w;
    int fd, r = opener_inotify(o, &fd, err);

    if (r < 0)
        return r;
    w = mem_new(sizeof(*w));
    w->magic = WATCH_MAGIC;
    w->opener = o;
    w->fd = fd;
    w->handler = *h;
    w->arg = arg;
    w->events = mem_new(EVENT_BYTES);
    w->dirs = map_new(0, free_dir);
    w->inodes = map_new(0, NULL);
    w->poll = mem_new(sizeof(*w->poll));
    w->poll->data = w;
    (void)uv_poll_init(loop_uv(l), w->poll, fd);
    (void)uv_poll_start(w->poll, UV_READABLE, on_readable);
    w->pause = loop_timer_new(l, end_pause, w);
    *ret = w;
    return 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
    free(handle);
}

void watch_close(struct watch **pw)
{
    struct watch *w = *pw;

    if (w == NULL)
        return;
    OBJ_CHECK(w, WATCH_MAGIC);
    loop_timer_free(&w->pause);
    (void)uv_poll_stop(w->poll);
    uv_close((uv_handle_t *)w->poll, on_poll_closed);
    (void)close(w->fd);
    free(w->events);
    watch_forget(w);
    VEC_FINI(&w->globs);
    map_free(&w->inodes);
    map_free(&w->dirs);
    w->magic = 0;
    free(w);
    *pw = NULL;
}

static void add_failed(struct watch *w)
{
    metric_add(METRIC_WATCH_FAILED, 1);
    w->failed = true;
}

bool watch_is_complete(const struct watch *w)
{
    return !w->failed;
}

int watch_file(struct watch *w, int fd)
{
    struct err err;
    int wd;

    if (opener_watch_file(w->opener, w->fd, fd, &wd, &err) == 0)
        return wd;
    add_failed(w);
    return -1;
}

void watch_drop(struct watch *w, int wd)
{
    if (wd >= 0)
        (void)inotify_rm_watch(w->fd, wd); /* it may be gone with its file already */
}

/* ---- globs ---- */

struct walk {
    struct watch *w;
    const struct glob *glob;
    bool matched;          /* something was matched on the way: it is a container's, so to say */
    const struct stat *st; /* what path leads to, while that is known from a listing; or NULL */
    char path[PATH_BYTES]; /* what is fixed so far, n bytes */
};

static bool is_wild(struct str name)
{
    for (size_t i = 0; i < name.n; i++)
        if (name.p[i] == '*' || name.p[i] == '?' || name.p[i] == '[')
            return true;
    return false;
}

/* NOLINTBEGIN(misc-no-recursion): as deep as the pattern has components */
static void walk(struct walk *k, size_t n, struct str rest);

/* Go on below the name that was put at k->path + n. */
static void enter(struct walk *k, size_t n, const char *name, struct str rest)
{
    size_t len = strlen(name);

    if (n + 1 + len >= sizeof(k->path))
        return;
    k->path[n] = '/';
    memcpy(k->path + n + 1, name, len + 1);
    if (rest.n == 0)
        k->w->handler.found(k->w->arg, k->glob->tag, k->path, k->st);
    else
        walk(k, n + 1 + len, rest);
    k->st = NULL;
    k->path[n] = '\0';
}

/* A directory that is gone is looked for again; one that is not ours to read someone has to know
 * of, or its logs are missing without a word. */
static void tell_denied(struct walk *k, const char *dir, int why)
{
    if (why != ENOENT && why != ENOTDIR)
        k->w->handler.denied(k->w->arg, *dir == '\0' ? "/" : dir, why);
}

static bool is_watched(const struct watch *w, const char *path)
{
    struct str wd;
    void *dir;

    for (size_t pos = 0; map_next(w->dirs, &pos, &wd, &dir);)
        if (strcmp(((const struct dir *)dir)->path, path) == 0)
            return true;
    return false;
}

/* It was there a moment ago, or it is no directory. */
static void dir_gone(struct walk *k, int why)
{
    if (why == ENOENT && k->matched && !is_watched(k->w, k->path))
        k->w->handler.vanished(k->w->arg, k->glob->tag, k->path);
}

/* The directory `st`, if it is watched by the name k->path. */
static struct dir *known_dir(const struct walk *k, const struct stat *st)
{
    struct inode inode = {st->st_dev, st->st_ino};
    struct dir *d = map_get(k->w->inodes, key_of_inode(&inode));

    return d != NULL && strcmp(d->path, k->path) == 0 ? d : NULL;
}

/* `st` as in struct walk.  false: it is gone. */
static bool watch_dir(struct walk *k, const struct stat *st)
{
    const char *path = *k->path == '\0' ? "/" : k->path;
    struct err err;
    int wd;

    if (st != NULL && known_dir(k, st) != NULL)
        return true;
    if (opener_watch_dir(k->w->opener, k->w->fd, path, &wd, &err) < 0) {
        if (err.code != ERR_GONE) {
            add_failed(k->w);
            return true;
        }
        dir_gone(k, err.sys);
        return false;
    }
    /* What is remembered itself, without links to it, says nothing of what was watched now. */
    remember_dir(k->w, wd, k->path, st != NULL && st->st_nlink > 0 ? st : NULL);
    return true;
}

struct listing {
    struct walk *k;
    size_t n;
    const char *pattern;
    struct str rest;
    struct listed *listed; /* to be filled; NULL: it will not be asked for */
};

static void enter_matching(void *arg, const char *name, const struct stat *st)
{
    const struct listing *l = arg;

    if (fnmatch(l->pattern, name, FNM_PERIOD) != 0)
        return;
    l->k->matched = true;
    l->k->st = st == NULL || st->st_mode == 0 ? NULL : st; /* nowhere, or nobody can tell now */
    if (l->listed != NULL && l->k->st == NULL) {
        l->listed->glob = SIZE_MAX; /* it may lead somewhere the next time */
    } else if (l->listed != NULL) {
        struct inode inode = {st->st_dev, st->st_ino};
        buf_add(&l->listed->names, &inode, sizeof(inode));
        buf_add(&l->listed->names, name, strlen(name) + 1);
    }
    enter(l->k, l->n, name, l->rest);
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Will a change that comes now have another time? */
static bool is_settled(struct timespec t)
{
    dur_ns least = t.tv_nsec == 0 ? SETTLED_COARSE_S * NS_PER_S : SETTLED_MS * NS_PER_MS;

    return time_now() - ((ts_ns)t.tv_sec * NS_PER_S + t.tv_nsec) >= least;
}

/* What is known of the directory `st`, now the caller's; glob SIZE_MAX: it has to be listed. */
static struct listed take_listed(const struct walk *k, const struct stat *st)
{
    struct listed l = {.mtime = st->st_mtim, .ctime = st->st_ctim, .glob = SIZE_MAX};
    struct dir *d = known_dir(k, st);

    buf_init(&l.names, LISTED_MAX);
    if (d == NULL || d->listed.glob != (size_t)(k->glob - k->w->globs.p) ||
        !is_same_time(d->listed.mtime, l.mtime) || !is_same_time(d->listed.ctime, l.ctime))
        return l;
    l = d->listed;
    buf_init(&d->listed.names, LISTED_MAX);
    d->listed.glob = SIZE_MAX;
    return l;
}

/* Remember it for the directory `st`, if that is watched by this name: it is freed otherwise. */
static void keep_listed(const struct walk *k, const struct stat *st, struct listed *l)
{
    struct dir *d = known_dir(k, st);

    if (d == NULL || l->glob == SIZE_MAX || l->names.over) {
        buf_fini(&l->names);
        return;
    }
    buf_fini(&d->listed.names);
    d->listed = *l;
}

static void enter_listed(struct walk *k, size_t n, const struct listed *l, struct str rest)
{
    for (size_t at = 0; at < l->names.n;) {
        struct stat st = {.st_mode = S_IFDIR}; /* no links, and times that no directory has */
        struct inode inode;
        const char *name = l->names.p + at + sizeof(inode);
        memcpy(&inode, l->names.p + at, sizeof(inode));
        st.st_dev = inode.dev;
        st.st_ino = inode.no;
        k->matched = true;
        k->st = &st;
        enter(k, n, name, rest);
        at += sizeof(inode) + strlen(name) + 1;
    }
}

static void list_all(struct walk *k, size_t n, struct listing *l)
{
    const char *dir = n == 0 ? "/" : k->path;
    struct err err;
    int r = opener_list(k->w->opener, dir, OPENER_STATS_ALL, enter_matching, l, &err);

    /* One of the names may be a mount that hangs, or there are too many: then each by itself. */
    if (r == ERR_LIMIT || (r < 0 && err.sys == ETIMEDOUT))
        r = opener_list(k->w->opener, dir, OPENER_NO_STATS, enter_matching, l, &err);
    if (r == 0)
        return;
    tell_denied(k, k->path, err.sys); /* the next look tries again */
    if (l->listed != NULL)
        l->listed->glob = SIZE_MAX;
}

/* `st` as in struct walk. */
static void enter_all(struct walk *k, size_t n, const char *pattern, struct str rest,
                      const struct stat *st)
{
    /* One step above the files: what leads to others is listed, so that their times are known. */
    bool is_next = st != NULL && rest.n > 0 && memchr(rest.p, '/', rest.n) == NULL;
    struct listing l = {.k = k, .n = n, .pattern = pattern, .rest = rest};
    bool matched = k->matched;
    struct stat is;
    struct listed known;

    if (!is_next) {
        list_all(k, n, &l);
        k->matched = matched;
        return;
    }
    is = *st;
    known = take_listed(k, &is);
    if (known.glob != SIZE_MAX) {
        enter_listed(k, n, &known, rest);
    } else {
        if (is_settled(is.st_mtim) && is_settled(is.st_ctim))
            known.glob = (size_t)(k->glob - k->w->globs.p);
        l.listed = &known;
        list_all(k, n, &l);
    }
    k->matched = matched;
    keep_listed(k, &is, &known);
}

/* `rest` is what comes behind the slash after k->path.  As deep as the pattern has components. */
static void walk(struct walk *k, size_t n, struct str rest)
{
    struct str name = str_cut(&rest, '/');
    char text[NAME_MAX + 1];
    const struct stat *listed = k->st;
    struct stat st;
    bool wild = is_wild(name);
    struct err err;

    if (name.n == 0 && rest.n > 0) {
        walk(k, n, rest);
        return;
    }
    k->st = NULL; /* below it is another's */
    if (name.n == 0 || name.n > NAME_MAX)
        return;
    (void)str_to_z(name, text, sizeof(text));
    if ((wild || rest.n == 0) &&
        !watch_dir(k, listed)) /* before it is read: what comes later is heard */
        return;
    if (k->matched && (wild || rest.n == 0))
        k->w->handler.looked(k->w->arg, k->path);
    if (wild) {
        enter_all(k, n, text, rest, listed);
        return;
    }
    if (n + 1 + name.n >= sizeof(k->path))
        return;
    k->path[n] = '/';
    memcpy(k->path + n + 1, text, name.n + 1);
    if (opener_stat(k->w->opener, k->path, &st, &err) == 0) {
        k->path[n] = '\0';
        k->st = &st;
        enter(k, n, text, rest);
        return;
    }
    k->path[n] = '\0';
    tell_denied(k, k->path, err.sys);
    if (rest.n > 0)
        (void)watch_dir(k, listed);
}

/* NOLINTEND(misc-no-recursion) */

static void walk_glob(struct watch *w, const struct glob *g)
{
    struct walk k = {.w = w, .glob = g};
    struct str pattern = str_of(g->pattern);

    if (pattern.n >= 2 && pattern.p[0] == '/')
        walk(&k, 0, str_from(pattern, 1));
}

void watch_add(struct watch *w, struct str pattern, void *tag)
{
    struct glob g = {mem_dup(pattern.p, pattern.n), tag};

    OBJ_CHECK(w, WATCH_MAGIC);
    VEC_PUSH(&w->globs, g);
    walk_glob(w, &w->globs.p[w->globs.n - 1]);
}

void watch_walk(struct watch *w)
{
    OBJ_CHECK(w, WATCH_MAGIC);
    w->failed = false;
    if (++w->walks % DOUBT_WALKS == 0)
        doubt_dirs(w);
    for (size_t i = 0; i < w->globs.n; i++)
        walk_glob(w, &w->globs.p[i]);
}

void watch_forget(struct watch *w)
{
    struct str wd;
    void *dir;

    while (w->globs.n > 0)
        free(w->globs.p[--w->globs.n].pattern);
    for (size_t pos = 0; map_next(w->dirs, &pos, &wd, &dir);)
        ((struct dir *)dir)->listed.glob = SIZE_MAX;
}

/* What of the pattern lies behind `path`, when its beginning matches; NULL when it does not. */
static const char *match_beginning(const char *pattern, const char *path, bool *matched)
{
    struct str rest = str_of(pattern), of = str_of(path);
    char name[NAME_MAX + 1], text[NAME_MAX + 1];

    *matched = false;
    while (of.n > 0) {
        struct str have = str_cut(&of, '/'), want;
        if (have.n == 0)
            continue;
        do
            want = str_cut(&rest, '/');
        while (want.n == 0 && rest.n > 0);
        if (want.n == 0 || want.n > NAME_MAX || have.n > NAME_MAX)
            return NULL;
        if (!is_wild(want) && !str_eq(want, have))
            return NULL;
        if (is_wild(want) && fnmatch(str_to_z(want, text, sizeof(text)),
                                     str_to_z(have, name, sizeof(name)), FNM_PERIOD) != 0)
            return NULL;
        *matched = *matched || is_wild(want);
    }
    return rest.n == 0 ? "" : rest.p;
}

static void name_came(struct watch *w, const char *dir, const char *name, bool by_rename)
{
    struct walk k = {.w = w};
    int n = snprintf(k.path, sizeof(k.path), "%s/%s", dir, name);
    bool is_file = false;

    if (n < 0 || (size_t)n >= sizeof(k.path))
        return;
    for (size_t i = 0; i < w->globs.n; i++) {
        const char *rest = match_beginning(w->globs.p[i].pattern, k.path, &k.matched);
        k.glob = &w->globs.p[i];
        if (rest == NULL)
            continue;
        is_file = is_file || *rest == '\0';
        if (*rest == '\0')
            w->handler.found(w->arg, k.glob->tag, k.path, NULL);
        else
            walk(&k, (size_t)n, str_of(rest));
    }
    if (is_file)
        w->handler.came(w->arg, k.path, by_rename);
}

static void name_went(struct watch *w, const char *dir, const char *name)
{
    char path[PATH_BYTES];
    bool is_file = false;
    int n = snprintf(path, sizeof(path), "%s/%s", dir, name);

    if (n < 0 || (size_t)n >= sizeof(path))
        return;
    for (size_t i = 0; i < w->globs.n && !is_file; i++)
        is_file = watch_matches(str_of(w->globs.p[i].pattern), path);
    if (is_file)
        w->handler.went(w->arg, path);
}

bool watch_matches(struct str pattern, const char *path)
{
    char text[PATH_BYTES];

    return pattern.n < sizeof(text) &&
           fnmatch(str_to_z(pattern, text, sizeof(text)), path, FNM_PATHNAME) == 0;
}
