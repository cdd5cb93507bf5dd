/* tests/sweep/io_shim.c - see io_shim.h.  The real calls are made by number. */
#include "tests/sweep/io_shim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { TORN = 4096, PATHS = 512, MET = 256 };

enum change_kind { CHANGED_BYTES, CHANGED_NAME };

/* The way back of one call. */
struct change {
    enum change_kind kind;
    struct change *older;
    /* bytes */
    dev_t dev;
    ino_t ino;
    int fd; /* our own */
    off_t at, size;
    size_t n;
    char *was;
    /* a name: what `name` in `dir` was is `aside` ("": nothing); `moved`: it came from there */
    char dir[PATHS], name[PATHS], from[PATHS], aside[PATHS];
};

static struct {
    pthread_mutex_t mutex; /* guards all of it */
    char dir[PATHS], aside[PATHS];
    bool watching, armed;
    enum io_fault fault;
    unsigned long n, seen;
    struct change *newest;
    unsigned asides;
    char *met; /* shared */
} shim = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* ---- the real calls ---- */

static ssize_t real_pwrite(int fd, const void *p, size_t n, off_t at)
{
    return syscall(SYS_pwrite64, fd, p, n, at);
}

static int real_renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
    return (int)syscall(SYS_renameat2, from, a, to, b, flags);
}

static int real_unlinkat(int dir, const char *path, int flags)
{
    return (int)syscall(SYS_unlinkat, dir, path, flags);
}

static int real_linkat(int from, const char *a, int to, const char *b, int flags)
{
    return (int)syscall(SYS_linkat, from, a, to, b, flags);
}

static int real_open(int dir, const char *path, int flags, mode_t mode)
{
    return (int)syscall(SYS_openat, dir, path, flags, mode);
}

static int real_truncate(int fd, off_t size)
{
    return (int)syscall(SYS_ftruncate, fd, size);
}

/* ---- where a call goes ---- */

static void path_of_fd(int fd, char *ret)
{
    char link[40];
    ssize_t n;

    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, ret, PATHS - 1);
    ret[n < 0 ? 0 : n] = '\0';
}

static void path_at(int dir, const char *path, char *ret)
{
    char base[PATHS] = "";

    if (path[0] == '/') {
        (void)snprintf(ret, PATHS, "%s", path);
        return;
    }
    if (dir == AT_FDCWD) {
        if (getcwd(base, sizeof(base)) == NULL)
            base[0] = '\0';
    } else {
        path_of_fd(dir, base);
    }
    (void)snprintf(ret, PATHS, "%.250s/%.250s", base, path);
}

static bool is_below(const char *path)
{
    size_t n = strlen(shim.dir);

    return shim.watching && strncmp(path, shim.dir, n) == 0 && path[n] == '/';
}

static void split(const char *path, char *dir, char *name)
{
    const char *slash = strrchr(path, '/');

    (void)snprintf(dir, PATHS, "%.*s", (int)(slash - path), path);
    (void)snprintf(name, PATHS, "%s", slash + 1);
}

/* ---- power loss ---- */

static struct change *add_change(enum change_kind kind)
{
    struct change *c = calloc(1, sizeof(*c));

    if (c == NULL)
        abort();
    c->kind = kind;
    c->older = shim.newest;
    shim.newest = c;
    return c;
}

/* Bytes [at, at + n) of fd, and its size, are about to change. */
static void note_bytes(int fd, off_t at, size_t n)
{
    struct change *c;
    struct stat st;
    char link[40];
    ssize_t r;

    if (fstat(fd, &st) != 0)
        return;
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    c = add_change(CHANGED_BYTES);
    c->dev = st.st_dev;
    c->ino = st.st_ino;
    c->fd = real_open(AT_FDCWD, link, O_RDWR | O_CLOEXEC, 0);
    c->at = at;
    c->size = st.st_size;
    c->was = malloc(n + 1);
    r = c->was == NULL ? -1 : pread(c->fd, c->was, n, at);
    c->n = r < 0 ? 0 : (size_t)r;
}

/* `path` is about to become something else: what it is goes aside.  `from`: where its new file
 * comes from, NULL: nowhere. */
static void note_name(const char *path, const char *from)
{
    struct change *c = add_change(CHANGED_NAME);

    split(path, c->dir, c->name);
    if (from != NULL)
        (void)snprintf(c->from, PATHS, "%s", from);
    (void)snprintf(c->aside, PATHS, "%.400s/%u", shim.aside, shim.asides++);
    if (real_linkat(AT_FDCWD, path, AT_FDCWD, c->aside, 0) != 0)
        c->aside[0] = '\0';
}

static void drop_change(struct change **at)
{
    struct change *c = *at;

    *at = c->older;
    if (c->kind == CHANGED_BYTES)
        (void)syscall(SYS_close, c->fd);
    else if (c->aside[0] != '\0')
        (void)real_unlinkat(AT_FDCWD, c->aside, 0);
    free(c->was);
    free(c);
}

static void forget(int fd)
{
    char path[PATHS];
    struct stat st;

    if (fstat(fd, &st) != 0)
        return;
    path_of_fd(fd, path);
    for (struct change **at = &shim.newest; *at != NULL;) {
        struct change *c = *at;
        if (c->kind == CHANGED_BYTES ? c->dev == st.st_dev && c->ino == st.st_ino
                                     : S_ISDIR(st.st_mode) && strcmp(c->dir, path) == 0)
            drop_change(at);
        else
            at = &c->older;
    }
}

static void take_back(const struct change *c)
{
    char path[2 * PATHS];

    if (c->kind == CHANGED_BYTES) {
        (void)real_pwrite(c->fd, c->was, c->n, c->at);
        (void)real_truncate(c->fd, c->size);
        return;
    }
    (void)snprintf(path, sizeof(path), "%s/%s", c->dir, c->name);
    if (c->from[0] != '\0')
        (void)real_renameat2(AT_FDCWD, path, AT_FDCWD, c->from, 0);
    else
        (void)real_unlinkat(AT_FDCWD, path, 0);
    if (c->aside[0] != '\0')
        (void)real_renameat2(AT_FDCWD, c->aside, AT_FDCWD, path, 0);
}

static _Noreturn void die(bool lost)
{
    if (lost)
        for (const struct change *c = shim.newest; c != NULL; c = c->older)
            take_back(c);
    (void)kill(getpid(), SIGKILL);
    for (;;)
        (void)pause();
}

/* ---- the fault ---- */

enum verdict { GO, FAIL, HALF, TEAR, GO_DIE, GO_LOSE };

/* Under the mutex.  errno is set for FAIL. */
static enum verdict judge(const char *call, const char *path)
{
    if (!shim.armed || ++shim.seen != shim.n)
        return GO;
    (void)snprintf(shim.met, MET, "%s %.200s", call, path + strlen(shim.dir));
    switch (shim.fault) {
    case IO_EIO:
        errno = EIO;
        return FAIL;
    case IO_SHORT:
        errno = ENOSPC;
        return HALF;
    case IO_TORN:
        return TEAR;
    case IO_KILL:
    case IO_LOST:
        die(shim.fault == IO_LOST);
    case IO_KILLED_AFTER:
        return GO_DIE;
    case IO_LOST_AFTER:
        return GO_LOSE;
    case IO_ENOSPC:
    case IO_FAULTS:
    default:
        errno = ENOSPC;
        return FAIL;
    }
}

static void die_if(enum verdict v)
{
    if (v == GO_DIE || v == GO_LOSE || v == TEAR)
        die(v == GO_LOSE);
}

/* For all but writes: true when the call must not be made; errno is set. */
static bool refuses(enum verdict v)
{
    if (v == TEAR) /* there is nothing to tear */
        die(false);
    return v == FAIL || v == HALF;
}

/* ---- calls on files ---- */

static ssize_t write_at(int fd, const void *p, size_t n, off_t at, const char *call)
{
    char path[PATHS];
    enum verdict v;
    ssize_t r = -1;

    path_of_fd(fd, path);
    if (!is_below(path))
        return real_pwrite(fd, p, n, at);
    (void)pthread_mutex_lock(&shim.mutex);
    v = judge(call, path);
    if (v == HALF && n > 1)
        n /= 2;
    else if (v == TEAR && at / TORN != (at + (off_t)n - 1) / TORN)
        n = (size_t)((at + (off_t)n - 1) / TORN * TORN - at);
    else if (v == TEAR)
        n /= 2;
    if (v != FAIL) {
        note_bytes(fd, at, n);
        r = real_pwrite(fd, p, n, at);
        die_if(v);
    }
    (void)pthread_mutex_unlock(&shim.mutex);
    return r;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
    return write_at(fd, p, n, at, "pwrite");
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
    return write_at(fd, p, n, at, "pwrite");
}

ssize_t write(int fd, const void *p, size_t n)
{
    int flags = fcntl(fd, F_GETFL);
    struct stat st;
    off_t at;
    ssize_t r;

    if (!shim.watching || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || flags < 0)
        return syscall(SYS_write, fd, p, n);
    at = (flags & O_APPEND) != 0 ? st.st_size : lseek(fd, 0, SEEK_CUR);
    r = write_at(fd, p, n, at, "write");
    if (r > 0)
        (void)lseek(fd, at + r, SEEK_SET);
    return r;
}

static int resize(int fd, off_t at, off_t size, bool allocate)
{
    char path[PATHS];
    enum verdict v;
    struct stat st;
    int r = -1;

    path_of_fd(fd, path);
    if (!is_below(path))
        return allocate ? (int)syscall(SYS_fallocate, fd, 0, at, size) : real_truncate(fd, size);
    (void)pthread_mutex_lock(&shim.mutex);
    v = judge(allocate ? "fallocate" : "ftruncate", path);
    if (!refuses(v)) {
        if (fstat(fd, &st) == 0)
            note_bytes(fd, allocate || size >= st.st_size ? st.st_size : size,
                       allocate || size >= st.st_size ? 0 : (size_t)(st.st_size - size));
        r = allocate ? (int)syscall(SYS_fallocate, fd, 0, at, size) : real_truncate(fd, size);
        die_if(v);
    }
    (void)pthread_mutex_unlock(&shim.mutex);
    return r;
}

int ftruncate(int fd, off_t size)
{
    return resize(fd, 0, size, false);
}

int ftruncate64(int fd, off_t size)
{
    return resize(fd, 0, size, false);
}

int posix_fallocate(int fd, off_t at, off_t size)
{
    return resize(fd, at, size, true) == 0 ? 0 : errno;
}

int posix_fallocate64(int fd, off_t at, off_t size)
{
    return posix_fallocate(fd, at, size);
}

/* No waiting for a disk: the model of power loss is what a sync is for. */
static int sync_fd(int fd, const char *call)
{
    char path[PATHS];
    enum verdict v;
    int r = -1;

    path_of_fd(fd, path);
    if (!is_below(path) && strcmp(path, shim.dir) != 0)
        return (int)syscall(SYS_fsync, fd);
    (void)pthread_mutex_lock(&shim.mutex);
    v = judge(call, path);
    if (!refuses(v)) {
        r = 0;
        forget(fd);
        die_if(v);
    }
    (void)pthread_mutex_unlock(&shim.mutex);
    return r;
}

int fsync(int fd)
{
    return sync_fd(fd, "fsync");
}

int fdatasync(int fd)
{
    return sync_fd(fd, "fdatasync");
}

/* ---- calls on names ---- */

int renameat2(int from, const char *a, int to, const char *b, unsigned flags)
{
    char x[PATHS], y[PATHS];
    enum verdict v;
    int r = -1;

    path_at(from, a, x);
    path_at(to, b, y);
    if (!is_below(y))
        return real_renameat2(from, a, to, b, flags);
    (void)pthread_mutex_lock(&shim.mutex);
    v = judge("rename", y);
    if (!refuses(v)) {
        note_name(y, x);
        r = real_renameat2(from, a, to, b, flags);
        if (r != 0)
            drop_change(&shim.newest);
        die_if(v);
    }
    (void)pthread_mutex_unlock(&shim.mutex);
    return r;
}

int renameat(int from, const char *a, int to, const char *b)
{
    return renameat2(from, a, to, b, 0);
}

int rename(const char *a, const char *b)
{
    return renameat2(AT_FDCWD, a, AT_FDCWD, b, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
    char x[PATHS];
    enum verdict v;
    int r = -1;

    path_at(dir, path, x);
    if (!is_below(x) || (flags & AT_REMOVEDIR) != 0)
        return real_unlinkat(dir, path, flags);
    (void)pthread_mutex_lock(&shim.mutex);
    v = judge("unlink", x);
    if (!refuses(v)) {
        note_name(x, NULL);
        r = real_unlinkat(dir, path, flags);
        if (r != 0)
            drop_change(&shim.newest);
        die_if(v);
    }
    (void)pthread_mutex_unlock(&shim.mutex);
    return r;
}

int unlink(const char *path)
{
    return unlinkat(AT_FDCWD, path, 0);
}

int linkat(int from, const char *a, int to, const char *b, int flags)
{
    char y[PATHS];
    enum verdict v;
    int r = -1;

    path_at(to, b, y);
    if (!is_below(y))
        return real_linkat(from, a, to, b, flags);
    (void)pthread_mutex_lock(&shim.mutex);
    v = judge("link", y);
    if (!refuses(v)) {
        note_name(y, NULL);
        r = real_linkat(from, a, to, b, flags);
        if (r != 0)
            drop_change(&shim.newest);
        die_if(v);
    }
    (void)pthread_mutex_unlock(&shim.mutex);
    return r;
}

int link(const char *a, const char *b)
{
    return linkat(AT_FDCWD, a, AT_FDCWD, b, 0);
}

static int open_at(int dir, const char *path, int flags, mode_t mode)
{
    char x[PATHS];
    enum verdict v = GO;
    int fd = -1;

    if ((flags & O_CREAT) == 0 || !shim.watching)
        return real_open(dir, path, flags, mode);
    path_at(dir, path, x);
    if (!is_below(x) || syscall(SYS_faccessat, AT_FDCWD, x, F_OK) == 0)
        return real_open(dir, path, flags, mode);
    (void)pthread_mutex_lock(&shim.mutex);
    v = judge("create", x);
    if (!refuses(v)) {
        note_name(x, NULL);
        fd = real_open(dir, path, flags, mode);
        if (fd < 0)
            drop_change(&shim.newest);
        die_if(v);
    }
    (void)pthread_mutex_unlock(&shim.mutex);
    return fd;
}

#define OPEN_MODE(flags)                                                                           \
    mode_t mode = 0;                                                                               \
    va_list ap;                                                                                    \
    va_start(ap, flags);                                                                           \
    if (((flags) & (O_CREAT | O_TMPFILE)) != 0)                                                    \
        mode = va_arg(ap, mode_t);                                                                 \
    va_end(ap)

int open(const char *path, int flags, ...)
{
    OPEN_MODE(flags);
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    OPEN_MODE(flags);
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    OPEN_MODE(flags);
    return open_at(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    OPEN_MODE(flags);
    return open_at(dir, path, flags, mode);
}

/* ---- control ---- */

void io_shim_init(void)
{
    shim.met = mmap(NULL, MET, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shim.met == MAP_FAILED)
        abort();
}

void io_shim_watch(const char *dir, const char *aside)
{
    (void)snprintf(shim.dir, PATHS, "%s", dir);
    (void)snprintf(shim.aside, PATHS, "%s", aside);
    shim.watching = true;
}

void io_shim_arm(enum io_fault fault, unsigned long n)
{
    (void)pthread_mutex_lock(&shim.mutex);
    shim.fault = fault;
    shim.n = n;
    shim.seen = 0;
    shim.armed = true;
    (void)pthread_mutex_unlock(&shim.mutex);
    shim.met[0] = '\0';
}

unsigned long io_shim_disarm(void)
{
    unsigned long seen;

    (void)pthread_mutex_lock(&shim.mutex);
    shim.armed = false;
    seen = shim.seen;
    (void)pthread_mutex_unlock(&shim.mutex);
    return seen;
}

const char *io_shim_met(void)
{
    return shim.met;
}
