/* collector/opener.c - contract: opener.h; and the opener of a process that has the rights. */
#include "collector/opener.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { LIST_MAX = 64 << 20 };
static const uint32_t DIR_MASK =
    IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR;
/* IN_ATTRIB: a name of it went. */
static const uint32_t FILE_MASK = IN_MODIFY | IN_ATTRIB;

int opener_err(struct err *err, int sys, const char *what, const char *path)
{
    int code = ERR_IO;

    if (sys == ENOENT || sys == ENOTDIR)
        code = ERR_GONE;
    else if (sys == EACCES || sys == EPERM)
        code = ERR_DENIED;
    errno = sys;
    (void)err_sys(err, "%s '%s'", what, path);
    err->code = code;
    return code;
}

bool opener_may_pass(int sys)
{
    switch (sys) {
    case 0:
    case ENOENT:
    case ENOTDIR:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG:
    case EINVAL:
    case EISDIR:
    case ENXIO:
        return false;
    default:
        return true;
    }
}

/* ---- this process itself ---- */

static int local_open(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                      struct err *err)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    (void)o;
    (void)kind;
    if (fd < 0)
        return opener_err(err, errno, "open", path);
    *ret = fd;
    return 0;
}

static int local_stat(struct opener *o, const char *path, struct stat *ret, struct err *err)
{
    (void)o;
    return stat(path, ret) == 0 ? 0 : opener_err(err, errno, "look at", path);
}

/* Names are gathered before any is told, so that a directory is open no longer than it is read. */
struct listing {
    struct buf names; /* each with its NUL, in front of it a struct stat where they are wanted */
    enum opener_stats stats;
};

static int take_name(void *arg, int dir_fd, const char *name, struct err *err)
{
    struct listing *l = arg;
    struct stat st;

    if (l->stats != OPENER_NO_STATS) {
        memset(&st, 0, sizeof(st));
        if (fstatat(dir_fd, name, &st, 0) < 0 && l->stats == OPENER_STATS &&
            !opener_may_pass(errno))
            return 0;
        buf_add(&l->names, &st, sizeof(st));
    }
    buf_add(&l->names, name, strlen(name) + 1);
    return buf_err(&l->names, "names in a directory", err);
}

static void tell_names(const struct listing *l, opener_entry_fn *fn, void *arg)
{
    size_t at = 0;

    while (at < l->names.n) {
        struct stat st;
        const char *name;
        if (l->stats != OPENER_NO_STATS) {
            memcpy(&st, l->names.p + at, sizeof(st));
            at += sizeof(st);
        }
        name = l->names.p + at;
        at += strlen(name) + 1;
        fn(arg, name, l->stats != OPENER_NO_STATS ? &st : NULL);
    }
}

static int local_list(struct opener *o, const char *dir, enum opener_stats stats,
                      opener_entry_fn *fn, void *arg, struct err *err)
{
    struct listing l = {.stats = stats};
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int r;

    (void)o;
    if (fd < 0)
        return opener_err(err, errno, "open directory", dir);
    buf_init(&l.names, LIST_MAX);
    r = file_walk(fd, take_name, &l, err);
    (void)close(fd);
    if (r == 0)
        tell_names(&l, fn, arg);
    buf_fini(&l.names);
    return r;
}

static int local_inotify(struct opener *o, int *ret, struct err *err)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

    (void)o;
    if (fd < 0)
        return err_sys(err, "inotify");
    *ret = fd;
    return 0;
}

static int local_watch_dir(struct opener *o, int inotify, const char *dir, int *ret,
                           struct err *err)
{
    int wd = inotify_add_watch(inotify, dir, DIR_MASK);

    (void)o;
    if (wd < 0)
        return opener_err(err, errno, "watch", dir);
    *ret = wd;
    return 0;
}

static int local_watch_file(struct opener *o, int inotify, int fd, int *ret, struct err *err)
{
    char path[64];
    int wd;

    (void)o;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    wd = inotify_add_watch(inotify, path, FILE_MASK);
    if (wd < 0)
        return opener_err(err, errno, "watch", path);
    *ret = wd;
    return 0;
}

static int local_connect(struct opener *o, const char *path, int *ret, struct err *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd;

    (void)o;
    if (strlen(path) >= sizeof(to.sun_path))
        return opener_err(err, ENAMETOOLONG, "connect to", path);
    memcpy(to.sun_path, path, strlen(path) + 1);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return opener_err(err, errno, "connect to", path);
    if (connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        int why = errno;
        (void)close(fd);
        return opener_err(err, why, "connect to", path);
    }
    *ret = fd;
    return 0;
}

const struct opener_ops opener_local = {
    local_open,      local_stat,       local_list,    local_inotify,
    local_watch_dir, local_watch_file, local_connect, NULL};

/* ---- whoever it is ---- */

static const struct opener_ops *ops(const struct opener *o)
{
    return o == NULL ? &opener_local : o->ops;
}

void opener_free(struct opener **po)
{
    if (*po != NULL && (*po)->ops->free != NULL)
        (*po)->ops->free(*po);
    *po = NULL;
}

int opener_open(struct opener *o, enum opener_kind kind, const char *path, int *ret,
                struct err *err)
{
    return ops(o)->open(o, kind, path, ret, err);
}

int opener_stat(struct opener *o, const char *path, struct stat *ret, struct err *err)
{
    return ops(o)->stat(o, path, ret, err);
}

int opener_list(struct opener *o, const char *dir, enum opener_stats stats, opener_entry_fn *fn,
                void *arg, struct err *err)
{
    return ops(o)->list(o, dir, stats, fn, arg, err);
}

int opener_read(struct opener *o, enum opener_kind kind, const char *path, struct buf *b,
                struct err *err)
{
    size_t before = b->n;
    int fd, r = opener_open(o, kind, path, &fd, err);

    if (r < 0)
        return r;
    r = file_read_fd(fd, b, err);
    (void)close(fd); /* was only read */
    if (r < 0) {
        b->n = before;
        return err_wrap(err, "'%s'", path);
    }
    return 0;
}

int opener_inotify(struct opener *o, int *ret, struct err *err)
{
    return ops(o)->inotify(o, ret, err);
}

int opener_watch_dir(struct opener *o, int inotify, const char *dir, int *ret, struct err *err)
{
    return ops(o)->watch_dir(o, inotify, dir, ret, err);
}

int opener_watch_file(struct opener *o, int inotify, int fd, int *ret, struct err *err)
{
    return ops(o)->watch_file(o, inotify, fd, ret, err);
}

int opener_connect(struct opener *o, const char *path, int *ret, struct err *err)
{
    return ops(o)->connect(o, path, ret, err);
}
