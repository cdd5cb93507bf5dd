/*
 * collector/opener_serve.c - contract: opener_serve.h.
 *
 * A file is opened by O_PATH first, which touches nothing: no FIFO waits, no device rewinds.  Only
 * when it is regular and lies where it may is it opened to be read, through the same descriptor, so
 * nobody can exchange it in between.  So are directories, and what is only looked at.
 */
#include "collector/opener_serve.h"

#include "base/fault.h"
#include "base/mem.h"
#include "base/obj.h"
#include "collector/opener_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct opener_serve {
    unsigned magic;
#define OPENER_SERVE_MAGIC 0x09e25e2bu
    const struct policy *policy;
    int inotify; /* -1: none was asked for yet */
    int channel; /* of the question that is being answered */
    struct opener_ask ask;
    struct opener_answer answer;
};

struct opener_serve *opener_serve_new(const struct policy *p)
{
    struct opener_serve *s = mem_new(sizeof(*s));

    s->magic = OPENER_SERVE_MAGIC;
    s->policy = p;
    s->inotify = -1;
    return s;
}

void opener_serve_free(struct opener_serve **ps)
{
    struct opener_serve *s = *ps;

    if (s == NULL)
        return;
    OBJ_CHECK(s, OPENER_SERVE_MAGIC);
    if (s->inotify >= 0)
        (void)close(s->inotify);
    s->magic = 0;
    free(s);
    *ps = NULL;
}

/* What a name led to, untouched. */
struct held {
    int fd;        /* of O_PATH */
    char link[64]; /* a name for it that nobody can exchange */
    char real[PATH_MAX];
    struct stat st;
};

/* -errno: there is nothing to release. */
static int hold(const char *path, struct held *h)
{
    ssize_t n = -1;
    int why;

    h->fd = open(path, O_PATH | O_CLOEXEC);
    if (h->fd < 0)
        return -errno;
    (void)snprintf(h->link, sizeof(h->link), "/proc/self/fd/%d", h->fd);
    if (fstat(h->fd, &h->st) == 0)
        n = readlink(h->link, h->real, sizeof(h->real) - 1);
    if (n < 0) {
        why = -errno;
        (void)close(h->fd);
        return why;
    }
    h->real[n] = '\0';
    return 0;
}

static void release(struct held *h)
{
    (void)close(h->fd);
}

/* Open `path`; -errno where it cannot or may not be. */
static int open_checked(const struct opener_serve *s, enum opener_kind kind, const char *path)
{
    struct held h;
    int fd;

    if (!policy_may_open(s->policy, kind, path))
        return -EPERM;
    fd = hold(path, &h);
    if (fd < 0)
        return fd;
    if (!S_ISREG(h.st.st_mode) || !policy_may_pass(s->policy, kind, path, h.real))
        fd = -EPERM;
    else if ((fd = open(h.link, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY)) < 0)
        fd = -errno;
    release(&h);
    return fd;
}

/* A directory that may be listed; -errno as above. */
static int hold_dir(const struct opener_serve *s, const char *path, struct held *h)
{
    int r;

    if (!policy_may_list(s->policy, path))
        return -EPERM;
    r = hold(path, h);
    if (r < 0)
        return r;
    if (!S_ISDIR(h->st.st_mode))
        r = -ENOTDIR;
    else if (!policy_may_pass_dir(s->policy, path, h->real))
        r = -EPERM;
    if (r < 0)
        release(h);
    return r;
}

static int send_answer(struct opener_serve *s, int fd, struct err *err)
{
    return channel_send(s->channel, &s->answer, OPENER_ANSWER_HEAD + s->answer.names_bytes, fd,
                        err);
}

/* ---- listings ---- */

struct listing {
    struct opener_serve *s;
    struct err *err;
    int r;
};

static void add_name(void *arg, const char *name, const struct stat *st)
{
    struct listing *l = arg;
    struct opener_answer *a = &l->s->answer;
    size_t n = strlen(name) + 1, head = st == NULL ? 0 : sizeof(*st);

    if (l->r < 0)
        return;
    if (head + n > sizeof(a->names) - a->names_bytes) {
        a->more = 1;
        l->r = send_answer(l->s, -1, l->err);
        a->more = 0;
        a->names_bytes = 0;
    }
    if (st != NULL)
        memcpy(a->names + a->names_bytes, st, head);
    memcpy(a->names + a->names_bytes + head, name, n);
    a->names_bytes += (uint32_t)(head + n);
}

static int list(struct opener_serve *s, struct err *err)
{
    struct listing l = {s, err, 0};
    struct held h;
    struct err why;
    int r = hold_dir(s, s->ask.path, &h);

    if (r < 0) {
        s->answer.sys = -r;
    } else {
        if (opener_list(NULL, h.link, (enum opener_stats)s->ask.stats, add_name, &l, &why) < 0)
            s->answer.sys = why.sys == 0 ? EIO : why.sys;
        release(&h);
    }
    return l.r < 0 ? l.r : send_answer(s, -1, err);
}

/* ---- the others ---- */

static int sys_of(int r, const struct err *why)
{
    if (r == 0)
        return 0;
    return why->sys == 0 ? EIO : why->sys;
}

/* The one that they have (`given`), or a new one; the worker that was before has had its own. */
static int new_inotify(struct opener_serve *s, int given)
{
    struct err why;
    int r;

    if (s->inotify >= 0)
        (void)close(s->inotify);
    s->inotify = -1;
    if (given >= 0) { /* it is theirs to make sure that it is one: on others no watch can be put */
        s->inotify = fcntl(given, F_DUPFD_CLOEXEC, 0);
        return s->inotify < 0 ? errno : 0;
    }
    r = opener_inotify(NULL, &s->inotify, &why);
    return sys_of(r, &why);
}

static int watch_dir(struct opener_serve *s)
{
    struct held h;
    struct err why;
    int wd = -1, r = hold_dir(s, s->ask.path, &h);

    if (r < 0)
        return -r;
    r = opener_watch_dir(NULL, s->inotify, h.link, &wd, &why);
    s->answer.wd = wd;
    release(&h);
    return sys_of(r, &why);
}

static int watch_file(struct opener_serve *s, int fd)
{
    struct err why;
    int r, wd = -1;

    if (fd < 0)
        return EBADF;
    r = opener_watch_file(NULL, s->inotify, fd, &wd, &why);
    s->answer.wd = wd;
    return sys_of(r, &why);
}

static int look_at(struct opener_serve *s)
{
    const char *path = s->ask.path;
    struct held h;
    int r;

    if (!policy_may_stat(s->policy, path))
        return EPERM;
    r = hold(path, &h);
    if (r < 0)
        return -r;
    if (S_ISDIR(h.st.st_mode) ? policy_may_pass_dir(s->policy, path, h.real)
                              : strcmp(path, SOURCE_CRIO_SOCKET) == 0 ||
                                    policy_may_pass(s->policy, OPENER_LOG, path, h.real) ||
                                    policy_may_pass(s->policy, OPENER_META, path, h.real))
        s->answer.st = h.st;
    else
        r = -EPERM;
    release(&h);
    return -r;
}

static int answer(struct opener_serve *s, int with, struct err *err)
{
    int fd = -1, r;

    switch ((enum opener_op)s->ask.op) {
    case OPENER_OP_LIST:
        return list(s, err);
    case OPENER_OP_OPEN:
        fd = open_checked(s, (enum opener_kind)s->ask.kind, s->ask.path);
        s->answer.sys = fd < 0 ? -fd : 0;
        break;
    case OPENER_OP_STAT:
        s->answer.sys = look_at(s);
        break;
    case OPENER_OP_INOTIFY:
        s->answer.sys = new_inotify(s, with);
        return send_answer(s, with < 0 ? s->inotify : -1, err);
    case OPENER_OP_WATCH_DIR:
        s->answer.sys = watch_dir(s);
        break;
    case OPENER_OP_WATCH_FILE:
        s->answer.sys = watch_file(s, with);
        break;
    case OPENER_OP_CONNECT:
    default:
        s->answer.sys = ENOSYS;
        break;
    }
    r = send_answer(s, fd, err);
    if (fd >= 0)
        (void)close(fd);
    return r;
}

int opener_serve_one(struct opener_serve *s, int channel, struct err *err)
{
    size_t n = 0;
    int fd, r;

    OBJ_CHECK(s, OPENER_SERVE_MAGIC);
    r = channel_receive(channel, &s->ask, sizeof(s->ask), &n, &fd, err);
    if (r != 0)
        return r;
    if (n <= OPENER_ASK_HEAD || s->ask.path_bytes != n - OPENER_ASK_HEAD ||
        memchr(s->ask.path, '\0', s->ask.path_bytes) != s->ask.path + s->ask.path_bytes - 1) {
        r = err_set(err, ERR_CORRUPT, "a question of %zu bytes", n);
    } else if (fault_hit("opener.answer")) {
        r = err_set(err, ERR_IO, "fault for a test");
    } else {
        s->channel = channel;
        memset(&s->answer, 0, OPENER_ANSWER_HEAD);
        s->answer.tag = s->ask.tag;
        r = answer(s, fd, err);
    }
    if (fd >= 0)
        (void)close(fd);
    return r == ERR_GONE ? 1 : r;
}
