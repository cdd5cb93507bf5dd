/* collector/opener_remote.c - contract: opener_remote.h. */
#include "collector/opener_remote.h"

#include "base/log.h"
#include "base/mem.h"
#include "collector/metrics.h"
#include "collector/opener_ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST_MAX = 64 << 20, FILES = -2 /* whoever answers for files now */ };

/* A question that was given up and has no answer. */
struct late {
    int channel;
    uint64_t tag;
    char where[PATH_MAX]; /* what hangs: this, and what is below it */
    bool is_stats; /* or one of the names in it: what a listing looked at, nobody knows which */
};

struct remote {
    struct opener opener;
    int files; /* -1: to be got from `more` */
    int more, gate, answer_ms;
    int inotify; /* what the next process has to go on with; -1: none */
    uint64_t tag;
    struct late late[OPENER_REMOTE_HANGING_MAX];
    size_t n_late;
    struct opener_ask ask;
    struct opener_answer answer;
};

static const struct opener_ops OPS;

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

/* ---- who hangs ---- */

/* Of a log that cannot be opened all of its directory is meant, else what was asked for. */
static void put_where(const struct opener_ask *ask, char where[PATH_MAX])
{
    char *slash;

    memcpy(where, ask->path, ask->path_bytes);
    slash = ask->op == OPENER_OP_OPEN ? strrchr(where, '/') : NULL;
    if (slash != NULL && slash != where)
        *slash = '\0';
}

static bool is_listing_with_stats(const struct opener_ask *ask)
{
    return ask->op == OPENER_OP_LIST && ask->stats != OPENER_NO_STATS;
}

/* Give the question up: its answer will be of no use. */
static int too_late(struct remote *r, struct err *err)
{
    struct late *l = &r->late[r->n_late++]; /* there was room, or nobody would have been asked */

    l->channel = r->files;
    l->tag = r->tag;
    put_where(&r->ask, l->where);
    l->is_stats = is_listing_with_stats(&r->ask);
    if (r->more >= 0)
        r->files = -1;
    metric_add(METRIC_OPENS_LATE, 1);
    metric_set(METRIC_OPENS_HANGING, r->n_late);
    log_error("opener.hangs", LOG_Z("where", l->where), LOG_U64("processes", r->n_late));
    return opener_err(err, ETIMEDOUT, "wait for", r->ask.path);
}

/* Is a question that was given up answered by now, or nobody there to answer it? */
static bool is_back(struct remote *r, const struct late *l)
{
    struct err err;
    size_t n;
    int fd;

    while (is_readable(l->channel, 0)) {
        if (channel_receive(l->channel, &r->answer, sizeof(r->answer), &n, &fd, &err) != 0)
            return true;
        if (fd >= 0)
            (void)close(fd);
        if (n >= OPENER_ANSWER_HEAD && r->answer.tag == l->tag && r->answer.more == 0)
            return true;
    }
    return false;
}

static void look_at_late(struct remote *r)
{
    for (size_t i = 0; i < r->n_late; i++) {
        struct late *l = &r->late[i];
        if (!is_back(r, l))
            continue;
        log_info("opener.answers", LOG_Z("where", l->where));
        if (r->more >= 0)
            (void)close(l->channel); /* another has taken its place */
        *l = r->late[--r->n_late];
        i--;
        metric_set(METRIC_OPENS_HANGING, r->n_late);
    }
}

static bool is_below(const char *path, const char *where)
{
    size_t n = strlen(where);

    return n > 0 && strncmp(path, where, n) == 0 &&
           (where[n - 1] == '/' || path[n] == '\0' || path[n] == '/');
}

/* Would this question hang, too? */
static bool may_hang(const struct remote *r)
{
    if (r->n_late == OPENER_REMOTE_HANGING_MAX || (r->n_late > 0 && r->more < 0))
        return true;
    for (size_t i = 0; i < r->n_late; i++) {
        const struct late *l = &r->late[i];
        if (l->is_stats ? is_listing_with_stats(&r->ask) && strcmp(r->ask.path, l->where) == 0
                        : is_below(r->ask.path, l->where))
            return true;
    }
    return false;
}

/* ---- asking ---- */

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

/* It goes on with the inotify that there is. */
static int hand_inotify(struct remote *r, struct err *err)
{
    struct opener_ask ask = {.tag = ++r->tag, .op = OPENER_OP_INOTIFY, .path_bytes = 1};
    int got;

    if (channel_send(r->files, &ask, OPENER_ASK_HEAD + 1, r->inotify, err) < 0)
        return broken(err);
    return hear(r, r->files, &got, err);
}

/* A process that answers, in place of one that hangs or has ended. */
static int get_another(struct remote *r, struct err *err)
{
    int32_t sys = 0;
    size_t n = 0;
    int fd = -1;

    if (r->more < 0 || channel_send(r->more, "", 1, -1, err) < 0 ||
        channel_receive(r->more, &sys, sizeof(sys), &n, &fd, err) != 0 || n != sizeof(sys))
        return broken(err);
    if (fd < 0)
        return opener_err(err, sys == 0 ? EIO : sys, "start", "a process that opens files");
    r->files = fd;
    return r->inotify < 0 ? 0 : hand_inotify(r, err);
}

/* As ask, of the process that there is. */
static int ask_once(struct remote *r, int channel, int fd, int *got, struct err *err)
{
    r->ask.tag = ++r->tag;
    if (channel < 0 ||
        channel_send(channel, &r->ask, OPENER_ASK_HEAD + r->ask.path_bytes, fd, err) < 0)
        return broken(err);
    return hear(r, channel, got, err);
}

static int ask_files(struct remote *r, int fd, int *got, struct err *err)
{
    int e = ERR_IO;

    look_at_late(r);
    if (may_hang(r))
        return opener_err(err, ETIMEDOUT, "ask for", r->ask.path);
    for (int i = 0; i < 2; i++) { /* one may have ended since: a reload makes others */
        e = r->files >= 0 ? 0 : get_another(r, err);
        if (e == 0)
            e = ask_once(r, r->files, fd, got, err);
        if (e == 0 || err->sys != EPIPE || r->more < 0)
            break;
        if (r->files >= 0)
            (void)close(r->files);
        r->files = -1;
    }
    return e;
}

/* Ask, with `fd` or -1; the answer is in r->answer, a descriptor that came with it in *got. */
static int ask(struct remote *r, int channel, int fd, int *got, struct err *err)
{
    *got = -1;
    return channel == FILES ? ask_files(r, fd, got, err) : ask_once(r, channel, fd, got, err);
}

/* Fill in the question; ERR_IO: the path is too long. */
static int about(struct remote *r, enum opener_op op, const char *path, struct err *err)
{
    size_t n = strlen(path) + 1;

    if (n > sizeof(r->ask.path))
        return opener_err(err, ENAMETOOLONG, "ask for", path);
    r->ask.op = op;
    r->ask.kind = 0;
    r->ask.stats = OPENER_NO_STATS;
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
    e = ask(r, FILES, -1, &got, err);
    return e < 0 ? e : need_fd(r, got, "open", path, ret, err);
}

static int remote_stat(struct opener *o, const char *path, struct stat *ret, struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_STAT, path, err);

    if (e == 0)
        e = ask(r, FILES, -1, &got, err);
    if (e < 0)
        return e;
    if (r->answer.sys != 0)
        return failed(r, "look at", path, err);
    *ret = r->answer.st;
    return 0;
}

static void tell(const struct buf *names, enum opener_stats stats, opener_entry_fn *fn, void *arg)
{
    size_t head = stats != OPENER_NO_STATS ? sizeof(struct stat) : 0, at = 0;

    while (names->n - at > head) {
        struct stat st;
        const char *name = names->p + at + head;
        size_t left = names->n - at - head;
        size_t n = strnlen(name, left);
        if (n == left)
            return; /* not ended: no name */
        if (head > 0)
            memcpy(&st, names->p + at, sizeof(st));
        fn(arg, name, head > 0 ? &st : NULL);
        at += head + n + 1;
    }
}

static int remote_list(struct opener *o, const char *dir, enum opener_stats stats,
                       opener_entry_fn *fn, void *arg, struct err *err)
{
    struct remote *r = of(o);
    struct buf names;
    int got, e = about(r, OPENER_OP_LIST, dir, err);

    if (e < 0)
        return e;
    r->ask.stats = stats;
    buf_init(&names, LIST_MAX);
    e = ask(r, FILES, -1, &got, err);
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
        tell(&names, stats, fn, arg);
    buf_fini(&names);
    return e;
}

static int remote_inotify(struct opener *o, int *ret, struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_INOTIFY, "", err);

    if (e == 0)
        e = ask(r, FILES, -1, &got, err);
    if (e == 0)
        e = need_fd(r, got, "inotify", "", ret, err);
    if (e < 0)
        return e;
    if (r->inotify >= 0)
        (void)close(r->inotify);
    r->inotify = r->more < 0 ? -1 : fcntl(*ret, F_DUPFD_CLOEXEC, 0);
    return 0;
}

static int remote_watch_dir(struct opener *o, int inotify, const char *dir, int *ret,
                            struct err *err)
{
    struct remote *r = of(o);
    int got, e = about(r, OPENER_OP_WATCH_DIR, dir, err);

    (void)inotify; /* there is one, and they have it too */
    if (e == 0)
        e = ask(r, FILES, -1, &got, err);
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
        e = ask(r, FILES, fd, &got, err);
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
    struct remote *r = of(o);

    if (r->more >= 0 && r->files >= 0)
        (void)close(r->files);
    for (size_t i = 0; r->more >= 0 && i < r->n_late; i++)
        (void)close(r->late[i].channel);
    if (r->inotify >= 0)
        (void)close(r->inotify);
    free(r);
}

static const struct opener_ops OPS = {remote_open,    remote_stat,      remote_list,
                                      remote_inotify, remote_watch_dir, remote_watch_file,
                                      remote_connect, remote_free};

const char *opener_remote_hanging(const struct opener *o, size_t i)
{
    const struct remote *r = (const struct remote *)o;

    return o == NULL || o->ops != &OPS || i >= r->n_late ? NULL : r->late[i].where;
}

struct opener *opener_remote(int files, int more, int gate, int answer_ms)
{
    struct remote *r = mem_new(sizeof(*r));

    r->opener.ops = &OPS;
    r->files = files;
    r->more = more;
    r->inotify = -1;
    r->gate = gate;
    r->answer_ms = answer_ms;
    r->tag = (uint64_t)getpid() << 32;
    return &r->opener;
}
