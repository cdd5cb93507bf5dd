/*
 * collector/watch.c - contract: watch.h.
 *
 * A busy container writes thousands of times a second.  After a batch of events the descriptor is
 * left alone for PAUSE_MS, so that the kernel puts equal events into one and we wake up forty times
 * a second at most.
 */
#include "collector/watch.h"

#include "base/mem.h"
#include "base/obj.h"
#include "collector/metrics.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

enum { PAUSE_MS = 25, EVENT_BYTES = 64 << 10, BATCH_READS = 16, PATH_BYTES = 4096 };

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
    bool failed;  /* something could not be watched */
};

static void on_readable(uv_poll_t *poll, int status, int events);

static void end_pause(void *arg)
{
    struct watch *w = arg;

    (void)uv_poll_start(w->poll, UV_READABLE, on_readable);
}

static void take_event(struct watch *w, const struct inotify_event *e, bool *dirs)
{
    if ((e->mask & IN_Q_OVERFLOW) != 0) {
        metric_add(METRIC_INOTIFY_OVERFLOW, 1);
        w->handler.overflow(w->arg);
    } else if ((e->mask & IN_MODIFY) != 0) {
        w->handler.file(w->arg, e->wd);
    } else if ((e->mask & IN_IGNORED) == 0) {
        *dirs = true;
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct watch *w = poll->data;
    bool dirs = false;

    (void)status;
    (void)events;
    for (int i = 0; i < BATCH_READS; i++) {
        ssize_t n = read(w->fd, w->events, EVENT_BYTES);
        size_t at = 0;
        if (n <= 0)
            break;
        while (at < (size_t)n) {
            struct inotify_event e;
            memcpy(&e, w->events + at, sizeof(e));
            take_event(w, &e, &dirs);
            at += sizeof(e) + e.len;
        }
    }
    if (dirs)
        w->handler.dirs(w->arg);
    w->handler.settled(w->arg);
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

static void watch_dir(struct watch *w, const char *path)
{
    struct err err;

    if (opener_watch_dir(w->opener, w->fd, path, &err) < 0)
        add_failed(w);
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
    watch_found_fn *fn;
    void *arg;
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
        k->fn(k->arg, k->path);
    else
        walk(k, n + 1 + len, rest);
    k->path[n] = '\0';
}

/* A directory that is gone is looked for again; one that is not ours to read someone has to know
 * of, or its logs are missing without a word. */
static void tell_denied(struct walk *k, const char *dir, int why)
{
    if (why != ENOENT && why != ENOTDIR)
        k->w->handler.denied(k->w->arg, *dir == '\0' ? "/" : dir, why);
}

struct listing {
    struct walk *k;
    size_t n;
    const char *pattern;
    struct str rest;
};

static void enter_matching(void *arg, const char *name, const struct stat *st)
{
    const struct listing *l = arg;

    (void)st;
    if (fnmatch(l->pattern, name, FNM_PERIOD) == 0)
        enter(l->k, l->n, name, l->rest);
}

static void enter_all(struct walk *k, size_t n, const char *pattern, struct str rest)
{
    struct listing l = {k, n, pattern, rest};
    struct err err;

    if (opener_list(k->w->opener, n == 0 ? "/" : k->path, false, enter_matching, &l, &err) < 0)
        tell_denied(k, k->path, err.sys); /* the next look tries again */
}

/* `rest` is what comes behind the slash after k->path.  As deep as the pattern has components. */
static void walk(struct walk *k, size_t n, struct str rest)
{
    struct str name = str_cut(&rest, '/');
    char text[NAME_MAX + 1];
    struct stat st;
    bool wild = is_wild(name);
    struct err err;

    if (name.n == 0 && rest.n > 0) {
        walk(k, n, rest);
        return;
    }
    if (name.n == 0 || name.n > NAME_MAX)
        return;
    (void)str_to_z(name, text, sizeof(text));
    if (wild || rest.n == 0)
        watch_dir(k->w, n == 0 ? "/" : k->path); /* before it is read: what comes later is heard */
    if (wild) {
        enter_all(k, n, text, rest);
        return;
    }
    if (n + 1 + name.n >= sizeof(k->path))
        return;
    k->path[n] = '/';
    memcpy(k->path + n + 1, text, name.n + 1);
    if (opener_stat(k->w->opener, k->path, &st, &err) == 0) {
        k->path[n] = '\0';
        enter(k, n, text, rest);
        return;
    }
    k->path[n] = '\0';
    tell_denied(k, k->path, err.sys);
    if (rest.n > 0)
        watch_dir(k->w, n == 0 ? "/" : k->path);
}

/* NOLINTEND(misc-no-recursion) */

void watch_glob(struct watch *w, struct str pattern, watch_found_fn *fn, void *arg)
{
    struct walk k = {.w = w, .fn = fn, .arg = arg};

    OBJ_CHECK(w, WATCH_MAGIC);
    if (pattern.n < 2 || pattern.p[0] != '/')
        return;
    walk(&k, 0, str_from(pattern, 1));
}

bool watch_matches(struct str pattern, const char *path)
{
    char text[PATH_BYTES];

    return pattern.n < sizeof(text) &&
           fnmatch(str_to_z(pattern, text, sizeof(text)), path, FNM_PATHNAME) == 0;
}
