/* collector/opener_remote.c - contract: opener_remote.h. */
#include "collector/opener_remote.h"

#include "base/mem.h"
#include "collector/metrics.h"
#include "collector/opener_ask.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MAX = 64 << 20 };

struct remote {
    struct opener opener;
    int files, gate, answer_ms;
    uint64_t tag;
    uint64_t late; /* the question on `files` that was given up and has no answer; 0: none */
    struct opener_ask ask;
    struct opener_answer answer;
};

static struct remote *of(struct opener *o)
{
    return (struct remote *)o;
}

static int broken(struct err *err)
{
    return opener_err(err, EPIPE, "ask", "the process that opens files");
}

static bool is_readable(int channel, int timeout_ms)
{
    struct pollfd p = {.fd = channel, .events = POLLIN};
    int n;

    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n != 0;
}

/* Give the question up: its answer will be of no use. */
static int too_late(struct remote *r, struct err *err)
{
    r->late = r->tag;
    metric_add(METRIC_OPENS_LATE, 1);
    return opener_err(err, ETIMEDOUT, "wait for", r->ask.path);
}

/* Is the question that was given up answered by now? */
static bool is_back(struct remote *r)
{
    struct err err;
    size_t n;
    int fd;

    while (r->late != 0 && is_readable(r->files, 0)) {
        if (channel_receive(r->files, &r->answer, sizeof(r->answer), &n, &fd, &err) != 0)
            return true; /* nobody is there: asking says so */
        if (fd >= 0)
            (void)close(fd);
        if (n >= OPENER_ANSWER_HEAD && r->answer.tag == r->late)
            r->late = 0;
    }
    return r->late == 0;
}

/* The next packet that answers us, whole.  *fd is the caller's. */
static int hear(struct remote *r, int channel, int *fd, struct err *err)
{
    struct opener_answer *a = &r->answer;
    size_t n;

    *fd = -1;
    do {
        if (channel == r->files && !is_readable(channel, r->answer_ms))
            return too_late(r, err);
        if (channel_receive(channel, a, sizeof(*a), &n, fd, err) != 0)
            return broken(err);
        if (n < OPENER_ANSWER_HEAD || a->names_bytes != n - OPENER_ANSWER_HEAD ||
            a->tag != r->tag) {
            if (*fd >= 0)
                (void)close(*fd);
            *fd = -1;
            if (n < OPENER_ANSWER_HEAD)
                return broken(err);
        }
    } while (a->tag != r->tag);
    return 0;
}

/* Ask, with `fd` or -1; the answer is in r->answer, a descriptor that came with it in *got. */
static int ask(struct remote *r, int channel, int fd, int *got, struct err *err)
{
    *got = -1;
    if (channel == r->files && !is_back(r))
        return opener_err(err, ETIMEDOUT, "ask for", r->ask.path);
    r->ask.tag = ++r->tag;
    if (channel < 0 ||
        channel_send(channel, &r->ask, OPENER_ASK_HEAD + r->ask.path_bytes, fd, err) < 0)
        return broken(err);
    return hear(r, channel, got, err);
}

/* Fill in the question; ERR_IO: the path is too long. */
static int about(struct remote *r, enum opener_op op, const char *path, struct err *err)
{
    size_t n = strlen(path) + 1;

    if (n > sizeof(r->ask.path))
        return opener_err(err, ENAMETOOLONG, "ask for", path);
    r->ask.op = op;
    r->ask.kind = 0;
    r->ask.with_stat = 0;
    r->ask.path_bytes = (uint32_t)n;
    memcpy(r->ask.path, path, n);
    return 0;
}

static int failed(const struct remote *r, const char *what, const char *path, struct err *err)
{
    if (r->answer.sys == EPERM)
        metric_add(METRIC_OPENS_REFUSED, 1);
    return opener_err(err, r->answer.sys, what, path);
}

/* What an answer must bring: nothing else is a descriptor. */
static int need_fd(const struct remote *r, int got, const char *what, const char *path, int *ret,
                   struct err *err)
{
    if (r->answer.sys != 0) {
        if (got >= 0)
            (void)close(got);
        return failed(r, what, path, err);
    }
    if (got < 0)
        return opener_err(err, EMFILE, what, path); /* we have no room for another */
    *ret = got;
    return 0;
}

static int remote_open(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                       struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_OPEN, path, err);

    if (e < 0)
        return e;
    r->ask.kind = kind;
    e = ask(r, r->files, -1, &got, err);
    return e < 0 ? e : need_fd(r, got, "open", path, ret, err);
}

static int remote_stat(struct opener *o, const char *path, struct stat *ret, struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_STAT, path, err);

    if (e == 0)
        e = ask(r, r->files, -1, &got, err);
    if (e < 0)
        return e;
    if (r->answer.sys != 0)
        return failed(r, "look at", path, err);
    *ret = r->answer.st;
    return 0;
}

static void tell(const struct buf *names, bool with_stat, opener_entry_fn *fn, void *arg)
{
    size_t head = with_stat ? sizeof(struct stat) : 0, at = 0;

    while (names->n - at > head) {
        struct stat st;
        const char *name = names->p + at + head;
        size_t left = names->n - at - head;
        size_t n = strnlen(name, left);
        if (n == left)
            return; /* not ended: no name */
        if (with_stat)
            memcpy(&st, names->p + at, sizeof(st));
        fn(arg, name, with_stat ? &st : NULL);
        at += head + n + 1;
    }
}

static int remote_list(struct opener *o, const char *dir, bool with_stat, opener_entry_fn *fn,
                       void *arg, struct err *err)
{
    struct remote *r = of(o);
    struct buf names;
    int got, e = about(r, OPENER_OP_LIST, dir, err);

    if (e < 0)
        return e;
    r->ask.with_stat = with_stat;
    buf_init(&names, LIST_MAX);
    e = ask(r, r->files, -1, &got, err);
    while (e == 0 && r->answer.sys == 0) {
        buf_add(&names, r->answer.names, r->answer.names_bytes);
        if (r->answer.more == 0)
            break;
        e = hear(r, r->files, &got, err);
    }
    if (e == 0 && r->answer.sys != 0)
        e = failed(r, "open directory", dir, err);
    if (e == 0)
        e = buf_err(&names, "names in a directory", err);
    if (e == 0)
        tell(&names, with_stat, fn, arg);
    buf_fini(&names);
    return e;
}

static int remote_inotify(struct opener *o, int *ret, struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_INOTIFY, "", err);

    if (e == 0)
        e = ask(r, r->files, -1, &got, err);
    return e < 0 ? e : need_fd(r, got, "inotify", "", ret, err);
}

static int remote_watch_dir(struct opener *o, int inotify, const char *dir, int *ret,
                            struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_WATCH_DIR, dir, err);

    (void)inotify; /* there is one, and they have it too */
    if (e == 0)
        e = ask(r, r->files, -1, &got, err);
    if (e == 0 && r->answer.sys != 0)
        e = failed(r, "watch", dir, err);
    if (e == 0)
        *ret = r->answer.wd;
    return e;
}

static int remote_watch_file(struct opener *o, int inotify, int fd, int *ret, struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_WATCH_FILE, "", err);

    (void)inotify;
    if (e == 0)
        e = ask(r, r->files, fd, &got, err);
    if (e == 0 && r->answer.sys != 0)
        e = failed(r, "watch", "an open file", err);
    if (e == 0)
        *ret = r->answer.wd;
    return e;
}

static int remote_connect(struct opener *o, const char *path, int *ret, struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_CONNECT, path, err);

    if (e == 0)
        e = ask(r, r->gate, -1, &got, err);
    return e < 0 ? e : need_fd(r, got, "connect to", path, ret, err);
}

static void remote_free(struct opener *o)
{
    free(of(o));
}

struct opener *opener_remote(int files, int gate, int answer_ms)
{
    static const struct opener_ops OPS = {remote_open,    remote_stat,      remote_list,
                                          remote_inotify, remote_watch_dir, remote_watch_file,
                                          remote_connect, remote_free};
    struct remote *r = mem_new(sizeof(*r));

    r->opener.ops = &OPS;
    r->files = files;
    r->gate = gate;
    r->answer_ms = answer_ms;
    r->tag = (uint64_t)getpid() << 32;
    return &r->opener;
}
